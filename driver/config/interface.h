// <interface>: a virtio network device on a tap of the host.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "driver/config/device_address.h"
#include "driver/config/identity.h"
#include "driver/config/tuning.h"

namespace warren::driver::config {

enum class InterfaceType {
  bridge,    // the tap is put into `source_bridge`
  ethernet,  // the tap is left to the administrator
};

// <driver> below an interface.
struct InterfaceDriver {
  bool name_qemu = false;                      // name='qemu'; the only one there is
  std::optional<std::uint32_t> queues;         // queue pairs, 1..256
  std::optional<std::uint32_t> rx_queue_size;  // powers of two, 256..1024
  std::optional<std::uint32_t> tx_queue_size;
  std::optional<bool> packed;
  bool operator==(const InterfaceDriver&) const = default;
};

struct Interface {
  InterfaceType type = InterfaceType::bridge;
  std::optional<MacAddress> mac;       // always set after fill_defaults
  std::string source_bridge;           // type bridge
  std::string target;                  // name of the tap; empty: chosen at start
  std::optional<bool> target_managed;  // type ethernet: "no" when the tap exists already and is not ours
  bool model_virtio = false;           // model was given or filled in
  InterfaceDriver driver;
  std::optional<bool> link_up;
  std::optional<std::uint32_t> mtu;  // 68..65535
  std::optional<Bandwidth> bandwidth;
  DeviceInfo info;
  bool operator==(const Interface&) const = default;
};

}  // namespace warren::driver::config
