#!/usr/bin/python3
# beside others
"""Every constellation of elements that libvirt documents for <network>, defined against the schema and started; and
what name spaces on its bridge reach then, in both families. What they are told by DHCP and DNS: network_service_test.py."""

import re
import socket
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from domains import require_daemon
from fixtures import tap
from fixtures.daemon_case import DaemonCase
from fixtures.network_hosts import Host, inside, wait_until
from fixtures.warren_daemon import PrivateDaemon

BRIDGE = "virbr5"
GUEST_MAC, OTHER_MAC = "52:54:00:00:05:01", "52:54:00:00:05:02"
IPV4 = """<ip address='192.168.55.1' netmask='255.255.255.0'>
    <dhcp><range start='192.168.55.100' end='192.168.55.199'/></dhcp>
  </ip>"""
IPV6 = "<ip family='ipv6' address='2001:db8:5:5::1' prefix='64'/>"


def network(body: str, head: str = "", name: str = "example", bridge: str = f"<bridge name='{BRIDGE}' stp='off'/>") -> str:
    return f"<network{head}>\n  <name>{name}</name>\n  {bridge}\n  {body}\n</network>\n"


class NetworkCase(DaemonCase):
    """A daemon whose host has a link `out0`, and a machine outside on it that knows no way to any guest."""

    def setUp(self):
        self.daemon = PrivateDaemon(own_network=True)
        self.daemon.__enter__()
        self.addCleanup(self.daemon.__exit__)
        self.keeper = int(self.daemon.inside()[1].split("/")[2])
        self.outside = self.host("out0", "52:54:00:00:05:f0", bridge="")
        for words in ("address add 10.72.0.1/24 dev out0", "address add 2001:db8:72::1/64 dev out0 nodad"):
            self.daemon.in_network("ip", *words.split())
        self.outside.address("10.72.0.2/24")
        self.outside.address("2001:db8:72::2/64")
        self.addCleanup(self.stop_all)

    def stop_all(self):
        for name in self.virsh("net-list", "--name").split():
            self.virsh("net-destroy", name)

    def host(self, port: str, mac: str, bridge: str = BRIDGE) -> Host:
        host = Host(self.keeper, port, mac, bridge)
        self.addCleanup(host.close)
        return host

    def start(self, body: str, **parts: str) -> str:
        """Defined, shown, and defined again from what was shown; then started. Returns what is shown while it runs."""
        self.virsh("net-define", self.file(network(body, **parts)), "--validate")
        shown = self.virsh("net-dumpxml", "example")
        self.virsh("net-define", self.file(shown), "--validate")
        self.assertEqual(self.virsh("net-dumpxml", "example"), shown)
        self.virsh("net-start", "example")
        return self.virsh("net-dumpxml", "example")

    def guests(self) -> tuple[Host, Host]:
        return self.host("guest1", GUEST_MAC), self.host("guest2", OTHER_MAC)

    def on_host(self, path: str) -> str:
        """A file of the host's name space: /proc/sys/net, or the setting of a link."""
        return self.daemon.in_network("cat", path).strip()

    def link(self, name: str = BRIDGE) -> str:
        return self.daemon.in_network("ip", "-d", "link", "show", "dev", name)

    def wait_for_address(self, guest: Host, prefix: str) -> str:
        wait_until(lambda: any(one.startswith(prefix) for one in guest.addresses()), f"no address in {prefix}")
        return next(one for one in guest.addresses() if one.startswith(prefix)).split("/")[0]


class Examples(NetworkCase):
    def test_nat_with_both_families(self):
        self.start(f"<forward mode='nat'/>{IPV4}{IPV6}")
        first, second = self.guests()
        given = first.lease()
        self.assertRegex(given["new_ip_address"], r"^192\.168\.55\.1\d\d$")
        self.assertEqual((given["new_routers"], given["new_domain_name_servers"]), ("192.168.55.1", "192.168.55.1"))
        own = self.wait_for_address(first, "2001:db8:5:5:")
        wait_until(lambda: first.default_routes(6), "no router is advertised")
        self.assertTrue(first.default_routes(6)[0].startswith("fe80:"))
        second.address("192.168.55.2/24", "192.168.55.1")
        # IPv4: translated on the way out, and nobody outside begins.
        self.assertEqual(first.source_seen(self.outside, "10.72.0.2")[0], "10.72.0.1")
        self.outside.address("10.72.0.3/24", "10.72.0.1")
        self.assertIsNone(self.outside.source_seen(first, given["new_ip_address"]))
        # IPv6: routed both ways, once the way back is known.
        self.assertIsNone(first.source_seen(self.outside, "2001:db8:72::2"))
        self.outside.run("ip", "route", "add", "2001:db8:5:5::/64", "via", "2001:db8:72::1")
        self.assertEqual(first.source_seen(self.outside, "2001:db8:72::2")[0], own)
        self.assertEqual(self.outside.source_seen(first, own)[0], "2001:db8:72::2")
        # Guests and the host, by their own addresses.
        self.assertEqual(first.source_seen(second, "192.168.55.2")[0], given["new_ip_address"])
        self.assertTrue(first.pings("192.168.55.1") and first.pings("2001:db8:5:5::1"))

    def test_nat_of_ipv6_and_of_ports(self):
        # The address of the subnet's routers, which is what the documented example gives the bridge.
        self.start(f"<forward mode='nat'><nat ipv6='yes'><port start='40000' end='40099'/></nat></forward>{IPV4}"
                   "<ip family='ipv6' address='fd55:1234:5678:5::' prefix='64'/>")
        first, _ = self.guests()
        first.lease()
        self.wait_for_address(first, "fd55:1234:5678:5:")
        wait_until(lambda: first.default_routes(6), "no router is advertised")
        for goal, source in (("10.72.0.2", "10.72.0.1"), ("2001:db8:72::2", "2001:db8:72::1")):
            address, port = first.source_seen(self.outside, goal)
            self.assertEqual(address, source)
            self.assertIn(port, range(40000, 40100))

    def test_nat_to_a_range_of_addresses(self):
        self.start(f"<forward mode='nat'><nat><address start='198.51.100.8' end='198.51.100.9'/></nat></forward>{IPV4}")
        self.outside.run("ip", "route", "add", "198.51.100.8/31", "via", "10.72.0.1")
        first, second = self.guests()
        first.address("192.168.55.2/24", "192.168.55.1")
        second.address("192.168.55.3/24", "192.168.55.1")
        for guest in (first, second):
            self.assertIn(guest.source_seen(self.outside, "10.72.0.2")[0], ("198.51.100.8", "198.51.100.9"))

    def test_routed_by_one_link(self):
        self.start(f"<forward mode='route' dev='out0'/>{IPV4}{IPV6}")
        elsewhere = self.host("out1", "52:54:00:00:05:f1", bridge="")
        self.daemon.in_network("ip", "address", "add", "10.73.0.1/24", "dev", "out1")
        elsewhere.address("10.73.0.2/24", "10.73.0.1")
        self.outside.run("ip", "route", "add", "192.168.55.0/24", "via", "10.72.0.1")
        self.outside.run("ip", "route", "add", "2001:db8:5:5::/64", "via", "2001:db8:72::1")
        first, _ = self.guests()
        first.address("192.168.55.2/24", "192.168.55.1")
        own = self.wait_for_address(first, "2001:db8:5:5:")
        wait_until(lambda: first.default_routes(6), "no router is advertised")
        for address, goal in (("192.168.55.2", "10.72.0.2"), (own, "2001:db8:72::2")):
            self.assertEqual(first.source_seen(self.outside, goal)[0], address)
            self.assertEqual(self.outside.source_seen(first, address)[0], goal)
        self.assertIsNone(first.source_seen(elsewhere, "10.73.0.2"))
        self.assertIsNone(elsewhere.source_seen(first, "192.168.55.2"))
        # To a network of another bridge, the way is another link, too.
        self.assertIn("out0", self.virsh("net-dumpxml", "example"))

    def test_open_has_no_rules(self):
        self.assertIn("not bound to an interface", self.refused(
            "net-define", self.file(network(f"<forward mode='open' dev='out0'/>{IPV4}"))))
        before = self.daemon.in_network("nft", "list", "ruleset")
        self.start(f"<forward mode='open'/>{IPV4}{IPV6}")
        self.assertEqual(self.daemon.in_network("nft", "list", "ruleset"), before)
        self.outside.run("ip", "route", "add", "192.168.55.0/24", "via", "10.72.0.1")
        first, _ = self.guests()
        given = first.lease()
        self.assertEqual(first.source_seen(self.outside, "10.72.0.2")[0], given["new_ip_address"])
        self.assertEqual(self.outside.source_seen(first, given["new_ip_address"])[0], "10.72.0.2")

    def test_isolated(self):
        self.start(f"{IPV4}{IPV6}")
        self.outside.address("10.72.0.3/24", "10.72.0.1")
        first, second = self.guests()
        given, other = first.lease(), second.lease()
        self.assertNotIn("new_routers", given)
        own = self.wait_for_address(first, "2001:db8:5:5:")
        other6 = self.wait_for_address(second, "2001:db8:5:5:")
        self.assertEqual(first.source_seen(second, other["new_ip_address"])[0], given["new_ip_address"])
        self.assertEqual(first.source_seen(second, other6)[0], own)
        self.assertTrue(first.pings("192.168.55.1") and first.pings("2001:db8:5:5::1"))
        # Nothing leads outside: no router is told of, and nothing is forwarded where a guest takes the host for one.
        self.assertEqual((first.default_routes(4), first.default_routes(6)), ([], []))
        first.run("ip", "route", "add", "10.72.0.0/24", "via", "192.168.55.1")
        self.assertIsNone(first.source_seen(self.outside, "10.72.0.2"))
        self.assertIsNone(self.outside.source_seen(first, given["new_ip_address"]))

    def test_without_any_address(self):
        shown = self.start("<mac address='00:16:3e:05:05:05'/>", head=" ipv6='yes'")
        self.assertIn("<network ipv6='yes'>", shown)
        self.assertIn("00:16:3e:05:05:05", self.link())
        first, second = self.guests()
        for guest, number in ((first, 1), (second, 2)):
            guest.address(f"10.55.0.{number}/24")
            guest.address(f"2001:db8:5:6::{number}/64")
        self.assertEqual(first.source_seen(second, "10.55.0.2")[0], "10.55.0.1")
        self.assertEqual(first.source_seen(second, "2001:db8:5:6::2")[0], "2001:db8:5:6::1")
        # The host is not among them, by no address of either family.
        self.assertEqual(self.daemon.in_network("ip", "-o", "address", "show", "dev", BRIDGE), "")

    def test_several_subnets(self):
        self.start(f"<forward mode='nat'/>{IPV4}{IPV6}<ip family='ipv4' address='172.21.5.17' prefix='28'/>"
                   "<ip address='192.168.56.1' netmask='255.255.255.0'/>"
                   "<ip family='ipv6' address='2001:db8:5:7::1' prefix='64'/>")
        first, second = self.guests()
        first.lease()
        self.wait_for_address(first, "2001:db8:5:5:")
        self.wait_for_address(first, "2001:db8:5:7:")
        second.address("172.21.5.18/28", "172.21.5.17")
        self.assertEqual(second.source_seen(self.outside, "10.72.0.2")[0], "10.72.0.1")
        self.assertTrue(second.pings("192.168.56.1"))
        self.assertTrue(first.pings("172.21.5.18"))
        # What belongs to none of them is not forwarded.
        second.run("ip", "address", "flush", "dev", "eth0", "scope", "global")
        second.address("172.22.0.2/24")
        second.run("ip", "route", "add", "default", "via", "172.21.5.17", "dev", "eth0", "onlink")
        self.assertIsNone(second.source_seen(self.outside, "10.72.0.2"))

    def test_static_routes_behind_a_guest(self):
        self.start(f"""<forward mode='route'/>{IPV4}{IPV6}
          <route address='192.168.57.0' prefix='24' gateway='192.168.55.2'/>
          <route family='ipv4' address='192.168.58.0' netmask='255.255.255.0' gateway='192.168.55.2' metric='7'/>
          <route family='ipv6' address='2001:db8:5:8::' prefix='64' gateway='2001:db8:5:5::2'/>
          <route family='ipv6' address='2001:db8:5:9::' prefix='64' gateway='2001:db8:5:5::2' metric='2'/>""")
        routes = self.daemon.in_network("ip", "route") + self.daemon.in_network("ip", "-6", "route")
        self.assertRegex(routes, rf"192\.168\.57\.0/24 via 192\.168\.55\.2 dev {BRIDGE} proto static metric 1 ")
        self.assertRegex(routes, rf"192\.168\.58\.0/24 via 192\.168\.55\.2 dev {BRIDGE} proto static metric 7 ")
        self.assertRegex(routes, rf"2001:db8:5:9::/64 via 2001:db8:5:5::2 dev {BRIDGE} proto static metric 2 ")
        guest = self.host("guest1", GUEST_MAC)
        guest.address("192.168.55.2/24")
        guest.address("2001:db8:5:5::2/64")
        for hidden in ("192.168.57.9/24", "192.168.58.9/24", "2001:db8:5:8::9/64", "2001:db8:5:9::9/64"):
            guest.run("ip", "address", "add", hidden, "dev", "lo", *(["nodad"] if ":" in hidden else []))
            with guest.listen(7100), inside(self.keeper):
                socket.create_connection((hidden.split("/")[0], 7100), timeout=5).close()
        self.assertIn("is in no network of an <ip>", self.refused("net-define", self.file(network(
            f"{IPV4}<route address='192.168.57.0' prefix='24' gateway='192.168.99.2'/>", name="other", bridge=""))))

    def test_a_bridge_that_is_there(self):
        self.daemon.in_network("ip", "link", "add", "br9", "type", "bridge", "stp_state", "0")
        self.daemon.in_network("ip", "link", "set", "br9", "up")
        before = self.daemon.in_network("nft", "list", "ruleset")
        self.start("<forward mode='bridge'/><port isolated='yes'/>", bridge="<bridge name='br9'/>")
        first, second = self.host("guest1", GUEST_MAC, "br9"), self.host("guest2", OTHER_MAC, "br9")
        first.address("10.9.0.1/24")
        second.address("10.9.0.2/24")
        self.assertEqual(first.source_seen(second, "10.9.0.2")[0], "10.9.0.1")
        self.assertEqual(self.daemon.in_network("nft", "list", "ruleset"), before)
        self.virsh("net-destroy", "example")
        self.assertIn("br9", self.link("br9"))

    def test_a_pool_of_links(self):
        for name in ("pool0", "pool1"):
            self.daemon.in_network("ip", "link", "add", name, "type", "veth", "peer", "name", f"{name}-far")
        pool = "<interface dev='pool0'/><interface dev='pool1'/>"
        port = "<networkport><owner><name>vm</name><uuid>{}</uuid></owner><mac address='52:54:00:00:06:0{}'/></networkport>"
        uuid = "99999999-2222-3333-4444-55555555555"
        for mode in ("bridge", "private", "vepa", "passthrough"):
            self.start(f"<forward mode='{mode}'>{pool}</forward>", bridge="")
            taken = []
            for i in range(2):
                self.virsh("net-port-create", "example", self.file(port.format(f"{uuid}{i}", i)))
            for line in self.virsh("net-port-list", "example").split():
                shown = self.virsh("net-port-dumpxml", "example", line)
                taken.append(re.search(rf"<plug type='direct' dev='(pool\d)' mode='{mode}'/>", shown)[1])
            self.assertEqual(sorted(taken), ["pool0", "pool1"])
            self.assertEqual(len(re.findall(r"dev='pool\d' connections='1'", self.virsh("net-dumpxml", "example"))), 2)
            if mode == "passthrough":  # a link is one guest's there
                self.assertRegex(self.refused("net-port-create", "example", self.file(port.format(f"{uuid}7", 7))),
                                 "pool|interface")
            self.virsh("net-destroy", "example")
            self.virsh("net-undefine", "example")

    def test_what_the_bridge_is_told(self):
        shown = self.start(f"<mtu size='9000'/><mac address='52:54:00:05:00:99'/>{IPV4}",
                           bridge=f"<bridge name='{BRIDGE}' stp='on' delay='4'/>")
        self.assertIn(f"<bridge name='{BRIDGE}' stp='on' delay='4'/>", shown)
        link = self.link()
        for said in ("mtu 9000", "52:54:00:05:00:99", "stp_state 1", "forward_delay 400 "):
            self.assertIn(said, link)
        # The MTU holds whatever comes to the bridge with a smaller one.
        guest = self.host("guest1", GUEST_MAC)
        self.assertIn("mtu 9000", self.link())
        wait_until(lambda: "state forwarding" in self.daemon.in_network("bridge", "link", "show", "dev", "guest1"),
                   "the port does not forward")
        self.assertEqual(guest.lease("4", "request subnet-mask, interface-mtu;")["new_interface_mtu"], "9000")

    def test_who_keeps_the_table_of_addresses(self):
        """Where the kernel's bridges can tell VLANs apart; else the start is refused by name."""
        self.virsh("net-define", self.file(network(IPV4, bridge=f"<bridge name='{BRIDGE}' macTableManager='libvirt'/>")))
        self.daemon.in_network("ip", "link", "add", "br8", "type", "bridge")
        self.daemon.in_network("ip", "link", "set", "br8", "type", "bridge", "vlan_filtering", "1", check=False)
        if "vlan_filtering 1" not in self.link("br8"):
            self.assertIn("CONFIG_BRIDGE_VLAN_FILTERING", self.refused("net-start", "example"))
            self.assertEqual(self.daemon.in_network("ip", "link", "show", "dev", BRIDGE, check=False), "")
            return
        self.virsh("net-start", "example")
        self.assertIn("vlan_filtering 1", self.link())

    def test_bandwidth_of_a_network(self):
        self.start(f"<bandwidth><inbound average='1000' peak='2000' burst='200'/></bandwidth>{IPV4}")
        guest = self.host("guest1", GUEST_MAC)
        guest.address("192.168.55.2/24")
        amount = 2_000_000
        with guest.listen(7200) as listener:
            with inside(self.keeper):
                sender = socket.create_connection(("192.168.55.2", 7200), timeout=5)
            with sender, listener.accept()[0] as receiver:
                sender.settimeout(30)
                begin, got = time.monotonic(), 0
                sender.setblocking(False)
                data = memoryview(bytes(amount))
                while got < amount:
                    try:
                        data = data[sender.send(data):] if data else data
                    except BlockingIOError:
                        pass
                    got += len(receiver.recv(65536)) if got < amount else 0
                rate = amount / (time.monotonic() - begin) / 1024  # KiB/s
        # Nothing is faster than `peak`, and what is long enough has `average`.
        self.assertGreater(rate, 700)
        self.assertLess(rate, 2100)

    def test_who_may_have_what(self):
        """Refused by name: each element where its network has no use for it."""
        for body, said in (
                (f"<forward mode='bridge'/>{IPV4}", "<ip>|/ip"), ("<forward mode='bridge'/><mtu size='9000'/>", "mtu"),
                ("<forward mode='private'><interface dev='out0'/></forward><bandwidth><inbound average='1'/></bandwidth>",
                 "bandwidth"),
                ("<forward mode='nat'/>", "needs <ip>"),
                (f"<forward mode='route'><nat ipv6='yes'/></forward>{IPV4}", "only a network of mode 'nat'"),
                (f"<forward mode='vpn'/>{IPV4}", "vpn"),
                (f"{IPV4}<ip address='192.168.59.1' prefix='24'><dhcp><range start='192.168.59.2' end='192.168.59.9'/>"
                 "</dhcp></ip>", "<dhcp> is for one IPv4 address"),
                ("<ip family='ipv6' address='2001:db8:5:5::1' prefix='64'><dhcp>"
                 "<range start='2001:db8:5:5::100' end='2001:db8:5::1ff'/></dhcp></ip>", "range"),
                ("<ip family='ipv6' address='2001:db8:5:5::1' prefix='64'><tftp root='/srv'/></ip>", "tftp"),
                ("<forward mode='passthrough'><interface dev='out0'/></forward><bridge name='b'/>", "bridge"),
        ):
            with self.subTest(body):
                self.assertRegex(self.refused("net-define", self.file(network(body, bridge=""))), said)
        self.assertEqual(self.virsh("net-list", "--all", "--name"), "")


if __name__ == "__main__":
    require_daemon()
    tap.main()
