#!/usr/bin/python3
"""The life of a domain by stock virsh: commands, states with reasons, lifecycle actions and events."""

import re
import sys
from pathlib import Path
from xml.etree import ElementTree

sys.path.insert(0, str(Path(__file__).resolve().parent))

from domains import (Events, console, define, require_daemon, wait_for_reason, wait_until_gone, wait_until_ready,
                     write_xml)
from fixtures import tap
from fixtures.daemon_case import DaemonCase
from fixtures.warren_daemon import PrivateDaemon


class DomainCase(DaemonCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = PrivateDaemon()
        cls.daemon.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.daemon.__exit__()

    def tearDown(self):
        for name in self.virsh("list", "--all", "--name").split():
            self.virsh("destroy", name, check=False)
            self.virsh("undefine", name, check=False)


class Host(DomainCase):
    def test_connection(self):
        self.assertIn("warren:///system", self.virsh("uri"))
        self.assertRegex(self.virsh("version"), r"Using API: Warren|hypervisor")
        self.assertEqual(self.virsh("hostname"), Path("/proc/sys/kernel/hostname").read_text().strip())
        self.assertRegex(self.virsh("nodeinfo"), r"CPU model:\s+x86_64")
        self.assertGreater(int(self.virsh("maxvcpus")), 0)

    def test_capabilities(self):
        capabilities = ElementTree.fromstring(self.virsh("capabilities"))
        self.assertEqual(capabilities.find("guest/os_type").text, "hvm")
        self.assertIn("kvm", [domain.get("type") for domain in capabilities.iterfind("guest/arch/domain")])
        domain = ElementTree.fromstring(self.virsh("domcapabilities"))
        self.assertEqual(domain.find("domain").text, "kvm")


class Life(DomainCase):
    def test_define_start_destroy_undefine(self):
        with Events(self.daemon) as events:
            define(self.daemon, "life", "echo")
            events.expect("life", "Defined Added")
            self.assertEqual(self.virsh("domstate", "life"), "shut off")
            self.assertRegex(self.virsh("list", "--all"), r"-\s+life\s+shut off")
            self.assertEqual(self.virsh("domid", "life"), "-")
            self.virsh("start", "life")
            events.expect("life", "Started Booted")
            self.assertEqual(self.virsh("domstate", "--reason", "life"), "running (booted)")
            self.assertRegex(self.virsh("domid", "life"), r"^\d+$")
            self.assertIn("already active", self.refused("start", "life"))
            self.virsh("destroy", "life")
            events.expect("life", "Stopped Destroyed")
            self.assertEqual(self.virsh("domstate", "--reason", "life"), "shut off (destroyed)")
            self.assertIn("not running", self.refused("destroy", "life"))
            self.virsh("undefine", "life")
            events.expect("life", "Undefined Removed")
        self.assertIn("failed to get domain 'life'", self.refused("domstate", "life"))

    def test_suspend_and_resume(self):
        define(self.daemon, "pause", "echo")
        with Events(self.daemon) as events:
            self.virsh("start", "pause")
            wait_until_ready(self.daemon, "pause")
            self.virsh("suspend", "pause")
            events.expect("pause", "Suspended Paused")
            self.assertEqual(self.virsh("domstate", "--reason", "pause"), "paused (user)")
            self.virsh("resume", "pause")
            events.expect("pause", "Resumed Unpaused")
        self.assertRegex(self.virsh("domstate", "--reason", "pause"), r"^running \(unpaused\)")
        wait_until_ready(self.daemon, "pause")

    def test_start_paused(self):
        define(self.daemon, "asleep", "echo")
        self.virsh("start", "asleep", "--paused")
        self.assertRegex(self.virsh("domstate", "asleep"), "paused")
        self.virsh("resume", "asleep")
        wait_until_ready(self.daemon, "asleep")

    def test_shutdown_by_power_button(self):
        define(self.daemon, "button", "echo")
        with Events(self.daemon) as events:
            self.virsh("start", "button")
            wait_until_ready(self.daemon, "button")
            self.virsh("shutdown", "button")
            events.expect("button", "Shutdown Finished")
            events.expect("button", "Stopped Shutdown")
        wait_for_reason(self.daemon, "button", "shut off (shutdown)")

    def test_a_guest_that_ignores_the_button_keeps_running(self):
        define(self.daemon, "deaf", "ignore")
        self.virsh("start", "deaf")
        self.virsh("shutdown", "deaf")
        self.assertEqual(self.virsh("domstate", "deaf"), "running")

    def test_reset(self):
        define(self.daemon, "again", "echo")
        self.virsh("start", "again")
        wait_until_ready(self.daemon, "again")
        number = self.virsh("domid", "again")
        with console(self.daemon, "again") as terminal:
            self.virsh("reset", "again")
            terminal.expect("READY")
        self.assertEqual(self.virsh("domid", "again"), number)

    def test_spinning_guest_is_destroyed_at_once(self):
        define(self.daemon, "busy", "spin")
        self.virsh("start", "busy")
        self.virsh("destroy", "busy", limit=10)
        self.assertEqual(self.virsh("domstate", "busy"), "shut off")

    def test_transient(self):
        with Events(self.daemon) as events:
            self.virsh("create", write_xml(self.daemon, "passing", "echo"))
            events.expect("passing", "Started Booted")
            self.assertRegex(self.virsh("dominfo", "passing"), r"Persistent:\s+no")
            self.assertIn("transient", self.refused("autostart", "passing"))
            self.virsh("destroy", "passing")
            events.expect("passing", "Stopped Destroyed")
        wait_until_gone(self.daemon, "passing")

    def test_transient_ends_with_its_guest(self):
        self.virsh("create", write_xml(self.daemon, "brief", "list"))
        wait_until_gone(self.daemon, "brief")

    def test_undefine_of_running_makes_transient(self):
        define(self.daemon, "kept", "echo")
        self.virsh("start", "kept")
        self.virsh("undefine", "kept")
        self.assertRegex(self.virsh("dominfo", "kept"), r"Persistent:\s+no")
        define_again = self.virsh("dumpxml", "kept")
        (self.daemon.root / "kept2.xml").write_text(define_again)
        self.virsh("define", self.daemon.root / "kept2.xml")
        self.assertRegex(self.virsh("dominfo", "kept"), r"Persistent:\s+yes")

    def test_redefinition_while_running(self):
        define(self.daemon, "change", "echo")
        self.virsh("start", "change")
        uuid = self.virsh("domuuid", "change")
        file = write_xml(self.daemon, "change", "echo", memory_mib=48)
        file.write_text(file.read_text().replace("<name>change</name>", f"<name>change</name><uuid>{uuid}</uuid>"))
        self.virsh("define", file)
        memory = re.compile(r"<memory unit='KiB'>(\d+)</memory>")
        self.assertEqual(memory.search(self.virsh("dumpxml", "change"))[1], str(32 << 10))
        self.assertEqual(memory.search(self.virsh("dumpxml", "--inactive", "change"))[1], str(48 << 10))

    def test_another_uuid_for_a_name_is_refused(self):
        define(self.daemon, "one", "echo")
        file = write_xml(self.daemon, "one", "echo")
        file.write_text(file.read_text().replace("<name>", "<uuid>0d3e9c1e-1111-4222-8333-444455556666</uuid><name>"))
        self.assertIn("already exists", self.refused("define", file))


class Actions(DomainCase):
    """on_poweroff, on_reboot, on_crash; crashes themselves are in crash_test.py."""

    def test_guest_power_off_destroys_by_default(self):
        define(self.daemon, "off", "list")
        self.virsh("start", "off")
        wait_for_reason(self.daemon, "off", "shut off (shutdown)")

    def test_power_off_restarts(self):
        define(self.daemon, "phoenix", "list", actions="<on_poweroff>restart</on_poweroff>")
        self.virsh("start", "phoenix")
        with console(self.daemon, "phoenix") as terminal:
            terminal.expect(r"acpi\.rsdp")
            terminal.expect(r"acpi\.rsdp")
        self.assertEqual(self.virsh("domstate", "phoenix"), "running")

    def test_reboot_restarts_by_default(self):
        define(self.daemon, "loop", "reboot")
        self.virsh("start", "loop")
        with console(self.daemon, "loop") as terminal:
            for _ in range(3):
                terminal.expect("BOOT")
        self.assertEqual(self.virsh("domstate", "loop"), "running")

    def test_reboot_destroys(self):
        define(self.daemon, "once", "reboot", actions="<on_reboot>destroy</on_reboot>")
        self.virsh("start", "once")
        self.daemon.wait_for_state("once", "shut off", limit=20)


class Reading(DomainCase):
    def test_queries(self):
        disk = self.daemon.root / "disk.img"
        disk.write_bytes(bytes(1 << 20))
        define(self.daemon, "look", "echo", vcpus=2, devices=f"""
            <disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='{disk}'/>
              <target dev='vda' bus='virtio'/></disk>""")
        self.assertRegex(self.virsh("domblklist", "look"), rf"vda\s+{disk}")
        self.virsh("start", "look")
        self.assertEqual(self.virsh("domname", self.virsh("domuuid", "look")), "look")
        self.assertRegex(self.virsh("vcpucount", "look"), r"current\s+live\s+2")
        self.assertEqual(len(re.findall(r"^VCPU:", self.virsh("vcpuinfo", "look"), re.MULTILINE)), 2)
        self.assertRegex(self.virsh("domblkinfo", "look", "vda"), rf"Capacity:\s+{1 << 20}")
        self.assertIn("domiflist", "domiflist" + self.virsh("domiflist", "look"))
        statistics = self.virsh("domstats", "look")
        for name in ("state.state=1", "vcpu.current=2", "balloon.current=", "block.count=1"):
            self.assertIn(name, statistics)
        self.assertRegex(self.virsh("dominfo", "look"), r"State:\s+running")

    def test_configuration(self):
        define(self.daemon, "tune", "echo")
        self.virsh("autostart", "tune")
        self.assertRegex(self.virsh("dominfo", "tune"), r"Autostart:\s+enable")
        self.virsh("autostart", "--disable", "tune")
        self.virsh("desc", "tune", "--config", "--title", "A title")
        self.assertEqual(self.virsh("desc", "tune", "--title"), "A title")
        self.virsh("metadata", "tune", "urn:warren:test", "--config", "--key", "w", "--set", "<a>1</a>")
        self.assertIn(">1</", self.virsh("metadata", "tune", "urn:warren:test", "--config"))
        self.virsh("setmaxmem", "tune", "64M", "--config")
        self.virsh("setmem", "tune", "48M", "--config")
        self.virsh("domrename", "tune", "tuned")
        xml = ElementTree.fromstring(self.virsh("dumpxml", "--inactive", "tuned"))
        self.assertEqual((xml.find("memory").text, xml.find("currentMemory").text), ("65536", "49152"))
        self.assertEqual(self.virsh("domstate", "tuned"), "shut off")

    def test_every_domain_is_listed_once(self):
        for number in range(20):
            define(self.daemon, f"list{number:02}", "echo")
        names = self.virsh("list", "--all", "--name").split()
        self.assertEqual(sorted(names), [f"list{number:02}" for number in range(20)])


if __name__ == "__main__":
    require_daemon()
    tap.main()
