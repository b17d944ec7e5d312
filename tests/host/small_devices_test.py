#!/usr/bin/python3
"""Balloon, watchdog and panic device by stock virsh: what a guest does with them, and what its domain says of it."""

import re
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from domain_test import DomainCase
from domains import Events, define, require_daemon, wait_for_reason
from fixtures import tap

MEMORY = 32 * 1024  # KiB


class SmallDevices(DomainCase):
    def start(self, test: str, devices: str = "", actions: str = "") -> None:
        # No mode of its own: the guest runs the test and powers off.
        define(self.daemon, "small", f" test={test}", devices=devices, actions=actions)
        self.virsh("start", "small")

    def wait_for_memory(self, kib: int) -> None:
        end = time.monotonic() + 20
        while not re.search(rf"Used memory:\s+{kib} KiB", said := self.virsh("dominfo", "small")):
            self.assertLess(time.monotonic(), end, said)
            time.sleep(0.05)

    def cores(self) -> list[Path]:
        return sorted((self.daemon.root / "var/lib/warren/dump").glob("*small*"))


class Balloon(SmallDevices):
    def test_memory_goes_and_comes(self):
        with Events(self.daemon) as events:
            self.start("virtio_balloon.follows_the_host",
                       actions=f"<currentMemory unit='KiB'>{MEMORY - 1024}</currentMemory>")
            events._terminal.expect(rf"event 'balloon-change' for domain 'small': {MEMORY - 1024}KiB")
            self.wait_for_memory(MEMORY - 1024)
            self.assertIn(f"actual {MEMORY - 1024}", self.virsh("dommemstat", "small"))
            self.assertIn(f"balloon.current={MEMORY - 1024}", self.virsh("domstats", "small", "--balloon"))
            self.virsh("setmem", "small", str(MEMORY), "--live")
            events._terminal.expect(rf"event 'balloon-change' for domain 'small': {MEMORY}KiB")
            self.wait_for_memory(MEMORY)

    def test_the_period_is_kept(self):
        define(self.daemon, "small", "idle", devices="<memballoon model='virtio'><stats period='5'/></memballoon>")
        self.virsh("dommemstat", "small", "--period", "3", "--config")
        self.assertIn("<stats period='3'/>", self.virsh("dumpxml", "small", "--inactive"))
        self.assertIn("higher than max memory", self.refused("setmem", "small", str(MEMORY * 2), "--config"))

    def test_without_one_nothing_is_asked(self):
        self.start("watchdog.left_alone", devices="<memballoon model='none'/><watchdog model='i6300esb' action='none'/>")
        self.assertIn("no balloon", self.refused("setmem", "small", str(MEMORY // 2), "--live"))
        self.assertIn("no memory balloon", self.refused("dommemstat", "small", "--period", "1", "--live"))


class Watchdog(SmallDevices):
    def watch(self, action: str) -> None:
        self.start("watchdog.left_alone", devices=f"<watchdog model='i6300esb' action='{action}'/>")

    def test_pause(self):
        with Events(self.daemon) as events:
            self.watch("pause")
            events._terminal.expect(r"event 'watchdog' for domain 'small': pause")
            events.expect("small", "Suspended Watchdog")
            wait_for_reason(self.daemon, "small", "paused (watchdog)")

    def test_poweroff(self):
        with Events(self.daemon) as events:
            self.watch("poweroff")
            events._terminal.expect(r"event 'watchdog' for domain 'small': poweroff")
            wait_for_reason(self.daemon, "small", "shut off (crashed)")

    def test_reset(self):
        with Events(self.daemon) as events:
            self.watch("reset")
            events._terminal.expect(r"event 'watchdog' for domain 'small': reset")
            events._terminal.expect(r"event 'reboot' for domain 'small'")
            # And so on for ever: the guest does the same again.
            events._terminal.expect(r"event 'reboot' for domain 'small'")

    def test_dump(self):
        with Events(self.daemon) as events:
            self.watch("dump")
            events.expect("small", "Suspended Watchdog")
            events.expect("small", "Resumed Unpaused")
        (core,) = self.cores()
        self.assertEqual(core.read_bytes()[:4], b"\x7fELF")
        self.assertEqual(core.stat().st_mode & 0o777, 0o600)
        core.unlink()


class Panic(SmallDevices):
    def test_crashed_domains_say_so(self):
        with Events(self.daemon) as events:
            self.start("panic.told", "<panic model='isa'/>", "<on_crash>preserve</on_crash>")
            events.expect("small", "Crashed Panicked")
            wait_for_reason(self.daemon, "small", "crashed (panicked)")
            self.virsh("destroy", "small")
            self.virsh("undefine", "small")
            self.start("panic.told", "<panic model='isa'/>", "<on_crash>destroy</on_crash>")
            wait_for_reason(self.daemon, "small", "shut off (crashed)")

    def test_a_core_is_left(self):
        self.start("panic.told", "<panic/>", "<on_crash>coredump-destroy</on_crash>")
        wait_for_reason(self.daemon, "small", "shut off (crashed)")
        (core,) = self.cores()
        self.assertEqual(core.read_bytes()[:4], b"\x7fELF")
        core.unlink()


if __name__ == "__main__":
    require_daemon()
    tap.main()
