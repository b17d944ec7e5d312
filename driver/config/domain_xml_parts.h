// The parts parse_domain() and format_domain() are made of; private to this folder.
#pragma once

#include "driver/config/domain_definition.h"
#include "driver/config/domain_xml.h"
#include "driver/config/port_xml.h"
#include "driver/config/xml_tree.h"
#include "driver/config/xml_writer.h"

namespace warren::driver::config {

inline constexpr std::uint32_t kMaximumVcpus = 255;
inline constexpr std::uint32_t kMaximumConsolePort = 255;
inline constexpr std::size_t kMaximumCommandLineBytes = 2047;  // COMMAND_LINE_SIZE - 1 of x86 kernels
inline constexpr std::size_t kMaximumNameBytes = 240;          // NAME.xml and its temporary are file names

// virDomainSetMemoryStatsPeriod takes an int.
inline constexpr std::uint32_t kMaximumStatisticsPeriod = 0x7fff'ffff;
inline constexpr std::uint32_t kMaximumTuned = 65'535;  // numbers of vCPUs and IOThreads in <cputune>
inline constexpr std::uint32_t kMaximumIoThreads = 256;

// How a definition is printed: what belongs to a running domain only with `live`.
struct FormatContext {
  bool live = false;
};

// Names of existing domains' machines are mapped to the one PC there is; the definition shows what was
// chosen.
bool runs_as_q35(std::string_view machine);

MemoryBacking parse_memory_backing(XmlElement* element);
std::optional<SystemInformation> parse_system_information(XmlElement& root, const std::optional<Uuid>& uuid);
OperatingSystem parse_operating_system(XmlElement& root);
Features parse_features(XmlElement* features);
// hyperv.cpp
std::optional<Hyperv> parse_hyperv(XmlElement* element);
Clock parse_clock(XmlElement* clock);
LifecycleActions parse_lifecycle(XmlElement& root);
PowerManagement parse_power_management(XmlElement* pm);
std::optional<Cpu> parse_cpu(XmlElement* cpu);
// tuning_parser.cpp
CpuTuning parse_cpu_tuning(XmlElement* cputune);
MemoryTuning parse_memory_tuning(XmlElement* memtune);
BlkioTuning parse_blkio_tuning(XmlElement* blkiotune);
NumaTuning parse_numa_tuning(XmlElement* numatune);
std::vector<IoThread> parse_iothreads(XmlElement& root);
PerfEvents parse_perf_events(XmlElement* perf);
std::vector<GuestNumaCell> parse_guest_numa(XmlElement* numa);
// Against the vCPUs and the memory, which it completes.
void check_guest_numa(XmlElement& root, DomainDefinition& definition);
Devices parse_devices(XmlElement* devices, bool inactive);

// What disks, interfaces and the rest have in common: <address>, <alias>, <boot>.
DeviceInfo parse_device_info(XmlElement& device, bool inactive, bool pci, bool boot);
SerialPort parse_serial(XmlElement& element, bool inactive);
Console parse_console(XmlElement& element, bool inactive);
Channel parse_channel(XmlElement& element, bool inactive);
// small_device_parser.cpp
MemoryBalloon parse_memory_balloon(XmlElement& element, bool inactive);
Watchdog parse_watchdog(XmlElement& element, bool inactive);
PanicDevice parse_panic(XmlElement& element, bool inactive);
Vsock parse_vsock(XmlElement& element, bool inactive);
Input parse_input(XmlElement& element, bool inactive);
// Of all <input> together.
void check_inputs(XmlElement& devices, const std::vector<Input>& inputs);
// interface.cpp
Interface parse_interface(XmlElement& element, bool inactive);
void format_interface(XmlWriter& writer, const Interface& interface, const FormatContext& context);
// host_device.cpp
HostDevice parse_host_device(XmlElement& element, bool inactive);
void format_host_device(XmlWriter& writer, const HostDevice& device, const FormatContext& context);
// memory_device.cpp
MemoryDevice parse_memory_device(XmlElement& element, bool inactive);
void parse_maximum_memory(XmlElement& root, Memory& memory);
void format_memory_device(XmlWriter& writer, const MemoryDevice& device, const FormatContext& context);

inline std::string_view on_off(bool value) {
  return value ? "on" : "off";
}
// An attribute that may not have been given.
template <typename Value>
void format_optional(XmlWriter& writer, std::string_view name, const std::optional<Value>& value) {
  if constexpr (std::is_same_v<Value, bool>) {
    if (value) writer.attribute(name, on_off(*value));
  } else if (value) {
    writer.attribute(name, *value);
  }
}

void format_memory_backing(XmlWriter& writer, const MemoryBacking& backing);
void format_system_information(XmlWriter& writer, const SystemInformation& information);
void format_operating_system(XmlWriter& writer, const OperatingSystem& os);
void format_features(XmlWriter& writer, const Features& features);
void format_hyperv(XmlWriter& writer, const Hyperv& hyperv);
void format_cpu(XmlWriter& writer, const Cpu& cpu);
void format_guest_numa(XmlWriter& writer, const std::vector<GuestNumaCell>& cells);
void format_clock(XmlWriter& writer, const Clock& clock);
void format_power_management(XmlWriter& writer, const PowerManagement& pm);
// tuning_formatter.cpp
void format_cpu_tuning(XmlWriter& writer, const CpuTuning& tuning);
void format_memory_tuning(XmlWriter& writer, const MemoryTuning& tuning);
void format_blkio_tuning(XmlWriter& writer, const BlkioTuning& tuning);
void format_numa_tuning(XmlWriter& writer, const NumaTuning& tuning);
void format_iothreads(XmlWriter& writer, const std::vector<IoThread>& threads);
void format_perf_events(XmlWriter& writer, const PerfEvents& events);
void format_devices(XmlWriter& writer, const Devices& devices, const FormatContext& context);
void format_device_info(XmlWriter& writer, const DeviceInfo& info, const FormatContext& context);
void format_serial(XmlWriter& writer, const SerialPort& serial, const FormatContext& context);
void format_console(XmlWriter& writer, const Console& console, const FormatContext& context);
void format_channel(XmlWriter& writer, const Channel& channel, const FormatContext& context);
// small_device_formatter.cpp
void format_memory_balloon(XmlWriter& writer, const MemoryBalloon& balloon, const FormatContext& context);
void format_watchdog(XmlWriter& writer, const Watchdog& watchdog, const FormatContext& context);
void format_panic(XmlWriter& writer, const PanicDevice& panic, const FormatContext& context);
void format_vsock(XmlWriter& writer, const Vsock& vsock, const FormatContext& context);
void format_input(XmlWriter& writer, const Input& input, const FormatContext& context);

}  // namespace warren::driver::config
