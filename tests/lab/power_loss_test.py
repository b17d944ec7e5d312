#!/usr/bin/python3
"""File systems of a Debian guest under load survive `kill -9` of the worker: ext4 and btrfs, on raw and on qcow2 images.
After each kill the images are clean to qemu-img but for leaks; the guest mounts (and so replays the journals), finds
everything that had been synced, and e2fsck and btrfs check have nothing to say.

WARREN_POWER_LOSSES says how often (3 without it, of four file systems each).
"""
# time limit: 900 s

import json
import os
import re
import signal
import subprocess
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "host"))

from domains import workers_of
from fixtures import tap
from fixtures.linux_guest import LinuxGuest
from fixtures.terminal import Terminal
from fixtures.warren_daemon import PrivateDaemon
from linux_guest import tools

LOSSES = int(os.environ.get("WARREN_POWER_LOSSES", "3"))
LOAD_SECONDS = (1.0, 2.2, 3.5, 5.1)  # by turns: how long the load runs before the kill
KEPT = 24  # files of each file system
# Target, file system, format, cache mode. Where the file systems lie here there is no O_DIRECT for cache='none'.
DISKS = (("vda", "ext4", "raw", "writeback"), ("vdb", "ext4", "qcow2", "writethrough"),
         ("vdc", "btrfs", "raw", "writethrough"), ("vdd", "btrfs", "qcow2", "writeback"))
BYTES = 160 << 20
MAKE = {"ext4": "in_tools mke2fs -q -F -t ext4", "btrfs": "in_tools mkfs.btrfs -q -f"}
CHECK = {"ext4": "in_tools e2fsck -fn", "btrfs": "in_tools btrfs check --readonly"}
# Files whose content follows from their number, each synced before it is told of; the oldest go.
LOAD = ("load() { n=$2; while :; do n=$((n+1)); seq $n $((n+900+n%7*500)) | dd of=/$1/$n bs=4k conv=fsync 2>/dev/null && "
        f"echo SYNCED $1 $n; rm -f /$1/$((n-{KEPT})); done; }}")
VERIFY = ("verify() { for n in $(seq $2 $3); do seq $n $((n+900+n%7*500)) | cmp - /$1/$n || echo LOST $1 $n; done; }")


class PowerLoss(unittest.TestCase):
    def setUp(self):
        self.daemon = PrivateDaemon()
        self.addCleanup(self.daemon.__exit__)
        self.daemon.start()
        devices = ""
        for target, _, kind, cache in DISKS:
            image = self.image(target)
            subprocess.run(["qemu-img", "create", "-q", "-f", kind, image, str(BYTES)], check=True)
            devices += (f"<disk type='file' device='disk'><driver name='qemu' type='{kind}' cache='{cache}' discard='unmap'/>"
                        f"<source file='{image}'/><target dev='{target}' bus='virtio'/></disk>")
        self.guest = LinuxGuest(self.daemon, devices=devices + tools.xml(tools.disk()), memory_mib=384)
        self.guest.define()
        self.synced = {target: 0 for target, *_ in DISKS}

    def image(self, target: str) -> Path:
        return self.daemon.root / f"{target}.image"

    def start(self) -> Terminal:
        console = self.guest.start_with_console()
        self.addCleanup(console.close)
        for line in (tools.MOUNT, LOAD, VERIFY, "mkdir " + " ".join(f"/{target}" for target, *_ in DISKS)):
            console.run(line)
        return console

    def mount(self, console: Terminal) -> None:
        for target, system, *_ in DISKS:
            console.run(f"mount -t {system} /dev/{target} /{target}", 120)

    def lose_power(self, console: Terminal, seconds: float) -> None:
        loads = "; ".join(f"(load {target} {self.synced[target]}) &" for target, *_ in DISKS).replace("&;", "&")
        before = len(console.transcript)
        console.send(f"{loads}\n")
        # From the first file on: what the console's line cost does not count.
        console.expect("SYNCED vd")
        time.sleep(seconds)
        (worker,) = workers_of(self.daemon)
        os.kill(worker, signal.SIGKILL)
        self.daemon.wait_for_state("debian", "shut off")
        console.read_to_end()
        console.close()
        # What the console lost of a line was said of nothing.
        for target, number in re.findall(rb"SYNCED (vd.) (\d+)\r", console.transcript[before:]):
            self.synced[target.decode()] = int(number)

    def check_images(self) -> None:
        for target, _, kind, _ in DISKS:
            if kind != "qcow2":
                continue
            told = subprocess.run(["qemu-img", "check", "--output=json", self.image(target)], capture_output=True, text=True)
            found = json.loads(told.stdout)
            self.assertEqual((found.get("corruptions", 0), found["check-errors"]), (0, 0), told.stdout)

    def check_file_systems(self, console: Terminal) -> None:
        for target, system, *_ in DISKS:
            console.run(f"mount -t {system} /dev/{target} /{target}", 120)  # replays its journal
            last = self.synced[target]
            said = console.run(f"verify {target} {max(1, last - KEPT // 2)} {last}", 120)
            self.assertEqual(said.strip(), "", f"{target}, synced up to {last}")
            console.run(f"umount /{target}", 120)
            console.run(f"{CHECK[system]} /dev/{target} > /tmp/check 2>&1 || {{ cat /tmp/check; false; }}", 240)

    def test_kill_9_of_the_worker(self):
        console = self.start()
        for target, system, *_ in DISKS:
            console.run(f"{MAKE[system]} /dev/{target} > /dev/null", 240)
        for number in range(LOSSES):
            began = time.monotonic()
            self.mount(console)
            self.lose_power(console, LOAD_SECONDS[number % len(LOAD_SECONDS)])
            self.check_images()
            console = self.start()
            self.check_file_systems(console)
            print(f"# loss {number + 1}: synced {self.synced}, {time.monotonic() - began:.0f} s", flush=True)
        for target, synced in self.synced.items():
            self.assertGreater(synced, LOSSES, target)


if __name__ == "__main__":
    tap.main()
