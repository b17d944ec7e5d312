// dnsmasq as a process of the host: it leaves its maker behind, is found again by its files, and is signalled
// and waited for by its pidfd alone.
//
// It becomes a daemon by itself, because then it says what it could not do before its starter ends, and so
// the one that was started and the one that was found after a restart of ours are the same kind of process:
// none is our child. Blocks: pool threads.
#pragma once

#include <chrono>
#include <optional>
#include <string_view>

#include <sys/types.h>

#include "driver/network/dnsmasq_configuration.h"
#include "vmm-core/os/file_descriptor.h"

namespace warren::driver::network {

struct DnsmasqProcess {
  pid_t pid = -1;
  vmm::FileDescriptor pidfd;

  // False if it has ended.
  bool signal(int number) const noexcept;
  bool has_ended(std::chrono::milliseconds patience) const noexcept;
};

// Throws Error with what it said. One that is still there for these files is stopped first.
DnsmasqProcess start_dnsmasq(const DnsmasqFiles& files, std::string_view network);
// That of the process id file, if it is a dnsmasq and was started with this configuration. Start times tell a
// reused process id only to who has written one down; these two tell it to anybody.
std::optional<DnsmasqProcess> find_dnsmasq(const DnsmasqFiles& files);
// SIGTERM, and SIGKILL when `patience` is over. Returns when it has ended; throws Error if it does not even
// then.
void stop_dnsmasq(const DnsmasqProcess& process, std::chrono::milliseconds patience);

}  // namespace warren::driver::network
