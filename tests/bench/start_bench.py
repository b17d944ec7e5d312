#!/usr/bin/python3
"""From virDomainCreate to the guest's first instruction, and the memory of a VMM beyond its guest's.

The guest's first instructions write a byte to the serial port, which goes to a file. Under Warren it is a PVH image;
under QEMU a ROM at the reset vector, so that no firmware runs on either side.
"""
# time limit: 600 s

import os
import tempfile
import threading
import time
from pathlib import Path

import libvirt

from side_by_side import Side, Table, both, make_rom, note_conditions, private_beyond_ram_mib, processes, sides_of
from fixtures.warren_daemon import build_directory

RAM_MIB = 64
ROUNDS = 11
BYTE_LIMIT = 20.0  # seconds


def definition(boot: str, serial: Path) -> str:
    return (f"<domain type='kvm'><name>first</name><memory unit='MiB'>{RAM_MIB}</memory><vcpu>1</vcpu>"
            f"<os><type arch='x86_64' machine='q35'>hvm</type>{boot}</os><features><acpi/></features>"
            "<devices><controller type='usb' model='none'/><memballoon model='none'/>"
            f"<serial type='file'><source path='{serial}'/></serial></devices></domain>")


class Starter:
    """Starts a transient domain and takes the time until its first byte."""

    def __init__(self, folder: Path) -> None:
        make_rom(folder / "first.rom")
        first = build_directory() / "tests/guest/warren-first-guest.elf"
        self._boot = {"warren": f"<kernel>{first}</kernel>",
                      "libvirtd": f"<loader readonly='yes' type='rom'>{folder / 'first.rom'}</loader>"}
        self._folder = folder
        self._connections: dict[str, libvirt.virConnect] = {}
        self.memory_mib: dict[str, list[float]] = {"warren": [], "libvirtd": []}

    def _wait_for_byte(self, serial: Path, result: list[float]) -> None:
        deadline = time.monotonic() + BYTE_LIMIT
        while time.monotonic() < deadline:
            try:
                if os.stat(serial).st_size:
                    result.append(time.monotonic())
                    return
            except FileNotFoundError:
                pass
            time.sleep(0.0002)

    def __call__(self, side: Side) -> float:
        connection = self._connections.setdefault(side.name, libvirt.open(side.daemon.uri))
        serial = self._folder / f"{side.name}.serial"
        serial.unlink(missing_ok=True)
        program = "warren-vmm" if side.name == "warren" else "qemu-system-x86"
        before, result = processes(program), []
        waiter = threading.Thread(target=self._wait_for_byte, args=(serial, result))
        waiter.start()
        begun = time.monotonic()
        domain = connection.createXML(definition(self._boot[side.name], serial))
        waiter.join()
        for pid in processes(program) - before:
            self.memory_mib[side.name].append(private_beyond_ram_mib(pid, RAM_MIB))
        domain.destroy()
        if not result:
            raise RuntimeError(f"{side.name}: no byte from the guest within {BYTE_LIMIT:.0f} s")
        return (result[0] - begun) * 1000


def main() -> None:
    note_conditions()
    ours, theirs = both()
    with ours, theirs, tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        sides = sides_of(ours, theirs)
        starter = Starter(Path(folder))
        for side in sides:
            starter(side)  # the first start fills caches: of capabilities in libvirtd, of files in the kernel
        table = Table()
        table.row("start to the first guest instruction", "ms", sides, starter, ROUNDS, False)
        table.row("private memory of the VMM beyond guest RAM", "MiB", sides,
                  lambda side: starter.memory_mib[side.name].pop(), ROUNDS, False)


if __name__ == "__main__":
    main()
