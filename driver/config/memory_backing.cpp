// <memoryBacking>.
#include "driver/config/memory_backing.h"

#include <fmt/format.h>

#include "driver/config/domain_names.h"
#include "driver/config/domain_xml_parts.h"

namespace warren::driver::config {

namespace {

constexpr std::uint64_t kMegabytePage = 2048, kGigabytePage = std::uint64_t{1} << 20;  // KiB

void parse_huge_pages(XmlElement& element, MemoryBacking& backing) {
  backing.huge_pages = true;
  XmlElement* page = element.child("page");
  if (!page) return;
  const std::string size = require_text(*page, "size");
  const auto number = parse_unsigned(size);
  const auto unit = unit_bytes(page->attribute("unit").value_or("KiB"));
  if (!unit) throw page->malformed_attribute("unit", "it is not a unit of size");
  const auto kib = number ? scale_to_kib(*number, *unit) : std::nullopt;
  if (!kib) throw page->malformed_attribute("size", fmt::format("'{}' is not a size", size.substr(0, 64)));
  if (*kib != kMegabytePage && *kib != kGigabytePage)
    throw page->unsupported_attribute(
        "size", fmt::format("x86 has huge pages of 2 MiB and 1 GiB, not of {} KiB", *kib));
  backing.huge_page_kib = *kib;
}

template <typename Enum>
std::optional<Enum> parse_choice(XmlElement& parent, std::string_view name, std::string_view attribute,
                                 const EnumTable<Enum>& table) {
  XmlElement* element = parent.child(name);
  return element ? std::optional(require_enum(*element, attribute, table)) : std::nullopt;
}

template <typename Enum>
void format_choice(XmlWriter& writer, std::string_view name, std::string_view attribute,
                   const std::optional<Enum>& value, const EnumTable<Enum>& table) {
  if (!value) return;
  writer.begin(name);
  writer.attribute(attribute, table.name(*value));
  writer.end();
}

}  // namespace

MemoryBacking parse_memory_backing(XmlElement* element) {
  MemoryBacking backing;
  if (!element) return backing;
  if (XmlElement* pages = element->child("hugepages")) parse_huge_pages(*pages, backing);
  backing.no_share_pages = element->child("nosharepages") != nullptr;
  backing.source = parse_choice(*element, "source", "type", names::kMemorySource);
  backing.access = parse_choice(*element, "access", "mode", names::kMemoryAccess);
  backing.allocation = parse_choice(*element, "allocation", "mode", names::kMemoryAllocation);
  backing.discard = element->child("discard") != nullptr;
  return backing;
}

std::uint64_t huge_page_kib(const MemoryBacking& backing) {
  return backing.huge_pages ? backing.huge_page_kib.value_or(kMegabytePage) : 0;
}

void format_memory_backing(XmlWriter& writer, const MemoryBacking& backing) {
  if (backing == MemoryBacking{}) return;
  writer.begin("memoryBacking");
  if (backing.huge_pages) {
    writer.begin("hugepages");
    if (backing.huge_page_kib) {
      writer.begin("page");
      writer.attribute("size", *backing.huge_page_kib);
      writer.attribute("unit", "KiB");
      writer.end();
    }
    writer.end();
  }
  if (backing.no_share_pages) writer.empty("nosharepages");
  format_choice(writer, "source", "type", backing.source, names::kMemorySource);
  format_choice(writer, "access", "mode", backing.access, names::kMemoryAccess);
  format_choice(writer, "allocation", "mode", backing.allocation, names::kMemoryAllocation);
  if (backing.discard) writer.empty("discard");
  writer.end();
}

}  // namespace warren::driver::config
