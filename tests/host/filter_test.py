#!/usr/bin/python3
# beside others
"""Network filters by stock virsh: every nwfilter-* command, and a running domain's interface that has one."""

import os
import re
import sys
import time
import unittest.mock
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from domains import define, require_daemon
from fixtures import tap
from fixtures.daemon_case import DaemonCase
from fixtures.warren_daemon import PrivateDaemon
from network_test import DEFAULT

FILTER = """<filter name='no-telnet' chain='root'>
  <rule action='drop' direction='inout' priority='500'>
    <tcp dstportstart='23'/>
  </rule>
</filter>
"""
BINDING = """<filterbinding>
  <owner>
    <name>vm</name>
    <uuid>99999999-2222-3333-4444-555555555555</uuid>
  </owner>
  <portdev name='tap7'/>
  <mac address='52:54:00:11:22:33'/>
  <filterref filter='no-telnet'/>
</filterbinding>
"""


class Filters(DaemonCase):
    def setUp(self):
        self.daemon = PrivateDaemon(own_network=True)
        self.daemon.__enter__()
        self.addCleanup(self.daemon.__exit__)

    def rules(self) -> str:
        return self.daemon.in_network("nft", "list", "ruleset")

    def test_life_of_a_filter(self):
        stock = self.virsh("nwfilter-list")
        for name in ("clean-traffic", "no-mac-spoofing", "no-ip-spoofing", "no-arp-spoofing", "allow-dhcp"):
            self.assertIn(name, stock)
        self.virsh("nwfilter-define", self.file(FILTER))
        shown = self.virsh("nwfilter-dumpxml", "no-telnet")
        self.assertIn("<tcp dstportstart='23'/>", shown)
        uuid = re.search("<uuid>(.*)</uuid>", shown)[1]
        self.assertEqual(self.virsh("nwfilter-dumpxml", uuid), shown)
        # virsh asks for VISUAL first.
        with unittest.mock.patch.dict(os.environ, {"VISUAL": "sed -i -e s/dstportstart=.23./dstportstart=\\'24\\'/"}):
            self.virsh("nwfilter-edit", "no-telnet")
        self.assertIn("dstportstart='24'", self.virsh("nwfilter-dumpxml", "no-telnet"))
        self.assertIn("tpc", self.refused("nwfilter-define", self.file(FILTER.replace("tcp", "tpc"))))
        self.virsh("nwfilter-undefine", "no-telnet")
        self.assertNotIn("no-telnet", self.virsh("nwfilter-list"))
        self.assertIn("no-telnet", self.refused("nwfilter-dumpxml", "no-telnet"))

    def test_bindings(self):
        self.daemon.in_network("ip", "tuntap", "add", "tap7", "mode", "tap")
        self.virsh("nwfilter-define", self.file(FILTER))
        self.virsh("nwfilter-binding-create", self.file(BINDING))
        self.assertRegex(self.virsh("nwfilter-binding-list"), r"tap7\s+no-telnet")
        self.assertIn("<portdev name='tap7'/>", self.virsh("nwfilter-binding-dumpxml", "tap7"))
        self.assertIn("tap7", self.rules())
        self.assertRegex(self.rules(), r"tcp dport (23|telnet)")
        self.assertIn("in use", self.refused("nwfilter-undefine", "no-telnet"))
        # What is bound follows.
        uuid = re.search("<uuid>.*</uuid>", self.virsh("nwfilter-dumpxml", "no-telnet"))[0]
        changed = FILTER.replace("chain='root'>", f"chain='root'>{uuid}").replace("'23'", "'2323'")
        self.virsh("nwfilter-define", self.file(changed))
        self.assertIn("2323", self.rules())
        self.daemon.kill()
        self.daemon.in_network("nft", "flush", "ruleset")
        self.daemon.start()
        self.assertRegex(self.virsh("nwfilter-binding-list"), r"tap7\s+no-telnet")
        self.assertIn("2323", self.rules())
        self.virsh("nwfilter-binding-delete", "tap7")
        self.assertNotIn("tap7", self.rules())

    def test_wrong_use(self):
        uuid = re.search("<uuid>(.*)</uuid>", self.virsh("nwfilter-dumpxml", "clean-traffic"))[1]
        for document, said in ((FILTER.replace("root", "roof"), "roof"), (FILTER.replace("'drop'", "'dorp'"), "dorp"),
                               (FILTER.replace("dstportstart", "dstport"), "dstport"), ("<filter/>", "name"),
                               (FILTER.replace("chain='root'>", f"chain='root'><uuid>{uuid}</uuid>"), "clean-traffic"),
                               (FILTER.replace("<tcp dstportstart='23'/>", "<tcp ipset='x' ipsetflags='src'/>"), "ipset"),
                               ("<filter name='a'><filterref filter='a'/></filter>", "loop|itself|a")):
            self.assertRegex(self.refused("nwfilter-define", self.file(document)), said)
        self.assertIn("schema", self.refused("nwfilter-define", self.file(FILTER.replace("'23'", "'x'")), "--validate").lower())
        for command in ("nwfilter-dumpxml", "nwfilter-undefine"):
            self.assertIn("Network filter not found", self.refused(command, "no-such"))
        for command in ("nwfilter-binding-dumpxml", "nwfilter-binding-delete"):
            self.assertIn("binding not found", self.refused(command, "no-such"))
        # With no change there is nothing to define; with a wrong one the filter stays.
        self.virsh("nwfilter-define", self.file(FILTER), "--validate")
        before = self.virsh("nwfilter-dumpxml", "no-telnet")
        for editor in ("true", "sed -i -e s/drop/dorp/"):
            with unittest.mock.patch.dict(os.environ, {"VISUAL": editor}):
                self.daemon.virsh("nwfilter-edit", "no-telnet", check=False)
            self.assertEqual(self.virsh("nwfilter-dumpxml", "no-telnet"), before)

    def test_wrong_bindings(self):
        self.virsh("nwfilter-define", self.file(FILTER))
        self.daemon.in_network("ip", "tuntap", "add", "tap7", "mode", "tap")
        self.assertIn("missing", self.refused("nwfilter-binding-create", self.file(BINDING.replace("no-telnet", "missing"))))
        self.assertIn("schema", self.refused("nwfilter-binding-create", self.file(BINDING.replace("portdev", "portdve")),
                                             "--validate").lower())
        self.assertEqual(self.virsh("nwfilter-binding-list"), "")
        self.assertNotIn("tap7", self.rules())
        self.virsh("nwfilter-binding-create", self.file(BINDING), "--validate")
        self.assertIn("tap7", self.refused("nwfilter-binding-create", self.file(BINDING)))
        # It goes with its tap.
        self.daemon.in_network("ip", "link", "del", "tap7")
        deadline = time.monotonic() + 15
        while self.virsh("nwfilter-binding-list") and time.monotonic() < deadline:
            time.sleep(0.1)
        self.assertEqual(self.virsh("nwfilter-binding-list"), "")
        self.virsh("nwfilter-undefine", "no-telnet")

    def test_a_domain_is_filtered_while_it_runs(self):
        self.virsh("net-define", self.file(DEFAULT))
        self.virsh("net-start", "default")
        define(self.daemon, "vm", "idle", devices="<interface type='network'><source network='default'/>"
                                                  "<mac address='52:54:00:aa:bb:cc'/><filterref filter='clean-traffic'>"
                                                  "<parameter name='IP' value='192.168.122.9'/></filterref></interface>")
        self.virsh("start", "vm")
        self.assertRegex(self.virsh("nwfilter-binding-list"), r"vnet0\s+clean-traffic")
        self.assertIn("192.168.122.9", self.rules())
        self.assertIn("<filterref filter='clean-traffic'>", self.virsh("dumpxml", "vm"))
        self.virsh("destroy", "vm")
        self.assertEqual(self.virsh("nwfilter-binding-list"), "")
        self.assertNotIn("192.168.122.9", self.rules())
        define(self.daemon, "other", "idle", devices="<interface type='network'><source network='default'/>"
                                                     "<filterref filter='missing'/></interface>")
        self.assertIn("missing", self.refused("start", "other"))
        self.assertNotIn("connections", self.virsh("net-dumpxml", "default"))
        self.virsh("net-destroy", "default")


if __name__ == "__main__":
    require_daemon()
    tap.main()
