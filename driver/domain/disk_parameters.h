// <iotune> as libvirt's typed parameters, and the disks of a definition by name. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

#include "driver/config/domain_definition.h"
#include "driver/contract/typed_parameter.h"

namespace warren::driver::domain {

// Its target, or the path of its file. The name of an export is not a path.
bool is_called(const config::Disk& disk, std::string_view name);

// By target ("vda", or "vda[1]" for what is below it) or source. Throws INVALID_ARG.
const config::Disk& find_disk(const config::DomainDefinition& definition, const std::string& name);

TypedParameters io_tune_parameters(const config::IoTune& tune);
// Sets the disk's limits, and those of all disks in its group. Throws Error, and the definition is not to be
// used then.
void change_io_tune(config::DomainDefinition& definition, const std::string& disk,
                    const TypedParameters& parameters);
// For the event.
TypedParameters tunable_parameters(const std::string& target, const TypedParameters& parameters);

}  // namespace warren::driver::domain
