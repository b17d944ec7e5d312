// Entry points of the test guest: PVH (32-bit, "Xen/HVM direct boot"), and the Linux boot protocol's 32-bit and
// 64-bit entries. All end in boot_main(protocol, information, …) in long mode with interrupts off.

#include "tests/guest/boot/selectors.h"

        .section .note.Xen, "a", @note
        .align 4
        .long 4, 4, 18                  // name size, descriptor size, XEN_ELFNOTE_PHYS32_ENTRY
        .asciz "Xen"
        .long pvh_entry

// The head of the image: Linux's boot protocol enters at +0 (32-bit) and +0x200 (64-bit), §1.15 and §1.16.
        .section .head, "awx"
        .code32
linux_entry_32:
        mov $BOOT_PROTOCOL_LINUX, %edi
        jmp enter_long_mode

        .globl pvh_entry
pvh_entry:
        mov $BOOT_PROTOCOL_PVH, %edi
        mov %ebx, %esi

// In: edi = protocol, esi = its information, flat 32-bit protected mode without paging.
enter_long_mode:
        cld
        mov $boot_stack_top, %esp
        call load_long_mode_tables
        push $SELECTOR_CODE_64
        push $long_mode_start
        lret

// Points the processor at our GDT and page tables and turns long mode on; still runs 32-bit code on return.
        .globl load_long_mode_tables
load_long_mode_tables:
        lgdt gdt_pointer
        mov $SELECTOR_DATA, %eax
        mov %eax, %ds
        mov %eax, %es
        mov %eax, %ss
        mov %cr4, %eax
        or $0x20, %eax                  // PAE
        mov %eax, %cr4
        mov $page_map_level4, %eax
        mov %eax, %cr3
        mov $0xc0000080, %ecx           // EFER
        rdmsr
        or $0x100, %eax                 // LME
        wrmsr
        mov %cr0, %eax
        or $0x80000000, %eax            // PG
        mov %eax, %cr0
        ret

        .org linux_entry_32 + 0x200
        .code64
linux_entry_64:
        mov $boot_stack_top, %rsp
        lgdt gdt_pointer
        mov $page_map_level4, %rax
        mov %rax, %cr3
        mov $BOOT_PROTOCOL_LINUX_64, %edi
        push $SELECTOR_CODE_64
        push $long_mode_start
        lretq

long_mode_start:
        cld
        mov $SELECTOR_DATA, %eax
        mov %eax, %ds
        mov %eax, %es
        mov %eax, %ss
        xor %eax, %eax
        mov %eax, %fs
        mov %eax, %gs
        mov $boot_stack_top, %rsp
        mov %edi, %edi
        cmp $BOOT_PROTOCOL_PVH, %edi
        je 1f
        // A PVH loader clears what the ELF header asks for; a bzImage's loader knows of no bss.
        mov %rdi, %rbx
        mov $bss_start, %edi
        mov $bss_end, %ecx
        sub %edi, %ecx
        shr $3, %ecx
        xor %eax, %eax
        rep stosq
        mov %rbx, %rdi
1:      mov $boot_stack_top, %rsp
        xor %ebp, %ebp
        call boot_main
2:      cli
        hlt
        jmp 2b

        .data
        .align 16
        .globl gdt, gdt_pointer, gdt_task_state
gdt:
        .quad 0
        .quad 0x00af9b000000ffff        // SELECTOR_CODE_64
        .quad 0x00cf93000000ffff        // SELECTOR_DATA
        .quad 0x00cf9b000000ffff        // SELECTOR_CODE_32
        .quad 0x00cff3000000ffff        // SELECTOR_USER_DATA
        .quad 0x00affb000000ffff        // SELECTOR_USER_CODE
gdt_task_state:
        .quad 0, 0                      // SELECTOR_TASK_STATE, filled in at run time
gdt_end:
gdt_pointer:
        .word gdt_end - gdt - 1
        .quad gdt

// Identity map of the first 4 GiB in 2 MiB pages, open to ring 3; ready made, since building it would be most of
// the start time where ring 0 is interpreted.
        .section .data.page_tables, "aw"
        .align 4096
        .globl page_map_level4
page_map_level4:
        .quad page_directory_pointers + 7
        .fill 511, 8, 0
page_directory_pointers:
        .quad page_directories + 0x0007, page_directories + 0x1007, page_directories + 0x2007, page_directories + 0x3007
        .fill 508, 8, 0
page_directories:
        .set frame, 0
        .rept 2048
        .quad frame + 0x87              // present, writable, user, 2 MiB
        .set frame, frame + 0x200000
        .endr

        .bss
        .align 16
        .skip 0x8000
boot_stack_top:

        .section .note.GNU-stack, "", @progbits
