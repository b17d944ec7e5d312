#!/usr/bin/python3
"""How a machine ends or goes on: power off, reset, crash, halt, and its serial port (T30). The worker alone."""

import json
import os
import select
import signal
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from guest_machine import FIRST_GUEST, GUEST_BZIMAGE, GuestMachine, require_worker
from fixtures import tap

AFTER_SHUTDOWN, AFTER_CRASH, AFTER_RESET = 0, 2, 3


def read_until(process, text: bytes, limit: float = 20.0) -> bytes:
    seen = b""
    deadline = time.monotonic() + limit
    while text not in seen:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([process.stdout], [], [], left)[0]:
            raise TimeoutError(f"no {text!r} in {seen!r}")
        part = os.read(process.stdout.fileno(), 4096)
        if not part:
            raise EOFError(f"ended after {seen!r}: {process.stderr.read()!r}")
        seen += part
    return seen


def values_of(tree, name: str):
    """Every value of that name in an inspection tree."""
    for key, value in tree.items():
        if key == name:
            yield value
        elif isinstance(value, dict):
            yield from values_of(value, name)


def end(process) -> None:
    process.kill()
    process.communicate()


class GuestModes(unittest.TestCase):
    def run_mode(self, mode: str, on_reset: str = "reset", **settings):
        with GuestMachine(f"mode={mode}", **settings) as machine:
            machine.machine["on_reset"] = on_reset
            return machine.run(limit=20)

    def test_power_off(self):
        self.assertEqual(self.run_mode("list").status, AFTER_SHUTDOWN)

    def test_reset_by_acpi_ends_where_asked(self):
        report = self.run_mode("reboot", on_reset="stop")
        self.assertEqual((report.status, report.text), (AFTER_RESET, "BOOT\n"), report.errors)

    def test_reset_by_keyboard_controller(self):
        report = self.run_mode("reboot_keyboard", on_reset="stop")
        self.assertEqual((report.status, report.text), (AFTER_RESET, "BOOT\n"), report.errors)

    def test_reset_boots_again_and_again(self):
        for kernel in ({}, {"kernel": GUEST_BZIMAGE}):
            with GuestMachine("mode=reboot", **kernel) as machine:
                process = machine.start()
                try:
                    seen = b""
                    while seen.count(b"BOOT") < 10:
                        seen += read_until(process, b"BOOT")
                finally:
                    end(process)

    def test_triple_fault_ends(self):
        # What libvirt reports of QEMU for a triple fault on a PC is a reset.
        report = self.run_mode("triple_fault", on_reset="stop")
        self.assertIn(report.status, (AFTER_RESET, AFTER_CRASH), report.errors)
        self.assertEqual(report.text, "READY\n")

    def test_emulation_failure_is_a_crash_with_a_reason(self):
        report = self.run_mode("emulation_failure")
        self.assertEqual((report.status, report.text), (AFTER_CRASH, "READY\n"), report.errors)
        self.assertRegex(report.errors.lower(), "internal error|emulat")

    def test_serial_echo(self):
        with GuestMachine("mode=echo") as machine:
            process = machine.start()
            try:
                read_until(process, b"READY")
                for text in (b"hello, guest\n", bytes(range(0x20, 0x7f)) + b"\n"):
                    process.stdin.write(text)
                    process.stdin.flush()
                    read_until(process, text.rstrip(b"\n"))
            finally:
                end(process)

    def test_serial_input_beyond_the_fifo_is_not_lost(self):
        """Bursts far above the 16 bytes of the FIFO (a stand-alone worker buffers some 270 typed bytes)."""
        with GuestMachine("mode=echo") as machine:
            process = machine.start()
            try:
                read_until(process, b"READY\n")
                for burst in range(50):
                    text = b"".join(b"%03d-%02d " % (burst, n) for n in range(30))
                    process.stdin.write(text)
                    process.stdin.flush()
                    read_until(process, text)
            finally:
                end(process)

    def test_spinning_guest_can_be_ended(self):
        for mode in ("spin", "halt", "ignore"):
            with GuestMachine(f"mode={mode}") as machine:
                process = machine.start()
                try:
                    read_until(process, b"READY")
                    process.send_signal(signal.SIGTERM)
                    process.wait(5)
                finally:
                    end(process)

    def test_time_passes_at_the_host_s_rate(self):
        with GuestMachine("mode=tick") as machine:
            process = machine.start()
            try:
                read_until(process, b"TICK 0 ")
                start = time.monotonic()
                read_until(process, b"TICK 3 ")
                self.assertAlmostEqual(time.monotonic() - start, 3.0, delta=0.5)
            finally:
                end(process)

    def test_inspection_counts_malformed_chains(self):
        """T1: returned, and counted."""
        with GuestMachine("test=virtio_chain.loop_to_itself") as machine:
            machine.add_disk()
            machine.options.append("--inspect-at-end")
            report = machine.run(limit=20)
        self.assertEqual(report.results(), {"virtio_chain.loop_to_itself": "PASS"}, report.text)
        tree = json.loads(report.errors[report.errors.index("{"):])
        self.assertEqual(list(values_of(tree, "malformed_chains")), [1])
        self.assertEqual(list(values_of(tree, "memory_bytes")), [64 << 20])

    def test_first_guest(self):
        with GuestMachine("", kernel=FIRST_GUEST, memory_mib=16) as machine:
            process = machine.start()
            try:
                read_until(process, b"1")
            finally:
                end(process)


if __name__ == "__main__":
    require_worker()
    tap.main()
