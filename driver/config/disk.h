// <disk>: a virtio block device, or a SATA disk or CD/DVD drive, on a raw file or block device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "driver/config/device_address.h"
#include "driver/config/io_tune.h"

namespace warren::driver::config {

enum class DiskSourceType { file, block };
enum class DiskDevice { disk, cdrom };
enum class DiskBus { virtio, sata };
// What becomes of a start when the source is not there: it fails, or the disk is left out, a drive empty.
enum class StartupPolicy { mandatory, requisite, optional };
enum class DiskCache { default_mode, none, writethrough, writeback, directsync, unsafe };
enum class DiskIo { threads, native, io_uring };
enum class DiskDiscard { ignore, unmap };
enum class DiskDetectZeroes { off, on, unmap };
enum class DiskErrorPolicy { stop, report, ignore, enospace };

// <driver> below a disk. The format is raw, always.
struct DiskDriver {
  bool name_qemu = false;  // name='qemu' was given or filled in; it is the only name there is
  bool type_raw = false;   // type='raw' was given or filled in
  std::optional<DiskCache> cache;
  std::optional<DiskIo> io;
  std::optional<DiskErrorPolicy> error_policy;       // of writes, and of reads without their own
  std::optional<DiskErrorPolicy> read_error_policy;  // never enospace
  std::optional<DiskDiscard> discard;
  std::optional<DiskDetectZeroes> detect_zeroes;
  std::optional<std::uint32_t> iothread;    // the id of an IOThread of the domain
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

struct Disk {
  DiskSourceType source_type = DiskSourceType::file;
  DiskDevice device = DiskDevice::disk;
  DiskBus bus = DiskBus::virtio;
  std::string source;            // absolute path; empty: a drive without a medium
  std::string descriptor_group;  // fdgroup=, of type file: a client lends the file; empty: it is opened
  std::optional<StartupPolicy> startup_policy;
  std::optional<std::uint32_t> source_index;  // live XML only
  DiskDriver driver;
  DiskBlockSizes block_sizes;
  IoTune tune;
  std::string target;      // "vda"; unique in a domain
  std::string serial;      // at most 20 bytes of [A-Za-z0-9_.+-] and blank (VIRTIO_BLK_ID_BYTES)
  bool read_only = false;  // a CD/DVD drive always is
  bool tray_open = false;  // of a running CD/DVD drive
  bool shareable = false;
  bool backing_store_end = false;  // <backingStore/>: the chain ends here, true of every raw image
  DeviceInfo info;
  std::optional<DriveAddress> drive;  // of a SATA drive; none: fill_defaults chooses
  bool operator==(const Disk&) const = default;
};

// The number libvirt gives a disk of this name: 0 for "vda", 26 for "vdaa".
std::size_t disk_number(std::string_view target);

}  // namespace warren::driver::config
