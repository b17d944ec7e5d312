// vCPUs as the guest sees them: which it uses, and which it can do without.
#include <algorithm>
#include <charconv>
#include <set>

#include <fmt/format.h>

#include "driver/domain/domain_agent.h"

namespace warren::driver::domain {

namespace {

// "0-2,5" for the ids in ascending order.
std::string format_list(const std::set<std::uint32_t>& ids) {
  std::string text;
  for (auto first = ids.begin(); first != ids.end();) {
    auto last = first;
    for (auto next = std::next(last); next != ids.end() && *next == *last + 1; ++next) last = next;
    if (!text.empty()) text += ',';
    text += first == last ? fmt::format("{}", *first) : fmt::format("{}-{}", *first, *last);
    first = std::next(last);
  }
  return text;
}

std::uint32_t parse_id(std::string_view text, const std::string& list) {
  std::uint32_t id = 0;
  auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (failed != std::errc{} || end != text.data() + text.size() || id >= kMaximumGuestVcpus)
    throw invalid_argument(fmt::format("Failed to parse CPU list '{}'", list));
  return id;
}

// libvirt's lists: ids, ranges, and "^5" which takes one out again.
std::set<std::uint32_t> parse_list(const std::string& list) {
  std::set<std::uint32_t> ids;
  std::string_view rest = list;
  while (!rest.empty()) {
    std::string_view part = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), part.size() + 1));
    if (part.starts_with('^')) {
      ids.erase(parse_id(part.substr(1), list));
      continue;
    }
    const std::size_t dash = part.find('-');
    const std::uint32_t first = parse_id(part.substr(0, dash), list);
    const std::uint32_t last = dash == std::string_view::npos ? first : parse_id(part.substr(dash + 1), list);
    if (last < first) throw invalid_argument(fmt::format("Failed to parse CPU list '{}'", list));
    for (std::uint32_t id = first; id <= last; ++id) ids.insert(id);
  }
  if (ids.empty()) throw invalid_argument("the CPU list is empty");
  return ids;
}

}  // namespace

Task<std::vector<GuestVcpu>> read_vcpus(AgentSession& session) {
  agent::Value reply = co_await session.ask(agent::Request("guest-get-vcpus"));
  std::vector<GuestVcpu> vcpus;
  for (const agent::Value& entry : reply.elements(kMaximumGuestVcpus)) {
    vcpus.push_back({.id = entry.index_number("logical-id"),
                     .is_online = entry.flag("online"),
                     .can_offline = entry.has("can-offline") && entry.flag("can-offline")});
  }
  co_return vcpus;
}

Task<> write_vcpus(AgentSession& session, std::vector<GuestVcpu> vcpus) {
  std::vector<agent::Request::VcpuState> wanted;
  for (const GuestVcpu& vcpu : vcpus) {
    if (vcpu.is_modified) wanted.push_back({.id = vcpu.id, .is_online = vcpu.is_online});
  }
  // The agent sets them in order and may stop before the end: the rest is asked for again, and an agent that
  // sets the first of them no more answers with an error.
  while (!wanted.empty()) {
    agent::Request request("guest-set-vcpus");
    request.vcpus("vcpus", wanted);
    agent::Value reply = co_await session.ask(std::move(request));
    const std::int64_t done = reply.as_number();
    if (done <= 0 || done > static_cast<std::int64_t>(wanted.size()))
      throw internal_error("guest agent returned malformed or invalid return value");
    wanted.erase(wanted.begin(), wanted.begin() + done);
  }
}

void choose_vcpus(std::vector<GuestVcpu>& vcpus, unsigned int count) {
  std::size_t online = 0;
  std::size_t removable = 0;
  GuestVcpu* first = nullptr;
  for (GuestVcpu& vcpu : vcpus) {
    if (vcpu.id == 0) first = &vcpu;
    if (vcpu.is_online) ++online;
    if (vcpu.is_online && vcpu.can_offline) ++removable;
    if (!vcpu.is_online && !vcpu.can_offline) throw internal_error("Invalid data provided by guest agent");
  }
  // Linux takes CPU 0 away if asked, but does not suspend without it.
  if (removable == online && first != nullptr && first->is_online) {
    first->can_offline = false;
    --removable;
  }
  if (count > vcpus.size()) throw internal_error("guest agent reports less cpu than requested");
  if (count < online - removable) throw invalid_argument("Cannot offline enough CPUs");
  for (GuestVcpu& vcpu : vcpus) {
    if (online == count) break;
    const bool changes = count < online ? vcpu.is_online && vcpu.can_offline : !vcpu.is_online;
    if (!changes) continue;
    online = vcpu.is_online ? online - 1 : online + 1;
    vcpu.is_online = !vcpu.is_online;
    vcpu.is_modified = true;
  }
}

void select_vcpus(std::vector<GuestVcpu>& vcpus, const std::string& list, bool online) {
  for (std::uint32_t id : parse_list(list)) {
    auto found =
        std::find_if(vcpus.begin(), vcpus.end(), [id](const GuestVcpu& vcpu) { return vcpu.id == id; });
    if (found == vcpus.end())
      throw invalid_argument(fmt::format("vCPU '{}' in the list is not present in the guest", id));
    if (!online && !found->can_offline)
      throw invalid_argument(fmt::format("vCPU '{}' can't be offlined", id));
    found->is_online = online;
    found->is_modified = true;
  }
}

TypedParameters describe_vcpus(const std::vector<GuestVcpu>& vcpus) {
  std::set<std::uint32_t> all, online, removable;
  for (const GuestVcpu& vcpu : vcpus) {
    all.insert(vcpu.id);
    if (vcpu.is_online) online.insert(vcpu.id);
    if (vcpu.can_offline) removable.insert(vcpu.id);
  }
  return {
      {"vcpus", format_list(all)}, {"online", format_list(online)}, {"offlinable", format_list(removable)}};
}

}  // namespace warren::driver::domain
