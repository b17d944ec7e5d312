// Requests through io_uring: one ring for each queue, one system call for a batch, completions seen without
// one.
#include <algorithm>
#include <array>
#include <cerrno>
#include <vector>

#include <liburing.h>
#include <sched.h>

#include "vmm-core/block/raw_image.h"

namespace warren::vmm::block {
namespace {

constexpr unsigned kMaximumIovecs = 1024;                         // IOV_MAX
constexpr std::uint64_t kZeroedAtOnce = std::uint64_t{16} << 20;  // bytes

class UringQueue final : public BlockQueue {
 public:
  explicit UringQueue(const RawImage& image) : image_(image) {}
  ~UringQueue() override {
    if (!ready_) return;
    drain();
    ::io_uring_queue_exit(&ring_);
  }

  // False when the host gives no ring.
  bool open(unsigned depth) {
    for (auto* list : {&overflow_, &slow_, &to_sync_, &syncing_}) list->reserve(depth);
    if (::io_uring_queue_init(std::clamp(depth, 8u, 4096u), &ring_, IORING_SETUP_R_DISABLED) != 0)
      return false;
    ready_ = true;
    const int descriptor = image_.descriptor();
    return ::io_uring_register_files(&ring_, &descriptor, 1) == 0 && restrict() &&
           ::io_uring_enable_rings(&ring_) == 0;
  }

  void submit(Request& request) noexcept override {
    RequestProgress(request).begin();
    ++outstanding_;
    const bool transfers = request.operation == Operation::read || request.operation == Operation::write;
    // Misaligned transfers go through memory of ours, on this thread, when they are reaped, which kick() sees
    // to. A ring has no operation that zeroes a block device, nor one that falls back: those too, and a flush
    // that does nothing.
    const bool fits_ring = transfers ? is_aligned(image_, request)
                                     : request.operation == Operation::flush && image_.options().sync;
    if (!fits_ring) {
      slow_.push_back(&request);
    } else if (request.operation == Operation::flush) {
      to_sync_.push_back(&request);
    } else if (!prepare(request)) {
      overflow_.push_back(&request);
    }
  }

  void kick() noexcept override {
    if (!slow_.empty() && !tells_) tell();
    begin_sync();
    hand_over();
  }

  unsigned reap() noexcept override {
    unsigned done = reap_ring();
    done += reap_slow();
    if (!slow_.empty()) kick();  // for the rest of them
    return done;
  }

  // The ring itself is readable while it holds completions, so that those reaped already wake nobody.
  int event_descriptor() const noexcept override { return ring_.ring_fd; }

  void drain() noexcept override {
    while (outstanding_ != 0) {
      kick();
      if (reap() != 0 || outstanding_ == 0) continue;
      io_uring_cqe* entry = nullptr;
      ::io_uring_wait_cqe(&ring_, &entry);
    }
  }

 private:
  void hand_over() noexcept {
    // The kernel may be short of memory, or of room for completions: both pass as requests end.
    while (::io_uring_sq_ready(&ring_) != 0) {
      if (::io_uring_submit(&ring_) >= 0) continue;
      if (::io_uring_cq_ready(&ring_) != 0) return;
      ::sched_yield();
    }
  }

  // Whatever gets hold of this ring can read, write and sync this image with it, and nothing else: a filter
  // of system calls does not see what a ring is asked for (io_uring_register(2),
  // IORING_REGISTER_RESTRICTIONS).
  bool restrict() noexcept {
    constexpr auto kOperations =
        std::to_array<std::uint8_t>({IORING_OP_READV, IORING_OP_WRITEV, IORING_OP_FSYNC, IORING_OP_NOP});
    std::array<io_uring_restriction, kOperations.size() + 2> rules{};
    for (std::size_t i = 0; i < kOperations.size(); ++i) {
      rules[i].opcode = IORING_RESTRICTION_SQE_OP;
      rules[i].sqe_op = kOperations[i];
    }
    auto* flags = &rules[kOperations.size()];
    flags[0].opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
    flags[0].sqe_flags = IOSQE_FIXED_FILE;
    flags[1].opcode = IORING_RESTRICTION_SQE_FLAGS_REQUIRED;
    flags[1].sqe_flags = IOSQE_FIXED_FILE;
    return ::io_uring_register_restrictions(&ring_, rules.data(), static_cast<unsigned>(rules.size())) == 0;
  }

  // None: what is in the ring has to go first.
  io_uring_sqe* next_entry() noexcept {
    io_uring_sqe* entry = ::io_uring_get_sqe(&ring_);
    if (entry != nullptr) return entry;
    ::io_uring_submit(&ring_);
    return ::io_uring_get_sqe(&ring_);
  }

  // Makes the ring readable: slow requests wait to be reaped. One that is full will be readable anyway.
  void tell() noexcept {
    io_uring_sqe* entry = next_entry();
    if (entry == nullptr) return;
    ::io_uring_prep_nop(entry);
    entry->flags |= IOSQE_FIXED_FILE;
    ::io_uring_sqe_set_data(entry, nullptr);
    tells_ = true;
  }

  bool prepare(Request& request) noexcept {
    io_uring_sqe* entry = next_entry();
    if (entry == nullptr) return false;
    const RequestProgress progress(request);
    const auto count = static_cast<unsigned>(std::min<std::size_t>(request.ranges.size(), kMaximumIovecs));
    if (request.operation == Operation::read) {
      ::io_uring_prep_readv(entry, 0, request.ranges.data(), count, progress.offset());
    } else {
      ::io_uring_prep_writev(entry, 0, request.ranges.data(), count, progress.offset());
    }
    entry->flags |= IOSQE_FIXED_FILE;
    ::io_uring_sqe_set_data(entry, &request);
    return true;
  }

  // One sync at a time, for everybody who waited when it began: it covers what was written before.
  bool begin_sync() noexcept {
    if (!syncing_.empty() || to_sync_.empty()) return false;
    io_uring_sqe* entry = next_entry();
    if (entry == nullptr) return false;
    ::io_uring_prep_fsync(entry, 0, IORING_FSYNC_DATASYNC);
    entry->flags |= IOSQE_FIXED_FILE;
    ::io_uring_sqe_set_data(entry, &syncing_);
    syncing_.swap(to_sync_);
    return true;
  }

  unsigned end_sync(int result) noexcept {
    if (result == -EINTR || result == -EAGAIN) {
      to_sync_.insert(to_sync_.end(), syncing_.begin(), syncing_.end());
      syncing_.clear();
      return 0;
    }
    const int error = image_.settle_sync(-result);
    for (Request* request : syncing_) complete(*request, error);
    const auto done = static_cast<unsigned>(syncing_.size());
    syncing_.clear();
    return done;
  }

  unsigned reap_ring() noexcept {
    unsigned done = 0;
    io_uring_cqe* entry = nullptr;
    bool again = false;
    while (::io_uring_peek_cqe(&ring_, &entry) == 0) {
      void* const data = ::io_uring_cqe_get_data(entry);
      const int result = entry->res;
      ::io_uring_cqe_seen(&ring_, entry);
      if (data == nullptr) {
        tells_ = false;
        continue;
      }
      if (data == &syncing_) {
        done += end_sync(result);
        continue;
      }
      auto& request = *static_cast<Request*>(data);
      switch (proceed(request, result)) {
        case Next::again:
          again = true;
          if (!prepare(request)) overflow_.push_back(&request);
          break;
        case Next::sync:
          to_sync_.push_back(&request);
          break;
        case Next::completed:
          ++done;
          break;
      }
    }
    again = begin_sync() || again;
    while (!overflow_.empty() && prepare(*overflow_.back())) {
      overflow_.pop_back();
      again = true;
    }
    // Also what the kernel had no room for at the last kick, while these were there to be reaped.
    if (again || ::io_uring_sq_ready(&ring_) != 0) hand_over();
    return done;
  }

  enum class Next { again, sync, completed };

  Next proceed(Request& request, int result) noexcept {
    RequestProgress progress(request);
    if (result == -EINTR || result == -EAGAIN) return Next::again;
    if (result < 0) return complete(request, -result);
    if (result == 0 && progress.left() != 0) return complete(request, EIO);  // the file has become shorter
    progress.advance(static_cast<std::uint64_t>(result));
    if (progress.left() != 0) return Next::again;
    if (request.durable && request.operation == Operation::write && image_.options().sync) return Next::sync;
    return complete(request, 0);
  }

  Next complete(Request& request, int error) noexcept {
    --outstanding_;
    request.completion->completed(request, error);
    return Next::completed;
  }

  // What a host has no call for is zeroed by writing it, and a guest may ask for gigabytes at once: all that
  // this thread serves gets its turn in between.
  unsigned reap_slow() noexcept {
    unsigned done = 0;
    std::uint64_t zeroed = 0;
    while (!slow_.empty() && zeroed < kZeroedAtOnce) {
      Request& request = *slow_.back();
      const bool zeroes =
          request.operation == Operation::write_zeroes || request.operation == Operation::discard;
      const int error = zeroes ? zero_some(request, zeroed) : perform(image_, request);
      if (zeroes && error == 0 && RequestProgress(request).left() != 0) continue;
      slow_.pop_back();
      complete(request, error);
      ++done;
    }
    return done;
  }

  int zero_some(Request& request, std::uint64_t& zeroed) noexcept {
    RequestProgress progress(request);
    Request piece = request;
    piece.offset = progress.offset();
    piece.length = std::min(progress.left(), kZeroedAtOnce - progress.offset() % kZeroedAtOnce);
    piece.durable = request.durable && piece.length == progress.left();
    const int error = perform(image_, piece);
    if (error != 0) return error;
    progress.add_done(piece.length);
    zeroed += piece.length;
    return 0;
  }

  const RawImage& image_;
  io_uring ring_{};
  bool ready_ = false;
  unsigned outstanding_ = 0;
  std::vector<Request*> overflow_;  // did not fit the ring
  std::vector<Request*> slow_;      // done by system calls of their own
  std::vector<Request*> to_sync_;   // written, or flushes: they wait for the next sync
  std::vector<Request*> syncing_;   // they wait for the one that is under way
  bool tells_ = false;              // an entry that does nothing is on its way
};

}  // namespace

std::unique_ptr<BlockQueue> make_uring_queue(const RawImage& image, unsigned depth) {
  auto queue = std::make_unique<UringQueue>(image);
  if (!queue->open(depth)) return nullptr;
  return queue;
}

}  // namespace warren::vmm::block
