#!/usr/bin/python3
"""The host by stock virsh: topology, statistics, memory, CPU models, and the documents virt-install builds on."""

import json
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

sys.path.insert(0, str(Path(__file__).resolve().parent))

from domains import define, require_daemon
from fixtures import tap
from fixtures.daemon_case import DaemonCase
from fixtures.warren_daemon import ROOT, PrivateDaemon, build_directory

KSM = Path("/sys/kernel/mm/ksm")


class HostCase(DaemonCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = PrivateDaemon()
        cls.daemon.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.daemon.__exit__()

    def named_file(self, name: str, text: str) -> Path:
        path = self.daemon.root / name
        path.write_text(text)
        return path


class Node(HostCase):
    def test_cpus(self):
        online = Path("/sys/devices/system/cpu/online").read_text().strip()
        shown = self.virsh("nodecpumap", "--pretty")
        self.assertRegex(shown, rf"CPU map:\s+{online}")
        self.assertRegex(self.virsh("nodeinfo"), r"CPU\(s\):\s+\d+")
        statistics = self.virsh("nodecpustats")
        for name in ("user", "system", "idle", "iowait"):
            self.assertRegex(statistics, rf"{name}:\s+\d+")
        self.assertRegex(self.virsh("nodecpustats", "--cpu", "0", "--percent"), r"usage:\s+\d+\.\d%")
        self.assertIn("invalid argument", self.refused("nodecpustats", "--cpu", "8000"))

    def test_memory(self):
        total = int(re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())[1])
        statistics = self.virsh("nodememstats")
        self.assertRegex(statistics, rf"total\s*:\s+{total} KiB")
        for name in ("free", "buffers", "cached"):
            self.assertRegex(statistics, rf"{name}\s*:\s+\d+ KiB")
        self.assertRegex(self.virsh("nodememstats", "--cell", "0"), r"free\s*:\s+\d+ KiB")
        self.assertIn("invalid argument", self.refused("nodememstats", "--cell", "99"))
        self.assertRegex(self.virsh("freecell"), r"Total: \d+ KiB")
        self.assertRegex(self.virsh("freecell", "--cellno", "0"), r"0: +\d+ KiB")
        self.assertRegex(self.virsh("freecell", "--all"), r"0: +\d+ KiB")

    def test_pages(self):
        self.assertRegex(self.virsh("freepages", "--all"), r"4KiB: \d+")
        self.assertRegex(self.virsh("freepages", "--cellno", "0", "--pagesize", "4"), r"4KiB: \d+")
        self.assertIn("pages", self.refused("freepages", "--cellno", "0", "--pagesize", "12"))
        self.assertIn("ordinary pages", self.refused("allocpages", "--pagesize", "4", "--pagecount", "1"))

    def test_page_merging(self):
        if not KSM.exists():
            self.skipTest("the kernel has no same-page merging")
        shown = self.virsh("node-memory-tune")
        before = (KSM / "sleep_millisecs").read_text().strip()
        self.assertRegex(shown, rf"shm_sleep_millisecs\s+{before}")
        try:
            self.virsh("node-memory-tune", "--shm-sleep-millisecs", "77")
            self.assertEqual((KSM / "sleep_millisecs").read_text().strip(), "77")
            self.assertRegex(self.virsh("node-memory-tune"), r"shm_sleep_millisecs\s+77")
        finally:
            (KSM / "sleep_millisecs").write_text(before)

    def test_what_it_does_not_do_says_why(self):
        self.assertIn("does not suspend its host", self.refused("nodesuspend", "mem", "60"))
        self.assertIn("SEV", self.refused("nodesevinfo"))
        if not Path("/sys/class/dmi/id").exists():
            self.assertIn("SMBIOS", self.refused("sysinfo"))
        else:
            self.assertIn("<sysinfo type='smbios'>", self.virsh("sysinfo"))

    def test_readers_may_look_and_not_change(self):
        def run(*arguments):
            return subprocess.run(["virsh", "-q", "-r", "-c", self.daemon.uri, *arguments], text=True, check=False,
                                  stdin=subprocess.DEVNULL, capture_output=True, timeout=30)
        for command in (["nodecpustats"], ["nodememstats"], ["freecell"], ["cpu-models", "x86_64"]):
            self.assertEqual(run(*command).returncode, 0, command)
        for command in (["allocpages", "2M", "0"], ["nodesuspend", "mem", "60"],
                        ["node-memory-tune", "--shm-sleep-millisecs", "20"]):
            self.assertIn("read only access", run(*command).stderr, command)


class Documents(HostCase):
    def test_schemas(self):
        for command, schema in (("capabilities", "capabilities.rng"), ("domcapabilities", "domain-capabilities.rng")):
            document = self.named_file(command + ".xml", self.virsh(command))
            result = subprocess.run(["xmllint", "--noout", "--relaxng", ROOT / "xml-schemas" / schema, document],
                                    capture_output=True, text=True, check=False)
            self.assertEqual(result.returncode, 0, result.stderr)

    def test_capabilities(self):
        host = ElementTree.fromstring(self.virsh("capabilities")).find("host")
        self.assertEqual(host.find("cpu/arch").text, "x86_64")
        self.assertIn(host.find("cpu/model").text, self.virsh("cpu-models", "x86_64").split())
        cells = host.findall("topology/cells/cell")
        self.assertEqual(len(cells), int(host.find("topology/cells").get("num")))
        self.assertEqual({cpu.get("id") for cell in cells for cpu in cell.iterfind("cpus/cpu")},
                         {path.name[3:] for path in Path("/sys/devices/system/cpu").glob("cpu[0-9]*")
                          if (path / "topology").exists()})
        for bank in host.iterfind("cache/bank"):
            self.assertGreaterEqual(int(bank.get("level")), 3)

    def test_models_that_are_usable_are_comparable(self):
        modes = {mode.get("name"): mode
                 for mode in ElementTree.fromstring(self.virsh("domcapabilities")).iterfind("cpu/mode")}
        known = set(self.virsh("cpu-models", "x86_64").split())
        for model in modes["custom"].iterfind("model"):
            self.assertIn(model.text, known)
            # The vendor's name is no part of a comparison, so that a usable model is never incompatible.
            cpu = self.named_file("cpu.xml", f"<cpu><model>{model.text}</model></cpu>")
            compared = subprocess.run(["virsh", "-q", "-c", self.daemon.uri, "hypervisor-cpu-compare", cpu],
                                      capture_output=True, text=True, check=False, timeout=30)
            self.assertEqual(compared.returncode == 0, model.get("usable") == "yes", model.text + compared.stdout)


class CpuModels(HostCase):
    def test_names(self):
        models = self.virsh("cpu-models", "x86_64").split()
        for name in ("486", "qemu64", "kvm64", "Haswell", "Skylake-Server", "EPYC", "EPYC-Rome"):
            self.assertIn(name, models)
        self.assertEqual(models, self.virsh("cpu-models", "i686").split())
        self.assertIn("not supported", self.refused("cpu-models", "aarch64"))

    def test_the_host_compared_with_itself(self):
        capabilities = self.named_file("capabilities.xml", self.virsh("capabilities"))
        self.assertIn("identical", self.virsh("cpu-compare", capabilities, "--validate"))
        domain_capabilities = self.named_file("domcapabilities.xml", self.virsh("domcapabilities"))
        self.assertIn("identical", self.virsh("hypervisor-cpu-compare", domain_capabilities))

    def test_compare(self):
        small = self.named_file("small.xml", "<cpu><model>qemu32</model><feature policy='disable' name='lm'/></cpu>")
        self.assertIn("superset", self.virsh("cpu-compare", small))
        never = self.named_file("never.xml", "<cpu><model>486</model><feature policy='forbid' name='fpu'/></cpu>")
        self.assertIn("incompatible", self.refused_output("cpu-compare", never))
        self.assertIn("forbidden features: fpu", self.refused("cpu-compare", never, "--error"))
        self.assertIn("forbidden features: fpu", self.refused("hypervisor-cpu-compare", never, "--error"))
        self.assertIn("Unknown CPU model", self.refused("cpu-compare", self.named_file("x.xml", "<cpu><model>x</model></cpu>")))

    def refused_output(self, *arguments) -> str:
        result = subprocess.run(["virsh", "-c", self.daemon.uri, *arguments], capture_output=True, text=True,
                                check=False, timeout=30)
        self.assertNotEqual(result.returncode, 0)
        return result.stdout + result.stderr

    def test_baseline(self):
        both = self.named_file("both.xml", "<cpu><model>Haswell</model><vendor>Intel</vendor></cpu>"
                                     "<cpu><model>Haswell</model><vendor>Intel</vendor></cpu>")
        cpu = ElementTree.fromstring(self.virsh("cpu-baseline", both))
        self.assertEqual((cpu.get("mode"), cpu.get("match")), ("custom", "exact"))
        self.assertEqual((cpu.find("model").text, cpu.find("vendor").text), ("Haswell", "Intel"))
        self.assertEqual(cpu.findall("feature"), [])
        expanded = ElementTree.fromstring(self.virsh("cpu-baseline", both, "--features"))
        self.assertIn("avx2", [feature.get("name") for feature in expanded.iterfind("feature")])
        mixed = self.named_file("mixed.xml", "<cpu><model>Haswell</model></cpu><cpu><model>EPYC</model></cpu>")
        self.assertIn("vendors do not match", self.refused("cpu-baseline", mixed))

    def test_hypervisor_baseline_is_a_domain_s_cpu(self):
        document = self.named_file("domcapabilities.xml", self.virsh("domcapabilities"))
        cpu = self.virsh("hypervisor-cpu-baseline", document, "--migratable")
        self.assertNotIn("invtsc", cpu)
        domain = self.named_file("domain.xml", f"""<domain type='kvm'><name>baseline</name><memory unit='MiB'>64</memory>
            <os><type arch='x86_64' machine='q35'>hvm</type><kernel>/k</kernel></os>{cpu}</domain>""")
        self.virsh("define", domain)
        self.virsh("undefine", "baseline")


class NativeFormat(HostCase):
    def test_to_native_is_what_the_worker_runs(self):
        define(self.daemon, "native", "list")
        self.addCleanup(self.virsh, "undefine", "native")
        native = self.named_file("native.json", self.virsh("domxml-to-native", "warren-json", "--domain", "native"))
        machine = json.loads(native.read_text())
        self.assertEqual(machine["machine"]["cpu"]["vcpus"], 1)
        # Its serial port is a pseudo terminal in the domain; here it is a file that can be read.
        for resource in machine["descriptors"]:
            if resource["kind"] == "pty":
                resource.update(kind="output", path=str(self.daemon.root / resource["name"]))
        for port in machine["machine"]["serials"]:
            port["character"]["kind"] = "file"
        native.write_text(json.dumps(machine))
        worker = build_directory() / "vmm-core/worker/warren-vmm"
        subprocess.run([worker, "run", native], stdin=subprocess.DEVNULL, check=True, timeout=60, capture_output=True)
        self.assertIn("acpi.rsdp", (self.daemon.root / "serial0").read_text())

    def test_what_is_refused(self):
        define(self.daemon, "native", "list")
        self.addCleanup(self.virsh, "undefine", "native")
        self.assertIn("unsupported config type qemu-argv",
                      self.refused("domxml-to-native", "qemu-argv", "--domain", "native"))
        native = self.named_file("native.json", "{}")
        self.assertIn("would be guessed", self.refused("domxml-from-native", "warren-json", native))


if __name__ == "__main__":
    require_daemon()
    tap.main()
