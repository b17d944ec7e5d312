// Opening a disk's image and every image that it is backed by.
//
// Blocks (a file server may hang): pool threads only.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "driver/config/disk.h"
#include "driver/domain/disk_image.h"

namespace warren::driver::domain {

struct ChainImage {
  DiskImage image;
  config::BackingImage description;
  DiskImage data;  // a qcow2 image's external data file, where it has one
  std::string data_path;
};

// The disk's own image first. Below what its definition declares, and does not end, the headers of qcow2
// images say how the chain goes on; each must say the format of its backing file. All but the first are
// read-only and may be shared by readers; who writes one of them keeps the others out. Throws Error as
// open_disk_image() does, and VIR_ERR_OPERATION_INVALID for a chain that contains itself, is too long, or
// does not say its formats.
std::vector<ChainImage> open_disk_chain(const config::Disk& disk, const DescriptorGroupMap& groups);

// An image below that of a running disk, opened again for writing with what belongs to it; its worker is to
// take it over (reopen_disk_image()). Throws as open_disk_chain().
ChainImage reopen_chain_image(const config::Disk& disk, const config::BackingImage& image);

// How the image at the place `overlay` of a running disk's chain (0: the disk's own) can refer to the one at
// `base` by a relative name, as those between refer to each other. Throws OPERATION_INVALID where one does
// not.
std::string relative_backing_name(const config::Disk& disk, std::uint32_t overlay, std::uint32_t base);

// What is below the disk's own image, for its live definition.
std::vector<config::BackingImage> backing_of(const std::vector<ChainImage>& chain);

}  // namespace warren::driver::domain
