"""Runs one instruction of the kind kernels need in ring 0 of a KVM guest: cmpxchg16b, in long mode.

A KVM on real virtualization hardware runs it; one that interprets ring 0 gives up. Takes milliseconds. The numbers
are those of linux/kvm.h.
"""

import ctypes
import fcntl
import mmap
import os
import struct

_CREATE_VM, _GET_VCPU_MMAP_SIZE, _CREATE_VCPU, _RUN = 0xAE01, 0xAE04, 0xAE41, 0xAE80
_SET_USER_MEMORY_REGION = 0x4020AE46
_GET_SUPPORTED_CPUID, _SET_CPUID2 = 0xC008AE05, 0x4008AE90
_SET_REGS, _GET_SREGS, _SET_SREGS = 0x4090AE82, 0x8138AE83, 0x4138AE84
_EXIT_IO, _EXIT_INTERNAL_ERROR = 2, 17
_CR0_PE_ET_PG, _CR4_PAE, _EFER_LME_LMA = 0x80000011, 0x20, 0x500
# and rsp, -16; lock cmpxchg16b [rsp]; out 0x80, al; hlt
_CODE = bytes.fromhex("4883e4f0 f0480fc70c24 e680 f4")
_PAGE_TABLES, _START, _STACK, _SIZE = 0x1000, 0x8000, 0xF000, 0x10000


def _segment(kind: int, long_mode: int) -> bytes:
    # struct kvm_segment: base, limit, selector, type, present, dpl, db, s, l, g, avl, unusable, padding
    return struct.pack("<QIHBBBBBBBBBB", 0, 0xFFFFFFFF, 8, kind, 1, 0, 1 - long_mode, 1, long_mode, 1, 0, 0, 0)


def _enter_long_mode(vcpu: int, memory: mmap.mmap) -> None:
    for level in range(3):  # PML4, PDPT, PD: one 2 MiB page at 0
        entry = _PAGE_TABLES + level * 0x1000
        value = 0x83 if level == 2 else (entry + 0x1000) | 3
        memory[entry:entry + 8] = struct.pack("<Q", value)
    sregs = bytearray(312)
    fcntl.ioctl(vcpu, _GET_SREGS, sregs)
    sregs[0:24] = _segment(11, 1)
    for index in (1, 2, 3, 4, 5):
        sregs[index * 24:(index + 1) * 24] = _segment(3, 0)
    control = 8 * 24 + 2 * 16  # cr0, cr2, cr3, cr4, cr8, efer
    struct.pack_into("<6Q", sregs, control, _CR0_PE_ET_PG, 0, _PAGE_TABLES, _CR4_PAE, 0, _EFER_LME_LMA)
    fcntl.ioctl(vcpu, _SET_SREGS, sregs)
    # struct kvm_regs: 16 general registers (rsp is the seventh), rip, rflags
    fcntl.ioctl(vcpu, _SET_REGS, struct.pack("<18Q", *[0] * 6, _STACK, *[0] * 9, _START, 2))


def trouble() -> str | None:
    """None when the instruction ran, else what stopped it."""
    with open("/dev/kvm", "r+b", buffering=0) as kvm:
        cpuid = bytearray(struct.pack("<II", 256, 0) + bytes(256 * 40))
        fcntl.ioctl(kvm, _GET_SUPPORTED_CPUID, cpuid)
        machine = fcntl.ioctl(kvm, _CREATE_VM, 0)
        memory = mmap.mmap(-1, _SIZE)
        memory[_START:_START + len(_CODE)] = _CODE
        host = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        fcntl.ioctl(machine, _SET_USER_MEMORY_REGION, struct.pack("<IIQQQ", 0, 0, 0, _SIZE, host))
        vcpu = fcntl.ioctl(machine, _CREATE_VCPU, 0)
        fcntl.ioctl(vcpu, _SET_CPUID2, cpuid)
        _enter_long_mode(vcpu, memory)
        run = mmap.mmap(vcpu, fcntl.ioctl(kvm, _GET_VCPU_MMAP_SIZE, 0))
        fcntl.ioctl(vcpu, _RUN, 0)
        (reason,) = struct.unpack_from("<I", run, 8)
        os.close(vcpu)
        os.close(machine)
    if reason == _EXIT_IO:
        return None
    if reason == _EXIT_INTERNAL_ERROR:
        return "KVM gives up on cmpxchg16b in ring 0 (it interprets the guest's kernel)"
    return f"cmpxchg16b in ring 0 ends in KVM exit {reason}"
