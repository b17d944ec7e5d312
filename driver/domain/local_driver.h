// HypervisorDriver for the domains of this host: checks flags, finds the domain, and reads its snapshot or
// starts its change. What a change means is in domain.h. Implementation header (Asio).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "driver/domain/domain.h"
#include "driver/domain/driver.h"

namespace warren::driver::domain {

class LocalDriver final : public DomainDriver {
 public:
  LocalDriver(asio::io_context& loop, DriverSettings settings, config::HostFacts facts);
  ~LocalDriver() override;

  // local_driver.cpp
  void load(Completion<void> completion) override;
  bool is_busy() const override;
  Environment& environment() noexcept { return *environment_; }

  // local_driver_registry.cpp
  DomainHandle lookup_by_id(const Caller& caller, int id) const override;
  DomainHandle lookup_by_uuid(const Caller& caller, const Uuid& uuid) const override;
  DomainHandle lookup_by_name(const Caller& caller, const std::string& name) const override;
  std::vector<DomainHandle> list(const Caller& caller, unsigned int flags) const override;
  std::vector<int> active_ids(const Caller& caller) const override;
  std::vector<std::string> inactive_names(const Caller& caller) const override;
  DomainInfo info(const Caller& caller, const Uuid& domain) const override;
  DomainState state(const Caller& caller, const Uuid& domain, unsigned int flags) const override;
  ControlInfo control_info(const Caller& caller, const Uuid& domain, unsigned int flags) const override;
  JobInfo job_info(const Caller& caller, const Uuid& domain) const override;
  std::string xml(const Caller& caller, const Uuid& domain, unsigned int flags) const override;
  std::string os_type(const Caller& caller, const Uuid& domain) const override;
  bool is_active(const Caller& caller, const Uuid& domain) const override;
  bool is_persistent(const Caller& caller, const Uuid& domain) const override;
  bool is_updated(const Caller& caller, const Uuid& domain) const override;
  bool has_managed_save(const Caller& caller, const Uuid& domain, unsigned int flags) const override;
  bool autostart(const Caller& caller, const Uuid& domain) const override;
  std::vector<std::string> messages(const Caller& caller, const Uuid& domain,
                                    unsigned int flags) const override;

  // local_driver_lifecycle.cpp
  void define(const Caller& caller, std::string xml, unsigned int flags,
              Completion<DomainHandle> completion) override;
  void undefine(const Caller& caller, const Uuid& domain, unsigned int flags,
                Completion<void> completion) override;
  void create_from_xml(const Caller& caller, std::string xml, unsigned int flags,
                       Completion<DomainHandle> completion) override;
  void create(const Caller& caller, const Uuid& domain, unsigned int flags,
              Completion<DomainHandle> completion) override;
  void shutdown(const Caller& caller, const Uuid& domain, unsigned int flags,
                Completion<void> completion) override;
  void reboot(const Caller& caller, const Uuid& domain, unsigned int flags,
              Completion<void> completion) override;
  void reset(const Caller& caller, const Uuid& domain, unsigned int flags,
             Completion<void> completion) override;
  void suspend(const Caller& caller, const Uuid& domain, Completion<void> completion) override;
  void resume(const Caller& caller, const Uuid& domain, Completion<void> completion) override;
  void destroy(const Caller& caller, const Uuid& domain, unsigned int flags,
               Completion<void> completion) override;
  void abort_job(const Caller& caller, const Uuid& domain, unsigned int flags,
                 Completion<void> completion) override;
  void connection_closed(std::uint64_t connection_id) override;
  std::unique_ptr<Stream> open_channel(const Caller& caller, const Uuid& domain,
                                       const std::optional<std::string>& name, unsigned int flags) override;
  std::unique_ptr<Stream> open_console(const Caller& caller, const Uuid& domain,
                                       const std::optional<std::string>& device, unsigned int flags) override;
  SubscriptionId subscribe(int event_id, std::optional<Uuid> domain, Handler handler) override {
    return environment_->events.subscribe(event_id, domain, std::move(handler));
  }
  void unsubscribe(SubscriptionId id) noexcept override { environment_->events.unsubscribe(id); }

  // local_driver_configuration.cpp
  std::uint64_t maximum_memory_kib(const Caller& caller, const Uuid& domain) const override;
  void set_memory(const Caller& caller, const Uuid& domain, std::uint64_t kib, unsigned int flags,
                  Completion<void> completion) override;
  void set_memory_statistics_period(const Caller& caller, const Uuid& domain, std::int32_t seconds,
                                    unsigned int flags, Completion<void> completion) override;
  std::vector<std::vector<std::uint8_t>> vcpu_pins(const Caller& caller, const Uuid& domain,
                                                   unsigned int flags) const override;
  void set_autostart(const Caller& caller, const Uuid& domain, bool autostart,
                     Completion<void> completion) override;
  void rename(const Caller& caller, const Uuid& domain, std::string new_name, unsigned int flags,
              Completion<void> completion) override;
  std::string metadata(const Caller& caller, const Uuid& domain, int type,
                       const std::optional<std::string>& uri, unsigned int flags) const override;
  void set_metadata(const Caller& caller, const Uuid& domain, MetadataChange change, unsigned int flags,
                    Completion<void> completion) override;

  // local_driver_vcpus.cpp
  int vcpus(const Caller& caller, const Uuid& domain, unsigned int flags) const override;
  void set_vcpus(const Caller& caller, const Uuid& domain, unsigned int count, unsigned int flags,
                 Completion<void> completion) override;
  void set_vcpu_states(const Caller& caller, const Uuid& domain, std::string vcpus, int state,
                       unsigned int flags, Completion<void> completion) override;
  std::vector<VcpuInfo> vcpu_info(const Caller& caller, const Uuid& domain) const override;

  // local_driver_tuning.cpp, local_driver_parameters.cpp
  void pin(const Caller& caller, const Uuid& domain, Pin pin, unsigned int flags,
           Completion<void> completion) override;
  std::vector<std::uint8_t> emulator_pin(const Caller& caller, const Uuid& domain,
                                         unsigned int flags) const override;
  std::string scheduler_type(const Caller& caller, const Uuid& domain) const override;
  TypedParameters tuning(const Caller& caller, const Uuid& domain, TuningGroup group,
                         unsigned int flags) const override;
  void set_tuning(const Caller& caller, const Uuid& domain, TuningGroup group, TypedParameters parameters,
                  unsigned int flags, Completion<void> completion) override;
  TypedParameters interface_tuning(const Caller& caller, const Uuid& domain, const std::string& device,
                                   unsigned int flags) const override;
  void set_interface_tuning(const Caller& caller, const Uuid& domain, const std::string& device,
                            TypedParameters parameters, unsigned int flags,
                            Completion<void> completion) override;
  std::vector<IoThreadInfo> iothreads(const Caller& caller, const Uuid& domain,
                                      unsigned int flags) const override;
  void add_iothread(const Caller& caller, const Uuid& domain, std::uint32_t id, unsigned int flags,
                    Completion<void> completion) override;
  void delete_iothread(const Caller& caller, const Uuid& domain, std::uint32_t id, unsigned int flags,
                       Completion<void> completion) override;

  // local_driver_devices.cpp
  void associate_descriptors(const Caller& caller, const Uuid& domain, const std::string& name,
                             std::vector<vmm::FileDescriptor> descriptors, unsigned int flags) override;
  void attach_device(const Caller& caller, const Uuid& domain, std::string xml, unsigned int flags,
                     Completion<void> completion) override;
  void detach_device(const Caller& caller, const Uuid& domain, std::string xml, unsigned int flags,
                     Completion<void> completion) override;
  void detach_device_alias(const Caller& caller, const Uuid& domain, std::string alias, unsigned int flags,
                           Completion<void> completion) override;
  void update_device(const Caller& caller, const Uuid& domain, std::string xml, unsigned int flags,
                     Completion<void> completion) override;

  // local_driver_disks.cpp
  void set_block_io_tune(const Caller& caller, const Uuid& domain, std::string disk,
                         TypedParameters parameters, unsigned int flags,
                         Completion<void> completion) override;
  TypedParameters block_io_tune(const Caller& caller, const Uuid& domain, const std::string& disk,
                                unsigned int flags) const override;
  void block_resize(const Caller& caller, const Uuid& domain, const std::string& disk, std::uint64_t size,
                    unsigned int flags, Completion<void> completion) override;
  void set_block_threshold(const Caller& caller, const Uuid& domain, const std::string& device,
                           std::uint64_t threshold, unsigned int flags, Completion<void> completion) override;

  // local_driver_block_jobs.cpp
  void block_commit(const Caller& caller, const Uuid& domain, BlockCommit commit, unsigned int flags,
                    Completion<void> completion) override;
  void block_pull(const Caller& caller, const Uuid& domain, std::string disk, std::uint64_t bandwidth,
                  unsigned int flags, Completion<void> completion) override;
  void block_rebase(const Caller& caller, const Uuid& domain, std::string disk,
                    std::optional<std::string> base, std::uint64_t bandwidth, unsigned int flags,
                    Completion<void> completion) override;
  void block_copy(const Caller& caller, const Uuid& domain, std::string disk, std::string xml,
                  TypedParameters parameters, unsigned int flags, Completion<void> completion) override;
  void abort_block_job(const Caller& caller, const Uuid& domain, std::string disk, unsigned int flags,
                       Completion<void> completion) override;
  std::optional<BlockJobInfo> block_job_info(const Caller& caller, const Uuid& domain,
                                             const std::string& disk, unsigned int flags) const override;
  void set_block_job_speed(const Caller& caller, const Uuid& domain, std::string disk,
                           std::uint64_t bandwidth, unsigned int flags, Completion<void> completion) override;

  // local_driver_inspection.cpp
  TypedParameters total_cpu_statistics(const Caller& caller, const Uuid& domain,
                                       unsigned int flags) const override;
  std::vector<TypedParameters> host_cpu_statistics(const Caller& caller, const Uuid& domain,
                                                   unsigned int flags) const override;
  JobStatistics job_statistics(const Caller& caller, const Uuid& domain, unsigned int flags) override;
  std::vector<DiskError> disk_errors(const Caller& caller, const Uuid& domain,
                                     unsigned int flags) const override;
  void start_dirty_rate(const Caller& caller, const Uuid& domain, int seconds, unsigned int flags,
                        Completion<void> completion) override;
  void set_lifecycle_action(const Caller& caller, const Uuid& domain, unsigned int type, unsigned int action,
                            unsigned int flags, Completion<void> completion) override;
  void inject_nmi(const Caller& caller, const Uuid& domain, unsigned int flags,
                  Completion<void> completion) override;
  void send_key(const Caller& caller, const Uuid& domain, KeyPress keys, unsigned int flags,
                Completion<void> completion) override;
  void suspend_guest(const Caller& caller, const Uuid& domain, unsigned int target, std::uint64_t duration,
                     unsigned int flags, Completion<void> completion) override;
  void wake_guest(const Caller& caller, const Uuid& domain, unsigned int flags,
                  Completion<void> completion) override;
  void block_peek(const Caller& caller, const Uuid& domain, const std::string& path, std::uint64_t offset,
                  std::size_t size, unsigned int flags,
                  Completion<std::vector<std::uint8_t>> completion) override;
  void memory_peek(const Caller& caller, const Uuid& domain, std::uint64_t address, std::size_t size,
                   unsigned int flags, Completion<std::vector<std::uint8_t>> completion) override;
  void core_dump(const Caller& caller, const Uuid& domain, std::string path, unsigned int format,
                 unsigned int flags, Completion<void> completion) override;
  void monitor_command(const Caller& caller, const Uuid& domain, std::string command, unsigned int flags,
                       Completion<std::string> completion) override;

  // local_driver_agent.cpp
  void agent_command(const Caller& caller, const Uuid& domain, std::string command, int timeout,
                     unsigned int flags, Completion<std::string> completion) override;
  void set_agent_response_timeout(const Caller& caller, const Uuid& domain, int timeout, unsigned int flags,
                                  Completion<void> completion) override;
  void guest_hostname(const Caller& caller, const Uuid& domain, unsigned int flags,
                      Completion<std::string> completion) override;
  void guest_time(const Caller& caller, const Uuid& domain, unsigned int flags,
                  Completion<GuestTime> completion) override;
  void set_guest_time(const Caller& caller, const Uuid& domain, GuestTime time, unsigned int flags,
                      Completion<void> completion) override;
  void guest_info(const Caller& caller, const Uuid& domain, unsigned int types, unsigned int flags,
                  Completion<TypedParameters> completion) override;
  void guest_vcpus(const Caller& caller, const Uuid& domain, unsigned int flags,
                   Completion<TypedParameters> completion) override;
  void set_guest_vcpus(const Caller& caller, const Uuid& domain, std::string cpus, int state,
                       unsigned int flags, Completion<void> completion) override;
  void guest_vcpu_count(const Caller& caller, const Uuid& domain, unsigned int flags,
                        Completion<int> completion) override;
  void set_user_password(const Caller& caller, const Uuid& domain, std::string user, std::string password,
                         unsigned int flags, Completion<void> completion) override;
  void authorized_ssh_keys(const Caller& caller, const Uuid& domain, std::string user, unsigned int flags,
                           Completion<std::vector<std::string>> completion) override;
  void set_authorized_ssh_keys(const Caller& caller, const Uuid& domain, std::string user,
                               std::vector<std::string> keys, unsigned int flags,
                               Completion<void> completion) override;
  void interface_addresses(const Caller& caller, const Uuid& domain, unsigned int source, unsigned int flags,
                           Completion<std::vector<GuestInterface>> completion) override;
  void filesystems(const Caller& caller, const Uuid& domain, unsigned int flags,
                   Completion<std::vector<GuestFilesystem>> completion) override;
  void freeze_filesystems(const Caller& caller, const Uuid& domain, std::vector<std::string> mountpoints,
                          unsigned int flags, Completion<int> completion) override;
  void thaw_filesystems(const Caller& caller, const Uuid& domain, std::vector<std::string> mountpoints,
                        unsigned int flags, Completion<int> completion) override;
  void trim_filesystems(const Caller& caller, const Uuid& domain,
                        const std::optional<std::string>& mountpoint, std::uint64_t minimum,
                        unsigned int flags, Completion<void> completion) override;

  // local_driver_statistics.cpp
  void block_info(const Caller& caller, const Uuid& domain, const std::string& path, unsigned int flags,
                  Completion<BlockInfo> completion) override;
  BlockStatistics block_statistics(const Caller& caller, const Uuid& domain,
                                   const std::string& path) const override;
  TypedParameters block_statistics_parameters(const Caller& caller, const Uuid& domain,
                                              const std::string& path, unsigned int flags) const override;
  InterfaceStatistics interface_statistics(const Caller& caller, const Uuid& domain,
                                           const std::string& device) const override;
  std::vector<MemoryStatistic> memory_statistics(const Caller& caller, const Uuid& domain,
                                                 unsigned int flags) const override;
  void domain_statistics(const Caller& caller, std::vector<Uuid> domains, unsigned int groups,
                         unsigned int flags, Completion<std::vector<DomainStatistics>> completion) override;

 private:
  // Throws no_domain().
  std::shared_ptr<Domain> find(const Uuid& uuid) const;
  const Snapshot& snapshot(const Uuid& uuid) const { return *find(uuid)->snapshot(); }

  // Runs `begin(domain)`'s task; whatever begin or find throws completes it too.
  template <typename T, typename Begin>
  void change(const Uuid& uuid, Completion<T> completion, Begin begin);
  template <typename T>
  void run(Task<T> task, Completion<T> completion);

  Task<std::shared_ptr<const config::DomainDefinition>> parse(std::string xml, bool validate) const;
  Task<DomainHandle> define_task(Caller caller, std::string xml, bool validate);
  Task<DomainHandle> create_task(Caller caller, std::string xml, unsigned int flags);
  Task<> load_task();
  Task<> autostart_domains();
  std::shared_ptr<Domain> find_or_make(const config::DomainDefinition& definition);
  void load_definitions();
  void follow_networks();

  std::shared_ptr<Environment> environment_;
  std::optional<NetworkDriver::SubscriptionId> networks_followed_;
  std::size_t running_changes_ = 0;
  std::shared_ptr<bool> is_alive_ = std::make_shared<bool>(true);
};

// Definitions of the templates, for local_driver_*.cpp.
template <typename T>
void LocalDriver::run(Task<T> task, Completion<T> completion) {
  ++running_changes_;
  run_task<T>(environment_->loop, std::move(task),
              [this, alive = std::weak_ptr<bool>(is_alive_),
               completion = std::move(completion)](std::expected<T, Error> result) mutable {
                if (alive.lock()) --running_changes_;
                completion(std::move(result));
              });
}

template <typename T, typename Begin>
void LocalDriver::change(const Uuid& uuid, Completion<T> completion, Begin begin) {
  std::shared_ptr<Domain> domain;
  std::optional<Task<T>> task;
  std::optional<Error> refused;
  try {
    domain = find(uuid);
    task.emplace(begin(*domain));
  } catch (...) {
    refused = error_of(std::current_exception());
  }
  if (refused) return completion(std::unexpected(*refused));
  // The domain lives until its change has ended.
  run<T>(std::move(*task), [domain, completion = std::move(completion)](
                               std::expected<T, Error> result) mutable { completion(std::move(result)); });
}

}  // namespace warren::driver::domain
