#!/usr/bin/python3
"""vCPUs come to and go from a running Debian guest, which brings them up and takes them down, by stock virsh."""
# time limit: 900 s

import re
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fixtures import tap
from fixtures.linux_guest import LinuxGuest, private_daemon

# On this many vCPUs the guest writes 1 to what it was given and has not brought up by itself.
BRING_UP = "for c in /sys/devices/system/cpu/cpu[0-9]*/online; do [ $(cat $c) = 1 ] || echo 1 > $c; done; "


class Vcpus(unittest.TestCase):
    def wait_for(self, command: str, expected: str, limit: float = 120.0) -> None:
        deadline = time.monotonic() + limit
        while (now := self.console.run(command + "; true").strip()) != expected:
            self.assertLess(time.monotonic(), deadline, f"{command} still says '{now}', not '{expected}'")
            time.sleep(1)

    def wait_for_live(self, count: int, limit: float = 120.0) -> None:
        deadline = time.monotonic() + limit
        while self.live() != count:
            self.assertLess(time.monotonic(), deadline, f"there are {self.live()} vCPUs, not {count}")
            time.sleep(1)

    def live(self) -> int:
        return int(self.daemon.virsh("vcpucount", "debian", "--current", "--live"))

    def let_go(self, *command: str) -> None:
        """A slow guest may take longer than virsh waits."""
        try:
            self.daemon.virsh(*command)
        except RuntimeError as error:
            self.assertIn("has not let go", str(error))

    def test_they_come_and_go(self):
        with private_daemon() as self.daemon:
            guest = LinuxGuest(self.daemon, vcpus=4)
            guest.xml = guest.xml.replace("<vcpu>4</vcpu>", "<vcpu current='2'>4</vcpu>")
            guest.define()
            with guest.start_with_console() as self.console:
                self.assertEqual(self.console.run("nproc").strip(), "2")
                self.assertEqual(self.console.run("cat /sys/devices/system/cpu/possible").strip(), "0-3")
                self.daemon.virsh("setvcpus", "debian", "4", "--live")
                self.wait_for(BRING_UP + "cat /sys/devices/system/cpu/online", "0-3")
                self.check_work("cpu3")
                self.let_go("setvcpus", "debian", "3", "--live")
                self.wait_for_live(3)
                self.wait_for("cat /sys/devices/system/cpu/online", "0-2")
                self.let_go("setvcpu", "debian", "2", "--disable", "--live")
                self.wait_for_live(2)
                self.wait_for("nproc", "2")
                # And again, over a reboot of the guest.
                self.daemon.virsh("setvcpu", "debian", "3", "--enable", "--live")
                self.wait_for(BRING_UP + "nproc", "3")
                self.daemon.virsh("reset", "debian")
                guest.wait_until_up(self.console)
                self.wait_for("nproc", "3")
                self.assertEqual(self.live(), 3)

    def test_hyperv(self):
        """Everything that the host says it has is given to a guest, which boots on it."""
        values = {"spinlocks": " retries='8191'", "vendor_id": " value='Lab'"}
        with private_daemon() as self.daemon:
            offered = self.daemon.virsh("domcapabilities").split("<hyperv", 1)[1].split("</hyperv>")[0]
            names = [name for name in re.findall("<value>(.*?)</value>", offered) if name != "evmcs"]
            for name in ("relaxed", "vapic", "vpindex", "synic", "stimer", "tlbflush", "ipi", "frequencies"):
                self.assertIn(name, names)
            features = "".join(f"<{name} state='on'{values.get(name, '')}/>" for name in names)
            guest = LinuxGuest(self.daemon, vcpus=2)
            guest.xml = guest.xml.replace("<apic/></features>", f"""<apic/><hyperv mode='custom'>{features}</hyperv>
                </features><clock offset='utc'><timer name='hypervclock' present='yes'/></clock>""")
            guest.define()
            with guest.start_with_console() as self.console:
                self.assertEqual(self.console.run("nproc").strip(), "2")
            self.assertIn("<vendor_id state='on' value='Lab'/>", self.daemon.virsh("dumpxml", "debian"))

    def check_work(self, cpu: str) -> None:
        """A thread bound to it gets time, however little it is at once."""
        burn = f"taskset -c {cpu[3:]} sh -c 'i=0; while [ $i -lt 200 ]; do i=$((i+1)); done'"
        busy = f"awk '/^{cpu} / {{print ($2 + $4 > 0)}}' /proc/stat"
        self.console.run(f"until [ $({busy}) = 1 ]; do {burn}; done")


if __name__ == "__main__":
    tap.main()
