#include "vmm-core/machine/machine.h"

#include <algorithm>
#include <array>
#include <utility>

#include <x86intrin.h>

#include "vmm-core/machine/acpi_tables.h"
#include "vmm-core/machine/boot_image.h"
#include "vmm-core/machine/smbios_tables.h"
#include "vmm-core/machine/waking_vector.h"
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
  const std::uint64_t more = configuration.hot_plug_bytes;
  if (more % 4096 != 0 || more > std::uint64_t{1} << 46 ||
      configuration.memory_slots > MemoryHotPlug::kMaximumSlots ||
      (more != 0) != (configuration.memory_slots != 0)) {
    throw Error(std::errc::invalid_argument,
                configuration.name + ": " + std::to_string(more) + " bytes of memory in " +
                    std::to_string(configuration.memory_slots) + " slots cannot be kept room for");
  }
  return make_memory_map(bytes, more, configuration.memory_slots);
}

// Beyond these addresses the guest's CPUs reach nothing (SDM 2A CPUID, leaf 0x80000008).
void check_addresses(const MemoryMap& map, const kvm::System& system) {
  constexpr std::uint32_t kAddressSizes = 0x8000'0008;
  if (map.hot_plug_size == 0) return;
  unsigned bits = 36;
  for (const auto& entry : system.supported_cpuid())
    if (entry.function == kAddressSizes) bits = entry.eax & 0xff;
  if (bits >= 64 || map.pci_window64_end <= std::uint64_t{1} << bits) return;
  throw Error(std::errc::value_too_large, "the memory that may come needs addresses beyond the " +
                                              std::to_string(bits) + " bits of this host's CPUs");
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
      hot_plug_window_(GuestAddress{map_.hot_plug_start}, map_.hot_plug_size),
      vm_(make_vm()),
      device_memories_(make_device_memories()),
      board_(configuration_, map_, lines_, environment(),
             {.reset = [this] { on_guest_event(GuestReset{}); },
              .sleep = [this](PowerManagement::SleepState state) { on_sleep_state(state); },
              .may_wake = configuration_.may_wake,
              .panicked = [this] { on_guest_event(GuestCrashed{"the guest's kernel panicked"}); },
              .clock_changed = [this] { events_.wake(); },
              .guest_nanoseconds = [this] { return clock_.now(); },
              .device_released = configuration_.device_released,
              .device_kept = configuration_.device_kept,
              .vcpu_released = configuration_.vcpu_released,
              .vcpu_kept = configuration_.vcpu_kept,
              .dimm_released = configuration_.dimm_released,
              .dimm_kept = configuration_.dimm_kept}) {
  for (const auto& dimm : configuration_.dimms) insert_dimm(dimm, false);
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
  for (const auto& [id, memory] : device_memories_) memory_.detach(memory->address());
}

GuestMemory Machine::make_memory() const {
  check_addresses(map_, system_);
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

std::shared_ptr<DeviceMemory> Machine::make_device_memory(const DeviceMemoryConfiguration& memory) {
  auto made = std::make_shared<DeviceMemory>(memory.id, hot_plug_window_, vm_, memory.options, &dma_);
  made->set_listener(memory.changed);
  return made;
}

DeviceMemories Machine::make_device_memories() {
  DeviceMemories memories;
  for (const auto& memory : configuration_.device_memories) {
    auto& made = memories[memory.id];
    if (made) throw Error(std::errc::file_exists, "memory device '" + memory.id + "'");
    made = make_device_memory(memory);
    made->connect();
  }
  for (const auto& dimm : configuration_.dimms) {
    auto& made = memories[dimm.memory.id];
    if (made) throw Error(std::errc::file_exists, "memory device '" + dimm.memory.id + "'");
    made = make_device_memory(dimm.memory);
    made->connect();
  }
  for (const auto& [id, memory] : memories) memory_.attach(memory->region());
  return memories;
}

void Machine::enable_hyperv(kvm::Vcpu& vcpu, std::vector<kvm_cpuid_entry2>& cpuid) {
  const HypervConfiguration& hyperv = *configuration_.cpu.hyperv;
  // Api.rst §7.6, §7.7: with the second one KVM leaves the pages' content to the guest.
  if (hyperv.synthetic_interrupts) {
    const bool second = system_.check_extension(KVM_CAP_HYPERV_SYNIC2) > 0;
    vcpu.enable_capability(second ? KVM_CAP_HYPERV_SYNIC2 : KVM_CAP_HYPERV_SYNIC, "KVM_CAP_HYPERV_SYNIC");
  }
  std::uint16_t version = 0;
  if (hyperv.enlightened_vmcs) {
    // KVM writes the version there; it takes the address as a number.
    vcpu.enable_capability(KVM_CAP_HYPERV_ENLIGHTENED_VMCS, "KVM_CAP_HYPERV_ENLIGHTENED_VMCS",
                           reinterpret_cast<std::uint64_t>(&version));
  }
  auto leaves = make_hyperv_cpuid(system_.supported_hyperv_cpuid(), hyperv);
  if (hyperv.enlightened_vmcs) leaves.back().eax = (leaves.back().eax & ~0xffffu) | version;
  add_hyperv(cpuid, leaves);
}

std::unique_ptr<kvm::Vcpu> Machine::make_vcpu(std::uint32_t number) {
  auto msrs = system_.msr_indices();
  // Time goes on over a reset: KVM keeps the counters of all vCPUs in step, which writing them would end.
  std::erase(msrs, kMsrTimeStampCounter);
  auto vcpu = std::make_unique<kvm::Vcpu>(system_, vm_, apic_id(configuration_.cpu, number));
  auto cpuid =
      make_cpuid(system_.supported_cpuid(), configuration_.cpu, number, vcpu->time_stamp_counter_khz());
  if (configuration_.cpu.hyperv) enable_hyperv(*vcpu, cpuid);
  vcpu->set_cpuid(cpuid);
  set_up_machine_checks(*vcpu, cpuid);
  // KVM numbers vCPUs as they come.
  if (configuration_.cpu.hyperv && configuration_.cpu.hyperv->vcpu_index)
    vcpu->set_msr(kMsrHypervVcpuIndex, number);
  vcpu->set_msr(kMsrMtrrDefaultType, kMtrrEnableWriteBack);
  pristine_vcpus_.at(number) = vcpu->save(msrs);
  return vcpu;
}

std::vector<std::unique_ptr<kvm::Vcpu>> Machine::make_vcpus() {
  pristine_vcpus_.resize(configuration_.cpu.vcpus);
  std::vector<std::unique_ptr<kvm::Vcpu>> vcpus(configuration_.cpu.vcpus);
  const auto& absent = configuration_.cpu.absent;
  for (std::uint32_t i = 0; i < configuration_.cpu.vcpus; ++i) {
    if (std::ranges::find(absent, i) == absent.end()) vcpus[i] = make_vcpu(i);
  }
  return vcpus;
}

template <typename Each>
void Machine::for_each_vcpu(Each each) {
  for (const std::uint32_t i : present_vcpus()) each(i, vcpus_->vcpu(i));
}

void Machine::load() {
  AcpiConfiguration acpi{.memory_map = map_, .numa = configuration_.numa};
  acpi.apic_ids.reserve(configuration_.cpu.vcpus);
  for (std::uint32_t i = 0; i < configuration_.cpu.vcpus; ++i) {
    acpi.apic_ids.push_back(apic_id(configuration_.cpu, i));
    const VcpuHotPlug* hot_plug = board_.vcpu_hot_plug();
    if (hot_plug == nullptr || !hot_plug->is_hot_pluggable(i)) continue;
    acpi.hot_pluggable_vcpus.push_back(i);
    if (!hot_plug->is_present(i)) acpi.absent_vcpus.push_back(i);
  }
  acpi.serial_ports.reserve(configuration_.serials.size());
  for (const auto& serial : configuration_.serials) acpi.serial_ports.push_back(serial.port);
  acpi.memory_slots = configuration_.memory_slots;
  acpi.hot_plug_ports = board_.hot_plug_ports();
  acpi.panic_port = configuration_.panic_port;
  acpi.root_complex = configuration_.tco_watchdog.has_value();
  acpi.sleep_states = configuration_.sleep_states;
  acpi.generation_id = configuration_.generation_id;
  write_smbios_tables({.uuid = configuration_.uuid,
                       .memory_map = map_,
                       .cpu = configuration_.cpu,
                       .strings = configuration_.smbios},
                      memory_);
  const AcpiPlaces tables = write_acpi_tables(acpi, memory_);
  facs_ = tables.facs;
  const BootImage image{
      .kernel = &configuration_.boot.kernel,
      .initrd = configuration_.boot.initrd ? &*configuration_.boot.initrd : nullptr,
      .command_line = configuration_.boot.command_line,
      .acpi_root = tables.root,
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
  backends.reserve(configuration_.character_backends.size());
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
  for_each_vcpu([cycles](std::uint32_t, kvm::Vcpu& vcpu) {
    (void)vcpu.rewind_time_stamp_counter(cycles);
    vcpu.mark_paused();
  });
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
  // A new system begins without what the last one had plugged (virtio 1.2 §5.15.5).
  for (const auto& [id, memory] : device_memories_)
    if (memory->block_bytes() != 0) memory->unplug_all();
  board_.reset();
  reset_processors();
  // Other pages take the place of those that failed.
  for (const GuestAddress page : std::exchange(failed_pages_, {})) memory_.discard(page, 4096);
  load();
  ++resets_;
  ended_.store(false);
  if (!paused_) continue_running();
}

void Machine::reset_processors() {
  vm_.set_interrupt_controllers(pristine_controllers_);
  lines_.refresh();
  for_each_vcpu([this](std::uint32_t number, kvm::Vcpu& vcpu) { vcpu.restore(*pristine_vcpus_[number]); });
}

void Machine::sleep() {
  paused_ = false;  // it waits for what wakes it, and for nothing else
  stop_running();
}

bool Machine::wake() {
  kvm::Vcpu& first = vcpus_->vcpu(0);
  board_.wake();
  reset_processors();
  const auto state = follow_waking_vector(facs_, memory_, first.special_registers());
  if (!state) {
    reset();
    return false;
  }
  first.set_special_registers(state->special);
  first.set_registers(state->registers);
  ended_.store(false);
  continue_running();
  return true;
}

void Machine::on_sleep_state(PowerManagement::SleepState state) {
  using enum PowerManagement::SleepState;
  if (state == s3) {
    on_guest_event(GuestSuspended{});
  } else {
    on_guest_event(GuestShutDown{.is_hibernation = state == s4});
  }
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

template <typename Change>
void Machine::while_nothing_runs(Change change) {
  between_runs([&] {
    if (running_) board_.pause();
    const auto go_on = [&] {
      if (running_) board_.resume();
    };
    try {
      change();
    } catch (...) {
      go_on();
      throw;
    }
    go_on();
  });
}

void Machine::inject_nmi() {
  between_runs([this] { for_each_vcpu([](std::uint32_t, kvm::Vcpu& vcpu) { vcpu.inject_nmi(); }); });
}

std::vector<VcpuRegisters> Machine::registers() {
  std::vector<VcpuRegisters> all;
  between_runs([&] {
    for_each_vcpu(
        [&](std::uint32_t, kvm::Vcpu& vcpu) { all.push_back({vcpu.registers(), vcpu.special_registers()}); });
  });
  return all;
}

std::vector<FileDescriptor> Machine::statistics() {
  std::vector<FileDescriptor> files;
  files.push_back(vm_.statistics());
  between_runs(
      [&] { for_each_vcpu([&](std::uint32_t, kvm::Vcpu& vcpu) { files.push_back(vcpu.statistics()); }); });
  for (const auto& file : files)
    if (!file) return {};
  return files;
}

DeviceEnvironment Machine::environment() {
  return {.memory = memory_,
          .device_memories = device_memories_,
          .messages = messages_,
          .doorbells = doorbells_,
          .dma = dma_,
          .slots = vm_,
          .group_changed = [this](int group, bool present) { vm_.note_vfio_group(group, present); }};
}

void Machine::plug(const PciDeviceConfiguration& device) {
  const auto plug = [&] { board_.plug(device, lines_, environment(), running_); };
  if (device.reaches_memory) {
    while_nothing_runs(plug);
  } else {
    between_runs(plug);
  }
}

void Machine::add_memory(const DeviceMemoryConfiguration& memory) {
  if (device_memories_.contains(memory.id))
    throw Error(std::errc::file_exists, "memory device '" + memory.id + "'");
  auto made = make_device_memory(memory);
  made->connect();
  while_nothing_runs([&] {
    const auto place = device_memories_.emplace(memory.id, std::move(made)).first;
    try {
      memory_.attach(place->second->region());
    } catch (...) {
      device_memories_.erase(place);
      throw;
    }
  });
}

void Machine::remove_memory(const std::string& id) {
  const auto found = device_memories_.find(id);
  if (found == device_memories_.end()) throw Error(std::errc::no_such_device, "memory device '" + id + "'");
  while_nothing_runs([&] {
    memory_.detach(found->second->address());
    found->second->disconnect();
    device_memories_.erase(found);
  });
}

pci::RemovalRequest Machine::request_removal(const std::string& id) {
  return board_.request_removal(id);
}

std::string Machine::unplug(std::uint8_t bus) {
  std::string id;
  between_runs([&] { id = board_.unplug(bus); });
  return id;
}

void Machine::insert_dimm(const DimmConfiguration& dimm, bool tell) {
  const DeviceMemory& memory = *device_memories_.at(dimm.memory.id);
  MemoryHotPlug* hot_plug = board_.memory_hot_plug();
  const auto fresh = dimms_.emplace(dimm.slot, dimm.memory.id);
  if (fresh.second && hot_plug != nullptr &&
      hot_plug->insert(dimm.slot, {memory.address().value, memory.size(), dimm.node}, tell))
    return;
  if (fresh.second) dimms_.erase(fresh.first);
  throw Error(std::errc::address_in_use,
              dimm.memory.id + ": memory slot " + std::to_string(dimm.slot) + " is taken or does not exist");
}

void Machine::plug_dimm(const DimmConfiguration& dimm) {
  add_memory(dimm.memory);
  try {
    insert_dimm(dimm, true);
  } catch (...) {
    remove_memory(dimm.memory.id);
    throw;
  }
}

void Machine::request_dimm_removal(const std::string& id) {
  for (const auto& [slot, name] : dimms_)
    if (name == id && board_.memory_hot_plug()->request_removal(slot)) return;
  throw Error(std::errc::no_such_device, "memory module '" + id + "'");
}

std::string Machine::dimm_in(std::uint32_t slot) const {
  const auto found = dimms_.find(slot);
  return found == dimms_.end() ? std::string() : found->second;
}

std::string Machine::remove_dimm(std::uint32_t slot) {
  const std::string id = dimm_in(slot);
  if (id.empty() || board_.memory_hot_plug()->is_present(slot)) return {};
  remove_memory(id);
  dimms_.erase(slot);
  return id;
}

std::vector<std::uint32_t> Machine::present_vcpus() const {
  std::vector<std::uint32_t> present;
  for (std::uint32_t i = 0; i < vcpus_->size(); ++i) {
    if (vcpus_->is_present(i)) present.push_back(i);
  }
  return present;
}

VcpuHotPlug& Machine::hot_plug_of(std::uint32_t vcpu) {
  VcpuHotPlug* hot_plug = board_.vcpu_hot_plug();
  if (hot_plug == nullptr || !hot_plug->is_hot_pluggable(vcpu)) {
    throw Error(std::errc::operation_not_supported,
                "vCPU " + std::to_string(vcpu) + " does not come and go at run time");
  }
  return *hot_plug;
}

void Machine::add_vcpu(std::uint32_t number) {
  const bool is_new = !vcpus_->has_vcpu(number);
  auto made = is_new ? make_vcpu(number) : nullptr;
  kvm::Vcpu& vcpu = is_new ? *made : vcpus_->vcpu(number);
  if (!is_new) vcpu.restore(*pristine_vcpus_[number]);
  // Where the host cannot, KVM starts it with the others' as it is.
  (void)vcpu.match_time_stamp_counter(vcpus_->vcpu(0));
  vcpus_->add(number, std::move(made));
}

void Machine::plug_vcpus(const std::vector<std::uint32_t>& vcpus) {
  for (const std::uint32_t vcpu : vcpus) {
    if (hot_plug_of(vcpu).is_present(vcpu) || vcpus_->is_present(vcpu))
      throw Error(std::errc::file_exists, "vCPU " + std::to_string(vcpu) + " is there");
  }
  between_runs([&] {
    std::vector<std::uint32_t> added;
    try {
      for (const std::uint32_t vcpu : vcpus) {
        add_vcpu(vcpu);
        added.push_back(vcpu);
      }
    } catch (...) {
      for (const std::uint32_t vcpu : added) vcpus_->remove(vcpu);
      throw;
    }
  });
  for (const std::uint32_t vcpu : vcpus) hot_plug_of(vcpu).insert(vcpu);
}

void Machine::request_vcpu_removal(const std::vector<std::uint32_t>& vcpus) {
  for (const std::uint32_t vcpu : vcpus) {
    if (!hot_plug_of(vcpu).is_present(vcpu))
      throw Error(std::errc::no_such_device, "vCPU " + std::to_string(vcpu));
  }
  for (const std::uint32_t vcpu : vcpus) hot_plug_of(vcpu).request_removal(vcpu);
}

bool Machine::remove_vcpu(std::uint32_t vcpu) {
  if (!vcpus_->is_present(vcpu) || hot_plug_of(vcpu).is_present(vcpu)) return false;
  between_runs([&] {
    vcpus_->remove(vcpu);
    // Nothing that the guest left there wakes it or is sent to it.
    vcpus_->vcpu(vcpu).restore(*pristine_vcpus_[vcpu]);
  });
  return true;
}

void Machine::add_backend(std::unique_ptr<DescriptorBackend> backend,
                          const std::function<void(DescriptorBackend&)>& connect) {
  auto& all = configuration_.character_backends;
  all.reserve(all.size() + 1);
  backend->set_wake([this] { events_.wake(); });
  connect(*backend);
  all.push_back(std::move(backend));
  if (started_) events_.add(*all.back());
}

std::unique_ptr<DescriptorBackend> Machine::remove_backend(const DescriptorBackend& backend) {
  auto& all = configuration_.character_backends;
  const auto found = std::ranges::find(all, &backend, &std::unique_ptr<DescriptorBackend>::get);
  if (found == all.end()) return nullptr;
  events_.remove(backend);
  auto taken = std::move(*found);
  all.erase(found);
  return taken;
}

std::uint64_t Machine::stop_dirty_log() {
  const std::uint64_t pages = vm_.count_dirty_pages();
  vm_.log_dirty_pages(false);
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
  for (const auto& [id, memory] : device_memories_) {
    InspectNode& child = node.child(id);
    child.add("address", memory->address().value);
    child.add("size", memory->size());
    child.add("plugged", memory->plugged_bytes());
  }
  node.add("running", running_);
  node.add("ended", ended_.load());
  node.add("resets", resets_);
  vcpus_->inspect(node.child("vcpus"));
  lines_.inspect(node.child("interrupt-lines"));
  messages_.inspect(node.child("messages"));
  board_.inspect(node.child("board"));
}

}  // namespace warren::vmm::machine
