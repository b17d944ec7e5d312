#include "driver/config/io_tune.h"

#include <charconv>
#include <tuple>

#include <fmt/format.h>

#include "driver/config/xml_tree.h"
#include "driver/config/xml_writer.h"

namespace warren::driver::config {

namespace {

std::uint64_t read_limit(XmlElement& element, const std::string& name) {
  XmlElement* child = element.child(name);
  if (!child) return 0;
  const std::string_view text = child->text();
  std::uint64_t value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc{} || end != text.data() + text.size())
    throw child->malformed(fmt::format("'{}' is not a number", text.substr(0, 64)));
  if (value > kMaximumIoTune) throw child->unsupported(fmt::format("more than {}", kMaximumIoTune));
  return value;
}

void write_limit(XmlWriter& writer, const std::string& name, std::uint64_t value) {
  if (value != 0) writer.element(name, std::to_string(value));
}

}  // namespace

std::string contradiction_of(const IoTune& tune) {
  for (const std::size_t total : {std::size_t{0}, std::size_t{3}}) {
    const auto& [both, reads, writes] =
        std::tie(tune.limits[total], tune.limits[total + 1], tune.limits[total + 2]);
    const char* what = total == 0 ? "bytes_sec" : "iops_sec";
    if (both.rate != 0 && (reads.rate != 0 || writes.rate != 0))
      return fmt::format("total and read/write of {} cannot be set at the same time", what);
    if (both.maximum != 0 && (reads.maximum != 0 || writes.maximum != 0))
      return fmt::format("total and read/write of {}_max cannot be set at the same time", what);
  }
  for (std::size_t i = 0; i < tune.limits.size(); ++i) {
    const IoTune::Limit& limit = tune.limits[i];
    if (limit.maximum != 0 && limit.rate == 0)
      return fmt::format("value '{0}_max' cannot be set if '{0}' is not set", kIoTuneNames[i]);
    if (limit.maximum != 0 && limit.maximum < limit.rate)
      return fmt::format("value '{0}_max' cannot be smaller than '{0}'", kIoTuneNames[i]);
    if (limit.seconds != 0 && limit.maximum == 0)
      return fmt::format("value '{0}_max_length' cannot be set if '{0}_max' is not set", kIoTuneNames[i]);
  }
  return {};
}

IoTune parse_io_tune(XmlElement& element) {
  IoTune tune;
  for (std::size_t i = 0; i < tune.limits.size(); ++i) {
    const std::string name(kIoTuneNames[i]);
    tune.limits[i] = {.rate = read_limit(element, name),
                      .maximum = read_limit(element, name + "_max"),
                      .seconds = read_limit(element, name + "_max_length")};
  }
  tune.size_iops = read_limit(element, std::string(kIoTuneSize));
  if (XmlElement* group = element.child(kIoTuneGroup)) {
    tune.group_name = group->text();
    if (tune.group_name.empty() || tune.group_name.size() > 256)
      throw group->malformed("the name of a group has 1 to 256 bytes");
  }
  if (const std::string why = contradiction_of(tune); !why.empty()) throw element.malformed(why);
  return tune;
}

void format_io_tune(XmlWriter& writer, const IoTune& tune) {
  if (tune == IoTune{}) return;
  writer.begin("iotune");
  for (std::size_t i = 0; i < tune.limits.size(); ++i)
    write_limit(writer, std::string(kIoTuneNames[i]), tune.limits[i].rate);
  for (std::size_t i = 0; i < tune.limits.size(); ++i)
    write_limit(writer, std::string(kIoTuneNames[i]) + "_max", tune.limits[i].maximum);
  write_limit(writer, std::string(kIoTuneSize), tune.size_iops);
  if (!tune.group_name.empty()) writer.element(kIoTuneGroup, tune.group_name);
  for (std::size_t i = 0; i < tune.limits.size(); ++i)
    write_limit(writer, std::string(kIoTuneNames[i]) + "_max_length", tune.limits[i].seconds);
  writer.end();
}

}  // namespace warren::driver::config
