#!/usr/bin/python3
"""A Debian guest goes to sleep and is woken, with its disk and NIC: S3 by itself and through its agent, woken by virsh
and by its own alarm; and S4, after which it goes on where it was."""
# time limit: 900 s

import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fixtures import tap
from fixtures.daemon_case import DaemonCase
from fixtures.linux_guest import AGENT_CHANNEL, LinuxGuest, disk, private_daemon
from fixtures.linux_guest import tap as tap_device
from fixtures.terminal import Terminal

HOST, GUEST = "192.0.2.1", "192.0.2.2"  # TEST-NET-1 (RFC 5737)
EVENTS = ("lifecycle", "pm-suspend", "pm-suspend-disk", "pm-wakeup")
SLEEP = "echo mem > /sys/power/state"


class Sleep(DaemonCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = private_daemon()
        cls.addClassCleanup(cls.daemon.__exit__)
        cls.daemon.start()
        devices = ""
        for name, size in (("vda", 16 << 20), ("vdb", 512 << 20)):
            image = cls.daemon.root / f"{name}.raw"
            with image.open("wb") as file:
                file.truncate(size)
            image.chmod(0o666)
            devices += disk(image, name)
        devices += tap_device("labtap5") + AGENT_CHANNEL
        cls.guest = LinuxGuest(cls.daemon, vcpus=2, devices=devices, with_agent=True,
                               arguments=f"warren.address={GUEST}/24")
        cls.guest.define()
        cls.events = {}
        for name in EVENTS:
            cls.events[name] = Terminal(["virsh", "-c", cls.daemon.uri, "event", "--event", name, "--loop"], 120)
            cls.addClassCleanup(cls.events[name].close)
        time.sleep(2)  # they say nothing when they have registered
        cls.console = cls.guest.start_with_console()
        cls.addClassCleanup(lambda: cls.console.close())
        subprocess.run(["ip", "address", "add", f"{HOST}/24", "dev", "labtap5"], check=True)
        subprocess.run(["ip", "link", "set", "labtap5", "up"], check=True)

    def expect_events(self, *expected: tuple[str, str]) -> None:
        for name, text in expected:
            self.events[name].expect(text)

    def check_devices(self) -> None:
        """What a guest that is awake does with its disk, its NIC and both of its processors."""
        mark = str(time.monotonic())
        self.console.run(f"echo {mark} | dd of=/dev/vda bs=512 seek=9 conv=sync,fsync 2>/dev/null")
        content = (self.daemon.root / "vda.raw").read_bytes()
        self.assertTrue(content[9 * 512:].startswith(mark.encode()))
        self.console.run("echo 3 > /proc/sys/vm/drop_caches")
        self.assertIn(mark, self.console.run("dd if=/dev/vda bs=512 skip=9 count=1 2>/dev/null | tr -d '\\000'"))
        self.assertIn("3 packets received", self.console.run(f"ping -c 3 {HOST}"))
        self.assertEqual(self.console.run("cat /sys/devices/system/cpu/online"), "0-1")

    def fall_asleep(self) -> None:
        self.console.send(f"{SLEEP}; echo AWA''KE-$?\n")
        self.daemon.wait_for_state("debian", "pmsuspended")

    def test_1_s3_and_wakeup(self):
        self.check_devices()
        self.console.run("echo kept > /tmp/kept")
        self.fall_asleep()
        self.expect_events(("pm-suspend", "event 'pm-suspend' for domain '?debian"),
                           ("lifecycle", "PMSuspended Memory"))
        self.assertEqual(self.virsh("domstate", "debian", "--reason"), "pmsuspended (unknown)")
        self.assertIn("pmsuspended", self.virsh("list", "--all"))
        for command in ("suspend", "resume", "reset"):
            self.assertIn("domain is pmsuspended", self.refused(command, "debian"))
        self.assertIn("already", self.refused("start", "debian"))
        self.virsh("dumpxml", "debian")
        self.virsh("dompmwakeup", "debian")
        self.expect_events(("pm-wakeup", "event 'pm-wakeup' for domain '?debian"), ("lifecycle", "Started Event wakeup"))
        self.console.expect("AWAKE-0")
        self.assertEqual(self.virsh("domstate", "debian", "--reason"), "running (event wakeup)")
        self.assertEqual(self.console.run("cat /tmp/kept"), "kept")
        self.check_devices()
        self.assertIn("not in suspended state", self.refused("dompmwakeup", "debian"))

    def test_2_its_own_alarm(self):
        self.console.run("echo 0 > /sys/class/rtc/rtc0/wakealarm; echo +10 > /sys/class/rtc/rtc0/wakealarm")
        self.console.send(f"{SLEEP}; echo AWA''KE-$?\n")
        self.expect_events(("lifecycle", "PMSuspended Memory"), ("lifecycle", "Started Event wakeup"))
        self.console.expect("AWAKE-0")
        self.check_devices()

    def test_3_by_the_agent_and_without_the_daemon(self):
        self.virsh("dompmsuspend", "debian", "mem", limit=120)
        self.daemon.wait_for_state("debian", "pmsuspended")
        if hasattr(self.daemon, "kill"):
            self.console.close()
            self.daemon.kill()
            self.daemon.start()
            self.assertEqual(self.virsh("domstate", "debian"), "pmsuspended")
        self.virsh("dompmwakeup", "debian")
        type(self).console = self.guest.console()
        self.check_devices()
        self.assertEqual(self.virsh("domhostname", "debian", "--source", "agent", limit=120), "guest")

    def test_4_s4_goes_on(self):
        self.console.run("mkswap /dev/vdb > /dev/null; swapon /dev/vdb; echo platform > /sys/power/disk")
        self.console.run("echo kept-by-s4 > /tmp/kept")
        for name in ("lifecycle", "pm-suspend-disk"):  # the old ones went with the daemon
            self.events[name].close()
            self.events[name] = Terminal(["virsh", "-c", self.daemon.uri, "event", "--event", name, "--loop"], 120)
            self.addClassCleanup(self.events[name].close)
        time.sleep(2)
        self.console.send("echo disk > /sys/power/state; echo AWA''KE-$?\n")
        self.expect_events(("pm-suspend-disk", "event 'pm-suspend-disk' for domain '?debian"),
                           ("lifecycle", "PMSuspended Disk"), ("lifecycle", "Stopped Shutdown"))
        self.assertEqual(self.virsh("domstate", "debian", "--reason"), "shut off (shutdown)")
        self.console.close()
        type(self).console = self.guest.start_with_console()
        subprocess.run(["ip", "address", "replace", f"{HOST}/24", "dev", "labtap5"], check=True)
        subprocess.run(["ip", "link", "set", "labtap5", "up"], check=True)
        self.console.send("cat /sys/class/block/vdb/dev > /sys/power/resume\n")
        self.console.expect("AWAKE-0")
        self.assertEqual(self.console.run("cat /tmp/kept"), "kept-by-s4")
        self.check_devices()

    def test_5_the_end_of_one_that_sleeps(self):
        self.fall_asleep()
        self.virsh("destroy", "debian")
        self.assertEqual(self.virsh("domstate", "debian", "--reason"), "shut off (destroyed)")


if __name__ == "__main__":
    tap.main()
