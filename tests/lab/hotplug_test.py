#!/usr/bin/python3
"""Disks, NICs and channels come to and go from a running Debian guest, by stock virsh: the first two through its PCIe
root ports, the last as ports of its virtio-serial controller."""
# time limit: 600 s

import re
import socket
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fixtures import tap
from fixtures.linux_guest import LinuxGuest, private_daemon

MAC = "52:54:00:00:00:42"
PORTS = "<controller type='pci' model='pcie-root-port'/>" * 4 + "<controller type='virtio-serial'/>"
CHANNEL = "org.example.hot"


def wait_for(console, command: str, expected: str, limit: float = 60.0) -> None:
    """Until the guest prints `expected` for the command; devices take their time to come and go."""
    deadline = time.monotonic() + limit
    while (now := console.run(command + "; true").strip()) != expected:
        if time.monotonic() > deadline:
            raise AssertionError(f"{command} still says '{now}', not '{expected}'")
        time.sleep(0.5)


class HotPlug(unittest.TestCase):
    def gone(self, guest: LinuxGuest, text: str, limit: float = 60.0) -> None:
        deadline = time.monotonic() + limit
        while text in guest.daemon.virsh("dumpxml", guest.name):
            self.assertLess(time.monotonic(), deadline, f"{text} is still in the definition")
            time.sleep(0.2)

    def test_devices_come_and_go(self):
        with private_daemon() as daemon:
            guest = LinuxGuest(daemon, devices=PORTS)
            guest.define()
            image = Path(daemon.root, "hot.raw")
            image.write_bytes(b"\x5a" * (8 << 20))
            image.chmod(0o666)
            with guest.start_with_console() as console:
                wait_for(console, "ls /sys/block | grep -c vd", "0")
                daemon.virsh("attach-disk", guest.name, str(image), "vdb", "--targetbus", "virtio", "--live")
                wait_for(console, "ls /sys/block | grep vd", "vda")
                self.assertIn("vda", console.run("lsblk -n -o NAME,SIZE"))
                # Reads what the host wrote, and the host reads what it writes.
                wait_for(console, "dd if=/dev/vda bs=4096 count=1 2>/dev/null | tr -d Z | wc -c", "0")
                console.run("echo of-the-guest | dd of=/dev/vda bs=512 seek=9 conv=sync,fsync 2>/dev/null")
                self.assertEqual(image.read_bytes()[9 * 512:9 * 512 + 12], b"of-the-guest")
                self.assertIn("vdb", daemon.virsh("domblklist", guest.name))
                daemon.virsh("detach-disk", guest.name, "vdb", "--live")
                wait_for(console, "ls /sys/block | grep -c vd", "0")
                self.gone(guest, "vdb")
                self.check_interface(guest, console)
                self.check_channel(guest, console)
            if hasattr(daemon, "kill"):
                self.check_without_the_daemon(guest, image)

    def check_interface(self, guest: LinuxGuest, console) -> None:
        daemon = guest.daemon
        nic = Path(daemon.root, "nic.xml")
        nic.write_text(f"<interface type='ethernet'><mac address='{MAC}'/><target dev='hotnic0'/>"
                       "<model type='virtio'/></interface>")
        daemon.virsh("attach-device", guest.name, str(nic), "--live")
        wait_for(console, f"ip -o link | grep -c {MAC}", "1")
        console.run("ip link set eth0 up")
        wait_for(console, "cat /sys/class/net/eth0/carrier", "1")
        daemon.virsh("domif-setlink", guest.name, MAC, "down")
        wait_for(console, "cat /sys/class/net/eth0/carrier", "0")
        daemon.virsh("domif-setlink", guest.name, MAC, "up")
        wait_for(console, "cat /sys/class/net/eth0/carrier", "1")
        daemon.virsh("detach-interface", guest.name, "ethernet", "--mac", MAC, "--live")
        wait_for(console, f"ip -o link | grep -c {MAC}", "0")
        self.gone(guest, MAC)

    def check_channel(self, guest: LinuxGuest, console) -> None:
        daemon = guest.daemon
        channel = Path(daemon.root, "channel.xml")
        channel.write_text(f"<channel type='unix'><target type='virtio' name='{CHANNEL}'/></channel>")
        names = "cat /sys/class/virtio-ports/*/name 2>/dev/null"
        for _ in range(2):
            daemon.virsh("attach-device", guest.name, str(channel), "--live")
            wait_for(console, names, CHANNEL)
            path = re.search(rf"path='([^']*{CHANNEL})'", daemon.virsh("dumpxml", guest.name))[1]
            console.run("port=$(basename $(grep -l . /sys/class/virtio-ports/*/name | xargs dirname))")
            with socket.socket(socket.AF_UNIX) as program:
                program.settimeout(60)
                program.connect(path)
                console.run("(read -r line; echo \"guest heard $line\") < /dev/$port > /tmp/port & true")
                program.sendall(b"hello\n")
                wait_for(console, "cat /tmp/port", "guest heard hello")
                console.run("echo from-the-guest > /dev/$port")
                self.assertEqual(program.recv(64), b"from-the-guest\n")
            daemon.virsh("detach-device", guest.name, str(channel), "--live")
            self.assertNotIn(CHANNEL, daemon.virsh("dumpxml", guest.name))
            wait_for(console, names, "")

    def check_without_the_daemon(self, guest: LinuxGuest, image: Path) -> None:
        """T14: the daemon is killed between an attach and its detach, and right after that was asked for."""
        daemon = guest.daemon
        daemon.virsh("attach-disk", guest.name, str(image), "vdc", "--targetbus", "virtio", "--live")
        with guest.console() as console:
            wait_for(console, "ls /sys/block | grep vd", "vda")
        daemon.kill()
        daemon.start()
        self.assertIn("vdc", daemon.virsh("domblklist", guest.name))
        daemon.virsh("detach-device-alias", guest.name, "virtio-disk2", "--live")
        daemon.kill()
        time.sleep(10)  # the guest lets go meanwhile
        daemon.start()
        self.gone(guest, "vdc")
        with guest.console() as console:
            wait_for(console, "ls /sys/block | grep -c vd", "0")


if __name__ == "__main__":
    tap.main()
