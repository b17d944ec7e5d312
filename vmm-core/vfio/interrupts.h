// Which of its interrupts an assigned device uses, and through which descriptors they come
// (VFIO_DEVICE_SET_IRQS): the pin, MSI or MSI-X, one kind at a time. In the guest they arrive without a visit
// to this process.
//
// Not synchronized: the device holds its lock around it. Nothing allocates after construction.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "vmm-core/bus/interrupt.h"
#include "vmm-core/os/file_descriptor.h"
#include "vmm-core/state/inspect.h"
#include "vmm-core/vfio/device_file.h"

namespace warren::vmm::vfio {

enum class InterruptKind : std::uint8_t { none, pin, msi, msix };

class Interrupts final : public Inspectable {
 public:
  // `line`: where the pin leads, or null for a device without one. At most `vectors` messages are used.
  // Throws Error.
  Interrupts(DeviceFile& file, std::unique_ptr<ExternalLine> line, std::size_t vectors);
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;
  ~Interrupts();

  InterruptKind kind() const noexcept { return kind_; }
  bool has_pin() const noexcept { return line_ != nullptr; }

  // All of these leave what was used before. A host that refuses is counted; the guest then has no interrupts
  // of that kind.
  void use_none() noexcept;
  void use_pin() noexcept;
  // The first `vectors` of that kind, each silent until set_vector().
  void use_messages(InterruptKind kind, std::size_t vectors) noexcept;
  // While messages are used: vector `index` signals `descriptor` (-1: nothing) from now on. More vectors than
  // the host has given are asked for anew, which may lose what is signalled meanwhile.
  void set_vector(std::size_t index, int descriptor) noexcept;

  void inspect(InspectNode& node) const override;

 private:
  bool set(std::uint32_t index, std::uint32_t start, std::size_t count, std::uint32_t action) noexcept;
  bool disable(std::uint32_t index) noexcept;
  void enable_messages(std::size_t vectors) noexcept;

  DeviceFile& file_;
  std::unique_ptr<ExternalLine> line_;
  FileDescriptor trigger_, resample_;  // of the pin
  InterruptKind kind_ = InterruptKind::none;
  std::vector<std::int32_t> descriptors_;  // by vector
  std::size_t given_ = 0;                  // vectors that the host has enabled
  std::vector<std::byte> request_;         // a vfio_irq_set with room for them all
  std::uint64_t refused_ = 0;
};

}  // namespace warren::vmm::vfio
