#!/usr/bin/python3
# time limit: 300 s
"""T24: sixteen clients change and read eight domains while the daemon and its workers are killed; what is left is whole.

STORM_SECONDS (default 40) is its length, STORM_KILL_EVERY (default 5) the seconds between two kills;
tests/bench/storm_bench.py does it beside libvirtd and QEMU.
"""

import os
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from domains import Holdings, define, require_daemon, workers_of
from fixtures import tap
from fixtures.storm import storm
from fixtures.warren_daemon import PrivateDaemon

CLIENTS, DOMAINS = 16, 8
SECONDS = float(os.environ.get("STORM_SECONDS", "40"))
KILL_EVERY = float(os.environ.get("STORM_KILL_EVERY", "5"))


class Storm(unittest.TestCase):
    def test_what_is_left_is_whole(self):
        with PrivateDaemon() as daemon:
            names = [f"storm{n}" for n in range(DOMAINS)]
            for name in names:
                image = daemon.root / f"{name}.raw"
                image.write_bytes(bytes(1 << 20))
                define(daemon, name, "idle", memory_mib=16, devices=(
                    f"<disk type='file'><driver name='qemu' type='raw'/><source file='{image}'/>"
                    "<target dev='vda' bus='virtio'/></disk>"))
            for name in names:
                daemon.virsh("start", name)
                daemon.virsh("destroy", name)
            before = self.holdings(daemon)

            def kill_daemon() -> None:
                daemon.kill()
                daemon.start()

            result = storm(daemon.uri, names, CLIENTS, SECONDS, KILL_EVERY, kill_daemon, lambda: workers_of(daemon))
            print(f"# {sum(result.calls.values())} calls, {sum(result.refused.values())} refused, "
                  f"{result.reconnects} connections; reads p50 {result.quantile(0.5):.2f} ms, "
                  f"p99 {result.quantile(0.99):.2f} ms (worst minute {result.worst_minute(0.99):.2f}), "
                  f"longest {result.quantile(1):.1f} ms")
            for message, count in result.messages.most_common():
                print(f"# {count} times: {message}")
            self.assertEqual(result.unexpected[:10], [])
            self.check_states(daemon, names)
            for name in names:
                daemon.virsh("destroy", name, check=False)
                daemon.virsh("start", name)
                self.assertEqual(daemon.virsh("domstate", name), "running")
                daemon.virsh("destroy", name)
            after = self.holdings(daemon)
            self.assertEqual(workers_of(daemon), [])
            self.assertEqual(after.differences(before), [])

    def check_states(self, daemon: PrivateDaemon, names: list[str]) -> None:
        """Each domain the daemon calls active has one worker, and no worker is left over."""
        deadline = time.monotonic() + 20
        while True:
            self.assertEqual(sorted(daemon.virsh("list", "--all", "--name").split()), names)
            active, workers = daemon.virsh("list", "--name").split(), workers_of(daemon)
            if len(active) == len(workers):
                return
            self.assertLess(time.monotonic(), deadline, f"active: {active}; workers: {workers}")
            time.sleep(0.2)

    def holdings(self, daemon: PrivateDaemon) -> Holdings:
        """Once the workers are gone and the daemon has noticed that its clients are."""
        deadline = time.monotonic() + 20
        last = Holdings(daemon)
        while time.monotonic() < deadline:
            time.sleep(0.3)
            now = Holdings(daemon)
            if not workers_of(daemon) and not now.differences(last):
                return now
            last = now
        return last


if __name__ == "__main__":
    require_daemon()
    tap.main()
