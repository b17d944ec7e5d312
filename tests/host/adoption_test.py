#!/usr/bin/python3
"""T14: kill -9 of the daemon with running guests; started again it has them back, and they never noticed."""

import os
import subprocess
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from domains import Events, console, define, require_daemon, wait_for_reason, wait_until_ready, workers_of, write_xml
from fixtures import tap
from fixtures.warren_daemon import PrivateDaemon


class Adoption(unittest.TestCase):
    def setUp(self):
        self.daemon = PrivateDaemon()
        self.daemon.__enter__()
        self.addCleanup(self.daemon.__exit__)

    def restart(self):
        self.daemon.kill()
        self.daemon.start()

    def test_ids_states_and_consoles_are_back(self):
        for name in ("runs", "pauses"):
            define(self.daemon, name, "echo")
            self.daemon.virsh("start", name)
            wait_until_ready(self.daemon, name)
        self.daemon.virsh("create", write_xml(self.daemon, "transient", "echo"))
        self.daemon.virsh("suspend", "pauses")
        names = ("runs", "pauses", "transient")
        before = [(self.daemon.virsh("domid", name), self.daemon.virsh("domstate", name),
                   self.daemon.virsh("domuuid", name)) for name in names]
        xml = self.daemon.virsh("dumpxml", "runs")
        workers = workers_of(self.daemon)
        self.assertEqual(len(workers), 3)
        self.restart()
        after = [(self.daemon.virsh("domid", name), self.daemon.virsh("domstate", name),
                  self.daemon.virsh("domuuid", name)) for name in names]
        self.assertEqual(before, after)
        self.assertEqual(workers_of(self.daemon), workers)
        self.assertEqual(self.daemon.virsh("dumpxml", "runs"), xml)
        self.assertRegex(self.daemon.virsh("dominfo", "transient"), r"Persistent:\s+no")
        wait_until_ready(self.daemon, "runs")
        self.daemon.virsh("resume", "pauses")
        wait_until_ready(self.daemon, "pauses")

    def test_events_and_power_button_work_after_adoption(self):
        define(self.daemon, "later", "echo")
        self.daemon.virsh("start", "later")
        wait_until_ready(self.daemon, "later")
        self.restart()
        with Events(self.daemon) as events:
            self.daemon.virsh("shutdown", "later")
            events.expect("later", "Stopped Shutdown")
        wait_for_reason(self.daemon, "later", "shut off (shutdown)")
        self.daemon.virsh("start", "later")
        wait_until_ready(self.daemon, "later")

    def test_the_guest_never_notices(self):
        define(self.daemon, "clock", "tick")
        self.daemon.virsh("start", "clock")
        time.sleep(1.5)
        self.daemon.kill()
        time.sleep(2)
        self.daemon.start()
        with console(self.daemon, "clock") as terminal:
            ticks = 0
            while ticks < 5:  # what was printed before may still come first
                match = terminal.expect(r"TICK (\d+) (\d+)\r?\n")
                ticks, milliseconds = int(match[1]), int(match[2])
                self.assertLess(abs(milliseconds - 1000 * ticks), 500)

    def test_a_guest_that_ended_meanwhile_is_found_shut_off(self):
        define(self.daemon, "gone", "echo")
        self.daemon.virsh("start", "gone")
        wait_until_ready(self.daemon, "gone")
        worker = workers_of(self.daemon)[0]
        self.daemon.kill()
        os.kill(worker, 9)
        self.daemon.start()
        self.daemon.wait_for_state("gone", "shut off", limit=20)
        self.assertRegex(self.daemon.virsh("domstate", "--reason", "gone"), r"crashed|failed|unknown|destroyed")

    def test_kill_again_and_again(self):
        define(self.daemon, "tough", "echo")
        self.daemon.virsh("start", "tough")
        number = self.daemon.virsh("domid", "tough")
        for _ in range(10):
            self.restart()
            self.assertEqual(self.daemon.virsh("domid", "tough"), number)
        wait_until_ready(self.daemon, "tough")
        # A domain started after the adoption gets a new id.
        define(self.daemon, "next", "echo")
        self.daemon.virsh("start", "next")
        self.assertGreater(int(self.daemon.virsh("domid", "next")), int(number))

    def test_kill_during_starts(self):
        """T14: whatever moment the kill hits, each domain is afterwards running with its worker, or shut off."""
        names = [f"race{n}" for n in range(6)]
        for name in names:
            define(self.daemon, name, "echo")
        for round_number in range(6):
            client = subprocess.Popen(["virsh", "-q", "-c", self.daemon.uri, "; ".join(f"start {n}" for n in names)],
                                      stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(0.02 * (round_number + 1))
            self.restart()
            client.wait(30)
            states = {name: self.daemon.virsh("domstate", name) for name in names}
            self.assertTrue(set(states.values()) <= {"running", "shut off"}, states)
            deadline = time.monotonic() + 10
            running = sum(state == "running" for state in states.values())
            while len(workers_of(self.daemon)) != running and time.monotonic() < deadline:
                time.sleep(0.1)
            self.assertEqual(len(workers_of(self.daemon)), running)
            for name, state in states.items():
                if state == "running":
                    self.daemon.virsh("destroy", name)


if __name__ == "__main__":
    require_daemon()
    tap.main()
