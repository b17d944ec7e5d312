#!/usr/bin/python3
"""A Debian guest on a virtual network: DHCP, DNS, the world behind NAT and not the other way, and what clean-traffic
holds back."""
# time limit: 900 s

import re
import subprocess
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fixtures import tap
from fixtures.linux_guest import LinuxGuest
from fixtures.warren_daemon import PrivateDaemon

NETWORK = """<network>
  <name>lab</name>
  <forward mode='nat'/>
  <bridge name='virbr5' stp='off' delay='0'/>
  <ip address='192.168.155.1' netmask='255.255.255.0'>
    <dhcp>
      <range start='192.168.155.10' end='192.168.155.99'/>
      <host mac='52:54:00:00:55:01' name='debian' ip='192.168.155.7'/>
    </dhcp>
  </ip>
</network>
"""
INTERFACE = """<interface type='network'>
  <mac address='52:54:00:00:55:01'/>
  <source network='lab'/>
  <model type='virtio'/>
</interface>
"""
FILTERED = INTERFACE.replace("<model", "<filterref filter='clean-traffic'/>\n  <model")
GUEST, HOST, OUTSIDE = "192.168.155.7", "192.168.155.1", "198.51.100.2"  # TEST-NET-2 (RFC 5737)
SCRIPT = ("printf '#!/bin/sh\\n[ \"$1\" = bound ] || exit 0\\nip address flush dev $interface\\n"
          "ip address add $ip/24 dev $interface\\nip route replace default via $router\\n' > /tmp/lease; chmod +x /tmp/lease")


def run(*words: str, check: bool = True) -> str:
    return subprocess.run(words, check=check, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60).stdout


class VirtualNetwork(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = PrivateDaemon()
        cls.addClassCleanup(cls.daemon.__exit__)
        cls.daemon.start()
        # The world: a name space that knows no way back into the virtual network.
        run("ip", "netns", "add", "world")
        cls.addClassCleanup(run, "ip", "netns", "delete", "world")
        run("ip", "link", "add", "uplink", "type", "veth", "peer", "name", "eth0", "netns", "world")
        run("ip", "address", "add", "198.51.100.1/24", "dev", "uplink")
        run("ip", "link", "set", "uplink", "up")
        run("ip", "-n", "world", "address", "add", f"{OUTSIDE}/24", "dev", "eth0")
        run("ip", "-n", "world", "link", "set", "eth0", "up")
        document = cls.daemon.root / "network.xml"
        document.write_text(NETWORK)
        cls.daemon.virsh("net-define", document)
        cls.daemon.virsh("net-start", "lab")
        cls.addClassCleanup(cls.daemon.virsh, "net-destroy", "lab")
        cls.guest = LinuxGuest(cls.daemon, devices=FILTERED)
        cls.guest.define()
        cls.console = cls.guest.start_with_console()
        cls.addClassCleanup(lambda: cls.console.close())
        cls.console.run(SCRIPT)
        cls.console.run("ip link set eth0 up; udhcpc -i eth0 -n -q -t 20 -s /tmp/lease", 120)

    def ping(self, address: str) -> bool:
        return "bytes from" in self.console.run(f"ping -c 2 -W 3 {address} || true", 60)

    def test_1_dhcp_and_dns(self):
        self.assertIn(GUEST, self.console.run("ip address show eth0"))
        self.assertIn(GUEST, self.daemon.virsh("domifaddr", "debian"))
        self.assertRegex(self.daemon.virsh("net-dhcp-leases", "lab"), rf"52:54:00:00:55:01\s+ipv4\s+{GUEST}/24\s+debian")
        self.assertIn(GUEST, self.console.run(f"nslookup debian {HOST} || true"))

    def test_2_who_reaches_whom(self):
        self.assertTrue(self.ping(HOST), "guest to host")
        self.assertTrue(self.ping(OUTSIDE), "guest to the world")
        self.assertIn("bytes from", run("ping", "-c", "2", "-W", "3", GUEST), "host to guest")
        run("ip", "-n", "world", "route", "add", "192.168.155.0/24", "via", "198.51.100.1")
        said = run("ip", "netns", "exec", "world", "ping", "-c", "2", "-W", "2", GUEST, check=False)
        run("ip", "-n", "world", "route", "delete", "192.168.155.0/24")
        self.assertNotIn("bytes from", said, "the world to guest")

    def test_3_rules_come_back(self):
        run("nft", "flush", "ruleset")
        self.console.close()
        self.daemon.kill()
        self.daemon.start()
        type(self).console = self.guest.console()
        self.assertTrue(self.ping(OUTSIDE), "after a flush and a new daemon")

    def test_4_clean_traffic_holds(self):
        """The guest has the right address, and tries others."""
        self.assertTrue(self.ping(HOST))
        self.console.run("ip address add 192.168.155.66/24 dev eth0")
        self.assertNotIn("bytes from", self.console.run(f"ping -c 2 -W 2 -I 192.168.155.66 {HOST} || true", 60),
                         "a spoofed IP address")
        self.console.run("ip address delete 192.168.155.66/24 dev eth0")
        self.assertTrue(self.ping(HOST), "an honest one, afterwards")
        self.console.run("ip link set eth0 down; ip link set eth0 address 52:54:00:00:55:99; ip link set eth0 up; "
                         f"ip route replace default via {HOST} || true")
        self.assertFalse(self.ping(HOST), "a spoofed hardware address")
        self.console.run("ip link set eth0 down; ip link set eth0 address 52:54:00:00:55:01; ip link set eth0 up")
        deadline = time.monotonic() + 60
        while not self.ping(HOST):
            self.assertLess(time.monotonic(), deadline, "an honest one, afterwards")

    def test_5_nothing_is_left(self):
        self.daemon.virsh("destroy", "debian")
        self.assertNotIn("connections", self.daemon.virsh("net-dumpxml", "lab"))
        self.assertEqual(self.daemon.virsh("nwfilter-binding-list"), "")
        self.assertFalse(re.search(r"vnet\d", run("ip", "link")))


if __name__ == "__main__":
    tap.main()
