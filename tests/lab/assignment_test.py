#!/usr/bin/python3
"""Devices of the host become a Debian guest's, by stock virsh: an NVMe disk and a NIC, from the start on and while it
runs, and the host's drivers have them again afterwards."""
# time limit: 600 s
# lab options: --assignable --module nvme --module e1000e

import hashlib
import os
import subprocess
import sys
import time
import unittest
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "host"))

from domains import Events
from fixtures import tap
from fixtures.linux_guest import LinuxGuest, private_daemon

WAIT = 120.0  # seconds, for what a guest or a driver does by itself
READ = 4 << 20
DEVICES = Path("/sys/bus/pci/devices")
PORTS = "<controller type='pci' model='pcie-root-port'/>" * 6


def find(code: str) -> str:
    """The host's PCI device of that class."""
    for device in sorted(DEVICES.iterdir()) if DEVICES.is_dir() else []:
        if (device / "class").read_text().startswith(code) and not (device / "virtio0").exists():
            return device.name
    return ""


def driver(device: str) -> str:
    link = DEVICES / device / "driver"
    return os.path.basename(os.readlink(link)) if link.is_symlink() else ""


def hostdev(device: str, managed: str = "yes") -> str:
    segment, bus, rest = device.split(":")
    slot, function = rest.split(".")
    return f"""<hostdev mode='subsystem' type='pci' managed='{managed}'><source>
        <address domain='0x{segment}' bus='0x{bus}' slot='0x{slot}' function='0x{function}'/></source></hostdev>"""


class Assignment(unittest.TestCase):
    def setUp(self):
        self.nvme, self.nic = find("0x0108"), find("0x0200")
        if "WARREN_IN_LAB" not in os.environ or not self.nvme or not Path(DEVICES, self.nvme, "iommu_group").exists():
            self.skipTest("the host has no NVMe disk that may be given away: tests/lab/lab --assignable has")
        self.wait("the host has its disk", self.host_disk)
        self.contents = hashlib.md5(self.read_host(0, READ)).hexdigest()

    def wait(self, what: str, look: Callable[[], object]) -> None:
        end = time.monotonic() + WAIT
        while not look():
            self.assertLess(time.monotonic(), end, what)
            time.sleep(0.5)

    def host_disk(self) -> bool:
        return driver(self.nvme) == "nvme" and Path("/dev/nvme0n1").is_block_device()

    def read_host(self, offset: int, size: int) -> bytes:
        with open("/dev/nvme0n1", "rb") as disk:
            disk.seek(offset)
            return disk.read(size)

    def file(self, xml: str) -> str:
        path = self.daemon.root / "device.xml"
        path.write_text(xml)
        return str(path)

    def guest_disk(self) -> None:
        self.console.run("until [ -b /dev/nvme0n1 ]; do sleep 1; done")
        sum = self.console.run(f"dd if=/dev/nvme0n1 bs=1M count={READ >> 20} 2>/dev/null | md5sum")
        self.assertIn(self.contents, sum)

    def guest_nic(self) -> None:
        self.console.run("until [ -e /sys/class/net/eth0 ]; do sleep 1; done; ip link set eth0 up && "
                         "ip addr replace 10.0.2.15/24 dev eth0")
        self.console.run("i=0; until ping -c 1 -W 2 10.0.2.2 >/dev/null; do i=$((i+1)); [ $i -lt 30 ]; done")
        self.assertIn(" 0% packet loss", self.console.run("ping -c 3 10.0.2.2"))

    def interrupts(self, name: str) -> str:
        return self.console.run(f"grep -E '{name}' /proc/interrupts")

    def plug(self) -> None:
        for device in (self.nvme, self.nic):
            self.daemon.virsh("attach-device", "debian", self.file(hostdev(device)), "--live")
            self.assertEqual(driver(device), "vfio-pci")
        self.guest_disk()
        self.guest_nic()

    def unplug(self) -> None:
        self.daemon.virsh("detach-device", "debian", self.file(hostdev(self.nvme)), "--live")
        self.wait("the host has its disk", self.host_disk)
        self.guest_nic()
        self.daemon.virsh("detach-device-alias", "debian", "hostdev1", "--live")
        self.wait("the host has its NIC", lambda: driver(self.nic) == "e1000e")
        self.wait("the domain has none", lambda: "<hostdev" not in self.daemon.virsh("dumpxml", "debian"))

    def test_from_the_start_on(self):
        with private_daemon() as self.daemon:
            guest = LinuxGuest(self.daemon, devices=hostdev(self.nvme) + hostdev(self.nic), hardware=True)
            guest.define()
            with guest.start_with_console() as self.console:
                self.assertEqual([driver(self.nvme), driver(self.nic)], ["vfio-pci", "vfio-pci"])
                self.guest_disk()
                self.guest_nic()
                self.assertIn("MSI", self.interrupts("nvme"))
                self.console.run("yes warren | dd of=/dev/nvme0n1 bs=1M seek=8 count=1 iflag=fullblock conv=fsync")
                # A device that a domain has is no other's.
                other = LinuxGuest(self.daemon, name="other", devices=hostdev(self.nvme), hardware=True)
                other.define()
                with self.assertRaisesRegex(RuntimeError, "in use.*debian"):
                    self.daemon.virsh("start", "other")
                self.daemon.virsh("reset", "debian")
                guest.wait_until_up(self.console)
                self.guest_disk()
                self.guest_nic()
                # Another daemon finds it as it is, and gives back what it did not take.
                before = self.daemon.virsh("dumpxml", "debian")
                self.daemon.kill()
                self.daemon.start()
                self.assertEqual(self.daemon.virsh("dumpxml", "debian"), before)
            with guest.console() as self.console:
                self.guest_nic()
                self.guest_disk()
            self.daemon.virsh("destroy", "debian")
            self.assertEqual([driver(self.nvme), driver(self.nic)], ["nvme", "e1000e"])
            self.wait("the host has its disk", self.host_disk)
            self.assertEqual(self.read_host(8 << 20, 1 << 20), (b"warren\n" * 150_000)[:1 << 20])

    def test_by_the_pin(self):
        with private_daemon() as self.daemon:
            guest = LinuxGuest(self.daemon, devices=hostdev(self.nvme) + hostdev(self.nic), hardware=True,
                               arguments="pci=nomsi")
            guest.define()
            with guest.start_with_console() as self.console:
                self.guest_disk()
                self.guest_nic()
                self.assertIn("IO-APIC", self.interrupts("nvme"))
                self.assertIn("IO-APIC", self.interrupts("eth0"))
            self.daemon.virsh("destroy", "debian")
            self.assertEqual(driver(self.nvme), "nvme")

    def test_while_it_runs(self):
        with private_daemon() as self.daemon:
            guest = LinuxGuest(self.daemon, devices=PORTS, hardware=True)
            guest.define()
            with guest.start_with_console() as self.console, Events(self.daemon) as events:
                self.plug()
                self.unplug()
                events._terminal.expect("event 'device-removed' for domain 'debian'")
                self.plug()
                self.daemon.kill()
                self.daemon.start()
            with guest.console() as self.console:
                self.unplug()
            self.daemon.virsh("destroy", "debian")

    def test_unmanaged(self):
        with private_daemon() as self.daemon:
            guest = LinuxGuest(self.daemon, devices=hostdev(self.nvme, "no"), hardware=True)
            guest.define()
            with self.assertRaisesRegex(RuntimeError, "unmanaged"):
                self.daemon.virsh("start", "debian")
            self.assertEqual(driver(self.nvme), "nvme")


if __name__ == "__main__":
    subprocess.run(["modprobe", "vfio-pci"], check=False)
    tap.main()
