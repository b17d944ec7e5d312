// The smallest guest there is: a PVH image whose first instructions write one byte to the serial port and halt.
// What a start costs is the time until that byte.

        .section .note.Xen, "a", @note
        .align 4
        .long 4, 4, 18                  // XEN_ELFNOTE_PHYS32_ENTRY
        .asciz "Xen"
        .long first_entry

        .section .head, "awx"
        .code32
        .globl pvh_entry
pvh_entry:
first_entry:
        mov $0x3f8, %dx
        mov $'1', %al
        out %al, %dx
1:      cli
        hlt
        jmp 1b

        .section .note.GNU-stack, "", @progbits
