// <disk>: a virtio block device, or a SATA or SCSI disk or CD/DVD drive, on a raw or qcow2 file or block
// device, or on the export of an NBD server; or a virtio block device that another program serves, which
// Warren finds (vhostuser) or starts itself (storage-daemon).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "driver/config/device_address.h"
#include "driver/config/io_tune.h"
#include "driver/contract/uuid.h"

namespace warren::driver::config {

// Of a disk of type volume: what its volume is.
enum class DiskSourceType { file, block, network };
// What is not said is raw; it is never guessed.
enum class DiskFormat { raw, qcow2 };
enum class DiskDevice { disk, cdrom };
enum class DiskBus { virtio, sata, scsi };
// What becomes of a start when the source is not there: it fails, or the disk is left out, a drive empty.
enum class StartupPolicy { mandatory, requisite, optional };
enum class DiskCache { default_mode, none, writethrough, writeback, directsync, unsafe };
enum class DiskIo { threads, native, io_uring };
enum class DiskDiscard { ignore, unmap };
enum class DiskDetectZeroes { off, on, unmap };
enum class DiskErrorPolicy { stop, report, ignore, enospace };

// <iothread> below <driver><iothreads>.
struct DiskIoThread {
  std::uint32_t id = 1;               // of an IOThread of the domain
  std::vector<std::uint32_t> queues;  // that it serves; ascending
  bool operator==(const DiskIoThread&) const = default;
};

// <driver> below a disk.
struct DiskDriver {
  bool name_qemu = false;  // name='qemu' was given or filled in; the only name there is but kCagedDriver
  std::optional<DiskFormat> format;  // none of a caged image, which has its own
  std::optional<DiskCache> cache;
  std::optional<DiskIo> io;
  std::optional<DiskErrorPolicy> error_policy;       // of writes, and of reads without their own
  std::optional<DiskErrorPolicy> read_error_policy;  // never enospace
  std::optional<DiskDiscard> discard;
  std::optional<DiskDetectZeroes> detect_zeroes;
  std::optional<bool> copy_on_read;         // never of a read-only disk, if it is on
  std::optional<std::uint32_t> iothread;    // the id of an IOThread of the domain
  std::vector<DiskIoThread> iothreads;      // or several, which have all queues between them or name none
  std::optional<std::uint32_t> queues;      // 1..256
  std::optional<std::uint32_t> queue_size;  // a power of two, 2..1024
  std::optional<bool> packed;
  bool operator==(const DiskDriver&) const = default;
};

// <blockio>; powers of two, 512..2 MiB; none: 512.
struct DiskBlockSizes {
  std::optional<std::uint32_t> logical;
  std::optional<std::uint32_t> physical;
  bool operator==(const DiskBlockSizes&) const = default;
};

// <host> below a source of type network: where the NBD server is that exports it.
struct NbdServer {
  std::string host;                   // name or address
  std::optional<std::uint16_t> port;  // none: kNbdPort
  std::string socket;                 // absolute path; else empty, as the two above are here
  bool says_no_tls = false;           // tls='no' was given; it is the only answer there is
  bool operator==(const NbdServer&) const = default;
};
inline constexpr std::uint16_t kNbdPort = 10809;
inline constexpr std::size_t kMaximumExportName = 4096;  // bytes

// <backingStore>: what a qcow2 image reads where nothing was written to it.
struct BackingImage {
  DiskSourceType source_type = DiskSourceType::file;
  DiskFormat format = DiskFormat::raw;
  std::string source;                         // absolute path, or the name of an export
  std::optional<NbdServer> server;            // of type network; only of a mirror
  std::optional<std::uint32_t> source_index;  // live XML only
  bool operator==(const BackingImage&) const = default;
};
inline constexpr std::size_t kMaximumBackingImages = 199;

// <mirror>: the image that a block job keeps equal to the disk, of a running disk only.
enum class MirrorJob { copy, active_commit };
enum class MirrorState { running, ready, pivot, abort };
struct DiskMirror {
  MirrorJob job = MirrorJob::copy;
  MirrorState state = MirrorState::running;
  BackingImage image;
  std::vector<BackingImage> backing;  // of a copy: what it is backed by
  bool operator==(const DiskMirror&) const = default;
};

// <source pool= volume=/> of a disk of type volume.
struct VolumeName {
  std::string pool;
  std::string name;
  bool operator==(const VolumeName&) const = default;
};

// <driver name='storage-daemon' type=/>: an image that qemu-storage-daemon reads and writes, in a cage.
enum class CagedFormat { raw, qcow2, qcow, qed, vdi, vhdx, vmdk, vpc };
inline constexpr std::string_view kCagedDriver = "storage-daemon";
struct CagedImage {
  CagedFormat format = CagedFormat::raw;
  std::string path;                // absolute
  std::optional<Uuid> passphrase;  // encrypted by LUKS: the secret that has it
  bool operator==(const CagedImage&) const = default;
};

struct Disk {
  DiskSourceType source_type = DiskSourceType::file;
  DiskDevice device = DiskDevice::disk;
  DiskBus bus = DiskBus::virtio;
  std::optional<VolumeName> volume;  // none: of type file or block
  // Absolute path; empty: a drive without a medium, or a volume that nobody has looked for yet. Of type
  // network the name of the export, which may be empty.
  std::string source;
  std::optional<NbdServer> server;  // of type network
  // Of type vhostuser: the absolute path of the socket of the program that serves the disk, which then has
  // neither source nor volume.
  std::string vhost_user;
  std::optional<CagedImage> caged;  // of type file or block, and likewise without source or volume
  std::string descriptor_group;     // fdgroup=, of type file: a client lends the file; empty: it is opened
  std::optional<StartupPolicy> startup_policy;
  std::optional<std::uint32_t> source_index;  // live XML only
  DiskDriver driver;
  DiskBlockSizes block_sizes;
  IoTune tune;
  std::string target;  // "vda"; unique in a domain
  // At most 20 bytes of [A-Za-z0-9_.+-] and blank (VIRTIO_BLK_ID_BYTES); on SCSI 36.
  std::string serial;
  std::optional<std::uint32_t> rotation_rate;  // sata, scsi: 1, or 1025..65534 a minute
  std::string wwn;                             // sata, scsi: 16 hexadecimal digits, as given
  std::string vendor, product;                 // scsi: at most 8 and 16 printable characters
  bool read_only = false;                      // a CD/DVD drive always is
  bool tray_open = false;                      // of a running CD/DVD drive
  bool shareable = false;
  std::vector<BackingImage> backing;  // from the top; of a live disk all of them
  // <backingStore/> below the last of them: the chain ends there. Else a qcow2 image's header says how it
  // goes on.
  bool backing_store_end = false;
  std::optional<DiskMirror> mirror;
  DeviceInfo info;
  std::optional<DriveAddress> drive;  // on SATA and SCSI; none: fill_defaults chooses

  // Whether it is known what there is to open.
  bool has_source() const noexcept { return !source.empty() || server.has_value(); }
  // Whether Warren reads and writes it itself.
  bool is_own() const noexcept { return vhost_user.empty() && !caged; }
  bool is_empty() const noexcept { return !has_source() && !volume && is_own(); }
  bool operator==(const Disk&) const = default;
};

// Every IOThread that serves the disk, each once.
std::vector<std::uint32_t> iothreads_of(const DiskDriver& driver);
// How many queues a virtio disk has, whether that was said or follows from its IOThreads.
std::uint32_t queues_of(const DiskDriver& driver);
// The IOThread of each queue, or of fewer, which take turns; empty: those of `iothread`, or a thread of its
// own.
std::vector<std::uint32_t> queue_iothreads_of(const DiskDriver& driver);

// "raw", "qcow2"
std::string_view disk_format_name(DiskFormat format);
std::string_view caged_format_name(CagedFormat format);

// "host:port" or the path of the socket.
std::string format_nbd_server(const NbdServer& server);

// The images of a running domain's disk, from the top, have numbers that no other image of the domain has:
// "vda[3]". Gives those of `disk` numbers from `first` on; returns the next.
std::uint32_t number_images(Disk& disk, std::uint32_t first);

// The number libvirt gives a disk of this name: 0 for "vda", 26 for "vdaa".
std::size_t disk_number(std::string_view target);

}  // namespace warren::driver::config
