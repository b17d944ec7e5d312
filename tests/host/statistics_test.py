#!/usr/bin/python3
"""domstats with every group, the dirty rate, and a client that does not read its events, by stock virsh."""

import signal
import subprocess
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from domain_test import DomainCase
from domains import SANITIZED, Holdings, define, require_daemon, wait_until_ready
from fixtures import tap


class Groups(DomainCase):
    def statistics(self, *options: str) -> dict[str, str]:
        lines = self.virsh("domstats", "figures", *options).splitlines()
        return dict(line.strip().split("=", 1) for line in lines if "=" in line)

    def setUp(self):
        define(self.daemon, "figures", "echo", vcpus=2)
        self.virsh("start", "figures")
        wait_until_ready(self.daemon, "figures")

    def test_every_group(self):
        found = self.statistics()
        for name in ("state.state", "cpu.time", "cpu.user", "cpu.system", "cpu.cache.monitor.count", "balloon.current",
                     "balloon.maximum", "vcpu.current", "vcpu.maximum", "vcpu.1.time", "vcpu.1.state", "net.count",
                     "block.count", "iothread.count", "memory.bandwidth.monitor.count", "dirtyrate.calc_status"):
            self.assertIn(name, found)
        self.assertEqual(found["vcpu.current"], "2")
        # KVM's own, where the kernel has them.
        if Path("/sys/module/kvm/parameters").exists():
            self.assertGreater(int(found.get("vcpu.0.exits.sum", "1")), 0)
            self.assertIn("vm.remote_tlb_flush.sum", found)
            self.assertIn(found["vcpu.0.halted"], ("yes", "no"))

    def test_one_group_at_a_time(self):
        for option, prefix in (("--state", "state."), ("--cpu-total", "cpu."), ("--balloon", "balloon."),
                               ("--vcpu", "vcpu."), ("--interface", "net."), ("--block", "block."),
                               ("--iothread", "iothread."), ("--memory", "memory."), ("--dirtyrate", "dirtyrate."),
                               ("--vm", "vm.")):
            found = self.statistics(option, "--enforce")
            self.assertTrue(found, option)
            self.assertEqual({name for name in found if not name.startswith(prefix)}, set(), option)

    def test_perf(self):
        self.virsh("perf", "figures", "--enable", "task_clock", "--live")
        before = int(self.statistics("--perf")["perf.task_clock"])
        time.sleep(0.2)
        self.assertGreaterEqual(int(self.statistics("--perf")["perf.task_clock"]), before)

    def test_dirty_rate(self):
        self.assertEqual(self.statistics("--dirtyrate")["dirtyrate.calc_status"], "0")
        self.virsh("domdirtyrate-calc", "figures", "--seconds", "1")
        self.assertEqual(self.statistics("--dirtyrate")["dirtyrate.calc_status"], "1")
        deadline = time.monotonic() + 10
        while (found := self.statistics("--dirtyrate"))["dirtyrate.calc_status"] != "2":
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.1)
        self.assertRegex(found["dirtyrate.megabytes_per_second"], r"^\d+$")
        self.assertEqual(found["dirtyrate.calc_period"], "1")


class SlowClient(DomainCase):
    @unittest.skipIf(SANITIZED, "it measures memory, which a sanitizer holds back")
    def test_events_that_nobody_reads(self):
        """T27: the daemon's memory is bounded, whatever a client leaves unread."""
        define(self.daemon, "busy", "echo")
        client = subprocess.Popen(["virsh", "-c", self.daemon.uri, "event", "--all", "--loop"],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            time.sleep(0.5)
            client.send_signal(signal.SIGSTOP)
            before = Holdings(self.daemon).private_kib
            # A metadata change is the cheapest event there is, and carries the URI it is about.
            uri = "http://example.org/" + "x" * 3000
            script = "\n".join(f"metadata busy --uri {uri} --key k --set '<a n=\"{number}\"/>' --config"
                               for number in range(6000))
            subprocess.run(["virsh", "-c", self.daemon.uri], input=script, text=True, stdout=subprocess.DEVNULL,
                           check=True)
            grown = Holdings(self.daemon).private_kib - before
            self.assertLess(grown, 24 << 10, "8 MiB of events for one client, and what the allocator keeps")
            self.assertEqual(self.virsh("domstate", "busy"), "shut off")
        finally:
            client.send_signal(signal.SIGCONT)
            client.kill()
            client.wait()


if __name__ == "__main__":
    require_daemon()
    tap.main()
