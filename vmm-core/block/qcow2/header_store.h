// The header of an open image and the way to change it: one sector, which is written whole or not at all.
#pragma once

#include "vmm-core/block/qcow2/header.h"
#include "vmm-core/block/qcow2/metadata_file.h"

namespace warren::vmm::block::qcow2 {

class HeaderStore {
 public:
  HeaderStore(MetadataFile& file, Header header) : file_(file), header_(std::move(header)) {}
  const Header& get() const noexcept { return header_; }
  // Changes fields, or bytes of the sector, and writes them; not synced. 0 or an errno, and the header is as
  // it was then. Owner thread.
  int change(auto&& edit) noexcept {
    const Fields before = fields_of(header_);
    edit(header_);
    update_sector(header_);
    const int error = file_.write(Structure::header, 0, header_.sector);
    if (error == 0) return 0;
    restore(header_, before);
    update_sector(header_);
    return error;
  }

 private:
  struct Fields {
    std::uint64_t size, l1_offset, refcount_table_offset, snapshots_offset, incompatible, compatible,
        autoclear;
    std::uint32_t l1_size, refcount_table_clusters, snapshots;
    std::array<std::byte, kHeaderSector> sector;
  };
  static Fields fields_of(const Header& header) noexcept {
    return {header.size,
            header.l1_offset,
            header.refcount_table_offset,
            header.snapshots_offset,
            header.incompatible,
            header.compatible,
            header.autoclear,
            header.l1_size,
            header.refcount_table_clusters,
            header.snapshots,
            header.sector};
  }
  static void restore(Header& header, const Fields& fields) noexcept {
    header.size = fields.size;
    header.l1_offset = fields.l1_offset;
    header.refcount_table_offset = fields.refcount_table_offset;
    header.snapshots_offset = fields.snapshots_offset;
    header.incompatible = fields.incompatible;
    header.compatible = fields.compatible;
    header.autoclear = fields.autoclear;
    header.l1_size = fields.l1_size;
    header.refcount_table_clusters = fields.refcount_table_clusters;
    header.snapshots = fields.snapshots;
    header.sector = fields.sector;
  }

  MetadataFile& file_;
  Header header_;
};

}  // namespace warren::vmm::block::qcow2
