// One file of a chain of images as the one above it, or a queue, reads it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <sys/uio.h>

#include "vmm-core/block/scatter.h"

namespace warren::vmm::block {

class HostFile;

// What is at a place of the disk, as far as it is known without waiting.
struct Extent {
  enum class Kind : std::uint8_t { data, zeros, unknown };
  Kind kind = Kind::unknown;
  std::uint64_t length = 0;  // bytes from the place that was asked for
  HostFile* file = nullptr;  // of data
  std::uint64_t offset = 0;  // in that file
};

// Whether a layer by itself says what is at a place of the disk, or leaves it to what is below it.
struct Allocation {
  enum class Kind : std::uint8_t { data, zeros, below };
  Kind kind = Kind::below;
  std::uint64_t length =
      0;  // bytes from the place that was asked for, up to a limit of the layer's own; not 0
};

class Layer {
 public:
  virtual ~Layer() = default;
  virtual std::uint64_t size() const noexcept = 0;  // bytes
  // Any thread, never waits, takes no lock. `length` is not 0; the range lies in the disk. The extent is not
  // empty unless it is unknown.
  virtual Extent find(std::uint64_t offset, std::uint64_t length) const noexcept = 0;
  // Waits. Fills the next `length` bytes of `to`; the range lies in the disk. 0 or an errno. Any thread.
  virtual int read(std::uint64_t offset, std::uint64_t length, Scatter& to) noexcept = 0;
  // Waits. Of the layer by itself; the range lies in it and is not empty. 0 or an errno. Any thread.
  virtual int allocation(std::uint64_t offset, std::uint64_t length, Allocation& to) noexcept = 0;
  // The files that find() may name.
  virtual void add_files(std::vector<HostFile*>& files) = 0;
};

}  // namespace warren::vmm::block
