#!/usr/bin/python3
"""A Debian guest whose sockets the host's kernel serves (vhost-vsock): programs of the host that have AF_VSOCK find it at
its CID and it finds them, by streams and by messages; hot plug, memory that comes, a pause, a daemon that goes."""
# time limit: 900 s

import hashlib
import os
import re
import socket
import subprocess
import sys
import threading
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fixtures import tap
from fixtures.linux_guest import LinuxGuest
from fixtures.warren_daemon import PrivateDaemon

MEGABYTES = 4
LIMIT = 300.0
PORTS = "<controller type='pci' model='pcie-root-port'/>" * 2
VSOCK = "<vsock model='virtio'><cid auto='yes'/></vsock>"
DIMM = "<memory model='dimm'><target><size unit='MiB'>128</size><node>0</node></target></memory>"


class VhostVsock(unittest.TestCase):
    def live(self) -> str:
        return self.daemon.virsh("dumpxml", "debian")

    def cid(self) -> int:
        self.assertIn("<driver name='vhost'/>", self.live())
        return int(re.search(r"<cid auto='yes' address='(\d+)'/>", self.live())[1])

    def connect(self, port: int, kind: int = socket.SOCK_STREAM) -> socket.socket:
        deadline = time.monotonic() + LIMIT
        while True:
            client = socket.socket(socket.AF_VSOCK, kind)
            client.settimeout(LIMIT)
            try:
                client.connect((self.cid(), port))
                return client
            except OSError:
                client.close()
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)

    def host_to_guest(self, port: int) -> None:
        data = os.urandom(MEGABYTES << 20)
        self.console.run(f"vsock_pipe listen {port} > /tmp/heard & true")
        with self.connect(port) as client:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
            self.assertEqual(client.recv(1), b"")
        self.console.run("wait")
        self.assertEqual(self.console.run("md5sum < /tmp/heard").split()[0], hashlib.md5(data).hexdigest())

    def guest_to_host(self, port: int) -> None:
        heard = hashlib.md5()
        with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as listener:
            listener.bind((socket.VMADDR_CID_ANY, port))
            listener.listen()
            listener.settimeout(LIMIT)

            def take() -> None:
                client, (cid, _) = listener.accept()
                self.assertEqual(cid, self.cid())
                with client:
                    while data := client.recv(65536):
                        heard.update(data)
                    client.sendall(b"all of it\n")

            program = threading.Thread(target=take)
            program.start()
            self.console.run(f"dd if=/dev/urandom of=/tmp/said bs=1M count={MEGABYTES} 2>/dev/null")
            self.assertEqual(self.console.run(f"vsock_pipe connect {port} < /tmp/said").strip(), "all of it")
            program.join()
        self.assertEqual(self.console.run("md5sum < /tmp/said").split()[0], heard.hexdigest())

    def messages(self, port: int) -> None:
        self.console.run(f"vsock_pipe listen {port} messages > /tmp/heard & true")
        with self.connect(port, socket.SOCK_SEQPACKET) as client:
            for text in (b"one", b"t" * 50_000, b"three"):
                client.sendall(text)
        self.console.run("wait")
        expected = hashlib.md5(b"one\n" + b"t" * 50_000 + b"\nthree\n").hexdigest()
        self.assertEqual(self.console.run("md5sum < /tmp/heard").split()[0], expected)

    def change(self, action: str, device: str) -> None:
        file = Path(self.daemon.root, "device.xml")
        file.write_text(device)
        self.daemon.virsh(action, "debian", str(file), "--live")

    def check_pause_and_memory(self) -> None:
        """The kernel gives the queues back and takes them again; with memory that was not there at first."""
        self.console.run("vsock_pipe listen 2000 > /tmp/heard & true")
        with self.connect(2000) as client:
            client.sendall(b"before ")
            self.daemon.virsh("suspend", "debian")
            client.sendall(b"meanwhile ")
            self.daemon.virsh("resume", "debian")
            self.change("attach-device", DIMM)
            client.sendall(b"after")
            client.shutdown(socket.SHUT_WR)
            self.assertEqual(client.recv(1), b"")
        self.console.run("wait")
        self.assertEqual(self.console.run("cat /tmp/heard"), "before meanwhile after")

    def test_with_a_linux_guest(self):
        subprocess.run(["modprobe", "vhost_vsock"], check=True)
        with PrivateDaemon() as self.daemon:
            guest = LinuxGuest(self.daemon, devices=PORTS + VSOCK)
            guest.xml = guest.xml.replace("<memory unit='MiB'>256</memory>",
                                          "<maxMemory slots='2' unit='MiB'>1024</maxMemory><memory unit='MiB'>256</memory>")
            guest.xml = guest.xml.replace("<cpu mode='host-passthrough'/>",
                                          "<cpu mode='host-passthrough'><numa><cell id='0' cpus='0' memory='256' "
                                          "unit='MiB'/></numa></cpu>")
            guest.define()
            with guest.start_with_console() as self.console:
                self.assertEqual(self.console.run("vsock_pipe cid").strip(), str(self.cid()))
                self.host_to_guest(1000)
                self.guest_to_host(1001)
                self.messages(1002)
                self.check_pause_and_memory()
                self.change("detach-device", VSOCK)
                self.assertNotIn("<vsock", self.live())
                self.change("attach-device", VSOCK)
                self.host_to_guest(1003)
                self.daemon.kill()
                self.daemon.start()
                with guest.console() as self.console:
                    self.guest_to_host(1004)
            self.daemon.virsh("destroy", "debian")
            # Nothing of it remains: another one gets the same CID.
            with guest.start_with_console() as self.console:
                self.assertEqual(self.console.run("vsock_pipe cid").strip(), str(self.cid()))
            self.daemon.virsh("destroy", "debian")


if __name__ == "__main__":
    tap.main()
