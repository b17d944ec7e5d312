// ACPI Machine Language, as far as our DSDT needs it (ACPI 6.5 §20): functions that encode one term each and
// nest.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <vector>

namespace warren::vmm::machine::aml {

using Bytes = std::vector<std::uint8_t>;

Bytes join(std::initializer_list<Bytes> parts);

// Data objects (§20.2.3).
Bytes integer(std::uint64_t value);
Bytes text(std::string_view value);
Bytes eisa_id(std::string_view id);  // "PNP0A08"
Bytes buffer(const Bytes& content);
Bytes package(const std::vector<Bytes>& elements);
Bytes uuid(std::string_view text);  // as ToUUID() encodes it (§19.6.142)

// Named objects (§20.2.5); names are paths such as "\\_SB_" or segments such as "_HID".
Bytes path(std::string_view name);
Bytes name(std::string_view name, const Bytes& value);
Bytes scope(std::string_view name, const Bytes& content);
Bytes device(std::string_view name, const Bytes& content);
Bytes method(std::string_view name, unsigned arguments, const Bytes& content);
// One that makes named objects, and so runs once at a time.
Bytes serialized_method(std::string_view name, unsigned arguments, const Bytes& content);
Bytes call(std::string_view method, std::initializer_list<Bytes> arguments);

// A region of memory that registers are in, and its fields (§20.2.5.2): dwords, read and written whole.
struct DwordField {
  std::string_view name;
  std::uint32_t offset = 0;  // in bytes; fields come in the order of their offsets
};
Bytes memory_region(std::string_view name, std::uint32_t start, std::uint32_t length);
Bytes memory_region(std::string_view name, const Bytes& start, std::uint32_t length);
Bytes dword_fields(std::string_view region, std::initializer_list<DwordField> fields);

// Statements and expressions (§20.2.5.3, §20.2.5.4), as many as our methods need.
Bytes argument(unsigned index);
Bytes local(unsigned index);
Bytes give_back(const Bytes& value);
Bytes store(const Bytes& value, const Bytes& target);
Bytes create_dword_field(const Bytes& source, std::uint64_t offset, std::string_view name);
Bytes create_qword_field(const Bytes& source, std::uint64_t offset, std::string_view name);
Bytes equal(const Bytes& left, const Bytes& right);
Bytes bit_and(const Bytes& left, const Bytes& right, const Bytes& target);
Bytes bit_or(const Bytes& left, const Bytes& right, const Bytes& target);
Bytes when(const Bytes& condition, const Bytes& content);
Bytes otherwise(const Bytes& content);
Bytes loop_while(const Bytes& condition, const Bytes& content);
Bytes add(const Bytes& left, const Bytes& right);
Bytes shift_left(const Bytes& value, const Bytes& count);
Bytes shift_right(const Bytes& value, const Bytes& count, const Bytes& target);
Bytes notify(const Bytes& object, const Bytes& value);

// Resource descriptors (§6.4); template_of() wraps them for _CRS.
Bytes io_ports(std::uint16_t start, std::uint8_t length);
Bytes irq(std::uint8_t number);      // edge, active high, exclusive: an ISA interrupt
Bytes interrupt(std::uint32_t gsi);  // level, active low, shared: a PCI interrupt
Bytes fixed_memory(std::uint32_t start, std::uint32_t length);
Bytes bus_range(std::uint16_t first, std::uint16_t last);
Bytes port_window(std::uint16_t first, std::uint16_t last);
Bytes memory_window32(std::uint32_t first, std::uint32_t last);
Bytes memory_window64(std::uint64_t first, std::uint64_t last);
Bytes cacheable_memory64(std::uint64_t first, std::uint64_t last);
// Where in that descriptor its first and last address and its length are: bytes from its start.
inline constexpr std::uint64_t kFirstOf64 = 14, kLastOf64 = 22, kLengthOf64 = 38;
Bytes template_of(std::initializer_list<Bytes> descriptors);

}  // namespace warren::vmm::machine::aml
