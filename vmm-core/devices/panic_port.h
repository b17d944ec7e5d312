// pvpanic on ISA: a port by which a guest's kernel says that it has panicked. Drivers find it as QEMU0001 in
// the DSDT.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <span>

#include "vmm-core/bus/io_handler.h"
#include "vmm-core/state/inspect.h"

namespace warren::vmm {

// vCPU threads.
class PanicPort final : public IoHandler, public Inspectable {
 public:
  static constexpr std::uint16_t kPort = 0x505;
  // Of the port: read, the events it takes; written, those that happen.
  static constexpr std::uint8_t kPanicked = 1 << 0;     // the kernel can do no more
  static constexpr std::uint8_t kCrashLoaded = 1 << 1;  // it goes on by itself, with a kernel that dumps it

  // `panicked` must not wait for vCPUs; it is called each time that the guest says so.
  explicit PanicPort(std::function<void()> panicked) : panicked_(std::move(panicked)) {}

  void read(std::uint64_t offset, std::span<std::byte> data) noexcept override;
  void write(std::uint64_t offset, std::span<const std::byte> data) noexcept override;
  void inspect(InspectNode& node) const override;

 private:
  const std::function<void()> panicked_;
  std::atomic<std::uint64_t> panics_{0}, crash_loads_{0};
};

}  // namespace warren::vmm
