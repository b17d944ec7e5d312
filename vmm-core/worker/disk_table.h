// The machine's disks by their ids, the limits they share, and how news of them gets from their threads to
// the control thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "vmm-core/block/disk.h"
#include "vmm-core/control/disks.h"

namespace boost::asio {
class io_context;
}

namespace warren::vmm::worker {

// Control thread, but for disk_has_news(). Outlives the devices.
class DiskTable final : public block::DiskListener {
 public:
  using NewsHandler = std::function<void(block::Disk&)>;
  using GoneHandler = std::function<void(const std::string& id)>;
  // `gone` is told of each disk while it still stands.
  DiskTable(boost::asio::io_context& loop, NewsHandler handler, GoneHandler gone)
      : loop_(loop), handler_(std::move(handler)), gone_(std::move(gone)) {}

  void add(block::Disk& device) { devices_[device.name()] = &device; }
  // What was kept for a disk whose device was not made, or is gone.
  void forget(const std::string& id) { used_.erase(id); }
  // Throws Error.
  block::Disk& find(const std::string& id) const;
  std::vector<control::StalledDisk> stalled() const;
  control::DiskSizes sizes() const;

  // The limits that a disk is to have from now on, its own or its group's; both stay where they are.
  block::Throttle& throttle_for(const std::string& id, const control::DiskLimits& limits);

  void disk_has_news(block::Disk& device) noexcept override;
  void disk_goes(block::Disk& device) noexcept override;

 private:
  struct Shared {
    std::string name;  // "disk ID" or "group NAME"
    block::Throttle throttle;
  };

  boost::asio::io_context& loop_;
  NewsHandler handler_;
  GoneHandler gone_;
  std::map<std::string, block::Disk*> devices_;
  std::map<std::string, std::string> used_;  // the throttle of each disk, by the disk's id
  std::vector<std::unique_ptr<Shared>> throttles_;
};

}  // namespace warren::vmm::worker
