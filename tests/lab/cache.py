"""The lab's cache directory: kernels, initramfs images and start states, made once, safe for concurrent use."""

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path


def directory() -> Path:
    """WARREN_LAB_CACHE, or warren-lab under the user's cache directory."""
    path = os.environ.get("WARREN_LAB_CACHE")
    if not path:
        path = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "warren-lab")
    os.makedirs(path, exist_ok=True)
    return Path(path).resolve()


@contextlib.contextmanager
def _locked(name: str) -> Iterator[None]:
    with open(directory() / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def entry(name: str, make: Callable[[Path], None]) -> Path:
    """The folder `name` of the cache; the first caller fills it by `make`, others wait. Complete or absent."""
    final = directory() / name
    if final.exists():
        return final
    with _locked(name):
        if not final.exists():
            staging = Path(tempfile.mkdtemp(prefix=f"{name}.", dir=directory()))
            try:
                make(staging)
                staging.chmod(0o755)
                staging.rename(final)
            except BaseException:
                shutil.rmtree(staging, ignore_errors=True)
                raise
    return final


def digest(*parts: Path | str) -> str:
    """A short name for what was made from these files and texts."""
    hashed = hashlib.sha256()
    for part in parts:
        hashed.update(part.read_bytes() if isinstance(part, Path) else part.encode())
        hashed.update(b"\0")
    return hashed.hexdigest()[:12]


def newest_kernel(flavour: str) -> str:
    """The version of the newest kernel image in Debian's lists or in the cache, e.g. '6.1.0-56-amd64'."""
    def ask() -> str:
        depends = subprocess.run(["apt-cache", "depends", f"linux-image-{flavour}"], text=True,
                                 stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
        return next((line.split("linux-image-")[1].strip() for line in depends.splitlines()
                     if "Depends: linux-image-" in line), "")

    # One kernel for the life of a cache: a newer package list would otherwise rebuild everything between two runs.
    pattern = f"kernel-*-{flavour}" if flavour.startswith("cloud") else f"kernel-*[0-9]-{flavour}"
    for path in sorted(directory().glob(pattern), reverse=True):
        if path.is_dir():
            return path.name.removeprefix("kernel-")
    version = ask()
    if not version:
        subprocess.run(["apt-get", "update", "-qq"], check=True, stdin=subprocess.DEVNULL)
        version = ask()
    if not version:
        raise RuntimeError(f"no linux-image-{flavour} in the package lists")
    return version


def _unpack(package: str, folder: Path) -> None:
    subprocess.run(["apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root", package], check=True, cwd=folder,
                   stdin=subprocess.DEVNULL)
    archive = next(folder.glob("*.deb"))
    subprocess.run(["dpkg-deb", "-x", archive, folder], check=True)
    archive.unlink()


def missing_packages(wanted: list[str]) -> list[str]:
    """The packages and those of their dependencies that this machine does not have."""
    plan = subprocess.run(["apt-get", "install", "--simulate", "--no-install-recommends", *wanted], text=True,
                          check=True, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL).stdout
    return [line.split()[1] for line in plan.splitlines() if line.startswith("Inst ")]


def package_with_libraries(name: str) -> Path:
    """That package and those of its dependencies that this machine does not have, unpacked into one folder."""
    def make(folder: Path) -> None:
        for each in sorted({name, *missing_packages([name])}):
            _unpack(each, folder)

    return entry(f"packages-{name}", make)


def backports(names: list[str]) -> Path:
    """Those packages of Debian's backports, unpacked into one folder; this machine's package lists stay as they are."""
    def make(folder: Path) -> None:
        release = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
        suite = release["VERSION_CODENAME"].strip('"') + "-backports"
        apt = folder / "apt"
        for part in ("lists/partial", "archives/partial"):
            (apt / part).mkdir(parents=True)
        (apt / "sources.list").write_text(f"deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] "
                                          f"http://deb.debian.org/debian {suite} main\n")
        options = [f"Dir::Etc::SourceList={apt}/sources.list", "Dir::Etc::SourceParts=/dev/null",
                   f"Dir::State::Lists={apt}/lists", f"Dir::Cache={apt}", "APT::Sandbox::User=root"]
        command = ["apt-get", "-qq", *(word for option in options for word in ("-o", option))]
        subprocess.run([*command, "update"], check=True, stdin=subprocess.DEVNULL)
        subprocess.run([*command, "download", *(f"{name}/{suite}" for name in names)], check=True, cwd=folder,
                       stdin=subprocess.DEVNULL)
        for archive in sorted(folder.glob("*.deb")):
            subprocess.run(["dpkg-deb", "-x", archive, folder], check=True)
            archive.unlink()
        shutil.rmtree(apt)

    return entry("backports-" + digest(*names), make)


def package(name: str) -> Path:
    """That package of Debian's, unpacked and not installed; the version that the cache was made with."""
    return entry(f"package-{name}", lambda folder: _unpack(name, folder))


def kernel(version: str) -> Path:
    """Debian's package of that kernel, unpacked: boot/vmlinuz-<version>, lib/modules/<version>."""
    def make(folder: Path) -> None:
        _unpack(f"linux-image-{version}", folder)
        subprocess.run(["depmod", "-b", folder, version], check=True)

    return entry(f"kernel-{version}", make)
