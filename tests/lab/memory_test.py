#!/usr/bin/python3
"""The memory of a running Debian guest by stock virsh: NUMA cells with distances, a balloon over memory that the guest
really uses, free pages that go back to the host, deflation before the guest kills for memory; huge pages.

The cases follow one guest through its life and run in the order of their names; the last has a guest of its own.
"""
# time limit: 900 s

import re
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "host"))

from domains import workers_of
from fixtures import tap
from fixtures.guest_case import GuestCase
from fixtures.linux_guest import LinuxGuest

MEMORY = 512 << 10  # KiB
USED = 96 << 10  # KiB that the guest is made to use
DEVICES = "<memballoon model='virtio' autodeflate='on' freePageReporting='on'><stats period='2'/></memballoon>"
NUMA = """<cpu mode='host-passthrough'><numa>
    <cell id='0' cpus='0' memory='256' unit='MiB'>
      <distances><sibling id='0' value='10'/><sibling id='1' value='31'/></distances></cell>
    <cell id='1' cpus='1' memory='256' unit='MiB'>
      <distances><sibling id='0' value='31'/><sibling id='1' value='10'/></distances></cell>
  </numa></cpu>"""
BACKING = "<memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking>"


class Memory(GuestCase):
    @classmethod
    def setUpClass(cls):
        cls.prepare()
        guest = LinuxGuest(cls.daemon, vcpus=2, memory_mib=MEMORY >> 10, devices=DEVICES)
        guest.xml = guest.xml.replace("<cpu mode='host-passthrough'/>", NUMA).replace("<vcpu>", BACKING + "<vcpu>")
        cls.boot(guest)

    def memory(self) -> dict[str, int]:
        """Of dommemstat, in KiB."""
        return {name: int(value) for name, value in
                (line.split() for line in self.virsh("dommemstat", "debian").splitlines() if line)}

    def newer(self) -> dict[str, int]:
        """What the guest has told of later than now."""
        before = self.memory()["last_update"]
        self.wait("statistics come", lambda: self.memory()["last_update"] > before + 2)
        return self.memory()

    def test_1_cells(self):
        node = "/sys/devices/system/node/node"
        self.assertEqual(self.in_guest(f"cat {node}0/distance"), "10 31")
        self.assertEqual(self.in_guest(f"cat {node}1/distance"), "31 10")
        self.assertEqual(self.in_guest(f"cat {node}0/cpulist {node}1/cpulist").split(), ["0", "1"])
        for number in range(2):
            total = int(re.search(r"MemTotal:\s+(\d+)", self.in_guest(f"cat {node}{number}/meminfo"))[1])
            self.assertAlmostEqual(total, MEMORY / 2, delta=MEMORY / 8, msg="what the kernel took at its boot is missing")
        (worker,) = workers_of(self.daemon)
        self.assertIn("/memfd:guest-memory (deleted)", Path(f"/proc/{worker}/maps").read_text())
        # A policy of the host's for it, which has one node only here.
        self.virsh("numatune", "debian", "--mode", "strict", "--nodeset", "0", "--config")
        self.assertRegex(self.virsh("numatune", "debian", "--config"), r"numa_nodeset\s*:\s*0")

    def test_2_statistics_follow_the_guest(self):
        before = self.newer()
        for name in ("actual", "swap_in", "swap_out", "major_fault", "minor_fault", "unused", "available", "usable",
                     "disk_caches", "rss"):
            self.assertIn(name, before)
        self.assertEqual(before["actual"], MEMORY)
        self.in_guest(f"dd if=/dev/zero of=/tmp/used bs=1024k count={USED >> 10} 2>/dev/null", limit=120)
        after = self.newer()
        self.assertAlmostEqual(before["unused"] - after["unused"], USED, delta=USED / 5)
        free = int(self.in_guest("awk '/^MemFree/ {print $2}' /proc/meminfo"))
        self.assertAlmostEqual(after["unused"], free, delta=16 << 10)
        self.assertGreater(after["rss"], USED)
        self.virsh("dommemstat", "debian", "--period", "1", "--live", "--config")
        for options in ([], ["--inactive"]):
            self.assertIn("<stats period='1'/>", self.virsh("dumpxml", "debian", *options))

    def test_3_free_pages_go_back(self):
        """Free page reporting: what the guest frees, its host gets, without a balloon that anybody inflates."""
        before = self.memory()["rss"]
        self.in_guest("rm /tmp/used")
        self.wait("the host has them", lambda: self.memory()["rss"] < before - USED * 3 // 4)
        # And the guest has them again when it wants them.
        self.in_guest(f"dd if=/dev/zero of=/tmp/used bs=1024k count={USED >> 10} 2>/dev/null; rm /tmp/used", limit=120)

    def test_4_deflates_before_it_kills(self):
        unused = self.newer()["unused"]
        target = MEMORY - unused + (64 << 10)  # 64 MiB are left to the guest
        self.virsh("setmem", "debian", str(target), "--live")
        self.expect_event("balloon-change", f": {target}KiB")
        self.wait("the balloon inflates", lambda: self.memory()["actual"] == target)
        self.assertIn(f"<currentMemory unit='KiB'>{target}<", self.virsh("dumpxml", "debian"))
        killed = "grep oom_kill /proc/vmstat"
        before = self.in_guest(killed)
        self.in_guest("dd if=/dev/zero of=/dev/null bs=128M count=1 2>/dev/null", limit=240)
        self.assertEqual(self.in_guest(killed), before)
        self.wait("the balloon has given", lambda: self.memory()["actual"] > target + (32 << 10))
        self.virsh("setmem", "debian", str(MEMORY), "--live")
        self.wait("and gives the rest", lambda: self.memory()["actual"] == MEMORY)

    def test_5_limits_of_definitions(self):
        self.assertIn("with NUMA nodes cannot be modified", self.refused("setmaxmem", "debian", "640M", "--config"))
        self.assertRegex(self.virsh("dumpxml", "debian", "--inactive"), rf"<memory unit='KiB'>{MEMORY}<")
        self.assertRegex(self.virsh("dumpxml", "debian"), rf"<memory unit='KiB'>{MEMORY}<")
        self.assertIn("higher than max", self.refused("setmem", "debian", "2G", "--live"))
        self.virsh("destroy", "debian")

    def test_6_huge_pages(self):
        pages = 128  # of 2 MiB
        self.virsh("allocpages", "2M", str(pages + 8), "--cellno", "0")
        try:
            shown = self.virsh("freepages", "--cellno", "0", "--pagesize", "2048")
            self.assertRegex(shown, rf"2048KiB:\s+{pages + 8}\b")
            guest = LinuxGuest(self.daemon, name="huge", memory_mib=2 * pages)
            guest.xml = guest.xml.replace("<vcpu>", "<memoryBacking><hugepages><page size='2' unit='MiB'/></hugepages>"
                                                    "<allocation mode='immediate'/></memoryBacking><vcpu>")
            guest.define()
            with guest.start_with_console() as console:
                self.assertRegex(self.virsh("freepages", "--cellno", "0", "--pagesize", "2048"), r"2048KiB:\s+8\b")
                (worker,) = workers_of(self.daemon)
                areas = re.split(r"(?m)^(?=[0-9a-f]+-[0-9a-f]+ )", Path(f"/proc/{worker}/smaps").read_text())
                huge = [area for area in areas if "memfd:guest-memory" in area]
                self.assertTrue(huge)
                for area in huge:
                    self.assertRegex(area, r"KernelPageSize:\s+2048 kB")
                console.run("dd if=/dev/zero of=/tmp/used bs=1024k count=64 2>/dev/null; rm /tmp/used", limit=120)
            self.virsh("destroy", "huge")
            time.sleep(1)
            self.assertRegex(self.virsh("freepages", "--cellno", "0", "--pagesize", "2048"), rf"2048KiB:\s+{pages + 8}\b")
        finally:
            self.virsh("allocpages", "2M", "0", "--cellno", "0")


if __name__ == "__main__":
    tap.main()
