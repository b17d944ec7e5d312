#!/usr/bin/python3
"""T9: every limit of <iotune> and blkdeviotune holds within 5 %, under a guest that always asks for more."""

import dataclasses
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from domain_test import DomainCase
from domains import console, define, require_daemon
from fixtures import tap

REQUEST = 16 << 10  # bytes
WINDOW = 6.0  # seconds
MEBIBYTE = 1 << 20


@dataclasses.dataclass
class Load:
    """A disk, what the guest does to it (r, w, m: by turns), and what comes of that, a second."""

    letter: str
    limits: dict[str, int | str]
    figure: str  # of domstats, of reads and writes together: reqs or bytes
    expected: float


LOADS = [
    Load("w", {"write_bytes_sec": MEBIBYTE}, "bytes", MEBIBYTE),
    Load("r", {"read_bytes_sec": MEBIBYTE}, "bytes", MEBIBYTE),
    Load("m", {"total_bytes_sec": MEBIBYTE}, "bytes", MEBIBYTE),
    Load("w", {"write_iops_sec": 100}, "reqs", 100),
    Load("r", {"read_iops_sec": 100}, "reqs", 100),
    Load("m", {"total_iops_sec": 100}, "reqs", 100),
    # A request counts as four operations of 4 KiB.
    Load("r", {"total_iops_sec": 200, "size_iops_sec": REQUEST // 4}, "reqs", 50),
    # Two limits: the tighter one holds.
    Load("r", {"read_bytes_sec": 100 * MEBIBYTE, "read_iops_sec": 75}, "reqs", 75),
    Load("m", {"total_iops_sec": 100, "group_name": "shared"}, "reqs", 50),
    Load("m", {"total_iops_sec": 100, "group_name": "shared"}, "reqs", 50),
]


def target(number: int) -> str:
    return "vd" + "abcdefghijklmnop"[number]


class Limits(DomainCase):
    def start(self, name: str, letters: str, tunes: list[str]) -> None:
        disks = ""
        for number, tune in enumerate(tunes):
            image = self.daemon.root / f"{name}{number}.img"
            image.write_bytes(bytes(MEBIBYTE))
            disks += (f"<disk type='file' device='disk'><source file='{image}'/>"
                      f"<target dev='{target(number)}' bus='virtio'/>{tune}</disk>")
        define(self.daemon, name, f"disk_load load={letters} load_bytes={REQUEST}", devices=disks)
        self.virsh("start", name, "--paused")
        with console(self.daemon, name) as terminal:
            self.virsh("resume", name)
            terminal.expect(f"LOADED {len(letters)}\\b.*READY")

    def figures(self, name: str) -> tuple[float, dict[str, int]]:
        """When, and each disk's reads and writes together: "vda reqs", "vda bytes"."""
        lines = self.virsh("domstats", name, "--block").splitlines()
        now = time.monotonic()
        values = dict(line.strip().split("=", 1) for line in lines if "=" in line)
        return now, {f"{target(number)} {kind}": sum(int(values[f"block.{number}.{way}.{kind}"]) for way in ("rd", "wr"))
                     for number in range(int(values["block.count"])) for kind in ("reqs", "bytes")}

    def test_each_holds(self):
        tunes = ["<iotune>" + "".join(f"<{name}>{value}</{name}>" for name, value in load.limits.items()) + "</iotune>"
                 for load in LOADS]
        self.start("limits", "".join(load.letter for load in LOADS), tunes)
        time.sleep(1)  # what a limit lets pass at once is gone
        begun, before = self.figures("limits")
        time.sleep(WINDOW)
        ended, after = self.figures("limits")
        for number, load in enumerate(LOADS):
            with self.subTest(**load.limits):
                name = f"{target(number)} {load.figure}"
                rate = (after[name] - before[name]) / (ended - begun)
                print(f"# {load.limits}: {rate / load.expected:.3f} of what is allowed")
                # A group is shared by whoever comes first: its sum is exact.
                allowed = 0.5 if "group_name" in load.limits else 0.05
                self.assertAlmostEqual(rate / load.expected, 1, delta=allowed)
        both = sum(after[name] - before[name] for name in ("vdi reqs", "vdj reqs")) / (ended - begun)
        self.assertAlmostEqual(both / 100, 1, delta=0.05)

    def test_bursts(self):
        """As much as the burst's rate and length say, and then what is allowed in the long run."""
        self.start("bursts", "rrw", [""] * 3)
        idle = ("--total-iops-sec", "1")  # until all is ready
        for number in range(3):
            self.virsh("blkdeviotune", "bursts", target(number), "--live", *idle)
        time.sleep(0.5)
        settings = [  # and how many requests pass in how many seconds
            (("--total-iops-sec", "100", "--total-iops-sec-max", "400", "--total-iops-sec-max-length", "3"),
             {2: 2 * 400 + 40, 8: 3 * 400 + 8 * 100}),
            (("--total-iops-sec", "100", "--total-iops-sec-max", "500"), {2: 500 + 2 * 100, 8: 500 + 8 * 100}),
            (("--total-iops-sec", "0", "--write-bytes-sec", str(100 * REQUEST), "--write-bytes-sec-max",
              str(400 * REQUEST), "--write-bytes-sec-max-length", "2"), {8: 2 * 400 + 8 * 100}),
        ]
        begun, before = [], []
        for number, (words, _) in enumerate(settings):
            at, figures = self.figures("bursts")
            begun.append(at)
            before.append(figures[f"{target(number)} reqs"])
            self.virsh("blkdeviotune", "bursts", target(number), "--live", *words)
        for moment in (2, 8):
            time.sleep(max(0.0, begun[0] + moment - time.monotonic()))
            now, figures = self.figures("bursts")
            for number, (words, expected) in enumerate(settings):
                if moment not in expected:
                    continue
                passed = figures[f"{target(number)} reqs"] - before[number]
                # What passes in the time that the two looks were apart beyond that.
                late = (now - begun[number] - moment) * (400 if number == 0 and moment == 2 else 100)
                with self.subTest(words=words, moment=moment):
                    print(f"# {' '.join(words)}: {passed} in {now - begun[number]:.2f} s, {expected[moment]} expected in {moment}")
                    self.assertAlmostEqual((passed - late) / expected[moment], 1, delta=0.05)


if __name__ == "__main__":
    require_daemon()
    tap.main()
