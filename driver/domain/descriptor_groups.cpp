#include "driver/domain/descriptor_groups.h"

#include <cerrno>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>

#include "driver/contract/error.h"

namespace warren::driver::domain {

void DescriptorGroups::associate(const std::string& name, std::uint64_t connection,
                                 std::vector<vmm::FileDescriptor> descriptors) {
  if (groups_.size() >= kMostGroups && !groups_.contains(name)) {
    throw operation_failed(fmt::format(
        "the domain has {} groups of file descriptors, which is the most there can be", kMostGroups));
  }
  groups_[name] = {std::make_shared<const std::vector<vmm::FileDescriptor>>(std::move(descriptors)),
                   connection};
}

void DescriptorGroups::drop(std::uint64_t connection) noexcept {
  std::erase_if(groups_, [connection](const auto& each) { return each.second.connection == connection; });
}

DescriptorGroupMap DescriptorGroups::named_by(std::span<const config::Disk> disks) const {
  DescriptorGroupMap named;
  for (const config::Disk& disk : disks) {
    if (disk.descriptor_group.empty()) continue;
    const auto found = groups_.find(disk.descriptor_group);
    if (found == groups_.end()) {
      throw invalid_argument(fmt::format("file descriptor group '{}' was not associated with the domain",
                                         disk.descriptor_group));
    }
    named.emplace(disk.descriptor_group, found->second.descriptors);
  }
  return named;
}

vmm::FileDescriptor descriptor_for(const config::Disk& disk, const DescriptorGroup& group) {
  for (const vmm::FileDescriptor& descriptor : *group) {
    const int flags = ::fcntl(descriptor.get(), F_GETFL);
    if (flags < 0) continue;
    const int mode = flags & O_ACCMODE;
    if ((flags & O_PATH) == 0 && (mode == O_RDWR || (disk.read_only && mode == O_RDONLY)))
      return descriptor.duplicate();
  }
  throw Error(VIR_ERR_INVALID_ARG,
              fmt::format("disk {}: file descriptor group '{}' has none that is open for {}", disk.target,
                          disk.descriptor_group, disk.read_only ? "reading" : "reading and writing"));
}

}  // namespace warren::driver::domain
