#!/usr/bin/python3
"""SCSI disks, CD/DVD drives and controllers, by stock virsh."""

import struct
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

sys.path.insert(0, str(Path(__file__).resolve().parent))

from domain_test import DomainCase
from domains import Events, console, define, require_daemon
from fixtures import tap

PORTS = "<memballoon model='none'/>" + "<controller type='pci' model='pcie-root-port'/>" * 3


class Scsi(DomainCase):
    """The test guest says which units its controller has, and what becomes of them."""

    def words(self, name: str, first: int = 0, size: int = 1 << 20) -> Path:
        path = self.daemon.root / name
        path.write_bytes(struct.pack(f"<{size // 8}Q", *range(first, first + size // 8)))
        return path

    def file(self, name: str, text: str) -> Path:
        path = self.daemon.root / name
        path.write_text(text)
        return path

    def start(self, name: str, devices: str) -> None:
        define(self.daemon, name, "scsi", devices=devices + PORTS)
        self.virsh("start", name)

    def document(self, domain: str, *options: str) -> ElementTree.Element:
        return ElementTree.fromstring(self.virsh("dumpxml", domain, *options))

    def targets(self, domain: str, *options: str) -> list[str]:
        return [target.get("dev") for target in self.document(domain, *options).iterfind("devices/disk/target")]

    def test_a_disk_is_what_its_definition_says(self):
        image = self.words("disk.img")
        self.start("disk", f"""
            <disk type='file' device='disk'><driver name='qemu' type='raw' discard='unmap'/><source file='{image}'/>
              <target dev='sda' bus='scsi' rotation_rate='1'/><serial>number one</serial>
              <wwn>5000c50015ea71aa</wwn><vendor>ACME</vendor><product>Rocket disk</product></disk>
            <disk type='file' device='disk'><source file='{self.words("second.img", 5000)}'/>
              <target dev='sdb'/><readonly/><address type='drive' target='3' unit='300'/></disk>""")
        with console(self.daemon, "disk") as terminal:
            terminal.send("s")
            terminal.expect("UNIT 0:0 DISK ACME/Rocket disk SERIAL number one BLOCKS 2048 FIRST 64 WRITTEN")
            terminal.expect("UNIT 3:300 DISK WARREN/HARDDISK BLOCKS 2048 FIRST 5064\\s")  # and it is not written to
            before = image.stat().st_blocks
            terminal.send("z")
            terminal.expect("UNMAPPED")
        self.assertEqual(before - image.stat().st_blocks, 1024)
        self.assertEqual(image.read_bytes()[1 << 19:], bytes(1 << 19))
        self.assertEqual(struct.unpack_from("<Q", image.read_bytes(), 1024)[0], 1000)
        self.assertRegex(self.virsh("domblkstat", "disk", "sda"), r"wr_bytes (512|1024)\b")
        self.assertRegex(self.virsh("domblkinfo", "disk", "sdb"), r"Capacity: +1048576")
        live = self.document("disk")
        self.assertEqual([alias.get("name") for alias in live.iterfind("devices/disk/alias")],
                         ["scsi0-0-0-0", "scsi0-0-3-300"])
        controller = live.find("devices/controller[@type='scsi']")
        self.assertEqual((controller.get("model"), controller.find("alias").get("name")), ("virtio-scsi", "scsi0"))

    def test_disks_come_and_go(self):
        self.start("plug", "<controller type='scsi' model='virtio-scsi'><driver queues='2' cmd_per_lun='8'/></controller>")
        image = self.words("plug.img")
        with Events(self.daemon) as events, console(self.daemon, "plug") as terminal:
            self.virsh("attach-disk", "plug", image, "sda", "--targetbus", "scsi", "--live", "--config", "--serial", "s1")
            terminal.expect("ADDED 0:0")
            terminal.expect("UNIT 0:0 DISK WARREN/HARDDISK SERIAL s1 BLOCKS 2048 FIRST 64 WRITTEN")
            events._terminal.expect("event 'device-added' for domain 'plug': scsi0-0-0-0")
            self.assertEqual((self.targets("plug"), self.targets("plug", "--inactive")), (["sda"], ["sda"]))
            self.virsh("attach-disk", "plug", self.words("more.img", 7000), "sdc")
            terminal.expect("UNIT 0:2 DISK WARREN/HARDDISK BLOCKS 2048 FIRST 7064")
            self.assertIn("already exists", self.refused("attach-disk", "plug", image, "sda"))
            same = self.file("same.xml", f"<disk type='file'><source file='{image}'/><target dev='sdx' bus='scsi'/>"
                                         "<address type='drive' unit='2'/></disk>")
            self.assertIn("with that address", self.refused("attach-device", "plug", same, "--live"))
            self.virsh("blockresize", "plug", "sda", "2M")
            terminal.expect("CHANGED 0:0 0x92a")
            terminal.expect("UNIT 0:0 DISK WARREN/HARDDISK SERIAL s1 BLOCKS 4096 FIRST 64")
            self.assertEqual(image.stat().st_size, 2 << 20)
            self.virsh("detach-disk", "plug", "sda", "--live", "--config")
            terminal.expect("REMOVED 0:0")
            events._terminal.expect("event 'device-removed' for domain 'plug': scsi0-0-0-0")
            self.assertEqual((self.targets("plug"), self.targets("plug", "--inactive")), (["sdc"], []))
            self.virsh("detach-device-alias", "plug", "scsi0-0-0-2")
            terminal.expect("REMOVED 0:2")
            # Its image is free again, and so is its place.
            self.virsh("attach-disk", "plug", image, "sda", "--targetbus", "scsi")
            terminal.expect("ADDED 0:0")

    def test_a_change_of_medium(self):
        one, two = self.words("one.iso", 10000, 1 << 18), self.words("two.iso", 20000, 1 << 17)
        self.start("media", f"""<disk type='file' device='cdrom'><source file='{one}'/>
            <target dev='sda' bus='scsi'/></disk>""")
        with Events(self.daemon) as events, console(self.daemon, "media") as terminal:
            terminal.send("s")
            terminal.expect(f"UNIT 0:0 DRIVE WARREN/DVD-ROM BLOCKS 128 FIRST {10000 + 256}\\b")
            self.virsh("change-media", "media", "sda", two, "--update", "--live")
            events._terminal.expect("event 'tray-change' for domain 'media' disk scsi0-0-0-0: opened")
            terminal.send("s")
            terminal.expect(f"UNIT 0:0 DRIVE WARREN/DVD-ROM BLOCKS 64 FIRST {20000 + 256}\\b")
            self.virsh("change-media", "media", "sda", "--eject", "--live")
            terminal.expect("MEDIUM 0:0 SENSE 0x23a01")
            self.virsh("attach-disk", "media", one, "sda", "--targetbus", "scsi", "--type", "cdrom", "--mode",
                       "readonly", "--live")
            terminal.expect(f"MEDIUM 0:0 BLOCKS 128 FIRST {10000 + 256}\\b")
            drive = self.file("drive.xml", "<disk type='file' device='cdrom'><target dev='sdb' bus='scsi'/></disk>")
            self.virsh("attach-device", "media", drive, "--live")
            terminal.expect("UNIT 0:1 DRIVE WARREN/DVD-ROM SENSE 0x23a01")
            self.virsh("change-media", "media", "sdb", two, "--insert", "--live")
            terminal.expect(f"MEDIUM 0:1 BLOCKS 64 FIRST {20000 + 256}\\b")
            self.virsh("detach-disk", "media", "sdb", "--live")
            terminal.expect("REMOVED 0:1")

    def test_controllers(self):
        # The test guest serves its slots.
        define(self.daemon, "controllers", "hot_plug", devices=PORTS)
        self.virsh("start", "controllers")
        lsi = self.file("lsi.xml", "<controller type='scsi' model='lsilogic'/>")
        self.assertIn("'lsilogic'", self.refused("attach-device", "controllers", lsi, "--config"))
        plain = self.file("plain.xml", "<controller type='scsi' model='virtio-scsi'/>")
        with Events(self.daemon) as events, console(self.daemon, "controllers") as terminal:
            self.virsh("attach-device", "controllers", plain, "--live", "--config")
            terminal.expect("PLUGGED 1 0x1af4:0x1048")
            events._terminal.expect("event 'device-added' for domain 'controllers': scsi0")
            # A disk brings the controllers that it needs, and they stay.
            disk = self.file("far.xml", f"<disk type='file'><source file='{self.words('far.img')}'/>"
                                        "<target dev='sda' bus='scsi'/><address type='drive' controller='1'/></disk>")
            self.virsh("attach-device", "controllers", disk, "--live")
            terminal.expect("PLUGGED 2 0x1af4:0x1048")
            events._terminal.expect("event 'device-added' for domain 'controllers': scsi1\\b")
            events._terminal.expect("event 'device-added' for domain 'controllers': scsi1-0-0-0")
            second = self.file("second.xml", "<controller type='scsi' index='1' model='virtio-scsi'/>")
            self.assertIn("busy", self.refused("detach-device", "controllers", second, "--live"))
            self.virsh("detach-disk", "controllers", "sda", "--live")
            events._terminal.expect("event 'device-removed' for domain 'controllers': scsi1-0-0-0")
            self.assertIsNotNone(self.document("controllers").find("devices/controller[@type='scsi'][@index='1']"))
            self.virsh("detach-device", "controllers", second, "--live")
            terminal.expect("LET GO 2")
            events._terminal.expect("event 'device-removed' for domain 'controllers': scsi1\\b")
            sata = self.file("sata.xml", "<controller type='sata' index='1'/>")
            self.assertIn("cannot be hot plugged", self.refused("attach-device", "controllers", sata, "--live"))
            # A disk that comes to a controller that the guest has been asked for goes with it.
            first = self.file("first.xml", "<controller type='scsi' index='0' model='virtio-scsi'/>")
            self.virsh("suspend", "controllers")
            self.virsh("detach-device", "controllers", first, "--live")
            near = ("attach-disk", "controllers", self.words("near.img"), "sda", "--targetbus", "scsi", "--live",
                    "--address", "scsi:0.0.0")
            self.virsh(*near)
            self.virsh("resume", "controllers")
            terminal.expect("LET GO 1")
            events._terminal.expect("event 'device-removed' for domain 'controllers': scsi0-0-0-0")
            events._terminal.expect("event 'device-removed' for domain 'controllers': scsi0\\b")
            self.assertEqual(self.targets("controllers"), [])
            self.virsh(*near)
            events._terminal.expect("event 'device-added' for domain 'controllers': scsi0-0-0-0")
        indexes = [controller.get("index") for controller
                   in self.document("controllers", "--inactive").iterfind("devices/controller[@type='scsi']")]
        self.assertEqual(indexes, ["0"])

    def test_what_is_there_survives_the_daemon(self):
        self.start("adopted", f"""<disk type='file' device='disk'><source file='{self.words("adopted.img")}'/>
            <target dev='sda' bus='scsi'/></disk>""")
        self.virsh("attach-disk", "adopted", self.words("later.img"), "sdb", "--targetbus", "scsi", "--live")
        self.daemon.kill()
        self.daemon.start()
        self.assertEqual(self.targets("adopted"), ["sda", "sdb"])
        self.virsh("detach-disk", "adopted", "sda", "--live")
        self.daemon.kill()
        time.sleep(0.5)
        self.daemon.start()
        self.assertEqual(self.targets("adopted"), ["sdb"])

    def test_an_iothread_serves_a_controller(self):
        define(self.daemon, "threads", "scsi", actions="<iothreads>1</iothreads>",
               devices=f"""<controller type='scsi'><driver iothread='1'/></controller>
               <disk type='file'><source file='{self.words("threads.img")}'/><target dev='sda' bus='scsi'/></disk>"""
               + PORTS)
        self.virsh("start", "threads")
        with console(self.daemon, "threads") as terminal:
            terminal.send("s")
            terminal.expect("UNIT 0:0 DISK WARREN/HARDDISK BLOCKS 2048 FIRST 64 WRITTEN")
        self.assertIn("being used by SCSI controller", self.refused("iothreaddel", "threads", "1", "--live"))


if __name__ == "__main__":
    require_daemon()
    tap.main()
