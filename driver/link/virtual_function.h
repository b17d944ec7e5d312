// What a network device tells of its SR-IOV virtual functions (ip-link(8), "vf"): the address that one has,
// and the VLAN that all it sends and gets belongs to. A virtual function cannot change what was set so.
//
// Blocks briefly; any thread. Throws Error as link.h has it; VIR_ERR_OPERATION_UNSUPPORTED where the device's
// driver cannot do it.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>

#include "driver/config/identity.h"

namespace warren::driver::link {

struct FunctionSettings {
  config::MacAddress mac{};    // all zeros: none was set
  std::uint16_t vlan = 0;      // 0: none
  std::uint32_t priority = 0;  // IEEE 802.1p, of what gets the tag
  bool operator==(const FunctionSettings&) const = default;
};

// `device`: the physical function's link. `index`: which of its functions, from 0.
FunctionSettings read_function(const std::string& device, std::uint32_t index);
// A VLAN that it has already is not set again: not every driver knows VLANs.
void set_function(const std::string& device, std::uint32_t index, const FunctionSettings& settings);

// An IFLA_VFINFO_LIST as the kernel writes it, by index. What is cut off or of an unknown kind is left out.
std::map<std::uint32_t, FunctionSettings> parse_functions(std::span<const std::uint8_t> list);

}  // namespace warren::driver::link
