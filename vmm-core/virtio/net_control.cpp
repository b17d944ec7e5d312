// The control queue of a network device (virtio 1.2 §5.1.6.5), on its thread.
#include <algorithm>
#include <cstring>
#include <utility>

#include "vmm-core/virtio/net_pair.h"

namespace warren::vmm::virtio {
namespace {

using namespace net_layout;

// One half of a MAC table: how many, and each of them (§5.1.6.5.2). False when there are fewer.
bool read_table(Reader& data, ReceiveFilter::Table& table) noexcept {
  std::uint32_t count = 0;
  if (!data.read_object(count)) return false;
  table = {};
  if (count > ReceiveFilter::kMostAddresses) {
    table.is_full = true;
    return data.skip(std::uint64_t{count} * sizeof(MacAddress));
  }
  table.count = static_cast<std::uint8_t>(count);
  for (std::uint32_t i = 0; i < count; ++i)
    if (!data.read_object(table.addresses[i])) return false;
  return true;
}

}  // namespace

ServedDevice::Served Net::serve_control() noexcept {
  Chain chain;
  for (unsigned served = 0; served < kShare; ++served) {
    if (!queue(control_queue()).pop(chain)) return Served::all;
    if (chain.writable_bytes == 0) {  // nobody to answer
      chain.ticket.complete(0);
      continue;
    }
    Reader reader(chain.readable);
    const std::byte answer = control(reader) ? kControlOk : kControlError;
    Writer(chain.writable).write({&answer, 1});
    chain.ticket.complete(1);
  }
  return Served::more;
}

bool Net::control(Reader& data) noexcept {
  Command command;
  if (!data.read_object(command)) return false;
  switch (command.command_class) {
    case kReceiveClass:
      return control_receive(command.command, data);
    case kMacClass:
      return control_mac(command.command, data);
    case kVlanClass:
      return control_vlan(command.command, data);
    case kAnnounceClass:
      return control_announce(command.command);
    case kMultiQueueClass:
      return command.command == kScalingSet ? control_scaling(data) : control_pairs(command.command, data);
    case kOffloadsClass:
      return control_offloads(command.command, data);
    default:
      return false;
  }
}

bool Net::control_receive(std::uint8_t command, Reader& data) noexcept {
  std::uint8_t on = 0;
  if (!accepted(command <= kAllMulticast ? kControlReceive : kControlReceiveExtra) || !data.read_object(on))
    return false;
  ReceiveFilter changed = filter();
  switch (command) {
    case kPromiscuous:
      changed.promiscuous = on != 0;
      break;
    case kAllMulticast:
      changed.all_multicast = on != 0;
      break;
    case kAllUnicast:
      changed.all_unicast = on != 0;
      break;
    case kNoMulticast:
      changed.no_multicast = on != 0;
      break;
    case kNoUnicast:
      changed.no_unicast = on != 0;
      break;
    case kNoBroadcast:
      changed.no_broadcast = on != 0;
      break;
    default:
      return false;
  }
  change_filter(changed);
  return true;
}

bool Net::control_mac(std::uint8_t command, Reader& data) noexcept {
  ReceiveFilter changed = filter();
  if (command == kMacAddressSet) {
    if (!accepted(kControlMac) || !data.read_object(changed.own)) return false;
  } else if (command == kMacTableSet) {
    if (!accepted(kControlReceive) || !read_table(data, changed.unicast) ||
        !read_table(data, changed.multicast))
      return false;
  } else {
    return false;
  }
  change_filter(changed);
  return true;
}

bool Net::control_vlan(std::uint8_t command, Reader& data) noexcept {
  std::uint16_t vlan = 0;
  if (!accepted(kControlVlan) || command > kVlanDelete || !data.read_object(vlan) ||
      vlan >= ReceiveFilter::kVlans)
    return false;
  ReceiveFilter changed = filter();
  changed.vlans[vlan] = command == kVlanAdd;
  change_filter(changed);
  return true;
}

bool Net::control_announce(std::uint8_t command) noexcept {
  if (!accepted(kGuestAnnounce) || command != kAnnounceAcknowledge) return false;
  announces_.store(false);
  return true;
}

bool Net::control_pairs(std::uint8_t command, Reader& data) noexcept {
  std::uint16_t pairs = 0;
  if (!accepted(kMultiQueue) || command != kPairsSet || !data.read_object(pairs)) return false;
  if (pairs == 0 || pairs > count_) return false;
  pairs_in_use_.store(pairs);
  // The device steers by itself again (§5.1.6.5.5).
  scaling_.reset();
  apply_scaling();
  apply_pairs();
  if (back_end_ != nullptr) back_end_->set_pairs(pairs);
  return true;
}

bool Net::control_scaling(Reader& data) noexcept {
  if (!accepted(kReceiveScaling)) return false;
  const std::optional<ReceiveScaling> wanted = read_scaling(data);
  if (!wanted || !wanted->is_valid(count_)) return false;
  const std::optional<ReceiveScaling> before = std::exchange(scaling_, wanted);
  pairs_in_use_.store(std::max(wanted->pairs(), pairs_in_use_.load()));
  // Queues are there before packets are sent to them, and as long as they are.
  apply_pairs();
  if (!apply_scaling()) {
    scaling_ = before;
    return false;
  }
  pairs_in_use_.store(wanted->pairs());
  apply_pairs();
  return true;
}

bool Net::control_offloads(std::uint8_t command, Reader& data) noexcept {
  std::uint64_t wanted = 0;
  if (!accepted(kControlOffloads) || command != kOffloadsSet || !data.read_object(wanted)) return false;
  // None that was not negotiated (§5.1.6.5.6.1).
  if ((wanted & ~(accepted_features() & kGuestOffloads)) != 0) return false;
  const std::uint64_t before = offloads_.exchange(wanted);
  if (apply_offloads()) return true;
  offloads_.store(before);
  return false;
}

}  // namespace warren::vmm::virtio
