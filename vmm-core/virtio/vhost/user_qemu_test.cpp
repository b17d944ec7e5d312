// Disks that qemu-storage-daemon serves, where there is one: raw, VMDK and LUKS.
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm-core/virtio/vhost/user_fixture.h"

extern char** environ;

namespace warren::vmm::virtio::vhost {
namespace {

using Words = std::vector<std::string>;

pid_t spawn(Words words) {
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  pid_t child = -1;
  return ::posix_spawnp(&child, arguments[0], nullptr, nullptr, arguments.data(), environ) == 0 ? child : -1;
}

bool run(Words words) {
  const pid_t child = spawn(std::move(words));
  int status = -1;
  return child > 0 && ::waitpid(child, &status, 0) == child && status == 0;
}

class UserQemuTest : public UserBlockTest {
 protected:
  static constexpr std::uint64_t kImageSectors = 8192;

  void SetUp() override {
    if (!run({"sh", "-c", "command -v qemu-storage-daemon qemu-img > /dev/null"}))
      GTEST_SKIP() << "there is no qemu-storage-daemon";
    std::string name = "/tmp/vhost-user-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
    // Each sector says which it is.
    std::ofstream raw(folder_ / "raw", std::ios::binary);
    for (std::uint64_t i = 0; i < kImageSectors * 64; ++i)
      raw.write(reinterpret_cast<const char*>(&i), sizeof(i));  // its bytes
    std::ofstream(folder_ / "key") << "a passphrase";
  }
  void TearDown() override {
    guest_.reset();
    end();
    if (!folder_.empty()) std::filesystem::remove_all(folder_);
  }
  void end() {
    if (process_ <= 0) return;
    ::kill(process_, SIGKILL);
    ::waitpid(process_, nullptr, 0);
    process_ = -1;
  }
  std::string path(const char* name) const { return (folder_ / name).string(); }

  // Serves the disk that `blockdevs` make, and connects a guest to it.
  void serve(const Words& blockdevs, std::uint16_t queues = 1) {
    const std::string socket = path("socket");
    Words words = {"qemu-storage-daemon", "--object", "secret,id=key,file=" + path("key")};
    for (const std::string& each : blockdevs) words.insert(words.end(), {"--blockdev", each});
    words.insert(words.end(),
                 {"--export", "type=vhost-user-blk,id=export,node-name=disk,writable=on,num-queues=" +
                                  std::to_string(queues) + ",addr.type=unix,addr.path=" + socket});
    process_ = spawn(std::move(words));
    ASSERT_GT(process_, 0);
    FileDescriptor connection;
    ASSERT_TRUE(FakeGuest::eventually([&] {
      connection = FileDescriptor(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
      sockaddr_un address{};
      address.sun_family = AF_UNIX;
      socket.copy(address.sun_path, sizeof(address.sun_path) - 1);
      const auto* place = reinterpret_cast<const sockaddr*>(&address);  // as connect(2) has it
      return ::connect(connection.get(), place, sizeof(address)) == 0;
    }));
    guest_ = std::make_unique<FakeGuest>(
        std::make_unique<UserBlock>("disk0", std::move(connection),
                                    UserBlockOptions{.queues = queues,
                                                     .queue_size = FakeGuest::kQueueSize,
                                                     .patience = patience_,
                                                     .lost =
                                                         [this](int error) {
                                                           ++losses_;
                                                           lost_for_.store(error);
                                                         }},
                                    memory_, thread_),
        &memory_);
  }
  std::uint64_t first_word() { return memory_.read_object<std::uint64_t>({kData}).value(); }

  // Reads, writes, and reads what was written, with pauses and a reset in between.
  void work(std::size_t queue = 0) {
    EXPECT_EQ(guest_->get<std::uint64_t>(FakeGuest::kDevice), kImageSectors);
    start();
    for (const std::uint64_t sector : {0U, 17U, 4096U, 8190U}) {
      EXPECT_EQ(request(0, sector, queue), 0);
      EXPECT_EQ(first_word(), sector * 64);
    }
    EXPECT_NE(request(0, kImageSectors, queue), 0) << "beyond its end";
    const std::vector<std::byte> written(kBytes, std::byte{0x5a});
    ASSERT_TRUE(memory_.write({kData}, written));
    EXPECT_EQ(request(1, 2048, queue), 0);
    for (int i = 0; i < 3; ++i) {
      guest_->transport().pause();
      guest_->transport().resume();
      EXPECT_EQ(request(0, 2048, queue), 0);
      EXPECT_EQ(first_word(), 0x5a5a'5a5a'5a5a'5a5a);
    }
    start();
    EXPECT_EQ(request(0, 2050, queue), 0);
    EXPECT_EQ(first_word(), 2050U * 64);
    EXPECT_EQ(losses_, 0);
  }

  std::filesystem::path folder_;
  pid_t process_ = -1;
};

TEST_F(UserQemuTest, ARawDiskWithSeveralQueues) {
  serve({"driver=file,node-name=disk,filename=" + path("raw")}, 4);
  for (std::size_t queue = 0; queue < 4; ++queue) work(queue);
}

TEST_F(UserQemuTest, AVmdkImage) {
  ASSERT_TRUE(run({"qemu-img", "convert", "-f", "raw", "-O", "vmdk", path("raw"), path("vmdk")}));
  serve({"driver=file,node-name=file,filename=" + path("vmdk"), "driver=vmdk,node-name=disk,file=file"});
  work();
}

TEST_F(UserQemuTest, AnEncryptedImage) {
  const Words convert = {
      "qemu-img", "convert", "--object", "secret,id=key,file=" + path("key"), "-f",        "raw",
      "-O",       "luks",    "-o",       "key-secret=key,iter-time=10",       path("raw"), path("luks")};
  // It measures the CPU time of its key derivation, and on a busy host gives up on that now and then.
  ASSERT_TRUE(run(convert) || run(convert) || run(convert));
  serve({"driver=file,node-name=file,filename=" + path("luks"),
         "driver=luks,node-name=disk,file=file,key-secret=key"});
  work();
}

TEST_F(UserQemuTest, T29ItsDeathIsNoticed) {
  serve({"driver=file,node-name=disk,filename=" + path("raw")});
  start();
  end();
  EXPECT_TRUE(is_lost());
  EXPECT_EQ(lost_for_, ECONNRESET);
  EXPECT_TRUE(needs_reset());
}

}  // namespace
}  // namespace warren::vmm::virtio::vhost
