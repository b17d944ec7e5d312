// The export of an NBD server as a file that images are kept in.
#pragma once

#include <memory>
#include <utility>

#include "vmm-core/block/host_file.h"
#include "vmm-core/block/nbd/connection.h"
#include "vmm-core/block/queue_source.h"

namespace warren::vmm::block::nbd {

class File final : public HostFile, public QueueSource {
 public:
  explicit File(std::shared_ptr<Connection> connection) : connection_(std::move(connection)) {}

  int read(std::uint64_t offset, std::span<iovec> to) noexcept override;
  int write(std::uint64_t offset, std::span<iovec> from) noexcept override;
  int zero(std::uint64_t offset, std::uint64_t length, bool may_unmap) noexcept override;
  int discard(std::uint64_t offset, std::uint64_t length) noexcept override;
  int sync() noexcept override;
  // The size of an export is its server's.
  int resize(std::uint64_t bytes) noexcept override;
  std::uint64_t size() const noexcept override { return connection_->size(); }
  bool grows() const noexcept override { return false; }
  // By the same connection.
  std::unique_ptr<HostFile> again() const override { return std::make_unique<File>(connection_); }
  std::unique_ptr<BlockQueue> make_queue(unsigned depth) const override;

 private:
  bool contains(std::uint64_t offset, std::uint64_t length) const noexcept;
  int perform(Operation operation, std::uint64_t offset, std::uint64_t length, std::span<iovec> ranges,
              bool may_unmap = false) noexcept;

  std::shared_ptr<Connection> connection_;
};

}  // namespace warren::vmm::block::nbd
