// <secret>: what is taken, what is refused and how, and that the schema agrees (T18).

#include "driver/secret/secret_definition.h"

#include <string>

#include <gtest/gtest.h>

namespace warren::driver::secret {
namespace {

constexpr const char* kVolume =
    "<secret ephemeral='no' private='yes'>\n"
    "  <uuid>0a81f5b2-8403-7b23-c8d6-21ccc2f80d6f</uuid>\n"
    "  <description>Super secret name of my first puppy</description>\n"
    "  <usage type='volume'>\n"
    "    <volume>/var/lib/libvirt/images/puppyname.img</volume>\n"
    "  </usage>\n"
    "</secret>\n";

TEST(SecretDefinition, IsWrittenAsItWasRead) {
  const SecretDefinition definition = parse_secret(kVolume, true);
  EXPECT_TRUE(definition.is_private);
  EXPECT_FALSE(definition.is_ephemeral);
  EXPECT_EQ(definition.usage_type, VIR_SECRET_USAGE_TYPE_VOLUME);
  EXPECT_EQ(definition.usage_id, "/var/lib/libvirt/images/puppyname.img");
  EXPECT_EQ(format_secret(definition), kVolume);
}

TEST(SecretDefinition, EveryUsage) {
  struct Case {
    const char* xml;
    int type;
    const char* id;
  };
  for (const Case& c :
       {Case{"<usage type='ceph'><name>client.x secret</name></usage>", VIR_SECRET_USAGE_TYPE_CEPH,
             "client.x secret"},
        Case{"<usage type='iscsi'><target>libvirtiscsi</target></usage>", VIR_SECRET_USAGE_TYPE_ISCSI,
             "libvirtiscsi"},
        Case{"<usage type='tls'><name>cert</name></usage>", VIR_SECRET_USAGE_TYPE_TLS, "cert"},
        Case{"<usage type='vtpm'><name>vtpm</name></usage>", VIR_SECRET_USAGE_TYPE_VTPM, "vtpm"},
        Case{"<usage type='none'/>", VIR_SECRET_USAGE_TYPE_NONE, ""},
        Case{"", VIR_SECRET_USAGE_TYPE_NONE, ""}}) {
    const SecretDefinition definition = parse_secret(std::string("<secret>") + c.xml + "</secret>", true);
    EXPECT_EQ(definition.usage_type, c.type) << c.xml;
    EXPECT_EQ(definition.usage_id, c.id);
    EXPECT_FALSE(definition.uuid.is_nil());
    EXPECT_EQ(parse_secret(format_secret(definition), true), definition);
  }
}

TEST(SecretDefinition, TextIsEscaped) {
  SecretDefinition definition{.uuid = Uuid::random(),
                              .description = "a < b & \"c\"",
                              .usage_type = VIR_SECRET_USAGE_TYPE_TLS,
                              .usage_id = "<x>'&amp;"};
  EXPECT_EQ(parse_secret(format_secret(definition)), definition);
}

TEST(SecretDefinition, WhatIsRefused) {
  struct Case {
    const char* xml;
    int code;
    const char* says;
  };
  for (const Case& c :
       {Case{"<domain/>", VIR_ERR_XML_ERROR, "<secret>"},
        Case{"<secret ephemeral='maybe'/>", VIR_ERR_XML_ERROR, "ephemeral"},
        Case{"<secret private='1'/>", VIR_ERR_XML_ERROR, "private"},
        Case{"<secret><uuid>12</uuid></secret>", VIR_ERR_XML_ERROR, "uuid"},
        Case{"<secret><usage/></secret>", VIR_ERR_XML_ERROR, "type"},
        Case{"<secret><usage type='gold'/></secret>", VIR_ERR_XML_ERROR, "gold"},
        Case{"<secret><usage type='volume'/></secret>", VIR_ERR_XML_ERROR, "<volume>"},
        Case{"<secret><usage type='ceph'><volume>x</volume></usage></secret>", VIR_ERR_XML_ERROR, "<name>"},
        Case{"<secret><usage type='tls'><name>a</name><name>b</name></usage></secret>", VIR_ERR_XML_ERROR,
             "name"},
        Case{"<secret><gold/></secret>", VIR_ERR_CONFIG_UNSUPPORTED, "gold"},
        Case{"<secret gold='1'/>", VIR_ERR_CONFIG_UNSUPPORTED, "gold"}}) {
    try {
      parse_secret(c.xml);
      FAIL() << c.xml;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), c.code) << error.message();
      EXPECT_EQ(error.domain(), VIR_FROM_SECRET) << error.message();
      EXPECT_NE(error.message().find(c.says), std::string::npos) << error.message();
    }
  }
}

TEST(SecretDefinition, TheSchemaRefusesTheSame) {
  for (const char* xml :
       {"<secret ephemeral='maybe'/>", "<secret><gold/></secret>", "<secret><usage type='volume'/></secret>",
        "<secret><usage type='ceph'><volume>x</volume></usage></secret>"}) {
    try {
      parse_secret(xml, true);
      FAIL() << xml;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), VIR_ERR_XML_INVALID_SCHEMA) << error.message();
    }
  }
}

TEST(SecretDefinition, ALargeDocumentIsRefused) {
  const std::string large = "<secret><description>" + std::string(300 << 10, 'x') + "</description></secret>";
  EXPECT_THROW(parse_secret(large), Error);
}

}  // namespace
}  // namespace warren::driver::secret
