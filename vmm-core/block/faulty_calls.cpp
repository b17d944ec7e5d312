#include "vmm-core/block/faulty_calls.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <mutex>
#include <utility>

#include <fcntl.h>
#include <liburing.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

namespace warren::vmm::block {

Faults reads, writes, syncs, allocations, truncations, submissions, waits;

namespace {

std::mutex trace_mutex;
std::string trace;

Faults::Step take(Faults& faults, char what) {
  const Faults::Step step = faults.next();
  const std::lock_guard lock(trace_mutex);
  trace += what;
  return step;
}

using Ranges = std::array<iovec, 64>;

// The front of `ranges`, `most` bytes of it. Returns how many ranges that are.
unsigned shorten(const iovec* ranges, std::size_t count, std::size_t most, Ranges& some) {
  unsigned used = 0;
  for (; used < count && used < some.size() && most != 0; ++used) {
    some[used] = {ranges[used].iov_base, std::min(ranges[used].iov_len, most)};
    most -= some[used].iov_len;
  }
  return used;
}

long transfer(Faults& faults, char what, long number, int descriptor, const iovec* ranges, int count,
              off_t offset) {
  const Faults::Step step = take(faults, what);
  if (step.error != 0) return errno = step.error, -1;
  Ranges some;
  const unsigned used = shorten(ranges, static_cast<std::size_t>(count), step.most, some);
  return ::syscall(number, descriptor, some.data(), used, offset, 0);
}

// Requests of a ring whose results are to be others than the kernel's.
struct Failing {
  std::array<std::pair<std::uint64_t, int>, 4096> results;
  unsigned count = 0;
};

void plan_entry(io_uring_sqe& entry, Ranges& some, Failing& failing) {
  if (entry.opcode == IORING_OP_NOP) return;
  const bool syncs_only = entry.opcode == IORING_OP_FSYNC;
  const bool is_read = entry.opcode == IORING_OP_READV;
  const Faults::Step step = syncs_only ? take(syncs, 's') : is_read ? take(reads, 'r') : take(writes, 'w');
  if (step.error != 0) {
    if (!syncs_only) entry.len = 0;  // nothing is transferred
    failing.results[failing.count++] = {entry.user_data, -step.error};
  } else if (step.most != SIZE_MAX && !syncs_only) {
    const auto* ranges = reinterpret_cast<const iovec*>(entry.addr);  // as the kernel's interface has it
    entry.len = shorten(ranges, entry.len, step.most, some);
    entry.addr = reinterpret_cast<std::uint64_t>(some.data());
  }
}

// Waits for the failing ones, and changes what they came back with before anybody looks.
void fail(io_uring* ring, const Failing& failing) {
  for (unsigned found = 0; found < failing.count;) {
    found = 0;
    unsigned head = 0, ready = 0;
    io_uring_cqe* entry = nullptr;
    io_uring_for_each_cqe(ring, head, entry) {
      ++ready;
      for (unsigned i = 0; i < failing.count; ++i) {
        if (entry->user_data != failing.results[i].first) continue;
        entry->res = failing.results[i].second;
        ++found;
      }
    }
    if (found < failing.count) ::io_uring_wait_cqe_nr(ring, &entry, ready + 1);
  }
}

}  // namespace

std::string take_trace() {
  const std::lock_guard lock(trace_mutex);
  return std::exchange(trace, {});
}

}  // namespace warren::vmm::block

namespace block = warren::vmm::block;

// These come before libc's for everything that is linked into the program.
extern "C" {

int __real_io_uring_submit(io_uring* ring);
int __wrap_io_uring_submit(io_uring* ring);

int __wrap_io_uring_submit(io_uring* ring) {
  if (const int error = block::submissions.next().error) return -error;
  static thread_local std::array<block::Ranges, 64> some;  // the kernel has copied them when it returns
  static thread_local block::Failing failing;
  failing.count = 0;
  unsigned used = 0;
  // What the last call has published and the kernel not taken was planned then.
  for (unsigned i = ring->sq.sqe_head; i != ring->sq.sqe_tail; ++i)
    block::plan_entry(ring->sq.sqes[i & *ring->sq.kring_mask], some[used++ % some.size()], failing);
  const int result = __real_io_uring_submit(ring);
  block::fail(ring, failing);
  return result;
}

ssize_t preadv(int descriptor, const iovec* ranges, int count, off_t offset) {
  return block::transfer(block::reads, 'r', SYS_preadv, descriptor, ranges, count, offset);
}
ssize_t pwritev(int descriptor, const iovec* ranges, int count, off_t offset) {
  return block::transfer(block::writes, 'w', SYS_pwritev, descriptor, ranges, count, offset);
}
ssize_t pread(int descriptor, void* data, size_t size, off_t offset) {
  const iovec range{data, size};
  return block::transfer(block::reads, 'r', SYS_preadv, descriptor, &range, 1, offset);
}
ssize_t pwrite(int descriptor, const void* data, size_t size, off_t offset) {
  const iovec range{const_cast<void*>(data), size};  // an iovec serves both directions
  return block::transfer(block::writes, 'w', SYS_pwritev, descriptor, &range, 1, offset);
}
int fdatasync(int descriptor) {
  if (const int error = block::take(block::syncs, 's').error) return errno = error, -1;
  return static_cast<int>(::syscall(SYS_fdatasync, descriptor));
}
int fallocate(int descriptor, int mode, off_t offset, off_t length) {
  if (const int error = block::take(block::allocations, 'a').error) return errno = error, -1;
  return static_cast<int>(::syscall(SYS_fallocate, descriptor, mode, offset, length));
}
int ftruncate(int descriptor, off_t length) noexcept {
  if (const int error = block::take(block::truncations, 't').error) return errno = error, -1;
  return static_cast<int>(::syscall(SYS_ftruncate, descriptor, length));
}
int epoll_ctl(int poll, int operation, int descriptor, epoll_event* event) noexcept {
  const int error = operation == EPOLL_CTL_ADD ? block::waits.next().error : 0;
  if (error != 0) return errno = error, -1;
  return static_cast<int>(::syscall(SYS_epoll_ctl, poll, operation, descriptor, event));
}
}
