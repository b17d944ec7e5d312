// What every call that takes typed parameters refuses, in libvirt's words. Pure; any thread.
#pragma once

#include <span>
#include <string_view>

#include "driver/contract/typed_parameter.h"

namespace warren::driver {

struct KnownParameter {
  std::string_view name;
  int type;  // virTypedParameterType
};

// Throws ARGUMENT_UNSUPPORTED for one that is not known, INVALID_ARG for one given twice or of another type.
void check_parameters(const TypedParameters& parameters, std::span<const KnownParameter> known);

}  // namespace warren::driver
