#include "vmm-core/devices/ahci_controller.h"

#include <cstring>
#include <utility>

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vmm-core/os/error.h"

namespace warren::vmm {

using namespace ahci;

namespace {

constexpr pci::Identity kIdentity{.vendor = 0x8086,
                                  .device = 0x2922,
                                  .revision = 2,
                                  .class_code = 0x010601,
                                  .subsystem_vendor = 0x1af4,
                                  .subsystem = 0x1100};

constexpr std::uint32_t kSupported = kSupports64Bit | kSupportsQueuing | kSupportsCommandListOverride |
                                     kSpeed6Gbps | kAhciOnly | (kSlots - 1) << 8 | (ahci::kPorts - 1);
constexpr std::uint32_t kVersion131 = 0x0001'0301;
constexpr std::uint32_t kAllPorts = (1U << ahci::kPorts) - 1;

}  // namespace

AhciController::AhciController(std::string name, pci::Place place, GuestMemory& memory, MsiRouter& messages,
                               EventThread& thread, std::vector<DriveConfiguration> drives)
    : pci::Function(std::move(name), kIdentity, std::move(place)),
      memory_(memory),
      thread_(thread),
      bell_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!bell_) throw_errno(this->name() + ": eventfd");
  PortHost& host = *this;
  for (unsigned i = 0; i < kPorts; ++i) ports_[i] = std::make_unique<Port>(host, i);
  for (auto& drive : drives) {
    if (drive.port >= kPorts || disks_[drive.port] != nullptr) {
      throw Error(std::errc::invalid_argument, this->name() + ": port " + std::to_string(drive.port) +
                                                   " does not exist or has two drives");
    }
    block::Disk& disk = *(disks_[drive.port] = std::move(drive.disk));
    std::unique_ptr<ata::Device> device;
    if (drive.is_optical) {
      device = std::make_unique<ata::PacketDrive>(disk, std::move(drive.tray_moved));
    } else {
      device = std::make_unique<ata::Disk>(disk);
    }
    ports_[drive.port]->insert({&disk, std::move(device)});
  }
  add_msi(messages);
  use_interrupt_pin();
  add_bar({.index = kBar, .kind = pci::BarKind::memory32, .size = kBarBytes, .handler = this});
  start();
}

AhciController::~AhciController() {
  pause();
}

void AhciController::start() {
  if (running_) return;
  std::exception_ptr failed;
  thread_.run([&] {
    try {
      thread_.add(bell_.get(), EPOLLIN, *this);
      for (const auto& port : ports_) port->start(thread_);
    } catch (...) {
      failed = std::current_exception();
    }
  });
  if (failed) std::rethrow_exception(failed);
  running_ = true;
}

void AhciController::pause() noexcept {
  if (!std::exchange(running_, false)) return;
  thread_.run([this] {
    thread_.remove(bell_.get());
    for (const auto& port : ports_) port->stop(thread_);
  });
}

void AhciController::resume() noexcept {
  try {
    start();
  } catch (const std::exception&) {
    // No memory in the host to wait for a descriptor: commands are not done, and the guest sees them time
    // out.
  }
}

void AhciController::reset() {
  thread_.run([this] { reset_registers(); });
  pci::Function::reset();
}

void AhciController::reset_registers() noexcept {
  for (const auto& port : ports_) port->reset();
  const std::lock_guard lock(mutex_);
  reset_requested_ = false;
  control_ = kAhciEnable;
  interrupt_status_ = 0;
  interrupts_changed();
}

// Whoever moves a tray or a medium does it where commands are carried out: between two of them.
ata::PacketDrive& AhciController::optical_drive(unsigned port) {
  if (port >= kPorts || ports_[port]->device() == nullptr || !ports_[port]->device()->takes_packets())
    throw Error(std::errc::no_such_device,
                name() + ": there is no optical drive at port " + std::to_string(port));
  return static_cast<ata::PacketDrive&>(*ports_[port]->device());
}

scsi::OpticalDrive::Opening AhciController::open_tray(unsigned port, bool force) {
  auto& drive = optical_drive(port).drive();
  auto opening = scsi::OpticalDrive::Opening::locked;
  thread_.run([&] { opening = drive.open_tray(force); });
  return opening;
}

void AhciController::close_tray(unsigned port) {
  auto& drive = optical_drive(port).drive();
  thread_.run([&] { drive.close_tray(); });
}

void AhciController::set_medium(unsigned port, std::unique_ptr<block::Image> image) {
  auto& drive = optical_drive(port).drive();
  std::exception_ptr failed;
  thread_.run([&] {
    try {
      const std::optional<std::uint64_t> bytes =
          image ? std::optional(image->size()) : std::optional<std::uint64_t>();
      ports_[port]->replace_image(std::move(image), thread_);
      drive.set_medium(bytes);
    } catch (...) {
      failed = std::current_exception();
    }
  });
  if (failed) std::rethrow_exception(failed);
}

void AhciController::wake() noexcept {
  const std::uint64_t one = 1;
  // A full counter wakes too.
  [[maybe_unused]] const ssize_t written = ::write(bell_.get(), &one, sizeof(one));
}

void AhciController::on_event(std::uint32_t) noexcept {
  std::uint64_t rings = 0;
  [[maybe_unused]] const ssize_t got = ::read(bell_.get(), &rings, sizeof(rings));
  bool resets = false;
  {
    const std::lock_guard lock(mutex_);
    resets = reset_requested_;
  }
  if (resets) reset_registers();
  for (const auto& port : ports_) port->service();
}

// §10.6.2: the pin is high while a bit is set; a message goes out for whatever has set one.
void AhciController::interrupts_changed() noexcept {
  for (unsigned i = 0; i < kPorts; ++i)
    if (ports_[i] && ports_[i]->is_interrupting()) interrupt_status_ |= 1U << i;
  const bool asserted = (control_ & kInterruptEnable) != 0 && interrupt_status_ != 0;
  if (asserted && signal_msi()) {
    set_interrupt(false);
    return;
  }
  set_interrupt(asserted);
}

std::uint32_t AhciController::read_register(std::uint64_t offset) const noexcept {
  if (offset >= kGenericBytes) {
    const std::uint64_t port = (offset - kGenericBytes) / kPortBytes;
    return port < kPorts ? ports_[port]->read((offset - kGenericBytes) % kPortBytes) : 0;
  }
  switch (offset) {
    case kCapabilities:
      return kSupported;
    case kGlobalControl:
      return control_;
    case kInterruptStatus:
      return interrupt_status_;
    case kPortsImplemented:
      return kAllPorts;
    case kVersion:
      return kVersion131;
    default:
      return 0;
  }
}

void AhciController::write_register(std::uint64_t offset, std::uint32_t value) noexcept {
  if (offset >= kGenericBytes) {
    const std::uint64_t port = (offset - kGenericBytes) / kPortBytes;
    if (port < kPorts) ports_[port]->write((offset - kGenericBytes) % kPortBytes, value);
    return;
  }
  if (offset == kGlobalControl) {
    control_ = kAhciEnable | (value & kInterruptEnable) | (control_ & kHbaReset);
    if ((value & kHbaReset) != 0) {
      // Reads as one until it is done (§3.1.2).
      control_ |= kHbaReset;
      reset_requested_ = true;
      wake();
    }
    interrupts_changed();
  } else if (offset == kInterruptStatus) {
    interrupt_status_ &= ~value;
    interrupts_changed();
  }
}

void AhciController::read(std::uint64_t offset, std::span<std::byte> data) noexcept {
  const std::lock_guard lock(mutex_);
  for (std::size_t done = 0; done < data.size();) {
    const std::uint64_t at = offset + done;
    const std::uint32_t value = read_register(at & ~std::uint64_t{3});
    const std::size_t part = std::min<std::size_t>(data.size() - done, 4 - at % 4);
    std::memcpy(data.data() + done, std::as_bytes(std::span(&value, 1)).data() + at % 4, part);
    done += part;
  }
}

// §3: registers are written in whole doublewords, one or two; anything else changes nothing.
void AhciController::write(std::uint64_t offset, std::span<const std::byte> data) noexcept {
  if (offset % 4 != 0 || data.size() % 4 != 0) return;
  const std::lock_guard lock(mutex_);
  for (std::size_t done = 0; done < data.size(); done += 4) {
    std::uint32_t value = 0;
    std::memcpy(&value, data.data() + done, sizeof(value));
    write_register(offset + done, value);
  }
}

AhciController::State AhciController::save() const {
  State state;
  for (unsigned i = 0; i < kPorts; ++i) {
    state.ports[i] = ports_[i]->save();
    ata::Device* device = ports_[i]->device();
    if (device == nullptr) continue;
    if (device->takes_packets()) {
      state.drives[i] = static_cast<ata::PacketDrive*>(device)->save();
    } else {
      state.drives[i] = static_cast<ata::Disk*>(device)->save();
    }
  }
  const std::lock_guard lock(mutex_);
  state.control = control_;
  state.interrupt_status = interrupt_status_;
  return state;
}

void AhciController::restore(const State& state) {
  bool fits = state.version == 1 && (state.interrupt_status & ~kAllPorts) == 0;
  for (unsigned i = 0; i < kPorts; ++i) {
    ata::Device* device = ports_[i]->device();
    const std::size_t wanted = device == nullptr ? 0 : device->takes_packets() ? 2 : 1;
    fits = fits && state.drives[i].index() == wanted;
  }
  if (!fits) throw Error(std::errc::invalid_argument, name() + ": saved state of an AHCI controller");
  for (unsigned i = 0; i < kPorts; ++i) {
    if (const auto* disk = std::get_if<ata::Disk::State>(&state.drives[i]))
      static_cast<ata::Disk*>(ports_[i]->device())->restore(*disk);
    if (const auto* drive = std::get_if<ata::PacketDrive::State>(&state.drives[i]))
      static_cast<ata::PacketDrive*>(ports_[i]->device())->restore(*drive);
    ports_[i]->restore(state.ports[i]);
  }
  const std::lock_guard lock(mutex_);
  control_ = kAhciEnable | (state.control & kInterruptEnable);
  interrupt_status_ = state.interrupt_status;
  interrupts_changed();
}

void AhciController::inspect(InspectNode& node) const {
  pci::Function::inspect(node);
  for (unsigned i = 0; i < kPorts; ++i) {
    if (!disks_[i]) continue;
    InspectNode& child = node.child(disks_[i]->name());
    thread_.run([&] { ports_[i]->inspect(child); });
  }
}

}  // namespace warren::vmm
