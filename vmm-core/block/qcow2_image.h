// A qcow2 image, and all it is backed by, as a disk.
#pragma once

#include <memory>

#include "vmm-core/block/image.h"
#include "vmm-core/block/qcow2/file.h"

namespace warren::vmm::block {

class Qcow2Image final : public Image {
 public:
  explicit Qcow2Image(std::unique_ptr<qcow2::File> file) : file_(std::move(file)) {}

  std::uint64_t size() const noexcept override { return file_->size() / 512 * 512; }
  bool read_only() const noexcept override { return file_->read_only(); }
  void resize(std::uint64_t bytes) override { file_->resize(bytes); }
  // Transfers to clusters that have their place go straight to the host by the queues of the raw files below
  // (raw_image.h); everything else is done, in turn, by one thread of each queue.
  std::unique_ptr<BlockQueue> make_queue(unsigned depth) const override;

  qcow2::File& file() const noexcept { return *file_; }

 private:
  std::unique_ptr<qcow2::File> file_;
};

}  // namespace warren::vmm::block
