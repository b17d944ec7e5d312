#!/usr/bin/python3
"""Connection, calls per second and memory of the daemons."""
# time limit: 600 s

import tempfile
from pathlib import Path

from side_by_side import Side, Table, both, load, note_conditions, resident_mib, sides_of

DOMAINS = 1000
ROUNDS, SECONDS = 5, 1.0


def definition(name: str) -> str:
    return (f"<domain type='kvm'><name>{name}</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>"
            "<os><type arch='x86_64' machine='q35'>hvm</type><kernel>/boot/vmlinuz</kernel></os><features><acpi/></features>"
            "<devices><disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='/tmp/disk.raw'/>"
            "<target dev='vda' bus='virtio'/></disk><interface type='ethernet'><model type='virtio'/></interface>"
            "<serial type='pty'/></devices></domain>")


def define_many(side: Side, count: int) -> None:
    # One virsh for all: its start-up is not what is measured.
    with tempfile.TemporaryDirectory() as folder:
        script = []
        for index in range(count):
            file = Path(folder, f"{index}.xml")
            file.write_text(definition(f"many-{index}"))
            script.append(f"define {file}")
        for begin in range(0, count, 100):
            side.daemon.virsh("; ".join(script[begin:begin + 100]), limit=120)


def main() -> None:
    note_conditions()
    ours, theirs = both()
    with ours, theirs:
        sides = sides_of(ours, theirs)
        table = Table()
        table.row("daemon RSS, no domain", "MiB", sides, lambda side: resident_mib(side.pid), 1, False)
        for side in sides:
            define_many(side, 1)
        table.row("connection open and close", "ms", sides, lambda side: load(side, "open", 1, SECONDS)[1] / 1000, ROUNDS,
                  False)
        for clients in (1, 16):
            table.row(f"GetInfo, {clients} client{'s' if clients > 1 else ''}", "calls/s", sides,
                      lambda side, clients=clients: load(side, "info", clients, SECONDS, "many-0")[0], ROUNDS, True)
        for clients in (1, 16):
            table.row(f"dumpxml, {clients} client{'s' if clients > 1 else ''}", "calls/s", sides,
                      lambda side, clients=clients: load(side, "dumpxml", clients, SECONDS, "many-0")[0], ROUNDS, True)
        table.row("define and undefine, 1 client", "pairs/s", sides, lambda side: load(side, "define", 1, SECONDS)[0], ROUNDS,
                  True)
        for side in sides:
            define_many(side, DOMAINS)
        table.row(f"list of {DOMAINS} domains", "ms", sides, lambda side: load(side, "list", 1, SECONDS)[1] / 1000, ROUNDS,
                  False)
        table.row(f"daemon RSS, {DOMAINS} domains defined", "MiB", sides, lambda side: resident_mib(side.pid), 1, False)


if __name__ == "__main__":
    main()
