#!/usr/bin/python3
"""Changes of the devices of a running Debian guest by stock virsh, with the events that tell of them: what is live, what
is kept, what is refused by its name and then leaves both definitions as they were.

The cases follow one guest through its life and run in the order of their names.
"""
# time limit: 900 s

import re
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fixtures import tap
from fixtures.guest_case import GuestCase
from fixtures.linux_guest import LinuxGuest
from fixtures.linux_guest import tap as tap_device

HOST, GUEST = "192.0.2.1", "192.0.2.2"  # TEST-NET-1 (RFC 5737)
PORTS = "<controller type='pci' model='pcie-root-port'/>" * 4
KILOBYTES = 512  # a second
RATE = 4096  # bytes of entropy a second


class LiveChange(GuestCase):
    @classmethod
    def setUpClass(cls):
        root = cls.prepare()
        cls.image = root / "hot.raw"
        cls.image.write_bytes(bytes(4 << 20))
        cls.boot(LinuxGuest(cls.daemon, devices=PORTS + tap_device("labtap4"), arguments=f"warren.address={GUEST}/24"))
        subprocess.run(["ip", "address", "add", f"{HOST}/24", "dev", "labtap4"], check=True)
        subprocess.run(["ip", "link", "set", "labtap4", "up"], check=True)
        cls.mac = cls.daemon.virsh("domiflist", "debian").split()[-1]

    def definitions(self) -> tuple[str, str]:
        return self.virsh("dumpxml", "debian"), self.virsh("dumpxml", "debian", "--inactive")

    def disks(self) -> str:
        return self.in_guest("ls /sys/block | grep vd; true")

    def test_1_a_disk(self):
        xml = self.file("disk.xml", f"<disk type='file' device='disk'><source file='{self.image}'/><target dev='vdb' "
                                    "bus='virtio'/><serial>hot-1</serial><alias name='ua-hot'/></disk>")
        self.virsh("attach-device", "debian", xml, "--live", "--config")
        self.expect_event("device-added", ": ua-hot")
        self.wait("the guest has it", lambda: self.disks() == "vda")
        self.assertEqual(self.in_guest("cat /sys/block/vda/serial"), "hot-1")
        for text in self.definitions():
            self.assertIn("ua-hot", text)
        self.assertIn("already exists", self.refused("attach-device", "debian", xml, "--live"))
        # Only the one; then the other.
        self.virsh("detach-device-alias", "debian", "ua-hot", "--config")
        live, stored = self.definitions()
        self.assertIn("ua-hot", live)
        self.assertNotIn("ua-hot", stored)
        self.virsh("detach-device-alias", "debian", "ua-hot", "--live")
        self.expect_event("device-removed", ": ua-hot")
        self.wait("it is gone", lambda: self.disks() == "")
        self.assertNotIn("ua-hot", self.definitions()[0])

    def test_2_an_entropy_source_with_a_rate(self):
        xml = self.file("rng.xml", f"<rng model='virtio'><rate bytes='{RATE}' period='1000'/>"
                                   "<backend model='random'>/dev/urandom</backend></rng>")
        available = "cat /sys/class/misc/hw_random/rng_available"
        self.assertNotIn("virtio_rng.1", self.in_guest(available))
        self.virsh("attach-device", "debian", xml, "--live")
        self.expect_event("device-added", ": rng1")
        self.wait("the guest has it", lambda: "virtio_rng.1" in self.in_guest(available))
        self.in_guest("echo virtio_rng.1 > /sys/class/misc/hw_random/rng_current")
        begun = time.monotonic()
        amount = 6 * RATE
        self.assertEqual(self.in_guest(f"dd if=/dev/hwrng bs=512 count={amount // 512} 2>/dev/null | wc -c"), str(amount))
        took = time.monotonic() - begun
        print(f"# {amount} bytes at {RATE} a second took {took:.1f} s")
        self.assertGreater(took, amount / RATE - 1.5, "what is given at once is a second's worth")
        self.in_guest("echo virtio_rng.0 > /sys/class/misc/hw_random/rng_current")
        begun = time.monotonic()
        self.in_guest(f"dd if=/dev/hwrng bs=512 count={amount // 512} of=/dev/null 2>/dev/null")
        self.assertLess(time.monotonic() - begun, took / 2, "the other one has no limit")
        self.virsh("detach-device", "debian", xml, "--live")
        self.expect_event("device-removed", ": rng1")
        self.wait("it is gone", lambda: "virtio_rng.1" not in self.in_guest(available))

    def test_3_the_link(self):
        carrier = "cat /sys/class/net/eth0/carrier"
        self.assertEqual(self.in_guest(carrier), "1")
        self.virsh("domif-setlink", "debian", self.mac, "down")
        self.wait("the guest sees it", lambda: self.in_guest(carrier) == "0")
        self.assertEqual(self.virsh("domif-getlink", "debian", self.mac).split()[-1], "down")
        interface = re.search(r"<interface.*?</interface>", self.definitions()[1], re.DOTALL)[0]
        up = interface.replace("</interface>", "<link state='up'/></interface>")
        self.virsh("update-device", "debian", self.file("up.xml", up), "--live")
        self.wait("the guest sees that, too", lambda: self.in_guest(carrier) == "1")
        self.virsh("domif-setlink", "debian", self.mac, "down", "--config")
        live, stored = self.definitions()
        self.assertIn("<link state='down'/>", stored)
        self.assertNotIn("<link state='down'/>", live)
        subprocess.run(["ping", "-c", "1", "-W", "20", GUEST], check=True, stdout=subprocess.DEVNULL)

    def test_4_refusals_name_what_they_are_about(self):
        before = self.definitions()
        interface = re.search(r"<interface.*?</interface>", before[0], re.DOTALL)[0]
        for old, new, named in (("</interface>", "<mtu size='1400'/></interface>", "<mtu>"),
                                ("</interface>", "<driver queues='4'/></interface>", "<driver>"),
                                ("dev='labtap4'", "dev='other0'", "<target>")):
            self.assertIn(old, interface)
            changed = self.file("changed.xml", interface.replace(old, new, 1))
            self.assertIn(f"cannot modify {named} of interface labtap4",
                          self.refused("update-device", "debian", changed, "--live"))
        for xml, named in (("<serial type='null'><target port='1'/></serial>", "serial"),
                           ("<disk><source file='/x'/><target dev='vdb'/><wings/></disk>", "/disk/wings"),
                           ("<channel type='spicevmc'><target type='virtio' name='com.redhat.spice.0'/></channel>", "spicevmc"),
                           ("<disk type='file' device='disk'><source file='/missing'/><target dev='vdb' bus='virtio'/></disk>",
                            "/missing")):
            file = self.file("refused.xml", xml)
            self.assertIn(named, self.refused("attach-device", "debian", file, "--live", "--config"))
        self.assertIn("no device found with alias ua-none",
                      self.refused("detach-device-alias", "debian", "ua-none", "--live"))
        self.assertEqual(self.definitions(), before)

    def test_5_bandwidth(self):
        """What is sent to the guest, and what it sends, is shaped by the host."""
        def measure(to_guest: bool) -> float:
            seconds = 5
            taken = [0]
            with socket.create_server((HOST, 0)) as listener:
                listener.settimeout(60)
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)  # what lies there was not sent yet

                def serve() -> None:
                    with listener.accept()[0] as connection:
                        connection.settimeout(60)
                        begun, first = time.monotonic(), None
                        while (now := time.monotonic() - begun) < 2 + seconds:
                            if first is None and now > 2:  # bursts are over
                                first = taken[0]
                            taken[0] += connection.send(bytes(16384)) if to_guest else len(connection.recv(65536))
                        taken[0] -= first or 0

                thread = threading.Thread(target=serve)
                thread.start()
                stream = "> /dev/null" if to_guest else "< /dev/zero"
                self.in_guest(f"nc {HOST} {listener.getsockname()[1]} {stream} 2>/dev/null; true", limit=90)
                thread.join()
            return taken[0] / seconds / 1024

        self.virsh("domiftune", "debian", "labtap4", "--live", "--inbound", f"{KILOBYTES},{KILOBYTES},64",
                   "--outbound", f"{KILOBYTES},{KILOBYTES},64")
        self.assertRegex(self.virsh("domiftune", "debian", "labtap4"), rf"inbound\.average\s*: {KILOBYTES}\b")
        for to_guest in (True, False):
            rate = measure(to_guest)
            print(f"# {'to' if to_guest else 'from'} the guest: {rate:.0f} of {KILOBYTES} KiB a second")
            self.assertLess(rate, KILOBYTES * 1.1)
            self.assertGreater(rate, KILOBYTES * 0.25, "a policed stream loses packets, and TCP slows down")
        self.virsh("domiftune", "debian", "labtap4", "--live", "--inbound", "0", "--outbound", "0")
        self.assertGreater(measure(True), KILOBYTES * 1.5, "it is free again")
        received = int(re.search(r"rx_bytes (\d+)", self.virsh("domifstat", "debian", "labtap4"))[1])
        self.assertGreater(received, KILOBYTES << 10)

    def test_6_iothreads(self):
        """A disk on a thread that came while the guest runs."""
        self.virsh("iothreadadd", "debian", "7", "--live")
        self.assertRegex(self.virsh("iothreadinfo", "debian"), r"^\s*7\s+0")
        self.virsh("iothreadpin", "debian", "7", "0", "--live")
        self.virsh("emulatorpin", "debian", "0", "--live")
        self.virsh("vcpupin", "debian", "0", "0", "--live")
        self.expect_event("tunable", r":\s+cputune\.vcpupin0: 0\b")
        xml = self.file("threaded.xml", "<disk type='file' device='disk'><driver name='qemu' type='raw' iothread='7'/>"
                                        f"<source file='{self.image}'/><target dev='vdc' bus='virtio'/></disk>")
        self.virsh("attach-device", "debian", xml, "--live")
        self.wait("the guest has it", lambda: self.disks() == "vda")
        self.in_guest("dd if=/dev/urandom of=/dev/vda bs=64k count=16 oflag=direct 2>/dev/null")
        self.assertIn("used by disk 'vdc'", self.refused("iothreaddel", "debian", "7", "--live"))
        self.virsh("detach-disk", "debian", "vdc", "--live")
        self.wait("it is gone", lambda: self.disks() == "")
        self.virsh("iothreaddel", "debian", "7", "--live")
        self.assertEqual(self.virsh("iothreadinfo", "debian").strip(), "")


if __name__ == "__main__":
    tap.main()
