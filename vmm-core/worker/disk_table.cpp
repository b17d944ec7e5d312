#include "vmm-core/worker/disk_table.h"

#include <algorithm>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include "vmm-core/os/error.h"

namespace warren::vmm::worker {
namespace {

block::ThrottleLimit limit_of(const control::DiskLimit& limit) {
  return {limit.rate, limit.burst, limit.burst_seconds};
}

}  // namespace

block::Disk& DiskTable::find(const std::string& id) const {
  const auto found = devices_.find(id);
  if (found == devices_.end()) throw Error(std::errc::no_such_device, "disk '" + id + "'");
  return *found->second;
}

control::DiskSizes DiskTable::sizes() const {
  control::DiskSizes all;
  for (const auto& [id, device] : devices_) all.disks.push_back({id, device->size()});
  return all;
}

std::vector<control::StalledDisk> DiskTable::stalled() const {
  std::vector<control::StalledDisk> list;
  for (const auto& [id, device] : devices_) {
    if (const int error = device->stalled_error()) list.push_back({id, error});
  }
  return list;
}

block::Throttle& DiskTable::throttle_for(const std::string& id, const control::DiskLimits& limits) {
  const std::string name = limits.group.empty() ? "disk " + id : "group " + limits.group;
  used_.erase(id);
  auto found = std::find_if(throttles_.begin(), throttles_.end(),
                            [&](const auto& shared) { return shared->name == name; });
  if (found == throttles_.end()) {
    // A device's thread may still look at what it had before, so none is ever freed; one that no disk uses
    // any more gets the new name instead, and there are never more than disks and one.
    found = std::find_if(throttles_.begin(), throttles_.end(), [&](const auto& shared) {
      return std::none_of(used_.begin(), used_.end(),
                          [&](const auto& use) { return use.second == shared->name; });
    });
  }
  if (found == throttles_.end()) found = throttles_.insert(found, std::make_unique<Shared>());
  (*found)->name = name;
  used_[id] = name;
  (*found)->throttle.set({.total_bytes = limit_of(limits.total_bytes),
                          .read_bytes = limit_of(limits.read_bytes),
                          .write_bytes = limit_of(limits.write_bytes),
                          .total_operations = limit_of(limits.total_operations),
                          .read_operations = limit_of(limits.read_operations),
                          .write_operations = limit_of(limits.write_operations),
                          .operation_bytes = limits.operation_bytes});
  // Whoever waits in the same line looks again.
  for (const auto& [other, shared] : used_) {
    const auto device = devices_.find(other);
    if (shared == name && device != devices_.end()) device->second->set_throttle(&(*found)->throttle);
  }
  return (*found)->throttle;
}

void DiskTable::disk_has_news(block::Disk& device) noexcept {
  try {
    boost::asio::post(loop_, [this, device = &device] {
      const auto found = std::find_if(devices_.begin(), devices_.end(),
                                      [&](const auto& each) { return each.second == device; });
      if (found != devices_.end()) handler_(*device);
    });
  } catch (const std::exception&) {
    // No memory for one small message: the guest's requests wait, and a resume tries them again.
  }
}

void DiskTable::disk_goes(block::Disk& device) noexcept {
  gone_(device.name());
  std::erase_if(devices_, [&](const auto& each) { return each.second == &device; });
  used_.erase(device.name());
}

}  // namespace warren::vmm::worker
