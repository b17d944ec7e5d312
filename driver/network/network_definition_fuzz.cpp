// T18: whatever parses is written as something that parses to the same and is of the schema. The first byte
// chooses: text as it is, a change of one entry (the second byte is the section), or bytes for a generated
// definition, whose text is then damaged in one place.

#include <cstdlib>
#include <span>
#include <string>
#include <string_view>

#include "driver/contract/error.h"
#include "driver/network/network_generator.h"

using namespace warren::driver;

namespace {

constexpr const char* kNetwork =
    "<network><name>n</name><uuid>0a81f5b2-8403-7b23-c8d6-21ccc2f80d6f</uuid><forward mode='nat' dev='eth0'/>"
    "<dns><txt name='a' value='b'/><srv service='s' protocol='tcp'/>"
    "<host ip='1.2.3.4'><hostname>h</hostname></host></dns>"
    "<ip address='10.0.0.1' prefix='24'><dhcp><range start='10.0.0.2' end='10.0.0.9'/>"
    "<host mac='52:54:00:00:00:01' name='a' ip='10.0.0.10'/></dhcp></ip>"
    "<portgroup name='a' default='yes'/></network>";

void check(const network::NetworkDefinition& definition) {
  if (!(network::parse_network(network::format_network(definition, nullptr), true) == definition))
    std::abort();
}

void parse_text(std::string_view text) {
  network::NetworkDefinition definition;
  try {
    definition = network::parse_network(text, false);
  } catch (const Error&) {
    return;
  }
  check(definition);
}

void update(std::string_view text) {
  if (text.empty()) return;
  const auto choice = static_cast<std::uint8_t>(text.front());
  NetworkUpdate change{
      .command = choice % 4u + 1, .section = choice / 4u % 14u, .xml = std::string(text.substr(1))};
  network::NetworkDefinition definition;
  try {
    definition = network::updated(network::parse_network(kNetwork, false), change);
  } catch (const Error&) {
    return;
  }
  check(definition);
}

void damage(std::span<const std::uint8_t> bytes) {
  if (bytes.size() < 4) return;
  const network::NetworkDefinition definition = network::generate_network(bytes.subspan(4));
  check(definition);
  std::string text = network::format_network(definition, nullptr);
  const std::size_t at = static_cast<std::size_t>(bytes[0] << 8 | bytes[1]) % text.size();
  if ((bytes[2] & 1) != 0) {
    text[at] = static_cast<char>(bytes[3]);
  } else {
    text.erase(at, bytes[3]);
  }
  parse_text(text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);  // bytes as text
  if (size == 0 || data[0] == '<') {
    parse_text(text);
  } else if (data[0] % 2 == 0) {
    update(text.substr(1));
  } else {
    damage({data + 1, size - 1});
  }
  return 0;
}
