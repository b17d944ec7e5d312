#!/usr/bin/python3
"""<clock> of a Debian guest by stock virsh: what its real-time clock shows, what becomes of it when the guest sets it,
timers, and what of <features> is refused.

The cases follow one guest through its life and run in the order of their names.
"""
# time limit: 600 s

import re
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fixtures import tap
from fixtures.guest_case import GuestCase
from fixtures.linux_guest import LinuxGuest

EARLIER = -7200  # seconds from UTC, at the start
SET = 3600  # what the guest puts its clock ahead by
ABSOLUTE = 946782245  # 2000-01-02 03:04:05 UTC
CLOCK = f"""<clock offset='variable' adjustment='{EARLIER}' basis='utc'>
    <timer name='rtc' tickpolicy='catchup'/><timer name='pit' tickpolicy='delay'/><timer name='hpet' present='no'/>
    <timer name='kvmclock' present='no'/></clock>"""


class Clock(GuestCase):
    @classmethod
    def setUpClass(cls):
        cls.prepare()
        guest = LinuxGuest(cls.daemon)
        guest.xml = guest.xml.replace("</features>", "</features>" + CLOCK)
        cls.boot(guest)

    def rtc(self) -> int:
        """What the clock shows, in seconds since 1970."""
        return int(self.in_guest("cat /sys/class/rtc/rtc0/since_epoch"))

    def adjustment(self, *options: str) -> int:
        return int(re.search(r"<clock offset='variable' adjustment='(-?\d+)'", self.virsh("dumpxml", "debian", *options))[1])

    def test_1_variable(self):
        self.assertAlmostEqual(self.rtc(), time.time() + EARLIER, delta=5)
        # Its kernel took its time from there (CONFIG_RTC_HCTOSYS).
        self.assertAlmostEqual(int(self.in_guest("date +%s")), time.time() + EARLIER, delta=20)

    def test_2_timers(self):
        sources = self.in_guest("cat /sys/devices/system/clocksource/clocksource0/available_clocksource")
        self.assertNotIn("kvm-clock", sources)
        self.assertNotIn("hpet", sources)
        self.assertIn("rtc", self.in_guest("cat /proc/interrupts"))

    def test_3_the_guest_sets_it(self):
        self.in_guest(f"date -s @$(($(cat /sys/class/rtc/rtc0/since_epoch) + {SET})) > /dev/null; hwclock -u -w")
        told = int(self.events.expect("event 'rtc-change' for domain '?debian'?: (-?\\d+)")[1])
        self.assertAlmostEqual(told, EARLIER + SET, delta=5)
        self.assertAlmostEqual(self.rtc(), time.time() + EARLIER + SET, delta=5)
        self.wait("the live definition has it", lambda: self.adjustment() == told)
        # It is still there when the machine, or the daemon, begins anew.
        self.virsh("reset", "debian")
        self.guest.wait_until_up(self.console)
        self.assertAlmostEqual(self.rtc(), time.time() + EARLIER + SET, delta=5)
        self.daemon.kill()
        self.daemon.start()
        self.assertEqual(self.adjustment(), told)
        self.assertEqual(self.adjustment("--inactive"), EARLIER)
        self.virsh("destroy", "debian")

    def test_4_absolute(self):
        """A date of its own at every start."""
        self.guest.xml = self.guest.xml.replace(CLOCK, f"<clock offset='absolute' start='{ABSOLUTE}'/>")
        self.virsh("undefine", "debian")
        self.guest.define()
        self.console.close()
        begun = time.time()
        type(self).console = self.guest.start_with_console()
        shown = self.rtc()
        self.assertGreaterEqual(shown, ABSOLUTE)
        self.assertLess(shown, ABSOLUTE + time.time() - begun + 5)
        self.assertIn(f"<clock offset='absolute' start='{ABSOLUTE}'", self.virsh("dumpxml", "debian"))
        self.virsh("destroy", "debian")


if __name__ == "__main__":
    tap.main()
