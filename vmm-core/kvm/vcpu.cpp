#include "vmm-core/kvm/vcpu.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <new>

#include <sys/mman.h>

#include "vmm-core/kvm/ioctl.h"

namespace warren::vmm::kvm {
namespace {

// A kvm_msrs header with its entries behind it.
class MsrBuffer {
 public:
  explicit MsrBuffer(std::span<const kvm_msr_entry> entries)
      : bytes_(sizeof(kvm_msrs) + entries.size_bytes()) {
    header_ = new (bytes_.data()) kvm_msrs{};
    header_->nmsrs = static_cast<std::uint32_t>(entries.size());
    std::memcpy(bytes_.data() + sizeof(kvm_msrs), entries.data(), entries.size_bytes());
  }
  kvm_msrs* get() noexcept { return header_; }
  kvm_msr_entry entry(std::size_t index) const noexcept {
    kvm_msr_entry entry{};
    std::memcpy(&entry, bytes_.data() + sizeof(kvm_msrs) + index * sizeof entry, sizeof entry);
    return entry;
  }

 private:
  std::vector<std::byte> bytes_;
  kvm_msrs* header_ = nullptr;
};

}  // namespace

Vcpu::Vcpu(const System& system, const VirtualMachine& vm, std::uint32_t apic_id)
    : vcpu_(WARREN_KVM_IOCTL(vm.descriptor(), KVM_CREATE_VCPU, static_cast<unsigned long>(apic_id))),
      mapping_size_(system.vcpu_mapping_size()) {
  // The page through which KVM and user space talk (api.rst §5).
  void* mapping = ::mmap(nullptr, mapping_size_, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu_.get(), 0);
  if (mapping == MAP_FAILED) throw_errno("map a vCPU's shared page");
  run_ = static_cast<kvm_run*>(mapping);
  const int size = system.check_extension(KVM_CAP_XSAVE2);
  if (size > static_cast<int>(sizeof(kvm_xsave))) {
    xsave_size_ = static_cast<std::size_t>(size);
    has_xsave2_ = true;
  }
}

Vcpu::~Vcpu() {
  ::munmap(run_, mapping_size_);
}

void Vcpu::request_exit() noexcept {
  // The kernel reads it when KVM_RUN begins; another thread of ours may write it at any time.
  std::atomic_ref(run_->immediate_exit).store(1, std::memory_order_seq_cst);
}

void Vcpu::clear_exit_request() noexcept {
  std::atomic_ref(run_->immediate_exit).store(0, std::memory_order_seq_cst);
}

Exit Vcpu::run() noexcept {
  if (::ioctl(vcpu_.get(), KVM_RUN, 0) == 0) return decode();
  // EAGAIN: an application processor that waits for its start was woken by something else.
  if (errno == EINTR || errno == EAGAIN) return Interrupted{};
  // Some failures come with an exit reason that says more.
  if (errno == EFAULT && run_->exit_reason == KVM_EXIT_INTERNAL_ERROR) return decode();
  return RunFailure{errno};
}

void Vcpu::complete_access() noexcept {
  request_exit();
  (void)::ioctl(vcpu_.get(), KVM_RUN, 0);
  clear_exit_request();
}

Exit Vcpu::decode() noexcept {
  auto* const page = reinterpret_cast<std::byte*>(run_);  // port data lies at an offset in the shared mapping
  switch (run_->exit_reason) {
    case KVM_EXIT_IO: {
      const auto& io = run_->io;
      const std::size_t bytes = std::size_t{io.size} * io.count;
      if (io.data_offset > mapping_size_ || bytes > mapping_size_ - io.data_offset) {
        return UnknownExit{run_->exit_reason};
      }
      return PortAccess{io.port, io.size, io.direction == KVM_EXIT_IO_OUT,
                        std::span(page + io.data_offset, bytes)};
    }
    case KVM_EXIT_MMIO: {
      auto& mmio = run_->mmio;
      const std::size_t size = std::min<std::size_t>(mmio.len, sizeof mmio.data);
      return MmioAccess{GuestAddress{mmio.phys_addr}, mmio.is_write != 0,
                        std::as_writable_bytes(std::span(mmio.data, size))};
    }
    case KVM_EXIT_HLT:
      return Halted{};
    case KVM_EXIT_SHUTDOWN:
      return TripleFault{};
    case KVM_EXIT_INTERNAL_ERROR: {
      const auto& error = run_->internal;
      const std::size_t count = std::min<std::size_t>(error.ndata, std::size(error.data));
      // The kernel's 64-bit type is another name for ours.
      return InternalError{error.suberror,
                           std::span(reinterpret_cast<const std::uint64_t*>(error.data), count)};
    }
    case KVM_EXIT_FAIL_ENTRY:
      return EntryFailure{run_->fail_entry.hardware_entry_failure_reason};
    case KVM_EXIT_SYSTEM_EVENT:
      return SystemEvent{run_->system_event.type};
    case KVM_EXIT_HYPERV:
      // The guest set up its interrupt controller's pages, which are plain memory here, or posted a message
      // to nobody (TLFS §11.8, HV_STATUS_INVALID_CONNECTION_ID).
      if (run_->hyperv.type == KVM_EXIT_HYPERV_HCALL) run_->hyperv.u.hcall.result = 0x12;
      return Interrupted{};
    case KVM_EXIT_INTR:
      return Interrupted{};
    default:
      return UnknownExit{run_->exit_reason};
  }
}

void Vcpu::set_cpuid(std::span<const kvm_cpuid_entry2> entries) {
  std::vector<std::byte> buffer(sizeof(kvm_cpuid2) + entries.size_bytes());
  auto* cpuid = new (buffer.data()) kvm_cpuid2{};  // a header and, behind it, the entries
  cpuid->nent = static_cast<std::uint32_t>(entries.size());
  std::memcpy(buffer.data() + sizeof(kvm_cpuid2), entries.data(), entries.size_bytes());
  WARREN_KVM_IOCTL(vcpu_.get(), KVM_SET_CPUID2, cpuid);
}

kvm_regs Vcpu::registers() const {
  kvm_regs registers{};
  WARREN_KVM_IOCTL(vcpu_.get(), KVM_GET_REGS, &registers);
  return registers;
}

void Vcpu::set_registers(const kvm_regs& registers) {
  WARREN_KVM_IOCTL(vcpu_.get(), KVM_SET_REGS, &registers);
}

kvm_sregs Vcpu::special_registers() const {
  kvm_sregs registers{};
  WARREN_KVM_IOCTL(vcpu_.get(), KVM_GET_SREGS, &registers);
  return registers;
}

void Vcpu::set_special_registers(const kvm_sregs& registers) {
  WARREN_KVM_IOCTL(vcpu_.get(), KVM_SET_SREGS, &registers);
}

kvm_mp_state Vcpu::multiprocessing_state() const {
  kvm_mp_state state{};
  WARREN_KVM_IOCTL(vcpu_.get(), KVM_GET_MP_STATE, &state);
  return state;
}

void Vcpu::set_multiprocessing_state(const kvm_mp_state& state) {
  WARREN_KVM_IOCTL(vcpu_.get(), KVM_SET_MP_STATE, &state);
}

void Vcpu::enable_capability(std::uint32_t capability, const char* name, std::uint64_t argument) {
  kvm_enable_cap enable{};
  enable.cap = capability;
  enable.args[0] = argument;
  if (try_ioctl(vcpu_.get(), KVM_ENABLE_CAP, &enable) != 0) throw_errno(name);
}

bool Vcpu::set_msr(std::uint32_t index, std::uint64_t value) {
  kvm_msr_entry entry{};
  entry.index = index;
  entry.data = value;
  MsrBuffer buffer(std::span(&entry, 1));
  return try_ioctl(vcpu_.get(), KVM_SET_MSRS, buffer.get()) == 1;
}

std::optional<std::uint64_t> Vcpu::msr(std::uint32_t index) const {
  kvm_msr_entry entry{};
  entry.index = index;
  MsrBuffer buffer(std::span(&entry, 1));
  if (try_ioctl(vcpu_.get(), KVM_GET_MSRS, buffer.get()) != 1) return std::nullopt;
  return buffer.entry(0).data;
}

bool Vcpu::set_up_machine_checks(std::uint64_t capabilities) noexcept {
  return try_ioctl(vcpu_.get(), KVM_X86_SETUP_MCE, &capabilities) == 0;
}

bool Vcpu::inject_machine_check(const kvm_x86_mce& check) noexcept {
  kvm_x86_mce copy = check;
  return try_ioctl(vcpu_.get(), KVM_X86_SET_MCE, &copy) == 0;
}

VcpuState Vcpu::save(std::span<const std::uint32_t> msr_indices) const {
  VcpuState state;
  state.multiprocessing = multiprocessing_state();  // first: it lets pending INIT and SIPI take effect
  state.registers = registers();
  state.special = special_registers();
  WARREN_KVM_IOCTL(vcpu_.get(), KVM_GET_DEBUGREGS, &state.debug);
  WARREN_KVM_IOCTL(vcpu_.get(), KVM_GET_VCPU_EVENTS, &state.events);
  WARREN_KVM_IOCTL(vcpu_.get(), KVM_GET_LAPIC, &state.local_apic);
  WARREN_KVM_IOCTL(vcpu_.get(), KVM_GET_XCRS, &state.extended_control);
  state.extended_state.resize(xsave_size_);
  if (has_xsave2_) {
    WARREN_KVM_IOCTL(vcpu_.get(), KVM_GET_XSAVE2, state.extended_state.data());
  } else {
    WARREN_KVM_IOCTL(vcpu_.get(), KVM_GET_XSAVE, state.extended_state.data());
  }
  // KVM stops at the first MSR that this vCPU lacks: leave that out and go on behind it.
  std::vector<kvm_msr_entry> wanted;
  for (const std::uint32_t index : msr_indices) wanted.push_back({.index = index});
  while (!wanted.empty()) {
    MsrBuffer buffer(wanted);
    const auto got = static_cast<std::size_t>(WARREN_KVM_IOCTL(vcpu_.get(), KVM_GET_MSRS, buffer.get()));
    for (std::size_t i = 0; i < got; ++i) state.msrs.push_back(buffer.entry(i));
    wanted.erase(wanted.begin(),
                 wanted.begin() + static_cast<std::ptrdiff_t>(std::min(got + 1, wanted.size())));
  }
  return state;
}

void Vcpu::restore(const VcpuState& state) {
  // The order matters: the local APIC's mode comes from APIC_BASE in the special registers, the TSC deadline
  // is dropped unless the APIC's timer is in that mode, and XCR0 decides what the XSAVE area may hold.
  set_special_registers(state.special);
  set_registers(state.registers);
  // A processor without XSAVE has none, and KVM refuses an empty list.
  if (state.extended_control.nr_xcrs != 0) {
    WARREN_KVM_IOCTL(vcpu_.get(), KVM_SET_XCRS, &state.extended_control);
  }
  WARREN_KVM_IOCTL(vcpu_.get(), KVM_SET_XSAVE, state.extended_state.data());
  WARREN_KVM_IOCTL(vcpu_.get(), KVM_SET_LAPIC, &state.local_apic);
  std::span<const kvm_msr_entry> rest = state.msrs;
  while (!rest.empty()) {
    MsrBuffer buffer(rest);
    const auto set = static_cast<std::size_t>(WARREN_KVM_IOCTL(vcpu_.get(), KVM_SET_MSRS, buffer.get()));
    rest = rest.subspan(std::min(set + 1, rest.size()));  // what KVM gave but does not take is read-only
  }
  WARREN_KVM_IOCTL(vcpu_.get(), KVM_SET_DEBUGREGS, &state.debug);
  WARREN_KVM_IOCTL(vcpu_.get(), KVM_SET_VCPU_EVENTS, &state.events);
  set_multiprocessing_state(state.multiprocessing);
}

void Vcpu::inject_nmi() {
  constexpr std::size_t kLint1 = 0x360;  // SDM 3A §10.5.1, "Local Vector Table"
  constexpr std::uint32_t kMasked = 1 << 16, kDeliveryMode = 7 << 8, kNmi = 4 << 8;
  kvm_lapic_state apic{};
  WARREN_KVM_IOCTL(vcpu_.get(), KVM_GET_LAPIC, &apic);
  std::uint32_t entry = 0;
  std::memcpy(&entry, &apic.regs[kLint1], sizeof(entry));
  if ((entry & kMasked) != 0 || (entry & kDeliveryMode) != kNmi) return;
  WARREN_KVM_IOCTL(vcpu_.get(), KVM_NMI, 0);
}

std::optional<GuestAddress> Vcpu::translate(std::uint64_t address) const {
  kvm_translation translation{};
  translation.linear_address = address;
  if (try_ioctl(vcpu_.get(), KVM_TRANSLATE, &translation) < 0 || translation.valid == 0) return std::nullopt;
  return GuestAddress{translation.physical_address};
}

FileDescriptor Vcpu::statistics() const noexcept {
  return FileDescriptor(try_ioctl(vcpu_.get(), KVM_GET_STATS_FD, 0));
}

void Vcpu::mark_paused() noexcept {
  (void)try_ioctl(vcpu_.get(), KVM_KVMCLOCK_CTRL, 0);
}

std::optional<std::uint64_t> Vcpu::time_stamp_counter_offset() const noexcept {
  std::uint64_t offset = 0;
  kvm_device_attr attribute{};
  attribute.group = KVM_VCPU_TSC_CTRL;
  attribute.attr = KVM_VCPU_TSC_OFFSET;
  // KVM takes the address of the value as a number.
  attribute.addr = reinterpret_cast<std::uint64_t>(&offset);
  if (try_ioctl(vcpu_.get(), KVM_GET_DEVICE_ATTR, &attribute) != 0) return std::nullopt;
  return offset;
}

bool Vcpu::set_time_stamp_counter_offset(std::uint64_t offset) noexcept {
  kvm_device_attr attribute{};
  attribute.group = KVM_VCPU_TSC_CTRL;
  attribute.attr = KVM_VCPU_TSC_OFFSET;
  attribute.addr = reinterpret_cast<std::uint64_t>(&offset);  // likewise
  if (try_ioctl(vcpu_.get(), KVM_SET_DEVICE_ATTR, &attribute) != 0) return false;
  // A KVM without hardware below it takes the offset and forgets it.
  return time_stamp_counter_offset() == offset;
}

bool Vcpu::rewind_time_stamp_counter(std::uint64_t cycles) noexcept {
  const auto offset = time_stamp_counter_offset();
  return offset && set_time_stamp_counter_offset(*offset - cycles);
}

bool Vcpu::match_time_stamp_counter(const Vcpu& other) noexcept {
  const auto offset = other.time_stamp_counter_offset();
  return offset && set_time_stamp_counter_offset(*offset);
}

std::uint32_t Vcpu::time_stamp_counter_khz() const noexcept {
  const int khz = try_ioctl(vcpu_.get(), KVM_GET_TSC_KHZ, 0);
  return khz > 0 ? static_cast<std::uint32_t>(khz) : 0;
}

}  // namespace warren::vmm::kvm
