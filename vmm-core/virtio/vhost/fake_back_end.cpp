#include "vmm-core/virtio/vhost/fake_back_end.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm-core/memory/guest_bytes.h"
#include "vmm-core/os/error.h"
#include "vmm-core/os/vhost_interface.h"
#include "vmm-core/virtio/ring_layout.h"

namespace warren::vmm::virtio::vhost {
namespace {

template <typename T>
T load(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof(value));
  return value;
}

void ring_bell(const FileDescriptor& bell) {
  const std::uint64_t one = 1;
  static_cast<void>(!::write(bell.get(), &one, sizeof(one)));
}

// Shared with the front end's process, and with its guest.
std::atomic_ref<std::uint16_t> index_at(std::byte* ring) {
  return std::atomic_ref(*reinterpret_cast<std::uint16_t*>(ring + 2));
}

}  // namespace

FakeBackEnd::Nature FakeBackEnd::sound() {
  Nature nature;
  nature.configuration.capacity = kSectors;
  nature.configuration.segment_maximum = 126;
  nature.configuration.block_size = 512;
  nature.configuration.queues = kQueues;
  nature.configuration.writeback = 1;
  return nature;
}

FakeBackEnd::Nature FakeBackEnd::sound_network() {
  Nature nature;
  nature.is_network = true;
  // Checksums, segmentation both ways, merged buffers, the log, several pairs, UDP segmentation; no CONFIG.
  nature.features = kFeatureVersion1 | kFeatureIndirect | kFeatureEventIndex | kUserProtocolFeatures |
                    std::uint64_t{1} << 26 | 1 << 0 | 1 << 1 | 1 << 7 | 1 << 11 | 1 << 15 | 1 << 17 |
                    1 << 22 | std::uint64_t{1} << 56;
  nature.protocol_features = kUserMultiQueue | kUserReplyAck;
  return nature;
}

FakeBackEnd::FakeBackEnd(Nature nature) : nature_(std::move(nature)), stop_(::eventfd(0, EFD_CLOEXEC)) {
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) throw_errno("socketpair");
  front_ = FileDescriptor(pair[0]);
  back_ = FileDescriptor(pair[1]);
  thread_ = std::thread([this] { serve(); });
}

FakeBackEnd::~FakeBackEnd() {
  ring_bell(stop_);
  thread_.join();
  unmap();
}

void FakeBackEnd::set_twist(std::function<void(UserReply&)> twist) {
  const std::lock_guard lock(mutex_);
  nature_.twist = std::move(twist);
}

void FakeBackEnd::say(std::span<const std::byte> bytes) {
  const std::lock_guard lock(mutex_);
  static_cast<void>(!::write(back_.get(), bytes.data(), bytes.size()));
}

void FakeBackEnd::die() {
  const std::lock_guard lock(mutex_);
  ::shutdown(back_.get(), SHUT_RDWR);
}

unsigned FakeBackEnd::count(UserRequest request) const {
  const std::lock_guard lock(mutex_);
  return static_cast<unsigned>(std::ranges::count(requests_, static_cast<std::uint32_t>(request)));
}

void FakeBackEnd::ring_call(std::size_t ring) {
  const std::lock_guard lock(mutex_);
  ring_bell(rings_[ring].call);
}

void FakeBackEnd::ring_damage(std::size_t ring) {
  const std::lock_guard lock(mutex_);
  ring_bell(rings_[ring].damage);
}

void FakeBackEnd::make_blocking(std::size_t ring) {
  const std::lock_guard lock(mutex_);
  for (const FileDescriptor* each : {&rings_[ring].kick, &rings_[ring].call, &rings_[ring].damage})
    if (::fcntl(each->get(), F_SETFL, 0) != 0) throw_errno("fcntl");
}

void FakeBackEnd::fill_doorbell(std::size_t ring) {
  const std::lock_guard lock(mutex_);
  const std::uint64_t most = ~std::uint64_t{1};
  static_cast<void>(!::write(rings_[ring].kick.get(), &most, sizeof(most)));
}

void FakeBackEnd::serve() {
  for (;;) {
    std::array<pollfd, 2 + kQueues> waits{};
    waits[0] = {.fd = stop_.get(), .events = POLLIN, .revents = 0};
    waits[1] = {.fd = back_.get(), .events = POLLIN, .revents = 0};
    for (std::size_t i = 0; i < kQueues; ++i) {
      const bool serves = running_[i].load() && rings_[i].enabled && !held_.load();
      waits[2 + i] = {.fd = serves ? rings_[i].kick.get() : -1, .events = POLLIN, .revents = 0};
    }
    // Now and then, for one who is no longer held.
    ::poll(waits.data(), waits.size(), 20);
    if (waits[0].revents != 0) return;
    if (waits[1].revents != 0 && !take_message()) return;
    for (std::size_t i = 0; i < kQueues; ++i) {
      if (waits[2 + i].revents == 0 || !running_[i].load() || held_.load()) continue;
      std::uint64_t count = 0;
      static_cast<void>(!::read(rings_[i].kick.get(), &count, sizeof(count)));
      serve_ring(rings_[i]);
    }
  }
}

bool FakeBackEnd::take_message() {
  UserHeader header{};
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(kUserMemoryRegions * sizeof(int))> control{};
  iovec whole{.iov_base = &header, .iov_len = sizeof(header)};
  msghdr message{};
  message.msg_iov = &whole;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  if (::recvmsg(back_.get(), &message, MSG_WAITALL | MSG_CMSG_CLOEXEC) != sizeof(header)) return false;
  std::vector<FileDescriptor> files;
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr; part = CMSG_NXTHDR(&message, part)) {
    for (std::size_t at = 0; at + sizeof(int) <= part->cmsg_len - CMSG_LEN(0); at += sizeof(int))
      files.emplace_back(load<int>(reinterpret_cast<std::byte*>(CMSG_DATA(part)) + at));
  }
  std::vector<std::byte> payload(std::min<std::size_t>(header.size, 4096));
  if (!payload.empty() && ::recv(back_.get(), payload.data(), payload.size(), MSG_WAITALL) !=
                              static_cast<ssize_t>(payload.size()))
    return false;
  handle(header, payload, std::move(files));
  return true;
}

void FakeBackEnd::handle(const UserHeader& header, std::span<const std::byte> payload,
                         std::vector<FileDescriptor> files) {
  const std::lock_guard lock(mutex_);
  requests_.push_back(header.request);
  UserReply reply{.header = {header.request, kUserVersion | kUserReply, 0}};
  const auto tell = [&](const auto& value) {
    reply.payload.resize(sizeof(value));
    reply.set(value);
  };
  const auto ring_of = [&]() -> Ring& { return rings_[load<std::uint32_t>(payload.data()) % kQueues]; };
  bool answers = true;
  switch (static_cast<UserRequest>(header.request)) {
    case UserRequest::get_features:
      tell(nature_.features);
      break;
    case UserRequest::get_protocol_features:
      tell(nature_.protocol_features);
      break;
    case UserRequest::get_queue_num:
      tell(std::uint64_t{kQueues});
      break;
    case UserRequest::get_config:
      reply.payload.assign(payload.begin(), payload.end());
      std::memcpy(reply.payload.data() + sizeof(UserConfigHeader), &nature_.configuration,
                  std::min(reply.payload.size() - sizeof(UserConfigHeader), sizeof(nature_.configuration)));
      break;
    case UserRequest::get_vring_base: {
      const auto index = load<std::uint32_t>(payload.data()) % kQueues;
      running_[index].store(false);
      Ring& ring = rings_[index];
      tell(vhost_vring_state{.index = index, .num = ring.next});
      ring.enabled = false;
      for (FileDescriptor* each : {&ring.kick, &ring.call, &ring.damage}) *each = FileDescriptor();
      break;
    }
    default:
      answers = false;
  }
  switch (static_cast<UserRequest>(header.request)) {
    case UserRequest::set_features:
      features_.store(load<std::uint64_t>(payload.data()));
      break;
    case UserRequest::set_protocol_features:
      protocol_features_ = load<std::uint64_t>(payload.data());
      break;
    case UserRequest::set_mem_table:
      map_memory(payload, files);
      break;
    case UserRequest::set_vring_num:
      ring_of().size = load<vhost_vring_state>(payload.data()).num;
      break;
    case UserRequest::set_vring_base:
      ring_of().next = static_cast<std::uint16_t>(load<vhost_vring_state>(payload.data()).num);
      break;
    case UserRequest::set_vring_addr: {
      const auto places = load<vhost_vring_addr>(payload.data());
      Ring& ring = ring_of();
      ring.descriptors = places.desc_user_addr;
      ring.available = places.avail_user_addr;
      ring.used = places.used_user_addr;
      break;
    }
    case UserRequest::set_vring_kick:
      ring_of().kick = std::move(files.at(0));
      running_[load<std::uint32_t>(payload.data()) % kQueues].store(true);
      break;
    case UserRequest::set_vring_call:
      ring_of().call = std::move(files.at(0));
      break;
    case UserRequest::set_vring_err:
      ring_of().damage = std::move(files.at(0));
      break;
    case UserRequest::set_vring_enable:
      ring_of().enabled = load<vhost_vring_state>(payload.data()).num != 0;
      break;
    default:
      break;
  }
  if (!answers) {
    if ((header.flags & kUserNeedsReply) == 0) return;
    tell(std::uint64_t{0});
  }
  answer(reply);
}

void FakeBackEnd::answer(UserReply& reply) {
  reply.header.size = static_cast<std::uint32_t>(reply.payload.size());
  if (nature_.twist) nature_.twist(reply);
  std::vector<std::byte> bytes(sizeof(reply.header));
  std::memcpy(bytes.data(), &reply.header, sizeof(reply.header));
  bytes.insert(bytes.end(), reply.payload.begin(), reply.payload.end());
  if (!reply.is_silent) static_cast<void>(::send(back_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL));
  if (reply.hangs_up) ::shutdown(back_.get(), SHUT_RDWR);
}

void FakeBackEnd::map_memory(std::span<const std::byte> payload, std::vector<FileDescriptor>& files) {
  unmap();
  const auto count = load<std::uint32_t>(payload.data());
  for (std::uint32_t i = 0; i < count; ++i) {
    Region region;
    region.place = load<UserMemoryRegion>(payload.data() + 8 + i * sizeof(UserMemoryRegion));
    region.mapped = region.place.size + region.place.file_offset;
    region.mapping = ::mmap(nullptr, region.mapped, PROT_READ | PROT_WRITE, MAP_SHARED, files.at(i).get(), 0);
    if (region.mapping == MAP_FAILED) throw_errno("mmap");
    region.host = static_cast<std::byte*>(region.mapping) + region.place.file_offset;
    memory_.push_back(region);
  }
  region_count_.store(count);
}

void FakeBackEnd::unmap() {
  for (const Region& region : memory_) ::munmap(region.mapping, region.mapped);
  memory_.clear();
}

std::byte* FakeBackEnd::at_user(std::uint64_t address) const {
  for (const Region& region : memory_)
    if (address - region.place.user_address < region.place.size)
      return region.host + (address - region.place.user_address);
  return nullptr;
}

std::byte* FakeBackEnd::at_guest(std::uint64_t address) const {
  for (const Region& region : memory_)
    if (address - region.place.guest_address < region.place.size)
      return region.host + (address - region.place.guest_address);
  return nullptr;
}

// Chains of whole buffers, without indirect tables.
void FakeBackEnd::serve_ring(Ring& ring) {
  std::byte* const descriptors = at_user(ring.descriptors);
  std::byte* const available = at_user(ring.available);
  std::byte* const used = at_user(ring.used);
  if (descriptors == nullptr || available == nullptr || used == nullptr) return;
  while (index_at(available).load() != ring.next) {
    const auto head = load<std::uint16_t>(available + 4 + 2 * (ring.next % ring.size));
    ++ring.next;
    std::vector<std::pair<std::byte*, std::size_t>> parts;
    for (std::uint32_t at = head;;) {
      const auto descriptor = load<SplitDescriptor>(descriptors + 16 * (at % ring.size));
      parts.emplace_back(at_guest(descriptor.address), descriptor.length);
      if ((descriptor.flags & 1) == 0 || parts.size() > ring.size) break;
      at = descriptor.next;
    }
    std::uint32_t written = 1;
    if (nature_.is_network) {
      const auto done = serve_packet(static_cast<std::size_t>(&ring - rings_), parts);
      if (!done) {
        --ring.next;
        return;
      }
      written = *done;
    } else {
      const std::uint8_t status = do_request(parts);
      if (parts.back().first != nullptr) *parts.back().first = std::byte{status};
    }
    const std::uint16_t index = index_at(used).load();
    const std::array<std::uint32_t, 2> element = {head, written};
    std::memcpy(used + 4 + 8 * (index % ring.size), element.data(), sizeof(element));
    index_at(used).store(static_cast<std::uint16_t>(index + 1));
    ++served_;
    ring_bell(ring.call);
    Ring& other = rings_[(&ring - rings_) ^ 1];
    if (nature_.is_network && !packet_.empty() && other.enabled) serve_ring(other);
  }
}

std::optional<std::uint32_t> FakeBackEnd::serve_packet(std::size_t ring, const Parts& parts) {
  if (ring % 2 == 1) {
    packet_.clear();
    for (const auto& [start, size] : parts)
      if (start != nullptr) packet_.insert(packet_.end(), start, start + size);
    return 0;
  }
  if (packet_.empty() || parts.front().first == nullptr || parts.front().second < packet_.size())
    return std::nullopt;
  copy_guest_bytes(parts.front().first, packet_.data(), packet_.size());
  return static_cast<std::uint32_t>(std::exchange(packet_, {}).size());
}

// Header, one buffer, status: reads (0) and writes (1); anything else is unsupported (2).
std::uint8_t FakeBackEnd::do_request(std::span<const std::pair<std::byte*, std::size_t>> parts) {
  if (parts.size() != 3 || parts[0].first == nullptr || parts[1].first == nullptr) return 2;
  const auto type = load<std::uint32_t>(parts[0].first);
  const auto sector = load<std::uint64_t>(parts[0].first + 8);
  if (sector >= kSectors || parts[1].second > (kSectors - sector) * 512) return 1;
  std::byte* const place = disk_.data() + sector * 512;
  if (type == 0) {
    copy_guest_bytes(parts[1].first, place, parts[1].second);
  } else if (type == 1) {
    copy_guest_bytes(place, parts[1].first, parts[1].second);
  } else {
    return 2;
  }
  return 0;
}

}  // namespace warren::vmm::virtio::vhost
