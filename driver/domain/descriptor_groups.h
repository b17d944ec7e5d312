// Descriptors that clients have associated with a domain under a name (virDomainFDAssociate): what a disk's
// <source fdgroup='…'> means. They belong to the connection that passed them and go with it; who has begun to
// use them keeps them.
//
// Loop's thread; what named_by() returns is for any.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "driver/config/disk.h"
#include "vmm-core/os/file_descriptor.h"

namespace warren::driver::domain {

using DescriptorGroup = std::shared_ptr<const std::vector<vmm::FileDescriptor>>;
using DescriptorGroupMap = std::map<std::string, DescriptorGroup>;

class DescriptorGroups {
 public:
  // In place of whatever was associated under that name. Throws Error when there are too many.
  void associate(const std::string& name, std::uint64_t connection,
                 std::vector<vmm::FileDescriptor> descriptors);
  void drop(std::uint64_t connection) noexcept;

  // Those that the disks name. Throws VIR_ERR_INVALID_ARG for one that nobody has associated.
  DescriptorGroupMap named_by(std::span<const config::Disk> disks) const;

  static constexpr std::size_t kMostGroups = 64;

 private:
  struct Entry {
    DescriptorGroup descriptors;
    std::uint64_t connection = 0;
  };
  std::map<std::string, Entry> groups_;
};

// A descriptor of the group that is open for what the disk does. Throws Error.
vmm::FileDescriptor descriptor_for(const config::Disk& disk, const DescriptorGroup& group);

}  // namespace warren::driver::domain
