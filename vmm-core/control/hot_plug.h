// Devices that come to and go from a running machine, and what is changed of its interfaces.
//
// Commands of the control protocol (protocol.h): plug_device(PlugDevice) and plug_port(PlugPort), with their
// descriptors delivered before by add_descriptors; unplug_device(DeviceName); unplug_port(DeviceName), which
// is done when it is answered; set_link(SetLink); reconnect_interface(ReconnectInterface), likewise with its
// descriptor delivered before. Events: device_unplugged(DeviceName), and device_kept(DeviceName) of one that
// the guest does not let go of; interface_lost(DeviceName) of one whose stream is over.
#pragma once

#include <string>
#include <vector>

#include <boost/describe/class.hpp>

#include "vmm-core/control/machine_specification.h"
#include "vmm-core/control/media.h"

namespace warren::vmm::control {

// Exactly one device, in function 0 of slot 0 behind a root port that takes devices at run time; or a disk or
// drive that comes to a SCSI controller.
struct PlugDevice {
  std::vector<DiskSpecification> disks;
  std::vector<InterfaceSpecification> interfaces;
  std::vector<RngSpecification> rngs;
  std::vector<VsockSpecification> vsocks;
  std::vector<WatchdogSpecification> watchdogs;
  std::vector<VirtioMemorySpecification> virtio_memories;
  std::vector<InputSpecification> inputs;
  std::vector<HostDeviceSpecification> host_devices;
  HostAccessSpecification host_access = {};  // for a host device
  std::vector<ScsiControllerSpecification> scsi_controllers;
  std::vector<VhostUserDiskSpecification> vhost_user_disks;
};
BOOST_DESCRIBE_STRUCT(PlugDevice, (),
                      (disks, interfaces, rngs, vsocks, watchdogs, virtio_memories, inputs, host_devices,
                       host_access, scsi_controllers, vhost_user_disks))

// A port comes to a console device that offers ports.
struct PlugPort {
  std::string controller;  // its id
  ConsolePortSpecification port;
};
BOOST_DESCRIBE_STRUCT(PlugPort, (), (controller, port))

struct DeviceName {
  std::string id;
};
BOOST_DESCRIBE_STRUCT(DeviceName, (), (id))

struct SetLink {
  std::string id;  // of an interface
  bool up = true;
};
BOOST_DESCRIBE_STRUCT(SetLink, (), (id, up))

// An interface on a stream, whether that is lost or not, has another.
struct ReconnectInterface {
  std::string id;
  std::string descriptor;  // as InterfaceSpecification::stream
};
BOOST_DESCRIBE_STRUCT(ReconnectInterface, (), (id, descriptor))

// Throws vmm::Error naming the member that is out of its limits.
void validate(const PlugDevice& command);
void validate(const PlugPort& command);
void validate(const ReconnectInterface& command);
std::vector<std::string> descriptor_names(const PlugDevice& command);
std::vector<std::string> descriptor_names(const PlugPort& command);
std::vector<std::string> descriptor_names(const ReconnectInterface& command);

// As Commands (server.h): each runs to its end before it returns; what cannot be done throws Error and
// changes nothing.
class DeviceCommands {
 public:
  virtual void plug_device(const PlugDevice& command, DescriptorSet descriptors) = 0;
  // Asks the guest, which may take its time, or never let go; device_unplugged tells that the device is gone.
  // What comes with a SCSI controller is gone at once, and the controller goes only without.
  // Throws connection_already_in_progress while the guest has not come to an earlier request.
  virtual void unplug_device(const DeviceName& command) = 0;
  virtual void plug_port(const PlugPort& command, DescriptorSet descriptors) = 0;
  virtual void unplug_port(const DeviceName& command) = 0;
  virtual void set_link(const SetLink& command) = 0;
  virtual void reconnect_interface(const ReconnectInterface& command, DescriptorSet descriptors) = 0;

 protected:
  ~DeviceCommands() = default;
};

}  // namespace warren::vmm::control
