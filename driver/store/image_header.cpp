#include "driver/store/image_header.h"

#include <algorithm>
#include <array>
#include <cstring>

#include <endian.h>

namespace warren::driver::store {

namespace {

using Bytes = std::span<const std::byte>;

constexpr std::size_t kMostBackingPath = 1023;  // qcow2.txt, "backing_file_size"

template <typename Integer>
Integer read_at(Bytes bytes, std::size_t offset) {
  Integer value{};
  if (offset > bytes.size() || bytes.size() - offset < sizeof value) return 0;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}
std::uint32_t be32(Bytes bytes, std::size_t offset) {
  return be32toh(read_at<std::uint32_t>(bytes, offset));
}
std::uint64_t be64(Bytes bytes, std::size_t offset) {
  return be64toh(read_at<std::uint64_t>(bytes, offset));
}
std::uint32_t le32(Bytes bytes, std::size_t offset) {
  return le32toh(read_at<std::uint32_t>(bytes, offset));
}
std::uint64_t le64(Bytes bytes, std::size_t offset) {
  return le64toh(read_at<std::uint64_t>(bytes, offset));
}

bool has(Bytes bytes, std::size_t offset, std::string_view magic) {
  return offset <= bytes.size() && bytes.size() - offset >= magic.size() &&
         std::memcmp(bytes.data() + offset, magic.data(), magic.size()) == 0;
}

// Text that may be shown; empty for what is none.
std::string text_at(Bytes bytes, std::uint64_t offset, std::uint64_t length) {
  if (length > kMostBackingPath || offset > bytes.size() || bytes.size() - offset < length) return {};
  std::string text(reinterpret_cast<const char*>(bytes.data() + offset), length);  // bytes as text
  const bool has_controls =
      std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
  return has_controls || !is_utf8(text) ? std::string() : text;
}

void read_qcow(Bytes bytes, ImageHeader& header) {
  header.capacity = be64(bytes, 24);
  header.is_backed = be64(bytes, 8) != 0;
  header.backing_path = text_at(bytes, be64(bytes, 8), be32(bytes, 16));
  if (be32(bytes, 36) != 0) header.encryption = "qcow";
}

void note_defect(ImageHeader& header, std::string_view what) {
  if (header.defect.empty()) header.defect = what;
}

// The header extensions, from `offset` on: a type, a length, so many bytes and padding to eight.
void read_qcow2_extensions(Bytes bytes, std::uint64_t offset, ImageHeader& header) {
  constexpr std::uint32_t kBackingFormat = 0xe2792aca, kDataFile = 0x44415441;
  while (offset <= bytes.size() && bytes.size() - offset >= 8) {
    const std::uint32_t type = be32(bytes, offset);
    const std::uint32_t length = be32(bytes, offset + 4);
    if (type == 0) return;
    offset += 8;
    if (length > bytes.size() - offset)
      return note_defect(header, "a header extension ends beyond the header");
    if (type == kBackingFormat) header.backing_format = text_at(bytes, offset, length);
    if (type == kDataFile) header.data_file = text_at(bytes, offset, length);
    offset += (std::uint64_t{length} + 7) / 8 * 8;
  }
}

void read_qcow2(Bytes bytes, ImageHeader& header) {
  constexpr std::uint64_t kExternalData = 4, kExtendedL2 = 16, kLazyRefcounts = 1;
  const std::uint32_t version = be32(bytes, 4);
  const std::uint32_t cluster_bits = be32(bytes, 20);
  if (cluster_bits >= 9 && cluster_bits <= 21) {
    // All that is read here lies in the first cluster.
    header.cluster_bytes = std::uint64_t{1} << cluster_bits;
    bytes = bytes.first(std::min<std::size_t>(bytes.size(), header.cluster_bytes));
  } else {
    note_defect(header, "its clusters have no possible size");
  }
  header.capacity = be64(bytes, 24);
  const std::uint32_t encryption = be32(bytes, 32);
  if (encryption != 0) header.encryption = encryption == 2 ? "luks" : "qcow";
  std::uint64_t length = 72;
  if (version >= 3) {
    // Of the older version libvirt shows none.
    header.compatibility = "1.1";
    length = std::max(be32(bytes, 100), 104u);
    header.features.emplace();
    if ((be64(bytes, 80) & kLazyRefcounts) != 0) header.features->emplace_back("lazy_refcounts");
    if ((be64(bytes, 72) & kExtendedL2) != 0) header.features->emplace_back("extended_l2");
    header.has_data_file = (be64(bytes, 72) & kExternalData) != 0;
  }
  if (length > bytes.size()) note_defect(header, "its header is cut off");
  read_qcow2_extensions(bytes, length, header);
  header.is_backed = be64(bytes, 8) != 0;
  if (!header.is_backed) return;
  header.backing_path = text_at(bytes, be64(bytes, 8), be32(bytes, 16));
  if (header.backing_path.empty())
    note_defect(header, "the name of its backing file is no text, or does not lie in the header");
}

void read_qed(Bytes bytes, ImageHeader& header) {
  header.capacity = le64(bytes, 48);
  header.cluster_bytes = le32(bytes, 4);
  header.is_backed = (le64(bytes, 16) & 1) != 0;
  if (header.is_backed) header.backing_path = text_at(bytes, le32(bytes, 56), le32(bytes, 60));
}

void read_vmdk(Bytes bytes, ImageHeader& header) {
  const std::uint64_t sectors = le64(bytes, 12);
  if (has(bytes, 0, "KDMV") && sectors <= UINT64_MAX / 512) header.capacity = sectors * 512;
}

struct Signature {
  std::string_view format;
  std::size_t offset;
  std::string_view magic;
  void (*read)(Bytes, ImageHeader&);
};

using namespace std::string_view_literals;

constexpr Signature kSignatures[] = {
    {"qcow2", 0, "QFI\xfb\0\0\0\2"sv, &read_qcow2},
    {"qcow2", 0, "QFI\xfb\0\0\0\3"sv, &read_qcow2},
    {"qcow", 0, "QFI\xfb\0\0\0\1"sv, &read_qcow},
    {"qed", 0, "QED\0"sv, &read_qed},
    {"vmdk", 0, "KDMV"sv, &read_vmdk},
    {"vmdk", 0, "# Disk DescriptorFile"sv, &read_vmdk},
    {"vdi", 0x40, "\x7f\x10\xda\xbe"sv,
     [](Bytes bytes, ImageHeader& header) { header.capacity = le64(bytes, 0x170); }},
    {"vpc", 0, "conectix"sv, [](Bytes bytes, ImageHeader& header) { header.capacity = be64(bytes, 48); }},
    {"bochs", 0, "Bochs Virtual HD Image"sv, nullptr},
    {"cow", 0, "OOOM"sv, nullptr},
    {"iso", 32769, "CD001"sv, nullptr},
};

bool matches(const Signature& signature, Bytes start) {
  return has(start, signature.offset, signature.magic);
}

ImageHeader read(const Signature& signature, Bytes start) {
  ImageHeader header;
  header.format = signature.format;
  if (signature.read != nullptr) signature.read(start, header);
  // Sizes are offsets in files: what is beyond is nonsense.
  if (header.capacity > static_cast<std::uint64_t>(INT64_MAX)) header.capacity = 0;
  return header;
}

}  // namespace

ImageHeader probe_header(Bytes start) {
  for (const Signature& signature : kSignatures)
    if (matches(signature, start)) return read(signature, start);
  ImageHeader header;
  if (has(start, 0, "LUKS\xba\xbe"sv)) header.encryption = "luks";
  return header;
}

ImageHeader read_header(std::string_view format, Bytes start) {
  for (const Signature& signature : kSignatures)
    if (signature.format == format && matches(signature, start)) return read(signature, start);
  ImageHeader header;
  header.format = format;
  if (format == "qcow2") header.defect = "its first bytes are others";
  return header;
}

bool is_utf8(std::string_view text) noexcept {
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const std::size_t length = lead < 0x80   ? 1
                               : lead < 0xc2 ? 0
                               : lead < 0xe0 ? 2
                               : lead < 0xf0 ? 3
                               : lead < 0xf5 ? 4
                                             : 0;
    if (length == 0 || text.size() - i < length) return false;
    std::uint32_t code = length == 1 ? lead : lead & (0xffu >> (length + 1));
    for (std::size_t j = 1; j < length; ++j) {
      const auto next = static_cast<unsigned char>(text[i + j]);
      if ((next & 0xc0) != 0x80) return false;
      code = code << 6 | (next & 0x3fu);
    }
    constexpr std::array<std::uint32_t, 5> kLeast = {0, 0, 0x80, 0x800, 0x10000};
    if (code < kLeast[length] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) return false;
    i += length;
  }
  return true;
}

}  // namespace warren::driver::store
