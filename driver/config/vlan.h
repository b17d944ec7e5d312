// <vlan>: the VLANs of a port (IEEE 802.1Q), below an interface, a network, a portgroup or a network port.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace warren::driver::config {

enum class NativeVlanMode { tagged, untagged };

struct Vlan {
  bool trunk = false;                         // always with more than one tag
  std::vector<std::uint16_t> tags;            // 0..4095, at least one
  std::optional<NativeVlanMode> native_mode;  // of the tag `native_tag`
  std::uint16_t native_tag = 0;
  bool operator==(const Vlan&) const = default;
};

}  // namespace warren::driver::config
