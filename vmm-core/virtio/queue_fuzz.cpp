// A virtqueue whose rings, tables and indexes are the fuzzer's: nothing outside RAM is ever handed out, and
// every chain that is popped can be returned.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "vmm-core/virtio/queue.h"

namespace {
using namespace warren::vmm;
using namespace warren::vmm::virtio;

constexpr std::uint64_t kRamSize = 0x20000;
constexpr GuestMemory::Layout kLayout[] = {{GuestAddress{0}, 0x10000},
                                           {GuestAddress{0x40000}, kRamSize - 0x10000}};

bool in_ram(const GuestMemory& memory, const iovec& range) {
  const auto* begin = static_cast<const std::byte*>(range.iov_base);
  return std::ranges::any_of(memory.regions(), [&](const MemoryRegion& region) {
    return begin >= region.host && range.iov_len <= region.size &&
           static_cast<std::uint64_t>(begin - region.host) <= region.size - range.iov_len;
  });
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 8) return 0;
  static GuestMemory memory(kLayout);
  QueueConfiguration configuration;
  configuration.packed = (data[0] & 1) != 0;
  configuration.indirect = (data[0] & 2) != 0;
  configuration.event_index = (data[0] & 4) != 0;
  configuration.size = static_cast<std::uint16_t>(configuration.packed ? 1 + data[1] : 1u << (data[1] % 9));
  configuration.descriptors = {std::uint64_t{data[2]} * 16};
  configuration.driver = {0x2000 + std::uint64_t{data[3]} * 4};
  configuration.device = {0x3000 + std::uint64_t{data[4]} * 4};
  const unsigned rounds = data[5] % 4 + 1;
  const std::span<const std::uint8_t> content(data + 6, size - 6);
  // The rings lie in the first 16 KiB; the rest of the input is their content, again and again.
  for (std::size_t at = 0; at < 0x4000; at += content.size()) {
    const std::size_t piece = std::min(content.size(), 0x4000 - at);
    if (!memory.write(GuestAddress{at}, std::as_bytes(content.first(piece)))) __builtin_trap();
  }
  Queue queue(memory);
  if (!queue.activate(configuration)) return 0;
  for (unsigned round = 0; round < rounds; ++round) {
    queue.disable_notifications();
    Chain chain;
    for (unsigned popped = 0; popped < 2048 && queue.pop(chain); ++popped) {
      for (const auto& range : chain.readable) {
        if (!in_ram(memory, range)) __builtin_trap();
      }
      for (const auto& range : chain.writable) {
        if (!in_ram(memory, range)) __builtin_trap();
      }
      if (popped % 7 == 3) {
        queue.push_back(chain);
        break;
      }
      Writer(chain.writable).write(std::as_bytes(content.first(std::min<std::size_t>(content.size(), 64))));
      chain.ticket.complete(static_cast<std::uint32_t>(std::min<std::uint64_t>(chain.writable_bytes, 64)));
    }
    (void)queue.take_interrupt();
    (void)queue.enable_notifications();
  }
  if (queue.in_flight() != 0) __builtin_trap();
  return 0;
}
