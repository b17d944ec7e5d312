#!/usr/bin/python3
"""The admin socket by stock virt-admin: servers, clients, limits, log, timeout. Socket activation by systemd's protocol."""

import os
import re
import socket
import subprocess
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from domains import require_daemon
from fixtures import tap
from fixtures.terminal import Terminal
from fixtures.warren_daemon import PrivateDaemon, build_directory


class Admin(unittest.TestCase):
    def setUp(self):
        self.daemon = PrivateDaemon()
        self.daemon.__enter__()
        self.addCleanup(self.daemon.__exit__)

    def run_admin(self, *arguments: object) -> subprocess.CompletedProcess:
        uri = f"virtwarrend:///system?socket={self.daemon.root}/run/libvirt/virtwarrend-admin-sock"
        return subprocess.run(["virt-admin", "-q", "-c", uri, *map(str, arguments)], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=30, check=False)

    def admin(self, *arguments: object) -> str:
        result = self.run_admin(*arguments)
        self.assertEqual(result.returncode, 0, f"{arguments}: {result.stderr}")
        return result.stdout.strip()

    def refused(self, *arguments: object) -> str:
        result = self.run_admin(*arguments)
        self.assertNotEqual(result.returncode, 0, arguments)
        return result.stderr

    def client(self) -> Terminal:
        """A connection that stays."""
        terminal = Terminal(["virsh", "-c", self.daemon.uri], limit=20)
        self.addCleanup(terminal.close)
        terminal.expect("virsh # ")
        return terminal

    def wait_for_clients(self, number: int) -> list[str]:
        deadline = time.monotonic() + 20
        while True:
            found = re.findall(r"^ *(\d+) +unix", self.admin("client-list", "virtwarrend"), re.MULTILINE)
            if len(found) == number:
                return found
            self.assertLess(time.monotonic(), deadline, found)
            time.sleep(0.05)

    def test_servers(self):
        self.assertEqual(re.findall(r"\d+ +(\S+)", self.admin("server-list")), ["virtwarrend", "admin"])
        self.assertIn("virtwarrend", self.admin("uri"))
        pool = self.admin("server-threadpool-info", "virtwarrend")
        self.assertRegex(pool, r"maxWorkers\s*:\s+1")
        self.assertIn("no pool", self.refused("server-threadpool-set", "virtwarrend", "--max-workers", "9"))
        self.assertIn("No server named 'x'", self.refused("server-threadpool-info", "x"))
        self.assertIn("TLS", self.refused("server-update-tls", "virtwarrend"))

    def test_clients(self):
        terminal = self.client()
        number = self.wait_for_clients(1)[0]
        info = self.admin("client-info", "virtwarrend", number)
        self.assertRegex(info, r"readonly\s*:\s+no")
        self.assertRegex(info, rf"unix_user_id\s*:\s+{os.getuid()}")
        self.assertRegex(info, r"unix_process_id\s*:\s+\d+")
        self.assertIn("No client", self.refused("client-info", "virtwarrend", "4711"))
        self.admin("client-disconnect", "virtwarrend", number)
        self.wait_for_clients(0)
        terminal.expect("end of file")
        terminal.send("list\n")
        terminal.expect("Reconnected to the hypervisor")

    def test_an_admin_client_sees_itself(self):
        self.assertRegex(self.admin("client-list", "admin"), r"\d+ +unix")

    def test_limits(self):
        self.assertRegex(self.admin("server-clients-info", "virtwarrend"), r"nclients_max\s*:\s+5000")
        self.admin("server-clients-set", "virtwarrend", "--max-clients", "1", "--max-unauth-clients", "1")
        self.assertRegex(self.admin("server-clients-info", "virtwarrend"), r"nclients_max\s*:\s+1\b")
        self.client()
        with self.assertRaises(subprocess.TimeoutExpired):  # it waits for a place
            subprocess.run(["virsh", "-c", self.daemon.uri, "list"], stdin=subprocess.DEVNULL, capture_output=True,
                           timeout=2, check=False)
        self.admin("server-clients-set", "virtwarrend", "--max-clients", "10")
        self.daemon.virsh("list")
        self.refused("server-clients-set", "virtwarrend", "--max-clients", "0")

    def test_log(self):
        self.assertRegex(self.admin("daemon-log-outputs"), r"[34]:stderr")
        log = self.daemon.root / "admin.log"
        self.admin("daemon-log-outputs", "--outputs", f"1:file:{log}")
        self.assertIn(f"1:file:{log}", self.admin("daemon-log-outputs"))
        self.admin("daemon-log-filters", "--filters", "1:daemon 4:rpc")
        self.assertIn("1:daemon 4:rpc", self.admin("daemon-log-filters"))
        self.assertIn("level", self.refused("daemon-log-outputs", "--outputs", "9:stderr"))
        self.daemon.stop()
        self.assertIn("has ended", log.read_text())

    def test_timeout(self):
        self.admin("daemon-timeout", "--timeout", "1")
        self.assertEqual(self.daemon.process.wait(20), 0)

    def test_others_are_turned_away(self):
        path = self.daemon.root / "run/libvirt/virtwarrend-admin-sock"
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)


class SocketActivation(unittest.TestCase):
    def test_sockets_of_the_service_manager_are_served_and_kept(self):
        daemon = PrivateDaemon()
        self.addCleanup(daemon.__exit__)
        directory = daemon.root / "run/libvirt"
        directory.mkdir(parents=True)
        listeners = []
        for name in ("virtwarrend-sock", "virtwarrend-admin-sock"):
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.addCleanup(listener.close)
            listener.bind(str(directory / name))
            listener.listen(8)
            listeners.append(listener)
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(manager.close)
        manager.bind(str(daemon.root / "notify"))
        manager.settimeout(20)
        identity = [listener.fileno() for listener in listeners]
        script = ("import os,sys\nos.environ['LISTEN_PID']=str(os.getpid())\n"
                  "os.execv(sys.argv[1], sys.argv[1:])\n")
        environment = {**os.environ, "LISTEN_FDS": "2", "NOTIFY_SOCKET": str(daemon.root / "notify")}
        # The descriptors take their places in a shell, so that Python's own are out of the way.
        command = f"exec 3<&{identity[0]} 4<&{identity[1]}; exec \"$@\""
        daemon.process = subprocess.Popen(
            ["bash", "-c", command, "sh", sys.executable, "-c", script, str(build_directory() / "daemon/virtwarrend"),
             "--root", str(daemon.root)],
            env=environment, pass_fds=identity, stdin=subprocess.DEVNULL, stdout=daemon.log.open("ab"),
            stderr=subprocess.STDOUT)
        self.assertEqual(manager.recv(64), b"READY=1")
        inode = (directory / "virtwarrend-sock").stat().st_ino
        self.assertEqual(daemon.virsh("uri"), daemon.uri)
        daemon.virsh("nodeinfo")
        daemon.stop()
        self.assertEqual((directory / "virtwarrend-sock").stat().st_ino, inode)
        # It made the one that was not handed over itself, and removed it.
        self.assertFalse((directory / "virtwarrend-sock-ro").exists())


if __name__ == "__main__":
    require_daemon()
    tap.main()
