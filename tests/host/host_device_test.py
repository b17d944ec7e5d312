#!/usr/bin/python3
"""<hostdev> on a host that has nothing to assign: definitions are kept, a start or a plug says what is missing."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from domains import define, require_daemon
from domain_test import DomainCase
from fixtures import tap

SOURCE = "<source><address domain='0x0000' bus='0xfe' slot='0x1f' function='0x7'/></source>"


def hostdev(attributes: str = "type='pci' managed='yes'", content: str = SOURCE) -> str:
    return f"<hostdev mode='subsystem' {attributes}>{content}</hostdev>"


class HostDevices(DomainCase):
    def file(self, text: str) -> Path:
        path = self.daemon.root / "device.xml"
        path.write_text(text)
        return path

    def missing(self) -> str:
        """What this host lacks first."""
        groups = Path("/sys/kernel/iommu_groups")
        return "not found" if groups.is_dir() and os.listdir(groups) and Path("/dev/vfio/vfio").exists() \
            else "doesn't support passthrough of host PCI devices"

    def test_a_definition_keeps_it_and_a_start_is_refused(self):
        define(self.daemon, "assigned", "echo", devices=hostdev())
        text = self.virsh("dumpxml", "assigned")
        self.assertIn("<address domain='0x0000' bus='0xfe' slot='0x1f' function='0x7'/>", text)
        self.assertIn(self.missing(), self.refused("start", "assigned"))
        self.assertIn("shut off", self.virsh("domstate", "assigned"))
        self.assertEqual(self.virsh("dumpxml", "assigned"), text)
        self.virsh("detach-device", "assigned", self.file(hostdev()), "--config")
        self.assertNotIn("<hostdev", self.virsh("dumpxml", "assigned"))
        self.virsh("start", "assigned")

    def test_a_plug_is_refused_and_changes_nothing(self):
        define(self.daemon, "plain", "echo", devices="<controller type='pci' model='pcie-root-port'/>" * 3)
        self.virsh("start", "plain")
        before = self.virsh("dumpxml", "plain")
        self.assertIn(self.missing(), self.refused("attach-device", "plain", self.file(hostdev()), "--live"))
        self.assertEqual(self.virsh("dumpxml", "plain"), before)

    def test_other_kinds_are_refused_by_name(self):
        define(self.daemon, "kinds", "echo")
        for attributes, content, reason in (
                ("type='usb'", "<source><vendor id='0x1'/><product id='0x2'/></source>", "USB controller"),
                ("type='scsi'", "<source/>", "virtio-scsi"),
                ("type='mdev' model='vfio-pci'", "<source/>", "mediated"),
                ("type='pci'", "<driver name='kvm'/>" + SOURCE, "VFIO"),
                ("type='pci'", SOURCE + "<rom file='/r'/>", "option ROM")):
            with self.subTest(attributes=attributes, content=content):
                device = self.file(hostdev(attributes, content))
                self.assertIn(reason, self.refused("attach-device", "kinds", device, "--config"))


if __name__ == "__main__":
    require_daemon()
    tap.main()
