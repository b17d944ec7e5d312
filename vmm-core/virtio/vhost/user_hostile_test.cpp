// Disks of another program that does what it should not (T29): it is refused, or lost, and the machine lives.
#include <algorithm>

#include "vmm-core/virtio/vhost/user_fixture.h"

namespace warren::vmm::virtio::vhost {
namespace {

using Nature = FakeBackEnd::Nature;

bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

// Each reply that comes before the guest is there, and one of the guest's start.
constexpr UserRequest kFirst[] = {UserRequest::get_features, UserRequest::get_protocol_features,
                                  UserRequest::get_queue_num, UserRequest::set_owner,
                                  UserRequest::get_config};
constexpr UserRequest kLater[] = {
    UserRequest::set_features,   UserRequest::set_mem_table,  UserRequest::set_vring_num,
    UserRequest::set_vring_base, UserRequest::set_vring_addr, UserRequest::set_vring_err,
    UserRequest::set_vring_call, UserRequest::set_vring_kick, UserRequest::set_vring_enable};

std::function<void(UserReply&)> to(UserRequest request, std::function<void(UserReply&)> twist) {
  return [request, twist = std::move(twist)](UserReply& reply) {
    if (reply.header.request == static_cast<std::uint32_t>(request)) twist(reply);
  };
}

// What a reply can be but what it should be, and what the connection ends for.
struct Lie {
  const char* name;
  std::function<void(UserReply&)> twist;
  int error;
};
const std::vector<Lie>& lies() {
  static const std::vector<Lie> all = {
      {"another request's", [](UserReply& reply) { reply.header.request ^= 1; }, EPROTO},
      {"not a reply", [](UserReply& reply) { reply.header.flags &= ~kUserReply; }, EPROTO},
      {"another version's", [](UserReply& reply) { reply.header.flags ^= 3; }, EPROTO},
      {"longer than it says", [](UserReply& reply) { reply.header.size = 0; }, EPROTO},
      {"as long as anything", [](UserReply& reply) { reply.header.size = 0xffff'ffff; }, EPROTO},
      {"not there", [](UserReply& reply) { reply.is_silent = true; }, ETIMEDOUT},
      {"cut off", [](UserReply& reply) { reply.payload.pop_back(); }, ETIMEDOUT},
      {"an end", [](UserReply& reply) { reply.is_silent = reply.hangs_up = true; }, ECONNRESET},
      {"cut off by an end",
       [](UserReply& reply) {
         reply.payload.pop_back();
         reply.hangs_up = true;
       },
       ECONNRESET}};
  return all;
}

TEST_F(UserBlockTest, T29WhateverTheFirstRepliesAreTheyAreRefused) {
  patience_ = std::chrono::milliseconds(100);
  for (const UserRequest request : kFirst) {
    for (const Lie& lie : lies()) {
      Nature nature = FakeBackEnd::sound();
      nature.twist = to(request, lie.twist);
      const std::string why = refusal(std::move(nature));
      EXPECT_TRUE(has(why, "disk0: ")) << static_cast<int>(request) << " " << lie.name;
      EXPECT_TRUE(has(why, std::generic_category().message(lie.error)))
          << static_cast<int>(request) << " " << lie.name << ": " << why;
    }
  }
}

TEST_F(UserBlockTest, T29WhateverTheLaterRepliesAreTheDriverLearnsOfIt) {
  patience_ = std::chrono::milliseconds(200);
  for (const UserRequest request : kLater) {
    for (const Lie& lie : lies()) {
      losses_ = 0;
      guest_.reset();
      connect();
      back_end_->set_twist(to(request, lie.twist));
      EXPECT_FALSE(guest_->start(kWanted)) << static_cast<int>(request) << " " << lie.name;
      EXPECT_TRUE(needs_reset());
      EXPECT_TRUE(is_lost());
      EXPECT_EQ(lost_for_, lie.error) << static_cast<int>(request) << " " << lie.name;
      // Nothing of it comes back, and nothing of it is waited for.
      EXPECT_FALSE(guest_->start(kWanted));
      guest_->transport().pause();
      guest_->transport().resume();
      EXPECT_EQ(losses_, 1);
    }
  }
}

TEST_F(UserBlockTest, T29ARefusalIsTheDeviceSFailureAndNotTheConnectionS) {
  for (const UserRequest request : kLater) {
    losses_ = 0;
    guest_.reset();
    connect();
    back_end_->set_twist(to(request, [](UserReply& reply) { reply.set(std::uint64_t{1}); }));
    EXPECT_FALSE(guest_->start(kWanted)) << static_cast<int>(request);
    EXPECT_TRUE(needs_reset());
    back_end_->set_twist({});
    start();
    EXPECT_EQ(this->request(0, 0), 0);
    EXPECT_EQ(losses_, 1) << static_cast<int>(request);
    EXPECT_EQ(lost_for_, EREMOTEIO);
  }
}

TEST_F(UserBlockTest, T29ADiskThatNoGuestCanUseIsRefused) {
  const auto with = [&](auto change) {
    Nature nature = FakeBackEnd::sound();
    change(nature);
    return refusal(std::move(nature));
  };
  EXPECT_TRUE(has(with([](Nature& n) { n.configuration.capacity = ~std::uint64_t{0}; }), "2^63"));
  EXPECT_TRUE(has(with([](Nature& n) { n.configuration.block_size = 0; }), "power of two"));
  EXPECT_TRUE(has(with([](Nature& n) { n.configuration.block_size = 513; }), "power of two"));
  EXPECT_TRUE(has(with([](Nature& n) { n.configuration.block_size = 1u << 31; }), "power of two"));
  EXPECT_TRUE(has(with([](Nature& n) { n.configuration.segment_maximum = 0; }), "without segments"));
  EXPECT_TRUE(has(with([](Nature& n) {
                    n.features |= 1 << 1;
                    n.configuration.size_maximum = 100;
                  }),
                  "no block"));
  EXPECT_TRUE(has(with([](Nature& n) {
                    n.features |= 1 << 10;
                    n.configuration.physical_exponent = 200;
                  }),
                  "2 MiB"));
  EXPECT_TRUE(has(with([](Nature& n) { n.features |= 1 << 13; }), "discards of nothing"));
  EXPECT_TRUE(has(with([](Nature& n) { n.features |= 1 << 14; }), "zeroing of nothing"));
  EXPECT_TRUE(has(with([](Nature& n) { n.features &= ~kUserProtocolFeatures; }), "no protocol features"));
  EXPECT_TRUE(has(with([](Nature& n) { n.protocol_features &= ~kUserConfig; }), "CONFIG"));
  EXPECT_TRUE(has(with([](Nature& n) { n.features &= ~kFeatureVersion1; }), "virtio 1"));
  EXPECT_TRUE(has(with([](Nature& n) {
                    n.twist = to(UserRequest::get_config, [](UserReply& r) {
                      r.payload.clear();
                      r.header.size = 0;
                    });
                  }),
                  "Protocol error"));
  EXPECT_TRUE(has(with([](Nature& n) {
                    n.twist = to(UserRequest::get_config, [](UserReply& r) { r.set(std::uint32_t{4}, 4); });
                  }),
                  "Protocol error"));
}

TEST_F(UserBlockTest, T29ABackEndThatDiesLeavesTheGuestWithItsRequests) {
  connect();
  start();
  EXPECT_EQ(request(0, 0), 0);
  back_end_->hold(true);
  prepare(0, 0);
  guest_->queue(0).offer(chain(true));
  guest_->kick(0);
  back_end_->die();
  EXPECT_TRUE(is_lost());
  EXPECT_EQ(lost_for_, ECONNRESET);
  EXPECT_TRUE(needs_reset());
  EXPECT_FALSE(guest_->wait_used(0, 50));
  EXPECT_EQ(guest_->get<std::uint64_t>(FakeGuest::kDevice), FakeBackEnd::kSectors) << "the disk is known";
  guest_->transport().pause();
  guest_->transport().resume();
  guest_->reset();
  EXPECT_FALSE(guest_->start(kWanted));
  EXPECT_EQ(losses_, 1);
}

TEST_F(UserBlockTest, T29OneThatSaysWhatNobodyAskedIsLost) {
  connect();
  start();
  const std::array<std::byte, 5> noise{};
  back_end_->say(noise);
  EXPECT_TRUE(is_lost());
  EXPECT_EQ(lost_for_, EPROTO);
  EXPECT_TRUE(needs_reset());
}

TEST_F(UserBlockTest, T29OneThatWillNotStopIsLostInTime) {
  patience_ = std::chrono::milliseconds(200);
  connect(FakeBackEnd::sound(), 4);
  start();
  back_end_->set_twist(to(UserRequest::get_vring_base, [](UserReply& reply) { reply.is_silent = true; }));
  const auto before = std::chrono::steady_clock::now();
  guest_->transport().pause();
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(2)) << "for all four together";
  EXPECT_TRUE(is_lost());
  EXPECT_EQ(lost_for_, ETIMEDOUT);
}

// The flag is the open file's, which both have.
TEST_F(UserBlockTest, T29OneThatMakesItsEventsWaitHoldsNobodyUp) {
  connect();
  start();
  EXPECT_EQ(request(0, 0), 0);
  back_end_->make_blocking(0);
  EXPECT_EQ(request(0, 0), 0);
  EXPECT_TRUE(FakeGuest::eventually([&] { return guest_->interrupt_line(); }));
  guest_->transport().pause();
  guest_->transport().resume();
  EXPECT_EQ(request(0, 0), 0);
  back_end_->make_blocking(0);
  guest_->reset();
  start();
  EXPECT_EQ(request(0, 0), 0);
}

TEST_F(UserBlockTest, T29OneThatFillsItsDoorbellHoldsNoVcpuUp) {
  connect();
  start();
  back_end_->hold(true);
  back_end_->make_blocking(0);
  // Of those the kernel of the guest's kicks makes none here: they come the slow way, which writes.
  back_end_->fill_doorbell(0);
  guest_->kick(0);
  back_end_->hold(false);
  EXPECT_EQ(request(0, 0), 0);
}

// A byte at a time buys no time.
TEST_F(UserBlockTest, T29AllRepliesTogetherHaveOneDeadline) {
  patience_ = std::chrono::milliseconds(300);
  connect(FakeBackEnd::sound(), 4);
  back_end_->set_twist([](UserReply&) { std::this_thread::sleep_for(std::chrono::milliseconds(60)); });
  const auto before = std::chrono::steady_clock::now();
  EXPECT_FALSE(guest_->start(kWanted));
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(2));
  EXPECT_TRUE(is_lost());
  EXPECT_EQ(lost_for_, ETIMEDOUT);
}

TEST_F(UserBlockTest, T29APositionThatIsNoneIsALie) {
  connect(FakeBackEnd::sound(), 2);
  start();
  back_end_->set_twist(
      to(UserRequest::get_vring_base, [](UserReply& reply) { reply.set(std::uint32_t{0x1'0000}, 4); }));
  guest_->transport().pause();
  EXPECT_TRUE(is_lost());
  EXPECT_EQ(lost_for_, EPROTO);
  guest_.reset();
  losses_ = 0;
  connect(FakeBackEnd::sound(), 2);
  start();
  back_end_->set_twist(
      to(UserRequest::get_vring_base, [](UserReply& reply) { reply.set(std::uint32_t{7}); }));
  guest_->reset();
  EXPECT_TRUE(is_lost());
  EXPECT_EQ(lost_for_, EPROTO);
}

}  // namespace
}  // namespace warren::vmm::virtio::vhost
