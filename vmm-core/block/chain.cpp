#include "vmm-core/block/chain.h"

#include <set>
#include <utility>

#include <sys/stat.h>

#include "vmm-core/block/nbd/file.h"
#include "vmm-core/block/qcow2/file.h"
#include "vmm-core/block/qcow2_queue.h"
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

std::unique_ptr<RawFile> raw_of(FileDescriptor file, const ChainLink& link, const ChainOptions& options,
                                bool read_only) {
  return std::make_unique<RawFile>(
      std::make_unique<RawImage>(std::move(file), link.name,
                                 RawImageOptions{.read_only = read_only,
                                                 .direct = link.direct,
                                                 .alignment = link.alignment,
                                                 .fixed_length = link.format == ImageFormat::raw,
                                                 .sync = options.sync,
                                                 .use_io_uring = options.use_io_uring}));
}

ChainNode raw_node(const std::string& name, std::unique_ptr<HostFile> file) {
  auto layer = std::make_shared<RawLayer>(std::move(file));
  RawLayer* raw = layer.get();
  return {.name = name, .layer = std::move(layer), .qcow2 = nullptr, .raw = raw};
}

// Waits for the server.
ChainNode nbd_node(ChainLink link, const ChainOptions& options, bool read_only) {
  auto connection =
      std::make_shared<nbd::Connection>(std::move(link.descriptor), link.name,
                                        nbd::ConnectionOptions{.export_name = std::move(link.nbd->name),
                                                               .read_only = read_only,
                                                               .sync = options.sync,
                                                               .block_size = options.block_size,
                                                               .thread_started = options.thread_started});
  return raw_node(link.name, std::make_unique<nbd::File>(std::move(connection)));
}

ChainNode qcow2_node(const std::string& name, const ChainOptions& options, bool read_only,
                     std::unique_ptr<HostFile> file, std::unique_ptr<HostFile> data,
                     std::shared_ptr<Layer> backing) {
  auto layer =
      std::make_shared<qcow2::File>(std::move(file), name,
                                    qcow2::FileOptions{.read_only = read_only,
                                                       .discard = options.discard,
                                                       .copy_on_read = options.copy_on_read && !read_only,
                                                       .cache_bytes = options.cache_bytes},
                                    std::move(data), std::move(backing));
  qcow2::File* qcow2 = layer.get();
  return {.name = name, .layer = std::move(layer), .qcow2 = qcow2, .raw = nullptr};
}

// What can be addressed: whole sectors.
std::uint64_t disk_size(const ChainNode& top) noexcept {
  return top.layer->size() / 512 * 512;
}

}  // namespace

int ChainNode::write(std::uint64_t offset, std::uint64_t length, Scatter& from) const noexcept {
  if (qcow2 != nullptr) return qcow2->write(offset, length, from);
  while (length != 0) {
    std::uint64_t taken = 0;
    const std::span<iovec> piece = from.take(length, taken);
    if (const int error = raw->file().write(offset, piece)) return error;
    offset += taken;
    length -= taken;
  }
  return 0;
}

int ChainNode::zero(std::uint64_t offset, std::uint64_t length, bool may_unmap) const noexcept {
  if (qcow2 != nullptr) return qcow2->write_zeroes(offset, length, may_unmap);
  return raw->file().zero(offset, length, may_unmap);
}

int ChainNode::flush() const noexcept {
  return qcow2 != nullptr ? qcow2->flush() : raw->file().sync();
}

void ChainNode::resize(std::uint64_t bytes) const {
  if (qcow2 != nullptr) return qcow2->resize(bytes);
  raw->resize(bytes);
}

ChainNode open_node(ChainLink link, const ChainOptions& options, bool read_only,
                    std::shared_ptr<Layer> backing) {
  if (link.format == ImageFormat::qcow2 && link.nbd)
    throw Error(std::errc::operation_not_supported, link.name + ": a qcow2 image on an NBD server");
  if (link.format == ImageFormat::raw) {
    if (backing) throw Error(std::errc::invalid_argument, link.name + ": a raw image has no backing file");
    if (link.nbd) return nbd_node(std::move(link), options, read_only);
    return raw_node(link.name, raw_of(std::move(link.descriptor), link, options, read_only));
  }
  std::unique_ptr<HostFile> data;
  if (link.data) data = raw_of(std::move(link.data), link, options, read_only);
  auto file = raw_of(std::move(link.descriptor), link, options, read_only);
  return qcow2_node(link.name, options, read_only, std::move(file), std::move(data), std::move(backing));
}

ChainNode open_again(const ChainNode& node, const ChainOptions& options, std::shared_ptr<Layer> backing) {
  if (node.raw != nullptr) return raw_node(node.name, node.raw->file().again());
  std::unique_ptr<HostFile> data;
  if (node.qcow2->data_file() != nullptr) data = node.qcow2->data_file()->again();
  return qcow2_node(node.name, options, true, node.qcow2->host_file().again(), std::move(data),
                    std::move(backing));
}

ChainImage::ChainImage(Chain chain, const ChainOptions& options)
    : chain_(std::move(chain)), options_(options), size_(disk_size(chain_.front())) {}

void ChainImage::resize(std::uint64_t bytes) {
  chain_.front().resize(bytes);
  size_.store(disk_size(chain_.front()), std::memory_order_release);
}

std::unique_ptr<BlockQueue> ChainImage::make_queue(unsigned depth) const {
  const ChainNode& top = chain_.front();
  if (top.qcow2 != nullptr) return make_qcow2_queue(*top.qcow2, depth);
  const HostFile& file = top.raw->file();
  if (file.raw() != nullptr) return file.raw()->make_queue(depth);
  return dynamic_cast<const QueueSource&>(file).make_queue(depth);
}

Chain ChainImage::exchange(Chain chain) noexcept {
  chain_.swap(chain);
  size_.store(disk_size(chain_.front()), std::memory_order_release);
  return chain;
}

std::unique_ptr<ChainImage> open_chain(std::vector<ChainLink> links, const ChainOptions& options) {
  if (links.empty()) throw Error(std::errc::invalid_argument, "a disk of no files");
  if (links.size() > kMaximumChainDepth)
    throw Error(std::errc::too_many_symbolic_link_levels, links.front().name + ": its chain has more than " +
                                                              std::to_string(kMaximumChainDepth) + " files");
  Identities seen;
  for (const ChainLink& link : links) {
    check_new(seen, link.descriptor, link.name);
    if (link.data) check_new(seen, link.data, link.name + " (external data)");
  }
  Chain chain(links.size());
  std::shared_ptr<Layer> below;
  while (!links.empty()) {
    const bool is_top = links.size() == 1;
    ChainNode& node = chain[links.size() - 1];
    node = open_node(std::move(links.back()), options, !is_top || options.read_only, std::move(below));
    below = node.layer;
    links.pop_back();
  }
  return std::make_unique<ChainImage>(std::move(chain), options);
}

}  // namespace warren::vmm::block
