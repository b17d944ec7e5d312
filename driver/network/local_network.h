// LocalNetworks for the networks of this host. Implementation header (Asio).
//
// A change is a Task: it takes its network's turn, looks whether it may, has the host changed on a thread of
// its own, writes down what is so now, and changes the table.
#pragma once

#include <map>
#include <set>

#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>

#include "driver/loop/subscriptions.h"
#include "driver/loop/task.h"
#include "driver/network/driver.h"
#include "driver/network/network_host.h"
#include "driver/network/network_table.h"
#include "driver/network/port_allocation.h"
#include "driver/store/document_store.h"
#include "driver/watch/host_watch.h"

namespace warren::driver::network {

template <typename T = void>
using Task = loop::Task<T>;

class LocalNetworkDriver final : public LocalNetworks {
 public:
  LocalNetworkDriver(boost::asio::io_context& loop, NetworkSettings settings,
                     std::unique_ptr<NetworkHost> host);
  ~LocalNetworkDriver() override;

  void load(Completion<void> completion) override;
  bool is_busy() const override;

  std::vector<NetworkHandle> list_networks(const Caller& caller, unsigned int flags) const override;
  NetworkHandle network_by_name(const Caller& caller, const std::string& name) const override;
  NetworkHandle network_by_uuid(const Caller& caller, const Uuid& uuid) const override;
  std::string network_xml(const Caller& caller, const Uuid& network, unsigned int flags) const override;
  std::string network_bridge(const Caller& caller, const Uuid& network) const override;
  bool network_is_active(const Caller& caller, const Uuid& network) const override;
  bool network_is_persistent(const Caller& caller, const Uuid& network) const override;
  bool network_autostart(const Caller& caller, const Uuid& network) const override;
  void create_network(const Caller& caller, std::string xml, unsigned int flags,
                      Completion<NetworkHandle> completion) override;
  void define_network(const Caller& caller, std::string xml, unsigned int flags,
                      Completion<NetworkHandle> completion) override;
  void undefine_network(const Caller& caller, const Uuid& network, Completion<void> completion) override;
  void start_network(const Caller& caller, const Uuid& network, Completion<void> completion) override;
  void stop_network(const Caller& caller, const Uuid& network, Completion<void> completion) override;
  void set_network_autostart(const Caller& caller, const Uuid& network, bool autostart,
                             Completion<void> completion) override;
  void update_network(const Caller& caller, const Uuid& network, NetworkUpdate update, unsigned int flags,
                      Completion<void> completion) override;
  void dhcp_leases(const Caller& caller, const Uuid& network, std::optional<std::string> mac,
                   unsigned int flags, Completion<std::vector<DhcpLease>> completion) override;

  std::vector<NetworkPortHandle> list_ports(const Caller& caller, const Uuid& network,
                                            unsigned int flags) const override;
  NetworkPortHandle port_by_uuid(const Caller& caller, const Uuid& network, const Uuid& port) const override;
  std::string port_xml(const Caller& caller, const Uuid& network, const Uuid& port,
                       unsigned int flags) const override;
  TypedParameters port_parameters(const Caller& caller, const Uuid& network, const Uuid& port,
                                  unsigned int flags) const override;
  void create_port(const Caller& caller, const Uuid& network, std::string xml, unsigned int flags,
                   Completion<NetworkPortHandle> completion) override;
  void set_port_parameters(const Caller& caller, const Uuid& network, const Uuid& port,
                           TypedParameters parameters, unsigned int flags,
                           Completion<void> completion) override;
  void delete_port(const Caller& caller, const Uuid& network, const Uuid& port, unsigned int flags,
                   Completion<void> completion) override;

  SubscriptionId subscribe(int event_id, std::optional<Uuid> network, Handler handler) override;
  void unsubscribe(SubscriptionId id) noexcept override;

  // What the watch tells, and tests.
  void links_changed(const std::vector<link::LinkEvent>& events);
  void rules_changed();

 private:
  // ---- local_network.cpp
  template <typename T>
  void run(Task<T> task, Completion<T> completion);
  void emit(const Network& network, int event);
  void read_documents();
  void read_ports(const NetworkPointer& network);
  // On the host's thread, and on the store's.
  template <typename T>
  Task<T> on_host(std::move_only_function<T()> work);
  Task<> on_disk(std::move_only_function<void()> write);
  Task<> write_definition(NetworkDefinition definition);
  Task<> write_status(NetworkPointer network, bool is_active);
  std::filesystem::path ports_directory(const Network& network) const;

  // ---- local_network_changes.cpp
  Task<> load_all();
  Task<> adopt(NetworkPointer network);
  Task<> adopt_rules();
  Task<> start_by_itself(NetworkPointer network);
  Task<NetworkHandle> define(std::string xml, unsigned int flags);
  Task<NetworkHandle> create(std::string xml, unsigned int flags);
  Task<> undefine(Uuid uuid);
  Task<> start(Uuid uuid);
  Task<> stop(Uuid uuid);
  Task<> set_autostart(Uuid uuid, bool autostart);
  Task<> update(Uuid uuid, NetworkUpdate update, unsigned int flags);
  Task<> update_live(NetworkPointer network, NetworkDefinition changed);
  // Keeps the name of a bridge from others until the table has it.
  class ReservedBridge;
  struct Completed {
    NetworkDefinition definition;
    std::shared_ptr<ReservedBridge> bridge;  // null: nothing was chosen
  };
  Task<Completed> complete(NetworkDefinition definition);
  Task<std::shared_ptr<ReservedBridge>> choose_bridge(const NetworkDefinition& definition);
  Task<> bring_up(NetworkPointer network);
  void ended(const NetworkPointer& network);
  Task<> forget(NetworkPointer network);

  // ---- local_network_repair.cpp
  Task<> repair(NetworkPointer network);
  Task<> make_again(NetworkPointer network);
  Task<> reapply_rules();
  bool may_repair(Network& network) const;

  // ---- local_network_ports.cpp
  const config::NetworkPort& find_port(const Network& network, const Uuid& port) const;
  Task<NetworkPortHandle> make_port(Uuid network, std::string xml, unsigned int flags);
  Task<> change_port(Uuid network, Uuid port, TypedParameters parameters);
  Task<> remove_port(Uuid network, Uuid port);
  Task<> write_port(NetworkPointer network, config::NetworkPort port);
  Task<std::vector<DhcpLease>> find_leases(Uuid network, std::optional<std::string> mac);

  boost::asio::io_context& loop_;
  const NetworkSettings settings_;
  std::unique_ptr<NetworkHost> host_;
  NetworkTable table_;
  std::set<std::string> reserved_bridges_;
  bool is_reapplying_ = false;  // rules; and whether they are to be again when that is over
  bool is_to_reapply_ = false;
  std::uint64_t watching_ = 0;
  std::set<Uuid> active_before_;  // of an earlier daemon; until they have been looked at
  loop::Subscriptions<NetworkEvent> subscriptions_;
  store::DocumentStore definitions_;  // the store's thread only, after construction, as the next
  store::DocumentStore statuses_;
  // Last: they end first.
  boost::asio::thread_pool store_thread_{1};
  boost::asio::thread_pool host_thread_{1};
};

// Throws OPERATION_INVALID.
void require_active(const Network& network);

}  // namespace warren::driver::network
