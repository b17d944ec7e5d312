// Requests by a few threads with ordinary system calls, for hosts without io_uring and for io='threads'.
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vmm-core/block/raw_image.h"
#include "vmm-core/os/error.h"
#include "vmm-core/os/file_descriptor.h"

namespace warren::vmm::block {
namespace {

constexpr unsigned kThreads = 4;

class ThreadQueue final : public BlockQueue {
 public:
  ThreadQueue(const RawImage& image, FileDescriptor event, unsigned depth)
      : image_(image), event_(std::move(event)) {
    waiting_.reserve(depth);
    done_.reserve(depth);
    finished_.reserve(depth);
    for (unsigned i = 0; i < kThreads; ++i) threads_.emplace_back([this] { work(); });
  }

  ~ThreadQueue() override {
    drain();
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wanted_.notify_all();
    for (auto& thread : threads_) thread.join();
  }

  void submit(Request& request) noexcept override {
    ++outstanding_;
    const std::lock_guard lock(mutex_);
    waiting_.push_back(&request);
  }

  void kick() noexcept override { wanted_.notify_all(); }

  unsigned reap() noexcept override {
    std::uint64_t count = 0;
    [[maybe_unused]] const ssize_t got = ::read(event_.get(), &count, sizeof(count));
    {
      const std::lock_guard lock(mutex_);
      finished_.swap(done_);
    }
    const auto reaped = static_cast<unsigned>(finished_.size());
    outstanding_ -= reaped;
    for (const Done& done : finished_) done.request->completion->completed(*done.request, done.error);
    finished_.clear();
    return reaped;
  }

  int event_descriptor() const noexcept override { return event_.get(); }

  void drain() noexcept override {
    while (outstanding_ != 0) {
      kick();  // also what a completion has submitted
      {
        std::unique_lock lock(mutex_);
        some_done_.wait(lock, [this] { return !done_.empty(); });
      }
      reap();
    }
  }

 private:
  struct Done {
    Request* request = nullptr;
    int error = 0;
  };

  void work() noexcept {
    // Itself: the name of another thread is a file, which nobody in a cage opens.
    ::pthread_setname_np(::pthread_self(), "block-pool");
    std::unique_lock lock(mutex_);
    while (true) {
      wanted_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
      if (waiting_.empty()) return;
      Request& request = *waiting_.front();
      waiting_.erase(waiting_.begin());
      lock.unlock();
      const int error = perform(image_, request);
      lock.lock();
      done_.push_back({&request, error});
      some_done_.notify_all();
      const std::uint64_t one = 1;
      // A full counter has been seen by nobody yet: the reader will come.
      [[maybe_unused]] const ssize_t written = ::write(event_.get(), &one, sizeof(one));
    }
  }

  const RawImage& image_;
  FileDescriptor event_;
  std::mutex mutex_;
  std::condition_variable wanted_, some_done_;
  std::vector<Request*> waiting_;
  std::vector<Done> done_;
  bool stopping_ = false;
  std::vector<Done> finished_;  // only the queue's own thread
  unsigned outstanding_ = 0;    // likewise
  std::vector<std::thread> threads_;
};

}  // namespace

std::unique_ptr<BlockQueue> make_thread_queue(const RawImage& image, unsigned depth) {
  FileDescriptor event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!event) throw_errno(image.name() + ": eventfd");
  return std::make_unique<ThreadQueue>(image, std::move(event), depth);
}

}  // namespace warren::vmm::block
