#include "daemon/rpc/codec.h"

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "daemon/rpc/protocol/objects.h"

namespace warren::daemon::rpc {
namespace {

struct Everything {
  std::int32_t number = 0;
  std::uint64_t wide = 0;
  double real = 0;
  std::uint8_t narrow = 0;
  std::int8_t sign = 0;
  std::string text;
  std::optional<std::string> perhaps;
  Array<std::uint32_t, 4> numbers;
  Opaque<8> bytes;
  CharArray<8> characters;
  FixedCharArray<3> fixed{};
  Uuid uuid{};
  Array<protocol::TypedParam, 2> parameters;
};

std::vector<std::byte> from_hex(std::string_view text) {
  std::vector<std::byte> bytes;
  for (std::size_t at = 0; at + 1 < text.size(); at += 2) {
    bytes.push_back(static_cast<std::byte>(std::stoi(std::string(text.substr(at, 2)), nullptr, 16)));
  }
  return bytes;
}

template <class T>
std::vector<std::byte> encoded(const T& value) {
  std::vector<std::byte> out;
  Encoder encoder(out);
  encode(encoder, value);
  EXPECT_TRUE(encoder.ok());
  return out;
}

template <class T>
bool decodes(std::string_view hex) {
  std::vector<std::byte> bytes = from_hex(hex);
  Decoder decoder(bytes);
  T value;
  decode(decoder, value);
  return decoder.ok();
}

TEST(Codec, EveryTypeHasItsWireForm) {
  Everything value{.number = -1,
                   .wide = 0x0102030405060708,
                   .real = 1.5,
                   .narrow = 200,
                   .sign = -2,
                   .text = "ab",
                   .perhaps = "x",
                   .numbers = {5},
                   .bytes = {0xaa},
                   .uuid = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
                   .parameters = {{"f", TypedValue(std::in_place_index<5>, true)}}};
  value.characters.assign("\xff");
  value.fixed[0] = 'A';
  std::vector<std::byte> expected = from_hex(
      "ffffffff"
      "0102030405060708"
      "3ff8000000000000"
      "000000c8"
      "fffffffe"
      "0000000261620000"
      "00000001"
      "0000000178000000"
      "0000000100000005"
      "00000001aa000000"
      "00000001ffffffff"
      "000000410000000000000000"
      "0102030405060708090a0b0c0d0e0f10"
      "00000001"
      "0000000166000000"
      "0000000600000001");
  EXPECT_EQ(encoded(value), expected);
  Decoder decoder(expected);
  Everything again;
  decode(decoder, again);
  EXPECT_TRUE(decoder.ok());
  EXPECT_TRUE(decoder.rest().empty());
  EXPECT_EQ(encoded(again), expected);
}

TEST(Codec, EveryTruncationIsAnError) {  // T16
  Everything value{.text = "abc", .perhaps = "y", .numbers = {1, 2}, .bytes = {1, 2, 3}};
  std::vector<std::byte> whole = encoded(value);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    Decoder decoder(std::span<const std::byte>(whole).first(size));
    Everything again;
    decode(decoder, again);
    EXPECT_FALSE(decoder.ok()) << size;
  }
}

TEST(Codec, CountsAreCheckedBeforeAnythingIsAllocated) {  // T16: huge and negative counts
  EXPECT_FALSE((decodes<Array<std::uint64_t, 0xffffffff>>("ffffffff0000000000000000")));
  EXPECT_FALSE((decodes<Array<std::uint32_t, 4>>("000000050000000100000001000000010000000100000001")));
  EXPECT_FALSE((decodes<Opaque<8>>("00000009010101010101010101000000")));
  EXPECT_FALSE((decodes<std::string>("ffffffff61616161")));
  EXPECT_FALSE((decodes<CharArray<8>>("00000002000000610000")));
}

TEST(Codec, ValuesOutsideTheirTypeAreErrors) {
  EXPECT_FALSE(decodes<std::uint8_t>("00000100"));
  EXPECT_FALSE(decodes<std::int8_t>("00000080"));
  EXPECT_FALSE(decodes<TypedValue>("0000000000000000"));
  EXPECT_FALSE(decodes<TypedValue>("0000000800000000"));
  EXPECT_FALSE(decodes<TypedValue>("ffffffff00000000"));
  EXPECT_FALSE(decodes<std::string>("0000000361006200"));  // a NUL inside a C string
}

// T31: go-libvirt writes the presence of an optional value as three bytes and padding.
TEST(Codec, AnyWordButZeroIsTrue) {
  for (std::string_view hex : {"0000000100000005", "0100000000000005"}) {
    std::vector<std::byte> bytes = from_hex(hex);
    Decoder decoder(bytes);
    std::optional<std::uint32_t> value;
    decode(decoder, value);
    EXPECT_TRUE(decoder.ok());
    EXPECT_EQ(value, 5U) << hex;
  }
}

TEST(Codec, TheLongestStringIsTakenAndALongerOneIsNot) {
  std::vector<std::byte> out;
  Encoder fits(out);
  encode(fits, std::string(kStringMax, 'x'));
  EXPECT_TRUE(fits.ok());
  Decoder decoder(out);
  std::string text;
  decode(decoder, text);
  EXPECT_TRUE(decoder.ok());
  EXPECT_EQ(text.size(), kStringMax);
  Encoder too_long(out);
  encode(too_long, std::string(kStringMax + 1, 'x'));
  EXPECT_FALSE(too_long.ok());
}

}  // namespace
}  // namespace warren::daemon::rpc
