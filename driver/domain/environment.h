// What all domains of one driver share. Implementation header (Asio).
//
// Members are used on the loop's thread, but for what their comments say.
#pragma once

#include <functional>
#include <mutex>
#include <optional>

#include "driver/config/host_facts.h"
#include "driver/domain/agent_socket.h"
#include "driver/domain/cgroup.h"
#include "driver/domain/domain_table.h"
#include "driver/domain/driver.h"
#include "driver/domain/event_hub.h"
#include "driver/domain/host_devices.h"
#include "driver/domain/task.h"
#include "driver/domain/volatile_files.h"
#include "driver/domain/vsock.h"
#include "driver/host/pci_bus.h"
#include "driver/store/commit_queue.h"
#include "driver/store/document_store.h"

namespace warren::driver::domain {

struct Environment {
  Environment(asio::io_context& the_loop, DriverSettings the_settings, config::HostFacts the_facts)
      : loop(the_loop),
        settings(std::move(the_settings)),
        facts(std::move(the_facts)),
        definitions(settings.configuration_directory / "domains"),
        statuses(settings.runtime_directory / "status", volatile_files),
        events(the_loop),
        cgroups(CgroupTree::find(settings.runtime_directory)) {}

  asio::io_context& loop;
  const DriverSettings settings;
  const config::HostFacts facts;
  store::DocumentStore definitions;  // store_thread only
  store::CommitQueue commits{definitions};
  VolatileFileOperations volatile_files;
  std::mutex statuses_mutex;
  store::DocumentStore statuses;  // any pool thread, under statuses_mutex
  EventHub events;
  DomainTable table;
  CidTable cids;                 // any thread
  HostDeviceTable host_devices;  // any thread
  int next_id = 1;
  const CgroupTree cgroups;  // any thread

  // The socket of a running domain's agent channel; tests put one of their own here.
  std::function<std::optional<std::string>(const config::DomainDefinition&)> agent_socket = agent_socket_of;

  // Likewise: the guest behind an open vhost-vsock gets its CID (vsock.h).
  SetGuestCid set_guest_cid = system_set_guest_cid;

  // Pool threads; tests put another host here.
  std::unique_ptr<host::PciBus> pci = std::make_unique<host::PciBus>();
  FunctionControl functions;

  // Tests shorten these.
  std::chrono::milliseconds command_deadline{10'000};
  std::chrono::milliseconds quit_deadline{1'000};

  // Last, so that their threads end first.
  asio::thread_pool store_thread{1};  // definitions, one at a time
  asio::thread_pool io_threads{4};    // images, spawning, status files

  void log(LogPriority priority, const std::string& message) const { settings.log(priority, message); }
};

}  // namespace warren::driver::domain
