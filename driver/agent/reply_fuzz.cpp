// Whatever a guest sends: cut into lines, parsed, and read as every kind of value.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "driver/agent/json.h"
#include "driver/agent/message_reader.h"
#include "driver/contract/error.h"

using namespace warren::driver;

namespace {

void read(const agent::Value& value) {
  auto attempt = [](auto get) {
    try {
      static_cast<void>(get());
    } catch (const Error&) {
    }
  };
  attempt([&] { return value.as_text(); });
  attempt([&] { return value.as_number(); });
  attempt([&] { return value.number("return"); });
  attempt([&] { return value.unsigned_number("return"); });
  attempt([&] { return value.index_number("return"); });
  attempt([&] { return value.real("return"); });
  attempt([&] { return value.flag("return"); });
  attempt([&] { return value.find_text("return"); });
  attempt([&] { return value.elements(64).size(); });
  attempt([&] { return value.member("return").elements(64).at(0).text("name"); });
}

}  // namespace

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer's name
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // Bytes of the fuzzer's as text.
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  agent::MessageReader reader;
  reader.set_limit(4096);
  reader.feed(bytes, [](const std::string& line) {
    if (line.size() > 4096) __builtin_trap();
    if (auto value = agent::Value::parse(line, "fuzz")) {
      read(*value);
      if (!agent::Value::parse(agent::compact(line))) __builtin_trap();
    }
    return true;
  });
  return 0;
}
