// A named value of one of libvirt's parameter types (virTypedParameter), in lists whose order is kept.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <libvirt/libvirt.h>

namespace warren::driver {

struct TypedParameter {
  // The order is that of virTypedParameterType, which begins at 1.
  using Value =
      std::variant<std::int32_t, std::uint32_t, std::int64_t, std::uint64_t, double, bool, std::string>;

  std::string field;  // at most VIR_TYPED_PARAM_FIELD_LENGTH - 1 bytes
  Value value;

  int type() const noexcept { return static_cast<int>(value.index()) + 1; }
  friend bool operator==(const TypedParameter&, const TypedParameter&) = default;
};

static_assert(VIR_TYPED_PARAM_INT == 1 && VIR_TYPED_PARAM_UINT == 2 && VIR_TYPED_PARAM_LLONG == 3 &&
              VIR_TYPED_PARAM_ULLONG == 4 && VIR_TYPED_PARAM_DOUBLE == 5 && VIR_TYPED_PARAM_BOOLEAN == 6 &&
              VIR_TYPED_PARAM_STRING == 7);

using TypedParameters = std::vector<TypedParameter>;

}  // namespace warren::driver
