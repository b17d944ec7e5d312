// What the images below the top have goes up into it, beside the guest's writes; they are needed no more
// then.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "vmm-core/block/disk.h"
#include "vmm-core/block/job/image_data.h"
#include "vmm-core/block/job/work.h"

namespace warren::vmm::block::job {

struct PullOptions {
  std::optional<std::size_t> base;           // place in the chain, 2 or more: what stays below; none: nothing
  std::string backing_file, backing_format;  // what the top's header says of that then
};

class Pull final : public Work {
 public:
  // `image` is the disk's, and both outlive it. Throws Error.
  Pull(Disk& disk, ChainImage& image, PullOptions options);

  Step step() noexcept override;
  void finish(bool pivot) override;
  void give_up() noexcept override {}

 private:
  Step take_over(std::uint64_t length) noexcept;
  // What the guest discards behind the end of the next image reads as zeros only while that is the next.
  bool must_look_again() const noexcept;
  void change_chain();

  Disk& disk_;
  ChainImage& image_;
  const PullOptions options_;
  const std::size_t last_;  // the layers [1, last_) are taken over
  const std::uint64_t size_;
  std::uint64_t at_ = 0;
  CopyBuffer buffer_;
};

}  // namespace warren::vmm::block::job
