// <filterbinding>: which filter is on a tap, with which values for its variables.
//
// Format: libvirt's documents of virNWFilterBinding. Pure functions; the document is hostile.
#pragma once

#include <string>
#include <string_view>

#include "driver/config/filter_reference.h"
#include "driver/config/identity.h"
#include "driver/contract/network_filters.h"
#include "driver/contract/uuid.h"

namespace warren::driver::config {

struct FilterBinding {
  std::string owner_name;  // of the domain
  Uuid owner_uuid;
  std::string port_device;  // the tap
  std::string link_device;  // what a macvtap stands on; empty: none
  MacAddress mac{};
  FilterReference filter;
  bool operator==(const FilterBinding&) const = default;

  FilterBindingHandle handle() const { return {port_device, filter.filter}; }
};

// Throws driver::Error (domain NWFILTER) as parse_filter() does.
FilterBinding parse_binding(std::string_view xml, bool validate = false);
std::string format_binding(const FilterBinding& binding);

}  // namespace warren::driver::config
