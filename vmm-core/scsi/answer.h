// What becomes of a SCSI command, and how the bytes of an answer are put together.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "vmm-core/scsi/sense.h"

namespace warren::vmm::scsi {

// A part of the medium, in bytes.
struct Extent {
  std::uint64_t offset, length;
  friend bool operator==(const Extent&, const Extent&) = default;
};

struct Answer {
  enum class Kind : std::uint8_t {
    done,     // there is nothing to transfer
    failed,   // `sense` says why
    data,     // `data` goes to the guest
    read,     // `length` bytes of the medium from `offset` on go to the guest
    write,    // that part of the medium becomes the guest's data
    flush,    // what was written becomes durable
    discard,  // what is in `extents` is not needed any more
    zero,     // that part of the medium becomes zeros
    fill,     // that part of the medium becomes the guest's one block, again and again
  };
  Kind kind = Kind::done;
  Sense sense = {};
  std::span<const std::byte> data = {};  // good until the next call, as `extents`
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  bool durable = false;    // of what changes the medium: before it is done
  bool may_unmap = false;  // of zero: the space may be given back
  std::span<const Extent> extents = {};
};

inline Answer failed(const Sense& sense) noexcept {
  return {.kind = Answer::Kind::failed, .sense = sense};
}

// Puts an answer together, big-endian as SCSI has it; what does not fit is left out.
class AnswerWriter {
 public:
  explicit AnswerWriter(std::span<std::byte> bytes) noexcept : bytes_(bytes) {}
  void add8(std::uint32_t value) noexcept {
    if (size_ < bytes_.size()) bytes_[size_++] = static_cast<std::byte>(value);
  }
  void add16(std::uint32_t value) noexcept {
    add8(value >> 8);
    add8(value);
  }
  void add32(std::uint32_t value) noexcept {
    add16(value >> 16);
    add16(value);
  }
  void add64(std::uint64_t value) noexcept {
    add32(static_cast<std::uint32_t>(value >> 32));
    add32(static_cast<std::uint32_t>(value));
  }
  void add_text(std::string_view text, std::size_t width) noexcept {
    for (std::size_t i = 0; i < width; ++i) add8(static_cast<unsigned char>(i < text.size() ? text[i] : ' '));
  }
  void zeros(std::size_t count) noexcept {
    while (count-- != 0) add8(0);
  }
  void set8(std::size_t at, std::uint32_t value) noexcept { bytes_[at] = static_cast<std::byte>(value); }
  void set16(std::size_t at, std::uint32_t value) noexcept {
    set8(at, value >> 8);
    set8(at + 1, value);
  }
  void set32(std::size_t at, std::uint32_t value) noexcept {
    set16(at, value >> 16);
    set16(at + 2, value);
  }
  std::size_t size() const noexcept { return size_; }
  // What was added, or as much of it as `allocation_length` has room for.
  Answer give(std::uint64_t allocation_length) const noexcept {
    const std::size_t size = allocation_length < size_ ? static_cast<std::size_t>(allocation_length) : size_;
    if (size == 0) return {};
    return {.kind = Answer::Kind::data, .data = bytes_.first(size)};
  }

 private:
  std::span<std::byte> bytes_;
  std::size_t size_ = 0;
};

}  // namespace warren::vmm::scsi
