// The secret driver on a directory: rules of definitions and values, durability, events.

#include <fstream>
#include <string>

#include <boost/asio/io_context.hpp>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "driver/secret/driver.h"

namespace warren::driver::secret {
namespace {

constexpr const char* kUuid = "0a81f5b2-8403-7b23-c8d6-21ccc2f80d6f";

class SecretDriverTest : public testing::Test {
 protected:
  SecretDriverTest() {
    char name[] = "/tmp/warren-secret-XXXXXX";
    root_ = ::mkdtemp(name);
    restart();
  }
  ~SecretDriverTest() override {
    driver_.reset();
    std::error_code ignored;
    std::filesystem::remove_all(root_, ignored);
  }

  void restart() {
    driver_.reset();
    loop_.restart();
    driver_ =
        make_secret_driver(loop_, {.directory = root_ / "secrets",
                                   .keys = {.key_file = root_ / "key"},
                                   .report = [this](std::string_view text) { reports_.emplace_back(text); }});
  }

  template <typename T>
  T wait(std::optional<std::expected<T, Error>>& outcome) {
    loop_.restart();
    loop_.run();
    if (!outcome) throw std::logic_error("not completed");
    if (!*outcome) throw outcome->error();
    if constexpr (!std::is_void_v<T>) return std::move(**outcome);
  }
  SecretHandle define(const std::string& xml, unsigned int flags = 0) {
    std::optional<std::expected<SecretHandle, Error>> outcome;
    driver_->define({}, xml, flags, [&](auto result) { outcome = std::move(result); });
    return wait(outcome);
  }
  SecretHandle define_usage(const std::string& usage, const std::string& attributes = "",
                            const std::string& uuid = kUuid) {
    return define(fmt::format("<secret {}><uuid>{}</uuid><usage type='ceph'><name>{}</name></usage></secret>",
                              attributes, uuid, usage));
  }
  void undefine(const Uuid& uuid) {
    std::optional<std::expected<void, Error>> outcome;
    driver_->undefine({}, uuid, [&](auto result) { outcome = std::move(result); });
    wait(outcome);
  }
  void set_value(const Uuid& uuid, std::string_view text, unsigned int flags = 0) {
    std::optional<std::expected<void, Error>> outcome;
    // text as bytes
    SecretValue value(std::span(reinterpret_cast<const std::uint8_t*>(text.data()), text.size()));
    driver_->set_value({}, uuid, std::move(value), flags, [&](auto result) { outcome = std::move(result); });
    wait(outcome);
  }
  std::string value(const Uuid& uuid) {
    const SecretValue found = driver_->value({}, uuid, 0);
    return {found.bytes().begin(), found.bytes().end()};
  }
  template <typename Function>
  static int code_of(Function function) {
    try {
      function();
    } catch (const Error& error) {
      EXPECT_TRUE(error.domain() == VIR_FROM_SECRET || error.code() == VIR_ERR_INVALID_ARG)
          << error.message();
      return error.code();
    }
    return 0;
  }
  // Every byte that lies below the directory.
  std::string everything() const {
    std::string all;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root_)) {
      if (!entry.is_regular_file()) continue;
      std::ifstream file(entry.path(), std::ios::binary);
      all.append(std::istreambuf_iterator<char>(file), {});
      struct stat status{};
      EXPECT_EQ(::stat(entry.path().c_str(), &status), 0);
      EXPECT_EQ(status.st_mode & 0777, 0600U) << entry.path();  // T20
    }
    return all;
  }

  std::filesystem::path root_;
  boost::asio::io_context loop_;
  std::vector<std::string> reports_;
  std::unique_ptr<SecretDriver> driver_;
};

TEST_F(SecretDriverTest, AValueSurvivesARestartAndIsNotInAnyFile) {
  const SecretHandle handle = define_usage("client.one");
  EXPECT_EQ(code_of([&] { value(handle.uuid); }), VIR_ERR_NO_SECRET);
  set_value(handle.uuid, "the-value-in-the-clear");
  restart();
  EXPECT_EQ(value(handle.uuid), "the-value-in-the-clear");
  EXPECT_EQ(everything().find("the-value-in-the-clear"), std::string::npos);
  EXPECT_EQ(driver_->lookup_by_uuid({}, handle.uuid), handle);
  EXPECT_EQ(driver_->lookup_by_usage({}, VIR_SECRET_USAGE_TYPE_CEPH, "client.one"), handle);
  EXPECT_EQ(code_of([&] { driver_->lookup_by_usage({}, VIR_SECRET_USAGE_TYPE_TLS, "client.one"); }),
            VIR_ERR_NO_SECRET);
}

TEST_F(SecretDriverTest, UndefineRemovesAllOfIt) {
  const SecretHandle handle = define_usage("client.one");
  set_value(handle.uuid, "value");
  undefine(handle.uuid);
  EXPECT_EQ(code_of([&] { undefine(handle.uuid); }), VIR_ERR_NO_SECRET);
  restart();
  EXPECT_TRUE(driver_->list({}, 0).empty());
  EXPECT_EQ(everything().find("sealedValue"), std::string::npos);
}

TEST_F(SecretDriverTest, AnEphemeralSecretNeverReachesTheDisk) {
  const SecretHandle handle = define_usage("client.brief", "ephemeral='yes'");
  set_value(handle.uuid, "passing");
  EXPECT_EQ(value(handle.uuid), "passing");
  EXPECT_EQ(everything().find("client.brief"), std::string::npos);
  restart();
  EXPECT_EQ(code_of([&] { driver_->lookup_by_uuid({}, handle.uuid); }), VIR_ERR_NO_SECRET);
}

TEST_F(SecretDriverTest, EphemeralAndStoredChangePlaces) {
  const SecretHandle handle = define_usage("client.one", "ephemeral='yes'");
  set_value(handle.uuid, "kept");
  define_usage("client.one");
  restart();
  EXPECT_EQ(value(handle.uuid), "kept");
  define_usage("client.one", "ephemeral='yes'");
  EXPECT_EQ(value(handle.uuid), "kept");
  EXPECT_EQ(everything().find("client.one"), std::string::npos);
}

TEST_F(SecretDriverTest, APrivateValueIsNotGivenAndStaysPrivate) {
  const SecretHandle handle = define_usage("client.one", "private='yes'");
  set_value(handle.uuid, "hidden");
  EXPECT_EQ(code_of([&] { value(handle.uuid); }), VIR_ERR_INVALID_SECRET);
  EXPECT_EQ(code_of([&] { define_usage("client.one"); }), VIR_ERR_OPERATION_DENIED);
  define_usage("client.one", "private='yes' ephemeral='yes'");
}

TEST_F(SecretDriverTest, AUsageBelongsToOneSecret) {
  const SecretHandle handle = define_usage("client.one");
  EXPECT_EQ(code_of([&] { define_usage("client.two"); }), VIR_ERR_INTERNAL_ERROR);
  EXPECT_EQ(code_of([&] { define_usage("client.one", "", "11111111-2222-4333-8444-555555555555"); }),
            VIR_ERR_INTERNAL_ERROR);
  define_usage("client.one");  // the same again
  // Those without a usage do not compete.
  define("<secret/>");
  define("<secret/>");
  EXPECT_EQ(driver_->list({}, 0).size(), 3U);
  EXPECT_EQ(driver_->lookup_by_uuid({}, handle.uuid), handle);
}

TEST_F(SecretDriverTest, ListsByFlags) {
  define_usage("a", "ephemeral='yes'", "11111111-2222-4333-8444-555555555551");
  define_usage("b", "private='yes'", "11111111-2222-4333-8444-555555555552");
  define_usage("c", "private='yes' ephemeral='yes'", "11111111-2222-4333-8444-555555555553");
  define_usage("d", "", "11111111-2222-4333-8444-555555555554");
  const auto names = [&](unsigned int flags) {
    std::string all;
    for (const SecretHandle& handle : driver_->list({}, flags)) all += handle.usage_id;
    return all;
  };
  EXPECT_EQ(names(0), "abcd");
  EXPECT_EQ(names(VIR_CONNECT_LIST_SECRETS_EPHEMERAL), "ac");
  EXPECT_EQ(names(VIR_CONNECT_LIST_SECRETS_NO_EPHEMERAL), "bd");
  EXPECT_EQ(names(VIR_CONNECT_LIST_SECRETS_PRIVATE | VIR_CONNECT_LIST_SECRETS_NO_EPHEMERAL), "b");
  EXPECT_EQ(names(VIR_CONNECT_LIST_SECRETS_PRIVATE | VIR_CONNECT_LIST_SECRETS_NO_PRIVATE), "abcd");
  EXPECT_EQ(code_of([&] { names(1U << 9); }), VIR_ERR_INVALID_ARG);
}

TEST_F(SecretDriverTest, UnknownFlagsAreRefused) {
  const SecretHandle handle = define_usage("a");
  EXPECT_EQ(code_of([&] { define("<secret/>", 2); }), VIR_ERR_INVALID_ARG);
  EXPECT_EQ(code_of([&] { set_value(handle.uuid, "x", 1); }), VIR_ERR_INVALID_ARG);
  EXPECT_EQ(code_of([&] { driver_->value({}, handle.uuid, 1); }), VIR_ERR_INVALID_ARG);
  EXPECT_EQ(code_of([&] { driver_->xml({}, handle.uuid, 1); }), VIR_ERR_INVALID_ARG);
  try {
    define("<secret><gold/></secret>", VIR_SECRET_DEFINE_VALIDATE);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), VIR_ERR_XML_INVALID_SCHEMA);
  }
}

TEST_F(SecretDriverTest, EventsComeInOrderAndOnlyToWhoAsked) {
  std::string told;
  const auto tell = [&](const SecretEvent& event) {
    told += fmt::format("{}.{}.{} ", event.secret.usage_id, event.id, event.event);
  };
  const Uuid other = Uuid::random();
  driver_->subscribe(VIR_SECRET_EVENT_ID_LIFECYCLE, std::nullopt, tell);
  driver_->subscribe(VIR_SECRET_EVENT_ID_LIFECYCLE, other, [&](const SecretEvent&) { told += "other "; });
  const auto values = driver_->subscribe(VIR_SECRET_EVENT_ID_VALUE_CHANGED, Uuid::parse(kUuid), tell);
  const SecretHandle handle = define_usage("a");
  set_value(handle.uuid, "x");
  driver_->unsubscribe(values);
  set_value(handle.uuid, "y");
  undefine(handle.uuid);
  EXPECT_EQ(told, "a.0.0 a.1.0 a.0.1 ");
  EXPECT_EQ(code_of([&] { driver_->subscribe(2, std::nullopt, tell); }), VIR_ERR_INVALID_ARG);
  EXPECT_EQ(code_of([&] { driver_->subscribe(-1, std::nullopt, tell); }), VIR_ERR_INVALID_ARG);
}

TEST_F(SecretDriverTest, ChangesAreMadeOneAfterTheOther) {
  // All are asked for before the first is done; the last of them meets what the first ones made.
  const Uuid uuid = *Uuid::parse(kUuid);
  std::string order;
  driver_->define({}, fmt::format("<secret><uuid>{}</uuid></secret>", kUuid), 0, [&](auto result) {
    order += result ? "defined " : "refused ";
    // A completion may ask for more.
    driver_->undefine({}, uuid, [&](auto undefined) { order += undefined ? "" : "again "; });
  });
  driver_->set_value({}, uuid, SecretValue(3), 0,
                     [&](auto result) { order += result ? "set " : "refused "; });
  driver_->undefine({}, uuid, [&](auto result) { order += result ? "undefined " : "refused "; });
  driver_->set_value({}, uuid, SecretValue(3), 0,
                     [&](auto result) { order += result ? "set " : "refused "; });
  loop_.restart();
  loop_.run();
  EXPECT_EQ(order, "defined set undefined refused again ");
}

// T13: a directory that cannot be written.
TEST_F(SecretDriverTest, AFailedWriteChangesNothing) {
  const SecretHandle handle = define_usage("a");
  set_value(handle.uuid, "before");
  std::filesystem::remove_all(root_ / "secrets" / "values");
  std::ofstream(root_ / "secrets" / "values") << "no directory";
  std::filesystem::remove_all(root_ / "secrets" / (std::string(kUuid) + ".xml"));
  std::filesystem::create_directory(root_ / "secrets" / (std::string(kUuid) + ".xml"));
  EXPECT_NE(code_of([&] {
              try {
                define(
                    fmt::format("<secret><uuid>{}</uuid><description>new</description><usage "
                                "type='ceph'><name>a</name></usage></secret>",
                                kUuid));
              } catch (const Error& error) {
                throw Error(error.code(), error.detail(), VIR_FROM_SECRET);
              }
            }),
            0);
  EXPECT_EQ(driver_->xml({}, handle.uuid, 0).find("new"), std::string::npos);
  EXPECT_EQ(value(handle.uuid), "before");
}

TEST_F(SecretDriverTest, BrokenFilesAreReportedAndKept) {
  const SecretHandle handle = define_usage("a");
  set_value(handle.uuid, "x");
  std::ofstream(root_ / "secrets" / "11111111-2222-4333-8444-555555555551.xml") << "<secret";
  std::ofstream(root_ / "secrets" / "values" / "11111111-2222-4333-8444-555555555551.xml") << "rubbish";
  restart();
  EXPECT_EQ(driver_->list({}, 0).size(), 1U);
  EXPECT_EQ(reports_.size(), 2U);
  EXPECT_EQ(value(handle.uuid), "x");
}

// T14: the machine stopped between the two removals of undefine.
TEST_F(SecretDriverTest, AValueWithoutItsSecretGoes) {
  const SecretHandle handle = define_usage("a");
  set_value(handle.uuid, "x");
  std::filesystem::remove(root_ / "secrets" / (std::string(kUuid) + ".xml"));
  restart();
  EXPECT_EQ(everything().find("sealedValue"), std::string::npos);
  define_usage("a");
  EXPECT_EQ(code_of([&] { value(handle.uuid); }), VIR_ERR_NO_SECRET);
}

}  // namespace
}  // namespace warren::driver::secret
