// The setup part of the bzImage: one boot sector and four setup sectors with the header of the Linux boot
// protocol 2.15 and no real-mode code, since our loaders enter at the 32-bit or 64-bit entry.

        .section .text
        .globl pvh_entry
pvh_entry:                              // satisfies the shared linker script; never run
setup_start:
        .org 0x1f1
        .byte 4                         // setup_sects
        .word 0                         // root_flags
        .long (IMAGE_BYTES + 15) / 16   // syssize
        .word 0                         // ram_size
        .word 0xffff                    // vid_mode
        .word 0                         // root_dev
        .word 0xaa55                    // boot_flag
        .byte 0xeb, setup_header_end - . - 1    // jump
        .ascii "HdrS"
        .word 0x020f                    // version
        .long 0                         // realmode_swtch
        .word 0                         // start_sys_seg
        .word kernel_version - setup_start - 0x200
        .byte 0                         // type_of_loader
        .byte 1                         // loadflags: LOADED_HIGH
        .word 0                         // setup_move_size
        .long 0x100000                  // code32_start
        .long 0, 0                      // ramdisk_image, ramdisk_size
        .long 0                         // bootsect_kludge
        .word 0                         // heap_end_ptr
        .byte 0, 0                      // ext_loader_ver, ext_loader_type
        .long 0                         // cmd_line_ptr
        .long 0x7fffffff                // initrd_addr_max
        .long 0x100000                  // kernel_alignment
        .byte 0, 20                     // relocatable_kernel: no; min_alignment
        .word 1                         // xloadflags: XLF_KERNEL_64
        .long 2047                      // cmdline_size
        .long 0                         // hardware_subarch
        .quad 0                         // hardware_subarch_data
        .long 0, 0                      // payload_offset, payload_length
        .quad 0                         // setup_data
        .quad 0x100000                  // pref_address
        .long IMAGE_MEMORY              // init_size
        .long 0                         // handover_offset
        .long 0                         // kernel_info_offset
setup_header_end:
kernel_version:
        .asciz "warren-test-guest"
        .org 5 * 512

        .section .note.GNU-stack, "", @progbits
