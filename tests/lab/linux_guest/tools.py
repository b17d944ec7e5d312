#!/usr/bin/python3
"""Makes (once) a disk of programs that are too large for the guest's initramfs: fio, the tools of ext4 and btrfs, and
the modules of btrfs. Prints where it is. In the guest the programs run in a root of their own: `in_tools fio …`."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import cache
import initramfs

PACKAGES = {"fio": ["fio"], "btrfs-progs": ["btrfs", "mkfs.btrfs"], "e2fsprogs": ["e2fsck", "mke2fs"]}
MODULES = ["btrfs"]
IMAGE_BYTES = 128 << 20
SERIAL = "warren-tools"

# Typed at the guest's shell: finds the disk by its serial number, mounts it and defines `in_tools PROGRAM…`. What lies
# below /shared there is the guest's own /tmp.
MOUNT = (f"for d in /sys/block/vd*; do [ \"$(cat $d/serial)\" = {SERIAL} ] && mount -t ext4 -o ro /dev/${{d##*/}} /mnt; "
         "done; mount --bind /dev /mnt/dev; mount -t proc proc /mnt/proc; mount -t sysfs sys /mnt/sys; "
         "mount --bind /tmp /mnt/shared; in_tools() { chroot /mnt /bin/$*; }; "  # by its path: busybox has an mke2fs, too
         "for m in $(cat /mnt/modules/order); do insmod /mnt/modules/$m 2>/dev/null; done; in_tools fio --version")


def xml(image: Path, target: str = "vdz") -> str:
    return (f"<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='{image}'/>"
            f"<target dev='{target}' bus='virtio'/><readonly/><serial>{SERIAL}</serial></disk>")


def _libraries(program: Path, folders: list[Path]) -> list[Path]:
    environment = os.environ | {"LD_LIBRARY_PATH": ":".join(map(str, folders))}
    listed = subprocess.run(["ldd", program], text=True, check=True, stdout=subprocess.PIPE, env=environment).stdout
    if "not found" in listed:
        raise RuntimeError(f"{program} lacks libraries:\n{listed}")
    return [Path(path) for path in re.findall(r"(/\S+) \(0x", listed)]


def _add(package: str, programs: list[str], tree: Path) -> None:
    unpacked = cache.package_with_libraries(package)
    folders = sorted({path.parent for path in unpacked.rglob("*.so*")})
    for program in programs:
        source = next(unpacked.glob(f"**/*bin/{program}"))
        shutil.copy(source, tree / "bin")
        for library in _libraries(source, folders):
            folder = tree / ("lib64" if library.name.startswith("ld-linux") else "lib/x86_64-linux-gnu")
            shutil.copy(library, folder / library.name)


def disk() -> Path:
    version = cache.newest_kernel("cloud-amd64")
    kernel = cache.kernel(version)

    def make(folder: Path) -> None:
        tree = folder / "tree"
        for name in ("bin", "lib64", "lib/x86_64-linux-gnu", "dev", "proc", "sys", "shared", "tmp", "etc"):
            (tree / name).mkdir(parents=True)
        for package, programs in PACKAGES.items():
            _add(package, programs, tree)
        initramfs.copy_modules(kernel, version, MODULES, tree)
        subprocess.run(["/sbin/mkfs.ext4", "-q", "-d", tree, "-O", "^has_journal", folder / "tools.img",
                        str(IMAGE_BYTES // 1024)], check=True)
        shutil.rmtree(tree)

    made_of = (version, Path(__file__), Path(initramfs.__file__))
    return cache.entry("tools-" + cache.digest(*made_of), make) / "tools.img"


if __name__ == "__main__":
    print(disk())
