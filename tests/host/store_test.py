#!/usr/bin/python3
"""T14: what was defined is there after kill -9 and after a clean end; autostart; damage is said, not fatal."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from domains import define, require_daemon
from fixtures import tap
from fixtures.warren_daemon import PrivateDaemon


class Store(unittest.TestCase):
    def setUp(self):
        self.daemon = PrivateDaemon()
        self.daemon.__enter__()
        self.addCleanup(self.daemon.__exit__)

    def documents(self) -> list[Path]:
        return sorted((self.daemon.root / "etc/warren").rglob("*.xml"))

    def test_definitions_survive(self):
        for number in range(30):
            define(self.daemon, f"kept{number:02}", "echo")
        self.daemon.virsh("desc", "kept00", "--config", "--title", "the first")
        self.daemon.virsh("domrename", "kept01", "renamed")
        self.daemon.virsh("undefine", "kept02")
        before = {name: self.daemon.virsh("dumpxml", "--inactive", name)
                  for name in self.daemon.virsh("list", "--all", "--name").split()}
        self.assertEqual(len(before), 29)
        for end in (self.daemon.kill, self.daemon.stop):
            end()
            self.daemon.start()
            after = {name: self.daemon.virsh("dumpxml", "--inactive", name)
                     for name in self.daemon.virsh("list", "--all", "--name").split()}
            self.assertEqual(before, after)

    def test_autostart(self):
        define(self.daemon, "early", "echo")
        define(self.daemon, "late", "echo")
        self.daemon.virsh("autostart", "early")
        self.daemon.stop()
        self.daemon.start()
        # As libvirt since 8.2: once in the life of the host, not at each start of the daemon.
        self.assertEqual(self.daemon.virsh("domstate", "early"), "shut off")
        self.daemon.stop()
        # Domains and pools have one each.
        for mark in (self.daemon.root / "run").rglob("autostarted"):
            mark.unlink()
        self.daemon.start()
        self.daemon.wait_for_state("early", "running", limit=20)
        self.assertEqual(self.daemon.virsh("domstate", "late"), "shut off")

    def test_a_damaged_document_does_not_stop_the_daemon(self):
        define(self.daemon, "good", "echo")
        define(self.daemon, "bad", "echo")
        self.daemon.stop()
        damaged = next(path for path in self.documents() if path.name == "bad.xml")
        damaged.write_bytes(damaged.read_bytes()[:100])
        self.daemon.start()
        self.assertEqual(self.daemon.virsh("list", "--all", "--name").split(), ["good"])
        self.assertIn("bad.xml", self.daemon.log.read_text())
        # Set aside under another name, with all that is left of it.
        self.assertEqual([path.stat().st_size for path in damaged.parent.glob("bad.xml*")], [100])

    def test_documents_are_private(self):
        """T20"""
        define(self.daemon, "secret", "echo")
        for path in self.documents():
            self.assertEqual(path.stat().st_mode & 0o077, 0, path)


if __name__ == "__main__":
    require_daemon()
    tap.main()
