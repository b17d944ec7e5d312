// T18: whatever parses is written as something that parses to the same and is of the schema; a change of one
// entry (after a first byte below 32: the section) leaves a definition that is so, too.

#include <cstdlib>
#include <string_view>

#include "driver/contract/error.h"
#include "driver/network/network_definition.h"

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

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);  // bytes as text
  try {
    if (text.empty() || data[0] >= 32) {
      check(network::parse_network(text, false));
      return 0;
    }
    NetworkUpdate update{.command = data[0] % 4u + 1, .section = size > 1 ? data[1] % 14u : 0};
    update.xml = text.substr(size > 1 ? 2 : 1);
    check(network::updated(network::parse_network(kNetwork, false), update));
  } catch (const Error& error) {
    if (error.code() == VIR_ERR_XML_INVALID_SCHEMA) std::abort();
  }
  return 0;
}
