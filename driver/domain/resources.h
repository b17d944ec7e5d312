// Everything a domain's worker is handed at its start: opened here, with the daemon's rights.
//
// Blocks: pool threads only. Throws Error; what was opened is closed then.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "driver/config/device_change.h"
#include "driver/config/domain_defaults.h"
#include "driver/config/domain_definition.h"
#include "driver/domain/descriptor_groups.h"
#include "driver/domain/guest_link.h"
#include "driver/domain/storage_daemon.h"
#include "driver/link/link.h"
#include "vmm-core/control/machine_specification.h"
#include "vmm-core/os/file_descriptor.h"

namespace warren::driver::domain {

// What an image is to the worker.
struct ImageProperties {
  bool direct = false;  // how O_DIRECT works on it
  std::uint32_t direct_alignment = 512;
  bool has_data_file = false;  // its data is in another file
};

// In the order of the disks.
struct DiskProperties {
  ImageProperties image;
  std::vector<ImageProperties> below;  // of the images that it is backed by
};

// What a guest may write, and does not say of itself what its format is (driver/store/declared_format.h).
struct UnmarkedImage {
  std::string path;
  config::DiskFormat format = config::DiskFormat::raw;
};

struct Resources {
  std::vector<std::string> names;  // as machine_of() writes them into the specification
  std::vector<vmm::FileDescriptor> descriptors;
  std::vector<DiskProperties> disks;
  std::vector<UnmarkedImage> unmarked;
  // What the domain's devices of the host say of themselves, in the order of the input devices.
  std::vector<std::optional<vmm::control::HostInputSpecification>> inputs;
  config::LiveResources live;  // ptys and taps; not the id
  std::vector<std::shared_ptr<link::HalfMadeLink>> half_made_links;
};

// What they are opened with.
struct ResourceAccess {
  std::filesystem::path directory;       // sockets of channels that name no path are made below it
  DescriptorGroupMap groups;             // what the disks name of descriptors that clients lent
  StorageDaemonSettings storage_daemon;  // with the passphrases that the disks name
  LinkAccess links = {};
};

// Socket devices have theirs from open_vsock() (vsock.h).
Resources open_resources(const config::DomainDefinition& definition, const ResourceAccess& access);
// What one device is plugged in with, named as the first of its kind. The name of an interface's tap becomes
// its target.
Resources open_resources(config::Device& device, const ResourceAccess& access);

// Names of descriptors.
std::string disk_descriptor(std::size_t index);
// Of the image `depth` below the disk's own, and of the file that has an image's data.
std::string backing_descriptor(std::size_t index, std::size_t depth);
std::string data_descriptor(const std::string& image_descriptor);
// Of what a disk that the daemon has served by another program lives by.
std::string lifeline_descriptor(std::size_t index);
std::string tap_descriptor(std::size_t index, std::size_t queue);
std::string vhost_net_descriptor(std::size_t index, std::size_t queue);
// Of an interface without a tap.
std::string connection_descriptor(std::size_t index);
std::string serial_descriptor(std::size_t index);
std::string console_descriptor(std::size_t index);
std::string channel_descriptor(std::size_t index);
std::string input_descriptor(std::size_t index);
std::string log_descriptor(const std::string& character_descriptor);
inline constexpr const char* kKernelDescriptor = "kernel";
inline constexpr const char* kInitrdDescriptor = "initrd";
inline constexpr const char* kVsockDescriptor = "vsock";  // there is one device at most
inline constexpr const char* kVsockSeqpacketDescriptor = "vsock.seqpacket";
inline constexpr const char* kVhostVsockDescriptor = "vhost-vsock";

}  // namespace warren::driver::domain
