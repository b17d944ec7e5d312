"""The emulated host's kernel, initramfs and QEMU command line."""

import dataclasses
import lzma
import struct
from pathlib import Path

import cache
import initramfs

HERE = Path(__file__).resolve().parent
# Available at once; everything else by modprobe.
MODULES = ["virtio_pci", "9pnet_virtio", "9p", "overlay", "virtio_console", "virtio_rng", "kvm-amd", "tun", "bridge",
           "veth", "vfio-pci", "vfio_iommu_type1"]
# What slows emulation down, or what QEMU 7.2 emulates wrongly under nesting, is off.
CPU = ("max,+svm,la57=off,erms=off,fsrm=off,mpx=off,pku=off,xsave=off,avx=off,avx2=off,fma=off,f16c=off,vaes=off")
KERNEL_ARGUMENTS = ("console=ttyS0 panic=-1 quiet mitigations=off no_timer_check tsc=reliable random.trust_cpu=on "
                    "audit=0 apparmor=0 selinux=0 cryptomgr.notests clearcpuid=112")


@dataclasses.dataclass(frozen=True)
class Shape:
    """What a start state is valid for."""

    memory_mib: int = 4096
    cpus: int = 1
    iommu: bool = False


@dataclasses.dataclass(frozen=True)
class Software:
    kernel: Path  # vmlinux, uncompressed: decompressing under emulation takes longer than reading
    initramfs: Path
    modules: Path  # a folder with lib/modules/<version>'s parent


def _extract_vmlinux(bzimage: bytes) -> bytes:
    # Documentation/x86/boot.rst: setup_sects at 0x1f1; payload_offset and payload_length at 0x248 and 0x24c, counted
    # from the protected-mode code. Debian compresses amd64 kernels with xz.
    sectors = bzimage[0x1F1] or 4
    offset, length = struct.unpack_from("<II", bzimage, 0x248)
    payload = bzimage[(sectors + 1) * 512 + offset:][:length]
    if not payload.startswith(b"\xfd7zXZ\0"):
        raise RuntimeError("the kernel's payload is not xz")
    return lzma.LZMADecompressor().decompress(payload)


def software() -> Software:
    version = cache.newest_kernel("amd64")
    kernel = cache.kernel(version)

    def make(folder: Path) -> None:
        (folder / "vmlinux").write_bytes(_extract_vmlinux((kernel / f"boot/vmlinuz-{version}").read_bytes()))
        initramfs.make(folder / "initramfs", HERE / "init", kernel, version, MODULES, {})

    made = cache.entry("host-" + cache.digest(version, HERE / "init", Path(initramfs.__file__), " ".join(MODULES)), make)
    return Software(made / "vmlinux", made / "initramfs", kernel / "lib/modules")


def command_line(shape: Shape, programs: Software, run: Path, console: Path, ready: bool) -> list[str]:
    """Everything but memory and the start state. `ready`: there is a command to run in `run`, whose output goes to
    the file that takes the place of the word @output@."""
    machine = "q35,kernel-irqchip=off"
    append = KERNEL_ARGUMENTS + (" intel_iommu=on iommu=pt" if shape.iommu else "")
    share = "local,security_model=none,multidevs=remap"
    return [
        "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
        "-accel", "tcg,thread=multi", "-machine", machine, "-cpu", CPU, "-smp", str(shape.cpus),
        *(["-device", "intel-iommu,intremap=on,caching-mode=on"] if shape.iommu else []),
        "-device", "isa-debug-exit,iobase=0x501,iosize=1",
        "-chardev", "null,id=gate", "-device", f"isa-debugcon,chardev=gate,iobase=0x402,readback={1 if ready else 0}",
        "-chardev", f"file,id=console,path={console}", "-serial", "chardev:console",
        "-device", "virtio-serial-pci,addr=2",
        "-chardev", "file,id=out,path=@output@" if ready else "null,id=out",
        "-device", "virtserialport,chardev=out,name=lab.out",
        "-device", "virtio-rng-pci,addr=3", "-rtc", "base=utc,clock=host",
        "-fsdev", f"{share},id=host,path=/,readonly=on", "-device", "virtio-9p-pci,fsdev=host,mount_tag=host,addr=4",
        "-fsdev", f"{share},id=run,path={run}", "-device", "virtio-9p-pci,fsdev=run,mount_tag=run,addr=5",
        "-fsdev", f"{share},id=modules,path={programs.modules},readonly=on",
        "-device", "virtio-9p-pci,fsdev=modules,mount_tag=modules,addr=6",
        "-kernel", str(programs.kernel), "-initrd", str(programs.initramfs), "-append", append,
    ]


def newer_emulator(command: list[str]) -> tuple[list[str], dict[str, str]]:
    """The same by the QEMU of Debian's backports, and what its environment needs besides: QEMU 7.2 has no NIC with
    virtual functions."""
    folder = cache.backports(["qemu-system-x86", "qemu-system-common", "qemu-system-data", "seabios"])
    places = [word for part in ("qemu", "seabios") for word in ("-L", str(folder / "usr/share" / part))]
    modules = folder / "usr/lib/x86_64-linux-gnu/qemu"
    return [str(folder / "usr/bin/qemu-system-x86_64"), *places, *command[1:]], {"QEMU_MODULE_DIR": str(modules)}


def virtual_functions() -> list[str]:
    """An igb NIC, which has SR-IOV, in a network with the host 10.0.2.2."""
    return ["-device", "pcie-root-port,id=nic-port,addr=12", "-netdev", "user,id=functions,restrict=on",
            "-device", "igb,netdev=functions,bus=nic-port,mac=02:00:00:00:00:05"]


def assignable_devices(run: Path) -> list[str]:
    """An NVMe disk with something on it, and an e1000e NIC whose network has the host 10.0.2.2."""
    disk = run / "nvme.img"
    disk.write_bytes(b"".join(b"%015d\n" % line for line in range(64 << 20 >> 4)))
    return ["-drive", f"file={disk},format=raw,if=none,id=nvme", "-device", "nvme,drive=nvme,serial=warren,addr=10",
            "-netdev", "user,id=lan,restrict=on", "-device", "e1000e,netdev=lan,addr=11"]
