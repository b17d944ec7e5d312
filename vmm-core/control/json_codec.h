// JSON for the protocol's plain structs, derived from their Boost.Describe descriptions. Implementation
// header of control/: only its .cpp files include it (Boost.JSON is heavy).
//
// Decoding is strict: unknown members, missing members without a default, wrong types and numbers out of
// range throw vmm::Error naming the member's path, e.g. "disks[2].queues".
#pragma once

#include <concepts>
#include <limits>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include <boost/describe/enum_from_string.hpp>
#include <boost/describe/enum_to_string.hpp>
#include <boost/describe/members.hpp>
#include <boost/json.hpp>
#include <boost/mp11/algorithm.hpp>

#include "vmm-core/os/error.h"

namespace warren::vmm::control {

template <typename T>
concept DescribedStruct = boost::describe::has_describe_members<T>::value && !std::is_enum_v<T>;
template <typename T>
concept DescribedEnum = boost::describe::has_describe_enumerators<T>::value;

template <typename T>
struct IsVector : std::false_type {};
template <typename T>
struct IsVector<std::vector<T>> : std::true_type {};
template <typename T>
struct IsOptional : std::false_type {};
template <typename T>
struct IsOptional<std::optional<T>> : std::true_type {};

template <typename T>
using PublicMembers = boost::describe::describe_members<T, boost::describe::mod_public>;

[[noreturn]] inline void refuse_member(const std::string& path, const std::string& why) {
  throw Error(std::errc::invalid_argument, (path.empty() ? std::string("message") : path) + ": " + why);
}

template <typename T>
boost::json::value to_json(const T& value) {
  if constexpr (DescribedEnum<T>) {
    return boost::json::value(boost::describe::enum_to_string(value, "?"));
  } else if constexpr (DescribedStruct<T>) {
    boost::json::object object;
    boost::mp11::mp_for_each<PublicMembers<T>>([&](auto member) {
      const auto& field = value.*member.pointer;
      if constexpr (IsOptional<std::remove_cvref_t<decltype(field)>>::value) {
        if (field) object.emplace(member.name, to_json(*field));
      } else {
        object.emplace(member.name, to_json(field));
      }
    });
    return object;
  } else if constexpr (IsVector<T>::value) {
    boost::json::array array;
    array.reserve(value.size());
    for (const auto& element : value) array.push_back(to_json(element));
    return array;
  } else {
    return boost::json::value(value);
  }
}

template <typename T>
T from_json(const boost::json::value& json, const std::string& path);

template <std::integral T>
T integer_from_json(const boost::json::value& json, const std::string& path) {
  // to_number with an error code refuses what does not fit T exactly, and doubles with a fraction.
  boost::json::error_code failed;
  if (!json.is_int64() && !json.is_uint64()) refuse_member(path, "not an integer");
  T number = json.to_number<T>(failed);
  if (failed) refuse_member(path, "the number does not fit");
  return number;
}

template <DescribedStruct T>
T struct_from_json(const boost::json::value& json, const std::string& path) {
  const auto* object = json.if_object();
  if (object == nullptr) refuse_member(path, "not an object");
  T result{};
  std::size_t known = 0;
  boost::mp11::mp_for_each<PublicMembers<T>>([&](auto member) {
    const auto* found = object->if_contains(member.name);
    if (found == nullptr) return;
    ++known;
    auto& field = result.*member.pointer;
    field = from_json<std::remove_cvref_t<decltype(field)>>(
        *found, path.empty() ? member.name : path + "." + member.name);
  });
  if (known == object->size()) return result;
  for (const auto& [name, ignored] : *object) {
    bool is_member = false;
    boost::mp11::mp_for_each<PublicMembers<T>>(
        [&](auto member) { is_member = is_member || name == member.name; });
    if (!is_member)
      refuse_member(path.empty() ? std::string(name) : path + "." + std::string(name), "unknown member");
  }
  return result;
}

template <typename T>
T from_json(const boost::json::value& json, const std::string& path) {
  if constexpr (DescribedEnum<T>) {
    T result{};
    const auto* text = json.if_string();
    if (text == nullptr || !boost::describe::enum_from_string(text->c_str(), result)) {
      refuse_member(path, "not one of its values");
    }
    return result;
  } else if constexpr (DescribedStruct<T>) {
    return struct_from_json<T>(json, path);
  } else if constexpr (IsOptional<T>::value) {
    return from_json<typename T::value_type>(json, path);
  } else if constexpr (IsVector<T>::value) {
    const auto* array = json.if_array();
    if (array == nullptr) refuse_member(path, "not an array");
    T result;
    result.reserve(array->size());
    for (std::size_t i = 0; i < array->size(); ++i) {
      result.push_back(from_json<typename T::value_type>((*array)[i], path + "[" + std::to_string(i) + "]"));
    }
    return result;
  } else if constexpr (std::is_same_v<T, bool>) {
    if (!json.is_bool()) refuse_member(path, "not true or false");
    return json.get_bool();
  } else if constexpr (std::is_same_v<T, std::string>) {
    if (!json.is_string()) refuse_member(path, "not a string");
    return std::string(json.get_string());
  } else {
    return integer_from_json<T>(json, path);
  }
}

}  // namespace warren::vmm::control
