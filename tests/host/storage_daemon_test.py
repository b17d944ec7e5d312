#!/usr/bin/python3
# beside others
"""Disks in formats that Warren does not speak itself: it runs a qemu-storage-daemon for each, in a cage (T29)."""

import os
import re
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from domains import Events, require_daemon, workers_of
from fixtures import tap
from guest_machine import make_disk
from shared_disk import PASSPHRASE, TESTS, SharedDiskCase, convert, run

SECRET = "5d3a7c0e-1111-4a4b-8c3d-0123456789ab"


def disk(image: Path, kind: str, target: str = "vda", driver: str = "", inner: str = "", more: str = "") -> str:
    return (f"<disk type='file' device='disk'><driver name='storage-daemon' type='{kind}' {driver}/>"
            f"<source file='{image}'>{inner}</source><target dev='{target}' bus='virtio'/>{more}</disk>")


LUKS = f"<encryption format='luks'><secret type='passphrase' uuid='{SECRET}'/></encryption>"


class StorageDaemon(SharedDiskCase):
    def tearDown(self):
        super().tearDown()
        self.nothing_stays()

    def cages(self) -> dict[int, str]:
        """The first processes of this daemon's cages, with the process name spaces they made."""
        return self.processes("/warren-cage", lambda process, words: os.readlink(process / "ns/pid")
                              if any(str(self.daemon.root) in word for word in words) else None)

    def storage_daemons(self) -> list[int]:
        spaces = set(self.cages().values())
        found = self.processes("/qemu-storage-daemon", lambda process, _: os.readlink(process / "ns/pid"))
        return [process for process, space in found.items() if space in spaces]

    def processes(self, program: str, fact: Callable[[Path, list[str]], str | None]) -> dict[int, str]:
        found = {}
        for process in Path("/proc").glob("[0-9]*"):
            try:
                words = (process / "cmdline").read_text().split("\0")
                if words[0].endswith(program) and (what := fact(process, words)):
                    found[int(process.name)] = what
            except OSError:
                continue  # it has ended
        return found

    def nothing_stays(self) -> None:
        self.wait_until(lambda: not self.cages(), "a cage stays behind")

    def wait_until(self, condition, what: str) -> None:
        deadline = time.monotonic() + 20
        while not condition():
            self.assertLess(time.monotonic(), deadline, what)
            time.sleep(0.05)

    def image(self, name: str, kind: str, *options: object) -> tuple[Path, Path]:
        """A raw disk with a pattern, and the same converted."""
        source, image = self.daemon.root / f"{name}.raw", self.daemon.root / f"{name}.{kind}"
        make_disk(source)
        convert("-f", "raw", "-O", kind, *options, source, image)
        image.chmod(0o600)
        return source, image

    def run_tests(self, name: str, tests: str, devices: str) -> None:
        super().run_tests(name, tests, devices)
        self.nothing_stays()

    def assert_written(self, source: Path, image: Path, kind: str) -> None:
        """All but what the tests write is as it was."""
        back = image.with_suffix(".back")
        convert("-f", kind, "-O", "raw", image, back)
        self.assertEqual(back.read_bytes()[:1024 * 512], source.read_bytes()[:1024 * 512])
        self.assertNotEqual(back.read_bytes(), source.read_bytes())

    def test_foreign_formats(self):
        for kind in ("vmdk", "vdi", "vhdx", "qed", "qcow"):
            with self.subTest(kind):
                source, image = self.image(f"foreign-{kind}", kind)
                self.run_tests(f"foreign-{kind}", TESTS, disk(image, kind))
                self.assert_written(source, image, kind)

    def test_several_queues_and_every_cache_mode(self):
        for cache in ("none", "directsync", "unsafe"):
            with self.subTest(cache):
                source, image = self.image(f"cache-{cache}", "vmdk")
                self.run_tests(f"cache-{cache}", TESTS + ",every_queue",
                               disk(image, "vmdk", driver=f"cache='{cache}' queues='4' discard='unmap' detect_zeroes='on'"))
                self.assert_written(source, image, "vmdk")

    def define_secret(self) -> None:
        secret = self.daemon.root / "secret.xml"
        secret.write_text(f"<secret ephemeral='no' private='yes'><uuid>{SECRET}</uuid></secret>")
        self.virsh("secret-define", secret)
        passphrase = self.daemon.root / "passphrase"
        passphrase.write_text(PASSPHRASE)
        self.virsh("secret-set-value", SECRET, "--file", passphrase, "--plain")

    def test_luks(self):
        secret = self.daemon.root / "key"
        secret.write_text(PASSPHRASE)
        key = ("--object", f"secret,id=key,file={secret}")
        source, image = self.image("luks", "luks", *key, "-o", "key-secret=key,iter-time=10")
        self.define("locked", "idle", disk(image, "raw", inner=LUKS))
        self.assertIn(SECRET, self.refused("start", "locked"))
        self.define_secret()
        self.run_tests("luks", TESTS, disk(image, "raw", inner=LUKS))
        self.assertNotIn(source.read_bytes()[512:1024], image.read_bytes())
        self.assertNotIn(PASSPHRASE, self.virsh("dumpxml", "luks"))
        source, image = self.image("luks2", "qcow2", *key, "-o", "encrypt.format=luks,encrypt.key-secret=key,"
                                                                 "encrypt.iter-time=10")
        self.run_tests("luks2", TESTS, disk(image, "qcow2", inner=LUKS))
        self.assertNotIn(source.read_bytes()[512:1024], image.read_bytes())
        # Of two that start at once one has it: QEMU's own locks do not see to that.
        self.define("luks-a", "idle", disk(image, "qcow2", inner=LUKS))
        self.define("luks-b", "idle", disk(image, "qcow2", inner=LUKS))
        for _ in range(2):
            starts = [threading.Thread(target=self.daemon.virsh, args=("start", name), kwargs={"check": False})
                      for name in ("luks-a", "luks-b")]
            for start in starts:
                start.start()
            for start in starts:
                start.join()
            running = [name for name in ("luks-a", "luks-b") if "running" in self.virsh("domstate", name)]
            self.assertEqual(len(running), 1)
            self.virsh("destroy", running[0])
        self.virsh("secret-set-value", SECRET, "d3Jvbmc=")
        self.assertIn("Invalid password", self.refused("start", "luks2"))
        self.virsh("secret-undefine", SECRET)

    def test_it_outlives_the_daemon_and_not_the_guest(self):
        _, image = self.image("long", "vmdk")
        self.load("long", disk(image, "vmdk"))
        (server,) = self.storage_daemons()
        self.daemon.kill()
        self.daemon.start()
        self.assert_works(image)
        self.assertEqual(self.storage_daemons(), [server])
        live = self.virsh("dumpxml", "long")
        self.assertIn("<driver name='storage-daemon' type='vmdk'/>", live)
        for command in (("blockresize", "long", "vda", "8M"), ("domblkstat", "long", "vda"),
                        ("blkdeviotune", "long", "vda", "--total-iops-sec", "9")):
            self.assertIn("served by another program (storage-daemon)", self.refused(*command))
        self.virsh("domstats", "long")
        # Killed in the middle of its work, three times: the image is let go, and is whole.
        for _ in range(3):
            (worker,) = workers_of(self.daemon)
            os.kill(worker, signal.SIGKILL)
            self.wait_until(lambda: "shut off" in self.virsh("domstate", "long"), "the domain goes on")
            self.virsh("start", "long")
            self.assert_works(image)
            self.assertEqual(len(self.storage_daemons()), 1)
        self.virsh("destroy", "long")
        self.nothing_stays()
        self.assertEqual(list((self.daemon.root / "run").rglob("vda*.sock")), [])
        self.assertIn("No errors", run("qemu-img", "check", "-f", "vmdk", image))

    def test_it_ends_in_order_and_serves_the_next_start(self):
        """Ends and starts in a row, and guests that are destroyed while they start."""
        _, image = self.image("order", "vdi")
        self.load("order", disk(image, "vdi", driver="detect_zeroes='unmap'"))
        for _ in range(5):
            begin = time.monotonic()
            self.virsh("destroy", "order")
            self.virsh("start", "order")
            self.assertLess(time.monotonic() - begin, 4, "the storage daemon was killed, or waited for too long")
            self.assert_works(image)
        self.virsh("destroy", "order")
        for pause in (0, 0.01, 0.03, 0.06, 0.1):
            start = threading.Thread(target=self.daemon.virsh, args=("start", "order"), kwargs={"check": False})
            start.start()
            time.sleep(pause)
            self.virsh("destroy", "order", check=False)
            start.join()
            self.virsh("destroy", "order", check=False)
            self.nothing_stays()
        self.virsh("start", "order")
        self.assert_works(image)
        self.virsh("destroy", "order")
        self.nothing_stays()
        self.assertIn("No errors", run("qemu-img", "check", "-f", "vdi", image))

    def test_it_is_in_a_cage(self):
        _, image = self.image("cage", "vmdk")
        self.load("cage", disk(image, "vmdk"))
        (server,) = self.storage_daemons()
        status = Path(f"/proc/{server}/status").read_text()
        fields = dict(re.findall(r"^(\w+):\s+(.*)$", status, re.MULTILINE))
        self.assertEqual(fields["NoNewPrivs"], "1")
        self.assertEqual(fields["Seccomp"], "2")
        # CAP_DAC_OVERRIDE, for the image is its owner's; there is nothing else that it could open.
        self.assertEqual(int(fields["CapBnd"], 16), 0x2)
        self.assertEqual(int(fields["CapEff"], 16), 0x2)
        self.assertNotEqual(fields["Uid"].split()[0], "0")
        root = Path(f"/proc/{server}/root")
        self.assertEqual(sorted(path.name for path in root.iterdir()),
                         ["bin", "dev", "image", "lib", "lib64", "usr"])
        for space in ("mnt", "net", "pid", "ipc", "uts"):
            self.assertNotEqual(os.readlink(f"/proc/{server}/ns/{space}"), os.readlink(f"/proc/self/ns/{space}"))
        self.virsh("destroy", "cage")

    def test_a_storage_daemon_that_dies(self):
        _, image = self.image("mortal", "vmdk")
        self.load("mortal", disk(image, "vmdk"))
        (server,) = self.storage_daemons()
        with Events(self.daemon) as events:
            os.kill(server, signal.SIGKILL)
            events._terminal.expect("event 'io-error.*' for domain 'mortal'")
        self.assertIn("running", self.virsh("domstate", "mortal"))
        self.assertIn(f"the storage daemon of '{image}' is lost", self.daemon.log.read_text())
        self.virsh("destroy", "mortal")
        self.virsh("start", "mortal")
        self.assert_works(image)
        self.virsh("destroy", "mortal")

    def test_it_comes_and_goes(self):
        _, image = self.image("plug", "vmdk")
        self.come_and_go(disk(image, "vmdk"), "name='storage-daemon'", self.nothing_stays)

    def test_a_read_only_image_stays_as_it_is(self):
        _, image = self.image("constant", "vmdk")
        before = image.read_bytes()
        self.run_tests("constant", "read,capacity,scatter_gather", disk(image, "vmdk", more="<readonly/>"))
        self.assertEqual(image.read_bytes(), before)

    def test_what_cannot_be_is_refused(self):
        source, image = self.image("refused", "vmdk")
        with self.assertRaisesRegex(RuntimeError, "'storage-daemon' requires shared memory"):
            self.define("private", "idle", disk(image, "vmdk"), backing="")
        with self.assertRaisesRegex(RuntimeError, "@io"):
            self.define("native", "idle", disk(image, "vmdk", driver="io='native'"))
        with self.assertRaisesRegex(RuntimeError, "serves a raw image that is not encrypted itself"):
            self.define("plain", "idle", disk(source, "raw"))
        # A file that is not what it is said to be, and one that is not there.
        self.define("other", "idle", disk(source, "vmdk"))
        why = self.refused("start", "other")
        self.assertIn(f"disk vda: qemu-storage-daemon cannot serve '{source}': invalid VMDK image descriptor", why)
        self.define("missing", "idle", disk(self.daemon.root / "missing.vmdk", "vmdk"))
        self.assertIn("missing.vmdk", self.refused("start", "missing"))
        # What has another file beside it does not find it.
        base = self.daemon.root / "base.qed"
        run("qemu-img", "create", "-f", "qed", base, "2M")
        top = self.daemon.root / "top.qed"
        run("qemu-img", "create", "-f", "qed", "-b", base, "-F", "qed", top)
        self.define("backed", "idle", disk(top, "qed"))
        self.assertIn(f"it is not whole: a part of it is in '{base}'", self.refused("start", "backed"))
        base.unlink()
        self.assertIn("it is not whole", self.refused("start", "backed"))
        # Nobody else may have the image.
        self.load("first", disk(image, "vmdk"))
        self.define("second", "idle", disk(image, "vmdk"))
        self.assertIn("is in use by", self.refused("start", "second"))
        raw = f"<disk type='file'><source file='{image}'/><target dev='vda' bus='virtio'/></disk>"
        self.define("third", "idle", raw)
        self.assertIn("is in use by", self.refused("start", "third"))
        self.virsh("destroy", "first")
        self.virsh("start", "second")
        self.virsh("destroy", "second")


if __name__ == "__main__":
    if shutil.which("qemu-storage-daemon") is None:
        print("qemu-storage-daemon is not installed")
        sys.exit(77)
    require_daemon()
    tap.main()
