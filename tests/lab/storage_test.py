#!/usr/bin/python3
"""Storage pools on what they are for, by stock virsh: a file system on a device, an NFS server, LVM, partition tables and
an iSCSI target, with the real kernel and real servers of the emulated host; and a server that hangs."""
# time limit: 900 s

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fixtures import tap
from fixtures.daemon_case import DaemonCase
from fixtures.warren_daemon import PrivateDaemon

MEBIBYTE = 1 << 20
IQN = "iqn.2026-01.example.warren:disk"


def run(*words: object, check: bool = True) -> str:
    result = subprocess.run([str(word) for word in words], text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, check=False)
    if check and result.returncode:
        raise RuntimeError(f"{words}: {result.stdout}")
    return result.stdout.strip()


class Storage(DaemonCase):
    @classmethod
    def setUpClass(cls):
        run("modprobe", "-a", "loop", "dm-mod", "dm-snapshot", "nfsd", "nfs", "nfsv4", "iscsi_tcp", "sd_mod")
        cls.daemon = PrivateDaemon()
        cls.addClassCleanup(cls.daemon.__exit__)
        cls.daemon.__enter__()
        # Not on an overlay, which is neither exported nor fit for everything else here.
        cls.space = cls.daemon.root / "space"
        cls.space.mkdir()
        run("mount", "-t", "tmpfs", "-o", "size=1g", "tmpfs", cls.space)
        cls.addClassCleanup(lambda: run("umount", "-l", cls.space, check=False))

    def tearDown(self):
        for name in self.virsh("pool-list", "--name").split():
            self.daemon.virsh("pool-destroy", name, check=False)
        for name in self.virsh("pool-list", "--all", "--name").split():
            self.daemon.virsh("pool-undefine", name, check=False)

    def virsh(self, *arguments: object) -> str:
        return self.daemon.virsh(*arguments, limit=240)

    def device(self, name: str, mebibytes: int = 64) -> str:
        file = self.space / name
        with file.open("wb") as image:
            image.truncate(mebibytes * MEBIBYTE)
        device = run("losetup", "--find", "--show", "--partscan", file)
        self.addCleanup(lambda: run("losetup", "--detach", device, check=False))
        return device

    def through_its_life(self, pool: str, size: str = "8M", name: str = "a") -> None:
        """Data goes into a volume of a running pool and comes back, also of a clone."""
        self.virsh("vol-create-as", pool, name, size)
        source, back = self.space / "source", self.space / "back"
        source.write_bytes(os.urandom(2 * MEBIBYTE))
        self.virsh("vol-upload", name, source, "--pool", pool)
        self.virsh("vol-clone", name, "b", "--pool", pool)
        self.virsh("pool-refresh", pool)
        self.virsh("vol-download", "b", back, "--pool", pool, "--length", 2 * MEBIBYTE)
        self.assertEqual(back.read_bytes(), source.read_bytes())
        self.virsh("vol-wipe", "b", "--pool", pool)
        self.virsh("vol-download", "b", back, "--pool", pool, "--length", 2 * MEBIBYTE)
        self.assertEqual(back.read_bytes(), bytes(2 * MEBIBYTE))
        for volume in (name, "b"):
            self.virsh("vol-delete", volume, "--pool", pool)

    def test_file_system(self):
        device, target = self.device("fs"), self.space / "fs-target"
        self.virsh("pool-define-as", "fs", "fs", "--source-dev", device, "--source-format", "ext4", "--target", target)
        self.virsh("pool-build", "fs", "--no-overwrite")
        self.assertIn("already formatted", self.refused("pool-build", "fs", "--no-overwrite"))
        self.virsh("pool-build", "fs", "--overwrite")
        self.virsh("pool-start", "fs")
        self.assertIn(f"{device} {target} ext4", Path("/proc/mounts").read_text())
        self.through_its_life("fs")
        self.daemon.kill()
        self.daemon.start()
        self.assertRegex(self.virsh("pool-info", "fs"), r"State:\s+running")
        self.assertIn("No space left", self.refused("vol-create-as", "fs", "large", "1G"))
        self.assertEqual([name for name in os.listdir(target) if name != "lost+found"], [])
        self.virsh("pool-destroy", "fs")
        self.assertNotIn(str(target), Path("/proc/mounts").read_text())

    def test_logical_volumes(self):
        # There is no udev that would make the nodes.
        Path("/etc/lvm/lvmlocal.conf").write_text("activation { udev_sync = 0\n udev_rules = 0 }\n")
        device = self.device("lvm", 128)
        self.virsh("pool-define-as", "vg", "logical", "--source-dev", device, "--source-name", "warrenvg")
        self.virsh("pool-build", "vg")
        self.virsh("pool-start", "vg")
        self.assertIn("warrenvg", self.virsh("find-storage-pool-sources", "logical"))
        self.assertIn("warrenvg", self.virsh("find-storage-pool-sources-as", "logical"))
        self.through_its_life("vg")
        self.virsh("vol-create-as", "vg", "grows", "8M")
        self.virsh("vol-resize", "grows", "16M", "--pool", "vg")
        self.assertRegex(self.virsh("vol-info", "grows", "--pool", "vg"), r"Capacity:\s+16.00 MiB")
        shown = self.virsh("vol-dumpxml", "grows", "--pool", "vg")
        self.assertIn(f"<device path='{device}'>", shown)
        self.virsh("vol-create-as", "vg", "snap", "8M", "--backing-vol", "grows")
        self.virsh("vol-delete", "snap", "--pool", "vg")
        self.virsh("vol-delete", "grows", "--pool", "vg")
        self.virsh("pool-destroy", "vg")
        self.virsh("pool-delete", "vg")
        self.assertNotIn("warrenvg", run("vgs"))

    def test_partitions(self):
        device = self.device("disk")
        self.virsh("pool-define-as", "disk", "disk", "--source-dev", device, "--source-format", "gpt", "--target", "/dev")
        self.virsh("pool-build", "disk")
        self.assertIn("already formatted", self.refused("pool-build", "disk", "--no-overwrite"))
        self.virsh("pool-start", "disk")
        self.virsh("vol-create-as", "disk", "whatever", "8M")
        name = os.path.basename(device) + "p1"
        self.assertIn(name, self.virsh("vol-list", "disk"))
        self.assertIn("<freeExtent", self.virsh("pool-dumpxml", "disk"))
        source, back = self.space / "part", self.space / "part-back"
        source.write_bytes(os.urandom(MEBIBYTE))
        self.virsh("vol-upload", name, source, "--pool", "disk")
        self.virsh("vol-download", name, back, "--pool", "disk", "--length", MEBIBYTE)
        self.assertEqual(back.read_bytes(), source.read_bytes())
        self.virsh("vol-delete", name, "--pool", "disk")
        self.assertNotIn(name, self.virsh("vol-list", "disk"))
        self.assertIn("no large enough free extent", self.refused("vol-create-as", "disk", "x", "1G"))
        self.virsh("pool-destroy", "disk")
        self.virsh("pool-delete", "disk")
        self.assertNotIn("PTTYPE", run("/sbin/blkid", "-p", device, check=False))
        self.virsh("pool-build", "disk", "--no-overwrite")

    def export(self) -> Path:
        exported = self.space / "export"
        exported.mkdir(exist_ok=True)
        run("ip", "link", "set", "lo", "up")
        run("mount", "-t", "nfsd", "nfsd", "/proc/fs/nfsd", check=False)
        run("mount", "-t", "tmpfs", "tmpfs", "/var/lib/nfs", check=False)
        for folder in ("v4recovery", "sm", "rpc_pipefs"):
            Path("/var/lib/nfs", folder).mkdir(exist_ok=True)
        for file in ("etab", "rmtab"):
            Path("/var/lib/nfs", file).touch()
        mountd = subprocess.Popen(["/usr/sbin/rpc.mountd", "--foreground", "-N", "3"], stdin=subprocess.DEVNULL)
        self.addCleanup(lambda: (mountd.kill(), mountd.wait()))
        run("/usr/sbin/exportfs", "-o", "rw,no_root_squash,fsid=0,insecure,no_subtree_check", f"127.0.0.1:{exported}")
        run("/usr/sbin/rpc.nfsd", "-N", "3", "2")
        self.addCleanup(lambda: run("/usr/sbin/rpc.nfsd", "0", check=False))
        return exported

    def test_nfs_and_a_server_that_hangs(self):
        exported = self.export()
        target = self.space / "nfs-target"
        file = self.space / "nfs.xml"
        file.write_text("<pool type='netfs' xmlns:fs='http://libvirt.org/schemas/storagepool/fs/1.0'><name>nfs</name>"
                        "<source><host name='127.0.0.1'/><dir path='/'/><format type='nfs'/><protocol ver='4.2'/></source>"
                        f"<target><path>{target}</path></target>"
                        "<fs:mount_opts><fs:option name='timeo=600'/><fs:option name='hard'/></fs:mount_opts></pool>")
        self.virsh("pool-define", file)
        self.virsh("pool-build", "nfs")
        self.virsh("pool-start", "nfs")
        self.through_its_life("nfs")
        (exported / "there.img").touch()
        self.virsh("pool-refresh", "nfs")
        self.assertIn("there.img", self.virsh("vol-list", "nfs"))
        # The server goes away; whatever asks it waits for good.
        run("ip", "link", "set", "lo", "down")
        (self.space / "other").mkdir()
        refused: list[str] = []
        waiting = threading.Thread(target=lambda: refused.append(self.refused("pool-refresh", "nfs")))
        try:
            waiting.start()
            time.sleep(2)
            began = time.monotonic()
            self.virsh("pool-define-as", "other", "dir", "--target", self.space / "other")
            self.virsh("pool-start", "other")
            self.virsh("vol-create-as", "other", "a", "1M")
            self.assertIn("there.img", self.virsh("vol-list", "nfs"))
            self.virsh("list", "--all")
            self.assertLess(time.monotonic() - began, 20)
            waiting.join(150)
            self.assertFalse(waiting.is_alive())
            self.assertIn("did not answer", refused[0])
            self.assertRegex(self.virsh("pool-info", "nfs"), r"State:\s+running")
        finally:
            run("ip", "link", "set", "lo", "up")
        self.virsh("pool-refresh", "nfs")
        self.virsh("pool-destroy", "nfs")

    def test_iscsi(self):
        run("ip", "link", "set", "lo", "up")
        image = self.space / "iscsi.img"
        with image.open("wb") as file:
            file.truncate(16 * MEBIBYTE)
        servers = [subprocess.Popen(["/usr/sbin/tgtd", "-f"], stdin=subprocess.DEVNULL),
                   subprocess.Popen(["/usr/sbin/iscsid", "-f"], stdin=subprocess.DEVNULL)]
        self.addCleanup(lambda: [(server.send_signal(signal.SIGKILL), server.wait()) for server in servers])
        deadline = time.monotonic() + 20
        while "refused" in run("tgtadm", "--lld", "iscsi", "--mode", "target", "--op", "show", check=False) or \
                subprocess.run(["tgtadm", "--lld", "iscsi", "--mode", "target", "--op", "show"], check=False,
                               capture_output=True).returncode:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.5)
        run("tgtadm", "--lld", "iscsi", "--mode", "target", "--op", "new", "--tid", "1", "--targetname", IQN)
        run("tgtadm", "--lld", "iscsi", "--mode", "logicalunit", "--op", "new", "--tid", "1", "--lun", "1",
            "--backing-store", image)
        run("tgtadm", "--lld", "iscsi", "--mode", "target", "--op", "bind", "--tid", "1", "--initiator-address", "ALL")
        found = self.virsh("find-storage-pool-sources-as", "iscsi", "127.0.0.1")
        self.assertIn(IQN, found)
        self.virsh("pool-define-as", "iscsi", "iscsi", "--source-host", "127.0.0.1", "--source-dev", IQN, "--target", "/dev")
        self.virsh("pool-start", "iscsi")
        deadline = time.monotonic() + 30
        while not (name := re.search(r"unit:\d+:\d+:1", self.virsh("vol-list", "iscsi"))):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(1)
            self.virsh("pool-refresh", "iscsi")
        source, back = self.space / "unit", self.space / "unit-back"
        source.write_bytes(os.urandom(MEBIBYTE))
        self.virsh("vol-upload", name[0], source, "--pool", "iscsi")
        self.virsh("vol-download", name[0], back, "--pool", "iscsi", "--length", MEBIBYTE)
        self.assertEqual(back.read_bytes(), source.read_bytes())
        self.assertRegex(self.virsh("vol-info", name[0], "--pool", "iscsi"), r"Capacity:\s+16.00 MiB")
        self.assertIn("does not support volume creation", self.refused("vol-create-as", "iscsi", "x", "1M"))
        self.virsh("pool-destroy", "iscsi")
        self.assertNotIn(IQN, run("iscsiadm", "--mode", "session", check=False))


if __name__ == "__main__":
    # It takes the loopback interface down, and runs servers.
    if not os.environ.get("WARREN_IN_LAB"):
        print("only on an emulated host")
        sys.exit(77)
    tap.main()
