// The devices by which a host looks after its guest, and talks to it without a network: the memory balloon,
// the watchdog, the panic device, the socket device.
#pragma once

#include <cstdint>
#include <optional>

#include "driver/config/device_address.h"

namespace warren::driver::config {

enum class BalloonModel { virtio, none };

// <memballoon>. A domain that says nothing of one has a virtio balloon; model 'none' has nothing else.
struct MemoryBalloon {
  BalloonModel model = BalloonModel::virtio;
  std::optional<bool> deflate_on_oom;           // autodeflate=
  std::optional<bool> free_page_reporting;      // freePageReporting=
  std::uint32_t statistics_period_seconds = 0;  // <stats period=>; 0: the guest is not asked
  DeviceInfo info;
  bool operator==(const MemoryBalloon&) const = default;
};

// What becomes of a guest that does not reload its watchdog.
enum class WatchdogAction { reset, shutdown, poweroff, pause, none, dump, inject_nmi };

enum class WatchdogModel {
  i6300esb,
  itco,  // the chipset's own: no PCI device, and there from the start or not at all
};

// <watchdog>
struct Watchdog {
  WatchdogModel model = WatchdogModel::i6300esb;
  WatchdogAction action = WatchdogAction::reset;
  DeviceInfo info;
  bool operator==(const Watchdog&) const = default;
};

// <panic model='isa'>: pvpanic at the port where drivers look for it.
struct PanicDevice {
  bool has_model = false;    // always set after fill_defaults
  bool has_address = false;  // <address type='isa' iobase='0x505'/> was given
  DeviceInfo info;
  bool operator==(const PanicDevice&) const = default;
};

// Who serves a socket device: the worker, over unix sockets of the host, or the host's kernel (vhost-vsock).
// Named as the same choice for an interface is.
enum class VsockDriver { worker, vhost };

// <vsock model='virtio'><driver name=/><cid auto= address=/></vsock>
struct Vsock {
  bool has_model = false;            // always set after fill_defaults
  std::optional<bool> auto_cid;      // likewise: the start of a domain chooses
  std::optional<std::uint32_t> cid;  // of the guest, from 3; of a running domain always, in a definition only
                                     // when it is not chosen
  std::optional<VsockDriver> driver;  // of a running domain always
  DeviceInfo info;
  bool operator==(const Vsock&) const = default;
};

}  // namespace warren::driver::config
