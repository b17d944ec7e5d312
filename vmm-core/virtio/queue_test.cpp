#include "vmm-core/virtio/queue.h"

#include <atomic>
#include <cstring>
#include <random>
#include <thread>
#include <tuple>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "vmm-core/virtio/fake_driver.h"

namespace warren::vmm::virtio {
namespace {

constexpr std::uint64_t kRamSize = 1 << 20;
constexpr std::uint64_t kBuffers = 0x20000;
constexpr std::uint64_t kTables = 0x80000;

class QueueTest : public testing::TestWithParam<bool> {
 protected:
  QueueTest() : memory_(kLayout), driver_(memory_, 8, GetParam()), queue_(memory_) {
    EXPECT_TRUE(queue_.activate(driver_.configuration()));
  }

  bool packed() const { return GetParam(); }
  // Offers a chain that no device may see, and a sound one behind it; the first comes back empty, the second
  // works.
  void expect_rejected(const std::vector<FakeBuffer>& buffers,
                       std::optional<std::uint64_t> table = std::nullopt) {
    const auto bad = driver_.offer(buffers, table);
    const auto good = driver_.offer({{kBuffers, 16, true}});
    ASSERT_TRUE(bad && good);
    const auto malformed = queue_.malformed_chains();
    Chain chain;
    ASSERT_TRUE(queue_.pop(chain));
    EXPECT_EQ(chain.writable_bytes, 16u);
    EXPECT_EQ(queue_.malformed_chains(), malformed + 1);
    EXPECT_FALSE(queue_.broken());
    chain.ticket.complete(16);
    const auto first = driver_.take_used();
    const auto second = driver_.take_used();
    ASSERT_TRUE(first && second);
    EXPECT_EQ(first->id, *bad);
    EXPECT_EQ(first->length, 0u);
    EXPECT_EQ(second->id, *good);
    EXPECT_EQ(second->length, 16u);
  }

  static constexpr GuestMemory::Layout kLayout[] = {{GuestAddress{0}, kRamSize}};
  GuestMemory memory_;
  FakeDriver driver_;
  Queue queue_;
};

INSTANTIATE_TEST_SUITE_P(Layouts, QueueTest, testing::Bool(),
                         [](const auto& layout) { return layout.param ? "Packed" : "Split"; });

TEST_P(QueueTest, GivesChainsInOrderAndReturnsThemInAny) {
  for (int round = 0; round < 100; ++round) {
    const auto a = driver_.offer({{kBuffers, 100}, {kBuffers + 0x1000, 50, true}});
    const auto b = driver_.offer({{kBuffers + 0x2000, 1, true}});
    Chain first, second;
    ASSERT_TRUE(queue_.pop(first));
    EXPECT_EQ(first.readable_bytes, 100u);
    EXPECT_EQ(first.writable_bytes, 50u);
    ASSERT_TRUE(queue_.pop(second));
    Chain none;
    EXPECT_FALSE(queue_.pop(none));
    EXPECT_EQ(queue_.in_flight(), 2u);
    // Packed rings return in order of completion too, slots being counted by the driver by id.
    second.ticket.complete(1);
    const auto used_b = driver_.take_used();
    first.ticket.complete(50);
    const auto used_a = driver_.take_used();
    ASSERT_TRUE(used_a && used_b);
    EXPECT_EQ(used_b->id, *b);
    EXPECT_EQ(used_a->id, *a);
    EXPECT_EQ(used_a->length, 50u);
  }
}

TEST_P(QueueTest, ATicketThatIsDroppedReturnsItsChainEmpty) {
  const auto id = driver_.offer({{kBuffers, 8, true}});
  {
    Chain chain;
    ASSERT_TRUE(queue_.pop(chain));
  }
  const auto used = driver_.take_used();
  ASSERT_TRUE(used);
  EXPECT_EQ(used->id, *id);
  EXPECT_EQ(used->length, 0u);
}

TEST_P(QueueTest, T7ATicketThatOutlivesTheResetDoesNothing) {
  driver_.offer({{kBuffers, 8, true}});
  Chain chain;
  ASSERT_TRUE(queue_.pop(chain));
  queue_.deactivate();
  FakeDriver fresh(memory_, 8, packed());
  for (std::uint64_t at = 0x1000; at < 0x11000; at += 8)
    ASSERT_TRUE(memory_.write_object(GuestAddress{at}, std::uint64_t{0}));
  ASSERT_TRUE(queue_.activate(fresh.configuration()));
  chain.ticket.complete(8);
  EXPECT_FALSE(fresh.take_used());
  EXPECT_EQ(queue_.in_flight(), 0u);
}

TEST_P(QueueTest, IndirectTablesWork) {
  driver_.offer({{kBuffers, 10}, {kBuffers + 64, 20}, {kBuffers + 128, 30, true}}, kTables);
  Chain chain;
  ASSERT_TRUE(queue_.pop(chain));
  EXPECT_EQ(chain.readable_bytes, 30u);
  EXPECT_EQ(chain.writable_bytes, 30u);
}

TEST_P(QueueTest, PushBackTakesTheLastChainBack) {
  driver_.offer({{kBuffers, 1}, {kBuffers, 2}, {kBuffers, 3}});
  driver_.offer({{kBuffers, 4}});
  for (int i = 0; i < 5; ++i) {
    Chain chain;
    ASSERT_TRUE(queue_.pop(chain));
    EXPECT_EQ(chain.readable_bytes, 6u);
    queue_.push_back(chain);
    EXPECT_EQ(queue_.in_flight(), 0u);
  }
}

// What was refused behind a chain is not seen again: the one before it goes back empty.
TEST_P(QueueTest, T7OnlyWhatLiesTogetherIsTakenBack) {
  for (int lap = 0; lap < 20; ++lap) {
    SCOPED_TRACE(lap);
    const auto first = driver_.offer({{kBuffers, 1, true}});
    const auto refused = driver_.offer({{kBuffers, 0, true}});
    const auto second = driver_.offer({{kBuffers, 2, true}, {kBuffers, 3, true}});
    const auto third = driver_.offer({{kBuffers, 4, true}});
    Chain chains[3];
    for (Chain& chain : chains) ASSERT_TRUE(queue_.pop(chain));
    queue_.push_back(chains[2]);
    queue_.push_back(chains[1]);
    queue_.push_back(chains[0]);
    EXPECT_EQ(driver_.take_used()->id, refused);
    EXPECT_EQ(driver_.take_used()->id, first);
    EXPECT_EQ(queue_.in_flight(), 0U);
    for (const auto& [id, bytes] : {std::pair(second, 5U), std::pair(third, 4U)}) {
      Chain again;
      ASSERT_TRUE(queue_.pop(again));
      EXPECT_EQ(again.writable_bytes, bytes);
      again.ticket.complete(bytes);
      EXPECT_EQ(driver_.take_used()->id, id);
    }
    Chain none;
    EXPECT_FALSE(queue_.pop(none));
  }
}

// T2: whoever makes nothing but malformed chains does not keep the thread.
TEST_P(QueueTest, T2SomeMalformedChainsAreRefusedAtATime) {
  FakeDriver driver(memory_, 64, packed());
  ASSERT_TRUE(queue_.activate(driver.configuration()));
  for (int i = 0; i < 40; ++i) ASSERT_TRUE(driver.offer({{kBuffers, 0, true}}));
  Chain chain;
  for (const unsigned refused : {Queue::kMostRefused, 2 * Queue::kMostRefused}) {
    EXPECT_FALSE(queue_.pop(chain));
    EXPECT_EQ(queue_.malformed_chains(), refused);
    EXPECT_TRUE(queue_.enable_notifications()) << "there are more";
  }
  EXPECT_FALSE(queue_.pop(chain));
  EXPECT_EQ(queue_.malformed_chains(), 40U);
  EXPECT_FALSE(queue_.enable_notifications());
}

TEST_P(QueueTest, T1AddressesOutsideRamAreRejected) {
  expect_rejected({{kRamSize, 1, true}});
  expect_rejected({{kRamSize - 8, 9, true}});
  expect_rejected({{~std::uint64_t{0}, 1}});
  expect_rejected({{~std::uint64_t{0} - 3, 0xffffffff, true}});
  expect_rejected({{kBuffers, 8}, {0xfee00000, 4, true}});
}

TEST_P(QueueTest, T1EmptyBuffersAndOverlongSumsAreRejected) {
  expect_rejected({{kBuffers, 0, true}});
  expect_rejected({{kBuffers, 8}, {kBuffers, 0, true}});
  expect_rejected({{0, 0xffffffff, true}});
}

TEST_P(QueueTest, T2ReadableBehindWritableIsRejected) {
  expect_rejected({{kBuffers, 8, true}, {kBuffers + 64, 8, false}});
  expect_rejected({{kBuffers, 8, true}, {kBuffers + 64, 8, false}}, kTables);
}

TEST_P(QueueTest, T2IndirectInIndirectIsRejected) {
  if (packed()) {
    ASSERT_TRUE(
        memory_.write_object(GuestAddress{kTables}, PackedDescriptor{kTables, 16, 0, kDescriptorIndirect}));
    driver_.write_packed_descriptor(
        0, {kTables, 16, 0, std::uint16_t(driver_.packed_available_flags() | kDescriptorIndirect)});
  } else {
    ASSERT_TRUE(
        memory_.write_object(GuestAddress{kTables}, SplitDescriptor{kTables, 16, kDescriptorIndirect, 0}));
    driver_.write_split_descriptor(0, {kTables, 16, kDescriptorIndirect, 0});
    driver_.offer_split_head(0);
  }
  Chain chain;
  EXPECT_FALSE(queue_.pop(chain));
  EXPECT_EQ(queue_.malformed_chains(), 1u);
  EXPECT_FALSE(queue_.broken());
}

TEST_P(QueueTest, T2IndirectTablesOfImpossibleSizesAreRejected) {
  std::uint64_t expected = 0;
  for (const std::uint32_t length : {17u, 0u, 0xfffffff0u, 16u * 1025}) {
    if (packed()) {
      const auto flags = static_cast<std::uint16_t>(driver_.packed_available_flags() | kDescriptorIndirect);
      driver_.write_packed_descriptor(driver_.packed_position(), {kTables, length, 0, flags});
      driver_.skip_packed(1);
    } else {
      driver_.write_split_descriptor(0, {kTables, length, kDescriptorIndirect, 0});
      driver_.offer_split_head(0);
    }
    Chain chain;
    EXPECT_FALSE(queue_.pop(chain)) << length;
    EXPECT_EQ(queue_.malformed_chains(), ++expected) << length;
    EXPECT_FALSE(queue_.broken());
  }
}

TEST_P(QueueTest, IndirectIsRejectedUnlessNegotiated) {
  ASSERT_TRUE(queue_.activate(driver_.configuration(false)));
  driver_.offer({{kBuffers, 8}}, kTables);
  Chain chain;
  EXPECT_FALSE(queue_.pop(chain));
  EXPECT_EQ(queue_.malformed_chains(), 1u);
}

TEST_P(QueueTest, T1RingsOutsideRamOrMisalignedAreRefused) {
  for (int part = 0; part < 3; ++part) {
    for (const std::uint64_t address :
         {kRamSize - 4, kRamSize, ~std::uint64_t{0} & ~std::uint64_t{15}, std::uint64_t{0x1001}}) {
      auto configuration = driver_.configuration();
      (part == 0   ? configuration.descriptors
       : part == 1 ? configuration.driver
                   : configuration.device)
          .value = address;
      // The packed event structures are four bytes: the last four of RAM do.
      if (packed() && part != 0 && address == kRamSize - 4) continue;
      EXPECT_FALSE(queue_.activate(configuration)) << part << " " << address;
    }
  }
  auto configuration = driver_.configuration();
  configuration.size = 0;
  EXPECT_FALSE(queue_.activate(configuration));
  configuration.size = 1025;
  EXPECT_FALSE(queue_.activate(configuration));
  configuration.size = 6;
  EXPECT_EQ(queue_.activate(configuration), packed());
}

TEST_P(QueueTest, InterruptsAsTheDriverWishes) {
  const auto run_one = [this] {
    driver_.offer({{kBuffers, 8, true}});
    Chain chain;
    EXPECT_TRUE(queue_.pop(chain));
    chain.ticket.complete(8);
    driver_.take_used();
    return queue_.take_interrupt();
  };
  EXPECT_TRUE(run_one());
  EXPECT_FALSE(queue_.take_interrupt());  // nothing new
  driver_.set_interrupt_flags(1);
  EXPECT_FALSE(run_one());
  driver_.set_interrupt_flags(0);
  EXPECT_TRUE(run_one());
}

TEST_P(QueueTest, NotificationsAreTurnedOffAndOn) {
  queue_.disable_notifications();
  EXPECT_EQ(driver_.notify_flags(), 1);
  EXPECT_FALSE(queue_.enable_notifications());
  EXPECT_EQ(driver_.notify_flags(), 0);
  driver_.offer({{kBuffers, 8}});
  EXPECT_TRUE(queue_.enable_notifications());
}

class SplitQueueTest : public QueueTest {};
INSTANTIATE_TEST_SUITE_P(Layouts, SplitQueueTest, testing::Values(false));

TEST_P(SplitQueueTest, T1AnAvailIndexThatJumpsBreaksTheQueue) {
  driver_.set_split_avail_index(9);
  Chain chain;
  EXPECT_FALSE(queue_.pop(chain));
  EXPECT_TRUE(queue_.broken());
}

TEST_P(SplitQueueTest, T1AHeadOutsideTheTableBreaksTheQueue) {
  driver_.offer_split_head(8);
  Chain chain;
  EXPECT_FALSE(queue_.pop(chain));
  EXPECT_TRUE(queue_.broken());
}

TEST_P(SplitQueueTest, T2LoopsAndLinksOutsideTheTableAreRejected) {
  driver_.write_split_descriptor(0, {kBuffers, 8, kDescriptorNext, 0});
  driver_.offer_split_head(0);
  driver_.write_split_descriptor(1, {kBuffers, 8, kDescriptorNext, 2});
  driver_.write_split_descriptor(2, {kBuffers, 8, kDescriptorNext, 1});
  driver_.offer_split_head(1);
  driver_.write_split_descriptor(3, {kBuffers, 8, kDescriptorNext, 8});
  driver_.offer_split_head(3);
  Chain chain;
  EXPECT_FALSE(queue_.pop(chain));
  EXPECT_EQ(queue_.malformed_chains(), 3u);
  EXPECT_FALSE(queue_.broken());
  for (const int id : {0, 1, 3}) EXPECT_EQ(driver_.take_used()->id, id);
}

TEST_P(SplitQueueTest, EventIndexSuppressesUntilItIsPassed) {
  ASSERT_TRUE(queue_.activate(driver_.configuration(true, true)));
  driver_.set_used_event(2);
  const bool expected[] = {false, false, true, false};
  for (const bool interrupts : expected) {
    driver_.offer({{kBuffers, 8, true}});
    Chain chain;
    ASSERT_TRUE(queue_.pop(chain));
    chain.ticket.complete(8);
    driver_.take_used();
    EXPECT_EQ(queue_.take_interrupt(), interrupts);
  }
}

class PackedQueueTest : public QueueTest {};
INSTANTIATE_TEST_SUITE_P(Layouts, PackedQueueTest, testing::Values(true));

TEST_P(PackedQueueTest, T2AListWithoutEndBreaksTheQueue) {
  for (std::uint16_t i = 0; i < 8; ++i) {
    driver_.write_packed_descriptor(i, {kBuffers, 8, 0, kPackedAvailable | kDescriptorNext});
  }
  Chain chain;
  EXPECT_FALSE(queue_.pop(chain));
  EXPECT_TRUE(queue_.broken());
}

TEST_P(QueueTest, EveryByteOfRandomTrafficIsAccountedFor) {
  std::mt19937 random(7);
  std::uint64_t offered = 0, returned = 0;
  for (int step = 0; step < 20000; ++step) {
    std::vector<FakeBuffer> buffers;
    const std::size_t count = 1 + random() % 4;
    const std::size_t readable = random() % (count + 1);
    for (std::size_t i = 0; i < count; ++i) {
      buffers.push_back(
          {kBuffers + random() % 0x10000, 1 + static_cast<std::uint32_t>(random() % 5000), i >= readable});
    }
    const auto table = random() % 3 == 0 ? std::optional(kTables + (offered % 16) * 0x400) : std::nullopt;
    if (driver_.offer(buffers, table)) ++offered;
    if (random() % 2 == 0) continue;
    Chain chain;
    while (queue_.pop(chain)) {
      std::uint64_t sum = 0;
      for (const auto& range : chain.readable) sum += range.iov_len;
      EXPECT_EQ(sum, chain.readable_bytes);
      chain.ticket.complete(static_cast<std::uint32_t>(chain.writable_bytes));
    }
    while (driver_.take_used()) ++returned;
  }
  EXPECT_GT(offered, 1000u);
  EXPECT_EQ(queue_.malformed_chains(), 0u);
  EXPECT_FALSE(queue_.broken());
  EXPECT_LE(offered - returned, 8u);
}

TEST_P(QueueTest, T3AGuestThatRewritesWhileItIsReadHarmsNobody) {
  std::atomic<bool> stop{false};
  std::thread mutator([&] {
    std::mt19937 random(3);
    while (!stop) {
      // Sixteen-bit halves, as the device reads indexes and flags; anywhere in the rings.
      [[maybe_unused]] bool written = memory_.store_release_u16(
          GuestAddress{0x1000 + 2 * (random() % 0x4800)}, static_cast<std::uint16_t>(random() % 16));
    }
  });
  for (int i = 0; i < 20000; ++i) {
    Chain chain;
    if (queue_.broken() || !queue_.active()) {
      ASSERT_TRUE(queue_.activate(driver_.configuration()));
    }
    for (int n = 0; n < 16 && queue_.pop(chain); ++n) {
      for (const auto& range : chain.readable) {
        const auto* begin = static_cast<const std::byte*>(range.iov_base);
        ASSERT_GE(begin, memory_.regions()[0].host);
        ASSERT_LE(begin + range.iov_len, memory_.regions()[0].host + kRamSize);
      }
      chain.ticket.complete(0);
    }
  }
  stop = true;
  mutator.join();
}

// §2.8.10: with the event index, an interrupt when, and only when, the descriptor that was asked for is
// returned.
TEST_P(PackedQueueTest, EventIndexSuppressesUntilItIsPassed) {
  ASSERT_TRUE(queue_.activate(driver_.configuration(true, true)));
  unsigned returned = 0;
  for (const unsigned distance : {0u, 1u, 2u, 5u, 0u, 3u, 7u, 4u, 1u}) {
    const unsigned event = returned + distance;
    driver_.set_packed_event(static_cast<std::uint16_t>(event % 8 | (event / 8 % 2 == 0 ? 0x8000 : 0)));
    for (unsigned i = 0; i <= distance; ++i, ++returned) {
      driver_.offer({{kBuffers, 8, true}});
      Chain chain;
      ASSERT_TRUE(queue_.pop(chain));
      chain.ticket.complete(8);
      EXPECT_TRUE(driver_.take_used());
      EXPECT_EQ(queue_.take_interrupt(), i == distance) << returned << " of " << event;
    }
  }
}

class DoorbellTest : public testing::TestWithParam<std::tuple<bool, bool>> {
 protected:
  DoorbellTest() { EXPECT_TRUE(queue_.activate(driver_.configuration(true, event_index_))); }
  void offer() { ASSERT_TRUE(driver_.offer({{kBuffers, 8, true}})); }
  bool kick_wanted() { return driver_.kick_wanted(event_index_); }
  unsigned serve() {
    for (Chain chain; queue_.pop(chain);) chain.ticket.complete(1);
    unsigned returned = 0;
    while (driver_.take_used()) ++returned;
    return returned;
  }

  static constexpr GuestMemory::Layout kLayout[] = {{GuestAddress{0}, kRamSize}};
  const bool event_index_ = std::get<1>(GetParam());
  GuestMemory memory_{kLayout};
  FakeDriver driver_{memory_, 8, std::get<0>(GetParam())};
  Queue queue_{memory_};
};

INSTANTIATE_TEST_SUITE_P(Layouts, DoorbellTest, testing::Combine(testing::Bool(), testing::Bool()));

TEST_P(DoorbellTest, DoorbellsAreWantedOnlyWhileTheQueueIsIdle) {
  EXPECT_FALSE(queue_.enable_notifications());
  for (int lap = 0; lap < 20; ++lap) {
    SCOPED_TRACE(lap);
    offer();
    EXPECT_TRUE(kick_wanted());
    queue_.disable_notifications();
    EXPECT_EQ(serve(), 1u);
    offer();
    EXPECT_FALSE(kick_wanted());
    EXPECT_TRUE(queue_.enable_notifications()) << "one came in meanwhile";
    EXPECT_EQ(serve(), 1u);
    EXPECT_FALSE(queue_.enable_notifications());
  }
}

// A device that needs more chains than there are puts them back and waits: for one behind those.
TEST_P(DoorbellTest, WhoPutsChainsBackIsToldOfTheNextOne) {
  for (int lap = 0; lap < 20; ++lap) {
    SCOPED_TRACE(lap);
    queue_.disable_notifications();
    offer();
    offer();
    static_cast<void>(kick_wanted());
    Chain first, second, none;
    ASSERT_TRUE(queue_.pop(first));
    ASSERT_TRUE(queue_.pop(second));
    ASSERT_FALSE(queue_.pop(none));
    queue_.push_back(second);
    queue_.push_back(first);
    EXPECT_FALSE(queue_.enable_notifications()) << "nothing new";
    offer();
    EXPECT_TRUE(kick_wanted());
    EXPECT_TRUE(queue_.enable_notifications());
    EXPECT_EQ(serve(), 3u);
  }
}

TEST_P(QueueTest, AnotherQueueGoesOnFromASavedPosition) {
  const auto serve_one = [this](Queue& queue) {
    const auto id = driver_.offer({{kBuffers, 8, true}});
    Chain chain;
    ASSERT_TRUE(queue.pop(chain));
    chain.ticket.complete(2);
    EXPECT_EQ(driver_.take_used()->id, id);
  };
  for (int i = 0; i < 13; ++i) serve_one(queue_);
  Queue other(memory_);
  ASSERT_TRUE(other.activate(driver_.configuration(), queue_.position()));
  for (int i = 0; i < 13; ++i) serve_one(other);
}

}  // namespace
}  // namespace warren::vmm::virtio
