// A guest with a disk that a back end of the test's serves.
#pragma once

#include <atomic>
#include <cstring>
#include <memory>
#include <vector>

#include <gtest/gtest.h>

#include "vmm-core/os/error.h"
#include "vmm-core/virtio/fake_guest.h"
#include "vmm-core/virtio/vhost/fake_back_end.h"

namespace warren::vmm::virtio::vhost {

class UserBlockTest : public testing::Test {
 protected:
  static constexpr std::uint64_t kWanted = kFeatureIndirect | kFeatureEventIndex | kFeaturePacked | 0xffffff;
  static constexpr std::uint64_t kHeader = FakeGuest::kBuffers, kData = kHeader + 0x1000,
                                 kStatus = kHeader + 0x800;
  static constexpr std::uint32_t kBytes = 1024;

  void connect(FakeBackEnd::Nature nature = FakeBackEnd::sound(), std::uint16_t queues = 1) {
    back_end_ = std::make_unique<FakeBackEnd>(std::move(nature));
    auto device = make_device(*back_end_, queues);
    guest_ = std::make_unique<FakeGuest>(std::move(device), &memory_);
  }
  std::unique_ptr<Device> make_device(FakeBackEnd& back_end, std::uint16_t queues = 1) {
    return std::make_unique<UserBlock>("disk0", back_end.connect(),
                                       UserBlockOptions{.queues = queues,
                                                        .queue_size = FakeGuest::kQueueSize,
                                                        .patience = patience_,
                                                        .settling = settling_,
                                                        .lost =
                                                            [this](int error) {
                                                              ++losses_;
                                                              lost_for_.store(error);
                                                            }},
                                       memory_, thread_);
  }
  // Why the device cannot be made.
  std::string refusal(FakeBackEnd::Nature nature, std::uint16_t queues = 1) {
    FakeBackEnd back_end(std::move(nature));
    try {
      make_device(back_end, queues);
    } catch (const Error& error) {
      return error.what();
    }
    return {};
  }
  void start() { ASSERT_TRUE(guest_->start(kWanted)); }

  void prepare(std::uint32_t type, std::uint64_t sector) {
    const std::array<std::uint64_t, 2> header = {type, sector};
    ASSERT_TRUE(memory_.write_object({kHeader}, header));
    ASSERT_TRUE(memory_.write_object({kStatus}, std::uint8_t{0xff}));
  }
  static std::vector<FakeBuffer> chain(bool reads) {
    return {{kHeader, 16, false}, {kData, kBytes, reads}, {kStatus, 1, true}};
  }
  // The status; 0xff when nothing comes back.
  std::uint8_t request(std::uint32_t type, std::uint64_t sector, std::size_t queue = 0) {
    prepare(type, sector);
    if (!guest_->request(queue, chain(type == 0))) return 0xff;
    return memory_.read_object<std::uint8_t>({kStatus}).value();
  }
  bool needs_reset() { return (guest_->status() & FakeGuest::kNeedsReset) != 0; }
  bool is_lost() {
    return FakeGuest::eventually([&] { return losses_.load() == 1; });
  }

  std::chrono::milliseconds patience_{10000}, settling_{100};
  EventThread thread_{"vhost-user-test"};
  GuestMemory memory_{FakeGuest::kLayout};
  std::atomic<int> losses_{0}, lost_for_{0};
  std::unique_ptr<FakeBackEnd> back_end_;
  std::unique_ptr<FakeGuest> guest_;
};

}  // namespace warren::vmm::virtio::vhost
