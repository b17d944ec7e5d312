#!/usr/bin/python3
# beside others
"""What libvirt documents of network filters, each defined against the schema, bound, and tried with frames and sockets
both ways, in both families. Rules that know connections: refused by name where this kernel's bridges do not know them;
where they do, tests/lab/filter_example_test.py."""

import socket
import struct
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from domains import require_daemon
from fixtures import tap
from fixtures.filter_case import CONNECTIONS, GUEST, OTHER, OTHER6, OWN, OWN6, PEER, FilterCase, name_of
from fixtures.frames import EVERYBODY, arp, frame, ipv4, ipv6, tcp, udp
from fixtures.network_hosts import wait_until

LIAR = bytes.fromhex("525400720066")
SECOND, THIRD, ALIEN = "10.72.0.21", "10.72.0.22", "10.72.0.66"
ARP, RARP, IP, IPV6 = 0x0806, 0x8035, 0x0800, 0x86dd


def from_guest(source: str = OWN, **fields) -> bytes:
    return frame(GUEST, IP, ipv4(source, **fields))


def to_guest(source: str = OTHER, **fields) -> bytes:
    return frame(PEER, IP, ipv4(source, OWN, **fields), GUEST)


def from_guest6(next_header: int, payload: bytes, source: str = OWN6) -> bytes:
    return frame(GUEST, IPV6, ipv6(source, "2001:db8:72::77", next_header, payload))


def to_guest6(next_header: int, payload: bytes, source: str = OTHER6) -> bytes:
    return frame(PEER, IPV6, ipv6(source, OWN6, next_header, payload), GUEST)


def dhcp(server: str, given: str, kind: int = 5) -> bytes:
    """An answer of RFC 2131, a DHCPACK."""
    message = struct.pack("!BBBBIHH4s4s4s4s", 2, 1, 6, 0, 1, 0, 0, bytes(4), socket.inet_aton(given), bytes(4), bytes(4))
    message += GUEST.ljust(16, b"\0") + bytes(192) + bytes.fromhex("63825363")
    message += bytes([53, 1, kind, 51, 4]) + struct.pack("!I", 3600) + b"\xff"
    return to_guest(server, payload=udp(67, 68, message))


class Examples(FilterCase):
    def test_arp_written_out(self):
        """A chain of ARP that knows who the guest is, with one address and with a list of them."""
        document = """<filter name='own-arp' chain='arp' priority='-500'>
          <rule action='drop' direction='out' priority='300'><mac match='no' srcmacaddr='$MAC'/></rule>
          <rule action='drop' direction='out' priority='350'><arp match='no' arpsrcmacaddr='$MAC'/></rule>
          <rule action='drop' direction='out' priority='400'><arp match='no' arpsrcipaddr='$IP'/></rule>
          <rule action='drop' direction='in' priority='450'>
            <arp opcode='Reply'/><arp match='no' arpdstmacaddr='$MAC'/></rule>
          <rule action='drop' direction='in' priority='500'><arp match='no' arpdstipaddr='$IP'/></rule>
          <rule action='accept' direction='inout' priority='600'><arp opcode='Request'/></rule>
          <rule action='accept' direction='inout' priority='650'><arp opcode='Reply'/></rule>
          <rule action='drop' direction='inout' priority='1000'/>
        </filter>"""
        self.example(
            document,
            {"asks": frame(GUEST, ARP, arp(GUEST, OWN), EVERYBODY), "answers": frame(GUEST, ARP, arp(GUEST, OWN, 2)),
             "no ARP": from_guest(ALIEN), "IPv6": from_guest6(59, b"")},
            {"of another card": frame(LIAR, ARP, arp(GUEST, OWN), EVERYBODY),
             "with another's MAC": frame(GUEST, ARP, arp(LIAR, OWN, 2)),
             "with another's address": frame(GUEST, ARP, arp(GUEST, ALIEN), EVERYBODY),
             "InARP": frame(GUEST, ARP, arp(GUEST, OWN, 8))},
            {"asked": frame(PEER, ARP, arp(PEER, OTHER, asked=OWN), EVERYBODY),
             "answered": frame(PEER, ARP, arp(PEER, OTHER, 2, GUEST, OWN), GUEST)},
            {"another's answer": frame(PEER, ARP, arp(PEER, OTHER, 2, LIAR, OWN), GUEST),
             "another is asked": frame(PEER, ARP, arp(PEER, OTHER, asked=ALIEN), EVERYBODY),
             "NAK": frame(PEER, ARP, arp(PEER, OTHER, 9, GUEST, OWN), GUEST)}, IP=OWN)
        # Of the list each rule is made once for each: with match='no' all but the first of them would be dropped.
        rule = """<filter name='listed-arp' chain='arp-listed'>
          <rule action='return' direction='out' priority='400'><arp arpsrcipaddr='$IP'/></rule>
          <rule action='drop' direction='out' priority='1000'/></filter>"""
        self.bind(rule, IP=[OWN, SECOND, THIRD])
        self.pass_only({one: frame(GUEST, ARP, arp(GUEST, one)) for one in (OWN, SECOND, THIRD)},
                       {ALIEN: frame(GUEST, ARP, arp(GUEST, ALIEN))}, {}, {})

    def test_lists(self):
        """All values, one of them, several lists in step and each with each."""
        document = """<filter name='{}'>
          <rule action='accept' direction='in' priority='500' statematch='0'>{}</rule>
          <rule action='drop' direction='in' priority='1000'><all/></rule>
          <rule action='drop' direction='in' priority='1000'><all-ipv6/></rule></filter>"""
        sources, ports = [OTHER, SECOND], ["80", "8080"]
        frames = {f"{source} {port}": to_guest(source, payload=udp(9, int(port))) for source in sources for port in ports}

        def taken(name: str, rule: str, passes: list[str], sent: dict[str, bytes] = frames, **values) -> None:
            self.bind(document.format(name, rule), **values)
            self.pass_only({}, {}, {one: sent[one] for one in passes}, {one: sent[one] for one in sent if one not in passes})

        self.pass_all({}, frames)
        taken("all-values", "<udp srcipaddr='$SOURCES'/>", list(frames), SOURCES=sources)
        taken("some-values", "<udp srcipaddr='$SOURCES'/>", list(frames)[:2], SOURCES=OTHER)
        taken("second", "<udp dstportstart='$PORTS[1]'/>", [f"{OTHER} 8080", f"{SECOND} 8080"], PORTS=ports)
        each = "<udp srcipaddr='$SOURCES[@1]' dstportstart='$PORTS[@{}]'/>"
        taken("each-with-each", each.format(2), list(frames), SOURCES=sources, PORTS=ports)
        taken("some-with-each", each.format(2), list(frames)[::2], SOURCES=sources, PORTS="80")
        taken("in-step", each.format(1), [f"{OTHER} 80", f"{SECOND} 8080"], SOURCES=sources, PORTS=ports)
        taken("in-step-unnamed", "<udp srcipaddr='$SOURCES' dstportstart='$PORTS[@0]'/>", [f"{OTHER} 80", f"{SECOND} 8080"],
              SOURCES=sources, PORTS=ports)
        six = {f"{source} {port}": to_guest6(17, udp(9, int(port)), source) for source in (OTHER6, "2001:db8:72::13")
               for port in ports}
        taken("six", "<udp-ipv6 srcipaddr='$SOURCES[@1]' dstportstart='$PORTS[@1]'/>",
              [f"{OTHER6} 80", "2001:db8:72::13 8080"], six, SOURCES=[OTHER6, "2001:db8:72::13"], PORTS=ports)

    def test_values_that_are_not_there(self):
        document = """<filter name='{}'><rule action='drop' direction='in'>{}</rule></filter>"""
        for name, rule, values, said in (
                ("no-value", "<udp dstportstart='$PORTS'/>", {}, r"needs a value for \$PORTS"),
                ("no-element", "<udp dstportstart='$PORTS[2]'/>", {"PORTS": ["1", "2"]}, r"needs a value for \$PORTS\[2\]"),
                ("out-of-step", "<udp srcipaddr='$A[@1]' dstportstart='$PORTS[@1]'/>", {"A": OTHER, "PORTS": ["1", "2"]},
                 "a list of another length"),
                ("no-port", "<udp dstportstart='$PORTS'/>", {"PORTS": "70000"}, "'70000' is not a number from 0 to 65535"),
                ("no-address", "<ip srcipaddr='$IP'/>", {"CTRL_IP_LEARNING": "none"}, r"needs a value for \$IP"),
                ("no-learning", "<ip srcipaddr='$IP'/>", {"CTRL_IP_LEARNING": "guess"}, "any, dhcp, none"),
                ("no-filter", "<ip/></rule><filterref filter='to-come'/><rule action='drop' direction='in'>", {},
                 "there is no filter 'to-come'")):
            with self.subTest(name):
                self.assertRegex(self.not_bound(document.format(name, rule), **values), said)
        self.assertEqual(self.virsh("nwfilter-binding-list"), "")

    def test_what_is_refused_by_name(self):
        rule = "<rule action='drop' direction='in'>{}</rule>"
        for inside, said in (
                (rule.format("<tcp ipset='friends' ipsetflags='src,dst'/>"), "ipset"),
                (rule.format("<arp gratuitous='true'/>"), "gratuitous"),
                # libvirt's page has these two, and its daemon cannot make rules of them, or leaves them out.
                (rule.format("<ip srcipaddr='$A[@1]' dstportstart='$P[@2]'/>"), "ports need protocol"),
                (rule.format("<tcp srpipaddr='$IP'/>"), "srpipaddr"),
                (rule.format("<stp msg-age='1'/>"), "msg-age"), (rule.format("<tcp/><udp/>"), "protocol tcp already"),
                (rule.format("<ipv6 type='135'/>"), "icmpv6"), (rule.format("<ip srcipmask='24'/>"), "needs 'srcipaddr'"),
                (rule.format("<tcp flags='SYN'/>"), "flags"), (rule.format("<tcp state='OLD'/>"), "OLD"),
                (rule.format(f"<ip comment='{'x' * 257}'/>"), "comment"), (rule.replace("'in'", "'up'").format(""), "up"),
                (rule.replace("direction", "priority='1001' direction").format(""), "1001"),
                ("<filterref filter='loop'/>", "loop")):
            with self.subTest(inside):
                self.assertRegex(self.refused("nwfilter-define", self.file(f"<filter name='loop'>{inside}</filter>")), said)
        for chain in ("tcp", "arp xyz", "x-arp"):
            self.assertIn(chain, self.refused("nwfilter-define", self.file(f"<filter name='a' chain='{chain}'/>")))

    def test_chains_and_priorities(self):
        """Root's rules, and chains among them; a chain of one's own that lets what it knows go on."""
        for document in (
                "<filter name='xyz-ipv4' chain='ipv4-xyz' priority='-710'>"
                "<rule action='return' direction='in' priority='-10'><ip protocol='udp' dstportstart='8'/></rule>"
                "<rule action='continue' direction='in'><ip protocol='udp' dstportstart='3'/></rule>"
                "<rule action='drop' direction='in' priority='501'>"
                "<ip protocol='udp' dstportstart='3' dstportend='8'/></rule>"
                "</filter>",
                "<filter name='xyz-ipv6' chain='ipv6-xyz'><rule action='reject' direction='in'>"
                "<ipv6 protocol='udp' dstportstart='3'/></rule></filter>",
                "<filter name='xyz-arp' chain='arp-xyz'><rule action='drop' direction='in'>"
                f"<arp arpsrcipaddr='{ALIEN}'/></rule><rule action='drop' direction='in'><ip/></rule></filter>"):
            self.define(document)
        document = """<filter name='ordered'>
          <rule action='accept' direction='in' priority='-711'><ip protocol='udp' dstportstart='4'/></rule>
          <rule action='accept' direction='in' priority='-709'><ip protocol='udp' dstportstart='5'/></rule>
          <rule action='drop' direction='in'><ip protocol='udp' dstportstart='9'/></rule>
          <rule action='accept' direction='in' priority='501'><ip protocol='udp' dstportstart='9'/></rule>
          <filterref filter='xyz-ipv4'/><filterref filter='xyz-ipv6'/><filterref filter='xyz-arp'/></filter>"""
        self.example(document, {}, {},
                     {"before the chain": to_guest(payload=udp(1, 4)), "returned": to_guest(payload=udp(1, 8)),
                      "no business of it": to_guest(payload=udp(1, 2)), "IPv6": to_guest6(17, udp(1, 4)),
                      "in no chain of its": to_guest(payload=udp(1, 10)),
                      "ARP": frame(PEER, ARP, arp(PEER, OTHER, asked=OWN), EVERYBODY)},
                     {"behind the chain": to_guest(payload=udp(1, 5)), "continued": to_guest(payload=udp(1, 3)),
                      "IPv6 rejected": to_guest6(17, udp(1, 3)), "before a later rule": to_guest(payload=udp(1, 9)),
                      "ARP of somebody": frame(PEER, ARP, arp(PEER, ALIEN, asked=OWN), EVERYBODY)})

    def test_directions(self):
        """`in` is to the guest, `out` from it; what is for both is written towards the guest."""
        document = """<filter name='ways'>
          <rule action='drop' direction='in'><ip srcipaddr='10.72.0.12' dstipaddr='10.72.0.11' protocol='udp'
            dstportstart='1'/></rule>
          <rule action='drop' direction='out'><ip srcipaddr='10.72.0.11' protocol='udp' dstportstart='2'/></rule>
          <rule action='drop' direction='inout'><ip srcipaddr='10.72.0.66' dstipaddr='10.72.0.11'/></rule>
          <rule action='drop' direction='inout'><udp-ipv6 srcipaddr='2001:db8:72::12' srcportstart='3'/></rule></filter>"""
        there = "2001:db8:72::12"

        def six(source: str, to: str, ports: bytes) -> bytes:
            return frame(GUEST, IPV6, ipv6(source, to, 17, ports))

        self.example(document,
                     {"1": from_guest(to=OTHER, payload=udp(5, 1)), "of whom nobody speaks": from_guest(ALIEN, to=OWN),
                      "six": six(OWN6, there, udp(3, 4)), "six of it": six(there, OWN6, udp(3, 4))},
                     {"2": from_guest(payload=udp(5, 2)), "to whom it must not": from_guest(to=ALIEN),
                      "six to it": six(OWN6, there, udp(4, 3))},
                     {"2": to_guest(payload=udp(5, 2)), "another's": frame(PEER, IP, ipv4(OWN, ALIEN), GUEST),
                      "six": to_guest6(17, udp(4, 3))},
                     {"1": to_guest(payload=udp(5, 1)), "alien": to_guest(ALIEN), "six from it": to_guest6(17, udp(3, 4))})

    def dropping(self, name: str, rules: list[str], out: dict[str, bytes], not_out: dict[str, bytes]) -> None:
        inside = "".join(f"<rule action='drop' direction='out'>{rule}</rule>" for rule in rules)
        self.example(f"<filter name='{name}'>{inside}</filter>", out, not_out)

    def test_elements_of_frames(self):
        """Each protocol of frames by its fields; beside each frame that a rule is of, one that it just is not."""
        def stp(kind: int, priority: int) -> bytes:
            body = bytes.fromhex("4242030000") + struct.pack("!BBBH", 0, kind, 0, priority) + bytes(40)
            return frame(GUEST, 38, body, bytes.fromhex("0180c2000000"))

        def tagged(number: int, kind: int) -> bytes:
            return frame(GUEST, kind, ipv4(OWN), tags=struct.pack("!HH", 0x8100, number))

        self.dropping(
            "frames",
            ["<mac dstmacaddr='02:aa:00:00:00:00' dstmacmask='ff:ff:00:00:00:00' comment='a range of cards'/>",
             "<mac protocolid='0x88b5'/>", "<mac srcmacaddr='52:54:00:72:00:66' protocolid='ipv6'/>",
             "<vlan vlanid='0x123'/>", "<vlan vlanid='7' encap-protocol='ipv4'/>",
             "<stp type='0x80'/>", "<stp root-priority='32768' root-priority-hi='0x9000'/>",
             "<arp opcode='Reply' arpdstipaddr='10.72.0.64' arpdstipmask='255.255.255.240'"
             " protocoltype='0x800' hwtype='1'/>",
             "<rarp opcode='Request_Reverse' arpsrcmacaddr='52:54:00:72:00:66'/>",
             "<ip dstipaddr='10.72.0.64' dstipmask='28' protocol='tcp' srcportstart='20' srcportend='25'/>",
             "<ip dscp='0x2e'/>", "<ip protocol='esp'/>", "<ip match='no' srcipaddr='10.72.0.0' srcipmask='24'/>",
             "<ipv6 protocol='icmpv6' type='133' typeend='134'/>", "<ipv6 srcipaddr='2001:db8:72:9::' srcipmask='64'/>",
             "<ipv6 protocol='tcp' dstportstart='25'/>"],
            {"another range": frame(GUEST, IP, ipv4(OWN), bytes.fromhex("02ab00000000")),
             "another type": frame(GUEST, 0x88b6, bytes(46)), "its card, IPv4": frame(LIAR, IP, ipv4(OWN)),
             "VLAN": tagged(0x124, IP), "VLAN 7, other": tagged(7, 0x88b6), "BPDU": stp(2, 0x7fff),
             "BPDU beyond": stp(0, 0x9001), "ARP": frame(GUEST, ARP, arp(GUEST, OWN, 2, asked="10.72.0.80")),
             "ARP that asks": frame(GUEST, ARP, arp(GUEST, OWN, 1, asked="10.72.0.65")),
             "RARP": frame(GUEST, RARP, arp(GUEST, OWN, 3)),
             "TCP": from_guest(to="10.72.0.65", protocol=6, payload=tcp(26, 1)),
             "UDP": from_guest(to="10.72.0.65", payload=udp(22, 1)), "DSCP": from_guest(service=0x2d << 2),
             "ICMPv6": from_guest6(58, bytes([135]) + bytes(23)), "TCP of six": from_guest6(6, tcp(25, 26)),
             "UDP of six": from_guest6(17, udp(25, 25))},
            {"range": frame(GUEST, IP, ipv4(OWN), bytes.fromhex("02aa77777777")), "type": frame(GUEST, 0x88b5, bytes(46)),
             "its card": frame(LIAR, IPV6, ipv6(OWN6, OTHER6)), "VLAN 0x123": tagged(0x123, 0x88b6),
             "VLAN 7": tagged(7, IP), "BPDU of kind": stp(0x80, 1), "BPDU of priority": stp(0, 0x8fff),
             "ARP into": frame(GUEST, ARP, arp(GUEST, OWN, 2, asked="10.72.0.65")),
             "RARP of another": frame(GUEST, RARP, arp(LIAR, OWN, 3)),
             "TCP from 25": from_guest(to="10.72.0.65", protocol=6, payload=tcp(25, 1)),
             "expedited": from_guest(service=0x2e << 2 | 1), "ESP": from_guest(protocol=50, payload=bytes(16)),
             "elsewhere": from_guest("10.73.0.11"), "a router": from_guest6(58, bytes([134]) + bytes(15)),
             "of six, elsewhere": from_guest6(59, b"", "2001:db8:72:9::1"), "mail": from_guest6(6, tcp(9, 25))})

    def test_elements_of_packets(self):
        """Each protocol of packets, in both families, without anything of connections."""
        self.dropping(
            "packets",
            ["<tcp flags='SYN,ACK,FIN,RST/SYN' dstportstart='25' comment='no mail'/>",
             "<udp srcipfrom='10.72.0.21' srcipto='10.72.0.22'/>", "<udp dscp='46'/>",
             "<sctp srcportstart='5' srcportend='6'/>",
             "<udplite dstmacaddr='52:54:00:72:00:bb'/>", "<esp dstipaddr='10.72.0.64' dstipmask='28'/>", "<ah/>", "<igmp/>",
             "<icmp type='8' code='0'/>", "<all srcmacaddr='52:54:00:72:00:00' srcmacmask='ff:ff:ff:ff:ff:00'"
             " dstmacaddr='02:aa:00:00:00:01'/>"],
            {"mail, answered": from_guest(protocol=6, payload=tcp(1, 25, 0x12)),
             "another port": from_guest(protocol=6, payload=tcp(1, 26)), "UDP": from_guest("10.72.0.23", payload=udp(1, 25)),
             "SCTP": from_guest(protocol=132, payload=udp(7, 5)), "UDP-Lite": frame(
                 GUEST, IP, ipv4(OWN, protocol=136, payload=udp(1, 1)), bytes.fromhex("5254007200bc")),
             "ESP": from_guest(to="10.72.0.80", protocol=50, payload=bytes(16)),
             "an answer": from_guest(protocol=1, payload=bytes(8)), "unknown": from_guest(protocol=253, payload=bytes(8)),
             "six": from_guest6(51, bytes(16))},
            {"mail": from_guest(protocol=6, payload=tcp(1, 25)), "UDP of two": from_guest(THIRD, payload=udp(1, 25)),
             "expedited": from_guest(payload=udp(1, 2), service=46 << 2),
             "SCTP from 6": from_guest(protocol=132, payload=udp(6, 9)),
             "UDP-Lite to it": from_guest(protocol=136, payload=udp(1, 1)),
             "ESP to": from_guest(to="10.72.0.79", protocol=50, payload=bytes(16)),
             "AH": from_guest(protocol=51, payload=bytes(16)),
             "IGMP": from_guest(protocol=2, payload=bytes(8)), "ping": from_guest(protocol=1, payload=bytes([8]) + bytes(7)),
             "all to it": frame(GUEST, IP, ipv4(OWN, protocol=253), bytes.fromhex("02aa00000001"))})
        self.dropping(
            "packets-six",
            ["<tcp-ipv6 flags='SYN,ACK/SYN' dstportstart='25'/>", "<udp-ipv6 dstportstart='3' dstportend='5'/>",
             "<sctp-ipv6 dstportstart='9'/>", "<udplite-ipv6/>", "<esp-ipv6/>", "<ah-ipv6/>", "<icmpv6 type='128'/>",
             "<all-ipv6 srcipfrom='2001:db8:72::20' srcipto='2001:db8:72::2f'/>"],
            {"answered": from_guest6(6, tcp(1, 25, 0x12)), "another port": from_guest6(6, tcp(1, 26)),
             "UDP": from_guest6(17, udp(1, 6)), "SCTP": from_guest6(132, udp(9, 1)),
             "an answer": from_guest6(58, bytes([129]) + bytes(7)),
             "another": from_guest6(59, b"", "2001:db8:72::30"), "four": from_guest(payload=udp(1, 3))},
            {"mail": from_guest6(6, tcp(1, 25)), "UDP to 5": from_guest6(17, udp(1, 5)),
             "SCTP to 9": from_guest6(132, udp(1, 9)),
             "UDP-Lite": from_guest6(136, udp(1, 1)), "ESP": from_guest6(50, bytes(16)), "AH": from_guest6(51, bytes(16)),
             "ping": from_guest6(58, bytes([128]) + bytes(7)), "of a range": from_guest6(59, b"", "2001:db8:72::2f")})

    def test_stock_filters_combined(self):
        """What is mandatory, side by side: nobody else's addresses, nothing to many at once."""
        document = """<filter name='mandatory'><filterref filter='no-mac-spoofing'/><filterref filter='no-ip-spoofing'/>
          <filterref filter='no-arp-spoofing'/><filterref filter='no-ip-multicast'/><filterref filter='no-mac-broadcast'/>
          <filterref filter='no-ipv6-spoofing'/><filterref filter='no-ipv6-multicast'/></filter>"""
        group, group6 = bytes.fromhex("01005e000005"), bytes.fromhex("333300000005")
        own6 = ipv6(OWN6, "ff02::5", 17, udp(1, 2))
        self.example(document,
                     {"IPv4": from_guest(payload=udp(1, 2)), "ARP": frame(GUEST, ARP, arp(GUEST, OWN), EVERYBODY),
                      "IPv6": from_guest6(17, udp(1, 2))},
                     {"MAC": frame(LIAR, IP, ipv4(OWN)), "address": from_guest(ALIEN, protocol=6, payload=tcp(1, 2)),
                      "ARP of another": frame(GUEST, ARP, arp(GUEST, ALIEN), EVERYBODY),
                      "multicast": frame(GUEST, IP, ipv4(OWN, "224.0.0.5"), group),
                      "broadcast": frame(GUEST, IP, ipv4(OWN, "10.72.0.255"), EVERYBODY),
                      "address of six": from_guest6(6, tcp(1, 2), "2001:db8:72::66"),
                      "multicast of six": frame(GUEST, IPV6, own6, group6)},
                     {"multicast": frame(PEER, IP, ipv4(OTHER, "224.0.0.5"), group),
                      "broadcast": frame(PEER, IP, ipv4(OTHER, "10.72.0.255"), EVERYBODY),
                      "six": to_guest6(17, udp(1, 2))}, {}, IP=OWN, IPV6=OWN6)
        self.judge(4, "out:tcp:22 in:tcp:22 out:ping in:ping")
        self.judge(6, "out:tcp:22 in:tcp:22")
        self.bind("<filter name='clean-and-quiet'><filterref filter='clean-traffic'/><filterref filter='no-ip-multicast'/>"
                  "</filter>", IP=OWN)
        self.judge(4, "out:tcp:22 in:udp:53 out:ping in:ping")
        self.judge(6, "", "out:ping in:tcp:22")

    def test_both_families_without_states(self):
        """The custom filter by ports and kinds of messages, where statematch='false' takes the place of connections."""
        for family, six, asks, answers in ((4, "", 8, 0), (6, "-ipv6", 128, 129)):
            message = "icmpv6" if six else "icmp"
            rules = "".join(f"<rule action='accept' direction='{way}' statematch='false'>{rule}</rule>" for way, rule in (
                ("in", f"<tcp{six} dstportstart='22'/>"), ("in", f"<tcp{six} dstportstart='80'/>"),
                ("out", f"<{message} type='{asks}'/>"), ("in", f"<{message} type='{answers}'/>"),
                ("out", f"<udp{six} dstportstart='53'/>")))
            self.judge(family, "in:tcp:22 in:tcp:80 in:tcp:81 in:ping out:ping in:udp:53 out:tcp:7000 out:udp:53")
            self.bind(f"<filter name='ports{six}'>{rules}<rule action='drop' direction='inout'><all{six}/></rule></filter>")
            self.judge(family, "in:tcp:22 in:tcp:80 out:ping out:udp:53", "in:tcp:81 in:ping in:udp:53 out:tcp:7000")
            # What is lost without states: the guest may begin from a port that it serves.
            self.judge(family, "out:tcp:7000:22")
            self.judge(10 - family, "in:tcp:81 out:tcp:7000")  # the other family has no rule

    def test_learning(self):
        """An address of nobody's yet: by what is said first, or by what a server gives that is trusted."""
        self.bind("<filter name='learning'><filterref filter='clean-traffic'/></filter>", CTRL_IP_LEARNING="any")
        with self.guest.inside(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as out:
            out.bind(("eth0", 0))
            out.send(frame(GUEST, ARP, arp(GUEST, SECOND), EVERYBODY))
        wait_until(lambda: SECOND in self.daemon.in_network("nft", "list", "ruleset"), "the address is not learned")
        self.pass_only({"its": from_guest(SECOND)}, {"another": from_guest(THIRD)}, {}, {})
        leased = """<filter name='leased' chain='ipv4'>
          <filterref filter='clean-traffic'/><filterref filter='allow-dhcp-server'/>
          <rule action='drop' direction='in' priority='200'><ip protocol='udp' srcportstart='67'/></rule></filter>"""
        self.bind(leased, CTRL_IP_LEARNING="dhcp", DHCPSERVER=[OTHER, "10.72.0.13"])
        ask = frame(GUEST, IP, ipv4("0.0.0.0", "255.255.255.255", payload=udp(68, 67)), EVERYBODY)
        self.pass_only({"DHCP": ask}, {"its": from_guest(SECOND)}, {"a lease": dhcp("10.72.0.13", THIRD)},
                       {"a stranger's lease": dhcp(ALIEN, SECOND)})
        wait_until(lambda: THIRD in self.daemon.in_network("nft", "list", "ruleset"), "the lease is not learned")
        self.pass_only({"leased": from_guest(THIRD)}, {"not leased": from_guest(SECOND)}, {}, {})

    def test_rules_of_connections(self):
        """The examples with connections: each is taken and in force, or refused by the name of what is missing."""
        self.daemon.in_network("nft", "add table bridge probe; "
                               "add chain bridge probe a { type filter hook prerouting priority 0; }")
        self.addCleanup(self.daemon.in_network, "nft", "delete", "table", "bridge", "probe")
        try:
            self.daemon.in_network("nft", "add rule bridge probe a ct state established")
            knows = True
        except subprocess.CalledProcessError:
            knows = False
        for document in CONNECTIONS:
            with self.subTest(name_of(document)):
                if knows:
                    self.bind(document, IP=OWN)
                    self.assertIn("ct state", self.daemon.in_network("nft", "list", "ruleset"))
                    continue
                said = self.not_bound(document, IP=OWN)
                self.assertRegex(said, r"guest0: a rule of <\S+> needs the states of connections.*nf_conntrack_bridge")
                self.assertIn("statematch='false'", said)
                self.assertEqual(self.virsh("nwfilter-binding-list"), "")
                self.assertNotIn("guest0", self.daemon.in_network("nft", "list", "ruleset"))


if __name__ == "__main__":
    require_daemon()
    tap.main()
