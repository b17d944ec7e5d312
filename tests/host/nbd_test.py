#!/usr/bin/python3
"""Disks on NBD servers by stock virsh: defined, started, attached, copied to, and left alone by their server, which is
qemu-nbd."""

import re
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from disk_load import DiskLoadCase
from domains import console, define, require_daemon
from fixtures import tap

MEBIBYTE = 1 << 20
SIZE = 16 * MEBIBYTE


def disk(source: str, target: str = "vda", driver: str = "", more: str = "") -> str:
    return (f"<disk type='network' device='disk'><driver name='qemu' type='raw' {driver}/>{source}"
            f"<target dev='{target}' bus='virtio'/>{more}</disk>")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """qemu-nbd with one export. Use as a context manager."""

    def __init__(self, image: Path, *options: str, port: int = 0, name: str = "data") -> None:
        self.image, self.port, self.name = image, port, name
        self.socket = image.with_suffix(".sock")
        if not image.exists():
            image.write_bytes(bytes(SIZE))
        self._words = ["qemu-nbd", "-f", "raw", "-t", "-x", name, *options, str(image)]
        self._words[1:1] = ["-b", "127.0.0.1", "-p", str(port)] if port else ["-k", str(self.socket)]

    @property
    def source(self) -> str:
        host = (f"<host name='127.0.0.1' port='{self.port}'/>" if self.port else
                f"<host transport='unix' socket='{self.socket}'/>")
        name = f" name='{self.name}'" if self.name else ""
        return f"<source protocol='nbd'{name}>{host}</source>"

    def kill(self) -> None:
        self._child.kill()
        self._child.wait()

    def __enter__(self) -> "Server":
        self._child = subprocess.Popen(self._words)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with socket.socket(socket.AF_INET if self.port else socket.AF_UNIX) as probe:
                if probe.connect_ex(("127.0.0.1", self.port) if self.port else str(self.socket)) == 0:
                    return self
            time.sleep(0.05)
        raise RuntimeError(f"{self._words} does not answer")

    def __exit__(self, *failure: object) -> None:
        self.kill()


class Nbd(DiskLoadCase):
    def serve(self, image: str, *options: str, **settings: object) -> Server:
        # A connection that was only tried, the worker's, and who looks beside it.
        return Server(self.daemon.root / f"{image}.img", "-e", "8", *options, **settings)

    def test_documents_come_back_as_they_were(self):
        sources = ("<source protocol='nbd' name='disk &amp; data'><host name='server.example'/></source>",
                   "<source protocol='nbd' name='d' tls='no'><host name='::1' port='10810'/></source>",
                   "<source protocol='nbd'><host transport='unix' socket='/run/nbd.sock'/></source>")
        devices = "".join(disk(source, f"vd{letter}") for source, letter in zip(sources, "abc"))
        define(self.daemon, "documents", "idle", devices=devices)
        text = re.sub(r">\s+<", "><", self.virsh("dumpxml", "documents"))
        for source in sources:
            self.assertIn(source, text)
        self.assertRegex(self.virsh("domblklist", "documents"), r"vda\s+disk & data")

    def test_what_is_refused(self):
        host = "<host name='server.example'/>"
        for source, said in ((f"<source protocol='rbd' name='p/i'>{host}</source>", "'rbd'"),
                             (f"<source protocol='nbd' tls='yes'>{host}</source>", "without TLS"),
                             (f"<source protocol='nbd'>{host}{host}</source>", "exactly one"),
                             ("<source protocol='nbd'><host transport='rdma' name='s'/></source>", "'rdma'"),
                             ("<source protocol='nbd'><host transport='vsock' name='2'/></source>", "'vsock'")):
            with self.subTest(source=source), self.assertRaises(RuntimeError) as caught:
                define(self.daemon, "refused", "idle", devices=disk(source))
            self.assertIn(said, str(caught.exception))

    def test_a_guest_works_on_it_and_outlives_the_daemon(self):
        (self.daemon.root / "works.img").write_bytes(b"\x5a" * SIZE)
        with self.serve("works", port=free_port()) as server:
            self.load("works", disk(server.source, driver="discard='unmap'"))
            self.goes_on("works")
            self.assertRegex(self.virsh("domblkstat", "works", "vda"), r"wr_bytes [1-9]")
            self.assertRegex(self.virsh("domblkinfo", "works", "vda"), rf"Capacity:\s+{SIZE}\n")
            self.daemon.kill()
            self.daemon.start()
            self.goes_on("works")
            self.assertIn("<source protocol='nbd' name='data' index='1'>", self.virsh("dumpxml", "works"))
            self.virsh("destroy", "works")
            # The guest writes zeros to some of the first blocks.
            self.assertIn(bytes(16384), server.image.read_bytes()[:MEBIBYTE])

    def test_a_server_that_goes_away(self):
        for policy, state in (("report", "running"), ("stop", "paused")):
            with self.subTest(policy=policy), self.serve(f"gone-{policy}") as server:
                name = f"gone-{policy}"
                self.load(name, disk(server.source, driver=f"error_policy='{policy}' rerror_policy='{policy}'"))
                server.kill()
                deadline = time.monotonic() + 20
                while self.virsh("domstate", name).strip() != state and time.monotonic() < deadline:
                    time.sleep(0.1)
                time.sleep(0.5)
                self.assertEqual(self.virsh("domstate", name).strip(), state)
                self.virsh("destroy", name)

    def test_servers_that_are_not_as_they_should_be(self):
        nobody = self.daemon.root / "nobody.sock"
        define(self.daemon, "wrong", "idle",
               devices=disk(f"<source protocol='nbd'><host transport='unix' socket='{nobody}'/></source>"))
        self.assertIn(f"cannot connect to the NBD server '{nobody}'", self.refused("start", "wrong"))
        with self.serve("wrong", "-r") as server:
            for source, more, said in ((server.source, "", "exports it read-only"),
                                       (server.source.replace("'data'", "'other'"), "", "NBD export 'other'")):
                self.virsh("undefine", "wrong")
                define(self.daemon, "wrong", "idle", devices=disk(source, more=more))
                self.assertIn(said, self.refused("start", "wrong"))
            self.virsh("undefine", "wrong")
            define(self.daemon, "wrong", "idle", devices=disk(server.source, more="<readonly/>"))
            self.virsh("start", "wrong")

    def test_one_that_comes_and_goes(self):
        devices = "<memballoon model='none'/>" + "<controller type='pci' model='pcie-root-port'/>" * 2
        define(self.daemon, "plug", "hot_plug", devices=devices)
        self.virsh("start", "plug")
        image = self.daemon.root / "plug.img"
        image.write_bytes(struct.pack("<131072Q", *range(131072)))
        with self.serve("plug", name="") as server, console(self.daemon, "plug") as terminal:
            document = self.daemon.root / "plug.xml"
            document.write_text(disk(server.source, "vdb"))
            self.virsh("attach-device", "plug", document, "--live")
            terminal.expect("PLUGGED 1 0x1af4:0x1042")
            terminal.expect("FIRST 64\\b")  # the guest reads its second sector
            self.virsh("detach-disk", "plug", "vdb", "--live")
            terminal.expect("LET GO 1")
            terminal.expect("EMPTY 1")
            document.write_text(disk(server.source.replace(str(server.socket), "/nobody.sock"), "vdc"))
            self.assertIn("cannot connect", self.refused("attach-device", "plug", document, "--live"))
            self.assertEqual(self.virsh("domstate", "plug").strip(), "running")

    def test_a_copy_takes_over(self):
        source = self.daemon.root / "source.img"
        source.write_bytes(b"\x5a" * SIZE)
        local = (f"<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='{source}'/>"
                 "<target dev='vda' bus='virtio'/></disk>")
        self.load("copy", local)
        document = self.daemon.root / "copy.xml"
        with self.serve("copy") as server, self.serve("small") as small:
            small_image = self.daemon.root / "tiny.img"
            small_image.write_bytes(bytes(MEBIBYTE))
            with Server(small_image) as tiny:
                document.write_text(disk(tiny.source))
                self.assertIn("holds 1048576 bytes", self.refused("blockcopy", "copy", "vda", "--xml", str(document),
                                                                  "--transient-job"))
            document.write_text(disk(server.source))
            self.virsh("blockcopy", "copy", "vda", "--xml", str(document), "--transient-job", "--wait")
            self.assertIn("<mirror type='network' job='copy' ready='yes'>", self.virsh("dumpxml", "copy"))
            self.virsh("blockjob", "copy", "vda", "--pivot")
            for options in ((), ("--inactive",)):
                self.assertIn("<source protocol='nbd' name='data'", self.virsh("dumpxml", "copy", *options))
            self.goes_on("copy")
            # And from there to another.
            document.write_text(disk(small.source))
            self.virsh("blockcopy", "copy", "vda", "--xml", str(document), "--transient-job", "--wait", "--pivot")
            self.goes_on("copy")
            self.virsh("destroy", "copy")
            self.assertGreater(server.image.read_bytes().count(0x5a), SIZE // 2)
            self.assertGreater(small.image.read_bytes().count(0x5a), SIZE // 2)


if __name__ == "__main__":
    require_daemon()
    tap.main()
