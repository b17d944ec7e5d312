#include "driver/domain/disk_parameters.h"

#include <algorithm>

#include <fmt/format.h>
#include <libvirt/libvirt.h>

#include "driver/contract/error.h"

namespace warren::driver::domain {

namespace {

using config::IoTune;

// The part of a typed parameter's name behind that of its limit.
enum class Part { rate, maximum, seconds };

std::uint64_t& member_of(IoTune::Limit& limit, Part part) {
  return part == Part::rate ? limit.rate : part == Part::maximum ? limit.maximum : limit.seconds;
}

std::uint64_t* limit_named(IoTune& tune, const std::string& name) {
  for (std::size_t i = 0; i < tune.limits.size(); ++i) {
    const std::string_view base = config::kIoTuneNames[i];
    if (!name.starts_with(base)) continue;
    const std::string_view rest = std::string_view(name).substr(base.size());
    if (rest.empty()) return &tune.limits[i].rate;
    if (rest == "_max") return &tune.limits[i].maximum;
    if (rest == "_max_length") return &tune.limits[i].seconds;
  }
  return name == config::kIoTuneSize ? &tune.size_iops : nullptr;
}

std::uint64_t number_of(const TypedParameter& parameter) {
  const auto* number = std::get_if<std::uint64_t>(&parameter.value);
  if (number == nullptr)
    throw invalid_argument(fmt::format("invalid type of parameter '{}': expected ullong", parameter.field));
  if (*number > config::kMaximumIoTune) {
    throw Error(VIR_ERR_ARGUMENT_UNSUPPORTED,
                fmt::format("'{}': a limit is at most {}", parameter.field, config::kMaximumIoTune));
  }
  return *number;
}

// What is given replaces its kind (bytes or operations; rate, burst or length) as a whole.
IoTune merge(const IoTune& before, const TypedParameters& parameters) {
  IoTune given, result = before;
  std::vector<std::string> seen;
  for (const TypedParameter& parameter : parameters) {
    if (std::find(seen.begin(), seen.end(), parameter.field) != seen.end())
      throw invalid_argument(fmt::format("parameter '{}' occurs multiple times", parameter.field));
    seen.push_back(parameter.field);
    if (parameter.field == config::kIoTuneGroup) {
      const auto* text = std::get_if<std::string>(&parameter.value);
      if (text == nullptr) throw invalid_argument("invalid type of parameter 'group_name': expected string");
      if (text->size() > 256) throw invalid_argument("the name of a group has at most 256 bytes");
      result.group_name = *text;
    } else if (std::uint64_t* limit = limit_named(given, parameter.field)) {
      *limit = number_of(parameter);
    } else {
      throw invalid_argument(fmt::format("parameter '{}' not supported", parameter.field));
    }
  }
  auto has = [&seen](const std::string& name) {
    return std::find(seen.begin(), seen.end(), name) != seen.end();
  };
  for (const std::size_t kind : {std::size_t{0}, std::size_t{3}}) {
    for (const auto& [part, suffix] : {std::pair(Part::rate, ""), std::pair(Part::maximum, "_max"),
                                       std::pair(Part::seconds, "_max_length")}) {
      bool is_given = false;
      for (std::size_t i = kind; i < kind + 3; ++i)
        is_given = is_given || has(std::string(config::kIoTuneNames[i]) + suffix);
      for (std::size_t i = kind; is_given && i < kind + 3; ++i)
        member_of(result.limits[i], part) = member_of(given.limits[i], part);
    }
    // A burst that is gone has no length; one that is given none is a second long.
    for (std::size_t i = kind; i < kind + 3; ++i) {
      const bool asks = has(std::string(config::kIoTuneNames[i]) + "_max_length");
      if (result.limits[i].maximum == 0 && !asks) result.limits[i].seconds = 0;
      if (result.limits[i].maximum != 0 && result.limits[i].seconds == 0) result.limits[i].seconds = 1;
    }
  }
  if (has(std::string(config::kIoTuneSize))) result.size_iops = given.size_iops;
  return result;
}

}  // namespace

bool is_called(const config::Disk& disk, std::string_view name) {
  const std::string& path = disk.caged ? disk.caged->path : disk.source;
  return disk.target == name || (name.starts_with('/') && !disk.server && path == name);
}

const config::Disk& find_disk(const config::DomainDefinition& definition, const std::string& name) {
  const std::string target = name.substr(0, name.find('['));
  const auto& disks = definition.devices.disks;
  const auto found = std::find_if(disks.begin(), disks.end(), [&](const config::Disk& disk) {
    return disk.target == target || is_called(disk, name);
  });
  if (found == disks.end())
    throw invalid_argument(fmt::format("disk '{}' was not found in the domain config", name));
  return *found;
}

TypedParameters io_tune_parameters(const IoTune& tune) {
  TypedParameters list;
  for (std::size_t i = 0; i < tune.limits.size(); ++i)
    list.push_back({std::string(config::kIoTuneNames[i]), tune.limits[i].rate});
  for (std::size_t i = 0; i < tune.limits.size(); ++i)
    list.push_back({std::string(config::kIoTuneNames[i]) + "_max", tune.limits[i].maximum});
  list.push_back({std::string(config::kIoTuneSize), tune.size_iops});
  list.push_back({std::string(config::kIoTuneGroup), tune.group_name});
  for (std::size_t i = 0; i < tune.limits.size(); ++i)
    list.push_back({std::string(config::kIoTuneNames[i]) + "_max_length", tune.limits[i].seconds});
  return list;
}

void change_io_tune(config::DomainDefinition& definition, const std::string& name,
                    const TypedParameters& parameters) {
  const std::string target = find_disk(definition, name).target;
  auto& disks = definition.devices.disks;
  const auto disk = std::find_if(disks.begin(), disks.end(),
                                 [&](const config::Disk& each) { return each.target == target; });
  IoTune tune = merge(disk->tune, parameters);
  // Who joins a group without limits of his own takes the group's.
  if (parameters.size() == 1 && !tune.group_name.empty() &&
      parameters.front().field == config::kIoTuneGroup) {
    for (const config::Disk& other : disks)
      if (other.target != target && other.tune.group_name == tune.group_name) tune = other.tune;
  }
  if (const std::string why = config::contradiction_of(tune); !why.empty()) {
    throw Error(why.starts_with("total") ? VIR_ERR_INVALID_ARG : VIR_ERR_CONFIG_UNSUPPORTED, why);
  }
  for (config::Disk& other : disks) {
    if (other.target == target || (!tune.group_name.empty() && other.tune.group_name == tune.group_name))
      other.tune = tune;
  }
}

TypedParameters tunable_parameters(const std::string& target, const TypedParameters& parameters) {
  TypedParameters list{{VIR_DOMAIN_TUNABLE_BLKDEV_DISK, target}};
  for (const TypedParameter& parameter : parameters)
    list.push_back({"blkdeviotune." + parameter.field, parameter.value});
  return list;
}

}  // namespace warren::driver::domain
