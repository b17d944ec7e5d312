#!/usr/bin/python3
"""A guest whose packets the host's kernel moves (vhost-net): TCP both ways, its figures, pause, link, daemon."""
# time limit: 1500 s

import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from fixtures import tap
from fixtures.linux_guest import LinuxGuest, private_daemon
from fixtures.linux_guest import tap as tap_device
from network_test import GUEST, HOST, Network


class VhostNet(Network):
    NEGOTIATED = {22: "several queues"}

    @classmethod
    def setUpClass(cls):
        cls.daemon = private_daemon()
        cls.addClassCleanup(cls.daemon.__exit__)
        cls.daemon.start()
        device = tap_device("labtap1").replace(
            "</interface>", "<driver name='vhost' txmode='iothread' queues='2'/><backend tap='/dev/net/tun' "
                            "vhost='/dev/vhost-net'/></interface>")
        cls.guest = LinuxGuest(cls.daemon, vcpus=2, memory_mib=512, devices=device, arguments=f"warren.address={GUEST}/24")
        cls.guest.define()
        cls.refusal = cls.start_without_module()
        subprocess.run(["modprobe", "vhost_net"], check=True)
        cls.console = cls.guest.start_with_console()
        cls.addClassCleanup(cls.console.close)
        subprocess.run(["ip", "address", "add", f"{HOST}/24", "dev", "labtap1"], check=True)
        subprocess.run(["ip", "link", "set", "labtap1", "up"], check=True)

    @classmethod
    def start_without_module(cls) -> str:
        """What the daemon says where there is no vhost-net; empty when the kernel has it from the start."""
        if Path("/dev/vhost-net").exists():
            return ""
        try:
            cls.daemon.virsh("start", "debian")
        except RuntimeError as refused:
            return str(refused)
        raise AssertionError("a domain started with a vhost-net that is not there")

    def test_0_the_kernel_moves_the_packets(self):
        if self.refusal:
            self.assertIn("cannot open '/dev/vhost-net', which <driver name='vhost'/> asks for", self.refusal)
        worker = subprocess.run(["pgrep", "-x", "warren-vmm"], check=True, capture_output=True, text=True).stdout.split()
        open_files = subprocess.run(["ls", "-l", f"/proc/{worker[0]}/fd"], check=True, capture_output=True, text=True)
        self.assertIn("/dev/vhost-net", open_files.stdout)
        self.assertIn("<driver name='vhost' txmode='iothread' queues='2'/>", self.daemon.virsh("dumpxml", "debian"))
        log = self.daemon.root / "var/log/warren/debian.log"
        self.assertNotIn("the worker moves the packets itself", log.read_text(errors="replace"))

    def test_5_pause_link_and_daemon(self):
        self.daemon.virsh("suspend", "debian")
        self.assertNotIn("1 received", self.ping())
        self.daemon.virsh("resume", "debian")
        self.assertIn("1 received", self.ping())
        self.daemon.virsh("domif-setlink", "debian", "labtap1", "down")
        self.assertNotIn("1 received", self.ping())
        self.daemon.virsh("domif-setlink", "debian", "labtap1", "up")
        self.assertIn("1 received", self.ping())
        self.daemon.kill()
        self.daemon.start()
        self.assertIn("1 received", self.ping())

    @staticmethod
    def ping() -> str:
        words = ["ping", "-c", "1", "-W", "10", GUEST]
        return subprocess.run(words, text=True, stdout=subprocess.PIPE).stdout


del Network  # its own tests are run by its own file

if __name__ == "__main__":
    tap.main()
