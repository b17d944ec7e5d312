#!/usr/bin/python3
# beside others
"""Interfaces that another program serves over vhost-user, by stock virsh: packets, hot plug, its death (T29)."""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from domains import require_daemon, wait_for_reason
from fixtures import tap
from guest_network import MAC, TESTS, GuestNetworkCase
from user_switch import Switch

SHARED = "<memoryBacking><access mode='shared'/></memoryBacking>"


class VhostUserNet(GuestNetworkCase):
    def setUp(self):
        self.socket = self.daemon.root / "switch.sock"
        self.switch = Switch(self.socket)

    def tearDown(self):
        super().tearDown()
        self.switch.end()
        self.socket.unlink(missing_ok=True)

    def interface(self) -> str:
        return (f"<interface type='vhostuser'><mac address='{MAC}'/><source type='unix' path='{self.socket}' "
                "mode='client'/><model type='virtio'/></interface>")

    def test_it_moves_packets(self):
        tests = TESTS.replace(",malformed_transmissions", "")
        self.run_tests("switched", tests, self.interface(), SHARED)
        self.assertGreater(self.switch.packets, 300)
        self.assertIn(f"<source type='unix' path='{self.socket}' mode='client'/>", self.virsh("dumpxml", "switched"))
        wait_for_reason(self.daemon, "switched", "shut off (shutdown)")
        # It serves the next start as well.
        packets = self.switch.packets
        self.virsh("start", "switched")
        wait_for_reason(self.daemon, "switched", "shut off (shutdown)", 120)
        self.assertGreater(self.switch.packets, packets + 300)

    def test_memory_is_to_be_shared(self):
        with self.assertRaises(RuntimeError) as caught, self.guest("private", "echo", self.interface()):
            pass
        self.assertIn("'vhostuser' requires shared memory", str(caught.exception))

    def test_one_comes_and_goes(self):
        nic = self.daemon.root / "nic.xml"
        nic.write_text(self.interface())
        with self.guest("plug", "hot_plug", "", SHARED) as terminal:
            terminal.expect("READY")
            for _ in range(2):
                self.virsh("attach-device", "plug", nic, "--live")
                terminal.expect("PLUGGED 1 0x1af4:0x1041")
                self.virsh("detach-device", "plug", nic, "--live")
                terminal.expect("EMPTY 1")
                self.assertNotIn("vhostuser", self.virsh("dumpxml", "plug"))

    def test_nobody_listens(self):
        with self.assertRaises(RuntimeError) as caught:
            with self.guest("alone", "echo", self.interface().replace("switch.sock", "nobody.sock"), SHARED):
                pass
        self.assertIn(f"interface {MAC}", str(caught.exception))
        self.assertIn("nobody.sock", str(caught.exception))

    def test_a_vhost_net_that_is_not_there(self):
        nic = (f"<interface type='ethernet'><mac address='{MAC}'/><target dev='vhosttap0'/><driver name='vhost'/>"
               "<backend vhost='/nowhere/vhost-net'/><model type='virtio'/></interface>")
        with self.assertRaises(RuntimeError) as caught, self.guest("kernel", "echo", nic):
            pass
        self.assertIn(f"interface {MAC}: cannot open '/nowhere/vhost-net', which <driver name='vhost'/> asks for",
                      str(caught.exception))
        self.assertFalse(Path("/sys/class/net/vhosttap0").exists())

    def test_a_back_end_that_dies(self):
        with self.guest("mortal", "echo", self.interface(), SHARED) as terminal:
            terminal.expect("READY")
            self.switch.hang_up()
            time.sleep(0.3)
            self.assertIn("running", self.virsh("domstate", "mortal"))
        log = self.daemon.root / "var/log/warren/mortal.log"
        self.assertIn("vhost-user: nobody moves its packets any more", log.read_text())
        self.virsh("destroy", "mortal")


if __name__ == "__main__":
    require_daemon()
    tap.main()
