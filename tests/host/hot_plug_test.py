#!/usr/bin/python3
"""Devices that come to, go from and change in a domain, by stock virsh."""

import sys
import unittest
from pathlib import Path
from xml.etree import ElementTree

sys.path.insert(0, str(Path(__file__).resolve().parent))

from domains import define, require_daemon
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
        hostdev = self.file("hostdev.xml", "<hostdev mode='subsystem' type='pci'/>")
        self.assertIn("hostdev", self.refused("attach-device", "plug", hostdev, "--config"))
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


if __name__ == "__main__":
    require_daemon()
    tap.main()
