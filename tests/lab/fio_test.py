#!/usr/bin/python3
"""fio with verification in a Debian guest, on a raw image, a qcow2 image and a chain of three qcow2 images at once, while
stock virsh resizes and limits their disks, takes another disk away and works on the chain. Nothing that fio has written
may be missed by it, and every image is clean to qemu-img afterwards.
"""
# time limit: 600 s

import json
import subprocess
import sys
import time
import unittest
from collections.abc import Callable
from pathlib import Path

import libvirt

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fixtures import tap
from fixtures.guest_case import GuestCase
from fixtures.linux_guest import LinuxGuest
from linux_guest import tools

MEBIBYTE = 1 << 20
SIZE = 24 * MEBIBYTE
REGION = 4 * MEBIBYTE  # that fio writes of each disk in a round, at random places; the chain has older data around it
TARGETS = {"vda": "raw", "vdb": "qcow2", "vdc": "qcow2"}
ROUNDS = 12  # at most, until everything has been done while fio was at work
FIO = ("in_tools fio --output-format=json --output=/shared/fio.json --ioengine=libaio --direct=1 --iodepth=16 "
       "--rw=randrw --rwmixread=30 --bsrange=512-64k --blockalign=512 --verify=crc32c --verify_fatal=1 "
       f"--verify_backlog=64 --do_verify=1 --size={REGION} --randseed=$RANDOM --group_reporting=0")


def qemu_img(*words: object) -> str:
    return subprocess.run(["qemu-img", *map(str, words)], check=True, capture_output=True, text=True).stdout


def disk(target: str, source: Path, kind: str, driver: str = "") -> str:
    return (f"<disk type='file' device='disk'><driver name='qemu' type='{kind}' discard='unmap' {driver}/>"
            f"<source file='{source}'/><target dev='{target}' bus='virtio'/></disk>")


class Verified(GuestCase):
    @classmethod
    def setUpClass(cls):
        root = cls.prepare()
        cls.images = {"vda": root / "flat.raw", "vdb": root / "flat.qcow2", "vdc": root / "top.qcow2"}
        with cls.images["vda"].open("wb") as file:
            file.truncate(SIZE)
        qemu_img("create", "-q", "-f", "qcow2", cls.images["vdb"], SIZE)
        below = ""
        for name in ("base.qcow2", "middle.qcow2", "top.qcow2"):
            backing = ["-b", below, "-F", "qcow2"] if below else []
            qemu_img("create", "-q", "-f", "qcow2", *backing, root / name, SIZE)
            if name != "top.qcow2":
                subprocess.run(["qemu-io", "-c", f"write -q -P {len(name)} {len(below)}M 12M", root / name], check=True)
            below = name
        cls.spare = root / "spare.raw"
        with cls.spare.open("wb") as file:
            file.truncate(MEBIBYTE)
        cls.sizes = dict.fromkeys(TARGETS, SIZE)
        devices = "".join(disk(target, cls.images[target], kind) for target, kind in TARGETS.items())
        devices += "<controller type='pci' model='pcie-root-port'/>" * 3
        cls.boot(LinuxGuest(cls.daemon, devices=devices + tools.xml(tools.disk()), memory_mib=384))
        cls.console.run(tools.MOUNT)
        connection = libvirt.open(cls.daemon.uri)
        cls.addClassCleanup(connection.close)
        cls.domain = connection.lookupByName("debian")

    def begin_round(self, loops: int) -> None:
        jobs = f"--loops={loops} " + " ".join(f"--name={target} --filename=/dev/{target}" for target in TARGETS)
        self.in_guest(f"rm -f /tmp/status; ({FIO} {jobs} > /tmp/said 2>&1; echo $? > /tmp/status) & true")

    def is_at_work(self) -> bool:
        return self.in_guest("ls /tmp/status 2>/dev/null; true") == ""

    def end_round(self) -> None:
        self.in_guest("until [ -e /tmp/status ]; do sleep 0.2; done", limit=240)
        said = self.in_guest("cat /tmp/status /tmp/said")
        self.assertEqual(said.split()[0], "0", said)
        errors = self.in_guest("grep '\"error\"' /tmp/fio.json | sort -u")
        self.assertEqual(errors.split(), ['"error"', ":", "0,"], errors)

    def while_fio_works(self, works: list[tuple[str, Callable[[], object]]]) -> None:
        """Each of them is done at least once from its beginning to its end while fio is at work."""
        left = list(works)
        for number in range(ROUNDS):
            # Longer each time: how fast fio is here nobody knows.
            self.begin_round(1 << min(number, 5))
            while left and self.is_at_work():
                name, work = left[0]
                began = time.monotonic()
                work()
                if self.is_at_work():
                    print(f"# round {number}: {name}, {time.monotonic() - began:.1f} s", flush=True)
                    left.pop(0)
            self.end_round()
            if not left:
                return
        self.fail(f"fio was done before {left[0][0]}")

    # By libvirt-python, which is quicker here than virsh, so that fio is still at work when it is done.
    def resize(self) -> None:
        for target in TARGETS:
            self.sizes[target] += 4 * MEBIBYTE
            self.domain.blockResize(target, self.sizes[target], libvirt.VIR_DOMAIN_BLOCK_RESIZE_BYTES)
        wanted = [str(self.sizes[target]) for target in TARGETS]
        look = "; ".join(f"blockdev --getsize64 /dev/{target}" for target in TARGETS)
        self.wait("the guest sees it", lambda: self.in_guest(look).split() == wanted)

    def limit(self) -> None:
        for operations in (100, 0):
            for target in TARGETS:
                self.domain.setBlockIoTune(target, {"total_iops_sec": operations}, libvirt.VIR_DOMAIN_AFFECT_LIVE)
            time.sleep(1)

    def plug_and_unplug(self) -> None:
        spare = disk("vdd", self.spare, "raw")
        self.domain.attachDeviceFlags(spare, libvirt.VIR_DOMAIN_AFFECT_LIVE)
        self.wait("the disk comes", lambda: self.in_guest("grep -x 2048 /sys/block/vd*/size; true") != "")
        self.domain.detachDeviceFlags(spare, libvirt.VIR_DOMAIN_AFFECT_LIVE)
        self.wait("the disk goes", lambda: "'vdd'" not in self.domain.XMLDesc())

    def test_1_nothing_is_missed(self):
        self.while_fio_works([("blockresize of all", self.resize), ("limits of all", self.limit),
                              ("hot unplug of another disk", self.plug_and_unplug)])

    def test_9_the_images_are_clean(self):
        """What is read of the chain by qemu-img is what fio wrote; each image is clean."""
        self.in_guest("sync")
        sums = {target: self.in_guest(f"dd if=/dev/{target} bs=1M count=24 iflag=direct 2>/dev/null | md5sum", limit=120)
                for target in TARGETS}
        self.virsh("destroy", "debian", "--graceful")
        for target, kind in TARGETS.items():
            raw = self.daemon.root / f"{target}.copy"
            qemu_img("convert", "-f", kind, "-O", "raw", self.images[target], raw)
            with raw.open("rb") as file:
                digest = subprocess.run(["md5sum"], input=file.read(SIZE), capture_output=True, check=True).stdout.decode()
            self.assertEqual(digest.split()[0], sums[target].split()[0], target)
            if kind == "qcow2":
                told = subprocess.run(["qemu-img", "check", "--output=json", self.images[target]], capture_output=True, text=True)
                self.assertEqual(json.loads(told.stdout).get("corruptions", 0), 0, told.stdout)


if __name__ == "__main__":
    tap.main()
