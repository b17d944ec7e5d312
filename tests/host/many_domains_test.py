#!/usr/bin/python3
# time limit: 900 s
# not with sanitizers: it measures memory, which they hold back
"""T24: 50 domains at once, started and destroyed 1,000 times in all, and the daemon holds what it held before."""

import subprocess
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from domains import Holdings, define, require_daemon, workers_of
from fixtures import tap
from fixtures.warren_daemon import PrivateDaemon

DOMAINS = 50
ROUNDS = 20
# Between the tenth round and the last the allocator may move a few pages, but a leak of 300 bytes a start shows.
GROWTH_LIMIT_KIB = 128


class ManyDomains(unittest.TestCase):
    def batch(self, commands: list[str]) -> None:
        """One virsh for all of them: a process for each would measure virsh."""
        result = subprocess.run(["virsh", "-q", "-c", self.daemon.uri, "; ".join(commands)], stdin=subprocess.DEVNULL,
                                capture_output=True, text=True, timeout=300, check=False)
        self.assertEqual((result.returncode, result.stderr.strip()), (0, ""))

    def settled(self) -> Holdings:
        """The holdings once the workers are gone and the daemon has noticed (a client's end is asynchronous)."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            first = Holdings(self.daemon)
            time.sleep(0.3)
            second = Holdings(self.daemon)
            if not workers_of(self.daemon) and not second.differences(first):
                return second
        return Holdings(self.daemon)

    def test_a_thousand_starts_leave_nothing(self):
        with PrivateDaemon() as self.daemon:
            names = [f"many{n:02}" for n in range(DOMAINS)]
            for name in names:
                define(self.daemon, name, "idle", memory_mib=16)
            self.batch([f"start {names[0]}", f"destroy {names[0]}"])  # what the first start sets up for good
            before, halfway = self.settled(), None
            started = time.monotonic()
            for round_number in range(ROUNDS):
                self.batch([f"start {name}" for name in names])
                self.assertEqual(len(self.daemon.virsh("list", "--name").split()), DOMAINS)
                self.assertEqual(len(workers_of(self.daemon)), DOMAINS)
                self.batch([f"destroy {name}" for name in names])
                if round_number + 1 == ROUNDS // 2:
                    halfway = self.settled()
            elapsed = time.monotonic() - started
            after = self.settled()
            print(f"# {DOMAINS * ROUNDS} starts and destroys in {elapsed:.1f} s; private memory of the daemon "
                  f"{before.private_kib} KiB before, {halfway.private_kib} halfway, {after.private_kib} after; "
                  f"{len(after.descriptors)} descriptors, {after.threads} threads")
            self.assertEqual(after.differences(before), [])
            self.assertEqual(workers_of(self.daemon), [])
            self.assertLess(after.private_kib - halfway.private_kib, GROWTH_LIMIT_KIB)


if __name__ == "__main__":
    require_daemon()
    tap.main()
