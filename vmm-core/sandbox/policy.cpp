// The policy: which system calls each kind of thread may make. Whatever is missing kills the process.
//
// The most frequent come first. Nothing here opens a path, makes a socket, starts a program or looks at
// another process; memory never becomes executable.
#include <array>

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/futex.h>
#include <linux/if_tun.h>
#include <linux/input.h>
#include <linux/vfio.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "vmm-core/os/kvm_interface.h"
#include "vmm-core/os/vhost_interface.h"
#include "vmm-core/sandbox/filter.h"

namespace warren::vmm {
namespace {

constexpr FilterRule call(std::uint32_t number) {
  return {number};
}
constexpr FilterRule request(unsigned long number) {
  return {SYS_ioctl, 1, 0xffff'ffff, static_cast<std::uint32_t>(number)};
}
constexpr FilterRule when(std::uint32_t number, std::int8_t argument, std::uint32_t value,
                          std::uint32_t mask = 0xffff'ffff) {
  return {number, argument, mask, value};
}

// What the C and C++ run-time libraries do in every thread: memory, locks, time, the end.
#define RUNTIME_RULES                                                                               \
  call(SYS_futex), call(SYS_clock_gettime), call(SYS_clock_nanosleep), call(SYS_nanosleep),         \
      call(SYS_sched_yield), call(SYS_madvise), call(SYS_munmap), when(SYS_mmap, 2, 0, PROT_EXEC),  \
      when(SYS_mprotect, 2, 0, PROT_EXEC), call(SYS_mremap), call(SYS_brk), call(SYS_rt_sigreturn), \
      call(SYS_rt_sigprocmask), call(SYS_sigaltstack), call(SYS_restart_syscall), call(SYS_gettid), \
      call(SYS_getpid), call(SYS_getrandom), call(SYS_exit), call(SYS_exit_group), call(SYS_close), \
      call(SYS_rseq), call(SYS_set_robust_list), call(SYS_gettimeofday), call(SYS_clock_getres),    \
      call(SYS_membarrier), call(SYS_getcpu),                                                       \
      call(SYS_sched_getaffinity), /* A thread names itself, then narrows itself; glibc's abort and \
                                      pthread_kill. */                                              \
      when(SYS_prctl, 0, PR_SET_NAME), when(SYS_prctl, 0, PR_SET_VMA), call(SYS_seccomp),           \
      when(SYS_tgkill, 0, 0)

constexpr auto kVcpuRules = std::to_array<FilterRule>({
    request(KVM_RUN),
    call(SYS_write),
    call(SYS_writev),
    call(SYS_read),
    call(SYS_readv),
    call(SYS_ppoll),
    call(SYS_poll),
    call(SYS_rt_sigtimedwait),  // takes the kick signal
    call(SYS_rt_sigpending),
    call(SYS_timerfd_settime),
    call(SYS_timerfd_gettime),
    call(SYS_eventfd2),
    call(SYS_epoll_ctl),
    // Registers are exchanged at pause, reset and crash; devices move interrupts, doorbells and BARs.
    request(KVM_GET_REGS),
    request(KVM_SET_REGS),
    request(KVM_GET_SREGS),
    request(KVM_SET_SREGS),
    request(KVM_GET_SREGS2),
    request(KVM_SET_SREGS2),
    request(KVM_GET_MSRS),
    request(KVM_SET_MSRS),
    request(KVM_GET_LAPIC),
    request(KVM_SET_LAPIC),
    request(KVM_GET_MP_STATE),
    request(KVM_SET_MP_STATE),
    request(KVM_GET_VCPU_EVENTS),
    request(KVM_SET_VCPU_EVENTS),
    request(KVM_GET_XSAVE),
    request(KVM_SET_XSAVE),
    request(KVM_GET_XSAVE2),
    request(KVM_GET_XCRS),
    request(KVM_SET_XCRS),
    request(KVM_GET_FPU),
    request(KVM_SET_FPU),
    request(KVM_GET_DEBUGREGS),
    request(KVM_SET_DEBUGREGS),
    request(KVM_SET_CPUID2),
    request(KVM_SET_DEVICE_ATTR),  // the TSC offset of a vCPU
    request(KVM_GET_DEVICE_ATTR),
    request(KVM_HAS_DEVICE_ATTR),
    request(KVM_GET_TSC_KHZ),
    request(KVM_SET_TSC_KHZ),
    request(KVM_KVMCLOCK_CTRL),
    request(KVM_NMI),
    request(KVM_SET_SIGNAL_MASK),
    request(KVM_IRQ_LINE),
    request(KVM_SIGNAL_MSI),
    request(KVM_SET_GSI_ROUTING),
    request(KVM_IRQFD),
    request(KVM_IOEVENTFD),
    request(KVM_SET_USER_MEMORY_REGION),
    // A driver that is ready hands its queues to the host's kernel, and takes them back.
    request(VHOST_SET_FEATURES),
    request(VHOST_SET_MEM_TABLE),
    request(VHOST_SET_VRING_NUM),
    request(VHOST_SET_VRING_BASE),
    request(VHOST_GET_VRING_BASE),
    request(VHOST_SET_VRING_ADDR),
    request(VHOST_SET_VRING_KICK),
    request(VHOST_SET_VRING_CALL),
    request(VHOST_SET_VRING_ERR),
    request(VHOST_VSOCK_SET_RUNNING),
    // Registers of assigned devices, and which of their interrupts are in use.
    call(SYS_pread64),
    call(SYS_pwrite64),
    request(VFIO_DEVICE_SET_IRQS),
    RUNTIME_RULES,
});

// glibc's pthread_create: CLONE_VM|FS|FILES|SIGHAND|THREAD|SYSVSEM|SETTLS|PARENT_SETTID|CHILD_CLEARTID.
constexpr std::uint32_t kThreadFlags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
                                       CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID |
                                       CLONE_CHILD_CLEARTID;

constexpr auto kIoRules = std::to_array<FilterRule>({
    call(SYS_io_uring_enter),
    call(SYS_epoll_wait),
    call(SYS_epoll_pwait),
    call(SYS_epoll_pwait2),
    call(SYS_read),
    call(SYS_write),
    call(SYS_readv),
    call(SYS_writev),
    call(SYS_preadv),
    call(SYS_pwritev),
    call(SYS_preadv2),
    call(SYS_pwritev2),
    call(SYS_pread64),
    call(SYS_pwrite64),
    call(SYS_fdatasync),
    call(SYS_fsync),
    call(SYS_fallocate),
    call(SYS_lseek),
    call(SYS_ppoll),
    call(SYS_poll),
    call(SYS_epoll_ctl),
    call(SYS_epoll_create1),
    call(SYS_eventfd2),
    call(SYS_timerfd_create),
    call(SYS_timerfd_settime),
    call(SYS_io_uring_setup),
    call(SYS_io_uring_register),
    call(SYS_accept4),  // consoles, channels and the guest's sockets
    call(SYS_shutdown),
    call(SYS_recvmsg),
    call(SYS_sendmsg),
    call(SYS_recvfrom),
    call(SYS_sendto),
    call(SYS_fstat),
    when(SYS_newfstatat, 3, AT_EMPTY_PATH, AT_EMPTY_PATH),
    call(SYS_ftruncate),  // images grow
    when(SYS_fcntl, 1, F_GETFL),
    when(SYS_fcntl, 1, F_SETFL),
    when(SYS_fcntl, 1, F_OFD_SETLK),  // images change hands between readers and a writer
    when(SYS_fcntl, 1, F_DUPFD_CLOEXEC),
    request(BLKGETSIZE64),
    request(KVM_SIGNAL_MSI),
    request(KVM_IRQ_LINE),
    request(KVM_SET_USER_MEMORY_REGION),  // blocks of memory devices come and go
    request(VFIO_IOMMU_MAP_DMA),          // likewise, for assigned devices
    request(VFIO_IOMMU_UNMAP_DMA),
    request(TUNSETOFFLOAD),
    // Networks that the host's kernel or another program serves: their queues come and go on the I/O thread.
    request(VHOST_SET_FEATURES),
    request(VHOST_SET_MEM_TABLE),
    request(VHOST_SET_VRING_NUM),
    request(VHOST_SET_VRING_BASE),
    request(VHOST_GET_VRING_BASE),
    request(VHOST_SET_VRING_ADDR),
    request(VHOST_SET_VRING_KICK),
    request(VHOST_SET_VRING_CALL),
    request(VHOST_SET_VRING_ERR),
    request(VHOST_NET_SET_BACKEND),
    request(TUNSETQUEUE),         // pairs of queues that a driver takes into use
    request(TUNSETSTEERINGEBPF),  // a program of the daemon's
    request(TUNSETVNETHDRSZ),
    request(TUNGETIFF),
    request(BLKDISCARD),
    request(BLKZEROOUT),
    request(FIONREAD),
    when(SYS_clone, 0, kThreadFlags),  // queues of disks have threads that wait, bound by this filter too
    RUNTIME_RULES,
});

constexpr auto kControlRules = std::to_array<FilterRule>({
    request(EVIOCGRAB),  // a device of the host that its user takes back
    call(SYS_accept4),
    call(SYS_shutdown),
    call(SYS_getsockopt),
    call(SYS_getsockname),
    call(SYS_socketpair),
    call(SYS_pipe2),
    call(SYS_pipe),
    call(SYS_dup),
    call(SYS_dup3),
    call(SYS_memfd_create),
    call(SYS_rt_sigaction),
    call(SYS_signalfd4),
    call(SYS_sched_setaffinity),
    call(SYS_prlimit64),
    call(SYS_getrusage),
    call(SYS_sysinfo),
    call(SYS_mbind),
    when(SYS_fcntl, 1, F_GETFD),
    when(SYS_fcntl, 1, F_SETFD),
    when(SYS_fcntl, 1, F_ADD_SEALS),
    when(SYS_fcntl, 1, F_GET_SEALS),
    request(FIONBIO),
    request(BLKSSZGET),
    request(BLKPBSZGET),
    request(BLKROTATIONAL),
    request(TUNGETFEATURES),
    request(TUNSETVNETLE),
    request(VHOST_SET_OWNER),
    request(VHOST_GET_FEATURES),
    request(KVM_GET_API_VERSION),
    request(KVM_CHECK_EXTENSION),
    request(KVM_GET_VCPU_MMAP_SIZE),
    request(KVM_GET_SUPPORTED_CPUID),
    request(KVM_GET_SUPPORTED_HV_CPUID),
    request(KVM_GET_MSR_INDEX_LIST),
    request(KVM_GET_MSR_FEATURE_INDEX_LIST),
    request(KVM_TRANSLATE),
    request(KVM_X86_GET_MCE_CAP_SUPPORTED),
    request(KVM_X86_SETUP_MCE),
    request(KVM_X86_SET_MCE),
    request(KVM_GET_STATS_FD),
    request(KVM_CREATE_VM),
    request(KVM_CREATE_VCPU),
    request(KVM_CREATE_IRQCHIP),
    request(KVM_CREATE_PIT2),
    request(KVM_REINJECT_CONTROL),
    request(KVM_CREATE_DEVICE),
    request(KVM_ENABLE_CAP),
    request(KVM_SET_TSS_ADDR),
    request(KVM_SET_IDENTITY_MAP_ADDR),
    request(KVM_SET_BOOT_CPU_ID),
    request(KVM_GET_IRQCHIP),
    request(KVM_SET_IRQCHIP),
    request(KVM_GET_PIT2),
    request(KVM_SET_PIT2),
    request(KVM_GET_CLOCK),
    request(KVM_SET_CLOCK),
    request(VFIO_GET_API_VERSION),  // assigned devices, opened from groups that the daemon has opened
    request(VFIO_CHECK_EXTENSION),
    request(VFIO_SET_IOMMU),
    request(VFIO_GROUP_GET_STATUS),
    request(VFIO_GROUP_SET_CONTAINER),
    request(VFIO_GROUP_UNSET_CONTAINER),
    request(VFIO_GROUP_GET_DEVICE_FD),
    request(VFIO_DEVICE_GET_INFO),
    request(VFIO_DEVICE_GET_REGION_INFO),
    request(VFIO_DEVICE_RESET),
    request(KVM_GET_DIRTY_LOG),
    request(KVM_CLEAR_DIRTY_LOG),
});

}  // namespace

std::span<const FilterRule> filter_rules(ThreadKind kind) noexcept {
  switch (kind) {
    case ThreadKind::vcpu:
      return kVcpuRules;
    case ThreadKind::io:
      return kIoRules;
    case ThreadKind::control:
      return kControlRules;
  }
  return {};
}

}  // namespace warren::vmm
