#!/usr/bin/python3
"""A Debian guest that does not drive PCIe slots itself (pcie_ports=compat, as older systems do not) sees a disk and a
NIC come and go by ACPI; the same guest with its own driver is told nothing by ACPI."""
# time limit: 600 s

import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fixtures import tap
from fixtures.linux_guest import LinuxGuest, private_daemon

MAC = "52:54:00:00:00:42"
# How often the general event of PCI devices came.
EVENTS = "awk '{print $1}' /sys/firmware/acpi/interrupts/gpe04"
PORTS = "<controller type='pci' model='pcie-root-port'/>" * 4


class ByAcpi(unittest.TestCase):
    def wait_for(self, command: str, expected: str, limit: float = 60) -> None:
        deadline = time.monotonic() + limit
        while (now := self.console.run(command + "; true").strip()) != expected:
            self.assertLess(time.monotonic(), deadline, f"{command} still says '{now}', not '{expected}'")
            time.sleep(0.5)

    def wait_until_gone(self, text: str, limit: float = 60) -> None:
        deadline = time.monotonic() + limit
        while text in self.daemon.virsh("dumpxml", self.guest.name):
            self.assertLess(time.monotonic(), deadline, f"{text} is still in the definition")
            time.sleep(0.2)

    def boot(self, daemon, arguments: str = "") -> None:
        self.daemon = daemon
        self.guest = LinuxGuest(daemon, devices=PORTS, arguments=arguments)
        self.guest.define()
        self.console = self.guest.start_with_console()
        self.addCleanup(self.console.close)
        self.image = Path(daemon.root, "hot.raw")
        self.image.write_bytes(b"\x5a" * (8 << 20))

    def check_disk(self) -> None:
        self.daemon.virsh("attach-disk", "debian", self.image, "vdb", "--targetbus", "virtio", "--live")
        self.wait_for("ls /sys/block | grep vd", "vda")
        self.wait_for("dd if=/dev/vda bs=4096 count=1 2>/dev/null | tr -d Z | wc -c", "0")
        self.daemon.virsh("detach-disk", "debian", "vdb", "--live")
        self.wait_for("ls /sys/block | grep -c vd", "0")
        self.wait_until_gone("vdb")

    def test_the_guest_leaves_it_to_acpi(self):
        with private_daemon() as daemon:
            self.boot(daemon, "pcie_ports=compat")
            # Each slot that it drives itself would be a service of its port.
            self.wait_for("ls /sys/bus/pci_express/devices 2>/dev/null | wc -l", "0")
            self.wait_for("dmesg | grep -c 'OS now controls'", "0")
            for _ in range(2):
                self.check_disk()
            nic = Path(daemon.root, "nic.xml")
            nic.write_text(f"<interface type='ethernet'><mac address='{MAC}'/><target dev='hotnic0'/>"
                           "<model type='virtio'/></interface>")
            daemon.virsh("attach-device", "debian", nic, "--live")
            self.wait_for(f"ip -o link | grep -c {MAC}", "1")
            self.console.run("ip link set eth0 up")
            self.wait_for("cat /sys/class/net/eth0/carrier", "1")
            daemon.virsh("detach-interface", "debian", "ethernet", "--mac", MAC, "--live")
            self.wait_for(f"ip -o link | grep -c {MAC}", "0")
            self.wait_until_gone(MAC)
            # The user of the guest takes a device out by itself.
            daemon.virsh("attach-disk", "debian", self.image, "vdc", "--targetbus", "virtio", "--live")
            self.wait_for("ls /sys/block | grep vd", "vda")
            self.console.run("port=$(basename $(dirname $(dirname $(dirname $(readlink /sys/block/vda)))))")
            self.console.run("slot=$(grep -l ${port%.*} /sys/bus/pci/slots/*/address); echo 0 > ${slot%address}power")
            self.wait_for("ls /sys/block | grep -c vd", "0")
            self.wait_until_gone("vdc")
            self.assertGreater(int(self.console.run(EVENTS)), 0)

    def test_the_guest_drives_the_slots(self):
        with private_daemon() as daemon:
            self.boot(daemon)
            self.wait_for("ls /sys/bus/pci_express/devices | grep -c pcie0 | tr '1-9' y | cut -c 1", "y")
            self.check_disk()
            self.assertEqual(self.console.run(EVENTS).strip(), "0")


if __name__ == "__main__":
    tap.main()
