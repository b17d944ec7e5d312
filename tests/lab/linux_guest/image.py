#!/usr/bin/python3
"""Makes (once) the Linux guest's kernel and initramfs: Debian's cloud kernel with its own virtio, serial and ACPI
drivers, busybox, lsblk and the programs beside this one, and with `with_agent` Debian's qemu-guest-agent; with
`hardware` Debian's usual kernel, which has drivers of real devices too, and eject. Prints the folder that holds
`vmlinuz` and `initramfs`."""

import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import cache
import initramfs

MODULES = ["virtio_pci", "virtio_blk", "virtio_net", "virtio_console", "virtio_rng", "virtio_balloon", "virtio_input",
           "button", "evdev", "ext4", "pvpanic-mmio", "vmw_vsock_virtio_transport", "virtio_mem"]
HARDWARE_MODULES = ["i6300esb", "lpc_ich", "iTCO_wdt", "ahci", "virtio_scsi", "sd_mod", "sr_mod", "isofs", "nvme",
                    "e1000e", "igbvf"]  # of the usual kernel only
PROGRAMS = {"/bin/lsblk": Path("/bin/lsblk")}
OUR_PROGRAMS = ("vsock_pipe", "memory_touch", "network_probe")


def compiled(source: Path) -> Path:
    """Linked statically: a program that needs nothing of the guest."""
    def make(folder: Path) -> None:
        subprocess.run(["cc", "-O1", "-Wall", "-static", "-o", folder / source.stem, source], check=True)

    return cache.entry(f"{source.stem}-{cache.digest(source)}", make) / source.stem


def image(with_agent: bool = False, hardware: bool = False) -> Path:
    version = cache.newest_kernel("amd64" if hardware else "cloud-amd64")
    programs = PROGRAMS | {f"/bin/{name}": compiled(HERE / f"{name}.c") for name in OUR_PROGRAMS}
    if with_agent:
        programs["/sbin/qemu-ga"] = cache.package("qemu-guest-agent") / "usr/sbin/qemu-ga"
    if hardware:
        programs["/bin/eject"] = cache.package("eject") / "usr/bin/eject"
    kernel = cache.kernel(version)
    modules = MODULES + HARDWARE_MODULES if hardware else MODULES

    def make(folder: Path) -> None:
        shutil.copy(kernel / f"boot/vmlinuz-{version}", folder / "vmlinuz")
        initramfs.make(folder / "initramfs", HERE / "init", kernel, version, modules, programs)

    made_of = (version, HERE / "init", Path(initramfs.__file__), " ".join([*modules, *programs]), *programs.values())
    return cache.entry("guest-" + cache.digest(*made_of), make)


if __name__ == "__main__":
    print(image())
