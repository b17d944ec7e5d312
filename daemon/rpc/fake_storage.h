// One pool with one volume, of plain values, for the tests of the layer above the contract.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "driver/contract/storage.h"

namespace warren::daemon::rpc {

class FakeStorage : public driver::StorageDriver {
  using Caller = driver::Caller;
  using Uuid = driver::Uuid;

 public:
  driver::PoolHandle pool{.name = "pool", .uuid = {{4, 5, 6}}};
  driver::VolumeHandle volume{.pool = "pool", .name = "volume", .key = "/volume"};
  std::map<SubscriptionId, Handler> handlers;

  std::vector<driver::PoolHandle> list_pools(const Caller&, unsigned int) const override { return {pool}; }
  driver::PoolHandle pool_by_name(const Caller&, const std::string&) const override { return pool; }
  driver::PoolHandle pool_by_uuid(const Caller&, const Uuid&) const override { return pool; }
  driver::PoolHandle pool_by_target_path(const Caller&, const std::string&) const override { return pool; }
  driver::PoolInfo pool_info(const Caller&, const Uuid&) const override {
    return {.state = VIR_STORAGE_POOL_RUNNING, .capacity = 3, .allocation = 2, .available = 1};
  }
  std::string pool_xml(const Caller&, const Uuid&, unsigned int) const override { return "<pool/>"; }
  bool pool_is_active(const Caller&, const Uuid&) const override { return true; }
  bool pool_is_persistent(const Caller&, const Uuid&) const override { return true; }
  bool pool_autostart(const Caller&, const Uuid&) const override { return true; }
  std::string pool_capabilities(const Caller&, unsigned int) const override { return "<x/>"; }
  void create_pool(const Caller&, std::string, unsigned int,
                   driver::Completion<driver::PoolHandle> done) override {
    done(pool);
  }
  void define_pool(const Caller&, std::string, unsigned int,
                   driver::Completion<driver::PoolHandle> done) override {
    done(pool);
  }
  void undefine_pool(const Caller&, const Uuid&, driver::Completion<void> done) override { done({}); }
  void start_pool(const Caller&, const Uuid&, unsigned int, driver::Completion<void> done) override {
    done({});
  }
  void stop_pool(const Caller&, const Uuid&, driver::Completion<void> done) override { done({}); }
  void build_pool(const Caller&, const Uuid&, unsigned int, driver::Completion<void> done) override {
    done({});
  }
  void delete_pool(const Caller&, const Uuid&, unsigned int, driver::Completion<void> done) override {
    done({});
  }
  void refresh_pool(const Caller&, const Uuid&, unsigned int, driver::Completion<void> done) override {
    done({});
  }
  void set_pool_autostart(const Caller&, const Uuid&, bool, driver::Completion<void> done) override {
    done({});
  }
  void find_pool_sources(const Caller&, std::string, std::optional<std::string>, unsigned int,
                         driver::Completion<std::string> done) override {
    done("<sources/>");
  }
  SubscriptionId subscribe(int, std::optional<Uuid>, Handler handler) override {
    handlers[++last_] = std::move(handler);
    return last_;
  }
  void unsubscribe(SubscriptionId id) noexcept override { handlers.erase(id); }

  std::vector<driver::VolumeHandle> list_volumes(const Caller&, const Uuid&, unsigned int) const override {
    return std::vector<driver::VolumeHandle>(volumes, volume);
  }
  driver::VolumeHandle volume_by_name(const Caller&, const Uuid&, const std::string&) const override {
    return volume;
  }
  driver::VolumeHandle volume_by_key(const Caller&, const std::string&) const override { return volume; }
  driver::VolumeHandle volume_by_path(const Caller&, const std::string&) const override { return volume; }
  driver::VolumeInfo volume_info(const Caller&, const driver::VolumeHandle&, unsigned int) const override {
    return {.capacity = 3, .allocation = 2};
  }
  std::string volume_xml(const Caller&, const driver::VolumeHandle&, unsigned int) const override {
    return "<volume/>";
  }
  std::string volume_path(const Caller&, const driver::VolumeHandle&) const override { return "/volume"; }
  void create_volume(const Caller&, const Uuid&, std::string, unsigned int,
                     driver::Completion<driver::VolumeHandle> done) override {
    done(volume);
  }
  void clone_volume(const Caller&, const Uuid&, std::string, const driver::VolumeHandle&, unsigned int,
                    driver::Completion<driver::VolumeHandle> done) override {
    done(volume);
  }
  void delete_volume(const Caller&, const driver::VolumeHandle&, unsigned int,
                     driver::Completion<void> done) override {
    done({});
  }
  void resize_volume(const Caller&, const driver::VolumeHandle&, std::uint64_t, unsigned int,
                     driver::Completion<void> done) override {
    done({});
  }
  void wipe_volume(const Caller&, const driver::VolumeHandle&, unsigned int, unsigned int,
                   driver::Completion<void> done) override {
    done({});
  }
  std::unique_ptr<driver::Stream> upload_volume(const Caller&, const driver::VolumeHandle&, std::uint64_t,
                                                std::uint64_t, unsigned int) override {
    throw driver::Error(VIR_ERR_NO_SUPPORT, "no data here", VIR_FROM_STORAGE);
  }
  std::unique_ptr<driver::Stream> download_volume(const Caller&, const driver::VolumeHandle&, std::uint64_t,
                                                  std::uint64_t, unsigned int) override {
    throw driver::Error(VIR_ERR_NO_SUPPORT, "no data here", VIR_FROM_STORAGE);
  }
  void connection_closed(std::uint64_t connection_id) override { closed = connection_id; }

  std::size_t volumes = 1;
  std::uint64_t closed = 0;

 private:
  SubscriptionId last_ = 0;
};

}  // namespace warren::daemon::rpc
