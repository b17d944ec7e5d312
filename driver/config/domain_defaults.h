// Completes a parsed definition as libvirt's qemu driver completes one: ids, controllers, addresses, models.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "driver/config/domain_definition.h"
#include "driver/config/host_facts.h"

namespace warren::driver::config {

// Fills its argument with random bytes; injected so that tests know what comes.
using RandomBytes = std::function<void(std::span<std::uint8_t>)>;

// getrandom(2).
void system_random_bytes(std::span<std::uint8_t> bytes);

// Chooses what the XML left open: UUID, MAC addresses (52:54:00), lifecycle actions, CPU, console and serial
// targets, controllers, PCI and virtio-serial addresses, emulator. Then checks what only a whole definition
// shows: address collisions, ports without a controller, an emulator that is not Warren's, more vCPUs or
// memory than a worker takes. Idempotent. Throws driver::Error (CONFIG_UNSUPPORTED or XML_ERROR);
// `definition` is unchanged then.
void fill_defaults(DomainDefinition& definition, const HostFacts& facts,
                   const RandomBytes& random = system_random_bytes);

// What start found or made for a running domain, in the order of the devices.
struct LiveResources {
  std::int32_t id = 0;                             // from 1
  std::vector<std::string> serial_ptys;            // one each; "" where the back end is no pty
  std::vector<std::string> console_ptys;           // likewise; those of target serial are ignored
  std::vector<std::string> interface_targets;      // names of the taps
  std::vector<std::string> channel_paths;          // ptys and sockets of channels; "" where there is neither
  std::vector<std::vector<BackingImage>> backing;  // of each disk; or none at all
};

// The number that the next image of a running domain gets (number_images(), disk.h).
std::uint32_t next_image_number(const Devices& devices);

// Makes the live definition of a complete one: id, aliases ("virtio-disk0", "net0", "pci.1", …), ptys, taps.
// Throws driver::Error (INTERNAL_ERROR) if `resources` does not fit the definition.
void assign_live(DomainDefinition& definition, const LiveResources& resources);

}  // namespace warren::driver::config
