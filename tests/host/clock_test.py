#!/usr/bin/python3
"""What the real-time clock of a domain shows at its start, for every offset of <clock>: the guest compares it with what
it should be. What becomes of a clock that the guest sets is in lab/clock_test.py."""

import os
import sys
import time
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

sys.path.insert(0, str(Path(__file__).resolve().parent))

from domain_test import DomainCase
from domains import console, define, require_daemon
from fixtures import tap
from fixtures.warren_daemon import PrivateDaemon

EAST = 9 * 3600 + 1800  # seconds: where the daemon is
ZONE = "Asia/Kathmandu"


class Clock(DomainCase):
    @classmethod
    def setUpClass(cls):
        before = os.environ.get("TZ")
        os.environ["TZ"] = "EAST-9:30"
        try:
            cls.daemon = PrivateDaemon()
            cls.daemon.__enter__()
        finally:
            if before is None:
                del os.environ["TZ"]
            else:
                os.environ["TZ"] = before

    def check(self, clock: str, shown: float) -> None:
        """That the guest finds its clock within a minute of that."""
        define(self.daemon, "clock", f" test=rtc.date time={int(shown)}", actions=clock)
        self.virsh("start", "clock", "--paused")
        with console(self.daemon, "clock") as terminal:
            self.virsh("resume", "clock")
            self.assertEqual(terminal.expect("(PASS|FAIL) rtc\\.date")[1], b"PASS")
        self.virsh("destroy", "clock", check=False)
        self.virsh("undefine", "clock")

    def test_utc(self):
        self.check("<clock offset='utc'/>", time.time())

    def test_a_wrong_one_is_noticed(self):
        with self.assertRaises((AssertionError, TimeoutError, EOFError)):
            self.check("<clock offset='utc'/>", time.time() + 600)

    def test_localtime(self):
        self.check("<clock offset='localtime'/>", time.time() + EAST)

    def test_timezone(self):
        if not Path("/usr/share/zoneinfo", ZONE).exists():
            self.skipTest("this host has no tz database")
        offset = datetime.now(ZoneInfo(ZONE)).utcoffset().total_seconds()
        self.check(f"<clock offset='timezone' timezone='{ZONE}'/>", time.time() + offset)

    def test_variable(self):
        self.check("<clock offset='variable' adjustment='-4000' basis='utc'/>", time.time() - 4000)
        self.check("<clock offset='variable' adjustment='60000' basis='localtime'/>", time.time() + 60000 + EAST)

    def test_absolute(self):
        self.check("<clock offset='absolute' start='1900000000'/>", 1900000000)

    def test_a_machine_without_acpi_is_not_to_be_had(self):
        """libvirt's XML says so by leaving it out: the definition shows what the domain gets."""
        define(self.daemon, "plain", "echo")
        file = self.daemon.root / "plain.xml"
        self.virsh("undefine", "plain")
        file.write_text(file.read_text().replace("<acpi/>", ""))
        self.virsh("define", file)
        self.assertIn("<acpi/>", self.virsh("dumpxml", "plain"))

    def test_what_is_refused(self):
        for old, new, named in (
                ("</features>", "</features><clock offset='timezone' timezone='../etc/passwd'/>", "timezone"),
                ("</features>", "</features><clock offset='utc'><timer name='tsc' frequency='1'/></clock>", "tsc"),
                ("</features>", "</features><clock offset='utc'><timer name='hpet' present='yes'/></clock>", "hpet")):
            define(self.daemon, "plain", "echo")
            text = (self.daemon.root / "plain.xml").read_text()
            self.virsh("undefine", "plain")
            self.assertIn(old, text)
            (self.daemon.root / "plain.xml").write_text(text.replace(old, new, 1))
            self.assertIn(named, self.refused("define", self.daemon.root / "plain.xml"))


if __name__ == "__main__":
    require_daemon()
    tap.main()
