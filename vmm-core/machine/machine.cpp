#include "vmm-core/machine/machine.h"

#include <algorithm>
#include <array>
#include <utility>

#include <x86intrin.h>

#include "vmm-core/machine/acpi_tables.h"
#include "vmm-core/machine/boot_image.h"
#include "vmm-core/machine/smbios_tables.h"
#include "vmm-core/os/error.h"

namespace warren::vmm::machine {
namespace {

constexpr std::uint32_t kMsrTimeStampCounter = 0x10;
// SDM 3A §11.11.2.1: MTRRs on, everything write-back, as firmware leaves it.
constexpr std::uint32_t kMsrMtrrDefaultType = 0x2ff;
constexpr std::uint64_t kMtrrEnableWriteBack = 1 << 11 | 6;

MemoryMap checked_map(const MachineConfiguration& configuration) {
  const std::uint64_t bytes = configuration.memory_bytes;
  if (bytes < 2 * kMebibyte || bytes % 4096 != 0 || bytes > std::uint64_t{1} << 46) {
    throw Error(std::errc::invalid_argument, configuration.name + ": " + std::to_string(bytes) +
                                                 " bytes of memory are no multiple of 4 KiB between 2 MiB "
                                                 "and 64 TiB");
  }
  return make_memory_map(bytes);
}

// What kernels without firmware learn of memory (ACPI 6.5 §15).
std::vector<MemoryMapEntry> make_boot_map(const MemoryMap& map) {
  constexpr std::uint64_t kReservedLow = kLegacyHoleStart - 0x400;  // where PCs keep the EBDA
  std::vector<MemoryMapEntry> entries = {
      {0, kReservedLow, MemoryMapEntry::kRam},
      {kReservedLow, kLegacyHoleEnd - kReservedLow, MemoryMapEntry::kReserved},
      {kLegacyHoleEnd, map.low_ram_size - kLegacyHoleEnd, MemoryMapEntry::kRam},
      {kEcamBase, kEcamSize, MemoryMapEntry::kReserved},
  };
  if (map.high_ram_size != 0) entries.push_back({kHighRamStart, map.high_ram_size, MemoryMapEntry::kRam});
  return entries;
}

}  // namespace

Machine::Machine(MachineConfiguration configuration, EventSink sink)
    : configuration_(std::move(configuration)),
      sink_(std::move(sink)),
      map_(checked_map(configuration_)),
      system_(std::move(configuration_.kvm)),
      memory_(make_memory()),
      vm_(make_vm()),
      board_(configuration_, map_, lines_, {memory_, messages_, doorbells_},
             {.reset = [this] { on_guest_event(GuestReset{}); },
              .power_off = [this] { on_guest_event(GuestShutDown{}); },
              .panicked = [this] { on_guest_event(GuestCrashed{"the guest's kernel panicked"}); },
              .clock_changed = [this] { events_.wake(); },
              .guest_nanoseconds = [this] { return clock_.now(); },
              .device_released = configuration_.device_released}) {
  board_.clock().set_observer(configuration_.clock_set);
  clock_.pause();
  pristine_controllers_ = vm_.interrupt_controllers();
  vcpus_ = std::make_unique<VcpuThreads>(
      make_vcpus(),
      VcpuThreads::Environment{.ports = board_.ports(),
                               .memory = board_.memory(),
                               .counters = configuration_.counters,
                               .thread_started = configuration_.thread_started,
                               .stopped = [this](GuestEvent event) { on_guest_event(std::move(event)); }});
}

Machine::~Machine() {
  // In this order nothing runs any more when what it uses goes: vCPUs, devices' threads, back ends.
  vcpus_->stop();
  board_.pause();
  events_.stop();
}

GuestMemory Machine::make_memory() const {
  std::array<GuestMemory::Layout, 2> layouts = {
      {{GuestAddress{0}, map_.low_ram_size}, {GuestAddress{kHighRamStart}, map_.high_ram_size}}};
  return GuestMemory(std::span(layouts).first(map_.high_ram_size != 0 ? 2 : 1),
                     configuration_.memory_allocation);
}

kvm::VirtualMachine Machine::make_vm() const {
  kvm::VirtualMachine vm(system_);
  vm.map_memory(memory_);
  vm.create_interrupt_controllers(GuestAddress{kKvmIdentityMapAddress}, GuestAddress{kKvmTssAddress},
                                  configuration_.reinject_timer_ticks);
  return vm;
}

std::vector<std::unique_ptr<kvm::Vcpu>> Machine::make_vcpus() {
  const auto supported = system_.supported_cpuid();
  auto msrs = system_.msr_indices();
  // Time goes on over a reset: KVM keeps the counters of all vCPUs in step, which writing them would end.
  std::erase(msrs, kMsrTimeStampCounter);
  std::vector<std::unique_ptr<kvm::Vcpu>> vcpus;
  for (std::uint32_t i = 0; i < configuration_.cpu.vcpus; ++i) {
    vcpus.push_back(std::make_unique<kvm::Vcpu>(system_, vm_, apic_id(configuration_.cpu, i)));
    kvm::Vcpu& vcpu = *vcpus.back();
    vcpu.set_cpuid(make_cpuid(supported, configuration_.cpu, i, vcpu.time_stamp_counter_khz()));
    vcpu.set_msr(kMsrMtrrDefaultType, kMtrrEnableWriteBack);
    pristine_vcpus_.push_back(vcpu.save(msrs));
  }
  return vcpus;
}

void Machine::load() {
  AcpiConfiguration acpi{.memory_map = map_, .numa = configuration_.numa};
  for (std::uint32_t i = 0; i < configuration_.cpu.vcpus; ++i) {
    acpi.apic_ids.push_back(apic_id(configuration_.cpu, i));
  }
  acpi.serial_ports.reserve(configuration_.serials.size());
  for (const auto& serial : configuration_.serials) acpi.serial_ports.push_back(serial.port);
  acpi.panic_port = configuration_.panic_port;
  acpi.generation_id = configuration_.generation_id;
  write_smbios_tables({.uuid = configuration_.uuid,
                       .memory_map = map_,
                       .cpu = configuration_.cpu,
                       .strings = configuration_.smbios},
                      memory_);
  const BootImage image{
      .kernel = &configuration_.boot.kernel,
      .initrd = configuration_.boot.initrd ? &*configuration_.boot.initrd : nullptr,
      .command_line = configuration_.boot.command_line,
      .acpi_root = write_acpi_tables(acpi, memory_),
      .memory_map = make_boot_map(map_),
  };
  kvm::Vcpu& first = vcpus_->vcpu(0);
  const BootState state = load_boot_image(image, memory_, first.special_registers());
  first.set_special_registers(state.special);
  first.set_registers(state.registers);
}

void Machine::start(bool paused) {
  if (started_) throw Error(std::errc::operation_not_permitted, configuration_.name + ": started already");
  load();
  std::vector<DescriptorBackend*> backends;
  for (const auto& backend : configuration_.character_backends) backends.push_back(backend.get());
  events_.start(std::move(backends), &board_.clock(), configuration_.thread_started);
  vcpus_->start();
  started_ = true;
  stopped_guest_clock_ = vm_.clock();
  stopped_time_stamp_ = __rdtsc();
  if (!paused) resume();
}

void Machine::stop_running() {
  if (!running_) return;
  vcpus_->pause();
  board_.pause();
  clock_.pause();
  stopped_guest_clock_ = vm_.clock();
  stopped_time_stamp_ = __rdtsc();
  running_ = false;
}

// Guest time stands still in between: the paravirtual clock is set back, and so are the time stamp counters,
// all by the same number of cycles so that they stay in step.
void Machine::continue_running() {
  if (running_ || ended_.load()) return;
  const std::uint64_t cycles = __rdtsc() - stopped_time_stamp_;
  for (std::size_t i = 0; i < vcpus_->size(); ++i) {
    (void)vcpus_->vcpu(i).rewind_time_stamp_counter(cycles);
    vcpus_->vcpu(i).mark_paused();
  }
  vm_.set_clock(stopped_guest_clock_);
  clock_.resume();
  board_.resume();
  running_ = true;
  vcpus_->resume();
}

void Machine::pause() {
  paused_ = true;
  stop_running();
}

void Machine::resume() {
  if (!started_) throw Error(std::errc::operation_not_permitted, configuration_.name + ": not started");
  paused_ = false;
  continue_running();
}

void Machine::reset() {
  if (!started_) throw Error(std::errc::operation_not_permitted, configuration_.name + ": not started");
  stop_running();
  board_.pause();
  board_.reset();
  vm_.set_interrupt_controllers(pristine_controllers_);
  lines_.refresh();
  for (std::size_t i = 0; i < vcpus_->size(); ++i) vcpus_->vcpu(i).restore(pristine_vcpus_[i]);
  load();
  ++resets_;
  ended_.store(false);
  if (!paused_) continue_running();
}

template <typename Look>
void Machine::between_runs(Look look) {
  const bool resumes = running_;
  if (resumes) vcpus_->pause();
  const auto go_on = [&] {
    // A guest that came to its end meanwhile stays where it is.
    if (resumes && !ended_.load()) vcpus_->resume();
  };
  try {
    look();
  } catch (...) {
    go_on();
    throw;
  }
  go_on();
}

void Machine::inject_nmi() {
  between_runs([this] {
    for (std::size_t i = 0; i < vcpus_->size(); ++i) vcpus_->vcpu(i).inject_nmi();
  });
}

std::vector<VcpuRegisters> Machine::registers() {
  std::vector<VcpuRegisters> all;
  between_runs([&] {
    for (std::size_t i = 0; i < vcpus_->size(); ++i)
      all.push_back({vcpus_->vcpu(i).registers(), vcpus_->vcpu(i).special_registers()});
  });
  return all;
}

std::vector<FileDescriptor> Machine::statistics() {
  std::vector<FileDescriptor> files;
  files.push_back(vm_.statistics());
  between_runs([&] {
    for (std::size_t i = 0; i < vcpus_->size(); ++i) files.push_back(vcpus_->vcpu(i).statistics());
  });
  for (const auto& file : files)
    if (!file) return {};
  return files;
}

void Machine::plug(const PciDeviceConfiguration& device) {
  between_runs([&] { board_.plug(device, lines_, {memory_, messages_, doorbells_}, running_); });
}

pci::RemovalRequest Machine::request_removal(const std::string& id) {
  return board_.request_removal(id);
}

std::string Machine::unplug(std::uint8_t bus) {
  std::string id;
  between_runs([&] { id = board_.unplug(bus); });
  return id;
}

std::uint64_t Machine::stop_dirty_log() {
  const std::uint64_t pages = vm_.count_dirty_pages(memory_);
  vm_.log_dirty_pages(memory_, false);
  return pages;
}

bool Machine::read_virtual(std::uint64_t address, std::span<std::byte> destination) {
  constexpr std::uint64_t kPage = 4096;
  bool found = true;
  between_runs([&] {
    while (found && !destination.empty()) {
      const std::size_t size = std::min<std::size_t>(kPage - address % kPage, destination.size());
      const auto physical = vcpus_->vcpu(0).translate(address);
      found = physical && memory_.read(*physical, destination.first(size));
      destination = destination.subspan(size);
      address += size;  // an address that wraps is not mapped, or is page 0
    }
  });
  return found;
}

void Machine::on_guest_event(GuestEvent event) {
  // Later ones, of other vCPUs or while the first is served, add nothing.
  if (ended_.exchange(true)) return;
  if (vcpus_) vcpus_->request_pause();
  sink_(std::move(event));
}

void Machine::inspect(InspectNode& node) const {
  node.add("name", configuration_.name);
  node.add("memory_bytes", configuration_.memory_bytes);
  node.add("running", running_);
  node.add("ended", ended_.load());
  node.add("resets", resets_);
  vcpus_->inspect(node.child("vcpus"));
  lines_.inspect(node.child("interrupt-lines"));
  messages_.inspect(node.child("messages"));
  board_.inspect(node.child("board"));
}

}  // namespace warren::vmm::machine
