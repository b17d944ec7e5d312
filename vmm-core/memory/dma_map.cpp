#include "vmm-core/memory/dma_map.h"

#include <cerrno>
#include <new>
#include <string>

#include "vmm-core/os/error.h"

namespace warren::vmm {

DmaMap::DmaMap(GuestMemory& memory) : memory_(memory) {
  for (const MemoryRegion& region : memory.regions())
    ranges_[region.start.value] = {region.size, region.host};
}

bool DmaMap::add(GuestAddress start, std::uint64_t size, std::byte* host) noexcept {
  const std::lock_guard lock(mutex_);
  try {
    const auto [place, fresh] = ranges_.try_emplace(start.value, Range{size, host});
    if (!fresh) return false;
    if (target_ == nullptr || target_->map(start, size, host)) return true;
    const int refused = errno;
    ranges_.erase(place);
    errno = refused;
    return false;
  } catch (const std::bad_alloc&) {
    errno = ENOMEM;
    return false;
  }
}

void DmaMap::remove(GuestAddress start) noexcept {
  const std::lock_guard lock(mutex_);
  const auto found = ranges_.find(start.value);
  if (found == ranges_.end()) return;
  if (target_ != nullptr) target_->unmap(start, found->second.size);
  ranges_.erase(found);
}

void DmaMap::set_target(DmaTarget* target) {
  const std::lock_guard lock(mutex_);
  if (target_ != nullptr)
    for (const auto& [start, range] : ranges_) target_->unmap({start}, range.size);
  target_ = nullptr;
  // Before the first page is pinned: a balloon must not take it away again.
  memory_.keep_pages(target != nullptr);
  if (target == nullptr) return;
  for (auto each = ranges_.begin(); each != ranges_.end(); ++each) {
    if (target->map({each->first}, each->second.size, each->second.host)) continue;
    const int refused = errno;
    for (auto done = ranges_.begin(); done != each; ++done) target->unmap({done->first}, done->second.size);
    memory_.keep_pages(false);
    throw Error::from_errno(refused,
                            "let a host device reach the " + std::to_string(each->second.size) +
                                " bytes of guest memory at " + std::to_string(each->first) +
                                (refused == ENOMEM ? ": the limit of locked memory is too low" : ""));
  }
  target_ = target;
}

bool DmaMap::has_target() const noexcept {
  const std::lock_guard lock(mutex_);
  return target_ != nullptr;
}

}  // namespace warren::vmm
