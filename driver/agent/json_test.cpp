// Replies of a hostile guest (T3: hostile input), and requests as the agent takes them.
#include "driver/agent/json.h"

#include <gtest/gtest.h>

#include "driver/agent/message_reader.h"
#include "driver/contract/error.h"

namespace warren::driver::agent {
namespace {

std::vector<std::string> lines_of(MessageReader& reader, std::string_view bytes, std::size_t step) {
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < bytes.size(); i += step) {
    reader.feed(bytes.substr(i, step), [&](std::string line) {
      lines.push_back(std::move(line));
      return true;
    });
  }
  return lines;
}

TEST(AgentMessageReader, CutsLinesWhateverTheSizeOfTheReads) {
  for (std::size_t step : {1u, 2u, 3u, 100u}) {
    MessageReader reader;
    EXPECT_EQ(lines_of(reader, "late\xff{1}\n\n{2}\nrest", step), (std::vector<std::string>{"{1}", "{2}"}));
    EXPECT_FALSE(reader.has_overflowed());
  }
}

TEST(AgentMessageReader, DropsWhatIsTooLongAndGoesOn) {
  for (std::size_t step : {1u, 5u, 100u}) {
    MessageReader reader;
    reader.set_limit(4);
    EXPECT_EQ(lines_of(reader, "12345\n1234\n123456789", step), (std::vector<std::string>{"1234"}));
    EXPECT_TRUE(reader.has_overflowed());
    EXPECT_EQ(lines_of(reader, "0\xffok\n", step), (std::vector<std::string>{"ok"}));
  }
}

TEST(AgentJson, RefusesWhatAHostileGuestSends) {
  EXPECT_FALSE(Value::parse(""));
  EXPECT_FALSE(Value::parse("{\"return\":"));
  EXPECT_FALSE(Value::parse("{} {}"));
  EXPECT_FALSE(Value::parse("\"\xc3\x28\""));                                 // no UTF-8
  EXPECT_FALSE(Value::parse(std::string(100'000, '[')));                      // deep, never ending
  EXPECT_FALSE(Value::parse(std::string(40, '[') + std::string(40, ']')));    // too deep
  EXPECT_TRUE(Value::parse(std::string(20, '[') + std::string(20, ']')));     // deep enough
  EXPECT_FALSE(Value::parse("\"" + std::string(kMaximumReply, 'x') + "\""));  // too long
  std::string many = "[0";
  for (std::size_t i = 0; i < kMaximumElements; ++i) many += ",0";
  EXPECT_FALSE(Value::parse(many + "]"));
}

TEST(AgentJson, NamesWhatIsMissing) {
  Value value = *Value::parse(R"({"a":1,"b":"x","c":-1,"d":[1,2],"e":null,"f":5000000000,"g":"a\u0000b"})",
                              "guest-test");
  EXPECT_EQ(value.number("a"), 1);
  EXPECT_EQ(value.text("b"), "x");
  EXPECT_EQ(value.text("g"), "a");
  EXPECT_EQ(value.find_text("e"), std::nullopt);
  EXPECT_EQ(value.find_text("a"), std::nullopt);
  EXPECT_EQ(value.unsigned_number("f"), 5'000'000'000u);
  EXPECT_EQ(value.member("d").elements(2).size(), 2u);
  EXPECT_THROW(value.member("d").elements(1), Error);
  EXPECT_THROW(value.unsigned_number("c"), Error);
  EXPECT_THROW(value.index_number("f"), Error);
  EXPECT_THROW(value.flag("a"), Error);
  EXPECT_THROW(value.member("a").find("z"), Error);
  try {
    value.text("a");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), VIR_ERR_INTERNAL_ERROR);
    EXPECT_EQ(error.detail(), "'a' missing or malformed in the guest agent's reply to guest-test");
  }
}

TEST(AgentJson, WritesRequests) {
  EXPECT_EQ(Request("guest-ping").line(), R"({"execute":"guest-ping"})");
  EXPECT_EQ(Request("x").text("t", "a\"\n").flag("f", true).number("n", -3).texts("l", {"a", "b"}).line(),
            R"({"execute":"x","arguments":{"t":"a\"\n","f":true,"n":-3,"l":["a","b"]}})");
  EXPECT_EQ(Request("guest-set-vcpus").vcpus("vcpus", {{1, true}, {2, false}}).line(),
            R"({"execute":"guest-set-vcpus","arguments":{"vcpus":[{"logical-id":1,"online":true},)"
            R"({"logical-id":2,"online":false}]}})");
  EXPECT_THROW(Request("x").text("t", "\xff"), Error);
}

TEST(AgentJson, ClientsRequestsBecomeOneLine) {
  RawRequest request =
      parse_request("{ \"execute\" :\n \"guest-exec\", \"arguments\": {\"path\": \"a b\\\" c\"} }");
  EXPECT_EQ(request.line, R"({"execute":"guest-exec","arguments":{"path":"a b\" c"}})");
  EXPECT_EQ(request.command, "guest-exec");
  EXPECT_THROW(parse_request("[]"), Error);
  EXPECT_THROW(parse_request("{\"execute\":"), Error);
  EXPECT_EQ(base64(""), "");
  EXPECT_EQ(base64("a"), "YQ==");
  EXPECT_EQ(base64("ab"), "YWI=");
  EXPECT_EQ(base64("abc"), "YWJj");
  EXPECT_EQ(base64("\xff\xfe"), "//4=");
}

}  // namespace
}  // namespace warren::driver::agent
