// A worker without a daemon, for tests and debugging: `warren-vmm run FILE`.
//
// FILE is JSON: {"machine": a MachineSpecification, "descriptors": [Resource…]}. Each resource opens what the
// machine refers to by name, as the daemon would; there is no sandbox unless asked for, since files are
// opened here.
#pragma once

#include <string>
#include <vector>

#include <boost/describe/class.hpp>
#include <boost/describe/enum.hpp>

#include "vmm-core/control/machine_specification.h"
#include "vmm-core/control/server.h"

namespace warren::vmm::worker {

enum class ResourceKind {
  file,    // `path`, opened read-only unless `write`; with O_DIRECT if `direct`
  output,  // `path`, created or truncated, write-only
  tap,     // a queue of the tap interface `path`, made if it does not exist
  pty,     // a new pseudo terminal; the name of its other side is printed on stderr
};
BOOST_DESCRIBE_ENUM(ResourceKind, file, output, tap, pty)

struct Resource {
  std::string name;
  ResourceKind kind = ResourceKind::file;
  std::string path;
  bool write = false;
  bool direct = false;
};
BOOST_DESCRIBE_STRUCT(Resource, (), (name, kind, path, write, direct))

struct StandaloneMachine {
  control::MachineSpecification machine;
  std::vector<Resource> descriptors;
};
BOOST_DESCRIBE_STRUCT(StandaloneMachine, (), (machine, descriptors))

// Reads and validates FILE. Throws Error naming the file and the member.
StandaloneMachine read_standalone_machine(const std::string& path);

// Opens every resource. Throws Error naming the resource and its path.
control::DescriptorSet open_resources(const std::vector<Resource>& resources);

}  // namespace warren::vmm::worker
