// Block jobs of a running domain, whose worker says of them what its console is told.
#include <atomic>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <sstream>
#include <thread>

#include <gmock/gmock.h>

#include "driver/domain/driver_fixture.h"

namespace warren::driver::domain {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

std::string big_endian(std::uint64_t value, unsigned size) {
  std::string bytes;
  for (unsigned i = size; i-- != 0;) bytes += static_cast<char>(value >> i * 8);
  return bytes;
}

class BlockJobs : public DriverFixture {
 protected:
  BlockJobs() {
    make_qcow2("top", "middle", "qcow2");
    make_qcow2("middle", "base", "raw");
    std::ofstream(root_ / "base") << std::string(65536, 'b');
  }
  std::string path(const std::string& name) const { return (root_ / name).string(); }

  // A header is all that is looked at here.
  void make_qcow2(const std::string& name, const std::string& backing, const std::string& format) const {
    std::string extension = big_endian(0xe2792aca, 4) + big_endian(format.size(), 4) + format;
    extension.resize((extension.size() + 7) / 8 * 8 + 8);
    std::string header = "QFI\xfb" + big_endian(3, 4) + big_endian(104 + extension.size(), 8) +
                         big_endian(backing.size(), 4) + big_endian(16, 4) +
                         big_endian(std::uint64_t{1} << 20, 8);
    header.resize(100);
    header += big_endian(104, 4) + extension + backing;
    header.resize(65536);
    std::ofstream(root_ / name, std::ios::binary) << header;
  }
  std::string definition(const std::string& words = "") const {
    std::string text = xml("test", kTestUuid, "", words);
    const std::string plain = fmt::format("<source file='{}'/>", path("disk.img"));
    return text.replace(text.find(plain), plain.size(),
                        fmt::format("<driver name='qemu' type='qcow2'/><source file='{}'/>", path("top")));
  }
  void begin(const std::string& words = "") {
    ASSERT_EQ(define(definition(words)), "");
    ASSERT_EQ(start(), "");
    subscribe();
  }
  void subscribe() {
    for (int id : {VIR_DOMAIN_EVENT_ID_BLOCK_JOB, VIR_DOMAIN_EVENT_ID_BLOCK_JOB_2}) {
      driver_->subscribe(id, {}, [this, id](const DomainEvent& event) {
        const auto& job = std::get<BlockJobEvent>(event.body);
        const std::string name = id == VIR_DOMAIN_EVENT_ID_BLOCK_JOB
                                     ? std::filesystem::path(job.source_path).filename().string()
                                     : job.device;
        told_.push_back(fmt::format("{} {} {}", name, job.type, job.status));
      });
    }
  }
  std::string commit(unsigned int flags, std::optional<std::string> top = {},
                     std::optional<std::string> base = {}) {
    return wait<void>([&](auto done) {
      driver_->block_commit(caller_, test_uuid(), {.disk = "vda", .base = base, .top = top}, flags,
                            std::move(done));
    });
  }
  std::string pull(std::optional<std::string> base = {}, unsigned int flags = 0) {
    return wait<void>([&](auto done) {
      driver_->block_rebase(caller_, test_uuid(), "vda", base, 0, flags, std::move(done));
    });
  }
  std::string copy(const std::string& to, unsigned int flags = VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB,
                   const std::string& format = "qcow2", TypedParameters parameters = {}) {
    const std::string text =
        fmt::format("<disk type='file'><source file='{}'/><driver type='{}'/></disk>", path(to), format);
    return wait<void>([&](auto done) {
      driver_->block_copy(caller_, test_uuid(), "vda", text, parameters, flags, std::move(done));
    });
  }
  void copy_until_ready() {
    ASSERT_EQ(copy("copy"), "");
    tell_guest("job virtio-disk0 ready");
    ASSERT_TRUE(wait_told("vda 2 3"));
  }
  std::string abort(unsigned int flags = 0) {
    return wait<void>(
        [&](auto done) { driver_->abort_block_job(caller_, test_uuid(), "vda", flags, std::move(done)); });
  }
  std::string speed(std::uint64_t mebibytes) {
    return wait<void>([&](auto done) {
      driver_->set_block_job_speed(caller_, test_uuid(), "vda", mebibytes, 0, std::move(done));
    });
  }
  std::optional<BlockJobInfo> info() { return driver_->block_job_info(caller_, test_uuid(), "vda", 0); }
  bool wait_told(const std::string& event) {
    return run_until([&] { return std::ranges::find(told_, event) != told_.end(); });
  }
  // The sources of vda, from the top.
  std::vector<std::string> chain(unsigned int flags = 0) {
    const std::string text = driver_->xml(caller_, test_uuid(), flags);
    std::string disk = text.substr(text.find("<disk "), text.find("</disk>") - text.find("<disk "));
    if (const auto mirror = disk.find("<mirror"); mirror != std::string::npos)
      disk.erase(mirror, disk.find("</mirror>") - mirror);
    std::vector<std::string> names;
    const std::regex file("file='[^']*/([^/']+)'");
    for (std::sregex_iterator each(disk.begin(), disk.end(), file), end; each != end; ++each)
      names.push_back((*each)[1]);
    return names;
  }
  std::string shown() { return driver_->xml(caller_, test_uuid(), 0); }

  std::vector<std::string> told_;
};

constexpr unsigned int kStored = VIR_DOMAIN_XML_INACTIVE;

TEST_F(BlockJobs, AnActiveCommitIsReadyThenPivots) {
  begin();
  EXPECT_THAT(chain(), ElementsAre("top", "middle", "base"));
  ASSERT_EQ(commit(VIR_DOMAIN_BLOCK_COMMIT_ACTIVE), "");
  EXPECT_THAT(shown(), HasSubstr("<mirror type='file' job='active-commit'>"));
  EXPECT_EQ(info()->type, VIR_DOMAIN_BLOCK_JOB_TYPE_ACTIVE_COMMIT);
  EXPECT_LT(info()->current, info()->end);
  EXPECT_THAT(abort(VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT), HasSubstr("not ready for pivot yet"));
  EXPECT_EQ(last_code_, VIR_ERR_BLOCK_COPY_ACTIVE);
  tell_guest("job virtio-disk0 ready");
  ASSERT_TRUE(wait_told("vda 4 3"));
  EXPECT_THAT(shown(), HasSubstr("job='active-commit' ready='yes'"));
  EXPECT_EQ(info()->current, info()->end);
  EXPECT_EQ(abort(VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT), "");
  EXPECT_FALSE(info());
  EXPECT_THAT(told_, ElementsAre("top 4 3", "vda 4 3", "base 4 0", "vda 4 0"));
  EXPECT_THAT(chain(), ElementsAre("base"));
  EXPECT_THAT(shown(), HasSubstr("<driver name='qemu' type='raw'/>"));
  EXPECT_THAT(shown(), HasSubstr("index='3'/>"));
  EXPECT_THAT(chain(kStored), ElementsAre("base"));
  EXPECT_THAT(shown(), Not(HasSubstr("<mirror")));
}

// blockcommit --keep-overlay: the worker is to make the base what the disk is at that moment, not to give up.
TEST_F(BlockJobs, AnActiveCommitThatIsReadyEndsWithTheOverlayKept) {
  begin("slow-pivot");
  ASSERT_EQ(commit(VIR_DOMAIN_BLOCK_COMMIT_ACTIVE | VIR_DOMAIN_BLOCK_COMMIT_DELETE), "");
  tell_guest("job virtio-disk0 ready");
  ASSERT_TRUE(wait_told("vda 4 3"));
  ASSERT_EQ(abort(VIR_DOMAIN_BLOCK_JOB_ABORT_ASYNC), "");
  EXPECT_THAT(shown(), HasSubstr("ready='abort'"));
  // A job that was cancelled would be gone.
  EXPECT_FALSE(run_until([&] { return !info(); }, std::chrono::milliseconds(200)));
  tell_guest("job virtio-disk0 completed");
  ASSERT_TRUE(wait_told("vda 4 2"));
  EXPECT_THAT(chain(), ElementsAre("top", "middle", "base"));
  EXPECT_THAT(shown(), Not(HasSubstr("<mirror")));
  EXPECT_TRUE(std::filesystem::exists(path("top")) && std::filesystem::exists(path("middle")));
}

// T13: an image that the stored definition names stays, though a commit has emptied it.
TEST_F(BlockJobs, WhatCannotBeStoredKeepsItsImages) {
  begin();
  ASSERT_EQ(commit(VIR_DOMAIN_BLOCK_COMMIT_ACTIVE | VIR_DOMAIN_BLOCK_COMMIT_DELETE), "");
  tell_guest("job virtio-disk0 ready");
  ASSERT_TRUE(wait_told("vda 4 3"));
  std::filesystem::remove_all(root_ / "etc");
  EXPECT_EQ(abort(VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT), "");
  EXPECT_THAT(chain(), ElementsAre("base"));
  EXPECT_THAT(log_, HasSubstr("its definition cannot be stored"));
  EXPECT_FALSE(
      run_until([&] { return !std::filesystem::exists(path("top")); }, std::chrono::milliseconds(200)));
}

// T15: an image on a file server that hangs is waited for by nobody.
TEST_F(BlockJobs, ADomainIsDestroyedWhileTheTargetOfACopyIsOpened) {
  begin();
  // One may begin after the test has ended.
  const auto goes_on = std::make_shared<std::atomic<bool>>(false);
  for (int i = 0; i < 4; ++i)
    asio::post(driver_->environment().io_threads, [goes_on] {
      while (!*goes_on) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    });
  std::optional<std::string> outcome;
  const std::string text =
      fmt::format("<disk type='file'><source file='{}'/><driver type='qcow2'/></disk>", path("copy"));
  driver_->block_copy(caller_, test_uuid(), "vda", text, {}, VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB,
                      [&](auto result) { outcome = result ? "" : result.error().message(); });
  EXPECT_FALSE(run_until([&] { return outcome.has_value(); }, std::chrono::milliseconds(50)));
  driver_->destroy(caller_, test_uuid(), 0, [](auto) {});
  EXPECT_TRUE(run_until([&] { return outcome.has_value(); }));
  EXPECT_THAT(outcome.value_or(""), HasSubstr("the domain was destroyed"));
  *goes_on = true;
  EXPECT_TRUE(wait_for_state(VIR_DOMAIN_SHUTOFF));
  EXPECT_TRUE(run_until([&] { return !std::filesystem::exists(path("copy")); }));
}

// T15: a worker that answers late has begun the job all the same.
TEST_F(BlockJobs, AJobWhoseBeginningWasAnsweredLateIsKnown) {
  begin("late-job");
  EXPECT_THAT(copy("copy"), HasSubstr("does not answer"));
  EXPECT_EQ(last_code_, VIR_ERR_OPERATION_TIMEOUT);
  EXPECT_TRUE(info());
  EXPECT_TRUE(std::filesystem::exists(path("copy")));
  EXPECT_TRUE(run_until([&] { return info()->end == 100; }));
  EXPECT_EQ(abort(), "");
  EXPECT_FALSE(info());
}

TEST_F(BlockJobs, AJobThatWasRefusedLateIsForgotten) {
  begin("late-job refuse-jobs");
  EXPECT_THAT(copy("copy"), HasSubstr("does not answer"));
  EXPECT_TRUE(run_until([&] { return !info(); }));
  EXPECT_THAT(shown(), Not(HasSubstr("<mirror")));
  EXPECT_EQ(told_.back(), "vda 2 1");
}

TEST_F(BlockJobs, APivotThatWasAnsweredLateIsWaitedFor) {
  begin("late-pivot");
  copy_until_ready();
  EXPECT_THAT(abort(VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT), HasSubstr("does not answer"));
  EXPECT_EQ(driver_->control_info(caller_, test_uuid(), 0).state, unsigned{VIR_DOMAIN_CONTROL_OK});
  ASSERT_TRUE(wait_told("vda 2 0"));
  EXPECT_THAT(chain(), ElementsAre("copy"));
  EXPECT_THAT(chain(kStored), ElementsAre("copy"));
}

// A guest that goes on would write to an image that no definition names yet.
TEST_F(BlockJobs, APausedGuestDoesNotGoOnDuringAPivot) {
  begin("slow-pivot");
  copy_until_ready();
  const auto change = [&](auto call) {
    return wait<void>([&](auto done) { ((*driver_).*call)(caller_, test_uuid(), std::move(done)); });
  };
  ASSERT_EQ(change(&LocalDriver::suspend), "");
  ASSERT_EQ(abort(VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT | VIR_DOMAIN_BLOCK_JOB_ABORT_ASYNC), "");
  EXPECT_THAT(change(&LocalDriver::resume), HasSubstr("still being ended"));
  tell_guest("job virtio-disk0 completed");
  ASSERT_TRUE(wait_told("vda 2 0"));
  EXPECT_EQ(change(&LocalDriver::resume), "");
  EXPECT_EQ(state().state, VIR_DOMAIN_RUNNING);
}

// T14: what the worker does and nobody wrote down is ended.
TEST_F(BlockJobs, AJobThatNobodyKnowsIsEnded) {
  begin();
  ASSERT_EQ(commit(0, "vda[2]"), "");
  const auto file = root_ / "run/status" / (std::string(kTestUuid) + ".xml");
  std::stringstream text;
  text << std::ifstream(file).rdbuf();
  std::string status = text.str();
  const auto first = status.find("<blockjob "), last = status.find("/>", first);
  ASSERT_NE(first, std::string::npos) << status;
  std::ofstream(file) << status.erase(first, last + 2 - first);
  start_daemon();
  EXPECT_FALSE(info());
  EXPECT_TRUE(run_until([&] { return commit(0, "vda[2]").empty(); })) << last_code_;
}

// T13: a daemon that could write nothing down leaves it to the next one.
TEST_F(BlockJobs, APivotThatNobodyWroteDownIsFoundAgain) {
  begin("slow-pivot");
  copy_until_ready();
  ASSERT_EQ(abort(VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT | VIR_DOMAIN_BLOCK_JOB_ABORT_ASYNC), "");
  const auto file = root_ / "run/status" / (std::string(kTestUuid) + ".xml");
  std::filesystem::rename(file, path("away"));
  std::filesystem::create_directories(file / "in the way");
  tell_guest("job virtio-disk0 completed");
  ASSERT_TRUE(wait_told("vda 2 0"));
  EXPECT_THAT(log_, HasSubstr("cannot write its status"));
  std::filesystem::remove_all(file);
  std::filesystem::rename(path("away"), file);
  start_daemon();
  EXPECT_TRUE(run_until([&] { return !info(); }));
  EXPECT_THAT(chain(), ElementsAre("copy"));
  EXPECT_EQ(state().state, VIR_DOMAIN_RUNNING);
}

TEST_F(BlockJobs, ACommitInTheMiddleTakesImagesOutOfTheChain) {
  begin();
  ASSERT_EQ(commit(VIR_DOMAIN_BLOCK_COMMIT_DELETE, "vda[2]"), "");
  EXPECT_THAT(shown(), Not(HasSubstr("<mirror")));
  EXPECT_THAT(abort(VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT), HasSubstr("does not support pivot"));
  tell_guest("job virtio-disk0 completed");
  ASSERT_TRUE(wait_told("vda 3 0"));
  EXPECT_THAT(chain(), ElementsAre("top", "base"));
  EXPECT_THAT(chain(kStored), ElementsAre("top"));
  EXPECT_TRUE(run_until([&] { return !std::filesystem::exists(path("middle")); }));
  EXPECT_TRUE(std::filesystem::exists(path("top")));
}

// domstats --block --backing
TEST_F(BlockJobs, StatisticsAreOfEveryImageThatIsAskedFor) {
  begin();
  const auto figures = [&](unsigned int flags) {
    std::vector<DomainStatistics> all;
    EXPECT_EQ(wait<std::vector<DomainStatistics>>(
                  [&](auto done) {
                    driver_->domain_statistics(caller_, {test_uuid()}, VIR_DOMAIN_STATS_BLOCK, flags,
                                               std::move(done));
                  },
                  &all),
              "");
    std::map<std::string, TypedParameter::Value> found;
    for (const TypedParameter& parameter : all.at(0).parameters) found[parameter.field] = parameter.value;
    return found;
  };
  auto found = figures(0);
  EXPECT_EQ(found["block.count"], TypedParameter::Value(std::uint32_t{1}));
  EXPECT_EQ(found["block.0.backingIndex"], TypedParameter::Value(std::uint32_t{1}));
  found = figures(VIR_CONNECT_GET_ALL_DOMAINS_STATS_BACKING);
  EXPECT_EQ(found["block.count"], TypedParameter::Value(std::uint32_t{3}));
  EXPECT_EQ(found["block.0.path"], TypedParameter::Value(path("top")));
  EXPECT_TRUE(found.contains("block.0.rd.reqs"));
  EXPECT_EQ(found["block.2.name"], TypedParameter::Value(std::string("vda")));
  EXPECT_EQ(found["block.2.backingIndex"], TypedParameter::Value(std::uint32_t{3}));
  EXPECT_EQ(found["block.2.path"], TypedParameter::Value(path("base")));
  EXPECT_EQ(found["block.2.capacity"], TypedParameter::Value(std::uint64_t{65536}));
  EXPECT_EQ(found["block.1.capacity"], TypedParameter::Value(std::uint64_t{1} << 20));
  EXPECT_FALSE(found.contains("block.2.rd.reqs"));
}

TEST_F(BlockJobs, APullEndsAboveItsBase) {
  begin();
  ASSERT_EQ(pull("vda[3]"), "");
  EXPECT_EQ(info()->type, VIR_DOMAIN_BLOCK_JOB_TYPE_PULL);
  tell_guest("job virtio-disk0 completed");
  ASSERT_TRUE(wait_told("vda 1 0"));
  EXPECT_THAT(chain(), ElementsAre("top", "base"));
  ASSERT_EQ(pull(), "");
  tell_guest("job virtio-disk0 completed");
  ASSERT_TRUE(run_until([&] { return !info(); }));
  EXPECT_THAT(chain(), ElementsAre("top"));
  // There is nothing left to do.
  told_.clear();
  ASSERT_EQ(pull(), "");
  EXPECT_TRUE(wait_told("vda 1 0"));
}

TEST_F(BlockJobs, ACopyIsMadeAndPivotedTo) {
  begin();
  EXPECT_THAT(copy("copy", 0), HasSubstr("domain is not transient"));
  ASSERT_EQ(copy("copy"), "");
  EXPECT_THAT(shown(), HasSubstr(fmt::format("<mirror type='file' file='{}' format='qcow2' job='copy'>",
                                             path("copy"))));
  EXPECT_EQ(std::filesystem::status(path("copy")).permissions(),
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  EXPECT_THAT(copy("another"), HasSubstr("disk 'vda' already in active block job"));
  EXPECT_EQ(last_code_, VIR_ERR_BLOCK_COPY_ACTIVE);
  EXPECT_FALSE(std::filesystem::exists(path("another")));
  tell_guest("job virtio-disk0 ready");
  ASSERT_TRUE(wait_told("vda 2 3"));
  EXPECT_EQ(abort(VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT), "");
  EXPECT_THAT(chain(), ElementsAre("copy"));
  EXPECT_THAT(chain(kStored), ElementsAre("copy"));
}

TEST_F(BlockJobs, ACopyIsFinishedAndTheDiskStays) {
  begin();
  ASSERT_EQ(copy("copy", VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB | VIR_DOMAIN_BLOCK_COPY_SHALLOW), "");
  EXPECT_THAT(shown(), HasSubstr("index='4'/>"));
  tell_guest("job virtio-disk0 ready");
  ASSERT_TRUE(wait_told("vda 2 3"));
  EXPECT_EQ(abort(), "");
  EXPECT_EQ(told_.back(), "vda 2 2");
  EXPECT_THAT(chain(), ElementsAre("top", "middle", "base"));
  EXPECT_THAT(shown(), Not(HasSubstr("<mirror")));
  EXPECT_TRUE(std::filesystem::exists(path("copy")));
}

TEST_F(BlockJobs, ACopyDoesNotTouchWhatIsThere) {
  begin();
  EXPECT_THAT(copy("disk.img"), HasSubstr("already exists and is not a block device"));
  EXPECT_EQ(last_code_, VIR_ERR_CONFIG_UNSUPPORTED);
  EXPECT_THAT(copy("new", VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB | VIR_DOMAIN_BLOCK_COPY_REUSE_EXT),
              HasSubstr("missing destination file"));
  EXPECT_THAT(copy("new", VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB | VIR_DOMAIN_BLOCK_COPY_SHALLOW, "raw"),
              HasSubstr("raw shallow copy is not possible"));
  EXPECT_THAT(copy("new", VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB, "raw", {{"granularity", std::uint32_t{3}}}),
              HasSubstr("granularity must be power of 2"));
  const auto with = [&](TypedParameters parameters) {
    return copy("new", VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB, "raw", std::move(parameters));
  };
  EXPECT_THAT(with({{"bandwidth", std::uint32_t{3}}}),
              HasSubstr("invalid type 'uint' for parameter 'bandwidth', expected 'ullong'"));
  EXPECT_THAT(with({{"bandwidth", std::uint64_t{3}}, {"bandwidth", std::uint64_t{3}}}),
              HasSubstr("parameter 'bandwidth' occurs multiple times"));
  EXPECT_THAT(with({{"width", std::uint64_t{3}}}), HasSubstr("parameter 'width' not supported"));
  EXPECT_FALSE(std::filesystem::exists(path("new")));
  EXPECT_FALSE(info());
  ASSERT_EQ(copy("disk.img", VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB | VIR_DOMAIN_BLOCK_COPY_REUSE_EXT, "raw"),
            "");
  EXPECT_EQ(abort(), "");
}

TEST_F(BlockJobs, OfAJobThatIsNotThere) {
  begin();
  EXPECT_FALSE(info());
  EXPECT_THAT(abort(), HasSubstr("disk vda does not have an active block job"));
  EXPECT_EQ(last_code_, VIR_ERR_INVALID_ARG);
  EXPECT_THAT(speed(1), HasSubstr("disk vda does not have an active block job"));
  destroy();
  EXPECT_THAT(commit(VIR_DOMAIN_BLOCK_COMMIT_ACTIVE), HasSubstr("domain is not running"));
}

TEST_F(BlockJobs, ADiskWithAJobStaysAsItIs) {
  begin();
  ASSERT_EQ(commit(0, "vda[2]"), "");
  ASSERT_EQ(speed(3), "");
  EXPECT_EQ(info()->bandwidth, 3u);
  EXPECT_THAT(commit(0, "vda[2]"), HasSubstr("already in active block job"));
  EXPECT_EQ(last_code_, VIR_ERR_OPERATION_UNSUPPORTED);
  EXPECT_THAT(wait<void>([&](auto done) {
                driver_->block_resize(caller_, test_uuid(), "vda", 4096, 0, std::move(done));
              }),
              HasSubstr("already in active block job"));
  EXPECT_EQ(abort(), "");
  EXPECT_EQ(told_.back(), "vda 3 2");
  EXPECT_THAT(chain(), ElementsAre("top", "middle", "base"));
}

TEST_F(BlockJobs, AJobThatFailsLeavesTheChain) {
  begin();
  ASSERT_EQ(commit(VIR_DOMAIN_BLOCK_COMMIT_ACTIVE), "");
  tell_guest("job virtio-disk0 failed");
  ASSERT_TRUE(wait_told("vda 4 1"));
  EXPECT_THAT(chain(), ElementsAre("top", "middle", "base"));
  EXPECT_THAT(log_, HasSubstr("fake job was told to fail"));
}

// As qemu:///system tells of a job that fails while it is given up.
TEST_F(BlockJobs, AJobThatFailsWhileItIsGivenUpWasCanceled) {
  begin("slow-pivot");
  copy_until_ready();
  ASSERT_EQ(abort(VIR_DOMAIN_BLOCK_JOB_ABORT_ASYNC), "");
  tell_guest("job virtio-disk0 failed");
  ASSERT_TRUE(run_until([&] { return !info(); }));
  EXPECT_EQ(told_.back(), "vda 2 2");
  EXPECT_THAT(chain(), ElementsAre("top", "middle", "base"));
}

TEST_F(BlockJobs, WhatTheWorkerRefusesLeavesNothing) {
  begin("refuse-jobs");
  EXPECT_THAT(copy("copy"), HasSubstr("fake worker was told to refuse"));
  EXPECT_FALSE(std::filesystem::exists(path("copy")));
  EXPECT_THAT(commit(VIR_DOMAIN_BLOCK_COMMIT_ACTIVE), HasSubstr("fake worker was told to refuse"));
  EXPECT_THAT(shown(), Not(HasSubstr("<mirror")));
  EXPECT_FALSE(info());
}

// T14: the fate of a job is known after the daemon came back.
TEST_F(BlockJobs, TheNextDaemonFindsTheJob) {
  begin();
  ASSERT_EQ(commit(VIR_DOMAIN_BLOCK_COMMIT_ACTIVE), "");
  start_daemon();
  subscribe();
  EXPECT_EQ(info()->type, VIR_DOMAIN_BLOCK_JOB_TYPE_ACTIVE_COMMIT);
  EXPECT_THAT(shown(), HasSubstr("<mirror type='file' job='active-commit'>"));
  tell_guest("job virtio-disk0 ready");
  ASSERT_TRUE(wait_told("vda 4 3"));
  start_daemon();
  subscribe();
  EXPECT_THAT(shown(), HasSubstr("ready='yes'"));
  EXPECT_EQ(abort(VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT), "");
  EXPECT_THAT(chain(kStored), ElementsAre("base"));
}

TEST_F(BlockJobs, AJobEndsWhileNoDaemonIsThere) {
  begin("slow-pivot");
  copy_until_ready();
  ASSERT_EQ(abort(VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT | VIR_DOMAIN_BLOCK_JOB_ABORT_ASYNC), "");
  EXPECT_THAT(shown(), HasSubstr("ready='pivot'"));
  EXPECT_THAT(abort(), HasSubstr("is still being ended"));
  tell_guest("job virtio-disk0 completed");
  start_daemon();
  ASSERT_TRUE(run_until([&] { return !info(); }));
  EXPECT_THAT(chain(), ElementsAre("copy"));
  EXPECT_THAT(chain(kStored), ElementsAre("copy"));
}

// T15
TEST_F(BlockJobs, AWorkerThatDiesTakesItsJobsAlong) {
  begin("exit-at-pivot");
  ASSERT_EQ(commit(VIR_DOMAIN_BLOCK_COMMIT_ACTIVE), "");
  tell_guest("job virtio-disk0 ready");
  ASSERT_TRUE(wait_told("vda 4 3"));
  EXPECT_NE(abort(VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT), "");
  ASSERT_TRUE(wait_for_state(VIR_DOMAIN_SHUTOFF));
  EXPECT_THAT(chain(kStored), ElementsAre("top"));
  ASSERT_EQ(start(), "");
  EXPECT_FALSE(info());
  EXPECT_THAT(chain(), ElementsAre("top", "middle", "base"));
}

}  // namespace
}  // namespace warren::driver::domain
