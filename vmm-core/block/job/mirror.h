// The disk goes to another image, and the guest's writes after it, until that takes over or is let go: a copy
// to an image of its own, or the commit of the disk's first images into one below them.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "vmm-core/block/disk.h"
#include "vmm-core/block/job/image_data.h"
#include "vmm-core/block/job/work.h"
#include "vmm-core/block/job/writable_base.h"
#include "vmm-core/block/write_map.h"

namespace warren::vmm::block::job {

struct CopyOptions {
  ChainLink target;  // opened for writing
  // It is made an image as large as the disk first, with that in its header; else it is one, large enough.
  struct New {
    std::string backing_file, backing_format;  // or empty
  };
  std::optional<New> make;
  // It is backed by what the disk's first image is backed by, and only what that has is copied.
  bool shallow = false;
};

class Mirror final : public Work {
 public:
  // To an image of its own. `image` is the disk's, and both outlive it. Throws Error.
  static std::unique_ptr<Mirror> copy(Disk& disk, ChainImage& image, CopyOptions options);
  // The images [0, base) into the one there, opened for writing; it is made larger when the disk is. Throws
  // Error, and the chain is what it was.
  static std::unique_ptr<Mirror> commit(Disk& disk, ChainImage& image, std::size_t base,
                                        ChainLink base_image);
  // With the images that those files hold.
  static std::unique_ptr<Mirror> copy(Disk& disk, ChainImage& image, ChainNode target, bool shallow);
  static std::unique_ptr<Mirror> commit(Disk& disk, ChainImage& image, std::size_t base, ChainNode opened);
  ~Mirror() override;

  Step step() noexcept override;
  void finish(bool pivot) override;
  void give_up() noexcept override;

 private:
  // What is copied, and what the chain is afterwards.
  struct Plan {
    std::size_t layers = 1;  // the first so many of the chain; what they leave to others is not copied
    bool all = false;        // they are the whole chain: what they do not say is zeros
    std::unique_ptr<WritableBase> base;  // the target of a commit
    ChainNode target;                    // of a copy
  };
  Mirror(Disk& disk, ChainImage& image, Plan plan);

  const ChainNode& target() const noexcept { return plan_.base ? plan_.base->node() : plan_.target; }
  void follow();
  Step move_piece() noexcept;
  int look_behind(Allocation& found) noexcept;
  std::uint64_t left() const noexcept { return map_.marked_bytes() + range_.length; }
  void tell_progress() noexcept;
  void catch_up();
  Chain chain_after() const;

  Disk& disk_;
  ChainImage& image_;
  Plan plan_;
  WriteMap map_;
  const std::uint64_t little_;  // bytes that can wait for the end of the job
  bool followed_ = false;
  WriteMap::Range range_;  // taken from the map and not copied yet
  std::uint64_t passed_ = 0;
  const std::uint64_t size_;
  CopyBuffer buffer_;
};

}  // namespace warren::vmm::block::job
