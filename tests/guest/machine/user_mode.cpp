#include "tests/guest/machine/user_mode.h"

extern "C" std::uint64_t enter_user_mode(guest::UserFunction function, std::uint64_t argument,
                                         std::uint8_t* stack);

namespace guest {
namespace {

alignas(16) std::uint8_t user_stack[16384];

}  // namespace

std::uint64_t run_in_user_mode(UserFunction function, std::uint64_t argument) {
  return enter_user_mode(function, argument, user_stack + sizeof user_stack);
}

}  // namespace guest
