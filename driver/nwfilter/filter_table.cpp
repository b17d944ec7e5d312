#include "driver/nwfilter/filter_table.h"

#include <algorithm>

#include <boost/json.hpp>
#include <fmt/format.h>
#include <net/if.h>

#include "driver/contract/error.h"
#include "driver/nftables/transaction.h"
#include "driver/nwfilter/stock_filters.h"

namespace warren::driver::nwfilter {

namespace {

namespace json = boost::json;

// As many as one answer of the remote protocol can list.
constexpr std::size_t kMostObjects = 16384;

Error filter_error(virErrorNumber code, std::string detail) {
  return {code, std::move(detail), VIR_FROM_NWFILTER};
}

void report_broken(const store::LoadReport& loaded, std::string_view what, const FilterSettings& settings) {
  for (const store::BrokenDocument& document : loaded.broken)
    settings.report(fmt::format("{} {} is broken: {}{}", what, document.file, document.reason,
                                document.set_aside.empty() ? "" : "; kept as " + document.set_aside));
}

std::vector<std::string> addresses_of(const BindingStatus& status) {
  std::vector<std::string> texts;
  for (const LearnedAddress& learned : status.learned)
    texts.push_back(config::format_ip_address(learned.address));
  return texts;
}

// Of which document the store has this file: NAME.xml, and where that was set aside, NAME.xml.broken or
// NAME.xml.broken.1. Empty: of none.
std::string document_of(std::string_view file) {
  const std::size_t last = file.find_last_not_of("0123456789");
  if (last != std::string_view::npos && file.substr(0, last + 1).ends_with(".broken."))
    file = file.substr(0, last);
  if (file.ends_with(".broken")) file.remove_suffix(std::string_view(".broken").size());
  if (!file.ends_with(".xml")) return {};
  return std::string(file.substr(0, file.size() - std::string_view(".xml").size()));
}

// No binding is of such a tap, and rules would take the name for a pattern.
bool is_no_tap(const std::string& name) {
  return name.find_first_of("\"*\\") != std::string::npos;
}

}  // namespace

FilterTable::FilterTable(FilterSettings settings) : settings_(std::move(settings)) {
  load_filters();
  load_bindings();
}

void FilterTable::load_filters() {
  std::error_code ignored;
  const bool is_first = !std::filesystem::exists(settings_.directory, ignored) ||
                        std::filesystem::is_empty(settings_.directory, ignored);
  filter_store_.emplace(settings_.directory);
  if (is_first) {
    std::vector<store::Change> changes;
    for (const std::string_view xml : stock_filters()) {
      const FilterDefinition filter = parse_filter(xml);
      changes.push_back({.name = filter.name, .text = format_filter(filter)});
    }
    std::vector<std::exception_ptr> failures(changes.size());
    std::vector<store::DocumentStore::Commit> commits;
    for (std::size_t i = 0; i < changes.size(); ++i) commits.push_back({&changes[i], &failures[i]});
    filter_store_->commit(commits);
    for (const std::exception_ptr& failure : failures)
      if (failure) std::rethrow_exception(failure);
  }
  const store::LoadReport loaded =
      filter_store_->load_all([](std::string_view text) { return parse_filter(text).name; });
  report_broken(loaded, "filter", settings_);
  for (const store::StoredDocument& document : loaded.documents) {
    FilterDefinition filter = parse_filter(document.text);
    if (find(filter.uuid) != nullptr) {
      settings_.report(fmt::format("filter {} is not used: another one has its UUID", filter.name));
      continue;
    }
    filters_[filter.name] = std::move(filter);
  }
}

void FilterTable::load_bindings() {
  binding_store_.emplace(settings_.run_directory);
  const store::LoadReport loaded =
      binding_store_->load_all([](std::string_view text) { return parse_status(text).binding.port_device; });
  report_broken(loaded, "binding", settings_);
  for (const store::StoredDocument& document : loaded.documents) {
    BindingStatus status = parse_status(document.text);
    const std::string tap = status.binding.port_device;
    if (::if_nametoindex(tap.c_str()) == 0) {
      binding_store_->remove(tap);
      continue;
    }
    const std::int64_t now = boot_seconds();
    std::erase_if(status.learned,
                  [now](const auto& entry) { return entry.expires_s && *entry.expires_s <= now; });
    bindings_[tap] = {.status = std::move(status), .number = ++last_number_, .is_closed = true};
  }
  load_unreadable();
  try {
    Rules rules;
    for (auto& [tap, binding] : bindings_) binding = make_or_close(binding, rules);
    replace_others(std::move(rules), {}, "filter taps");
  } catch (const Error& error) {
    // Without taps to filter, a host may do without nft(8).
    if (!bindings_.empty()) settings_.report(fmt::format("taps are not filtered: {}", error.detail()));
  }
}

// Whether this daemon or one before could not read them: a guest that was filtered is not let loose.
void FilterTable::load_unreadable() {
  for (const std::string& file : binding_files()) {
    const std::string tap = document_of(file);
    if (tap.empty() || is_no_tap(tap) || bindings_.contains(tap)) continue;
    if (::if_nametoindex(tap.c_str()) != 0) {
      settings_.report(
          fmt::format("{0}: nothing passes it: its binding cannot be read ({1}); give it another (virsh "
                      "nwfilter-binding-delete {0}, then nwfilter-binding-create)",
                      tap, (binding_store_->directory() / file).string()));
      bindings_[tap] = {.status = {.binding = {.port_device = tap}},
                        .number = ++last_number_,
                        .is_closed = true,
                        .is_unreadable = true};
      continue;
    }
    try {
      remove_files(tap);
    } catch (const Error& error) {
      settings_.report(fmt::format("{}: {}", tap, error.detail()));
    }
  }
}

std::vector<std::string> FilterTable::binding_files() const {
  std::vector<std::string> files;
  std::error_code failed;
  const std::filesystem::path& directory = binding_store_->directory();
  for (std::filesystem::directory_iterator each(directory, failed), end; !failed && each != end;
       each.increment(failed))
    files.push_back(each->path().filename().string());
  if (failed) throw system_error(failed.value(), fmt::format("cannot list '{}'", directory.string()));
  return files;
}

// All that is of the tap: what was set aside would close the next one of its name.
void FilterTable::remove_files(const std::string& tap) {
  binding_store_->remove(tap);
  for (const std::string& file : binding_files()) {
    if (document_of(file) != tap) continue;
    const std::filesystem::path path = binding_store_->directory() / file;
    std::error_code failed;
    std::filesystem::remove(path, failed);
    if (failed) throw system_error(failed.value(), fmt::format("cannot remove '{}'", path.string()));
  }
}

const FilterDefinition* FilterTable::find(const Uuid& uuid) const {
  for (const auto& [name, filter] : filters_)
    if (filter.uuid == uuid) return &filter;
  return nullptr;
}

const FilterDefinition* FilterTable::find(std::string_view name) const {
  const auto found = filters_.find(name);
  return found == filters_.end() ? nullptr : &found->second;
}

const BridgeFeatures& FilterTable::features() {
  if (!features_) features_ = probe_features();
  return *features_;
}

TapBinding FilterTable::make(TapBinding made, const FindFilter& find_filter, Rules& rules) {
  const config::FilterBinding& binding = made.status.binding;
  const TapFilter filter = instantiate(binding, addresses_of(made.status), find_filter);
  AddressWait wait{.mac = binding.mac};
  if (const auto servers = binding.filter.parameters.find("DHCPSERVER");
      servers != binding.filter.parameters.end())
    for (const std::string& server : servers->second)
      if (const auto address = config::parse_ip_address(server); address && !address->is_ipv6)
        wait.servers.push_back(server);
  TapChains chains = compile(binding.port_device, filter, features(), filter.misses_ip ? &wait : nullptr);
  made.chains = chains.names();
  made.misses_ip = filter.misses_ip;
  made.is_closed = false;
  rules[binding.port_device] = std::move(chains);
  return made;
}

TapBinding FilterTable::close(TapBinding binding, Rules& rules) {
  const std::string& tap = binding.status.binding.port_device;
  TapChains chains = closed(tap);
  binding.chains = chains.names();
  binding.misses_ip = false;
  binding.is_closed = true;
  rules[tap] = std::move(chains);
  return binding;
}

TapBinding FilterTable::make_or_close(const TapBinding& binding, Rules& rules) {
  if (binding.is_unreadable) return close(binding, rules);
  try {
    return make(binding, [this](std::string_view name) { return find(name); }, rules);
  } catch (const Error& error) {
    settings_.report(fmt::format("{}: nothing passes it until its filter is right: {}",
                                 binding.status.binding.port_device, error.detail()));
    return close(binding, rules);
  }
}

void FilterTable::apply(Rules rules, std::string_view doing) {
  if (rules.empty()) return;
  json::array commands;
  add_table(commands);
  for (const auto& [tap, chains] : rules) {
    const auto old = bindings_.find(tap);
    add_tap(commands, chains, old == bindings_.end() ? std::vector<std::string>{} : old->second.chains);
  }
  try {
    nftables::apply(commands, doing);
  } catch (const Error&) {
    // Somebody may have removed what was there; then all of it is put in place anew.
    replace_others(std::move(rules), {}, doing);
  }
}

// All taps but one: with `rules` where these have them, and else with what they have.
void FilterTable::replace_others(Rules rules, std::string_view without, std::string_view doing) {
  for (const auto& [tap, binding] : bindings_)
    if (tap != without && !rules.contains(tap)) make_or_close(binding, rules);
  std::vector<const TapChains*> taps;
  for (const auto& [tap, chains] : rules) taps.push_back(&chains);
  nftables::apply(taps.empty() ? remove_all() : replace_all(taps), doing);
}

void FilterTable::apply_all() {
  replace_others({}, {}, "filter taps");
}

void FilterTable::remove(const std::string& tap) {
  const std::string doing = fmt::format("remove the filter of {}", tap);
  if (bindings_.size() == 1) return nftables::apply(remove_all(), doing);
  json::array commands;
  add_table(commands);
  remove_tap(commands, tap, bindings_.at(tap).chains);
  try {
    nftables::apply(commands, doing);
  } catch (const Error&) {
    replace_others({}, tap, doing);
  }
}

// After a write that failed: the rules are what the table still says.
void FilterTable::restore(std::string_view what) noexcept {
  try {
    apply_all();
  } catch (const std::exception& error) {
    settings_.report(fmt::format("{}: rules are not what is stored: {}", what, error.what()));
  }
}

// The file of a binding, after a change of it that failed.
void FilterTable::keep_status(const std::string& tap) noexcept {
  const TapBinding& binding = bindings_.at(tap);
  if (binding.is_unreadable) return;
  try {
    binding_store_->write(tap, format_status(binding.status));
  } catch (const std::exception& error) {
    settings_.report(fmt::format("{}: the binding is not stored: {}", tap, error.what()));
  }
}

// After a removal that failed halfway: perhaps the file is gone, and its loss only not yet on the disk.
void FilterTable::put_back(const std::string& tap) noexcept {
  restore(tap);
  keep_status(tap);
}

bool FilterTable::is_used(const std::string& filter) const {
  const auto refers = [&filter](const auto& entry) {
    const auto* reference = std::get_if<FilterReference>(&entry);
    return reference != nullptr && reference->filter == filter;
  };
  for (const auto& [name, other] : filters_)
    if (std::ranges::any_of(other.entries, refers)) return true;
  return std::ranges::any_of(bindings_, [&filter](const auto& entry) {
    return entry.second.status.binding.filter.filter == filter;
  });
}

FilterTable::Change FilterTable::define(FilterDefinition definition) {
  const FilterDefinition* known = find(definition.name);
  if (known != nullptr && !definition.has_uuid) definition.uuid = known->uuid;
  if (known != nullptr && known->uuid != definition.uuid)
    throw filter_error(VIR_ERR_OPERATION_FAILED,
                       fmt::format("filter with name '{}' already exists with uuid {}", known->name,
                                   known->uuid.to_string()));
  if (const FilterDefinition* other = find(definition.uuid); other != nullptr && other != known)
    throw filter_error(VIR_ERR_OPERATION_FAILED, fmt::format("filter '{}' already exists with uuid {}",
                                                             other->name, other->uuid.to_string()));
  if (known == nullptr && filters_.size() >= kMostObjects)
    throw filter_error(VIR_ERR_OPERATION_FAILED,
                       fmt::format("there are {} filters, which is the most", filters_.size()));
  const FindFilter find_changed = [this, &definition](std::string_view name) {
    return name == definition.name ? &definition : find(name);
  };
  refuse_loop(definition, find_changed);
  Change change;
  Rules rules;
  for (const auto& [tap, binding] : bindings_) {
    if (!filters_below(binding.status.binding.filter.filter, find_changed).contains(definition.name))
      continue;
    try {
      change.bindings[tap] = make(binding, find_changed, rules);
    } catch (const Error&) {
      change.bindings.erase(tap);
      if (!binding.is_closed) throw;  // of several filters that are wrong each has to be defined first
    }
  }
  apply(std::move(rules), fmt::format("filter '{}'", definition.name));
  try {
    filter_store_->write(definition.name, format_filter(definition));
  } catch (...) {
    if (!change.bindings.empty()) restore(definition.name);
    throw;
  }
  change.filter = std::move(definition);
  return change;
}

FilterTable::Change FilterTable::undefine(const Uuid& uuid) {
  const FilterDefinition* filter = find(uuid);
  if (filter == nullptr)
    throw filter_error(VIR_ERR_NO_NWFILTER,
                       fmt::format("no nwfilter with matching uuid '{}'", uuid.to_string()));
  if (is_used(filter->name))
    throw filter_error(VIR_ERR_OPERATION_INVALID,
                       fmt::format("nwfilter '{}' is in use by a tap or another filter", filter->name));
  filter_store_->remove(filter->name);
  return {.removed_filter = filter->name};
}

FilterTable::Change FilterTable::bind(config::FilterBinding binding) {
  const std::string tap = binding.port_device;
  if (const auto known = bindings_.find(tap); known != bindings_.end())
    throw filter_error(VIR_ERR_OPERATION_FAILED, fmt::format("binding '{}' already exists", tap));
  if (bindings_.size() >= kMostObjects)
    throw filter_error(VIR_ERR_OPERATION_FAILED,
                       fmt::format("there are {} bindings, which is the most", bindings_.size()));
  Change change;
  Rules rules;
  change.bindings[tap] = make(
      {.status = {.binding = std::move(binding)}, .number = ++last_number_},
      [this](std::string_view name) { return find(name); }, rules);
  // First on disk: a daemon that dies in between knows what it has to remove.
  binding_store_->write(tap, format_status(change.bindings.at(tap).status));
  try {
    apply(std::move(rules), fmt::format("filter {}", tap));
  } catch (...) {
    binding_store_->remove(tap);
    throw;
  }
  return change;
}

FilterTable::Change FilterTable::unbind(const std::string& tap) {
  if (!bindings_.contains(tap))
    throw filter_error(VIR_ERR_NO_NWFILTER_BINDING,
                       fmt::format("no nwfilter binding for port dev '{}'", tap));
  remove(tap);
  try {
    remove_files(tap);
  } catch (...) {
    put_back(tap);
    throw;
  }
  return {.removed_binding = tap};
}

FilterTable::Change FilterTable::learn(const std::string& tap, std::vector<LearnedAddress> learned) {
  const auto known = bindings_.find(tap);
  if (known == bindings_.end()) return {};
  TapBinding binding = known->second;
  const std::vector<std::string> before = addresses_of(binding.status);
  binding.status.learned = std::move(learned);
  Change change;
  Rules rules;
  // Another end of a lease alone changes no rules.
  if (addresses_of(binding.status) != before)
    binding = make(std::move(binding), [this](std::string_view name) { return find(name); }, rules);
  change.bindings[tap] = std::move(binding);
  // First on disk: a write that fails has changed no rules.
  binding_store_->write(tap, format_status(change.bindings.at(tap).status));
  try {
    apply(std::move(rules), fmt::format("filter {}", tap));
  } catch (...) {
    keep_status(tap);
    throw;
  }
  return change;
}

void FilterTable::commit(Change change) {
  if (change.filter) {
    std::string name = change.filter->name;
    filters_.insert_or_assign(std::move(name), std::move(*change.filter));
  }
  if (!change.removed_filter.empty()) filters_.erase(change.removed_filter);
  if (!change.removed_binding.empty()) bindings_.erase(change.removed_binding);
  for (auto& [tap, binding] : change.bindings) bindings_.insert_or_assign(tap, std::move(binding));
}

}  // namespace warren::driver::nwfilter
