#!/usr/bin/python3
"""Domain events that no other script waits for, as stock virsh prints them; every kind can be asked for, of one domain
or of all. docs/user-guide/events.md lists the kinds and who shows them."""

import re
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from domain_test import DomainCase
from domains import Events, define, require_daemon
from fixtures import tap
from fixtures.terminal import Terminal
from fixtures.warren_daemon import ROOT

KINDS = 27  # of libvirt 9.0


class Kinds(DomainCase):
    def names(self) -> list[str]:
        return self.virsh("event", "--list").split()

    def test_each_can_be_asked_for(self):
        define(self.daemon, "asked", "echo")
        names = self.names()
        self.assertEqual(len(names), KINDS)
        watchers = {(name, *domain): subprocess.Popen(["virsh", "-c", self.daemon.uri, "event", *domain, "--event", name,
                                                       "--timeout", "3"], text=True, stdin=subprocess.DEVNULL,
                                                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
                    for name in names for domain in ([], ["--domain", "asked"])}
        for what, watcher in watchers.items():
            # The time passes: it was registered, and nothing came.
            self.assertIn("event loop timed out", watcher.communicate(timeout=60)[0], what)

    def test_the_guide_tells_of_each(self):
        guide = (ROOT / "docs/user-guide/events.md").read_text()
        self.assertEqual(re.findall(r"^\| `([a-z0-9-]+)` \|", guide, re.MULTILINE), self.names())

    def test_of_one_domain(self):
        for name in ("one", "other"):
            define(self.daemon, name, "echo")
        with Terminal(["virsh", "-c", self.daemon.uri, "event", "--domain", "one", "--event", "lifecycle", "--loop",
                       "--timestamp", "--timeout", "5"], limit=20) as events:
            self.virsh("start", "other", "--paused")
            self.virsh("start", "one", "--paused")
            events.expect(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+\+0000: event 'lifecycle' for domain 'one': Started Booted")
            events.read_to_end()
            self.assertNotIn(b"other", events.transcript)

    def test_metadata(self):
        define(self.daemon, "told", "echo")
        with Events(self.daemon) as events:
            self.virsh("desc", "told", "--config", "--title", "A title")
            events._terminal.expect(r"event 'metadata-change' for domain 'told': type title\b")
            self.virsh("desc", "told", "--config", "A description")
            events._terminal.expect(r"event 'metadata-change' for domain 'told': type description\b")
            self.virsh("metadata", "told", "urn:warren:test", "--config", "--key", "w", "--set", "<a/>")
            events._terminal.expect(r"event 'metadata-change' for domain 'told': type element, uri urn:warren:test\b")
            self.virsh("domrename", "told", "renamed")
            events.expect("renamed", "Defined Renamed")
            self.virsh("undefine", "renamed")
            events.expect("renamed", "Undefined Removed")

    def test_what_a_watchdog_does(self):
        """The other actions are in small_devices_test.py."""
        for action in ("none", "shutdown", "inject-nmi"):
            with self.subTest(action=action), Events(self.daemon) as events:
                define(self.daemon, action, " test=watchdog.left_alone",
                       devices=f"<watchdog model='i6300esb' action='{action}'/>")
                self.virsh("start", action)
                events._terminal.expect(rf"event 'watchdog' for domain '{action}': {action}\b")
                self.virsh("destroy", action, check=False)


if __name__ == "__main__":
    require_daemon()
    tap.main()
