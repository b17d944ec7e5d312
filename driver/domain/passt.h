// Interfaces of type user: a passt for each, on the host's own sockets.
//
// It gets one end of a connection, and the worker the other; it ends by itself when the worker closes its
// end, so it lives as long as the interface does, whatever becomes of the daemon. It puts itself in a cage
// (user, namespaces, system calls) before it sees a packet. A file in the domain's directory says which
// process it is, for who has to see it ended.
//
// Blocks: pool threads only.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include <sys/types.h>

#include "driver/config/interface.h"
#include "vmm-core/os/file_descriptor.h"

namespace warren::driver::domain {

struct PasstSettings {
  std::filesystem::path directory;  // the domain's
  uid_t user = 65534;               // who it is when the daemon is root
  gid_t group = 65534;
  std::function<void(pid_t)> place = [](pid_t) {};  // where its limits are set
};

// Names the record of an interface's passt.
std::string passt_name(const config::Interface& interface);

// What it is told but for its descriptors and its user. Pure.
std::vector<std::string> passt_arguments(const config::Interface& interface);

// The worker's end, when passt is ready: its ports are open. Throws Error naming the interface, with what
// passt said; also while one that is recorded under that name still runs.
vmm::FileDescriptor start_passt(const config::Interface& interface, const PasstSettings& settings);

// When nobody has the worker's end any more: gives it a moment to end by itself, then kills it.
void end_passt(const std::filesystem::path& directory, const std::string& name) noexcept;

}  // namespace warren::driver::domain
