// Disks of another program that does what it should.
#include <thread>

#include <sys/mman.h>

#include "vmm-core/virtio/vhost/user_fixture.h"

namespace warren::vmm::virtio::vhost {
namespace {

TEST_F(UserBlockTest, TheGuestIsToldOfTheDiskThatThereIs) {
  connect();
  EXPECT_EQ(guest_->offered(),
            kFeatureVersion1 | kFeatureIndirect | kFeatureEventIndex | 1 << 2 | 1 << 6 | 1 << 9)
      << "neither the cache mode, nor more queues than one, nor what is vhost-user's own";
  EXPECT_EQ(guest_->get<std::uint64_t>(FakeGuest::kDevice), FakeBackEnd::kSectors);
  EXPECT_EQ(guest_->get<std::uint32_t>(FakeGuest::kDevice + 12), 126U);
  EXPECT_EQ(guest_->get<std::uint32_t>(FakeGuest::kDevice + 20), 512U);
  EXPECT_EQ(guest_->get<std::uint16_t>(0x12), 1U) << "queues";
  EXPECT_EQ(back_end_->count(UserRequest::set_owner), 1U);
  EXPECT_FALSE(back_end_->is_running(0));
}

// As qemu-storage-daemon has it.
TEST_F(UserBlockTest, ALimitOfNothingIsNone) {
  FakeBackEnd::Nature nature = FakeBackEnd::sound();
  nature.features |= 1 << 1;
  connect(nature);
  EXPECT_EQ(guest_->offered() & 1 << 1, 0U);
}

TEST_F(UserBlockTest, TheGuestReadsAndWrites) {
  connect();
  start();
  EXPECT_EQ(back_end_->features(), kFeatureVersion1 | kFeatureIndirect | kFeatureEventIndex |
                                       kUserProtocolFeatures | 1 << 2 | 1 << 6 | 1 << 9);
  EXPECT_EQ(back_end_->regions(), 1U);
  const std::vector<std::byte> written(kBytes, std::byte{0x5a});
  ASSERT_TRUE(memory_.write({kData}, written));
  EXPECT_EQ(request(1, 7), 0);
  EXPECT_EQ(std::memcmp(back_end_->disk().data() + 7 * 512, written.data(), kBytes), 0);
  std::memset(back_end_->disk().data() + 7 * 512 + 512, 0xa5, 512);
  EXPECT_EQ(request(0, 7), 0);
  EXPECT_EQ(memory_.read_object<std::uint8_t>({kData}).value(), 0x5a);
  EXPECT_EQ(memory_.read_object<std::uint8_t>({kData + 512}).value(), 0xa5);
  EXPECT_EQ(request(0, FakeBackEnd::kSectors), 1) << "what the back end fails is the guest's to hear";
  EXPECT_TRUE(FakeGuest::eventually([&] { return guest_->interrupt_line(); }));
  EXPECT_EQ(losses_, 0);
}

TEST_F(UserBlockTest, EachOfSeveralQueuesIsServed) {
  connect(FakeBackEnd::sound(), 4);
  EXPECT_NE(guest_->offered() & 1 << 12, 0U);
  EXPECT_EQ(guest_->get<std::uint16_t>(FakeGuest::kDevice + 34), 4U);
  start();
  for (std::size_t queue = 0; queue < 4; ++queue) EXPECT_EQ(request(0, queue, queue), 0) << queue;
  EXPECT_NE(refusal(FakeBackEnd::sound(), 5).find("fewer than 5 queues"), std::string::npos);
}

TEST_F(UserBlockTest, ABackEndWithoutAcknowledgementsServesAsWell) {
  FakeBackEnd::Nature nature = FakeBackEnd::sound();
  nature.protocol_features = kUserConfig;
  connect(nature);
  start();
  EXPECT_EQ(request(1, 3), 0);
}

// T7: nothing is the back end's when a pause or a reset has returned.
TEST_F(UserBlockTest, T7AfterAPauseItGoesOnWhereItWas) {
  connect();
  start();
  EXPECT_EQ(request(0, 0), 0);
  EXPECT_EQ(request(0, 1), 0);
  guest_->transport().pause();
  EXPECT_FALSE(back_end_->is_running(0));
  const PciTransportState state = guest_->transport().save();
  EXPECT_EQ(state.positions[0].next_available, 2);
  EXPECT_EQ(state.positions[0].next_used, 2);
  // What was asked for meanwhile is served after it.
  prepare(0, 2);
  guest_->queue(0).offer(chain(true));
  guest_->kick(0);
  EXPECT_FALSE(guest_->wait_used(0, 50));
  guest_->transport().resume();
  EXPECT_TRUE(guest_->wait_used(0));
  EXPECT_EQ(back_end_->served(), 3U);
  EXPECT_EQ(losses_, 0);
}

TEST_F(UserBlockTest, T7AResetTakesTheQueuesBack) {
  connect();
  start();
  EXPECT_EQ(request(0, 0), 0);
  guest_->reset();
  EXPECT_FALSE(back_end_->is_running(0));
  start();
  EXPECT_EQ(request(0, 0), 0);
  guest_.reset();
  EXPECT_FALSE(back_end_->is_running(0));
  EXPECT_EQ(losses_, 0);
}

// T7: some back ends fail at what they end after their rings were taken back.
TEST_F(UserBlockTest, T7RequestsInFlightHaveAMomentToEndBeforeTheQueuesAreTakenBack) {
  settling_ = std::chrono::milliseconds(60'000);
  connect();
  start();
  back_end_->hold(true);
  prepare(0, 2);
  guest_->queue(0).offer(chain(true));
  guest_->kick(0);
  std::thread goes_on([this] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    back_end_->hold(false);
  });
  guest_->transport().pause();
  EXPECT_EQ(back_end_->served(), 1U);
  EXPECT_EQ(memory_.read_object<std::uint8_t>({kStatus}).value(), 0);
  goes_on.join();
  guest_->transport().resume();
  EXPECT_TRUE(guest_->wait_used(0));
  EXPECT_EQ(losses_, 0);
}

TEST_F(UserBlockTest, T7RequestsInFlightEndAfterTheMachineGoesOn) {
  connect();
  start();
  back_end_->hold(true);
  prepare(0, 2);
  guest_->queue(0).offer(chain(true));
  guest_->kick(0);
  EXPECT_FALSE(guest_->wait_used(0, 50));
  guest_->transport().pause();
  guest_->transport().resume();
  EXPECT_TRUE(guest_->interrupt_line()) << "what was completed while nobody listened is looked for";
  back_end_->hold(false);
  guest_->kick(0);
  EXPECT_TRUE(guest_->wait_used(0));
}

TEST_F(UserBlockTest, TheMemoryTableFollowsMemoryThatComesAndGoes) {
  connect();
  start();
  FileDescriptor file(::memfd_create("more", MFD_CLOEXEC));
  ASSERT_EQ(::ftruncate(file.get(), 0x20'0000), 0);
  std::vector<std::byte> there(0x20'0000);
  const auto plug = [&](std::uint64_t gigabyte) {
    MemoryRegion more{.start = {gigabyte << 30}, .size = there.size(), .file = &file};
    more.host = there.data();
    memory_.attach(more);
  };
  guest_->transport().pause();
  plug(4);
  guest_->transport().resume();
  EXPECT_EQ(back_end_->regions(), 2U);
  EXPECT_EQ(request(0, 0), 0);
  // As many as a table holds, and one more.
  guest_->transport().pause();
  for (std::uint64_t i = 5; i < 12; ++i) plug(i);
  guest_->transport().resume();
  EXPECT_TRUE(needs_reset()) << "memory that the back end cannot be told of";
  EXPECT_EQ(losses_, 1);
  EXPECT_EQ(lost_for_, E2BIG);
  EXPECT_NE(refusal(FakeBackEnd::sound())
                .find("disk0: vhost-user: a back end takes 8 pieces of guest memory, and these would be 9"),
            std::string::npos);
  guest_->transport().pause();
  for (std::uint64_t i = 4; i < 12; ++i) memory_.detach({i << 30});
  guest_->transport().resume();
  start();
  EXPECT_EQ(request(0, 0), 0);
}

// What nobody serves is somebody's to know of, once; and a queue is not handed over behind a driver's back
// that was told that it was not.
TEST_F(UserBlockTest, QueuesThatAreRefusedAreToldOf) {
  connect();
  back_end_->set_twist([](UserReply& reply) {
    if (reply.header.request == static_cast<std::uint32_t>(UserRequest::set_mem_table))
      reply.set(std::uint64_t{1});
  });
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(guest_->start(kWanted));
  EXPECT_EQ(losses_, 1);
  EXPECT_EQ(lost_for_, EREMOTEIO);
  back_end_->set_twist({});
  guest_->transport().pause();
  guest_->transport().resume();
  EXPECT_FALSE(back_end_->is_running(0));
  start();
  EXPECT_EQ(request(0, 0), 0);
  // When the machine goes on likewise.
  back_end_->set_twist([](UserReply& reply) {
    if (reply.header.request == static_cast<std::uint32_t>(UserRequest::set_vring_enable))
      reply.set(std::uint64_t{1});
  });
  guest_->transport().pause();
  guest_->transport().resume();
  EXPECT_TRUE(needs_reset());
  EXPECT_EQ(losses_, 2);
}

TEST_F(UserBlockTest, T1RingsOutsideRamAreNotHandedOver) {
  connect();
  ASSERT_TRUE(guest_->negotiate(kWanted));
  guest_->make_queues();
  guest_->reset();
  ASSERT_TRUE(guest_->negotiate(kWanted));
  guest_->set<std::uint16_t>(0x16, 0);
  guest_->set<std::uint64_t>(0x20, FakeGuest::kRamSize);
  guest_->set<std::uint16_t>(0x1c, 1);
  guest_->set<std::uint8_t>(0x14, FakeGuest::kDriverOk);
  EXPECT_EQ(back_end_->count(UserRequest::set_vring_addr), 0U);
  EXPECT_TRUE(needs_reset());
  start();
  EXPECT_EQ(request(0, 0), 0);
  EXPECT_EQ(losses_, 0);
}

TEST_F(UserBlockTest, T1ADamagedRingAsksForAReset) {
  connect();
  start();
  back_end_->ring_damage(0);
  EXPECT_TRUE(FakeGuest::eventually([&] { return needs_reset(); }));
  start();
  EXPECT_EQ(request(0, 0), 0);
}

}  // namespace
}  // namespace warren::vmm::virtio::vhost
