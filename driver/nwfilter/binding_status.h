// What the run directory knows of a binding: its document, and the addresses its guest was seen to have.
//
// Pure functions. Throws driver::Error for what is no such document.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "driver/config/filter_binding.h"
#include "driver/nwfilter/tap_watcher.h"

namespace warren::driver::nwfilter {

struct BindingStatus {
  config::FilterBinding binding;
  std::vector<LearnedAddress> learned;
  bool operator==(const BindingStatus&) const = default;
};

std::string format_status(const BindingStatus& status);
BindingStatus parse_status(std::string_view xml);

}  // namespace warren::driver::nwfilter
