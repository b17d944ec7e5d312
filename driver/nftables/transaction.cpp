#include "driver/nftables/transaction.h"

#include <boost/json.hpp>
#include <fmt/format.h>

#include "driver/contract/error.h"
#include "driver/nftables/generation.h"
#include "driver/tool/tool.h"

namespace warren::driver::nftables {

namespace {

namespace json = boost::json;

constexpr std::chrono::seconds kDeadline{30};
constexpr std::size_t kMostWords = 2048;

Error failure(std::string_view doing, ToolResult result) {
  std::string said = result.errors.empty() ? std::move(result.output) : std::move(result.errors);
  if (said.size() > kMostWords) said.resize(kMostWords);
  for (char& c : said)
    if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7f) c = ' ';
  while (!said.empty() && said.back() == ' ') said.pop_back();
  return {VIR_ERR_OPERATION_FAILED, fmt::format("{}: nft: {}", doing, said), VIR_FROM_FIREWALL};
}

}  // namespace

void apply(const json::array& commands, std::string_view doing) {
  if (commands.empty()) return;
  json::object document;
  document["nftables"] = commands;
  OwnTransaction transaction;
  ToolResult result = run_tool({.name = "nft",
                                .arguments = {"-j", "-f", "-"},
                                .input = json::serialize(document),
                                .deadline = kDeadline});
  if (result.status == 0) transaction.applied();
  if (result.status != 0) throw failure(doing, std::move(result));
}

json::array list(std::string_view what) {
  std::vector<std::string> arguments{"-j", "list"};
  for (std::string_view word : split_fields(what, ' ')) arguments.emplace_back(word);
  ToolResult result = run_tool({.name = "nft", .arguments = arguments, .deadline = kDeadline});
  if (result.status != 0) {
    if (result.errors.find("No such file or directory") != std::string::npos) return {};
    throw failure(fmt::format("list {}", what), std::move(result));
  }
  boost::system::error_code failed;
  json::value document = json::parse(result.output, failed);
  json::object* object = failed ? nullptr : document.if_object();
  json::value* elements = object != nullptr ? object->if_contains("nftables") : nullptr;
  json::array* array = elements != nullptr ? elements->if_array() : nullptr;
  if (array == nullptr)
    throw Error(VIR_ERR_INTERNAL_ERROR, fmt::format("list {}: nft answered with what is no JSON of it", what),
                VIR_FROM_FIREWALL);
  return std::move(*array);
}

}  // namespace warren::driver::nftables
