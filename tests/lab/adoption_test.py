#!/usr/bin/python3
"""kill -9 of the daemon with a running guest (T14): the guest never notices, and the next daemon has it all back."""
# time limit: 600 s

import subprocess
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fixtures import tap
from fixtures.linux_guest import LinuxGuest, disk
from fixtures.warren_daemon import PrivateDaemon


class Adoption(unittest.TestCase):
    def test_guest_outlives_the_daemon(self):
        with PrivateDaemon() as daemon:
            image = daemon.root / "disk.raw"
            image.write_bytes(bytes(16 << 20))
            guest = LinuxGuest(daemon, devices=disk(image))
            guest.define()
            with guest.start_with_console() as console:
                boot = console.run("cat /proc/sys/kernel/random/boot_id")
                # Works on through the change of daemons.
                console.run("(while :; do cut -d' ' -f1 /proc/uptime >> /tmp/beats; sleep 1; done) & true")
            identity = daemon.virsh("domid", "debian")
            description = daemon.virsh("dumpxml", "debian")
            daemon.kill()
            time.sleep(5)
            daemon.start()
            self.assertEqual(daemon.virsh("domstate", "debian"), "running")
            self.assertEqual(daemon.virsh("domid", "debian"), identity)
            self.assertEqual(daemon.virsh("dumpxml", "debian"), description)
            with guest.console() as console:
                self.assertEqual(console.run("cat /proc/sys/kernel/random/boot_id"), boot)
                beats = [float(line) for line in console.run("cat /tmp/beats").split()]
                gaps = [later - earlier for earlier, later in zip(beats, beats[1:])]
                self.assertLess(max(gaps), 4.0, "the guest stood still")
                self.assertGreater(len(beats), 4)
                console.run("dd if=/dev/zero of=/dev/vda bs=4k count=16 conv=fsync 2>/dev/null")
            # What it does next is still told.
            watcher = subprocess.Popen(["virsh", "-c", daemon.uri, "event", "--domain", "debian", "--event", "lifecycle",
                                        "--loop", "--timeout", "60"], stdout=subprocess.PIPE, text=True)
            time.sleep(2)
            daemon.virsh("shutdown", "debian")
            daemon.wait_for_state("debian", "shut off")
            time.sleep(1)
            watcher.terminate()
            self.assertIn("Stopped Shutdown", watcher.communicate()[0])


if __name__ == "__main__":
    tap.main()
