// A definition's tuning as libvirt's typed parameters, and back.
//
// Getters give every parameter of the group, unset ones with libvirt's defaults: those of the kernel for a
// running domain, 0 for a stored one. Setters check names, types and ranges of all parameters before they
// change anything; a name that is not known is VIR_ERR_ARGUMENT_UNSUPPORTED, a wrong type or value
// VIR_ERR_INVALID_ARG. Pure; any thread.
#pragma once

#include <string>

#include "driver/config/domain_definition.h"
#include "driver/contract/domain_tuning.h"

namespace warren::driver::domain {

TypedParameters tuning_of(const config::DomainDefinition& definition, TuningGroup group, bool is_live);
void set_tuning_of(config::DomainDefinition& definition, TuningGroup group, const TypedParameters& parameters,
                   bool is_live);

TypedParameters bandwidth_parameters(const config::Interface& interface);
void set_bandwidth(config::Interface& interface, const TypedParameters& parameters);

// The one with that target or MAC address. Throws INVALID_ARG.
config::Interface& find_interface(config::DomainDefinition& definition, const std::string& device);
// The same; throws VIR_ERR_OPERATION_UNSUPPORTED for one whose traffic Warren does not limit.
config::Interface& require_limits(config::Interface& interface);

}  // namespace warren::driver::domain
