#!/usr/bin/python3
# beside others
"""virsh's net-* commands option by option: what each of them filters, says, changes and refuses."""

import itertools
import os
import re
import sys
import time
import unittest
import unittest.mock
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from domains import require_daemon
from fixtures import tap
from fixtures.terminal import Terminal
from network_example_test import NetworkCase

NETWORK = """<network><name>{name}</name>{body}</network>"""
BODY = """<forward mode='nat'><interface dev='out0'/></forward><bridge name='virbr5'/>
  <dns><txt name='first' value='1'/><srv service='first' protocol='tcp'/>
    <host ip='192.168.55.9'><hostname>first</hostname></host></dns>
  <ip address='192.168.55.1' prefix='24'><dhcp><range start='192.168.55.10' end='192.168.55.19'/>
    <host mac='52:54:00:00:07:01' name='first' ip='192.168.55.61'/></dhcp></ip>
  <ip family='ipv6' address='2001:db8:5:5::1' prefix='64'/>
  <portgroup name='first'/>"""
# By section: an entry to add, how to find it in the XML, and, where there is one, what it is modified to.
SECTIONS = {
    "ip-dhcp-host": ("<host mac='52:54:00:00:07:02' name='new' ip='192.168.55.62'/>",
                     "<host mac='52:54:00:00:07:02' name='newer' ip='192.168.55.62'/>"),
    "ip-dhcp-range": ("<range start='192.168.55.30' end='192.168.55.39'/>", None),
    "dns-txt": ("<txt name='new' value='2'/>", None),
    "dns-srv": ("<srv service='new' protocol='udp'/>", None),
    "dns-host": ("<host ip='192.168.55.8'><hostname>new</hostname></host>", None),
    "portgroup": ("<portgroup name='new'/>", "<portgroup name='new' default='yes'/>"),
}


def squeezed(xml: str) -> str:
    return re.sub(r">\s+<", "><", xml)


class Commands(NetworkCase):
    def define(self, name: str, body: str = "") -> None:
        self.virsh("net-define", self.file(NETWORK.format(name=name, body=body)))

    def shown(self, *options: str) -> str:
        return squeezed(self.virsh("net-dumpxml", "one", *options))

    def names(self, *options: str) -> list[str]:
        return sorted(self.virsh("net-list", "--name", *options).split())

    def test_lists(self):
        for name in ("idle", "kept", "auto"):
            self.define(name)
        self.virsh("net-create", self.file(NETWORK.format(name="brief", body="")))
        self.virsh("net-start", "kept")
        self.virsh("net-autostart", "auto")
        for options, names in ((("--all",), ["auto", "brief", "idle", "kept"]), ((), ["brief", "kept"]),
                               (("--inactive",), ["auto", "idle"]), (("--persistent",), ["kept"]),
                               (("--persistent", "--all"), ["auto", "idle", "kept"]), (("--transient",), ["brief"]),
                               (("--autostart", "--all"), ["auto"]), (("--no-autostart", "--all"), ["brief", "idle", "kept"]),
                               (("--autostart", "--no-autostart", "--inactive"), ["auto", "idle"])):
            self.assertEqual(self.names(*options), names, options)
        self.assertEqual(self.virsh("net-list", "--uuid", "--transient"), self.virsh("net-uuid", "brief"))
        self.assertRegex(self.virsh("net-list", "--table", "--all"), r"brief\s+active\s+no\s+no")
        self.assertRegex(self.virsh("net-info", "brief"), r"Persistent:\s+no\s+Autostart:\s+no")

    def test_names_and_numbers(self):
        self.define("one")
        uuid = self.virsh("net-uuid", "one")
        for word in ("one", uuid):
            self.assertIn("<name>one</name>", self.virsh("net-dumpxml", word))
        self.assertEqual(self.virsh("net-name", uuid), "one")
        self.assertIn("Network not found", self.refused("net-uuid", "two"))
        self.assertIn("Network not found", self.refused("net-name", uuid.replace(uuid[:8], "00000000")))
        self.assertIn("<uuid>", self.virsh("net-dumpxml", "one", "--xpath", "//uuid"))

    def test_a_zone_needs_firewalld(self):
        self.define("one", "<bridge name='virbr9' zone='guests'/>")
        self.assertIn("network 'one': <bridge zone='guests'/> is a zone of firewalld, which does not run",
                      self.refused("net-start", "one"))
        self.assertNotIn("virbr9", self.daemon.in_network("ip", "link"))
        self.assertNotIn("virbr9", self.rules())

    def test_life(self):
        wrong = NETWORK.format(name="one", body="<ip adress='10.0.0.1'/>")
        for command in ("net-define", "net-create"):
            self.assertIn("schema", self.refused(command, self.file(wrong), "--validate").lower())
            self.assertIn("address", self.refused(command, self.file(wrong)))
        self.virsh("net-create", self.file(NETWORK.format(name="one", body="")), "--validate")
        # A transient one that is defined stays, and one that is undefined while it runs goes with its end.
        self.define("one", f"<uuid>{self.virsh('net-uuid', 'one')}</uuid>")
        self.assertEqual(self.names("--persistent"), ["one"])
        self.virsh("net-undefine", "one")
        self.assertEqual((self.names("--persistent"), self.names("--transient")), ([], ["one"]))
        self.assertIn("transient", self.refused("net-undefine", "one"))
        self.virsh("net-destroy", "one")
        self.assertEqual(self.names("--all"), [])
        for command in ("net-start", "net-destroy", "net-undefine", "net-autostart", "net-info", "net-dhcp-leases"):
            self.assertIn("Network not found", self.refused(command, "one"), command)

    def test_autostart(self):
        self.define("one")
        self.virsh("net-autostart", "one")
        self.assertRegex(self.virsh("net-info", "one"), r"Autostart:\s+yes")
        self.daemon.kill()
        self.daemon.start()
        # The host has booted before: only the mark is still there.
        self.assertEqual((self.names(), self.names("--autostart", "--all")), ([], ["one"]))
        self.daemon.kill()
        for path in self.daemon.root.glob("run/warren/network/autostarted"):
            path.unlink()
        self.daemon.start()
        self.assertEqual(self.names(), ["one"])
        self.virsh("net-autostart", "one", "--disable")
        self.assertEqual(self.names("--autostart", "--all"), [])

    def test_edit(self):
        self.define("one")
        before = self.shown()
        with unittest.mock.patch.dict(os.environ, {"VISUAL": "true"}):
            self.virsh("net-edit", "one")
        self.assertEqual(self.shown(), before)
        change = "sed -i -e 's/<bridge/<domain name=\"made.test\"\\/><bridge/'"
        with unittest.mock.patch.dict(os.environ, {"VISUAL": change}):
            self.virsh("net-edit", "one")
        self.assertIn("<domain name='made.test'/>", self.shown())
        with unittest.mock.patch.dict(os.environ, {"VISUAL": "sed -i -e 's/<bridge/<brigde/'"}):
            # virsh asks what to do then; without a terminal that is to leave it.
            self.assertIn("Failed", self.daemon.virsh("net-edit", "one", check=False))
        self.assertNotIn("brigde", self.shown())

    def test_updates_of_every_section(self):
        self.define("one", BODY)
        self.virsh("net-start", "one")
        for section, (entry, modified) in SECTIONS.items():
            mark = entry.removesuffix("/>")  # a portgroup is shown with a closing tag
            for where, is_live, is_stored in (("--live", True, False), ("--config", False, True), ("--current", True, False)):
                with self.subTest(section, where=where):
                    for command in ("add", "add-last", "add-first"):
                        self.virsh("net-update", "one", command, section, entry, where)
                        self.assertEqual((mark in self.shown(), mark in self.shown("--inactive")), (is_live, is_stored))
                        xml = self.shown() if is_live else self.shown("--inactive")
                        place = xml.index("<dns>" if section.startswith("dns") else "<dhcp>" if section.startswith("ip") else "<")
                        first = xml.index(entry.split()[0] + " ", place)
                        self.assertEqual(xml.startswith(mark, first), command == "add-first", xml)
                        self.assertIn("already", self.refused("net-update", "one", "add", section, entry, where))
                        if modified and command == "add":
                            self.virsh("net-update", "one", "modify", section, modified, where)
                            self.assertIn(modified.removesuffix("/>"), self.shown() if is_live else self.shown("--inactive"))
                            self.virsh("net-update", "one", "modify", section, entry, where)
                        elif not modified:
                            self.assertIn("cannot be modified", self.refused("net-update", "one", "modify", section, entry, where))
                        self.virsh("net-update", "one", "delete", section, entry, where)
                        self.assertNotIn(mark, self.shown() + self.shown("--inactive"))
                    self.assertRegex(self.refused("net-update", "one", "delete", section, entry, where), "has no ")

    def test_updates_of_a_section_that_a_file_names(self):
        self.define("one", BODY)
        entry = "<host mac='52:54:00:00:07:02' ip='192.168.55.62'/>"
        self.virsh("net-update", "one", "add", "ip-dhcp-host", self.file(entry), "--config", "--parent-index", "0")
        self.assertIn(entry, self.shown())
        self.assertIn("IPv6", self.refused("net-update", "one", "add", "ip-dhcp-host", entry, "--config", "--parent-index", "1")
                      .replace("DHCPv6", "IPv6"))
        self.assertIn("no <ip> number 2", self.refused("net-update", "one", "add", "ip-dhcp-host", entry, "--config",
                                                       "--parent-index", "2"))
        self.assertIn("not running", self.refused("net-update", "one", "delete", "ip-dhcp-host", entry, "--live"))
        # Of a network that does not run, the current one is the stored one.
        self.virsh("net-update", "one", "delete", "ip-dhcp-host", entry, "--current")
        self.assertNotIn(entry, self.shown())
        for section in ("bridge", "domain", "ip", "forward", "forward-pf"):
            self.assertIn("cannot be changed by an update", self.refused("net-update", "one", "modify", section, "<x/>",
                                                                         "--config"), section)
        self.virsh("net-create", self.file(NETWORK.format(name="brief", body="")))
        self.assertIn("transient", self.refused("net-update", "brief", "add", "dns-txt", "<txt name='a' value='b'/>", "--config"))
        for wrong in ("<txt name='a'/>", "<host/>", "no document"):
            self.refused("net-update", "one", "add", "dns-txt", wrong, "--config")

    def test_updates_of_a_pool(self):
        for mode, command in itertools.product(("bridge", "passthrough"), ("add-last", "add-first")):
            self.virsh("net-define", self.file(NETWORK.format(
                name="one", body=f"<forward mode='{mode}'><interface dev='out0'/></forward>")))
            self.virsh("net-start", "one")
            self.virsh("net-update", "one", command, "forward-interface", "<interface dev='eth9'/>", "--live", "--config")
            order = re.findall("interface dev='(.*?)'", self.shown())
            self.assertEqual(order, ["eth9", "out0"] if command == "add-first" else ["out0", "eth9"])
            self.assertEqual(order, re.findall("interface dev='(.*?)'", self.shown("--inactive")))
            self.virsh("net-update", "one", "delete", "forward-interface", "<interface dev='out0'/>", "--live")
            self.assertNotIn("out0", self.shown())
            self.assertIn("out0", self.shown("--inactive"))
            self.virsh("net-destroy", "one")
            self.virsh("net-undefine", "one")

    def test_ports(self):
        self.define("one", BODY)
        port = ("<networkport><uuid>11111111-2222-3333-4444-555555555555</uuid><owner><name>vm</name>"
                "<uuid>99999999-2222-3333-4444-555555555555</uuid></owner>{}<mac address='52:54:00:11:22:33'/></networkport>")
        self.assertIn("not active", self.refused("net-port-create", "one", self.file(port.format(""))))
        self.virsh("net-start", "one")
        self.assertIn("schema", self.refused("net-port-create", "one", self.file(port.format("<gruop>x</gruop>")), "--validate"))
        self.virsh("net-port-create", "one", self.file(port.format("<group>first</group>")), "--validate")
        self.assertIn("11111111", self.refused("net-port-create", "one", self.file(port.format(""))))
        self.assertEqual(self.virsh("net-port-list", "one", "--uuid"), "11111111-2222-3333-4444-555555555555")
        self.assertIn("11111111-2222-3333-4444-555555555555", self.virsh("net-port-list", "one", "--table"))
        shown = self.virsh("net-port-dumpxml", "one", "11111111-2222-3333-4444-555555555555")
        self.assertIn("<group>first</group>", shown)
        self.assertIn("<mac address='52:54:00:11:22:33'/>", shown)
        self.assertEqual(self.virsh("net-port-dumpxml", "one", "11111111-2222-3333-4444-555555555555", "--xpath",
                                    "//owner/name"), "<name>vm</name>")
        self.virsh("net-port-delete", "one", "11111111-2222-3333-4444-555555555555")
        self.assertEqual(self.virsh("net-port-list", "one", "--uuid"), "")

    def test_events(self):
        self.assertIn("lifecycle", self.virsh("net-event", "--list"))
        self.define("one")
        self.define("two")
        begin = time.monotonic()
        self.assertIn("event loop timed out", self.daemon.virsh("net-event", "--event", "lifecycle", "--timeout", "1", check=False))
        self.assertGreater(time.monotonic() - begin, 0.9)
        words = ["virsh", "-c", self.daemon.uri, "net-event", "--event", "lifecycle"]
        with Terminal([*words, "--network", "one", "--timestamp", "--loop"], limit=20) as terminal:
            time.sleep(0.7)  # it says nothing when it has registered
            for command in (("net-start", "two"), ("net-start", "one"), ("net-destroy", "one"), ("net-undefine", "one")):
                self.virsh(*command)
            for text in ("Started", "Stopped", "Undefined"):
                said = terminal.expect(f"event 'lifecycle' for network one: {text}")
                if isinstance(said, str):
                    self.assertNotIn("two", said)
        with Terminal(words, limit=20) as terminal:
            time.sleep(0.7)
            self.define("three")
            terminal.expect("event 'lifecycle' for network three: Defined")
            terminal.expect("events received: 1")


if __name__ == "__main__":
    require_daemon()
    tap.main()
