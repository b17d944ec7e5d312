#include "vmm-core/block/nbd/connection.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <condition_variable>
#include <exception>
#include <limits>
#include <span>
#include <utility>

#include <libnbd.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm-core/block/nbd/without_tls.h"
#include "vmm-core/os/error.h"

namespace warren::vmm::block::nbd {
namespace {

constexpr std::size_t kBufferBytes = std::size_t{256} << 10;
// A range of this many bytes goes to the server, and from it, without a copy.
constexpr std::size_t kDirectBytes = std::size_t{64} << 10;
// Of what every server takes in one command (proto.md, "Block size constraints": 32 MiB) as much as a slow
// link carries within the limit of an answer.
constexpr std::uint64_t kPortableBytes = std::uint64_t{4} << 20;
constexpr int kLongestWait = 3;  // in limits of an answer
// Zeroing and discarding carry no data; a length has 32 bits.
constexpr std::uint64_t kMostZeroed = std::uint64_t{1} << 30;
constexpr std::uint32_t kLargestBlock = 64 << 10;

alignas(4096) constexpr std::array<std::byte, kDirectBytes> kZeros{};

// Of what a server answers a guest is told that there is no space, or that it failed.
int error_of(int answered) noexcept {
  return answered == ENOSPC || answered == EDQUOT ? ENOSPC : EIO;
}

class Waiter final : public Receiver {
 public:
  void landed(Flight&) noexcept override {
    const std::lock_guard lock(mutex_);
    done_ = true;
    // Under the lock: who waits takes this object away.
    ended_.notify_one();
  }
  void wait() noexcept {
    std::unique_lock lock(mutex_);
    ended_.wait(lock, [this] { return done_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable ended_;
  bool done_ = false;
};

std::string last_error() {
  const char* text = ::nbd_get_error();
  return text == nullptr ? "no reason given" : text;
}

}  // namespace

void Connection::Close::operator()(nbd_handle* handle) const noexcept {
  ::nbd_close(handle);
}

Connection::Connection(FileDescriptor socket, std::string name, ConnectionOptions options)
    : name_(std::move(name)), options_(std::move(options)), handle_(::nbd_create()) {
  require_no_tls();
  if (!handle_) throw Error(std::errc::not_enough_memory, name_ + ": " + last_error());
  event_ = FileDescriptor(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!event_) throw_errno(name_ + ": eventfd");
  memory_.reset(static_cast<std::byte*>(std::aligned_alloc(4096, kBuffers * kBufferBytes)));
  if (!memory_) throw Error(std::errc::not_enough_memory, name_);
  for (std::byte*& buffer : free_buffers_) buffer = memory_.get() + kBufferBytes * free_count_++;
  watched_ = socket.duplicate();
  try {
    thread_ = std::thread([this] { run(); });
  } catch (const std::system_error& error) {
    throw Error::from_errno(error.code().value(), name_ + ": thread of an NBD connection");
  }
  introduce(std::move(socket));
}

Connection::~Connection() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  signal();
  thread_.join();
}

void Connection::refuse(const std::string& why) const {
  throw Error(std::errc::io_error, name_ + ": NBD export '" + options_.export_name + "': " + why);
}

void Connection::introduce(FileDescriptor socket) {
  std::exception_ptr failed;
  try {
    shake_hands(std::move(socket));
    look_at_export();
  } catch (...) {
    failed = std::current_exception();
  }
  bool is_late = false;
  {
    const std::lock_guard lock(mutex_);
    is_late = is_late_;
    handshake_ = failed || is_late ? Handshake::failed : Handshake::done;
  }
  handshake_over_.notify_one();
  if (!failed && !is_late) return;
  thread_.join();
  if (is_late) refuse("the server has not shaken hands in time");
  std::rethrow_exception(failed);
}

void Connection::shake_hands(FileDescriptor socket) {
  nbd_handle* handle = handle_.get();
  // Few parts of the protocol: what is not asked for is not read from a hostile server either.
  if (::nbd_set_debug(handle, false) != 0 || ::nbd_set_tls(handle, LIBNBD_TLS_DISABLE) != 0 ||
      ::nbd_set_request_structured_replies(handle, false) != 0 ||
      ::nbd_set_pread_initialize(handle, false) != 0 ||
      ::nbd_set_export_name(handle, options_.export_name.c_str()) != 0)
    refuse(last_error());
  // The handle's from here on, whatever comes of it.
  if (::nbd_aio_connect_socket(handle, socket.release()) != 0) refuse(last_error());
  while (::nbd_aio_is_ready(handle) == 0) {
    if (is_dead()) refuse("the server has closed the connection");
    if (::nbd_poll(handle, -1) < 0) refuse(last_error());
  }
}

void Connection::look_at_export() {
  nbd_handle* handle = handle_.get();
  const std::int64_t size = ::nbd_get_size(handle);
  if (size < 0) refuse("the server gives it no size that a disk can have");
  if (size < 512) refuse("it has " + std::to_string(size) + " bytes; a disk has 512 at least");
  size_ = static_cast<std::uint64_t>(size);
  const std::int64_t smallest = ::nbd_get_block_size(handle, LIBNBD_SIZE_MINIMUM);
  const std::int64_t largest = ::nbd_get_block_size(handle, LIBNBD_SIZE_MAXIMUM);
  // 0: the server has not said.
  if (smallest < 0 || largest < 0 || smallest > kLargestBlock ||
      (smallest != 0 && !std::has_single_bit(static_cast<std::uint64_t>(smallest))))
    refuse("the server's block sizes are none");
  block_ = std::max<std::uint64_t>(1, static_cast<std::uint64_t>(smallest));
  if (block_ > options_.block_size || size_ % block_ != 0) {
    refuse("the server wants blocks of " + std::to_string(block_) + " bytes, and the disk's are " +
           std::to_string(options_.block_size) + " (<blockio logical_block_size='" + std::to_string(block_) +
           "'/> makes them larger)");
  }
  most_ = largest == 0 ? kPortableBytes : std::min(kPortableBytes, static_cast<std::uint64_t>(largest));
  most_ -= most_ % options_.block_size;
  if (most_ == 0) refuse("the server takes less than a block at a time");
  if (!options_.read_only && ::nbd_is_read_only(handle) != 0)
    refuse("the server exports it read-only; a disk on it is <readonly/>");
  can_flush_ = ::nbd_can_flush(handle) == 1;
  can_fua_ = ::nbd_can_fua(handle) == 1;
  can_trim_ = ::nbd_can_trim(handle) == 1;
  can_zero_ = ::nbd_can_zero(handle) == 1;
}

bool Connection::is_dead() const noexcept {
  return ::nbd_aio_is_dead(handle_.get()) != 0 || ::nbd_aio_is_closed(handle_.get()) != 0;
}

void Connection::signal() noexcept {
  const std::uint64_t one = 1;
  // A full counter has been seen by nobody yet: the reader will come.
  [[maybe_unused]] const ssize_t written = ::write(event_.get(), &one, sizeof(one));
}

void Connection::begin(FlightList& flights) noexcept {
  {
    const std::lock_guard lock(mutex_);
    incoming_.append(flights);
  }
  signal();
}

int Connection::perform(Request& request) noexcept {
  RequestProgress(request).begin();
  Waiter waiter;
  Flight flight;
  flight.request = &request;
  flight.receiver = &waiter;
  FlightList one;
  one.push(flight);
  begin(one);
  waiter.wait();
  return flight.error();
}

void Connection::run() noexcept {
  // Itself: the name of another thread is a file, which nobody in a cage opens.
  ::pthread_setname_np(::pthread_self(), "nbd");
  if (options_.thread_started) options_.thread_started();
  if (!watch_handshake()) return;
  while (true) {
    FlightList begun;
    {
      const std::lock_guard lock(mutex_);
      begun.append(incoming_);
      if (stopping_ && begun.empty()) break;
    }
    while (Flight* flight = begun.pop()) start(*flight);
    settle();
    wait();
  }
  // Politely, as far as that needs no waiting.
  if (!is_dead()) ::nbd_aio_disconnect(handle_.get(), 0);
}

// libnbd does not come back for as long as the server talks: what ends it is the end of the connection, of
// which nothing more than is in the socket is read.
bool Connection::watch_handshake() noexcept {
  std::unique_lock lock(mutex_);
  const auto is_over = [this] { return handshake_ != Handshake::going_on; };
  if (!handshake_over_.wait_for(lock, options_.handshake_limit, is_over)) {
    is_late_ = true;
    ::shutdown(watched_.get(), SHUT_RDWR);
    handshake_over_.wait(lock, is_over);
  }
  watched_ = FileDescriptor();
  return handshake_ == Handshake::done;
}

void Connection::start(Flight& flight) noexcept {
  const Request& request = *flight.request;
  flight.connection_ = this;
  flight.error_ = 0;
  flight.zeroes_by_writing_ = !can_zero_;
  flight.at_ = request.offset;
  flight.end_ = request.offset + request.length;
  flight.step_ = request.operation == Operation::flush ? Flight::Step::sync : Flight::Step::transfer;
  if (request.operation == Operation::discard && !can_trim_) flight.at_ = flight.end_;  // a hint
  advance(flight);
}

void Connection::advance(Flight& flight) noexcept {
  const Request& request = *flight.request;
  while (flight.error_ == 0 && flight.step_ != Flight::Step::done) {
    if (flight.step_ == Flight::Step::transfer) {
      const bool moves = request.operation == Operation::read || request.operation == Operation::write;
      const bool is_done = moves ? RequestProgress(*flight.request).left() == 0 : flight.at_ == flight.end_;
      if (is_done) {
        const bool must_sync = request.durable && request.operation != Operation::read && !can_fua_;
        flight.step_ = must_sync ? Flight::Step::sync : Flight::Step::done;
        continue;
      }
    } else if (!options_.sync || !can_flush_) {
      // A server without the command has nothing that a flush would be for.
      flight.step_ = Flight::Step::done;
      continue;
    }
    if (given_up_ || is_dead()) {
      flight.error_ = EIO;
    } else if (issue(flight)) {
      return;
    } else {
      waiting_.push(flight);
      return;
    }
  }
  flight.step_ = Flight::Step::idle;
  flight.receiver->landed(flight);
}

std::uint32_t Connection::write_flags(const Request& request) const noexcept {
  return request.durable && options_.sync && can_fua_ ? LIBNBD_CMD_FLAG_FUA : 0;
}

// On the connection's thread, from within a call to libnbd, which must not be called again from here.
int Connection::piece_landed(void* pointer, int* error) noexcept {
  auto& flight = *static_cast<Flight*>(pointer);
  flight.landed_ = true;
  flight.piece_error_ = *error;
  flight.connection_->landed_.push(flight);
  return 1;  // and libnbd may forget the command
}

void Connection::sent(Flight& flight, std::int64_t cookie) noexcept {
  flight.asked_at_ = Clock::now();
  flight.asked_before_ = newest_;
  flight.asked_after_ = nullptr;
  (newest_ == nullptr ? oldest_ : newest_->asked_after_) = &flight;
  newest_ = &flight;
  if (oldest_ == &flight) oldest_since_ = flight.asked_at_;
  if (cookie >= 0 || flight.landed_) return;
  // It was not taken, and nobody else will tell.
  int error = EIO;
  piece_landed(&flight, &error);
}

void Connection::forget_asked(Flight& flight) noexcept {
  if (oldest_ == &flight) oldest_since_ = Clock::now();
  (flight.asked_before_ == nullptr ? oldest_ : flight.asked_before_->asked_after_) = flight.asked_after_;
  (flight.asked_after_ == nullptr ? newest_ : flight.asked_after_->asked_before_) = flight.asked_before_;
}

bool Connection::issue(Flight& flight) noexcept {
  flight.landed_ = false;
  flight.buffer_ = nullptr;
  flight.piece_ = 0;
  if (flight.step_ == Flight::Step::sync) {
    sent(flight,
         ::nbd_aio_flush(handle_.get(), {.callback = piece_landed, .user_data = &flight, .free = {}}, 0));
    return true;
  }
  switch (flight.request->operation) {
    case Operation::discard:
      issue_discard(flight);
      return true;
    case Operation::write_zeroes:
      issue_zeroes(flight);
      return true;
    default:
      return issue_transfer(flight);
  }
}

bool Connection::issue_transfer(Flight& flight) noexcept {
  Request& request = *flight.request;
  const RequestProgress progress(request);
  while (request.ranges.front().iov_len == 0) request.ranges = request.ranges.subspan(1);
  const iovec& first = request.ranges.front();
  const std::uint64_t left = std::min(progress.left(), most_);
  std::uint64_t whole = std::min<std::uint64_t>(left, first.iov_len);
  whole -= whole % options_.block_size;
  void* memory = first.iov_base;
  if (whole == left || whole >= kDirectBytes) {
    flight.piece_ = static_cast<std::size_t>(whole);
  } else {
    if (free_count_ == 0) return false;
    flight.buffer_ = free_buffers_[--free_count_];
    flight.piece_ = static_cast<std::size_t>(std::min<std::uint64_t>(left, kBufferBytes));
    memory = flight.buffer_;
    if (request.operation == Operation::write)
      Scatter(request.ranges).copy_to({flight.buffer_, flight.piece_});
  }
  const nbd_completion_callback landed{.callback = piece_landed, .user_data = &flight, .free = {}};
  sent(flight, request.operation == Operation::read
                   ? ::nbd_aio_pread(handle_.get(), memory, flight.piece_, progress.offset(), landed, 0)
                   : ::nbd_aio_pwrite(handle_.get(), memory, flight.piece_, progress.offset(), landed,
                                      write_flags(request)));
  return true;
}

void Connection::issue_zeroes(Flight& flight) noexcept {
  const Request& request = *flight.request;
  const nbd_completion_callback landed{.callback = piece_landed, .user_data = &flight, .free = {}};
  const std::uint64_t left = flight.end_ - flight.at_;
  if (flight.zeroes_by_writing_) {
    flight.piece_ = static_cast<std::size_t>(std::min<std::uint64_t>({left, kZeros.size(), most_}));
    return sent(flight, ::nbd_aio_pwrite(handle_.get(), kZeros.data(), flight.piece_, flight.at_, landed,
                                         write_flags(request)));
  }
  flight.piece_ = static_cast<std::size_t>(std::min(left, kMostZeroed));
  const std::uint32_t keeps = request.may_unmap ? 0 : LIBNBD_CMD_FLAG_NO_HOLE;
  sent(flight,
       ::nbd_aio_zero(handle_.get(), flight.piece_, flight.at_, landed, write_flags(request) | keeps));
}

void Connection::issue_discard(Flight& flight) noexcept {
  flight.piece_ = static_cast<std::size_t>(std::min(flight.end_ - flight.at_, kMostZeroed));
  sent(flight, ::nbd_aio_trim(handle_.get(), flight.piece_, flight.at_,
                              {.callback = piece_landed, .user_data = &flight, .free = {}},
                              write_flags(*flight.request)));
}

void Connection::end_piece(Flight& flight) noexcept {
  Request& request = *flight.request;
  const int error = flight.piece_error_;
  if (flight.buffer_ != nullptr) {
    if (error == 0 && request.operation == Operation::read)
      Scatter(request.ranges).copy_from({flight.buffer_, flight.piece_});
    free_buffers_[free_count_++] = flight.buffer_;
  }
  const bool is_refused = flight.step_ == Flight::Step::transfer && (error == ENOTSUP || error == EINVAL);
  if (is_refused && request.operation == Operation::write_zeroes && !flight.zeroes_by_writing_) {
    flight.zeroes_by_writing_ = true;
  } else if (is_refused && request.operation == Operation::discard) {
    // A hint, which the server may not take, or not of so much, or not there.
    if (error == ENOTSUP) can_trim_ = false;
    flight.at_ = flight.end_;
  } else if (error != 0) {
    flight.error_ = error_of(error);
  } else if (flight.step_ == Flight::Step::sync) {
    flight.step_ = Flight::Step::done;
  } else {
    flight.at_ += flight.piece_;
    RequestProgress(request).advance(flight.piece_);
  }
}

void Connection::settle() noexcept {
  while (!landed_.empty()) {
    // What ends while these are gone on with is for the next round.
    FlightList ended = std::exchange(landed_, {});
    while (Flight* flight = ended.pop()) {
      forget_asked(*flight);
      end_piece(*flight);
      advance(*flight);
    }
    FlightList waiting = std::exchange(waiting_, {});
    while (Flight* flight = waiting.pop()) advance(*flight);
  }
}

void Connection::note_answers(short events) noexcept {
  const unsigned direction = ::nbd_aio_get_direction(handle_.get());
  if ((direction & LIBNBD_AIO_DIRECTION_READ) != 0 && (events & (POLLIN | POLLHUP | POLLERR)) != 0) {
    ::nbd_aio_notify_read(handle_.get());
  } else if ((direction & LIBNBD_AIO_DIRECTION_WRITE) != 0 && (events & (POLLOUT | POLLHUP | POLLERR)) != 0) {
    ::nbd_aio_notify_write(handle_.get());
  }
}

std::chrono::milliseconds Connection::patience() const noexcept {
  const auto until = std::min(oldest_since_ + options_.answer_limit,
                              oldest_->asked_at_ + kLongestWait * options_.answer_limit);
  return std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now());
}

// libnbd sees the end of the connection, and with it that of all commands.
void Connection::give_up() noexcept {
  given_up_ = true;
  if (!is_dead()) ::shutdown(::nbd_aio_get_fd(handle_.get()), SHUT_RDWR);
}

void Connection::wait() noexcept {
  std::array<pollfd, 2> events{pollfd{event_.get(), POLLIN, 0}, pollfd{-1, 0, 0}};
  if (!is_dead()) {
    const unsigned direction = ::nbd_aio_get_direction(handle_.get());
    const short wanted = static_cast<short>(((direction & LIBNBD_AIO_DIRECTION_READ) != 0 ? POLLIN : 0) |
                                            ((direction & LIBNBD_AIO_DIRECTION_WRITE) != 0 ? POLLOUT : 0));
    events[1] = {::nbd_aio_get_fd(handle_.get()), wanted, 0};
  }
  int limit = -1;
  if (oldest_ != nullptr && !given_up_) {
    const auto left = patience();
    // What it says instead of the answer does not count.
    if (left.count() <= 0) return give_up();
    limit = static_cast<int>(std::min<std::int64_t>(left.count(), std::numeric_limits<int>::max()));
  }
  const int ready = ::poll(events.data(), events.size(), limit);
  if (ready <= 0) return;
  if (events[0].revents != 0) {
    std::uint64_t count = 0;
    [[maybe_unused]] const ssize_t got = ::read(event_.get(), &count, sizeof(count));
  }
  if (events[1].revents != 0) note_answers(events[1].revents);
  settle();
}

}  // namespace warren::vmm::block::nbd
