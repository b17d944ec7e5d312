#!/usr/bin/python3
"""What is done to the disks of a running Debian guest by stock virsh: limits, sizes, thresholds, discard, and the four
error policies on disks that really fail (a file system that is full, device-mapper's error target).

The cases follow one guest through its life and run in the order of their names.
"""
# time limit: 900 s

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import libvirt

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fixtures import tap
from fixtures.guest_case import GuestCase
from fixtures.linux_guest import AGENT_CHANNEL, LinuxGuest

MEBIBYTE = 1 << 20
DATA_BYTES = 64 * MEBIBYTE
SECTORS, FAILING = 16384, 8192  # of a device-mapper disk, and from where on it fails
WINDOW = 6.0  # seconds that a rate is measured for
READS, WRITTEN = 0, 3  # figures of virDomainBlockStats
POLICIES = {"vdc": "stop", "vdd": "report", "vde": "ignore"}


def device_mapper(*words: str, table: str = "") -> None:
    # There is no udev that would make the nodes.
    subprocess.run(["dmsetup", "--noudevsync", *words], input=table, text=True, check=True,
                   env=os.environ | {"DM_DISABLE_UDEV": "1"}, stdout=subprocess.DEVNULL)


def disk(target: str, source: Path, driver: str = "", kind: str = "file") -> str:
    attribute = "dev" if kind == "block" else "file"
    return (f"<disk type='{kind}' device='disk'><driver name='qemu' type='raw' {driver}/>"
            f"<source {attribute}='{source}'/><target dev='{target}' bus='virtio'/></disk>")


class Disks(GuestCase):
    @classmethod
    def setUpClass(cls):
        root = cls.prepare()
        cls.data, cls.files = root / "data.raw", root / "files.raw"
        for path in (cls.data, cls.files):
            with path.open("wb") as file:
                file.truncate(DATA_BYTES)
        subprocess.run(["/sbin/mkfs.ext4", "-q", cls.files], check=True)
        cls.small = root / "small"
        cls.small.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", cls.small], check=True)
        cls.addClassCleanup(lambda: subprocess.run(["umount", "-l", cls.small], check=False))
        with (cls.small / "full.raw").open("wb") as file:
            file.truncate(16 * MEBIBYTE)
        subprocess.run(["/sbin/modprobe", "-a", "dm-mod", "dm-zero"], check=False)
        devices = disk("vda", cls.data)
        devices += disk("vdb", cls.small / "full.raw", "error_policy='enospace'")
        cls.failing = {}
        for target, policy in POLICIES.items():
            cls.failing[target] = f"warren-{os.getpid()}-{policy}"
            device_mapper("create", cls.failing[target],
                          table=f"0 {FAILING} zero\n{FAILING} {SECTORS - FAILING} error\n")
            cls.addClassCleanup(device_mapper, "remove", "--force", cls.failing[target])
            # Past the host's page cache, which would take the write and fail later.
            devices += disk(target, Path("/dev/mapper", cls.failing[target]), f"cache='none' error_policy='{policy}'",
                            "block")
        cls.addClassCleanup(cls.daemon.destroy_all)  # before its disks go
        cls.connection = libvirt.open(cls.daemon.uri)
        cls.addClassCleanup(cls.connection.close)
        devices += disk("vdf", cls.files, "discard='unmap'")
        cls.boot(LinuxGuest(cls.daemon, devices=devices + AGENT_CHANNEL, with_agent=True))

    def figure(self, index: int) -> tuple[float, int]:
        """When, and of vda: reads, bytes read, writes, bytes written. By libvirt-python: virsh takes a second here."""
        value = self.connection.lookupByName("debian").blockStats("vda")[index]
        return time.monotonic(), value

    def rate(self, figure: int, load: str) -> float:
        """How fast a figure grows, a second, while the guest does that over and over."""
        self.in_guest(f"(while :; do {load}; done) > /dev/null 2>&1 & echo $! > /tmp/load")
        time.sleep(2)  # what a limit lets pass at once is gone
        begun, before = self.figure(figure)
        time.sleep(WINDOW)
        ended, after = self.figure(figure)
        self.in_guest("kill $(cat /tmp/load); killall dd; wait; sleep 1", limit=60)
        return (after - before) / (ended - begun)

    def limit(self, *words: str) -> None:
        self.virsh("blkdeviotune", "debian", "vda", "--live", *words)

    def test_01_limits_hold(self):
        """Within 5 %; host/disk_limits_test.py has all of them, and bursts."""
        self.limit("--write-bytes-sec", "2097152")
        self.expect_event("tunable", r":\s+blkdeviotune\.disk: vda\s")
        write = "dd if=/dev/zero of=/dev/vda bs=64k seek=512 count=256 oflag=direct"
        self.assertAlmostEqual(self.rate(WRITTEN, write) / 2097152, 1, delta=0.05)
        self.limit("--write-bytes-sec", "0", "--read-iops-sec", "50")
        shown = self.virsh("blkdeviotune", "debian", "vda")
        self.assertRegex(shown, r"read_iops_sec\s*: 50\b")
        self.assertRegex(shown, r"write_bytes_sec\s*: 0\b")
        read = "dd if=/dev/vda of=/dev/null bs=4k count=2000 iflag=direct"
        self.assertAlmostEqual(self.rate(READS, read) / 50, 1, delta=0.05)
        self.limit("--read-iops-sec", "0")
        self.assertGreater(self.rate(READS, read), 100, "it is free again")

    def test_02_figures_agree_with_the_guests(self):
        # Of /sys/block/*/stat (Documentation/block/stat.rst): requests and sectors of reads, then of writes.
        words = self.in_guest("cat /sys/block/vda/stat").split()
        found = self.statistics("--block")
        self.assertEqual(found["block.0.name"], "vda")
        self.assertEqual(int(found["block.0.rd.bytes"]), int(words[2]) * 512)
        self.assertEqual(int(found["block.0.wr.bytes"]), int(words[6]) * 512)
        self.assertEqual(int(found["block.0.rd.reqs"]), int(words[0]))
        self.assertRegex(self.virsh("domblkstat", "debian", "vda"), rf"rd_req {words[0]}\b")
        information = self.virsh("domblkinfo", "debian", "vda")
        self.assertRegex(information, rf"Capacity:\s+{DATA_BYTES}")
        self.assertRegex(information, rf"Allocation:\s+{self.data.stat().st_blocks * 512}")
        self.assertRegex(self.virsh("domblklist", "debian", "--details"),
                         rf"block\s+disk\s+vdc\s+/dev/mapper/{self.failing['vdc']}")
        self.assertIn("No errors found", self.virsh("domblkerror", "debian"))

    def test_03_threshold(self):
        self.virsh("domblkthreshold", "debian", "vda", str(32 * MEBIBYTE))
        self.in_guest("dd if=/dev/zero of=/dev/vda bs=4k seek=8192 count=1 oflag=direct 2>/dev/null")
        self.expect_event("block-threshold", rf": dev: vda\({self.data}\) {32 * MEBIBYTE} 4096")

    def test_04_discard(self):
        """What the guest's file system does not use takes no space of the host's."""
        self.in_guest("mount -t ext4 /dev/vdf /mnt")
        self.in_guest("dd if=/dev/urandom of=/mnt/file bs=1M count=8 conv=fsync 2>/dev/null", limit=120)
        used = self.files.stat().st_blocks * 512
        self.in_guest("rm /mnt/file; sync")
        self.virsh("domfstrim", "debian")
        freed = used - self.files.stat().st_blocks * 512
        self.assertGreater(freed, 8 * MEBIBYTE - (64 << 10), "but for what the file system keeps of the file")
        self.in_guest("umount /mnt")

    def test_05_resize(self):
        self.assertEqual(self.in_guest("blockdev --getsize64 /dev/vda"), str(DATA_BYTES))
        self.virsh("blockresize", "debian", "vda", "96M")
        size = str(96 * MEBIBYTE)
        self.wait("the guest sees it", lambda: self.in_guest("blockdev --getsize64 /dev/vda") == size)
        self.assertEqual(self.data.stat().st_size, 96 * MEBIBYTE)
        self.assertRegex(self.virsh("domblkinfo", "debian", "vda"), rf"Capacity:\s+{size}")
        self.in_guest("dd if=/dev/urandom of=/dev/vda bs=1M seek=95 count=1 oflag=direct 2>/dev/null")
        self.assertIn("not found", self.refused("blockresize", "debian", "vdz", "96M"))

    def test_06_no_space(self):
        """The guest waits until there is some, and has lost nothing."""
        self.in_guest("dd if=/dev/urandom of=/tmp/data bs=1M count=8 2>/dev/null", limit=120)
        expected = self.in_guest("md5sum < /tmp/data")
        self.in_guest("(dd if=/tmp/data of=/dev/vdb bs=64k conv=fsync; echo $? > /tmp/written) > /dev/null 2>&1 & true")
        self.wait("the guest is paused", lambda: self.state() == "paused (I/O error)")
        full = self.small / "full.raw"
        self.expect_event("io-error", rf": {full} \(virtio-disk1\) pause")
        self.expect_event("io-error-reason", rf": {full} \(virtio-disk1\) pause due to enospc")
        self.expect_event("lifecycle", ": Suspended I/O Error")
        self.assertRegex(self.virsh("domblkerror", "debian"), r"^vdb: no space")
        (message,) = self.messages()
        self.assertIn(f"disk='vdb', path='{full}'", message)
        self.assertIn("No space left on device", message)
        status = self.virsh("qemu-monitor-command", "debian", '{"execute": "query-status"}')
        self.assertIn('"status":"io-error"', status)
        # Without space it goes on to where it was.
        self.virsh("resume", "debian")
        self.wait("the guest is paused again", lambda: self.state() == "paused (I/O error)")
        subprocess.run(["mount", "-o", "remount,size=32m", self.small], check=True)
        self.virsh("resume", "debian")
        self.in_guest("until [ -e /tmp/written ]; do sleep 0.2; done")
        self.assertEqual(self.in_guest("cat /tmp/written"), "0")
        self.assertEqual(self.in_guest("dd if=/dev/vdb bs=1M count=8 iflag=direct 2>/dev/null | md5sum"), expected)
        self.assertIn("No errors found", self.virsh("domblkerror", "debian"))
        self.assertEqual(self.state(), "running (unpaused)")

    def messages(self) -> list[str]:
        """This virsh has no command for them."""
        return self.connection.lookupByName("debian").messages()

    def touch(self, target: str, command: str) -> str:
        """Status of a transfer of one block of the part that fails."""
        place = FAILING // 8 + 16
        return self.in_guest(command.format(device=f"/dev/{target}", place=place) + " > /dev/null 2>&1; echo $?")

    def test_07_report(self):
        path = f"/dev/mapper/{self.failing['vdd']}"
        for command in ("dd if=/dev/zero of={device} bs=4k seek={place} count=1 oflag=direct",
                        "dd if={device} of=/dev/null bs=4k skip={place} count=1 iflag=direct"):
            self.assertEqual(self.touch("vdd", command), "1")
            self.expect_event("io-error", rf": {path} \(virtio-disk3\) report")
        self.assertEqual(self.state(), "running (unpaused)")
        self.assertIn("No errors found", self.virsh("domblkerror", "debian"), "it is told of, and nothing waits")

    def test_08_ignore(self):
        path = f"/dev/mapper/{self.failing['vde']}"
        self.assertEqual(self.touch("vde", "dd if=/dev/zero of={device} bs=4k seek={place} count=1 oflag=direct"), "0")
        self.expect_event("io-error", rf": {path} \(virtio-disk4\) none")
        self.assertEqual(self.state(), "running (unpaused)")

    def test_09_stop(self):
        path = f"/dev/mapper/{self.failing['vdc']}"
        place = FAILING // 8 + 16
        self.in_guest(f"(sleep 2; dd if=/dev/zero of=/dev/vdc bs=4k seek={place} count=1 oflag=direct; "
                      "echo $? > /tmp/stopped) > /dev/null 2>&1 & true")
        self.wait("the guest is paused", lambda: self.state() == "paused (I/O error)")
        self.expect_event("io-error", rf": {path} \(virtio-disk2\) pause")
        self.assertRegex(self.virsh("domblkerror", "debian"), r"^vdc: unspecified error")
        self.assertIn("Input/output error", " ".join(self.messages()))
        # The disk is mended, and the request is tried again.
        device_mapper("suspend", self.failing["vdc"])
        device_mapper("load", self.failing["vdc"], table=f"0 {SECTORS} zero\n")
        device_mapper("resume", self.failing["vdc"])
        self.virsh("resume", "debian")
        self.in_guest("until [ -e /tmp/stopped ]; do sleep 0.2; done")
        self.assertEqual(self.in_guest("cat /tmp/stopped"), "0")
        self.assertIn("No errors found", self.virsh("domblkerror", "debian"))

    def test_10_updates(self):
        """What a running disk cannot change is refused by its name, and changes nothing."""
        before = self.virsh("dumpxml", "debian"), self.virsh("dumpxml", "debian", "--inactive")
        whole = re.search(r"<disk type='file'.*?</disk>", before[1], re.DOTALL)[0]

        def update(old: str, new: str, *options: str) -> list[str]:
            self.assertIn(old, whole)
            return ["update-device", "debian", str(self.file("update.xml", whole.replace(old, new))), *options]

        for old, new, named in ((str(self.data), "/another.raw", "<source>"), ("name='qemu'", "name='qemu' cache='none'", "<driver cache>"),
                                ("</disk>", "<serial>other</serial></disk>", "<serial>"),
                                ("</disk>", "<readonly/></disk>", "<readonly>")):
            self.assertIn(f"cannot modify {named} of disk vda", self.refused(*update(old, new, "--live", "--config")))
        self.assertEqual((self.virsh("dumpxml", "debian"), self.virsh("dumpxml", "debian", "--inactive")), before)
        tune = "<iotune><total_iops_sec>60</total_iops_sec></iotune></disk>"
        self.virsh(*update("</disk>", tune, "--live"))
        read = "dd if=/dev/vda of=/dev/null bs=4k count=2000 iflag=direct"
        self.assertAlmostEqual(self.rate(READS, read) / 60, 1, delta=0.05)
        self.assertNotIn("iotune", self.virsh("dumpxml", "debian", "--inactive"))


if __name__ == "__main__":
    tap.main()
