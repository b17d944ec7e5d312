// The PCI transport of every virtio device present: capabilities, status machine, negotiation, and T4, T5
// abuse (virtio 1.2 §2.1, §3.1, §4.1).
#include "tests/guest/machine/memory.h"
#include "tests/guest/runtime/test.h"
#include "tests/guest/virtio/device.h"

namespace guest {
namespace {

// Runs `check` on each virtio function; skips when there is none.
template <typename Check>
void for_each_device(Check check) {
  bool any = false;
  for (auto& function : pci_functions()) {
    VirtioDevice device(&function);
    if (!device) continue;
    any = true;
    device.reset();
    check(device);
    device.reset();
  }
  if (!any) SKIP("no virtio device");
}

bool works(VirtioDevice& device) {
  return device.negotiate(0) && (device.status() & (kFeaturesOk | kNeedsReset | kFailed)) == kFeaturesOk;
}

}  // namespace

TEST(virtio_pci, identity) {
  for_each_device([](VirtioDevice& device) {
    EXPECT(device.function().device() >= 0x1040 && device.function().device() < 0x1080);
    EXPECT(device.function().read8(8) >= 1);  // revision: no transitional device
    EXPECT(device.configuration_bytes() > 0 || device.function().device() == 0x1044);
  });
}

TEST(virtio_pci, capabilities) {
  for_each_device([](VirtioDevice& device) {
    auto& function = device.function();
    bool seen[6] = {};
    for (std::uint8_t at = function.find_capability(9); at != 0; at = function.find_capability(9, at)) {
      std::uint8_t length = function.read8(static_cast<std::uint16_t>(at + 2));
      std::uint8_t type = function.read8(static_cast<std::uint16_t>(at + 3));
      std::uint8_t bar = function.read8(static_cast<std::uint16_t>(at + 4));
      std::uint32_t offset = function.read32(static_cast<std::uint16_t>(at + 8));
      std::uint32_t bytes = function.read32(static_cast<std::uint16_t>(at + 12));
      EXPECT(length >= 16);
      if (type >= 1 && type <= 5) seen[type] = true;
      if (type == 5) continue;  // the window may lie nowhere
      REQUIRE(bar < 6);
      EXPECT(std::uint64_t{offset} + bytes <= function.bar(bar).size);
      if (type == 1) EXPECT(bytes >= common::kBytes);
      if (type == 2) EXPECT(length >= 20);
    }
    EXPECT(seen[1] && seen[2] && seen[3]);
    EXPECT(seen[5]);  // §4.1.4.9.1: MUST be presented
  });
}

TEST(virtio_pci, status_follows_driver) {
  for_each_device([](VirtioDevice& device) {
    EXPECT_EQUAL(unsigned{device.status()}, 0u);
    device.set_status(kAcknowledge);
    EXPECT_EQUAL(unsigned{device.status()}, 1u);
    device.set_status(kAcknowledge | kDriver);
    EXPECT_EQUAL(unsigned{device.status()}, 3u);
    device.reset();
    EXPECT_EQUAL(unsigned{device.status()}, 0u);
  });
}

TEST(virtio_pci, version_1_offered) {
  for_each_device([](VirtioDevice& device) { EXPECT((device.offered_features() & kVersion1) != 0); });
}

TEST(virtio_pci, feature_select_out_of_range) {
  for_each_device([](VirtioDevice& device) {
    for (std::uint32_t select : {4u, 31u, 0xffffffffu}) {
      write32(device.common() + common::kDeviceFeatureSelect, select);
      EXPECT_EQUAL(read32(device.common() + common::kDeviceFeatureSelect), select);
      EXPECT_EQUAL(read32(device.common() + common::kDeviceFeature), 0u);
      write32(device.common() + common::kDriverFeatureSelect, select);
      write32(device.common() + common::kDriverFeature, 0xffffffff);
    }
    EXPECT(works(device));
  });
}

// T4: features that were not offered must not be accepted.
TEST(virtio_pci, unknown_features_refused) {
  for_each_device([](VirtioDevice& device) {
    device.set_status(kAcknowledge | kDriver);
    device.write_features(device.offered_features() | 1ull << 49);
    device.set_status(kAcknowledge | kDriver | kFeaturesOk);
    EXPECT_EQUAL(device.status() & kFeaturesOk, 0);
    EXPECT(works(device));
  });
}

TEST(virtio_pci, version_1_required) {
  for_each_device([](VirtioDevice& device) {
    device.set_status(kAcknowledge | kDriver);
    device.write_features(0);
    device.set_status(kAcknowledge | kDriver | kFeaturesOk);
    EXPECT_EQUAL(device.status() & kFeaturesOk, 0);
  });
}

TEST(virtio_pci, queues) {
  for_each_device([](VirtioDevice& device) {
    std::uint16_t count = read16(device.common() + common::kQueueCount);
    REQUIRE(count >= 1);
    for (std::uint16_t i = 0; i < count; ++i) {
      device.select_queue(i);
      std::uint16_t size = device.queue_size();
      EXPECT(size > 0 && size <= 32768 && (size & (size - 1)) == 0);
      EXPECT_EQUAL(unsigned{read16(device.common() + common::kQueueEnable)}, 0u);
    }
    for (std::uint32_t beyond : {std::uint32_t{count}, 0xffffu}) {
      device.select_queue(static_cast<std::uint16_t>(beyond));
      EXPECT_EQUAL(unsigned{device.queue_size()}, 0u);  // §4.1.4.3.1
      write16(device.common() + common::kQueueEnable, 1);
      write16(device.common() + common::kQueueSize, 16);
      write64(device.common() + common::kQueueDescriptors, 0x1000);
    }
    EXPECT(works(device));
  });
}

TEST(virtio_pci, reset_clears_queues) {
  for_each_device([](VirtioDevice& device) {
    REQUIRE(device.negotiate(0));
    device.set_up_queue(0, 16);
    EXPECT_EQUAL(unsigned{read16(device.common() + common::kQueueEnable)}, 1u);
    device.start();
    device.reset();
    device.select_queue(0);
    EXPECT_EQUAL(unsigned{read16(device.common() + common::kQueueEnable)}, 0u);
    EXPECT_EQUAL(unsigned{read16(device.common() + common::kQueueVector)}, unsigned{kNoVector});
  });
}

TEST(virtio_pci, vector_out_of_range) {
  for_each_device([](VirtioDevice& device) {
    if (!device.has_msix()) SKIP("no MSI-X");
    device.enable_msix();
    std::uint16_t entries = device.msix_entries();
    for (std::uint32_t vector : {std::uint32_t{entries}, 0x7fffu, 0xfffeu}) {
      write16(device.common() + common::kConfigVector, static_cast<std::uint16_t>(vector));
      EXPECT_EQUAL(unsigned{read16(device.common() + common::kConfigVector)}, unsigned{kNoVector});
      device.select_queue(0);
      write16(device.common() + common::kQueueVector, static_cast<std::uint16_t>(vector));
      EXPECT_EQUAL(unsigned{read16(device.common() + common::kQueueVector)}, unsigned{kNoVector});
    }
    write16(device.common() + common::kConfigVector, 0);
    EXPECT_EQUAL(unsigned{read16(device.common() + common::kConfigVector)}, 0u);
  });
}

// T4: doorbells before anything is set up, DRIVER_OK out of order, queues enabled twice or with nonsense.
TEST(virtio_pci, out_of_order) {
  for_each_device([](VirtioDevice& device) {
    device.ring(0);
    device.ring(7);
    device.set_status(kDriverOk);
    device.ring(0);
    device.reset();
    device.set_status(kAcknowledge | kDriver | kDriverOk);  // no FEATURES_OK
    device.ring(0);
    device.reset();
    REQUIRE(device.negotiate(0));
    device.start();  // no queue at all
    device.ring(0);
    device.select_queue(0);
    write16(device.common() + common::kQueueEnable, 1);  // after DRIVER_OK, with addresses of zero
    write16(device.common() + common::kQueueEnable, 1);
    device.ring(0);
    device.reset();
    EXPECT(works(device));
  });
}

TEST(virtio_pci, queue_sizes_that_are_none) {
  for_each_device([](VirtioDevice& device) {
    REQUIRE(device.negotiate(0));
    device.select_queue(0);
    std::uint16_t largest = device.queue_size();
    for (std::uint32_t size : {3u, 0u, largest * 2u, 0xffffu}) {
      write16(device.common() + common::kQueueSize, static_cast<std::uint16_t>(size));
      std::uint16_t now = device.queue_size();
      EXPECT(now <= largest);
    }
    device.reset();
    EXPECT(works(device));
    device.select_queue(0);
    EXPECT_EQUAL(unsigned{device.queue_size()}, unsigned{largest});
  });
}

TEST(virtio_pci, status_cannot_be_taken_back) {
  for_each_device([](VirtioDevice& device) {
    REQUIRE(device.negotiate(0));
    // Features after FEATURES_OK change nothing (§3.1.1).
    device.write_features(0);
    EXPECT((device.status() & kFeaturesOk) != 0);
    device.set_status(static_cast<std::uint8_t>(device.status() | kFailed));
    EXPECT((device.status() & kFailed) != 0);
    device.reset();
    EXPECT(works(device));
  });
}

// The window into the BARs through configuration space (§4.1.4.9).
TEST(virtio_pci, configuration_window) {
  for_each_device([](VirtioDevice& device) {
    auto& function = device.function();
    std::uint8_t window = 0, shared = 0;
    for (std::uint8_t at = function.find_capability(9); at != 0; at = function.find_capability(9, at)) {
      if (function.read8(static_cast<std::uint16_t>(at + 3)) == 5) window = at;
      if (function.read8(static_cast<std::uint16_t>(at + 3)) == 1) shared = at;
    }
    REQUIRE(window != 0 && shared != 0);
    function.write8(static_cast<std::uint16_t>(window + 4),
                    function.read8(static_cast<std::uint16_t>(shared + 4)));
    std::uint32_t base = function.read32(static_cast<std::uint16_t>(shared + 8));
    function.write32(static_cast<std::uint16_t>(window + 8), base + common::kQueueCount);
    function.write32(static_cast<std::uint16_t>(window + 12), 2);
    EXPECT_EQUAL(unsigned{function.read16(static_cast<std::uint16_t>(window + 16))},
                 unsigned{read16(device.common() + common::kQueueCount)});
    for (std::uint32_t length : {0u, 3u, 8u, 0xffffffffu})
      for (std::uint32_t offset : {0u, 0xfffffffcu, 0x10000u}) {
        function.write32(static_cast<std::uint16_t>(window + 8), offset);
        function.write32(static_cast<std::uint16_t>(window + 12), length);
        function.read32(static_cast<std::uint16_t>(window + 16));
      }
    EXPECT(works(device));
  });
}

// T5: every width at every offset of every region, reads and writes, misaligned and across the end.
TEST(virtio_pci, access_sweep) {
  for_each_device([](VirtioDevice& device) {
    for (std::uint64_t region :
         {device.common(), device.isr(), device.configuration(), device.notify_address(0)}) {
      if (region == 0) continue;
      for (std::uint64_t address = region; address < region + 0x48; ++address) {
        read8(address);
        read16(address);
        read32(address);
        read64(address);
      }
    }
    for (std::uint64_t offset = 0; offset < common::kBytes; ++offset) {
      write8(device.common() + offset, 0xff);
      write16(device.common() + offset, 0xffff);
      write32(device.common() + offset, 0xffffffff);
      write64(device.common() + offset, 0x5555555555555555);
    }
    for (std::uint64_t offset = 0; offset < device.configuration_bytes(); ++offset) {
      write8(device.configuration() + offset, 0xff);
      write64(device.configuration() + offset, 0);
    }
    device.reset();
    EXPECT(works(device));
  });
}

// T5: the whole of every memory BAR, sampled, at its ends too.
TEST(virtio_pci, bar_sweep) {
  for_each_device([](VirtioDevice& device) {
    for_each_bar(device.function(), [](unsigned, const PciBar& bar) {
      if (bar.io) return;
      for (std::uint64_t offset = 0; offset < bar.size;
           offset += offset < 64 || offset + 64 > bar.size ? 1 : 61) {
        read8(bar.address + offset);
        if (offset + 8 > bar.size) continue;
        read16(bar.address + offset);
        read32(bar.address + offset);
        read64(bar.address + offset);
      }
    });
    EXPECT(works(device));
  });
}

TEST(virtio_pci, many_resets) {
  for_each_device([](VirtioDevice& device) {
    for (int i = 0; i < 50; ++i) {
      REQUIRE(device.negotiate(kEventIndex | kIndirectDescriptors | (i % 2 ? kRingPacked : 0)));
      device.set_up_queue(0, static_cast<std::uint16_t>(8 << i % 3));
      device.start();
      device.ring(0);
    }
    device.reset();
    EXPECT(works(device));
  });
}

}  // namespace guest
