#!/usr/bin/python3
"""A domain whose disks are qcow2 images, one of them on a chain: started, worked on, resized and killed by stock
virsh, and looked at by qemu-img before and after."""

import json
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from domain_test import DomainCase
from domains import console, define, require_daemon
from fixtures import tap

MEBIBYTE = 1 << 20
SIZE = 64 * MEBIBYTE


def qemu_img(*words: object) -> str:
    return subprocess.run(["qemu-img", *map(str, words)], check=True, capture_output=True, text=True).stdout


def disk(target: str, source: Path, backing: str = "", driver: str = "") -> str:
    return (f"<disk type='file' device='disk'><driver name='qemu' type='qcow2' {driver}/><source file='{source}'/>"
            f"{backing}<target dev='{target}' bus='virtio'/></disk>")


class Qcow2(DomainCase):
    def make_chain(self, name: str) -> tuple[Path, Path, Path]:
        base, middle, top = (self.daemon.root / f"{name}-{part}" for part in ("base.raw", "middle.qcow2", "top.qcow2"))
        base.write_bytes(b"\x5a" * (SIZE // 2))
        qemu_img("create", "-q", "-f", "qcow2", "-b", base, "-F", "raw", middle, SIZE)
        qemu_img("create", "-q", "-f", "qcow2", "-b", middle.name, "-F", "qcow2", top)
        return base, middle, top

    def load(self, name: str, letters: str, devices: str) -> None:
        define(self.daemon, name, f"disk_load load={letters} load_bytes=16384", devices=devices)
        self.virsh("start", name, "--paused")
        with console(self.daemon, name) as terminal:
            self.virsh("resume", name)
            terminal.expect(f"LOADED {len(letters)}\\b.*READY")

    def figures(self, name: str) -> dict[str, str]:
        lines = self.virsh("domstats", name, "--block").splitlines()
        return dict(line.strip().split("=", 1) for line in lines if "=" in line)

    def work(self, name: str) -> None:
        before = int(self.figures(name)["block.0.wr.reqs"])
        time.sleep(1)
        after = self.figures(name)
        self.assertGreater(int(after["block.0.wr.reqs"]), before)
        self.assertEqual(int(after["block.0.capacity"]), SIZE)

    def test_a_chain_is_read_and_its_top_written(self):
        base, middle, top = self.make_chain("chain")
        untouched = base.read_bytes(), middle.read_bytes()
        self.load("chain", "mr", disk("vda", top) + disk("vdb", self.other()))
        live = self.virsh("dumpxml", "chain")
        for part in (f"<source file='{middle}'/>", f"<source file='{base}'/>", "<format type='raw'/>"):
            self.assertIn(part, live)
        self.assertNotIn(str(middle), self.virsh("dumpxml", "chain", "--inactive"))
        self.work("chain")
        # Who has it open keeps others out, and is not in the way of readers of what is below it.
        refused = subprocess.run(["qemu-img", "info", str(top)], capture_output=True, text=True)
        self.assertNotEqual(refused.returncode, 0)
        qemu_img("info", middle)
        self.virsh("destroy", "chain")
        self.assertEqual((base.read_bytes(), middle.read_bytes()), untouched)
        # A worker that is killed leaves leaked clusters at worst.
        told = subprocess.run(["qemu-img", "check", "--output=json", str(top)], capture_output=True, text=True)
        self.assertEqual(json.loads(told.stdout).get("corruptions", 0), 0, told.stdout)

    def other(self) -> Path:
        image = self.daemon.root / "other.qcow2"
        qemu_img("create", "-q", "-f", "qcow2", "-o", "extended_l2=on,lazy_refcounts=on", image, SIZE)
        return image

    # Calls that wait have threads of their own, which the guest's driver makes the worker start.
    def test_threads_instead_of_io_uring(self):
        raw = self.daemon.root / "threads.raw"
        raw.write_bytes(bytes(SIZE))
        self.load("threads", "mm", disk("vda", self.other(), driver="io='threads'") +
                  disk("vdb", raw, driver="io='threads'").replace("qcow2", "raw"))
        self.work("threads")
        self.virsh("destroy", "threads")

    def test_sizes(self):
        image = self.daemon.root / "sizes.qcow2"
        qemu_img("create", "-q", "-f", "qcow2", image, SIZE)
        self.load("sizes", "w", disk("vda", image, "<backingStore/>", "discard='unmap' cache='none'"))
        self.work("sizes")
        self.assertRegex(self.virsh("domblkinfo", "sizes", "vda"), rf"Capacity:\s+{SIZE}\n")
        self.virsh("blockresize", "sizes", "vda", f"{2 * SIZE}B")
        self.assertRegex(self.virsh("domblkinfo", "sizes", "vda"), rf"Capacity:\s+{2 * SIZE}\n")
        self.virsh("destroy", "sizes")
        self.assertEqual(json.loads(qemu_img("info", "--output=json", image))["virtual-size"], 2 * SIZE)

    def test_a_volume_of_a_pool(self):
        (self.daemon.root / "pool").mkdir()
        self.virsh("pool-define-as", "images", "dir", "--target", str(self.daemon.root / "pool"))
        self.virsh("pool-start", "images")
        self.virsh("vol-create-as", "images", "volume", str(SIZE), "--format", "qcow2")
        named = ("<disk type='volume' device='disk'><driver name='qemu' type='qcow2'/>"
                 "<source pool='images' volume='{}'/><target dev='vda' bus='virtio'/></disk>")
        self.load("volume", "m", named.format("volume"))
        self.assertIn("<source pool='images' volume='volume' index='1'/>", self.virsh("dumpxml", "volume"))
        self.work("volume")
        self.daemon.kill()
        self.daemon.start()
        self.work("volume")
        self.assertRegex(self.virsh("domblkinfo", "volume", "vda"), rf"Capacity:\s+{SIZE}\n")
        self.virsh("destroy", "volume")
        for name, said in (("none", "no storage vol with matching name 'none'"), ("volume", "is not active")):
            if name == "volume":
                self.virsh("pool-destroy", "images")
            self.virsh("undefine", "volume")
            define(self.daemon, "volume", "idle", devices=named.format(name))
            self.assertIn(said, self.refused("start", "volume"))
        self.virsh("pool-undefine", "images")

    def test_what_is_refused(self):
        encrypted = self.daemon.root / "encrypted.qcow2"
        qemu_img("create", "-q", "-f", "qcow2", encrypted, MEBIBYTE)
        # As its header says; to have it made measures how long hashing takes, and fails now and then.
        with encrypted.open("r+b") as image:
            image.seek(32)
            image.write(b"\0\0\0\2")
        unsaid = self.daemon.root / "unsaid.qcow2"
        base, _, _ = self.make_chain("refused")
        # The format of the backing file is cut out of the header, where QEMU would have it today.
        qemu_img("create", "-q", "-f", "qcow2", "-b", base, "-F", "raw", unsaid)
        header = bytearray(unsaid.read_bytes())
        at = header.index(b"\xe2\x79\x2a\xca")
        header[at:at + 4] = b"\x01\x02\x03\x04"
        unsaid.write_bytes(header)
        for image, said in ((encrypted, "encrypted with LUKS"), (unsaid, "was not specified in the image metadata"),
                            (base, "is not in qcow2 format")):
            with self.subTest(image=image.name):
                define(self.daemon, "refused", "idle", devices=disk("vda", image))
                self.assertIn(said, self.refused("start", "refused"))
                self.virsh("undefine", "refused")


if __name__ == "__main__":
    require_daemon()
    tap.main()
