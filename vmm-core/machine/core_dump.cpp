#include "vmm-core/machine/core_dump.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <span>
#include <system_error>

#include <elf.h>
#include <sys/mman.h>
#include <sys/procfs.h>
#include <unistd.h>

#include "vmm-core/block/zero_bytes.h"

namespace warren::vmm::machine {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kChunk = std::uint64_t{1} << 20;

constexpr std::uint64_t round_up(std::uint64_t value, std::uint64_t unit) {
  return (value + unit - 1) / unit * unit;
}

void append(std::vector<std::byte>& out, const void* data, std::size_t size) {
  const auto* bytes = static_cast<const std::byte*>(data);
  out.insert(out.end(), bytes, bytes + size);
}

user_regs_struct user_registers(const VcpuRegisters& vcpu) {
  user_regs_struct registers{};
  const kvm_regs& r = vcpu.general;
  registers.rax = registers.orig_rax = r.rax;
  registers.rbx = r.rbx, registers.rcx = r.rcx, registers.rdx = r.rdx;
  registers.rsi = r.rsi, registers.rdi = r.rdi, registers.rsp = r.rsp, registers.rbp = r.rbp;
  registers.r8 = r.r8, registers.r9 = r.r9, registers.r10 = r.r10, registers.r11 = r.r11;
  registers.r12 = r.r12, registers.r13 = r.r13, registers.r14 = r.r14, registers.r15 = r.r15;
  registers.rip = r.rip, registers.eflags = r.rflags;
  const kvm_sregs& s = vcpu.special;
  registers.cs = s.cs.selector, registers.ss = s.ss.selector, registers.ds = s.ds.selector;
  registers.es = s.es.selector, registers.fs = s.fs.selector, registers.gs = s.gs.selector;
  registers.fs_base = s.fs.base, registers.gs_base = s.gs.base;
  return registers;
}

// gABI "Note Section": name and descriptor padded to four bytes. vCPUs are threads numbered from 1.
void append_note(std::vector<std::byte>& out, const VcpuRegisters& vcpu, std::size_t index) {
  elf_prstatus status{};
  status.pr_pid = static_cast<int>(index + 1);
  const user_regs_struct registers = user_registers(vcpu);
  static_assert(sizeof(status.pr_reg) == sizeof(registers));
  std::memcpy(&status.pr_reg, &registers, sizeof(registers));
  constexpr char kName[8] = "CORE";
  const Elf64_Nhdr header{.n_namesz = 5, .n_descsz = sizeof(status), .n_type = NT_PRSTATUS};
  static_assert(sizeof(status) % 4 == 0);
  append(out, &header, sizeof(header));
  append(out, kName, sizeof(kName));
  append(out, &status, sizeof(status));
}

// Everything before the first segment's bytes, which begin at a page.
std::vector<std::byte> make_head(std::span<const MemoryRegion> regions,
                                 const std::vector<VcpuRegisters>& vcpus) {
  std::vector<std::byte> notes;
  for (std::size_t i = 0; i < vcpus.size(); ++i) append_note(notes, vcpus[i], i);
  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_ident[EI_VERSION] = EV_CURRENT;
  header.e_type = ET_CORE;
  header.e_machine = EM_X86_64;
  header.e_version = EV_CURRENT;
  header.e_phoff = sizeof(Elf64_Ehdr);
  header.e_ehsize = sizeof(Elf64_Ehdr);
  header.e_phentsize = sizeof(Elf64_Phdr);
  header.e_phnum = static_cast<Elf64_Half>(regions.size() + 1);
  const std::uint64_t notes_at = sizeof(header) + header.e_phnum * sizeof(Elf64_Phdr);
  std::vector<std::byte> head;
  append(head, &header, sizeof(header));
  Elf64_Phdr note{};
  note.p_type = PT_NOTE;
  note.p_offset = notes_at;
  note.p_filesz = notes.size();
  append(head, &note, sizeof(note));
  std::uint64_t offset = round_up(notes_at + notes.size(), kPage);
  for (const MemoryRegion& region : regions) {
    Elf64_Phdr segment{};
    segment.p_type = PT_LOAD;
    segment.p_offset = offset;
    segment.p_vaddr = segment.p_paddr = region.start.value;
    segment.p_filesz = segment.p_memsz = region.size;
    append(head, &segment, sizeof(segment));
    offset += region.size;
  }
  head.insert(head.end(), notes.begin(), notes.end());
  head.resize(round_up(head.size(), kPage));
  return head;
}

// 0, or the errno.
int write_at(int file, const std::byte* data, std::uint64_t size, std::uint64_t offset) {
  while (size > 0) {
    const ssize_t written = ::pwrite(file, data, size, static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    if (written == 0) return EIO;
    data += written;
    size -= static_cast<std::uint64_t>(written);
    offset += static_cast<std::uint64_t>(written);
  }
  return 0;
}

}  // namespace

CoreDump::CoreDump(FileDescriptor file, const GuestMemory& memory,
                   std::vector<std::shared_ptr<DeviceMemory>> devices, std::vector<VcpuRegisters> vcpus,
                   std::function<void()> thread_started)
    : file_(std::move(file)),
      devices_(std::move(devices)),
      regions_(memory.regions().begin(), memory.regions().end()),
      vcpus_(std::move(vcpus)) {
  for (const MemoryRegion& region : regions_) total_ += region.size;
  thread_ = std::thread([this, thread_started = std::move(thread_started)] {
    if (thread_started) thread_started();
    main();
  });
}

CoreDump::~CoreDump() {
  abort();
  thread_.join();
}

std::string CoreDump::error() const {
  const std::lock_guard lock(mutex_);
  return error_;
}

void CoreDump::fail(int error_number, const char* doing) {
  const std::lock_guard lock(mutex_);
  error_ = std::string(doing) + ": " + std::generic_category().message(error_number);
}

void CoreDump::main() noexcept {
  State end = State::failed;
  try {
    if (write_all()) {
      end = State::complete;
    } else if (aborted_.load()) {
      end = State::aborted;
    }
  } catch (const std::exception& error) {
    const std::lock_guard lock(mutex_);
    error_ = error.what();
  }
  state_.store(end);
}

bool CoreDump::write_all() {
  const std::vector<std::byte> head = make_head(regions_, vcpus_);
  if (const int failed = write_at(file_.get(), head.data(), head.size(), 0); failed != 0) {
    fail(failed, "write the head of the core");
    return false;
  }
  std::uint64_t offset = head.size();
  for (const MemoryRegion& region : regions_) {
    if (!write_region(region, offset)) return false;
    offset += region.size;
  }
  return true;
}

namespace {

// Of private memory nobody says what is there: zeros are as good as nothing. What has not been touched is the
// kernel's page of zeros then, and no new one. A page that has failed is found by the advice, not by reading.
bool is_nothing(const std::byte* start, std::uint64_t size) noexcept {
  auto* const place = const_cast<std::byte*>(start);  // madvise(2) has no const
  if (::madvise(place, size, MADV_POPULATE_READ) != 0) return false;
  return block::is_zero(std::span(start, size));
}

// How much of the region from `offset` on is there, or else is not: bytes, and which. To read a page that is
// not there would allocate it, or not be possible.
struct Extent {
  std::uint64_t size = 0;
  bool is_data = false;
};

Extent extent_at(const MemoryRegion& region, std::uint64_t offset) {
  Extent extent{region.size - offset, true};
  if (region.blocks != nullptr) {
    const std::uint64_t block = region.blocks->block_bytes();
    extent.size = std::min(extent.size, block - offset % block);
    if (!region.blocks->is_plugged(offset / block)) return {extent.size, false};
  }
  if (region.file == nullptr) {
    extent.size = std::min(kChunk, extent.size);
    extent.is_data = !is_nothing(region.host + offset, extent.size);
    return extent;
  }
  const off_t at = static_cast<off_t>(region.file_offset + offset);
  const off_t data = ::lseek(region.file->get(), at, SEEK_DATA);
  if (data < 0 && errno != ENXIO) return extent;  // a file that knows no holes: all of it
  const std::uint64_t next = data < 0 ? region.size : static_cast<std::uint64_t>(data) - region.file_offset;
  if (next > offset) return {std::min(extent.size, next - offset), false};
  return extent;
}

}  // namespace

bool CoreDump::write_data(const MemoryRegion& region, std::uint64_t offset, std::uint64_t size,
                          std::uint64_t file_offset) {
  const int failed = write_at(file_.get(), region.host + offset, size, file_offset + offset);
  // A block that was unplugged meanwhile is a hole.
  if (failed == 0 || (failed == EFAULT && region.blocks != nullptr && offset + size != region.size))
    return true;
  fail(failed, "write the guest's memory");
  return false;
}

bool CoreDump::write_region(const MemoryRegion& region, std::uint64_t file_offset) {
  bool ends_in_hole = true;
  for (std::uint64_t done = 0; done < region.size;) {
    if (aborted_.load()) return false;
    Extent extent = extent_at(region, done);
    if (extent.is_data) {
      extent.size = std::min(kChunk, extent.size);
      if (!write_data(region, done, extent.size, file_offset)) return false;
    }
    ends_in_hole = !extent.is_data;
    written_.fetch_add(extent.size, std::memory_order_relaxed);
    done += extent.size;
  }
  // The file reaches to the end of the segment even when that is a hole.
  const std::byte zero{};
  const int failed = ends_in_hole ? write_at(file_.get(), &zero, 1, file_offset + region.size - 1) : 0;
  if (failed != 0) fail(failed, "write the end of the guest's memory");
  return failed == 0;
}

}  // namespace warren::vmm::machine
