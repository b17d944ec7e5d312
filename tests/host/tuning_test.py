#!/usr/bin/python3
"""What the host gives a domain, by stock virsh: pins, shares and limits, IOThreads; peeks, keys, cores, the monitor."""

import json
import os
import re
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from domains import Events, console, define, require_daemon, wait_until_ready, workers_of
from domain_test import DomainCase
from fixtures import tap


def affinity(pid: int, name: str) -> set[int]:
    """The CPUs of the thread of that name."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        if (task / "comm").read_text().strip() == name:
            return os.sched_getaffinity(int(task.name))
    raise AssertionError(f"worker {pid} has no thread {name}")


class TuningCase(DomainCase):
    def start(self, name: str, **settings) -> int:
        before = set(workers_of(self.daemon))
        define(self.daemon, name, "echo", **settings)
        self.virsh("start", name)
        wait_until_ready(self.daemon, name)
        (worker,) = set(workers_of(self.daemon)) - before
        return worker


@unittest.skipIf(os.cpu_count() < 2, "pinning needs two CPUs")
class Pins(TuningCase):
    def test_vcpupin(self):
        worker = self.start("pins", vcpus=2)
        self.assertEqual(affinity(worker, "vcpu1"), set(range(os.cpu_count())))
        with Events(self.daemon) as events:
            self.virsh("vcpupin", "pins", "1", "1", "--live", "--config")
            events._terminal.expect(r"event 'tunable' for domain 'pins':\s+cputune\.vcpupin1: 1\b")
        self.assertEqual(affinity(worker, "vcpu1"), {1})
        self.assertEqual(affinity(worker, "vcpu0"), set(range(os.cpu_count())))
        self.assertRegex(self.virsh("vcpupin", "pins"), r"1\s+1\n?$")
        self.assertIn("<vcpupin vcpu='1' cpuset='1'/>", self.virsh("dumpxml", "--inactive", "pins"))
        self.assertRegex(self.virsh("vcpuinfo", "pins", "--pretty"), r"CPU Affinity:\s+1 \(out of")
        self.virsh("emulatorpin", "pins", "0", "--live")
        self.assertEqual(affinity(worker, "warren-vmm"), {0})
        self.assertRegex(self.virsh("emulatorpin", "pins"), r"\b0$")
        self.assertIn("out of range", self.refused("vcpupin", "pins", "5", "0"))
        self.virsh("destroy", "pins")
        self.virsh("start", "pins")
        self.assertEqual(affinity(workers_of(self.daemon)[-1], "vcpu1"), {1})

    def test_iothreads(self):
        worker = self.start("threads")
        self.assertEqual(self.virsh("iothreadinfo", "threads").strip(), "")
        self.virsh("iothreadadd", "threads", "4", "--live", "--config")
        self.assertRegex(self.virsh("iothreadinfo", "threads"), r"\b4\s+0-")
        self.virsh("iothreadpin", "threads", "4", "1", "--live")
        self.assertEqual(affinity(worker, "iothread4"), {1})
        self.virsh("iothreaddel", "threads", "4", "--live", "--config")
        self.assertRaises(AssertionError, affinity, worker, "iothread4")
        self.assertIn("cannot find IOThread", self.refused("iothreaddel", "threads", "4"))


class Parameters(TuningCase):
    def test_of_a_stored_domain(self):
        define(self.daemon, "stored", "echo")
        self.virsh("schedinfo", "stored", "--config", "--set", "cpu_shares=700")
        self.assertRegex(self.virsh("schedinfo", "stored", "--config"), r"cpu_shares\s+: 700")
        self.virsh("memtune", "stored", "--config", "--hard-limit", "200000")
        self.assertRegex(self.virsh("memtune", "stored", "--config"), r"hard_limit\s+: 200000")
        self.assertRegex(self.virsh("memtune", "stored", "--config"), r"soft_limit\s+: unlimited")
        self.virsh("blkiotune", "stored", "--config", "--weight", "300")
        self.assertRegex(self.virsh("blkiotune", "stored", "--config"), r"weight\s+: 300")
        self.virsh("numatune", "stored", "--config", "--mode", "strict", "--nodeset", "0")
        self.assertRegex(self.virsh("numatune", "stored", "--config"), r"numa_nodeset\s+: 0")
        self.virsh("perf", "stored", "--config", "--enable", "task_clock")
        self.assertIn("<event name='task_clock' enabled='yes'/>", self.virsh("dumpxml", "stored"))
        self.assertIn("<hard_limit unit='KiB'>200000</hard_limit>", self.virsh("dumpxml", "stored"))

    def test_without_a_cgroup(self):
        self.start("nogroup")
        if "cpu" in Path("/sys/fs/cgroup/cgroup.controllers").read_text() if Path(
                "/sys/fs/cgroup/cgroup.controllers").exists() else False:
            self.skipTest("this host has cgroup v2 controllers")
        self.assertIn("cgroup CPU controller is not mounted", self.refused("schedinfo", "nogroup"))
        self.assertIn("cgroup memory controller is not mounted",
                      self.refused("memtune", "nogroup", "--hard-limit", "100000", "--live"))

    def test_perf_events_of_a_running_domain(self):
        self.start("counted")
        self.virsh("perf", "counted", "--enable", "task_clock", "--live")
        self.assertIn("<event name='task_clock' enabled='yes'/>", self.virsh("dumpxml", "counted"))
        self.assertIn("cmt", self.refused("perf", "counted", "--enable", "cmt", "--live"))


class Inspection(TuningCase):
    def test_cpu_stats(self):
        self.start("stats")
        self.assertRegex(self.virsh("cpu-stats", "stats", "--total"), r"cpu_time\s+\d+\.\d+ seconds")
        self.assertIn("cgroup v2", self.refused("cpu-stats", "stats"))

    def test_jobs(self):
        self.start("jobs")
        self.assertRegex(self.virsh("domjobinfo", "jobs"), r"Job type:\s+None")
        self.assertIn("no job is active", self.refused("domjobabort", "jobs"))
        self.assertRegex(self.virsh("domcontrol", "jobs"), "ok")

    def test_keys_and_nmi(self):
        self.start("keys")
        self.virsh("inject-nmi", "keys")
        self.virsh("send-key", "keys", "KEY_LEFTCTRL", "KEY_A")
        self.assertIn("cannot translate", self.refused("send-key", "keys", "--codeset", "usb", "60000"))
        self.assertIn("not supported", self.refused("send-process-signal", "keys", "1", "SIGTERM"))

    def test_refusals_have_reasons(self):
        self.start("plain")
        self.assertIn("agent is not configured", self.refused("dompmsuspend", "plain", "mem"))
        self.assertIn("not in suspended state", self.refused("dompmwakeup", "plain"))
        self.assertIn("no screens", self.refused("screenshot", "plain", str(self.daemon.root / "shot")))
        self.assertIn("Persistent:     yes", self.virsh("dominfo", "plain"))  # asks for the security model, too

    def test_lifecycle_action(self):
        self.start("action")
        self.virsh("set-lifecycle-action", "action", "reboot", "destroy", "--live")
        self.assertIn("<on_reboot>destroy</on_reboot>", self.virsh("dumpxml", "action"))
        self.assertIn("<on_reboot>restart</on_reboot>", self.virsh("dumpxml", "--inactive", "action"))

    def test_monitor(self):
        self.start("monitor", vcpus=2)

        def ask(command: str) -> dict:
            return json.loads(self.virsh("qemu-monitor-command", "monitor", json.dumps({"execute": command})))

        self.assertEqual(ask("query-status")["return"]["status"], "running")
        self.assertEqual(len(ask("query-cpus-fast")["return"]), 2)
        self.assertEqual(ask("device_del")["error"]["class"], "CommandNotFound")
        self.assertIn("VM status: running", self.virsh("qemu-monitor-command", "monitor", "--hmp", "info status"))
        self.assertIn("custom monitor control commands", self.virsh("dominfo", "monitor"))


class Core(TuningCase):
    def test_dump(self):
        self.start("core", vcpus=2)
        file = self.daemon.root / "core"
        with Events(self.daemon) as events:
            self.virsh("dump", "core", file, "--memory-only", "--verbose")
            events._terminal.expect(r"event 'job-completed' for domain 'core'")
        self.assertEqual(self.virsh("domstate", "core"), "running")
        self.assertRegex(self.virsh("domjobinfo", "core", "--completed"), r"Operation:\s+Dump")
        headers = subprocess.run(["readelf", "-lnW", file], capture_output=True, text=True, check=True).stdout
        self.assertIn("CORE (Core file)", headers)
        self.assertEqual(len(re.findall(r"NT_PRSTATUS", headers)), 2)
        (low, *_) = re.findall(r"LOAD\s+0x\w+ 0x(\w+) 0x(\w+) 0x(\w+) 0x(\w+)", headers)
        self.assertEqual(int(low[2], 16), 32 << 20)
        shown = subprocess.run(["gdb", "-batch", "-nx", "-ex", "info threads", "-ex", "info registers rip",
                                "-ex", "x/4xb 0x100000", "-c", file], capture_output=True, text=True, check=True)
        self.assertEqual(len(re.findall(r"LWP \d", shown.stdout)) >= 2, True, shown.stdout)
        self.assertRegex(shown.stdout, r"rip\s+0x[0-9a-f]+")
        self.assertRegex(shown.stdout, r"0x100000:\s+0x")
        self.assertLess(file.stat().st_blocks * 512, 20 << 20, "pages nobody touched are holes")
        self.assertEqual(file.stat().st_mode & 0o077, 0)

    def test_live_and_crash(self):
        self.start("dumped")
        file = self.daemon.root / "live-core"
        self.virsh("dump", "dumped", file, "--live")
        self.assertEqual(self.virsh("domstate", "--reason", "dumped"), "running (booted)")
        with console(self.daemon, "dumped") as terminal:
            terminal.send("still here")
            terminal.expect("still here")
        self.virsh("dump", "dumped", file, "--crash")
        self.assertEqual(self.virsh("domstate", "--reason", "dumped"), "shut off (crashed)")
        self.assertIn("not running", self.refused("dump", "dumped", file))


if __name__ == "__main__":
    require_daemon()
    tap.main()
