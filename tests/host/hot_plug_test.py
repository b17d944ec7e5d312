#!/usr/bin/python3
"""Devices that come to, go from and change in a domain, by stock virsh."""

import struct
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

sys.path.insert(0, str(Path(__file__).resolve().parent))

from domains import Events, console, define, require_daemon
from domain_test import DomainCase
from fixtures import tap

MAC = "52:54:00:00:00:07"


class HotPlugCase(DomainCase):
    def image(self, name: str) -> Path:
        path = self.daemon.root / name
        path.write_bytes(bytes(1 << 20))
        return path

    def targets(self, domain: str, *options: str) -> list[str]:
        document = ElementTree.fromstring(self.virsh("dumpxml", domain, *options))
        return [target.get("dev") for target in document.iterfind("devices/disk/target")]

    def file(self, name: str, text: str) -> Path:
        path = self.daemon.root / name
        path.write_text(text)
        return path


class Definitions(HotPlugCase):
    def setUp(self):
        define(self.daemon, "plug", "echo")
        self.before = self.virsh("dumpxml", "plug")

    def test_disks(self):
        self.virsh("attach-disk", "plug", self.image("a.img"), "vdb", "--config", "--serial", "s1")
        self.assertEqual(self.targets("plug"), ["vdb"])
        self.assertIn("already exists", self.refused("attach-disk", "plug", self.image("b.img"), "vdb", "--config"))
        self.virsh("detach-disk", "plug", "vdb", "--config")
        self.assertEqual(self.targets("plug"), [])
        self.assertIn("vdb", self.refused("detach-disk", "plug", "vdb", "--config"))

    def test_interfaces(self):
        self.virsh("attach-interface", "plug", "bridge", "br0", "--mac", MAC, "--model", "virtio", "--config")
        self.assertIn(MAC, self.virsh("domiflist", "plug"))
        self.virsh("domif-setlink", "plug", MAC, "down", "--config")
        self.assertEqual(self.virsh("domif-getlink", "plug", MAC, "--config").split()[-1], "down")
        self.virsh("detach-interface", "plug", "bridge", "--mac", MAC, "--config")
        self.assertNotIn(MAC, self.virsh("domiflist", "plug"))

    def test_refusals_change_nothing(self):
        wings = self.file("wings.xml", "<disk><source file='/x'/><target dev='vdb'/><wings/></disk>")
        self.assertIn("/disk/wings", self.refused("attach-device", "plug", wings, "--config"))
        graphics = self.file("graphics.xml", "<graphics type='vnc'/>")
        self.assertIn("graphics", self.refused("attach-device", "plug", graphics, "--config"))
        self.assertIn("not running", self.refused("attach-disk", "plug", self.image("c.img"), "vdb", "--live"))
        self.assertIn("alias", self.refused("detach-device-alias", "plug", "ua-none", "--config"))
        self.assertEqual(self.virsh("dumpxml", "plug"), self.before)

    def test_an_entropy_source_by_its_alias(self):
        rng = self.file("rng.xml", "<rng model='virtio'><backend model='random'>/dev/urandom</backend>"
                                   "<alias name='ua-dice'/></rng>")
        self.virsh("attach-device", "plug", rng, "--config")
        self.assertIn("ua-dice", self.virsh("dumpxml", "plug"))
        self.virsh("detach-device-alias", "plug", "ua-dice", "--config")
        self.assertNotIn("<rng", self.virsh("dumpxml", "plug"))


class Running(HotPlugCase):
    """The test guest serves its slots as an operating system does, and tells what comes and goes."""

    def start(self, name: str, ports: int = 2) -> None:
        # A balloon would take the first port.
        devices = "<memballoon model='none'/>" + "<controller type='pci' model='pcie-root-port'/>" * ports
        define(self.daemon, name, "hot_plug", devices=devices)
        self.virsh("start", name)

    def words(self, name: str) -> Path:
        path = self.image(name)
        path.write_bytes(struct.pack("<131072Q", *range(131072)))
        return path

    def test_a_disk_comes_and_goes(self):
        self.start("disks")
        image = self.words("words.img")
        with Events(self.daemon) as events, console(self.daemon, "disks") as terminal:
            self.virsh("attach-disk", "disks", image, "vdb", "--live", "--config")
            terminal.expect("PLUGGED 1 0x1af4:0x1042")
            terminal.expect("FIRST 64\\b")  # the guest reads its second sector
            events._terminal.expect("event 'device-added' for domain 'disks': virtio-disk1")
            self.assertEqual(self.targets("disks"), ["vdb"])
            self.assertEqual(self.targets("disks", "--inactive"), ["vdb"])
            self.assertRegex(self.virsh("domblkstat", "disks", "vdb"), r"rd_req 1\b")
            self.assertIn("already exists", self.refused("attach-disk", "disks", self.image("x.img"), "vdb"))
            self.virsh("detach-disk", "disks", "vdb", "--live", "--config")
            terminal.expect("LET GO 1")
            terminal.expect("EMPTY 1")
            events._terminal.expect("event 'device-removed' for domain 'disks': virtio-disk1")
            self.assertEqual(self.targets("disks"), [])
            self.assertEqual(self.targets("disks", "--inactive"), [])
            # Its image is free again, and so is its place.
            self.virsh("attach-disk", "disks", image, "vdc", "--live")
            terminal.expect("PLUGGED 1 0x1af4:0x1042")
            self.assertEqual(self.targets("disks", "--inactive"), [])

    def test_a_removal_survives_the_daemon(self):
        self.start("adopted")
        with console(self.daemon, "adopted") as terminal:
            self.virsh("attach-disk", "adopted", self.words("adopted.img"), "vdb", "--live")
            terminal.expect("PLUGGED 1")
        self.daemon.kill()
        self.daemon.start()
        self.assertEqual(self.targets("adopted"), ["vdb"])
        self.virsh("detach-device-alias", "adopted", "virtio-disk1", "--live")
        self.daemon.kill()
        time.sleep(1)
        self.daemon.start()
        self.assertEqual(self.targets("adopted"), [])
        self.virsh("attach-disk", "adopted", self.image("again.img"), "vdb", "--live")
        self.assertEqual(self.targets("adopted"), ["vdb"])

    def test_an_interface_comes_and_goes(self):
        self.start("nics")
        nic = self.file("nic.xml", f"<interface type='ethernet'><mac address='{MAC}'/><target dev='hotnic0'/>"
                                   "<model type='virtio'/></interface>")
        with console(self.daemon, "nics") as terminal:
            self.virsh("attach-device", "nics", nic, "--live")
            terminal.expect("PLUGGED 1 0x1af4:0x1041")
            self.assertTrue(Path("/sys/class/net/hotnic0").exists())
            self.virsh("domif-setlink", "nics", MAC, "down")
            self.assertEqual(self.virsh("domif-getlink", "nics", MAC).split()[-1], "down")
            self.assertIn("<mtu>", self.refused("update-device", "nics", self.file(
                "mtu.xml", f"<interface type='ethernet'><mac address='{MAC}'/><mtu size='1400'/></interface>")))
            self.virsh("detach-interface", "nics", "ethernet", "--mac", MAC, "--live")
            terminal.expect("EMPTY 1")
            self.assertNotIn(MAC, self.virsh("domiflist", "nics"))
            self.assertFalse(Path("/sys/class/net/hotnic0").exists())

    def test_what_cannot_be_leaves_everything_as_it_was(self):
        self.start("full", ports=1)
        self.virsh("attach-disk", "full", self.image("full.img"), "vdb", "--live", "--config")
        before = self.virsh("dumpxml", "full"), self.virsh("dumpxml", "full", "--inactive")
        self.assertIn("No more available PCI slots",
                      self.refused("attach-disk", "full", self.image("more.img"), "vdc", "--live", "--config"))
        self.assertIn("missing.img", self.refused("attach-disk", "full", "/missing.img", "vdc", "--live", "--config"))
        serial = self.file("serial.xml", "<serial type='null'><target port='1'/></serial>")
        self.assertIn("serial", self.refused("attach-device", "full", serial, "--live"))
        self.assertEqual(before, (self.virsh("dumpxml", "full"), self.virsh("dumpxml", "full", "--inactive")))


if __name__ == "__main__":
    require_daemon()
    tap.main()
