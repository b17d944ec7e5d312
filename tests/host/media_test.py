#!/usr/bin/python3
"""SATA disks and CD/DVD drives, and the change of their media, by stock virsh."""

import struct
import sys
from pathlib import Path
from xml.etree import ElementTree

sys.path.insert(0, str(Path(__file__).resolve().parent))

from domain_test import DomainCase
from domains import Events, console, define, require_daemon
from fixtures import tap


class Media(DomainCase):
    """The test guest reads its disks, tells what lies in its drive, and moves the tray when it is told to."""

    def words(self, name: str, first: int, size: int = 1 << 18) -> Path:
        path = self.daemon.root / name
        path.write_bytes(struct.pack(f"<{size // 8}Q", *range(first, first + size // 8)))
        return path

    def source(self, domain: str, *options: str) -> str | None:
        document = ElementTree.fromstring(self.virsh("dumpxml", domain, *options))
        source = document.find("devices/disk[@device='cdrom']/source")
        return source.get("file") if source is not None else None

    def start(self, name: str, medium: Path | None) -> None:
        source = f"<source file='{medium}'/>" if medium else ""
        define(self.daemon, name, "media", devices=f"""
            <memballoon model='none'/>
            <disk type='file' device='disk'><source file='{self.words(f"{name}.img", 0)}'/>
              <target dev='sda' bus='sata'/></disk>
            <disk type='file' device='cdrom'>{source}<target dev='sdb' bus='sata'/></disk>""")
        self.virsh("start", name)

    def test_a_disk_is_read_and_written(self):
        self.start("disk", None)
        with console(self.daemon, "disk") as terminal:
            terminal.send("s")
            terminal.expect("SENSE 0x23a01")  # its drive is empty
        image = (self.daemon.root / "disk.img").read_bytes()
        self.assertEqual(struct.unpack_from("<Q", image, 1024)[0], 1000)
        self.assertRegex(self.virsh("domblkstat", "disk", "sda"), r"wr_bytes 512\b")
        self.assertRegex(self.virsh("domblkstat", "disk", "sdb"), r"rd_req 0\b")
        self.assertIn("source assigned", self.refused("domblkinfo", "disk", "sdb"))
        self.assertRegex(self.virsh("domblklist", "disk", "--details"), r"file +cdrom +sdb +-")
        self.assertIn("hotplug", self.refused("attach-disk", "disk", self.words("x.img", 0), "sdc", "--targetbus",
                                              "sata", "--live"))

    def test_a_world_wide_name(self):
        define(self.daemon, "named", "media", devices=f"""
            <memballoon model='none'/>
            <disk type='file' device='disk'><source file='{self.words("named.img", 0)}'/>
              <target dev='sda' bus='sata'/><wwn>5000c50015ea71ad</wwn></disk>
            <disk type='file' device='disk'><source file='{self.words("nameless.img", 0)}'/>
              <target dev='sdb' bus='sata'/></disk>""")
        self.virsh("start", "named", "--paused")
        self.assertIn("<wwn>5000c50015ea71ad</wwn>", self.virsh("dumpxml", "named"))
        with console(self.daemon, "named") as terminal:
            self.virsh("resume", "named")
            terminal.expect("DISK 0 SECTORS 512 WWN 0x5000c50015ea71ad FIRST 64 WRITTEN")
            terminal.expect("DISK 1 SECTORS 512 FIRST 64 WRITTEN")

    def test_a_medium_is_changed_and_the_guest_sees_it(self):
        one, two = self.words("one.iso", 10000), self.words("two.iso", 20000, 1 << 17)
        self.start("change", one)
        with Events(self.daemon) as events, console(self.daemon, "change") as terminal:
            self.virsh("change-media", "change", "sdb", two, "--update", "--live")
            terminal.expect(f"MEDIUM 64 FIRST {20000 + 256}\\b")
            events._terminal.expect("event 'tray-change' for domain 'change' disk sata0-0-1: opened")
            events._terminal.expect("event 'tray-change' for domain 'change' disk sata0-0-1: closed")
            self.assertEqual(self.source("change"), str(two))
            self.assertEqual(self.source("change", "--inactive"), str(one))
            self.virsh("change-media", "change", "sdb", "--eject", "--live", "--config")
            terminal.expect("SENSE 0x23a01")
            self.assertIsNone(self.source("change"))
            self.assertIsNone(self.source("change", "--inactive"))
            self.virsh("attach-disk", "change", one, "sdb", "--targetbus", "sata", "--type", "cdrom", "--mode",
                       "readonly", "--live")
            terminal.expect(f"MEDIUM 128 FIRST {10000 + 256}\\b")
            self.assertEqual(self.source("change"), str(one))
            missing = self.refused("change-media", "change", "sdb", "/missing.iso", "--update", "--live")
            self.assertIn("/missing.iso", missing)
            self.assertEqual(self.source("change"), str(one))

    def test_a_locked_tray(self):
        one, two = self.words("lock1.iso", 10000), self.words("lock2.iso", 20000)
        self.start("locked", one)
        with Events(self.daemon) as events, console(self.daemon, "locked") as terminal:
            terminal.send("l")
            terminal.expect("DONE l")
            refusal = self.refused("change-media", "locked", "sdb", two, "--update", "--live")
            self.assertIn("locked by the guest", refusal)
            terminal.expect("EJECT REQUEST")
            self.assertEqual(self.source("locked"), str(one))
            self.virsh("change-media", "locked", "sdb", two, "--update", "--live", "--force")
            terminal.expect(f"MEDIUM 128 FIRST {20000 + 256}\\b")
            # The guest's own button.
            terminal.send("e")
            terminal.expect("DONE e")
            events._terminal.expect("disk sata0-0-1: opened")
            events._terminal.expect("disk sata0-0-1: closed")
            events._terminal.expect("disk sata0-0-1: opened")
            self.assertIn("tray='open'", self.virsh("dumpxml", "locked"))
            self.daemon.kill()
            self.daemon.start()
            self.assertIn("tray='open'", self.virsh("dumpxml", "locked"))

    def test_a_source_that_may_be_missing(self):
        missing = self.daemon.root / "gone.iso"
        for policy in ("mandatory", "optional"):
            define(self.daemon, policy, "media", devices=f"""
                <disk type='file' device='cdrom'><source file='{missing}' startupPolicy='{policy}'/>
                  <target dev='sda' bus='sata'/></disk>""")
        self.assertIn("gone.iso", self.refused("start", "mandatory"))
        with Events(self.daemon) as events:
            self.virsh("start", "optional")
            events._terminal.expect("event 'disk-change' for domain 'optional' disk sata0-0-0")
        self.assertIsNone(self.source("optional"))
        self.assertEqual(self.source("optional", "--inactive"), str(missing))


if __name__ == "__main__":
    require_daemon()
    tap.main()
