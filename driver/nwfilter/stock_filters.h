// The filters that every host begins with, under the names that libvirt's documentation gives them.
//
// Constant; any thread. They are written to the store once: whoever changes or removes one keeps his way.
#pragma once

#include <span>
#include <string_view>

namespace warren::driver::nwfilter {

// Documents of <filter>, without <uuid>.
std::span<const std::string_view> stock_filters();

}  // namespace warren::driver::nwfilter
