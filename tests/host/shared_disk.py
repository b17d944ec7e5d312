"""Disks that another program serves over vhost-user: what their tests have in common."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from domain_test import DomainCase
from domains import console, define
from guest_machine import DISK_SECTORS

SHARED = "<memoryBacking><access mode='shared'/></memoryBacking>"
PORTS = "<memballoon model='none'/>" + "<controller type='pci' model='pcie-root-port'/>" * 3
# What a disk has whatever serves it.
TESTS = ("split,split_indirect,split_event_index,split_all,read,capacity,flush,scatter_gather,header_in_pieces,"
         "many_in_flight,reset_in_flight")
PASSPHRASE = "correct horse"


def run(*words: object) -> str:
    result = subprocess.run([*map(str, words)], capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError(f"{' '.join(map(str, words))}: exit status {result.returncode}: {result.stderr}")
    return result.stdout


def convert(*words: object) -> None:
    """qemu-img convert. For LUKS it measures the CPU time of its key derivation, and on a busy host gives up on that now
    and then."""
    for attempt in range(5):
        try:
            run("qemu-img", "convert", *words)
            return
        except RuntimeError as error:
            if attempt == 4 or "Unable to get accurate CPU usage" not in str(error):
                raise


class SharedDiskCase(DomainCase):
    def define(self, name: str, mode: str, devices: str, backing: str = SHARED) -> None:
        define(self.daemon, name, mode, actions=backing, devices=devices + PORTS)

    def run_tests(self, name: str, tests: str, devices: str) -> None:
        names = ",".join(f"virtio_blk.{test}" for test in tests.split(","))
        self.define(name, f" test={names} disk_sectors={DISK_SECTORS}", devices)
        self.virsh("start", name, "--paused")
        with console(self.daemon, name) as terminal:
            self.virsh("resume", name)
            text = terminal.expect(r"END passed=(\d+) failed=(\d+) skipped=(\d+)", 60)
        self.assertEqual(text[0].decode(), f"END passed={len(tests.split(','))} failed=0 skipped=0", terminal.tail())

    def load(self, name: str, devices: str) -> None:
        self.define(name, "disk_load load=m load_bytes=4096", devices)
        self.virsh("start", name, "--paused")
        with console(self.daemon, name) as terminal:
            self.virsh("resume", name)
            terminal.expect(r"LOADED 1\b.*READY")

    def come_and_go(self, disk: str, mark: str, gone: Callable[[], None] = lambda: None) -> None:
        """Three times into a running machine and out of it; `mark` tells it in the XML."""
        self.define("plug", "hot_plug", "")
        self.virsh("start", "plug", "--paused")
        file = self.daemon.root / "plug-disk.xml"
        file.write_text(disk)
        with console(self.daemon, "plug") as terminal:
            self.virsh("resume", "plug")
            terminal.expect("READY")
            for _ in range(3):
                self.virsh("attach-device", "plug", file, "--live")
                terminal.expect("PLUGGED 1 0x1af4:0x1042")
                terminal.expect("FIRST 64\\b")
                self.assertIn(mark, self.virsh("dumpxml", "plug"))
                self.virsh("detach-disk", "plug", "vda", "--live")
                terminal.expect("EMPTY 1")
                self.assertNotIn(mark, self.virsh("dumpxml", "plug"))
                gone()

    def assert_works(self, image: Path) -> None:
        before, deadline = image.stat().st_mtime_ns, time.monotonic() + 20
        while image.stat().st_mtime_ns == before:
            self.assertLess(time.monotonic(), deadline, "the guest does not write")
            time.sleep(0.1)
