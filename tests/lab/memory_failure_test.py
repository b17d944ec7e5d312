#!/usr/bin/python3
"""Memory of a Debian guest fails. While nobody is using it: the host's kernel gives the page up, the event says so, and
the guest and its domain go on; what an AMD guest does with the news is not seen, for it looks for them every few minutes.
Then one of its programs touches the page: it gets a machine check, and its kernel takes the memory from the program,
which is told where, and from nobody else."""
# time limit: 300 s

import ctypes
import mmap
import os
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fixtures import tap
from fixtures.linux_guest import LinuxGuest
from fixtures.terminal import Terminal
from fixtures.warren_daemon import PrivateDaemon

MADV_HWPOISON = 100  # madvise(2)
MARK = b"a-page-of-the-guest-that-is-about-to-fail-"
PAGE = 4096
TOLD = r"recipient: guest.*?action: inject.*?action required: {}.*?recursive: 0"
BUS_MCEERR_AR = 4  # sigaction(2)


def memory_of(daemon: PrivateDaemon, name: str) -> mmap.mmap:
    """The guest's RAM: the largest memfd of its worker."""
    status = next((daemon.root / "run").rglob(f"*{daemon.virsh('domuuid', name)}*.xml")).read_text()
    pid = status.split(" pid='")[1].split("'")[0]
    files = [path for path in Path(f"/proc/{pid}/fd").iterdir() if os.readlink(path).startswith("/memfd:")]
    largest = max(files, key=lambda path: path.stat().st_size)
    with largest.open("r+b") as file:
        return mmap.mmap(file.fileno(), 0)


def poison(memory: mmap.mmap, offset: int) -> None:
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory)) + offset // PAGE * PAGE
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.madvise(ctypes.c_void_p(address), PAGE, MADV_HWPOISON) != 0:
        raise OSError(ctypes.get_errno(), "madvise(MADV_HWPOISON)")


class MemoryFailure(unittest.TestCase):
    def test_a_guest_is_told(self):
        with PrivateDaemon() as daemon:
            guest = LinuxGuest(daemon, memory_mib=320, devices="<panic model='isa'/>", hardware=True)
            guest.xml = guest.xml.replace("<on_crash>destroy", "<on_crash>preserve")
            # So that it can be reached from here.
            guest.xml = guest.xml.replace("<vcpu>", "<memoryBacking><access mode='shared'/></memoryBacking><vcpu>")
            guest.define()
            events = Terminal(["virsh", "-c", daemon.uri, "event", "--event", "memory-failure", "--loop"], 240)
            self.addCleanup(events.close)
            time.sleep(2)
            with guest.start_with_console() as console:
                # Nothing else is that long.
                console.run(f"memory_touch {MARK.decode()} /tmp/go > /tmp/told & sleep 2")
                memory = memory_of(daemon, "debian")
                place = memory.find(MARK * 40)
                self.assertGreater(place, 0)
                poison(memory, place)
                events.expect(TOLD.format(0))
                self.assertEqual(daemon.virsh("domstate", "debian"), "running")
                self.assertEqual(console.run("echo alive"), "alive")
                console.run("touch /tmp/go; wait")
                events.expect(TOLD.format(1))
                self.assertEqual(console.run("cat /tmp/told"), f"SIGBUS {BUS_MCEERR_AR} at the page")
                self.assertIn("Memory failure", console.run("dmesg | grep -i 'memory failure' | tail -3"))
                self.assertEqual(daemon.virsh("domstate", "debian"), "running")
            daemon.virsh("destroy", "debian")


if __name__ == "__main__":
    tap.main()
