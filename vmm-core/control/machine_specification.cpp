#include "vmm-core/control/machine_specification.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <functional>
#include <set>
#include <string_view>
#include <tuple>

#include <boost/json.hpp>

#include "vmm-core/control/disk_server.h"
#include "vmm-core/control/hot_plug.h"
#include "vmm-core/control/json_codec.h"
#include "vmm-core/os/error.h"

namespace warren::vmm::control {
namespace {

void require(bool holds, const std::string& member, const std::string& why) {
  if (!holds) refuse_member(member, why);
}

bool is_power_of_two(std::uint32_t value) {
  return value != 0 && (value & (value - 1)) == 0;
}

std::string element(const char* list, std::size_t index) {
  return std::string(list) + "[" + std::to_string(index) + "]";
}

// Ids and PCI places are used once; a function behind a root port has a root port.
class Places {
 public:
  explicit Places(const MachineSpecification& specification) {
    for (const auto& port : specification.root_ports) buses_.insert(port.secondary_bus);
  }

  void take_id(const std::string& id, const std::string& member) {
    require(!id.empty() && id.size() <= 64, member + ".id", "empty or longer than 64 bytes");
    require(ids_.insert(id).second, member + ".id", "'" + id + "' is used twice");
  }

  // What is part of the chipset may be in its slot.
  void take_address(const PciAddress& address, const std::string& member, bool is_chipset = false) {
    const std::string where = member + ".address";
    require(address.slot < 32 && address.function < 8, where, "slot above 31 or function above 7");
    require(address.bus != 0 || address.slot != 0, where, "0:0 is the host bridge");
    // The root complex keeps the ISA bridge and its companions at slot 31.
    require(address.bus != 0 || address.slot != 31 || (is_chipset && address.function == 2), where,
            "slot 31 of bus 0 belongs to the chipset");
    require(address.bus == 0 || buses_.contains(address.bus), where, "no root port leads to that bus");
    require(address.bus == 0 || address.slot == 0, where, "behind a root port there is slot 0 only");
    const std::uint32_t key =
        (std::uint32_t{address.bus} << 8) | (std::uint32_t{address.slot} << 3) | address.function;
    require(addresses_.insert(key).second, where, "two devices at one address");
  }

 private:
  std::set<std::uint8_t> buses_;
  std::set<std::string> ids_;
  std::set<std::uint32_t> addresses_;
};

void validate_character(const CharacterSpecification& character, const std::string& member) {
  const bool needs = character.kind != CharacterKind::null && character.kind != CharacterKind::terminal;
  require(needs == character.descriptor.has_value(), member + ".descriptor",
          needs ? "missing" : "not used by this kind");
}

void validate_queue(std::uint16_t queue_size, const std::string& member) {
  require(is_power_of_two(queue_size) && queue_size <= 1024, member + ".queue_size",
          "not a power of two up to 1024");
}

void validate_alignment(std::uint32_t alignment, const std::string& member) {
  require(is_power_of_two(alignment) && alignment >= 512 && alignment <= 32768, member,
          "not a power of two, 512 to 32768");
}

void validate_chain(const DiskSpecification& disk, const std::string& member) {
  require(disk.format == ImageFormat::raw || !disk.cdrom, member + ".format", "not of a CD/DVD drive");
  require(disk.format == ImageFormat::qcow2 || disk.data_descriptor.empty(), member + ".data_descriptor",
          "a raw image has none");
  require(disk.backing.size() < 200, member + ".backing", "more than 199 images");
  ImageFormat above = disk.format;
  for (const BackingSpecification& image : disk.backing) {
    require(above == ImageFormat::qcow2, member + ".backing", "below a raw image");
    require(!image.descriptor.empty(), member + ".backing", "without a descriptor");
    validate_alignment(image.direct_alignment, member + ".backing.direct_alignment");
    require(!image.nbd, member + ".backing.nbd", "a backing image is a file or device of the host");
    above = image.format;
  }
}

void validate_nbd(const DiskSpecification& disk, const std::string& member) {
  if (!disk.nbd) return;
  if (const char* wrong = defect_of(*disk.nbd)) require(false, member + ".nbd.export_name", wrong);
  require(disk.format == ImageFormat::raw && !disk.cdrom && !disk.direct, member + ".nbd",
          "not of a raw disk without O_DIRECT");
}

bool is_printable(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c >= ' ' && c <= '~'; });
}

void validate_scsi_controller(const ScsiControllerSpecification& controller, const std::string& member) {
  require(controller.queues >= 1 && controller.queues <= 64, member + ".queues", "not 1 to 64");
  require(controller.commands_per_unit >= 1 && controller.commands_per_unit <= 1024,
          member + ".commands_per_unit", "not 1 to 1024");
  require(controller.maximum_sectors >= 1, member + ".maximum_sectors", "0");
}

void validate_scsi(const DiskSpecification& disk, const std::string& member) {
  require(!disk.sata, member + ".scsi", "it is on SATA already");
  require(disk.scsi->lun <= 16383, member + ".scsi.lun", "above 16383");
  require(disk.iothread == 0 && disk.queues == 1 && disk.logical_block_size <= 4096, member,
          "a SCSI disk has its controller's queues and IOThread, and blocks of 512 to 4096 bytes");
  const ScsiIdentity& identity = disk.identity;
  require(identity.vendor.size() <= 8 && is_printable(identity.vendor), member + ".identity.vendor",
          "not at most 8 printable characters");
  require(identity.product.size() <= 16 && is_printable(identity.product), member + ".identity.product",
          "not at most 16 printable characters");
  require(identity.name.size() <= 128, member + ".identity.name", "longer than 128 bytes");
}

void validate_queues(const DiskSpecification& disk, const std::string& member) {
  require(disk.queues >= 1 && disk.queues <= 64, member + ".queues", "not 1 to 64");
  validate_queue(disk.queue_size, member);
  if (disk.queue_iothreads.empty()) return;
  require(!disk.sata && !disk.scsi && disk.iothread == 0 && disk.queue_iothreads.size() <= disk.queues,
          member + ".queue_iothreads",
          "not of a virtio-blk disk, beside an IOThread, or more than its queues");
}

void validate_disk(const DiskSpecification& disk, const std::string& member) {
  require(!disk.descriptor.empty() || disk.cdrom, member + ".descriptor", "missing");
  require(!disk.cdrom || ((disk.sata || disk.scsi) && disk.read_only), member + ".cdrom",
          "neither on SATA nor on SCSI, or not read-only");
  if (disk.scsi) validate_scsi(disk, member);
  if (disk.sata) {
    require(disk.sata->port < 6, member + ".sata.port", "above 5");
    require(disk.iothread == 0 && disk.queues == 1 && disk.logical_block_size == 512, member,
            "a SATA drive has one queue, no IOThread and sectors of 512 bytes");
  }
  validate_queues(disk, member);
  require(!disk.copy_on_read || !disk.read_only, member + ".copy_on_read", "a read-only disk keeps nothing");
  for (auto [size, name] : {std::pair(disk.logical_block_size, ".logical_block_size"),
                            std::pair(disk.physical_block_size, ".physical_block_size"),
                            std::pair(disk.direct_alignment, ".direct_alignment")}) {
    require(is_power_of_two(size) && size >= 512 && size <= 32768, member + name,
            "not a power of two, 512 to 32768");
  }
  require(disk.physical_block_size >= disk.logical_block_size, member + ".physical_block_size",
          "below the logical block size");
  require(disk.read_error != DiskErrorPolicy::enospace, member + ".read_error", "reads need no space");
  validate_chain(disk, member);
  validate_nbd(disk, member);
  validate_limits(disk.limits, member + ".limits");
  require(disk.serial.size() <= (disk.scsi ? 36U : 20U), member + ".serial",
          disk.scsi ? "longer than 36 bytes" : "longer than 20 bytes");
}

bool is_mac(std::string_view text) {
  if (text.size() != 17) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    if (i % 3 == 2 ? c != ':' : !hex) return false;
  }
  return true;
}

void validate_interface(const InterfaceSpecification& interface, const std::string& member) {
  require(is_mac(interface.mac), member + ".mac", "not of the form 52:54:00:12:34:56");
  require(!interface.stream || !interface.vhost_user, member + ".stream", "beside vhost_user");
  if (interface.stream) {
    require(interface.descriptors.empty() && interface.vhost.empty(), member + ".descriptors",
            "taps beside stream");
    require(interface.queues == 1, member + ".queues", "a stream has one pair");
  } else if (interface.vhost_user) {
    require(interface.descriptors.empty() && interface.vhost.empty(), member + ".descriptors",
            "taps beside vhost_user");
    require(interface.queues >= 1 && interface.queues <= 64, member + ".queues", "not 1 to 64");
  } else {
    require(!interface.descriptors.empty() && interface.descriptors.size() <= 64, member + ".descriptors",
            "not 1 to 64 queue pairs");
    require(interface.queues == 1, member + ".queues", "without vhost_user there are as many as taps");
  }
  require(interface.vhost.empty() || interface.vhost.size() == interface.descriptors.size(),
          member + ".vhost", "not one for each tap");
  require(interface.steering.empty() || (interface.steering.size() == 2 && interface.descriptors.size() > 1),
          member + ".steering", "not a program and a table for two taps or more");
  require(!interface.packed || (interface.vhost.empty() && !interface.vhost_user), member + ".packed",
          "not with vhost");
  validate_queue(interface.queue_size, member);
  require(interface.mtu == 0 || interface.mtu >= 68, member + ".mtu", "below 68");
}

void validate_cpu(const CpuSpecification& cpu) {
  require(cpu.vcpus >= 1 && cpu.vcpus <= kMaximumVcpus, "cpu.vcpus", "not 1 to 255");
  std::set<std::uint32_t> hot_pluggable, absent;
  for (const std::uint32_t vcpu : cpu.hot_pluggable) {
    require(vcpu != 0 && vcpu < cpu.vcpus && hot_pluggable.insert(vcpu).second, "cpu.hot_pluggable",
            "names vCPU 0, one that is not there, or one twice");
  }
  for (const std::uint32_t vcpu : cpu.absent) {
    require(hot_pluggable.contains(vcpu) && absent.insert(vcpu).second, "cpu.absent",
            "names a vCPU that is not hot pluggable, or one twice");
  }
  for (auto [count, name] : {std::pair(cpu.sockets, "cpu.sockets"), std::pair(cpu.dies, "cpu.dies"),
                             std::pair(cpu.cores, "cpu.cores"), std::pair(cpu.threads, "cpu.threads")}) {
    require(count >= 1 && count <= kMaximumVcpus, name, "not 1 to 255");
  }
  // Each factor is at most 255, so the product fits 32 bits.
  require(cpu.sockets * cpu.dies * cpu.cores * cpu.threads >= cpu.vcpus, "cpu",
          "the topology has no room for all vCPUs");
  require(!cpu.identity.vendor || cpu.identity.vendor->size() == 12, "cpu.identity.vendor", "not 12 bytes");
  require(!cpu.identity.brand || cpu.identity.brand->size() <= 47, "cpu.identity.brand",
          "longer than 47 bytes");
  require(!cpu.hyperv || (!cpu.hyperv->vendor_id.empty() && cpu.hyperv->vendor_id.size() <= 12),
          "cpu.hyperv.vendor_id", "not 1 to 12 bytes");
  require(cpu.masks.size() <= 256, "cpu.masks", "more than 256");
}

template <typename List, typename Each>
void for_each_device(const List& list, const char* name, Each each) {
  require(list.size() <= kMaximumDevices, name, "more than 256");
  for (std::size_t i = 0; i < list.size(); ++i) each(list[i], element(name, i));
}

void validate_numa(const MachineSpecification& specification) {
  const auto& nodes = specification.numa;
  if (nodes.empty()) return;
  require(nodes.size() <= kMaximumNumaNodes, "numa", "more than 64 nodes");
  std::set<std::uint32_t> vcpus;
  std::uint64_t rest = specification.memory_bytes;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const std::string member = element("numa", i);
    require(nodes[i].memory_bytes % 4096 == 0 && nodes[i].memory_bytes <= rest, member + ".memory_bytes",
            "not a multiple of 4096, or more than there is");
    rest -= nodes[i].memory_bytes;
    for (const std::uint32_t vcpu : nodes[i].vcpus) {
      require(vcpu < specification.cpu.vcpus && vcpus.insert(vcpu).second, member + ".vcpus",
              "names a vCPU that is not there or is in another node");
    }
    require(nodes[i].distances.size() == nodes.size() && nodes[i].distances[i] == 10, member + ".distances",
            "not one for each node with 10 for itself");
    for (const std::uint8_t distance : nodes[i].distances) {
      require(distance >= 10, member + ".distances", "below 10");
    }
  }
  require(rest == 0, "numa", "its nodes have less than all memory");
  require(vcpus.size() == specification.cpu.vcpus, "numa", "some vCPUs are in no node");
}

template <typename Described>
void validate_strings(const Described& strings, const std::string& member) {
  boost::mp11::mp_for_each<boost::describe::describe_members<Described, boost::describe::mod_public>>(
      [&](auto description) {
        const std::string& text = strings.*description.pointer;
        const std::string name = member + "." + description.name;
        require(text.size() <= 1024, name, "longer than 1024 bytes");
        require(text.find('\0') == std::string::npos, name, "holds a NUL");
      });
}

void validate_smbios(const SmbiosSpecification& smbios) {
  validate_strings(smbios.bios, "smbios.bios");
  validate_strings(smbios.system, "smbios.system");
  validate_strings(smbios.base_board, "smbios.base_board");
  validate_strings(smbios.chassis, "smbios.chassis");
  require(smbios.oem_strings.size() <= 32, "smbios.oem_strings", "more than 32");
  for (std::size_t i = 0; i < smbios.oem_strings.size(); ++i) {
    const std::string& text = smbios.oem_strings[i];
    require(!text.empty() && text.size() <= 1024 && text.find('\0') == std::string::npos,
            element("smbios.oem_strings", i), "empty, longer than 1024 bytes or with a NUL");
  }
}

void validate_port(const ConsolePortSpecification& port, const std::string& member) {
  require(port.name.size() <= 128 && port.name.find('\0') == std::string::npos, member + ".name",
          "longer than 128 bytes or with a NUL");
  validate_character(port.character, member + ".character");
}

void validate_ports(const SerialControllerSpecification& controller, Places& places,
                    const std::string& controller_member) {
  require(controller.maximum_ports >= 1 && controller.maximum_ports <= 64,
          controller_member + ".maximum_ports", "not 1 to 64");
  require(controller.ports.size() <= controller.maximum_ports, controller_member + ".ports",
          "more than maximum_ports");
  std::set<std::uint32_t> numbers;
  for (std::size_t i = 0; i < controller.ports.size(); ++i) {
    const ConsolePortSpecification& port = controller.ports[i];
    const std::string member = controller_member + "." + element("ports", i);
    places.take_id(port.id, member);
    require(port.number < controller.maximum_ports && numbers.insert(port.number).second, member + ".number",
            "too high or used twice");
    validate_port(port, member);
  }
}

void validate_root_ports(const MachineSpecification& specification, Places& places) {
  std::set<std::uint8_t> secondary;
  for_each_device(specification.root_ports, "root_ports", [&](const auto& port, const std::string& member) {
    places.take_id(port.id, member);
    places.take_address(port.address, member);
    require(port.address.bus == 0, member + ".address", "root ports sit on bus 0");
    require(port.secondary_bus != 0 && secondary.insert(port.secondary_bus).second, member + ".secondary_bus",
            "0 or used twice");
  });
}

}  // namespace

std::optional<std::array<std::uint8_t, 16>> parse_uuid(std::string_view text) noexcept {
  constexpr std::size_t kLength = 36;
  if (text.size() != kLength) return std::nullopt;
  std::array<std::uint8_t, 16> uuid{};
  std::size_t digits = 0;
  for (std::size_t i = 0; i < kLength; ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    const char c = text[i];
    if (dash != (c == '-')) return std::nullopt;
    if (dash) continue;
    std::uint8_t value = 0;
    if (std::from_chars(&c, &c + 1, value, 16).ec != std::errc{}) return std::nullopt;
    uuid[digits / 2] = static_cast<std::uint8_t>(uuid[digits / 2] << 4 | value);
    ++digits;
  }
  return uuid;
}

namespace {

void validate_virtio_memory(const VirtioMemorySpecification& device, const std::string& member) {
  constexpr std::uint64_t kSmallest = std::uint64_t{2} << 20;
  const std::uint64_t block = device.block_bytes;
  validate_memory(device.memory, member + ".memory");
  require(block >= kSmallest && std::has_single_bit(block) && block >= device.memory.huge_page_bytes,
          member + ".block_bytes", "not a power of two from 2 MiB, or its pages, on");
  require(device.memory.bytes % block == 0, member + ".memory.bytes", "not a whole number of blocks");
  require(device.requested_bytes % block == 0 && device.requested_bytes <= device.memory.bytes,
          member + ".requested_bytes", "more than there is, or not a whole number of blocks");
  require(!device.node || *device.node < kMaximumNumaNodes, member + ".node", "above 63");
}

// What a balloon can take from: all but virtio memory. Sizes are in their limits.
std::uint64_t balloon_memory(const MachineSpecification& specification) {
  std::uint64_t bytes = specification.memory_bytes;
  for (const auto& dimm : specification.dimms) bytes += std::min(dimm.memory.bytes, kMaximumMemoryBytes);
  return bytes;
}

// Those that are there are in slots, and have no more than there is room for.
void validate_memory_devices(const MachineSpecification& specification, Places& places) {
  require(specification.hot_plug_bytes % 4096 == 0 && specification.hot_plug_bytes <= kMaximumMemoryBytes,
          "hot_plug_bytes", "not a multiple of 4096 up to 1 TiB");
  require(specification.memory_slots <= kMaximumMemorySlots, "memory_slots", "above 128");
  require((specification.hot_plug_bytes != 0) == (specification.memory_slots != 0), "memory_slots",
          "there is both room and slots, or neither");
  std::uint64_t rest = specification.hot_plug_bytes;
  const auto take = [&](std::uint64_t bytes, const std::string& member) {
    require(bytes <= rest, member + ".memory.bytes", "more than hot_plug_bytes leave");
    rest -= bytes;
  };
  for_each_device(specification.virtio_memories, "virtio_memories",
                  [&](const auto& device, const std::string& member) {
                    places.take_id(device.id, member);
                    places.take_address(device.address, member);
                    validate_virtio_memory(device, member);
                    take(device.memory.bytes, member);
                  });
  std::set<std::uint32_t> slots;
  for_each_device(specification.dimms, "dimms", [&](const auto& dimm, const std::string& member) {
    places.take_id(dimm.id, member);
    require(dimm.slot < specification.memory_slots && slots.insert(dimm.slot).second, member + ".slot",
            "not below memory_slots, or used twice");
    validate_dimm(dimm, member);
    take(dimm.memory.bytes, member);
  });
  require(specification.virtio_memories.size() + specification.dimms.size() <= specification.memory_slots,
          "memory_slots", "fewer than there are memory devices");
}

void validate_vsock(const VsockSpecification& vsock, const std::string& member) {
  require(vsock.guest_cid >= 3 && vsock.guest_cid != 0xffff'ffff, member + ".guest_cid",
          "not 3 to 4294967294");
  require(vsock.vhost.has_value() || !vsock.listener.empty(), member + ".listener", "missing");
  require(!vsock.vhost || (vsock.listener.empty() && !vsock.seqpacket_listener), member + ".vhost",
          "beside listeners");
}

void validate_vhost_user_disk(const VhostUserDiskSpecification& disk, const std::string& member) {
  require(!disk.descriptor.empty(), member + ".descriptor", "missing");
  require(disk.queues >= 1 && disk.queues <= 64, member + ".queues", "not 1 to 64");
  validate_queue(disk.queue_size, member);
}

void add_descriptors(const VsockSpecification& vsock, std::vector<std::string>& names) {
  if (!vsock.listener.empty()) names.push_back(vsock.listener);
  if (vsock.seqpacket_listener) names.push_back(*vsock.seqpacket_listener);
  if (vsock.vhost) names.push_back(*vsock.vhost);
}

void add_descriptors(const VhostUserDiskSpecification& disk, std::vector<std::string>& names) {
  names.push_back(disk.descriptor);
  if (disk.lifeline) names.push_back(*disk.lifeline);
}

constexpr std::size_t kMaximumAxes = 64;  // ABS_CNT

void validate_input(const InputSpecification& input, const std::string& member) {
  require(input.host.has_value() == (input.kind == InputKind::passthrough), member + ".host",
          "of passthrough, and of nothing else");
  if (!input.host) return;
  const HostInputSpecification& host = *input.host;
  const auto check_codes = [](const std::vector<std::uint16_t>& codes, const std::string& where) {
    constexpr std::uint16_t kCodes = 1024;
    const bool ascends = std::ranges::adjacent_find(codes, std::greater_equal{}) == codes.end();
    require(ascends && (codes.empty() || codes.back() < kCodes), where, "not ascending, or not below 1024");
  };
  require(!host.descriptor.empty(), member + ".host.descriptor", "missing");
  check_codes(host.properties, member + ".host.properties");
  std::set<std::uint16_t> types;
  for (const InputCodes& events : host.events) {
    require(events.type != 0 && events.type < 0x20 && types.insert(events.type).second,
            member + ".host.events", "a type that is 0, above 31 or there twice");
    check_codes(events.codes, member + ".host.events");
  }
  require(host.axes.size() <= kMaximumAxes, member + ".host.axes", "more than 64");
}

// "0000:01:00.0"
bool is_host_address(std::string_view text) {
  constexpr std::string_view kForm = "xxxx:xx:xx.o";
  if (text.size() != kForm.size()) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool octal = c >= '0' && c <= '7', hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
    if (kForm[i] == 'x' ? !hex : kForm[i] == 'o' ? !octal : c != kForm[i]) return false;
  }
  return true;
}

void validate_host_device(const HostDeviceSpecification& device, const std::string& member) {
  require(is_host_address(device.host_address), member + ".host_address", "not of the form 0000:01:00.0");
}

void validate_host_access(const HostAccessSpecification& access) {
  require(access.groups.size() <= kMaximumDevices, "host_access.groups", "more than 256");
  std::set<std::uint32_t> numbers;
  for (std::size_t i = 0; i < access.groups.size(); ++i) {
    const std::string member = "host_access." + element("groups", i);
    require(numbers.insert(access.groups[i].number).second, member + ".number", "used twice");
    require(!access.groups[i].descriptor.empty(), member + ".descriptor", "missing");
  }
  require(access.groups.empty() || !access.container.empty(), "host_access.container", "missing");
}

void add_names(const HostAccessSpecification& access, std::vector<std::string>& names) {
  if (!access.container.empty()) names.push_back(access.container);
  for (const auto& group : access.groups) names.push_back(group.descriptor);
}

}  // namespace

void validate(const MachineSpecification& specification) {
  require(specification.uuid.empty() || parse_uuid(specification.uuid), "uuid", "not a UUID");
  require(specification.memory_bytes >= (1u << 20) && specification.memory_bytes <= kMaximumMemoryBytes &&
              specification.memory_bytes % 4096 == 0,
          "memory_bytes", "not a multiple of 4096 from 1 MiB to 1 TiB");
  const std::uint64_t huge_page = specification.memory.huge_page_bytes;
  require(huge_page == 0 || huge_page == std::uint64_t{2} << 20 || huge_page == std::uint64_t{1} << 30,
          "memory.huge_page_bytes", "neither 2 MiB nor 1 GiB");
  const bool is_shared = !specification.vhost_user_disks.empty() ||
                         std::ranges::any_of(specification.interfaces,
                                             [](const auto& each) { return each.vhost_user.has_value(); });
  require(!specification.memory.is_private || (huge_page == 0 && !is_shared), "memory.is_private",
          "beside what is shared");
  require(huge_page == 0 || specification.memory_bytes % huge_page == 0, "memory_bytes",
          "not a multiple of the huge pages it is to be made of");
  validate_smbios(specification.smbios);
  validate_cpu(specification.cpu);
  validate_numa(specification);
  require(!specification.boot.kernel.empty(), "boot.kernel", "missing");
  require(specification.boot.command_line.size() <= kMaximumCommandLine, "boot.command_line",
          "longer than 2047 bytes");
  require(specification.boot.command_line.find('\0') == std::string::npos, "boot.command_line",
          "holds a NUL");

  Places places(specification);
  validate_root_ports(specification, places);
  std::set<std::uint8_t> ports;
  for_each_device(specification.serials, "serials", [&](const auto& serial, const std::string& member) {
    places.take_id(serial.id, member);
    require(serial.port < 4 && ports.insert(serial.port).second, member + ".port", "above 3 or used twice");
    validate_character(serial.character, member + ".character");
  });
  for_each_device(specification.serial_controllers, "serial_controllers",
                  [&](const auto& controller, const std::string& member) {
                    places.take_id(controller.id, member);
                    places.take_address(controller.address, member);
                    validate_ports(controller, places, member);
                  });
  const std::set<std::uint32_t> iothreads(specification.iothreads.begin(), specification.iothreads.end());
  require(iothreads.size() == specification.iothreads.size() && !iothreads.contains(0) &&
              iothreads.size() <= kMaximumDevices,
          "iothreads", "0, used twice or too many");
  std::set<std::string> sata;
  std::set<std::pair<std::string, std::uint32_t>> sata_ports;
  for_each_device(specification.sata_controllers, "sata_controllers",
                  [&](const auto& controller, const std::string& member) {
                    places.take_id(controller.id, member);
                    places.take_address(controller.address, member, true);
                    require(controller.address.bus == 0, member + ".address", "it is part of bus 0");
                    sata.insert(controller.id);
                  });
  std::set<std::string> scsi;
  std::set<std::tuple<std::string, std::uint8_t, std::uint16_t>> scsi_units;
  for_each_device(specification.scsi_controllers, "scsi_controllers",
                  [&](const auto& controller, const std::string& member) {
                    places.take_id(controller.id, member);
                    places.take_address(controller.address, member);
                    validate_scsi_controller(controller, member);
                    require(controller.iothread == 0 || iothreads.contains(controller.iothread),
                            member + ".iothread", "not in iothreads");
                    scsi.insert(controller.id);
                  });
  for_each_device(specification.disks, "disks", [&](const auto& disk, const std::string& member) {
    places.take_id(disk.id, member);
    if (disk.scsi) {
      require(scsi.contains(disk.scsi->controller), member + ".scsi.controller",
              "there is no such controller");
      require(scsi_units.emplace(disk.scsi->controller, disk.scsi->target, disk.scsi->lun).second,
              member + ".scsi", "used twice");
    } else if (disk.sata) {
      require(sata.contains(disk.sata->controller), member + ".sata.controller",
              "there is no such controller");
      require(sata_ports.emplace(disk.sata->controller, disk.sata->port).second, member + ".sata.port",
              "used twice");
    } else {
      places.take_address(disk.address, member);
    }
    validate_disk(disk, member);
    require(disk.iothread == 0 || iothreads.contains(disk.iothread), member + ".iothread",
            "not in iothreads");
    for (const std::uint32_t iothread : disk.queue_iothreads)
      require(iothreads.contains(iothread), member + ".queue_iothreads", "one of them is not in iothreads");
  });
  for_each_device(specification.interfaces, "interfaces",
                  [&](const auto& interface, const std::string& member) {
                    places.take_id(interface.id, member);
                    places.take_address(interface.address, member);
                    validate_interface(interface, member);
                  });
  for_each_device(specification.rngs, "rngs", [&](const auto& rng, const std::string& member) {
    places.take_id(rng.id, member);
    places.take_address(rng.address, member);
    require(rng.rate_period_ms != 0, member + ".rate_period_ms", "0");
  });
  if (const auto& balloon = specification.balloon) {
    places.take_id(balloon->id, "balloon");
    places.take_address(balloon->address, "balloon");
    require(balloon->target_bytes <= balloon_memory(specification), "balloon.target_bytes",
            "more than the memory there is");
  }
  if (const auto& watchdog = specification.tco_watchdog) places.take_id(watchdog->id, "tco_watchdog");
  if (const auto& watchdog = specification.watchdog) {
    places.take_id(watchdog->id, "watchdog");
    places.take_address(watchdog->address, "watchdog");
    require(watchdog->address.bus == 0, "watchdog.address", "conventional PCI devices sit on bus 0");
  }
  require(specification.vsocks.size() <= 1, "vsocks", "more than one");
  for_each_device(specification.vsocks, "vsocks", [&](const auto& vsock, const std::string& member) {
    places.take_id(vsock.id, member);
    places.take_address(vsock.address, member);
    validate_vsock(vsock, member);
  });
  for_each_device(specification.vhost_user_disks, "vhost_user_disks",
                  [&](const auto& disk, const std::string& member) {
                    places.take_id(disk.id, member);
                    places.take_address(disk.address, member);
                    validate_vhost_user_disk(disk, member);
                  });
  for_each_device(specification.inputs, "inputs", [&](const auto& input, const std::string& member) {
    places.take_id(input.id, member);
    places.take_address(input.address, member);
    validate_input(input, member);
  });
  for_each_device(specification.evdevs, "evdevs", [&](const auto& evdev, const std::string& member) {
    places.take_id(evdev.id, member);
    require(!evdev.descriptor.empty(), member + ".descriptor", "missing");
    require(evdev.axes.size() <= kMaximumAxes, member + ".axes", "more than 64");
  });
  validate_memory_devices(specification, places);
  validate_host_access(specification.host_access);
  std::set<std::string> host_addresses;
  for_each_device(
      specification.host_devices, "host_devices", [&](const auto& device, const std::string& member) {
        places.take_id(device.id, member);
        places.take_address(device.address, member);
        validate_host_device(device, member);
        require(host_addresses.insert(device.host_address).second, member + ".host_address", "used twice");
      });
  require(specification.generation_id.empty() || parse_uuid(specification.generation_id), "generation_id",
          "not a UUID");
}

const char* defect_of(const NbdSpecification& nbd) noexcept {
  if (nbd.export_name.size() > 4096) return "longer than 4096 bytes";
  if (nbd.export_name.find('\0') != std::string::npos) return "holds a NUL";
  return nullptr;
}

namespace {

void add_descriptors(const DiskSpecification& disk, std::vector<std::string>& names) {
  const auto add = [&names](const std::string& name) {
    if (!name.empty()) names.push_back(name);
  };
  add(disk.descriptor);
  add(disk.data_descriptor);
  for (const BackingSpecification& image : disk.backing) {
    add(image.descriptor);
    add(image.data_descriptor);
  }
}

void add_descriptors(const InterfaceSpecification& interface, std::vector<std::string>& names) {
  names.insert(names.end(), interface.descriptors.begin(), interface.descriptors.end());
  names.insert(names.end(), interface.vhost.begin(), interface.vhost.end());
  names.insert(names.end(), interface.steering.begin(), interface.steering.end());
  if (interface.vhost_user) names.push_back(*interface.vhost_user);
  if (interface.stream) names.push_back(*interface.stream);
}

}  // namespace

std::vector<std::string> descriptor_names(const MachineSpecification& specification) {
  std::vector<std::string> names{specification.boot.kernel};
  auto add = [&](const std::optional<std::string>& name) {
    if (name) names.push_back(*name);
  };
  auto add_character = [&](const CharacterSpecification& character) {
    add(character.descriptor);
    add(character.log);
  };
  add(specification.boot.initrd);
  for (const auto& serial : specification.serials) add_character(serial.character);
  for (const auto& controller : specification.serial_controllers) {
    for (const auto& port : controller.ports) add_character(port.character);
  }
  for (const auto& disk : specification.disks) add_descriptors(disk, names);
  for (const auto& interface : specification.interfaces) add_descriptors(interface, names);
  for (const auto& vsock : specification.vsocks) add_descriptors(vsock, names);
  for (const auto& disk : specification.vhost_user_disks) add_descriptors(disk, names);
  for (const auto& input : specification.inputs)
    if (input.host) names.push_back(input.host->descriptor);
  for (const auto& evdev : specification.evdevs) names.push_back(evdev.descriptor);
  add_names(specification.host_access, names);
  return names;
}

void validate(const ReconnectInterface& command) {
  require(!command.id.empty() && command.id.size() <= 64, "id", "empty or longer than 64 bytes");
}

std::vector<std::string> descriptor_names(const ReconnectInterface& command) {
  return {command.descriptor};
}

void validate(const PlugDevice& command) {
  require(command.disks.size() + command.interfaces.size() + command.rngs.size() + command.vsocks.size() +
                  command.watchdogs.size() + command.virtio_memories.size() + command.inputs.size() +
                  command.host_devices.size() + command.scsi_controllers.size() +
                  command.vhost_user_disks.size() ==
              1,
          "arguments", "not exactly one device");
  const auto check_id = [](const auto& device, const std::string& member) {
    require(!device.id.empty() && device.id.size() <= 64, member + ".id", "empty or longer than 64 bytes");
  };
  const auto check = [&](const auto& device, const std::string& member) {
    check_id(device, member);
    require(device.address.bus != 0 && device.address.slot == 0 && device.address.function == 0,
            member + ".address", "not function 0 of slot 0 behind a root port");
  };
  for (const auto& disk : command.disks) {
    if (disk.scsi) {
      check_id(disk, "disks[0]");
    } else {
      check(disk, "disks[0]");
    }
    require(!disk.sata, "disks[0].sata", "a SATA drive cannot be plugged in at run time");
    validate_disk(disk, "disks[0]");
  }
  for (const auto& controller : command.scsi_controllers) {
    check(controller, "scsi_controllers[0]");
    validate_scsi_controller(controller, "scsi_controllers[0]");
  }
  for (const auto& interface : command.interfaces) {
    check(interface, "interfaces[0]");
    validate_interface(interface, "interfaces[0]");
  }
  for (const auto& rng : command.rngs) {
    check(rng, "rngs[0]");
    require(rng.rate_period_ms != 0, "rngs[0].rate_period_ms", "0");
  }
  for (const auto& vsock : command.vsocks) {
    check(vsock, "vsocks[0]");
    validate_vsock(vsock, "vsocks[0]");
  }
  for (const auto& disk : command.vhost_user_disks) {
    check(disk, "vhost_user_disks[0]");
    validate_vhost_user_disk(disk, "vhost_user_disks[0]");
  }
  for (const auto& watchdog : command.watchdogs) check(watchdog, "watchdogs[0]");
  for (const auto& input : command.inputs) {
    check(input, "inputs[0]");
    validate_input(input, "inputs[0]");
  }
  for (const auto& memory : command.virtio_memories) {
    check(memory, "virtio_memories[0]");
    validate_virtio_memory(memory, "virtio_memories[0]");
  }
  for (const auto& device : command.host_devices) {
    check(device, "host_devices[0]");
    validate_host_device(device, "host_devices[0]");
  }
  validate_host_access(command.host_access);
}

void validate(const PlugPort& command) {
  const ConsolePortSpecification& port = command.port;
  require(!port.id.empty() && port.id.size() <= 64, "port.id", "empty or longer than 64 bytes");
  validate_port(port, "port");
}

std::vector<std::string> descriptor_names(const PlugPort& command) {
  std::vector<std::string> names;
  for (const auto& name : {command.port.character.descriptor, command.port.character.log})
    if (name) names.push_back(*name);
  return names;
}

std::vector<std::string> descriptor_names(const PlugDevice& command) {
  std::vector<std::string> names;
  for (const auto& disk : command.disks) add_descriptors(disk, names);
  for (const auto& interface : command.interfaces) add_descriptors(interface, names);
  for (const auto& vsock : command.vsocks) add_descriptors(vsock, names);
  for (const auto& disk : command.vhost_user_disks) add_descriptors(disk, names);
  for (const auto& input : command.inputs)
    if (input.host) names.push_back(input.host->descriptor);
  add_names(command.host_access, names);
  return names;
}

void validate(const ChangeMedium& command) {
  require(is_power_of_two(command.direct_alignment) && command.direct_alignment >= 512 &&
              command.direct_alignment <= 32768,
          "direct_alignment", "not a power of two, 512 to 32768");
}

std::vector<std::string> descriptor_names(const ChangeMedium& command) {
  if (command.descriptor.empty()) return {};
  return {command.descriptor};
}

std::string format_specification(const MachineSpecification& specification) {
  return boost::json::serialize(to_json(specification));
}

MachineSpecification parse_specification(const std::string& json) {
  boost::json::error_code failed;
  boost::json::value value = boost::json::parse(json, failed);
  if (failed)
    throw Error(std::errc::invalid_argument, "machine specification is not JSON: " + failed.message());
  return from_json<MachineSpecification>(value, "");
}

}  // namespace warren::vmm::control
