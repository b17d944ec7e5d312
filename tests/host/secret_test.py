#!/usr/bin/python3
"""Secrets by stock virsh: definitions, values, usages, read-only clients, events, restarts, and what lies on disk."""

import base64
import contextlib
import re
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from domains import SANITIZED, require_daemon
from fixtures import tap
from fixtures.daemon_case import DaemonCase
from fixtures.terminal import Terminal
from fixtures.warren_daemon import PrivateDaemon

UUID = "0a81f5b2-8403-7b23-c8d6-21ccc2f80d6f"
VALUE = "a value that nobody may find"


class Secrets(DaemonCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = PrivateDaemon()
        cls.daemon.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.daemon.__exit__()

    def tearDown(self):
        for uuid in re.findall(r"^ *([0-9a-f-]{36})", self.daemon.virsh("secret-list"), re.MULTILINE):
            self.daemon.virsh("secret-undefine", uuid)

    def define(self, usage: str = "<usage type='ceph'><name>client.demo</name></usage>", attributes: str = "",
               *options: str) -> str:
        file = self.daemon.root / "definition.xml"
        file.write_text(f"<secret {attributes}><uuid>{UUID}</uuid><description>demo</description>{usage}</secret>")
        return self.daemon.virsh("secret-define", file, *options)

    def set_value(self, value: str = VALUE) -> None:
        file = self.daemon.root / "value"
        file.write_text(value)
        self.daemon.virsh("secret-set-value", UUID, "--file", file, "--plain")
        file.unlink()

    def test_life(self):
        self.define()
        self.assertRegex(self.daemon.virsh("secret-list"), rf"{UUID}\s+ceph client\.demo")
        self.assertIn("<name>client.demo</name>", self.daemon.virsh("secret-dumpxml", UUID))
        self.assertIn("does not have a value", self.refused("secret-get-value", UUID))
        self.set_value()
        self.assertEqual(base64.b64decode(self.daemon.virsh("secret-get-value", UUID)).decode(), VALUE)
        self.assertEqual(self.daemon.virsh("secret-get-value", "--plain", UUID), VALUE)
        self.daemon.virsh("secret-undefine", UUID)
        self.assertIn("no secret with matching uuid", self.refused("secret-dumpxml", UUID))

    def test_every_usage(self):
        for usage, shown in (("<usage type='volume'><volume>/images/a</volume></usage>", "volume /images/a"),
                             ("<usage type='iscsi'><target>t</target></usage>", "iscsi t"),
                             ("<usage type='tls'><name>n</name></usage>", "tls n"),
                             ("<usage type='vtpm'><name>v</name></usage>", "vtpm v"), ("", "Unused")):
            self.define(usage, "", "--validate")
            self.assertRegex(self.daemon.virsh("secret-list"), rf"{UUID}\s+{shown}")
            self.daemon.virsh("secret-undefine", UUID)

    def test_private_and_ephemeral(self):
        self.define(attributes="private='yes' ephemeral='yes'")
        self.set_value()
        self.assertIn("secret is private", self.refused("secret-get-value", UUID))
        self.assertIn(UUID, self.daemon.virsh("secret-list", "--private", "--ephemeral"))
        self.assertNotIn(UUID, self.daemon.virsh("secret-list", "--no-private"))
        self.daemon.stop()
        self.daemon.start()
        self.assertIn("no secret", self.refused("secret-dumpxml", UUID))

    def test_readers(self):
        self.define()
        self.set_value()
        for way in (["-r", "-c", self.daemon.uri], ["-c", f"warren:///system?socket={self.daemon.socket}-ro"]):
            def run(*arguments):
                return subprocess.run(["virsh", "-q", *way, *arguments], stdin=subprocess.DEVNULL, text=True,
                                      capture_output=True, timeout=30, check=False)
            self.assertIn(UUID, run("secret-list").stdout)
            for command in (["secret-get-value", UUID], ["secret-undefine", UUID]):
                result = run(*command)
                self.assertNotEqual(result.returncode, 0)
                self.assertIn("read only access", result.stderr)
                self.assertNotIn(VALUE, result.stdout)

    def test_a_value_survives_kill_and_is_nowhere_to_be_read(self):
        self.define()
        self.set_value()
        self.daemon.kill()
        self.daemon.start()
        self.assertEqual(self.daemon.virsh("secret-get-value", "--plain", UUID), VALUE)
        encoded = base64.b64encode(VALUE.encode())
        for file in self.daemon.root.rglob("*"):
            if file.is_file():
                content = file.read_bytes()
                self.assertNotIn(VALUE.encode(), content, file)
                self.assertNotIn(encoded, content, file)
                if "secret" in str(file.relative_to(self.daemon.root)):
                    self.assertEqual(file.stat().st_mode & 0o777, 0o600, file)

    @unittest.skipIf(SANITIZED, "a sanitizer's shadow memory is too large to be searched")
    def test_the_daemon_forgets_a_value(self):
        """Neither setting nor getting leaves it in the daemon's memory."""
        self.define()
        self.set_value()
        self.daemon.virsh("secret-get-value", UUID)
        found = []
        with open(f"/proc/{self.daemon.process.pid}/maps", encoding="ascii") as maps, \
                open(f"/proc/{self.daemon.process.pid}/mem", "rb") as memory:
            for line in maps:
                span, mode = line.split()[:2]
                if not mode.startswith("rw"):
                    continue
                start, end = (int(part, 16) for part in span.split("-"))
                memory.seek(start)
                try:
                    if VALUE.encode() in memory.read(end - start):
                        found.append(line.strip())
                except OSError:
                    pass
        self.assertEqual(found, [])

    def test_events(self):
        with self.listen("lifecycle") as lifecycle, self.listen("value-changed") as changed:
            # They say nothing when they have registered: define until one hears.
            for _ in range(20):
                self.define()
                try:
                    lifecycle.expect(rf"event 'lifecycle' for secret {UUID}: Defined", 1)
                    break
                except TimeoutError:
                    continue
            self.set_value()
            changed.expect(rf"event 'value-changed' for secret {UUID}")
            self.daemon.virsh("secret-undefine", UUID)
            lifecycle.expect(rf"event 'lifecycle' for secret {UUID}: Undefined")

    def listen(self, event: str):
        return contextlib.closing(Terminal(["virsh", "-c", self.daemon.uri, "secret-event", "--event", event, "--loop"], limit=20))


if __name__ == "__main__":
    require_daemon()
    tap.main()
