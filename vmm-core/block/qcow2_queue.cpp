// The asynchronous path of a qcow2 image: one piece of a request after the other goes to the ring of the file
// that has it, by what is cached of the mapping. What the cache does not know, and everything that changes
// metadata, goes to a thread that may wait.
#include "vmm-core/block/qcow2_queue.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vmm-core/block/raw_image.h"
#include "vmm-core/os/error.h"

namespace warren::vmm::block {
namespace {

// Files below these are read by the thread that waits: a ring for each of two hundred would be dear.
constexpr std::size_t kMaximumRings = 8;

class Qcow2Queue;

// A request that is under way, piece by piece.
class Flight final : public Completion {
 public:
  void completed(Request& piece, int error) noexcept override;

  Qcow2Queue* queue = nullptr;
  Request* request = nullptr;
  Request piece;
  unsigned parity = 0;
  iovec* cut_range = nullptr;  // the last of the piece, without what belongs to the next
  std::size_t cut = 0;
  bool syncing = false;  // the sync after a durable write
  int error = 0;
};

class Qcow2Queue final : public BlockQueue {
 public:
  Qcow2Queue(qcow2::File& file, unsigned depth) : file_(file), flights_(depth) {
    for (auto* list : {&idle_, &waiting_, &done_, &finished_, &ready_}) list->reserve(depth);
    for (Flight& flight : flights_) {
      flight.queue = this;
      idle_.push_back(&flight);
    }
    poll_ = FileDescriptor(::epoll_create1(EPOLL_CLOEXEC));
    event_ = FileDescriptor(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!poll_ || !event_) throw_errno(file_.name() + ": queue");
    watch(event_.get());
    std::vector<HostFile*> files;
    file_.add_files(files);
    for (HostFile* host : files) {
      if (rings_.size() == kMaximumRings) break;
      if (host->raw() == nullptr) continue;
      rings_.push_back({host, host->raw()->make_queue(depth)});
      watch(rings_.back().queue->event_descriptor());
    }
    thread_ = std::thread([this] { work(); });
  }

  ~Qcow2Queue() override {
    drain();
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wanted_.notify_all();
    thread_.join();
  }

  void submit(Request& request) noexcept override {
    RequestProgress(request).begin();
    Flight& flight = *idle_.back();
    idle_.pop_back();
    ++outstanding_;
    flight.request = &request;
    flight.syncing = false;
    if (advance(flight)) ready_.push_back(&flight);
  }

  void kick() noexcept override {
    for (Ring& ring : rings_) ring.queue->kick();
    if (std::exchange(waits_, false)) wanted_.notify_one();
    // Done at once, and to be completed by reap() all the same.
    if (!ready_.empty()) signal();
  }

  unsigned reap() noexcept override {
    reaped_ = 0;
    std::uint64_t count = 0;
    [[maybe_unused]] const ssize_t got = ::read(event_.get(), &count, sizeof(count));
    for (Ring& ring : rings_) ring.queue->reap();
    {
      const std::lock_guard lock(mutex_);
      finished_.swap(done_);
    }
    finished_.insert(finished_.end(), ready_.begin(), ready_.end());
    ready_.clear();
    for (Flight* flight : finished_) finish(*flight);
    finished_.clear();
    kick();
    return reaped_;
  }

  int event_descriptor() const noexcept override { return poll_.get(); }

  void drain() noexcept override {
    while (outstanding_ != 0) {
      kick();
      if (reap() != 0) continue;
      pollfd event{poll_.get(), POLLIN, 0};
      ::poll(&event, 1, -1);
    }
  }

  // A piece has come back from a ring.
  void piece_done(Flight& flight, int error) noexcept {
    file_.in_flight().leave(flight.parity);
    flight.error = error;
    if (!flight.syncing && flight.request->operation != Operation::flush) absorb(flight);
    if (error != 0 || advance(flight)) finish(flight);
  }

 private:
  struct Ring {
    HostFile* file;
    std::unique_ptr<BlockQueue> queue;
  };

  void watch(int descriptor) {
    epoll_event event{};
    event.events = EPOLLIN;
    if (::epoll_ctl(poll_.get(), EPOLL_CTL_ADD, descriptor, &event) != 0)
      throw_errno(file_.name() + ": queue");
  }

  void signal() noexcept {
    const std::uint64_t one = 1;
    // A full counter has been seen by nobody yet: the reader will come.
    [[maybe_unused]] const ssize_t written = ::write(event_.get(), &one, sizeof(one));
  }

  BlockQueue* ring_of(const HostFile* file) noexcept {
    const auto ring = std::ranges::find(rings_, file, &Ring::file);
    return ring == rings_.end() ? nullptr : ring->queue.get();
  }

  // Goes on with a request. True: it is done, with flight.error; false: something is under way for it.
  bool advance(Flight& flight) noexcept {
    Request& request = *flight.request;
    flight.error = 0;
    if (request.operation == Operation::flush) {
      if (flight.syncing) return true;
      return begin_sync(flight);
    }
    if (flight.syncing) return true;
    if (request.operation != Operation::read && request.operation != Operation::write)
      return wait_for(flight);
    RequestProgress progress(request);
    while (progress.left() != 0) {
      const unsigned parity = file_.in_flight().enter();
      const Extent extent = request.operation == Operation::read
                                ? file_.find(progress.offset(), progress.left())
                                : file_.find_writable(progress.offset(), progress.left());
      if (extent.kind == Extent::Kind::data && begin_piece(flight, extent, parity)) return false;
      file_.in_flight().leave(parity);
      if (extent.kind != Extent::Kind::zeros) return wait_for(flight);
      Scatter(request.ranges).fill_zeros(extent.length);
      progress.advance(extent.length);
    }
    return request.operation == Operation::read || !request.durable || begin_sync(flight);
  }

  bool begin_piece(Flight& flight, const Extent& extent, unsigned parity) noexcept {
    Request& request = *flight.request;
    BlockQueue* ring = ring_of(extent.file);
    if (ring == nullptr) return false;
    std::size_t count = 0;
    std::uint64_t bytes = 0;
    while (bytes < extent.length) bytes += request.ranges[count++].iov_len;
    Request& piece = flight.piece;
    piece.operation = request.operation;
    piece.offset = extent.offset;
    piece.length = extent.length;
    piece.ranges = request.ranges.first(count);
    piece.durable = false;
    piece.completion = &flight;
    flight.cut_range = &request.ranges[count - 1];
    flight.cut = static_cast<std::size_t>(bytes - extent.length);
    flight.cut_range->iov_len -= flight.cut;
    if (!is_aligned(*extent.file->raw(), piece)) {
      flight.cut_range->iov_len += flight.cut;
      return false;
    }
    flight.parity = parity;
    ring->submit(piece);
    return true;
  }

  // What the piece has done becomes the request's, and the range that was cut is whole again.
  void absorb(Flight& flight) noexcept {
    Request& request = *flight.request;
    const std::uint64_t done = flight.piece.length - RequestProgress(flight.piece).left();
    iovec& last = *flight.cut_range;
    if (flight.piece.ranges.empty()) {
      last.iov_base = static_cast<char*>(last.iov_base) + last.iov_len;
      last.iov_len = flight.cut;
      request.ranges = {&last, request.ranges.data() + request.ranges.size()};
      if (flight.cut == 0) request.ranges = request.ranges.subspan(1);
    } else {
      last.iov_len += flight.cut;
      request.ranges = {flight.piece.ranges.data(), request.ranges.data() + request.ranges.size()};
    }
    RequestProgress(request).add_done(done);
  }

  bool begin_sync(Flight& flight) noexcept {
    flight.syncing = true;
    if (rings_.empty() || file_.has_external_data() || file_.needs_commit()) return wait_for(flight);
    Request& piece = flight.piece;
    piece = Request{};
    piece.operation = Operation::flush;
    piece.completion = &flight;
    flight.parity = file_.in_flight().enter();
    rings_.front().queue->submit(piece);
    return false;
  }

  bool wait_for(Flight& flight) noexcept {
    const std::lock_guard lock(mutex_);
    waiting_.push_back(&flight);
    waits_ = true;
    return false;
  }

  void finish(Flight& flight) noexcept {
    Request& request = *flight.request;
    const int error = flight.error;
    idle_.push_back(&flight);
    --outstanding_;
    ++reaped_;
    request.completion->completed(request, error);
  }

  // On the thread that waits: all that is left of the request.
  int perform_rest(Flight& flight) noexcept {
    Request& request = *flight.request;
    RequestProgress progress(request);
    Scatter scatter(request.ranges);
    int error = 0;
    if (flight.syncing) return file_.flush();
    switch (request.operation) {
      case Operation::read:
        error = file_.read(progress.offset(), progress.left(), scatter);
        break;
      case Operation::write:
        error = file_.write(progress.offset(), progress.left(), scatter);
        break;
      case Operation::flush:
        return file_.flush();
      case Operation::discard:
        error = file_.discard(request.offset, request.length);
        break;
      case Operation::write_zeroes:
        error = file_.write_zeroes(request.offset, request.length, request.may_unmap);
        break;
    }
    // A request that failed is tried again as it was.
    if (error == 0 && request.durable && request.operation != Operation::read) error = file_.flush();
    return error;
  }

  void work() noexcept {
    // Itself: the name of another thread is a file, which nobody in a cage opens.
    ::pthread_setname_np(::pthread_self(), "qcow2");
    std::unique_lock lock(mutex_);
    while (true) {
      wanted_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
      if (waiting_.empty()) return;
      Flight& flight = *waiting_.front();
      waiting_.erase(waiting_.begin());
      lock.unlock();
      flight.error = perform_rest(flight);
      lock.lock();
      done_.push_back(&flight);
      signal();
    }
  }

  qcow2::File& file_;
  std::vector<Flight> flights_;
  std::vector<Flight*> idle_;
  std::vector<Flight*> ready_, finished_;  // done, and to be told
  std::vector<Ring> rings_;                // of the top's data first
  FileDescriptor poll_, event_;
  unsigned outstanding_ = 0, reaped_ = 0;
  bool waits_ = false;
  std::mutex mutex_;
  std::condition_variable wanted_;
  std::vector<Flight*> waiting_, done_;
  bool stopping_ = false;
  std::thread thread_;
};

void Flight::completed(Request&, int result) noexcept {
  queue->piece_done(*this, result);
}

}  // namespace

std::unique_ptr<BlockQueue> make_qcow2_queue(qcow2::File& file, unsigned depth) {
  return std::make_unique<Qcow2Queue>(file, depth);
}

}  // namespace warren::vmm::block
