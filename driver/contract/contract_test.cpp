#include <gtest/gtest.h>

#include "driver/contract/error.h"
#include "driver/contract/hypervisor.h"
#include "driver/contract/typed_parameter.h"

namespace warren::driver {
namespace {

TEST(Uuid, FormatsAndParses) {
  auto uuid = Uuid::parse("c7a5fdbd-edaf-9455-926a-d65c16db1809");
  ASSERT_TRUE(uuid);
  EXPECT_EQ(uuid->to_string(), "c7a5fdbd-edaf-9455-926a-d65c16db1809");
  EXPECT_EQ(Uuid::parse("C7A5FDBDEDAF9455926AD65C16DB1809"), uuid);
  EXPECT_EQ(Uuid::parse(" c7a5fdbd-edaf-9455-926a-d65c16db1809\n"), uuid);
  for (const char* bad :
       {"", "c7a5", "c7a5fdbd-edaf-9455-926a-d65c16db180", "c7a5fdbd-edaf-9455-926a-d65c16db18090",
        "g7a5fdbd-edaf-9455-926a-d65c16db1809", "c7a5fdbd-edaf-9455-926a-d65c16db1809-",
        "-c7a5fdbd-edaf-9455-926a-d65c16db1809", "c7a5fdbd-edaf-9455-926a-d65c16db1809 0"}) {
    EXPECT_FALSE(Uuid::parse(bad)) << bad;
  }
}

TEST(Uuid, RandomIsVersion4) {
  Uuid a = Uuid::random(), b = Uuid::random();
  EXPECT_NE(a, b);
  EXPECT_EQ(a.to_string()[14], '4');
  EXPECT_EQ(Uuid::parse(a.to_string()), a);
}

TEST(Error, CarriesWhatLibvirtWouldSend) {
  Error error = no_domain_with_name("web");
  EXPECT_EQ(error.code(), VIR_ERR_NO_DOMAIN);
  EXPECT_EQ(error.domain(), VIR_FROM_QEMU);
  EXPECT_EQ(error.level(), VIR_ERR_ERROR);
  EXPECT_EQ(error.message(), "Domain not found: no domain with matching name 'web'");
  EXPECT_EQ(error.str1(), "Domain not found: %s");
  EXPECT_EQ(error.str2(), "no domain with matching name 'web'");
  EXPECT_FALSE(error.str3());
  EXPECT_EQ(error.int1(), -1);
}

TEST(Error, NamesElementAndLine) {
  EXPECT_EQ(
      config_unsupported("/domain/devices/sound", 12, "sound devices are not supported yet").message(),
      "unsupported configuration: /domain/devices/sound (line 12): sound devices are not supported yet");
  EXPECT_STREQ(system_error(ENOENT, "open /a/b").what(), "open /a/b: No such file or directory");
  EXPECT_EQ(system_error(ENOENT, "x").int1(), ENOENT);
}

TEST(Error, RefusesUnknownFlags) {
  EXPECT_NO_THROW(check_flags(3, 7, "virDomainReset"));
  try {
    check_flags(0x18, 0x8, "virDomainReset");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), VIR_ERR_INVALID_ARG);
    EXPECT_EQ(error.message(), "invalid argument: unsupported flags (0x10) in function virDomainReset");
  }
}

TEST(TypedParameter, TypesAreLibvirts) {
  EXPECT_EQ((TypedParameter{"state.state", std::int32_t{1}}.type()), VIR_TYPED_PARAM_INT);
  EXPECT_EQ((TypedParameter{"cpu.time", std::uint64_t{1}}.type()), VIR_TYPED_PARAM_ULLONG);
  EXPECT_EQ((TypedParameter{"x", true}.type()), VIR_TYPED_PARAM_BOOLEAN);
  EXPECT_EQ((TypedParameter{"net.0.name", std::string("vnet0")}.type()), VIR_TYPED_PARAM_STRING);
}

}  // namespace
}  // namespace warren::driver
