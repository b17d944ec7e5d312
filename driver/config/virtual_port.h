// <virtualport>: how a port is told to a switch: IEEE 802.1Qbg (VSI), 802.1Qbh, Open vSwitch, midonet.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "driver/contract/uuid.h"

namespace warren::driver::config {

enum class VirtualPortType { none, vepa_8021qbg, vnlink_8021qbh, openvswitch, midonet };

struct VirtualPort {
  VirtualPortType type = VirtualPortType::none;
  std::optional<std::uint8_t> manager_id;       // 802.1Qbg
  std::optional<std::uint32_t> type_id;         // 802.1Qbg, 24 bits
  std::optional<std::uint8_t> type_id_version;  // 802.1Qbg
  std::optional<Uuid> instance_id;              // 802.1Qbg
  std::string profile_id;                       // 802.1Qbh, openvswitch; at most 39 bytes
  std::optional<Uuid> interface_id;             // openvswitch, midonet
  bool operator==(const VirtualPort&) const = default;
};

}  // namespace warren::driver::config
