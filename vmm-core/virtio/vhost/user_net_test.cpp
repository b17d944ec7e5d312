// Networks of another program over vhost-user, which a test plays.
#include "vmm-core/virtio/vhost/user_net.h"

#include <gtest/gtest.h>

#include "vmm-core/os/error.h"
#include "vmm-core/virtio/fake_guest.h"
#include "vmm-core/virtio/net.h"
#include "vmm-core/virtio/net_layout.h"
#include "vmm-core/virtio/vhost/fake_back_end.h"

namespace warren::vmm::virtio::vhost {
namespace {

using namespace net_layout;

class UserNetTest : public testing::Test {
 protected:
  static constexpr std::uint64_t kPacket = FakeGuest::kBuffers, kReceived = kPacket + 0x1000,
                                 kCommand = kPacket + 0x2000, kAnswer = kPacket + 0x2100;

  void connect(FakeBackEnd::Nature nature = FakeBackEnd::sound_network(), std::uint16_t pairs = 1) {
    back_end_ = std::make_unique<FakeBackEnd>(std::move(nature));
    guest_ = std::make_unique<FakeGuest>(make_device(*back_end_, pairs), &memory_);
  }
  std::unique_ptr<Device> make_device(FakeBackEnd& back_end, std::uint16_t pairs = 1) {
    UserNetOptions options{.pairs = pairs, .patience = patience_};
    options.lost = [this](int error) {
      ++losses_;
      lost_for_.store(error);
    };
    auto packets = std::make_unique<UserNet>("net0", back_end.connect(), options, memory_, thread_);
    return std::make_unique<Net>("net0", std::vector<std::unique_ptr<net::Wire>>{},
                                 NetOptions{.mac = {2, 0, 0, 0, 0, 1}, .packed = true, .pairs = pairs},
                                 counters_, std::vector<EventThread*>{&thread_}, std::move(packets));
  }
  std::string refusal(FakeBackEnd::Nature nature, std::uint16_t pairs = 1) {
    FakeBackEnd back_end(std::move(nature));
    try {
      make_device(back_end, pairs);
    } catch (const Error& error) {
      return error.what();
    }
    return {};
  }
  void start() { ASSERT_TRUE(guest_->start(~std::uint64_t{0})); }
  // A packet there and back.
  bool echoes(std::size_t pair = 0) {
    static std::uint64_t mark = 0;
    static_cast<void>(memory_.write_object({kPacket + 32}, ++mark));
    guest_->queue(2 * pair).offer({{kReceived, 128, true}});
    guest_->queue(2 * pair + 1).offer({{kPacket, 100, false}});
    guest_->kick(2 * pair + 1);
    const auto sent = guest_->wait_used(2 * pair + 1, 1000), got = guest_->wait_used(2 * pair, 1000);
    return sent && got && got->length == 100 && memory_.read_object<std::uint64_t>({kReceived + 32}) == mark;
  }
  std::uint8_t set_pairs(std::uint8_t count) {
    static_cast<void>(memory_.write_object({kCommand}, std::array<std::uint8_t, 4>{4, 0, count, 0}));
    const std::size_t control = guest_->queue_count() - 1;
    if (!guest_->request(control, {{kCommand, 4, false}, {kAnswer, 1, true}})) return 0xff;
    return memory_.read_object<std::uint8_t>({kAnswer}).value();
  }
  Net& device() { return dynamic_cast<Net&>(guest_->transport().device()); }
  bool link_is_up() { return (guest_->get<std::uint16_t>(FakeGuest::kDevice + 6) & kLinkUp) != 0; }

  std::chrono::milliseconds patience_{10000};
  EventThread thread_{"vhost-user-test"};
  GuestMemory memory_{FakeGuest::kLayout};
  NetCounters counters_{};
  std::atomic<int> losses_{0}, lost_for_{0};
  std::unique_ptr<FakeBackEnd> back_end_;
  std::unique_ptr<FakeGuest> guest_;
};

TEST_F(UserNetTest, TheGuestIsOfferedWhatTheBackEndDoesAndWhatIsOurs) {
  connect();
  EXPECT_EQ(guest_->offered(), kFeatureVersion1 | kFeatureIndirect | kFeatureEventIndex | kChecksum |
                                   kGuestChecksum | kGuestTso4 | kHostTso4 | kMergeable | kHostUso | kMac |
                                   kStatus | kControlQueue | kControlMac | kGuestAnnounce);
  EXPECT_EQ(guest_->get<std::uint8_t>(FakeGuest::kDevice + 5), 1);
  EXPECT_EQ(back_end_->count(UserRequest::get_config), 0U);
  EXPECT_TRUE(link_is_up());
}

TEST_F(UserNetTest, PacketsGoThereAndBack) {
  connect();
  start();
  for (int i = 0; i < 40; ++i) ASSERT_TRUE(echoes()) << i;
  EXPECT_TRUE(FakeGuest::eventually([&] { return guest_->interrupt_line(); }));
  EXPECT_EQ(losses_, 0);
}

TEST_F(UserNetTest, PairsThatTheDriverUsesAreEnabled) {
  connect(FakeBackEnd::sound_network(), 2);
  EXPECT_EQ(guest_->get<std::uint16_t>(FakeGuest::kDevice + 8), 2);
  start();
  EXPECT_TRUE(back_end_->is_enabled(1));
  EXPECT_FALSE(back_end_->is_enabled(2)) << "one pair at first (§5.1.6.5.5)";
  EXPECT_EQ(set_pairs(2), 0);
  EXPECT_TRUE(back_end_->is_enabled(2));
  EXPECT_TRUE(echoes(0));
  EXPECT_TRUE(echoes(1));
  EXPECT_EQ(set_pairs(1), 0);
  EXPECT_FALSE(back_end_->is_enabled(3));
  EXPECT_EQ(set_pairs(3), 1);
  EXPECT_NE(refusal(FakeBackEnd::sound_network(), 5).find("net0: vhost-user: the back end has fewer than 5"),
            std::string::npos);
  FakeBackEnd::Nature single = FakeBackEnd::sound_network();
  single.features &= ~kMultiQueue;
  EXPECT_NE(refusal(single, 2).find("fewer than 2 pairs"), std::string::npos);
}

TEST_F(UserNetTest, ACableThatIsOutDisablesTheRings) {
  connect();
  start();
  device().set_link(false);
  EXPECT_FALSE(link_is_up());
  EXPECT_FALSE(back_end_->is_enabled(0));
  device().set_link(true);
  EXPECT_TRUE(back_end_->is_enabled(1));
  EXPECT_TRUE(echoes());
}

// T7: nothing is the back end's when a pause or a reset has returned.
TEST_F(UserNetTest, T7APauseAndAResetTakeTheQueuesBack) {
  connect();
  start();
  EXPECT_TRUE(echoes());
  guest_->transport().pause();
  EXPECT_FALSE(back_end_->is_running(0));
  const PciTransportState state = guest_->transport().save();
  EXPECT_EQ(state.positions[0].next_available, 1);
  EXPECT_EQ(state.positions[1].next_used, 1);
  guest_->transport().resume();
  EXPECT_TRUE(echoes());
  guest_->reset();
  EXPECT_FALSE(back_end_->is_running(1));
  start();
  EXPECT_TRUE(echoes());
}

// T29: one that dies or lies costs the guest its cable, and nothing else.
TEST_F(UserNetTest, T29ABackEndThatDiesTakesTheCableOut) {
  connect();
  start();
  EXPECT_TRUE(echoes());
  back_end_->die();
  EXPECT_TRUE(FakeGuest::eventually([&] { return !link_is_up(); }));
  EXPECT_EQ(losses_, 1);
  EXPECT_EQ(lost_for_, ECONNRESET);
  EXPECT_EQ(guest_->status(), FakeGuest::kDriverOk);
  guest_->transport().pause();
  guest_->transport().resume();
  guest_->reset();
  start();
  EXPECT_FALSE(link_is_up());
  EXPECT_EQ(losses_, 1);
}

TEST_F(UserNetTest, T29AnswersThatAreNoneEndTheConnection) {
  for (const auto request : {UserRequest::set_mem_table, UserRequest::set_vring_addr,
                             UserRequest::set_vring_enable, UserRequest::set_vring_kick}) {
    losses_ = 0;
    connect();
    back_end_->set_twist([request](UserReply& reply) {
      if (reply.header.request == static_cast<std::uint32_t>(request)) reply.header.request = 77;
    });
    start();
    EXPECT_FALSE(link_is_up());
    EXPECT_EQ(losses_, 1);
    EXPECT_EQ(lost_for_, EPROTO);
  }
  // A refusal is told of once, and is none for good.
  losses_ = 0;
  connect();
  back_end_->set_twist([](UserReply& reply) {
    if (reply.header.request == static_cast<std::uint32_t>(UserRequest::set_vring_enable))
      reply.set(std::uint64_t{1});
  });
  for (int i = 0; i < 3; ++i) start();
  EXPECT_FALSE(link_is_up());
  EXPECT_EQ(losses_, 1);
  EXPECT_EQ(lost_for_, EREMOTEIO);
  back_end_->set_twist({});
  start();
  EXPECT_TRUE(link_is_up());
  EXPECT_TRUE(echoes());
}

TEST_F(UserNetTest, T29ABackEndThatIsLateEndsTheConnection) {
  connect();
  patience_ = std::chrono::milliseconds(100);
  connect();
  back_end_->set_twist([](UserReply& reply) {
    reply.is_silent = reply.header.request == static_cast<std::uint32_t>(UserRequest::set_vring_base);
  });
  start();
  EXPECT_FALSE(link_is_up());
  EXPECT_EQ(lost_for_, ETIMEDOUT);
}

}  // namespace
}  // namespace warren::vmm::virtio::vhost
