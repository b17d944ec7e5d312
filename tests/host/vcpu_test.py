#!/usr/bin/python3
"""vCPUs that come to a running domain, and that a guest keeps, by stock virsh."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from domains import require_daemon, wait_until_ready, workers_of, write_xml
from domain_test import DomainCase
from fixtures import tap


def threads(pid: int) -> dict[str, int]:
    """The worker's vCPU threads by name."""
    tasks = ((task / "comm").read_text().strip() for task in Path(f"/proc/{pid}/task").iterdir())
    names = [name for name in tasks if name.startswith("vcpu")]
    return {name: names.count(name) for name in names}


class Vcpus(DomainCase):
    def start(self, name: str) -> int:
        """2 of 4 vCPUs, and a guest that does not look for more."""
        file = write_xml(self.daemon, name, "echo")
        file.write_text(file.read_text().replace("<vcpu>1</vcpu>", "<vcpu current='2'>4</vcpu>"))
        self.virsh("define", file)
        before = set(workers_of(self.daemon))
        self.virsh("start", name)
        wait_until_ready(self.daemon, name)
        (worker,) = set(workers_of(self.daemon)) - before
        return worker

    def counts(self, name: str) -> dict[str, int]:
        rows = (line.split() for line in self.virsh("vcpucount", name).splitlines() if line)
        return {f"{kind} {where}": int(count) for kind, where, count in rows}

    def test_they_come(self):
        worker = self.start("come")
        expected = {"maximum config": 4, "maximum live": 4, "current config": 2, "current live": 2}
        self.assertEqual(self.counts("come"), expected)
        self.assertEqual(threads(worker), {"vcpu0": 1, "vcpu1": 1})
        self.virsh("vcpupin", "come", "3", "0", "--live")
        self.virsh("setvcpus", "come", "3", "--live")
        self.assertEqual(self.counts("come"), expected | {"current live": 3})
        self.assertEqual(threads(worker), {"vcpu0": 1, "vcpu1": 1, "vcpu2": 1})
        self.virsh("setvcpu", "come", "3", "--enable", "--live", "--config")
        self.assertEqual(self.counts("come"), expected | {"current live": 4, "current config": 3})
        self.assertEqual(threads(worker), {f"vcpu{i}": 1 for i in range(4)})
        for task in Path(f"/proc/{worker}/task").iterdir():
            if (task / "comm").read_text().strip() == "vcpu3":
                self.assertEqual(os.sched_getaffinity(int(task.name)), {0})
        text = self.virsh("dumpxml", "come")
        self.assertIn("<vcpu id='1' enabled='yes' hotpluggable='no' order='2'/>", text)
        self.assertIn("<vcpu id='3' enabled='yes' hotpluggable='yes' order='4'/>", text)
        self.assertIn("<vcpu id='2' enabled='no' hotpluggable='yes'/>", self.virsh("dumpxml", "come", "--inactive"))
        self.assertEqual(self.virsh("vcpuinfo", "come").count("State:"), 4)
        statistics = self.virsh("domstats", "come", "--vcpu")
        for wanted in ("vcpu.current=4", "vcpu.maximum=4", "vcpu.3.state=1", "vcpu.3.time="):
            self.assertIn(wanted, statistics)
        # They stay over the guest's reboot.
        self.virsh("reset", "come")
        wait_until_ready(self.daemon, "come")
        self.assertEqual(threads(worker), {f"vcpu{i}": 1 for i in range(4)})
        self.virsh("suspend", "come")
        self.virsh("resume", "come")

    def test_they_outlive_the_daemon(self):
        self.start("adopted")
        self.virsh("setvcpu", "adopted", "3", "--enable", "--live")
        self.daemon.kill()
        self.daemon.start()
        self.assertEqual(self.counts("adopted")["current live"], 3)
        self.assertIn("<vcpu id='3' enabled='yes' hotpluggable='yes' order='3'/>", self.virsh("dumpxml", "adopted"))
        self.assertIn("vcpu.3.state=1", self.virsh("domstats", "adopted", "--vcpu"))
        self.virsh("setvcpus", "adopted", "4", "--live")
        self.assertEqual(self.counts("adopted")["current live"], 4)

    def test_a_guest_that_keeps_them(self):
        self.start("keeps")
        self.virsh("setvcpus", "keeps", "3", "--live", "--config")
        self.assertIn("has not let go", self.refused("setvcpus", "keeps", "2", "--live", "--config"))
        self.assertEqual(self.counts("keeps")["current live"], 3)
        self.assertEqual(self.counts("keeps")["current config"], 3)

    def test_refusals_change_nothing(self):
        self.start("refuses")
        before = self.virsh("dumpxml", "refuses"), self.virsh("dumpxml", "refuses", "--inactive")
        self.assertIn("5 > 4", self.refused("setvcpus", "refuses", "5", "--live", "--config"))
        self.assertIn("cannot come down", self.refused("setvcpus", "refuses", "1", "--live"))
        self.assertIn("maximum", self.refused("setvcpus", "refuses", "6", "--live", "--maximum"))
        self.assertIn("vCPU 0", self.refused("setvcpu", "refuses", "0", "--disable", "--live", "--config"))
        self.assertIn("vCPU 1", self.refused("setvcpu", "refuses", "1", "--disable", "--live"))
        self.assertIn("already", self.refused("setvcpu", "refuses", "1", "--enable", "--live"))
        self.assertEqual((self.virsh("dumpxml", "refuses"), self.virsh("dumpxml", "refuses", "--inactive")), before)

    def test_a_definition_alone(self):
        file = write_xml(self.daemon, "alone", "echo", vcpus=4)
        self.virsh("define", file)
        self.virsh("setvcpus", "alone", "2", "--config")
        self.virsh("setvcpus", "alone", "3", "--config", "--hotpluggable")
        self.assertIn("<vcpu id='2' enabled='yes' hotpluggable='yes'/>", self.virsh("dumpxml", "alone"))
        self.virsh("setvcpu", "alone", "2", "--disable", "--config")
        self.assertEqual(self.counts("alone"), {"maximum config": 4, "current config": 2})
        self.virsh("setvcpus", "alone", "8", "--config", "--maximum")
        self.assertEqual(self.counts("alone")["maximum config"], 8)

    def test_hyperv_that_the_host_lacks_is_refused_by_name(self):
        file = write_xml(self.daemon, "hyperv", "echo")
        plain = file.read_text()
        offered = self.virsh("domcapabilities").split("<hyperv", 1)[1].split("</hyperv>")[0]
        for name in ("relaxed", "vapic", "vpindex", "reset", "frequencies"):
            file.write_text(plain.replace("<apic/>", f"<apic/><hyperv><{name} state='on'/></hyperv>"))
            if f"<value>{name}</value>" in offered:
                self.virsh("define", file)
            else:
                self.assertIn(f"/domain/features/hyperv/{name}", self.refused("define", file))


if __name__ == "__main__":
    require_daemon()
    tap.main()
