// <iotune> of a disk: how many bytes and operations a second it may do, and in bursts.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace warren::driver::config {

class XmlElement;
class XmlWriter;

struct IoTune {
  struct Limit {
    std::uint64_t rate = 0;     // a second; 0: none
    std::uint64_t maximum = 0;  // in a burst; 0: none
    std::uint64_t seconds = 0;  // how long a burst may last; 0: one
    bool operator==(const Limit&) const = default;
  };
  // In the order of kIoTuneNames.
  std::array<Limit, 6> limits;
  std::uint64_t size_iops = 0;
  std::string group_name;  // disks with the same name share the same limits
  bool operator==(const IoTune&) const = default;
};

// Element names, and names of typed parameters; with "_max" and "_max_length" those of the burst.
inline constexpr std::array<std::string_view, 6> kIoTuneNames = {"total_bytes_sec", "read_bytes_sec",
                                                                 "write_bytes_sec", "total_iops_sec",
                                                                 "read_iops_sec",   "write_iops_sec"};
inline constexpr std::string_view kIoTuneSize = "size_iops_sec", kIoTuneGroup = "group_name";
inline constexpr std::uint64_t kMaximumIoTune = 1'000'000'000'000'000;

// What is wrong with the limits together; empty: nothing.
std::string contradiction_of(const IoTune& tune);

IoTune parse_io_tune(XmlElement& element);
void format_io_tune(XmlWriter& writer, const IoTune& tune);

}  // namespace warren::driver::config
