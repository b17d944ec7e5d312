#!/usr/bin/python3
# beside others
"""Domains on bridges of Open vSwitch by stock virsh: a switch of the test's own, with the data path that needs no
module of the kernel, in a network name space of its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from domains import define, require_daemon
from fixtures import tap
from fixtures.daemon_case import DaemonCase
from fixtures.warren_daemon import PrivateDaemon

NETWORK = """<network>
  <name>ovs</name>
  <forward mode='bridge'/>
  <bridge name='ovsbr0'/>
  <virtualport type='openvswitch'/>
  <portgroup name='red'><vlan><tag id='42'/></vlan></portgroup>
  <portgroup name='all'>
    <vlan trunk='yes'><tag id='42'/><tag id='47' nativeMode='untagged'/></vlan>
    <virtualport type='openvswitch'><parameters profileid='web'/></virtualport>
  </portgroup>
</network>
"""
UUID = "09b11c53-8b5c-4eeb-8f00-d84eaa0aaa4f"
ON_NETWORK = "<interface type='network'><source network='ovs' portgroup='{}'/><mac address='52:54:00:aa:bb:0{}'/></interface>"
ON_BRIDGE = f"""<interface type='bridge'><source bridge='ovsbr0'/><mac address='52:54:00:aa:bb:09'/>
<virtualport type='openvswitch'><parameters interfaceid='{UUID}'/></virtualport><mtu size='1400'/></interface>"""
PORTS = "<controller type='pci' model='pcie-root-port'/>" * 4


class OpenVSwitch(DaemonCase):
    def setUp(self):
        self.programs: list[subprocess.Popen] = []
        self.daemon = PrivateDaemon(own_network=True)
        # Whatever else fails: in this order, from the last to the first.
        self.addCleanup(self.daemon.__exit__)
        self.addCleanup(self.end_switch)
        self.start_switch()
        self.daemon.start()

    def start_switch(self):
        """Where the daemon looks for it: below its root."""
        self.directory = self.daemon.root / "run/openvswitch"
        self.directory.mkdir(parents=True)
        database = self.directory / "conf.db"
        subprocess.run(["ovsdb-tool", "create", database, "/usr/share/openvswitch/vswitch.ovsschema"], check=True)
        self.begin("ovsdb-server", f"--remote=punix:{self.directory}/db.sock", database)
        self.wait_until((self.directory / "db.sock").exists, "ovsdb-server does not listen")
        self.ovs("--no-wait", "init")
        self.begin("ovs-vswitchd", f"unix:{self.directory}/db.sock")
        self.ovs("add-br", "ovsbr0", "--", "set", "Bridge", "ovsbr0", "datapath_type=netdev")

    def begin(self, program: str, *words: object):
        environment = {**os.environ, "OVS_RUNDIR": str(self.directory), "OVS_LOGDIR": str(self.directory)}
        self.programs.append(subprocess.Popen(
            [*self.daemon.inside(), shutil.which(program, path="/usr/sbin:/usr/bin"), "--no-chdir", "-vconsole:off",
             f"--unixctl={self.directory}/{program}.ctl", *map(str, words)], env=environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

    def end_switch(self):
        # Domains first, while there is a switch that they leave.
        if self.daemon.process and self.daemon.process.poll() is None:
            self.daemon.destroy_all()
        for program in reversed(self.programs):
            program.kill()
            program.wait()

    def ovs(self, *words: str) -> str:
        return subprocess.run(["ovs-vsctl", f"--db=unix:{self.directory}/db.sock", "--timeout=20", *words], check=True,
                              capture_output=True, text=True).stdout.replace('"', "").strip()

    def ports(self) -> list[str]:
        return self.ovs("list-ports", "ovsbr0").split()

    def external_id(self, link: str, key: str) -> str:
        return self.ovs("--if-exists", "get", "Interface", link, f"external_ids:{key}")

    def start_network(self):
        self.virsh("net-define", self.file(NETWORK))
        self.virsh("net-start", "ovs")

    def test_interfaces_are_ports_of_the_switch(self):
        self.start_network()
        define(self.daemon, "vm", "idle", devices=ON_NETWORK.format("red", 1) + ON_NETWORK.format("all", 2) + ON_BRIDGE)
        self.virsh("start", "vm")
        self.assertEqual(self.ports(), ["vnet0", "vnet1", "vnet2"])
        self.assertEqual(self.ovs("get", "Port", "vnet0", "tag"), "42")
        self.assertEqual(self.ovs("get", "Port", "vnet1", "trunks", "tag", "vlan_mode").split("\n"),
                         ["[42, 47]", "47", "native-untagged"])
        uuid = self.virsh("domuuid", "vm").strip()
        for number, link in enumerate(["vnet0", "vnet1"], 1):
            self.assertEqual(self.external_id(link, "attached-mac"), f"52:54:00:aa:bb:0{number}")
            self.assertEqual([self.external_id(link, "vm-id"), self.external_id(link, "iface-status")], [uuid, "active"])
        self.assertEqual(self.external_id("vnet1", "port-profile"), "web")
        self.assertEqual(self.external_id("vnet2", "iface-id"), UUID)
        self.assertEqual(self.ovs("get", "Interface", "vnet2", "mtu"), "1400")
        live = self.virsh("dumpxml", "vm")
        self.assertIn(f"interfaceid='{self.external_id('vnet0', 'iface-id')}'", live)
        self.assertIn("<target dev='vnet0'/>", live)
        self.assertIn("connections='2'", self.virsh("net-dumpxml", "ovs"))
        self.virsh("destroy", "vm")
        self.assertEqual(self.ports(), [])
        self.assertNotIn("connections", self.virsh("net-dumpxml", "ovs"))

    def test_they_come_and_go(self):
        define(self.daemon, "vm", "idle", devices=PORTS)
        self.virsh("start", "vm")
        self.virsh("attach-device", "vm", self.file(ON_BRIDGE), "--live")
        self.assertEqual(self.ports(), ["vnet0"])
        self.ovs("del-br", "ovsbr0")
        self.assertIn("Unable to add port vnet1 to OVS bridge ovsbr0: ovs-vsctl: no bridge named ovsbr0",
                      self.refused("attach-device", "vm", self.file(ON_BRIDGE.replace("bb:09", "bb:08")), "--live"))
        self.assertNotIn("bb:08", self.virsh("dumpxml", "vm"))
        self.virsh("destroy", "vm")

    def test_t14_what_a_killed_daemon_left_is_removed(self):
        define(self.daemon, "vm", "idle", devices=ON_BRIDGE)
        self.virsh("start", "vm")
        # The domain runs on, and stays where it is.
        self.daemon.kill()
        self.daemon.start()
        self.assertEqual(self.ports(), ["vnet0"])
        # One that ends while nobody is there leaves its port, and so does one that nobody wrote down.
        worker = int(next((self.daemon.root / "run/warren/status").glob("*.xml")).read_text().split(" pid='")[1].split("'")[0])
        uuid = self.virsh("domuuid", "vm").strip()
        self.daemon.kill()
        os.kill(worker, 9)
        self.ovs("--no-wait", "add-port", "ovsbr0", "vnet7", "--", "set", "Interface", "vnet7",
                 f"external_ids:vm-id={uuid}", "external_ids:attached-by=virtwarrend")
        self.ovs("--no-wait", "add-port", "ovsbr0", "theirs", "--", "set", "Interface", "theirs",
                 f"external_ids:vm-id={uuid}")
        self.daemon.start()
        self.wait_until(lambda: self.ports() == ["theirs"], f"ports stay: {self.ports()}")
        self.assertEqual(self.virsh("domstate", "vm"), "shut off")

    def test_what_it_cannot_do_is_said(self):
        bandwidth = ON_BRIDGE.replace("<mtu size='1400'/>", "<bandwidth><inbound average='100'/></bandwidth>")
        define(self.daemon, "limited", "idle", devices=bandwidth)
        self.assertIn("<bandwidth> cannot be on a port of Open vSwitch", self.refused("start", "limited"))
        filtered = ON_BRIDGE.replace("<mtu size='1400'/>", "<filterref filter='clean-traffic'/>")
        define(self.daemon, "filtered", "idle", devices=filtered)
        self.assertIn("cannot be on a port of Open vSwitch", self.refused("start", "filtered"))
        self.assertEqual(self.ports(), [])
        for kind in ("802.1Qbg", "802.1Qbh", "midonet"):
            self.virsh("net-define", self.file(f"<network><name>other</name><forward mode='bridge'/><bridge name='ovsbr0'/>"
                                               f"<virtualport type='{kind}'/></network>"))
            self.virsh("net-start", "other")
            define(self.daemon, "vm", "idle", devices="<interface type='network'><source network='other'/></interface>")
            self.assertRegex(self.refused("start", "vm"), "802.1Qb|not supported|MidoNet")
            self.virsh("undefine", "vm")
            self.virsh("net-destroy", "other")
            self.virsh("net-undefine", "other")
        define(self.daemon, "tuned", "idle", devices=ON_BRIDGE)
        self.virsh("start", "tuned")
        self.assertIn("keeps the limits of its ports itself",
                      self.refused("domiftune", "tuned", "vnet0", "--inbound", "100", "--live"))


if __name__ == "__main__":
    require_daemon()
    if not shutil.which("ovsdb-server", path="/usr/sbin:/usr/bin"):
        print("openvswitch-switch is not installed: packaging/install-dependencies test")
        sys.exit(1)
    tap.main()
