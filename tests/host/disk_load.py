"""A test guest that writes to its disks all the time, and whether it still does."""

import time

from domain_test import DomainCase
from domains import console, define


class DiskLoadCase(DomainCase):
    def load(self, name: str, devices: str, letters: str = "m") -> None:
        """Defines and starts it; returns once every disk is under load (a letter each: the test guest's loads)."""
        define(self.daemon, name, f"disk_load load={letters} load_bytes=16384", devices=devices)
        self.virsh("start", name, "--paused")
        with console(self.daemon, name) as terminal:
            self.virsh("resume", name)
            terminal.expect(f"LOADED {len(letters)}\\b.*READY")

    def writes(self, name: str) -> int:
        lines = self.virsh("domstats", name, "--block").splitlines()
        return int(next(line.split("=")[1] for line in lines if "block.0.wr.reqs" in line))

    def goes_on(self, name: str) -> None:
        before = self.writes(name)
        deadline = time.monotonic() + 10
        while self.writes(name) <= before and time.monotonic() < deadline:
            time.sleep(0.1)
        self.assertGreater(self.writes(name), before)
