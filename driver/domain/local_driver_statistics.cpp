// Figures of disks, interfaces, vCPUs and memory.
#include <algorithm>

#include <fmt/format.h>

#include "driver/config/vcpus.h"
#include "driver/domain/block_job_plan.h"
#include "driver/domain/disk_image.h"
#include "driver/domain/disk_parameters.h"
#include "driver/domain/disk_volume.h"
#include "driver/domain/local_driver.h"
#include "driver/domain/memory_statistics.h"
#include "driver/domain/statistics_groups.h"
#include "driver/domain/vhost_user_disk.h"
#include "driver/link/link_details.h"

namespace warren::driver::domain {

namespace {

void require_active(const Snapshot& domain) {
  if (!domain.is_active()) throw operation_invalid("domain is not running");
}

std::int64_t as_signed(std::uint64_t value) {
  return static_cast<std::int64_t>(std::min<std::uint64_t>(value, INT64_MAX));
}

std::size_t disk_index(const config::DomainDefinition& definition, const std::string& path) {
  const auto& disks = definition.devices.disks;
  auto found = std::find_if(disks.begin(), disks.end(),
                            [&](const config::Disk& disk) { return is_called(disk, path); });
  if (found == disks.end())
    throw invalid_argument(fmt::format("invalid path '{}' not assigned to domain", path));
  return static_cast<std::size_t>(found - disks.begin());
}

BlockFigures disk_figures(const Snapshot& domain, const std::string& path) {
  require_active(domain);
  if (!path.empty()) {
    const std::size_t index = disk_index(*domain.live, path);
    require_own(domain.live->devices.disks[index], "counting requests");
    return domain.counters ? domain.counters->disk(domain.live->devices.disks[index].info.alias)
                           : BlockFigures{};
  }
  BlockFigures sum;
  if (!domain.counters) return sum;
  for (const config::Disk& disk : domain.live->devices.disks) {
    const BlockFigures one = domain.counters->disk(disk.info.alias);
    sum.read_requests += one.read_requests;
    sum.read_bytes += one.read_bytes;
    sum.read_nanoseconds += one.read_nanoseconds;
    sum.write_requests += one.write_requests;
    sum.write_bytes += one.write_bytes;
    sum.write_nanoseconds += one.write_nanoseconds;
    sum.flush_requests += one.flush_requests;
    sum.flush_nanoseconds += one.flush_nanoseconds;
    sum.errors += one.errors;
  }
  return sum;
}

// What an answer to virConnectGetAllDomainStats is made from. Disks are measured on a pool thread.
struct StatisticsRequest {
  unsigned int groups = 0;
  bool with_backing = false;  // VIR_CONNECT_GET_ALL_DOMAINS_STATS_BACKING
  std::vector<std::shared_ptr<const Snapshot>> domains;
  std::vector<std::vector<std::optional<ImageSize>>> sizes;  // of each domain's images, as images_of()
};

// The disks' own images; with those that they are backed by each below the one that is.
std::vector<std::pair<const config::Disk*, std::uint32_t>> images_of(const Snapshot& domain,
                                                                     bool with_backing) {
  std::vector<std::pair<const config::Disk*, std::uint32_t>> images;
  for (const config::Disk& disk : domain.current().devices.disks)
    for (std::uint32_t place = 0; place < (with_backing ? chain_length(disk) : 1); ++place)
      images.emplace_back(&disk, place);
  return images;
}

class ParameterList {
 public:
  explicit ParameterList(TypedParameters& parameters) : parameters_(parameters) {}
  void add(std::string field, std::int32_t value) { parameters_.push_back({std::move(field), value}); }
  void add(std::string field, std::uint32_t value) { parameters_.push_back({std::move(field), value}); }
  void add(std::string field, std::uint64_t value) { parameters_.push_back({std::move(field), value}); }
  void add(std::string field, std::string value) {
    parameters_.push_back({std::move(field), std::move(value)});
  }

 private:
  TypedParameters& parameters_;
};

void add_state(const Snapshot& domain, ParameterList& list) {
  list.add("state.state", std::int32_t{domain.state.state});
  list.add("state.reason", std::int32_t{domain.state.reason});
}

void add_cpu(const Snapshot& domain, ParameterList& list) {
  if (!domain.is_active()) return;
  ProcessTimes times = process_times(domain.pid);
  list.add("cpu.time", process_cpu_time(domain.pid));
  list.add("cpu.user", times.user_ns);
  list.add("cpu.system", times.system_ns);
}

void add_balloon(const Snapshot& domain, ParameterList& list) {
  const config::Memory& memory = domain.current().memory;
  list.add("balloon.current", memory.current_kib);
  list.add("balloon.maximum", memory.maximum_kib);
  if (!domain.is_active()) return;
  for (const MemoryStatistic& statistic : balloon_statistics(domain))
    if (const char* name = statistic_name(statistic.tag))
      list.add(fmt::format("balloon.{}", name), statistic.value);
  list.add("balloon.rss", process_times(domain.pid).resident_kib);
}

void add_vcpus(const Snapshot& domain, TypedParameters& parameters) {
  ParameterList list(parameters);
  const config::VcpuCount& count = domain.current().vcpu;
  list.add("vcpu.current", count.current);
  list.add("vcpu.maximum", count.maximum);
  if (!domain.is_active() || !domain.counters) return;
  for (const std::uint32_t i : config::online_vcpus(count)) {
    ThreadTimes times = thread_times(domain.pid, domain.counters->vcpu_thread(i));
    list.add(fmt::format("vcpu.{}.state", i), std::int32_t{VIR_VCPU_RUNNING});
    list.add(fmt::format("vcpu.{}.time", i), times.run_ns);
    list.add(fmt::format("vcpu.{}.wait", i), times.wait_ns);
    list.add(fmt::format("vcpu.{}.delay", i), times.wait_ns);
    append_vcpu_extras(domain, i, parameters);
  }
}

// The worker counts what it moves. What the host's kernel moves in its place it counts at the tap, whose
// other end the guest is.
NetFigures interface_figures(const Snapshot& domain, const config::Interface& interface) {
  NetFigures figures;
  if (domain.counters) figures = domain.counters->interface(interface.info.alias);
  if (interface.driver.name != config::PacketMover::vhost) return figures;
  const auto traffic = link::read_traffic(interface.target);
  if (!traffic) return figures;
  return {.receive_bytes = traffic->sent_bytes,
          .receive_packets = traffic->sent_packets,
          .receive_errors = traffic->sent_errors,
          .receive_drops = traffic->sent_dropped,
          .transmit_bytes = traffic->received_bytes,
          .transmit_packets = traffic->received_packets,
          .transmit_errors = traffic->received_errors,
          .transmit_drops = traffic->received_dropped};
}

void add_interfaces(const Snapshot& domain, ParameterList& list) {
  if (!domain.is_active()) return;
  const auto& interfaces = domain.live->devices.interfaces;
  list.add("net.count", static_cast<std::uint32_t>(interfaces.size()));
  for (std::size_t i = 0; i < interfaces.size(); ++i) {
    // Nobody but its guest sees the packets of a device of the host.
    if (config::device_plug_of(interfaces[i]) != nullptr) continue;
    const NetFigures figures = interface_figures(domain, interfaces[i]);
    auto field = [i](const char* name) { return fmt::format("net.{}.{}", i, name); };
    list.add(field("name"), interfaces[i].target);
    list.add(field("rx.bytes"), figures.receive_bytes);
    list.add(field("rx.pkts"), figures.receive_packets);
    list.add(field("rx.errs"), figures.receive_errors);
    list.add(field("rx.drop"), figures.receive_drops);
    list.add(field("tx.bytes"), figures.transmit_bytes);
    list.add(field("tx.pkts"), figures.transmit_packets);
    list.add(field("tx.errs"), figures.transmit_errors);
    list.add(field("tx.drop"), figures.transmit_drops);
  }
}

void add_blocks(const Snapshot& domain, bool with_backing, const std::vector<std::optional<ImageSize>>& sizes,
                ParameterList& list) {
  const auto images = images_of(domain, with_backing);
  list.add("block.count", static_cast<std::uint32_t>(images.size()));
  for (std::size_t i = 0; i < images.size(); ++i) {
    const auto& [disk, place] = images[i];
    const config::BackingImage image = image_at(*disk, place);
    auto field = [i](const char* name) { return fmt::format("block.{}.{}", i, name); };
    list.add(field("name"), disk->target);
    if (image.source_index) list.add(field("backingIndex"), *image.source_index);
    if (!image.source.empty() && !image.server) list.add(field("path"), image.source);
    // The guest's requests are the disk's, whichever image has the data.
    if (place == 0 && domain.is_active() && domain.counters && disk->is_own()) {
      BlockFigures figures = domain.counters->disk(disk->info.alias);
      list.add(field("rd.reqs"), figures.read_requests);
      list.add(field("rd.bytes"), figures.read_bytes);
      list.add(field("rd.times"), figures.read_nanoseconds);
      list.add(field("wr.reqs"), figures.write_requests);
      list.add(field("wr.bytes"), figures.write_bytes);
      list.add(field("wr.times"), figures.write_nanoseconds);
      list.add(field("fl.reqs"), figures.flush_requests);
      list.add(field("fl.times"), figures.flush_nanoseconds);
    }
    if (i < sizes.size() && sizes[i]) {
      list.add(field("allocation"), sizes[i]->allocation);
      list.add(field("capacity"), sizes[i]->capacity);
      list.add(field("physical"), sizes[i]->physical);
    }
  }
}

constexpr unsigned int kKnownGroups =
    VIR_DOMAIN_STATS_STATE | VIR_DOMAIN_STATS_CPU_TOTAL | VIR_DOMAIN_STATS_BALLOON | VIR_DOMAIN_STATS_VCPU |
    VIR_DOMAIN_STATS_INTERFACE | VIR_DOMAIN_STATS_BLOCK | VIR_DOMAIN_STATS_PERF | VIR_DOMAIN_STATS_IOTHREAD |
    VIR_DOMAIN_STATS_MEMORY | VIR_DOMAIN_STATS_DIRTYRATE | VIR_DOMAIN_STATS_VM;

struct ExtraGroup {
  unsigned int group;
  void (*append)(const Snapshot& domain, TypedParameters& list);
};
constexpr ExtraGroup kExtraGroups[] = {{VIR_DOMAIN_STATS_PERF, append_perf},
                                       {VIR_DOMAIN_STATS_IOTHREAD, append_iothreads},
                                       {VIR_DOMAIN_STATS_MEMORY, append_memory},
                                       {VIR_DOMAIN_STATS_DIRTYRATE, append_dirty_rate},
                                       {VIR_DOMAIN_STATS_VM, append_vm}};

std::vector<DomainStatistics> collect(const StatisticsRequest& request) {
  std::vector<DomainStatistics> result;
  result.reserve(request.domains.size());
  for (std::size_t i = 0; i < request.domains.size(); ++i) {
    const Snapshot& domain = *request.domains[i];
    DomainStatistics& one = result.emplace_back(DomainStatistics{domain.handle, {}});
    ParameterList list(one.parameters);
    if ((request.groups & VIR_DOMAIN_STATS_STATE) != 0) add_state(domain, list);
    if ((request.groups & VIR_DOMAIN_STATS_CPU_TOTAL) != 0) {
      add_cpu(domain, list);
      append_cpu_extras(domain, one.parameters);
    }
    if ((request.groups & VIR_DOMAIN_STATS_BALLOON) != 0) add_balloon(domain, list);
    if ((request.groups & VIR_DOMAIN_STATS_VCPU) != 0) add_vcpus(domain, one.parameters);
    if ((request.groups & VIR_DOMAIN_STATS_INTERFACE) != 0) add_interfaces(domain, list);
    if ((request.groups & VIR_DOMAIN_STATS_BLOCK) != 0) {
      add_blocks(domain, request.with_backing,
                 i < request.sizes.size() ? request.sizes[i] : std::vector<std::optional<ImageSize>>{}, list);
    }
    for (const ExtraGroup& extra : kExtraGroups)
      if ((request.groups & extra.group) != 0) extra.append(domain, one.parameters);
  }
  return result;
}

config::DiskFormat format_of(const config::Disk& disk) {
  return disk.driver.format.value_or(config::DiskFormat::raw);
}

void measure_disks(StatisticsRequest& request) {
  for (const auto& domain : request.domains) {
    auto& sizes = request.sizes.emplace_back();
    for (const auto& [disk, place] : images_of(*domain, request.with_backing)) {
      const config::BackingImage image = image_at(*disk, place);
      try {
        const bool is_local = !image.source.empty() && !image.server;
        sizes.emplace_back(is_local ? std::optional(measure_image(image.source, image.format))
                                    : std::nullopt);
      } catch (const Error&) {
        // An image that is not there now has no size; the other figures are good all the same.
        sizes.emplace_back(std::nullopt);
      }
    }
  }
}

Task<std::vector<DomainStatistics>> collect_with_disks(std::shared_ptr<Environment> environment,
                                                       std::shared_ptr<StatisticsRequest> request) {
  std::move_only_function<Done()> work = [request] {
    measure_disks(*request);
    return Done{};
  };
  co_await run_blocking<Done>(environment->io_threads, std::move(work));
  co_return collect(*request);
}

Task<BlockInfo> measure(std::shared_ptr<Environment> environment, std::string path,
                        config::DiskFormat format) {
  std::move_only_function<ImageSize()> work = [path, format] { return measure_image(path, format); };
  ImageSize size = co_await run_blocking<ImageSize>(environment->io_threads, std::move(work));
  co_return BlockInfo{size.capacity, size.allocation, size.physical};
}

}  // namespace

void LocalDriver::block_info(const Caller&, const Uuid& uuid, const std::string& path, unsigned int flags,
                             Completion<BlockInfo> completion) {
  change<BlockInfo>(uuid, std::move(completion), [&](Domain& domain) {
    check_flags(flags, 0, "virDomainGetBlockInfo");
    if (path.empty()) throw invalid_argument("the path of a disk must not be empty");
    const auto& definition = domain.snapshot()->current();
    config::Disk disk = definition.devices.disks[disk_index(definition, path)];
    require_own(disk, "measuring it");
    find_volume(environment_->settings.volumes, disk);
    if (disk.server) return domain.measure_remote_disk(disk.target);
    if (disk.source.empty())
      throw invalid_argument(fmt::format("disk '{}' does not currently have a source assigned", path));
    return measure(environment_, disk.source, format_of(disk));
  });
}

BlockStatistics LocalDriver::block_statistics(const Caller&, const Uuid& uuid,
                                              const std::string& path) const {
  BlockFigures figures = disk_figures(snapshot(uuid), path);
  return {as_signed(figures.read_requests), as_signed(figures.read_bytes), as_signed(figures.write_requests),
          as_signed(figures.write_bytes), -1};
}

TypedParameters LocalDriver::block_statistics_parameters(const Caller&, const Uuid& uuid,
                                                         const std::string& path, unsigned int flags) const {
  check_flags(flags, VIR_TYPED_PARAM_STRING_OKAY, "virDomainBlockStatsFlags");
  BlockFigures figures = disk_figures(snapshot(uuid), path);
  return {{VIR_DOMAIN_BLOCK_STATS_WRITE_BYTES, as_signed(figures.write_bytes)},
          {VIR_DOMAIN_BLOCK_STATS_WRITE_REQ, as_signed(figures.write_requests)},
          {VIR_DOMAIN_BLOCK_STATS_READ_BYTES, as_signed(figures.read_bytes)},
          {VIR_DOMAIN_BLOCK_STATS_READ_REQ, as_signed(figures.read_requests)},
          {VIR_DOMAIN_BLOCK_STATS_FLUSH_REQ, as_signed(figures.flush_requests)},
          {VIR_DOMAIN_BLOCK_STATS_WRITE_TOTAL_TIMES, as_signed(figures.write_nanoseconds)},
          {VIR_DOMAIN_BLOCK_STATS_READ_TOTAL_TIMES, as_signed(figures.read_nanoseconds)},
          {VIR_DOMAIN_BLOCK_STATS_FLUSH_TOTAL_TIMES, as_signed(figures.flush_nanoseconds)}};
}

InterfaceStatistics LocalDriver::interface_statistics(const Caller&, const Uuid& uuid,
                                                      const std::string& device) const {
  const Snapshot& domain = snapshot(uuid);
  require_active(domain);
  auto mac = config::parse_mac_address(device);
  const auto& interfaces = domain.live->devices.interfaces;
  auto found = std::find_if(interfaces.begin(), interfaces.end(), [&](const config::Interface& interface) {
    return (!device.empty() && interface.target == device) || (mac && interface.mac == mac);
  });
  if (found == interfaces.end()) {
    throw invalid_argument(fmt::format("invalid path, '{}' is not a known interface", device));
  }
  if (config::device_plug_of(*found) != nullptr)
    throw operation_unsupported(
        fmt::format("interface {} is a device of the host: nobody but its guest sees its packets", device));
  const NetFigures figures = interface_figures(domain, *found);
  return {as_signed(figures.receive_bytes),   as_signed(figures.receive_packets),
          as_signed(figures.receive_errors),  as_signed(figures.receive_drops),
          as_signed(figures.transmit_bytes),  as_signed(figures.transmit_packets),
          as_signed(figures.transmit_errors), as_signed(figures.transmit_drops)};
}

std::vector<MemoryStatistic> LocalDriver::memory_statistics(const Caller&, const Uuid& uuid,
                                                            unsigned int flags) const {
  check_flags(flags, 0, "virDomainMemoryStats");
  const Snapshot& domain = snapshot(uuid);
  require_active(domain);
  std::vector<MemoryStatistic> list = balloon_statistics(domain);
  list.push_back({VIR_DOMAIN_MEMORY_STAT_RSS, process_times(domain.pid).resident_kib});
  return list;
}

void LocalDriver::domain_statistics(const Caller&, std::vector<Uuid> domains, unsigned int groups,
                                    unsigned int flags,
                                    Completion<std::vector<DomainStatistics>> completion) {
  auto request = std::make_shared<StatisticsRequest>();
  std::optional<Error> refused;
  try {
    constexpr unsigned int kBehaviour = VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT |
                                        VIR_CONNECT_GET_ALL_DOMAINS_STATS_BACKING |
                                        VIR_CONNECT_GET_ALL_DOMAINS_STATS_ENFORCE_STATS;
    constexpr unsigned int kFilters =
        VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE | VIR_CONNECT_GET_ALL_DOMAINS_STATS_INACTIVE |
        VIR_CONNECT_GET_ALL_DOMAINS_STATS_PERSISTENT | VIR_CONNECT_GET_ALL_DOMAINS_STATS_TRANSIENT |
        VIR_CONNECT_GET_ALL_DOMAINS_STATS_RUNNING | VIR_CONNECT_GET_ALL_DOMAINS_STATS_PAUSED |
        VIR_CONNECT_GET_ALL_DOMAINS_STATS_SHUTOFF | VIR_CONNECT_GET_ALL_DOMAINS_STATS_OTHER;
    check_flags(flags, kBehaviour | kFilters, "virConnectGetAllDomainStats");
    bool enforce = (flags & VIR_CONNECT_GET_ALL_DOMAINS_STATS_ENFORCE_STATS) != 0;
    if (enforce && (groups & ~kKnownGroups) != 0) {
      throw Error(
          VIR_ERR_ARGUMENT_UNSUPPORTED,
          fmt::format("Stats types bits {:#x} are not supported by this daemon", groups & ~kKnownGroups));
    }
    request->with_backing = (flags & VIR_CONNECT_GET_ALL_DOMAINS_STATS_BACKING) != 0;
    request->groups = groups == 0 ? kKnownGroups : groups & kKnownGroups;
    if (domains.empty()) {
      for (const auto& [name, domain] : environment_->table.all()) {
        const auto& now = domain->snapshot();
        if (now && is_listed(*now, flags & kFilters)) request->domains.push_back(now);
      }
    }
    for (const Uuid& uuid : domains) {
      auto domain = environment_->table.by_uuid(uuid);
      // One that has gone since the caller listed it is left out.
      if (domain && domain->snapshot()) request->domains.push_back(domain->snapshot());
    }
  } catch (...) {
    refused = error_of(std::current_exception());
  }
  if (refused) return completion(std::unexpected(*refused));
  if ((request->groups & VIR_DOMAIN_STATS_BLOCK) == 0) return completion(collect(*request));
  run<std::vector<DomainStatistics>>(collect_with_disks(environment_, request), std::move(completion));
}

}  // namespace warren::driver::domain
