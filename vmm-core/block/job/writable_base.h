// An image in the middle of a disk's chain that is written for as long as this is there, and only read before
// and after.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "vmm-core/block/chain.h"
#include "vmm-core/block/disk.h"
#include "vmm-core/block/job/image_claim.h"

namespace warren::vmm::block::job {

class WritableBase {
 public:
  // Puts `opened`, the same image opened for writing, in its place, made `bytes` long if it is smaller.
  // Throws Error, and the chain is what it was.
  WritableBase(Disk& disk, ChainImage& image, std::size_t place, ChainNode opened, std::uint64_t bytes);

  const ChainNode& node() const noexcept { return image_.chain()[place_]; }
  // Everything that was written is on disk, and the image is clean. Throws Error.
  void close();
  // The image opened anew and only to be read; after close(). Where that cannot be: as it is.
  ChainNode read_only_node() noexcept;
  // Puts that in its place.
  void restore() noexcept;
  // The image is only read by now, and what wrote it is about to go; or it stays open for writing, whatever
  // the chain becomes.
  void give_back() noexcept;
  void keep() noexcept { claim_->keep(); }

 private:
  Disk& disk_;
  ChainImage& image_;
  const std::size_t place_;
  ChainNode before_;
  std::optional<ImageClaim> claim_;
  bool stays_open_ = false;  // it could not be opened to be read
};

// The file that the image is in, or its metadata.
HostFile& host_file_of(const ChainNode& node) noexcept;
// `chain` with another image at that place, which is below one at least; and what makes it so in the layers.
Chain with_node(const Chain& chain, std::size_t place, const ChainNode& node);

}  // namespace warren::vmm::block::job
