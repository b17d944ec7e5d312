#include "vmm-core/vfio/container.h"

#include <cerrno>
#include <utility>

#include <linux/vfio.h>
#include <sys/ioctl.h>

#include "vmm-core/os/error.h"

namespace warren::vmm::vfio {
namespace {

void check_container(const FileDescriptor& file) {
  if (!file) throw Error(std::errc::bad_file_descriptor, "the machine has no VFIO container, and got none");
  const int version = ::ioctl(file.get(), VFIO_GET_API_VERSION);
  if (version != VFIO_API_VERSION)
    throw Error(std::errc::protocol_not_supported, "this is no VFIO container of API version 0");
  if (::ioctl(file.get(), VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU) <= 0)
    throw Error(std::errc::not_supported, "the host's VFIO has no IOMMU of type 1; load vfio_iommu_type1");
}

void put_into(int group, int container) {
  if (::ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) != 0) throw_errno("VFIO_GROUP_SET_CONTAINER");
}

}  // namespace

Container::Container(FileDescriptor file, int first_group, DmaMap& memory)
    : file_(std::move(file)), memory_(memory) {
  check_container(file_);
  put_into(first_group, file_.get());
  try {
    if (::ioctl(file_.get(), VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) != 0) throw_errno("VFIO_SET_IOMMU");
    memory_.set_target(this);
  } catch (...) {
    (void)::ioctl(first_group, VFIO_GROUP_UNSET_CONTAINER);
    throw;
  }
}

// Its groups are gone, and with the last of them all mappings.
Container::~Container() {
  memory_.set_target(nullptr);
}

bool Container::map(GuestAddress start, std::uint64_t size, std::byte* host) noexcept {
  vfio_iommu_type1_dma_map request{};
  request.argsz = sizeof request;
  request.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;
  request.vaddr = reinterpret_cast<std::uint64_t>(host);  // VFIO takes the address as a number
  request.iova = start.value;
  request.size = size;
  return ::ioctl(file_.get(), VFIO_IOMMU_MAP_DMA, &request) == 0;
}

void Container::unmap(GuestAddress start, std::uint64_t size) noexcept {
  vfio_iommu_type1_dma_unmap request{};
  request.argsz = sizeof request;
  request.iova = start.value;
  request.size = size;
  (void)::ioctl(file_.get(), VFIO_IOMMU_UNMAP_DMA, &request);
}

Group::Group(FileDescriptor file, std::shared_ptr<Container> container, GroupListener listener)
    : file_(std::move(file)), container_(std::move(container)), listener_(std::move(listener)) {
  if (listener_) listener_(file_.get(), true);
}

Group::~Group() {
  if (listener_) listener_(file_.get(), false);
  (void)::ioctl(file_.get(), VFIO_GROUP_UNSET_CONTAINER);
}

std::unique_ptr<DeviceFile> Group::open(const std::string& device) const {
  FileDescriptor file(::ioctl(file_.get(), VFIO_GROUP_GET_DEVICE_FD, device.c_str()));
  if (!file) throw_errno(device + ": VFIO_GROUP_GET_DEVICE_FD");
  return std::make_unique<KernelDeviceFile>(std::move(file));
}

std::shared_ptr<Group> GroupTable::take(std::uint32_t number, FileDescriptor group, FileDescriptor container,
                                        DmaMap& memory, const GroupListener& listener) {
  auto& known = groups_[number];
  if (auto there = known.lock()) return there;
  const std::string name = "IOMMU group " + std::to_string(number);
  if (!group)
    throw Error(std::errc::bad_file_descriptor, name + ": the machine does not have it, and got none");
  vfio_group_status status{};
  status.argsz = sizeof status;
  if (::ioctl(group.get(), VFIO_GROUP_GET_STATUS, &status) != 0)
    throw_errno(name + ": VFIO_GROUP_GET_STATUS");
  if ((status.flags & VFIO_GROUP_FLAGS_VIABLE) == 0)
    throw Error(std::errc::device_or_resource_busy,
                name + " is not viable: a driver of the host has a device of it");
  auto shared = container_.lock();
  if (shared) {
    put_into(group.get(), shared->descriptor());
  } else {
    shared = std::make_shared<Container>(std::move(container), group.get(), memory);
    container_ = shared;
  }
  auto made = std::make_shared<Group>(std::move(group), std::move(shared), listener);
  known = made;
  return made;
}

}  // namespace warren::vmm::vfio
