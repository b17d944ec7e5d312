// One stream of a device's requests to its disk: in line for the limits, with the host, counted, and tried
// again or given up when the host fails them.
//
// Used by one thread, the one it is started on. Requests are the device's and live until finished or
// abandoned; nothing is allocated per request.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <utility>

#include "vmm-core/block/block_queue.h"
#include "vmm-core/block/disk.h"
#include "vmm-core/os/event_thread.h"

namespace warren::vmm::block {

// What a request is in the statistics.
enum class Counted : std::uint8_t { none, read, write, flush };

class DiskRequest : public Request {
 public:
  // Nothing of the request that had its place before.
  void clear() noexcept;

  Counted counted = Counted::none;
  std::uint64_t began = 0;  // CLOCK_MONOTONIC, nanoseconds
  std::uint64_t bytes = 0;  // of the whole request; `length` is what is left of it

 private:
  friend class DiskStream;
  DiskRequest* next_ = nullptr;
};

class DiskClient {
 public:
  // The host has done it, or it `failed` and the guest is to know. The client counts it (DiskStream::count).
  virtual void finished(DiskRequest& request, bool failed) noexcept = 0;
  // It was given up before it began, by abandon().
  virtual void abandoned(DiskRequest& request) noexcept = 0;
  // Requests have been finished, and there may be room for others.
  virtual void went_on() noexcept = 0;

 protected:
  ~DiskClient() = default;
};

class DiskStream final : private Completion, private EventHandler {
 public:
  // The `index`-th of the disk's, for `depth` requests at once. `disk` and `client` outlive it. Throws Error.
  DiskStream(Disk& disk, std::size_t index, unsigned depth, DiskClient& client);
  DiskStream(const DiskStream&) = delete;
  DiskStream& operator=(const DiskStream&) = delete;
  ~DiskStream();

  // Requests that stopped the machine are tried again, before anything newer. The thread is the same one
  // every time. Throws Error.
  void start(EventThread& thread);
  // Nothing is in flight any more when it returns; what waits stays in line.
  void stop(EventThread& thread) noexcept;
  // Waits until nothing is in flight; what that finished is told as ever.
  void drain() noexcept;
  // Gives up what waits to be begun, or begun again.
  void abandon() noexcept;
  // The same for one request, which abandoned() is not told of; false when it does not wait.
  bool withdraw(const DiskRequest& request) noexcept;

  // A write of zeros becomes write_zeroes where the options say so.
  void detect_zeroes(DiskRequest& request) const noexcept;
  // Gives a prepared request to the host, or puts it in line. The disk has an image.
  void begin(DiskRequest& request) noexcept;
  // Begins what the limits allow by now and hands it all to the host.
  void kick() noexcept;
  // Finishes what is done; returns how many that were.
  unsigned reap() noexcept { return queue_ ? queue_->reap() : 0; }
  void count(const DiskRequest& request, bool failed) noexcept;

  // Another image, or none, in place of the disk's. Nothing is in flight or in line. `thread` is the one it
  // was started on, or null while it is not. Throws Error, and the disk has the image that it had.
  void replace_image(std::unique_ptr<Image> image, EventThread* thread);

  // Whether the calling thread is the one it was started on.
  bool is_on_its_thread() const noexcept;

 private:
  friend class Disk;
  friend class DiskHold;
  // First in, first out.
  class List {
   public:
    bool empty() const noexcept { return first_ == nullptr; }
    void push(DiskRequest& request) noexcept {
      request.next_ = nullptr;
      (first_ == nullptr ? first_ : last_->next_) = &request;
      last_ = &request;
    }
    DiskRequest& pop() noexcept {
      DiskRequest& request = *first_;
      first_ = request.next_;
      return request;
    }
    const DiskRequest& front() const noexcept { return *first_; }
    bool remove(const DiskRequest& request) noexcept {
      DiskRequest* before = nullptr;
      for (DiskRequest* each = first_; each != nullptr; before = std::exchange(each, each->next_)) {
        if (each != &request) continue;
        (before == nullptr ? first_ : before->next_) = each->next_;
        if (last_ == each) last_ = before;
        return true;
      }
      return false;
    }

   private:
    DiskRequest* first_ = nullptr;
    DiskRequest* last_ = nullptr;
  };
  class Alarm final : public EventHandler {
   public:
    explicit Alarm(DiskStream& stream) : stream_(stream) {}
    void on_event(std::uint32_t) noexcept override { stream_.alarm_rang(); }

   private:
    DiskStream& stream_;
  };
  struct Reservation {
    const Throttle* throttle = nullptr;
    std::uint32_t generation = 0;
    std::uint64_t due = 0;
  };

  // While it is held, requests wait, and nothing is in flight. On its thread, or under the disk's lock while
  // it has none.
  void hold() noexcept;
  // With another queue, or none: the one that it has.
  void release(std::unique_ptr<BlockQueue> queue) noexcept;
  void begin_again() noexcept;
  void watch();
  // As watch(), but the queue is looked at by the clock until it can be waited for.
  void watch_or_look() noexcept;
  void unwatch() noexcept;
  void look_soon(std::chrono::nanoseconds delay) noexcept;
  void completed(Request& request, int error) noexcept override;
  void on_event(std::uint32_t events) noexcept override;
  void alarm_rang() noexcept;
  int alarm() const noexcept { return disk_.alarms_[index_].get(); }
  void submit(DiskRequest& request) noexcept;
  void admit() noexcept;
  std::uint64_t admit_line(std::size_t line) noexcept;

  Disk& disk_;
  const std::size_t index_;
  const unsigned depth_;
  DiskClient& client_;
  Alarm alarm_{*this};
  EventThread* thread_ = nullptr;  // since it was first started; under the disk's lock
  bool started_ = false, held_ = false;
  bool again_ = false;             // started while it was held
  bool looks_ = false;             // there was no memory to wait for the queue
  WriteMap* write_map_ = nullptr;  // is told of what may have been written; or none
  List held_requests_;
  List stalled_;                      // failed, and to be begun again when the machine goes on
  std::array<List, 2> waiting_;       // throttled: [0] reads, [1] writes
  std::array<Reservation, 2> due_{};  // of the first in each line
  std::unique_ptr<BlockQueue> queue_;
};

}  // namespace warren::vmm::block
