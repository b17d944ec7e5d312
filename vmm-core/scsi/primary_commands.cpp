#include "vmm-core/scsi/primary_commands.h"

#include <algorithm>

namespace warren::vmm::scsi {
namespace {

constexpr std::uint8_t kPagesPage = 0x00, kSerialPage = 0x80, kIdentificationPage = 0x83;
// Designators of page 83h (§7.8.6): code sets and types.
constexpr std::uint32_t kBinary = 1, kAscii = 2, kVendorSpecific = 0, kNaa = 3;
constexpr std::size_t kMaximumName = 128;

void add_pages(AnswerWriter& answer, const Identification& identification,
               std::span<const std::uint8_t> others) noexcept {
  const bool has_serial = !identification.serial.empty();
  const bool has_name = !identification.name.empty() || identification.wwn;
  answer.add16(
      static_cast<std::uint32_t>(1U + (has_serial ? 1U : 0U) + (has_name ? 1U : 0U) + others.size()));
  answer.add8(kPagesPage);
  if (has_serial) answer.add8(kSerialPage);
  if (has_name) answer.add8(kIdentificationPage);
  for (const std::uint8_t page : others) answer.add8(page);
}

void add_designators(AnswerWriter& answer, const Identification& identification) noexcept {
  const std::size_t name = std::min(identification.name.size(), kMaximumName);
  constexpr std::size_t kHeader = 4, kNaaBytes = 8;
  answer.add16(static_cast<std::uint32_t>((name != 0 ? kHeader + name : 0) +
                                          (identification.wwn ? kHeader + kNaaBytes : 0)));
  if (name != 0) {
    answer.add8(kAscii);
    answer.add8(kVendorSpecific);
    answer.add8(0);
    answer.add8(static_cast<std::uint32_t>(name));
    answer.add_text(identification.name, name);
  }
  if (identification.wwn) {
    answer.add8(kBinary);
    answer.add8(kNaa);
    answer.add8(0);
    answer.add8(kNaaBytes);
    answer.add64(*identification.wwn);
  }
}

}  // namespace

void add_inquiry(AnswerWriter& answer, DeviceType type, bool removable, bool queues,
                 const Identification& identification) noexcept {
  constexpr std::uint32_t kSpc3 = 5, kHierarchical = 0x10, kFormat = 2, kCommandQueuing = 2;
  answer.add8(static_cast<std::uint8_t>(type));
  answer.add8(removable ? 0x80 : 0);
  answer.add8(kSpc3);
  answer.add8(queues ? kHierarchical | kFormat : kFormat);
  answer.add8(31);  // bytes that follow
  answer.zeros(2);
  answer.add8(queues ? kCommandQueuing : 0);
  answer.add_text(identification.vendor, kVendorBytes);
  answer.add_text(identification.product, kProductBytes);
  answer.add_text("1.0", 4);
}

bool add_vital_page(AnswerWriter& answer, DeviceType type, std::uint8_t page,
                    const Identification& identification, std::span<const std::uint8_t> others) noexcept {
  const std::size_t serial = std::min(identification.serial.size(), kMaximumSerial);
  const bool has_name = !identification.name.empty() || identification.wwn;
  if (page != kPagesPage && (page != kSerialPage || serial == 0) &&
      (page != kIdentificationPage || !has_name))
    return false;
  answer.add8(static_cast<std::uint8_t>(type));
  answer.add8(page);
  if (page == kPagesPage) {
    add_pages(answer, identification, others);
  } else if (page == kSerialPage) {
    answer.add16(static_cast<std::uint32_t>(serial));
    answer.add_text(identification.serial, serial);
  } else {
    add_designators(answer, identification);
  }
  return true;
}

std::array<std::byte, kSenseBytes> sense_data(const Sense& sense) noexcept {
  std::array<std::byte, kSenseBytes> bytes{};
  AnswerWriter answer(bytes);
  answer.add8(0x70);
  answer.add8(0);
  answer.add8(sense.key);
  answer.add32(0);
  answer.add8(kSenseBytes - 8);  // bytes that follow
  answer.add32(0);
  answer.add8(sense.code);
  answer.add8(sense.qualifier);
  return bytes;
}

Answer give_sense(std::span<std::byte> place, const Sense& sense, std::size_t allocation_length) noexcept {
  const auto bytes = sense_data(sense);
  std::ranges::copy(bytes, place.begin());
  const std::size_t size = std::min(bytes.size(), allocation_length);
  if (size == 0) return {};
  return {.kind = Answer::Kind::data, .data = place.first(size)};
}

}  // namespace warren::vmm::scsi
