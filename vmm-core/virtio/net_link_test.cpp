// The network device and those who move packets in its place: what happens at the moment they begin.
#include <functional>

#include <gtest/gtest.h>

#include "vmm-core/virtio/fake_devices.h"

namespace warren::vmm::virtio {
namespace {

using namespace net_layout;

struct Mover {
  std::function<void()> lost, while_it_starts;
  bool takes_them = true, runs = false, link_up = false;
};

class FakeBackEnd final : public NetBackEnd {
 public:
  explicit FakeBackEnd(Mover& mover) : mover_(mover) {}
  std::uint64_t features() const noexcept override { return ~std::uint64_t{0}; }
  void on_loss(std::function<void()> lost) override { mover_.lost = std::move(lost); }
  bool start(const Activation&, std::uint16_t, bool link_up) noexcept override {
    if (mover_.while_it_starts) mover_.while_it_starts();
    mover_.runs = mover_.takes_them;
    if (mover_.runs) mover_.link_up = link_up;
    return mover_.runs;
  }
  void stop() noexcept override { mover_.runs = false; }
  void set_link(bool up) noexcept override {
    if (mover_.runs) mover_.link_up = up;
  }
  void set_pairs(std::uint16_t) noexcept override {}
  void inspect(InspectNode&) const override {}

 private:
  Mover& mover_;
};

class NetLinkTest : public testing::Test {
 protected:
  NetLinkTest()
      : guest_(std::make_unique<Net>("net", std::vector<std::unique_ptr<net::Wire>>{}, NetOptions{.pairs = 1},
                                     counters_, std::vector<EventThread*>{&thread_},
                                     std::make_unique<FakeBackEnd>(mover_))) {}
  Net& device() { return dynamic_cast<Net&>(guest_.transport().device()); }
  bool shows_link() { return (guest_.get<std::uint16_t>(FakeGuest::kDevice + 6) & kLinkUp) != 0; }
  bool start() { return guest_.start(kMac | kStatus | kControlQueue); }
  bool was_told() { return (guest_.get<std::uint8_t>(FakeGuest::kIsr) & 2) != 0; }

  EventThread thread_{"net-link-test"};
  NetCounters counters_{};
  Mover mover_;
  FakeGuest guest_;
};

TEST_F(NetLinkTest, ACableThatIsPulledWhileTheBackEndStartsIsOut) {
  mover_.while_it_starts = [this] { device().set_link(false); };
  ASSERT_TRUE(start());
  EXPECT_TRUE(mover_.runs);
  EXPECT_FALSE(mover_.link_up);
  EXPECT_FALSE(shows_link());
  mover_.while_it_starts = [this] { device().set_link(true); };
  ASSERT_TRUE(start());
  EXPECT_TRUE(mover_.link_up);
  EXPECT_TRUE(shows_link());
}

TEST_F(NetLinkTest, ABackEndThatIsLostWhileItStartsStaysLost) {
  mover_.while_it_starts = [this] { mover_.lost(); };
  ASSERT_TRUE(start());
  EXPECT_FALSE(shows_link());
  EXPECT_TRUE(was_told());
  mover_.while_it_starts = {};
  ASSERT_TRUE(start());
  EXPECT_TRUE(shows_link());
  EXPECT_TRUE(was_told());
}

TEST_F(NetLinkTest, WithoutABackEndTheCableIsOut) {
  mover_.takes_them = false;
  ASSERT_TRUE(start());
  EXPECT_FALSE(shows_link());
  EXPECT_TRUE(was_told());
  ASSERT_TRUE(start());
  EXPECT_FALSE(shows_link());
  EXPECT_FALSE(was_told()) << "it was so before";
  mover_.takes_them = true;
  ASSERT_TRUE(start());
  EXPECT_TRUE(shows_link());
  EXPECT_TRUE(was_told());
}

}  // namespace
}  // namespace warren::vmm::virtio
