// The typed machine a worker is asked to build: everything it learns about its guest.
//
// The daemon translates a domain definition into this; libvirt XML never enters the worker (DESIGN §1). It
// travels as JSON, member for member, in the `configure` command. Descriptors are named here and delivered
// beforehand with `add_descriptors`. The protocol is additive: a member that is missing takes the default
// written here, one that is not known is refused by name. validate() holds every limit; whoever receives a
// specification calls it first.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/describe/class.hpp>
#include <boost/describe/enum.hpp>

#include "vmm-core/control/disks.h"
#include "vmm-core/control/host_devices.h"
#include "vmm-core/control/memory_devices.h"
#include "vmm-core/control/small_devices.h"

namespace warren::vmm::control {

enum class MachineType { q35 };
BOOST_DESCRIBE_ENUM(MachineType, q35)

// Where a function sits in the guest's PCI hierarchy; segment 0 always.
struct PciAddress {
  std::uint8_t bus = 0;
  std::uint8_t slot = 0;      // 0..31
  std::uint8_t function = 0;  // 0..7
  friend bool operator==(const PciAddress&, const PciAddress&) = default;
};
BOOST_DESCRIBE_STRUCT(PciAddress, (), (bus, slot, function))

// A PCI Express root port: the bus behind it holds one device (PCIe 5.0 §7.5.1.3).
struct RootPortSpecification {
  std::string id;  // the alias, e.g. "pci.1"
  PciAddress address;
  std::uint8_t secondary_bus = 0;
  std::uint8_t port_number = 0;
  bool hot_plug = false;  // the device behind it, in function 0 alone, comes and goes at run time
};
BOOST_DESCRIBE_STRUCT(RootPortSpecification, (), (id, address, secondary_bus, port_number, hot_plug))

// One register quadruple of a CPUID leaf: the guest sees (host & keep) | set.
struct CpuidMask {
  std::uint32_t leaf = 0;
  std::uint32_t subleaf = 0;
  std::uint32_t keep_eax = 0xffffffff, keep_ebx = 0xffffffff, keep_ecx = 0xffffffff, keep_edx = 0xffffffff;
  std::uint32_t set_eax = 0, set_ebx = 0, set_ecx = 0, set_edx = 0;
};
BOOST_DESCRIBE_STRUCT(CpuidMask, (),
                      (leaf, subleaf, keep_eax, keep_ebx, keep_ecx, keep_edx, set_eax, set_ebx, set_ecx,
                       set_edx))

// Family, model, stepping, vendor and brand of a named CPU model; a member left out stays the host's.
struct CpuIdentity {
  std::optional<std::string> vendor;       // 12 characters of leaf 0
  std::optional<std::uint32_t> signature;  // EAX of leaf 1
  std::optional<std::string> brand;        // up to 47 characters of leaves 0x80000002..4
};
BOOST_DESCRIBE_STRUCT(CpuIdentity, (), (vendor, signature, brand))

// Hyper-V's interface, as much of it as the guest is to see (Hypervisor Top Level Functional Specification
// §2.4); KVM's own moves up.
struct HypervSpecification {
  std::string vendor_id = "Microsoft Hv";  // 1 to 12 bytes
  bool relaxed = false, vapic = false, time = false, vpindex = false, runtime = false, synic = false;
  bool stimer = false, direct_stimer = false, reset = false, frequencies = false, reenlightenment = false;
  bool tlbflush = false, ipi = false, evmcs = false, avic = false;
  std::optional<std::uint32_t> spinlock_retries;
};
BOOST_DESCRIBE_STRUCT(HypervSpecification, (),
                      (vendor_id, relaxed, vapic, time, vpindex, runtime, synic, stimer, direct_stimer, reset,
                       frequencies, reenlightenment, tlbflush, ipi, evmcs, avic, spinlock_retries))

// vCPUs and what CPUID tells them. sockets × dies × cores × threads is the number of vCPUs the topology has
// room for, at least `vcpus`.
struct CpuSpecification {
  std::uint32_t vcpus = 1;                   // how many there can be
  std::vector<std::uint32_t> hot_pluggable;  // those that come and go at run time; never 0
  std::vector<std::uint32_t> absent;         // of these, those that are not there at the start
  std::uint32_t sockets = 1, dies = 1, cores = 1, threads = 1;
  CpuIdentity identity;
  std::vector<CpuidMask> masks;  // applied to what KVM supports, in this order
  std::optional<HypervSpecification> hyperv;
};
BOOST_DESCRIBE_STRUCT(CpuSpecification, (),
                      (vcpus, hot_pluggable, absent, sockets, dies, cores, threads, identity, masks, hyperv))

// Direct kernel boot: a bzImage (64-bit protocol) or an ELF with a PVH entry, told apart by their magic.
struct BootSpecification {
  std::string kernel;                 // descriptor name
  std::optional<std::string> initrd;  // descriptor name
  std::string command_line;
};
BOOST_DESCRIBE_STRUCT(BootSpecification, (), (kernel, initrd, command_line))

enum class CharacterKind {
  pty,   // the master side; output is dropped while nobody has the other side open
  file,  // output only
  null,
  terminal,  // stdin and stdout of a worker that runs stand-alone
  socket,    // a connected stream socket, of consoles and channels only
  listener,  // a listening stream socket: one client at a time; of consoles and channels only
};
BOOST_DESCRIBE_ENUM(CharacterKind, pty, file, null, terminal, socket, listener)

struct CharacterSpecification {
  CharacterKind kind = CharacterKind::null;
  std::optional<std::string> descriptor;  // for all but null and terminal; sockets are non-blocking
  std::optional<std::string> log;         // descriptor of a file that gets a copy of all output
};
BOOST_DESCRIBE_STRUCT(CharacterSpecification, (), (kind, descriptor, log))

// A 16550 at the usual ISA place of COM1..COM4.
struct SerialSpecification {
  std::string id;
  std::uint8_t port = 0;  // 0..3
  CharacterSpecification character;
};
BOOST_DESCRIBE_STRUCT(SerialSpecification, (), (id, port, character))

// A port of a virtio console device. A device whose only port is an unnamed console is one without the
// multiport feature, as small guests want it.
struct ConsolePortSpecification {
  std::string id;
  std::uint32_t number = 0;  // below maximum_ports of the controller
  std::string name;          // what the guest finds it by
  bool is_console = false;   // else a channel for programs
  CharacterSpecification character;
};
BOOST_DESCRIBE_STRUCT(ConsolePortSpecification, (), (id, number, name, is_console, character))

struct SerialControllerSpecification {
  std::string id;
  PciAddress address;
  std::uint32_t maximum_ports = 1;  // 1..64
  std::vector<ConsolePortSpecification> ports;
};
BOOST_DESCRIBE_STRUCT(SerialControllerSpecification, (), (id, address, maximum_ports, ports))

enum class DiskEngine { io_uring, threads };
BOOST_DESCRIBE_ENUM(DiskEngine, io_uring, threads)

enum class FlushPolicy {
  honour,  // a guest flush is an fdatasync; the guest may turn the write cache off
  always,  // every write is followed by one before it completes (writethrough, directsync)
  ignore,  // never (unsafe)
};
BOOST_DESCRIBE_ENUM(FlushPolicy, honour, always, ignore)

// A port of a SATA controller.
struct SataPlace {
  std::string controller;  // its id
  std::uint32_t port = 0;  // 0..5
};
BOOST_DESCRIBE_STRUCT(SataPlace, (), (controller, port))

// The ICH9's AHCI controller, at 0:1f.2 or any other place on bus 0.
struct SataControllerSpecification {
  std::string id;
  PciAddress address;
};
BOOST_DESCRIBE_STRUCT(SataControllerSpecification, (), (id, address))

// A logical unit of a SCSI controller.
struct ScsiPlace {
  std::string controller;  // its id
  std::uint8_t target = 0;
  std::uint16_t lun = 0;  // at most 16383
};
BOOST_DESCRIBE_STRUCT(ScsiPlace, (), (controller, target, lun))

// A virtio SCSI host device.
struct ScsiControllerSpecification {
  std::string id;
  PciAddress address;
  std::uint16_t queues = 1;               // of requests, 1 to 64
  std::uint32_t commands_per_unit = 128;  // at once, 1 to 1024
  std::uint32_t maximum_sectors = 65535;  // in one command
  std::uint32_t iothread = 0;             // as DiskSpecification
};
BOOST_DESCRIBE_STRUCT(ScsiControllerSpecification, (),
                      (id, address, queues, commands_per_unit, maximum_sectors, iothread))

// What a SCSI disk or drive says of itself besides its serial number.
struct ScsiIdentity {
  std::string vendor;                // at most 8 printable characters; empty: ours
  std::string product;               // at most 16, likewise
  std::string name;                  // what tells it from others, at most 128 bytes; or empty
  std::optional<std::uint64_t> wwn;  // NAA, 64 bits
};
BOOST_DESCRIBE_STRUCT(ScsiIdentity, (), (vendor, product, name, wwn))

// As whoever is to be trusted said it; never guessed (vmm-core/block/chain.h).
enum class ImageFormat { raw, qcow2 };
BOOST_DESCRIBE_ENUM(ImageFormat, raw, qcow2)

// The export of an NBD server that a descriptor, a stream socket, is connected to; a raw image.
struct NbdSpecification {
  std::string export_name;  // at most 4096 bytes; empty: the server's default
};
BOOST_DESCRIBE_STRUCT(NbdSpecification, (), (export_name))

// What is wrong with it, or null.
const char* defect_of(const NbdSpecification& nbd) noexcept;

// What an image reads where nothing was written to it.
struct BackingSpecification {
  std::string descriptor;
  ImageFormat format = ImageFormat::raw;
  std::string data_descriptor;  // of a qcow2 image's external data file; empty: it has none
  bool direct = false;          // as DiskSpecification
  std::uint32_t direct_alignment = 512;
  std::optional<NbdSpecification> nbd;  // of the target of a copy
};
BOOST_DESCRIBE_STRUCT(BackingSpecification, (),
                      (descriptor, format, data_descriptor, direct, direct_alignment, nbd))

// A virtio-blk disk, or a SATA or SCSI disk or CD/DVD drive, on an image. Whether the host page cache is used
// is a property of the descriptor (O_DIRECT).
struct DiskSpecification {
  std::string id;                 // the alias, e.g. "virtio-disk0"
  PciAddress address;             // of a virtio-blk disk
  std::optional<SataPlace> sata;  // of another
  std::optional<ScsiPlace> scsi;  // of a third kind
  bool cdrom = false;             // a SATA or SCSI CD/DVD drive: read-only, its medium can be changed
  std::string descriptor;         // empty: a drive without a medium
  bool read_only = false;
  bool direct =
      false;  // the descriptor has O_DIRECT: buffers and lengths must be aligned to `direct_alignment`
  std::uint32_t direct_alignment = 512;
  FlushPolicy flush = FlushPolicy::honour;
  DiskEngine engine = DiskEngine::io_uring;
  std::uint32_t iothread = 0;  // one of MachineSpecification::iothreads serves it; 0: a thread of its own
  // Instead of that, of a virtio-blk disk: the IOThread of each queue, or fewer, which take turns.
  std::vector<std::uint32_t> queue_iothreads;
  bool copy_on_read = false;  // what is read from the images below the first becomes the first one's own
  bool discard = false;       // discards free space in the image; else they are not offered
  DetectZeroes detect_zeroes = DetectZeroes::off;  // writes of zeros become holes, or zeroed space
  DiskErrorPolicy read_error = DiskErrorPolicy::report;
  DiskErrorPolicy write_error = DiskErrorPolicy::enospace;
  DiskLimits limits;
  std::uint16_t queues = 1;
  std::uint16_t queue_size = 256;
  bool packed = false;  // offer VIRTIO_F_RING_PACKED
  std::uint32_t logical_block_size = 512;
  std::uint32_t physical_block_size = 512;
  std::string serial;               // at most 20 bytes (VIRTIO_BLK_ID_BYTES); on SCSI 36
  std::uint16_t rotation_rate = 0;  // of SATA and SCSI disks, a minute; 1: nothing turns; 0: not said
  ScsiIdentity identity;            // of a SCSI disk or drive; of a SATA disk the WWN
  ImageFormat format = ImageFormat::raw;
  std::string data_descriptor;                // of a qcow2 image's external data file
  std::vector<BackingSpecification> backing;  // from the top
  std::optional<NbdSpecification> nbd;        // none: the image is a file or device of the host
};
BOOST_DESCRIBE_STRUCT(DiskSpecification, (),
                      (id, address, descriptor, read_only, direct, direct_alignment, flush, engine, discard,
                       detect_zeroes, read_error, write_error, limits, queues, queue_size, packed,
                       logical_block_size, physical_block_size, serial, iothread, sata, cdrom, format,
                       data_descriptor, backing, scsi, rotation_rate, identity, queue_iothreads, copy_on_read,
                       nbd))

// A virtio-net interface: on taps, whose packets the worker moves or, where it can, the host's kernel; or of
// another program.
struct InterfaceSpecification {
  std::string id;
  PciAddress address;
  std::string mac;                       // "52:54:00:12:34:56"
  std::vector<std::string> descriptors;  // a tap's queue (IFF_VNET_HDR, non-blocking) for each queue pair
  std::uint16_t queue_size = 256;
  bool packed = false;  // not with vhost
  bool link_up = true;
  std::uint16_t mtu = 0;  // 0: not told to the guest
  // Descriptors of /dev/vhost-net that nobody owns yet, one for each tap; or none. What keeps the kernel from
  // its work is said on standard error, and the worker does it.
  std::vector<std::string> vhost;
  // For receive-side scaling, with two taps or more: a program of the kernel's and its table
  // (driver/link/steering). None: it is not offered.
  std::vector<std::string> steering;
  // Instead of taps: a unix stream socket that is connected to a vhost-user-net back end.
  std::optional<std::string> vhost_user;
  std::uint16_t queues = 1;  // pairs of it, 1 to 64
  // Instead of both: a unix stream socket connected to a program that takes packets (net/stream.h).
  std::optional<std::string> stream;
};
BOOST_DESCRIBE_STRUCT(InterfaceSpecification, (),
                      (id, address, mac, descriptors, queue_size, packed, link_up, mtu, vhost, steering,
                       vhost_user, queues, stream))

struct RngSpecification {
  std::string id;
  PciAddress address;
  std::uint64_t rate_bytes = 0;         // 0: no limit
  std::uint32_t rate_period_ms = 1000;  // rate_bytes in each such period
};
BOOST_DESCRIBE_STRUCT(RngSpecification, (), (id, address, rate_bytes, rate_period_ms))

// The virtio balloon; a machine has one at most.
struct BalloonSpecification {
  std::string id;
  PciAddress address;
  std::uint64_t target_bytes = 0;  // what the guest is asked to have of its memory
  bool deflate_on_oom = false;
  bool page_reporting = false;
  std::uint32_t statistics_period_s = 0;  // 0: the guest is not asked
};
BOOST_DESCRIBE_STRUCT(BalloonSpecification, (),
                      (id, address, target_bytes, deflate_on_oom, page_reporting, statistics_period_s))

// An i6300ESB. From the start on it is conventional PCI on bus 0; one that is plugged in is behind a root
// port.
struct WatchdogSpecification {
  std::string id;
  PciAddress address;
  WatchdogAction action = WatchdogAction::reset;
};
BOOST_DESCRIBE_STRUCT(WatchdogSpecification, (), (id, address, action))

// The watchdog of the ICH9 itself; a machine has one at most.
struct TcoWatchdogSpecification {
  std::string id;
  WatchdogAction action = WatchdogAction::reset;
};
BOOST_DESCRIBE_STRUCT(TcoWatchdogSpecification, (), (id, action))

// A virtio socket device; a machine has one at most. The host's kernel serves it, or the worker: then
// programs of the host reach the guest by the listeners.
struct VsockSpecification {
  std::string id;
  PciAddress address;
  std::uint32_t guest_cid = 0;                    // 3 to 2^32 - 2
  std::string listener;                           // descriptor: a listening unix stream socket, non-blocking
  std::optional<std::string> seqpacket_listener;  // the same of type SOCK_SEQPACKET
  std::optional<std::string> vhost;  // descriptor: /dev/vhost-vsock, which has the CID; and no listener
};
BOOST_DESCRIBE_STRUCT(VsockSpecification, (), (id, address, guest_cid, listener, seqpacket_listener, vhost))

// A virtio-blk disk that another program serves. What of it is not here is that program's to say.
struct VhostUserDiskSpecification {
  std::string id;
  PciAddress address;
  std::string descriptor;  // a unix stream socket that is connected to a vhost-user-blk back end
  // Kept open as long as the disk is there, and never used: the back end lives by it.
  std::optional<std::string> lifeline;
  std::uint16_t queues = 1;
  std::uint16_t queue_size = 256;
};
BOOST_DESCRIBE_STRUCT(VhostUserDiskSpecification, (), (id, address, descriptor, lifeline, queues, queue_size))

enum class InputKind { keyboard, mouse, tablet, passthrough };
BOOST_DESCRIBE_ENUM(InputKind, keyboard, mouse, tablet, passthrough)

// What an evdev device of the host says of itself (EVIOCG… of linux/input.h).
struct InputCodes {
  std::uint16_t type = 0;            // EV_KEY, EV_REL, …
  std::vector<std::uint16_t> codes;  // ascending, below 1024
};
BOOST_DESCRIBE_STRUCT(InputCodes, (), (type, codes))

struct InputAxisSpecification {
  std::uint16_t code = 0;  // ABS_…
  std::int32_t minimum = 0, maximum = 0, fuzz = 0, flat = 0, resolution = 0;
};
BOOST_DESCRIBE_STRUCT(InputAxisSpecification, (), (code, minimum, maximum, fuzz, flat, resolution))

struct HostInputSpecification {
  std::string descriptor;  // of its node, non-blocking
  std::string name, serial;
  std::uint16_t bus = 0, vendor = 0, product = 0, version = 0;
  std::vector<std::uint16_t> properties;  // as InputCodes::codes
  std::vector<InputCodes> events;
  std::vector<InputAxisSpecification> axes;
};
BOOST_DESCRIBE_STRUCT(HostInputSpecification, (),
                      (descriptor, name, serial, bus, vendor, product, version, properties, events, axes))

// A virtio keyboard, mouse or tablet, or a device of the host.
struct InputSpecification {
  std::string id;
  PciAddress address;
  InputKind kind = InputKind::keyboard;
  std::optional<HostInputSpecification> host;  // of passthrough, and of nothing else
};
BOOST_DESCRIBE_STRUCT(InputSpecification, (), (id, address, kind, host))

// The keys that, pressed together, give a device back to the host, and to the machine again.
enum class GrabToggle { ctrl_ctrl, alt_alt, shift_shift, meta_meta, scrolllock, ctrl_scrolllock };
BOOST_DESCRIBE_ENUM(GrabToggle, ctrl_ctrl, alt_alt, shift_shift, meta_meta, scrolllock, ctrl_scrolllock)

// A device of the host with which its user types and points on whatever keyboard and pointer the machine has.
struct EvdevSpecification {
  std::string id;
  std::string descriptor;  // of its node, non-blocking and grabbed
  GrabToggle toggle = GrabToggle::ctrl_ctrl;
  bool grab_all = false;                     // its toggle is that of all others, too
  bool repeat = false;                       // keys that it repeats are repeated
  std::vector<InputAxisSpecification> axes;  // absolute ones
};
BOOST_DESCRIBE_STRUCT(EvdevSpecification, (), (id, descriptor, toggle, grab_all, repeat, axes))

// A virtio memory device: memory that the guest plugs by block, up to what is requested.
struct VirtioMemorySpecification {
  std::string id;
  PciAddress address;
  DeviceMemorySpecification memory;
  std::uint64_t block_bytes = 0;  // a power of two, from 2 MiB on
  std::uint64_t requested_bytes = 0;
  std::optional<std::uint32_t> node;  // of the guest
};
BOOST_DESCRIBE_STRUCT(VirtioMemorySpecification, (),
                      (id, address, memory, block_bytes, requested_bytes, node))

// A PCI function of the host, which is the guest's own.
struct HostDeviceSpecification {
  std::string id;
  PciAddress address;
  std::string host_address;  // as VFIO names it: "0000:01:00.0"
  std::uint32_t group = 0;   // number of its IOMMU group, which the machine has or is given
};
BOOST_DESCRIBE_STRUCT(HostDeviceSpecification, (), (id, address, host_address, group))

// What guest RAM is made of.
struct MemorySpecification {
  std::uint64_t huge_page_bytes = 0;  // 2 MiB or 1 GiB; 0: the host's usual pages
  bool populate = false;              // all of it at once, rather than when the guest touches it
  bool is_private = false;  // the worker's alone: no back end of vhost-user; of the host's usual pages
};
BOOST_DESCRIBE_STRUCT(MemorySpecification, (), (huge_page_bytes, populate, is_private))

// A NUMA node of the guest (ACPI 6.5 §5.2.16, §5.2.17). All nodes together have all memory and every vCPU.
struct NumaNodeSpecification {
  std::uint64_t memory_bytes = 0;
  std::vector<std::uint32_t> vcpus;
  std::vector<std::uint8_t> distances;  // to each node; to itself 10
};
BOOST_DESCRIBE_STRUCT(NumaNodeSpecification, (), (memory_bytes, vcpus, distances))

// What the SMBIOS tables say in words; empty: the worker's own, or nothing (SMBIOS 3.3 §7.1 to §7.4, §7.12).
struct BiosStrings {
  std::string vendor, version, date, release;
};
BOOST_DESCRIBE_STRUCT(BiosStrings, (), (vendor, version, date, release))
struct SystemStrings {
  std::string manufacturer, product, version, serial, sku, family;
};
BOOST_DESCRIBE_STRUCT(SystemStrings, (), (manufacturer, product, version, serial, sku, family))
struct BaseBoardStrings {
  std::string manufacturer, product, version, serial, asset, location;
};
BOOST_DESCRIBE_STRUCT(BaseBoardStrings, (), (manufacturer, product, version, serial, asset, location))
struct ChassisStrings {
  std::string manufacturer, version, serial, asset, sku;
};
BOOST_DESCRIBE_STRUCT(ChassisStrings, (), (manufacturer, version, serial, asset, sku))
struct SmbiosSpecification {
  BiosStrings bios;
  SystemStrings system;
  BaseBoardStrings base_board;
  ChassisStrings chassis;
  std::vector<std::string> oem_strings;
};
BOOST_DESCRIBE_STRUCT(SmbiosSpecification, (), (bios, system, base_board, chassis, oem_strings))

// Of periodic RTC interrupts that the guest was too slow for: one of them comes, or all.
enum class MissedTicks { merge, catch_up };
BOOST_DESCRIBE_ENUM(MissedTicks, merge, catch_up)

enum class GuestAction { stop, reset };
BOOST_DESCRIBE_ENUM(GuestAction, stop, reset)

// Sleep states besides S5 that the guest may enter (ACPI 6.5 §16.1).
struct SleepSpecification {
  bool s3 = false;
  bool s4 = false;
};
BOOST_DESCRIBE_STRUCT(SleepSpecification, (), (s3, s4))

struct MachineSpecification {
  std::string name;
  std::string uuid;  // textual, or empty: all zeros
  MachineType machine = MachineType::q35;
  std::uint64_t memory_bytes = 0;
  MemorySpecification memory;
  std::uint64_t hot_plug_bytes = 0;  // all that memory devices can have, there from the start or not
  std::uint32_t memory_slots = 0;    // how many there can be, at most 128; 0: none
  CpuSpecification cpu;
  std::vector<NumaNodeSpecification> numa;
  BootSpecification boot;
  SmbiosSpecification smbios;
  std::int64_t rtc_offset_seconds = 0;  // what the RTC shows minus host UTC
  MissedTicks rtc_missed_ticks = MissedTicks::merge;
  bool pit_reinject = true;  // PIT interrupts that the guest missed come later, else never
  // What the worker does by itself when the guest resets the machine; the daemon is told either way.
  GuestAction on_reset = GuestAction::reset;
  SleepSpecification sleep;
  std::vector<std::uint32_t> iothreads;  // named "iothread1", …; from 1
  std::vector<RootPortSpecification> root_ports;
  std::vector<SerialSpecification> serials;
  std::vector<SerialControllerSpecification> serial_controllers;
  std::vector<SataControllerSpecification> sata_controllers;
  std::vector<ScsiControllerSpecification> scsi_controllers;
  std::vector<DiskSpecification> disks;
  std::vector<InterfaceSpecification> interfaces;
  std::vector<RngSpecification> rngs;
  std::optional<BalloonSpecification> balloon;
  std::optional<WatchdogSpecification> watchdog;
  std::optional<TcoWatchdogSpecification> tco_watchdog;
  std::vector<VsockSpecification> vsocks;
  std::vector<VhostUserDiskSpecification> vhost_user_disks;
  std::vector<InputSpecification> inputs;
  std::vector<EvdevSpecification> evdevs;
  std::vector<VirtioMemorySpecification> virtio_memories;
  std::vector<DimmSpecification> dimms;
  HostAccessSpecification host_access;
  std::vector<HostDeviceSpecification> host_devices;
  bool panic_port = false;    // pvpanic at port 0x505: a guest that panics is crashed
  std::string generation_id;  // textual, as `uuid`; empty: the guest is given none
};
BOOST_DESCRIBE_STRUCT(MachineSpecification, (),
                      (name, uuid, machine, memory_bytes, memory, cpu, numa, boot, smbios, rtc_offset_seconds,
                       rtc_missed_ticks, pit_reinject, on_reset, root_ports, serials, serial_controllers,
                       disks, interfaces, rngs, balloon, watchdog, panic_port, generation_id, iothreads,
                       vsocks, sata_controllers, hot_plug_bytes, memory_slots, virtio_memories, dimms, sleep,
                       tco_watchdog, inputs, evdevs, host_access, host_devices, scsi_controllers,
                       vhost_user_disks))

inline constexpr std::uint32_t kMaximumMemorySlots = 128;
inline constexpr std::uint32_t kMaximumVcpus = 255;
inline constexpr std::uint64_t kMaximumMemoryBytes = std::uint64_t{1} << 40;
inline constexpr std::size_t kMaximumNumaNodes = 64;
inline constexpr std::size_t kMaximumCommandLine =
    2047;  // what every x86 kernel takes (COMMAND_LINE_SIZE - 1)
inline constexpr std::size_t kMaximumDevices = 256;

// Throws vmm::Error naming the member that is out of its limits ("disks[2].queues: 0 …").
void validate(const MachineSpecification& specification);

// The bytes of a textual UUID in the order they are written; none if it is not one (RFC 4122 §3).
std::optional<std::array<std::uint8_t, 16>> parse_uuid(std::string_view text) noexcept;

// The names of all descriptors the specification refers to, in the order of its members.
std::vector<std::string> descriptor_names(const MachineSpecification& specification);

// JSON text of a specification, and back. parse throws vmm::Error naming the member that is malformed or
// unknown; it does not validate.
std::string format_specification(const MachineSpecification& specification);
MachineSpecification parse_specification(const std::string& json);

}  // namespace warren::vmm::control
