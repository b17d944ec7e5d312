// Start-up code of application processors: copied to PROCESSOR_START_ADDRESS, entered in real mode by SIPI.

#include "tests/guest/boot/selectors.h"

        .section .rodata
        .globl processor_start, processor_start_end
        .code16
processor_start:
        cli
        cld
        xor %ax, %ax
        mov %ax, %ds
        lgdtl PROCESSOR_START_ADDRESS + processor_gdt_pointer - processor_start
        mov %cr0, %eax
        or $1, %eax
        mov %eax, %cr0
        ljmpl $SELECTOR_CODE_32, $processor_protected_mode
        .align 4
processor_gdt_pointer:
        .word 0x2f                      // all but the task state, which belongs to the boot processor
        .long gdt
processor_start_end:

        .text
        .code32
processor_protected_mode:
        mov $SELECTOR_DATA, %eax
        mov %eax, %ds
        mov %eax, %es
        mov %eax, %ss
        mov processor_stack, %esp
        call load_long_mode_tables
        push $SELECTOR_CODE_64
        push $processor_long_mode
        lret
        .code64
processor_long_mode:
        xor %eax, %eax
        mov %eax, %fs
        mov %eax, %gs
        mov processor_stack, %rsp
        xor %ebp, %ebp
        call processor_main
1:      cli
        hlt
        jmp 1b

        .section .note.GNU-stack, "", @progbits
