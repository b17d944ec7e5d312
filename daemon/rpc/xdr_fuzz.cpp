// Decodes arbitrary bytes as the arguments or the result of every known procedure (T16).
//
// Input: a byte for the program, two for the procedure, one for which of its structs, then the payload. What
// can be decoded is encoded again, and that encoding is a fixed point of the same length.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

#include "daemon/rpc/procedure.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace warren::daemon::rpc;
  if (size < 4) return 0;
  const Program& program = programs()[data[0] % programs().size()];
  std::span<const Procedure* const> procedures = program.procedures();
  const Procedure* procedure = procedures[(std::size_t{data[1]} << 8 | data[2]) % procedures.size()];
  if (procedure == nullptr) return 0;
  const Layout& layout = (data[3] & 1) == 0 ? procedure->arguments : procedure->result;
  // Bytes as bytes.
  std::span<const std::byte> payload(reinterpret_cast<const std::byte*>(data + 4), size - 4);

  std::vector<std::byte> once;
  std::size_t consumed = 0;
  if (!layout.recode(payload, once, consumed)) return 0;
  if (once.size() != consumed) std::abort();
  std::vector<std::byte> twice;
  if (!layout.recode(once, twice, consumed) || consumed != once.size() || twice != once) std::abort();
  return 0;
}
