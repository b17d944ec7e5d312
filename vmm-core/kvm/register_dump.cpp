// Vcpu::describe(): a crashed vCPU's registers as one line of text.
#include <array>
#include <cstdio>
#include <utility>

#include "vmm-core/kvm/vcpu.h"

namespace warren::vmm::kvm {
namespace {

using Named = std::pair<const char*, unsigned long long>;

void append(std::string& text, const Named& value) {
  std::array<char, 40> item;
  std::snprintf(item.data(), item.size(), "%s%s=%#llx", text.empty() ? "" : " ", value.first, value.second);
  text += item.data();
}

}  // namespace

std::string Vcpu::describe() const noexcept {
  try {
    const kvm_regs r = registers();
    const kvm_sregs s = special_registers();
    std::string text;
    for (const Named& value : std::initializer_list<Named>{{"rip", r.rip},       {"cs", s.cs.selector},
                                                           {"rflags", r.rflags}, {"rsp", r.rsp},
                                                           {"rax", r.rax},       {"rbx", r.rbx},
                                                           {"rcx", r.rcx},       {"rdx", r.rdx},
                                                           {"rsi", r.rsi},       {"rdi", r.rdi},
                                                           {"rbp", r.rbp},       {"r8", r.r8},
                                                           {"r9", r.r9},         {"r10", r.r10},
                                                           {"r11", r.r11},       {"r12", r.r12},
                                                           {"r13", r.r13},       {"r14", r.r14},
                                                           {"r15", r.r15},       {"cr0", s.cr0},
                                                           {"cr2", s.cr2},       {"cr3", s.cr3},
                                                           {"cr4", s.cr4},       {"efer", s.efer},
                                                           {"idt", s.idt.base},  {"idt_limit", s.idt.limit},
                                                           {"gdt", s.gdt.base},  {"gdt_limit", s.gdt.limit},
                                                           {"cpl", s.ss.dpl}}) {
      append(text, value);
    }
    return text;
  } catch (const std::exception&) {
    return "registers cannot be read";
  }
}

}  // namespace warren::vmm::kvm
