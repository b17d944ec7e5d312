#!/usr/bin/python3
# beside others
"""What others remove behind the daemon's back: bridges, taps, rules. Each is noticed, and repaired or reported."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from domains import define, require_daemon, write_xml
from fixtures import tap
from fixtures.daemon_case import OwnNetworkCase
from network_test import DEFAULT, PORT

ISOLATED = """<network>
  <name>second</name>
  <bridge name='virbr7'/>
  <ip address='10.7.7.1' prefix='24'/>
</network>
"""
INTERFACE = """<interface type='network'>
  <source network='default'/>
  <mac address='52:54:00:aa:bb:0{number}'/>
  {filter}
</interface>
"""


class Repair(OwnNetworkCase):
    def setUp(self):
        super().setUp()
        self.virsh("net-create", self.file(DEFAULT))

    def outside(self, *command) -> str:
        """What somebody does who is not the daemon."""
        return self.daemon.in_network(*command)

    def links(self) -> dict[str, dict]:
        return {link["ifname"]: link for link in json.loads(self.daemon.in_network("ip", "-j", "address"))}

    def rules(self) -> str:
        """Without what changes by itself, and whichever chain was made first."""
        listed = json.loads(self.daemon.in_network("nft", "-j", "list", "ruleset"))["nftables"]
        return "\n".join(sorted(re.sub(r'"(handle|packets|bytes)": \d+,? ?', "", json.dumps(each)) for each in listed))

    def log(self) -> str:
        return self.daemon.log.read_text(errors="replace")

    def servers(self) -> set[int]:
        """Processes of dnsmasq that serve this daemon."""
        found = set()
        for process in Path("/proc").glob("[0-9]*"):
            try:
                words = (process / "cmdline").read_text().split("\0")
            except OSError:
                continue
            if words[0].endswith("dnsmasq") and str(self.daemon.root) in " ".join(words):
                found.add(int(process.name))
        return found

    def served(self) -> int:
        """Networks that have a dnsmasq: there are two processes for one with DHCP, of the same command."""
        commands = set()
        for server in self.servers():
            try:
                commands.add(Path(f"/proc/{server}/cmdline").read_text())
            except OSError:
                continue
        return len(commands)

    def start(self, name: str, count: int = 1, filter_reference: str = ""):
        interfaces = "".join(INTERFACE.format(number=number, filter=filter_reference) for number in range(count))
        define(self.daemon, name, "idle", devices=interfaces)
        self.virsh("start", name)

    def test_a_bridge_removed_by_hand_is_made_again(self):
        self.start("vm", count=2)
        rules, servers = self.rules(), self.servers()
        index = self.links()["virbr0"]["ifindex"]
        self.outside("ip", "link", "delete", "virbr0")
        self.wait_until(lambda: "has been made again" in self.log(), "the bridge stays away")
        bridge = self.links()["virbr0"]
        self.assertNotEqual(bridge["ifindex"], index)
        self.assertIn("192.168.122.1", [address["local"] for address in bridge["addr_info"]])
        self.assertEqual(self.rules(), rules)
        self.wait_until(lambda: len(self.servers()) == len(servers) and not self.servers() & servers, "dnsmasq is not renewed")
        self.wait_until(lambda: all(self.links()[vnet].get("master") == "virbr0" for vnet in ("vnet0", "vnet1")),
                        "taps stay out of the bridge")
        self.assertEqual(self.virsh("domif-getlink", "vm", "vnet0"), "vnet0 up")
        self.assertIn("connections='2'", self.virsh("net-dumpxml", "default"))
        time.sleep(1)
        self.assertNotIn("taken out of bridge", self.log())
        # Once more, and what the daemon removes itself is no surprise.
        self.outside("ip", "link", "delete", "virbr0")
        self.wait_until(lambda: self.log().count("has been made again") == 2, "the bridge stays away")
        self.virsh("destroy", "vm")
        self.virsh("net-destroy", "default")
        time.sleep(1)
        self.assertEqual(self.log().count("has been made again"), 2)
        self.assertNotIn("virbr0", self.links())

    def test_a_bridge_that_cannot_be_made_again_is_reported(self):
        # Before the bridge goes: it is made again at once.
        self.outside("sh", "-c", "ip link add others type veth peer name other; "
                                 "ip address add 192.168.122.9/24 dev other; ip link set other up")
        self.outside("ip", "link", "delete", "virbr0")
        self.wait_until(lambda: "cannot be made again" in self.log(), "nobody is told")
        self.assertIn("virsh net-destroy default", self.log())
        self.assertIn("default", self.virsh("net-list", "--name"))
        self.outside("ip", "link", "delete", "other")
        self.virsh("net-destroy", "default")
        self.virsh("net-create", self.file(DEFAULT))

    def test_a_bridge_renamed_by_hand_is_reported(self):
        self.outside("sh", "-c", "ip link set virbr0 down; ip link set virbr0 name mine; ip link set mine up")
        self.wait_until(lambda: "cannot be made again" in self.log(), "nobody is told")
        self.assertIn("in use by interface mine", self.log())
        self.outside("ip", "link", "delete", "mine")

    def test_a_tap_removed_by_hand_is_reported(self):
        self.virsh("nwfilter-list")
        self.start("vm", count=2, filter_reference="<filterref filter='no-mac-spoofing'/>")
        self.assertIn("vnet0", self.virsh("nwfilter-binding-list"))
        self.outside("ip", "link", "delete", "vnet0")
        self.wait_until(lambda: "vnet0 (52:54:00:aa:bb:00): its link on the host was removed" in self.log(), "nobody is told")
        self.wait_until(lambda: self.virsh("domif-getlink", "vm", "vnet0") == "vnet0 down", "the guest is not told")
        self.assertEqual(self.virsh("domif-getlink", "vm", "vnet1"), "vnet1 up")
        self.wait_until(lambda: "vnet0" not in self.rules(), "its rules stay")
        self.assertNotIn("vnet0", self.virsh("nwfilter-binding-list"))
        # A worker does not spin on what is no more.
        worker = next(process for process in Path("/proc").glob("[0-9]*") if self.is_worker(process))
        before = self.cpu_ticks(worker)
        time.sleep(1)
        self.assertLess(self.cpu_ticks(worker) - before, 20)
        # As the log says.
        self.virsh("detach-interface", "vm", "network", "--mac", "52:54:00:aa:bb:01", "--config")
        self.virsh("destroy", "vm")
        self.assertNotIn("connections", self.virsh("net-dumpxml", "default"))
        self.assertEqual(self.virsh("net-port-list", "default").count("52:54"), 0)
        self.assertEqual(self.log().count("removed by somebody else"), 1)

    @staticmethod
    def cpu_ticks(process: Path) -> int:
        fields = (process / "stat").read_text().rsplit(") ", 1)[1].split()
        return int(fields[11]) + int(fields[12])  # proc(5): utime, stime

    def is_worker(self, process: Path) -> bool:
        try:
            return ((process / "comm").read_text().strip() == "warren-vmm" and
                    any(str(self.daemon.root) in str(fd.readlink()) for fd in (process / "fd").iterdir()))
        except OSError:
            return False

    def test_a_tap_taken_out_of_its_bridge_is_reported(self):
        self.start("vm")
        self.outside("ip", "link", "set", "vnet0", "nomaster")
        self.wait_until(lambda: "vnet0 (52:54:00:aa:bb:00) was taken out of bridge virbr0" in self.log(), "nobody is told")
        self.assertNotIn("master", self.links()["vnet0"])

    def test_domains_that_end_are_no_loss(self):
        self.start("vm", count=3)
        self.virsh("detach-interface", "vm", "network", "--mac", "52:54:00:aa:bb:02", "--config")
        self.virsh("destroy", "vm")
        self.virsh("start", "vm")
        self.virsh("reset", "vm")
        self.virsh("destroy", "vm")
        time.sleep(1.5)
        self.assertNotIn("somebody else", self.log())

    def test_rules_that_are_flushed_come_back(self):
        self.virsh("net-create", self.file(ISOLATED))
        self.start("vm", filter_reference="<filterref filter='no-mac-spoofing'/>")
        rules = self.rules()
        self.assertIn("masquerade", rules)
        self.assertIn("vnet0", rules)
        for round_number in range(1, 4):
            self.outside("nft", "flush", "ruleset")
            self.wait_until(lambda: self.rules() == rules, "the rules stay away")
            self.wait_until(lambda: self.log().count("the rules of networks were changed by somebody else, and are in place "
                                                     "again") == round_number, "it is not told once")
        # Also where only a part of them goes.
        self.outside("nft", "delete", "table", "bridge", "warren_nwfilter")
        self.wait_until(lambda: self.rules() == rules, "the filters stay away")
        # A transaction is in force before nft has ended and the daemon can say so.
        self.wait_until(lambda: self.log().count("the filters of taps were") == 4, "it is not told once")
        self.assertEqual(self.log().count("the rules of networks were"), 3)
        # Our own changes are no reason to begin again.
        self.virsh("net-port-create", "default", self.file(PORT))
        self.virsh("net-destroy", "second")
        time.sleep(1.5)
        self.assertEqual(self.log().count("somebody else"), 7)

    def killed_while(self, delay: float, *command: str):
        """The next daemon, after one that was killed while virsh asked it for something."""
        with subprocess.Popen(["virsh", "-q", "-c", self.daemon.uri, *command], stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as client:
            time.sleep(delay)
            self.daemon.kill()
            client.wait(20)
        self.daemon.start()

    def test_t14_a_daemon_killed_while_networks_start(self):
        names = [f"n{number}" for number in range(8)]
        for number, name in enumerate(names):
            self.virsh("net-define", self.file(f"<network><name>{name}</name><forward mode='nat'/><bridge name='wb{number}'/>"
                                               f"<ip address='10.9.{number}.1' prefix='24'/></network>"))
        for delay in (0.03, 0.07, 0.11, 0.16, 0.25):
            self.killed_while(delay, "; ".join(f"net-start {name}" for name in names))
            active = self.virsh("net-list", "--name").split()
            for number, name in enumerate(names):
                with self.subTest(delay=delay, network=name):
                    self.assertEqual(f"wb{number}" in self.links(), name in active)
                    self.assertEqual(f"wb{number}" in self.rules(), name in active)
            # One that was starting when its daemon was killed may end, and is started again.
            self.wait_until(lambda: self.served() == len(active), f"{self.served()} of {active} have a dnsmasq")
            for name in set(active) - {"default"}:
                self.virsh("net-destroy", name)

    def test_t14_a_daemon_killed_while_a_transient_domain_starts(self):
        interfaces = "".join(INTERFACE.format(number=number, filter="") for number in range(9))
        document = write_xml(self.daemon, "brief", "idle", devices=interfaces)
        for delay in (0.02, 0.03, 0.04, 0.06, 0.09, 0.15):
            with self.subTest(delay=delay):
                self.killed_while(delay, "create", str(document))
                running = "brief" in self.virsh("list", "--name").split()
                self.assertEqual(self.virsh("net-port-list", "default").count("-"), 9 * 4 if running else 0)
                self.wait_until(lambda: ("vnet0" in self.links()) == running, "a tap is left")
                if running:
                    self.virsh("destroy", "brief")

    def test_a_storm_of_flushes_is_outlived(self):
        rules = self.rules()
        self.outside("sh", "-c", "for i in $(seq 100); do nft flush ruleset; done")
        self.wait_until(lambda: self.rules() == rules, "the rules stay away")
        self.assertLess(self.log().count("somebody else"), 15)
        self.virsh("net-list")


if __name__ == "__main__":
    require_daemon()
    tap.main()
