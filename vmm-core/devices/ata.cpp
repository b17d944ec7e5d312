#include "vmm-core/devices/ata.h"

#include <bit>
#include <string_view>

namespace warren::vmm::ata {

static_assert(std::endian::native == std::endian::little);

void IdentifyData::set_text(std::size_t word, std::size_t words, std::string_view text) noexcept {
  for (std::size_t i = 0; i < words; ++i) {
    const auto at = [&](std::size_t index) {
      return static_cast<std::uint16_t>(index < text.size() ? static_cast<unsigned char>(text[index]) : ' ');
    };
    words_[word + i] = static_cast<std::uint16_t>(at(2 * i) << 8 | at(2 * i + 1));
  }
}

// Word 255: a signature, and what makes the sum of all bytes zero.
void IdentifyData::finish() noexcept {
  words_[255] = 0x00a5;
  std::uint8_t sum = 0;
  for (const std::byte byte : bytes())
    sum = static_cast<std::uint8_t>(sum + std::to_integer<std::uint8_t>(byte));
  words_[255] = static_cast<std::uint16_t>(words_[255] | static_cast<std::uint8_t>(-sum) << 8);
}

void set_common_words(IdentifyData& identify, std::uint8_t ultra_dma, std::uint8_t multiword_dma) noexcept {
  identify.set(53, 1 << 2 | 1 << 1);  // words 64 to 70 and 88 say something
  identify.set(63, 0x07U | (multiword_dma != 0 ? 0x80U << multiword_dma : 0));
  identify.set(64, 0x03);  // PIO 3 and 4
  for (std::size_t word = 65; word <= 68; ++word) identify.set(word, 120);
  identify.set(80, 0x1f0);  // ATA/ATAPI-4 to ACS-2
  identify.set(88, 0x3fU | (ultra_dma != 0 ? 0x80U << ultra_dma : 0));
  identify.set(93, 0);  // Serial ATA has no cable to look at
}

void set_world_wide_name(IdentifyData& identify, std::optional<std::uint64_t> name) noexcept {
  constexpr std::uint16_t kHasName = 1 << 8;
  constexpr std::size_t kName = 108, kNameWords = 4;
  if (!name) return;
  identify.add(84, kHasName);
  identify.add(87, kHasName);
  for (std::size_t i = 0; i < kNameWords; ++i)
    identify.set(kName + i, static_cast<std::uint32_t>(*name >> 16 * (kNameWords - 1 - i) & 0xffff));
}

bool set_transfer_mode(std::uint8_t mode, std::uint8_t& ultra_dma, std::uint8_t& multiword_dma) noexcept {
  const std::uint8_t kind = mode >> 3, number = mode & 7;
  switch (kind) {
    case 0:  // PIO default
    case 1:  // PIO with flow control
      return number <= 4;
    case 4:
      if (number > 2) return false;
      multiword_dma = static_cast<std::uint8_t>(number + 1);
      ultra_dma = 0;
      return true;
    case 8:
      if (number > 5) return false;
      ultra_dma = static_cast<std::uint8_t>(number + 1);
      multiword_dma = 0;
      return true;
    default:
      return false;
  }
}

}  // namespace warren::vmm::ata
