#include "vmm-core/worker/disk_image.h"

#include <string>
#include <utility>

#include "vmm-core/worker/worker.h"

namespace warren::vmm::worker {
namespace {

block::ImageFormat format_of(control::ImageFormat format) {
  return format == control::ImageFormat::qcow2 ? block::ImageFormat::qcow2 : block::ImageFormat::raw;
}

}  // namespace

block::ChainLink take_link(const control::BackingSpecification& image, const std::string& name,
                           control::DescriptorSet& descriptors) {
  block::ChainLink link{.descriptor = take(descriptors, image.descriptor),
                        .name = name,
                        .format = format_of(image.format),
                        .direct = image.direct,
                        .alignment = image.direct_alignment,
                        .data = {}};
  if (!image.data_descriptor.empty()) link.data = take(descriptors, image.data_descriptor);
  if (image.nbd) link.nbd = block::NbdExport{image.nbd->export_name};
  return link;
}

std::vector<block::ChainLink> take_chain(const control::DiskSpecification& disk,
                                         control::DescriptorSet& descriptors) {
  std::vector<block::ChainLink> links;
  links.push_back(take_link(
      {disk.descriptor, disk.format, disk.data_descriptor, disk.direct, disk.direct_alignment, disk.nbd},
      disk.id, descriptors));
  // No path is known here: the place in the chain says which it is.
  for (const control::BackingSpecification& image : disk.backing)
    links.push_back(
        take_link(image, disk.id + ", backing image " + std::to_string(links.size()), descriptors));
  return links;
}

std::unique_ptr<block::ChainImage> open_image(const control::DiskSpecification& disk,
                                              std::vector<block::ChainLink> links,
                                              std::function<void()> thread_started) {
  return block::open_chain(std::move(links), {.read_only = disk.read_only,
                                              .discard = disk.discard,
                                              .copy_on_read = disk.copy_on_read,
                                              .sync = disk.flush != control::FlushPolicy::ignore,
                                              .use_io_uring = disk.engine == control::DiskEngine::io_uring,
                                              .block_size = disk.logical_block_size,
                                              .thread_started = std::move(thread_started)});
}

}  // namespace warren::vmm::worker
