#include "vmm-core/virtio/net_scaling.h"

#include <algorithm>
#include <bit>
#include <span>

namespace warren::vmm::virtio {

std::uint16_t ReceiveScaling::pairs() const noexcept {
  const std::uint16_t highest = *std::max_element(entries.begin(), entries.begin() + count);
  return std::max<std::uint16_t>(transmit_pairs,
                                 static_cast<std::uint16_t>(std::max(highest, unclassified) + 1));
}

bool ReceiveScaling::is_valid(std::size_t of) const noexcept {
  if ((hash_types & ~kHashTypes) != 0 || !std::has_single_bit(count) || count > entries.size() ||
      key_bytes > key.size() || transmit_pairs == 0 || transmit_pairs > of || unclassified >= of)
    return false;
  return std::all_of(entries.begin(), entries.begin() + count,
                     [of](std::uint16_t entry) { return entry < of; });
}

net::SteeringSettings ReceiveScaling::settings() const noexcept {
  return {.hash_types = hash_types,
          .unclassified = unclassified,
          .entries = std::span(entries).first(count),
          .key = std::span(key).first(key_bytes)};
}

// struct virtio_net_rss_config: a queue is named by its pair, in 15 bits.
std::optional<ReceiveScaling> read_scaling(Reader& data) noexcept {
  ReceiveScaling scaling;
  std::uint16_t mask = 0;
  if (!data.read_object(scaling.hash_types) || !data.read_object(mask) ||
      !data.read_object(scaling.unclassified) || mask >= scaling.entries.size())
    return std::nullopt;
  scaling.count = static_cast<std::uint16_t>(mask + 1);
  for (std::uint16_t i = 0; i < scaling.count; ++i)
    if (!data.read_object(scaling.entries[i])) return std::nullopt;
  if (!data.read_object(scaling.transmit_pairs) || !data.read_object(scaling.key_bytes) ||
      scaling.key_bytes > scaling.key.size() || !data.read(std::span(scaling.key).first(scaling.key_bytes)))
    return std::nullopt;
  return scaling;
}

}  // namespace warren::vmm::virtio
