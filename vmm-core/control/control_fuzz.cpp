// Hostile bytes on a control socket, from either end: framing, JSON, every command's arguments, every answer.
#include <cstddef>
#include <cstdint>

#include <boost/asio/io_context.hpp>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm-core/control/client.h"
#include "vmm-core/control/server.h"

namespace {
using namespace warren::vmm;
using namespace warren::vmm::control;

class Absorbing final : public Commands {
 public:
  void configure(const MachineSpecification&, DescriptorSet) override {}
  void start(bool) override {}
  void pause() override {}
  void resume() override {}
  void reset() override {}
  void power_button() override {}
  void resize_disk(const ResizeDisk&) override {}
  void set_disk_limits(const SetDiskLimits&) override {}
  void set_disk_threshold(const SetDiskThreshold&) override {}
  DiskSizes disk_sizes() const override { return {{{"virtio-disk0", 4096}}}; }
  void start_block_commit(const StartBlockCommit&, DescriptorSet) override {}
  void start_block_pull(const StartBlockPull&) override {}
  void start_block_copy(const StartBlockCopy&, DescriptorSet) override {}
  void set_block_job_speed(const SetBlockJobSpeed&) override {}
  void complete_block_job(const CompleteBlockJob&) override {}
  void cancel_block_job(const BlockJobName&) override {}
  void dismiss_block_job(const BlockJobName&) override {}
  BlockJobs block_jobs() const override { return {{{.id = "virtio-disk0"}}}; }
  void set_balloon(const SetBalloon&) override {}
  void set_balloon_statistics_period(const SetBalloonStatisticsPeriod&) override {}
  void plug_device(const PlugDevice&, DescriptorSet) override {}
  void unplug_device(const DeviceName&) override {}
  void change_medium(const ChangeMedium&, DescriptorSet) override {}
  void plug_port(const PlugPort&, DescriptorSet) override {}
  void unplug_port(const DeviceName&) override {}
  void set_link(const SetLink&) override {}
  void reconnect_interface(const ReconnectInterface&, DescriptorSet) override {}
  void answer_vsock(const AnswerVsock&, FileDescriptor) override {}
  void ctrl_alt_del() override {}
  void wake() override {}
  Status status() const override { return {}; }
  void inspect(InspectNode& root) const override { root.add("x", true); }
  FileDescriptor counters() const override { return FileDescriptor(::dup(0)); }
  void inject_nmi() override {}
  void send_keys(const SendKeys&) override {}
  void send_input(const SendInput&) override {}
  void set_reset_action(GuestAction) override {}
  std::vector<std::byte> read_memory(const ReadMemory& range) override {
    return std::vector<std::byte>(range.size, std::byte{0x5a});
  }
  void dump(const BeginDump&, FileDescriptor) override {}
  DumpStatus dump_status() const override { return {DumpState::active, 100, 40, ""}; }
  void abort_dump() override {}
  void add_iothread(std::uint32_t) override {}
  void delete_iothread(std::uint32_t) override {}
  void start_dirty_rate(std::uint32_t) override {}
  DirtyRateStatus dirty_rate() const override { return {false, 8 << 20, 2}; }
  KvmStatisticsFiles kvm_statistics() override { return {}; }
  void plug_vcpus(const VcpuNumbers&) override {}
  void unplug_vcpus(const VcpuNumbers&) override {}
  void request_memory(const RequestMemory&) override {}
  void plug_dimm(const PlugDimm&) override {}
  void unplug_dimm(const UnplugDimm&) override {}
  void quit() override {}
};

std::string control_path() {
  return "/tmp/warren-control-fuzz-" + std::to_string(::getpid());
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0 || size > 65536) return 0;
  try {
    // What passes validation must survive the journey unchanged.
    const auto parsed = parse_specification(std::string(reinterpret_cast<const char*>(data) + 1, size - 1));
    validate(parsed);
    if (format_specification(parse_specification(format_specification(parsed))) !=
        format_specification(parsed)) {
      __builtin_trap();
    }
  } catch (const Error&) {
  }
  boost::asio::io_context loop;
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) return 0;
  FileDescriptor ours(pair[0]);
  FileDescriptor theirs(pair[1]);
  if (data[0] % 2 == 0) {
    Client client(loop, std::move(theirs), {});
    client.status([](auto) {});
    client.counters([](auto) {});
    // Nothing to do when the socket takes less: a shorter input was tested.
    [[maybe_unused]] auto sent = ::send(ours.get(), data + 1, size - 1, 0);
    loop.poll();
  } else {
    static Absorbing commands;
    Server server(loop, listen_at(control_path()), commands);
    FileDescriptor peer = connect_to(control_path());
    [[maybe_unused]] auto sent = ::send(peer.get(), data + 1, size - 1, 0);
    loop.poll();
  }
  return 0;
}
