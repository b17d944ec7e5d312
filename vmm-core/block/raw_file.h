// A raw image's descriptor as a file that formats are kept in (host_file.h), and as a layer of a chain.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "vmm-core/block/host_file.h"
#include "vmm-core/block/layer.h"
#include "vmm-core/block/raw_image.h"

namespace warren::vmm::block {

class RawFile final : public HostFile {
 public:
  explicit RawFile(std::unique_ptr<RawImage> image);

  int read(std::uint64_t offset, std::span<iovec> to) noexcept override;
  int write(std::uint64_t offset, std::span<iovec> from) noexcept override;
  int zero(std::uint64_t offset, std::uint64_t length, bool may_unmap) noexcept override;
  int discard(std::uint64_t offset, std::uint64_t length) noexcept override;
  int sync() noexcept override;
  int resize(std::uint64_t bytes) noexcept override;
  std::uint64_t size() const noexcept override;
  bool grows() const noexcept override { return !image_->is_block_device(); }
  std::unique_ptr<HostFile> again() const override;
  RawImage* raw() const noexcept override { return image_.get(); }

 private:
  std::unique_ptr<RawImage> image_;
};

class RawLayer final : public Layer {
 public:
  explicit RawLayer(std::unique_ptr<HostFile> file) : file_(std::move(file)), size_(file_->size()) {}

  HostFile& file() noexcept { return *file_; }
  // Throws Error.
  void resize(std::uint64_t bytes);

  std::uint64_t size() const noexcept override { return size_.load(std::memory_order_acquire); }
  Extent find(std::uint64_t offset, std::uint64_t length) const noexcept override;
  int read(std::uint64_t offset, std::uint64_t length, Scatter& to) noexcept override;
  int allocation(std::uint64_t offset, std::uint64_t length, Allocation& to) noexcept override;
  void add_files(std::vector<HostFile*>& files) override { files.push_back(file_.get()); }

 private:
  std::unique_ptr<HostFile> file_;
  std::atomic<std::uint64_t> size_;
};

}  // namespace warren::vmm::block
