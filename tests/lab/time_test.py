#!/usr/bin/python3
"""Suspend and resume hold the guest's time: its clocks stand still meanwhile and run on without a jump."""

import re
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fixtures import tap
from fixtures.linux_guest import LinuxGuest, private_daemon

PAUSE = 10.0  # seconds
TOLERANCE = 2.5  # seconds: the commands around the pause take their time under emulation


class Time(unittest.TestCase):
    def uptime(self) -> float:
        return float(self.console.run("cut -d' ' -f1 /proc/uptime"))

    def test_suspend_holds_time(self):
        with private_daemon() as daemon:
            guest = LinuxGuest(daemon)
            guest.define()
            with guest.start_with_console() as self.console:
                host_begun, guest_begun = time.monotonic(), self.uptime()
                time.sleep(PAUSE)
                ran = self.uptime() - guest_begun
                self.assertAlmostEqual(ran, time.monotonic() - host_begun, delta=TOLERANCE)

                before = self.uptime()
                daemon.virsh("suspend", "debian")
                self.assertEqual(daemon.virsh("domstate", "debian", "--reason"), "paused (user)")
                time.sleep(PAUSE)
                daemon.virsh("resume", "debian")
                after = self.uptime()
                self.assertLess(after - before, TOLERANCE, "the guest's clock ran on while it was suspended")
                self.assertGreaterEqual(after, before)

                # It keeps time again, and its kernel has noticed nothing.
                host_begun, guest_begun = time.monotonic(), self.uptime()
                time.sleep(PAUSE / 2)
                self.assertAlmostEqual(self.uptime() - guest_begun, time.monotonic() - host_begun, delta=TOLERANCE)
                complaints = re.findall(r".*(?:soft lockup|rcu.*stall|clocksource.*unstable|hrtimer: interrupt took).*",
                                        self.console.run("dmesg"))
                self.assertEqual(complaints, [])


if __name__ == "__main__":
    tap.main()
