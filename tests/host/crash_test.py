#!/usr/bin/python3
"""T15, T30: a guest that cannot go on, and a worker that is killed, become a domain with a reason, an event, a log."""

import os
import signal
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from domains import Events, console, define, require_daemon, wait_for_reason, wait_until_ready, workers_of
from fixtures import tap
from fixtures.warren_daemon import PrivateDaemon


class Crash(unittest.TestCase):
    def setUp(self):
        self.daemon = PrivateDaemon()
        self.daemon.__enter__()
        self.addCleanup(self.daemon.__exit__)

    def logs(self) -> str:
        logs = [self.daemon.log, *(self.daemon.root / "var").rglob("*.log")]
        return "\n".join(path.read_text(errors="replace") for path in logs).lower()

    def test_emulation_failure(self):
        define(self.daemon, "wild", "emulation_failure", actions="<on_crash>destroy</on_crash>")
        with Events(self.daemon) as events:
            self.daemon.virsh("start", "wild")
            events.expect("wild", "Stopped (Crashed|Failed)")
        wait_for_reason(self.daemon, "wild", "shut off (crashed)")
        self.assertRegex(self.logs(), "internal error|emulat")

    def test_emulation_failure_preserved(self):
        define(self.daemon, "kept", "emulation_failure", actions="<on_crash>preserve</on_crash>")
        self.daemon.virsh("start", "kept")
        self.daemon.wait_for_state("kept", "crashed", limit=20)
        self.assertRegex(self.daemon.virsh("domid", "kept"), r"^\d+$")
        self.daemon.virsh("destroy", "kept")
        self.assertEqual(self.daemon.virsh("domstate", "kept"), "shut off")

    def test_emulation_failure_restarts(self):
        define(self.daemon, "again", "emulation_failure", actions="<on_crash>restart</on_crash>")
        self.daemon.virsh("start", "again")
        with Events(self.daemon) as events:
            events.expect("again", ".*")
        self.daemon.virsh("destroy", "again")

    def test_triple_fault_resets(self):
        # On a PC a triple fault resets the machine; on_reboot says what then.
        define(self.daemon, "fault", "triple_fault", actions="<on_reboot>destroy</on_reboot>")
        self.daemon.virsh("start", "fault")
        self.daemon.wait_for_state("fault", "shut off", limit=20)

    def test_killed_worker(self):
        define(self.daemon, "victim", "echo", actions="<on_crash>destroy</on_crash>")
        with Events(self.daemon) as events:
            self.daemon.virsh("start", "victim")
            wait_until_ready(self.daemon, "victim")
            (worker,) = workers_of(self.daemon)
            os.kill(worker, signal.SIGKILL)
            events.expect("victim", "Stopped (Crashed|Failed)")
        wait_for_reason(self.daemon, "victim", "shut off (crashed)")
        self.assertRegex(self.logs(), r"domain victim: its worker \d+ was killed by signal 9")
        self.daemon.virsh("start", "victim")
        wait_until_ready(self.daemon, "victim")

    def test_stopped_worker_does_not_stop_readers(self):
        """A worker that does not answer: reads are served, and destroy still works."""
        define(self.daemon, "stuck", "echo")
        self.daemon.virsh("start", "stuck")
        wait_until_ready(self.daemon, "stuck")
        (worker,) = workers_of(self.daemon)
        os.kill(worker, signal.SIGSTOP)
        for command in ("domstate", "dominfo", "dumpxml", "domstats"):
            self.daemon.virsh(command, "stuck", limit=5)
        self.daemon.virsh("destroy", "stuck", limit=30)
        self.assertEqual(self.daemon.virsh("domstate", "stuck"), "shut off")

    def test_crash_while_a_console_is_open(self):
        define(self.daemon, "cut", "echo")
        self.daemon.virsh("start", "cut")
        wait_until_ready(self.daemon, "cut")
        with console(self.daemon, "cut") as terminal:
            os.kill(workers_of(self.daemon)[0], signal.SIGKILL)
            terminal.process.wait(20)
        self.daemon.wait_for_state("cut", "shut off", limit=20)


if __name__ == "__main__":
    require_daemon()
    tap.main()
