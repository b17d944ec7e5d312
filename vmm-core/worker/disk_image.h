// The image of a disk, and all that it is backed by, made of the descriptors that came for it.
#pragma once

#include <functional>
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
// `thread_started` (or none) is called on each thread that an image has of its own. Throws Error naming the
// disk. Waits for the server of an image that has one.
std::unique_ptr<block::ChainImage> open_image(const control::DiskSpecification& disk,
                                              std::vector<block::ChainLink> links,
                                              std::function<void()> thread_started);

}  // namespace warren::vmm::worker
