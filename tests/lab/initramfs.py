"""Makes an initramfs of busybox, an init script, kernel modules and programs with the libraries they need."""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import cache


def _copy_program(path: str, program: Path, tree: Path) -> None:
    # It fails for a program that was linked statically, which needs none.
    listed = subprocess.run(["ldd", program], text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    libraries = re.findall(r"(/\S+) \(0x", listed)
    for source, place in [(program, path), *((library, library) for library in libraries)]:
        target = tree / place.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)


def copy_modules(kernel: Path, version: str, modules: list[str], tree: Path) -> None:
    """Copies the modules and what they depend on to /modules, and their order of insertion to /modules/order."""
    folder = tree / "modules"
    folder.mkdir()
    order: list[str] = []
    for module in modules:
        shown = subprocess.run(["/sbin/modprobe", "-d", kernel, "-S", version, "--show-depends", module], text=True,
                               check=True, stdout=subprocess.PIPE).stdout
        for line in shown.splitlines():
            word, _, rest = line.partition(" ")
            if word == "insmod" and (path := Path(rest.split()[0])).name not in order:
                order.append(path.name)
                shutil.copy(path, folder)
    (folder / "order").write_text("".join(f"{name}\n" for name in order))


def make(output: Path, init: Path, kernel: Path, version: str, modules: list[str], programs: dict[str, Path]) -> None:
    """`programs`: where each is to be in the guest, and where it is here."""
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch)
        for folder in ("bin", "sbin", "dev", "proc", "sys", "etc", "mnt", "root", "tmp", "lib64"):
            (tree / folder).mkdir()
        # Not this machine's own: that may be Debian's other one, which needs libraries and lacks programs.
        shutil.copy(cache.package("busybox-static") / "bin/busybox", tree / "bin")
        shutil.copy(init, tree / "init")
        (tree / "init").chmod(0o755)
        for path, program in programs.items():
            _copy_program(path, program, tree)
        copy_modules(kernel, version, modules, tree)
        with output.open("wb") as file:
            subprocess.run("find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0 | gzip -1 -n", shell=True, check=True,
                           cwd=tree, stdout=file)
