#!/usr/bin/python3
"""The serial console as a stream: echo, flood, a second client, a client that goes away."""

import re
import socket
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from domains import console, define, require_daemon, wait_until_ready
from fixtures import tap
from fixtures.terminal import Terminal
from fixtures.warren_daemon import PrivateDaemon


class Console(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = PrivateDaemon()
        cls.daemon.__enter__()
        define(cls.daemon, "talk", "echo")
        cls.daemon.virsh("start", "talk")

    @classmethod
    def tearDownClass(cls):
        cls.daemon.__exit__()

    def test_echo(self):
        with console(self.daemon, "talk") as terminal:
            for number in range(50):
                terminal.send(f"line-{number};")
                terminal.expect(f"line-{number};")

    def test_nothing_of_a_flood_is_lost(self):
        with console(self.daemon, "talk") as terminal:
            for block in range(40):
                text = "".join(f"{block:02}-{n:03}." for n in range(60))
                terminal.send(text)
                terminal.expect(text.replace(".", r"\."))

    def test_a_second_console_is_refused_unless_forced(self):
        with console(self.daemon, "talk") as first:
            with Terminal(["virsh", "-c", self.daemon.uri, "console", "talk"], limit=20) as refused:
                refused.expect("Active console session exists")
            with console(self.daemon, "talk", "--force") as second:
                second.send("mine now")
                second.expect("mine now")
            first.process.wait(20)

    def test_a_client_that_goes_away_leaves_the_console_free(self):
        for _ in range(5):
            with console(self.daemon, "talk") as terminal:
                terminal.send("x")
        wait_until_ready(self.daemon, "talk")

    def test_serial_ports_on_sockets(self):
        own, theirs = self.daemon.root / "own.sock", self.daemon.root / "theirs.sock"
        listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(listener.close)
        listener.bind(str(theirs))
        listener.listen()
        listener.settimeout(20)
        text = self.daemon.virsh("dumpxml", "--inactive", "talk").replace("talk", "sockets")
        text = re.sub("<uuid>.*</uuid>", "", text)
        for mode, path in (("bind", own), ("connect", theirs)):
            source = f"<source mode='{mode}' path='{path}'/>"
            changed = re.sub("(<(serial|console) type=')pty'>", rf"\1unix'>{source}", text)
            self.assertEqual(changed.count(source), 2, changed)
            file = self.daemon.root / "sockets.xml"
            file.write_text(changed)
            self.daemon.virsh("define", str(file))
            self.daemon.virsh("start", "sockets")
            if mode == "bind":
                client = socket.socket(socket.AF_UNIX)
                client.connect(str(own))
                self.assertEqual(own.stat().st_mode & 0o777, 0o600)
            else:
                client, _ = listener.accept()
            client.settimeout(20)
            with client:
                received = b""
                # What it says before anybody listens is nobody's.
                while b"over here" not in received:
                    client.sendall(b"over here\n")
                    received += client.recv(1000)
            with Terminal(["virsh", "-c", self.daemon.uri, "console", "sockets"], limit=20) as refused:
                refused.expect("not using a PTY")
            self.daemon.virsh("destroy", "sockets")
            self.daemon.virsh("undefine", "sockets")
            self.assertFalse(own.exists(), "what the daemon made is gone")
        self.assertTrue(theirs.exists(), "what it only connected to is not")

    def test_console_of_a_stopped_domain_is_refused(self):
        define(self.daemon, "mute", "echo")
        with Terminal(["virsh", "-c", self.daemon.uri, "console", "mute"], limit=20) as refused:
            refused.expect("not running")


if __name__ == "__main__":
    require_daemon()
    tap.main()
