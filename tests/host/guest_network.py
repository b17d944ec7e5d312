"""Domains with an interface that no link of the host is behind: what their tests have in common."""

import contextlib
from collections.abc import Iterator

from domain_test import DomainCase
from domains import console, define
from fixtures.terminal import Terminal

MAC = "52:54:00:12:34:56"
PORTS = "<memballoon model='none'/>" + "<controller type='pci' model='pcie-root-port'/>" * 2
# What a network device has whoever moves its packets; somebody answers at 10.0.2.2.
TESTS = "mac,link_status,split,split_event_index,mergeable_buffers,malformed_transmissions"


class GuestNetworkCase(DomainCase):
    @contextlib.contextmanager
    def guest(self, name: str, mode: str, devices: str, actions: str = "") -> Iterator[Terminal]:
        """The guest's console from its first word on."""
        define(self.daemon, name, mode, actions=actions, devices=devices + PORTS)
        self.virsh("start", name, "--paused")
        with console(self.daemon, name) as terminal:
            self.virsh("resume", name)
            yield terminal

    def run_tests(self, name: str, tests: str, devices: str, actions: str = "", arguments: str = "") -> None:
        names = tests.split(",")
        mode = f" test={','.join(f'virtio_net.{test}' for test in names)} mac_tail={0x123456} {arguments}"
        with self.guest(name, mode, devices, actions) as terminal:
            self.assert_passed(terminal, len(names))

    def assert_passed(self, terminal: Terminal, count: int) -> None:
        text = terminal.expect(r"END passed=(\d+) failed=(\d+) skipped=(\d+)", 120)
        self.assertEqual(text[0].decode(), f"END passed={count} failed=0 skipped=0", terminal.tail())
