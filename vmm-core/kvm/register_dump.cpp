// Vcpu::describe(): a crashed vCPU's registers as one line of text.
#include <fmt/format.h>

#include "vmm-core/kvm/vcpu.h"

namespace warren::vmm::kvm {

std::string Vcpu::describe() const noexcept {
  try {
    const kvm_regs r = registers();
    const kvm_sregs s = special_registers();
    return fmt::format(
        "rip={:#x} cs={:#x} rflags={:#x} rsp={:#x} rax={:#x} rbx={:#x} rcx={:#x} rdx={:#x} rsi={:#x} "
        "rdi={:#x} "
        "rbp={:#x} r8={:#x} r9={:#x} r10={:#x} r11={:#x} r12={:#x} r13={:#x} r14={:#x} r15={:#x} cr0={:#x} "
        "cr2={:#x} cr3={:#x} cr4={:#x} efer={:#x} idt={:#x}+{:#x} gdt={:#x}+{:#x} cpl={}",
        r.rip, s.cs.selector, r.rflags, r.rsp, r.rax, r.rbx, r.rcx, r.rdx, r.rsi, r.rdi, r.rbp, r.r8, r.r9,
        r.r10, r.r11, r.r12, r.r13, r.r14, r.r15, s.cr0, s.cr2, s.cr3, s.cr4, s.efer, s.idt.base, s.idt.limit,
        s.gdt.base, s.gdt.limit, s.ss.dpl);
  } catch (const std::exception&) {
    return "registers cannot be read";
  }
}

}  // namespace warren::vmm::kvm
