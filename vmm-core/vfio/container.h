// IOMMU groups of assigned devices and the one address space that all of a machine's devices share: VFIO's
// legacy container of type 1 (Documentation/driver-api/vfio.rst). Groups come opened by somebody else.
//
// DEVNOTE: a kernel with iommufd hands out devices without groups (VFIO_DEVICE_BIND_IOMMUFD). Its place is
// beside Group: something that a device holds, opens itself from and is a DmaTarget by. The kernels that
// Warren is built for have no such interface.
//
// Control thread; map() and unmap() any.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "vmm-core/memory/dma_map.h"
#include "vmm-core/os/file_descriptor.h"
#include "vmm-core/vfio/device_file.h"

namespace warren::vmm::vfio {

// Devices in it reach what is in the DmaMap, all of it and nothing else, from its making to its end.
class Container final : public DmaTarget {
 public:
  // `first_group` is put into it: without one there is no IOMMU. Throws Error, and then both are as before.
  Container(FileDescriptor file, int first_group, DmaMap& memory);
  Container(const Container&) = delete;
  Container& operator=(const Container&) = delete;
  ~Container();

  int descriptor() const noexcept { return file_.get(); }

  bool map(GuestAddress start, std::uint64_t size, std::byte* host) noexcept override;
  void unmap(GuestAddress start, std::uint64_t size) noexcept override;

 private:
  const FileDescriptor file_;
  DmaMap& memory_;
};

// Told of a group that comes, and before it goes: KVM wants to know.
using GroupListener = std::function<void(int group, bool present)>;

// Held by its devices; goes with the last of them, and then the host may use its devices again.
class Group {
 public:
  Group(FileDescriptor file, std::shared_ptr<Container> container, GroupListener listener);
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;
  ~Group();

  // By its address: "0000:01:00.0". Throws Error.
  std::unique_ptr<DeviceFile> open(const std::string& device) const;

 private:
  const FileDescriptor file_;
  const std::shared_ptr<Container> container_;
  const GroupListener listener_;
};

// The groups of one machine.
class GroupTable {
 public:
  // The group of that number: one that is there, or else made from `group` and, where the machine has no
  // container yet, `container`. What is not needed is closed. While neither a vCPU nor a device runs. Throws
  // Error.
  std::shared_ptr<Group> take(std::uint32_t number, FileDescriptor group, FileDescriptor container,
                              DmaMap& memory, const GroupListener& listener);

 private:
  std::map<std::uint32_t, std::weak_ptr<Group>> groups_;
  std::weak_ptr<Container> container_;
};

}  // namespace warren::vmm::vfio
