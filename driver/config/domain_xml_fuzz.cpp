// Domain XML (T18). The first byte chooses: text as it is, with the schema, or bytes for a generated
// definition, whose text is then damaged in one place. Whatever is parsed formats and parses back to the
// same.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "driver/config/definition_generator.h"
#include "driver/config/domain_defaults.h"
#include "driver/config/domain_xml.h"
#include "driver/config/identity.h"
#include "driver/contract/error.h"

namespace warren::driver {
namespace {

using namespace config;

void check(bool holds) {
  if (!holds) std::abort();
}

void fixed_bytes(std::span<std::uint8_t> bytes) {
  std::fill(bytes.begin(), bytes.end(), std::uint8_t{0x5a});
}

void check_definition(const DomainDefinition& definition, const ParseOptions& options) {
  const std::string text = format_domain(definition);
  check(parse_domain(text, options) == definition);
  DomainDefinition filled = definition;
  try {
    fill_defaults(filled, HostFacts{}, fixed_bytes);
  } catch (const Error&) {
    check(filled == definition);
    return;
  }
  check(parse_domain(format_domain(filled), options) == filled);
  DomainDefinition again = filled;
  fill_defaults(again, HostFacts{}, fixed_bytes);
  check(again == filled);
}

void parse_text(std::string_view text, const ParseOptions& options) {
  try {
    check_definition(parse_domain(text, options), {.inactive = options.inactive});
  } catch (const Error& error) {
    check(!error.message().empty());
  }
}

void damage(std::span<const std::uint8_t> bytes) {
  if (bytes.size() < 4) return;
  const DomainDefinition definition = generate_definition(bytes.subspan(4));
  std::string text = format_domain(definition);
  check(parse_domain(text) == definition);
  const std::size_t at = static_cast<std::size_t>(bytes[0] << 8 | bytes[1]) % text.size();
  if ((bytes[2] & 1) != 0) {
    text[at] = static_cast<char>(bytes[3]);
  } else {
    text.erase(at, bytes[3]);
  }
  parse_text(text, {.inactive = (bytes[2] & 2) != 0});
}

void metadata(std::string_view text) {
  try {
    const MetadataElement element = parse_metadata_element(text, "k", "urn:k");
    check(!metadata_content(element).empty());
  } catch (const Error&) {
  }
}

}  // namespace
}  // namespace warren::driver

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace warren::driver;
  if (size == 0) return 0;
  const std::string_view all(reinterpret_cast<const char*>(data), size);  // bytes as text
  const std::string_view rest = all.substr(1);
  if (all.front() == '<') {
    parse_text(all, {});
    return 0;
  }
  switch (data[0] % 4) {
    case 0:
      parse_text(rest, {.inactive = true, .validate = true});
      break;
    case 1:
      parse_text(rest, {.inactive = false});
      break;
    case 2:
      metadata(rest);
      break;
    default:
      damage({data + 1, size - 1});
  }
  return 0;
}
