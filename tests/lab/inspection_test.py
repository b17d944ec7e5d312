#!/usr/bin/python3
"""A running Debian guest looked at from outside, by stock virsh: statistics, the monitor's language, cores that gdb
opens, jobs; and what is done to it from there: keys, NMIs, processor time.

The cases follow one guest through its life and run in the order of their names.
"""
# time limit: 900 s

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "host"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from domains import workers_of
from fixtures import tap
from fixtures.guest_case import GuestCase
from fixtures.linux_guest import LinuxGuest, disk

MEMORY = 256 << 20
# Where an x86-64 kernel without KASLR lies (Documentation/x86/x86_64/mm.rst): virtual address 0 of its text.
KERNEL_MAP = 0xFFFFFFFF80000000
DEVICES = "<panic model='isa'/><input type='keyboard' bus='ps2'/>"


class Inspection(GuestCase):
    @classmethod
    def setUpClass(cls):
        root = cls.prepare()
        image = root / "disk.raw"
        image.write_bytes(bytes(8 << 20))
        guest = LinuxGuest(cls.daemon, vcpus=2, devices=disk(image) + DEVICES, arguments="nokaslr")
        guest.xml = guest.xml.replace("<on_crash>destroy", "<on_crash>preserve")
        cls.boot(guest)

    def monitor(self, command: str) -> object:
        return json.loads(self.virsh("qemu-monitor-command", "debian", json.dumps({"execute": command})))["return"]

    def wait_for_log(self, text: str) -> None:
        self.wait(text, lambda: self.in_guest(f"dmesg | grep -c '{text}'; true") != "0")

    def processor_seconds(self, seconds: float) -> float:
        """What the domain takes of the host's processors meanwhile."""
        def taken() -> float:
            return float(re.search(r"cpu_time\s+(\d+\.\d+)", self.virsh("cpu-stats", "debian", "--total"))[1])

        begun, before = time.monotonic(), taken()
        time.sleep(seconds)
        return (taken() - before) * seconds / (time.monotonic() - begun)

    def test_01_statistics(self):
        before = self.statistics()
        self.in_guest("dd if=/dev/vda of=/dev/null bs=64k count=64 iflag=direct 2>/dev/null")
        after = self.statistics()
        for name, grows in (("cpu.time", 1), ("vcpu.0.time", 0), ("vcpu.1.time", 0), ("block.0.rd.bytes", 4 << 20),
                            ("vcpu.0.exits.sum", 0)):
            self.assertGreaterEqual(int(after[name]) - int(before[name]), grows, name)
        self.assertEqual((after["state.state"], after["vcpu.current"], after["balloon.maximum"]),
                         ("1", "2", str(MEMORY >> 10)))
        self.assertIn("vm.remote_tlb_flush.sum", after)
        self.virsh("perf", "debian", "--enable", "task_clock", "--live")
        first = int(self.statistics("--perf")["perf.task_clock"])
        self.in_guest("i=0; while [ $i -lt 2000 ]; do i=$((i+1)); done")
        self.assertGreater(int(self.statistics("--perf")["perf.task_clock"]), first)
        self.assertEqual(self.virsh("domcontrol", "debian"), "ok")
        shown = self.virsh("vcpuinfo", "debian")
        self.assertEqual(re.findall(r"State:\s+(\w+)", shown), ["running"] * 2)
        self.assertRegex(self.virsh("dominfo", "debian"), r"CPU time:\s+\d")

    def test_02_the_monitors_language(self):
        self.assertEqual(self.monitor("query-status")["status"], "running")
        self.assertEqual(self.monitor("query-version")["qemu"]["major"], 7)
        (worker,) = workers_of(self.daemon)
        cpus = self.monitor("query-cpus-fast")
        self.assertEqual([cpu["cpu-index"] for cpu in cpus], [0, 1])
        for cpu in cpus:
            name = Path(f"/proc/{worker}/task/{cpu['thread-id']}/comm").read_text().strip()
            self.assertEqual(name, f"vcpu{cpu['cpu-index']}")
        (block,) = self.monitor("query-block")
        self.assertEqual((block["inserted"]["file"], block["io-status"]), (str(self.daemon.root / "disk.raw"), "ok"))
        (figures,) = self.monitor("query-blockstats")
        self.assertEqual(figures["stats"]["rd_bytes"], int(self.statistics("--block")["block.0.rd.bytes"]))
        self.assertEqual(self.monitor("query-balloon")["actual"], MEMORY)
        self.assertEqual(self.monitor("query-name")["name"], "debian")
        self.assertIn("CPU #1: thread_id=", self.virsh("qemu-monitor-command", "debian", "--hmp", "info", "cpus"))
        self.virsh("suspend", "debian")
        self.assertEqual(self.monitor("query-status"), {"status": "paused", "singlestep": False, "running": False})
        self.virsh("resume", "debian")

    def test_03_processor_time(self):
        """A quota of what the guest may take (cgroup v2)."""
        if not Path("/sys/fs/cgroup/cgroup.controllers").exists():
            self.skipTest("this host has no cgroup v2: tests/lab/limits_test.py")
        self.in_guest("(while :; do :; done) & echo $! > /tmp/busy")
        free = self.processor_seconds(4)
        self.assertGreater(free, 1.5)
        self.virsh("schedinfo", "debian", "--live", "--set", "vcpu_quota=20000", "--set", "vcpu_period=100000")
        self.expect_event("tunable", r":\s+cputune\.vcpu_")
        self.assertRegex(self.virsh("schedinfo", "debian"), r"vcpu_quota\s*: 20000")
        time.sleep(1)
        self.assertLess(self.processor_seconds(5) / 5, 0.45, "a fifth of a processor for each of two vCPUs")
        self.virsh("schedinfo", "debian", "--live", "--set", "vcpu_quota=-1")
        self.in_guest("kill $(cat /tmp/busy)")

    def test_04_keys(self):
        """Sysrq keys are seen by the kernel's own driver of the keyboard."""
        self.in_guest("echo 1 > /proc/sys/kernel/sysrq")
        self.virsh("send-key", "debian", "KEY_LEFTALT", "KEY_SYSRQ", "KEY_H")
        self.wait_for_log("sysrq: HELP")
        self.virsh("send-key", "debian", "--codeset", "xt", "--holdtime", "300", "56", "84", "50")  # Alt, SysRq, M
        self.wait_for_log("sysrq: Show Memory")
        self.assertIn("not supported", self.refused("send-process-signal", "debian", "1", "SIGTERM"))

    def test_05_a_core(self):
        core = self.daemon.root / "core"
        banner = int(self.in_guest("awk '$3 == \"linux_banner\" {print $1}' /proc/kallsyms"), 16)
        text = [int(self.in_guest(f"awk '$3 == \"{name}\" {{print $1}}' /proc/kallsyms"), 16) for name in ("_text", "_etext")]
        self.virsh("dump", "debian", core, "--memory-only", "--verbose", limit=300)
        self.expect_event("lifecycle", ": Suspended Paused")
        self.expect_event("job-completed", r":\s+operation: 8\s")
        self.assertEqual(self.state(), "running (unpaused)")
        done = self.virsh("domjobinfo", "debian", "--completed")
        self.assertRegex(done, r"Job type:\s+Completed")
        self.assertRegex(done, r"Operation:\s+Dump")
        self.assertRegex(done, r"Memory processed:\s+2\d\d\.\d+ MiB")
        self.assertRegex(self.virsh("domjobinfo", "debian"), r"Job type:\s+None")
        result = subprocess.run(["gdb", "-batch", "-nx", "-c", core, "-ex", "info threads", "-ex", "thread apply all p/x $rip",
                                 "-ex", f"x/s {banner - KERNEL_MAP:#x}"], capture_output=True, text=True, timeout=300,
                                stdin=subprocess.DEVNULL)
        self.assertGreaterEqual(len(re.findall(r"LWP \d", result.stdout)), 2, result.stdout + result.stderr)
        places = [int(place, 16) for place in re.findall(r"\$\d+ = (0x[0-9a-f]+)", result.stdout)]
        self.assertEqual(len(places), 2, result.stdout)
        self.assertTrue(any(text[0] <= place < text[1] for place in places), f"one vCPU idles in the kernel: {places}")
        self.assertIn("Linux version " + self.in_guest("uname -r"), result.stdout)
        for form in ("kdump-zlib", "kdump-lzo", "kdump-snappy", "win-dmp"):
            self.assertIn("core is an ELF file", self.refused("dump", "debian", core, "--memory-only", "--format", form))
        core.unlink()

    def test_06_a_job_is_aborted(self):
        """While it lasts nobody waits for what he only reads."""
        core = self.daemon.root / "core"
        (worker,) = workers_of(self.daemon)
        os.kill(worker, signal.SIGSTOP)  # or it would be over too soon
        dump = subprocess.Popen(["virsh", "-c", self.daemon.uri, "dump", "debian", core, "--live"], text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            self.wait("the job has begun", lambda: "Bounded" in self.virsh("domjobinfo", "debian"), limit=30)
            self.virsh("dominfo", "debian")
            self.assertRegex(self.virsh("domjobinfo", "debian"), r"Operation:\s+Dump")
            self.virsh("domjobabort", "debian")
            os.kill(worker, signal.SIGCONT)
            said = dump.communicate(timeout=60)[1]
        finally:
            os.kill(worker, signal.SIGCONT)
            dump.kill()
            dump.wait()
        self.assertNotEqual(dump.returncode, 0)
        self.assertIn("canceled by client", said)
        self.assertFalse(core.exists())
        self.assertRegex(self.virsh("domjobinfo", "debian", "--completed"), r"Job type:\s+Cancelled|Job type:\s+Canceled")
        self.assertEqual(self.in_guest("echo works"), "works")

    def test_07_ctrl_alt_del(self):
        self.in_guest("echo 1 > /proc/sys/kernel/ctrl-alt-del")
        boot = self.in_guest("cat /proc/sys/kernel/random/boot_id")
        self.virsh("send-key", "debian", "KEY_LEFTCTRL", "KEY_LEFTALT", "KEY_DELETE")
        self.expect_event("reboot", "")
        self.guest.wait_until_up(self.console)
        self.assertNotEqual(self.in_guest("cat /proc/sys/kernel/random/boot_id"), boot)

    def test_08_a_daemon_that_was_killed(self):
        """All of this is asked of a worker that was found again, too."""
        self.daemon.kill()
        self.daemon.start()
        self.assertEqual(self.monitor("query-status")["status"], "running")
        self.assertIn("vcpu.1.time", self.statistics("--vcpu"))
        type(self).console = self.guest.console()
        self.addClassCleanup(self.console.close)

    def test_09_nmi(self):
        self.virsh("inject-nmi", "debian")
        self.wait_for_log("NMI received for unknown reason")
        self.assertEqual(self.state().split()[0], "running")
        self.in_guest("echo 1 > /proc/sys/kernel/unknown_nmi_panic")
        self.virsh("inject-nmi", "debian")
        self.wait("the guest panics", lambda: self.state() == "crashed (panicked)")


if __name__ == "__main__":
    tap.main()
