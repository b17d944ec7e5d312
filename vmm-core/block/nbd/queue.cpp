#include "vmm-core/block/nbd/queue.h"

#include <condition_variable>
#include <mutex>
#include <utility>
#include <vector>

#include <sys/eventfd.h>
#include <unistd.h>

#include "vmm-core/os/error.h"

namespace warren::vmm::block::nbd {
namespace {

class Queue final : public BlockQueue, private Receiver {
 public:
  Queue(std::shared_ptr<Connection> connection, unsigned depth)
      : connection_(std::move(connection)),
        flights_(depth),
        event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (!event_) throw_errno(connection_->name() + ": eventfd");
    for (auto* list : {&idle_, &done_, &finished_}) list->reserve(depth);
    for (Flight& flight : flights_) {
      flight.receiver = this;
      idle_.push_back(&flight);
    }
  }

  ~Queue() override { drain(); }

  void submit(Request& request) noexcept override {
    RequestProgress(request).begin();
    Flight& flight = *idle_.back();
    idle_.pop_back();
    flight.request = &request;
    ++outstanding_;
    submitted_.push(flight);
  }

  void kick() noexcept override {
    if (!submitted_.empty()) connection_->begin(submitted_);
  }

  unsigned reap() noexcept override {
    std::uint64_t count = 0;
    [[maybe_unused]] const ssize_t got = ::read(event_.get(), &count, sizeof(count));
    {
      const std::lock_guard lock(mutex_);
      finished_.swap(done_);
    }
    const auto reaped = static_cast<unsigned>(finished_.size());
    outstanding_ -= reaped;
    for (Flight* flight : finished_) {
      Request& request = *flight->request;
      const int error = flight->error();
      idle_.push_back(flight);
      request.completion->completed(request, error);
    }
    finished_.clear();
    return reaped;
  }

  int event_descriptor() const noexcept override { return event_.get(); }

  void drain() noexcept override {
    kick();
    while (outstanding_ != 0) {
      {
        std::unique_lock lock(mutex_);
        some_done_.wait(lock, [this] { return !done_.empty(); });
      }
      reap();
      kick();
    }
  }

 private:
  void landed(Flight& flight) noexcept override {
    // All of it under the lock: who sees the last flight there may take the queue away.
    const std::lock_guard lock(mutex_);
    done_.push_back(&flight);
    const std::uint64_t one = 1;
    // A full counter has been seen by nobody yet: the reader will come.
    [[maybe_unused]] const ssize_t written = ::write(event_.get(), &one, sizeof(one));
    some_done_.notify_one();
  }

  std::shared_ptr<Connection> connection_;
  std::vector<Flight> flights_;
  std::vector<Flight*> idle_;
  FlightList submitted_;
  FileDescriptor event_;
  std::mutex mutex_;
  std::condition_variable some_done_;
  std::vector<Flight*> done_;      // under the lock
  std::vector<Flight*> finished_;  // only the queue's own thread
  unsigned outstanding_ = 0;       // likewise
};

}  // namespace

std::unique_ptr<BlockQueue> make_queue(std::shared_ptr<Connection> connection, unsigned depth) {
  return std::make_unique<Queue>(std::move(connection), depth);
}

}  // namespace warren::vmm::block::nbd
