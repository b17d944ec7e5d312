#include "driver/link/monitor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include "driver/link/bridge.h"
#include "driver/link/bridge_port.h"
#include "driver/link/link.h"
#include "driver/link/link_fixture.h"

namespace warren::driver::link {
namespace {

using testing::Contains;
using testing::ElementsAre;

using MonitorTest = LinkTest;

bool is_readable(const LinkMonitor& monitor) {
  pollfd wait{.fd = monitor.descriptor(), .events = POLLIN, .revents = 0};
  return ::poll(&wait, 1, 0) == 1;
}

TEST_F(MonitorTest, TellsWhatHappensToLinks) {
  said("ip link add v0 type veth peer name v1");
  create_bridge({.name = "br0"});
  LinkMonitor monitor(LinkMonitor::Watch::links);
  EXPECT_FALSE(is_readable(monitor));
  EXPECT_TRUE(monitor.read().empty());
  add_port("br0", "v0");
  EXPECT_TRUE(is_readable(monitor));
  EXPECT_THAT(monitor.read(), ElementsAre(LinkMoved{"v0", "br0"}));
  remove_port("v0");
  EXPECT_THAT(monitor.read(), ElementsAre(LinkMoved{"v0", ""}));
  said("ip link set v1 name other");
  EXPECT_THAT(monitor.read(), ElementsAre(LinkRenamed{"v1", "other"}));
  create_bridge({.name = "br1"});
  set_up("br1");
  EXPECT_THAT(monitor.read(), ElementsAre(LinkAdded{"br1"}));
  said("ip link delete v0");
  EXPECT_THAT(monitor.read(), testing::UnorderedElementsAre(LinkRemoved{"v0"}, LinkRemoved{"other"}));
  delete_bridge("br1");
  EXPECT_THAT(monitor.read(), ElementsAre(LinkRemoved{"br1"}));
}

TEST_F(MonitorTest, TellsOfPortsThatLeaveWithTheirBridge) {
  said("ip link add v0 type veth peer name v1");
  create_bridge({.name = "br0"});
  add_port("br0", "v0");
  LinkMonitor monitor(LinkMonitor::Watch::links);
  said("ip link delete br0");
  EXPECT_THAT(monitor.read(), testing::UnorderedElementsAre(LinkMoved{"v0", ""}, LinkRemoved{"br0"}));
}

TEST_F(MonitorTest, TellsOfNeighbours) {
  Host guest;
  guest.connect("tap0", "10.7.0.2/24", "52:54:00:00:00:42");
  add_address("tap0", {ip("10.7.0.1"), 24});
  LinkMonitor monitor(LinkMonitor::Watch::links_and_neighbours);
  EXPECT_TRUE(succeeds("ping -c 1 -W 1 10.7.0.2"));
  const Neighbour neighbour{ip("10.7.0.2"), {0x52, 0x54, 0, 0, 0, 0x42}};
  EXPECT_THAT(monitor.read(), Contains(NeighbourSeen{"tap0", neighbour}));
  said("ip neigh del 10.7.0.2 dev tap0");
  EXPECT_THAT(monitor.read(), Contains(NeighbourGone{"tap0", ip("10.7.0.2")}));
}

TEST_F(MonitorTest, FindsOutWhatItWasNotTold) {
  LinkMonitor monitor(LinkMonitor::Watch::links);
  said("ip link add lost type veth peer name lost1");
  EXPECT_THAT(monitor.read(), testing::UnorderedElementsAre(LinkAdded{"lost"}, LinkAdded{"lost1"}));
  int smallest = 1;
  ASSERT_EQ(::setsockopt(monitor.descriptor(), SOL_SOCKET, SO_RCVBUF, &smallest, sizeof smallest), 0);
  for (int i = 0; i < 100; ++i) {
    set_mtu("lo", 1000 + static_cast<std::uint32_t>(i));
  }
  said("ip link delete lost");
  EXPECT_THAT(monitor.read(), testing::UnorderedElementsAre(LinkRemoved{"lost"}, LinkRemoved{"lost1"}));
}

}  // namespace
}  // namespace warren::driver::link
