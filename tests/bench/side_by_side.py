"""Two daemons side by side in one run: interleaved measurements (A B A B …), medians and their ratio."""

import dataclasses
import os
import re
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fixtures.peer import PrivateLibvirtd
from fixtures.virsh import Virsh
from fixtures.warren_daemon import PrivateDaemon, build_directory

LOAD = build_directory() / "tests/bench/warren-rpc-load"


@dataclasses.dataclass
class Side:
    name: str
    daemon: Virsh
    pid: int


class Table:
    """Prints one line per figure: Warren, the peer, and how many times better Warren is."""

    def __init__(self) -> None:
        print(f"{'':58}{'Warren':>12}{'libvirtd+QEMU':>15}{'ratio':>9}", flush=True)

    def row(self, what: str, unit: str, sides: list[Side], measure: Callable[[Side], float], rounds: int,
            more_is_better: bool) -> None:
        """`ratio` is above 1 where Warren is better."""
        samples: dict[str, list[float]] = {side.name: [] for side in sides}
        for _ in range(rounds):
            for side in sides:
                samples[side.name].append(measure(side))
        ours, theirs = (statistics.median(samples[side.name]) for side in sides)
        ratio = (ours / theirs if more_is_better else theirs / ours) if ours and theirs else float("nan")
        print(f"{f'{what}, {unit}':58}{ours:12.4g}{theirs:15.4g}{ratio:8.2f}x", flush=True)


def load(side: Side, operation: str, clients: int, seconds: float, domain: str = "") -> tuple[float, float]:
    """Calls a second, and the median call in microseconds."""
    words = [LOAD, side.daemon.uri, operation, str(clients), str(seconds), *([domain] if domain else [])]
    answer = subprocess.check_output(words, text=True, timeout=seconds + 60).split()
    return float(answer[0]), float(answer[1])


def resident_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) / 1024


def private_beyond_ram_mib(pid: int, ram_mib: int) -> float:
    """Private memory of a VMM without the mapping that is the guest's RAM."""
    total = size = private = 0
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            total += private if size < ram_mib * 1024 else 0
            private = 0
        elif line.startswith("Size:"):
            size = int(line.split()[1])
        elif line.startswith(("Private_Clean:", "Private_Dirty:")):
            private += int(line.split()[1])
    return (total + (private if size < ram_mib * 1024 else 0)) / 1024


def processes(name: str) -> set[int]:
    """Running processes whose command name begins so."""
    found = set()
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "comm").read_text().startswith(name[:15]):
                found.add(int(entry.name))
        except OSError:
            pass  # ended meanwhile
    return found


def both() -> tuple[PrivateDaemon, PrivateLibvirtd]:
    return PrivateDaemon(), PrivateLibvirtd()


def sides_of(ours: PrivateDaemon, theirs: PrivateLibvirtd) -> list[Side]:
    # libvirtd is the one process that unshare turned into.
    return [Side("warren", ours, ours.process.pid), Side("libvirtd", theirs, theirs.process.pid)]


def make_rom(path: Path) -> None:
    """A machine's first instructions without firmware: they write one byte to the serial port and halt."""
    # mov dx, 0x3f8; mov al, '1'; out dx, al; cli; hlt; jmp to the hlt: at the reset vector, 16 bytes below 4 GiB.
    code = bytes.fromhex("baf803 b031 ee fa f4 ebfd")
    path.write_bytes(bytes(0x10000 - 16) + code.ljust(16, b"\0"))
    path.chmod(0o644)


def note_conditions() -> None:
    load_average = os.getloadavg()[0]
    print(f"{os.cpu_count()} CPUs, load {load_average:.1f} at the start, medians of interleaved runs"
          + (" (the machine is busy: mistrust the figures)" if load_average > 1 else ""))
