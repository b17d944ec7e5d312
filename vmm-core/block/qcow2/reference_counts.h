// How often each host cluster is referred to, as it is found out by following every reference of an image.
//
// Memory is in proportion to the clusters that are referred to, not to their numbers (class T10).
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <unordered_map>

namespace warren::vmm::block::qcow2 {

class ReferenceCounts {
 public:
  void add(std::uint64_t cluster, std::uint64_t count) {
    std::uint64_t& value = pages_[cluster / kPage][cluster % kPage];
    if (__builtin_add_overflow(value, count, &value)) value = ~std::uint64_t{0};
    if (cluster >= end_) end_ = cluster + 1;
  }
  void clear(std::uint64_t cluster) { pages_[cluster / kPage][cluster % kPage] = 0; }
  std::uint64_t get(std::uint64_t cluster) const {
    const auto page = pages_.find(cluster / kPage);
    return page == pages_.end() ? 0 : page->second[cluster % kPage];
  }
  std::uint64_t end() const noexcept { return end_; }  // behind the last that is referred to
  void each(auto&& work) const {
    for (const auto& [number, page] : pages_) {
      for (std::uint64_t i = 0; i < kPage; ++i) {
        if (page[i] != 0) work(number * kPage + i, page[i]);
      }
    }
  }

 private:
  static constexpr std::uint64_t kPage = 32;
  std::unordered_map<std::uint64_t, std::array<std::uint64_t, kPage>> pages_;
  std::uint64_t end_ = 0;
};

}  // namespace warren::vmm::block::qcow2
