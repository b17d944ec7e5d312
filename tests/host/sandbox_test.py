#!/usr/bin/python3
# not with sanitizers: the worker is not locked in when it is built with one
"""T22, T23: what a worker that the daemon started is able to see and do, looked at from outside.

That each refusal is real is tried from inside by the unit tests of vmm-core/sandbox; here, that the daemon's workers
are locked in that way, with a guest running."""

import os
import re
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from domains import GUEST, define, require_daemon, wait_until_ready, workers_of
from fixtures import tap
from fixtures.warren_daemon import PrivateDaemon


class Sandbox(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = PrivateDaemon()
        cls.daemon.__enter__()
        disk = cls.daemon.root / "disk.img"
        disk.write_bytes(bytes(1 << 20))
        define(cls.daemon, "caged", "echo", vcpus=2, devices=f"""
            <disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='{disk}'/>
              <target dev='vda' bus='virtio'/></disk>""")
        cls.daemon.virsh("start", "caged")
        wait_until_ready(cls.daemon, "caged")
        (worker,) = workers_of(cls.daemon)
        cls.process = Path(f"/proc/{worker}")

    @classmethod
    def tearDownClass(cls):
        cls.daemon.__exit__()

    def threads(self) -> dict[str, str]:
        """The status of each thread, by its name."""
        return {f"{(task / 'comm').read_text().strip()} ({task.name})": (task / "status").read_text()
                for task in (self.process / "task").iterdir()}

    def test_every_thread_is_unprivileged(self):
        self.assertGreaterEqual(len(self.threads()), 3)
        for name, status in self.threads().items():
            for user in re.search(r"^Uid:\t(.*)$", status, re.MULTILINE)[1].split():
                self.assertNotEqual(user, "0", name)
            for group in re.search(r"^Gid:\t(.*)$", status, re.MULTILINE)[1].split():
                self.assertNotEqual(group, "0", name)
            self.assertEqual(re.search(r"^Groups:\t(.*)$", status, re.MULTILINE)[1].strip(), "", name)
            for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
                self.assertEqual(int(re.search(rf"^{kind}:\t(\w+)$", status, re.MULTILINE)[1], 16), 0, name)
            self.assertIn("NoNewPrivs:\t1", status, name)

    def test_every_thread_has_filters(self):
        counts = {}
        for name, status in self.threads().items():
            self.assertRegex(status, r"(?m)^Seccomp:\t2$", name)
            counts[name] = int(re.search(r"^Seccomp_filters:\t(\d+)$", status, re.MULTILINE)[1])
        # All have the control filter; vCPU and I/O threads one of their own as well.
        narrowed = [name for name, count in counts.items() if count >= 2]
        self.assertGreaterEqual(len(narrowed), 3, counts)

    def test_name_spaces_are_its_own(self):
        for kind in ("mnt", "net", "ipc", "uts"):
            self.assertNotEqual(os.readlink(self.process / "ns" / kind), os.readlink(f"/proc/self/ns/{kind}"), kind)

    def test_its_root_is_empty(self):
        self.assertEqual(os.listdir(self.process / "root"), [])
        self.assertEqual(len((self.process / "mountinfo").read_text().splitlines()), 1)

    def test_it_sees_no_interface(self):
        interfaces = [line.split(":")[0].strip() for line in (self.process / "net/dev").read_text().splitlines()[2:]]
        self.assertIn(interfaces, ([], ["lo"]))

    def test_its_descriptors_are_those_it_needs(self):
        allowed = [r"anon_inode:", r"socket:", r"pipe:", r"/dev/kvm$", r"/dev/null$", r"/memfd:", r"/dev/ptmx$",
                   r"/dev/pts/\d+$", re.escape(str(self.daemon.root)),
                   re.escape(str(GUEST.resolve())) + "$"]  # the kernel, read again at resets
        for descriptor in (self.process / "fd").iterdir():
            target = os.readlink(descriptor)
            self.assertTrue(any(re.match(pattern, target) for pattern in allowed), target)
            self.assertFalse(target.startswith("/") and os.path.isdir(target), target)

    def test_it_cannot_be_looked_into_by_its_like(self):
        """Undumpable: the files of the process belong to root, not to its user."""
        self.assertEqual((self.process / "mem").stat().st_uid, 0)


if __name__ == "__main__":
    require_daemon()
    tap.main()
