#!/usr/bin/python3
# beside others
"""What a network's guests are told: addresses and options by DHCP and DHCPv6, names by DNS, boot files by TFTP. Stock
clients (dhclient, dig) ask, in name spaces on its bridge."""

import socket
import struct
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from domains import require_daemon
from fixtures import tap
from fixtures.network_hosts import NameServer, wait_until
from network_example_test import BRIDGE, GUEST_MAC, IPV6, OTHER_MAC, NetworkCase, network

SERVER, SERVER6 = "192.168.55.1", "2001:db8:5:5::1"
UUID_DUID = "0:4:7e:7d:f0:7d:a8:bc:c5:d2:13:32:11:ed:16:ea:84:63"


def ip(inner: str = "", more: str = "") -> str:
    return f"<ip address='{SERVER}' netmask='255.255.255.0'{more}>{inner}</ip>"


def dhcp(inner: str) -> str:
    return ip(f"<dhcp><range start='192.168.55.100' end='192.168.55.199'/>{inner}</dhcp>")


def ip6(inner: str, more: str = "") -> str:
    return f"<ip family='ipv6' address='{SERVER6}' prefix='64'{more}>{inner}</ip>"


class Addresses(NetworkCase):
    def test_hosts_that_are_known(self):
        self.start("<domain name='example.test'/>" + dhcp(f"""
            <host mac='{GUEST_MAC}' name='one.example.test' ip='192.168.55.10'><lease expiry='30' unit='minutes'/></host>
            <host mac='{OTHER_MAC.upper()}' ip='192.168.55.11'><lease expiry='0'/></host>
            <host name='byname' ip='192.168.55.12'/>"""))
        first, second = self.guests()
        third = self.host("guest3", "52:54:00:00:05:03")
        given = first.lease("4", "request subnet-mask, routers, domain-name, host-name, domain-name-servers;")
        self.assertEqual((given["new_ip_address"], given["new_dhcp_lease_time"], given["new_domain_name"]),
                         ("192.168.55.10", "1800", "example.test"))
        self.assertEqual(given["new_host_name"], "one")
        given = second.lease()
        self.assertEqual((given["new_ip_address"], given["new_dhcp_lease_time"]), ("192.168.55.11", str(0xffffffff)))
        given = third.lease("4", 'send host-name "byname";')
        self.assertEqual((given["new_ip_address"], given["new_dhcp_lease_time"]), ("192.168.55.12", "3600"))
        # Their names, with and without the domain, and back again.
        for name, address in (("one", "192.168.55.10"), ("one.example.test", "192.168.55.10"), ("byname", "192.168.55.12")):
            self.assertEqual(first.ask(SERVER, name), [address], name)
        self.assertEqual(first.ask(SERVER, "10.55.168.192.in-addr.arpa", "PTR"), ["one.example.test."])
        leases = self.virsh("net-dhcp-leases", "example")
        self.assertRegex(leases, rf"ipv4\s+192\.168\.55\.10/24\s+one\s")
        only = self.virsh("net-dhcp-leases", "example", "--mac", "52:54:00:00:05:03")
        self.assertIn("192.168.55.12/24", only)
        self.assertEqual(only.count("ipv4"), 1)
        self.assertEqual(self.virsh("net-dhcp-leases", "example", "--mac", "52:54:00:00:05:77"), "")

    def test_times_and_ranges(self):
        self.start(ip("<dhcp><range start='192.168.55.100' end='192.168.55.100'><lease expiry='2' unit='hours'/></range>"
                      "<range start='192.168.55.110' end='192.168.55.110'><lease expiry='600' unit='seconds'/></range>"
                      "</dhcp>"))
        first, second = self.guests()
        third = self.host("guest3", "52:54:00:00:05:03")
        given = sorted((said["new_ip_address"], said["new_dhcp_lease_time"]) for said in (first.lease(), second.lease()))
        self.assertEqual(given, [("192.168.55.100", "7200"), ("192.168.55.110", "600")])
        self.assertEqual(third.lease(), {})
        self.assertIn("two minutes", self.refused("net-define", self.file(network(ip(
            "<dhcp><range start='192.168.55.100' end='192.168.55.110'><lease expiry='1'/></range></dhcp>"), name="other",
            bridge=""))))

    def test_only_hosts_that_are_known(self):
        self.start(ip(f"<dhcp><host mac='{GUEST_MAC}' ip='192.168.55.10'/></dhcp>"))
        first, second = self.guests()
        self.assertEqual(first.lease()["new_ip_address"], "192.168.55.10")
        self.assertEqual(second.lease(), {})

    def test_hosts_of_ipv6_by_name_and_by_each_kind_of_identifier(self):
        mac = GUEST_MAC.replace("52:54:00:00", "0:16:3e:44")
        times, link = f"0:1:0:1:18:aa:62:fe:{mac}", f"0:3:0:1:{mac}"
        for forward in ("<forward mode='route'/>", ""):
            with self.subTest(forward):
                self.start(forward + ip6(f"""<dhcp><host name='paul' ip='2001:db8:5:5:6::1'/>
                    <host id='{times}' ip='2001:db8:5:5:6::2'/><host id='{link}' name='ralph' ip='2001:db8:5:5:6::3'/>
                    <host id='{UUID_DUID}' name='bob' ip='2001:db8:5:5:6::4'/></dhcp>"""))
                guest = self.host("guest1", GUEST_MAC)
                wait_until(lambda: any(one.startswith("fe80") for one in guest.run(
                    "ip", "-o", "-6", "address", "show", "dev", "eth0").split()), "no address of the link")
                for number, duid in ((2, times), (3, link), (4, UUID_DUID)):
                    self.assertEqual(guest.lease("6", duid=duid).get("new_ip6_address"), f"2001:db8:5:5:6::{number}")
                given = guest.lease("6", 'send fqdn.fqdn "paul";', "0:3:0:1:0:16:3e:1:2:3")
                self.assertEqual(given.get("new_ip6_address"), "2001:db8:5:5:6::1")
                self.assertEqual(given.get("new_dhcp6_name_servers"), SERVER6)
                # Who is not among them gets nothing.
                self.assertEqual(guest.lease("6", duid="0:3:0:1:0:16:3e:9:9:9"), {})
                self.assertEqual(guest.ask(SERVER6, "ralph", "AAAA"), ["2001:db8:5:5:6::3"])
                leases = self.virsh("net-dhcp-leases", "example")
                self.assertRegex(leases, r"ipv6\s+2001:db8:5:5:6::4/64\s+bob\s+" + "00:04:7e")
                wait_until(lambda: guest.default_routes(6) or not forward, "no router is advertised")
                self.assertEqual(bool(guest.default_routes(6)), bool(forward))
                guest.close()
                self.virsh("net-destroy", "example")
                self.virsh("net-undefine", "example")

    def test_a_range_of_ipv6(self):
        self.start("<forward mode='nat'/>" + dhcp("") + ip6(
            "<dhcp><range start='2001:db8:5:5:1::10' end='2001:db8:5:5:1::ff'/></dhcp>"))
        guest = self.host("guest1", GUEST_MAC)
        wait_until(lambda: guest.default_routes(6), "no router is advertised")
        self.assertRegex(guest.lease("6")["new_ip6_address"], r"^2001:db8:5:5:1::[1-9a-f][0-9a-f]$")
        # The router says that addresses are DHCP's: the guest makes none itself.
        self.assertEqual([one for one in guest.addresses() if one.startswith("2001:db8:5:5:") and "/64" in one], [])
        self.assertTrue(guest.pings(SERVER6))

    def test_changes_while_it_runs(self):
        self.start(dhcp(""))
        first, second = self.guests()
        self.virsh("net-update", "example", "add", "ip-dhcp-host", f"<host mac='{GUEST_MAC}' ip='192.168.55.20'/>", "--live")
        self.assertEqual(first.lease()["new_ip_address"], "192.168.55.20")
        self.virsh("net-update", "example", "modify", "ip-dhcp-host", f"<host mac='{GUEST_MAC}' ip='192.168.55.21'/>", "--live")
        first.run("ip", "address", "flush", "dev", "eth0", "scope", "global")
        self.assertEqual(first.lease()["new_ip_address"], "192.168.55.21")
        self.virsh("net-update", "example", "delete", "ip-dhcp-range",
                   "<range start='192.168.55.100' end='192.168.55.199'/>", "--live")
        self.assertEqual(second.lease(), {})


class Boot(NetworkCase):
    def fetch(self, server: str, name: str) -> bytes:
        """One read by TFTP (RFC 1350) of a short file."""
        asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with asking:
            asking.settimeout(5)
            asking.sendto(struct.pack("!H", 1) + name.encode() + b"\0octet\0", (server, 69))
            answer, peer = asking.recvfrom(2048)
            kind, number = struct.unpack("!HH", answer[:4])
            if kind != 3:
                raise OSError(answer[4:-1].decode())
            asking.sendto(struct.pack("!HH", 4, number), peer)
            return answer[4:]

    def test_a_file_from_the_network_itself(self):
        root = self.daemon.root / "tftp"
        root.mkdir(mode=0o755)
        (root / "boot.efi").write_bytes(b"of the network")
        (root / "boot.efi").chmod(0o644)
        self.start(ip(f"<tftp root='{root}'/><dhcp><range start='192.168.55.100' end='192.168.55.199'/>"
                      "<bootp file='boot.efi'/></dhcp>"))
        guest = self.host("guest1", GUEST_MAC)
        given = guest.lease("4", "request subnet-mask, bootfile-name, tftp-server-name;")
        self.assertEqual(given.get("new_filename") or given.get("new_bootfile_name"), "boot.efi")
        self.assertEqual(given["new_next_server"], SERVER)
        with guest.inside():
            self.assertEqual(self.fetch(given["new_next_server"], "boot.efi"), b"of the network")
            with self.assertRaises(OSError):
                self.fetch(SERVER, "../daemon.log")

    def test_a_file_from_another_server(self):
        self.start(dhcp("<bootp file='pxelinux.0' server='192.168.55.77'/>"))
        given = self.host("guest1", GUEST_MAC).lease("4", "request subnet-mask, bootfile-name;")
        self.assertEqual(given.get("new_filename") or given.get("new_bootfile_name"), "pxelinux.0")
        self.assertEqual(given["new_next_server"], "192.168.55.77")


class Names(NetworkCase):
    def test_records_of_the_network(self):
        self.start("""<domain name='example.test'/><dns>
            <txt name='note' value='one, two; "three"'/>
            <host ip='192.168.55.40'><hostname>mine</hostname><hostname>alias.example.test</hostname></host>
            <host ip='2001:db8:5:5::40'><hostname>mine</hostname></host>
            <srv service='ldap' protocol='tcp' domain='example.test' target='mine.example.test' port='1389' priority='7'
                 weight='9'/>
            <srv service='sip' protocol='udp'/>
          </dns>""" + dhcp("") + IPV6)
        guest = self.host("guest1", GUEST_MAC)
        guest.lease()
        self.assertEqual(guest.ask(SERVER, "note", "TXT"), [r'"one, two; \"three\""'])
        self.assertEqual(guest.ask(SERVER, "mine"), ["192.168.55.40"])
        self.assertEqual(guest.ask(SERVER, "mine.example.test", "AAAA"), ["2001:db8:5:5::40"])
        self.assertEqual(guest.ask(SERVER, "alias.example.test"), ["192.168.55.40"])
        self.assertEqual(guest.ask(SERVER, "40.55.168.192.in-addr.arpa", "PTR"), ["mine.example.test."])
        self.assertEqual(guest.ask(SERVER, "_ldap._tcp.example.test", "SRV"), ["7 9 1389 mine.example.test."])
        # Over IPv6, too.
        self.wait_for_address(guest, "2001:db8:5:5:")
        self.assertEqual(guest.ask(SERVER6, "mine"), ["192.168.55.40"])
        # And as they change.
        self.virsh("net-update", "example", "add", "dns-txt", "<txt name='later' value='yes'/>", "--live")
        self.virsh("net-update", "example", "delete", "dns-host", "<host ip='192.168.55.40'/>", "--live")
        self.virsh("net-update", "example", "add", "dns-srv",
                   "<srv service='new' protocol='tcp' domain='example.test' target='t.example.test' port='5'/>", "--live")
        wait_until(lambda: guest.ask(SERVER, "later", "TXT") == ['"yes"'], "the record is not served")
        self.assertEqual(guest.ask(SERVER, "alias.example.test"), [])
        self.assertEqual(guest.ask(SERVER, "_new._tcp.example.test", "SRV"), ["0 0 5 t.example.test."])

    def test_whom_questions_are_forwarded_to(self):
        with NameServer(self.outside) as outside, NameServer(self.second_server()) as special:
            self.start("""<forward mode='nat'/><domain name='inner.test' localOnly='yes'/>
                <dns forwardPlainNames='no'><forwarder addr='10.72.0.2'/><forwarder domain='special.test' addr='10.73.0.2'/>
                <forwarder domain='here.test'/></dns>""" + ip("", " localPtr='yes'"))
            guest = self.host("guest1", GUEST_MAC)
            guest.address("192.168.55.2/24")
            self.assertEqual(guest.ask(SERVER, "www.world.test"), ["192.0.2.53"])
            self.assertEqual(guest.ask(SERVER, "a.special.test"), ["192.0.2.53"])
            for name in ("nobody.inner.test", "plain"):
                self.assertEqual(guest.ask(SERVER, name), [], name)
            self.assertEqual(guest.ask(SERVER, "77.55.168.192.in-addr.arpa", "PTR"), [])
            guest.ask(SERVER, "77.56.168.192.in-addr.arpa", "PTR")
            self.assertEqual(special.asked, ["a.special.test"])
            self.assertEqual(set(outside.asked), {"www.world.test", "77.56.168.192.in-addr.arpa"})

    def second_server(self):
        server = self.host("out1", "52:54:00:00:05:f1", bridge="")
        self.daemon.in_network("ip", "address", "add", "10.73.0.1/24", "dev", "out1")
        server.address("10.73.0.2/24")
        return server

    def test_plain_names_and_those_of_the_domain_are_forwarded_else(self):
        with NameServer(self.outside) as outside:
            self.start("<forward mode='nat'/><domain name='inner.test'/><dns><forwarder addr='10.72.0.2'/></dns>" + ip())
            guest = self.host("guest1", GUEST_MAC)
            guest.address("192.168.55.2/24")
            for name in ("nobody.inner.test", "plain"):
                self.assertEqual(guest.ask(SERVER, name), ["192.0.2.53"], name)
            guest.ask(SERVER, "77.55.168.192.in-addr.arpa", "PTR")
            self.assertEqual(outside.asked, ["nobody.inner.test", "plain", "77.55.168.192.in-addr.arpa"])

    def test_no_name_server(self):
        self.start("<dns enable='no'/>" + dhcp(""))
        guest = self.host("guest1", GUEST_MAC)
        given = guest.lease()
        self.assertNotIn("new_domain_name_servers", given)
        with self.assertRaises(ConnectionRefusedError):
            guest.connect(SERVER, 53)
        self.assertIn("enable", self.refused("net-define", self.file(network(
            "<dns enable='no'><txt name='a' value='b'/></dns>" + ip(), name="other", bridge=""))))

    def test_lines_for_dnsmasq_itself(self):
        head = " xmlns:dnsmasq='http://libvirt.org/schemas/network/dnsmasq/1.0'"
        options = ("<dnsmasq:options><dnsmasq:option value='cname=www.shop.test,main.shop.test'/>"
                   "<dnsmasq:option value='host-record=main.shop.test,192.168.55.60'/></dnsmasq:options>")
        shown = self.start(ip() + options, head=head)
        self.assertIn("<dnsmasq:option value='cname=www.shop.test,main.shop.test'/>", shown)
        guest = self.host("guest1", GUEST_MAC)
        guest.address("192.168.55.2/24")
        self.assertEqual(guest.ask(SERVER, "www.shop.test")[-1], "192.168.55.60")
        self.virsh("net-destroy", "example")
        self.virsh("net-undefine", "example")
        # What dnsmasq does not know is its own to say; the network does not start, and nothing stays.
        self.virsh("net-define", self.file(network(ip() + "<dnsmasq:options><dnsmasq:option value='foo=bar'/>"
                                                   "</dnsmasq:options>", head=head)))
        self.assertRegex(self.refused("net-start", "example"), "bad option")
        self.assertNotIn(BRIDGE, self.daemon.in_network("ip", "link"))
        self.assertNotIn(BRIDGE, self.daemon.in_network("nft", "list", "ruleset"))


if __name__ == "__main__":
    require_daemon()
    tap.main()
