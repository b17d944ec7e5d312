#!/usr/bin/python3
# beside others
"""Disks that qemu-storage-daemon serves over vhost-user, by stock virsh: in formats that Warren does not speak
itself, as they come and go, and when their back end dies (T29)."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from domains import Events, console, require_daemon
from fixtures import tap
from guest_machine import make_disk
from shared_disk import PASSPHRASE, TESTS, SharedDiskCase, convert


class BackEnd:
    """A qemu-storage-daemon with one disk, at `socket`."""

    def __init__(self, folder: Path, name: str, *blockdevs: str, objects: tuple[str, ...] = (), queues: int = 1) -> None:
        self.socket = folder / f"{name}.sock"
        self._words = ["qemu-storage-daemon"]
        for each in objects:
            self._words += ["--object", each]
        for each in blockdevs:
            self._words += ["--blockdev", each]
        self._words += ["--export", f"type=vhost-user-blk,id=export,node-name=disk,writable=on,num-queues={queues},"
                                    f"addr.type=unix,addr.path={self.socket}"]
        self.start()

    def start(self) -> None:
        self.socket.unlink(missing_ok=True)
        self.process = subprocess.Popen(self._words, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while not self.socket.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("qemu-storage-daemon does not listen")
            time.sleep(0.02)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


class VhostUser(SharedDiskCase):
    def setUp(self):
        self.back_ends: list[BackEnd] = []

    def tearDown(self):
        super().tearDown()
        for back_end in self.back_ends:
            back_end.end()

    def serve(self, name: str, *blockdevs: str, **options: object) -> BackEnd:
        self.back_ends.append(BackEnd(self.daemon.root, name, *blockdevs, **options))
        return self.back_ends[-1]

    def pattern(self, name: str) -> Path:
        path = self.daemon.root / name
        make_disk(path)
        return path

    def serve_raw(self, name: str, **options: object) -> tuple[BackEnd, Path]:
        image = self.pattern(f"{name}.img")
        return self.serve(name, f"driver=file,node-name=disk,filename={image}", **options), image

    @staticmethod
    def disk(back_end: BackEnd, target: str = "vda", driver: str = "") -> str:
        return (f"<disk type='vhostuser' device='disk'><driver name='qemu' type='raw' {driver}/>"
                f"<source type='unix' path='{back_end.socket}'/><target dev='{target}' bus='virtio'/></disk>")

    def test_a_raw_disk_with_several_queues(self):
        back_end, image = self.serve_raw("raw", queues=4)
        before = image.read_bytes()
        self.run_tests("raw", TESTS + ",every_queue", self.disk(back_end, driver="queues='4' queue_size='256'"))
        after = image.read_bytes()
        self.assertEqual(after[:1024 * 512], before[:1024 * 512])
        self.assertNotEqual(after, before)

    def test_vmdk(self):
        source, image = self.pattern("vmdk.raw"), self.daemon.root / "disk.vmdk"
        convert("-f", "raw", "-O", "vmdk", source, image)
        back_end = self.serve("vmdk", f"driver=file,node-name=file,filename={image}",
                              "driver=vmdk,node-name=disk,file=file")
        self.run_tests("vmdk", TESTS, self.disk(back_end))
        back_end.end()
        back = self.daemon.root / "vmdk.back"
        convert("-f", "vmdk", "-O", "raw", image, back)
        self.assertEqual(back.read_bytes()[:1024 * 512], source.read_bytes()[:1024 * 512])
        self.assertNotEqual(back.read_bytes(), source.read_bytes())

    def test_luks(self):
        source, image = self.pattern("luks.raw"), self.daemon.root / "disk.luks"
        secret = self.daemon.root / "passphrase"
        secret.write_text(PASSPHRASE)
        key = f"secret,id=key,file={secret}"
        convert("--object", key, "-f", "raw", "-O", "luks", "-o", "key-secret=key,iter-time=10", source, image)
        back_end = self.serve("luks", f"driver=file,node-name=file,filename={image}",
                              "driver=luks,node-name=disk,file=file,key-secret=key", objects=(key,))
        self.run_tests("luks", TESTS, self.disk(back_end))
        self.assertNotIn(source.read_bytes()[512:1024], image.read_bytes())

    def test_a_paused_guest_goes_on_and_a_reset_one_starts_again(self):
        back_end, image = self.serve_raw("load")
        self.load("load", self.disk(back_end))
        for _ in range(5):
            self.virsh("suspend", "load")
            before = image.stat().st_mtime_ns
            time.sleep(0.2)
            self.assertEqual(image.stat().st_mtime_ns, before)
            self.virsh("resume", "load")
            self.assert_works(image)
        with console(self.daemon, "load") as terminal:
            self.virsh("reset", "load")
            terminal.expect(r"LOADED 1\b.*READY")
        self.assert_works(image)
        # The worker has the connection: the daemon may come and go.
        self.daemon.kill()
        self.daemon.start()
        self.assert_works(image)
        self.assertIn(f"path='{back_end.socket}'", self.virsh("dumpxml", "load"))
        for command in (("blockresize", "load", "vda", "8M"), ("domblkstat", "load", "vda"),
                        ("domblkinfo", "load", "vda"), ("blkdeviotune", "load", "vda", "--total-iops-sec", "9")):
            self.assertIn("served by another program", self.refused(*command))
        self.virsh("domstats", "load")
        # It serves the next start as well.
        self.virsh("destroy", "load")
        self.virsh("start", "load")
        self.assert_works(image)

    def test_a_back_end_that_dies(self):
        back_end, image = self.serve_raw("mortal")
        self.load("mortal", self.disk(back_end))
        with Events(self.daemon) as events:
            back_end.end()
            events._terminal.expect("event 'io-error.*' for domain 'mortal'")
        self.assertIn("running", self.virsh("domstate", "mortal"))
        self.assertIn(f"the back end at '{back_end.socket}' is lost", self.daemon.log.read_text())
        self.virsh("suspend", "mortal")
        self.virsh("resume", "mortal")
        self.virsh("reset", "mortal")
        self.assertIn("running", self.virsh("domstate", "mortal"))
        self.virsh("destroy", "mortal")
        why = self.refused("start", "mortal")
        self.assertIn("disk vda", why)
        self.assertIn(str(back_end.socket), why)
        back_end.start()
        self.virsh("start", "mortal")
        self.assert_works(image)

    def test_it_comes_and_goes(self):
        back_end, _ = self.serve_raw("plug")
        self.come_and_go(self.disk(back_end), "type='vhostuser'")

    def test_what_cannot_be_is_refused(self):
        back_end, _ = self.serve_raw("refused")
        with self.assertRaisesRegex(RuntimeError, "requires shared memory"):
            self.define("private", "idle", self.disk(back_end), backing="")
        with self.assertRaisesRegex(RuntimeError, "@cache"):
            self.define("cached", "idle", self.disk(back_end, driver="cache='none'"))
        self.define("many", "idle", self.disk(back_end, driver="queues='9'"))
        self.assertIn("fewer than 9 queues", self.refused("start", "many"))


if __name__ == "__main__":
    if shutil.which("qemu-storage-daemon") is None:
        print("qemu-storage-daemon is not installed")
        sys.exit(77)
    require_daemon()
    tap.main()
