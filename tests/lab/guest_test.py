#!/usr/bin/python3
"""An unmodified Debian kernel with 4 vCPUs, a disk and a NIC, through stock virsh: console, hardware, reboot, restart.

The cases follow one guest through its life and run in the order of their names.
"""
# time limit: 900 s

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fixtures import tap
from fixtures.linux_guest import LinuxGuest, disk, private_daemon
from fixtures.linux_guest import tap as tap_device

DISK_BYTES = 64 << 20
MARK = "kept across reboot and restart"


class Guest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = private_daemon()
        cls.addClassCleanup(cls.daemon.__exit__)
        cls.daemon.start()
        cls.image = cls.daemon.root / "disk.raw"
        with cls.image.open("wb") as file:
            file.truncate(DISK_BYTES)
        cls.serial_log = cls.daemon.root / "serial.log"
        cls.guest = LinuxGuest(cls.daemon, vcpus=4, devices=disk(cls.image) + tap_device("labtap0"),
                               serial_log=cls.serial_log)
        cls.guest.define()
        cls.console = cls.guest.start_with_console()
        cls.addClassCleanup(cls.console.close)

    def run_in_guest(self, command: str) -> str:
        return self.console.run(command)

    def test_1_hardware(self):
        self.assertEqual(self.run_in_guest("nproc"), "4")
        self.assertRegex(self.run_in_guest("lsblk -b -n -o NAME,SIZE,TYPE"), rf"vda\s+{DISK_BYTES}\s+disk")
        mac = self.daemon.virsh("domiflist", "debian").split()[-1]
        self.assertIn(mac, self.run_in_guest("ip addr show eth0"))
        dmesg = self.run_in_guest("dmesg")
        self.assertRegex(dmesg, r"ACPI: RSDP 0x")
        self.assertRegex(dmesg, r"virtio_blk virtio\d+: \[vda\]")
        self.assertRegex(dmesg, r"smp: Brought up 1 node, 4 CPUs")
        self.assertRegex(dmesg, r"Power Button")
        self.assertEqual(self.run_in_guest("cat /sys/class/dmi/id/product_uuid"),
                         self.daemon.virsh("domuuid", "debian").strip())
        self.assertIn("kvm-clock", self.run_in_guest("cat /sys/devices/system/clocksource/clocksource0/available_clocksource"))

    def test_2_random_numbers(self):
        self.assertEqual(self.run_in_guest("cat /sys/class/misc/hw_random/rng_current").split(".")[0], "virtio_rng")
        self.assertEqual(self.run_in_guest("head -c 16 /dev/hwrng | wc -c"), "16")

    def test_3_write_reboot_read(self):
        self.run_in_guest(f"echo '{MARK}' | dd of=/dev/vda bs=512 seek=2000 conv=sync,fsync 2>/dev/null")
        self.run_in_guest("dd if=/dev/urandom of=/tmp/r bs=1M count=4 2>/dev/null; "
                          "dd if=/tmp/r of=/dev/vda bs=64k seek=100 conv=fsync 2>/dev/null")
        before = self.run_in_guest("md5sum < /tmp/r")
        boot = self.run_in_guest("cat /proc/sys/kernel/random/boot_id")
        identity = self.daemon.virsh("domid", "debian")
        self.daemon.virsh("reboot", "debian")
        self.guest.wait_until_up(self.console)
        self.assertNotEqual(self.run_in_guest("cat /proc/sys/kernel/random/boot_id"), boot)
        self.assertEqual(self.daemon.virsh("domid", "debian"), identity)
        self.check_disk(before)
        type(self).sum = before

    def check_disk(self, expected: str) -> None:
        self.assertEqual(self.run_in_guest("dd if=/dev/vda bs=512 skip=2000 count=1 2>/dev/null | head -n 1"), MARK)
        self.assertEqual(self.run_in_guest("dd if=/dev/vda bs=64k skip=100 count=64 2>/dev/null | md5sum"), expected)

    def test_4_shutdown_restart_read(self):
        self.daemon.virsh("shutdown", "debian")
        self.daemon.wait_for_state("debian", "shut off")
        # Nothing that the guest wrote, over its reboot too, is lost on the way to the client (T12).
        self.console.read_to_end()
        self.console.close()
        self.assertIn(self.serial_log.read_bytes(), self.console.transcript)
        type(self).console = self.guest.start_with_console()
        self.addClassCleanup(self.console.close)
        self.check_disk(self.sum)

    def test_5_figures(self):
        self.assertIn(str(DISK_BYTES), self.daemon.virsh("domblkinfo", "debian", "vda"))
        stats = self.daemon.virsh("domstats", "debian")
        self.assertRegex(stats, r"block\.0\.rd\.reqs=[1-9]")
        self.assertRegex(stats, r"vcpu\.current=4")

    def test_6_guest_powers_off(self):
        self.console.send("poweroff -f\n")
        self.daemon.wait_for_state("debian", "shut off")


if __name__ == "__main__":
    tap.main()
