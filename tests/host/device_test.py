#!/usr/bin/python3
# time limit: 600 s
"""Every test of the test guest, each in a machine of its own with the devices that it is about (T1-T7, T30)."""

import os
import sys
import time
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from guest_machine import GUEST_BZIMAGE, GuestMachine, Report, guest_tests, require_worker
from fixtures import tap

# Tests that may say SKIP, because the machine here cannot have what they need.
MAY_SKIP = {"timers.tsc_deadline", "smp.topology_leaf", "pci.absent_function"}
# Tests that end the machine, see EndTest, or need a host that does something: small_devices_test.py,
# user_network_test.py.
ELSEWHERE = {"watchdog.left_alone", "panic.told", "virtio_balloon.follows_the_host", "virtio_net.connection",
             "virtio_net.link_comes_back"}


def build(machine: GuestMachine, test: str, behind: bool = False) -> None:
    """Gives the machine what the test is about."""
    group = test.split(".")[0]
    everything = group in ("virtio_pci", "pci")
    if everything or group in ("virtio_blk", "virtio_chain", "virtio_packed_chain", "virtio_ring", "msix", "intx"):
        machine.add_disk(behind_root_port=behind, discard=True, read_only=test == "virtio_blk.read_only",
                         queues=4 if test == "virtio_blk.every_queue" else 1)
    if everything or group == "virtio_net":
        machine.add_interface(behind_root_port=behind)
    if everything or group == "virtio_console":
        machine.add_console(behind_root_port=behind, channel=test.startswith("virtio_console.channel"))
    if everything or group == "virtio_rng":
        machine.add_rng(behind_root_port=behind)
    if everything or group == "virtio_mem":
        machine.add_memory(behind_root_port=behind)
        if not everything:
            machine.add_rng()
    if everything or group == "virtio_balloon":
        machine.add_balloon(behind_root_port=behind)
    if group == "watchdog":
        machine.add_watchdog("none")
    machine.machine["panic_port"] = group in ("panic", "ports")
    if group == "generation_id":
        machine.machine["generation_id"] = "00112233-4455-6677-8899-aabbccddeeff"
    if test == "boot.initrd":
        machine.add_initrd(300001)


def run_one(test: str, behind: bool = False, **settings: object) -> Report:
    vcpus = 4 if test.startswith("smp.") or test.startswith("acpi.madt") else 1
    memory = 5120 if test == "boot.memory_above_4_gib" else 64
    settings = {"vcpus": vcpus, "memory_mib": memory, **settings}
    line = f"test={test} time={int(time.time())} cpus={vcpus} memory_mib={settings['memory_mib']}"
    with GuestMachine(line, **settings) as machine:
        build(machine, test, behind)
        return machine.run(limit=60)


class DeviceTest(unittest.TestCase):
    """One case per test of the guest, added below."""

    def check(self, test: str, report: Report) -> None:
        result = report.results().get(test)
        if result == "SKIP" and test in MAY_SKIP:
            self.skipTest(report.text.split("SKIP ")[1].splitlines()[0])
        self.assertEqual((result, report.status), ("PASS", 0), f"\n{report.text}\n{report.errors}")


class EndTest(unittest.TestCase):
    """Machines that their guest's hanging or panicking ends: how the worker says so."""

    def run_to_end(self, test: str, settings: dict, watchdog: str | None = None) -> Report:
        with GuestMachine(f"test={test} time={int(time.time())} cpus=1 memory_mib=64") as machine:
            machine.machine.update(settings)
            if watchdog:
                machine.add_watchdog(watchdog)
            report = machine.run(limit=30)
        self.assertEqual(report.results().get(test), "HANG", report.text)
        return report

    def test_watchdog_powers_off(self):
        self.assertEqual(self.run_to_end("watchdog.left_alone", {}, "poweroff").status, 0)

    def test_watchdog_resets(self):
        self.assertEqual(self.run_to_end("watchdog.left_alone", {"on_reset": "stop"}, "reset").status, 3)

    def test_watchdog_pauses(self):
        report = self.run_to_end("watchdog.left_alone", {}, "pause")
        self.assertEqual((report.status, "the watchdog has expired" in report.errors), (2, True), report.errors)

    def test_panic(self):
        report = self.run_to_end("panic.told", {"panic_port": True})
        self.assertEqual((report.status, "kernel panicked" in report.errors), (2, True), report.errors)


def add_case(name: str, test: str, **settings: object) -> None:
    future = pool.submit(run_one, test, **settings)
    setattr(DeviceTest, "test_" + name, lambda self: self.check(test, future.result()))


require_worker()
pool = ThreadPoolExecutor(os.cpu_count())
for test_name in guest_tests():
    if test_name in ELSEWHERE:
        continue
    add_case(test_name.replace(".", "_"), test_name)
for test_name in ("virtio_blk.split_all", "virtio_net.split", "virtio_console.echo_split", "virtio_rng.split", "virtio_balloon.pages_split",
                  "virtio_pci.bar_sweep", "virtio_pci.access_sweep", "msix.delivery", "intx.interrupt_status_register",
                  "pci.ports_and_ecam_agree", "pci.bars_do_not_overlap", "pci.memory_decoding_off"):
    add_case("behind_root_port_" + test_name.replace(".", "_"), test_name, behind=True)
for test_name in ("boot.memory_map", "boot.initrd", "boot.command_line", "acpi.tables", "virtio_blk.split"):
    add_case("bzimage_" + test_name.replace(".", "_"), test_name, kernel=GUEST_BZIMAGE)
add_case("smp_16_processors", "smp.start", vcpus=16)

if __name__ == "__main__":
    tap.main()
