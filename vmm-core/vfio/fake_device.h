// A device behind the seam of device_file.h, for tests: regions in memory, requests remembered.
#pragma once

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <map>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include <linux/vfio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm-core/bus/interrupt.h"
#include "vmm-core/os/file_descriptor.h"
#include "vmm-core/vfio/device_file.h"

namespace warren::vmm::vfio {

struct FakeRegion {
  std::uint64_t size = 0;
  std::uint32_t flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
  std::vector<std::byte> capabilities;  // behind the header, as the kernel writes them
};

class FakeDevice final : public DeviceFile {
 public:
  static constexpr std::uint64_t kRegionStep = std::uint64_t{1} << 40;
  static constexpr std::uint64_t position(std::uint32_t index) { return index * kRegionStep; }

  FakeDevice() : configuration(4096) {
    regions[VFIO_PCI_CONFIG_REGION_INDEX] = {.size = 4096, .capabilities = {}};
  }

  template <typename T>
  void set(std::size_t offset, T value) {
    std::memcpy(configuration.data() + offset, &value, sizeof value);
  }
  template <typename T>
  T get(std::size_t offset) const {
    T value{};
    std::memcpy(&value, configuration.data() + offset, sizeof value);
    return value;
  }

  int request(unsigned long number, void* argument) noexcept override {
    switch (number) {
      case VFIO_DEVICE_GET_INFO: {
        auto& information = *static_cast<vfio_device_info*>(argument);
        information.flags = VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET;
        information.num_regions = VFIO_PCI_NUM_REGIONS;
        information.num_irqs = VFIO_PCI_NUM_IRQS;
        return 0;
      }
      case VFIO_DEVICE_GET_REGION_INFO:
        return region_information(*static_cast<vfio_region_info*>(argument));
      case VFIO_DEVICE_SET_IRQS:
        return set_interrupts(static_cast<const std::byte*>(argument));
      case VFIO_DEVICE_RESET:
        ++resets;
        return 0;
      default:
        return -ENOTTY;
    }
  }

  bool read(std::uint64_t position, std::span<std::byte> data) noexcept override {
    ++reads;
    const std::span<std::byte> memory = memory_at(position, data.size());
    if (memory.empty()) return false;
    std::ranges::copy(memory, data.begin());
    return true;
  }
  bool write(std::uint64_t position, std::span<const std::byte> data) noexcept override {
    ++writes;
    const std::span<std::byte> memory = memory_at(position, data.size());
    if (memory.empty()) return false;
    std::ranges::copy(data, memory.begin());
    return true;
  }
  std::byte* map(std::uint64_t, std::uint64_t size) noexcept override {
    // Anonymous pages stand for the device's.
    void* pages =
        ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (pages == MAP_FAILED) return nullptr;
    mapped += size;
    return static_cast<std::byte*>(pages);
  }
  void unmap(std::byte* address, std::uint64_t size) noexcept override {
    mapped -= size;
    ::munmap(address, size);
  }

  std::map<std::uint32_t, FakeRegion> regions;
  std::vector<std::byte> configuration;
  std::map<std::uint32_t, std::vector<std::byte>> content;  // of BARs, as much as was touched at the start
  std::map<std::uint32_t, std::vector<std::int32_t>> interrupts;  // by index, then vector
  std::map<std::uint32_t, int> unmasking;                         // descriptors that unmask, by index
  std::size_t most_vectors = 2048;
  std::uint64_t mapped = 0;
  int resets = 0, reads = 0, writes = 0;

 private:
  static constexpr std::size_t kContent = 64 << 10;

  int region_information(vfio_region_info& header) noexcept {
    const auto found = regions.find(header.index);
    const std::uint32_t room = header.argsz;
    header.offset = position(header.index);
    header.size = found == regions.end() ? 0 : found->second.size;
    header.flags = found == regions.end() ? 0 : found->second.flags;
    if (found == regions.end() || found->second.capabilities.empty()) return 0;
    header.flags |= VFIO_REGION_INFO_FLAG_CAPS;
    const auto& capabilities = found->second.capabilities;
    header.argsz = static_cast<std::uint32_t>(sizeof header + capabilities.size());
    if (room < header.argsz) return 0;
    header.cap_offset = sizeof header;
    std::memcpy(reinterpret_cast<std::byte*>(&header) + sizeof header, capabilities.data(),
                capabilities.size());
    return 0;
  }

  int set_interrupts(const std::byte* argument) noexcept {
    vfio_irq_set header{};
    std::memcpy(&header, argument, sizeof header);
    auto& vectors = interrupts[header.index];
    if ((header.flags & VFIO_IRQ_SET_DATA_NONE) != 0) {
      vectors.clear();
      return 0;
    }
    std::vector<std::int32_t> given(header.count);
    std::memcpy(given.data(), argument + sizeof header, header.count * sizeof(std::int32_t));
    if ((header.flags & VFIO_IRQ_SET_ACTION_UNMASK) != 0) {
      unmasking[header.index] = given.at(0);
      return 0;
    }
    // As the kernel: once enabled there are no more, and never more than it has.
    const std::size_t end = header.start + header.count;
    if (header.index != VFIO_PCI_INTX_IRQ_INDEX && !vectors.empty() && end > vectors.size()) return -EINVAL;
    if (end > most_vectors) return static_cast<int>(most_vectors);
    if (vectors.size() < end) vectors.resize(end, -1);
    std::ranges::copy(given, vectors.begin() + header.start);
    return 0;
  }

  std::span<std::byte> memory_at(std::uint64_t position, std::size_t size) noexcept {
    const auto index = static_cast<std::uint32_t>(position / kRegionStep);
    const std::uint64_t offset = position % kRegionStep;
    auto& memory = index == VFIO_PCI_CONFIG_REGION_INDEX ? configuration : content[index];
    if (index != VFIO_PCI_CONFIG_REGION_INDEX && memory.empty()) memory.resize(kContent);
    if (offset > memory.size() || memory.size() - offset < size) return {};
    return std::span(memory).subspan(offset, size);
  }
};

// Messages with eventfds that nobody injects: what a device is given, and what waits in them.
class FakeRoutes final : public MsiRouter {
 public:
  struct State {
    MsiMessage message;
    FileDescriptor event;
    bool held = false;
  };
  std::unique_ptr<MsiRoute> allocate() override {
    states.push_back(std::make_shared<State>());
    return std::make_unique<Route>(states.back());
  }
  std::vector<std::shared_ptr<State>> states;

 private:
  class Route final : public MsiRoute {
   public:
    explicit Route(std::shared_ptr<State> state) : state_(std::move(state)) {}
    bool set_message(const MsiMessage& message) noexcept override {
      state_->message = message;
      return true;
    }
    void signal() noexcept override {}
    int event_descriptor() const noexcept override {
      if (!state_->event) state_->event = FileDescriptor(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
      return state_->event.get();
    }
    void hold(bool held) noexcept override { state_->held = held; }
    bool is_waiting() const noexcept override {
      std::uint64_t times = 0;
      if (!state_->held || !state_->event ||
          ::read(state_->event.get(), &times, sizeof times) != sizeof times)
        return false;
      return ::write(state_->event.get(), &times, sizeof times) == sizeof times;
    }

   private:
    std::shared_ptr<State> state_;
  };
};

class FakeExternalLine final : public ExternalLine {
 public:
  struct State {
    int trigger = -1, resample = -1;
  };
  explicit FakeExternalLine(State& state) : state_(state) {}
  bool connect(int trigger, int resample) noexcept override {
    state_ = {trigger, resample};
    return true;
  }
  void disconnect() noexcept override { state_ = {}; }

 private:
  State& state_;
};

}  // namespace warren::vmm::vfio
