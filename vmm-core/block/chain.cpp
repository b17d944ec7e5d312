#include "vmm-core/block/chain.h"

#include <set>
#include <utility>

#include <sys/stat.h>

#include "vmm-core/block/qcow2/file.h"
#include "vmm-core/block/qcow2_image.h"
#include "vmm-core/block/raw_file.h"
#include "vmm-core/os/error.h"

namespace warren::vmm::block {
namespace {

using Identities = std::set<std::pair<dev_t, ino_t>>;

void check_new(Identities& seen, const FileDescriptor& file, const std::string& name) {
  struct stat status{};
  if (::fstat(file.get(), &status) != 0) throw_errno(name);
  const auto identity = S_ISBLK(status.st_mode) ? std::pair<dev_t, ino_t>{status.st_rdev, 0}
                                                : std::pair<dev_t, ino_t>{status.st_dev, status.st_ino};
  if (!seen.insert(identity).second)
    throw Error(std::errc::too_many_symbolic_link_levels,
                name + ": is in its own chain of backing files twice");
}

std::unique_ptr<RawImage> raw_of(FileDescriptor file, const ChainLink& link, const ChainOptions& options,
                                 bool read_only) {
  return std::make_unique<RawImage>(std::move(file), link.name,
                                    RawImageOptions{.read_only = read_only,
                                                    .direct = link.direct,
                                                    .alignment = link.alignment,
                                                    .use_io_uring = options.use_io_uring});
}

std::unique_ptr<qcow2::File> open_qcow2(ChainLink& link, const ChainOptions& options, bool read_only,
                                        std::unique_ptr<Layer> backing) {
  std::unique_ptr<HostFile> data;
  if (link.data) data = std::make_unique<RawFile>(raw_of(std::move(link.data), link, options, read_only));
  auto file = std::make_unique<RawFile>(raw_of(std::move(link.descriptor), link, options, read_only));
  return std::make_unique<qcow2::File>(
      std::move(file), link.name,
      qcow2::FileOptions{
          .read_only = read_only, .discard = options.discard, .cache_bytes = options.cache_bytes},
      std::move(data), std::move(backing));
}

}  // namespace

std::unique_ptr<Image> open_chain(std::vector<ChainLink> links, const ChainOptions& options) {
  if (links.empty()) throw Error(std::errc::invalid_argument, "a disk of no files");
  if (links.size() > kMaximumChainDepth)
    throw Error(std::errc::too_many_symbolic_link_levels, links.front().name + ": its chain has more than " +
                                                              std::to_string(kMaximumChainDepth) + " files");
  Identities seen;
  for (const ChainLink& link : links) {
    check_new(seen, link.descriptor, link.name);
    if (link.data) check_new(seen, link.data, link.name + " (external data)");
  }
  std::unique_ptr<Layer> below;
  while (links.size() > 1) {
    ChainLink& link = links.back();
    if (link.format == ImageFormat::raw) {
      if (below) throw Error(std::errc::invalid_argument, link.name + ": a raw image has no backing file");
      below = std::make_unique<RawLayer>(
          std::make_unique<RawFile>(raw_of(std::move(link.descriptor), link, options, true)));
    } else {
      below = open_qcow2(link, options, true, std::move(below));
    }
    links.pop_back();
  }
  ChainLink& top = links.front();
  if (top.format == ImageFormat::raw) {
    if (below) throw Error(std::errc::invalid_argument, top.name + ": a raw image has no backing file");
    return raw_of(std::move(top.descriptor), top, options, options.read_only);
  }
  return std::make_unique<Qcow2Image>(open_qcow2(top, options, options.read_only, std::move(below)));
}

}  // namespace warren::vmm::block
