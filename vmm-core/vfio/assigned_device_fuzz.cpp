// A device whose every byte comes from the input, and then a guest whose every access does (class T5):
// configuration space, capabilities, regions with their areas, BARs, tables. Nothing may crash, and nothing
// that the guest was given stays when the device goes.
#include <cstdlib>
#include <cstring>

#include "vmm-core/memory/fake_memory_slots.h"
#include "vmm-core/os/error.h"
#include "vmm-core/vfio/assigned_device.h"
#include "vmm-core/vfio/fake_device.h"

namespace warren::vmm::vfio {
namespace {

class Input {
 public:
  explicit Input(std::span<const std::uint8_t> data) : data_(data) {}
  bool empty() const { return data_.empty(); }
  template <typename T>
  T take() {
    T value{};
    const std::size_t size = std::min(sizeof value, data_.size());
    std::memcpy(&value, data_.data(), size);
    data_ = data_.subspan(size);
    return value;
  }

 private:
  std::span<const std::uint8_t> data_;
};

void describe(FakeDevice& fake, Input& input) {
  fake.set<std::uint32_t>(pci::kVendorId, 0x1234'8086);
  fake.set<std::uint16_t>(pci::kStatus, pci::kStatusCapabilities);
  fake.set<std::uint8_t>(pci::kCapabilitiesPointer, 0x40);
  const unsigned patches = input.take<std::uint8_t>();
  for (unsigned i = 0; i < patches && !input.empty(); ++i) {
    const std::size_t offset = input.take<std::uint16_t>() % (pci::kExtendedSize - 4) & ~3U;
    fake.set(offset, input.take<std::uint32_t>());
  }
  for (std::uint32_t bar = 0; bar < pci::kBars; ++bar) {
    const auto kind = input.take<std::uint8_t>();
    if (kind < 64) continue;
    FakeRegion region{.size = std::uint64_t{1} << (kind % 30), .capabilities = {}};
    if (kind > 250) region.size = input.take<std::uint64_t>();
    if ((kind & 1) != 0) region.flags |= VFIO_REGION_INFO_FLAG_MMAP;
    if ((kind & 32) != 0) {
      region.capabilities.resize(input.take<std::uint8_t>());
      for (auto& byte : region.capabilities) byte = std::byte{input.take<std::uint8_t>()};
    }
    // What a fuzzer has no addresses for, no kernel maps either.
    if (region.size > std::uint64_t{1} << 32) region.flags &= ~std::uint32_t{VFIO_REGION_INFO_FLAG_MMAP};
    fake.regions[bar] = std::move(region);
  }
}

void drive(AssignedDevice& device, AddressSpace& memory, AddressSpace& ports, Input& input) {
  for (int steps = 0; steps < 500 && !input.empty(); ++steps) {
    const auto kind = input.take<std::uint8_t>();
    const auto value = input.take<std::uint64_t>();
    std::array<std::byte, 8> data{};
    std::memcpy(data.data(), &value, sizeof value);
    const auto at = input.take<std::uint32_t>();
    const auto offset = static_cast<std::uint16_t>(at % pci::kExtendedSize);
    const std::size_t small = std::min<std::size_t>(1 + kind / 16 % 4, 4U - offset % 4U);
    const std::size_t size = 1 + kind / 16 % 8;
    AddressSpace& space = (kind & 8) != 0 ? memory : ports;
    const std::uint64_t address = (kind & 8) != 0 ? std::uint64_t{at} : at & 0xffff;
    switch (kind % 8) {
      case 0:
      case 1:
        device.config_write(offset, std::span<const std::byte>(data).first(small));
        break;
      case 2:
        device.config_read(offset, std::span(data).first(small));
        break;
      case 3:
      case 4:
        space.write(address, std::span<const std::byte>(data).first(size));
        break;
      case 5:
        space.read(address, std::span(data).first(size));
        break;
      case 6:
        device.place_bar(at % pci::kBars, value);
        device.enable_decoding();
        break;
      default:
        if (kind == 255) device.reset();
        break;
    }
  }
}

void run(std::span<const std::uint8_t> data) {
  Input input(data);
  AddressSpace memory{"mmio", ~std::uint64_t{0}}, ports{"ports", 0xffff};
  FakeMemorySlots slots;
  FakeRoutes routes;
  FakeExternalLine::State line;
  auto file = std::make_unique<FakeDevice>();
  describe(*file, input);
  try {
    AssignedDevice device("fuzzed", open_device("0000:01:00.0", std::move(file), data.size() % 2 == 0),
                          {memory, ports, nullptr, true, std::make_unique<FakeExternalLine>(line)},
                          {slots, routes}, {});
    drive(device, memory, ports, input);
    InspectNode node;
    device.inspect(node);
  } catch (const Error&) {
    // Refused, by name.
  }
  if (slots.count() != 0) std::abort();
}

}  // namespace
}  // namespace warren::vmm::vfio

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  warren::vmm::vfio::run(std::span(data, size));
  return 0;
}
