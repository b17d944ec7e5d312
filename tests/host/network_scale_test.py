#!/usr/bin/python3
# time limit: 300 s
"""T24: many networks and taps come and go, and leave no link, rule, process or file.

WARREN_NETWORKS is how many networks; a tap takes the kernel a tenth of a second to remove, so that 200 of them, with
their 1,000 taps, take more than two minutes.
"""

import contextlib
import json
import os
import re
import resource
import subprocess
import sys
import threading
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from domains import define, require_daemon, workers_of
from fixtures import tap
from fixtures.warren_daemon import PrivateDaemon

NETWORKS = int(os.environ.get("WARREN_NETWORKS", "50"))
DOMAINS = NETWORKS // 5
INTERFACES = 25  # of each domain
CLIENTS = 4

MODES = ("", "<forward mode='nat'/>", "<forward mode='route'/>", "<forward mode='open'/>")


def network_xml(number: int) -> str:
    return f"""<network>
  <name>n{number}</name>
  {MODES[number % len(MODES)]}
  <bridge name='wb{number}'/>
  <ip address='10.{number}.0.1' prefix='24'>
    <dhcp><range start='10.{number}.0.10' end='10.{number}.0.200'/></dhcp>
  </ip>
</network>
"""


def interfaces_xml(domain: int) -> str:
    """Every network has some, and a few of them are filtered."""
    text = ""
    for number in range(domain * INTERFACES, (domain + 1) * INTERFACES):
        filtered = "<filterref filter='no-mac-spoofing'/>" if number % INTERFACES == 0 else ""
        text += (f"<interface type='network'><source network='n{number % NETWORKS}'/>"
                 f"<mac address='52:54:00:77:{number >> 8:02x}:{number & 255:02x}'/>{filtered}</interface>\n")
    return text


class Scale(unittest.TestCase):
    def batch(self, commands: list[str]) -> None:
        """A few clients at once, each one virsh: a process for each command would measure virsh."""
        failures = []

        def run(mine: list[str]) -> None:
            result = subprocess.run(["virsh", "-q", "-c", self.daemon.uri, "; ".join(mine)], stdin=subprocess.DEVNULL,
                                    capture_output=True, text=True, timeout=280, check=False)
            if result.returncode or result.stderr.strip():
                failures.append(result.stderr.strip())

        clients = [threading.Thread(target=run, args=(commands[first::CLIENTS],)) for first in range(CLIENTS)
                   if commands[first::CLIENTS]]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        self.assertEqual(failures, [])

    def timed(self, what: str, commands: list[str]) -> None:
        started = time.monotonic()
        self.batch(commands)
        elapsed = time.monotonic() - started
        print(f"# {what}: {elapsed:.1f} s, {1000 * elapsed / len(commands):.0f} ms each")

    def links(self) -> list[str]:
        return sorted(link["ifname"] for link in json.loads(self.daemon.in_network("ip", "-j", "link")))

    def rules(self) -> list[str]:
        """All that is in the ruleset but for handles and counters."""
        listed = json.loads(self.daemon.in_network("nft", "-j", "list", "ruleset"))["nftables"]
        return [re.sub(r'"(handle|packets|bytes)": \d+,? ?', "", json.dumps(each)) for each in listed if "metainfo" not in each]

    def servers(self) -> list[str]:
        """Command lines of the processes that name this daemon's folder and are neither it nor its workers."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                words = (process / "cmdline").read_text().replace("\0", " ")
            except OSError:
                continue
            if str(self.daemon.root) in words and "virtwarrend" not in words and "virsh" not in words:
                found.append(words)
        return sorted(found)

    def files(self) -> list[str]:
        """What the daemon keeps below /run and /var/lib; the marks of what is done once for each boot stay."""
        return sorted(str(path.relative_to(self.daemon.root)) for folder in ("run/warren", "var/lib")
                      for path in (self.daemon.root / folder).rglob("*") if path.is_file() and path.name != "autostarted")

    def holdings(self) -> dict[str, list[str]]:
        return {"links": self.links(), "rules": self.rules(), "processes": self.servers(), "files": self.files(),
                "threads": [str(len(list(Path(f"/proc/{self.daemon.process.pid}/task").iterdir())))],
                "descriptors": [str(self.descriptors())]}

    def descriptors(self) -> int:
        return len(list(Path(f"/proc/{self.daemon.process.pid}/fd").iterdir()))

    def settled(self) -> dict[str, list[str]]:
        """Once clients and processes that end have been noticed."""
        deadline = time.monotonic() + 30
        found = self.holdings()
        while time.monotonic() < deadline:
            time.sleep(0.5)
            last, found = found, self.holdings()
            if last == found and not workers_of(self.daemon):
                break
        return found

    def stop_all(self) -> None:
        """What a failure leaves: networks outlive their daemon, and each dnsmasq takes of what the host has."""
        if not self.daemon.answers():
            self.daemon.start()
        for name in self.daemon.virsh("list", "--name").split():
            self.daemon.virsh("destroy", name, check=False)
        for name in self.daemon.virsh("net-list", "--name").split():
            self.daemon.virsh("net-destroy", name, check=False)

    def test_networks_and_taps_come_and_go(self):
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        with PrivateDaemon(own_network=True) as self.daemon, contextlib.ExitStack() as cleanup:
            cleanup.callback(self.stop_all)
            for number in range(NETWORKS):
                (self.daemon.root / f"n{number}.xml").write_text(network_xml(number))
            # What the first of each sets up for good.
            self.daemon.virsh("net-create", self.daemon.root / "n0.xml")
            define(self.daemon, "vm0", "idle", memory_mib=16, devices=interfaces_xml(0).split("\n")[0])
            for command in ("start", "destroy", "undefine"):
                self.batch([f"{command} vm0"])
            self.daemon.virsh("net-destroy", "n0")
            before = self.settled()

            networks = [f"n{number}" for number in range(NETWORKS)]
            domains = [f"vm{number}" for number in range(DOMAINS)]
            self.timed("networks defined", [f"net-define {self.daemon.root}/{name}.xml" for name in networks])
            self.timed("networks started", [f"net-start {name}" for name in networks])
            self.assertEqual(len(self.daemon.virsh("net-list", "--name").split()), NETWORKS)
            self.assertEqual(sum(name.startswith("wb") for name in self.links()), NETWORKS)
            self.assertEqual(sum("dnsmasq" in words for words in self.servers()) >= NETWORKS, True)
            for number, name in enumerate(domains):
                define(self.daemon, name, "idle", memory_mib=16, devices=interfaces_xml(number))
            self.timed("domains started", [f"start {name}" for name in domains])
            self.assertEqual(sum(name.startswith("vnet") for name in self.links()), DOMAINS * INTERFACES)
            self.assertIn(f"connections='{DOMAINS * INTERFACES // NETWORKS}'", self.daemon.virsh("net-dumpxml", "n7"))
            print(f"# the daemon holds {self.descriptors()} descriptors, of {limit}")
            self.assertLess(self.descriptors(), 1000)

            # All of them at once are as little a surprise, to a daemon that comes back too.
            self.daemon.kill()
            started = time.monotonic()
            self.daemon.start()
            print(f"# the daemon came back in {time.monotonic() - started:.1f} s")
            self.assertEqual(len(self.daemon.virsh("net-list", "--name").split()), NETWORKS)
            self.assertEqual(len(self.daemon.virsh("list", "--name").split()), DOMAINS)

            self.timed("domains destroyed", [f"destroy {name}" for name in domains])
            self.assertEqual([name for name in self.links() if name.startswith("vnet")], [])
            self.timed("networks destroyed", [f"net-destroy {name}" for name in networks])
            self.batch([f"undefine {name}" for name in domains])
            self.batch([f"net-undefine {name}" for name in networks])
            after = self.settled()
            for kind in ("links", "rules", "processes", "files", "threads"):
                self.assertEqual(after[kind], before[kind], kind)
            self.assertLessEqual(int(after["descriptors"][0]), int(before["descriptors"][0]) + 2)
            log = self.daemon.log.read_text(errors="replace")
            self.assertNotIn("somebody else", log)


if __name__ == "__main__":
    require_daemon()
    tap.main()
