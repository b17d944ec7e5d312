// What images in the middle of a chain have goes down into one below them; they leave the chain then.
//
// The guest writes above them, and reads in the base only where none of them covers it: nothing that is
// written to the base is seen before they are gone, and then it is the same.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "vmm-core/block/disk.h"
#include "vmm-core/block/job/image_data.h"
#include "vmm-core/block/job/work.h"
#include "vmm-core/block/job/writable_base.h"

namespace warren::vmm::block::job {

struct CommitPlan {
  std::size_t top = 1, base = 2;             // places in the chain
  std::string backing_file, backing_format;  // what the header of the image above `top` says then
};

struct CommitFiles {
  ChainLink base;                    // the image there, opened for writing
  std::optional<ChainLink> overlay;  // likewise the one above `top`, where that is not the disk's first
};

class Commit final : public Work {
 public:
  // `image` is the disk's, and both outlive it. Throws Error, and the chain is what it was.
  Commit(Disk& disk, ChainImage& image, CommitPlan plan, CommitFiles files);
  // With what those files are: the base, and the file above or none.
  Commit(Disk& disk, ChainImage& image, CommitPlan plan, ChainNode base, std::unique_ptr<HostFile> overlay);

  Step step() noexcept override;
  void finish(bool pivot) override;
  void give_up() noexcept override { base_->restore(); }

 private:
  HostFile& overlay_file() const noexcept;
  void rename_backing();
  void change_chain();

  Disk& disk_;
  ChainImage& image_;
  const CommitPlan plan_;
  std::unique_ptr<HostFile> overlay_;  // where it is not the disk's first image
  std::optional<ImageClaim> overlay_claim_;
  std::unique_ptr<WritableBase> base_;
  std::uint64_t size_ = 0, at_ = 0;
  CopyBuffer buffer_;
};

}  // namespace warren::vmm::block::job
