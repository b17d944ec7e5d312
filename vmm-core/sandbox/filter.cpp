#include "vmm-core/sandbox/filter.h"

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm-core/os/error.h"

namespace warren::vmm {
namespace {

// Generous: the largest table compiles to half of it, and the build of the program checks.
constexpr std::size_t kMaximumInstructions = 1024;
constexpr std::uint32_t kX32Bit = 0x4000'0000;  // system calls of the x32 ABI carry it
constexpr int kReportExitCode = 159;            // what a shell says of a process killed by SIGSYS

constexpr std::uint32_t kOffsetCall = offsetof(seccomp_data, nr);
constexpr std::uint32_t kOffsetArchitecture = offsetof(seccomp_data, arch);
constexpr std::uint32_t offset_of_argument(int index) {
  return offsetof(seccomp_data, args) + static_cast<std::uint32_t>(index) * 8;  // low half, little endian
}

class Program {
 public:
  Program(std::uint32_t refusal) : refusal_(refusal) {}

  void begin() {
    load(kOffsetArchitecture);
    jump(BPF_JEQ, AUDIT_ARCH_X86_64, 1, 0);
    answer(SECCOMP_RET_KILL_PROCESS);
    load(kOffsetCall);
    jump(BPF_JGE, kX32Bit, 0, 1);
    answer(SECCOMP_RET_KILL_PROCESS);
    // glibc falls back to clone, whose flags can be checked; those of clone3 lie in memory.
    jump(BPF_JEQ, SYS_clone3, 0, 1);
    answer(SECCOMP_RET_ERRNO | ENOSYS);
  }

  void add(const FilterRule& rule) {
    if (rule.argument < 0) {
      jump(BPF_JEQ, rule.system_call, 0, 1);
      answer(SECCOMP_RET_ALLOW);
      return;
    }
    bool masked = rule.mask != 0xffff'ffff;
    jump(BPF_JEQ, rule.system_call, 0, static_cast<std::uint8_t>(masked ? 5 : 4));
    load(offset_of_argument(rule.argument));
    if (masked) emit({BPF_ALU | BPF_AND | BPF_K, 0, 0, rule.mask});
    jump(BPF_JEQ, rule.value, 0, 1);
    answer(SECCOMP_RET_ALLOW);
    load(kOffsetCall);
  }

  void end() { answer(refusal_); }

  sock_fprog program() noexcept { return {static_cast<unsigned short>(size_), instructions_.data()}; }

 private:
  void emit(sock_filter instruction) {
    if (size_ == kMaximumInstructions)
      throw Error(std::errc::value_too_large, "sandbox: system call filter: too many rules");
    instructions_[size_++] = instruction;
  }
  void load(std::uint32_t offset) { emit({BPF_LD | BPF_W | BPF_ABS, 0, 0, offset}); }
  void jump(std::uint16_t test, std::uint32_t value, std::uint8_t when_true, std::uint8_t when_false) {
    emit({static_cast<std::uint16_t>(BPF_JMP | BPF_K | test), when_true, when_false, value});
  }
  void answer(std::uint32_t action) { emit({BPF_RET | BPF_K, 0, 0, action}); }

  std::uint32_t refusal_;
  std::size_t size_ = 0;
  std::array<sock_filter, kMaximumInstructions> instructions_;
};

void add_rules(Program& program, ThreadKind kind) {
  auto own_process = static_cast<std::uint32_t>(getpid());
  for (FilterRule rule : filter_rules(kind)) {
    // Signals go to threads of this process only.
    if (rule.system_call == SYS_tgkill) rule.value = own_process;
    program.add(rule);
  }
}

std::uint32_t refusal_of(ThreadKind kind, FilterMode mode) {
  switch (mode) {
    case FilterMode::report:
      return SECCOMP_RET_TRAP | static_cast<std::uint32_t>(kind);  // the handler reads it from si_errno
    case FilterMode::log:
      return SECCOMP_RET_LOG;
    case FilterMode::enforce:
      break;
  }
  return SECCOMP_RET_KILL_PROCESS;
}

char* append(char* at, const char* text) {
  return static_cast<char*>(mempcpy(at, text, std::strlen(text)));
}
char* append(char* at, unsigned long long number) {
  std::array<char, 24> digits;
  std::size_t count = 0;
  do digits[count++] = static_cast<char>('0' + number % 10);
  while ((number /= 10) != 0);
  while (count > 0) *at++ = digits[--count];
  return at;
}

// Async-signal-safe: formats into a local buffer and writes once.
void report_refused_call(int, siginfo_t* info, void* context) {
  auto& registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  std::array<char, 256> line;
  char* at = append(line.data(), "sandbox: ");
  at = append(at, name_of(static_cast<ThreadKind>(info->si_errno)));
  at = append(at, " thread: system call ");
  at = append(at, static_cast<unsigned>(info->si_syscall));
  for (int argument : {REG_RDI, REG_RSI, REG_RDX}) {
    at = append(at, argument == REG_RDI ? " (" : ", ");
    at = append(at, static_cast<unsigned long long>(registers[argument]));
  }
  at = append(at, ") is not allowed\n");
  [[maybe_unused]] auto written =
      write(STDERR_FILENO, line.data(), static_cast<std::size_t>(at - line.data()));
  _exit(kReportExitCode);
}

void install_report_handler() {
  struct sigaction action{};
  action.sa_sigaction = report_refused_call;
  action.sa_flags = SA_SIGINFO;
  if (sigaction(SIGSYS, &action, nullptr) < 0) throw_errno("sandbox: handle SIGSYS");
}

}  // namespace

void install_filter(ThreadKind kind, FilterMode mode) {
  // With more than eight arenas glibc's malloc reads in /sys how many processors there are, to limit them by
  // that; a limit of ours keeps it from looking. The threads that are bound hardly allocate.
  constexpr int kArenas = 4;
  ::mallopt(M_ARENA_MAX, kArenas);
  if (mode == FilterMode::report) install_report_handler();
  Program program(refusal_of(kind, mode));
  program.begin();
  add_rules(program, kind);
  if (kind == ThreadKind::control) {
    add_rules(program, ThreadKind::vcpu);
    add_rules(program, ThreadKind::io);
  }
  program.end();
  sock_fprog filter = program.program();
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) < 0)
    throw_errno(std::string("sandbox: install the system call filter of a ") + name_of(kind) + " thread");
}

const char* name_of(ThreadKind kind) noexcept {
  switch (kind) {
    case ThreadKind::vcpu:
      return "vcpu";
    case ThreadKind::io:
      return "io";
    case ThreadKind::control:
      return "control";
  }
  return "unknown";
}

}  // namespace warren::vmm
