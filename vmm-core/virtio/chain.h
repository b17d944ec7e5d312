// One buffer chain that the driver made available: validated whole, as host ranges, and not yet touched.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <utility>

#include <sys/uio.h>

namespace warren::vmm::virtio {

class Queue;

// The right and the duty to return one chain to the used ring. Move-only; a ticket that is destroyed without
// complete() returns its chain with length 0. One that outlives the reset of its queue does nothing. Used on
// the thread that serves the queue.
class Ticket {
 public:
  Ticket() noexcept = default;
  Ticket(Ticket&& other) noexcept
      : queue_(std::exchange(other.queue_, nullptr)),
        id_(other.id_),
        slots_(other.slots_),
        end_(other.end_),
        generation_(other.generation_) {}
  Ticket& operator=(Ticket&& other) noexcept {
    if (this != &other) {
      complete(0);
      queue_ = std::exchange(other.queue_, nullptr);
      id_ = other.id_;
      slots_ = other.slots_;
      end_ = other.end_;
      generation_ = other.generation_;
    }
    return *this;
  }
  Ticket(const Ticket&) = delete;
  Ticket& operator=(const Ticket&) = delete;
  ~Ticket() { complete(0); }

  // Returns the chain, of whose writable part the first `written` bytes hold something now (§2.7.8, §2.8.10).
  void complete(std::uint32_t written) noexcept;
  explicit operator bool() const noexcept { return queue_ != nullptr; }

 private:
  friend class Queue;
  Ticket(Queue& queue, std::uint16_t id, std::uint16_t slots, std::uint16_t end,
         std::uint32_t generation) noexcept
      : queue_(&queue), id_(id), slots_(slots), end_(end), generation_(generation) {}

  Queue* queue_ = nullptr;
  std::uint16_t id_ = 0;
  std::uint16_t slots_ = 0;  // descriptors of the packed ring it takes
  std::uint16_t end_ = 0;    // where the next chain begins
  std::uint32_t generation_ = 0;
};

// A chain just popped. The ranges stay valid until the next pop from the same queue; copy the iovecs of an
// I/O that goes on. What they point at may change under the reader: read each value once.
struct Chain {
  Ticket ticket;
  std::span<const iovec> readable;
  std::span<const iovec> writable;
  std::uint64_t readable_bytes = 0;
  std::uint64_t writable_bytes = 0;
};

// Goes through host ranges from the front.
class Reader {
 public:
  explicit Reader(std::span<const iovec> ranges) noexcept : ranges_(ranges) {}

  // Copies out the next bytes. False, with nothing consumed, when fewer are left.
  bool read(std::span<std::byte> destination) noexcept;
  template <typename T>
  bool read_object(T& object) noexcept {
    return read(std::as_writable_bytes(std::span(&object, 1)));
  }
  std::uint64_t left() const noexcept;
  // Passes over the next bytes. False, with nothing consumed, when fewer are left.
  bool skip(std::uint64_t bytes) noexcept;
  // Appends what is left, at most `most` bytes, as iovecs to `out`; false when `out` is too small. Consumes
  // nothing.
  bool rest(std::span<iovec> out, std::uint64_t most, std::size_t& count) const noexcept;

 private:
  std::span<const iovec> ranges_;
  std::size_t offset_ = 0;  // into the first range
};

class Writer {
 public:
  explicit Writer(std::span<const iovec> ranges) noexcept : ranges_(ranges) {}

  // Copies in as much of `source` as there is room for, and says how much that was.
  std::size_t write(std::span<const std::byte> source) noexcept;
  std::uint64_t written() const noexcept { return written_; }

 private:
  std::span<const iovec> ranges_;
  std::size_t offset_ = 0;
  std::uint64_t written_ = 0;
};

// Writes one byte at `offset` of the ranges; false when they are shorter.
bool put_byte(std::span<const iovec> ranges, std::uint64_t offset, std::byte value) noexcept;

}  // namespace warren::vmm::virtio
