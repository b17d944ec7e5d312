#include "driver/config/vcpus.h"

#include <algorithm>
#include <tuple>

#include <fmt/format.h>

#include "driver/contract/error.h"

namespace warren::driver::config {

namespace {

void count_online(VcpuCount& vcpus) {
  vcpus.current = static_cast<std::uint32_t>(std::ranges::count(vcpus.each, true, &Vcpu::online));
}

// It says which came first of those that were there: not so any more.
void clear_order(VcpuCount& vcpus) {
  for (Vcpu& vcpu : vcpus.each) vcpu.order = 0;
}

// A definition says of each vCPU only what cannot be said in short: the first ones, which stay.
void shorten(VcpuCount& vcpus) {
  VcpuCount plain = vcpus;
  plain.each.clear();
  tell_each(plain);
  if (plain.each == vcpus.each) vcpus.each.clear();
}

}  // namespace

bool is_online(const VcpuCount& vcpus, std::uint32_t number) noexcept {
  if (vcpus.each.empty()) return number < vcpus.current;
  return number < vcpus.each.size() && vcpus.each[number].online;
}

bool is_hot_pluggable(const VcpuCount& vcpus, std::uint32_t number) noexcept {
  if (number == 0 || number >= vcpus.maximum) return false;
  return !is_online(vcpus, number) || (!vcpus.each.empty() && vcpus.each[number].hot_pluggable);
}

std::vector<std::uint32_t> online_vcpus(const VcpuCount& vcpus) {
  std::vector<std::uint32_t> online;
  for (std::uint32_t i = 0; i < vcpus.maximum; ++i)
    if (is_online(vcpus, i)) online.push_back(i);
  return online;
}

void tell_each(VcpuCount& vcpus) {
  if (!vcpus.each.empty()) return;
  std::vector<Vcpu> each(vcpus.maximum);
  for (std::uint32_t i = 0; i < vcpus.maximum; ++i) {
    each[i].online = i < vcpus.current;
    each[i].hot_pluggable = !each[i].online;
  }
  vcpus.each = std::move(each);
}

void set_online(VcpuCount& vcpus, std::uint32_t number, bool online) {
  tell_each(vcpus);
  Vcpu& vcpu = vcpus.each.at(number);
  if (vcpu.online == online) return;
  if (vcpu.order != 0) {  // those after it move up
    for (Vcpu& other : vcpus.each)
      if (other.order > vcpu.order) --other.order;
  }
  vcpu = {.online = online, .hot_pluggable = true, .order = 0};
  if (online) vcpu.order = std::ranges::max(vcpus.each, {}, &Vcpu::order).order + 1;
  count_online(vcpus);
}

void assign_order(VcpuCount& vcpus) {
  tell_each(vcpus);
  std::vector<Vcpu*> online;
  for (Vcpu& vcpu : vcpus.each) {
    if (vcpu.online) online.push_back(&vcpu);
  }
  // Those that stay come first, then those that were given a place, then the rest as they are numbered.
  const auto place = [](const Vcpu* vcpu) {
    return std::tuple(vcpu->hot_pluggable, vcpu->order != 0 ? vcpu->order : ~std::uint32_t{0}, vcpu);
  };
  std::ranges::sort(online, {}, place);
  clear_order(vcpus);
  for (std::size_t i = 0; i < online.size(); ++i) online[i]->order = static_cast<std::uint32_t>(i + 1);
}

void set_count(VcpuCount& vcpus, std::uint32_t count, bool hot_pluggable) {
  tell_each(vcpus);
  clear_order(vcpus);
  for (std::uint32_t i = 0; i < vcpus.maximum && vcpus.current < count; ++i) {
    Vcpu& vcpu = vcpus.each[i];
    if (vcpu.online) {
      // Those that stay are the first ones: none of them comes after one that goes.
      hot_pluggable |= vcpu.hot_pluggable;
      continue;
    }
    vcpu.online = true;
    vcpu.hot_pluggable = hot_pluggable;
    ++vcpus.current;
  }
  for (std::uint32_t i = vcpus.maximum; i > 1 && vcpus.current > count; --i) {
    Vcpu& vcpu = vcpus.each[i - 1];
    if (!vcpu.online) continue;
    vcpu.online = false;
    vcpu.hot_pluggable = true;
    --vcpus.current;
  }
  shorten(vcpus);
}

void set_maximum(VcpuCount& vcpus, std::uint32_t maximum) {
  if (!vcpus.each.empty()) {
    vcpus.each.resize(maximum, {.online = false, .hot_pluggable = true, .order = 0});
    vcpus.maximum = maximum;
    clear_order(vcpus);
    count_online(vcpus);
    return;
  }
  vcpus.maximum = maximum;
  vcpus.current = std::min(vcpus.current, maximum);
}

void set_states(VcpuCount& vcpus, const CpuSet& numbers, bool online) {
  for (const std::uint32_t number : numbers.members()) {
    if (number >= vcpus.maximum)
      throw invalid_argument(
          fmt::format("vCPU {} is not one of the {} of the persistent definition", number, vcpus.maximum));
    if (number == 0 && !online) throw invalid_argument("vCPU 0 must be enabled");
    if (!online && is_online(vcpus, number) && !is_hot_pluggable(vcpus, number)) {
      throw invalid_argument(fmt::format(
          "vCPU {} is not hot pluggable: 'setvcpus --config' changes how many there are", number));
    }
  }
  VcpuCount changed = vcpus;
  tell_each(changed);
  clear_order(changed);
  for (const std::uint32_t number : numbers.members()) {
    Vcpu& vcpu = changed.each[number];
    if (vcpu.online != online) vcpu = {.online = online, .hot_pluggable = true, .order = 0};
  }
  count_online(changed);
  vcpus = std::move(changed);
}

std::vector<std::uint32_t> choose_for_count(const VcpuCount& vcpus, std::uint32_t count) {
  std::vector<std::uint32_t> chosen;
  if (count >= vcpus.current) {
    for (std::uint32_t i = 0; i < vcpus.maximum && chosen.size() < count - vcpus.current; ++i)
      if (!is_online(vcpus, i)) chosen.push_back(i);
    return chosen;
  }
  for (std::uint32_t i = vcpus.maximum; i > 1 && chosen.size() < vcpus.current - count; --i)
    if (is_online(vcpus, i - 1) && is_hot_pluggable(vcpus, i - 1)) chosen.push_back(i - 1);
  if (chosen.size() < vcpus.current - count) {
    throw operation_invalid(fmt::format(
        "cannot come down to {} vCPUs: of the {} there are, {} can be removed while the domain runs", count,
        vcpus.current, chosen.size()));
  }
  return chosen;
}

std::vector<std::uint32_t> choose_for_states(const VcpuCount& vcpus, const CpuSet& numbers, bool online) {
  for (const std::uint32_t number : numbers.members()) {
    if (number >= vcpus.maximum)
      throw invalid_argument(
          fmt::format("vCPU {} is not one of the {} of the live domain", number, vcpus.maximum));
    if (is_online(vcpus, number) == online)
      throw invalid_argument(fmt::format("vCPU {} is already in the requested state", number));
    if (!is_hot_pluggable(vcpus, number))
      throw invalid_argument(fmt::format("vCPU {} cannot be removed while the domain runs", number));
  }
  return numbers.members();
}

}  // namespace warren::driver::config
