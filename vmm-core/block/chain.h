// A disk made of several files: an image of some format on the files that it is backed by.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "vmm-core/block/host_file.h"
#include "vmm-core/block/image.h"
#include "vmm-core/block/layer.h"
#include "vmm-core/os/file_descriptor.h"

namespace warren::vmm::block {

namespace qcow2 {
class File;
}
class RawLayer;

enum class ImageFormat : std::uint8_t { raw, qcow2 };

// The export of an NBD server.
struct NbdExport {
  std::string name;  // may be empty: the server's default
};

// One file of a chain, with the format that somebody who is to be trusted said it has: it is never guessed,
// since the first bytes of a raw image are the guest's (class T32).
struct ChainLink {
  FileDescriptor descriptor;
  std::string name;  // for messages
  ImageFormat format = ImageFormat::raw;
  bool direct = false;  // opened with O_DIRECT
  std::uint32_t alignment = 512;
  FileDescriptor data;                // the external data file of a qcow2 image that has one
  std::optional<NbdExport> nbd = {};  // the descriptor is a socket that is connected to its server
};

struct ChainOptions {
  bool read_only = false;
  bool discard = false;  // space that an image has no use for goes back to the host
  // What is read from below the top becomes the top's own. Of a raw image, which has nothing below: nothing.
  bool copy_on_read = false;
  // Whether anything is ever synced: else a flush does nothing, and so does the order that metadata needs to
  // survive a loss of power (cache='unsafe').
  bool sync = true;
  bool use_io_uring = true;
  std::uint32_t block_size = 512;                      // of the disk: what its requests are multiples of
  std::function<void()> thread_started;                // or none; first thing on a thread of an image's own
  std::uint64_t cache_bytes = std::uint64_t{4} << 20;  // of each image's mapping, at most
};

inline constexpr std::size_t kMaximumChainDepth = 200;  // as libvirt has it

// One image of a chain that is open. What is below it keeps what it needs of that alive by itself.
struct ChainNode {
  std::string name;
  std::shared_ptr<Layer> layer;
  qcow2::File* qcow2 = nullptr;  // the layer, when it is one
  RawLayer* raw = nullptr;       // else this

  // These wait; 0 or an errno. Of an image that was opened for writing.
  int write(std::uint64_t offset, std::uint64_t length, Scatter& from) const noexcept;
  int zero(std::uint64_t offset, std::uint64_t length, bool may_unmap) const noexcept;
  int flush() const noexcept;
  void resize(std::uint64_t bytes) const;  // throws Error
};
using Chain = std::vector<ChainNode>;  // from the top

// One link, above `backing` or none. Throws Error.
ChainNode open_node(ChainLink link, const ChainOptions& options, bool read_only,
                    std::shared_ptr<Layer> backing);
// The node's files once more, with nothing known of what was in them, and only to be read. Throws Error.
ChainNode open_again(const ChainNode& node, const ChainOptions& options, std::shared_ptr<Layer> backing);

// A disk on a chain. The chain may be another one while nothing is under way (Disk, DiskHold).
class ChainImage final : public Image {
 public:
  // Not empty, and each above the next.
  ChainImage(Chain chain, const ChainOptions& options);

  std::uint64_t size() const noexcept override { return size_.load(std::memory_order_acquire); }
  bool read_only() const noexcept override { return options_.read_only; }
  void resize(std::uint64_t bytes) override;
  std::unique_ptr<BlockQueue> make_queue(unsigned depth) const override;

  const ChainOptions& options() const noexcept { return options_; }
  // For whoever holds the disk, or sees to it by other means that nobody else changes it.
  const Chain& chain() const noexcept { return chain_; }
  // The size is the new top's. Queues that were made before are not used again, and go before what is
  // returned.
  Chain exchange(Chain chain) noexcept;

 private:
  Chain chain_;
  const ChainOptions options_;
  std::atomic<std::uint64_t> size_;
};

// `links` from the top, which is written unless the options forbid it, to the bottom, all of which are only
// read. A qcow2 image without another below it reads zeros where nothing was written, whatever its header
// says: the chain is what the caller says it is. Throws Error: a file that is in the chain twice (by device
// and inode), a raw image with something below it, more than kMaximumChainDepth links, or what is wrong with
// an image.
std::unique_ptr<ChainImage> open_chain(std::vector<ChainLink> links, const ChainOptions& options);

}  // namespace warren::vmm::block
