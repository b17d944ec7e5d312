#!/usr/bin/python3
"""The host's own interfaces by stock virsh: every iface-* command, in a network name space."""

import os
import sys
import unittest
import unittest.mock
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from domains import require_daemon
from fixtures import tap
from fixtures.daemon_case import OwnNetworkCase


class Interfaces(OwnNetworkCase):
    def setUp(self):
        super().setUp()
        for command in ("link add br5 type bridge forward_delay 400", "link add v0 address 52:54:00:00:00:50 type veth peer name v1 address 52:54:00:00:00:51",
                        "link set v0 master br5", "link add v2 type veth peer name v3",
                        "address add 10.5.0.1/24 dev br5", "link set br5 up", "link set v0 up", "link set v1 up"):
            self.daemon.in_network("ip", *command.split())

    def test_what_there_is(self):
        listed = self.virsh("iface-list", "--all")
        for name in ("br5", "v1", "v2", "lo"):
            self.assertRegex(listed, rf"(?m)^\s*{name}\s")
        self.assertRegex(listed, r"v2\s+inactive")
        self.assertEqual(self.virsh("iface-mac", "v1"), "52:54:00:00:00:51")
        self.assertEqual(self.virsh("iface-name", "52:54:00:00:00:51"), "v1")
        self.assertIn("matches 2 interfaces", self.refused("iface-name", "52:54:00:00:00:50"))
        bridge = self.virsh("iface-dumpxml", "br5")
        self.assertIn("<interface type='bridge' name='br5'>", bridge)
        self.assertIn("<interface type='ethernet' name='v0'>", bridge)
        self.assertIn("<ip address='10.5.0.1' prefix='24'/>", bridge)
        self.assertIn("Interface not found", self.refused("iface-dumpxml", "missing"))

    def test_which_are_listed(self):
        def names(*options: str) -> set[str]:
            return {line.split()[0] for line in self.virsh("iface-list", *options).splitlines()}
        self.assertTrue({"br5", "v1"} <= names() and not {"v2", "v3"} & names())
        self.assertTrue({"v2", "v3"} <= names("--inactive") and "br5" not in names("--inactive"))
        self.assertEqual(names("--all"), names() | names("--inactive"))
        self.assertIn('<mac address="52:54:00:00:00:51"/>', self.virsh("iface-dumpxml", "v1", "--xpath", "//mac"))
        for command in ("iface-mac", "iface-dumpxml", "iface-start", "iface-destroy", "iface-undefine"):
            self.assertRegex(self.refused(command, "missing"), "Interface not found|ifup", command)
        self.assertIn("Interface not found", self.refused("iface-name", "52:54:00:99:99:99"))

    def test_edits_that_change_nothing(self):
        before = self.virsh("iface-dumpxml", "v1")
        # virsh asks what to do with a document that is refused; without a terminal that is to leave it.
        for editor, said in (("true", "not changed|^$"), ("sed -i -e s/ethernet/ehternet/", "Failed|ehternet|ifup")):
            with unittest.mock.patch.dict(os.environ, {"VISUAL": editor}):
                self.assertRegex(self.daemon.virsh("iface-edit", "v1", check=False), said)
            self.assertEqual(self.virsh("iface-dumpxml", "v1"), before)

    def test_changes_need_the_hosts_tools(self):
        """This host configures its network otherwise: each command says so, and changes nothing."""
        if Path("/sbin/ifup").exists():
            self.skipTest("ifupdown is installed; the driver's own tests have it in a directory of theirs")
        document = self.daemon.root / "interface.xml"
        document.write_text("<interface type='ethernet' name='v9'><start mode='onboot'/></interface>")
        for command in (("iface-define", document), ("iface-undefine", "v0"), ("iface-start", "v2"), ("iface-destroy", "v0"),
                        ("iface-begin",), ("iface-bridge", "v1", "br6"), ("iface-unbridge", "br5")):
            self.assertIn("ifup", self.refused(*command), command)
        for command in ("iface-commit", "iface-rollback"):
            self.refused(command)
        self.assertIn("v1", self.virsh("iface-list"))


if __name__ == "__main__":
    require_daemon()
    tap.main()
