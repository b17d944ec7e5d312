// Replies of a vhost-user back end (T29): a sound conversation with bytes of it changed, or any bytes at all;
// then the end of the connection.
#include <array>
#include <cstring>
#include <vector>

#include <sys/socket.h>
#include <unistd.h>

#include "vmm-core/os/error.h"
#include "vmm-core/virtio/fake_guest.h"
#include "vmm-core/virtio/vhost/user_block.h"

namespace warren::vmm::virtio::vhost {
namespace {

class Conversation {
 public:
  template <typename T>
  void reply(UserRequest request, const T& payload) {
    put(UserHeader{static_cast<std::uint32_t>(request), kUserVersion | kUserReply, sizeof(payload)});
    put(payload);
  }
  void acknowledge(UserRequest request) { reply(request, std::uint64_t{0}); }
  std::vector<std::uint8_t>& bytes() { return bytes_; }

 private:
  template <typename T>
  void put(const T& value) {
    const auto* from = reinterpret_cast<const std::uint8_t*>(&value);  // its bytes
    bytes_.insert(bytes_.end(), from, from + sizeof(value));
  }
  std::vector<std::uint8_t> bytes_;
};

struct ConfigReply {
  UserConfigHeader header{0, sizeof(UserBlockConfiguration), 0};
  std::array<std::uint8_t, sizeof(UserBlockConfiguration)> bytes{};
};

// A disk with one queue that is made, started, paused, resumed and reset.
std::vector<std::uint8_t> sound_replies() {
  constexpr std::uint64_t kFeatures = kFeatureVersion1 | kFeatureIndirect | kFeatureEventIndex |
                                      kUserProtocolFeatures | 1 << 2 | 1 << 6 | 1 << 9 | 1 << 12 | 1 << 13;
  Conversation all;
  all.reply(UserRequest::get_features, kFeatures);
  all.reply(UserRequest::get_protocol_features, kUserReplyAck | kUserConfig | kUserMultiQueue);
  all.reply(UserRequest::get_queue_num, std::uint64_t{1});
  all.acknowledge(UserRequest::set_owner);
  all.reply(UserRequest::get_features, kFeatures);
  UserBlockConfiguration disk{};
  disk.capacity = 2048;
  disk.segment_maximum = 126;
  disk.block_size = 512;
  disk.queues = 1;
  disk.maximum_discard_sectors = disk.maximum_discard_segments = 1;
  ConfigReply config;
  std::memcpy(config.bytes.data(), &disk, sizeof(disk));
  all.reply(UserRequest::get_config, config);
  for (int starts = 0; starts < 2; ++starts) {
    for (const UserRequest each :
         {UserRequest::set_features, UserRequest::set_mem_table, UserRequest::set_vring_num,
          UserRequest::set_vring_base, UserRequest::set_vring_addr, UserRequest::set_vring_err,
          UserRequest::set_vring_call, UserRequest::set_vring_kick, UserRequest::set_vring_enable})
      all.acknowledge(each);
    all.reply(UserRequest::get_vring_base, std::uint64_t{0});
  }
  return all.bytes();
}

void converse(const std::vector<std::uint8_t>& replies) {
  static EventThread thread("fuzz");
  static GuestMemory memory(FakeGuest::kLayout);
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) std::abort();
  FileDescriptor front(pair[0]), back(pair[1]);
  if (::write(back.get(), replies.data(), replies.size()) != static_cast<ssize_t>(replies.size())) return;
  ::shutdown(back.get(), SHUT_WR);
  try {
    FakeGuest guest(std::make_unique<UserBlock>("disk0", std::move(front),
                                                UserBlockOptions{.queues = 1,
                                                                 .queue_size = FakeGuest::kQueueSize,
                                                                 .patience = std::chrono::seconds(2)},
                                                memory, thread),
                    &memory);
    static_cast<void>(guest.start(~kFeaturePacked));
    guest.transport().pause();
    guest.transport().resume();
    guest.reset();
  } catch (const Error&) {
  }
}

}  // namespace
}  // namespace warren::vmm::virtio::vhost

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace warren::vmm::virtio::vhost;
  static const std::vector<std::uint8_t> sound = sound_replies();
  if (size == 0 || size > 4096) return 0;
  if (data[0] == 0xff) {
    converse({data + 1, data + size});
    return 0;
  }
  // The place, and what is there; at last where the conversation ends.
  std::vector<std::uint8_t> replies = sound;
  for (std::size_t i = 0; i + 3 <= size; i += 3) {
    const std::size_t place = (data[i] | std::size_t{data[i + 1]} << 8) % replies.size();
    replies[place] = data[i + 2];
  }
  if (size % 3 == 1) replies.resize(data[size - 1] * replies.size() / 256);
  converse(replies);
  return 0;
}
