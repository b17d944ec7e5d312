#include "vmm-core/machine/acpi_tables.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <span>
#include <string>

#include "vmm-core/devices/memory_hot_plug.h"
#include "vmm-core/devices/panic_port.h"
#include "vmm-core/devices/pci_hot_plug.h"
#include "vmm-core/devices/power_management.h"
#include "vmm-core/devices/reset_control.h"
#include "vmm-core/devices/vcpu_hot_plug.h"
#include "vmm-core/machine/aml.h"
#include "vmm-core/os/error.h"

namespace warren::vmm::machine {
namespace {

using aml::Bytes;

struct [[gnu::packed]] TableHeader {
  char signature[4];
  std::uint32_t length = 0;
  std::uint8_t revision = 0;
  std::uint8_t checksum = 0;
  char oem_id[6] = {'W', 'A', 'R', 'R', 'E', 'N'};
  char oem_table_id[8] = {'W', 'A', 'R', 'R', 'E', 'N', 'P', 'C'};
  std::uint32_t oem_revision = 1;
  char creator_id[4] = {'W', 'R', 'R', 'N'};
  std::uint32_t creator_revision = 1;
};
static_assert(sizeof(TableHeader) == 36);

// §5.2.3.2
struct [[gnu::packed]] GenericAddress {
  std::uint8_t space = 0;  // 1: ports
  std::uint8_t bits = 0;
  std::uint8_t offset = 0;
  std::uint8_t access = 0;
  std::uint64_t address = 0;
};
static_assert(sizeof(GenericAddress) == 12);

// §5.2.9
struct [[gnu::packed]] FadtBody {
  std::uint32_t facs = 0, dsdt = 0;
  std::uint8_t reserved0 = 0, preferred_profile = 0;
  std::uint16_t sci_interrupt = static_cast<std::uint16_t>(kSciGsi);
  std::uint32_t smi_command = 0;
  std::uint8_t acpi_enable = 0, acpi_disable = 0, s4bios = 0, pstate_control = 0;
  std::uint32_t pm1a_event = kPowerManagementBase + PowerManagement::kPm1Status, pm1b_event = 0;
  std::uint32_t pm1a_control = kPowerManagementBase + PowerManagement::kPm1Control, pm1b_control = 0;
  std::uint32_t pm2_control = 0;
  std::uint32_t pm_timer = kPowerManagementBase + PowerManagement::kTimer;
  std::uint32_t gpe0 = kPowerManagementBase + PowerManagement::kGpe0, gpe1 = 0;
  std::uint8_t pm1_event_length = 4, pm1_control_length = 2, pm2_control_length = 0, pm_timer_length = 4;
  std::uint8_t gpe0_length = PowerManagement::kGpe0Size, gpe1_length = 0, gpe1_base = 0, cst_control = 0;
  std::uint16_t c2_latency = 0xfff, c3_latency = 0xfff;
  std::uint16_t flush_size = 0, flush_stride = 0;
  std::uint8_t duty_offset = 0, duty_width = 0, day_alarm = 0, month_alarm = 0, century = 0x32;
  std::uint16_t boot_architecture = 0x03;  // legacy devices, an i8042
  std::uint8_t reserved1 = 0;
  // WBINVD, PROC_C1, SLP_BUTTON (none as fixed hardware), RESET_REG_SUP, TMR_VAL_EXT; a fixed power button.
  std::uint32_t flags = (1 << 0) | (1 << 2) | (1 << 5) | (1 << 8) | (1 << 10);
  GenericAddress reset_register{1, 8, 0, 1, kResetControlPort};
  std::uint8_t reset_value = ResetControl::kResetEverything;
  std::uint16_t arm_boot_architecture = 0;
  std::uint8_t minor_version = 0;
  std::uint64_t x_facs = 0, x_dsdt = 0;
  GenericAddress x_pm1a_event{1, 32, 0, 2, kPowerManagementBase + PowerManagement::kPm1Status};
  GenericAddress x_pm1b_event;
  GenericAddress x_pm1a_control{1, 16, 0, 2, kPowerManagementBase + PowerManagement::kPm1Control};
  GenericAddress x_pm1b_control, x_pm2_control;
  GenericAddress x_pm_timer{1, 32, 0, 3, kPowerManagementBase + PowerManagement::kTimer};
  GenericAddress x_gpe0{1, PowerManagement::kGpe0Size * 8, 0, 1,
                        kPowerManagementBase + PowerManagement::kGpe0};
  GenericAddress x_gpe1, sleep_control, sleep_status;
  std::uint64_t hypervisor_id = 0;
};
static_assert(sizeof(TableHeader) + sizeof(FadtBody) == 276);

// §5.2.10
struct [[gnu::packed]] Facs {
  char signature[4] = {'F', 'A', 'C', 'S'};
  std::uint32_t length = 64;
  std::uint32_t hardware_signature = 0, waking_vector = 0, global_lock = 0, flags = 0;
  std::uint64_t x_waking_vector = 0;
  std::uint8_t version = 2;
  std::uint8_t reserved[31] = {};
};
static_assert(sizeof(Facs) == 64);

// §5.2.5.3
struct [[gnu::packed]] RootPointer {
  char signature[8] = {'R', 'S', 'D', ' ', 'P', 'T', 'R', ' '};
  std::uint8_t checksum = 0;
  char oem_id[6] = {'W', 'A', 'R', 'R', 'E', 'N'};
  std::uint8_t revision = 2;
  std::uint32_t rsdt = 0;
  std::uint32_t length = 36;
  std::uint64_t xsdt = 0;
  std::uint8_t extended_checksum = 0;
  std::uint8_t reserved[3] = {};
};
static_assert(sizeof(RootPointer) == 36);

template <typename T>
Bytes bytes_of(const T& object) {
  const auto bytes = std::as_bytes(std::span(&object, 1));
  Bytes result(bytes.size());
  std::memcpy(result.data(), bytes.data(), bytes.size());
  return result;
}

template <typename T>
void append_little(Bytes& to, T value) {
  const Bytes bytes = bytes_of(value);
  to.insert(to.end(), bytes.begin(), bytes.end());
}

// What makes all `bytes` sum up to zero.
std::uint8_t checksum_of(std::span<const std::uint8_t> bytes) {
  unsigned sum = 0;
  for (const std::uint8_t byte : bytes) sum += byte;
  return static_cast<std::uint8_t>(0u - sum);
}

Bytes table(const char (&signature)[5], std::uint8_t revision, const Bytes& body) {
  TableHeader header{};
  std::memcpy(header.signature, signature, 4);
  header.length = static_cast<std::uint32_t>(sizeof(header) + body.size());
  header.revision = revision;
  Bytes result = aml::join({bytes_of(header), body});
  result[offsetof(TableHeader, checksum)] = checksum_of(result);
  return result;
}

// Puts tables one behind the other, 64-byte aligned as the FACS wants it.
class Placer {
 public:
  Placer(GuestMemory& memory, GuestAddress start, std::uint64_t size)
      : memory_(memory), start_(start), size_(size) {}

  std::uint64_t put(const Bytes& bytes) {
    const std::uint64_t place = start_.value + used_;
    if (bytes.size() > size_ - used_ ||
        !memory_.write(GuestAddress{place}, std::as_bytes(std::span(bytes)))) {
      throw Error(std::errc::not_enough_memory, "ACPI tables");
    }
    used_ = (used_ + bytes.size() + 63) / 64 * 64;
    if (used_ > size_) used_ = size_;
    return place;
  }

 private:
  GuestMemory& memory_;
  const GuestAddress start_;
  const std::uint64_t size_;
  std::uint64_t used_ = 0;
};

constexpr std::uint32_t kHighestXApicId = 254;

// Flags of a local APIC (§5.2.12.2): one that is not there may come.
constexpr std::uint32_t kApicEnabled = 1, kApicOnlineCapable = 2;

// §5.2.12.2, §5.2.12.12
Bytes make_local_apic(std::uint32_t uid, std::uint32_t id, std::uint32_t flags) {
  Bytes entry;
  if (id <= kHighestXApicId) {
    entry = {0, 8, static_cast<std::uint8_t>(uid), static_cast<std::uint8_t>(id)};
    append_little(entry, flags);
  } else {
    entry = {9, 16, 0, 0};
    append_little(entry, id);
    append_little(entry, flags);
    append_little(entry, uid);
  }
  return entry;
}

bool contains(const std::vector<std::uint32_t>& list, std::uint32_t value) {
  return std::ranges::find(list, value) != list.end();
}

// §5.2.12
Bytes make_madt(const AcpiConfiguration& configuration) {
  Bytes body;
  append_little(body, static_cast<std::uint32_t>(kLocalApicBase));
  append_little(body, std::uint32_t{1});  // PCAT_COMPAT: there are PICs too
  std::uint32_t uid = 0;
  for (const std::uint32_t id : configuration.apic_ids) {
    const bool is_absent = contains(configuration.absent_vcpus, uid);
    const Bytes entry = make_local_apic(uid, id, is_absent ? kApicOnlineCapable : kApicEnabled);
    body.insert(body.end(), entry.begin(), entry.end());
    ++uid;
  }
  body.insert(body.end(), {1, 12, 0, 0});  // the I/O APIC, id 0, from GSI 0
  append_little(body, static_cast<std::uint32_t>(kIoApicBase));
  append_little(body, std::uint32_t{0});
  const auto source_override = [&body](std::uint8_t isa, std::uint32_t gsi, std::uint16_t flags) {
    body.insert(body.end(), {2, 10, 0, isa});
    append_little(body, gsi);
    append_little(body, flags);
  };
  source_override(0, 2, 0);                                              // the PIT
  source_override(static_cast<std::uint8_t>(kSciGsi), kSciGsi, 0x000d);  // the SCI: level, active high
  body.insert(body.end(), {4, 6, 0xff, 0, 0, 1});                        // LINT1 of every processor is NMI
  return table("APIC", 5, body);
}

// PCI Firmware 3.3 §4.1.2
Bytes make_mcfg() {
  Bytes body(8, 0);
  append_little(body, kEcamBase);
  append_little(body, std::uint16_t{0});
  body.insert(body.end(), {0, kLastBus});
  append_little(body, std::uint32_t{0});
  return table("MCFG", 1, body);
}

// §5.2.16.1, §5.2.16.3: which node a processor belongs to.
void append_processor_affinity(Bytes& body, std::uint32_t apic_id, std::uint32_t node) {
  constexpr std::uint32_t kEnabled = 1;
  if (apic_id <= kHighestXApicId) {
    body.insert(body.end(), {0, 16, static_cast<std::uint8_t>(node), static_cast<std::uint8_t>(apic_id)});
    append_little(body, kEnabled);
    append_little(body, std::uint64_t{0});
  } else {
    body.insert(body.end(), {2, 24, 0, 0});
    append_little(body, node);
    append_little(body, apic_id);
    append_little(body, kEnabled);
    append_little(body, std::uint64_t{0});
  }
}

// §5.2.16.2
void append_memory_affinity(Bytes& body, std::uint32_t node, std::uint64_t start, std::uint64_t size,
                            bool hot_pluggable = false) {
  body.insert(body.end(), {1, 40});
  append_little(body, node);
  append_little(body, std::uint16_t{0});
  append_little(body, start);
  append_little(body, size);
  append_little(body, std::uint32_t{0});
  append_little(body, hot_pluggable ? std::uint32_t{3} : std::uint32_t{1});  // enabled
  append_little(body, std::uint64_t{0});
}

// §5.2.16
Bytes make_srat(const AcpiConfiguration& configuration) {
  Bytes body;
  append_little(body, std::uint32_t{1});
  append_little(body, std::uint64_t{0});
  const MemoryMap& map = configuration.memory_map;
  std::uint64_t given = 0;  // bytes of RAM that nodes have got, without the hole
  for (std::uint32_t node = 0; node < configuration.numa.size(); ++node) {
    for (const std::uint32_t vcpu : configuration.numa[node].vcpus) {
      append_processor_affinity(body, configuration.apic_ids.at(vcpu), node);
    }
    const std::uint64_t end = given + configuration.numa[node].memory_bytes;
    if (given < map.low_ram_size) {
      append_memory_affinity(body, node, given, std::min(end, map.low_ram_size) - given);
    }
    if (end > map.low_ram_size) {
      const std::uint64_t start = std::max(given, map.low_ram_size);
      append_memory_affinity(body, node, kHighRamStart + start - map.low_ram_size, end - start);
    }
    given = end;
  }
  // A memory device tells its node itself; this tells where memory may be.
  if (map.hot_plug_size != 0) {
    append_memory_affinity(body, static_cast<std::uint32_t>(configuration.numa.size() - 1),
                           map.hot_plug_start, map.hot_plug_size, true);
  }
  return table("SRAT", 3, body);
}

// §5.2.17
Bytes make_slit(const AcpiConfiguration& configuration) {
  Bytes body;
  append_little(body, std::uint64_t{configuration.numa.size()});
  for (const NumaNode& node : configuration.numa) {
    body.insert(body.end(), node.distances.begin(), node.distances.end());
  }
  return table("SLIT", 1, body);
}

Bytes make_fadt(std::uint64_t facs, std::uint64_t dsdt) {
  FadtBody body;
  body.facs = static_cast<std::uint32_t>(facs);
  body.dsdt = static_cast<std::uint32_t>(dsdt);
  body.x_dsdt = dsdt;
  return table("FACP", 6, bytes_of(body));
}

// Where _OSC says who drives the slots behind root ports.
Bytes make_choice_register() {
  const auto place = static_cast<std::uint32_t>(kPciHotPlugBase + PciHotPlug::kControl);
  return aml::join({aml::memory_region("PCTL", place, 4), aml::dword_fields("PCTL", {{"PNAT", 0}})});
}

// A query (bit 0 of the first dword) changes nothing.
Bytes make_choice() {
  using namespace aml;
  constexpr std::uint64_t kQuery = 1;
  static_assert(PciHotPlug::kNative == 1, "is bit 0 of what is granted");
  const Bytes nowhere{0x00};  // the value of the expression is all that is wanted
  return when(equal(bit_and(path("CDW1"), integer(kQuery), nowhere), integer(0)),
              store(bit_and(path("CDW3"), integer(PciHotPlug::kNative), nowhere), path("PNAT")));
}

// _OSC of the host bridge (PCI Firmware 3.3 §4.5.1): the guest gets native hot plug (bit 0), PME, AER and the
// express capability structure (bits 2 to 4); of another UUID, "unrecognized" (bit 2 of the first dword).
Bytes make_osc(bool has_slots) {
  using namespace aml;
  constexpr std::uint64_t kGranted = 0x1d;
  return serialized_method(
      "_OSC", 4,
      join({create_dword_field(argument(3), 0, "CDW1"),
            when(equal(argument(0), uuid("33db4d5b-1ff7-401c-9657-7441c03dd766")),
                 join({create_dword_field(argument(3), 8, "CDW3"),
                       bit_and(path("CDW3"), integer(kGranted), path("CDW3")),
                       has_slots ? make_choice() : Bytes{}})),
            otherwise(bit_or(path("CDW1"), integer(4), path("CDW1"))), give_back(argument(3))}));
}

// _PRT (§6.2.13): which GSI the pins of the slots of bus 0 end at.
Bytes make_prt() {
  std::vector<Bytes> routes;
  for (std::uint8_t slot = 0; slot < 32; ++slot) {
    for (std::uint8_t pin = 0; pin < 4; ++pin) {
      routes.push_back(aml::package({aml::integer((std::uint64_t{slot} << 16) | 0xffff), aml::integer(pin),
                                     aml::integer(0), aml::integer(pci_interrupt_gsi(slot, pin))}));
    }
  }
  return aml::name("_PRT", aml::package(routes));
}

Bytes make_host_bridge(const AcpiConfiguration& configuration) {
  using namespace aml;
  const auto& map = configuration.memory_map;
  const bool has_slots = !configuration.hot_plug_ports.empty();
  const Bytes resources =
      template_of({bus_range(0, kLastBus), io_ports(kPciConfigAddressPort, 8),
                   port_window(0, kPciConfigAddressPort - 1), port_window(kPciConfigDataPort + 4, 0xffff),
                   memory_window32(static_cast<std::uint32_t>(kPciWindow32Start),
                                   static_cast<std::uint32_t>(kPciWindow32End - 1)),
                   memory_window64(map.pci_window64_start, map.pci_window64_end - 1)});
  return device("PCI0", join({name("_HID", eisa_id("PNP0A08")), name("_CID", eisa_id("PNP0A03")),
                              name("_SEG", integer(0)), name("_BBN", integer(0)), name("_UID", integer(0)),
                              name("_CRS", resources), make_prt(),
                              has_slots ? make_choice_register() : Bytes{}, make_osc(has_slots)}));
}

// The motherboard's own: the ECAM window must be reserved somewhere other than in the host bridge's _CRS
// (PCI Firmware 3.3 §4.1.2, note 2).
Bytes make_motherboard(const AcpiConfiguration& configuration) {
  using namespace aml;
  const Bytes ecam =
      fixed_memory(static_cast<std::uint32_t>(kEcamBase), static_cast<std::uint32_t>(kEcamSize));
  const Bytes ports = io_ports(kPowerManagementBase, kPowerManagementSize);
  const auto registers = [](bool present, std::uint64_t base, std::uint64_t size) {
    return present ? fixed_memory(static_cast<std::uint32_t>(base), static_cast<std::uint32_t>(size))
                   : Bytes{};
  };
  const Bytes resources = template_of(
      {ecam, ports,
       registers(!configuration.hot_pluggable_vcpus.empty(), kVcpuHotPlugBase, VcpuHotPlug::kSize),
       registers(configuration.memory_slots != 0, kMemoryHotPlugBase, MemoryHotPlug::kSize),
       registers(!configuration.hot_plug_ports.empty(), kPciHotPlugBase, PciHotPlug::kSize),
       registers(configuration.root_complex, kRootComplexBase, kRootComplexSize)});
  return device("MRES",
                join({name("_HID", eisa_id("PNP0C02")), name("_UID", integer(1)), name("_CRS", resources)}));
}

Bytes make_legacy_devices(const AcpiConfiguration& configuration) {
  using namespace aml;
  struct Port {
    std::uint16_t base;
    std::uint8_t irq;
  };
  constexpr std::array<Port, 4> kPorts = {{{0x3f8, 4}, {0x2f8, 3}, {0x3e8, 4}, {0x2e8, 3}}};
  Bytes result = join(
      {device("RTC_", join({name("_HID", eisa_id("PNP0B00")),
                            name("_CRS", template_of({io_ports(0x70, 2), irq(8)}))})),
       device("KBD_", join({name("_HID", eisa_id("PNP0303")),
                            name("_CRS", template_of({io_ports(0x60, 1), io_ports(0x64, 1), irq(1)}))}))});
  for (const std::uint8_t number : configuration.serial_ports) {
    const Port& port = kPorts[number % kPorts.size()];
    const std::string segment = "COM" + std::to_string(number + 1);
    result =
        join({result,
              device(segment, join({name("_HID", eisa_id("PNP0501")), name("_UID", integer(number + 1u)),
                                    name("_CRS", template_of({io_ports(port.base, 8), irq(port.irq)}))}))});
  }
  return result;
}

// What a kernel knows a virtual machine by: pvpanic, and the generation id of Microsoft's paper of that name,
// whose drivers go by the compatible id.
Bytes make_guest_services(const AcpiConfiguration& configuration) {
  using namespace aml;
  Bytes result;
  if (configuration.panic_port) {
    result = device("PEVT", join({name("_HID", text("QEMU0001")), name("_STA", integer(0xf)),
                                  name("_CRS", template_of({io_ports(PanicPort::kPort, 1)}))}));
  }
  if (configuration.generation_id) {
    const Bytes address = package({integer(kGenerationIdPage.value), integer(0)});  // its two halves
    result = join(
        {result, device("VGEN", join({name("_HID", text("WRRN0001")), name("_CID", text("VM_Gen_Counter")),
                                      name("_DDN", text("VM_Gen_Counter")), name("ADDR", address)}))});
  }
  return result;
}

// As Windows keeps a GUID: the first three fields have their lowest byte first.
void write_generation_id(const std::array<std::uint8_t, 16>& id, GuestMemory& memory) {
  constexpr std::array<std::uint8_t, 16> kOrder = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};
  std::array<std::byte, 4096> page{};
  for (std::size_t i = 0; i < kOrder.size(); ++i) page[i] = std::byte{id[kOrder[i]]};
  if (!memory.write(kGenerationIdPage, page)) throw Error(std::errc::not_enough_memory, "generation id");
}

std::string processor_segment(std::uint32_t vcpu) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  return std::string("C0") + kDigits[vcpu / 16 % 16] + kDigits[vcpu % 16];
}

// What a processor that comes and goes has besides: whether it is there, its local APIC as it is once it has
// come (§6.2.11), how it is let go of and what became of that (§6.3.3, §6.3.5).
Bytes make_hot_plug_methods(std::uint32_t vcpu, std::uint32_t apic_id) {
  using namespace aml;
  const auto slot = static_cast<std::uint32_t>(kVcpuHotPlugBase + vcpu * VcpuHotPlug::kSlotSize);
  return join(
      {memory_region("CREG", slot, VcpuHotPlug::kSlotSize),
       dword_fields("CREG", {{"CSTA", VcpuHotPlug::kStatus},
                             {"CEJ0", VcpuHotPlug::kEject},
                             {"COSE", VcpuHotPlug::kSourceEvent},
                             {"COSC", VcpuHotPlug::kStatusCode}}),
       name("_MAT", buffer(make_local_apic(vcpu, apic_id, kApicEnabled))),
       method("_STA", 0, give_back(path("CSTA"))), method("_EJ0", 1, store(integer(1), path("CEJ0"))),
       method("_OST", 3, join({store(argument(0), path("COSE")), store(argument(1), path("COSC"))}))});
}

Bytes make_processors(const AcpiConfiguration& configuration) {
  using namespace aml;
  Bytes result;
  for (std::uint32_t i = 0; i < configuration.apic_ids.size(); ++i) {
    Bytes content = join({name("_HID", text("ACPI0007")), name("_UID", integer(i))});
    if (contains(configuration.hot_pluggable_vcpus, i))
      content = join({content, make_hot_plug_methods(i, configuration.apic_ids[i])});
    result = join({result, device(processor_segment(i), content)});
  }
  return result;
}

// The general event of vCPUs (§5.6.4.1): each that has news is notified, until there is none.
Bytes make_vcpu_event(const AcpiConfiguration& configuration) {
  using namespace aml;
  if (configuration.hot_pluggable_vcpus.empty()) return {};
  constexpr std::uint64_t kNumber = 0xffff, kNotificationShift = 16;
  const Bytes event = local(0), number = local(1), notification = local(2);
  Bytes chosen;
  for (const std::uint32_t vcpu : configuration.hot_pluggable_vcpus) {
    chosen = join({chosen, when(equal(number, integer(vcpu)),
                                notify(path("\\_SB_." + processor_segment(vcpu)), notification))});
  }
  const Bytes each = join({store(event, path("CEVT")), bit_and(event, integer(kNumber), number),
                           shift_right(event, integer(kNotificationShift), notification), chosen,
                           store(path("CEVT"), event)});
  static_assert(PowerManagement::kVcpuEvent == 2, "the method is named after it");
  return scope("\\_GPE",
               join({memory_region("CREG", static_cast<std::uint32_t>(kVcpuHotPlugBase), 4),
                     dword_fields("CREG", {{"CEVT", 0}}),
                     method("_E02", 0, join({store(path("CEVT"), event), loop_while(event, each)}))}));
}

std::string module_segment(std::uint32_t slot) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  return std::string("MP") + kDigits[slot / 16 % 16] + kDigits[slot % 16];
}

// What all modules share: a slot's register read and written, and its range as resources (§6.2.2).
Bytes make_module_methods() {
  using namespace aml;
  const Bytes place = add(integer(kMemoryHotPlugBase), add(shift_left(argument(0), integer(6)), argument(1)));
  static_assert(MemoryHotPlug::kSlotSize == 1 << 6);
  const Bytes field = join({memory_region("MREG", place, 4), dword_fields("MREG", {{"MVAL", 0}})});
  constexpr std::uint64_t kSomeLength = 0x1000;  // filled in
  Bytes fill;
  const auto fill_in = [&](std::string_view name, std::uint64_t at, std::uint32_t offset) {
    const Bytes low = call("MGET", {argument(0), integer(offset)});
    const Bytes high = shift_left(call("MGET", {argument(0), integer(offset + 4)}), integer(32));
    fill = join({fill, create_qword_field(path("MRNG"), at, name),
                 store(bit_or(high, low, Bytes{0x00}), path(name))});
  };
  fill_in("MFST", kFirstOf64, MemoryHotPlug::kFirst);
  fill_in("MLST", kLastOf64, MemoryHotPlug::kLast);
  fill_in("MLEN", kLengthOf64, MemoryHotPlug::kLength);
  return join({serialized_method("MGET", 2, join({field, give_back(path("MVAL"))})),
               serialized_method("MSET", 3, join({field, store(argument(2), path("MVAL"))})),
               serialized_method("MCRS", 1,
                                 join({name("MRNG", template_of({cacheable_memory64(0, kSomeLength - 1)})),
                                       fill, give_back(path("MRNG"))}))});
}

// Memory modules (§9.11): whether one is there, where, in which node, how it is let go of and what became of
// that.
Bytes make_modules(const AcpiConfiguration& configuration) {
  using namespace aml;
  if (configuration.memory_slots == 0) return {};
  Bytes result = make_module_methods();
  for (std::uint32_t i = 0; i < configuration.memory_slots; ++i) {
    const auto get = [&](std::uint32_t offset) {
      return give_back(call("MGET", {integer(i), integer(offset)}));
    };
    const auto set = [&](std::uint32_t offset, const Bytes& value) {
      return call("MSET", {integer(i), integer(offset), value});
    };
    Bytes content = join({name("_HID", eisa_id("PNP0C80")), name("_UID", integer(i)),
                          method("_STA", 0, get(MemoryHotPlug::kStatus)),
                          method("_CRS", 0, give_back(call("MCRS", {integer(i)}))),
                          method("_EJ0", 1, set(MemoryHotPlug::kEject, integer(1))),
                          method("_OST", 3,
                                 join({set(MemoryHotPlug::kSourceEvent, argument(0)),
                                       set(MemoryHotPlug::kStatusCode, argument(1))}))});
    if (!configuration.numa.empty()) content = join({content, method("_PXM", 0, get(MemoryHotPlug::kNode))});
    result = join({result, device(module_segment(i), content)});
  }
  return result;
}

// As make_vcpu_event().
Bytes make_module_event(const AcpiConfiguration& configuration) {
  using namespace aml;
  if (configuration.memory_slots == 0) return {};
  constexpr std::uint64_t kNumber = 0xffff, kNotificationShift = 16;
  const Bytes event = local(0), number = local(1), notification = local(2);
  Bytes chosen;
  for (std::uint32_t i = 0; i < configuration.memory_slots; ++i) {
    chosen = join(
        {chosen, when(equal(number, integer(i)), notify(path("\\_SB_." + module_segment(i)), notification))});
  }
  const Bytes each = join({store(event, path("MEVT")), bit_and(event, integer(kNumber), number),
                           shift_right(event, integer(kNotificationShift), notification), chosen,
                           store(path("MEVT"), event)});
  static_assert(PowerManagement::kMemoryEvent == 3, "the method is named after it");
  const auto place = static_cast<std::uint32_t>(kMemoryHotPlugBase + MemoryHotPlug::kEvent);
  return scope("\\_GPE",
               join({memory_region("MREG", place, 4), dword_fields("MREG", {{"MEVT", 0}}),
                     method("_E03", 0, join({store(path("MEVT"), event), loop_while(event, each)}))}));
}

std::string port_segment(const HotPlugPort& port) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  return std::string("RP") + kDigits[port.bus / 16 % 16] + kDigits[port.bus % 16];
}
constexpr const char* kSlotBehindPort = "SL00";

// The slots behind root ports for guests that do not drive them themselves (§6.1.1, §6.3.3, §6.3.5; PCI
// Firmware 3.3 §4.5): a device of the bus behind each, which it can let go of.
Bytes make_ports(const std::vector<HotPlugPort>& ports) {
  using namespace aml;
  static_assert(PciHotPlug::kPortSize == 1 << 4);
  const Bytes place = add(integer(kPciHotPlugBase), add(shift_left(argument(0), integer(4)), argument(1)));
  Bytes content =
      serialized_method("PSET", 3,
                        join({memory_region("PREG", place, 4), dword_fields("PREG", {{"PVAL", 0}}),
                              store(argument(2), path("PVAL"))}));
  for (const HotPlugPort& port : ports) {
    const auto set = [&](std::uint32_t offset, const Bytes& value) {
      return call("PSET", {integer(port.bus), integer(offset), value});
    };
    const Bytes slot =
        device(kSlotBehindPort, join({name("_ADR", integer(0)), name("_SUN", integer(port.number)),
                                      method("_EJ0", 1, set(PciHotPlug::kEject, integer(1))),
                                      method("_OST", 3,
                                             join({set(PciHotPlug::kSourceEvent, argument(0)),
                                                   set(PciHotPlug::kStatusCode, argument(1))}))}));
    const std::uint64_t address = std::uint64_t{port.slot} << 16 | port.function;
    content = join({content, device(port_segment(port), join({name("_ADR", integer(address)), slot}))});
  }
  return scope("\\_SB_.PCI0", content);
}

// As make_vcpu_event().
Bytes make_port_event(const std::vector<HotPlugPort>& ports) {
  using namespace aml;
  constexpr std::uint64_t kNumber = 0xffff, kNotificationShift = 16;
  const Bytes event = local(0), number = local(1), notification = local(2);
  Bytes chosen;
  for (const HotPlugPort& port : ports) {
    const std::string slot = "\\_SB_.PCI0." + port_segment(port) + "." + kSlotBehindPort;
    chosen = join({chosen, when(equal(number, integer(port.bus)), notify(path(slot), notification))});
  }
  const Bytes each = join({store(event, path("PEVT")), bit_and(event, integer(kNumber), number),
                           shift_right(event, integer(kNotificationShift), notification), chosen,
                           store(path("PEVT"), event)});
  static_assert(PowerManagement::kPciEvent == 4, "the method is named after it");
  const auto place = static_cast<std::uint32_t>(kPciHotPlugBase + PciHotPlug::kEvent);
  return scope("\\_GPE",
               join({memory_region("PREG", place, 4), dword_fields("PREG", {{"PEVT", 0}}),
                     method("_E04", 0, join({store(path("PEVT"), event), loop_while(event, each)}))}));
}

Bytes make_port_table(const std::vector<HotPlugPort>& ports) {
  return table("SSDT", 2, aml::join({make_ports(ports), make_port_event(ports)}));
}

// §7.4.2: what is to be written to PM1a_CNT.SLP_TYP, PM1b_CNT.SLP_TYP for a state.
Bytes make_sleep_states(const PowerManagement::SleepStates& states) {
  using namespace aml;
  using enum PowerManagement::SleepState;
  const auto state = [](std::string_view path_of_state, PowerManagement::SleepState type) {
    const Bytes number = integer(static_cast<std::uint8_t>(type));
    return name(path_of_state, package({number, integer(0), integer(0), integer(0)}));
  };
  return join({states.s3 ? state("\\_S3_", s3) : Bytes{}, states.s4 ? state("\\_S4_", s4) : Bytes{},
               state("\\_S5_", s5)});
}

Bytes make_dsdt(const AcpiConfiguration& configuration) {
  using namespace aml;
  return table(
      "DSDT", 2,
      join({scope("\\_SB_", join({make_host_bridge(configuration), make_motherboard(configuration),
                                  make_legacy_devices(configuration), make_guest_services(configuration),
                                  make_processors(configuration), make_modules(configuration)})),
            make_vcpu_event(configuration), make_module_event(configuration),
            make_sleep_states(configuration.sleep_states)}));
}

}  // namespace

AcpiPlaces write_acpi_tables(const AcpiConfiguration& configuration, GuestMemory& memory) {
  if (configuration.generation_id) write_generation_id(*configuration.generation_id, memory);
  Placer placer(memory, kAcpiTables, kAcpiTablesSize);
  // The root pointer comes first, on a 16-byte boundary where old kernels scan for it (§5.2.5.1).
  RootPointer root;
  const GuestAddress root_place{placer.put(bytes_of(root))};
  const std::uint64_t facs = placer.put(bytes_of(Facs{}));
  const std::uint64_t dsdt = placer.put(make_dsdt(configuration));
  Bytes entries;
  append_little(entries, placer.put(make_fadt(facs, dsdt)));
  append_little(entries, placer.put(make_madt(configuration)));
  append_little(entries, placer.put(make_mcfg()));
  if (!configuration.numa.empty()) {
    append_little(entries, placer.put(make_srat(configuration)));
    append_little(entries, placer.put(make_slit(configuration)));
  }
  if (!configuration.hot_plug_ports.empty()) {
    Placer more(memory, kMoreAcpiTables, kMoreAcpiTablesSize);
    append_little(entries, more.put(make_port_table(configuration.hot_plug_ports)));
  }
  root.xsdt = placer.put(table("XSDT", 1, entries));

  constexpr std::size_t kFirstPart = 20;
  Bytes bytes = bytes_of(root);
  root.checksum = checksum_of(std::span(bytes).first(kFirstPart));
  bytes = bytes_of(root);
  root.extended_checksum = checksum_of(bytes);
  bytes = bytes_of(root);
  if (!memory.write(root_place, std::as_bytes(std::span(bytes))))
    throw Error(std::errc::not_enough_memory, "ACPI root");
  return {root_place, GuestAddress{facs}};
}

}  // namespace warren::vmm::machine
