#!/usr/bin/python3
"""Memory comes to, grows in, shrinks in and goes from a running Debian guest, by stock virsh: virtio-mem and DIMMs."""
# time limit: 1200 s

import re
import sys
import time
import unittest
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "host"))

from domains import Events
from fixtures import tap
from fixtures.linux_guest import LinuxGuest, private_daemon

WAIT = 240.0  # seconds, for what a guest does by itself
BOOT_MIB = 256


def virtio_memory(requested_mib: int) -> str:
    return f"""<memory model='virtio-mem'><target><size unit='MiB'>512</size><node>0</node><block unit='MiB'>2</block>
        <requested unit='MiB'>{requested_mib}</requested></target></memory>"""


DIMM = "<memory model='dimm'><target><size unit='MiB'>256</size><node>0</node></target></memory>"


class Memory(unittest.TestCase):
    def define(self) -> LinuxGuest:
        guest = LinuxGuest(self.daemon, memory_mib=BOOT_MIB, arguments="memhp_default_state=online_movable")
        guest.xml = guest.xml.replace("<memory unit='MiB'>",
                                      "<maxMemory slots='4' unit='GiB'>4</maxMemory><memory unit='MiB'>")
        guest.xml = guest.xml.replace("<cpu mode='host-passthrough'/>", f"""<cpu mode='host-passthrough'><numa>
            <cell id='0' cpus='0' memory='{BOOT_MIB}' unit='MiB'/></numa></cpu>""")
        guest.define()
        return guest

    def wait(self, what: str, look: Callable[[], bool]) -> None:
        end = time.monotonic() + WAIT
        while not look():
            self.assertLess(time.monotonic(), end, what)
            time.sleep(1)

    def total(self) -> int:
        """What the guest says it has, in MiB."""
        return int(self.console.run("awk '/MemTotal/ {print int($2/1024)}' /proc/meminfo"))

    def current(self) -> int:
        """What the host says the guest has of its virtio memory, in MiB."""
        return int(re.search("<current unit='KiB'>(\\d+)<", self.daemon.virsh("dumpxml", "debian"))[1]) >> 10

    def devices(self) -> int:
        return self.daemon.virsh("dumpxml", "debian").count("<memory model=")

    def file(self, xml: str) -> str:
        path = self.daemon.root / "memory.xml"
        path.write_text(xml)
        return str(path)

    def let_go(self, *command: str) -> None:
        """Of a slow guest virsh may not wait for the end."""
        self.daemon.virsh(*command)
        self.wait("the device is gone", lambda: self.devices() == 0)

    def resize(self, mib: int) -> None:
        self.daemon.virsh("update-memory-device", "debian", "--live", "--requested-size", f"{mib}MiB")
        self.wait(f"the guest has {mib} MiB", lambda: self.current() == mib)

    def test_virtio_memory(self):
        with private_daemon() as self.daemon:
            guest = self.define()
            with guest.start_with_console() as self.console, Events(self.daemon) as events:
                base = self.total()
                self.daemon.virsh("attach-device", "debian", self.file(virtio_memory(256)), "--live")
                self.wait("the guest has 256 MiB", lambda: self.current() == 256)
                events._terminal.expect("event 'memory-device-size-change' for domain 'debian'")
                self.wait("it uses them", lambda: self.total() >= base + 240)
                self.assertIn(f"{(BOOT_MIB + 256) << 10} KiB", self.daemon.virsh("dominfo", "debian"))
                self.console.run("mount -t tmpfs -o size=300m fill /mnt && "
                                 "dd if=/dev/zero of=/mnt/filled bs=1M count=250 && umount /mnt")
                with self.assertRaisesRegex(RuntimeError, "requested size is not 0"):
                    self.daemon.virsh("detach-device", "debian", self.file(virtio_memory(256)), "--live")
                self.resize(384)
                self.resize(128)
                # Another daemon finds it as it is.
                before = self.daemon.virsh("dumpxml", "debian")
                self.daemon.kill()
                self.daemon.start()
                self.assertEqual(self.daemon.virsh("dumpxml", "debian"), before)
            with guest.console() as self.console:
                # A guest that starts again plugs what it is asked for again.
                self.daemon.virsh("reset", "debian")
                guest.wait_until_up(self.console)
                self.wait("the guest has 128 MiB", lambda: self.current() == 128 and self.total() >= base + 112)
                self.resize(0)
                self.let_go("detach-device", "debian", self.file(virtio_memory(0)), "--live")
                self.assertLessEqual(self.total(), base + 8)

    def test_modules(self):
        with private_daemon() as self.daemon:
            guest = self.define()
            with guest.start_with_console() as self.console:
                base = self.total()
                self.daemon.virsh("attach-device", "debian", self.file(DIMM), "--live", "--config")
                self.assertRegex(self.daemon.virsh("dumpxml", "debian"),
                                 "<address type='dimm' slot='0' base='0x[0-9a-f]+'/>")
                self.wait("the guest uses the module", lambda: self.total() >= base + 240)
                self.daemon.virsh("reset", "debian")
                guest.wait_until_up(self.console)
                self.wait("and after a reset", lambda: self.total() >= base + 240)
                self.let_go("detach-device", "debian", self.file(DIMM), "--live", "--config")
                self.assertLessEqual(self.total(), base + 8)
                # And again.
                self.daemon.virsh("attach-device", "debian", self.file(DIMM), "--live")
                self.wait("the guest uses another", lambda: self.total() >= base + 240)


if __name__ == "__main__":
    tap.main()
