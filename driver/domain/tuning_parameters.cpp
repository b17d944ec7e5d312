#include "driver/domain/tuning_parameters.h"

#include <algorithm>
#include <charconv>
#include <span>

#include <fmt/format.h>

#include "driver/config/identity.h"
#include "driver/config/tuning_names.h"
#include "driver/contract/error.h"
#include "driver/contract/known_parameters.h"

namespace warren::driver::domain {

namespace {

using config::CpuBandwidth;
using config::DomainDefinition;

using Known = KnownParameter;

// ---- scheduler

constexpr Known kScheduler[] = {{VIR_DOMAIN_SCHEDULER_CPU_SHARES, VIR_TYPED_PARAM_ULLONG},
                                {VIR_DOMAIN_SCHEDULER_VCPU_PERIOD, VIR_TYPED_PARAM_ULLONG},
                                {VIR_DOMAIN_SCHEDULER_VCPU_QUOTA, VIR_TYPED_PARAM_LLONG},
                                {VIR_DOMAIN_SCHEDULER_EMULATOR_PERIOD, VIR_TYPED_PARAM_ULLONG},
                                {VIR_DOMAIN_SCHEDULER_EMULATOR_QUOTA, VIR_TYPED_PARAM_LLONG},
                                {VIR_DOMAIN_SCHEDULER_GLOBAL_PERIOD, VIR_TYPED_PARAM_ULLONG},
                                {VIR_DOMAIN_SCHEDULER_GLOBAL_QUOTA, VIR_TYPED_PARAM_LLONG},
                                {VIR_DOMAIN_SCHEDULER_IOTHREAD_PERIOD, VIR_TYPED_PARAM_ULLONG},
                                {VIR_DOMAIN_SCHEDULER_IOTHREAD_QUOTA, VIR_TYPED_PARAM_LLONG}};

TypedParameters scheduler_of(const DomainDefinition& definition, bool is_live) {
  // What the kernel has for a group nobody set.
  constexpr std::uint64_t kDefaultWeight = 100, kDefaultPeriod = 100'000;
  const config::CpuTuning& tuning = definition.cpu_tuning;
  TypedParameters list{
      {VIR_DOMAIN_SCHEDULER_CPU_SHARES, tuning.shares.value_or(is_live ? kDefaultWeight : 0)}};
  const auto add = [&](const char* period, const char* quota, const CpuBandwidth& bandwidth) {
    std::int64_t limit = bandwidth.quota_us.value_or(0);
    if (is_live && limit <= 0) limit = config::kMaximumQuotaMicroseconds;
    list.push_back({period, bandwidth.period_us.value_or(is_live ? kDefaultPeriod : 0)});
    list.push_back({quota, limit});
  };
  add(VIR_DOMAIN_SCHEDULER_VCPU_PERIOD, VIR_DOMAIN_SCHEDULER_VCPU_QUOTA, tuning.vcpu);
  add(VIR_DOMAIN_SCHEDULER_EMULATOR_PERIOD, VIR_DOMAIN_SCHEDULER_EMULATOR_QUOTA, tuning.emulator);
  add(VIR_DOMAIN_SCHEDULER_GLOBAL_PERIOD, VIR_DOMAIN_SCHEDULER_GLOBAL_QUOTA, tuning.global);
  add(VIR_DOMAIN_SCHEDULER_IOTHREAD_PERIOD, VIR_DOMAIN_SCHEDULER_IOTHREAD_QUOTA, tuning.iothread);
  return list;
}

void set_cpu_time(CpuBandwidth& bandwidth, const TypedParameter& parameter) {
  const auto refuse = [&](std::int64_t minimum, std::int64_t maximum) {
    throw invalid_argument(
        fmt::format("value of '{}' is out of range [{}, {}]", parameter.field, minimum, maximum));
  };
  if (const auto* period = std::get_if<std::uint64_t>(&parameter.value)) {
    if (*period != 0 &&
        (*period < config::kMinimumPeriodMicroseconds || *period > config::kMaximumPeriodMicroseconds))
      refuse(config::kMinimumPeriodMicroseconds, config::kMaximumPeriodMicroseconds);
    bandwidth.period_us = *period != 0 ? std::optional(*period) : std::nullopt;
    return;
  }
  const std::int64_t quota = std::get<std::int64_t>(parameter.value);
  if (quota > 0 && (quota < config::kMinimumQuotaMicroseconds || quota > config::kMaximumQuotaMicroseconds))
    refuse(config::kMinimumQuotaMicroseconds, config::kMaximumQuotaMicroseconds);
  bandwidth.quota_us.reset();
  if (quota != 0) bandwidth.quota_us = std::max<std::int64_t>(quota, -1);
}

void set_scheduler(DomainDefinition& definition, const TypedParameters& parameters) {
  check_parameters(parameters, kScheduler);
  config::CpuTuning& tuning = definition.cpu_tuning;
  for (const TypedParameter& parameter : parameters) {
    if (parameter.field == VIR_DOMAIN_SCHEDULER_CPU_SHARES) {
      const std::uint64_t shares = std::get<std::uint64_t>(parameter.value);
      if (shares < 1 || shares > 10'000)
        throw invalid_argument(fmt::format("shares '{}' must be in range [1, 10000]", shares));
      tuning.shares = shares;
    } else if (parameter.field.starts_with("vcpu_")) {
      set_cpu_time(tuning.vcpu, parameter);
    } else if (parameter.field.starts_with("emulator_")) {
      set_cpu_time(tuning.emulator, parameter);
    } else if (parameter.field.starts_with("global_")) {
      set_cpu_time(tuning.global, parameter);
    } else {
      set_cpu_time(tuning.iothread, parameter);
    }
  }
}

// ---- memory

constexpr Known kMemory[] = {{VIR_DOMAIN_MEMORY_HARD_LIMIT, VIR_TYPED_PARAM_ULLONG},
                             {VIR_DOMAIN_MEMORY_SOFT_LIMIT, VIR_TYPED_PARAM_ULLONG},
                             {VIR_DOMAIN_MEMORY_SWAP_HARD_LIMIT, VIR_TYPED_PARAM_ULLONG}};

TypedParameters memory_of(const DomainDefinition& definition) {
  const config::MemoryTuning& tuning = definition.memory_tuning;
  return {{VIR_DOMAIN_MEMORY_HARD_LIMIT, tuning.hard_limit_kib.value_or(config::kUnlimitedKib)},
          {VIR_DOMAIN_MEMORY_SOFT_LIMIT, tuning.soft_limit_kib.value_or(config::kUnlimitedKib)},
          {VIR_DOMAIN_MEMORY_SWAP_HARD_LIMIT, tuning.swap_hard_limit_kib.value_or(config::kUnlimitedKib)}};
}

void set_memory_limits(DomainDefinition& definition, const TypedParameters& parameters) {
  check_parameters(parameters, kMemory);
  config::MemoryTuning tuning = definition.memory_tuning;
  for (const TypedParameter& parameter : parameters) {
    const std::uint64_t kib = std::get<std::uint64_t>(parameter.value);
    const auto limit = kib < config::kUnlimitedKib ? std::optional(kib) : std::nullopt;
    if (parameter.field == VIR_DOMAIN_MEMORY_HARD_LIMIT) tuning.hard_limit_kib = limit;
    if (parameter.field == VIR_DOMAIN_MEMORY_SOFT_LIMIT) tuning.soft_limit_kib = limit;
    if (parameter.field == VIR_DOMAIN_MEMORY_SWAP_HARD_LIMIT) tuning.swap_hard_limit_kib = limit;
  }
  if (tuning.swap_hard_limit_kib &&
      tuning.hard_limit_kib.value_or(config::kUnlimitedKib) > *tuning.swap_hard_limit_kib) {
    throw invalid_argument("memory hard_limit tunable value must be lower than or equal to swap_hard_limit");
  }
  definition.memory_tuning = tuning;
}

// ---- block I/O

constexpr Known kBlkio[] = {{VIR_DOMAIN_BLKIO_WEIGHT, VIR_TYPED_PARAM_UINT},
                            {VIR_DOMAIN_BLKIO_DEVICE_WEIGHT, VIR_TYPED_PARAM_STRING},
                            {VIR_DOMAIN_BLKIO_DEVICE_READ_IOPS, VIR_TYPED_PARAM_STRING},
                            {VIR_DOMAIN_BLKIO_DEVICE_WRITE_IOPS, VIR_TYPED_PARAM_STRING},
                            {VIR_DOMAIN_BLKIO_DEVICE_READ_BPS, VIR_TYPED_PARAM_STRING},
                            {VIR_DOMAIN_BLKIO_DEVICE_WRITE_BPS, VIR_TYPED_PARAM_STRING}};

// One number of a device, by the parameter that holds it for all.
std::uint64_t device_value(const config::BlkioDevice& device, std::string_view field) {
  if (field == VIR_DOMAIN_BLKIO_DEVICE_WEIGHT) return device.weight;
  if (field == VIR_DOMAIN_BLKIO_DEVICE_READ_IOPS) return device.read_iops;
  if (field == VIR_DOMAIN_BLKIO_DEVICE_WRITE_IOPS) return device.write_iops;
  return field == VIR_DOMAIN_BLKIO_DEVICE_READ_BPS ? device.read_bytes : device.write_bytes;
}

void set_device_value(config::BlkioDevice& device, std::string_view field, std::uint64_t value) {
  const bool is_small =
      field != VIR_DOMAIN_BLKIO_DEVICE_READ_BPS && field != VIR_DOMAIN_BLKIO_DEVICE_WRITE_BPS;
  if (is_small && value > UINT32_MAX)
    throw invalid_argument(fmt::format("{} of '{}': {} is too large", field, device.path, value));
  const auto small = static_cast<std::uint32_t>(value);
  if (field == VIR_DOMAIN_BLKIO_DEVICE_WEIGHT) {
    device.weight = small;
  } else if (field == VIR_DOMAIN_BLKIO_DEVICE_READ_IOPS) {
    device.read_iops = small;
  } else if (field == VIR_DOMAIN_BLKIO_DEVICE_WRITE_IOPS) {
    device.write_iops = small;
  } else if (field == VIR_DOMAIN_BLKIO_DEVICE_READ_BPS) {
    device.read_bytes = value;
  } else {
    device.write_bytes = value;
  }
}

TypedParameters blkio_of(const DomainDefinition& definition) {
  const config::BlkioTuning& tuning = definition.blkio_tuning;
  TypedParameters list{{VIR_DOMAIN_BLKIO_WEIGHT, tuning.weight}};
  for (const Known& known : std::span(kBlkio).subspan(1)) {
    std::string text;
    for (const config::BlkioDevice& device : tuning.devices) {
      const std::uint64_t value = device_value(device, known.name);
      if (value != 0) text += fmt::format("{}{},{}", text.empty() ? "" : ",", device.path, value);
    }
    list.push_back({std::string(known.name), text});
  }
  return list;
}

// "/dev/sda,100,/dev/sdb,200"
void merge_devices(std::vector<config::BlkioDevice>& devices, std::string_view field, std::string_view text) {
  const auto refuse = [&] {
    throw invalid_argument(fmt::format("unable to parse blkio device '{}' '{}'", field, text.substr(0, 256)));
  };
  std::string_view rest = text;
  while (!rest.empty()) {
    const std::size_t comma = rest.find(',');
    if (comma == std::string_view::npos || comma == 0 || rest.front() != '/') refuse();
    const std::string path(rest.substr(0, comma));
    rest.remove_prefix(comma + 1);
    const std::size_t end = std::min(rest.find(','), rest.size());
    std::uint64_t value = 0;
    const auto [stop, failed] = std::from_chars(rest.data(), rest.data() + end, value);
    if (failed != std::errc{} || stop != rest.data() + end) refuse();
    rest.remove_prefix(std::min(end + 1, rest.size()));
    auto found = std::find_if(devices.begin(), devices.end(),
                              [&](const config::BlkioDevice& device) { return device.path == path; });
    if (found == devices.end()) found = devices.insert(devices.end(), config::BlkioDevice{.path = path});
    set_device_value(*found, field, value);
  }
}

void set_blkio(DomainDefinition& definition, const TypedParameters& parameters) {
  check_parameters(parameters, kBlkio);
  config::BlkioTuning tuning = definition.blkio_tuning;
  for (const TypedParameter& parameter : parameters) {
    if (const auto* weight = std::get_if<std::uint32_t>(&parameter.value)) {
      if (*weight > 10'000)
        throw invalid_argument(fmt::format("weight '{}' must be in range (1, 10000)", *weight));
      tuning.weight = *weight;
    } else {
      merge_devices(tuning.devices, parameter.field, std::get<std::string>(parameter.value));
    }
  }
  std::erase_if(tuning.devices,
                [](const config::BlkioDevice& one) { return one == config::BlkioDevice{.path = one.path}; });
  definition.blkio_tuning = std::move(tuning);
}

// ---- NUMA

constexpr Known kNuma[] = {{VIR_DOMAIN_NUMA_NODESET, VIR_TYPED_PARAM_STRING},
                           {VIR_DOMAIN_NUMA_MODE, VIR_TYPED_PARAM_INT}};

TypedParameters numa_of(const DomainDefinition& definition) {
  const config::NumaTuning& tuning = definition.numa_tuning;
  const auto mode = tuning.mode.value_or(config::NumaMemoryMode::strict);
  return {{VIR_DOMAIN_NUMA_MODE, static_cast<std::int32_t>(mode)},
          {VIR_DOMAIN_NUMA_NODESET, tuning.nodes.to_string()}};
}

void set_numa(DomainDefinition& definition, const TypedParameters& parameters, bool is_live) {
  check_parameters(parameters, kNuma);
  config::NumaTuning tuning = definition.numa_tuning;
  for (const TypedParameter& parameter : parameters) {
    if (const auto* mode = std::get_if<std::int32_t>(&parameter.value)) {
      if (*mode < 0 || *mode > static_cast<int>(config::NumaMemoryMode::restrictive))
        throw invalid_argument(fmt::format("unsupported numatune mode: '{}'", *mode));
      const auto wanted = static_cast<config::NumaMemoryMode>(*mode);
      if (is_live && wanted != tuning.mode.value_or(config::NumaMemoryMode::strict))
        throw operation_invalid("can't change numatune mode for running domain");
      tuning.mode = wanted;
      continue;
    }
    const auto nodes = config::CpuSet::parse(std::get<std::string>(parameter.value));
    if (!nodes) throw operation_invalid("Invalid nodeset of numatune");
    if (is_live && tuning.mode.value_or(config::NumaMemoryMode::strict) != config::NumaMemoryMode::strict)
      throw operation_invalid("change of nodeset for running domain requires strict numa mode");
    tuning.nodes = *nodes;
  }
  if (!tuning.mode) tuning.mode = config::NumaMemoryMode::strict;
  if (tuning.nodes.empty()) throw invalid_argument("numatune needs a nodeset with the mode");
  definition.numa_tuning = tuning;
}

// ---- perf events

TypedParameters perf_of(const DomainDefinition& definition) {
  TypedParameters list;
  for (const std::string_view name : config::names::kPerfEvents) {
    const auto found = definition.perf.enabled.find(std::string(name));
    list.push_back({std::string(name), found != definition.perf.enabled.end() && found->second});
  }
  return list;
}

void set_perf(DomainDefinition& definition, const TypedParameters& parameters) {
  std::vector<Known> known;
  for (const std::string_view name : config::names::kPerfEvents)
    known.push_back({name, VIR_TYPED_PARAM_BOOLEAN});
  check_parameters(parameters, known);
  for (const TypedParameter& parameter : parameters)
    definition.perf.enabled[parameter.field] = std::get<bool>(parameter.value);
}

// ---- interfaces

constexpr Known kBandwidth[] = {{VIR_DOMAIN_BANDWIDTH_IN_AVERAGE, VIR_TYPED_PARAM_UINT},
                                {VIR_DOMAIN_BANDWIDTH_IN_PEAK, VIR_TYPED_PARAM_UINT},
                                {VIR_DOMAIN_BANDWIDTH_IN_BURST, VIR_TYPED_PARAM_UINT},
                                {VIR_DOMAIN_BANDWIDTH_IN_FLOOR, VIR_TYPED_PARAM_UINT},
                                {VIR_DOMAIN_BANDWIDTH_OUT_AVERAGE, VIR_TYPED_PARAM_UINT},
                                {VIR_DOMAIN_BANDWIDTH_OUT_PEAK, VIR_TYPED_PARAM_UINT},
                                {VIR_DOMAIN_BANDWIDTH_OUT_BURST, VIR_TYPED_PARAM_UINT}};

void set_rate(config::BandwidthRate& rate, const TypedParameter& parameter) {
  const std::uint32_t value = std::get<std::uint32_t>(parameter.value);
  if (parameter.field.ends_with("average")) rate.average = value;
  if (parameter.field.ends_with("peak")) rate.peak = value;
  if (parameter.field.ends_with("burst")) rate.burst = value;
  if (parameter.field.ends_with("floor")) rate.floor = value;
}

}  // namespace

TypedParameters tuning_of(const DomainDefinition& definition, TuningGroup group, bool is_live) {
  switch (group) {
    case TuningGroup::scheduler:
      return scheduler_of(definition, is_live);
    case TuningGroup::memory:
      return memory_of(definition);
    case TuningGroup::blkio:
      return blkio_of(definition);
    case TuningGroup::numa:
      return numa_of(definition);
    case TuningGroup::perf:
      return perf_of(definition);
  }
  return {};
}

void set_tuning_of(DomainDefinition& definition, TuningGroup group, const TypedParameters& parameters,
                   bool is_live) {
  switch (group) {
    case TuningGroup::scheduler:
      return set_scheduler(definition, parameters);
    case TuningGroup::memory:
      return set_memory_limits(definition, parameters);
    case TuningGroup::blkio:
      return set_blkio(definition, parameters);
    case TuningGroup::numa:
      return set_numa(definition, parameters, is_live);
    case TuningGroup::perf:
      return set_perf(definition, parameters);
  }
}

TypedParameters bandwidth_parameters(const config::Interface& interface) {
  const config::Bandwidth bandwidth = interface.bandwidth.value_or(config::Bandwidth{});
  const auto in = bandwidth.inbound.value_or(config::BandwidthRate{});
  const auto out = bandwidth.outbound.value_or(config::BandwidthRate{});
  const auto value = [](std::uint64_t number) { return static_cast<std::uint32_t>(number); };
  return {{VIR_DOMAIN_BANDWIDTH_IN_AVERAGE, value(in.average)},
          {VIR_DOMAIN_BANDWIDTH_IN_PEAK, value(in.peak)},
          {VIR_DOMAIN_BANDWIDTH_IN_BURST, value(in.burst)},
          {VIR_DOMAIN_BANDWIDTH_IN_FLOOR, value(in.floor)},
          {VIR_DOMAIN_BANDWIDTH_OUT_AVERAGE, value(out.average)},
          {VIR_DOMAIN_BANDWIDTH_OUT_PEAK, value(out.peak)},
          {VIR_DOMAIN_BANDWIDTH_OUT_BURST, value(out.burst)}};
}

void set_bandwidth(config::Interface& interface, const TypedParameters& parameters) {
  check_parameters(parameters, kBandwidth);
  config::Bandwidth bandwidth = interface.bandwidth.value_or(config::Bandwidth{});
  config::BandwidthRate in, out;
  bool in_given = false, out_given = false;
  for (const TypedParameter& parameter : parameters) {
    const bool inbound = parameter.field.starts_with("inbound.");
    (inbound ? in_given : out_given) = true;
    set_rate(inbound ? in : out, parameter);
  }
  if (in.floor != 0 && interface.type != config::InterfaceType::network) {
    throw Error(VIR_ERR_CONFIG_UNSUPPORTED,
                "inbound.floor is for interfaces of type 'network', whose network has an inbound rate");
  }
  // A direction is replaced whole; without an average there is no limit.
  const auto keep = [](std::optional<config::BandwidthRate>& kept, const config::BandwidthRate& rate) {
    if (rate.average == 0 && (rate.peak != 0 || rate.burst != 0))
      throw invalid_argument("a peak or burst needs an average");
    kept = rate.average != 0 || rate.floor != 0 ? std::optional(rate) : std::nullopt;
  };
  if (in_given) keep(bandwidth.inbound, in);
  if (out_given) keep(bandwidth.outbound, out);
  interface.bandwidth = bandwidth == config::Bandwidth{} ? std::nullopt : std::optional(bandwidth);
}

config::Interface& find_interface(DomainDefinition& definition, const std::string& device) {
  const auto mac = config::parse_mac_address(device);
  auto& interfaces = definition.devices.interfaces;
  const auto found = std::find_if(interfaces.begin(), interfaces.end(), [&](const config::Interface& one) {
    return (!device.empty() && one.target == device) || (mac && one.mac == mac);
  });
  if (found == interfaces.end()) throw invalid_argument(fmt::format("Can't find device {}", device));
  return *found;
}

config::Interface& require_limits(config::Interface& interface) {
  if (config::device_plug_of(interface) != nullptr)
    throw operation_unsupported(
        "an interface that is a device of the host has no limits: nothing sees its packets");
  if (config::is_on_open_vswitch(interface))
    throw operation_unsupported(fmt::format(
        "interface {} is a port of Open vSwitch, which keeps the limits of its ports itself: set its "
        "QoS (ovs-vsctl)",
        interface.target));
  return interface;
}

}  // namespace warren::driver::domain
