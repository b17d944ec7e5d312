// A hypervisor of plain values for the tests of the layer above the contract: one domain, and whatever a test
// sets.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "daemon/rpc/fake_domain_agent.h"
#include "driver/contract/hypervisor.h"

namespace warren::daemon::rpc {

class FakeHypervisor : public FakeDomainAgent {
 public:
  using Caller = driver::Caller;
  using Uuid = driver::Uuid;
  template <class T>
  using Completion = driver::Completion<T>;

  driver::DomainHandle domain{
      .name = "demo", .uuid = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}}, .id = 7};
  // Changes that wait for the test to complete them; with `immediate` they complete at once.
  std::vector<Completion<void>> pending;
  bool immediate = true;
  std::map<SubscriptionId, Handler> handlers;
  std::unique_ptr<driver::Stream> console;
  std::vector<std::uint64_t> closed_connections;
  Caller last_caller;

  void emit(const driver::DomainEvent& event) {
    auto current = handlers;
    for (auto& [id, handler] : current) handler(event);
  }

  // DomainRegistry
  driver::DomainHandle lookup_by_id(const Caller&, int id) const override {
    if (id != domain.id) throw driver::no_domain_with_id(id);
    return domain;
  }
  driver::DomainHandle lookup_by_uuid(const Caller&, const Uuid& uuid) const override { return find(uuid); }
  driver::DomainHandle lookup_by_name(const Caller&, const std::string& name) const override {
    if (name != domain.name) throw driver::no_domain_with_name(name);
    return domain;
  }
  std::vector<driver::DomainHandle> list(const Caller&, unsigned int) const override { return {domain}; }
  std::vector<int> active_ids(const Caller&) const override { return {domain.id}; }
  std::vector<std::string> inactive_names(const Caller&) const override { return {}; }
  driver::DomainInfo info(const Caller&, const Uuid& uuid) const override {
    find(uuid);
    return {.state = 1, .maximum_memory_kib = 2048, .memory_kib = 1024, .vcpus = 3, .cpu_time_ns = 4};
  }
  driver::DomainState state(const Caller&, const Uuid& uuid, unsigned int) const override {
    find(uuid);
    return {.state = 1, .reason = 1};
  }
  driver::ControlInfo control_info(const Caller&, const Uuid& uuid, unsigned int) const override {
    find(uuid);
    return {};
  }
  driver::JobInfo job_info(const Caller&, const Uuid& uuid) const override {
    find(uuid);
    return {};
  }
  std::string xml_text = "<domain/>";
  std::string xml(const Caller&, const Uuid& uuid, unsigned int) const override {
    find(uuid);
    return xml_text;
  }
  std::string os_type(const Caller&, const Uuid& uuid) const override { return find(uuid), "hvm"; }
  bool is_active(const Caller&, const Uuid& uuid) const override { return find(uuid), true; }
  bool is_persistent(const Caller&, const Uuid& uuid) const override { return find(uuid), true; }
  bool is_updated(const Caller&, const Uuid& uuid) const override { return find(uuid), false; }
  bool has_managed_save(const Caller&, const Uuid& uuid, unsigned int) const override {
    return find(uuid), false;
  }
  bool autostart(const Caller&, const Uuid& uuid) const override { return find(uuid), false; }
  std::vector<std::string> messages(const Caller&, const Uuid& uuid, unsigned int) const override {
    return find(uuid), std::vector<std::string>{};
  }

  // DomainLifecycle
  void define(const Caller& caller, std::string, unsigned int,
              Completion<driver::DomainHandle> done) override {
    last_caller = caller;
    done(domain);
  }
  void undefine(const Caller&, const Uuid&, unsigned int, Completion<void> done) override {
    change(std::move(done));
  }
  void create_from_xml(const Caller&, std::string, unsigned int,
                       Completion<driver::DomainHandle> done) override {
    done(domain);
  }
  void create(const Caller&, const Uuid&, unsigned int, Completion<driver::DomainHandle> done) override {
    done(domain);
  }
  void shutdown(const Caller&, const Uuid&, unsigned int, Completion<void> done) override {
    change(std::move(done));
  }
  void reboot(const Caller&, const Uuid&, unsigned int, Completion<void> done) override {
    change(std::move(done));
  }
  void reset(const Caller&, const Uuid&, unsigned int, Completion<void> done) override {
    change(std::move(done));
  }
  void suspend(const Caller&, const Uuid&, Completion<void> done) override { change(std::move(done)); }
  void resume(const Caller&, const Uuid&, Completion<void> done) override { change(std::move(done)); }
  void destroy(const Caller&, const Uuid&, unsigned int, Completion<void> done) override {
    change(std::move(done));
  }
  void abort_job(const Caller&, const Uuid&, unsigned int, Completion<void> done) override {
    change(std::move(done));
  }
  void connection_closed(std::uint64_t id) override { closed_connections.push_back(id); }

  // DomainConfiguration
  std::uint64_t maximum_memory_kib(const Caller&, const Uuid& uuid) const override {
    return find(uuid), 2048;
  }
  void set_memory(const Caller&, const Uuid&, std::uint64_t, unsigned int, Completion<void> done) override {
    change(std::move(done));
  }
  void set_memory_statistics_period(const Caller&, const Uuid&, std::int32_t, unsigned int,
                                    Completion<void> done) override {
    change(std::move(done));
  }
  int vcpus(const Caller&, const Uuid& uuid, unsigned int) const override { return find(uuid), 3; }
  void set_vcpu_states(const Caller&, const Uuid&, std::string, int, unsigned int,
                       Completion<void> done) override {
    change(std::move(done));
  }
  void set_vcpus(const Caller&, const Uuid&, unsigned int, unsigned int, Completion<void> done) override {
    change(std::move(done));
  }
  std::vector<driver::VcpuInfo> vcpu_info(const Caller&, const Uuid& uuid) const override {
    return find(uuid),
           std::vector<driver::VcpuInfo>{{.number = 0, .cpu_map = {3}}, {.number = 1, .cpu_map = {3}}};
  }
  std::vector<std::vector<std::uint8_t>> vcpu_pins(const Caller&, const Uuid& uuid,
                                                   unsigned int) const override {
    return find(uuid), std::vector<std::vector<std::uint8_t>>{{3}, {3}};
  }
  void set_autostart(const Caller&, const Uuid&, bool, Completion<void> done) override {
    change(std::move(done));
  }
  void rename(const Caller&, const Uuid&, std::string, unsigned int, Completion<void> done) override {
    change(std::move(done));
  }
  std::string metadata(const Caller&, const Uuid& uuid, int, const std::optional<std::string>&,
                       unsigned int) const override {
    return find(uuid), "title";
  }
  void set_metadata(const Caller&, const Uuid&, MetadataChange, unsigned int,
                    Completion<void> done) override {
    change(std::move(done));
  }

  // DomainStatisticsSource
  void block_info(const Caller&, const Uuid&, const std::string&, unsigned int,
                  Completion<driver::BlockInfo> done) override {
    done(driver::BlockInfo{.capacity = 3, .allocation = 2, .physical = 1});
  }
  driver::BlockStatistics block_statistics(const Caller&, const Uuid& uuid,
                                           const std::string&) const override {
    return find(uuid), driver::BlockStatistics{};
  }
  driver::TypedParameters block_statistics_parameters(const Caller&, const Uuid& uuid, const std::string&,
                                                      unsigned int) const override {
    return find(uuid), driver::TypedParameters{{"rd_bytes", std::int64_t{5}}, {"wr_bytes", std::int64_t{6}}};
  }
  driver::InterfaceStatistics interface_statistics(const Caller&, const Uuid& uuid,
                                                   const std::string&) const override {
    return find(uuid), driver::InterfaceStatistics{};
  }
  std::vector<driver::MemoryStatistic> memory_statistics(const Caller&, const Uuid& uuid,
                                                         unsigned int) const override {
    return find(uuid), std::vector<driver::MemoryStatistic>{{.tag = 7, .value = 8}};
  }
  void domain_statistics(const Caller&, std::vector<Uuid>, unsigned int, unsigned int,
                         Completion<std::vector<driver::DomainStatistics>> done) override {
    done(std::vector<driver::DomainStatistics>{{domain, {{"state.state", 1}}}});
  }

  // DomainTuning
  driver::TypedParameters tuning_parameters{{"cpu_shares", std::uint64_t{100}}};
  void pin(const Caller&, const Uuid&, Pin, unsigned int, Completion<void> done) override {
    change(std::move(done));
  }
  std::vector<std::uint8_t> emulator_pin(const Caller&, const Uuid& uuid, unsigned int) const override {
    return find(uuid), std::vector<std::uint8_t>{3};
  }
  std::string scheduler_type(const Caller&, const Uuid& uuid) const override { return find(uuid), "posix"; }
  driver::TypedParameters tuning(const Caller&, const Uuid& uuid, driver::TuningGroup,
                                 unsigned int) const override {
    return find(uuid), tuning_parameters;
  }
  void set_tuning(const Caller&, const Uuid&, driver::TuningGroup, driver::TypedParameters parameters,
                  unsigned int, Completion<void> done) override {
    tuning_parameters = std::move(parameters);
    change(std::move(done));
  }
  driver::TypedParameters interface_tuning(const Caller&, const Uuid& uuid, const std::string&,
                                           unsigned int) const override {
    return find(uuid), tuning_parameters;
  }
  void set_interface_tuning(const Caller&, const Uuid&, const std::string&, driver::TypedParameters,
                            unsigned int, Completion<void> done) override {
    change(std::move(done));
  }
  std::vector<driver::IoThreadInfo> iothreads(const Caller&, const Uuid& uuid, unsigned int) const override {
    return find(uuid), std::vector<driver::IoThreadInfo>{{.id = 1, .cpu_map = {3}}};
  }
  void add_iothread(const Caller&, const Uuid&, std::uint32_t, unsigned int, Completion<void> done) override {
    change(std::move(done));
  }
  void delete_iothread(const Caller&, const Uuid&, std::uint32_t, unsigned int,
                       Completion<void> done) override {
    change(std::move(done));
  }

  // DomainDevices
  std::map<std::string, std::size_t> associated;  // how many descriptors, by name
  void associate_descriptors(const Caller&, const Uuid& uuid, const std::string& name,
                             std::vector<vmm::FileDescriptor> descriptors, unsigned int) override {
    find(uuid);
    associated[name] = descriptors.size();
  }
  void attach_device(const Caller&, const Uuid&, std::string, unsigned int, Completion<void> done) override {
    change(std::move(done));
  }
  void detach_device(const Caller&, const Uuid&, std::string, unsigned int, Completion<void> done) override {
    change(std::move(done));
  }
  void detach_device_alias(const Caller&, const Uuid&, std::string, unsigned int,
                           Completion<void> done) override {
    change(std::move(done));
  }
  void update_device(const Caller&, const Uuid&, std::string, unsigned int, Completion<void> done) override {
    change(std::move(done));
  }

  // DomainDisks
  void set_block_io_tune(const Caller&, const Uuid&, std::string, driver::TypedParameters, unsigned int,
                         Completion<void> done) override {
    change(std::move(done));
  }
  driver::TypedParameters block_io_tune(const Caller&, const Uuid& uuid, const std::string&,
                                        unsigned int) const override {
    return find(uuid), driver::TypedParameters{{"total_bytes_sec", std::uint64_t{5}}};
  }
  void block_resize(const Caller&, const Uuid&, const std::string&, std::uint64_t, unsigned int,
                    Completion<void> done) override {
    change(std::move(done));
  }
  void set_block_threshold(const Caller&, const Uuid&, const std::string&, std::uint64_t, unsigned int,
                           Completion<void> done) override {
    change(std::move(done));
  }

  // DomainBlockJobs
  void block_commit(const Caller&, const Uuid&, driver::BlockCommit commit, unsigned int flags,
                    Completion<void> done) override {
    asked = "commit " + commit.disk + " " + commit.top.value_or("-") + " " + commit.base.value_or("-") + " " +
            std::to_string(commit.bandwidth) + " " + std::to_string(flags);
    change(std::move(done));
  }
  void block_pull(const Caller&, const Uuid&, std::string disk, std::uint64_t bandwidth, unsigned int flags,
                  Completion<void> done) override {
    asked = "pull " + disk + " " + std::to_string(bandwidth) + " " + std::to_string(flags);
    change(std::move(done));
  }
  void block_rebase(const Caller&, const Uuid&, std::string disk, std::optional<std::string> base,
                    std::uint64_t bandwidth, unsigned int flags, Completion<void> done) override {
    asked = "rebase " + disk + " " + base.value_or("-") + " " + std::to_string(bandwidth) + " " +
            std::to_string(flags);
    change(std::move(done));
  }
  void block_copy(const Caller&, const Uuid&, std::string disk, std::string xml,
                  driver::TypedParameters parameters, unsigned int flags, Completion<void> done) override {
    asked = "copy " + disk + " " + xml + " " + std::to_string(flags);
    for (const auto& parameter : parameters)
      asked += " " + parameter.field + ":" + std::to_string(parameter.type());
    change(std::move(done));
  }
  void abort_block_job(const Caller&, const Uuid&, std::string disk, unsigned int flags,
                       Completion<void> done) override {
    asked = "abort " + disk + " " + std::to_string(flags);
    change(std::move(done));
  }
  std::optional<driver::BlockJobInfo> block_job_info(const Caller&, const Uuid& uuid, const std::string& disk,
                                                     unsigned int) const override {
    find(uuid);
    if (disk != "vda") return std::nullopt;
    return driver::BlockJobInfo{
        .type = VIR_DOMAIN_BLOCK_JOB_TYPE_COPY, .bandwidth = 5, .current = 3, .end = 4};
  }
  void set_block_job_speed(const Caller&, const Uuid&, std::string disk, std::uint64_t bandwidth,
                           unsigned int flags, Completion<void> done) override {
    asked = "speed " + disk + " " + std::to_string(bandwidth) + " " + std::to_string(flags);
    change(std::move(done));
  }

  // DomainInspection
  driver::TypedParameters total_cpu_statistics(const Caller&, const Uuid& uuid, unsigned int) const override {
    return find(uuid), driver::TypedParameters{{"cpu_time", std::uint64_t{9}}};
  }
  std::vector<driver::TypedParameters> host_cpu_statistics(const Caller&, const Uuid& uuid,
                                                           unsigned int) const override {
    return find(uuid), std::vector<driver::TypedParameters>(2, {{"cpu_time", std::uint64_t{4}}});
  }
  driver::JobStatistics job_statistics(const Caller&, const Uuid& uuid, unsigned int) override {
    return find(uuid), driver::JobStatistics{.type = 1, .parameters = {{"time_elapsed", std::uint64_t{5}}}};
  }
  std::vector<driver::DiskError> disk_errors(const Caller&, const Uuid& uuid, unsigned int) const override {
    return find(uuid), std::vector<driver::DiskError>{{.disk = "vda", .error = 1}};
  }
  void start_dirty_rate(const Caller&, const Uuid&, int, unsigned int, Completion<void> done) override {
    change(std::move(done));
  }
  void set_lifecycle_action(const Caller&, const Uuid&, unsigned int, unsigned int, unsigned int,
                            Completion<void> done) override {
    change(std::move(done));
  }
  void inject_nmi(const Caller&, const Uuid&, unsigned int, Completion<void> done) override {
    change(std::move(done));
  }
  void send_key(const Caller&, const Uuid&, driver::KeyPress, unsigned int, Completion<void> done) override {
    change(std::move(done));
  }
  void suspend_guest(const Caller&, const Uuid&, unsigned int, std::uint64_t, unsigned int,
                     Completion<void> done) override {
    change(std::move(done));
  }
  void wake_guest(const Caller&, const Uuid&, unsigned int, Completion<void> done) override {
    change(std::move(done));
  }
  void block_peek(const Caller&, const Uuid&, const std::string&, std::uint64_t, std::size_t size,
                  unsigned int, Completion<std::vector<std::uint8_t>> done) override {
    done(std::vector<std::uint8_t>(size, 1));
  }
  void memory_peek(const Caller&, const Uuid&, std::uint64_t, std::size_t size, unsigned int,
                   Completion<std::vector<std::uint8_t>> done) override {
    done(std::vector<std::uint8_t>(size, 2));
  }
  void core_dump(const Caller&, const Uuid&, std::string, unsigned int, unsigned int,
                 Completion<void> done) override {
    change(std::move(done));
  }
  void monitor_command(const Caller&, const Uuid&, std::string command, unsigned int,
                       Completion<std::string> done) override {
    done(std::move(command));
  }

  // DomainConsole
  std::unique_ptr<driver::Stream> open_console(const Caller&, const Uuid& uuid,
                                               const std::optional<std::string>&, unsigned int) override {
    find(uuid);
    if (!console) throw driver::operation_failed("the console is taken");
    return std::move(console);
  }

  std::unique_ptr<driver::Stream> open_channel(const Caller&, const Uuid& uuid,
                                               const std::optional<std::string>& name,
                                               unsigned int) override {
    find(uuid);
    if (!console || name != "org.example.0") throw driver::internal_error("cannot find channel");
    return std::move(console);
  }

  // EventSource
  SubscriptionId subscribe(int event_id, std::optional<Uuid>, Handler handler) override {
    if (event_id < 0 || event_id > VIR_DOMAIN_EVENT_ID_MEMORY_DEVICE_SIZE_CHANGE) {
      throw driver::invalid_argument("unsupported event ID " + std::to_string(event_id));
    }
    handlers[++last_subscription_] = std::move(handler);
    return last_subscription_;
  }
  void unsubscribe(SubscriptionId id) noexcept override { handlers.erase(id); }

 private:
  const driver::DomainHandle& find(const Uuid& uuid) const {
    if (uuid != domain.uuid) throw driver::no_domain_with_uuid(uuid);
    return domain;
  }
  void change(Completion<void> done) {
    if (immediate) {
      done({});
    } else {
      pending.push_back(std::move(done));
    }
  }
  SubscriptionId last_subscription_ = 0;
};

}  // namespace warren::daemon::rpc
