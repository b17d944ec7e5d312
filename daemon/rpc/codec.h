// The wire form of a message struct, derived from the struct: its fields in their order, each by its type.
//
// A message is an aggregate of the types in xdr.h, integers, double, bool, std::string (bounded by
// kStringMax), enums, std::optional (RFC 4506 §4.19) and other such aggregates. Included where codecs are
// instantiated (the procedure tables and their tests), nowhere else: it costs compile time.
#pragma once

#include <bit>
#include <cstring>
#include <optional>
#include <type_traits>

#include <boost/pfr/core.hpp>

#include "daemon/rpc/xdr.h"

namespace warren::daemon::rpc {

template <class T>
void encode(Encoder& to, const T& value);
template <class T>
void decode(Decoder& from, T& value);

namespace wire {

template <class T>
struct Form;  // how one type that is no plain struct is written and read

template <class T>
  requires std::is_integral_v<T> || std::is_enum_v<T>
struct Form<T> {
  static void put(Encoder& to, T value) {
    if constexpr (sizeof(T) == 8) {
      to.hyper(static_cast<std::uint64_t>(value));
    } else {
      to.word(static_cast<std::uint32_t>(value));  // chars and shorts take a whole word, sign-extended
    }
  }
  static void get(Decoder& from, T& value) {
    if constexpr (std::is_same_v<T, bool>) {
      value = from.flag();
    } else if constexpr (sizeof(T) == 8) {
      value = static_cast<T>(from.hyper());
    } else {
      std::uint32_t word = from.word();
      value = static_cast<T>(word);
      if (static_cast<std::uint32_t>(value) != word) from.fail();
    }
  }
};

template <>
struct Form<double> {
  static void put(Encoder& to, double value) { to.hyper(std::bit_cast<std::uint64_t>(value)); }
  static void get(Decoder& from, double& value) { value = std::bit_cast<double>(from.hyper()); }
};

template <>
struct Form<std::string> {
  static void put(Encoder& to, const std::string& value) {
    to.count(value.size(), kStringMax);
    if (to.ok()) to.bytes(value.data(), value.size());
  }
  static void get(Decoder& from, std::string& value) {
    std::uint32_t size = from.count(kStringMax, 1);
    std::span<const std::byte> bytes = from.bytes(size);
    value.resize(bytes.size());
    if (!bytes.empty()) std::memcpy(value.data(), bytes.data(), bytes.size());
    // The peer's strings are C strings: a NUL inside would mean one thing to us and another to the code
    // below.
    if (value.find('\0') != std::string::npos) from.fail();
  }
};

template <std::size_t Size>
struct Form<std::array<std::uint8_t, Size>> {
  static void put(Encoder& to, const std::array<std::uint8_t, Size>& value) { to.bytes(value.data(), Size); }
  static void get(Decoder& from, std::array<std::uint8_t, Size>& value) {
    std::span<const std::byte> bytes = from.bytes(Size);
    if (bytes.size() == Size) std::memcpy(value.data(), bytes.data(), Size);
  }
};

template <std::uint32_t Max>
struct Form<Opaque<Max>> {
  static void put(Encoder& to, const Opaque<Max>& value) {
    to.count(value.size(), Max);
    if (to.ok()) to.bytes(value.data(), value.size());
  }
  static void get(Decoder& from, Opaque<Max>& value) {
    std::span<const std::byte> bytes = from.bytes(from.count(Max, 1));
    value.resize(bytes.size());
    if (!bytes.empty()) std::memcpy(value.data(), bytes.data(), bytes.size());
  }
};

template <std::uint32_t Max>
struct Form<SecretOpaque<Max>> : Form<Opaque<Max>> {};

template <std::uint32_t Max>
struct Form<CharArray<Max>> {
  static void put(Encoder& to, const CharArray<Max>& value) {
    to.count(value.size(), Max);
    if (!to.ok()) return;
    for (char c : value) Form<signed char>::put(to, static_cast<signed char>(c));
  }
  static void get(Decoder& from, CharArray<Max>& value) {
    value.resize(from.count(Max, 4));
    for (char& c : value) {
      signed char word = 0;
      Form<signed char>::get(from, word);
      c = static_cast<char>(word);
    }
  }
};

template <std::uint32_t Size>
struct Form<FixedCharArray<Size>> {
  static void put(Encoder& to, const FixedCharArray<Size>& value) {
    for (char c : value) Form<signed char>::put(to, static_cast<signed char>(c));
  }
  static void get(Decoder& from, FixedCharArray<Size>& value) {
    for (char& c : value) {
      signed char word = 0;
      Form<signed char>::get(from, word);
      c = static_cast<char>(word);
    }
  }
};

template <class T>
struct Form<std::optional<T>> {
  static void put(Encoder& to, const std::optional<T>& value) {
    to.word(value ? 1 : 0);
    if (value) encode(to, *value);
  }
  static void get(Decoder& from, std::optional<T>& value) {
    value.reset();
    if (from.flag()) decode(from, value.emplace());
  }
};

template <class T, std::uint32_t Max>
struct Form<Array<T, Max>> {
  static void put(Encoder& to, const Array<T, Max>& value) {
    to.count(value.size(), Max);
    if (!to.ok()) return;
    for (const T& element : value) encode(to, element);
  }
  static void get(Decoder& from, Array<T, Max>& value) {
    value.clear();
    value.resize(from.count(Max, 4));  // no element type takes less than a word
    for (T& element : value) {
      decode(from, element);
      if (!from.ok()) return;
    }
  }
};

// A union (RFC 4506 §4.15) whose discriminant is the alternative's index plus one.
template <class... Alternatives>
struct Form<std::variant<Alternatives...>> {
  using Value = std::variant<Alternatives...>;
  static void put(Encoder& to, const Value& value) {
    to.word(static_cast<std::uint32_t>(value.index() + 1));
    std::visit([&to](const auto& chosen) { encode(to, chosen); }, value);
  }
  static void get(Decoder& from, Value& value) {
    std::uint32_t discriminant = from.word();
    if (!take<0>(from, value, discriminant - 1)) from.fail();
  }

 private:
  template <std::size_t Index>
  static bool take(Decoder& from, Value& value, std::uint32_t index) {
    if constexpr (Index < sizeof...(Alternatives)) {
      if (index != Index) return take<Index + 1>(from, value, index);
      decode(from, value.template emplace<Index>());
      return true;
    } else {
      return false;
    }
  }
};

template <class T>
concept HasForm = requires { sizeof(Form<T>); };

}  // namespace wire

template <class T>
void encode(Encoder& to, const T& value) {
  if constexpr (wire::HasForm<T>) {
    wire::Form<T>::put(to, value);
  } else if constexpr (!std::is_empty_v<T>) {
    boost::pfr::for_each_field(value, [&to](const auto& field) { encode(to, field); });
  }
}

template <class T>
void decode(Decoder& from, T& value) {
  if constexpr (wire::HasForm<T>) {
    wire::Form<T>::get(from, value);
  } else if constexpr (!std::is_empty_v<T>) {
    boost::pfr::for_each_field(value, [&from](auto& field) { decode(from, field); });
  }
}

}  // namespace warren::daemon::rpc
