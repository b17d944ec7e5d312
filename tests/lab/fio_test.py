#!/usr/bin/python3
"""fio with verification in a Debian guest, on a raw image, a qcow2 image and a qcow2 image over a chain of three at once,
while their disks are resized and limited, another disk is taken away, the chain is committed and pulled and the disks are
copied to other files. Nothing that fio has written may be missed by it, and every image is clean to qemu-img afterwards.
"""
# time limit: 900 s

import json
import subprocess
import sys
import time
import xml.etree.ElementTree
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
ROUNDS = 6  # at most, each twice as long as the one before, until a work is done while fio is at work
FIO = ("in_tools fio --output-format=json --output=/shared/fio.json --ioengine=libaio --direct=1 --iodepth=16 "
       "--rw=randrw --rwmixread=30 --bsrange=512-64k --blockalign=512 --verify=crc32c --verify_fatal=1 "
       f"--verify_backlog=64 --do_verify=1 --size={REGION} --randseed=$RANDOM --group_reporting=0")


def qemu_img(*words: object) -> str:
    return subprocess.run(["qemu-img", *map(str, words)], check=True, capture_output=True, text=True).stdout


def disk(target: str, source: Path, kind: str, driver: str = "") -> str:
    return (f"<disk type='file' device='disk'><driver name='qemu' type='{kind}' discard='unmap' {driver}/>"
            f"<source file='{source}'/><target dev='{target}' bus='virtio'/></disk>")


class Verified(GuestCase):
    loops = 1
    copies = 0

    @classmethod
    def setUpClass(cls):
        root = cls.prepare()
        cls.images = {"vda": root / "flat.raw", "vdb": root / "flat.qcow2", "vdc": root / "top.qcow2"}
        with cls.images["vda"].open("wb") as file:
            file.truncate(SIZE)
        qemu_img("create", "-q", "-f", "qcow2", cls.images["vdb"], SIZE)
        below = ""
        for number, name in enumerate(("base.qcow2", "lower.qcow2", "middle.qcow2", "top.qcow2")):
            backing = ["-b", below, "-F", "qcow2"] if below else []
            qemu_img("create", "-q", "-f", "qcow2", *backing, root / name, SIZE)
            if name != "top.qcow2":
                subprocess.run(["qemu-io", "-c", f"write -q -P {number + 1} {5 * number}M 12M", root / name], check=True)
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

    def written(self) -> int:
        return sum(self.domain.blockStats(target)[3] for target in TARGETS)

    def while_fio_works(self, works: list[tuple[str, Callable[[], object]]]) -> None:
        """Each of them is done from its beginning to its end while fio is at work, in a round of its own."""
        for name, work in works:
            for _ in range(ROUNDS):
                before = self.written()
                self.begin_round(self.loops)
                self.wait("fio writes", lambda: self.written() > before + MEBIBYTE)
                began = time.monotonic()
                work()
                took = time.monotonic() - began
                is_done = self.is_at_work()
                self.end_round()
                if is_done:
                    print(f"# {name}: {took:.1f} s of fio's {time.monotonic() - began:.1f}", flush=True)
                    break
                # How fast fio is here nobody knows.
                type(self).loops *= 2
            else:
                self.fail(f"fio was done before {name}")

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

    # Block jobs, each from its beginning to what the definition says after it; those of the chain cannot be done twice.
    def sources(self, target: str) -> list[str]:
        """What the disk reads, from the top of its chain to the base."""
        for each in xml.etree.ElementTree.fromstring(self.domain.XMLDesc()).iterfind("devices/disk"):
            if each.find("target").get("dev") == target:
                return [Path(source.get("file")).name for tag in ("source", "backingStore//source")
                        for source in each.iterfind(tag)]
        raise AssertionError(f"no {target}")

    def job_ends(self, target: str) -> None:
        self.wait(f"the job of {target}", lambda: not self.domain.blockJobInfo(target))

    def pivot(self, target: str) -> None:
        def is_ready() -> bool:
            return "ready='yes'" in self.domain.XMLDesc()

        self.wait(f"{target} and what it goes to are the same", is_ready)
        self.domain.blockJobAbort(target, libvirt.VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT)

    def commit_the_middle(self) -> None:
        self.domain.blockCommit("vdc", str(self.daemon.root / "lower.qcow2"), str(self.daemon.root / "middle.qcow2"), 0, 0)
        self.job_ends("vdc")
        self.assertEqual(self.sources("vdc"), ["top.qcow2", "lower.qcow2", "base.qcow2"])

    def pull(self) -> None:
        self.domain.blockRebase("vdc", str(self.daemon.root / "base.qcow2"), 0, 0)
        self.job_ends("vdc")
        self.assertEqual(self.sources("vdc"), ["top.qcow2", "base.qcow2"])

    def commit_the_top(self) -> None:
        self.domain.blockCommit("vdc", None, None, 0, libvirt.VIR_DOMAIN_BLOCK_COMMIT_ACTIVE)
        self.pivot("vdc")
        self.assertEqual(self.sources("vdc"), ["base.qcow2"])
        self.images["vdc"] = self.daemon.root / "base.qcow2"

    def copy(self, target: str) -> None:
        type(self).copies += 1
        copy = self.daemon.root / f"copy-{self.copies}.{TARGETS[target]}"
        self.domain.blockCopy(target, f"<disk type='file'><driver type='{TARGETS[target]}'/><source file='{copy}'/></disk>",
                              {}, libvirt.VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB)
        self.pivot(target)
        self.assertEqual(self.sources(target), [copy.name])
        self.images[target] = copy

    def test_1_nothing_is_missed(self):
        self.while_fio_works([("blockresize of all", self.resize), ("limits of all", self.limit),
                              ("hot unplug of another disk", self.plug_and_unplug)])

    def test_2_nor_by_block_jobs(self):
        self.while_fio_works([("blockcopy of raw", lambda: self.copy("vda")),
                              ("blockcopy of qcow2", lambda: self.copy("vdb")),
                              ("blockcommit in the chain", self.commit_the_middle), ("blockpull", self.pull),
                              ("blockcommit of the top", self.commit_the_top)])

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
