#!/usr/bin/python3
"""What <driver>, <blockio>, <serial> and <readonly/> of a disk make of it, as the test guest finds it and as the images
show it, by stock virsh: sizes, queues, discards, zeros, copy on read, IOThreads."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

sys.path.insert(0, str(Path(__file__).resolve().parent))

from domain_test import DomainCase
from domains import console, define, require_daemon, workers_of
from fixtures import tap

MEBIBYTE = 1 << 20
SIZE = 4 * MEBIBYTE


def disk(target: str, image: Path, driver: str = "type='raw'", inside: str = "", more: str = "") -> str:
    return (f"<disk type='file' device='disk'><driver name='qemu' {driver}>{inside}</driver><source file='{image}'/>"
            f"<target dev='{target}' bus='virtio'/>{more}</disk>")


def mapping(**queues: list[int]) -> str:
    """<iothreads> of keywords like t1=[0, 2]."""
    threads = "".join(f"<iothread id='{name[1:]}'>" + "".join(f"<queue id='{queue}'/>" for queue in served) + "</iothread>"
                      for name, served in queues.items())
    return f"<iothreads>{threads}</iothreads>"


class DiskDriver(DomainCase):
    def image(self, name: str) -> Path:
        path = self.daemon.root / name
        path.write_bytes(b"\x5a" * SIZE)
        return path

    def file(self, name: str, text: str) -> Path:
        path = self.daemon.root / name
        path.write_text(text)
        return path

    def start(self, name: str, devices: str, **settings: object) -> int:
        before = set(workers_of(self.daemon))
        define(self.daemon, name, "disk_facts", devices=devices + "<memballoon model='none'/>", **settings)
        self.virsh("start", name, "--paused")
        with console(self.daemon, name) as terminal:
            self.virsh("resume", name)
            terminal.expect("READY")
        (worker,) = set(workers_of(self.daemon)) - before
        return worker

    def ask(self, name: str, byte: str) -> str:
        with console(self.daemon, name) as terminal:
            terminal.send(byte)
            return terminal.expect("^(.*?)DONE")[1].decode()

    def do(self, name: str, byte: str) -> list[int]:
        """The status of each disk."""
        return [int(status) for status in re.findall(r"STATUS (\d+)", self.ask(name, byte))]

    def test_the_guest_finds_what_is_defined(self):
        images = [self.image(f"facts-{number}.img") for number in range(4)]
        used = [image.stat().st_blocks for image in images]
        self.start("facts", disk("vda", images[0], "type='raw' discard='unmap' detect_zeroes='on' queues='4'",
                                 more="<blockio logical_block_size='4096' physical_block_size='8192'/>"
                                      "<serial>WD-1 of_4</serial>") +
                   disk("vdb", images[1], more="<blockio physical_block_size='4096'/><readonly/>") +
                   disk("vdc", images[2], "type='raw' discard='unmap' detect_zeroes='unmap' cache='none' io='native'") +
                   disk("vdd", images[3], "type='raw' discard='ignore' io='threads'"))
        told = self.ask("facts", "t")
        for line in (f"DISK 0 SERIAL 'WD-1 of_4' SECTORS {SIZE // 512} LOGICAL 4096 PHYSICAL 8192 QUEUES 4 DISCARD ZEROES .",
                     f"DISK 1 SERIAL '' SECTORS {SIZE // 512} LOGICAL 512 PHYSICAL 4096 QUEUES 1 READONLY .",
                     f"DISK 2 SERIAL '' SECTORS {SIZE // 512} LOGICAL 512 PHYSICAL 512 QUEUES 1 DISCARD ZEROES .",
                     f"DISK 3 SERIAL '' SECTORS {SIZE // 512} LOGICAL 512 PHYSICAL 512 QUEUES 1 ZEROES ."):
            self.assertIn(line, told)
        # Zeros over the second half: of the third disk they become a hole.
        self.assertEqual(self.do("facts", "z"), [0, 1, 0, 0])
        for number, (half, content) in enumerate(((0, 0), (0, 0x5a), (1, 0), (0, 0))):
            with self.subTest(written=number):
                self.assertAlmostEqual(used[number] - images[number].stat().st_blocks, half * SIZE // 2 // 512, delta=64)
                self.assertEqual(images[number].read_bytes()[SIZE // 2:], bytes([content]) * (SIZE // 2))
        used = [image.stat().st_blocks for image in images]
        # A discard of the first half, where it is offered.
        self.assertEqual(self.do("facts", "d"), [0, 2, 0, 2])
        for number, half in enumerate((1, 0, 1, 0)):
            with self.subTest(discarded=number):
                self.assertAlmostEqual(used[number] - images[number].stat().st_blocks, half * SIZE // 2 // 512, delta=64)

    def test_native_io_needs_a_file_without_a_cache(self):
        refused = self.file("native.xml", "<domain type='kvm'><name>native</name><memory>65536</memory><os><type>hvm</type>"
                            "<kernel>/k</kernel></os><devices>" + disk("vda", Path("/x"), "type='raw' io='native'") +
                            "</devices></domain>")
        self.assertIn("native I/O needs either no disk cache or directsync", self.refused("define", refused))

    def own_bytes(self, image: Path) -> int:
        """How much of the disk is in the image itself."""
        told = subprocess.run(["qemu-img", "map", "--output=json", image], check=True, capture_output=True, text=True)
        return sum(extent["length"] for extent in json.loads(told.stdout) if extent["depth"] == 0)

    def shut_down(self, name: str) -> None:
        self.virsh("shutdown", name)
        deadline = time.monotonic() + 20
        while self.virsh("domstate", name).strip() != "shut off":
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)

    def test_copy_on_read(self):
        base = self.image("base.raw")
        images = [self.daemon.root / f"{name}.qcow2" for name in ("copying", "reading", "threads")]
        for image in images:
            subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "raw", image], check=True)
        raw = self.image("copying.raw")
        self.start("copy", disk("vda", images[0], "type='qcow2' copy_on_read='on'") +
                   disk("vdb", images[1], "type='qcow2' copy_on_read='off'") +
                   disk("vdc", images[2], "type='qcow2' copy_on_read='on' io='threads'") +
                   disk("vdd", raw, "type='raw' copy_on_read='on'"))
        self.assertEqual(self.virsh("dumpxml", "copy").count("copy_on_read='on'"), 3)
        self.assertEqual(self.do("copy", "r"), [0, 0, 0, 0])
        self.shut_down("copy")
        self.assertEqual([self.own_bytes(image) for image in images], [SIZE, 0, SIZE])
        self.assertEqual(base.read_bytes(), b"\x5a" * SIZE)
        for image in images:
            subprocess.run(["qemu-img", "check", "-q", image], check=True)
            subprocess.run(["qemu-img", "compare", "-q", "-f", "qcow2", "-F", "raw", image, base], check=True)

    def test_copy_on_read_beside_a_block_job(self):
        base, top = self.image("job-base.raw"), self.daemon.root / "job-top.qcow2"
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "raw", top], check=True)
        self.start("job", disk("vda", top, "type='qcow2' copy_on_read='on'"))
        self.assertEqual(self.do("job", "z"), [0])
        self.virsh("blockcommit", "job", "vda", "--active", "--bytes", "--bandwidth", "65536")
        self.assertEqual(self.do("job", "r"), [0])
        self.virsh("blockjob", "job", "vda", "--bandwidth", "0")
        self.virsh("blockjob", "job", "vda", "--info")
        deadline = time.monotonic() + 20
        while "ready='yes'" not in self.virsh("dumpxml", "job"):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)
        self.virsh("blockjob", "job", "vda", "--pivot")
        self.assertEqual(self.do("job", "r"), [0])
        self.shut_down("job")
        self.assertEqual(base.read_bytes(), b"\x5a" * (SIZE // 2) + bytes(SIZE // 2))

    def test_copy_on_read_is_refused(self):
        define(self.daemon, "refusing", "echo")
        for text, said in (
                (disk("vda", Path("/x"), "type='qcow2' copy_on_read='on'", more="<readonly/>"),
                 "copy_on_read is not compatible with read-only disk 'vda'"),
                ("<disk type='file' device='cdrom'><driver copy_on_read='on'/><target dev='sda' bus='sata'/></disk>",
                 "copy_on_read is not compatible with read-only disk 'sda'")):
            self.assertIn(said, self.refused("attach-device", "refusing", self.file("refused.xml", text), "--config"))

    def threads(self, worker: int) -> dict[str, int]:
        """How often each thread of the worker has waited."""
        found = {}
        for task in Path(f"/proc/{worker}/task").iterdir():
            waits = re.search(r"^voluntary_ctxt_switches:\s+(\d+)", (task / "status").read_text(), re.MULTILINE)
            found[(task / "comm").read_text().strip()] = int(waits[1])
        return found

    def test_iothreads_serve_their_queues(self):
        worker = self.start("threads", disk("vda", self.image("threads.img"), "type='raw' queues='4'",
                                            mapping(t1=[0], t3=[1, 2, 3])), actions="<iothreads>3</iothreads>")
        self.assertIn("QUEUES 4 ", self.ask("threads", "t"))
        before = self.threads(worker)
        self.assertNotIn("io-virtio-disk0", before)
        self.assertEqual(self.do("threads", "r"), [0])
        after = self.threads(worker)
        # 64 requests, one at a time, by each queue in turn.
        waits = {name: after[name] - before[name] for name in ("iothread1", "iothread2", "iothread3")}
        self.assertGreaterEqual(waits["iothread1"], 8, waits)
        self.assertGreater(waits["iothread3"], waits["iothread1"], waits)
        self.assertLess(waits["iothread2"], 8, waits)
        live = ElementTree.fromstring(self.virsh("dumpxml", "threads")).find("devices/disk/driver/iothreads")
        self.assertEqual([(thread.get("id"), [queue.get("id") for queue in thread]) for thread in live],
                         [("1", ["0"]), ("3", ["1", "2", "3"])])
        self.assertIn("being used by disk 'vda'", self.refused("iothreaddel", "threads", "3", "--live"))
        self.assertIn("being used by disk 'vda'", self.refused("iothreaddel", "threads", "3", "--config"))
        self.virsh("iothreaddel", "threads", "2", "--live")

    def test_iothreads_of_a_disk_that_comes_and_goes(self):
        define(self.daemon, "plug", "hot_plug", actions="<iothreads>2</iothreads>",
               devices="<memballoon model='none'/>" + "<controller type='pci' model='pcie-root-port'/>" * 2)
        self.virsh("start", "plug")
        image = self.image("plug.img")
        given = self.file("plug.xml", disk("vda", image, "type='raw'", "<iothreads><iothread id='1'/><iothread id='2'/></iothreads>"))
        missing = self.file("missing.xml", disk("vda", image, "type='raw'", mapping(t1=[0], t7=[1])))
        self.assertIn("IOThread 7, which there is not", self.refused("attach-device", "plug", missing, "--live"))
        with console(self.daemon, "plug") as terminal:
            self.virsh("attach-device", "plug", given, "--live", "--config")
            terminal.expect("PLUGGED 1 ")
        for options in ((), ("--inactive",)):
            driver = ElementTree.fromstring(self.virsh("dumpxml", "plug", *options)).find("devices/disk/driver")
            self.assertEqual([thread.get("id") for thread in driver.iterfind("iothreads/iothread")], ["1", "2"])
        for driver, inside, named in (("type='raw' copy_on_read='on'", "", "<driver copy_on_read>"),
                                      ("type='raw' iothread='1'", "", "<driver iothread>"),
                                      ("type='raw' queues='2'", "", "<driver queues>"),
                                      ("type='raw'", "<iothreads><iothread id='2'/></iothreads>", "<driver><iothreads>")):
            changed = self.file("changed.xml", disk("vda", image, driver, inside))
            self.assertIn(f"cannot modify {named} of disk vda", self.refused("update-device", "plug", changed, "--live"))
        # What says nothing of them leaves them as they are.
        self.virsh("update-device", "plug", self.file("same.xml", disk("vda", image)), "--live")
        self.assertIn("<iothread id='2'/>", self.virsh("dumpxml", "plug"))
        self.assertIn("being used by disk 'vda'", self.refused("iothreaddel", "plug", "2", "--live"))
        # A daemon that comes back knows them from the status that it left.
        self.daemon.kill()
        self.daemon.start()
        self.assertIn("<iothread id='2'/>", self.virsh("dumpxml", "plug"))
        self.virsh("detach-disk", "plug", "vda", "--live", "--config")
        self.virsh("iothreaddel", "plug", "2", "--live", "--config")
        self.virsh("iothreaddel", "plug", "1", "--live", "--config")

    def test_iothreads_are_for_virtio(self):
        define(self.daemon, "buses", "echo", actions="<iothreads>1</iothreads>")
        for bus in ("sata", "scsi"):
            text = disk("sda", Path("/x"), "type='raw'", mapping(t1=[])).replace("virtio", bus)
            self.assertIn(f"IOThreads not available for bus {bus} target sda",
                          self.refused("attach-device", "buses", self.file("bus.xml", text), "--config"))


if __name__ == "__main__":
    require_daemon()
    tap.main()
