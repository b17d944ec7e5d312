#!/usr/bin/python3
"""The serial console as a stream: echo, flood, a second client, a client that goes away."""

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

    def test_console_of_a_stopped_domain_is_refused(self):
        define(self.daemon, "mute", "echo")
        with Terminal(["virsh", "-c", self.daemon.uri, "console", "mute"], limit=20) as refused:
            refused.expect("not running")


if __name__ == "__main__":
    require_daemon()
    tap.main()
