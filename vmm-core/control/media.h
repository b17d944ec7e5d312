// Media of CD/DVD drives: how the daemon changes them, and what the worker tells of their trays.
//
// Command of the control protocol (protocol.h): change_medium(ChangeMedium), with its descriptor delivered
// before by add_descriptors. Event: tray_moved(TrayMoved).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <boost/describe/class.hpp>

#include "vmm-core/os/file_descriptor.h"

namespace warren::vmm::control {

// Descriptors by the names they were delivered with.
using DescriptorSet = std::map<std::string, FileDescriptor, std::less<>>;

// The tray opens, what lies in it is replaced, and it closes.
struct ChangeMedium {
  std::string id;          // of a disk that is a CD/DVD drive
  bool force = false;      // through a tray that the guest has locked, too
  std::string descriptor;  // of the new medium; empty: none
  bool direct = false;     // as DiskSpecification
  std::uint32_t direct_alignment = 512;
};
BOOST_DESCRIBE_STRUCT(ChangeMedium, (), (id, force, descriptor, direct, direct_alignment))

// Whoever moved it.
struct TrayMoved {
  std::string id;
  bool open = false;
};
BOOST_DESCRIBE_STRUCT(TrayMoved, (), (id, open))

// Throws Error naming the member that is out of its limits.
void validate(const ChangeMedium& command);
std::vector<std::string> descriptor_names(const ChangeMedium& command);

class MediaCommands {
 public:
  // Throws Error, and the medium is what it was: device_or_resource_busy when the guest has locked the tray,
  // which has been asked to open it then.
  virtual void change_medium(const ChangeMedium& command, DescriptorSet descriptors) = 0;

 protected:
  ~MediaCommands() = default;
};

}  // namespace warren::vmm::control
