#!/usr/bin/python3
"""Jobs of a domain, by stock virsh and libvirt-python: while a long one is at work nobody who only reads waits, who
wants to change something is told who is at work, and the job can be aborted (T15: its worker does nothing meanwhile)."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import libvirt

sys.path.insert(0, str(Path(__file__).resolve().parent))

from domain_test import DomainCase
from domains import Events, define, require_daemon, wait_until_ready, workers_of
from fixtures import tap
from fixtures.warren_daemon import PrivateDaemon

PATIENCE = 1  # seconds: job_timeout
READ_LIMIT = 0.25  # seconds; a read takes less than a millisecond on a quiet machine


class Jobs(DomainCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = PrivateDaemon(f"job_timeout = {PATIENCE}\n")
        cls.daemon.__enter__()

    def setUp(self):
        backing = "<memoryBacking><allocation mode='immediate'/></memoryBacking>"
        define(self.daemon, "busy", "echo", memory_mib=512, actions=backing)
        self.virsh("start", "busy")
        wait_until_ready(self.daemon, "busy")
        (self.worker,) = workers_of(self.daemon)
        self.core = self.daemon.root / "core"
        self.connection = libvirt.open(self.daemon.uri)
        self.addCleanup(self.connection.close)
        self.domain = self.connection.lookupByName("busy")

    def start_dump(self) -> subprocess.Popen:
        """One that does not get on: its worker is stopped until somebody lets it run."""
        os.kill(self.worker, signal.SIGSTOP)
        self.addCleanup(self.let_run)
        dump = subprocess.Popen(["virsh", "-c", self.daemon.uri, "dump", "busy", self.core, "--live"], text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(dump.wait)
        self.addCleanup(dump.kill)
        deadline = time.monotonic() + 20
        while self.domain.jobInfo()[0] == libvirt.VIR_DOMAIN_JOB_NONE:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.005)
        return dump

    def let_run(self) -> None:
        try:
            os.kill(self.worker, signal.SIGCONT)
        except ProcessLookupError:
            pass

    def test_reads_do_not_wait(self):
        dump = self.start_dump()
        reads: dict[str, Callable[[], object]] = {
            "info": self.domain.info, "state": self.domain.state, "XMLDesc": self.domain.XMLDesc,
            "memoryStats": self.domain.memoryStats, "vcpus": self.domain.vcpus, "jobInfo": self.domain.jobInfo,
            "jobStats": self.domain.jobStats, "getCPUStats": lambda: self.domain.getCPUStats(True),
            "controlInfo": self.domain.controlInfo, "diskErrors": self.domain.diskErrors,
            "maxMemory": self.domain.maxMemory, "isActive": self.domain.isActive,
            "all domains": self.connection.listAllDomains, "all statistics": self.connection.getAllDomainStats,
        }
        for name, read in reads.items():
            begun = time.monotonic()
            read()
            self.assertLess(time.monotonic() - begun, READ_LIMIT, name)
        shown = self.virsh("domjobinfo", "busy")
        self.assertRegex(shown, r"Job type:\s+Bounded")
        self.assertRegex(shown, r"Operation:\s+Dump")
        self.assertRegex(shown, r"Time elapsed:\s+\d+\s+ms")
        self.virsh("domjobabort", "busy")
        self.let_run()
        dump.communicate(timeout=30)

    def test_a_waiter_is_told_who_is_at_work(self):
        dump = self.start_dump()
        begun = time.monotonic()
        said = self.refused("desc", "busy", "--live", "--title", "a title")
        took = time.monotonic() - begun
        self.assertLess(took, PATIENCE + 1)
        self.assertIn("domain 'busy' cannot take", said)
        self.assertIn("job 'dump' of connection", said)
        self.assertIn(f"(uid {os.getuid()}, pid {dump.pid})", said)
        moment = r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC"
        since, until = re.search(f"is at work since {moment}; who waits behind it was refused at {moment}", said).groups()
        read = lambda text: time.mktime(time.strptime(text, "%Y-%m-%d %H:%M:%S"))
        self.assertAlmostEqual(read(until) - read(since), PATIENCE, delta=1)
        with self.assertRaises(libvirt.libvirtError) as caught:
            self.domain.suspend()
        self.assertEqual(caught.exception.get_error_code(), libvirt.VIR_ERR_OPERATION_TIMEOUT)
        self.virsh("domjobabort", "busy")
        self.let_run()
        dump.communicate(timeout=30)
        self.virsh("desc", "busy", "--live", "--title", "a title")
        self.assertNotIn("a title", self.virsh("dumpxml", "busy", "--inactive"))

    def test_an_aborted_job(self):
        with Events(self.daemon) as events:
            dump = self.start_dump()
            self.virsh("domjobabort", "busy")
            self.let_run()
            self.assertIn("canceled by client", dump.communicate(timeout=30)[1])
            self.assertEqual(dump.returncode, 1)
            events._terminal.expect(r"event 'job-completed' for domain 'busy'")
        self.assertFalse(self.core.exists())
        self.assertEqual(self.virsh("domstate", "busy"), "running")
        statistics = self.domain.jobStats(libvirt.VIR_DOMAIN_JOB_STATS_COMPLETED)
        self.assertEqual(statistics["type"], libvirt.VIR_DOMAIN_JOB_CANCELLED)
        self.assertFalse(statistics["success"])
        self.assertIn("no job is active", self.refused("domjobabort", "busy"))
        wait_until_ready(self.daemon, "busy")

    def test_destroy_does_not_wait(self):
        dump = self.start_dump()
        begun = time.monotonic()
        self.virsh("destroy", "busy")
        self.assertLess(time.monotonic() - begun, 3)
        self.assertIn("ended during its dump", dump.communicate(timeout=30)[1])
        self.assertEqual(self.virsh("domstate", "busy"), "shut off")
        self.assertFalse(self.core.exists())


if __name__ == "__main__":
    require_daemon()
    tap.main()
