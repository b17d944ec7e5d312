#!/usr/bin/python3
# beside others
"""Virtual networks by stock virsh: every net-* command, on bridges, rules and dnsmasq of a network name space of
their own."""

import json
import os
import re
import signal
import sys
import time
import unittest
import unittest.mock
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from domains import define, require_daemon
from fixtures import tap
from fixtures.daemon_case import OwnNetworkCase
from fixtures.terminal import Terminal

DEFAULT = """<network>
  <name>default</name>
  <forward mode='nat'/>
  <bridge name='virbr0' stp='on' delay='0'/>
  <ip address='192.168.122.1' netmask='255.255.255.0'>
    <dhcp>
      <range start='192.168.122.2' end='192.168.122.254'/>
    </dhcp>
  </ip>
</network>
"""
PORT = """<networkport>
  <owner>
    <name>vm</name>
    <uuid>99999999-2222-3333-4444-555555555555</uuid>
  </owner>
  <mac address='52:54:00:11:22:33'/>
</networkport>
"""


class Network(OwnNetworkCase):
    def links(self) -> set[str]:
        return {link["ifname"] for link in json.loads(self.daemon.in_network("ip", "-j", "link"))}

    def servers(self) -> list[int]:
        """Processes of dnsmasq that serve this daemon."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                words = (process / "cmdline").read_text().split("\0")
            except OSError:
                continue
            if words[0].endswith("dnsmasq") and str(self.daemon.root) in " ".join(words):
                found.append(int(process.name))
        return found

    def start_default(self):
        self.virsh("net-define", self.file(DEFAULT))
        self.virsh("net-start", "default")

    def test_life_of_a_network(self):
        self.virsh("net-define", self.file(DEFAULT), "--validate")
        self.assertRegex(self.virsh("net-list", "--all"), r"default\s+inactive\s+no\s+yes")
        uuid = self.virsh("net-uuid", "default")
        self.assertEqual(self.virsh("net-name", uuid), "default")
        self.virsh("net-autostart", "default")
        self.virsh("net-start", "default")
        self.assertRegex(self.virsh("net-info", "default"),
                         r"Active:\s+yes\s+Persistent:\s+yes\s+Autostart:\s+yes\s+Bridge:\s+virbr0")
        self.assertIn("already active", self.refused("net-start", "default"))
        addresses = self.daemon.in_network("ip", "-br", "address", "show", "virbr0")
        self.assertIn("192.168.122.1/24", addresses)
        self.assertNotIn("fe80", addresses)
        self.assertIn("masquerade", self.rules())
        self.assertEqual(self.daemon.in_network("cat", "/proc/sys/net/ipv4/ip_forward").strip(), "1")
        self.wait_until(lambda: len(self.servers()) >= 1, "there is no dnsmasq")
        shown = self.virsh("net-dumpxml", "default")
        self.assertIn("<bridge name='virbr0' stp='on' delay='0'/>", shown)
        self.assertRegex(shown, "<mac address='52:54:00:.*'/>")
        self.virsh("net-destroy", "default")
        self.assertNotIn("virbr0", self.links())
        self.assertNotIn("virbr0", self.rules())
        self.wait_until(lambda: not self.servers(), "dnsmasq stays")
        self.assertIn("is not active", self.refused("net-destroy", "default"))
        self.virsh("net-autostart", "default", "--disable")
        self.virsh("net-undefine", "default")
        self.assertIn("Network not found", self.refused("net-info", "default"))

    def test_a_transient_network_and_edits(self):
        self.virsh("net-create", self.file("<network><name>brief</name><ip address='10.9.8.1' prefix='24'/></network>"))
        self.assertRegex(self.virsh("net-info", "brief"), r"Persistent:\s+no")
        self.assertIn("transient", self.refused("net-undefine", "brief"))
        self.assertIn("transient", self.refused("net-autostart", "brief"))
        self.virsh("net-destroy", "brief")
        self.assertNotIn("brief", self.virsh("net-list", "--all"))
        self.virsh("net-define", self.file(DEFAULT))
        # virsh asks for VISUAL first.
        with unittest.mock.patch.dict(os.environ, {"VISUAL": "sed -i -e s/delay=.0./delay=\\'3\\'/"}):
            self.virsh("net-edit", "default")
        self.assertIn("delay='3'", self.virsh("net-dumpxml", "default"))

    def test_what_is_refused_says_why(self):
        self.assertIn("frowad", self.refused("net-define", self.file("<network><name>x</name><frowad/></network>")))
        self.start_default()
        same = DEFAULT.replace("default", "other").replace("virbr0", "virbr7")
        self.virsh("net-define", self.file(same))
        self.assertIn("Network is already in use by interface virbr0", self.refused("net-start", "other"))
        self.assertNotIn("virbr7", self.links())
        self.assertNotIn("virbr7", self.rules())
        self.assertIn("already in use", self.refused("net-define", self.file(DEFAULT.replace("default", "third"))))

    def test_updates(self):
        self.start_default()
        host = "<host mac='52:54:00:00:00:01' name='one' ip='192.168.122.50'/>"
        self.virsh("net-update", "default", "add", "ip-dhcp-host", host, "--live", "--config")
        self.assertIn("192.168.122.50", self.virsh("net-dumpxml", "default"))
        self.assertIn("192.168.122.50", self.virsh("net-dumpxml", "default", "--inactive"))
        self.assertTrue(any("192.168.122.50" in path.read_text() for path in self.daemon.root.rglob("run/warren/dnsmasq/*")
                            if path.is_file()), "dnsmasq is not told")
        self.assertIn("has a DHCP host with any of", self.refused("net-update", "default", "add", "ip-dhcp-host", host,
                                                                           "--live"))
        self.virsh("net-update", "default", "delete", "ip-dhcp-host", host, "--live")
        self.assertNotIn("192.168.122.50", self.virsh("net-dumpxml", "default"))
        self.virsh("net-update", "default", "add", "dns-host", "<host ip='192.168.122.9'><hostname>nine</hostname></host>", "--live")
        self.assertIn("nine", self.virsh("net-dumpxml", "default"))
        self.virsh("net-destroy", "default")
        self.assertNotIn("nine", self.virsh("net-dumpxml", "default"))

    def test_ports(self):
        self.start_default()
        self.virsh("net-port-create", "default", self.file(PORT))
        uuid = re.search(r"[0-9a-f-]{36}", self.virsh("net-port-list", "default"))[0]
        shown = self.virsh("net-port-dumpxml", "default", uuid)
        self.assertIn("<plug type='network' bridge='virbr0'/>", shown)
        self.assertIn("connections='1'", self.virsh("net-dumpxml", "default"))
        self.virsh("net-port-delete", "default", uuid)
        self.assertNotIn(uuid, self.virsh("net-port-list", "default"))
        # virsh says so and ends with 0.
        self.assertIn("failed to get network port", self.daemon.virsh("net-port-dumpxml", "default", uuid, check=False))

    def test_events(self):
        self.virsh("net-define", self.file(DEFAULT))
        with Terminal(["virsh", "-c", self.daemon.uri, "net-event", "--loop", "--event", "lifecycle"], limit=20) as terminal:
            time.sleep(0.5)
            self.virsh("net-start", "default")
            terminal.expect("event 'lifecycle' for network default: Started")
            self.virsh("net-destroy", "default")
            terminal.expect("event 'lifecycle' for network default: Stopped")

    def test_t15_networks_outlive_the_daemon(self):
        self.start_default()
        self.virsh("net-port-create", "default", self.file(PORT))
        before = self.virsh("net-dumpxml", "default")
        self.wait_until(lambda: self.servers(), "there is no dnsmasq")
        servers = self.servers()
        self.daemon.kill()
        self.daemon.in_network("nft", "flush", "ruleset")
        self.daemon.start()
        self.assertEqual(self.virsh("net-dumpxml", "default"), before)
        self.assertEqual(self.servers(), servers)
        self.assertIn("masquerade", self.rules())

    def test_t29_dnsmasq_that_dies_is_started_again(self):
        self.start_default()
        self.wait_until(lambda: self.servers(), "there is no dnsmasq")
        dead = self.servers()
        for process in dead:
            os.kill(process, signal.SIGKILL)
        self.wait_until(lambda: self.servers() and not set(self.servers()) & set(dead), "dnsmasq stays away")

    def test_a_domain_has_a_port_while_it_runs(self):
        self.start_default()
        define(self.daemon, "vm", "idle", devices="<interface type='network'><source network='default'/>"
                                                  "<mac address='52:54:00:aa:bb:cc'/><port isolated='yes'/></interface>")
        self.virsh("start", "vm")
        live = self.virsh("dumpxml", "vm")
        self.assertRegex(live, r"<source network='default' portid='[0-9a-f-]{36}' bridge='virbr0'/>")
        self.assertNotIn("portid", self.virsh("dumpxml", "vm", "--inactive"))
        self.assertRegex(self.virsh("domiflist", "vm"), r"vnet0\s+network\s+default\s+virtio\s+52:54:00:aa:bb:cc")
        self.assertIn("vnet0", self.daemon.in_network("ip", "-br", "link", "show", "master", "virbr0"))
        self.assertIn("isolated on", self.daemon.in_network("bridge", "-d", "link", "show", "dev", "vnet0"))
        self.assertIn("connections='1'", self.virsh("net-dumpxml", "default"))
        self.daemon.kill()
        self.daemon.start()
        self.assertIn("connections='1'", self.virsh("net-dumpxml", "default"))
        self.virsh("destroy", "vm")
        self.assertNotIn("connections", self.virsh("net-dumpxml", "default"))
        self.assertEqual(self.virsh("net-port-list", "default").count("52:54"), 0)

    def start_domain(self):
        self.start_default()
        define(self.daemon, "vm", "idle", devices="<interface type='network'><source network='default'/>"
                                                  "<mac address='52:54:00:aa:bb:cc'/><port isolated='yes'/></interface>")
        self.virsh("start", "vm")

    def is_plugged_in(self) -> bool:
        """With its port, and as it was."""
        return ("vnet0" in self.daemon.in_network("ip", "-br", "link", "show", "master", "virbr0", check=False)
                and "isolated on" in self.daemon.in_network("bridge", "-d", "link", "show", "dev", "vnet0")
                and "connections='1'" in self.virsh("net-dumpxml", "default"))

    def test_a_network_that_is_restarted_has_its_guests_again(self):
        self.start_domain()
        port = self.virsh("net-port-list", "default")
        self.virsh("net-destroy", "default")
        self.assertNotIn("master", self.daemon.in_network("ip", "link", "show", "vnet0"))
        self.virsh("net-start", "default")
        self.wait_until(self.is_plugged_in, "the guest's tap is in no bridge")
        self.assertEqual(self.virsh("net-port-list", "default"), port)
        self.virsh("destroy", "vm")
        self.assertNotIn("connections", self.virsh("net-dumpxml", "default"))

    def test_a_new_daemon_plugs_in_what_was_pulled_out(self):
        self.start_domain()
        self.daemon.kill()
        self.daemon.in_network("ip", "link", "set", "vnet0", "nomaster")
        self.daemon.start()
        self.wait_until(self.is_plugged_in, "the guest's tap is in no bridge")
        self.virsh("destroy", "vm")

    def test_interfaces_come_and_go(self):
        self.start_default()
        define(self.daemon, "vm", "idle")
        self.virsh("start", "vm")
        self.assertIn("Network not found", self.refused("attach-interface", "vm", "network", "missing", "--live"))
        self.virsh("attach-interface", "vm", "network", "default", "--mac", "52:54:00:aa:bb:01", "--live")
        self.assertIn("connections='1'", self.virsh("net-dumpxml", "default"))
        self.virsh("destroy", "vm")
        self.assertNotIn("connections", self.virsh("net-dumpxml", "default"))

    def test_promises_of_bandwidth(self):
        """What domiftune says of an interface is its network's to keep, up to its peak."""
        self.virsh("net-create", self.file("<network><name>shared</name><bridge name='virbr6'/><bandwidth>"
                                           "<inbound average='1000' peak='5000' burst='1024'/></bandwidth></network>"))
        define(self.daemon, "vm", "idle", devices="<interface type='network'><source network='shared'/></interface>")
        self.virsh("start", "vm")
        port = self.virsh("net-port-list", "shared").split()[0]
        tune = ("domiftune", "vm", "vnet0", "--live", "--inbound")
        self.virsh(*tune, "800,3000,100,4000")
        self.assertRegex(self.virsh("domiftune", "vm", "vnet0"), r"inbound\.floor\s*: 4000")
        self.assertIn("<inbound average='800' peak='3000' floor='4000' burst='100'/>",
                      self.virsh("net-port-dumpxml", "shared", port))
        classes = self.daemon.in_network("tc", "class", "show", "dev", "virbr6")
        self.assertRegex(classes, r"class htb 1:3 .* rate 32768Kbit")
        # What cannot be kept changes nothing.
        self.assertIn("it would overcommit 'peak' on network 'shared'", self.refused(*tune, "700,3000,100,5001"))
        self.assertRegex(self.virsh("domiftune", "vm", "vnet0"), r"inbound\.average\s*: 800[\s\S]*inbound\.floor\s*: 4000")
        self.assertIn("rate 6553600bit", self.daemon.in_network("tc", "class", "show", "dev", "vnet0")
                      .replace("6553Kbit", "6553600bit"))
        self.assertEqual(self.daemon.in_network("tc", "class", "show", "dev", "virbr6"), classes)
        self.virsh(*tune, "0,0,0,0")
        self.assertNotIn("bandwidth", self.virsh("net-port-dumpxml", "shared", port))
        self.assertNotIn("1:3", self.daemon.in_network("tc", "class", "show", "dev", "virbr6"))
        self.virsh("destroy", "vm")

    def test_a_network_that_is_not_active_holds_a_start_up(self):
        self.virsh("net-define", self.file(DEFAULT))
        define(self.daemon, "vm", "idle", devices="<interface type='network'><source network='default'/></interface>")
        self.assertIn("network 'default' is not active", self.refused("start", "vm"))

    def test_many_networks_leave_nothing(self):
        before = self.links()
        for i in range(40):
            self.virsh("net-create", self.file(f"<network><name>n{i}</name><forward mode='nat'/>"
                                               f"<ip address='10.77.{i}.1' prefix='24'><dhcp><range start='10.77.{i}.10' "
                                               f"end='10.77.{i}.20'/></dhcp></ip></network>"))
        self.assertEqual(len(self.links()), len(before) + 40)
        self.stop_networks()
        self.assertEqual(self.links(), before)
        self.assertNotIn("virbr", self.rules())
        self.wait_until(lambda: not self.servers(), "a dnsmasq stays")
        left = [path for folder in ("network", "dnsmasq") for path in self.daemon.root.glob(f"run/warren/{folder}/**/*")
                if path.is_file()]
        self.assertEqual([path.name for path in left if path.name != "autostarted" and "lock" not in path.name], [])


if __name__ == "__main__":
    require_daemon()
    tap.main()
