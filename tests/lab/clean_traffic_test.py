#!/usr/bin/python3
"""A guest that lies, against the filters of its interfaces: each rule of clean-traffic, IPv6, DHCP servers,
connections; and limits and VLANs of bridges that hold. What comes through is watched on the bridge and at a neighbour's
port."""
# time limit: 900 s

import socket
import struct
import subprocess
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fixtures import tap
from fixtures.frames import EVERYBODY, NEIGHBOUR, Watch, arp, frame, ipv4, ipv6, marked, udp
from fixtures.linux_guest import LinuxGuest
from fixtures.warren_daemon import PrivateDaemon, build_directory

NETWORKS = ["""<network><name>clean</name><bridge name='br-clean' stp='off' delay='0'/>
  <ip address='10.72.0.1' prefix='24'/></network>""",
            """<network><name>vlans</name><bridge name='br-vlans' stp='off' delay='0'/>
  <portgroup name='ten'><vlan><tag id='10'/></vlan></portgroup>
  <portgroup name='twenty'><vlan><tag id='20'/></vlan></portgroup></network>"""]
FILTERS = ["""<filter name='clean-ipv6'><filterref filter='no-mac-spoofing'/><filterref filter='no-ipv6-spoofing'/>
  <filterref filter='no-ipv6-multicast'/>
  <rule action='drop' direction='out' priority='-900'><ip protocol='udp' srcportstart='67'/></rule></filter>""",
           """<filter name='guarded'><rule action='accept' direction='in' priority='100'>
    <tcp dstportstart='2200' dstportend='2205'/></rule>
  <rule action='drop' direction='inout' priority='900'><tcp/></rule></filter>"""]
# What the guest has, in this order.
INTERFACES = [("clean", "<filterref filter='clean-traffic'><parameter name='IP' value='10.72.0.11'/></filterref>"),
              ("clean", ""),
              ("clean", "<filterref filter='clean-ipv6'><parameter name='IPV6' value='2001:db8:72::13'/></filterref>"),
              ("clean", ""),  # guarded, later: connections are tracked from then on, and what is lost of them trimmed
              ("vlans' portgroup='ten", ""),
              ("vlans' portgroup='twenty", "")]
CLEAN, BARE, IPV6, GUARDED, TEN, TWENTY = range(6)

# ---- frames


def mac(interface: int) -> bytes:
    return bytes([0x52, 0x54, 0, 0x72, 0, interface + 1])


GATEWAY, OTHER = bytes.fromhex("525400720099"), bytes.fromhex("5254007200aa")
OWN, ALIEN, NOBODY, HOST = "10.72.0.11", "10.72.0.66", "0.0.0.0", "10.72.0.1"
OWN6, ALIEN6 = "2001:db8:72::13", "2001:db8:72::66"


ME = mac(CLEAN)
VLAN_5 = bytes.fromhex("81000005")
HONEST = {
    "IPv4": frame(ME, 0x0800, ipv4(OWN, payload=udp(5, 6))),
    "an ARP request": frame(ME, 0x0806, arp(ME, OWN), EVERYBODY),
    "an ARP reply": frame(ME, 0x0806, arp(ME, OWN, 2, NEIGHBOUR)),
    "gratuitous ARP": frame(ME, 0x0806, arp(ME, OWN, asked=OWN), EVERYBODY),
    "a DHCP client": frame(ME, 0x0800, ipv4(NOBODY, "255.255.255.255", payload=udp(68, 67)), EVERYBODY),
    "where it is after a migration": frame(ME, 0x8035, arp(ME, NOBODY, 3, ME, NOBODY), EVERYBODY),
}
LIES = {
    "no-mac-spoofing: IPv4": frame(OTHER, 0x0800, ipv4(OWN, payload=udp(5, 6))),
    "no-mac-spoofing: ARP": frame(OTHER, 0x0806, arp(ME, OWN), EVERYBODY),
    "no-mac-spoofing: the gateway's": frame(GATEWAY, 0x0800, ipv4(OWN, payload=udp(5, 6))),
    "no-ip-spoofing: UDP": frame(ME, 0x0800, ipv4(ALIEN, payload=udp(5, 6))),
    "no-ip-spoofing: ICMP": frame(ME, 0x0800, ipv4(HOST, protocol=1, payload=bytes([8, 0, 0xf7, 0xff, 0, 0, 0, 0]))),
    "no-ip-spoofing: TCP of nobody": frame(ME, 0x0800, ipv4(NOBODY, protocol=6, payload=bytes(20))),
    "no-ip-spoofing: a fragment": frame(ME, 0x0800, ipv4(ALIEN, payload=bytes(16), fragment=0x2000)),
    "no-ip-spoofing: a late fragment": frame(ME, 0x0800, ipv4(ALIEN, payload=bytes(16), fragment=3)),
    "no-arp-mac-spoofing: a request": frame(ME, 0x0806, arp(OTHER, OWN), EVERYBODY),
    "no-arp-mac-spoofing: a reply": frame(ME, 0x0806, arp(OTHER, OWN, 2, NEIGHBOUR)),
    "no-arp-ip-spoofing: a request": frame(ME, 0x0806, arp(ME, ALIEN), EVERYBODY),
    "no-arp-ip-spoofing: a reply": frame(ME, 0x0806, arp(ME, ALIEN, 2, NEIGHBOUR)),
    "no-arp-ip-spoofing: for the gateway": frame(ME, 0x0806, arp(ME, HOST, 2, EVERYBODY, HOST), EVERYBODY),
    "no-ip-spoofing: a DHCP server": frame(ME, 0x0800, ipv4(HOST, "255.255.255.255", payload=udp(67, 68, bytes(244))),
                                           EVERYBODY),
    "no-other-l2-traffic: IPv6": frame(ME, 0x86dd, ipv6("fe80::1", "2001:db8:72::77")),
    "no-other-l2-traffic: a router's advertisement": frame(
        ME, 0x86dd, ipv6("fe80::1", "ff02::1", 58, bytes([134]) + bytes(15)), bytes.fromhex("333300000001")),
    "no-other-l2-traffic: a neighbour's advertisement": frame(
        ME, 0x86dd, ipv6(ALIEN6, "ff02::1", 58, bytes([136]) + bytes(23)), bytes.fromhex("333300000001")),
    "no-other-l2-traffic: LLDP": frame(ME, 0x88cc, bytes(46)),
    "no-other-l2-traffic: an experiment's": frame(ME, 0x88b5, bytes(46)),
    "no-other-l2-traffic: STP": frame(ME, 38, bytes.fromhex("424203") + bytes(43), bytes.fromhex("0180c2000000")),
    "no-other-l2-traffic: of nothing": frame(ME, 0, bytes(46)),
    "no-other-l2-traffic: IPv4 in a VLAN": frame(ME, 0x0800, ipv4(OWN, payload=udp(5, 6)), tags=VLAN_5),
    "no-other-l2-traffic: a lie in a VLAN": frame(ME, 0x0800, ipv4(ALIEN, payload=udp(5, 6)), tags=VLAN_5),
    "no-other-l2-traffic: two tags": frame(ME, 0x0806, arp(ME, ALIEN), tags=bytes.fromhex("88a8000581000007")),
    "no-other-l2-traffic: priority alone": frame(ME, 0x0806, arp(ME, ALIEN), tags=bytes.fromhex("81006000")),
    "no-other-rarp-traffic": frame(ME, 0x8035, arp(OTHER, ALIEN, 4, OTHER, ALIEN), EVERYBODY),
}
SIX = mac(IPV6)
HONEST6 = {"its own": frame(SIX, 0x86dd, ipv6(OWN6, "2001:db8:72::77")),
           "a DHCPv6 client": frame(SIX, 0x86dd, ipv6("fe80::13", "2001:db8:72::77", 17, udp(546, 547)))}
LIES6 = {"another's": frame(SIX, 0x86dd, ipv6(ALIEN6, "2001:db8:72::77")),
         "the next one's": frame(SIX, 0x86dd, ipv6("2001:db8:72::12", "2001:db8:72::77")),
         "of the link": frame(SIX, 0x86dd, ipv6("fe80::66", "2001:db8:72::77", 58, bytes([136]) + bytes(23))),
         "nobody's": frame(SIX, 0x86dd, ipv6("::", "2001:db8:72::77")),
         "multicast": frame(SIX, 0x86dd, ipv6(OWN6, "ff02::1", 17, udp(5, 6)), bytes.fromhex("333300000001")),
         "a DHCP server's": frame(SIX, 0x0800, ipv4("10.72.0.13", payload=udp(67, 68)))}


def run(*words: object, check: bool = True) -> str:
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          timeout=60)
    if check and done.returncode:
        raise RuntimeError(f"{words}: {done.stderr}")
    return done.stdout


class CleanTraffic(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = PrivateDaemon()
        cls.addClassCleanup(cls.daemon.__exit__)
        cls.daemon.start()
        for kind, documents in (("net-create", NETWORKS), ("nwfilter-define", FILTERS)):
            for text in documents:
                document = cls.daemon.root / "document.xml"
                document.write_text(text)
                cls.daemon.virsh(kind, document)
        for bridge in ("clean", "vlans"):  # a neighbour who listens to everything
            run("ip", "link", "add", f"{bridge}-port", "type", "veth", "peer", "name", f"{bridge}-ear")
            run("sysctl", "-q", f"net.ipv6.conf.{bridge}-ear.disable_ipv6=1", check=False)
            run("ip", "link", "set", f"{bridge}-port", "master", f"br-{bridge}", "up")
            run("ip", "link", "set", f"{bridge}-ear", "up", "promisc", "on")
        cls.guest = LinuxGuest(cls.daemon, devices="".join(
            f"<interface type='network'><mac address='{mac(i).hex(':')}'/><source network='{network}'/>"
            f"<target dev='lie{i}'/><model type='virtio'/>{filtered}</interface>"
            for i, (network, filtered) in enumerate(INTERFACES)))
        cls.guest.define()
        cls.console = cls.guest.start_with_console()
        cls.addClassCleanup(lambda: cls.console.close())
        cls.console.run("for i in 0 1 2 3 4 5; do for d in /sys/class/net/eth*; do "
                        "[ $(cat $d/address) = 52:54:00:72:00:0$((i+1)) ] || continue; d=${d##*/}; "
                        "eval if$i=$d; echo 1 > /proc/sys/net/ipv6/conf/$d/disable_ipv6; "
                        "echo 1 > /proc/sys/net/ipv4/conf/$d/arp_ignore; ip link set $d up; done; done")
        for i in CLEAN, BARE, GUARDED:
            own = f"10.72.0.1{i + 1}"
            cls.console.run(f"ip address add {own}/24 dev $if{i}; ip rule add from {own} table 10{i}; "
                            f"ip route add 10.72.0.0/24 dev $if{i} table 10{i}")

    def send(self, interface: int, frames: list[bytes]) -> None:
        """By the guest, in their order; the shell takes lines of a thousand letters."""
        lines, length = [], 0
        for content in frames:
            if length + 2 * len(content) > 900:
                self.console.run(f"echo {' '.join(lines)} | tr ' ' '\\n' >> /tmp/frames")
                lines, length = [], 0
            lines.append(content.hex())
            length += len(lines[-1])
        self.console.run(f"echo {' '.join(lines)} | tr ' ' '\\n' >> /tmp/frames")
        self.console.run(f"network_probe send $if{interface} 1 < /tmp/frames; rm /tmp/frames")

    def what_arrives(self, interface: int, frames: dict[str, bytes], last: bytes) -> tuple[set[str], set[str]]:
        """At the neighbour and at the host. `last`: one that surely does."""
        names = list(frames)
        with Watch("clean-ear", "br-clean") as watch:
            self.send(interface, [marked(frames[name], i) for i, name in enumerate(names)] + [marked(last, 999)])
            watch.wait_for(999)
            return tuple({names[i] for i in watch.seen[link] - {999}} for link in ("clean-ear", "br-clean"))

    def check(self, interface: int, honest: dict[str, bytes], lies: dict[str, bytes]) -> None:
        last = frame(mac(interface), 0x0800, ipv4(f"10.72.0.1{interface + 1}", payload=udp(9, 9)), EVERYBODY)
        neighbour, host = self.what_arrives(interface, honest | lies, last)
        self.assertEqual(sorted(neighbour), sorted(honest), "what the neighbour sees")
        self.assertLessEqual(host, set(honest), "what the host sees")

    def test_1_without_a_filter_lies_arrive(self):
        last = frame(mac(BARE), 0x0800, ipv4("10.72.0.12", payload=udp(9, 9)), EVERYBODY)
        neighbour, _ = self.what_arrives(BARE, LIES | LIES6, last)
        self.assertEqual(sorted(neighbour), sorted(LIES | LIES6))

    def test_2_clean_traffic(self):
        self.check(CLEAN, HONEST, LIES)

    def test_3_ipv6_and_dhcp_servers(self):
        self.check(IPV6, HONEST6, LIES6)

    def test_4_what_reaches_the_guest(self):
        """By its counter: of forty frames that it is not to have, hardly one; forty honest ones."""
        counter = f"cat /sys/class/net/$if{CLEAN}/statistics/rx_packets"
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as neighbour:
            neighbour.bind(("clean-ear", 0))
            for content, arrives in ((frame(NEIGHBOUR, 0x86dd, ipv6("fe80::2", "2001:db8:72::1"), ME), False),
                                     (frame(NEIGHBOUR, 0x88cc, bytes(46), ME), False),
                                     (frame(NEIGHBOUR, 0x0800, ipv4(HOST), ME, VLAN_5), False),
                                     (frame(NEIGHBOUR, 0x0800, ipv4("10.72.0.77", OWN, payload=udp(5, 6)), ME), True)):
                before = int(self.console.run(counter))
                for _ in range(40):
                    neighbour.send(content)
                time.sleep(0.5)
                come = int(self.console.run(counter)) - before
                self.assertTrue(come >= 40 if arrives else come < 10,
                                f"{come} frames of type {content[12:14].hex()} arrive")

    def test_5_connections(self):
        """Rules of connections need a kernel with nf_conntrack_bridge. Only connections to ports from 2200 on are let
        in, and of what the guest sends from these their answers."""
        document = self.daemon.root / "document.xml"
        uuid = self.daemon.virsh("domuuid", "debian")
        document.write_text(f"<filterbinding><owner><name>debian</name><uuid>{uuid}</uuid></owner>"
                            f"<portdev name='lie{GUARDED}'/><mac address='{mac(GUARDED).hex(':')}'/>"
                            "<filterref filter='guarded'/></filterbinding>")
        self.daemon.virsh("nwfilter-binding-create", document)
        for port in 2200, 2210:
            self.console.run(f"(echo hello | nc -l -p {port} > /dev/null 2>&1 &)")
        with socket.create_connection(("10.72.0.14", 2200), 10) as connection:
            connection.settimeout(10)
            self.assertEqual(connection.recv(16), b"hello\n")
        with self.assertRaises(TimeoutError):
            socket.create_connection(("10.72.0.14", 2210), 2)
        with socket.create_server((HOST, 5000)) as listener:
            listener.settimeout(4)
            self.connect_from(GUARDED, 2201)
            with self.assertRaises(TimeoutError):
                listener.accept()
            self.connect_from(BARE, 2201)  # without the filter
            listener.settimeout(20)
            listener.accept()[0].close()

    def connect_from(self, interface: int, port: int) -> None:
        """The guest to the host's port 5000."""
        self.console.run(f"ip route replace {HOST}/32 dev $if{interface} src 10.72.0.1{interface + 1}; "
                         f"(echo x | nc -w 2 -p {port} {HOST} 5000 > /dev/null 2>&1 &)")

    def test_6_vlans(self):
        """A port of VLAN 10 hears what is said in it, and not what VLAN 20 says, whatever tag that bears."""
        run("bridge", "vlan", "add", "dev", "vlans-port", "vid", "10", "pvid", "untagged")
        run("bridge", "vlan", "delete", "dev", "vlans-port", "vid", "1")
        with Watch("vlans-ear") as watch:
            for interface, number in ((TWENTY, 1), (TEN, 2)):
                plain = frame(mac(interface), 0x88b5, bytes(46))
                tagged = [frame(mac(interface), 0x88b5, bytes(46), tags=struct.pack("!HH", 0x8100, tag))
                          for tag in (10, 20)]
                frames = [plain, *tagged] if interface == TWENTY else [tagged[1], plain]
                self.send(interface, [marked(content, number * 10 + i) for i, content in enumerate(frames)])
            watch.wait_for(21)
            self.assertEqual(watch.seen["vlans-ear"], {21})

    def test_7_limits(self):
        """What a guest sends is policed, what it receives is shaped: 16 KiB/s, and some bursts."""
        device = f"lie{BARE}"
        free = self.rate(to_guest=False), self.rate(to_guest=True)
        self.daemon.virsh("domiftune", "debian", device, "--inbound", "16,16,8", "--outbound", "16,16,8", "--live")
        self.rate(to_guest=False)  # the burst: what a guest may send at once is a segment of TSO at least
        held = self.rate(to_guest=False), self.rate(to_guest=True)
        self.daemon.virsh("domiftune", "debian", device, "--inbound", "0", "--outbound", "0", "--live")
        again = self.rate(to_guest=False), self.rate(to_guest=True)
        print("# KiB/s from and to the guest:", *(f"{rate:.0f}" for rate in (*free, *held, *again)))
        for before, with_limit, after in zip(free, held, again):
            self.assertGreater(before, 5 * with_limit)
            self.assertGreater(after, 5 * with_limit)

    def rate(self, to_guest: bool) -> float:
        """KiB/s of frames that arrive, of those that are sent without a word back."""
        content = frame(GATEWAY, 0x88b5, bytes(900), mac(BARE)) if to_guest else frame(mac(BARE), 0x88b5, bytes(900))
        before, begun = self.arrived(to_guest), time.monotonic()
        if to_guest:
            with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as host:
                host.bind(("br-clean", 0))
                host.settimeout(0.2)
                while time.monotonic() < begun + 2:
                    try:
                        host.send(content)
                    except TimeoutError:
                        continue  # what is shaped waits, and who sends it
        else:
            self.console.run(f"echo {content[:20].hex()}$(printf %01788d 0) | network_probe send $if{BARE} 600")
        return (self.arrived(to_guest) - before) / (time.monotonic() - begun) / 1024

    def arrived(self, to_guest: bool) -> int:
        """In bytes, so far."""
        if to_guest:
            return int(self.console.run(f"cat /sys/class/net/$if{BARE}/statistics/rx_bytes"))
        return int(Path("/sys/class/net/clean-ear/statistics/rx_bytes").read_text())

    def test_8_unit_tests_of_what_this_kernel_has(self):
        """Policing, VLANs of bridges, their connections: where the kernel lacks them, these try how that is refused."""
        for name, tests in (("test-driver-link", "TrafficLimitTest.Polices*:TrafficLimitTest.Shares*:BridgeTest.*Vlans*"),
                            ("test-driver-nwfilter", "FilterDriverTest.WhatNeedsConnections*")):
            with self.subTest(name):
                program = build_directory() / name
                done = subprocess.run(["unshare", "--net", program, f"--gtest_filter={tests}", "--gtest_brief=1"],
                                      capture_output=True, text=True, timeout=240, stdin=subprocess.DEVNULL)
                self.assertRegex(done.stdout, r"PASSED\s*\] [1-9]", done.stdout[-3000:] + done.stderr[-1000:])
                self.assertEqual(done.returncode, 0, done.stdout[-3000:] + done.stderr[-1000:])


if __name__ == "__main__":
    tap.main()
