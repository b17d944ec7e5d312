#include "vmm-core/vfio/interrupts.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include <linux/vfio.h>
#include <sys/eventfd.h>

#include "vmm-core/os/error.h"

namespace warren::vmm::vfio {
namespace {

FileDescriptor make_event() {
  FileDescriptor event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!event) throw_errno("make an eventfd for a device's interrupt");
  return event;
}

std::uint32_t index_of(InterruptKind kind) noexcept {
  switch (kind) {
    case InterruptKind::msi:
      return VFIO_PCI_MSI_IRQ_INDEX;
    case InterruptKind::msix:
      return VFIO_PCI_MSIX_IRQ_INDEX;
    default:
      return VFIO_PCI_INTX_IRQ_INDEX;
  }
}

}  // namespace

Interrupts::Interrupts(DeviceFile& file, std::unique_ptr<ExternalLine> line, std::size_t vectors)
    : file_(file),
      line_(std::move(line)),
      descriptors_(std::max<std::size_t>(vectors, 1), -1),
      request_(sizeof(vfio_irq_set) + descriptors_.size() * sizeof(std::int32_t)) {
  if (line_ == nullptr) return;
  trigger_ = make_event();
  resample_ = make_event();
}

Interrupts::~Interrupts() {
  use_none();
}

// `start` and `count` name the descriptors to be passed.
bool Interrupts::set(std::uint32_t index, std::uint32_t start, std::size_t count,
                     std::uint32_t action) noexcept {
  vfio_irq_set header{};
  header.argsz = static_cast<std::uint32_t>(sizeof header + count * sizeof(std::int32_t));
  header.flags = VFIO_IRQ_SET_DATA_EVENTFD | action;
  header.index = index;
  header.start = start;
  header.count = static_cast<std::uint32_t>(count);
  std::memcpy(request_.data(), &header, sizeof header);
  std::memcpy(request_.data() + sizeof header, descriptors_.data() + start, count * sizeof(std::int32_t));
  return file_.request(VFIO_DEVICE_SET_IRQS, request_.data()) == 0;
}

bool Interrupts::disable(std::uint32_t index) noexcept {
  vfio_irq_set none{};
  none.argsz = sizeof none;
  none.flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER;
  none.index = index;
  return file_.request(VFIO_DEVICE_SET_IRQS, &none) == 0;
}

void Interrupts::use_none() noexcept {
  if (kind_ == InterruptKind::none) return;
  if (!disable(index_of(kind_))) ++refused_;
  if (kind_ == InterruptKind::pin) line_->disconnect();
  kind_ = InterruptKind::none;
  given_ = 0;
  std::ranges::fill(descriptors_, -1);
}

// The host masks the pin when it has signalled it, and unmasks it when the guest has served it: both without
// this process.
void Interrupts::use_pin() noexcept {
  use_none();
  if (line_ == nullptr) return;
  const auto pass = [this](const FileDescriptor& event, std::uint32_t action) {
    descriptors_[0] = event.get();
    const bool taken = set(VFIO_PCI_INTX_IRQ_INDEX, 0, 1, action);
    descriptors_[0] = -1;
    return taken;
  };
  if (!line_->connect(trigger_.get(), resample_.get())) {
    ++refused_;
    return;
  }
  if (!pass(trigger_, VFIO_IRQ_SET_ACTION_TRIGGER)) {
    line_->disconnect();
    ++refused_;
    return;
  }
  kind_ = InterruptKind::pin;
  if (!pass(resample_, VFIO_IRQ_SET_ACTION_UNMASK)) ++refused_;
}

void Interrupts::use_messages(InterruptKind kind, std::size_t vectors) noexcept {
  use_none();
  kind_ = kind;
  enable_messages(std::clamp<std::size_t>(vectors, 1, descriptors_.size()));
}

void Interrupts::enable_messages(std::size_t vectors) noexcept {
  const std::uint32_t index = index_of(kind_);
  if (given_ != 0) (void)disable(index);
  given_ = 0;
  // A host that has fewer left says how many, as a positive result; that is taken as a refusal of the rest.
  while (vectors != 0 && !set(index, 0, vectors, VFIO_IRQ_SET_ACTION_TRIGGER)) {
    ++refused_;
    vectors /= 2;
  }
  given_ = vectors;
}

void Interrupts::set_vector(std::size_t index, int descriptor) noexcept {
  if ((kind_ != InterruptKind::msi && kind_ != InterruptKind::msix) || index >= descriptors_.size()) return;
  if (descriptors_[index] == descriptor) return;
  descriptors_[index] = descriptor;
  if (index >= given_) return enable_messages(std::min(std::bit_ceil(index + 1), descriptors_.size()));
  if (!set(index_of(kind_), static_cast<std::uint32_t>(index), 1, VFIO_IRQ_SET_ACTION_TRIGGER)) ++refused_;
}

void Interrupts::inspect(InspectNode& node) const {
  constexpr std::array<const char*, 4> kNames = {"none", "pin", "msi", "msix"};
  node.add("interrupts", kNames[static_cast<std::size_t>(kind_)]);
  node.add("vectors", std::uint64_t{given_});
  node.add("refused_interrupts", refused_);
}

}  // namespace warren::vmm::vfio
