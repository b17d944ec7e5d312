#!/usr/bin/python3
"""virtio-scsi with the driver of a stock Linux: what it sees of a disk, units that come, go and grow, space that is
given back, and media, by stock virsh."""
# time limit: 900 s

import hashlib
import random
import subprocess
import sys
import time
import unittest
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fixtures import tap
from fixtures.linux_guest import LinuxGuest
from fixtures.warren_daemon import PrivateDaemon

WAIT = 60.0  # seconds, for what a guest does by itself
MEBIBYTE = 1 << 20


class Scsi(unittest.TestCase):
    def image(self, name: str, kib: int) -> Path:
        path = self.daemon.root / name
        path.write_bytes(random.Random(name).randbytes(kib << 10))
        return path

    def file_system(self, name: str, mebibytes: int) -> Path:
        path = self.daemon.root / name
        with path.open("wb") as file:
            file.truncate(mebibytes * MEBIBYTE)
        subprocess.run(["/sbin/mkfs.ext4", "-q", "-E", "nodiscard", path], check=True)
        return path

    def in_guest(self, command: str) -> str:
        return self.console.run(command).strip()

    def digest_in_guest(self, device: str) -> str:
        return self.in_guest(f"md5sum {device}").split()[0]

    def wait(self, what: str, look: Callable[[], bool]) -> None:
        end = time.monotonic() + WAIT
        while not look():
            self.assertLess(time.monotonic(), end, what)
            time.sleep(0.5)

    def check_identity(self) -> None:
        device = "/sys/block/sda/device"
        self.assertEqual(self.in_guest(f"cat {device}/vendor"), "ACME")
        self.assertEqual(self.in_guest(f"cat {device}/model"), "Rocket disk")
        self.assertEqual(self.in_guest(f"cat {device}/wwid"), "naa.5000c50015ea71aa")
        self.assertIn("number one", self.in_guest(f"cat {device}/vpd_pg80"))
        self.assertEqual(self.in_guest("cat /sys/block/sda/queue/rotational"), "0")
        self.assertEqual(self.in_guest(f"cat {device}/queue_depth"), "16")
        self.assertEqual(self.in_guest("readlink /sys/block/sda/device").rsplit("/", 1)[-1].split(":", 1)[1], "0:0:0")
        self.assertNotEqual(self.in_guest("cat /sys/block/sda/queue/discard_max_bytes"), "0")

    def check_file_system(self, disk: Path) -> None:
        """Mounts, writes, syncs; and what is removed again is given back to the host's file system."""
        self.in_guest("mkdir -p /mnt && mount -t ext4 /dev/sda /mnt")
        self.in_guest("dd if=/dev/urandom of=/mnt/data bs=1M count=24 conv=fsync 2>/dev/null")
        self.in_guest("cp /bin/busybox /mnt/ && sync && echo 3 > /proc/sys/vm/drop_caches")
        self.assertEqual(self.in_guest("/mnt/busybox echo runs"), "runs")
        full = disk.stat().st_blocks * 512
        self.assertGreater(full, 24 * MEBIBYTE)
        self.in_guest("rm /mnt/data && sync && fstrim /mnt")
        # But for what the journal writes of it.
        self.assertLess(disk.stat().st_blocks * 512, full - 20 * MEBIBYTE)
        self.in_guest("umount /mnt")
        subprocess.run(["/sbin/e2fsck", "-fn", disk], check=True, stdout=subprocess.DEVNULL)

    def check_units(self) -> None:
        more = self.image("more.img", 2048)
        self.daemon.virsh("attach-disk", "debian", more, "sdc", "--targetbus", "scsi", "--live")
        # Nobody rescans.
        self.wait("the new disk is seen", lambda: "sdb" in self.in_guest("ls /sys/block"))
        self.assertEqual(self.digest_in_guest("/dev/sdb"), hashlib.md5(more.read_bytes()).hexdigest())
        self.daemon.virsh("blockresize", "debian", "sdc", "3M")
        self.wait("its new size is seen", lambda: self.in_guest("cat /sys/block/sdb/size") == str(3 * 2048))
        self.in_guest("dd if=/dev/zero of=/dev/sdb bs=1M seek=2 count=1 conv=fsync 2>/dev/null")
        self.daemon.virsh("detach-disk", "debian", "sdc", "--live")
        self.wait("it is gone", lambda: "sdb" not in self.in_guest("ls /sys/block"))
        self.assertEqual(more.stat().st_size, 3 * MEBIBYTE)

    def check_media(self, one: Path, two: Path) -> None:
        def digest(path: Path) -> str:
            return hashlib.md5(path.read_bytes()).hexdigest()

        self.assertEqual(self.digest_in_guest("/dev/sr0"), digest(one))
        self.daemon.virsh("change-media", "debian", "sdb", two, "--update", "--live")
        self.wait("the guest reads the new medium", lambda: self.digest_in_guest("/dev/sr0") == digest(two))
        self.daemon.virsh("change-media", "debian", "sdb", "--eject", "--live")
        self.assertIn("No medium", self.in_guest("head -c 1 /dev/sr0 2>&1 || true"))

    def test_with_a_linux_guest(self):
        with PrivateDaemon() as self.daemon:
            disk, one, two = self.file_system("disk.img", 64), self.image("one.iso", 512), self.image("two.iso", 300)
            guest = LinuxGuest(self.daemon, memory_mib=320, hardware=True, devices=f"""
                <controller type='scsi' model='virtio-scsi'><driver queues='2' cmd_per_lun='16'/></controller>
                <disk type='file' device='disk'><driver name='qemu' type='raw' discard='unmap'/>
                  <source file='{disk}'/><target dev='sda' bus='scsi' rotation_rate='1'/>
                  <serial>number one</serial><wwn>5000c50015ea71aa</wwn><vendor>ACME</vendor>
                  <product>Rocket disk</product></disk>
                <disk type='file' device='cdrom'><source file='{one}'/><target dev='sdb' bus='scsi'/></disk>""")
            guest.define()
            with guest.start_with_console() as self.console:
                self.wait("the disk is there", lambda: "sda" in self.in_guest("ls /sys/block"))
                self.check_identity()
                self.check_file_system(disk)
                self.check_units()
                self.check_media(one, two)
                self.assertNotIn("rror", self.in_guest("dmesg | grep -E '^.{15}(sd|sr|scsi) ' | grep -i error || true"))
                self.daemon.virsh("destroy", "debian")


if __name__ == "__main__":
    tap.main()
