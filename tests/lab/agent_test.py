#!/usr/bin/python3
"""Debian's qemu-guest-agent in a Linux guest, asked by every command of stock virsh that needs it.

The cases follow one guest through its life and run in the order of their names.
"""
# time limit: 900 s

import json
import re
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

DISK_BYTES = 64 << 20
HOST, GUEST = "192.0.2.1", "192.0.2.2"  # TEST-NET-1 (RFC 5737)
KEYS = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExample0 one@example.org",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExample1 two@example.org"]


class Agent(DaemonCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = private_daemon()
        cls.addClassCleanup(cls.daemon.__exit__)
        cls.daemon.start()
        cls.image = cls.daemon.root / "disk.raw"
        with cls.image.open("wb") as file:
            file.truncate(DISK_BYTES)
        subprocess.run(["/sbin/mkfs.ext4", "-q", cls.image], check=True)
        devices = disk(cls.image) + tap_device("labtap2") + AGENT_CHANNEL
        cls.guest = LinuxGuest(cls.daemon, vcpus=2, devices=devices, arguments=f"warren.address={GUEST}/24 nohibernate",
                               with_agent=True)
        cls.guest.xml = cls.guest.xml.replace("<devices>", "<pm><suspend-to-mem enabled='no'/></pm><devices>")
        cls.guest.define()
        cls.events = Terminal(["virsh", "-c", cls.daemon.uri, "event", "--event", "agent-lifecycle", "--loop"], 240)
        cls.addClassCleanup(cls.events.close)
        time.sleep(2)  # it says nothing when it has registered
        cls.console = cls.guest.start_with_console()
        cls.addClassCleanup(lambda: cls.console.close())
        subprocess.run(["ip", "address", "add", f"{HOST}/24", "dev", "labtap2"], check=True)
        subprocess.run(["ip", "link", "set", "labtap2", "up"], check=True)
        cls.console.run("mount -t ext4 /dev/vda /mnt")

    def virsh(self, *arguments) -> str:
        return self.daemon.virsh(*arguments, limit=120)

    def said(self, *arguments) -> str:
        """What virsh says when it is not told to be quiet."""
        return subprocess.run(["virsh", "-c", self.daemon.uri, *arguments], check=True, text=True, timeout=120,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE).stdout.strip()

    def expect_agent(self, state: str, reason: str = "channel event") -> None:
        self.events.expect(f"event 'agent-lifecycle' for domain '?debian'?: state: '{state}' reason: '{reason}'")

    def test_01_it_is_there(self):
        self.expect_agent("disconnected", "domain started")
        self.expect_agent("connected")
        self.assertRegex(self.virsh("dumpxml", "debian"), r"name='org\.qemu\.guest_agent\.0' state='connected'")
        reply = json.loads(self.virsh("qemu-agent-command", "debian", '{"execute": "guest-info"}'))
        self.assertIn("guest-ping", [command["name"] for command in reply["return"]["supported_commands"]])
        self.assertIn("has not been found", self.refused("qemu-agent-command", "debian", '{"execute": "guest-no"}'))

    def test_02_names_and_addresses(self):
        self.assertEqual(self.virsh("domhostname", "debian", "--source", "agent"), "guest")
        mac = self.virsh("domiflist", "debian").split()[-1]
        shown = self.virsh("domifaddr", "debian", "--source", "agent")
        self.assertRegex(shown, rf"eth0\s+{mac}\s+ipv4\s+{GUEST}/24")
        self.assertRegex(shown, r"lo\s+00:00:00:00:00:00\s+ipv4\s+127\.0\.0\.1/8")
        subprocess.run(["ping", "-c", "1", "-W", "20", GUEST], check=True, stdout=subprocess.DEVNULL)
        self.assertRegex(self.virsh("domifaddr", "debian", "--source", "arp"), rf"labtap2\s+{mac}\s+ipv4\s+{GUEST}/0")
        self.assertNotIn(mac, self.virsh("domifaddr", "debian", "--source", "lease"))
        self.assertIn("no DHCP lease", self.refused("domhostname", "debian", "--source", "lease"))

    def test_03_guestinfo(self):
        facts = dict(line.split(":", 1) for line in self.virsh("guestinfo", "debian").splitlines() if ":" in line)
        facts = {name.strip(): value.strip() for name, value in facts.items()}
        self.assertEqual(facts["hostname"], "guest")
        self.assertEqual(facts["os.machine"], "x86_64")
        self.assertEqual(facts["os.kernel-release"], self.console.run("uname -r"))
        self.assertEqual(facts["user.count"], "0")
        self.assertIn("timezone.offset", facts)
        place = next(name for name, value in facts.items() if name.endswith(".mountpoint") and value == "/mnt")[:-11]
        self.assertEqual((facts[f"{place}.fstype"], facts[f"{place}.disk.0.alias"]), ("ext4", "vda"))
        self.assertIn("vda", [value for name, value in facts.items() if re.fullmatch(r"disk\.\d+\.alias", name)])
        self.assertIn("eth0", [value for name, value in facts.items() if re.fullmatch(r"if\.\d+\.name", name)])
        self.assertNotIn("hostname", self.virsh("guestinfo", "debian", "--os"))

    def test_04_file_systems(self):
        self.assertRegex(self.virsh("domfsinfo", "debian"), r"/mnt\s+vda\s+ext4\s+vda")
        self.addCleanup(self.daemon.virsh, "domfsthaw", "debian", check=False)
        self.assertEqual(self.said("domfsfreeze", "debian"), "Froze 1 filesystem(s)")
        self.console.send("(echo frozen > /mnt/file; echo written > /tmp/done) &\n")
        time.sleep(3)
        self.assertEqual(self.console.run("ls /tmp/done 2>/dev/null; true").replace("\n", ""), "")
        self.assertEqual(self.said("domfsthaw", "debian"), "Thawed 1 filesystem(s)")
        self.console.run("until [ -e /tmp/done ]; do sleep 0.2; done")
        self.assertEqual(self.said("domfsfreeze", "debian", "--mountpoint", "/mnt"), "Froze 1 filesystem(s)")
        self.assertEqual(self.said("domfsthaw", "debian"), "Thawed 1 filesystem(s)")
        self.virsh("domfstrim", "debian")

    def test_05_time(self):
        shown = int(re.search(r"(\d+)", self.virsh("domtime", "debian"))[1])
        self.assertAlmostEqual(shown, int(self.console.run("date +%s")), delta=30)
        self.virsh("domtime", "debian", "--time", "1000000000")
        self.assertAlmostEqual(int(self.console.run("date +%s")), 1000000000, delta=60)
        self.virsh("domtime", "debian", "--now")
        self.assertAlmostEqual(int(self.console.run("date +%s")), time.time(), delta=60)
        self.console.run("date -s @1000000000 > /dev/null")
        self.virsh("domtime", "debian", "--sync")
        self.assertAlmostEqual(int(self.console.run("date +%s")), time.time(), delta=60)

    def test_06_processors(self):
        shown = self.virsh("guestvcpus", "debian")
        self.assertRegex(shown, r"vcpus\s*: 0-1")
        self.assertRegex(shown, r"online\s*: 0-1")
        self.virsh("guestvcpus", "debian", "--cpulist", "1", "--disable")
        self.assertEqual(self.console.run("cat /sys/devices/system/cpu/online"), "0")
        self.assertEqual(self.virsh("vcpucount", "debian", "--guest"), "1")
        self.virsh("setvcpus", "debian", "2", "--guest")
        self.assertEqual(self.console.run("cat /sys/devices/system/cpu/online"), "0-1")
        self.assertEqual(self.virsh("vcpucount", "debian", "--guest"), "2")
        self.assertIn("not present in the guest", self.refused("guestvcpus", "debian", "--cpulist", "7", "--enable"))

    def test_07_users(self):
        self.virsh("set-user-password", "debian", "root", "$6$salt$encrypted", "--encrypted")
        self.assertIn("root:$6$salt$encrypted:", self.console.run("cat /etc/shadow"))
        self.virsh("set-user-password", "debian", "root", "open sesame")
        salt, hashed = re.search(r"root:\$6\$(.+?)\$([^:]+):", self.console.run("cat /etc/shadow")).groups()
        self.assertTrue(self.console.run(f"mkpasswd -m sha512 -S '{salt}' 'open sesame'").endswith(hashed))

    def test_08_ssh_keys(self):
        file = self.daemon.root / "keys"
        file.write_text(KEYS[0] + "\n")
        self.virsh("set-user-sshkeys", "debian", "root", "--file", file)
        file.write_text(KEYS[1] + "\n")
        self.virsh("set-user-sshkeys", "debian", "root", "--file", file)
        # The agent has an order of its own, and this virsh puts no line ends between them.
        self.assertEqual(sorted(re.findall(r"ssh-\S+ \S+ \w+@example\.org", self.virsh("get-user-sshkeys", "debian", "root"))),
                         KEYS)
        file.write_text(KEYS[0] + "\n")
        self.virsh("set-user-sshkeys", "debian", "root", "--file", file, "--remove")
        self.assertEqual(self.virsh("get-user-sshkeys", "debian", "root"), KEYS[1])
        self.virsh("set-user-sshkeys", "debian", "root", "--file", file, "--reset")
        self.assertEqual(self.console.run("cat /root/.ssh/authorized_keys"), KEYS[0])
        self.assertIn("nobody-here", self.refused("get-user-sshkeys", "debian", "nobody-here"))

    def test_09_sleep(self):
        self.assertIn("S3 state is disabled", self.refused("dompmsuspend", "debian", "mem"))
        # A guest that cannot hibernate has its agent say so.
        self.assertIn("suspend mode is not supported", self.refused("dompmsuspend", "debian", "disk"))

    def test_10_a_stopped_agent(self):
        self.virsh("guest-agent-timeout", "debian", "--timeout", "2")
        self.console.run("kill -STOP $(cat /run/qemu-ga.pid)")
        self.assertIn("Guest agent not available for now", self.refused("domhostname", "debian", "--source", "agent"))
        self.console.run("kill -CONT $(cat /run/qemu-ga.pid)")
        self.virsh("guest-agent-timeout", "debian", "--timeout", "60")
        self.assertEqual(self.virsh("domhostname", "debian", "--source", "agent"), "guest")
        self.console.run("kill $(cat /run/qemu-ga.pid)")
        self.expect_agent("disconnected")
        self.assertIn("QEMU guest agent is not connected",
                      self.refused("domhostname", "debian", "--source", "agent"))

    def test_11_reboot(self):
        # Its init starts the agent again.
        self.console.run("qemu-ga -m virtio-serial -p /dev/$(ls /sys/class/virtio-ports) -t /run -d")
        self.expect_agent("connected")
        identity = self.virsh("domid", "debian")
        self.virsh("reboot", "debian", "--mode", "agent")
        self.expect_agent("disconnected")
        self.guest.wait_until_up(self.console)
        self.expect_agent("connected")
        self.assertEqual(self.virsh("domid", "debian"), identity)
        self.assertEqual(self.virsh("domhostname", "debian", "--source", "agent"), "guest")

    def test_12_a_daemon_that_was_killed(self):
        self.daemon.kill()
        self.daemon.start()
        self.assertEqual(self.virsh("domhostname", "debian", "--source", "agent"), "guest")
        self.assertIn("state='connected'", self.virsh("dumpxml", "debian"))

    def test_13_shutdown(self):
        self.virsh("shutdown", "debian", "--mode", "agent")
        self.daemon.wait_for_state("debian", "shut off")


if __name__ == "__main__":
    tap.main()
