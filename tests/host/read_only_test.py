#!/usr/bin/python3
"""T17: what a read-only connection may and may not do, on the read-only socket and by `virsh -r`."""

import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from domains import define, require_daemon, write_xml
from fixtures import tap
from fixtures.terminal import Terminal
from fixtures.warren_daemon import PrivateDaemon


class ReadOnly(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = PrivateDaemon()
        cls.daemon.__enter__()
        define(cls.daemon, "watched", "echo")
        define(cls.daemon, "stopped", "echo")
        cls.daemon.virsh("start", "watched")

    @classmethod
    def tearDownClass(cls):
        cls.daemon.__exit__()

    def run_virsh(self, *arguments: str) -> list[subprocess.CompletedProcess]:
        """The same command on both kinds of read-only connection."""
        ways = (["-r", "-c", self.daemon.uri], ["-c", f"warren:///system?socket={self.daemon.socket}-ro"])
        return [subprocess.run(["virsh", "-q", *way, *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                               text=True, timeout=30, check=False) for way in ways]

    def test_reads(self):
        for command in (["list", "--all"], ["domstate", "watched"], ["dominfo", "watched"], ["dumpxml", "watched"],
                        ["domstats"], ["nodeinfo"], ["capabilities"], ["vcpucount", "watched"]):
            for result in self.run_virsh(*command):
                self.assertEqual(result.returncode, 0, f"{command}: {result.stderr}")

    def test_changes_are_refused(self):
        xml = str(write_xml(self.daemon, "new", "echo"))
        for command in (["start", "stopped"], ["destroy", "watched"], ["shutdown", "watched"], ["reset", "watched"],
                        ["reboot", "watched"], ["suspend", "watched"], ["resume", "watched"], ["define", xml],
                        ["create", xml], ["undefine", "stopped"], ["autostart", "stopped"],
                        ["domrename", "stopped", "renamed"], ["setmem", "stopped", "16M", "--config"],
                        ["setvcpus", "stopped", "1", "--config"], ["desc", "stopped", "--config", "text"],
                        ["dumpxml", "--security-info", "watched"]):
            for result in self.run_virsh(*command):
                self.assertNotEqual(result.returncode, 0, command)
                self.assertRegex(result.stderr, "read.only|forbidden", command)
        self.assertEqual(self.daemon.virsh("domstate", "watched"), "running")
        self.assertEqual(self.daemon.virsh("domstate", "stopped"), "shut off")
        self.assertEqual(self.daemon.virsh("list", "--all", "--name").split(), ["watched", "stopped"])

    def test_console_is_refused(self):
        with Terminal(["virsh", "-r", "-c", self.daemon.uri, "console", "watched"], limit=20) as terminal:
            terminal.expect("read.only|forbidden")

    def test_sockets_are_roots_alone(self):
        """T20: until there is authentication."""
        for socket in (self.daemon.socket, Path(f"{self.daemon.socket}-ro")):
            self.assertTrue(socket.is_socket())
            self.assertEqual(socket.stat().st_mode & 0o077, 0, socket)


if __name__ == "__main__":
    require_daemon()
    tap.main()
