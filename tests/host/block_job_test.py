#!/usr/bin/python3
"""Block jobs by stock virsh on a chain of three images, while the test guest writes to its top: commits, pulls and
copies; what the documents and the images say afterwards, and that a daemon that was killed finds its jobs again."""

import json
import re
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from disk_load import DiskLoadCase
from domains import require_daemon
from fixtures import tap

MEBIBYTE = 1 << 20
SIZE = 16 * MEBIBYTE


def qemu_img(*words: object) -> str:
    return subprocess.run(["qemu-img", *map(str, words)], check=True, capture_output=True, text=True).stdout


def disk(source: Path) -> str:
    return (f"<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{source}'/>"
            f"<target dev='vda' bus='virtio'/></disk>")


class BlockJobs(DiskLoadCase):
    def begin(self, name: str) -> tuple[Path, Path, Path]:
        """The guest writes all the time; each image has data of its own."""
        base, middle, top = (self.daemon.root / f"{name}-{part}" for part in ("base.raw", "middle.qcow2", "top.qcow2"))
        base.write_bytes(b"\x5a" * (SIZE // 2) + bytes(SIZE // 2))
        qemu_img("create", "-q", "-f", "qcow2", "-b", base.name, "-F", "raw", middle)
        subprocess.run(["qemu-io", "-c", "write -P 0x33 4M 1M", str(middle)], check=True, capture_output=True)
        qemu_img("create", "-q", "-f", "qcow2", "-b", middle.name, "-F", "qcow2", top)
        self.load(name, disk(top))
        return base, middle, top

    def chain(self, name: str, *options: str) -> list[str]:
        text = self.virsh("dumpxml", name, *options, "--xpath", "//disk")
        text = re.sub(r"<mirror.*?</mirror>", "", text, flags=re.DOTALL)
        return [Path(path).name.removeprefix(f"{name}-") for path in re.findall(r"<source file=['\"]([^'\"]+)", text)]

    def end(self, name: str, *images: Path) -> None:
        self.goes_on(name)
        self.virsh("destroy", name)
        for image in images:
            told = subprocess.run(["qemu-img", "check", "--output=json", str(image)], capture_output=True, text=True)
            self.assertEqual(json.loads(told.stdout).get("corruptions", 0), 0, told.stdout)
        # Once more, on what is there now.
        self.virsh("start", name)
        self.virsh("destroy", name)

    def job(self, name: str) -> str:
        return self.virsh("blockjob", name, "vda", "--info", "--raw", "--bytes").strip()

    def backing(self, image: Path) -> str:
        return json.loads(qemu_img("info", "--output=json", image)).get("backing-filename", "")

    def test_active_commit_with_pivot(self):
        base, middle, _ = self.begin("active")
        self.virsh("blockcommit", "active", "vda", "--active", "--pivot", "--wait", "--verbose")
        self.assertEqual(self.chain("active"), ["base.raw"])
        self.assertEqual(self.chain("active", "--inactive"), ["base.raw"])
        self.assertEqual(self.job("active"), "")
        self.end("active")
        self.assertEqual(base.read_bytes()[4 * MEBIBYTE:5 * MEBIBYTE].count(0x33) > 0, True)

    def test_commit_in_the_middle(self):
        _, middle, top = self.begin("middle")
        self.virsh("blockcommit", "middle", "vda", "--top", "vda[2]", "--wait", "--delete")
        self.assertEqual(self.chain("middle"), ["top.qcow2", "base.raw"])
        self.assertFalse(middle.exists())
        self.end("middle", top)
        self.assertTrue(self.backing(top).endswith("middle-base.raw"))

    def test_pull(self):
        _, _, top = self.begin("pull")
        self.virsh("blockpull", "pull", "vda", "--base", "vda[3]", "--wait")
        self.assertEqual(self.chain("pull"), ["top.qcow2", "base.raw"])
        self.virsh("blockpull", "pull", "vda", "--wait", "--verbose")
        self.assertEqual(self.chain("pull"), ["top.qcow2"])
        self.end("pull", top)
        self.assertEqual(self.backing(top), "")

    def test_copy_with_pivot(self):
        self.begin("copy")
        target = self.daemon.root / "copy-copy.qcow2"
        self.assertIn("domain is not transient", self.refused("blockcopy", "copy", "vda", str(target)))
        self.virsh("blockcopy", "copy", "vda", str(target), "--format", "qcow2", "--transient-job", "--pivot", "--wait",
                   "--verbose")
        self.assertEqual(self.chain("copy"), ["copy.qcow2"])
        self.assertEqual(self.chain("copy", "--inactive"), ["copy.qcow2"])
        self.end("copy", target)

    def test_copy_finished(self):
        self.begin("finish")
        target = self.daemon.root / "finish-copy.qcow2"
        self.virsh("blockcopy", "finish", "vda", str(target), "--format", "qcow2", "--transient-job", "--shallow",
                   "--finish", "--wait", "--verbose")
        self.assertEqual(self.chain("finish"), ["top.qcow2", "middle.qcow2", "base.raw"])
        self.assertTrue(self.backing(target).endswith("finish-middle.qcow2"))
        self.end("finish", target)

    def test_a_job_is_watched_limited_and_aborted(self):
        self.begin("watched")
        self.virsh("blockcommit", "watched", "vda", "--active", "--bytes", "--bandwidth", "65536")
        self.assertIn("type=Active Block Commit", self.job("watched"))
        self.assertIn("<mirror type='file' job='active-commit'", self.virsh("dumpxml", "watched"))
        self.virsh("blockjob", "watched", "vda", "--bandwidth", "131072", "--bytes")
        self.assertIn("bandwidth=131072", self.job("watched"))
        self.assertIn("already in active block job", self.refused("blockpull", "watched", "vda"))
        self.assertIn("not ready for pivot", self.refused("blockjob", "watched", "vda", "--pivot"))
        # The daemon is killed, and its successor knows the job.
        self.daemon.kill()
        self.daemon.start()
        self.assertIn("type=Active Block Commit", self.job("watched"))
        self.virsh("blockjob", "watched", "vda", "--abort")
        self.assertEqual(self.job("watched"), "")
        self.assertNotIn("<mirror", self.virsh("dumpxml", "watched"))
        self.assertEqual(self.chain("watched"), ["top.qcow2", "middle.qcow2", "base.raw"])
        self.end("watched")


if __name__ == "__main__":
    require_daemon()
    tap.main()
