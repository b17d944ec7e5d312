// The calls about pools and volumes.

#include <gtest/gtest.h>

#include "daemon/rpc/memory_transport.h"
#include "daemon/rpc/protocol/connect.h"
#include "daemon/rpc/protocol/event.h"
#include "daemon/rpc/protocol/storage_pool.h"
#include "daemon/rpc/protocol/storage_volume.h"

namespace warren::daemon::rpc {
namespace {

struct StorageHarness : SessionHarness {
  StorageHarness() {
    call_with(1, protocol::ConnectOpenArgs{.name = "warren:///system"});
    take();
  }
};

TEST(Storage, ListsAndLooksUp) {
  StorageHarness harness;
  harness.call_with(281, protocol::ConnectListAllStoragePoolsArgs{.need_results = 1});
  auto pools = harness.take_result<protocol::ConnectListAllStoragePoolsResult>();
  ASSERT_EQ(pools.pools.size(), 1U);
  EXPECT_EQ(pools.pools[0].name, "pool");
  harness.call_with(72, protocol::ConnectListStoragePoolsArgs{.maxnames = 0});
  EXPECT_TRUE(harness.take_result<protocol::ConnectListStoragePoolsResult>().names.empty());
  harness.call_with(87, protocol::StoragePoolGetInfoArgs{});
  EXPECT_EQ(harness.take_result<protocol::StoragePoolGetInfoResult>().available, 1U);
  harness.call_with(282, protocol::StoragePoolListAllVolumesArgs{.need_results = 1});
  auto volumes = harness.take_result<protocol::StoragePoolListAllVolumesResult>();
  ASSERT_EQ(volumes.vols.size(), 1U);
  EXPECT_EQ(volumes.vols[0].key, "/volume");
}

// T16: more than an answer can hold is an error and not a broken answer.
TEST(Storage, TooManyVolumesAreAnError) {
  StorageHarness harness;
  harness.storage.volumes = 20'000;
  harness.call_with(282, protocol::StoragePoolListAllVolumesArgs{.need_results = 1});
  EXPECT_EQ(harness.take_error().code, VIR_ERR_RPC);
  harness.call_with(91, protocol::StoragePoolNumOfVolumesArgs{});
  EXPECT_EQ(harness.take_result<protocol::StoragePoolNumOfVolumesResult>().num, 20'000);
}

TEST(Storage, EventsReachTheirCallbackAndTheEndIsTold) {
  StorageHarness harness;
  harness.call_with(368, protocol::ConnectStoragePoolEventRegisterAnyArgs{.event_id = 0});
  harness.take();
  harness.storage.handlers.at(1)({.pool = harness.storage.pool, .event = VIR_STORAGE_POOL_EVENT_STARTED});
  EXPECT_EQ(harness.take().header.procedure, 370U);
  harness.storage.handlers.at(1)({.pool = harness.storage.pool, .id = VIR_STORAGE_POOL_EVENT_ID_REFRESH});
  EXPECT_EQ(harness.take().header.procedure, 373U);
  harness.session->on_closed();
  EXPECT_TRUE(harness.storage.handlers.empty());
  EXPECT_EQ(harness.storage.closed, 42U);
}

TEST(Storage, ADaemonWithoutItSaysSo) {
  StorageHarness harness;
  harness.services.storage = nullptr;
  harness.call(71);
  EXPECT_EQ(harness.take_error().code, VIR_ERR_NO_SUPPORT);
  harness.call_with(78, protocol::StoragePoolCreateArgs{});  // answered later, where there is one
  EXPECT_EQ(harness.take_error().code, VIR_ERR_NO_SUPPORT);
}

}  // namespace
}  // namespace warren::daemon::rpc
