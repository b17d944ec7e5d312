#include "tests/guest/runtime/net_bench.h"

#include "tests/guest/machine/clock.h"
#include "tests/guest/machine/cpu.h"
#include "tests/guest/machine/memory.h"
#include "tests/guest/machine/power.h"
#include "tests/guest/machine/serial.h"
#include "tests/guest/machine/user_mode.h"
#include "tests/guest/runtime/bench_line.h"
#include "tests/guest/runtime/print.h"
#include "tests/guest/virtio/device.h"
#include "tests/guest/virtio/split_queue.h"

namespace guest {
namespace {

constexpr std::uint64_t kChecksum = 1 << 0, kGuestChecksum = 1 << 1, kMac = 1 << 5, kGuestTso4 = 1 << 7,
                        kHostTso4 = 1 << 11, kMergeable = 1 << 15;
constexpr std::uint16_t kQueueSize = 256, kReceive = 0, kTransmit = 1;
constexpr std::uint32_t kHeaderBytes = 12, kLongestFrame = 1514, kLongest = 65000, kBufferBytes = 4096;
constexpr unsigned kMostSamples = 1 << 16;
// A type that no protocol of the host has (IEEE 802 experimental), so that nobody answers by himself.
constexpr std::uint16_t kExperimental = 0x88b5;

enum class Operation : std::uint8_t { send, receive, echo };

struct Bench {
  Operation operation;
  std::uint32_t bytes, milliseconds;
  SplitQueue *receive, *transmit;
  std::uint64_t receive_doorbell, transmit_doorbell;
  std::uint8_t* packet;   // that is sent, behind its header
  std::uint8_t* buffers;  // kQueueSize of them
  std::uint64_t packets, moved, errors, nanoseconds;
  std::uint32_t samples[kMostSamples];  // round trips
  std::uint32_t sampled;
};

Bench* bench;

void put16(std::uint8_t* at, unsigned value) {
  at[0] = static_cast<std::uint8_t>(value >> 8);
  at[1] = static_cast<std::uint8_t>(value);
}

unsigned folded(const std::uint8_t* data, unsigned bytes, unsigned sum) {
  for (unsigned i = 0; i + 1 < bytes; i += 2) sum += data[i] << 8u | data[i + 1];
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return sum;
}

// One TCP segment over IPv4 as long as it gets, for the device to cut (virtio 1.2 §5.1.6.2).
void make_segment(std::uint8_t* header, std::uint8_t* frame, std::uint32_t bytes) {
  header[0] = 1;  // needs checksum
  header[1] = 1;  // TCP over IPv4
  const std::uint16_t fields[] = {54, 1448, 34, 16};
  for (unsigned i = 0; i < 4; ++i) {
    header[2 + 2 * i] = static_cast<std::uint8_t>(fields[i]);
    header[3 + 2 * i] = static_cast<std::uint8_t>(fields[i] >> 8);
  }
  put16(frame + 12, 0x0800);
  std::uint8_t* ip = frame + 14;
  ip[0] = 0x45;
  put16(ip + 2, bytes - 14);
  ip[8] = 64;
  ip[9] = 6;
  ip[12] = ip[16] = 10;
  ip[15] = 1;
  ip[19] = 2;
  put16(ip + 10, ~folded(ip, 20, 0) & 0xffff);
  std::uint8_t* tcp = ip + 20;
  put16(tcp, 1000);
  put16(tcp + 2, 2000);
  tcp[12] = 0x50;
  tcp[13] = 0x10;
  // The sum of the pseudo header, as whoever makes the checksum wants it (§5.1.6.2).
  put16(tcp + 16, folded(ip + 12, 8, 6 + bytes - 34));
}

void make_packet(const VirtioDevice& device) {
  bench->packet = allocate_array<std::uint8_t>(kHeaderBytes + bench->bytes, 4096);
  std::uint8_t* frame = bench->packet + kHeaderBytes;
  for (unsigned i = 0; i < 6; ++i) {
    frame[i] = 0x02;  // of nobody
    frame[6 + i] = read8(device.configuration() + i);
  }
  put16(frame + 12, kExperimental);
  if (bench->bytes > kLongestFrame) make_segment(bench->packet, frame, bench->bytes);
}

void offer(std::uint16_t number) {
  bench->receive->add_head(number);
}

void ring_receive() {
  if (bench->receive->needs_notification()) write16(bench->receive_doorbell, kReceive);
}
void ring_transmit() {
  if (bench->transmit->needs_notification()) write16(bench->transmit_doorbell, kTransmit);
}

std::uint64_t send_for(std::uint64_t) {
  const std::uint64_t begun = now_nanoseconds(), end = begun + bench->milliseconds * kMillisecond;
  std::uint64_t now = begun;
  for (std::uint16_t i = 0; i < kQueueSize; ++i) bench->transmit->add_head(i);
  ring_transmit();
  while (now < end) {
    unsigned returned = 0;
    while (returned < kQueueSize / 4) {
      const auto used = bench->transmit->take_used();
      if (!used) break;
      bench->transmit->add_head(static_cast<std::uint16_t>(used->id % kQueueSize));
      ++returned;
    }
    if (returned != 0) ring_transmit();
    bench->packets += returned;
    now = now_nanoseconds();
  }
  bench->nanoseconds = now - begun;
  bench->moved = bench->packets * bench->bytes;
  return 0;
}

// Takes what has come; the bytes of the packet that came last, whole.
unsigned take_packets() {
  unsigned packets = 0;
  while (const auto used = bench->receive->take_used()) {
    const auto number = static_cast<std::uint16_t>(used->id % kQueueSize);
    static std::uint16_t left = 0;
    const std::uint8_t* const start = bench->buffers + number * kBufferBytes;
    if (left == 0) {
      left = static_cast<std::uint16_t>(start[10] | start[11] << 8);
      bench->moved += used->length - kHeaderBytes;
      ++packets;
      if (left == 0) ++bench->errors;
    } else {
      bench->moved += used->length;
    }
    if (left != 0) --left;
    offer(number);
  }
  if (packets != 0) ring_receive();
  return packets;
}

std::uint64_t receive_for(std::uint64_t) {
  const std::uint64_t begun = now_nanoseconds(), end = begun + bench->milliseconds * kMillisecond;
  std::uint64_t now = begun;
  while (now < end) {
    bench->packets += take_packets();
    now = now_nanoseconds();
  }
  bench->nanoseconds = now - begun;
  return 0;
}

std::uint64_t echo_for(std::uint64_t) {
  const std::uint64_t begun = now_nanoseconds(), end = begun + bench->milliseconds * kMillisecond;
  std::uint64_t now = begun;
  while (now < end && bench->sampled < kMostSamples) {
    const std::uint64_t sent = now;
    bench->transmit->add_head(0);
    ring_transmit();
    bool came = false;
    // A packet that is lost costs one round, not the rest of the time.
    while (!came && now - sent < 100 * kMillisecond) {
      came = take_packets() != 0;
      now = now_nanoseconds();
    }
    while (!bench->transmit->take_used() && now < end) now = now_nanoseconds();
    if (came) {
      ++bench->packets;
      bench->samples[bench->sampled++] = static_cast<std::uint32_t>(now - sent);
    } else {
      ++bench->errors;
    }
  }
  bench->nanoseconds = now - begun;
  return 0;
}

// How many are below it is counted anew for each guess: this kernel has no sort.
std::uint32_t percentile(std::uint64_t of_ten_thousand) {
  const std::uint64_t wanted = bench->sampled * of_ten_thousand / 10000;
  std::uint32_t low = 0, high = ~0u;
  while (low < high) {
    const std::uint32_t middle = low + (high - low) / 2;
    std::uint64_t below = 0;
    for (std::uint32_t i = 0; i < bench->sampled; ++i) below += bench->samples[i] <= middle;
    if (below > wanted) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}

std::uint64_t find_percentiles(std::uint64_t results) {
  auto* const found = reinterpret_cast<std::uint32_t*>(results);  // two of them, of the caller's
  found[0] = percentile(5000);
  found[1] = percentile(9900);
  return 0;
}

bool set_up(VirtioDevice& device) {
  const std::uint64_t wanted =
      kEventIndex | kMac | kMergeable | kChecksum | kGuestChecksum | kGuestTso4 | kHostTso4;
  if (!device || !device.negotiate(wanted) || (device.negotiated() & wanted) != wanted) return false;
  // Without packed rings every queue is a split one.
  bench->receive = static_cast<SplitQueue*>(&device.set_up_queue(kReceive, kQueueSize));
  bench->transmit = static_cast<SplitQueue*>(&device.set_up_queue(kTransmit, kQueueSize));
  if (bench->receive->size() != kQueueSize || bench->transmit->size() != kQueueSize) return false;
  bench->receive_doorbell = device.notify_address(kReceive);
  bench->transmit_doorbell = device.notify_address(kTransmit);
  bench->receive->request_interrupts(false);
  bench->transmit->request_interrupts(false);
  bench->buffers = allocate_array<std::uint8_t>(std::size_t{kQueueSize} * kBufferBytes, 4096);
  make_packet(device);
  for (std::uint16_t i = 0; i < kQueueSize; ++i) {
    bench->receive->descriptor(i) = {physical(bench->buffers + i * kBufferBytes), kBufferBytes,
                                     kDescriptorWrite, 0};
    bench->transmit->descriptor(i) = {physical(bench->packet), kHeaderBytes + bench->bytes, 0, 0};
  }
  device.start();
  for (std::uint16_t i = 0; i < kQueueSize; ++i) offer(i);
  ring_receive();
  return true;
}

void measure(std::string_view words) {
  reset_allocations();
  bench = allocate_array<Bench>(1, 64);
  const auto operation = take_word(words);
  bench->bytes = take_number(words);
  bench->milliseconds = take_number(words);
  if (bench->bytes < 60 || bench->bytes > kLongest) stop("no such frame");
  VirtioDevice device(VirtioType::net);
  if (!set_up(device)) stop("the network device does not take its driver");
  print("BEGIN\n");
  std::uint32_t trips[2] = {};
  if (operation == "send") {
    run_in_user_mode(send_for, 0);
  } else if (operation == "receive") {
    run_in_user_mode(receive_for, 0);
  } else if (operation == "echo") {
    run_in_user_mode(echo_for, 0);
    auto* const found = allocate_array<std::uint32_t>(2);
    run_in_user_mode(find_percentiles, reinterpret_cast<std::uint64_t>(found));  // for it to write to
    trips[0] = found[0];
    trips[1] = found[1];
  } else {
    stop("no such measurement");
  }
  print("RESULT packets=", bench->packets, " bytes=", bench->moved, " nanoseconds=", bench->nanoseconds,
        " p50=", trips[0], " p99=", trips[1], " errors=", bench->errors, "\n");
  device.reset();
}

}  // namespace

void measure_network() {
  print("READY\n");
  for (;;) measure(read_line());
}

}  // namespace guest
