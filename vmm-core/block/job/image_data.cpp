#include "vmm-core/block/job/image_data.h"

#include <algorithm>
#include <cerrno>

#include <sys/stat.h>

#include "vmm-core/block/qcow2/file.h"
#include "vmm-core/block/raw_file.h"
#include "vmm-core/os/error.h"

namespace warren::vmm::block::job {

int find_data(const Chain& chain, std::size_t first, std::size_t last, std::uint64_t offset,
              std::uint64_t length, Allocation& to) noexcept {
  to = {Allocation::Kind::below, length};
  for (std::size_t i = first; i < last; ++i) {
    Layer& layer = *chain[i].layer;
    const std::uint64_t size = layer.size();
    if (offset >= size) {
      // Whoever reads it here finds zeros, whatever is below.
      to.kind = Allocation::Kind::zeros;
      return 0;
    }
    const std::uint64_t most = std::min(to.length, size - offset);
    if (const int error = layer.allocation(offset, most, to)) return error;
    if (to.kind != Allocation::Kind::below) return 0;
  }
  return 0;
}

CopyBuffer::CopyBuffer() : memory_(static_cast<std::byte*>(std::aligned_alloc(32768, kMaximumPiece))) {
  if (!memory_) throw Error(std::errc::not_enough_memory, "block job");
}

int CopyBuffer::read(const Chain& chain, std::size_t first, std::uint64_t offset,
                     std::uint64_t length) noexcept {
  range_ = {memory_.get(), static_cast<std::size_t>(length)};
  Scatter to = contents();
  return chain[first].layer->read(offset, length, to);
}

namespace {

bool is_same(int one, int other, const std::string& name) {
  struct stat a{}, b{};
  if (::fstat(one, &a) != 0 || ::fstat(other, &b) != 0) throw_errno(name);
  if (S_ISBLK(a.st_mode) && S_ISBLK(b.st_mode)) return a.st_rdev == b.st_rdev;
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

bool holds(const ChainNode& node, int descriptor, const std::string& name) {
  const HostFile* files[] = {node.qcow2 != nullptr ? &node.qcow2->host_file() : &node.raw->file(),
                             node.qcow2 != nullptr ? node.qcow2->data_file() : nullptr};
  return std::ranges::any_of(files, [&](const HostFile* file) {
    return file != nullptr && file->raw() != nullptr && is_same(file->raw()->descriptor(), descriptor, name);
  });
}

}  // namespace

void check_place(const Chain& chain, const ChainLink& link, std::size_t expected) {
  for (std::size_t i = 0; i < chain.size(); ++i) {
    const bool is_it = holds(chain[i], link.descriptor.get(), link.name) ||
                       (link.data && holds(chain[i], link.data.get(), link.name));
    if (is_it != (i == expected))
      throw Error(std::errc::invalid_argument,
                  link.name + (is_it ? ": is image " + std::to_string(i) + " of the disk's chain already"
                                     : ": is not image " + std::to_string(i) + " of the disk's chain"));
  }
}

}  // namespace warren::vmm::block::job
