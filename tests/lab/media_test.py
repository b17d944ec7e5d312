#!/usr/bin/python3
"""SATA disks and CD/DVD drives with the drivers of a stock Linux, and the change of media, by stock virsh."""
# time limit: 900 s

import hashlib
import random
import sys
import time
import unittest
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fixtures import tap
from fixtures.linux_guest import LinuxGuest
from fixtures.warren_daemon import PrivateDaemon

WAIT = 120.0  # seconds, for what a guest does by itself


class Media(unittest.TestCase):
    def image(self, name: str, kib: int) -> Path:
        path = self.daemon.root / name
        path.write_bytes(random.Random(name).randbytes(kib << 10))
        return path

    def digest(self, path: Path) -> str:
        return hashlib.md5(path.read_bytes()).hexdigest()

    def in_guest(self, device: str) -> str:
        return self.console.run(f"md5sum {device}").split()[0]

    def wait(self, what: str, look: Callable[[], bool]) -> None:
        end = time.monotonic() + WAIT
        while not look():
            self.assertLess(time.monotonic(), end, what)
            time.sleep(1)

    def change(self, *options: str | Path) -> None:
        self.daemon.virsh("change-media", "debian", "sdb", "--live", *options)

    def check_disk(self, disk: Path) -> None:
        self.assertIn("WARREN HARDDISK", self.console.run("cat /sys/block/sda/device/model"))
        self.assertEqual(self.console.run("cat /sys/block/sda/device/queue_depth").strip(), "32")
        self.assertEqual(self.in_guest("/dev/sda"), self.digest(disk))
        self.console.run("dd if=/dev/zero of=/dev/sda bs=4k count=256 conv=fsync")
        self.assertEqual(disk.read_bytes()[:1 << 20], bytes(1 << 20))
        self.assertNotIn("exception", self.console.run("dmesg | grep ata1 || true"))

    def check_media(self, one: Path, two: Path) -> None:
        self.assertEqual(self.in_guest("/dev/sr0"), self.digest(one))
        self.change(two, "--update")
        self.wait("the guest reads the new medium", lambda: self.in_guest("/dev/sr0") == self.digest(two))
        self.change("--eject")
        self.assertIn("No medium", self.console.run("head -c 1 /dev/sr0 2>&1 || true"))
        self.change(one, "--insert")
        self.wait("and another one", lambda: self.in_guest("/dev/sr0") == self.digest(one))

    def check_tray(self, two: Path) -> None:
        self.console.run("eject /dev/sr0")
        self.wait("the tray is told to be open", lambda: "tray='open'" in self.daemon.virsh("dumpxml", "debian"))
        self.console.run("eject -t /dev/sr0")
        self.wait("and closed", lambda: "tray='open'" not in self.daemon.virsh("dumpxml", "debian"))
        # Linux locks the tray while somebody has the drive open.
        self.console.run("sleep 1000 < /dev/sr0 & echo $! > /tmp/holder")
        self.console.run("sleep 2")
        with self.assertRaises(RuntimeError):
            self.change(two, "--update")
        self.change(two, "--update", "--force")
        self.console.run("kill $(cat /tmp/holder)")
        self.wait("the forced medium is read", lambda: self.in_guest("/dev/sr0") == self.digest(two))

    def test_with_a_linux_guest(self):
        with PrivateDaemon() as self.daemon:
            disk, one, two = self.image("disk.img", 4096), self.image("one.iso", 512), self.image("two.iso", 300)
            guest = LinuxGuest(self.daemon, memory_mib=320, hardware=True, devices=f"""
                <disk type='file' device='disk'><source file='{disk}'/><target dev='sda' bus='sata'/></disk>
                <disk type='file' device='cdrom'><source file='{one}'/><target dev='sdb' bus='sata'/></disk>""")
            guest.define()
            with guest.start_with_console() as self.console:
                self.check_disk(disk)
                self.check_media(one, two)
                self.check_tray(two)
                self.daemon.virsh("destroy", "debian")


if __name__ == "__main__":
    tap.main()
