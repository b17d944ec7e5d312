#!/usr/bin/python3
"""A virtio network interface of Warren beside QEMU's, in one run, each on a tap whose packets the VMM itself moves, by
the same test guest: packets a second each way, long segments each way, round trips, and the host's CPU time for each.

Everything is measured in turn, Warren, QEMU, Warren, …, and printed as medians and their ratio, above 1 where Warren is
better. The guest polls in ring 3 and has one processor; what is at the other end of the tap is net_load.cpp. Each side
has a network namespace of its own. With --vhost the kernel moves the packets of both (/dev/vhost-net, which the lab has:
`tests/lab/lab --cpus 2 --module vhost_net -- tests/bench/net_bench.py --vhost`).
"""
# time limit: 1200 s

import argparse
import contextlib
import os
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "host"))

from fixtures.warren_daemon import build_directory
from guest_machine import GUEST, MAC, GuestMachine, require_worker
from side_by_side import note_conditions

LOAD = build_directory() / "tests/bench/warren-net-load"
GUEST_THREADS = ("vcpu", "CPU ")  # how the threads of virtual CPUs begin their names, of Warren and of QEMU
SEGMENT = 65000
MEASUREMENTS = (("send", 64), ("send", 1500), ("receive", 64), ("receive", 1500), ("send", SEGMENT),
                ("receive", SEGMENT), ("echo", 64))
VHOST = "/dev/vhost-net"
MAKE_TAP = ("ip tuntap add tap0 mode tap vnet_hdr && sysctl -qw net.ipv6.conf.tap0.disable_ipv6=1 && "
            "ip link set tap0 up && exec \"$@\"")


class Machine:
    """A machine with the test guest, told what to measure on its serial port."""

    def __init__(self, process: subprocess.Popen) -> None:
        self.process = process
        self._expect(rb"^READY")

    def _expect(self, pattern: bytes) -> re.Match[bytes]:
        for line in self.process.stdout:
            if match := re.search(pattern, line):
                return match
            if line.startswith(b"STOP"):
                raise RuntimeError(line.decode())
        raise RuntimeError(f"the machine ended: {self.process.stderr.read().decode()}")

    def _cpu_ns(self) -> int:
        """Of all threads but those of the virtual CPUs, which spin."""
        total = 0
        own = list(Path(f"/proc/{self.process.pid}/task").iterdir())
        # Before Linux 6.4 what vhost does for a thread is done by a kernel thread that is called after it.
        names = {f"vhost-{task.name}" for task in own}
        for task in own + [task for task in Path("/proc").glob("[0-9]*") if self._comm(task) in names]:
            with contextlib.suppress(OSError):
                if not self._comm(task).startswith(GUEST_THREADS):
                    total += int((task / "schedstat").read_text().split()[0])
        return total

    @staticmethod
    def _comm(task: Path) -> str:
        with contextlib.suppress(OSError):
            return (task / "comm").read_text().rstrip("\n")
        return ""

    def _peer(self, operation: str, size: int, seconds: float) -> subprocess.Popen | None:
        words = {"receive": ["source", "tap0", str(size), str(seconds + 5)],
                 "echo": ["reflect", "tap0", str(seconds + 5)]}.get(operation)
        if words is None:
            return None
        peer = subprocess.Popen(["nsenter", "--net", f"--target={self.process.pid}", LOAD, *words], stdout=subprocess.PIPE)
        peer.stdout.readline()  # it is ready
        return peer

    def measure(self, operation: str, size: int, seconds: float) -> dict[str, float]:
        peer = self._peer(operation, size, seconds)
        try:
            self.process.stdin.write(f"{operation} {size} {int(seconds * 1000)}\n".encode())
            self.process.stdin.flush()
            self._expect(rb"^BEGIN")
            before = self._cpu_ns()
            match = self._expect(rb"^RESULT (.*)\r?$")
            used = self._cpu_ns() - before
        finally:
            if peer:
                peer.kill()
                peer.wait()
                peer.stdout.close()
        figures = {name: float(value) for name, value in re.findall(r"(\w+)=(\d+)", match[1].decode())}
        if not figures["packets"]:
            raise RuntimeError(f"{operation} {size}: no packet came through: {match[1].decode()}")
        seconds = figures["nanoseconds"] / 1e9
        return {"packets": figures["packets"] / seconds, "rate": figures["bytes"] * 8 / seconds / 1e9,
                "p50": figures["p50"] / 1000, "p99": figures["p99"] / 1000,
                "cpu": used / figures["packets"] / 1000}


@contextlib.contextmanager
def running(command: list[str]) -> Iterator[Machine]:
    process = subprocess.Popen(["unshare", "--net", "sh", "-c", MAKE_TAP, "sh", *command], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        yield Machine(process)
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            stream.close()


@contextlib.contextmanager
def warren(vhost: bool) -> Iterator[Machine]:
    with GuestMachine("mode=net_bench") as description:
        description.machine["memory"] = {"is_private": True}  # as the daemon has it
        interface = {"id": "net0", "address": {"slot": 2}, "mac": MAC, "descriptors": ["tap0"]}
        description.machine["interfaces"] = [interface]
        if vhost:
            interface["vhost"] = ["vhost0"]
            description.descriptors.append({"name": "vhost0", "kind": "file", "path": VHOST, "write": True})
        description.descriptors.append({"name": "tap0", "kind": "tap", "path": "tap0"})
        with running(description.command()) as machine:
            yield machine


@contextlib.contextmanager
def qemu(vhost: bool) -> Iterator[Machine]:
    with running(["qemu-system-x86_64", "-enable-kvm", "-M", "q35", "-cpu", "qemu64,+x2apic", "-m", "64", "-nodefaults",
                  "-display", "none", "-serial", "stdio", "-no-reboot", "-kernel", str(GUEST), "-append", "mode=net_bench",
                  "-netdev", f"tap,id=net,ifname=tap0,script=no,downscript=no,vhost={'on' if vhost else 'off'}",
                  "-device", f"virtio-net-pci,netdev=net,mac={MAC},disable-legacy=on,tx_queue_size=256,"
                             "rx_queue_size=256"]) as machine:
        yield machine


def row(operation: str, size: int, samples: dict[str, list[dict[str, float]]]) -> None:
    def cells(figure: str, more: bool) -> str:
        ours, theirs = (statistics.median(sample[figure] for sample in samples[side]) for side in ("Warren", "QEMU"))
        ratio = (ours / theirs if more else theirs / ours) if ours and theirs else float("nan")
        return f"{ours:11.4g}{theirs:11.4g}{ratio:7.2f}x"

    main = ("round trip p50, µs", "p50", False) if operation == "echo" else \
        ("Gbit/s", "rate", True) if size == SEGMENT else ("packets/s", "packets", True)
    print(f"{f'{operation} {size}, {main[0]}':34}{cells(main[1], main[2])}{cells('cpu', False)}", flush=True)
    if operation == "echo":
        print(f"{f'{operation} {size}, round trip p99, µs':34}{cells('p99', False)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0, help="for each figure")
    parser.add_argument("--only", choices=("send", "receive", "echo"))
    parser.add_argument("--vhost", action="store_true", help="the kernel's vhost-net on both sides")
    options = parser.parse_args()
    require_worker()
    if os.geteuid() != 0:
        print("taps need root")
        sys.exit(77)
    if options.vhost and not os.path.exists(VHOST):
        print(f"there is no {VHOST}")
        sys.exit(77)
    note_conditions()
    print("send is from the guest, receive is to it; Warren, QEMU and their ratio; CPU is the host's in µs for a packet, "
          "without the guest's processor and what is at the other end of the tap")
    print(f"{'':34}{'figure':^29}{'CPU a packet':^29}")
    measured = [what for what in MEASUREMENTS if options.only in (None, what[0])]
    samples = {what: {"Warren": [], "QEMU": []} for what in measured}
    for _ in range(options.rounds):
        for side, start in (("Warren", warren), ("QEMU", qemu)):
            with start(options.vhost) as machine:
                for operation, size in measured:
                    samples[operation, size][side].append(machine.measure(operation, size, options.seconds))
    for what in measured:
        row(*what, samples[what])


if __name__ == "__main__":
    main()
