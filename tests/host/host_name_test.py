#!/usr/bin/python3
# beside others
"""Guests' names on the host: Debian's libnss-libvirt, unchanged, on what the daemon writes. The module looks in one
place only; a private mount name space puts the daemon's directory there."""

import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from domains import require_daemon
from fixtures import tap
from fixtures.network_hosts import wait_until
from network_example_test import GUEST_MAC, NetworkCase

PLACE = "/var/lib/libvirt/dnsmasq"
PORT = """<networkport><owner><name>vm</name><uuid>99999999-2222-3333-4444-555555555555</uuid></owner>
  <mac address='52:54:00:00:05:01'/></networkport>"""
BODY = """<ip address='192.168.55.1' netmask='255.255.255.0'>
    <dhcp><range start='192.168.55.100' end='192.168.55.199'/></dhcp></ip>
  <ip family='ipv6' address='2001:db8:5:5::1' prefix='64'><dhcp><host name='one' ip='2001:db8:5:5::11'/></dhcp></ip>"""


class HostNames(NetworkCase):
    def resolve(self, name: str, service: str = "libvirt", family: str = "ahosts") -> list[str]:
        """The addresses that getent(1) has for a name by one service of the name service switch."""
        # A tmpfs, since the place need not be there; what is mounted ends with the command.
        script = ('mount -t tmpfs none /var/lib/libvirt 2>/dev/null || { mkdir -p /var/lib/libvirt && '
                  'mount -t tmpfs none /var/lib/libvirt; }; mkdir "$1" && mount --bind "$2" "$1" && '
                  'exec getent -s "$3" "$4" "$5"')
        done = subprocess.run(["unshare", "--mount", "sh", "-c", script, "sh", PLACE, self.directory, service, family, name],
                              capture_output=True, text=True, timeout=30)
        self.assertIn(done.returncode, (0, 2), done.stderr)  # 2: there is none
        found = {line.split()[0] for line in done.stdout.splitlines()}
        return sorted(one for one in found if not one.startswith("::ffff:"))  # IPv4 in the clothes of IPv6

    @property
    def directory(self) -> Path:
        return self.daemon.root / PLACE.lstrip("/")

    def test_a_guest_and_its_domain_have_names(self):
        self.start(BODY)
        first, second = self.guests()
        wait_until(lambda: list(self.directory.glob("*.status")), "there is no file of leases")
        self.assertEqual(self.resolve("one"), [])
        address = first.lease("4", 'send host-name "one";')["new_ip_address"]
        wait_until(lambda: self.resolve("one") == [address], "the guest has no name")
        self.assertEqual(self.resolve("one", family="ahostsv6"), [])
        wait_until(lambda: "fe80" in first.run("ip", "-o", "-6", "address", "show", "dev", "eth0"), "no address of the link")
        self.assertEqual(first.lease("6", 'send fqdn.fqdn "one";', "0:4:1:2:3:4:5:6:7:8:9:a:b:c:d:e:f:10")["new_ip6_address"],
                         "2001:db8:5:5::11")
        wait_until(lambda: self.resolve("one", family="ahostsv6") == ["2001:db8:5:5::11"], "no name of IPv6")
        # The domain's name is another: its cards are known by its ports.
        self.assertEqual(self.resolve("vm", "libvirt_guest"), [])
        self.virsh("net-port-create", "example", self.file(PORT))
        wait_until(lambda: address in self.resolve("vm", "libvirt_guest"), "the domain has no name")
        port = self.virsh("net-port-list", "example").split()[0]
        self.virsh("net-port-delete", "example", port)
        wait_until(lambda: self.resolve("vm", "libvirt_guest") == [], "the domain still has a name")
        # A guest without a name, and one more lease, spoil nothing.
        self.assertTrue(second.lease())
        self.assertEqual(self.resolve("one", family="ahostsv4"), [address])
        # They outlive the daemon, as the network does, and end with the network.
        self.daemon.kill()
        self.assertEqual(self.resolve("one", family="ahostsv4"), [address])
        self.daemon.start()
        self.assertEqual(self.resolve("one", family="ahostsv4"), [address])
        self.virsh("net-destroy", "example")
        wait_until(lambda: not list(self.directory.iterdir()), "files stay")

    def test_files_of_others_and_of_networks_that_are_gone(self):
        self.start(BODY)
        wait_until(lambda: list(self.directory.glob("warren-*.macs")), "there is no file of cards")
        (self.directory / "virbr9.status").write_text("[]\n")
        self.daemon.kill()
        self.daemon.in_network("ip", "link", "del", "virbr5")
        self.daemon.start()
        wait_until(lambda: [path.name for path in self.directory.iterdir()] == ["virbr9.status"], "files stay")

    def test_switched_off(self):
        configuration = self.daemon.root / "etc/warren/warren.conf"
        configuration.parent.mkdir(parents=True, exist_ok=True)
        configuration.write_text("publish_host_names = 0\n")
        self.daemon.kill()
        self.daemon.start()
        self.start(BODY)
        self.host("guest1", GUEST_MAC).lease()
        self.assertFalse(self.directory.exists())


if __name__ == "__main__":
    require_daemon()
    tap.main()
