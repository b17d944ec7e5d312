#include "driver/domain/console_stream.h"

#include <cerrno>
#include <utility>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace warren::driver::domain {

namespace {

namespace asio = boost::asio;

class ConsoleState final : public ConsoleSession, public std::enable_shared_from_this<ConsoleState> {
 public:
  ConsoleState(asio::io_context& loop, vmm::FileDescriptor end) : loop_(loop), end_(loop) {
    struct stat found{};
    is_socket_ = ::fstat(end.get(), &found) == 0 && S_ISSOCK(found.st_mode);
    end_.assign(end.release());
  }

  bool is_open() const noexcept override { return end_.is_open() && !failure_; }

  void take_away(Error reason) override {
    if (!is_open()) return;
    failure_ = std::move(reason);
    close_end();
    wake(true);
    wake(false);
  }

  Stream::ReadResult read_some(std::span<std::byte> buffer) {
    if (failure_) throw *failure_;
    if (!end_.is_open()) return {0, true};
    ssize_t got = ::read(end_.native_handle(), buffer.data(), buffer.size());
    if (got > 0) return {static_cast<std::size_t>(got), false};
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return {0, false};
    // 0 or an error: the worker has closed its end, the machine is gone.
    return {0, true};
  }

  std::size_t write_some(std::span<const std::byte> data) {
    if (failure_) throw *failure_;
    if (!end_.is_open()) throw operation_failed("the console is closed");
    // A socket whose other end is gone fails without a signal.
    const ssize_t put = is_socket_ ? ::send(end_.native_handle(), data.data(), data.size(), MSG_NOSIGNAL)
                                   : ::write(end_.native_handle(), data.data(), data.size());
    if (put >= 0) return static_cast<std::size_t>(put);
    if (errno == EAGAIN || errno == EINTR) return 0;
    throw system_error(errno, "write to the console");
  }

  void wait(bool for_reading, Stream::Ready ready) {
    auto& place = for_reading ? readable_ : writable_;
    place = std::move(ready);
    if (!is_open()) return wake(for_reading);
    end_.async_wait(
        for_reading ? asio::posix::stream_descriptor::wait_read : asio::posix::stream_descriptor::wait_write,
        [weak = weak_from_this(), for_reading](boost::system::error_code failed) {
          auto self = weak.lock();
          if (!failed && self) self->call(for_reading);
        });
  }

  void close() noexcept {
    readable_ = nullptr;
    writable_ = nullptr;
    close_end();
  }

 private:
  void close_end() noexcept {
    boost::system::error_code ignored;
    end_.close(ignored);
  }

  void call(bool for_reading) {
    auto& waiting = for_reading ? readable_ : writable_;
    if (auto ready = std::exchange(waiting, nullptr)) ready();
  }

  void wake(bool for_reading) {
    asio::post(loop_, [weak = weak_from_this(), for_reading] {
      if (auto self = weak.lock()) self->call(for_reading);
    });
  }

  asio::io_context& loop_;
  asio::posix::stream_descriptor end_;
  bool is_socket_ = false;
  Stream::Ready readable_;
  Stream::Ready writable_;
  std::optional<Error> failure_;
};

class ConsoleStream final : public Stream {
 public:
  explicit ConsoleStream(std::shared_ptr<ConsoleState> state) : state_(std::move(state)) {}
  ~ConsoleStream() override { state_->close(); }

  ReadResult read_some(std::span<std::byte> buffer) override { return state_->read_some(buffer); }
  std::size_t write_some(std::span<const std::byte> data) override { return state_->write_some(data); }
  void wait_readable(Ready ready) override { state_->wait(true, std::move(ready)); }
  void wait_writable(Ready ready) override { state_->wait(false, std::move(ready)); }
  void finish() override { state_->close(); }
  void abort() noexcept override { state_->close(); }

 private:
  std::shared_ptr<ConsoleState> state_;
};

}  // namespace

OpenedConsole make_console_stream(boost::asio::io_context& loop, vmm::FileDescriptor end) {
  auto state = std::make_shared<ConsoleState>(loop, std::move(end));
  return {std::make_unique<ConsoleStream>(state), state};
}

}  // namespace warren::driver::domain
