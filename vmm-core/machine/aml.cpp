#include "vmm-core/machine/aml.h"

#include <array>
#include <bit>
#include <cstddef>
#include <string>

namespace warren::vmm::machine::aml {
namespace {

void append(Bytes& to, const Bytes& what) {
  for (const std::uint8_t byte : what) to.push_back(byte);
}

template <typename T>
void append_little(Bytes& to, T value) {
  for (std::size_t i = 0; i < sizeof(T); ++i)
    to.push_back(static_cast<std::uint8_t>(std::uint64_t{value} >> (8 * i)));
}

// PkgLength (§20.2.4): 6 bits alone, or 4 bits and one to three more bytes.
Bytes encoded_length(std::size_t length) {
  if (length <= 0x3f) return {static_cast<std::uint8_t>(length)};
  const std::size_t extra = length <= 0xfff ? 1 : length <= 0xfffff ? 2 : 3;
  Bytes result{static_cast<std::uint8_t>((extra << 6) | (length & 0xf))};
  for (std::size_t i = 0; i < extra; ++i) result.push_back(static_cast<std::uint8_t>(length >> (4 + 8 * i)));
  return result;
}

// Of a package it counts itself.
Bytes with_length(const Bytes& content) {
  std::size_t own = 1;
  while (encoded_length(content.size() + own).size() > own) ++own;
  Bytes result = encoded_length(content.size() + own);
  append(result, content);
  return result;
}

Bytes coded(std::initializer_list<std::uint8_t> code, const Bytes& content) {
  Bytes result(code);
  append(result, content);
  return result;
}

unsigned hex_digit(char c) noexcept {
  return static_cast<unsigned>(c >= 'a' ? c - 'a' + 10 : c >= 'A' ? c - 'A' + 10 : c - '0');
}

// A large address space descriptor (§6.4.3.5) of integers as wide as T.
template <typename T>
Bytes address_space(std::uint8_t tag, std::uint8_t kind, std::uint8_t kind_flags, T first, T last) {
  constexpr std::uint8_t kMinimumAndMaximumFixed = 0x0c;
  Bytes result{tag};
  append_little(result, static_cast<std::uint16_t>(3 + 5 * sizeof(T)));
  result.push_back(kind);
  result.push_back(kMinimumAndMaximumFixed);
  result.push_back(kind_flags);
  append_little(result, T{0});  // granularity
  append_little(result, first);
  append_little(result, last);
  append_little(result, T{0});  // translation
  append_little(result, static_cast<T>(last - first + 1));
  return result;
}

constexpr std::uint8_t kWordSpace = 0x88, kDwordSpace = 0x87, kQwordSpace = 0x8a;
constexpr std::uint8_t kMemoryKind = 0, kPortKind = 1, kBusKind = 2;

}  // namespace

Bytes join(std::initializer_list<Bytes> parts) {
  Bytes result;
  for (const auto& part : parts) append(result, part);
  return result;
}

Bytes integer(std::uint64_t value) {
  if (value <= 1) return {static_cast<std::uint8_t>(value)};  // ZeroOp, OneOp
  Bytes result;
  if (value <= 0xff) {
    result.push_back(0x0a);
    append_little(result, static_cast<std::uint8_t>(value));
  } else if (value <= 0xffff) {
    result.push_back(0x0b);
    append_little(result, static_cast<std::uint16_t>(value));
  } else if (value <= 0xffffffff) {
    result.push_back(0x0c);
    append_little(result, static_cast<std::uint32_t>(value));
  } else {
    result.push_back(0x0e);
    append_little(result, value);
  }
  return result;
}

Bytes text(std::string_view value) {
  Bytes result{0x0d};
  for (const char c : value) result.push_back(static_cast<std::uint8_t>(c));
  result.push_back(0);
  return result;
}

Bytes eisa_id(std::string_view id) {
  // Three letters of five bits and four hex digits, big-endian (§19.3.4).
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 3; ++i) value = (value << 5) | (static_cast<std::uint32_t>(id[i] - '@') & 0x1f);
  for (std::size_t i = 3; i < 7; ++i) value = (value << 4) | hex_digit(id[i]);
  return integer(std::byteswap(value));
}

Bytes buffer(const Bytes& content) {
  Bytes inner = integer(content.size());
  append(inner, content);
  return coded({0x11}, with_length(inner));
}

Bytes package(const std::vector<Bytes>& elements) {
  Bytes inner{static_cast<std::uint8_t>(elements.size())};
  for (const auto& element : elements) append(inner, element);
  return coded({0x12}, with_length(inner));
}

Bytes uuid(std::string_view text) {
  // The first three groups are little-endian integers, the rest bytes in order.
  constexpr std::array<std::size_t, 16> kPlaces = {6, 4, 2, 0, 11, 9, 16, 14, 19, 21, 24, 26, 28, 30, 32, 34};
  Bytes content;
  for (const std::size_t place : kPlaces) {
    content.push_back(static_cast<std::uint8_t>(hex_digit(text[place]) << 4 | hex_digit(text[place + 1])));
  }
  return buffer(content);
}

Bytes path(std::string_view name) {
  Bytes result;
  if (name.starts_with('\\')) {
    result.push_back('\\');
    name.remove_prefix(1);
  }
  const std::size_t segments = (name.size() + 1) / 5;
  if (segments == 0) result.push_back(0);
  if (segments == 2) result.push_back(0x2e);  // DualNamePrefix
  if (segments > 2) {
    result.push_back(0x2f);  // MultiNamePrefix
    result.push_back(static_cast<std::uint8_t>(segments));
  }
  for (const char c : name) {
    if (c != '.') result.push_back(static_cast<std::uint8_t>(c));
  }
  return result;
}

Bytes name(std::string_view object, const Bytes& value) {
  return coded({0x08}, join({path(object), value}));
}
Bytes scope(std::string_view object, const Bytes& content) {
  return coded({0x10}, with_length(join({path(object), content})));
}
Bytes device(std::string_view object, const Bytes& content) {
  return coded({0x5b, 0x82}, with_length(join({path(object), content})));
}
Bytes method(std::string_view object, unsigned arguments, const Bytes& content) {
  return coded({0x14},
               with_length(join({path(object), Bytes{static_cast<std::uint8_t>(arguments)}, content})));
}

Bytes serialized_method(std::string_view object, unsigned arguments, const Bytes& content) {
  constexpr unsigned kSerialized = 8;  // of the flags (§20.2.5.2)
  return method(object, arguments | kSerialized, content);
}
Bytes call(std::string_view object, std::initializer_list<Bytes> arguments) {
  return join({path(object), join(arguments)});
}

Bytes argument(unsigned index) {
  return {static_cast<std::uint8_t>(0x68 + index)};
}
Bytes local(unsigned index) {
  return {static_cast<std::uint8_t>(0x60 + index)};
}
Bytes give_back(const Bytes& value) {
  return coded({0xa4}, value);
}
Bytes store(const Bytes& value, const Bytes& target) {
  return coded({0x70}, join({value, target}));
}
Bytes create_dword_field(const Bytes& source, std::uint64_t offset, std::string_view field) {
  return coded({0x8a}, join({source, integer(offset), path(field)}));
}
Bytes create_qword_field(const Bytes& source, std::uint64_t offset, std::string_view field) {
  return coded({0x8f}, join({source, integer(offset), path(field)}));
}
Bytes equal(const Bytes& left, const Bytes& right) {
  return coded({0x93}, join({left, right}));
}
Bytes bit_and(const Bytes& left, const Bytes& right, const Bytes& target) {
  return coded({0x7b}, join({left, right, target}));
}
Bytes bit_or(const Bytes& left, const Bytes& right, const Bytes& target) {
  return coded({0x7d}, join({left, right, target}));
}
Bytes when(const Bytes& condition, const Bytes& content) {
  return coded({0xa0}, with_length(join({condition, content})));
}
Bytes otherwise(const Bytes& content) {
  return coded({0xa1}, with_length(content));
}

Bytes loop_while(const Bytes& condition, const Bytes& content) {
  return coded({0xa2}, with_length(join({condition, content})));
}
Bytes add(const Bytes& left, const Bytes& right) {
  return coded({0x72}, join({left, right, Bytes{0x00}}));  // to no target
}
Bytes shift_left(const Bytes& value, const Bytes& count) {
  return coded({0x79}, join({value, count, Bytes{0x00}}));
}
Bytes shift_right(const Bytes& value, const Bytes& count, const Bytes& target) {
  return coded({0x7a}, join({value, count, target}));
}
Bytes notify(const Bytes& object, const Bytes& value) {
  return coded({0x86}, join({object, value}));
}

Bytes memory_region(std::string_view region, std::uint32_t start, std::uint32_t length) {
  return memory_region(region, integer(start), length);
}

Bytes memory_region(std::string_view region, const Bytes& start, std::uint32_t length) {
  return coded({0x5b, 0x80}, join({path(region), Bytes{0x00}, start, integer(length)}));
}

Bytes dword_fields(std::string_view region, std::initializer_list<DwordField> fields) {
  constexpr std::uint8_t kDwordAccessPreserve = 0x03;
  constexpr std::uint32_t kFieldBits = 32;
  Bytes list;
  std::uint32_t at = 0;
  for (const DwordField& field : fields) {
    if (field.offset > at) {  // a reserved field: its length in bits, encoded as a PkgLength
      list.push_back(0);
      append(list, encoded_length(std::size_t{field.offset - at} * 8));
    }
    append(list, path(field.name));
    append(list, encoded_length(kFieldBits));
    at = field.offset + kFieldBits / 8;
  }
  return coded({0x5b, 0x81}, with_length(join({path(region), Bytes{kDwordAccessPreserve}, list})));
}

Bytes io_ports(std::uint16_t start, std::uint8_t length) {
  Bytes result{0x47, 0x01};  // 16-bit decode (§6.4.2.5)
  append_little(result, start);
  append_little(result, start);
  result.push_back(1);
  result.push_back(length);
  return result;
}

Bytes irq(std::uint8_t number) {
  Bytes result{0x22};  // §6.4.2.1, without the flags byte: edge, high, exclusive
  append_little(result, static_cast<std::uint16_t>(1u << number));
  return result;
}

Bytes interrupt(std::uint32_t gsi) {
  // §6.4.3.6: consumer, level, active low, shared.
  Bytes result{0x89, 6, 0, 0x0d, 1};
  append_little(result, gsi);
  return result;
}

Bytes fixed_memory(std::uint32_t start, std::uint32_t length) {
  Bytes result{0x86, 9, 0, 1};  // §6.4.3.4, read-write
  append_little(result, start);
  append_little(result, length);
  return result;
}

Bytes bus_range(std::uint16_t first, std::uint16_t last) {
  return address_space(kWordSpace, kBusKind, 0, first, last);
}
Bytes port_window(std::uint16_t first, std::uint16_t last) {
  return address_space(kWordSpace, kPortKind, 3, first, last);  // the entire range
}
Bytes memory_window32(std::uint32_t first, std::uint32_t last) {
  return address_space(kDwordSpace, kMemoryKind, 1, first, last);  // read-write, not cacheable
}
Bytes memory_window64(std::uint64_t first, std::uint64_t last) {
  return address_space(kQwordSpace, kMemoryKind, 1, first, last);
}

Bytes cacheable_memory64(std::uint64_t first, std::uint64_t last) {
  return address_space(kQwordSpace, kMemoryKind, 3, first, last);
}

Bytes template_of(std::initializer_list<Bytes> descriptors) {
  Bytes content = join(descriptors);
  content.push_back(0x79);  // end tag; checksum 0: "as if correct" (§6.4.2.9)
  content.push_back(0);
  return buffer(content);
}

}  // namespace warren::vmm::machine::aml
