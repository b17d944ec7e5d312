// The storage driver with its real helper on temporary directories, and with helpers that misbehave.

#include <atomic>
#include <csignal>
#include <fstream>
#include <iostream>
#include <semaphore>
#include <thread>

#include <boost/asio/io_context.hpp>
#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "driver/contract/volume_stream.h"
#include "driver/storage/local_storage.h"

namespace warren::driver::storage {
namespace {

namespace fs = std::filesystem;

class StorageDriverTest : public testing::Test {
 protected:
  StorageDriverTest() {
    char name[] = "/tmp/warren-storage-XXXXXX";
    root_ = ::mkdtemp(name);
    restart();
  }
  ~StorageDriverTest() override {
    driver_.reset();
    std::error_code ignored;
    fs::remove_all(root_, ignored);
  }

  void restart(HelperLauncher launcher = launch_program(STORAGE_HELPER_PATH)) {
    driver_.reset();
    loop_ = std::make_unique<boost::asio::io_context>();
    StorageSettings settings{.configuration_directory = root_ / "etc",
                             .runtime_directory = root_ / "run",
                             .state_directory = root_ / "state",
                             .helper_program = {}};
    settings.look_deadline = settings.work_deadline = deadline_;
    settings.report = [this](std::string_view text) { reports_.emplace_back(text); };
    driver_ = std::make_unique<LocalStorageDriver>(*loop_, std::move(settings), std::move(launcher));
  }

  template <typename T>
  T wait(std::optional<std::expected<T, Error>>& outcome) {
    loop_->restart();
    while (!outcome && loop_->run_one() > 0) {
    }
    if (!outcome) throw std::logic_error("not completed");
    if (!*outcome) throw Error(outcome->error());
    if constexpr (!std::is_void_v<T>) return std::move(**outcome);
  }
  template <typename T, typename Begin>
  T done(Begin begin) {
    std::optional<std::expected<T, Error>> outcome;
    begin([&outcome](std::expected<T, Error> result) { outcome = std::move(result); });
    return wait(outcome);
  }
  template <typename Action>
  virErrorNumber code_of(Action action) {
    try {
      action();
    } catch (const Error& error) {
      EXPECT_EQ(error.domain(), VIR_FROM_STORAGE) << error.message();
      last_error_ = error.detail();
      return error.code();
    }
    return VIR_ERR_OK;
  }

  std::string pool_xml(const std::string& name = "pool", const std::string& folder = "images") const {
    return fmt::format("<pool type='dir'><name>{}</name><target><path>{}</path></target></pool>", name,
                       (root_ / folder).native());
  }
  PoolHandle define(const std::string& xml) {
    return done<PoolHandle>([&](auto c) { driver_->define_pool({}, xml, 0, std::move(c)); });
  }
  void start(const PoolHandle& pool, unsigned int flags = 0) {
    done<void>([&](auto c) { driver_->start_pool({}, pool.uuid, flags, std::move(c)); });
  }
  void stop(const PoolHandle& pool) {
    done<void>([&](auto c) { driver_->stop_pool({}, pool.uuid, std::move(c)); });
  }
  void refresh(const PoolHandle& pool) {
    done<void>([&](auto c) { driver_->refresh_pool({}, pool.uuid, 0, std::move(c)); });
  }
  PoolHandle running() {
    const PoolHandle pool = define(pool_xml());
    start(pool, VIR_STORAGE_POOL_CREATE_WITH_BUILD);
    return pool;
  }
  VolumeHandle create(const PoolHandle& pool, const std::string& name, const std::string& more = "") {
    const std::string xml = fmt::format(
        "<volume><name>{}</name><capacity>1048576</capacity><allocation>0</allocation>{}</volume>", name,
        more);
    return done<VolumeHandle>([&](auto c) { driver_->create_volume({}, pool.uuid, xml, 0, std::move(c)); });
  }
  fs::path image(const std::string& name) const { return root_ / "images" / name; }
  void write(const std::string& name, const std::string& text) { std::ofstream(image(name)) << text; }

  fs::path root_;
  std::chrono::milliseconds deadline_{20'000};
  std::vector<std::string> reports_;
  std::string last_error_;
  std::unique_ptr<boost::asio::io_context> loop_;
  std::unique_ptr<LocalStorageDriver> driver_;
};

TEST_F(StorageDriverTest, APoolLivesFromDefinitionToUndefinition) {
  const PoolHandle pool = define(pool_xml());
  EXPECT_FALSE(driver_->pool_is_active({}, pool.uuid));
  // There is no directory yet.
  EXPECT_EQ(code_of([&] { start(pool); }), VIR_ERR_SYSTEM_ERROR);
  done<void>([&](auto c) { driver_->build_pool({}, pool.uuid, 0, std::move(c)); });
  start(pool);
  EXPECT_EQ(driver_->pool_info({}, pool.uuid).state, VIR_STORAGE_POOL_RUNNING);
  EXPECT_GT(driver_->pool_info({}, pool.uuid).capacity, 0U);
  EXPECT_EQ(code_of([&] { start(pool); }), VIR_ERR_OPERATION_INVALID);
  EXPECT_EQ(
      code_of([&] { done<void>([&](auto c) { driver_->undefine_pool({}, pool.uuid, std::move(c)); }); }),
      VIR_ERR_OPERATION_INVALID);
  stop(pool);
  EXPECT_EQ(code_of([&] { stop(pool); }), VIR_ERR_OPERATION_INVALID);
  done<void>([&](auto c) { driver_->delete_pool({}, pool.uuid, 0, std::move(c)); });
  EXPECT_FALSE(fs::exists(root_ / "images"));
  done<void>([&](auto c) { driver_->undefine_pool({}, pool.uuid, std::move(c)); });
  EXPECT_EQ(code_of([&] { driver_->pool_by_name({}, "pool"); }), VIR_ERR_NO_STORAGE_POOL);
}

TEST_F(StorageDriverTest, NamesUuidsAndSourcesAreOnesOwn) {
  const PoolHandle pool = define(pool_xml());
  EXPECT_EQ(code_of([&] { define(pool_xml("pool", "elsewhere")); }), VIR_ERR_OPERATION_FAILED);
  EXPECT_EQ(code_of([&] { define(pool_xml("other")); }), VIR_ERR_OPERATION_FAILED);
  EXPECT_EQ(last_error_, "Storage source conflict with pool: 'pool'");
}

TEST_F(StorageDriverTest, ARestartedDaemonFindsWhatWasActive) {
  const PoolHandle pool = running();
  create(pool, "a.img");
  fs::create_directory(root_ / "transient");
  done<PoolHandle>(
      [&](auto c) { driver_->create_pool({}, pool_xml("brief", "transient"), 0, std::move(c)); });
  restart();
  done<void>([&](auto c) { driver_->load(std::move(c)); });
  EXPECT_TRUE(driver_->pool_is_active({}, pool.uuid));
  EXPECT_EQ(driver_->list_volumes({}, pool.uuid, 0).size(), 1U);
  const PoolHandle brief = driver_->pool_by_name({}, "brief");
  EXPECT_TRUE(driver_->pool_is_active({}, brief.uuid));
  EXPECT_FALSE(driver_->pool_is_persistent({}, brief.uuid));
  stop(brief);
  EXPECT_EQ(code_of([&] { driver_->pool_by_name({}, "brief"); }), VIR_ERR_NO_STORAGE_POOL);
}

TEST_F(StorageDriverTest, AutostartIsOfPersistentPoolsAndOnceEachBoot) {
  const PoolHandle pool = running();
  done<void>([&](auto c) { driver_->set_pool_autostart({}, pool.uuid, true, std::move(c)); });
  stop(pool);
  restart();
  done<void>([&](auto c) { driver_->load(std::move(c)); });
  EXPECT_TRUE(driver_->pool_is_active({}, pool.uuid));
  stop(pool);
  restart();
  done<void>([&](auto c) { driver_->load(std::move(c)); });
  EXPECT_FALSE(driver_->pool_is_active({}, pool.uuid));
  fs::create_directory(root_ / "t");
  const PoolHandle brief =
      done<PoolHandle>([&](auto c) { driver_->create_pool({}, pool_xml("t", "t"), 0, std::move(c)); });
  EXPECT_EQ(code_of([&] {
              done<void>([&](auto c) { driver_->set_pool_autostart({}, brief.uuid, true, std::move(c)); });
            }),
            VIR_ERR_INTERNAL_ERROR);
}

TEST_F(StorageDriverTest, VolumesAreMadeGrownWipedAndDeleted) {
  const PoolHandle pool = running();
  const VolumeHandle sparse = create(pool, "sparse.img");
  EXPECT_EQ(sparse.key, image("sparse.img").native());
  EXPECT_EQ(driver_->volume_info({}, sparse, 0).capacity, 1048576U);
  EXPECT_EQ(driver_->volume_info({}, sparse, 0).allocation, 0U);
  EXPECT_EQ(driver_->volume_info({}, sparse, VIR_STORAGE_VOL_GET_PHYSICAL).allocation, 1048576U);
  EXPECT_EQ(fs::status(image("sparse.img")).permissions(),
            fs::perms::owner_read | fs::perms::owner_write);  // T20
  EXPECT_EQ(code_of([&] { create(pool, "sparse.img"); }), VIR_ERR_STORAGE_VOL_EXIST);
  const auto resize = [&](std::uint64_t bytes, unsigned int flags) {
    done<void>([&](auto c) { driver_->resize_volume({}, sparse, bytes, flags, std::move(c)); });
  };
  resize(2097152, 0);
  EXPECT_EQ(fs::file_size(image("sparse.img")), 2097152U);
  EXPECT_EQ(code_of([&] { resize(4096, 0); }), VIR_ERR_INVALID_ARG);
  resize(1048576, VIR_STORAGE_VOL_RESIZE_SHRINK | VIR_STORAGE_VOL_RESIZE_DELTA);
  EXPECT_EQ(driver_->volume_info({}, sparse, 0).capacity, 1048576U);
  write("sparse.img", std::string(8192, 'x'));
  refresh(pool);
  done<void>(
      [&](auto c) { driver_->wipe_volume({}, sparse, VIR_STORAGE_VOL_WIPE_ALG_ZERO, 0, std::move(c)); });
  std::ifstream wiped(image("sparse.img"));
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(wiped), {}), std::string(8192, '\0'));
  done<void>([&](auto c) { driver_->delete_volume({}, sparse, 0, std::move(c)); });
  EXPECT_FALSE(fs::exists(image("sparse.img")));
  EXPECT_TRUE(driver_->list_volumes({}, pool.uuid, 0).empty());
}

TEST_F(StorageDriverTest, AFullAllocationIsReserved) {
  const PoolHandle pool = running();
  const VolumeHandle full = done<VolumeHandle>([&](auto c) {
    driver_->create_volume({}, pool.uuid, "<volume><name>full</name><capacity>1048576</capacity></volume>", 0,
                           std::move(c));
  });
  EXPECT_GE(driver_->volume_info({}, full, 0).allocation, 1048576U);
}

TEST_F(StorageDriverTest, ACloneHasTheDataAndNoMore) {
  const PoolHandle pool = running();
  const VolumeHandle original = create(pool, "a.img");
  {
    std::fstream file(image("a.img"), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(500'000);
    file << "here";
  }
  refresh(pool);
  const VolumeHandle clone = done<VolumeHandle>([&](auto c) {
    driver_->clone_volume(
        {}, pool.uuid, "<volume><name>b.img</name><capacity>0</capacity><allocation>0</allocation></volume>",
        original, 0, std::move(c));
  });
  EXPECT_EQ(driver_->volume_info({}, clone, 0).capacity, 1048576U);
  EXPECT_LT(driver_->volume_info({}, clone, 0).allocation, 262144U);
  std::ifstream file(image("b.img"), std::ios::binary);
  const std::string text(std::istreambuf_iterator<char>(file), {});
  EXPECT_EQ(text.substr(500'000, 4), "here");
}

// T32: what was made raw stays raw, whatever its guest writes; what nobody declared is looked at.
TEST_F(StorageDriverTest, TheDeclaredFormatWinsOverTheContent) {
  const PoolHandle pool = running();
  const VolumeHandle raw = create(pool, "raw.img");
  const std::string header("QFI\xfb\0\0\0\3", 8);
  {
    std::fstream file(image("raw.img"), std::ios::in | std::ios::out | std::ios::binary);
    file << header;
  }
  write("foreign.img", header + std::string(1024, '\0'));
  refresh(pool);
  EXPECT_NE(driver_->volume_xml({}, raw, 0).find("<format type='raw'/>"), std::string::npos);
  const VolumeHandle foreign = driver_->volume_by_name({}, pool.uuid, "foreign.img");
  EXPECT_NE(driver_->volume_xml({}, foreign, 0).find("<format type='qcow2'/>"), std::string::npos);
}

// T19
TEST_F(StorageDriverTest, SpecialFilesAreNoVolumesAndLinksDoNotLeadOut) {
  const PoolHandle pool = running();
  ASSERT_EQ(::mkfifo(image("pipe").c_str(), 0600), 0);
  fs::create_symlink("/nowhere", image("dangling"));
  std::ofstream(root_ / "outside") << "secret";
  fs::create_symlink(root_ / "outside", image("link"));
  fs::create_directory(image("folder"));
  std::ofstream(image("bad\nname")) << "x";
  std::ofstream(image("bad\xff")) << "x";
  refresh(pool);
  std::vector<std::string> names;
  for (const VolumeHandle& volume : driver_->list_volumes({}, pool.uuid, 0)) names.push_back(volume.name);
  EXPECT_EQ(names, (std::vector<std::string>{"folder", "link"}));
  const VolumeHandle link = driver_->volume_by_name({}, pool.uuid, "link");
  EXPECT_EQ(code_of([&] { done<void>([&](auto c) { driver_->wipe_volume({}, link, 0, 0, std::move(c)); }); }),
            VIR_ERR_OPERATION_DENIED);
  std::ifstream outside(root_ / "outside");
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(outside), {}), "secret");
  done<void>([&](auto c) { driver_->delete_volume({}, link, 0, std::move(c)); });
  EXPECT_TRUE(fs::exists(root_ / "outside"));
  for (const char* name : {"a/b", "..", ".", ".warren-part-0"})
    EXPECT_NE(code_of([&] { create(pool, name); }), VIR_ERR_OK) << name;
}

TEST_F(StorageDriverTest, WhatAnInterruptedCreationLeftIsRemoved) {
  const PoolHandle pool = running();
  write(".warren-part-0123456789abcdef", "half");
  refresh(pool);
  EXPECT_FALSE(fs::exists(image(".warren-part-0123456789abcdef")));
  EXPECT_TRUE(driver_->list_volumes({}, pool.uuid, 0).empty());
}

TEST_F(StorageDriverTest, DataGoesUpAndComesDown) {
  const PoolHandle pool = running();
  const VolumeHandle volume = create(pool, "a.img");
  const auto pump = [&](auto ready) {
    loop_->restart();
    while (!ready()) loop_->run_one_for(std::chrono::seconds(10));
  };
  {
    const auto stream = driver_->upload_volume({}, volume, 4096, 0, VIR_STORAGE_VOL_UPLOAD_SPARSE_STREAM);
    auto* sparse = dynamic_cast<SparseStream*>(stream.get());
    auto* settling = dynamic_cast<SettlingStream*>(stream.get());
    ASSERT_TRUE(sparse != nullptr && settling != nullptr);
    const std::string text = "uploaded";
    EXPECT_EQ(stream->write_some(std::as_bytes(std::span(text))), text.size());
    EXPECT_TRUE(sparse->write_hole(65536));
    EXPECT_EQ(
        code_of([&] { done<void>([&](auto c) { driver_->delete_volume({}, volume, 0, std::move(c)); }); }),
        VIR_ERR_OPERATION_INVALID);
    EXPECT_EQ(last_error_, "volume 'a.img' is still in use.");
    EXPECT_EQ(code_of([&] { stop(pool); }), VIR_ERR_INTERNAL_ERROR);
    EXPECT_EQ(last_error_, "pool 'pool' has asynchronous jobs running.");
    pump([&] { return settling->settle(); });
    stream->finish();
  }
  std::string got;
  {
    const auto stream = driver_->download_volume({}, volume, 4096, 16, 0);
    std::array<std::byte, 64> buffer;
    pump([&] {
      const auto read = stream->read_some(buffer);
      got.append(reinterpret_cast<const char*>(buffer.data()), read.bytes);  // bytes as text
      return read.end;
    });
  }
  EXPECT_EQ(got, std::string("uploaded") + std::string(8, '\0'));
}

// A helper of the test's own making, on a thread.
HelperLauncher helper_that(std::function<void(int control)> behaviour) {
  return [behaviour](const vmm::FileDescriptor& control, const vmm::FileDescriptor&) {
    const int own = ::fcntl(control.get(), F_DUPFD_CLOEXEC, 3);
    std::thread([own, behaviour] {
      char request[65536];
      if (::recv(own, request, sizeof request, 0) > 0) behaviour(own);
      ::close(own);
    }).detach();
    return HelperProcess{};
  };
}

TEST_F(StorageDriverTest, AHelperThatIsSilentIsGivenUp) {
  const PoolHandle pool = running();
  deadline_ = std::chrono::milliseconds(100);
  restart(helper_that([](int control) {
    char byte = 0;
    while (::recv(control, &byte, 1, 0) > 0) {
    }
  }));
  EXPECT_EQ(code_of([&] {
              done<std::string>(
                  [&](auto c) { driver_->find_pool_sources({}, "logical", std::nullopt, 0, std::move(c)); });
            }),
            VIR_ERR_OPERATION_TIMEOUT);
}

TEST_F(StorageDriverTest, AHelperThatCrashesOrLiesIsAnError) {
  restart(helper_that([](int) {}));
  const auto look = [&] {
    return code_of([&] {
      done<std::string>(
          [&](auto c) { driver_->find_pool_sources({}, "logical", std::nullopt, 0, std::move(c)); });
    });
  };
  EXPECT_EQ(look(), VIR_ERR_INTERNAL_ERROR);
  for (const std::string& lie :
       {std::string("\xff\xff\xff\xff", 4), std::string("\4\0\0\0null", 8), std::string("\2\0\0\0{]", 6)}) {
    restart(helper_that([lie](int control) { ::send(control, lie.data(), lie.size(), MSG_NOSIGNAL); }));
    EXPECT_EQ(look(), VIR_ERR_INTERNAL_ERROR);
  }
}

// Work that is under way at the daemon's end and whoever waits for it hold each other.
TEST_F(StorageDriverTest, AnEndAmidWorkLeavesNothing) {
  const auto held = std::make_shared<int>();
  const HelperLauncher silent = helper_that([](int control) {
    char byte = 0;
    while (::recv(control, &byte, 1, 0) > 0) {
    }
  });
  restart([held, silent](const vmm::FileDescriptor& control, const vmm::FileDescriptor& data) {
    return silent(control, data);
  });
  std::optional<std::expected<std::string, Error>> outcome;
  driver_->find_pool_sources({}, "logical", std::nullopt, 0,
                             [&outcome](std::expected<std::string, Error> result) { outcome = result; });
  for (int i = 0; i < 100; ++i) {
    loop_->restart();
    loop_->run_for(std::chrono::milliseconds(1));
  }
  EXPECT_GT(held.use_count(), 1);
  restart();
  EXPECT_EQ(held.use_count(), 1);
  EXPECT_FALSE(outcome);
}

TEST_F(StorageDriverTest, AClientThatGoesAwayTakesItsWorkWithIt) {
  const PoolHandle pool = running();
  stop(pool);
  // Its process is made when the client has gone.
  auto gate = std::make_shared<std::binary_semaphore>(0);
  auto is_gated = std::make_shared<std::atomic<bool>>(false);
  restart([gate, is_gated](const vmm::FileDescriptor& control, const vmm::FileDescriptor& data) {
    if (*is_gated) gate->acquire();
    return launch_program(STORAGE_HELPER_PATH)(control, data);
  });
  start(pool);
  *is_gated = true;
  std::optional<std::expected<VolumeHandle, Error>> outcome;
  const Caller caller{.connection_id = 7};
  driver_->create_volume(
      caller, pool.uuid, "<volume><name>a</name><capacity>1048576</capacity></volume>", 0,
      [&outcome](std::expected<VolumeHandle, Error> result) { outcome = std::move(result); });
  loop_->restart();
  loop_->poll();
  driver_->connection_closed(7);
  *is_gated = false;
  gate->release();
  EXPECT_EQ(code_of([&] { wait(outcome); }), VIR_ERR_OPERATION_ABORTED);
  EXPECT_TRUE(driver_->list_volumes({}, pool.uuid, 0).empty());
  refresh(pool);
  for (const auto& entry : fs::directory_iterator(root_ / "images")) ADD_FAILURE() << entry.path();
}

// T14: killed at any moment, a creation or a clone leaves a whole volume or none, and the table knows which.
TEST_F(StorageDriverTest, AHelperKilledAtAnyMomentLeavesNothingHalfMade) {
  PoolHandle pool = running();
  create(pool, "original");
  fs::resize_file(image("original"), 2'000'000);
  stop(pool);
  const auto delay = std::make_shared<std::atomic<int>>(-1);
  restart([delay](const vmm::FileDescriptor& control, const vmm::FileDescriptor& data) {
    HelperProcess process = launch_program(STORAGE_HELPER_PATH)(control, data);
    if (*delay >= 0) {
      // Meanwhile it gets its request and works.
      std::thread([own = process.pidfd.duplicate(), after = std::chrono::microseconds(*delay)] {
        std::this_thread::sleep_for(after);
        ::syscall(SYS_pidfd_send_signal, own.get(), SIGKILL, nullptr, 0);
      }).detach();
    }
    return process;
  });
  start(pool);
  const VolumeHandle original = driver_->volume_by_name({}, pool.uuid, "original");
  int killed = 0, survived = 0;
  for (int step = 0; step < 60; ++step) {
    *delay = step * 400;
    const bool is_clone = step % 2 == 1;
    const std::string xml =
        fmt::format("<volume><name>v{}</name><capacity>2000000</capacity></volume>", step);
    std::optional<std::expected<VolumeHandle, Error>> outcome;
    const auto keep = [&outcome](std::expected<VolumeHandle, Error> result) { outcome = std::move(result); };
    if (is_clone) {
      driver_->clone_volume({}, pool.uuid, xml, original, 0, keep);
    } else {
      driver_->create_volume({}, pool.uuid, xml, 0, keep);
    }
    const virErrorNumber code = code_of([&] { wait(outcome); });
    EXPECT_TRUE(code == VIR_ERR_OK || code == VIR_ERR_INTERNAL_ERROR) << last_error_;
    *delay = -1;
    refresh(pool);
    const bool is_there = fs::exists(image(fmt::format("v{}", step)));
    // The kill may fall between the end of the work and its report.
    EXPECT_TRUE(is_there || code != VIR_ERR_OK);
    is_there ? ++survived : ++killed;
    if (is_there) {
      EXPECT_EQ(fs::file_size(image(fmt::format("v{}", step))), 2'000'000U);
    }
    for (const auto& entry : fs::directory_iterator(root_ / "images"))
      EXPECT_FALSE(entry.path().filename().native().starts_with(".warren")) << entry.path();
  }
  EXPECT_GT(killed, 0);
  std::cout << killed << " killed in time, " << survived << " whole\n";
}

}  // namespace
}  // namespace warren::driver::storage
