#!/usr/bin/python3
"""Keyboards, mice and tablets on the virtio bus in a definition and in a running domain, by stock virsh."""

import json
import sys
from pathlib import Path
from xml.etree import ElementTree

sys.path.insert(0, str(Path(__file__).resolve().parent))

from domains import Events, console, define, require_daemon
from hot_plug_test import HotPlugCase
from fixtures import tap

KEYBOARD = "<input type='keyboard' bus='virtio'/>"
TABLET = "<input type='tablet' bus='virtio' model='virtio-non-transitional'/>"


class InputCase(HotPlugCase):
    def inputs(self, domain: str, *options: str) -> list[tuple[str, str]]:
        document = ElementTree.fromstring(self.virsh("dumpxml", domain, *options))
        return [(each.get("type"), each.get("bus")) for each in document.iterfind("devices/input")]

    def monitor(self, domain: str, command: str, **arguments: object) -> dict:
        request = {"execute": command, "arguments": arguments}
        return json.loads(self.virsh("qemu-monitor-command", domain, json.dumps(request)))


class Definitions(InputCase):
    def test_they_have_places_on_the_pci_bus(self):
        define(self.daemon, "desk", "echo", devices=KEYBOARD + TABLET + "<input type='mouse' bus='virtio'/>")
        self.assertEqual(self.inputs("desk"), [("keyboard", "virtio"), ("tablet", "virtio"), ("mouse", "virtio"),
                                               ("keyboard", "ps2")])
        document = ElementTree.fromstring(self.virsh("dumpxml", "desk"))
        buses = [each.find("address").get("bus") for each in document.iterfind("devices/input[@bus='virtio']")]
        self.assertEqual(len(set(buses)), 3)
        self.assertIn("virtio-non-transitional", self.virsh("dumpxml", "desk"))

    def test_they_come_to_and_go_from_a_definition(self):
        define(self.daemon, "stored", "echo")
        tablet = self.file("tablet.xml", TABLET)
        self.virsh("attach-device", "stored", tablet, "--config")
        self.assertIn(("tablet", "virtio"), self.inputs("stored"))
        self.virsh("detach-device", "stored", tablet, "--config")
        self.assertEqual(self.inputs("stored"), [("keyboard", "ps2")])
        self.assertIn("input", self.refused("detach-device", "stored", tablet, "--config"))

    def test_what_cannot_be_is_named(self):
        define(self.daemon, "plain", "echo")
        before = self.virsh("dumpxml", "plain")
        for xml, reason in (("<input type='tablet' bus='usb'/>", "'usb'"),
                            ("<input type='mouse'/>", "bus='virtio'"),
                            ("<input type='evdev' bus='usb'><source dev='/dev/input/event0'/></input>", "'usb'"),
                            ("<input type='mouse' bus='virtio' model='virtio-transitional'/>", "transitional"),
                            ("<input type='passthrough' bus='virtio'/>", "evdev"),
                            ("<input type='keyboard' bus='ps2'/>", "PS/2 keyboard")):
            self.assertIn(reason, self.refused("attach-device", "plain", self.file("refused.xml", xml), "--config"))
        self.assertEqual(self.virsh("dumpxml", "plain"), before)


class Running(InputCase):
    def start(self, name: str, mode: str = "hot_plug") -> None:
        define(self.daemon, name, mode,
               devices="<memballoon model='none'/>" + "<controller type='pci' model='pcie-root-port'/>" * 2)
        self.virsh("start", name)

    def test_a_keyboard_comes_and_goes(self):
        self.start("typing")
        keyboard = self.file("keyboard.xml", KEYBOARD)
        with Events(self.daemon) as events, console(self.daemon, "typing") as terminal:
            self.virsh("attach-device", "typing", keyboard, "--live", "--config")
            terminal.expect("PLUGGED 1 0x1af4:0x1052")
            events._terminal.expect("event 'device-added' for domain 'typing': input1")
            # Its guest has no driver for it: the PS/2 keyboard gets the keys, which nobody reads.
            self.virsh("send-key", "typing", "KEY_A")
            self.assertIn(("keyboard", "virtio"), self.inputs("typing"))
            self.assertIn(("keyboard", "virtio"), self.inputs("typing", "--inactive"))
            self.virsh("detach-device-alias", "typing", "input1", "--live")
            terminal.expect("EMPTY 1")
            events._terminal.expect("event 'device-removed' for domain 'typing': input1")
            self.assertEqual(self.inputs("typing"), [("keyboard", "ps2")])
            self.virsh("detach-device", "typing", keyboard, "--config")
            self.assertEqual(self.inputs("typing", "--inactive"), [("keyboard", "ps2")])

    def test_the_daemon_dies_between(self):
        """T14: what was plugged in is there for the next daemon, which lets it go."""
        self.start("adopted")
        tablet = self.file("tablet.xml", TABLET)
        with console(self.daemon, "adopted") as terminal:
            self.virsh("attach-device", "adopted", tablet, "--live")
            terminal.expect("PLUGGED 1 0x1af4:0x1052")
        self.daemon.kill()
        self.daemon.start()
        self.assertIn(("tablet", "virtio"), self.inputs("adopted"))
        self.virsh("detach-device", "adopted", tablet, "--live")
        self.assertEqual(self.inputs("adopted"), [("keyboard", "ps2")])

    def test_refusals_change_nothing(self):
        self.start("same")
        before = self.virsh("dumpxml", "same"), self.virsh("dumpxml", "same", "--inactive")
        ps2 = self.file("ps2.xml", "<input type='keyboard' bus='ps2'/>")
        self.assertIn("bus 'ps2' cannot be hot plugged", self.refused("attach-device", "same", ps2, "--live"))
        self.assertIn("bus 'ps2' cannot be detached", self.refused("detach-device", "same", ps2, "--live"))
        for path, reason in (("/dev/null", "no evdev device"), ("/dev/input/event999", "/dev/input/event999")):
            host = self.file("host.xml", f"<input type='passthrough' bus='virtio'><source evdev='{path}'/></input>")
            self.assertIn(reason, self.refused("attach-device", "same", host, "--live", "--config"))
        evdev = self.file("evdev.xml", "<input type='evdev'><source dev='/dev/input/event0'/></input>")
        self.assertIn("bus 'none' cannot be hot plugged", self.refused("attach-device", "same", evdev, "--live"))
        controller = self.file("serial.xml", "<controller type='virtio-serial' index='7'/>")
        self.assertIn("'virtio-serial' controller cannot be hot plugged",
                      self.refused("attach-device", "same", controller, "--live"))
        self.assertEqual(before, (self.virsh("dumpxml", "same"), self.virsh("dumpxml", "same", "--inactive")))

    def test_the_monitor_types_and_points(self):
        self.start("monitor")
        self.assertEqual(self.monitor("monitor", "send-key", keys=[{"type": "qcode", "data": "a"}])["return"], {})
        key = {"type": "key", "data": {"down": False, "key": {"type": "qcode", "data": "ret"}}}
        self.assertEqual(self.monitor("monitor", "input-send-event", events=[key])["return"], {})
        motion = {"type": "abs", "data": {"axis": "x", "value": 5}}
        refused = self.monitor("monitor", "input-send-event", events=[motion])
        self.assertIn("no keyboard or pointer", refused["error"]["desc"])
        motion["data"]["value"] = 40000
        self.assertIn("value", self.monitor("monitor", "input-send-event", events=[motion])["error"]["desc"])


if __name__ == "__main__":
    require_daemon()
    tap.main()
