// Which layers of a chain have what is at a place of the disk, and memory to copy it through.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>

#include <sys/uio.h>

#include "vmm-core/block/chain.h"

namespace warren::vmm::block::job {

inline constexpr std::uint64_t kMaximumPiece = std::uint64_t{1} << 20;

// Whether the layers [first, last) of the chain say what is at a place, or leave it to what is below them: as
// somebody above them would read it, who finds zeros behind the end of a layer. 0 or an errno; waits.
int find_data(const Chain& chain, std::size_t first, std::size_t last, std::uint64_t offset,
              std::uint64_t length, Allocation& to) noexcept;

// Aligned for O_DIRECT.
class CopyBuffer {
 public:
  CopyBuffer();  // throws Error
  // Reads at most kMaximumPiece bytes of what the chain has from layer `first` down. 0 or an errno.
  int read(const Chain& chain, std::size_t first, std::uint64_t offset, std::uint64_t length) noexcept;
  // What was read.
  Scatter contents() noexcept { return Scatter(std::span<const iovec>(&range_, 1)); }
  std::span<std::byte> bytes() noexcept { return {memory_.get(), range_.iov_len}; }

 private:
  struct Free {
    void operator()(std::byte* memory) const noexcept { std::free(memory); }
  };
  std::unique_ptr<std::byte, Free> memory_;
  iovec range_{};
};

// Throws Error when the file of a link is in the chain already, but at `expected` (the chain's size:
// nowhere), where it must be the one.
void check_place(const Chain& chain, const ChainLink& link, std::size_t expected);

}  // namespace warren::vmm::block::job
