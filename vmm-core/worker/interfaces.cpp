// Network interfaces: on taps, by the host's kernel or by another program.
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include "vmm-core/net/stream.h"
#include "vmm-core/net/tap.h"
#include "vmm-core/os/error.h"
#include "vmm-core/virtio/net.h"
#include "vmm-core/virtio/vhost/kernel_net.h"
#include "vmm-core/virtio/vhost/user_net.h"
#include "vmm-core/worker/on_pci.h"
#include "vmm-core/worker/worker.h"

namespace warren::vmm::worker {
namespace {

using virtio::NetBackEnd;

std::array<std::uint8_t, 6> mac_of(const std::string& text) {
  std::array<std::uint8_t, 6> mac{};
  // validate() has seen to the form.
  for (std::size_t i = 0; i < mac.size(); ++i)
    std::from_chars(text.data() + 3 * i, text.data() + 3 * i + 2, mac[i], 16);
  return mac;
}

virtio::NetOptions net_options(const control::InterfaceSpecification& interface) {
  return {.mac = mac_of(interface.mac),
          .packed = interface.packed,
          .link_up = interface.link_up,
          .mtu = interface.mtu,
          .queue_size = interface.queue_size,
          .pairs = interface.queues};
}

void say_fall_back(const std::string& why) {
  std::fprintf(stderr, "warren-vmm: %s; the worker moves the packets itself\n", why.c_str());
}

using Wires = std::vector<std::unique_ptr<net::Wire>>;

// None, and a line that says why, where the kernel will not.
std::unique_ptr<NetBackEnd> kernel_back_end(const std::string& id, std::vector<FileDescriptor>& vhost,
                                            const Wires& taps, GuestMemory& memory, EventThread& thread) {
  if (vhost.empty()) return nullptr;
  std::vector<std::unique_ptr<virtio::vhost::Peer>> peers;
  for (FileDescriptor& each : vhost) peers.push_back(virtio::vhost::kernel_of(std::move(each)));
  std::vector<int> descriptors;
  for (const auto& tap : taps) descriptors.push_back(tap->descriptor());
  try {
    return std::make_unique<virtio::vhost::KernelNet>(id, std::move(peers), std::move(descriptors), memory,
                                                      thread, say_fall_back);
  } catch (const Error& error) {
    say_fall_back(error.what());
    return nullptr;
  }
}

}  // namespace

// Both queues of a pair on one thread: what comes in is mostly what answers go out for. The control queue is
// behind the pairs, and so on the first of them again.
std::vector<EventThread*> Worker::interface_threads(const control::InterfaceSpecification& interface) {
  std::vector<EventThread*> threads;
  for (std::size_t pair = 0; pair < std::max<std::size_t>(interface.descriptors.size(), 1); ++pair) {
    EventThread& thread = own_thread(pair == 0 ? interface.id : interface.id + "/" + std::to_string(pair));
    threads.insert(threads.end(), 2, &thread);
  }
  return threads;
}

machine::PciDeviceConfiguration Worker::interface_device(const control::InterfaceSpecification& interface,
                                                         control::DescriptorSet& descriptors) {
  NetCounters& counters = net_counters(interface.id);
  const std::vector<EventThread*> threads = interface_threads(interface);
  if (interface.vhost_user) return user_interface(interface, counters, *threads.front(), descriptors);
  if (interface.stream) return stream_interface(interface, counters, threads.front(), descriptors);
  auto taps = std::make_shared<Wires>();
  FileDescriptor first;
  for (const auto& name : interface.descriptors) {
    FileDescriptor tap = take(descriptors, name);
    if (!first) first = tap.duplicate();
    taps->push_back(std::make_unique<net::Tap>(std::move(tap), interface.id));
  }
  virtio::NetOptions options = net_options(interface);
  if (!interface.steering.empty()) {
    FileDescriptor program = take(descriptors, interface.steering[0]);
    options.steering = std::make_shared<net::Steering>(
        std::move(program), take(descriptors, interface.steering[1]), std::move(first), interface.id);
  }
  auto vhost = std::make_shared<std::vector<FileDescriptor>>();
  for (const auto& name : interface.vhost) vhost->push_back(take(descriptors, name));
  return on_pci(interface.id, interface.address,
                [this, interface, taps, vhost, options, &counters, threads](GuestMemory& memory) {
                  auto back_end = kernel_back_end(interface.id, *vhost, *taps, memory, *threads.front());
                  auto device = std::make_unique<virtio::Net>(interface.id, std::move(*taps), options,
                                                              counters, threads, std::move(back_end));
                  interfaces_[interface.id] = device.get();
                  return device;
                });
}

machine::PciDeviceConfiguration Worker::user_interface(const control::InterfaceSpecification& interface,
                                                       NetCounters& counters, EventThread& thread,
                                                       control::DescriptorSet& descriptors) {
  auto socket = std::make_shared<FileDescriptor>(take(descriptors, *interface.vhost_user));
  virtio::vhost::UserNetOptions options{.pairs = interface.queues};
  options.lost = [id = interface.id](int error) {
    std::fprintf(stderr, "warren-vmm: %s: vhost-user: nobody moves its packets any more: %s\n", id.c_str(),
                 std::strerror(error));
  };
  const auto make = [interface, socket, options, &counters, &thread](GuestMemory& memory) {
    auto back_end =
        std::make_unique<virtio::vhost::UserNet>(interface.id, std::move(*socket), options, memory, thread);
    return std::make_unique<virtio::Net>(interface.id, Wires{}, net_options(interface), counters,
                                         std::vector<EventThread*>{&thread}, std::move(back_end));
  };
  vhost_user_interfaces_.insert(interface.id);
  const auto known = [this, id = interface.id](std::unique_ptr<virtio::Net> device) {
    interfaces_[id] = device.get();
    return device;
  };
  if (!machine_) {
    return on_pci(interface.id, interface.address,
                  [make, known](GuestMemory& memory) { return known(make(memory)); });
  }
  // Now, and not when the device is built: the back end is waited for, and the vCPUs stand still then.
  auto device = std::make_shared<std::unique_ptr<virtio::Net>>(make(machine_->memory()));
  return on_pci(interface.id, interface.address, [device, known] { return known(std::move(*device)); });
}

machine::PciDeviceConfiguration Worker::stream_interface(const control::InterfaceSpecification& interface,
                                                         NetCounters& counters, EventThread* thread,
                                                         control::DescriptorSet& descriptors) {
  auto wires = std::make_shared<Wires>();
  wires->push_back(std::make_unique<net::Stream>(take(descriptors, *interface.stream), interface.id));
  virtio::NetOptions options = net_options(interface);
  options.lost = [this, id = interface.id] { stream_lost(id); };
  return on_pci(interface.id, interface.address,
                [this, id = interface.id, wires, options, &counters, thread](GuestMemory&) {
                  auto device = std::make_unique<virtio::Net>(id, std::move(*wires), options, counters,
                                                              std::vector<EventThread*>{thread});
                  interfaces_[id] = device.get();
                  return device;
                });
}

// On the device's thread.
void Worker::stream_lost(const std::string& interface) noexcept {
  try {
    boost::asio::post(loop_, [this, interface] {
      if (surroundings_.interface_lost) surroundings_.interface_lost({interface});
    });
  } catch (const std::exception&) {
    // No memory for one small message: whoever asks for the status still sees it.
  }
}

std::vector<std::string> Worker::lost_interfaces() const {
  std::vector<std::string> lost;
  for (const auto& [id, device] : interfaces_)
    if (!vhost_user_interfaces_.contains(id) && device->is_lost()) lost.push_back(id);
  return lost;
}

void Worker::reconnect_interface(const control::ReconnectInterface& command,
                                 control::DescriptorSet descriptors) {
  const auto found = interfaces_.find(command.id);
  if (found == interfaces_.end()) throw Error(std::errc::no_such_device, "interface '" + command.id + "'");
  found->second->reconnect(take(descriptors, command.descriptor));
}

}  // namespace warren::vmm::worker
