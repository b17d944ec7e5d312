#!/usr/bin/python3
# beside others
"""Interfaces of type user, by stock virsh: a passt answers the guest, leads ports to it, dies and comes back (T29)."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from domains import require_daemon, wait_for_reason
from fixtures import tap
from fixtures.warren_daemon import PrivateDaemon
from guest_network import MAC, TESTS, GuestNetworkCase


def interface(inside: str = "", driver: str = "") -> str:
    return (f"<interface type='user'><mac address='{MAC}'/><model type='virtio'/><backend type='passt'/>{driver}"
            f"<ip family='ipv4' address='10.0.2.15' prefix='24'/>{inside}</interface>")


class UserNetwork(GuestNetworkCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = PrivateDaemon(own_network=True)
        # passt answers for the gateway of the host's default route; echoes come from who has the address, outside.
        outside = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo ready && exec sleep infinity"],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        outside.stdout.readline()
        cls.addClassCleanup(outside.stdout.close)
        cls.addClassCleanup(outside.wait)
        cls.addClassCleanup(outside.kill)
        for command in ("ip link add up0 type veth peer name up1", "ip address add 10.0.2.9/24 dev up0",
                        "ip link set up0 up", f"ip link set up1 netns {outside.pid}", "ip route add default via 10.0.2.2"):
            cls.daemon.in_network(*command.split())
        for command in ("ip address add 10.0.2.2/24 dev up1", "ip link set up1 up"):
            subprocess.run(["nsenter", f"--net=/proc/{outside.pid}/ns/net", *command.split()], check=True)
        cls.daemon.in_network("sh", "-c", "echo '0 2147483647' > /proc/sys/net/ipv4/ping_group_range")
        cls.daemon.__enter__()

    def records(self) -> list[Path]:
        return list((self.daemon.root / "run").rglob("passt-*.pid"))

    def passt(self) -> int:
        (record,) = self.records()
        return int(record.read_text().split()[0])

    def wait_for_end(self, pid: int) -> None:
        deadline = time.monotonic() + 20
        while self.runs(pid):
            self.assertLess(time.monotonic(), deadline, "passt does not end")
            time.sleep(0.02)

    def received(self, name: str) -> int:
        return int(self.virsh("domifstat", name, MAC).split("rx_packets")[1].split()[0])

    @staticmethod
    def runs(pid: int) -> bool:
        try:
            return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
        except FileNotFoundError:
            return False

    def test_passt_answers(self):
        self.run_tests("answers", TESTS + ",hostile_headers,receive_filter", interface(), arguments="net_unpadded=1")
        shown = self.virsh("dumpxml", "answers").split("<interface type='user'>")[1].split("</interface>")[0]
        self.assertIn("<ip address='10.0.2.15' family='ipv4' prefix='24'/>", shown)
        self.assertNotIn("<target", shown)

    def test_packed_rings(self):
        self.run_tests("packed", TESTS + ",packed,packed_event_index", interface(driver="<driver packed='on'/>"),
                       arguments="net_unpadded=1")

    def test_ports_lead_to_the_guest(self):
        forward = ("<portForward proto='tcp' address='127.0.0.1'><range start='2222' to='22'/></portForward>"
                   "<portForward proto='udp'><range start='5000' end='5002'/></portForward>")
        with self.guest("ports", f" test=virtio_net.connection await_port=22", interface(forward)) as terminal:
            terminal.expect("AWAITING")
            self.assertIn(":5002", self.daemon.in_network("ss", "-lun"))
            self.assertNotIn(":5003", self.daemon.in_network("ss", "-lun"))
            self.daemon.in_network("timeout", "1", "bash", "-c", "echo > /dev/tcp/127.0.0.1/2222", check=False)
            self.assert_passed(terminal, 1)
        wait_for_reason(self.daemon, "ports", "shut off (shutdown)")
        self.assertNotIn(":2222", self.daemon.in_network("ss", "-ltn"))

    def test_a_passt_that_dies(self):
        with self.guest("mortal", " test=virtio_net.link_comes_back await_link=3", interface()) as terminal:
            terminal.expect("LINKED 1")
            first = self.passt()
            os.kill(first, signal.SIGKILL)
            terminal.expect("LINKED 2")
            second = self.passt()
            self.assertNotEqual(first, second)
            before = self.received("mortal")
            # Also while nobody looks.
            self.daemon.kill()
            os.kill(second, signal.SIGKILL)
            time.sleep(0.3)
            self.daemon.start()
        deadline = time.monotonic() + 30
        while self.received("mortal") < before + 2:  # an address, an echo
            self.assertLess(time.monotonic(), deadline, "no packet comes after the daemon came back")
            time.sleep(0.05)
        third = self.passt()
        self.assertNotIn(third, (first, second))
        self.wait_until(lambda: self.daemon.log.read_text().count("the passt of interface net0 was lost and is replaced") == 2,
                        "the two deaths are not told")
        # Who was started by another daemon ends with the domain as well; one that does not hear of it is killed.
        self.daemon.kill()
        self.daemon.start()
        os.kill(third, signal.SIGSTOP)
        self.virsh("destroy", "mortal")
        self.wait_for_end(third)
        self.assertEqual(self.records(), [])

    def test_five_deaths_in_a_minute_are_the_end(self):
        with self.guest("brittle", " test=virtio_net.link_comes_back await_link=9", interface()) as terminal:
            for death in range(1, 7):
                terminal.expect(f"LINKED {death}\\b")
                os.kill(self.passt(), signal.SIGKILL)
            deadline = time.monotonic() + 20
            while "the passt of interface net0 is not started again" not in self.daemon.log.read_text():
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.05)
            self.assertIn("running", self.virsh("domstate", "brittle"))
        self.virsh("destroy", "brittle")
        self.assertEqual(self.records(), [])

    def test_one_comes_and_goes(self):
        nic = self.daemon.root / "nic.xml"
        nic.write_text(interface())
        with self.guest("plug", "hot_plug", "") as terminal:
            terminal.expect("READY")
            for _ in range(2):
                self.virsh("attach-device", "plug", nic, "--live")
                terminal.expect("PLUGGED 1 0x1af4:0x1041")
                passt = self.passt()
                self.assertTrue(self.runs(passt))
                self.assertIn("nobody", self.owner(passt))
                self.assertIn("has a passt already", self.refused("attach-device", "plug", nic, "--live"))
                self.assertTrue(self.runs(passt))
                self.virsh("domif-setlink", "plug", MAC, "down")
                self.assertIn("down", self.virsh("domif-getlink", "plug", MAC))
                self.virsh("detach-device", "plug", nic, "--live")
                terminal.expect("EMPTY 1")
                self.wait_for_end(passt)
                self.assertEqual(self.records(), [])

    @staticmethod
    def owner(pid: int) -> str:
        return Path(f"/proc/{pid}").owner()

    def test_what_passt_says_is_said(self):
        self.daemon.in_network("ip", "route", "del", "default")
        try:
            with self.assertRaises(RuntimeError) as caught, self.guest("lost", "echo", interface()):
                pass
        finally:
            self.daemon.in_network("ip", "route", "add", "default", "via", "10.0.2.2")
        self.assertIn(f"interface {MAC} of type user: passt did not start", str(caught.exception))
        self.assertIn("External interface not usable", str(caught.exception))
        self.assertEqual(self.records(), [])

    def test_its_log(self):
        log = self.daemon.root / "passt.log"
        with self.guest("log", "echo", interface().replace("type='passt'", f"type='passt' logFile='{log}'")) as terminal:
            terminal.expect("READY")
            self.assertIn("passt", log.read_text(errors="replace"))
            self.assertEqual(log.stat().st_mode & 0o777, 0o600)


if __name__ == "__main__":
    require_daemon()
    if shutil.which("passt") is None:
        print("passt is not installed (packaging/install-dependencies tests)")
        sys.exit(1)
    tap.main()
