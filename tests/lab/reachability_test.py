#!/usr/bin/python3
"""Who reaches whom on networks of every forward mode: two guests with an interface on each, the host, and a machine
outside, over IPv4 and IPv6: at first, after networks are restarted, behind a firewall that drops, after a daemon that
was killed, and after somebody flushed the packet filter."""
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
from linux_guest import image

# The third number of a network's subnets: 10.71.N.0/24 and 2001:db8:71:N::/64. In each .1 is the host, .2 the machine
# outside where it is on the same wire, .11 and .12 the guests.
MODES = ["nat", "nat66", "route", "open", "isolated", "bridge", "direct", "private", "vepa", "passthrough"]
NUMBER = {mode: i + 1 for i, mode in enumerate(MODES)}
OURS = MODES[:5]  # with a bridge of their own
DIRECT = MODES[6:]  # macvtaps
OUTSIDE = {4: "198.51.100.2", 6: "2001:db8:100::2"}  # TEST-NET-2 (RFC 5737) and documentation (RFC 3849)
PAIRS = ("guest-guest", "guest-host", "guest-dns", "guest-outside", "outside-guest", "host-guest")
EVERYBODY = frozenset(PAIRS)
WIRE = EVERYBODY - {"guest-dns"}  # where Warren serves nothing
MACVTAP = WIRE - {"guest-host", "host-guest"}
ALONE = MACVTAP - {"guest-guest"}
TRANSLATED = EVERYBODY - {"outside-guest"}
ISOLATED = TRANSLATED - {"guest-outside"}

# What is reached, by family and mode.
EXPECTED = {4: {"nat": TRANSLATED, "nat66": TRANSLATED, "route": EVERYBODY, "open": EVERYBODY, "isolated": ISOLATED,
                "bridge": WIRE, "direct": MACVTAP, "private": ALONE, "vepa": ALONE, "passthrough": MACVTAP}}
EXPECTED[6] = EXPECTED[4] | {"nat": EVERYBODY}  # IPv6 is routed there, unless <nat> says otherwise

# From a guest's address in one network to the other guest's in another one, by way of the host.
BETWEEN = {("isolated", "route"): False, ("route", "isolated"): False, ("nat66", "isolated"): False,
           ("isolated", "nat66"): False, ("nat66", "route"): True, ("route", "nat66"): False, ("open", "nat66"): False,
           ("open", "route"): True}

# The host lets in and through what was asked for from here, and nothing else. What is on the wire alone is not touched.
# IPv6 finds no neighbours that way, the host its guests neither.
BEHIND_WALL = {4: {mode: EXPECTED[4][mode] & ({"guest-guest", "host-guest"} if mode in OURS else WIRE - {"guest-host"})
                   for mode in MODES}}
BEHIND_WALL[6] = {mode: BEHIND_WALL[4][mode] - {"host-guest"} for mode in MODES}
# What was told to be typed lets networks through, and guests to what the host serves them (with IPv6, echoes too). What
# goes through an open network is for the administrator to say, and what concerns his own bridge.
LET_THROUGH = ("nat", "nat66", "route", "isolated")
WITH_REMEDY = {4: BEHIND_WALL[4] | {mode: EXPECTED[4][mode] - {"guest-host"} for mode in LET_THROUGH}
               | {"open": ISOLATED - {"guest-host"}},
               6: BEHIND_WALL[6] | {mode: EXPECTED[6][mode] for mode in LET_THROUGH} | {"open": ISOLATED}}

# The host itself still finds who is at its uplink, as with every firewall that is meant to be lived with.
WALL = """table inet wall {
  chain forward {
    type filter hook forward priority 0
    policy drop
    ct state established,related accept
  }
  chain input {
    type filter hook input priority 0
    policy drop
    iif lo accept
    ct state established,related accept
    iifname uplink icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
  }
}
"""


def run(*words: str, check: bool = True, given: str = "") -> str:
    done = subprocess.run(words, capture_output=True, text=True, input=given, timeout=60)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr}")
    return done.stdout


def address(family: int, mode: str, host: int) -> str:
    return f"10.71.{NUMBER[mode]}.{host}" if family == 4 else f"2001:db8:71:{NUMBER[mode]}::{host}"


def with_prefix(family: int, mode: str, host: int) -> str:
    return address(family, mode, host) + ("/24" if family == 4 else "/64")


def network(mode: str) -> str:
    forward = {"nat": "<forward mode='nat'/>", "nat66": "<forward mode='nat'><nat ipv6='yes'/></forward>",
               "route": "<forward mode='route'/>", "open": "<forward mode='open'/>", "isolated": "",
               "bridge": "<forward mode='bridge'/><bridge name='wire'/>",
               "direct": "<forward mode='bridge'><interface dev='direct-a'/></forward>",
               "private": "<forward mode='private'><interface dev='private-a'/></forward>",
               "vepa": "<forward mode='vepa'><interface dev='vepa-a'/></forward>",
               "passthrough": "<forward mode='passthrough'><interface dev='passthrough-a'/>"
                              "<interface dev='passthrough-b'/></forward>"}[mode]
    if mode in OURS:
        forward += f"<bridge name='br-{mode}' stp='off' delay='0'/>"
        forward += f"<dns><host ip='{address(4, mode, 1)}'><hostname>gateway</hostname></host></dns>"
        forward += f"<ip address='{address(4, mode, 1)}' prefix='24'/>"
        forward += f"<ip family='ipv6' address='{address(6, mode, 1)}' prefix='64'/>"
    return f"<network><name>{mode}</name>{forward}</network>"


def outside_world() -> None:
    """A name space: behind the host's router, and at the other end of the cables that networks are plugged into. It
    knows a way back to all of them."""
    here = ["link add uplink type veth peer name eth0 netns world", "address add 198.51.100.1/24 dev uplink",
            "address add 2001:db8:100::1/64 dev uplink nodad", "link set uplink up",
            "link add wire type bridge forward_delay 0", "link set wire up"]
    there = ["link set lo up", f"address add {OUTSIDE[4]}/24 dev eth0", f"address add {OUTSIDE[6]}/64 dev eth0 nodad",
             "link set eth0 up"]
    for mode in ["bridge", *DIRECT]:
        there += [f"link add {mode} type bridge forward_delay 0", f"link set {mode} up"]
        there += [f"address add {with_prefix(family, mode, 2)} dev {mode} {'nodad' if family == 6 else ''}"
                  for family in (4, 6)]
        for end in "ab" if mode == "passthrough" else "a":
            here += [f"link add {mode}-{end} type veth peer name {mode}-{end} netns world", f"link set {mode}-{end} up"]
            there.append(f"link set {mode}-{end} master {mode} up")
        if mode == "bridge":
            here.append("link set bridge-a master wire")
        here += [f"address add {with_prefix(family, mode, 1)} dev {'wire' if mode == 'bridge' else mode + '-a'} "
                 f"{'nodad' if family == 6 else ''}" for family in (4, 6)]
    for mode in OURS:
        there += [f"route add 10.71.{NUMBER[mode]}.0/24 via 198.51.100.1",
                  f"route add 2001:db8:71:{NUMBER[mode]}::/64 via 2001:db8:100::1"]
    run("ip", "netns", "add", "world")
    run("ip", "-batch", "-", given="\n".join(here) + "\n")
    run("ip", "-n", "world", "-batch", "-", given="\n".join(there) + "\n")


# In the guest: each interface, by the last byte of its hardware address. What has an address of a network for its
# source goes by that network alone.
INTERFACES = r"""cd /sys/class/net; for d in eth*; do m=$(cat $d/address); n=$((0x${m##*:}))
echo 0 > /proc/sys/net/ipv6/conf/$d/accept_ra; echo 0 > /proc/sys/net/ipv6/conf/$d/accept_dad
echo 1 > /proc/sys/net/ipv4/conf/$d/arp_ignore
ip link set $d up; ip address add 10.71.$n.%(host)d/24 dev $d; ip -6 address add 2001:db8:71:$n::%(host)d/64 dev $d
ip rule add from 10.71.$n.%(host)d table 10$n; ip -6 rule add from 2001:db8:71:$n::%(host)d table 10$n
ip route add 10.71.$n.0/24 dev $d table 10$n; ip -6 route add 2001:db8:71:$n::/64 dev $d table 10$n
ip route add default via 10.71.$n.1 dev $d table 10$n; ip -6 route add default via 2001:db8:71:$n::1 dev $d table 10$n
done; cd /"""
PATIENCE = 2500  # milliseconds; an answer takes some ten of them here


def questions(pairs: str) -> str:
    """Lines for network_probe, said by a shell that has the mode as $m, its number as $n, and $far: the machine outside
    is not on the same wire."""
    lines = []
    for family, subnet, outside in ((4, "10.71.$n.", OUTSIDE[4]), (6, "2001:db8:71:$n::", OUTSIDE[6])):
        ways = {"guest-guest": f"echo {subnet}11 {subnet}12", "guest-host": f"echo {subnet}11 {subnet}1",
                "guest-outside": f"echo {subnet}11 ${{far:+{outside}}}${{near:+{subnet}2}}",
                "guest-dns": f"dns {subnet}11 {subnet}1", "host-guest": f"echo {subnet}1 {subnet}11",
                "outside-guest": f"echo ${{far:+{outside}}}${{near:+{subnet}2}} {subnet}11"}
        lines += [f"echo {pair}/$m/{family} {ways[pair]}" for pair in pairs.split()]
    return (f"n=0; near=; far=1; for m in {' '.join(MODES)}; do n=$((n+1)); [ $n -gt {len(OURS)} ] && near=1 far=; "
            + "; ".join(lines) + "; done")


class Reachability(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.probe = image.compiled(image.HERE / "network_probe.c")
        cls.daemon = PrivateDaemon()
        cls.addClassCleanup(cls.daemon.__exit__)
        cls.daemon.start()
        outside_world()
        for mode in MODES:
            (cls.daemon.root / f"{mode}.xml").write_text(network(mode))
        cls.daemon.virsh("; ".join(f"net-define {cls.daemon.root}/{mode}.xml; net-start {mode}" for mode in MODES))
        for name, host in (("second", 12), ("first", 11)):
            guest = LinuxGuest(cls.daemon, name, devices="".join(
                f"<interface type='network'><mac address='52:54:00:71:{host}:{NUMBER[mode]:02x}'/>"
                f"<source network='{mode}'/><model type='virtio'/></interface>" for mode in MODES))
            guest.define()
            cls.console = guest.start_with_console()
            cls.console.run(INTERFACES.replace("\n", "; ").replace("do;", "do") % {"host": host}, 120)
            if host == 12:
                cls.console.close()
        cls.guest = guest
        cls.addClassCleanup(lambda: cls.console.close())

    def test_1_at_first(self):
        self.check(EXPECTED)

    def test_2_a_switch_that_reflects(self):
        """Guests of mode vepa reach each other and their host by it (IEEE 802.1Qbg); private ones not even then, though
        the host, once it knows them."""
        def reflect(how: str) -> None:
            for mode in "vepa", "private":
                run("ip", "netns", "exec", "world", "bridge", "link", "set", "dev", f"{mode}-a", "hairpin", how)

        self.addCleanup(reflect, "off")
        reflect("on")
        self.check({family: EXPECTED[family] | {"vepa": WIRE} for family in EXPECTED}, open_questions={
            f"{pair}/private/{family}" for pair in ("guest-host", "host-guest") for family in (4, 6)})

    def test_3_networks_that_are_restarted(self):
        self.restart(MODES)
        self.check(EXPECTED)

    def test_4_behind_a_firewall_that_drops(self):
        """nft(8): a drop is final. What it hits is told, with the commands that let it pass, and they do."""
        run("nft", "-f", "-", given=WALL)
        self.addCleanup(run, "nft", "delete", "table", "inet", "wall")
        known = len(self.daemon.log.read_text())
        self.restart(OURS)
        told = re.findall(r"network '(\w+)': table inet wall, chain (\w+) drops .*; to let it pass: (.*)",
                          self.daemon.log.read_text()[known:])
        self.assertEqual(sorted((mode, chain) for mode, chain, _ in told),
                         sorted([(mode, "input") for mode in OURS]
                                + [(mode, "forward") for mode in ("nat", "nat66", "route")]))
        run("ip", "-6", "neigh", "flush", "dev", "wire")
        self.check(BEHIND_WALL, frozenset())
        for _, _, remedy in told:
            run("sh", "-c", remedy)
        self.check(WITH_REMEDY)

    def test_5_a_daemon_that_is_killed(self):
        self.restart_daemon()
        self.check(EXPECTED)

    def test_6_a_packet_filter_that_is_flushed(self):
        """While the daemon runs: it notices."""
        run("nft", "flush", "ruleset")
        deadline = time.monotonic() + 60
        while "nat_br-nat66" not in run("nft", "list", "ruleset"):
            self.assertLess(time.monotonic(), deadline, "the rules do not come back")
            time.sleep(0.2)
        self.check(EXPECTED)

    def restart_daemon(self) -> None:
        self.console.close()
        self.daemon.kill()
        self.daemon.start()
        type(self).console = self.guest.console()

    def restart(self, modes: list[str]) -> None:
        """The guests are plugged in again."""
        self.daemon.virsh("; ".join(f"net-destroy {mode}; net-start {mode}" for mode in modes))
        deadline = time.monotonic() + 30
        bridges = [f"br-{mode}" for mode in modes if mode in OURS]
        while any(len(run("ip", "-br", "link", "show", "master", bridge).splitlines()) < 2 for bridge in bridges):
            self.assertLess(time.monotonic(), deadline, "guests are not plugged in again")
            time.sleep(0.2)

    # ---- who reaches whom

    def check(self, expected: dict, between: frozenset = frozenset(pair for pair in BETWEEN if BETWEEN[pair]),
              open_questions: set[str] = frozenset()) -> None:
        """A slow host may take its time: what is missing is asked for again."""
        wanted = {f"{pair}/{mode}/{family}" for family in expected for mode in MODES for pair in expected[family][mode]}
        wanted |= {f"between/{one}-{other}/{family}" for one, other in between for family in expected}
        reached: set[str] = set()
        for attempt in range(5):
            reached |= self.measure() - open_questions
            if reached >= wanted:
                break
            print("# not yet:", *sorted(wanted - reached))
        self.assertEqual(sorted(reached - wanted), [], "reached, and should not be")
        self.assertEqual(sorted(wanted - reached), [], "not reached")

    def measure(self) -> set[str]:
        """By name: PAIR/MODE/FAMILY."""
        others = [subprocess.Popen([*where, "sh", "-c", f"({questions(pairs)}) | {self.probe} reach {PATIENCE + 1000}"],
                                   stdout=subprocess.PIPE, text=True)
                  for where, pairs in (([], "host-guest"), (["ip", "netns", "exec", "world"], "outside-guest"))]
        between = "; ".join(f"b {one}-{other} {NUMBER[one]} {NUMBER[other]}" for one, other in BETWEEN)
        self.console.run("b() { echo between/$1/4 echo 10.71.$2.11 10.71.$3.12; echo between/$1/6 echo "
                         f"2001:db8:71:$2::11 2001:db8:71:$3::12; }}; ({between}) > /tmp/asked")
        said = self.console.run(f"({questions('guest-guest guest-host guest-dns guest-outside')}; cat /tmp/asked) | "
                                f"network_probe reach {PATIENCE}", 120)
        return set(said.split()).union(*(process.communicate(timeout=60)[0].split() for process in others))


if __name__ == "__main__":
    tap.main()
