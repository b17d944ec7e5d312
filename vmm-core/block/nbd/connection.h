// A connection to an export of an NBD server, and the thread that speaks for it by libnbd.
//
// The server may be anybody's: what it says of the export is checked, and one that goes away, or leaves a
// command without an answer for too long, whatever else it says, makes every request fail with EIO from then
// on; nothing connects again.
// https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md
//
// DEVNOTE: libnbd allocates memory for each command, which the rest of the data path does not.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "vmm-core/block/block_queue.h"
#include "vmm-core/block/scatter.h"
#include "vmm-core/os/file_descriptor.h"

struct nbd_handle;

namespace warren::vmm::block::nbd {

struct ConnectionOptions {
  std::string export_name;  // may be empty: the server's default
  bool read_only = false;   // else the export must be one that can be written
  bool sync = true;         // else a flush does nothing, and no write is followed by one
  // Offsets and lengths of requests are multiples of it; an export that wants larger blocks is refused.
  std::uint32_t block_size = 512;
  std::chrono::milliseconds handshake_limit{5'000};
  // For the answer to the command that was asked first of those that have none. No command waits for more
  // than three times as long, however many were asked before it.
  std::chrono::milliseconds answer_limit{60'000};
  std::function<void()> thread_started;  // or none; first thing on the connection's thread
};

class Connection;
class Flight;

class Receiver {
 public:
  // flight.error() says how it ended. On the connection's thread, which does not touch the flight any more.
  virtual void landed(Flight& flight) noexcept = 0;

 protected:
  ~Receiver() = default;
};

// A request on its way. The owner's until begin(), and again from landed() on.
class Flight {
 public:
  Request* request = nullptr;
  Receiver* receiver = nullptr;
  int error() const noexcept { return error_; }

 private:
  friend class Connection;
  friend class FlightList;
  enum class Step { idle, transfer, sync, done };

  Flight* next_ = nullptr;
  Flight *asked_before_ = nullptr, *asked_after_ = nullptr;  // of what the server has not answered
  std::chrono::steady_clock::time_point asked_at_;
  Connection* connection_ = nullptr;
  int error_ = 0;
  Step step_ = Step::idle;
  std::uint64_t at_ = 0, end_ = 0;  // of what is zeroed or discarded: bytes of the export
  bool zeroes_by_writing_ = false;
  std::size_t piece_ = 0;        // bytes that the server is asked for
  std::byte* buffer_ = nullptr;  // that the piece goes through, or none
  bool landed_ = false;          // the piece has ended
  int piece_error_ = 0;
};

// First in, first out.
class FlightList {
 public:
  bool empty() const noexcept { return first_ == nullptr; }
  void push(Flight& flight) noexcept {
    flight.next_ = nullptr;
    (first_ == nullptr ? first_ : last_->next_) = &flight;
    last_ = &flight;
  }
  Flight* pop() noexcept {
    Flight* flight = first_;
    if (flight != nullptr) first_ = flight->next_;
    return flight;
  }
  void append(FlightList& other) noexcept {
    while (Flight* flight = other.pop()) push(*flight);
  }

 private:
  Flight* first_ = nullptr;
  Flight* last_ = nullptr;
};

class Connection {
 public:
  // Shakes hands on a connected socket, which waits for the server up to the limit. `name` is for messages.
  // Throws Error: what the server is, or offers, that cannot be a disk.
  Connection(FileDescriptor socket, std::string name, ConnectionOptions options);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection();  // nothing is under way

  const std::string& name() const noexcept { return name_; }
  std::uint64_t size() const noexcept { return size_; }  // bytes

  // Any thread. The flights are left in no list.
  void begin(FlightList& flights) noexcept;
  // Any thread but the connection's; waits. 0 or an errno.
  int perform(Request& request) noexcept;

 private:
  using Clock = std::chrono::steady_clock;
  struct Close {
    void operator()(nbd_handle* handle) const noexcept;
  };
  struct Free {
    void operator()(std::byte* memory) const noexcept { std::free(memory); }
  };

  void introduce(FileDescriptor socket);
  void shake_hands(FileDescriptor socket);
  void look_at_export();
  [[noreturn]] void refuse(const std::string& why) const;

  // The rest is the connection's thread's.
  void run() noexcept;
  bool watch_handshake() noexcept;
  void start(Flight& flight) noexcept;
  void advance(Flight& flight) noexcept;
  // What of the flight comes next; false: it waits for a buffer.
  bool issue(Flight& flight) noexcept;
  bool issue_transfer(Flight& flight) noexcept;
  void issue_zeroes(Flight& flight) noexcept;
  void issue_discard(Flight& flight) noexcept;
  void sent(Flight& flight, std::int64_t cookie) noexcept;
  void forget_asked(Flight& flight) noexcept;
  std::chrono::milliseconds patience() const noexcept;
  void give_up() noexcept;
  void end_piece(Flight& flight) noexcept;
  void settle() noexcept;
  void wait() noexcept;
  void note_answers(short events) noexcept;
  void signal() noexcept;
  bool is_dead() const noexcept;
  std::uint32_t write_flags(const Request& request) const noexcept;
  static int piece_landed(void* flight, int* error) noexcept;

  const std::string name_;
  const ConnectionOptions options_;
  std::unique_ptr<nbd_handle, Close> handle_;
  std::uint64_t size_ = 0;
  std::uint64_t block_ = 1;  // what the server wants offsets and lengths to be multiples of
  std::uint64_t most_ = 0;   // bytes that one command carries
  bool can_flush_ = false, can_fua_ = false, can_trim_ = false, can_zero_ = false;

  FileDescriptor event_;
  std::mutex mutex_;
  FlightList incoming_;
  bool stopping_ = false;
  // The constructor shakes hands, the connection's thread looks at the clock.
  enum class Handshake { going_on, failed, done };
  Handshake handshake_ = Handshake::going_on;
  bool is_late_ = false;
  std::condition_variable handshake_over_;
  FileDescriptor watched_;  // the connection, until it has shaken hands

  std::unique_ptr<std::byte[], Free> memory_;
  static constexpr std::size_t kBuffers = 16;
  std::array<std::byte*, kBuffers> free_buffers_{};
  std::size_t free_count_ = 0;
  FlightList waiting_;                            // for a buffer
  FlightList landed_;                             // pieces that have ended
  bool given_up_ = false;                         // on a server that does not answer
  Flight *oldest_ = nullptr, *newest_ = nullptr;  // of what the server has not answered
  Clock::time_point oldest_since_;                // it is the oldest

  std::thread thread_;
};

}  // namespace warren::vmm::block::nbd
