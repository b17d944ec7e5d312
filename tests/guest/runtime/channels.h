// mode=channels: the guest opens every named port of its virtio console device and answers on it.
#pragma once

namespace guest {

// On org.qemu.guest_agent.0 it is a small guest agent: guest-sync-delimited, guest-ping, guest-get-host-name
// and guest-shutdown; to test-silence it says nothing, and others it does not know. On any other port it
// sends each line back; the line "close" closes the port for half a second. Says READY when all ports
// that the device has told of are open.
[[noreturn]] void serve_channels();

}  // namespace guest
