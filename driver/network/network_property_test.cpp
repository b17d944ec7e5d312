// Properties of networks made by chance (T18): what is formatted is parsed back the same, is of the language
// of our schema, and defaults complete it for good.

#include <random>

#include <gtest/gtest.h>

#include "driver/contract/error.h"
#include "driver/network/network_generator.h"

namespace warren::driver::network {
namespace {

template <typename Check>
void for_networks(int count, const Check& check) {
  std::mt19937 engine(20261122);
  for (int i = 0; i < count && !testing::Test::HasFailure(); ++i) {
    std::vector<std::uint8_t> bytes(512);
    for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(engine());
    const NetworkDefinition definition = generate_network(bytes);
    try {
      check(definition);
    } catch (const Error& error) {
      ADD_FAILURE() << error.message() << '\n' << format_network(definition, nullptr);
    }
  }
}

TEST(NetworkProperty, ParseAfterFormatIsIdentity) {
  std::array<int, 9> modes{};
  for_networks(3000, [&](const NetworkDefinition& definition) {
    ++modes[static_cast<std::size_t>(definition.mode())];
    const std::string text = format_network(definition, nullptr);
    EXPECT_EQ(parse_network(text, false), definition) << text;
    EXPECT_EQ(format_network(parse_network(text, false), nullptr), text);
  });
  for (const int count : modes) EXPECT_GT(count, 100);
}

TEST(NetworkProperty, EverythingFormattedIsOfOurSchema) {
  for_networks(300, [](const NetworkDefinition& definition) {
    EXPECT_EQ(parse_network(format_network(definition, nullptr), true), definition);
  });
}

TEST(NetworkProperty, DefaultsAreCompleteAndFinal) {
  for_networks(300, [](const NetworkDefinition& definition) {
    NetworkDefinition filled = definition;
    fill_defaults(filled);
    EXPECT_EQ(filled.mac.has_value(), filled.owns_bridge());
    NetworkDefinition again = filled;
    fill_defaults(again);
    EXPECT_EQ(again, filled);
    EXPECT_EQ(parse_network(format_network(filled, nullptr), false), filled);
  });
}

TEST(NetworkProperty, AnUpdateUndoneIsNothing) {
  for_networks(300, [](const NetworkDefinition& definition) {
    if (!definition.owns_bridge() || definition.dns) return;
    const auto change = [](const NetworkDefinition& from, unsigned int command) {
      return updated(from, {.command = command,
                            .section = VIR_NETWORK_SECTION_DNS_TXT,
                            .xml = "<txt name='made' value='up'/>"});
    };
    const NetworkDefinition added = change(definition, VIR_NETWORK_UPDATE_COMMAND_ADD_LAST);
    EXPECT_EQ(added.dns->texts.size(), 1u);
    EXPECT_EQ(change(added, VIR_NETWORK_UPDATE_COMMAND_DELETE), definition);
  });
}

}  // namespace
}  // namespace warren::driver::network
