#!/usr/bin/python3
"""Keyboards, mice and tablets of a Debian guest, by stock virsh: keys and motion that it reads from /dev/input, devices
that come and go, and one of the host that it is given."""
# time limit: 600 s

import contextlib
import fcntl
import json
import os
import struct
import subprocess
import sys
import time
import unittest
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fixtures import tap
from fixtures.linux_guest import LinuxGuest
from fixtures.warren_daemon import PrivateDaemon

PORTS = "<controller type='pci' model='pcie-root-port'/>" * 6
DEVICES = "<input type='tablet' bus='virtio'/><input type='mouse' bus='virtio'/>"
# linux/input-event-codes.h
KEY, REL, ABS, LED = 1, 2, 3, 0x11
KEY_A, KEY_B, KEY_C, KEY_LEFTCTRL, KEY_RIGHTCTRL = 30, 48, 46, 29, 97
BTN_LEFT, REL_WHEEL, LED_CAPSL = 0x110, 8, 1


class HostKeyboard:
    """A keyboard of this machine's kernel that this program types on (Linux Documentation/input/uinput.rst)."""
    UI_DEV_CREATE, UI_DEV_DESTROY, UI_DEV_SETUP = 0x5501, 0x5502, 0x405c5503
    UI_SET_EVBIT, UI_SET_KEYBIT, UI_SET_LEDBIT = 0x40045564, 0x40045565, 0x40045569

    def __init__(self, name: str) -> None:
        for module in ("uinput", "evdev"):
            subprocess.run(["/sbin/modprobe", module], check=True)
        self._file = os.open("/dev/uinput", os.O_RDWR | os.O_NONBLOCK)
        for kind in (KEY, LED):
            fcntl.ioctl(self._file, self.UI_SET_EVBIT, kind)
        for key in range(1, 128):
            fcntl.ioctl(self._file, self.UI_SET_KEYBIT, key)
        fcntl.ioctl(self._file, self.UI_SET_LEDBIT, LED_CAPSL)
        fcntl.ioctl(self._file, self.UI_DEV_SETUP, struct.pack("HHHH80sI", 3, 0x1234, 0x5678, 1, name.encode(), 0))
        fcntl.ioctl(self._file, self.UI_DEV_CREATE)
        device = next(path for path in Path("/sys/class/input").glob("event*")
                      if (path / "device/name").read_text().strip() == name)
        self.path = Path("/dev/input", device.name)
        if not self.path.exists():
            self.path.parent.mkdir(exist_ok=True)
            major, minor = map(int, (device / "dev").read_text().split(":"))
            os.mknod(self.path, 0o20600, os.makedev(major, minor))

    def tell(self, *events: tuple[int, int, int]) -> None:
        for event in (*events, (0, 0, 0)):
            os.write(self._file, struct.pack("qqHHi", 0, 0, *event))

    def heard(self) -> list[tuple[int, int, int]]:
        with contextlib.suppress(BlockingIOError):
            data = os.read(self._file, 24 * 64)
            return [struct.unpack_from("qqHHi", data, at)[2:] for at in range(0, len(data), 24)]
        return []

    def close(self) -> None:
        fcntl.ioctl(self._file, self.UI_DEV_DESTROY)
        os.close(self._file)


class InputCase(unittest.TestCase):
    @classmethod
    def boot(cls, devices: str) -> None:
        cls.daemon = cls.enterClassContext(PrivateDaemon())
        cls.guest = LinuxGuest(cls.daemon, devices=devices)
        cls.guest.define()
        cls.console = cls.guest.start_with_console()
        cls.addClassCleanup(cls.console.close)

    def virsh(self, *words: object) -> str:
        return self.daemon.virsh(*words)

    def attach(self, xml: str) -> Path:
        file = self.daemon.root / "input.xml"
        file.write_text(xml)
        self.virsh("attach-device", "debian", file, "--live")
        return file

    def wait_for(self, command: str, expected: str, limit: float = 60) -> None:
        deadline = time.monotonic() + limit
        while (now := self.console.run(command + "; true").strip()) != expected:
            self.assertLess(time.monotonic(), deadline, f"{command} still says '{now}', not '{expected}'")
            time.sleep(0.5)

    def count(self, name: str) -> str:
        return f"cat /sys/class/input/event*/device/name | grep -c '{name}'"

    @contextlib.contextmanager
    def read(self, name: str) -> Iterator[None]:
        """What the device of that name tells meanwhile is in /tmp/events."""
        found = f"grep -l '{name}' /sys/class/input/event*/device/name"
        self.console.run(f"node=$(basename $(dirname $(dirname $({found}))))")
        self.console.run("cat /dev/input/$node > /tmp/events & reader=$!; sleep 1")
        yield
        self.console.run("kill $reader; true")

    def expect(self, *events: tuple[int, int, int], limit: float = 30) -> None:
        """Waits for these in this order, among others (value as an unsigned number of 16 bits)."""
        words = [" ".join(map(str, event)) for event in events]
        deadline = time.monotonic() + limit
        while True:
            text = self.console.run("od -An -v -w24 -tu2 /tmp/events | awk '{print $9, $10, $11}'")
            found = iter(text.replace("\r", "").splitlines())
            if all(word in found for word in words):
                return
            self.assertLess(time.monotonic(), deadline, f"{words} not in {text}")
            time.sleep(0.5)

    def send(self, *events: dict) -> dict:
        request = {"execute": "input-send-event", "arguments": {"events": list(events)}}
        return json.loads(self.virsh("qemu-monitor-command", "debian", json.dumps(request)))


class Input(InputCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.boot(PORTS + DEVICES)

    def test_1_a_tablet_and_a_mouse(self):
        self.wait_for(self.count("Warren Virtio Tablet"), "1")
        with self.read("Warren Virtio Tablet"):
            done = self.send({"type": "abs", "data": {"axis": "x", "value": 12345}},
                             {"type": "abs", "data": {"axis": "y", "value": 32767}},
                             {"type": "btn", "data": {"down": True, "button": "left"}})
            self.assertEqual(done["return"], {})
            self.expect((ABS, 0, 12345), (ABS, 1, 32767), (KEY, BTN_LEFT, 1), (0, 0, 0))
        with self.read("Warren Virtio Mouse"):
            self.send({"type": "rel", "data": {"axis": "x", "value": -3}},
                      {"type": "btn", "data": {"down": True, "button": "wheel-up"}})
            self.expect((REL, 0, 65533), (REL, REL_WHEEL, 1), (0, 0, 0))

    def test_2_a_keyboard_comes_types_and_goes(self):
        file = self.attach("<input type='keyboard' bus='virtio'/>")
        self.wait_for(self.count("Warren Virtio Keyboard"), "1")
        with self.read("Warren Virtio Keyboard"):
            self.virsh("send-key", "debian", "KEY_A", "KEY_B")
            self.expect((KEY, KEY_A, 1), (0, 0, 0), (KEY, KEY_B, 1), (0, 0, 0), (KEY, KEY_B, 0), (KEY, KEY_A, 0))
        # The kernel's own driver of keys hears it, too.
        self.console.run("echo 1 > /proc/sys/kernel/sysrq; dmesg -c > /dev/null")
        self.virsh("send-key", "debian", "KEY_LEFTALT", "KEY_SYSRQ", "KEY_H")
        self.wait_for("dmesg | grep -c 'sysrq: HELP'", "1")
        self.console.run("echo 1 > $(ls -d /sys/class/leds/*capslock | tail -1)/brightness")
        self.virsh("detach-device", "debian", file, "--live")
        self.wait_for(self.count("Warren Virtio Keyboard"), "0")
        self.assertNotIn("type='keyboard' bus='virtio'", self.virsh("dumpxml", "debian"))
        # The PS/2 keyboard has the keys again.
        self.virsh("send-key", "debian", "KEY_LEFTALT", "KEY_SYSRQ", "KEY_H")
        self.wait_for("dmesg | grep -c 'sysrq: HELP'", "2")

    def test_3_a_keyboard_of_the_host(self):
        keyboard = HostKeyboard("Keyboard of the host")
        self.addCleanup(keyboard.close)
        file = self.attach(f"<input type='passthrough' bus='virtio'><source evdev='{keyboard.path}'/></input>")
        self.wait_for(self.count("Keyboard of the host"), "1")
        with self.read("Keyboard of the host"):
            keyboard.tell((KEY, KEY_A, 1))
            keyboard.tell((KEY, KEY_A, 0))
            self.expect((KEY, KEY_A, 1), (0, 0, 0), (KEY, KEY_A, 0), (0, 0, 0))
        keyboard.heard()
        self.console.run("led=$(for each in /sys/class/leds/*capslock; do grep -q 'of the host' $each/device/name && "
                         "echo $each; done)")
        self.console.run("echo 1 > $led/brightness")
        deadline = time.monotonic() + 30
        heard = []
        while (LED, LED_CAPSL, 1) not in heard:
            self.assertLess(time.monotonic(), deadline, heard)
            heard += keyboard.heard()
            time.sleep(0.2)
        self.virsh("detach-device", "debian", file, "--live")
        self.wait_for(self.count("Keyboard of the host"), "0")


class Evdev(InputCase):
    """A user of the host types into the guest, and takes the keyboard back."""

    @classmethod
    def setUpClass(cls) -> None:
        cls.keyboard = HostKeyboard("Keyboard of a user")
        cls.addClassCleanup(cls.keyboard.close)
        cls.boot("<input type='keyboard' bus='virtio'/>"
                 f"<input type='evdev'><source dev='{cls.keyboard.path}'/></input>")

    def strike(self, *keys: int) -> None:
        for down in (1, 0):
            for key in keys:
                self.keyboard.tell((KEY, key, down))

    def test_keys_until_the_toggle(self):
        with self.read("Warren Virtio Keyboard"):
            self.strike(KEY_A)
            self.expect((KEY, KEY_A, 1), (KEY, KEY_A, 0))
            self.strike(KEY_LEFTCTRL, KEY_RIGHTCTRL)
            self.expect((KEY, KEY_RIGHTCTRL, 1), (KEY, KEY_RIGHTCTRL, 0))
            time.sleep(1)
            self.strike(KEY_B)
            self.strike(KEY_LEFTCTRL, KEY_RIGHTCTRL)
            time.sleep(1)
            self.strike(KEY_C)
            self.expect((KEY, KEY_C, 1), (KEY, KEY_C, 0))
            told = self.console.run("od -An -v -w24 -tu2 /tmp/events | awk '{print $9, $10, $11}'")
            self.assertNotIn(f"{KEY} {KEY_B} 1", told)


if __name__ == "__main__":
    tap.main()
