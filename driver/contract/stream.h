// A stream of bytes between a client and the driver (console, later volumes and channels), with
// back-pressure: each side moves as much as the other takes and is told when it can go on.
//
// One thread (the loop's). Readiness callbacks come from the loop, never from within a call of the stream;
// each is called at most once per wait and dropped by finish(), abort() and destruction.
#pragma once

#include <cstddef>
#include <functional>
#include <span>

namespace warren::driver {

class Stream {
 public:
  using Ready = std::move_only_function<void()>;

  struct ReadResult {
    std::size_t bytes = 0;
    bool end = false;  // no more will come; bytes is 0
  };

  virtual ~Stream() = default;  // as abort()

  // What is there now, up to the buffer's size: {0, false} means wait_readable() first. Throws Error when the
  // stream has failed, e.g. because another client took the console over by force.
  virtual ReadResult read_some(std::span<std::byte> buffer) = 0;
  // Takes what it can now and returns how much: 0 means wait_writable() first. Throws Error as read_some().
  virtual std::size_t write_some(std::span<const std::byte> data) = 0;

  // Calls back once when read_some() (write_some()) has something to say: data, room, end or failure. At most
  // one wait of each kind at a time.
  virtual void wait_readable(Ready ready) = 0;
  virtual void wait_writable(Ready ready) = 0;

  // The client is done: virStreamFinish. What was written has been taken. Throws Error when the data could
  // not all be used.
  virtual void finish() = 0;
  // The client gives up: virStreamAbort.
  virtual void abort() noexcept = 0;
};

}  // namespace warren::driver
