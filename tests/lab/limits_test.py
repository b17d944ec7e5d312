#!/usr/bin/python3
"""Shares and limits of a running domain in cgroup v2, by stock virsh; the files of its group say what it got."""
# time limit: 600 s

import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "host"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from domains import define, wait_until_ready, workers_of
from fixtures import tap
from fixtures.warren_daemon import PrivateDaemon

MOUNT = Path("/sys/fs/cgroup")


def require_cgroup() -> None:
    """Mounts the hierarchy where nothing has, as on the emulated host; skips where its controllers are others'."""
    if not (MOUNT / "cgroup.controllers").exists():
        subprocess.run(["mount", "-t", "cgroup2", "none", MOUNT], check=False)
    controllers = MOUNT / "cgroup.controllers"
    if not controllers.exists() or not {"cpu", "memory", "io"} <= set(controllers.read_text().split()):
        print("this host has no cgroup v2 with cpu, memory and io")
        sys.exit(77)


class Limits(unittest.TestCase):
    def group(self, daemon: PrivateDaemon, name: str) -> Path:
        (group,) = MOUNT.rglob("domain-" + daemon.virsh("domuuid", name))
        return group

    def test_of_a_running_domain(self):
        with PrivateDaemon() as daemon:
            define(daemon, "limited", "echo", vcpus=2)
            daemon.virsh("start", "limited")
            wait_until_ready(daemon, "limited")
            group = self.group(daemon, "limited")
            self.assertIn(str(workers_of(daemon)[0]), (group / "cgroup.procs").read_text().split())
            self.assertRegex(daemon.virsh("schedinfo", "limited"), r"cpu_shares\s+: 100\b")
            daemon.virsh("schedinfo", "limited", "--live", "--set", "cpu_shares=300", "--set", "vcpu_quota=50000",
                         "--set", "emulator_quota=20000")
            self.assertEqual((group / "cpu.weight").read_text(), "300\n")
            self.assertEqual((group / "vcpu1/cpu.max").read_text(), "50000 100000\n")
            self.assertEqual(len((group / "vcpu1/cgroup.threads").read_text().split()), 1)
            self.assertEqual((group / "emulator/cpu.max").read_text(), "20000 100000\n")
            daemon.virsh("memtune", "limited", "--live", "--hard-limit", "100000", "--soft-limit", "80000")
            self.assertEqual((group / "memory.max").read_text(), "102400000\n")
            self.assertEqual((group / "memory.high").read_text(), "81920000\n")
            self.assertRegex(daemon.virsh("memtune", "limited"), r"hard_limit\s+: 100000")
            self.check_block_io(daemon, group)
            self.check_nodes(daemon, group)
            daemon.virsh("schedinfo", "limited", "--live", "--set", "vcpu_quota=-1")
            self.assertEqual((group / "vcpu1/cpu.max").read_text(), "max 100000\n")
            # The guest works on with all that.
            wait_until_ready(daemon, "limited")
            daemon.virsh("destroy", "limited")
            self.assertFalse(group.exists())

    def check_block_io(self, daemon: PrivateDaemon, group: Path) -> None:
        """A device's limits come and go; shares need a scheduler that knows them (BFQ)."""
        image = daemon.root / "loop.raw"
        image.write_bytes(bytes(1 << 20))
        device = subprocess.run(["losetup", "--find", "--show", image], check=True, text=True,
                                stdout=subprocess.PIPE).stdout.strip()
        self.addCleanup(subprocess.run, ["losetup", "--detach", device], check=False)
        number = Path("/sys/block", Path(device).name, "dev").read_text().strip()
        daemon.virsh("blkiotune", "limited", "--live", "--device-write-bytes-sec", f"{device},1048576",
                     "--device-read-iops-sec", f"{device},50")
        self.assertEqual((group / "io.max").read_text(), f"{number} rbps=max wbps=1048576 riops=50 wiops=max\n")
        self.assertRegex(daemon.virsh("blkiotune", "limited"), rf"device_write_bytes_sec: {device},1048576")
        daemon.virsh("blkiotune", "limited", "--live", "--device-write-bytes-sec", f"{device},0",
                     "--device-read-iops-sec", f"{device},0")
        self.assertEqual((group / "io.max").read_text(), "")
        weights = [file for file in (group / "io.weight", group / "io.bfq.weight") if file.exists()]
        if weights:
            daemon.virsh("blkiotune", "limited", "--live", "--weight", "300")
            self.assertIn("default 300", weights[0].read_text())
        else:
            with self.assertRaisesRegex(RuntimeError, "weight"):
                daemon.virsh("blkiotune", "limited", "--live", "--weight", "300")

    def check_nodes(self, daemon: PrivateDaemon, group: Path) -> None:
        daemon.virsh("numatune", "limited", "--live", "--nodeset", "0")
        self.assertEqual((group / "cpuset.mems").read_text(), "0\n")
        self.assertRegex(daemon.virsh("numatune", "limited"), r"numa_nodeset\s*:\s*0")

    def test_of_a_definition(self):
        with PrivateDaemon() as daemon:
            define(daemon, "defined", "echo",
                   actions="<cputune><shares>250</shares><global_quota>90000</global_quota></cputune>"
                           "<memtune><hard_limit unit='KiB'>200000</hard_limit></memtune>")
            daemon.virsh("start", "defined")
            wait_until_ready(daemon, "defined")
            group = self.group(daemon, "defined")
            self.assertEqual((group / "cpu.weight").read_text(), "250\n")
            self.assertEqual((group / "cpu.max").read_text(), "90000 100000\n")
            self.assertEqual((group / "memory.max").read_text(), "204800000\n")
            daemon.virsh("destroy", "defined")


if __name__ == "__main__":
    require_cgroup()
    subprocess.run(["/sbin/modprobe", "-a", "loop", "bfq"], check=False)
    tap.main()
