#!/usr/bin/python3
"""A Debian guest's AF_VSOCK sockets and programs of the host, over unix sockets: megabytes both ways, messages, hot
plug, a daemon that goes."""
# time limit: 900 s

import hashlib
import os
import re
import socket
import sys
import threading
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fixtures import tap
from fixtures.linux_guest import LinuxGuest
from fixtures.warren_daemon import PrivateDaemon

MEGABYTES = 6
LIMIT = 300.0
PORTS = "<controller type='pci' model='pcie-root-port'/>" * 2
VSOCK = "<vsock model='virtio'><driver name='qemu'/><cid auto='yes'/></vsock>"


class Vsock(unittest.TestCase):
    def folder(self) -> Path:
        uuid = self.daemon.virsh("domuuid", "debian").strip()
        return next(Path(self.daemon.root).rglob(f"vsock/{uuid}"))

    def connect(self, port: int, kind: int = socket.SOCK_STREAM) -> socket.socket:
        """To a port of the guest, when its program listens."""
        deadline = time.monotonic() + LIMIT
        while True:
            client = socket.socket(socket.AF_UNIX, kind)
            client.settimeout(LIMIT)
            client.connect(str(self.folder() / ("vsock.sock" if kind == socket.SOCK_STREAM else "vsock.seqpacket")))
            client.sendall(f"CONNECT {port}\n".encode())
            answer = b""
            while not answer.endswith(b"\n") and (more := client.recv(1 if kind == socket.SOCK_STREAM else 64)):
                answer += more
            if answer:
                self.assertRegex(answer, rb"^OK \d+\n$")
                return client
            client.close()
            self.assertLess(time.monotonic(), deadline, "the guest does not listen")
            time.sleep(0.5)

    def host_to_guest(self, port: int) -> None:
        data = os.urandom(MEGABYTES << 20)
        self.console.run(f"vsock_pipe listen {port} > /tmp/heard & true")
        with self.connect(port) as client:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
            self.assertEqual(client.recv(1), b"", "the guest ends it, too")
        self.console.run("wait")
        self.assertEqual(self.console.run("md5sum < /tmp/heard").split()[0], hashlib.md5(data).hexdigest())

    def guest_to_host(self, port: int) -> None:
        heard = hashlib.md5()
        with socket.socket(socket.AF_UNIX) as listener:
            path = self.folder() / f"vsock.sock_{port}"
            listener.bind(str(path))
            listener.listen()
            listener.settimeout(LIMIT)

            def take() -> None:
                client, _ = listener.accept()
                with client:
                    time.sleep(1)  # the guest has to wait for whoever reads
                    while data := client.recv(65536):
                        heard.update(data)
                    client.sendall(b"all of it\n")

            program = threading.Thread(target=take)
            program.start()
            self.console.run(f"dd if=/dev/urandom of=/tmp/said bs=1M count={MEGABYTES} 2>/dev/null")
            self.assertEqual(self.console.run(f"vsock_pipe connect {port} < /tmp/said").strip(), "all of it")
            program.join()
            path.unlink()
        self.assertEqual(self.console.run("md5sum < /tmp/said").split()[0], heard.hexdigest())

    def check_messages(self) -> None:
        texts = [b"one", b"t" * 100_000, b"three"]
        self.console.run("vsock_pipe listen 1003 messages > /tmp/heard & true")
        with self.connect(1003, socket.SOCK_SEQPACKET) as client:
            for text in texts:
                client.sendall(text)
        self.console.run("wait")
        heard = hashlib.md5(b"".join(text + b"\n" for text in texts)).hexdigest()
        self.assertEqual(self.console.run("md5sum < /tmp/heard").split()[0], heard)
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            listener.bind(str(self.folder() / "vsock.sock_1004"))
            listener.listen()
            listener.settimeout(LIMIT)
            self.console.run("(echo first; echo second) | vsock_pipe connect 1004 messages > /tmp/heard & true")
            client, _ = listener.accept()
            with client:
                self.assertEqual([client.recv(100), client.recv(100), client.recv(100)], [b"first", b"second", b""])
                client.sendall(b"both of them")
        self.console.run("wait")
        self.assertEqual(self.console.run("cat /tmp/heard").strip(), "both of them")

    def check_refusals(self) -> None:
        self.assertIn("connect:", self.console.run("vsock_pipe connect 4 < /dev/null 2>&1; true"))
        client = socket.socket(socket.AF_UNIX)
        client.connect(str(self.folder() / "vsock.sock"))
        client.sendall(b"CONNECT 5\n")
        self.assertEqual(client.recv(16), b"", "nobody listens in the guest")

    def check_without_the_daemon(self) -> None:
        """Connections there are live on; the guest's new ones are refused until a daemon is back."""
        self.console.run("vsock_pipe listen 9 > /tmp/heard & true")
        with self.connect(9) as client:
            client.sendall(b"before ")
            self.daemon.kill()
            client.sendall(b"and after")
            client.shutdown(socket.SHUT_WR)
            self.assertEqual(client.recv(1), b"")
        self.daemon.start()
        with self.guest.console() as console:
            self.assertEqual(console.run("cat /tmp/heard"), "before and after")

    def test_with_a_linux_guest(self):
        with PrivateDaemon() as self.daemon:
            self.guest = LinuxGuest(self.daemon, devices=PORTS + VSOCK)
            self.guest.define()
            with self.guest.start_with_console() as self.console:
                cid = re.search(r"<cid auto='yes' address='(\d+)'/>", self.daemon.virsh("dumpxml", "debian"))[1]
                self.assertEqual(self.console.run("vsock_pipe cid").strip(), cid)
                self.check_refusals()
                self.host_to_guest(1000)
                self.guest_to_host(1001)
                self.check_messages()
                file = Path(self.daemon.root, "vsock.xml")
                file.write_text(VSOCK)
                self.daemon.virsh("detach-device", "debian", str(file), "--live")
                self.assertNotIn("<vsock", self.daemon.virsh("dumpxml", "debian"))
                self.daemon.virsh("attach-device", "debian", str(file), "--live")
                self.host_to_guest(1002)
                self.check_without_the_daemon()
            self.daemon.virsh("destroy", "debian")


if __name__ == "__main__":
    tap.main()
