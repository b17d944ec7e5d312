#include "driver/domain/memory_policy.h"

#include <array>
#include <cerrno>

#include <fmt/format.h>
#include <linux/mempolicy.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "driver/contract/error.h"

namespace warren::driver::domain {

namespace {

int policy_of(config::NumaMemoryMode mode) {
  switch (mode) {
    case config::NumaMemoryMode::strict:
      return MPOL_BIND;
    case config::NumaMemoryMode::preferred:
      return MPOL_PREFERRED;
    case config::NumaMemoryMode::interleave:
      return MPOL_INTERLEAVE;
    case config::NumaMemoryMode::restrictive:
      break;  // what the domain's group allows, and no policy
  }
  return MPOL_DEFAULT;
}

}  // namespace

MemoryPolicy::MemoryPolicy(const config::NumaTuning& tuning) {
  const int policy = tuning.mode ? policy_of(*tuning.mode) : int{MPOL_DEFAULT};
  if (policy == MPOL_DEFAULT) return;
  constexpr std::size_t kBitsPerWord = 8 * sizeof(unsigned long);
  std::array<unsigned long, config::CpuSet::kLimit / kBitsPerWord> mask{};
  for (const std::uint32_t node : tuning.nodes.members())
    mask[node / kBitsPerWord] |= 1ul << (node % kBitsPerWord);
  if (::syscall(SYS_set_mempolicy, policy, mask.data(), std::size_t{config::CpuSet::kLimit}) != 0) {
    throw system_error(errno, fmt::format("take memory from the NUMA nodes {}", tuning.nodes.to_string()));
  }
  is_set_ = true;
}

MemoryPolicy::~MemoryPolicy() {
  if (is_set_) ::syscall(SYS_set_mempolicy, int{MPOL_DEFAULT}, nullptr, 0ul);
}

}  // namespace warren::driver::domain
