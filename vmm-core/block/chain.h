// A disk made of several files: an image of some format on the files that it is backed by.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "vmm-core/block/image.h"
#include "vmm-core/os/file_descriptor.h"

namespace warren::vmm::block {

enum class ImageFormat : std::uint8_t { raw, qcow2 };

// One file of a chain, with the format that somebody who is to be trusted said it has: it is never guessed,
// since the first bytes of a raw image are the guest's (class T32).
struct ChainLink {
  FileDescriptor descriptor;
  std::string name;  // for messages
  ImageFormat format = ImageFormat::raw;
  bool direct = false;  // opened with O_DIRECT
  std::uint32_t alignment = 512;
  FileDescriptor data;  // the external data file of a qcow2 image that has one
};

struct ChainOptions {
  bool read_only = false;
  bool discard = false;  // space that an image has no use for goes back to the host
  bool use_io_uring = true;
  std::uint64_t cache_bytes = std::uint64_t{4} << 20;  // of each image's mapping, at most
};

inline constexpr std::size_t kMaximumChainDepth = 200;  // as libvirt has it

// `links` from the top, which is written unless the options forbid it, to the bottom, all of which are only
// read. A qcow2 image without another below it reads zeros where nothing was written, whatever its header
// says: the chain is what the caller says it is. Throws Error: a file that is in the chain twice (by device
// and inode), a raw image with something below it, more than kMaximumChainDepth links, or what is wrong with
// an image.
std::unique_ptr<Image> open_chain(std::vector<ChainLink> links, const ChainOptions& options);

}  // namespace warren::vmm::block
