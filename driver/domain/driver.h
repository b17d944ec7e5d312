// The hypervisor driver of Warren: domains as workers on this host.
//
// One object for each daemon. Everything runs on the io_context's one thread; what can block runs on pool
// threads of its own and comes back to the loop. Workers outlive it: destroying the driver leaves every guest
// running.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include <sys/types.h>

#include "driver/config/host_facts.h"
#include "driver/contract/hypervisor.h"
#include "driver/contract/secret_value.h"
#include "driver/contract/volume_sources.h"

namespace boost::asio {
class io_context;
}

namespace warren::driver {
class NetworkDriver;
class NetworkFilterDriver;
}  // namespace warren::driver

namespace warren::driver::domain {

enum class LogPriority { debug, information, warning, error };
using Log = std::function<void(LogPriority, std::string_view)>;  // any thread

// All paths are absolute; missing directories are made.
struct DriverSettings {
  std::filesystem::path configuration_directory;  // /etc/warren: domains/NAME.xml
  std::filesystem::path runtime_directory;  // /run/warren: status and control sockets of running domains
  std::filesystem::path log_directory;      // /var/log/warren: NAME.log of each domain
  std::filesystem::path dump_directory;     // /var/lib/warren/dump: cores that nobody named a file for
  std::filesystem::path worker_program;     // warren-vmm
  std::filesystem::path cage_program;       // warren-cage
  std::filesystem::path storage_daemon_program = "/usr/bin/qemu-storage-daemon";  // which need not be there
  std::filesystem::path vhost_vsock = "/dev/vhost-vsock";                         // which need not be there
  std::filesystem::path vhost_net = "/dev/vhost-net";                             // which need not be there
  // Who a worker becomes when the daemon is root.
  uid_t worker_user = 65534;
  gid_t worker_group = 65534;
  bool worker_sandbox = true;
  // How long a job may be at work before what waits behind it is refused.
  std::chrono::milliseconds job_timeout{2000};
  Log log = [](LogPriority, std::string_view) {};
  // For disks of type volume. Null: there are no pools. Outlives the driver.
  VolumeSources* volumes = nullptr;
  // For interfaces of type network, and for filters. Null: there are none. They outlive the driver.
  NetworkDriver* networks = nullptr;
  NetworkFilterDriver* filters = nullptr;
  // Where Open vSwitch's database listens, for ovs-vsctl's --db.
  std::string switch_database = "unix:/run/openvswitch/db.sock";
  // The value of a secret that a disk names; loop's thread; throws Error. Empty: there are no secrets.
  std::function<SecretValue(const Uuid&)> secret_value;
};

class DomainDriver : public HypervisorDriver {
 public:
  // Reads the stored definitions, adopts the workers that run, rolls back starts that were interrupted, and
  // starts the domains marked for autostart if this is the first time since the host booted. To be called
  // once, before any front door opens; completes when all is known. Broken files are set aside and logged,
  // never fatal.
  virtual void load(Completion<void> completion) = 0;

  // Whether domains run or changes are under way: the daemon does not end by its --timeout then.
  virtual bool is_busy() const = 0;
};

// Throws Error if a directory cannot be made.
std::unique_ptr<DomainDriver> make_domain_driver(boost::asio::io_context& loop, DriverSettings settings,
                                                 config::HostFacts facts);

}  // namespace warren::driver::domain
