// The filters and bindings of this host, and how they come into force.
//
// Changes are made by one call at a time, on a thread that may block; what only reads may be called at the
// same time, but for commit(). Throws driver::Error.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "driver/nwfilter/binding_status.h"
#include "driver/nwfilter/driver.h"
#include "driver/nwfilter/filter_rules.h"
#include "driver/store/document_store.h"

namespace warren::driver::nwfilter {

struct TapBinding {
  BindingStatus status;
  std::uint64_t number = 0;         // of this daemon's bindings: names of taps come again
  std::vector<std::string> chains;  // in force
  bool misses_ip = false;           // its rules wait for an address
  bool is_closed = false;           // its filter could not be applied when the daemon began: nothing passes
  bool is_unreadable = false;       // nor its file read: closed until it is removed
};

class FilterTable {
 public:
  explicit FilterTable(FilterSettings settings);

  using Filters = std::map<std::string, FilterDefinition, std::less<>>;
  using Bindings = std::map<std::string, TapBinding, std::less<>>;
  const Filters& filters() const { return filters_; }
  const Bindings& bindings() const { return bindings_; }
  const FilterDefinition* find(const Uuid& uuid) const;
  const FilterDefinition* find(std::string_view name) const;

  // A change that is in force and on disk, and has yet to become what the table says: commit() does that, on
  // the thread of its readers.
  struct Change {
    std::optional<FilterDefinition> filter;
    std::string removed_filter, removed_binding;
    Bindings bindings;  // new, or instead of those of the name
  };
  // All taps that the filter reaches have its rules, or none has.
  Change define(FilterDefinition definition);
  Change undefine(const Uuid& filter);
  Change bind(config::FilterBinding binding);
  Change unbind(const std::string& tap);
  Change learn(const std::string& tap, std::vector<LearnedAddress> learned);
  void commit(Change change);

  // Puts the rules of all taps in place again.
  void apply_all();
  void report(std::string_view text) const { settings_.report(text); }

 private:
  void load_filters();
  void load_bindings();
  void load_unreadable();
  const BridgeFeatures& features();
  // The rules themselves are made anew when they are needed: for a thousand taps they are no small thing.
  using Rules = std::map<std::string, TapChains, std::less<>>;
  static TapBinding close(TapBinding binding, Rules& rules);
  TapBinding make(TapBinding binding, const FindFilter& find, Rules& rules);
  TapBinding make_or_close(const TapBinding& binding, Rules& rules);
  void apply(Rules rules, std::string_view doing);
  void replace_others(Rules rules, std::string_view without, std::string_view doing);
  void remove(const std::string& tap);
  void restore(std::string_view what) noexcept;
  void keep_status(const std::string& tap) noexcept;
  void put_back(const std::string& tap) noexcept;
  std::vector<std::string> binding_files() const;
  void remove_files(const std::string& tap);
  bool is_used(const std::string& filter) const;

  FilterSettings settings_;
  std::optional<store::DocumentStore> filter_store_, binding_store_;
  std::optional<BridgeFeatures> features_;
  Filters filters_;
  Bindings bindings_;
  std::uint64_t last_number_ = 0;
};

}  // namespace warren::driver::nwfilter
