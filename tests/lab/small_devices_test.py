#!/usr/bin/python3
"""Balloon, watchdog, panic device and generation id with the drivers of a stock Linux, by stock virsh."""
# time limit: 900 s

import re
import sys
import time
import unittest
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fixtures import tap
from fixtures.linux_guest import LinuxGuest
from fixtures.terminal import Terminal
from fixtures.warren_daemon import PrivateDaemon

MEBIBYTE = 1024  # in KiB
WAIT = 240.0  # seconds, for what a guest does by itself
DEVICES = """
    <watchdog model='i6300esb' action='pause'/>
    <memballoon model='virtio' freePageReporting='on'/>
    <panic model='isa'/>"""


class DeviceCase(unittest.TestCase):
    def wait(self, what: str, look: Callable[[], bool]) -> None:
        end = time.monotonic() + WAIT
        while not look():
            self.assertLess(time.monotonic(), end, what)
            time.sleep(1)

    def state(self) -> str:
        return self.daemon.virsh("domstate", "debian", "--reason")


class SmallDevices(DeviceCase):
    def used_kib(self) -> int:
        return int(re.search(r"Used memory:\s+(\d+) KiB", self.daemon.virsh("dominfo", "debian"))[1])

    def total_kib(self) -> int:
        return int(self.console.run("awk '/^MemTotal/ {print $2}' /proc/meminfo"))

    def statistics(self) -> dict[str, int]:
        return {name: int(value) for name, value in
                (line.split() for line in self.daemon.virsh("dommemstat", "debian").splitlines() if line)}

    def check_balloon(self) -> None:
        self.assertEqual(self.used_kib(), 320 * MEBIBYTE)
        before = self.total_kib()
        self.daemon.virsh("setmem", "debian", "288M", "--live")
        self.wait("the balloon inflates", lambda: self.used_kib() == 288 * MEBIBYTE)
        self.assertAlmostEqual(self.total_kib(), before - 32 * MEBIBYTE, delta=MEBIBYTE)
        self.daemon.virsh("dommemstat", "debian", "--period", "2", "--live")
        self.wait("statistics come", lambda: "available" in self.statistics())
        found = self.statistics()
        self.assertEqual(found["actual"], 288 * MEBIBYTE)
        self.assertAlmostEqual(found["available"], self.total_kib(), delta=MEBIBYTE)
        self.assertLess(found["unused"], found["available"])
        first = found["last_update"]
        self.assertLess(abs(first - time.time()), WAIT)
        self.wait("and come again", lambda: self.statistics()["last_update"] > first)
        self.assertIn("balloon.unused=", self.daemon.virsh("domstats", "debian", "--balloon"))
        self.daemon.virsh("setmem", "debian", "320M", "--live")
        self.wait("the balloon deflates", lambda: self.used_kib() == 320 * MEBIBYTE)
        self.assertEqual(self.total_kib(), before)

    def check_drivers(self, generation: str) -> None:
        self.assertIn("pvpanic", self.console.run("readlink /sys/bus/platform/devices/QEMU0001:00/driver"))
        self.assertIn("vmgenid", self.console.run("readlink /sys/bus/acpi/devices/WRRN0001:00/driver"))
        self.assertRegex(generation, r"<genid>[0-9a-f-]{36}</genid>")

    def check_watchdog(self) -> None:
        self.console.run("watchdog -T 4 -t 1 /dev/watchdog")
        time.sleep(12)
        self.assertEqual(self.state(), "running (booted)", "it is fed")
        self.console.send("kill -9 $(pidof watchdog)\n")
        self.wait("the watchdog expires", lambda: self.state() == "paused (watchdog)")

    def test_with_a_linux_guest(self):
        with PrivateDaemon() as self.daemon:
            guest = LinuxGuest(self.daemon, memory_mib=320, devices=DEVICES, hardware=True)
            guest.xml = guest.xml.replace("<on_crash>destroy", "<on_crash>preserve").replace("</name>", "</name><genid/>")
            guest.define()
            with guest.start_with_console() as self.console:
                self.check_drivers(self.daemon.virsh("dumpxml", "debian"))
                self.check_balloon()
                self.check_watchdog()
                self.daemon.virsh("reset", "debian")
                self.daemon.virsh("resume", "debian")
                guest.wait_until_up(self.console)
                self.console.send("echo c > /proc/sysrq-trigger\n")
                self.wait("the guest panics", lambda: self.state() == "crashed (panicked)")
                self.daemon.virsh("destroy", "debian")


class Watchdogs(DeviceCase):
    """The chipset's watchdog, which is there from the start, and one that comes to a running guest."""

    def expire(self, device: str) -> None:
        self.console.run(f"watchdog -T 8 -t 1 {device}")
        time.sleep(12)
        self.assertEqual(self.state().split()[0], "running", "it is fed")
        self.console.send("kill -9 $(pidof watchdog)\n")
        self.wait("the watchdog expires", lambda: self.state() == "paused (watchdog)")
        self.events.expect("event 'watchdog' for domain '?debian'?: pause")

    def wait_for(self, command: str, expected: str) -> None:
        self.wait(f"{command}: {expected}", lambda: self.console.run(command + "; true").strip() == expected)

    def attach(self, guest: LinuxGuest) -> None:
        file = self.daemon.root / "watchdog.xml"
        file.write_text("<watchdog model='i6300esb' action='pause'/>")
        before = self.daemon.virsh("dumpxml", "debian")
        itco = self.daemon.root / "itco.xml"
        itco.write_text("<watchdog model='itco' action='pause'/>")
        with self.assertRaisesRegex(RuntimeError, "hotplug of watchdog of model itco is not supported"):
            self.daemon.virsh("attach-device", "debian", str(itco), "--live")
        self.assertEqual(self.daemon.virsh("dumpxml", "debian"), before)
        self.daemon.virsh("attach-device", "debian", str(file), "--live")
        self.wait_for("ls -1 /sys/class/watchdog | wc -l", "2")
        self.assertEqual(self.console.run("cat /sys/class/watchdog/watchdog1/identity"), "i6300ESB timer")

    def test_with_a_linux_guest(self):
        with PrivateDaemon() as self.daemon:
            devices = "<controller type='pci' model='pcie-root-port'/>" * 2 + "<watchdog model='itco' action='pause'/>"
            guest = LinuxGuest(self.daemon, memory_mib=320, devices=devices, hardware=True)
            guest.define()
            self.events = Terminal(["virsh", "-c", self.daemon.uri, "event", "--event", "watchdog", "--loop"], WAIT)
            self.addCleanup(self.events.close)
            time.sleep(2)
            with guest.start_with_console() as self.console:
                self.assertEqual(self.console.run("cat /sys/class/watchdog/watchdog0/identity"), "iTCO_wdt")
                self.expire("/dev/watchdog0")
                self.daemon.virsh("reset", "debian")
                self.daemon.virsh("resume", "debian")
                guest.wait_until_up(self.console)
                self.attach(guest)
                self.expire("/dev/watchdog1")
                self.daemon.virsh("destroy", "debian")


if __name__ == "__main__":
    tap.main()
