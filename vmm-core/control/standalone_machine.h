// A machine and where its descriptors come from: the file that `warren-vmm run FILE` runs.
//
// JSON: {"machine": a MachineSpecification, "descriptors": [Resource…]}. Plain data; any thread.
#pragma once

#include <string>
#include <vector>

#include <boost/describe/class.hpp>
#include <boost/describe/enum.hpp>

#include "vmm-core/control/machine_specification.h"

namespace warren::vmm::control {

enum class ResourceKind {
  file,    // `path`, opened read-only unless `write`; with O_DIRECT if `direct`
  output,  // `path`, created or truncated, write-only
  tap,     // a queue of the tap interface `path`, made if it does not exist
  pty,     // a new pseudo terminal; the name of its other side is printed on stderr
};
BOOST_DESCRIBE_ENUM(ResourceKind, file, output, tap, pty)

// What the machine refers to by `name`.
struct Resource {
  std::string name;
  ResourceKind kind = ResourceKind::file;
  std::string path;
  bool write = false;
  bool direct = false;
};
BOOST_DESCRIBE_STRUCT(Resource, (), (name, kind, path, write, direct))

struct StandaloneMachine {
  MachineSpecification machine;
  std::vector<Resource> descriptors;
};
BOOST_DESCRIBE_STRUCT(StandaloneMachine, (), (machine, descriptors))

// With line breaks and indentation, ending in one.
std::string format_standalone_machine(const StandaloneMachine& machine);
// Throws vmm::Error for what is no such document; the machine is validated.
StandaloneMachine parse_standalone_machine(const std::string& text);

}  // namespace warren::vmm::control
