// Definitions, their rules and what clients read of them; among it a table of what libvirt-tck asks for
// (CONTRACT §7).
#include "driver/domain/driver_fixture.h"

namespace warren::driver::domain {
namespace {

using DefinitionTest = DriverFixture;
constexpr unsigned int kConfigMaximumVcpus = unsigned{VIR_DOMAIN_AFFECT_CONFIG} | VIR_DOMAIN_VCPU_MAXIMUM;
constexpr unsigned int kConfigMaximumMemory = unsigned{VIR_DOMAIN_AFFECT_CONFIG} | VIR_DOMAIN_MEM_MAXIMUM;
constexpr const char* kOtherUuid = "11111111-2222-4333-8444-555555555555";

TEST_F(DefinitionTest, DefineReadUndefine) {
  EXPECT_THROW(driver_->lookup_by_name(caller_, "test"), Error);
  ASSERT_EQ(define(xml()), "");
  EXPECT_EQ(driver_->lookup_by_name(caller_, "test"), (DomainHandle{"test", test_uuid(), -1}));
  EXPECT_EQ(driver_->lookup_by_uuid(caller_, test_uuid()).name, "test");
  EXPECT_TRUE(std::filesystem::exists(root_ / "etc/domains/test.xml"));
  EXPECT_EQ(state().state, VIR_DOMAIN_SHUTOFF);
  EXPECT_TRUE(driver_->is_persistent(caller_, test_uuid()));
  EXPECT_FALSE(driver_->is_active(caller_, test_uuid()));
  EXPECT_EQ(driver_->os_type(caller_, test_uuid()), "hvm");
  EXPECT_FALSE(driver_->has_managed_save(caller_, test_uuid(), 0));
  DomainInfo info = driver_->info(caller_, test_uuid());
  EXPECT_EQ(info.maximum_memory_kib, 128u << 10);
  EXPECT_EQ(info.vcpus, 2u);
  EXPECT_EQ(info.cpu_time_ns, 0u);
  std::string text = driver_->xml(caller_, test_uuid(), 0);
  EXPECT_NE(text.find("<name>test</name>"), std::string::npos);
  EXPECT_EQ(driver_->xml(caller_, test_uuid(), VIR_DOMAIN_XML_INACTIVE), text);
  ASSERT_EQ(undefine(), "");
  EXPECT_THROW(driver_->lookup_by_name(caller_, "test"), Error);
  EXPECT_FALSE(std::filesystem::exists(root_ / "etc/domains/test.xml"));
  EXPECT_EQ(events_, (std::vector<std::string>{
                         lifecycle(VIR_DOMAIN_EVENT_DEFINED, VIR_DOMAIN_EVENT_DEFINED_ADDED),
                         lifecycle(VIR_DOMAIN_EVENT_UNDEFINED, VIR_DOMAIN_EVENT_UNDEFINED_REMOVED)}));
}

TEST_F(DefinitionTest, SurvivesTheDaemon) {
  ASSERT_EQ(define(xml()), "");
  ASSERT_EQ(
      wait<void>([&](auto done) { driver_->set_autostart(caller_, test_uuid(), true, std::move(done)); }),
      "");
  std::string text = driver_->xml(caller_, test_uuid(), 0);
  start_daemon();
  EXPECT_EQ(driver_->xml(caller_, test_uuid(), 0), text);
  EXPECT_TRUE(driver_->autostart(caller_, test_uuid()));
}

TEST_F(DefinitionTest, RedefinitionUpdates) {
  ASSERT_EQ(define(xml()), "");
  ASSERT_EQ(define(xml("test", kTestUuid, "<title>new</title>")), "");
  EXPECT_EQ(driver_->metadata(caller_, test_uuid(), VIR_DOMAIN_METADATA_TITLE, {}, 0), "new");
  EXPECT_EQ(events_.back(), lifecycle(VIR_DOMAIN_EVENT_DEFINED, VIR_DOMAIN_EVENT_DEFINED_UPDATED));
}

TEST_F(DefinitionTest, TckDuplicates) {
  ASSERT_EQ(define(xml()), "");
  EXPECT_NE(define(xml("other", kTestUuid)), "");
  EXPECT_EQ(last_code_, VIR_ERR_OPERATION_FAILED);
  EXPECT_NE(define(xml("test", kOtherUuid)), "");
  EXPECT_EQ(last_code_, VIR_ERR_OPERATION_FAILED);
  EXPECT_NE(create(xml("test", kOtherUuid)), "");
  EXPECT_NE(create(xml("other", kTestUuid)), "");
  EXPECT_EQ(driver_->list(caller_, 0).size(), 1u);
  EXPECT_TRUE(is_shut_off());
}

TEST_F(DefinitionTest, TckTransient) {
  ASSERT_EQ(create(xml()), "");
  EXPECT_FALSE(driver_->is_persistent(caller_, test_uuid()));
  EXPECT_NE(
      wait<void>([&](auto done) { driver_->set_autostart(caller_, test_uuid(), true, std::move(done)); }),
      "");
  EXPECT_EQ(last_code_, VIR_ERR_OPERATION_INVALID);
  EXPECT_NE(undefine(), "");
  EXPECT_EQ(last_code_, VIR_ERR_OPERATION_INVALID);
  // A second create is refused and does not disturb the first.
  pid_t pid = worker_pid();
  EXPECT_NE(create(xml()), "");
  EXPECT_EQ(last_code_, VIR_ERR_OPERATION_INVALID);
  EXPECT_EQ(worker_pid(), pid);
  EXPECT_EQ(state().state, VIR_DOMAIN_RUNNING);
  ASSERT_EQ(destroy(), "");
  EXPECT_THROW(driver_->lookup_by_uuid(caller_, test_uuid()), Error);
}

TEST_F(DefinitionTest, TckDefinitionOfTransientMakesItPersistent) {
  ASSERT_EQ(create(xml()), "");
  ASSERT_EQ(define(xml("test", kTestUuid, "<title>later</title>")), "");
  EXPECT_TRUE(driver_->is_persistent(caller_, test_uuid()));
  EXPECT_TRUE(driver_->is_updated(caller_, test_uuid()));
  EXPECT_EQ(driver_->xml(caller_, test_uuid(), 0).find("later"), std::string::npos);
  EXPECT_NE(driver_->xml(caller_, test_uuid(), VIR_DOMAIN_XML_INACTIVE).find("later"), std::string::npos);
  ASSERT_EQ(destroy(), "");
  EXPECT_TRUE(is_shut_off());
  EXPECT_NE(driver_->xml(caller_, test_uuid(), 0).find("later"), std::string::npos);
}

TEST_F(DefinitionTest, TckChangesOfInactive) {
  ASSERT_EQ(define(xml()), "");
  EXPECT_EQ(suspend(), "Requested operation is not valid: domain is not running");
  EXPECT_EQ(last_code_, VIR_ERR_OPERATION_INVALID);
  EXPECT_NE(resume(), "");
  EXPECT_NE(destroy(), "");
  EXPECT_EQ(last_code_, VIR_ERR_OPERATION_INVALID);
  EXPECT_NE(wait<void>([&](auto done) { driver_->shutdown(caller_, test_uuid(), 0, std::move(done)); }), "");
  EXPECT_NE(wait<void>([&](auto done) { driver_->reset(caller_, test_uuid(), 0, std::move(done)); }), "");
  EXPECT_THROW(driver_->open_console(caller_, test_uuid(), {}, 0), Error);
  EXPECT_THROW(driver_->vcpu_info(caller_, test_uuid()), Error);
}

TEST_F(DefinitionTest, UndefineOfRunningMakesItTransient) {
  ASSERT_EQ(define(xml()), "");
  ASSERT_EQ(start(), "");
  ASSERT_EQ(undefine(), "");
  EXPECT_FALSE(driver_->is_persistent(caller_, test_uuid()));
  EXPECT_EQ(state().state, VIR_DOMAIN_RUNNING);
  ASSERT_EQ(destroy(), "");
  EXPECT_THROW(driver_->lookup_by_uuid(caller_, test_uuid()), Error);
}

TEST_F(DefinitionTest, UnknownFlagsAndDomainsAreRefused) {
  ASSERT_EQ(define(xml()), "");
  EXPECT_EQ(start(test_uuid(), 0x4000),
            "invalid argument: unsupported flags (0x4000) in function virDomainCreateWithFlags");
  EXPECT_NE(destroy(test_uuid(), 8), "");
  EXPECT_EQ(last_code_, VIR_ERR_INVALID_ARG);
  EXPECT_THROW(driver_->xml(caller_, test_uuid(), 64), Error);
  EXPECT_THROW(driver_->list(caller_, 1u << 20), Error);
  EXPECT_NE(start(*Uuid::parse(kOtherUuid)), "");
  EXPECT_EQ(last_code_, VIR_ERR_NO_DOMAIN);
  Caller reader = caller_;
  reader.read_only = true;
  EXPECT_THROW(driver_->xml(reader, test_uuid(), VIR_DOMAIN_XML_SECURE), Error);
}

TEST_F(DefinitionTest, Rename) {
  ASSERT_EQ(define(xml()), "");
  ASSERT_EQ(define(xml("taken", kOtherUuid)), "");
  auto rename = [&](std::string name) {
    return wait<void>([&](auto done) { driver_->rename(caller_, test_uuid(), name, 0, std::move(done)); });
  };
  EXPECT_NE(rename("taken"), "");
  EXPECT_NE(rename("a/b"), "");
  EXPECT_NE(rename("a\nb"), "") << "it could not be read back";
  EXPECT_NE(rename("test"), "");
  events_.clear();
  ASSERT_EQ(rename("fresh"), "");
  EXPECT_EQ(driver_->lookup_by_name(caller_, "fresh").uuid, test_uuid());
  EXPECT_THROW(driver_->lookup_by_name(caller_, "test"), Error);
  EXPECT_EQ(events_, (std::vector<std::string>{
                         lifecycle(VIR_DOMAIN_EVENT_UNDEFINED, VIR_DOMAIN_EVENT_UNDEFINED_RENAMED),
                         lifecycle(VIR_DOMAIN_EVENT_DEFINED, VIR_DOMAIN_EVENT_DEFINED_RENAMED, "fresh")}));
  ASSERT_EQ(start(), "");
  EXPECT_NE(rename("again"), "");
  start_daemon();
  EXPECT_EQ(state().state, VIR_DOMAIN_RUNNING);
  EXPECT_EQ(driver_->lookup_by_name(caller_, "fresh").uuid, test_uuid());
}

TEST_F(DefinitionTest, MetadataOfConfigAndLive) {
  ASSERT_EQ(define(xml()), "");
  ASSERT_EQ(start(), "");
  auto set = [&](int type, std::optional<std::string> text, unsigned int flags,
                 std::optional<std::string> uri = {}) {
    DomainConfiguration::MetadataChange change{type, std::move(text), uri ? std::optional("m") : std::nullopt,
                                               uri};
    return wait<void>(
        [&](auto done) { driver_->set_metadata(caller_, test_uuid(), change, flags, std::move(done)); });
  };
  auto get = [&](int type, unsigned int flags, std::optional<std::string> uri = {}) {
    return driver_->metadata(caller_, test_uuid(), type, uri, flags);
  };
  ASSERT_EQ(set(VIR_DOMAIN_METADATA_TITLE, "live", VIR_DOMAIN_AFFECT_LIVE), "");
  EXPECT_EQ(get(VIR_DOMAIN_METADATA_TITLE, 0), "live");
  EXPECT_THROW(get(VIR_DOMAIN_METADATA_TITLE, VIR_DOMAIN_AFFECT_CONFIG), Error);
  ASSERT_EQ(set(VIR_DOMAIN_METADATA_DESCRIPTION, "both", VIR_DOMAIN_AFFECT_LIVE | VIR_DOMAIN_AFFECT_CONFIG),
            "");
  EXPECT_EQ(get(VIR_DOMAIN_METADATA_DESCRIPTION, VIR_DOMAIN_AFFECT_CONFIG), "both");
  EXPECT_NE(set(VIR_DOMAIN_METADATA_DESCRIPTION, "no \x01 XML", VIR_DOMAIN_AFFECT_CONFIG), "");
  EXPECT_NE(set(VIR_DOMAIN_METADATA_DESCRIPTION, std::string(1 << 20, '&'), VIR_DOMAIN_AFFECT_CONFIG), "");
  EXPECT_EQ(get(VIR_DOMAIN_METADATA_DESCRIPTION, VIR_DOMAIN_AFFECT_CONFIG), "both");
  EXPECT_NE(set(VIR_DOMAIN_METADATA_TITLE, "two\nlines", 0), "");
  ASSERT_EQ(set(VIR_DOMAIN_METADATA_ELEMENT, "<a/>", VIR_DOMAIN_AFFECT_CONFIG, "http://m/"), "");
  EXPECT_EQ(get(VIR_DOMAIN_METADATA_ELEMENT, VIR_DOMAIN_AFFECT_CONFIG, "http://m/"), "<a/>");
  ASSERT_EQ(set(VIR_DOMAIN_METADATA_ELEMENT, {}, VIR_DOMAIN_AFFECT_CONFIG, "http://m/"), "");
  try {
    get(VIR_DOMAIN_METADATA_ELEMENT, VIR_DOMAIN_AFFECT_CONFIG, "http://m/");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), VIR_ERR_NO_DOMAIN_METADATA);
  }
  EXPECT_EQ(std::count(events_.begin(), events_.end(), "test:id23"), 4);
}

TEST_F(DefinitionTest, VcpusAndMemory) {
  ASSERT_EQ(define(xml()), "");
  auto vcpus = [&](unsigned int count, unsigned int flags) {
    return wait<void>(
        [&](auto done) { driver_->set_vcpus(caller_, test_uuid(), count, flags, std::move(done)); });
  };
  auto memory = [&](std::uint64_t kib, unsigned int flags) {
    return wait<void>(
        [&](auto done) { driver_->set_memory(caller_, test_uuid(), kib, flags, std::move(done)); });
  };
  EXPECT_NE(vcpus(3, VIR_DOMAIN_AFFECT_CONFIG), "");
  EXPECT_EQ(last_code_, VIR_ERR_INVALID_ARG);
  ASSERT_EQ(vcpus(4, kConfigMaximumVcpus), "");
  ASSERT_EQ(vcpus(3, VIR_DOMAIN_AFFECT_CONFIG), "");
  EXPECT_EQ(driver_->vcpus(caller_, test_uuid(), VIR_DOMAIN_VCPU_CONFIG), 3);
  EXPECT_EQ(driver_->vcpus(caller_, test_uuid(), VIR_DOMAIN_VCPU_CONFIG | VIR_DOMAIN_VCPU_MAXIMUM), 4);
  EXPECT_THROW(driver_->vcpus(caller_, test_uuid(), VIR_DOMAIN_VCPU_LIVE), Error);
  EXPECT_NE(memory(256 << 10, VIR_DOMAIN_AFFECT_CONFIG), "");
  ASSERT_EQ(memory(256 << 10, kConfigMaximumMemory), "");
  EXPECT_EQ(driver_->maximum_memory_kib(caller_, test_uuid()), 256u << 10);
  ASSERT_EQ(start(), "");
  EXPECT_EQ(driver_->vcpus(caller_, test_uuid(), VIR_DOMAIN_VCPU_LIVE), 3);
  EXPECT_NE(vcpus(2, VIR_DOMAIN_AFFECT_LIVE), "");
  EXPECT_EQ(memory(128 << 10, 0), "") << "its balloon is asked";
  EXPECT_NE(memory(128 << 10, unsigned{VIR_DOMAIN_AFFECT_LIVE} | VIR_DOMAIN_MEM_MAXIMUM), "");
  EXPECT_EQ(last_code_, VIR_ERR_OPERATION_INVALID);
  ASSERT_EQ(vcpus(2, VIR_DOMAIN_AFFECT_CONFIG), "");
  EXPECT_EQ(driver_->vcpus(caller_, test_uuid(), VIR_DOMAIN_VCPU_LIVE), 3);
  EXPECT_EQ(driver_->vcpus(caller_, test_uuid(), VIR_DOMAIN_VCPU_CONFIG), 2);
}

TEST_F(DefinitionTest, ListFilters) {
  ASSERT_EQ(define(xml()), "");
  ASSERT_EQ(create(xml("running", kOtherUuid, "<on_crash>destroy</on_crash>").replace(0, 0, "")), "");
  auto names = [&](unsigned int flags) {
    std::string text;
    for (const auto& handle : driver_->list(caller_, flags)) text += handle.name + " ";
    return text;
  };
  EXPECT_EQ(names(0), "running test ");
  EXPECT_EQ(names(VIR_CONNECT_LIST_DOMAINS_ACTIVE), "running ");
  EXPECT_EQ(names(VIR_CONNECT_LIST_DOMAINS_INACTIVE), "test ");
  EXPECT_EQ(names(VIR_CONNECT_LIST_DOMAINS_PERSISTENT), "test ");
  EXPECT_EQ(names(VIR_CONNECT_LIST_DOMAINS_TRANSIENT), "running ");
  EXPECT_EQ(names(VIR_CONNECT_LIST_DOMAINS_RUNNING | VIR_CONNECT_LIST_DOMAINS_PAUSED), "running ");
  EXPECT_EQ(names(VIR_CONNECT_LIST_DOMAINS_SHUTOFF), "test ");
  EXPECT_EQ(names(VIR_CONNECT_LIST_DOMAINS_OTHER), "");
  EXPECT_EQ(names(VIR_CONNECT_LIST_DOMAINS_AUTOSTART), "");
  EXPECT_EQ(names(VIR_CONNECT_LIST_DOMAINS_NO_AUTOSTART), "running test ");
  EXPECT_EQ(names(VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE), "");
  EXPECT_EQ(names(VIR_CONNECT_LIST_DOMAINS_NO_SNAPSHOT), "running test ");
  EXPECT_EQ(names(VIR_CONNECT_LIST_DOMAINS_ACTIVE | VIR_CONNECT_LIST_DOMAINS_PERSISTENT), "");
  EXPECT_EQ(driver_->active_ids(caller_).size(), 1u);
  EXPECT_EQ(driver_->inactive_names(caller_), std::vector<std::string>{"test"});
}

TEST_F(DefinitionTest, BrokenDefinitionIsSetAsideAndTold) {
  ASSERT_EQ(define(xml()), "");
  std::ofstream(root_ / "etc/domains/bad.xml") << "<domain><name>bad";
  start_daemon();
  EXPECT_EQ(driver_->list(caller_, 0).size(), 1u);
  EXPECT_NE(log_.find("bad"), std::string::npos);
}

}  // namespace
}  // namespace warren::driver::domain
