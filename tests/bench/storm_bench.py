#!/usr/bin/python3
"""The storm of tests/fixtures/storm.py on both daemons, one after the other: reads among changes, starts and kills.

STORM_SECONDS (default 60) is its length on each side, STORM_KILL_EVERY (default 10) the seconds between two kills, in
turn of a worker and of the daemon. A peer's guest is a ROM that halts, Warren's the test guest that idles.
"""
# time limit: 4000 s

import os
from pathlib import Path

from side_by_side import make_rom, note_conditions, processes
from fixtures.peer import PrivateLibvirtd
from fixtures.storm import storm
from fixtures.virsh import Virsh
from fixtures.warren_daemon import PrivateDaemon, build_directory

CLIENTS, DOMAINS = 16, 8
SECONDS = float(os.environ.get("STORM_SECONDS", "60"))
KILL_EVERY = float(os.environ.get("STORM_KILL_EVERY", "10"))


def define(daemon: Virsh, name: str, boot: str) -> None:
    image = Path(daemon.root, f"{name}.raw")
    image.write_bytes(bytes(1 << 20))
    file = Path(daemon.root, f"{name}.xml")
    file.write_text(f"<domain type='kvm'><name>{name}</name><memory unit='MiB'>16</memory><vcpu>1</vcpu>"
                    f"<os><type arch='x86_64' machine='q35'>hvm</type>{boot}</os><features><acpi/></features>"
                    "<devices><controller type='usb' model='none'/><memballoon model='none'/>"
                    f"<disk type='file'><driver name='qemu' type='raw'/><source file='{image}'/>"
                    "<target dev='vda' bus='virtio'/></disk></devices></domain>")
    daemon.virsh("define", str(file))


def run(side: str, daemon: PrivateDaemon | PrivateLibvirtd, boot: str, worker: str) -> None:
    names = [f"storm{n}" for n in range(DOMAINS)]
    for name in names:
        define(daemon, name, boot)

    def kill_daemon() -> None:
        daemon.kill()
        if isinstance(daemon, PrivateDaemon):
            daemon.start()

    others = processes(worker)
    result = storm(daemon.uri, names, CLIENTS, SECONDS, KILL_EVERY, kill_daemon, lambda: sorted(processes(worker) - others))
    print(f"{side:14} reads {len(result.reads):7}, p50 {result.quantile(0.5):7.2f} ms, p99 {result.quantile(0.99):8.2f} ms "
          f"(worst minute {result.worst_minute(0.99):8.2f}), "
          f"p99.9 {result.quantile(0.999):8.2f} ms, longest {result.quantile(1):9.1f} ms; calls {sum(result.calls.values())}, "
          f"refused {sum(result.refused.values())}, unexpected {len(result.unexpected)}", flush=True)
    for text in result.unexpected[:5]:
        print(f"    {side}: {text}")


def main() -> None:
    note_conditions()
    with PrivateDaemon() as ours:
        run("Warren", ours, f"<kernel>{build_directory() / 'tests/guest/warren-test-guest.elf'}</kernel>"
            "<cmdline>mode=idle</cmdline>", "warren-vmm")
    with PrivateLibvirtd(supervised=True) as theirs:
        rom = Path(theirs.root, "idle.rom")
        make_rom(rom)
        run("libvirtd+QEMU", theirs, f"<loader readonly='yes' type='rom'>{rom}</loader>", "qemu-system")


if __name__ == "__main__":
    main()
