// For tests: images in memory, a plain model of what they hold, and random work on both.
#pragma once

#include <array>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "vmm-core/block/qcow2/check.h"
#include "vmm-core/block/qcow2/create.h"
#include "vmm-core/block/qcow2/file.h"
#include "vmm-core/block/qcow2/memory_file.h"
#include "vmm-core/block/raw_file.h"

namespace warren::vmm::block::qcow2 {

using Bytes = std::vector<std::byte>;

inline int read_disk(File& file, std::uint64_t offset, Bytes& to) {
  const iovec range{to.data(), to.size()};
  Scatter scatter(std::span<const iovec>(&range, 1));
  return file.read(offset, to.size(), scatter);
}
inline int write_disk(File& file, std::uint64_t offset, Bytes from) {
  // In two ranges, since most writers have several.
  const std::size_t half = from.size() / 3;
  const std::array<iovec, 2> ranges = {iovec{from.data(), half},
                                       iovec{from.data() + half, from.size() - half}};
  Scatter scatter(ranges);
  return file.write(offset, from.size(), scatter);
}
// As a queue does: what has its place goes straight there, and the rest the way that waits.
inline int write_as_queue(File& file, std::uint64_t offset, const Bytes& from) {
  for (std::size_t at = 0; at < from.size();) {
    const unsigned parity = file.in_flight().enter();
    const Extent extent = file.find_writable(offset + at, from.size() - at);
    const bool known = extent.kind == Extent::Kind::data;
    const int error =
        known ? extent.file->write_bytes(extent.offset, std::span(from).subspan(at, extent.length)) : 0;
    file.in_flight().leave(parity);
    if (error != 0) return error;
    if (!known)
      return write_disk(file, offset + at, {from.begin() + static_cast<std::ptrdiff_t>(at), from.end()});
    at += static_cast<std::size_t>(extent.length);
  }
  return 0;
}
inline int read_as_queue(File& file, std::uint64_t offset, Bytes& to) {
  for (std::size_t at = 0; at < to.size();) {
    const Extent extent = file.find(offset + at, to.size() - at);
    const std::size_t length = extent.kind == Extent::Kind::unknown
                                   ? std::min<std::size_t>(to.size() - at, 4096)
                                   : static_cast<std::size_t>(extent.length);
    const auto part = std::span(to).subspan(at, length);
    int error = 0;
    if (extent.kind == Extent::Kind::data) error = extent.file->read_bytes(extent.offset, part);
    if (extent.kind == Extent::Kind::zeros) std::ranges::fill(part, std::byte{0});
    if (extent.kind == Extent::Kind::unknown) {
      Bytes piece(length);
      error = read_disk(file, offset + at, piece);
      std::ranges::copy(piece, part.begin());
    }
    if (error != 0) return error;
    at += length;
  }
  return 0;
}
inline Bytes whole_disk(File& file) {
  Bytes bytes(file.size());
  if (read_disk(file, 0, bytes) != 0) bytes.clear();
  return bytes;
}

// Sectors that say where and when they were written.
inline Bytes pattern(std::uint64_t offset, std::uint64_t length, std::uint32_t stamp) {
  Bytes bytes(length);
  for (std::uint64_t i = 0; i + 8 <= length; i += 8) {
    store(bytes.data() + i, stamp | 0x4000'0000);  // never as zeros are
    store(bytes.data() + i + 4, static_cast<std::uint32_t>((offset + i) / 512 * 512));
  }
  return bytes;
}

struct Disk {
  std::shared_ptr<MemoryDisk> host = std::make_shared<MemoryDisk>();
  std::shared_ptr<MemoryDisk> data;     // of an image with an external data file
  std::shared_ptr<MemoryDisk> backing;  // raw

  // Before create_image().
  void back_with(Bytes bytes) {
    backing = std::make_shared<MemoryDisk>();
    backing->bytes = std::move(bytes);
  }
  void create_image(CreateOptions options) {
    if (backing) options.backing_file = "base", options.backing_format = "raw";
    MemoryFile file(host);
    create(file, options, "image");
  }
  std::unique_ptr<File> open(FileOptions options = {.discard = true}) const {
    return std::make_unique<File>(
        std::make_unique<MemoryFile>(host), "image", options,
        data ? std::make_unique<MemoryFile>(data) : nullptr,
        backing ? std::make_unique<RawLayer>(std::make_unique<MemoryFile>(backing)) : nullptr);
  }
  CheckResult check() const {
    MemoryFile file(host);
    return qcow2::check(file, "image");
  }
};

inline std::string messages(const CheckResult& result) {
  std::string text =
      std::to_string(result.corruptions) + " corruptions, " + std::to_string(result.leaks) + " leaks";
  for (const std::string& message : result.messages) text += "\n" + message;
  return text;
}

// One of everything a guest does, at random.
class RandomWork {
 public:
  RandomWork(std::uint64_t seed, std::uint64_t size)
      : random_(seed), size_(size), stamp_(static_cast<std::uint32_t>(seed * 1'000'003) & 0xff'ffff) {}
  void set_size(std::uint64_t size) { size_ = size; }
  std::uint64_t below(std::uint64_t limit) {
    return std::uniform_int_distribution<std::uint64_t>(0, limit - 1)(random_);
  }
  bool one_in(std::uint64_t count) { return below(count) == 0; }

  struct Step {
    enum class Kind { write, zero, zero_unmap, discard, flush, read } kind = Kind::read;
    std::uint64_t offset = 0, length = 0;
    std::uint32_t stamp = 0;
  };
  Step next() {
    static constexpr std::array kKinds = {Step::Kind::write,   Step::Kind::write, Step::Kind::write,
                                          Step::Kind::write,   Step::Kind::zero,  Step::Kind::zero_unmap,
                                          Step::Kind::discard, Step::Kind::flush, Step::Kind::read};
    Step step{.kind = kKinds[below(kKinds.size())], .stamp = ++stamp_};
    const std::uint64_t sectors = size_ / 512;
    step.offset = below(sectors) * 512;
    const std::uint64_t most = one_in(4) ? sectors : std::min<std::uint64_t>(sectors, 24);
    step.length = std::min((1 + below(most)) * 512, size_ - step.offset);
    // Often whole clusters, whatever their size.
    if (one_in(3))
      step.offset = step.offset / 65536 * 65536,
      step.length = std::min<std::uint64_t>(65536, size_ - step.offset);
    return step;
  }

 private:
  std::mt19937_64 random_;
  std::uint64_t size_;
  std::uint32_t stamp_;  // two sources write nothing alike
};

inline int perform_step(File& file, const RandomWork::Step& step) {
  using Kind = RandomWork::Step::Kind;
  switch (step.kind) {
    case Kind::write: {
      const Bytes bytes = pattern(step.offset, step.length, step.stamp);
      return step.stamp % 2 == 0 ? write_disk(file, step.offset, bytes)
                                 : write_as_queue(file, step.offset, bytes);
    }
    case Kind::zero:
    case Kind::zero_unmap:
      return file.write_zeroes(step.offset, step.length, step.kind == Kind::zero_unmap);
    case Kind::discard:
      return file.discard(step.offset, step.length);
    case Kind::flush:
      return file.flush();
    case Kind::read: {
      Bytes bytes(step.length);
      return read_disk(file, step.offset, bytes);
    }
  }
  return 0;
}

// What a disk holds after it. A discard leaves what the image says: the model takes it over.
inline void model_step(Bytes& model, const RandomWork::Step& step) {
  using Kind = RandomWork::Step::Kind;
  const auto at = model.begin() + static_cast<std::ptrdiff_t>(step.offset);
  if (step.kind == Kind::write) std::ranges::copy(pattern(step.offset, step.length, step.stamp), at);
  if (step.kind == Kind::zero || step.kind == Kind::zero_unmap)
    std::fill_n(at, static_cast<std::ptrdiff_t>(step.length), std::byte{0});
}

// Every kind of image, most of them small enough that their tables overflow.
inline CreateOptions random_options(RandomWork& work) {
  CreateOptions options;
  static constexpr std::array<unsigned, 7> kBits = {9, 9, 10, 12, 14, 16, 16};
  options.cluster_bits = kBits[work.below(kBits.size())];
  if (work.one_in(8)) options.cluster_bits = kMinimumClusterBits + static_cast<unsigned>(work.below(13));
  options.size = (1 + work.below(options.cluster_bits < 12 ? 512 : 4096)) * 512;
  if (options.cluster_bits > 16) options.size *= 2;
  if (work.one_in(5)) {
    options.version = 2;
    return options;
  }
  options.refcount_order = static_cast<unsigned>(work.below(7));
  options.lazy_refcounts = work.one_in(3);
  options.compression = work.one_in(4) ? Compression::zstd : Compression::zlib;
  options.extended_l2 = options.cluster_bits >= kMinimumExtendedClusterBits && work.one_in(2);
  return options;
}

}  // namespace warren::vmm::block::qcow2
