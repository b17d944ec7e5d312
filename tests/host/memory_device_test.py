#!/usr/bin/python3
"""Memory devices by stock virsh: virtio-mem that grows, shrinks and goes, and DIMMs in definitions."""

import re
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from domains import Events, console, define, require_daemon, write_xml
from domain_test import DomainCase
from fixtures import tap

DIMM = "<memory model='dimm'><target><size unit='MiB'>256</size><node>0</node></target></memory>"


def virtio_memory(requested_mib: int) -> str:
    return f"""<memory model='virtio-mem'><target><size unit='MiB'>256</size><node>0</node><block unit='MiB'>2</block>
        <requested unit='MiB'>{requested_mib}</requested></target></memory>"""


class MemoryCase(DomainCase):
    def define(self, name: str, mode: str) -> None:
        path = Path(write_xml(self.daemon, name, mode, devices="<memballoon model='none'/>" +
                              "<controller type='pci' model='pcie-root-port'/>" * 2))
        text = path.read_text()
        memory = re.search("<memory unit='MiB'>(\\d+)</memory>", text)
        text = text.replace(memory[0], f"<maxMemory slots='2' unit='GiB'>2</maxMemory>{memory[0]}")
        cell = f"<numa><cell id='0' cpus='0' memory='{memory[1]}' unit='MiB'/></numa>"
        text = text.replace("<devices>", f"<cpu mode='host-passthrough'>{cell}</cpu><devices>", 1)
        path.write_text(text)
        self.virsh("define", path)
        self.boot_kib = int(memory[1]) << 10

    def file(self, text: str) -> Path:
        path = self.daemon.root / "device.xml"
        path.write_text(text)
        return path

    def sizes(self, name: str) -> tuple[int, int]:
        """Maximum and used memory beyond what it boots with, in MiB."""
        shown = dict(line.split(":", 1) for line in self.virsh("dominfo", name).splitlines() if ":" in line)
        return tuple((int(shown[key].split()[0]) - self.boot_kib) >> 10 for key in ("Max memory", "Used memory"))

    def wait_for(self, name: str, sizes: tuple[int, int]) -> None:
        end = time.monotonic() + 20
        while (now := self.sizes(name)) != sizes:
            self.assertLess(time.monotonic(), end, f"{now}, not {sizes}")
            time.sleep(0.1)


class Definitions(MemoryCase):
    def test_devices_come_to_and_go_from_a_definition(self):
        self.define("defined", "echo")
        before = self.virsh("dumpxml", "defined")
        self.virsh("attach-device", "defined", self.file(DIMM), "--config")
        self.virsh("attach-device", "defined", self.file(virtio_memory(64)), "--config")
        self.assertEqual(self.sizes("defined"), (512, 512))
        self.assertIn("no free memory device slot",
                      self.refused("attach-device", "defined", self.file(DIMM), "--config"))
        self.virsh("detach-device", "defined", self.file(DIMM), "--config")
        self.virsh("update-memory-device", "defined", "--config", "--requested-size", "128MiB")
        self.assertIn("<requested unit='KiB'>131072</requested>", self.virsh("dumpxml", "defined"))
        self.virsh("detach-device", "defined", self.file(virtio_memory(128)), "--config")
        # The place of the device that was there is free, and its root port stays.
        self.assertEqual(re.findall("<memory.*", self.virsh("dumpxml", "defined")), re.findall("<memory.*", before))

    def test_refusals_change_nothing(self):
        self.define("refused", "echo")
        before = self.virsh("dumpxml", "refused")
        for model in ("nvdimm", "virtio-pmem", "sgx-epc"):
            self.assertIn(model, self.refused("attach-device", "refused", self.file(f"<memory model='{model}'/>"),
                                              "--config"))
        self.assertIn("hotplug space", self.refused("attach-device", "refused", self.file(
            DIMM.replace("256", "4096")), "--config"))
        self.assertIn("block size", self.refused("attach-device", "refused", self.file(
            virtio_memory(64).replace("<block unit='MiB'>2</block>", "<block>3</block>")), "--config"))
        define(self.daemon, "plain", "echo")
        self.assertIn("maxMemory", self.refused("attach-device", "plain", self.file(
            DIMM.replace("<node>0</node>", "")), "--config"))
        self.assertEqual(self.virsh("dumpxml", "refused"), before)


class Running(MemoryCase):
    """The test guest plugs what it is asked for."""

    def test_virtio_memory_grows_shrinks_and_goes(self):
        self.define("grows", "hot_plug")
        self.virsh("start", "grows")
        with Events(self.daemon) as events, console(self.daemon, "grows") as terminal:
            self.virsh("attach-device", "grows", self.file(virtio_memory(64)), "--live", "--config")
            terminal.expect("PLUGGED 1 0x1af4:0x1058")
            terminal.expect("MEMORY 64 OF 64")
            self.wait_for("grows", (256, 64))
            events._terminal.expect("event 'memory-device-size-change' for domain 'grows'")
            self.virsh("update-memory-device", "grows", "--requested-size", "256MiB")
            terminal.expect("MEMORY 256 OF 256")
            self.wait_for("grows", (256, 256))
            self.assertIn("is not 0", self.refused("detach-device", "grows", self.file(virtio_memory(256)), "--live"))
            self.assertIn("cannot modify memory size", self.refused("update-device", "grows", self.file(
                virtio_memory(0).replace("'MiB'>256<", "'MiB'>512<")), "--live"))
            # A daemon that comes back knows what the guest has.
            self.daemon.kill()
            self.daemon.start()
            self.assertEqual(self.sizes("grows"), (256, 256))
        with console(self.daemon, "grows") as terminal:
            self.virsh("update-memory-device", "grows", "--live", "--requested-size", "0")
            terminal.expect("MEMORY 0 OF 0")
            self.wait_for("grows", (256, 0))
            self.virsh("detach-device", "grows", self.file(virtio_memory(0)), "--live")
            terminal.expect("EMPTY 1")
            self.wait_for("grows", (0, 0))
            self.assertNotIn("virtio-mem", self.virsh("dumpxml", "grows"))
            self.assertIn("virtio-mem", self.virsh("dumpxml", "grows", "--inactive"))

    def test_a_module_comes_and_memory_is_what_it_was_made_of(self):
        self.define("module", "hot_plug")
        self.virsh("start", "module")
        self.virsh("attach-device", "module", self.file(DIMM), "--live")
        self.assertRegex(self.virsh("dumpxml", "module"), "<address type='dimm' slot='0' base='0x[0-9a-f]+'/>")
        self.assertEqual(self.sizes("module"), (256, 256))
        self.assertIn('"plugged-memory":268435456',
                      self.virsh("qemu-monitor-command", "module", '{"execute":"query-memory-size-summary"}'))
        core = self.daemon.root / "core"
        self.virsh("dump", "module", core, "--memory-only", "--live")
        self.assertGreater(core.stat().st_size, (self.boot_kib << 10) + (256 << 20))


if __name__ == "__main__":
    require_daemon()
    tap.main()
