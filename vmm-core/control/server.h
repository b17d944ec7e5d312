// The worker's side of the control protocol: accepts connections on the listening socket it was given,
// decodes requests into calls on Commands and encodes answers and events.
//
// Everything runs on the io_context's thread. A connection that breaks the protocol is dropped; the machine
// never notices.
#pragma once

#include <memory>
#include <string>

#include "vmm-core/control/block_jobs.h"
#include "vmm-core/control/hot_plug.h"
#include "vmm-core/control/media.h"
#include "vmm-core/control/memory_failure.h"
#include "vmm-core/control/probes.h"
#include "vmm-core/control/protocol.h"
#include "vmm-core/control/small_devices.h"
#include "vmm-core/control/vcpus.h"
#include "vmm-core/control/vsock.h"
#include "vmm-core/os/file_descriptor.h"
#include "vmm-core/state/inspect.h"

namespace boost::asio {
class io_context;
}

namespace warren::vmm::control {

// What a worker does. Each call runs to its end before it returns; what it cannot do throws Error, whose text
// is the answer, and leaves the machine as it was.
class Commands : public Probes,
                 public DiskCommands,
                 public BlockJobCommands,
                 public DeviceCommands,
                 public MediaCommands,
                 public SmallDeviceCommands,
                 public MemoryCommands,
                 public VcpuCommands,
                 public VsockCommands {
 public:
  // Takes what it needs out of `descriptors`; what it leaves is closed. The specification is validated and
  // all its names are there.
  virtual void configure(const MachineSpecification& machine, DescriptorSet descriptors) = 0;
  virtual void start(bool paused) = 0;
  virtual void pause() = 0;
  virtual void resume() = 0;
  virtual void reset() = 0;
  virtual void power_button() = 0;
  virtual void ctrl_alt_del() = 0;
  // A machine that is suspended.
  virtual void wake() = 0;
  virtual Status status() const = 0;
  virtual void inspect(InspectNode& root) const = 0;
  // A new descriptor of the counters page.
  virtual FileDescriptor counters() const = 0;
  // Ends the worker once the answer has been sent.
  virtual void quit() = 0;

 protected:
  ~Commands() = default;
};

class Server {
 public:
  // `commands` outlives the server. A worker that runs stand-alone has no listener.
  Server(boost::asio::io_context& loop, FileDescriptor listener, Commands& commands);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server();

  // Tells every connection.
  void announce(const StateChanged& change);
  void announce(const ClockSet& change);
  void announce(const DiskFault& fault);
  void announce(const DiskThresholdCrossed& crossed);
  void announce(const BlockJob& job);
  void announce(const PortChanged& change);
  void announce(const TrayMoved& moved);
  void announce(const BalloonChanged& change);
  void announce(const WatchdogExpired& expired);
  void announce(const MemoryResized& resized);
  void announce(const MemoryFailed& failure);
  // False when there is nobody to tell.
  bool announce(const VsockConnectionWanted& wanted);
  void announce_unplugged(const DeviceName& device);
  void announce_kept(const DeviceName& device);
  void announce_lost(const DeviceName& interface);
  void announce_unplugged(const VcpuNumber& vcpu);
  void announce_kept(const VcpuNumber& vcpu);

  static constexpr std::size_t kMaximumConnections = 8;

 private:
  class Implementation;
  std::shared_ptr<Implementation> implementation_;
};

// An inspection tree as JSON text, for the terminal of a worker that runs stand-alone.
std::string format_inspection(const InspectNode& root);

}  // namespace warren::vmm::control
