// Keyboards and pointers, and what the daemon types and moves.
#include <algorithm>
#include <chrono>
#include <memory>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "vmm-core/os/error.h"
#include "vmm-core/virtio/host_input.h"
#include "vmm-core/worker/on_pci.h"
#include "vmm-core/worker/worker.h"

namespace warren::vmm::worker {
namespace {

using control::MachineState;

virtio::InputDescription describe(const control::HostInputSpecification& host) {
  virtio::InputDescription description{.name = host.name,
                                       .serial = host.serial,
                                       .bus = host.bus,
                                       .vendor = host.vendor,
                                       .product = host.product,
                                       .version = host.version,
                                       .properties = host.properties,
                                       .events = {},
                                       .axes = {}};
  for (const auto& events : host.events) description.events[events.type] = events.codes;
  for (const auto& axis : host.axes) {
    description.axes.push_back(
        {axis.code, axis.minimum, axis.maximum, axis.fuzz, axis.flat, axis.resolution});
  }
  return description;
}

virtio::InputDescription describe(const control::InputSpecification& input) {
  switch (input.kind) {
    case control::InputKind::mouse:
      return virtio::describe_mouse();
    case control::InputKind::tablet:
      return virtio::describe_tablet();
    case control::InputKind::passthrough:
      return describe(*input.host);
    case control::InputKind::keyboard:
      break;
  }
  return virtio::describe_keyboard();
}

virtio::InputEvent event_of(const control::InputEventSpecification& event) {
  return {event.type, event.code, static_cast<std::uint32_t>(event.value)};
}

}  // namespace

machine::PciDeviceConfiguration Worker::input_device(const control::InputSpecification& input,
                                                     control::DescriptorSet& descriptors) {
  auto host = std::make_shared<FileDescriptor>();
  if (input.host) *host = take(descriptors, input.host->descriptor);
  return on_pci(input.id, input.address, [this, input, host, &shared = shared_thread()] {
    auto device = std::make_unique<virtio::Input>(
        input.id, describe(input), *host ? std::make_unique<virtio::HostInput>(std::move(*host)) : nullptr,
        std::vector<EventThread*>{&shared});
    inputs_[input.id] = device.get();
    return device;
  });
}

void Worker::add_evdevs(const control::MachineSpecification& specification,
                        control::DescriptorSet& descriptors) {
  for (const auto& evdev : specification.evdevs) {
    EvdevSource::Actions actions{.input =
                                     [this](const control::SendInput& input) {
                                       try {
                                         if (machine_) send_input(input);
                                       } catch (const Error&) {
                                         // A machine that does not read it now, or has nothing that takes it,
                                         // goes without.
                                       }
                                     },
                                 .toggled =
                                     [this, all = evdev.grab_all](bool grabbed) {
                                       if (!all) return;
                                       for (const auto& each : evdevs_) each->set_grabbed(grabbed);
                                     }};
    evdevs_.push_back(EvdevSource::make(loop_, shared_thread(), evdev, take(descriptors, evdev.descriptor),
                                        std::move(actions)));
  }
}

virtio::Input* Worker::input_for(std::uint16_t type, std::uint16_t code) const {
  virtio::Input* best = nullptr;
  for (const auto& [id, input] : inputs_) {
    if (input->is_of_host() || !input->takes(type, code) || input->activation() == 0) continue;
    if (best == nullptr || best->activation() < input->activation()) best = input;
  }
  return best;
}

void Worker::send_keys(const control::SendKeys& keys) {
  require(state_ == MachineState::running || state_ == MachineState::paused, "send_keys");
  virtio::Input* keyboard =
      keys.linux_codes.empty() ? nullptr : input_for(virtio::kEventKey, keys.linux_codes.front());
  if (keyboard != nullptr) {
    for (const std::uint16_t code : keys.linux_codes) {
      const virtio::InputEvent down{virtio::kEventKey, code, 1};
      if (!keyboard->send(std::span(&down, 1)))
        throw Error(std::errc::resource_unavailable_try_again,
                    "send_keys: the guest does not read its keyboard");
    }
    return release_keys_later(keys, keyboard->name());
  }
  if (!machine_->press_keys(keys.codes)) {
    throw Error(std::errc::resource_unavailable_try_again, "send_keys: the guest does not read its keyboard");
  }
  release_keys_later(keys, {});
}

// Of the virtio keyboard with that name, or of the PS/2 keyboard.
void Worker::release_keys_later(const control::SendKeys& keys, const std::string& keyboard) {
  auto timer = std::make_shared<boost::asio::steady_timer>(loop_, std::chrono::milliseconds(keys.hold_ms));
  timer->async_wait([this, timer, keys, keyboard](boost::system::error_code cancelled) {
    if (cancelled || !machine_) return;
    // The guest has up to now to make room; keys it never fetched stay down for it, as on a real keyboard.
    if (keyboard.empty()) return static_cast<void>(machine_->release_keys(keys.codes));
    const auto found = inputs_.find(keyboard);
    if (found == inputs_.end()) return;
    std::for_each(keys.linux_codes.rbegin(), keys.linux_codes.rend(), [&](std::uint16_t code) {
      const virtio::InputEvent up{virtio::kEventKey, code, 0};
      found->second->send(std::span(&up, 1));
    });
  });
}

void Worker::send_input(const control::SendInput& input) {
  require(state_ == MachineState::running || state_ == MachineState::paused, "send_input");
  // The device that moves has the buttons, too; nobody's pointer is two.
  virtio::Input* pointer = nullptr;
  for (const auto& event : input.events)
    if (event.type != virtio::kEventKey) pointer = input_for(event.type, event.code);
  std::vector<std::pair<virtio::Input*, std::vector<virtio::InputEvent>>> frames;
  const auto frame_of = [&](virtio::Input* device) -> auto& {
    for (auto& [owner, frame] : frames)
      if (owner == device) return frame;
    return frames.emplace_back(device, std::vector<virtio::InputEvent>()).second;
  };
  std::vector<control::InputEventSpecification> at_keys;
  for (const auto& event : input.events) {
    virtio::Input* device = pointer != nullptr && pointer->takes(event.type, event.code)
                                ? pointer
                                : input_for(event.type, event.code);
    if (device != nullptr) {
      frame_of(device).push_back(event_of(event));
    } else if (event.at_code != 0) {
      at_keys.push_back(event);
    } else {
      throw Error(std::errc::no_such_device,
                  "no keyboard or pointer that the guest reads has what was to be sent");
    }
  }
  bool taken = true;
  for (const auto& [device, frame] : frames) taken = device->send(frame) && taken;
  for (const auto& event : at_keys) {
    const std::span<const std::uint16_t> code(&event.at_code, 1);
    taken = (event.value != 0 ? machine_->press_keys(code) : machine_->release_keys(code)) && taken;
  }
  if (!taken)
    throw Error(std::errc::resource_unavailable_try_again, "send_input: the guest does not read it now");
}

}  // namespace warren::vmm::worker
