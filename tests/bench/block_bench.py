#!/usr/bin/python3
"""A virtio disk of Warren beside QEMU's, in one run, on the same file and the same /dev/kvm, by the same test guest:
operations a second, latency and the host's CPU time for each; and raw images beside fio on the same file.

Everything is measured in turn, Warren, QEMU, Warren, …, and printed as medians and their ratio, above 1 where Warren is
better. The guest polls in ring 3 and has one processor; both sides have one I/O thread and io_uring.
"""
# time limit: 3600 s

import argparse
import contextlib
import itertools
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "host"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab"))

import cache
from guest_machine import GUEST, GuestMachine
from side_by_side import note_conditions

IMAGE_BYTES = 512 << 20
SIZES = {"4k": 4096, "64k": 65536, "1m": 1 << 20}
GUEST_THREADS = ("vcpu", "CPU ")  # how the threads of virtual CPUs begin their names, of Warren and of QEMU


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
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            with contextlib.suppress(OSError):
                if not (task / "comm").read_text().startswith(GUEST_THREADS):
                    total += int((task / "schedstat").read_text().split()[0])
        return total

    def measure(self, operation: str, pattern: str, size: int, depth: int, queues: int, seconds: float) -> dict[str, float]:
        words = f"{operation} {pattern} {size} {depth} {queues} {int(seconds * 1000)}\n"
        self.process.stdin.write(words.encode())
        self.process.stdin.flush()
        self._expect(rb"^BEGIN")
        before = self._cpu_ns()
        match = self._expect(rb"^RESULT (.*)\r?$")
        used = self._cpu_ns() - before
        figures = {name: float(value) for name, value in re.findall(r"(\w+)=(\d+)", match[1].decode())}
        if figures["errors"]:
            raise RuntimeError(f"{words.strip()}: {figures['errors']:.0f} errors")
        operations = max(figures["operations"], 1)
        return {"iops": operations * 1e9 / figures["nanoseconds"], "p50": figures["p50"] / 1000,
                "p99": figures["p99"] / 1000, "p999": figures["p999"] / 1000, "cpu": used / operations / 1000}


@contextlib.contextmanager
def running(process: subprocess.Popen) -> Iterator[Machine]:
    try:
        yield Machine(process)
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            stream.close()


@contextlib.contextmanager
def warren(image: Path, kind: str, direct: bool) -> Iterator[Machine]:
    with GuestMachine("mode=block_bench") as description:
        description.machine["memory"] = {"is_private": True}  # as the daemon has it
        description.add_disk(image, queues=4, packed=False, format=kind, direct=direct)
        description.descriptors[-1]["direct"] = direct
        with running(description.start()) as machine:
            yield machine


@contextlib.contextmanager
def qemu(image: Path, kind: str, direct: bool) -> Iterator[Machine]:
    cached = "on" if direct else "off"
    with running(subprocess.Popen(
            ["qemu-system-x86_64", "-enable-kvm", "-M", "q35", "-cpu", "qemu64,+x2apic", "-m", "64", "-nodefaults",
             "-display", "none", "-serial", "stdio", "-no-reboot", "-kernel", GUEST, "-append", "mode=block_bench",
             "-object", "iothread,id=io",
             "-blockdev", f"driver=file,node-name=file,filename={image},aio=io_uring,cache.direct={cached}",
             "-blockdev", f"driver={kind},node-name=disk,file=file,cache.direct={cached}",
             "-device", "virtio-blk-pci,drive=disk,iothread=io,num-queues=4,queue-size=256,disable-legacy=on"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)) as machine:
        yield machine


def fio(image: Path, operation: str, pattern: str, size: int, depth: int, queues: int, seconds: float, direct: bool) -> float:
    """Operations a second of fio itself, without a machine between."""
    package = cache.package_with_libraries("fio")
    libraries = ":".join(sorted({str(path.parent) for path in package.rglob("*.so*")}))
    mode = ("rand" if pattern == "random" else "") + operation
    told = subprocess.run(
        [next(package.glob("**/bin/fio")), "--name=raw", f"--filename={image}", "--ioengine=io_uring", f"--rw={mode}",
         f"--bs={size}", f"--iodepth={depth // queues}", f"--numjobs={queues}", "--group_reporting", "--time_based",
         f"--runtime={max(1, round(seconds))}", f"--direct={int(direct)}", "--norandommap", "--randrepeat=0",
         "--invalidate=0", "--output-format=json"],
        check=True, capture_output=True, text=True, env=os.environ | {"LD_LIBRARY_PATH": libraries}).stdout
    return json.loads(told[told.index("{"):])["jobs"][0][operation]["iops"]


def make_image(path: Path, kind: str) -> None:
    """All of it written, so that neither side has to find space for what it measures."""
    with tempfile.NamedTemporaryFile(dir=path.parent) as content:
        block = os.urandom(1 << 20)
        for _ in range(IMAGE_BYTES >> 20):
            content.write(block)
        content.flush()
        subprocess.run(["qemu-img", "convert", "-S", "0", "-f", "raw", "-O", kind, content.name, path], check=True)
    os.sync()


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--formats", default="raw,qcow2")
    parser.add_argument("--operations", default="read,write")
    parser.add_argument("--patterns", default="random,sequential")
    parser.add_argument("--sizes", default="4k,64k,1m")
    parser.add_argument("--depths", default="1,32,128")
    parser.add_argument("--queues", default="1,4")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.5, help="for each figure")
    parser.add_argument("--cached", action="store_true", help="through the host's page cache, not past it (O_DIRECT)")
    parser.add_argument("--folder", type=Path, default=None, help="where the images lie")
    return parser.parse_args()


def row(name: str, samples: dict[str, list[dict[str, float]]], of_fio: list[float]) -> None:
    def median(side: str, figure: str) -> float:
        return statistics.median(sample[figure] for sample in samples[side])

    cells = [f"{name:34}"]
    for figure, more in (("iops", True), ("p50", False), ("p99", False), ("p999", False), ("cpu", False)):
        ours, theirs = median("Warren", figure), median("QEMU", figure)
        ratio = (ours / theirs if more else theirs / ours) if ours and theirs else float("nan")
        cells.append(f"{ours:9.4g}{theirs:9.4g}{ratio:6.2f}x")
    if of_fio:
        cells.append(f"{median('Warren', 'iops') / statistics.median(of_fio):6.2f}x")
    print("".join(cells), flush=True)


def main() -> None:
    options = parse()
    note_conditions()
    print(f"{'past' if not options.cached else 'through'} the host's page cache; Warren, QEMU and their ratio; µs; "
          "CPU is the host's for an operation, without the guest's processor")
    print(f"{'':34}{'operations/s':^25}{'p50':^25}{'p99':^25}{'p99.9':^25}{'CPU':^25}  to fio")
    direct = not options.cached
    combinations = list(itertools.product(options.operations.split(","), options.patterns.split(","),
                                          options.sizes.split(",")))
    loads = [(int(depth), int(queues)) for depth, queues in
             itertools.product(options.depths.split(","), options.queues.split(",")) if int(depth) >= int(queues)]
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for kind in options.formats.split(","):
            image = Path(folder, f"disk.{kind}")
            make_image(image, kind)
            for operation, pattern, size in combinations:
                measure(options, image, kind, direct, (operation, pattern, size), loads)
            image.unlink()


def measure(options: argparse.Namespace, image: Path, kind: str, direct: bool, what: tuple[str, str, str],
            loads: list[tuple[int, int]]) -> None:
    operation, pattern, size = what
    samples = {load: {"Warren": [], "QEMU": []} for load in loads}
    of_fio: dict[tuple[int, int], list[float]] = {load: [] for load in loads}
    for _ in range(options.rounds):
        for side, start in (("Warren", warren), ("QEMU", qemu)):
            with start(image, kind, direct) as machine:
                for depth, queues in loads:
                    samples[depth, queues][side].append(
                        machine.measure(operation, pattern, SIZES[size], depth, queues, options.seconds))
        if kind == "raw":
            for depth, queues in loads:
                of_fio[depth, queues].append(
                    fio(image, operation, pattern, SIZES[size], depth, queues, options.seconds, direct))
    for depth, queues in loads:
        row(f"{kind} {pattern} {operation} {size} QD{depth} {queues}q", samples[depth, queues], of_fio[depth, queues])


if __name__ == "__main__":
    main()
