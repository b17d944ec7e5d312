"""Boots a real Linux guest on a private virtwarrend through stock virsh and shows what its console says.

Run by packaging/quickstart, directly or on the emulated host. Fails if the guest does not show our hardware.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from fixtures.linux_guest import LinuxGuest, disk, tap
from fixtures.warren_daemon import PrivateDaemon

# What is typed at the guest's console, and what its output must contain.
COMMANDS = {
    "uname -a": "Debian",
    "lsblk": "vda",
    "ip addr": "eth0",
    "nproc": "2",
    "dmesg | grep -E 'ACPI: (RSDP|FACP|APIC|MCFG)|virtio|Power Button|Brought up'": "virtio_blk",
}


def say(text: str) -> None:
    print(f"\n$ {text}", flush=True)


def main() -> int:
    with PrivateDaemon() as daemon:
        say(f"virtwarrend --root {daemon.root} &")
        image = daemon.root / "disk.raw"
        with image.open("wb") as file:
            file.truncate(1 << 30)
        guest = LinuxGuest(daemon, vcpus=2, devices=disk(image) + tap("quick0"))
        say(f"export LIBVIRT_DEFAULT_URI='{daemon.uri}'; virsh version; virsh define debian.xml")
        print(daemon.virsh("version"))
        guest.define()
        print(daemon.virsh("list", "--all"))
        say("virsh start debian --console")
        with guest.start_with_console() as console:
            for command, expected in COMMANDS.items():
                print(f"\nguest # {command}")
                output = console.run(command)
                print(output, flush=True)
                if expected not in output:
                    print(f"quickstart: {expected!r} is missing from what the guest says", file=sys.stderr)
                    return 1
        say("virsh list; virsh shutdown debian")
        print(daemon.virsh("list"))
        daemon.virsh("shutdown", "debian")
        daemon.wait_for_state("debian", "shut off")
        print(f"debian is {daemon.virsh('domstate', 'debian', '--reason')}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
