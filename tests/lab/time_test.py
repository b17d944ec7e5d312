#!/usr/bin/python3
"""Suspend and resume hold the guest's time: its clocks stand still meanwhile and run on without a jump."""
# time limit: 600 s

import dataclasses
import re
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fixtures import tap
from fixtures.linux_guest import LinuxGuest, private_daemon

PAUSE = 10.0  # seconds
TOLERANCE = 0.5  # seconds, of clocks; how long commands take is measured


@dataclasses.dataclass
class Sample:
    """The guest's clock, read at some moment between the two of the host's."""

    before: float
    guest: float
    after: float


class Time(unittest.TestCase):
    def sample(self) -> Sample:
        before = time.monotonic()
        guest = float(self.console.run("cut -d' ' -f1 /proc/uptime"))
        return Sample(before, guest, time.monotonic())

    def assert_keeps_time(self, seconds: float) -> None:
        first = self.sample()
        time.sleep(seconds)
        second = self.sample()
        ran = second.guest - first.guest
        self.assertGreater(ran, second.before - first.after - TOLERANCE)
        self.assertLess(ran, second.after - first.before + TOLERANCE)

    def test_suspend_holds_time(self):
        with private_daemon() as daemon:
            guest = LinuxGuest(daemon)
            guest.define()
            with guest.start_with_console() as self.console:
                self.assert_keeps_time(PAUSE)

                first = self.sample()
                daemon.virsh("suspend", "debian")
                suspended = time.monotonic()
                self.assertEqual(daemon.virsh("domstate", "debian", "--reason"), "paused (user)")
                time.sleep(PAUSE)
                resuming = time.monotonic()
                daemon.virsh("resume", "debian")
                second = self.sample()
                allowed = suspended - first.before + second.after - resuming + TOLERANCE
                self.assertLess(second.guest - first.guest, allowed, "the guest's clock ran on while it was suspended")
                self.assertGreaterEqual(second.guest, first.guest)

                # It keeps time again, and its kernel has noticed nothing.
                self.assert_keeps_time(PAUSE / 2)
                complaints = re.findall(r".*(?:soft lockup|rcu.*stall|clocksource.*unstable).*", self.console.run("dmesg"))
                self.assertEqual(complaints, [])


if __name__ == "__main__":
    tap.main()
