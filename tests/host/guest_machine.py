"""A machine for `warren-vmm run`: described, run with the test guest, and its report read."""

import dataclasses
import json
import os
import re
import struct
import subprocess
import sys
import tempfile
import threading
import tty
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from fixtures.warren_daemon import build_directory

WORKER = build_directory() / "vmm-core/worker/warren-vmm"
GUEST = build_directory() / "tests/guest/warren-test-guest.elf"
GUEST_BZIMAGE = build_directory() / "tests/guest/warren-test-guest.bzImage"
FIRST_GUEST = build_directory() / "tests/guest/warren-first-guest.elf"
DISK_SECTORS = 8192
DISK_SERIAL = "WARREN-TEST-DISK-001"
MAC = "52:54:00:12:34:56"


def require_worker() -> None:
    """Ends the script as skipped where the worker cannot run."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        print("no access to /dev/kvm")
        sys.exit(77)


def make_disk(path: Path) -> None:
    """64 little-endian words of sector * 64 + n in each sector: what the guest's tests expect."""
    with path.open("wb") as file:
        file.write(struct.pack(f"<{DISK_SECTORS * 64}Q", *range(DISK_SECTORS * 64)))


@dataclasses.dataclass
class Report:
    """What the guest printed and how the worker ended."""
    text: str
    errors: str
    status: int

    def results(self) -> dict[str, str]:
        """Test name to PASS, FAIL or SKIP; a test that began and did not end is HANG."""
        found: dict[str, str] = {}
        for word, name in re.findall(r"^(TEST|PASS|FAIL|SKIP) ([\w.]+)", self.text, re.MULTILINE):
            if word == "TEST":
                found[name] = "HANG"
            elif found.get(name) != "FAIL":
                found[name] = word
        return found


class GuestMachine:
    """Builds the JSON for a worker and the files it names. Use as a context manager."""

    def __init__(self, command_line: str, kernel: Path = GUEST, memory_mib: int = 64, vcpus: int = 1) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="warren-guest.")
        self.folder = Path(self._folder.name)
        self.command_line = command_line
        self.machine: dict = {
            "name": "host-test", "uuid": "6b1e1d5c-8c8b-4c7e-9a59-1f0f3f0d7a11",
            "memory_bytes": memory_mib << 20, "cpu": {"vcpus": vcpus, "sockets": vcpus},
            "boot": {"kernel": "kernel"},
            "serials": [{"id": "serial0", "port": 0, "character": {"kind": "terminal"}}],
        }
        self.descriptors: list[dict] = [{"name": "kernel", "kind": "file", "path": str(kernel)}]
        self.options: list[str] = []  # of warren-vmm run
        self._slot = 1
        self._namespace: str | None = None

    def __enter__(self) -> "GuestMachine":
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def _address(self, behind_root_port: bool = False) -> dict:
        self._slot += 1
        if not behind_root_port:
            return {"bus": 0, "slot": self._slot, "function": 0}
        ports = self.machine.setdefault("root_ports", [])
        bus = len(ports) + 1
        ports.append({"id": f"pci.{bus}", "address": {"bus": 0, "slot": self._slot, "function": 0},
                      "secondary_bus": bus, "port_number": bus})
        return {"bus": bus, "slot": 0, "function": 0}

    def add_disk(self, path: Path | None = None, behind_root_port: bool = False, **settings: object) -> Path:
        if path is None:
            path = self.folder / "disk.img"
            make_disk(path)
            self.command_line += f" disk_sectors={DISK_SECTORS} disk_serial={DISK_SERIAL}"
        self.machine.setdefault("disks", []).append(
            {"id": "disk0", "address": self._address(behind_root_port), "descriptor": "disk0", "serial": DISK_SERIAL,
             "packed": True, **settings})
        self.descriptors.append({"name": "disk0", "kind": "file", "path": str(path),
                                 "write": not settings.get("read_only", False)})
        return path

    def add_rng(self, behind_root_port: bool = False) -> None:
        self.machine["rngs"] = [{"id": "rng0", "address": self._address(behind_root_port)}]

    def add_balloon(self, behind_root_port: bool = False) -> None:
        """A balloon that asks for a MiB back, and for statistics every second."""
        self.machine["balloon"] = {"id": "balloon0", "address": self._address(behind_root_port),
                                   "target_bytes": self.machine["memory_bytes"] - (1 << 20), "deflate_on_oom": True,
                                   "page_reporting": True, "statistics_period_s": 1}

    def add_memory(self, behind_root_port: bool = False) -> None:
        """64 MiB that may be plugged in blocks of 2 MiB, of which 16 MiB are asked for."""
        self.machine |= {"hot_plug_bytes": 1 << 30, "memory_slots": 2}
        self.machine["virtio_memories"] = [{"id": "virtiomem0", "address": self._address(behind_root_port),
                                            "memory": {"bytes": 64 << 20}, "block_bytes": 2 << 20,
                                            "requested_bytes": 16 << 20, "node": 0}]

    def add_watchdog(self, action: str) -> None:
        self.machine["watchdog"] = {"id": "watchdog0", "address": self._address(), "action": action}

    def add_console(self, behind_root_port: bool = False, channel: bool = False) -> None:
        """A console on a pseudo terminal, and a channel on another; run() sends back what arrives on them."""
        ports = [{"id": "console0", "is_console": True, "character": {"kind": "pty", "descriptor": "console0"}}]
        if channel:
            ports.append({"id": "channel0", "number": 1, "name": "org.example.test",
                          "character": {"kind": "pty", "descriptor": "channel0"}})
        self.machine["serial_controllers"] = [{"id": "virtio-serial0", "address": self._address(behind_root_port),
                                               "maximum_ports": len(ports), "ports": ports}]
        self.descriptors += [{"name": port["id"], "kind": "pty"} for port in ports]

    def add_interface(self, behind_root_port: bool = False) -> None:
        """A tap interface in a network namespace of the worker's own, where the kernel answers as 10.0.2.2."""
        self.machine["interfaces"] = [{"id": "net0", "address": self._address(behind_root_port), "mac": MAC,
                                       "descriptors": ["tap0"], "packed": True}]
        self.descriptors.append({"name": "tap0", "kind": "tap", "path": "tap0"})
        self.command_line += f" mac_tail={0x123456}"
        self._namespace = ("ip tuntap add tap0 mode tap vnet_hdr && ip address add 10.0.2.2/24 dev tap0 && "
                           "ip link set tap0 up && exec \"$@\"")

    def add_initrd(self, size: int) -> None:
        path = self.folder / "initrd"
        path.write_bytes(bytes((7 * n + 3) & 0xff for n in range(size)))
        self.machine["boot"]["initrd"] = "initrd"
        self.descriptors.append({"name": "initrd", "kind": "file", "path": str(path)})
        self.command_line += f" initrd_bytes={size}"

    def command(self) -> list[str]:
        self.machine["boot"]["command_line"] = self.command_line
        file = self.folder / "machine.json"
        file.write_text(json.dumps({"machine": self.machine, "descriptors": self.descriptors}))
        command = [str(WORKER), "run", str(file), *self.options]
        if self._namespace:
            command = ["unshare", "--net", "sh", "-c", self._namespace, "sh", *command]
        return command

    def start(self, **options: object) -> subprocess.Popen:
        return subprocess.Popen(self.command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                **options)

    def run(self, limit: float = 30.0, send: bytes = b"") -> Report:
        """Runs to the end; a machine still running after `limit` seconds is killed, and its status is -9."""
        process = self.start()
        errors = bytearray()
        reader = threading.Thread(target=_read_errors, args=(process.stderr, errors))
        reader.start()
        timer = threading.Timer(limit, process.kill)
        timer.start()
        try:
            if send:
                process.stdin.write(send)
                process.stdin.flush()
            output = process.stdout.read()
            status = process.wait()
        finally:
            timer.cancel()
            reader.join()
            for stream in (process.stdin, process.stdout, process.stderr):
                stream.close()
        return Report(output.decode(errors="replace").replace("\r", ""), errors.decode(errors="replace"), status)


def _read_errors(stream, errors: bytearray) -> None:
    """Collects standard error; a pseudo terminal named on it gets an echoing other side."""
    for line in stream:
        errors += line
        if match := re.search(rb"(/dev/pts/\d+)", line):
            terminal = os.open(match[1], os.O_RDWR | os.O_NOCTTY)
            tty.setraw(terminal)
            threading.Thread(target=_echo, args=(terminal,), daemon=True).start()


def _echo(terminal: int) -> None:
    try:
        while data := os.read(terminal, 4096):
            while data:
                data = data[os.write(terminal, data):]
    except OSError:  # the worker ended
        pass
    finally:
        os.close(terminal)


def guest_tests() -> list[str]:
    """The names of all tests in the test guest, asked of itself."""
    with GuestMachine("mode=list") as machine:
        report = machine.run()
    names = re.findall(r"^\w+\.\w+$", report.text, re.MULTILINE)
    if len(names) < 100:
        raise RuntimeError(f"the test guest does not list its tests: status {report.status}\n"
                           f"{report.text}{report.errors}")
    return names
