#include "driver/contract/known_parameters.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "driver/contract/error.h"

namespace warren::driver {

namespace {

const char* type_name(int type) {
  constexpr const char* kNames[] = {"unknown", "int",    "uint",    "llong",
                                    "ullong",  "double", "boolean", "string"};
  return kNames[static_cast<std::size_t>(type)];
}

}  // namespace

void check_parameters(const TypedParameters& parameters, std::span<const KnownParameter> known) {
  std::set<std::string_view> seen;
  for (const TypedParameter& parameter : parameters) {
    const auto found = std::ranges::find(known, parameter.field, &KnownParameter::name);
    if (found == known.end())
      throw Error(VIR_ERR_ARGUMENT_UNSUPPORTED, fmt::format("parameter '{}' not supported", parameter.field));
    if (!seen.insert(parameter.field).second)
      throw invalid_argument(fmt::format("parameter '{}' occurs multiple times", parameter.field));
    if (parameter.type() != found->type) {
      throw invalid_argument(fmt::format("invalid type '{}' for parameter '{}', expected '{}'",
                                         type_name(parameter.type()), parameter.field,
                                         type_name(found->type)));
    }
  }
}

}  // namespace warren::driver
