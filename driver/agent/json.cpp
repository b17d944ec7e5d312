#include "driver/agent/json.h"

#include <algorithm>
#include <cmath>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "driver/agent/message_reader.h"
#include "driver/contract/error.h"

namespace warren::driver::agent {

namespace json = boost::json;

namespace {

// The library's containers cost more than their text: "[],[],…" is what a guest would send to make the most
// of that.
bool has_too_many_elements(std::string_view text) {
  auto is_structural = [](char c) { return c == ',' || c == '[' || c == '{'; };
  return std::count_if(text.begin(), text.end(), is_structural) >
         static_cast<std::ptrdiff_t>(kMaximumElements);
}

std::string up_to_nul(const json::string& text) {
  std::string_view whole(text.data(), text.size());
  return std::string(whole.substr(0, whole.find('\0')));
}

std::expected<json::value, std::string> parse_value(std::string_view text) {
  if (text.size() > kMaximumReply) return std::unexpected("it is too long");
  if (has_too_many_elements(text)) return std::unexpected("it has too many elements");
  json::parse_options options;
  options.max_depth = kMaximumDepth;
  json::error_code failed;
  json::value value = json::parse(json::string_view(text.data(), text.size()), failed, {}, options);
  if (failed) return std::unexpected(failed.message());
  return value;
}

std::string quote(std::string_view text) {
  std::string quoted = json::serialize(json::string(text.data(), text.size()));
  // The writer takes any bytes, the parser does not.
  if (!parse_value(quoted)) throw invalid_argument("text for the guest agent is not valid UTF-8");
  return quoted;
}

}  // namespace

std::expected<Value, std::string> Value::parse(std::string_view text, std::string command) {
  auto value = parse_value(text);
  if (!value) return std::unexpected(value.error());
  return Value(std::make_shared<const json::value>(std::move(*value)),
               std::make_shared<const std::string>(std::move(command)), {});
}

void Value::fail(std::string_view name) const {
  throw internal_error(fmt::format("'{}' missing or malformed in the guest agent's reply to {}",
                                   name.empty() ? std::string_view("return") : name, *command_));
}

Value Value::child(const json::value& value, std::string_view name) const {
  return {std::shared_ptr<const json::value>(value_, &value), command_, std::string(name)};
}

bool Value::is_object() const {
  return value_->is_object();
}

bool Value::has(std::string_view name) const {
  return value_->is_object() && value_->get_object().contains(json::string_view(name.data(), name.size()));
}

std::optional<Value> Value::find(std::string_view name) const {
  if (!value_->is_object()) fail(name_);
  const json::value* found = value_->get_object().if_contains(json::string_view(name.data(), name.size()));
  if (found == nullptr || found->is_null()) return std::nullopt;
  return child(*found, name);
}

Value Value::member(std::string_view name) const {
  auto found = find(name);
  if (!found) fail(name);
  return *found;
}

std::string Value::text(std::string_view name) const {
  return member(name).as_text();
}

std::optional<std::string> Value::find_text(std::string_view name) const {
  auto found = find(name);
  if (!found || !found->value_->is_string()) return std::nullopt;
  return found->as_text();
}

std::int64_t Value::number(std::string_view name) const {
  return member(name).as_number();
}

std::uint64_t Value::unsigned_number(std::string_view name) const {
  Value found = member(name);
  if (found.value_->is_uint64()) return found.value_->get_uint64();
  if (found.value_->is_int64() && found.value_->get_int64() >= 0)
    return static_cast<std::uint64_t>(found.value_->get_int64());
  fail(name);
}

std::uint32_t Value::index_number(std::string_view name) const {
  std::uint64_t value = unsigned_number(name);
  if (value > UINT32_MAX) fail(name);
  return static_cast<std::uint32_t>(value);
}

double Value::real(std::string_view name) const {
  Value found = member(name);
  if (!found.value_->is_number()) fail(name);
  const double value = found.value_->to_number<double>();
  if (!std::isfinite(value)) fail(name);
  return value;
}

bool Value::flag(std::string_view name) const {
  Value found = member(name);
  if (!found.value_->is_bool()) fail(name);
  return found.value_->get_bool();
}

std::string Value::as_text() const {
  if (!value_->is_string()) fail(name_);
  return up_to_nul(value_->get_string());
}

std::int64_t Value::as_number() const {
  if (!value_->is_int64()) fail(name_);
  return value_->get_int64();
}

std::vector<Value> Value::elements(std::size_t maximum) const {
  if (!value_->is_array()) fail(name_);
  const json::array& array = value_->get_array();
  if (array.size() > maximum) {
    throw internal_error(fmt::format("the guest agent's reply to {} has {} elements where at most {} can be",
                                     *command_, array.size(), maximum));
  }
  std::vector<Value> result;
  for (const json::value& element : array) result.push_back(child(element, name_));
  return result;
}

Request& Request::add(std::string_view name, std::string_view value) {
  if (!arguments_.empty()) arguments_ += ',';
  arguments_ += fmt::format("\"{}\":{}", name, value);
  return *this;
}

Request& Request::text(std::string_view name, std::string_view value) {
  return add(name, quote(value));
}

Request& Request::texts(std::string_view name, const std::vector<std::string>& values) {
  std::string list;
  for (const std::string& value : values) list += (list.empty() ? "" : ",") + quote(value);
  return add(name, "[" + list + "]");
}

Request& Request::number(std::string_view name, std::int64_t value) {
  return add(name, fmt::format("{}", value));
}

Request& Request::flag(std::string_view name, bool value) {
  return add(name, value ? "true" : "false");
}

Request& Request::vcpus(std::string_view name, const std::vector<VcpuState>& values) {
  std::string list;
  for (const VcpuState& value : values) {
    list += fmt::format("{}{{\"logical-id\":{},\"online\":{}}}", list.empty() ? "" : ",", value.id,
                        value.is_online);
  }
  return add(name, "[" + list + "]");
}

std::string Request::line() const {
  std::string text = fmt::format("{{\"execute\":\"{}\"", command_);
  if (!arguments_.empty()) text += ",\"arguments\":{" + arguments_ + "}";
  return text + "}";
}

RawRequest parse_request(std::string_view text) {
  auto value = parse_value(text);
  if (!value) throw invalid_argument(fmt::format("the agent command is not valid JSON: {}", value.error()));
  if (!value->is_object()) throw invalid_argument("the agent command is not a JSON object");
  RawRequest request{compact(text), "<unknown>"};
  const json::value* name = value->get_object().if_contains("execute");
  if (name != nullptr && name->is_string()) request.command = up_to_nul(name->get_string());
  return request;
}

std::string compact(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  bool in_string = false;
  bool escaped = false;
  for (char c : text) {
    if (in_string) {
      in_string = escaped || c != '"';
      escaped = !escaped && c == '\\';
    } else if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
      continue;
    } else {
      in_string = c == '"';
    }
    result += c;
  }
  return result;
}

// RFC 4648 §4.
std::string base64(std::string_view bytes) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string result;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t count = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 3; ++k)
      group = group << 8 | (k < count ? static_cast<unsigned char>(bytes[i + k]) : 0u);
    for (std::size_t k = 0; k < 4; ++k) result += k <= count ? kDigits[group >> (18 - 6 * k) & 0x3f] : '=';
  }
  return result;
}

}  // namespace warren::driver::agent
