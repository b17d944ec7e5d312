// The image of a disk, and all that it is backed by, made of the descriptors that came for it.
#pragma once

#include <memory>
#include <vector>

#include "vmm-core/block/chain.h"
#include "vmm-core/control/machine_specification.h"
#include "vmm-core/control/media.h"

namespace warren::vmm::worker {

// Takes the image's descriptors; `name` is for messages. Throws Error when one is missing.
block::ChainLink take_link(const control::BackingSpecification& image, const std::string& name,
                           control::DescriptorSet& descriptors);
// Takes the disk's descriptors. Throws Error when one is missing.
std::vector<block::ChainLink> take_chain(const control::DiskSpecification& disk,
                                         control::DescriptorSet& descriptors);
// Throws Error naming the disk.
std::unique_ptr<block::ChainImage> open_image(const control::DiskSpecification& disk,
                                              std::vector<block::ChainLink> links);

}  // namespace warren::vmm::worker
