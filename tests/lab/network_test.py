#!/usr/bin/python3
"""A guest on a tap of two queues, which its driver spreads packets over, pings the host and moves 100 MB over TCP each way
with intact checksums."""
# time limit: 600 s

import hashlib
import os
import socket
import subprocess
import sys
import threading
import time
import unittest
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fixtures import tap
from fixtures.linux_guest import LinuxGuest, private_daemon
from fixtures.linux_guest import tap as tap_device

BYTES = 100 * 1000 * 1000
HOST, GUEST = "192.0.2.1", "192.0.2.2"  # TEST-NET-1 (RFC 5737)
TRANSFER_LIMIT = 300.0  # seconds: what hangs; how fast it is, is no matter here


class Network(unittest.TestCase):
    NEGOTIATED = {22: "several queues", 60: "receive-side scaling"}  # by bit (virtio 1.3, 5.1.3)

    @classmethod
    def setUpClass(cls):
        cls.daemon = private_daemon()
        cls.addClassCleanup(cls.daemon.__exit__)
        cls.daemon.start()
        interface = tap_device("labtap1").replace("</interface>", "<driver queues='2' rss='on'/></interface>")
        cls.guest = LinuxGuest(cls.daemon, vcpus=2, memory_mib=512, devices=interface, arguments=f"warren.address={GUEST}/24")
        cls.guest.define()
        cls.console = cls.guest.start_with_console()
        cls.addClassCleanup(cls.console.close)
        subprocess.run(["ip", "address", "add", f"{HOST}/24", "dev", "labtap1"], check=True)
        subprocess.run(["ip", "link", "set", "labtap1", "up"], check=True)

    def test_1_ping_both_ways(self):
        self.assertIn("3 packets received", self.console.run(f"ping -c 3 {HOST}"))
        ping = subprocess.run(["ping", "-c", "3", "-W", "5", GUEST], text=True, stdout=subprocess.PIPE)
        self.assertIn("3 received", ping.stdout)

    def serve(self, connection_handler) -> int:
        listener = socket.create_server((HOST, 0))
        listener.settimeout(TRANSFER_LIMIT)

        def accept() -> None:
            with listener, listener.accept()[0] as connection:
                connection.settimeout(TRANSFER_LIMIT)
                connection_handler(connection)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        self.addCleanup(thread.join, TRANSFER_LIMIT)
        return listener.getsockname()[1]

    def test_2_tcp_both_ways(self):
        block = os.urandom(1 << 20)
        data = (block * (BYTES // len(block) + 1))[:BYTES]
        expected = hashlib.md5(data).hexdigest()
        port = self.serve(lambda connection: connection.sendall(data))
        begun = time.monotonic()
        self.console.run(f"nc {HOST} {port} > /tmp/data", TRANSFER_LIMIT)
        print(f"# 100 MB to the guest in {time.monotonic() - begun:.1f} s")
        self.assertEqual(self.console.run("wc -c < /tmp/data"), str(BYTES))
        self.assertEqual(self.console.run("md5sum < /tmp/data", TRANSFER_LIMIT).split()[0], expected)

        # By sendfile(): nc writes a KiB at a time, which measures the emulated host and not the device.
        self.console.run("httpd -h /tmp")
        received = hashlib.md5()
        begun = time.monotonic()
        with urllib.request.urlopen(f"http://{GUEST}/data", timeout=TRANSFER_LIMIT) as file:
            while part := file.read(1 << 18):
                received.update(part)
        print(f"# 100 MB from the guest in {time.monotonic() - begun:.1f} s")
        self.assertEqual(received.hexdigest(), expected)

    def test_3_counters(self):
        statistics = self.daemon.virsh("domifstat", "debian", "labtap1")
        figures = {line.split()[1]: int(line.split()[2]) for line in statistics.splitlines()}
        self.assertGreater(figures["rx_bytes"], BYTES)
        self.assertGreater(figures["tx_bytes"], BYTES)
        self.assertEqual(figures["rx_errs"] + figures["tx_errs"], 0)

    def test_4_what_the_driver_has_negotiated(self):
        features = self.console.run("cat /sys/class/net/eth0/device/features")
        self.assertEqual([name for bit, name in self.NEGOTIATED.items() if features[bit] != "1"], [])
        self.assertEqual(self.console.run("ls /sys/class/net/eth0/queues").split(), ["rx-0", "rx-1", "tx-0", "tx-1"])


if __name__ == "__main__":
    tap.main()
