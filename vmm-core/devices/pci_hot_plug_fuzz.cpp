// The register block of PCI devices that come and go by ACPI under random accesses and restored states
// (classes T5, T21): each ejection is of one that was there, each refusal of one that was asked for, and
// where the guest drives the slots itself nothing new is announced.
#include <algorithm>
#include <array>
#include <cstdlib>

#include "vmm-core/devices/pci_hot_plug.h"
#include "vmm-core/devices/register_fuzz.h"

namespace {

// The same registers from `base` on: a step reaches 256 bytes.
class Window final : public warren::vmm::IoHandler {
 public:
  Window(IoHandler& device, std::uint64_t base) : device_(device), base_(base) {}
  void read(std::uint64_t offset, std::span<std::byte> data) noexcept override {
    device_.read(base_ + offset, data);
  }
  void write(std::uint64_t offset, std::span<const std::byte> data) noexcept override {
    device_.write(base_ + offset, data);
  }

 private:
  IoHandler& device_;
  const std::uint64_t base_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace warren::vmm;
  constexpr std::array<std::uint8_t, 3> kBuses = {1, 2, 255};
  std::array<bool, PciHotPlug::kPorts> present{}, asked{};
  bool notified = false;
  const auto expect = [](bool holds) {
    if (!holds) std::abort();
  };
  PciHotPlug device(kBuses, {.notify = [&] { notified = true; },
                             .ejected =
                                 [&](std::uint8_t bus) {
                                   expect(present.at(bus));
                                   present.at(bus) = asked.at(bus) = false;
                                 },
                             .refused =
                                 [&](std::uint8_t bus) {
                                   expect(asked.at(bus));
                                   asked.at(bus) = false;
                                 }});
  for_each_step(data, size, [&](const FuzzStep& step) {
    const auto bus = static_cast<std::uint8_t>(step.argument % 4 == 3 ? 255 : step.argument % 4);
    notified = false;
    switch (step.action >> 1 & 7) {
      case 0:
        device.insert(bus, true);
        if (bus != 0) present.at(bus) = true;
        expect(!notified || !device.is_native());
        break;
      case 1:
        if (device.request_removal(bus)) asked.at(bus) = true;
        expect(notified == present.at(bus));
        break;
      case 2:
        device.reset();
        expect(!device.is_native());
        asked = {};
        break;
      case 3: {
        PciHotPlug::State state = device.save();
        state.ports.resize(step.offset);
        if (!state.ports.empty()) state.ports.front().present = true;
        for (auto& port : state.ports) {
          port.request.event = static_cast<std::uint8_t>(step.argument);
          port.request.removal_requested = false;
        }
        device.restore(state);
        for (std::size_t i = 0; i < std::min<std::size_t>(state.ports.size(), asked.size()); ++i)
          asked[i] = false;
        break;
      }
      case 4:
        device.remove(bus);
        present.at(bus) = asked.at(bus) = false;
        break;
      default: {
        constexpr std::array<std::uint64_t, 4> kPlaces = {0, 255 * PciHotPlug::kPortSize, PciHotPlug::kEvent,
                                                          PciHotPlug::kSize - 8};
        Window window(device, kPlaces[step.argument % kPlaces.size()]);
        access(window, step, step.argument % 2 == 0 ? 64 : 16);
      }
    }
    for (const std::uint8_t each : {std::uint8_t{0}, std::uint8_t{1}, std::uint8_t{2}, std::uint8_t{255}})
      expect(device.is_present(each) == present.at(each));
  });
  return 0;
}
