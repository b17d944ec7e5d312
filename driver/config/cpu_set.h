// A set of host CPUs or NUMA nodes, as `cpuset` and `nodeset` attributes and libvirt's CPU maps say it.
//
// A plain value; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace warren::driver::config {

class CpuSet {
 public:
  // Members are below this: VIR_DOMAIN_CPUMASK_LEN of libvirt.
  static constexpr std::uint32_t kLimit = 1024;

  CpuSet() = default;
  // Bit n of byte n/8 is member n; bits from kLimit on are dropped.
  static CpuSet from_map(std::span<const std::uint8_t> map);
  // "0-3,^2,8": ranges joined by commas, members taken out again with '^'. nullopt for what is none, and for
  // an empty set.
  static std::optional<CpuSet> parse(std::string_view text);

  bool empty() const noexcept { return bytes_.empty(); }
  bool contains(std::uint32_t member) const noexcept;
  void insert(std::uint32_t member);
  void erase(std::uint32_t member);
  std::vector<std::uint32_t> members() const;
  // At least `size` bytes.
  std::vector<std::uint8_t> map(std::size_t size = 0) const;
  // "0-1,3", the shortest form.
  std::string to_string() const;

  bool operator==(const CpuSet&) const = default;

 private:
  void trim();
  std::vector<std::uint8_t> bytes_;  // the last one is not 0
};

}  // namespace warren::driver::config
