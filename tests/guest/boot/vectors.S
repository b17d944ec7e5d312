// Interrupt and exception entries: one stub per vector pushes a uniform frame and calls dispatch_interrupt.

#include "tests/guest/boot/selectors.h"

        .text
        .code64
        .align 16
        .globl interrupt_stubs
interrupt_stubs:
        .set vector, 0
        .rept VECTOR_COUNT
        .align 16                       // stub n lies at interrupt_stubs + 16 n
        .if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21)
        pushq $0                        // these exceptions push no error code
        .endif
        pushq $vector
        jmp interrupt_entry
        .set vector, vector + 1
        .endr

interrupt_entry:
        push %rax
        push %rcx
        push %rdx
        push %rbx
        push %rbp
        push %rsi
        push %rdi
        push %r8
        push %r9
        push %r10
        push %r11
        push %r12
        push %r13
        push %r14
        push %r15
        cld
        mov %rsp, %rdi
        call dispatch_interrupt
        pop %r15
        pop %r14
        pop %r13
        pop %r12
        pop %r11
        pop %r10
        pop %r9
        pop %r8
        pop %rdi
        pop %rsi
        pop %rbp
        pop %rbx
        pop %rdx
        pop %rcx
        pop %rax
        add $16, %rsp
        iretq

// std::uint64_t enter_user_mode(function, argument, stack): runs function(argument) in ring 3. It comes back by
// an undefined instruction: the handler restores the stack saved here (leave_user_mode).
        .globl enter_user_mode, leave_user_mode, user_mode_end
enter_user_mode:
        push %rbx
        push %rbp
        push %r12
        push %r13
        push %r14
        push %r15
        mov %rsp, user_mode_saved_stack
        mov %rdi, %rax
        mov %rsi, %rdi
        pushq $SELECTOR_USER_DATA
        pushq %rdx
        pushq $0x202                    // interrupts on
        pushq $SELECTOR_USER_CODE
        lea 1f(%rip), %rcx
        pushq %rcx
        iretq
1:      call *%rax
user_mode_end:
        ud2

// In: rdi = the function's result. Runs in ring 0 on whatever stack.
leave_user_mode:
        mov %rdi, %rax
        mov user_mode_saved_stack, %rsp
        pop %r15
        pop %r14
        pop %r13
        pop %r12
        pop %rbp
        pop %rbx
        ret

        .bss
        .align 8
user_mode_saved_stack:
        .skip 8

        .section .note.GNU-stack, "", @progbits
