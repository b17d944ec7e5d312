#include "driver/storage/helper_call.h"

#include <cerrno>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <fmt/format.h>
#include <sys/socket.h>

namespace warren::driver::storage {

namespace asio = boost::asio;
using vmm::FileDescriptor;

namespace {

// Beyond every virErrorNumber.
constexpr std::int32_t kMostErrorCode = 256;

}  // namespace

void HelperCall::begin(HelperOrder order, Completion<std::uint64_t> completion) {
  order_ = std::move(order);
  completion_ = std::move(completion);
  asio::post(launching_, [self = shared_from_this(), guard = asio::make_work_guard(loop_)] {
    auto process = std::make_shared<HelperProcess>();
    auto ours = std::make_shared<FileDescriptor>();
    std::optional<Error> failed;
    try {
      int ends[2];
      if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        throw system_error(errno, "make a socket for the storage helper");
      ours->reset(ends[0]);
      const FileDescriptor theirs(ends[1]);
      self->outgoing_ = encode_message(self->order_.request);
      *process = self->launcher_(theirs, self->order_.data);
    } catch (const Error& error) {
      failed = Error(error.code(), error.detail(), VIR_FROM_STORAGE);
    } catch (const std::exception& error) {
      failed = Error(VIR_ERR_INTERNAL_ERROR, error.what(), VIR_FROM_STORAGE);
    }
    asio::post(self->loop_, [self, process, ours, failed] {
      self->order_.data.reset();
      if (failed) return self->finish(std::unexpected(*failed));
      self->launched(std::move(*process), std::move(*ours));
    });
  });
}

void HelperCall::launched(HelperProcess process, FileDescriptor ours) {
  process_ = std::move(process);
  if (!completion_) {  // aborted meanwhile
    process_.kill();
    reap_later(loop_, std::move(process_));
    return;
  }
  socket_.assign(asio::local::stream_protocol(), ours.release());
  asio::async_write(socket_, asio::buffer(outgoing_),
                    [self = shared_from_this()](boost::system::error_code, std::size_t) {
                      // The request may hold a passphrase. A failure shows as the helper's end.
                      ::explicit_bzero(self->outgoing_.data(), self->outgoing_.size());
                      self->outgoing_.clear();
                    });
  wait_in_silence();
  read();
}

void HelperCall::wait_in_silence() {
  timer_.expires_after(order_.deadline);
  timer_.async_wait([weak = weak_from_this()](boost::system::error_code error) {
    const auto self = weak.lock();
    if (error || !self || !self->completion_) return;
    // A timer that was set anew while this waited in the queue is not over.
    if (self->timer_.expiry() > std::chrono::steady_clock::now()) return;
    self->abort(Error(VIR_ERR_OPERATION_TIMEOUT,
                      fmt::format("the storage behind it did not answer for {} seconds; the work was stopped",
                                  self->order_.deadline.count() / 1000),
                      VIR_FROM_STORAGE));
  });
}

void HelperCall::read() {
  socket_.async_read_some(
      asio::buffer(buffer_), [self = shared_from_this()](boost::system::error_code error, std::size_t bytes) {
        if (!self->completion_) return;
        if (error) {
          return self->finish(std::unexpected(Error(
              VIR_ERR_INTERNAL_ERROR, "the storage helper ended without an answer: it crashed or was killed",
              VIR_FROM_STORAGE)));
        }
        self->take(bytes);
      });
}

void HelperCall::take(std::size_t bytes) {
  wait_in_silence();
  try {
    frames_.append(std::string_view(buffer_.data(), bytes));
    while (const auto frame = frames_.next())
      if (!handle(decode_reply(*frame))) return;
  } catch (const Error& error) {
    return finish(std::unexpected(error));
  }
  read();
}

// False when that was its last word.
bool HelperCall::handle(Reply reply) {
  if (reply.kind == Reply::Kind::done) {
    finish(reply.number);
    return false;
  }
  if (reply.kind == Reply::Kind::failed) {
    const bool is_code = reply.code > 0 && reply.code < kMostErrorCode;
    finish(std::unexpected(Error(is_code ? static_cast<virErrorNumber>(reply.code) : VIR_ERR_INTERNAL_ERROR,
                                 std::move(reply.text), VIR_FROM_STORAGE)));
    return false;
  }
  if (reply.kind == Reply::Kind::progress || reply.kind == Reply::Kind::volume) has_reported_ = true;
  if (order_.record) order_.record(reply);
  return static_cast<bool>(completion_);
}

void HelperCall::abort(Error reason) {
  finish(std::unexpected(std::move(reason)));
}

void HelperCall::forget() {
  if (!completion_) return;
  const auto self = shared_from_this();
  const auto waiting = std::exchange(completion_, nullptr);
  order_.record = nullptr;
  timer_.cancel();
  boost::system::error_code ignored;
  socket_.close(ignored);
  process_.kill();
  if (process_.pid > 0) reap_later(loop_, std::move(process_));
}

void HelperCall::finish(std::expected<std::uint64_t, Error> outcome) {
  if (!completion_) return;
  auto completion = std::exchange(completion_, nullptr);
  timer_.cancel();
  boost::system::error_code ignored;
  socket_.close(ignored);
  // One that has answered ends by itself.
  if (!outcome) process_.kill();
  if (process_.pid > 0) reap_later(loop_, std::move(process_));
  asio::post(loop_, [completion = std::move(completion), outcome = std::move(outcome),
                     self = shared_from_this()]() mutable { completion(std::move(outcome)); });
}

void reap_later(asio::io_context& loop, HelperProcess process) {
  if (process.pid <= 0 || !process.pidfd) return;
  const auto ended = std::make_shared<asio::posix::stream_descriptor>(loop, process.pidfd.get());
  process.pidfd.release();  // `ended` owns it
  ended->async_wait(asio::posix::stream_descriptor::wait_read,
                    [ended, process = std::make_shared<HelperProcess>(std::move(process))](
                        boost::system::error_code) { process->reap(); });
}

}  // namespace warren::driver::storage
