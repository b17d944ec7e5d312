// Properties of definitions made by chance (T18): what is formatted is parsed back the same, is of the
// language of our schema, and fill_defaults() either completes it for good or leaves it alone.
#include <random>

#include <gtest/gtest.h>

#include "driver/config/definition_generator.h"
#include "driver/config/domain_defaults.h"
#include "driver/config/domain_xml.h"
#include "driver/contract/error.h"

namespace warren::driver::config {
namespace {

void fixed_bytes(std::span<std::uint8_t> bytes) {
  std::fill(bytes.begin(), bytes.end(), std::uint8_t{0x5a});
}

template <typename Check>
void for_definitions(int count, const Check& check) {
  std::mt19937 engine(20261121);
  for (int i = 0; i < count; ++i) {
    std::vector<std::uint8_t> bytes(2048);
    for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(engine());
    check(generate_definition(bytes));
    if (testing::Test::HasFailure()) return;
  }
}

TEST(DomainProperty, ParseAfterFormatIsIdentity) {
  for_definitions(2000, [](const DomainDefinition& definition) {
    const std::string text = format_domain(definition);
    EXPECT_EQ(parse_domain(text), definition) << text;
    EXPECT_EQ(format_domain(parse_domain(text)), text);
  });
}

TEST(DomainProperty, EverythingFormattedIsOfOurSchema) {
  for_definitions(300, [](const DomainDefinition& definition) {
    const std::string text = format_domain(definition);
    EXPECT_NO_THROW(validate_domain_schema(text)) << text;
  });
}

TEST(DomainProperty, DefaultsAreCompleteAndFinalOrNothing) {
  int completed = 0;
  for_definitions(2000, [&](const DomainDefinition& definition) {
    DomainDefinition filled = definition;
    try {
      fill_defaults(filled, HostFacts{}, fixed_bytes);
    } catch (const Error& error) {
      EXPECT_TRUE(error.code() == VIR_ERR_XML_ERROR || error.code() == VIR_ERR_CONFIG_UNSUPPORTED);
      EXPECT_EQ(filled, definition);
      return;
    }
    ++completed;
    DomainDefinition again = filled;
    fill_defaults(again, HostFacts{}, fixed_bytes);
    EXPECT_EQ(again, filled) << format_domain(filled);
    EXPECT_EQ(parse_domain(format_domain(filled)), filled) << format_domain(filled);
    for (const Disk& disk : filled.devices.disks)
      EXPECT_TRUE(disk.bus != DiskBus::virtio ? disk.drive.has_value() : disk.info.pci.has_value());
    for (const Interface& interface : filled.devices.interfaces)
      EXPECT_TRUE(interface.info.pci && interface.mac);
  });
  EXPECT_GT(completed, 100);
}

}  // namespace
}  // namespace warren::driver::config
