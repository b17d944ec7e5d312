#!/usr/bin/python3
"""One image, several domains, by stock virsh: who writes it has it alone, <shareable/> lets in who says it too, readers
share it; a refusal names the image and who has it."""

import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from domain_test import DomainCase
from domains import define, require_daemon, workers_of
from fixtures import tap

ALONE, SHARES, READS = "", "<shareable/>", "<readonly/>"


class DiskLock(DomainCase):
    def image(self, name: str) -> Path:
        path = self.daemon.root / name
        path.write_bytes(bytes(1 << 20))
        return path

    def disk(self, image: Path, use: str, target: str = "vda", driver: str = "type='raw'") -> str:
        return (f"<disk type='file' device='disk'><driver name='qemu' {driver}/><source file='{image}'/>"
                f"<target dev='{target}' bus='virtio'/>{use}</disk>")

    def define(self, name: str, *disks: str, more: str = "") -> None:
        define(self.daemon, name, "echo", devices="".join(disks) + more)

    def start(self, name: str, image: Path, use: str) -> None:
        self.define(name, self.disk(image, use))
        self.virsh("start", name)

    def test_who_writes_has_it_alone(self):
        image = self.image("alone.img")
        before = set(workers_of(self.daemon))
        self.start("first", image, ALONE)
        (holder,) = set(workers_of(self.daemon)) - before
        for use in (ALONE, SHARES, READS):
            with self.subTest(use=use):
                self.define("second", self.disk(image, use))
                refused = self.refused("start", "second")
                self.assertIn(f"disk vda: '{image}' is in use by domain 'first' (process {holder}); stop that one",
                              refused)
                self.assertEqual(self.virsh("domstate", "second").strip(), "shut off")
                self.virsh("undefine", "second")
        # It is free when its user has ended, however.
        self.virsh("destroy", "first")
        self.start("second", image, ALONE)

    def test_readers_share_it(self):
        image = self.image("read.img")
        self.start("reader", image, READS)
        self.start("reader2", image, READS)
        for use in (ALONE, SHARES):
            self.define("writer", self.disk(image, use))
            self.assertRegex(self.refused("start", "writer"), rf"'{image}' is in use by domain 'reader2?'")
            self.virsh("undefine", "writer")

    def test_who_shares_shares_with_those_that_do(self):
        image = self.image("shared.img")
        self.start("one", image, SHARES)
        self.start("two", image, SHARES)
        self.start("three", image, SHARES + READS)
        self.assertIn("<shareable/>", self.virsh("dumpxml", "two"))
        for use in (ALONE, READS):
            self.define("four", self.disk(image, use))
            self.assertRegex(self.refused("start", "four"), rf"'{image}' is in use by domain '(one|two|three)'")
            self.virsh("undefine", "four")

    def test_one_domain_twice_and_live(self):
        image = self.image("twice.img")
        self.define("twice", self.disk(image, ALONE), self.disk(image, ALONE, "vdb"))
        self.assertIn(f"disk vdb: '{image}' is in use", self.refused("start", "twice"))
        self.virsh("undefine", "twice")
        self.start("holder", image, ALONE)
        self.define("taker", more="<controller type='pci' model='pcie-root-port'/>" * 2)
        self.virsh("start", "taker")
        live = self.virsh("dumpxml", "taker")
        self.assertIn(f"'{image}' is in use by domain 'holder'",
                      self.refused("attach-disk", "taker", image, "vda", "--live"))
        self.assertEqual(self.virsh("dumpxml", "taker"), live)

    def test_programs_and_what_is_below(self):
        base, top, other = (self.daemon.root / name for name in ("base.raw", "top.qcow2", "other.qcow2"))
        base.write_bytes(bytes(1 << 20))
        for image in (top, other):
            subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "raw", image], check=True)
        self.define("above", self.disk(top, ALONE, driver="type='qcow2'"))
        self.virsh("start", "above")
        # What is below is only read, by as many as like to.
        self.define("beside", self.disk(other, ALONE, driver="type='qcow2'"))
        self.virsh("start", "beside")
        self.define("below", self.disk(base, ALONE))
        self.assertRegex(self.refused("start", "below"), rf"'{base}' is in use by domain '(above|beside)'")
        # qcow2 has more than one writer's data in it: it cannot be shared.
        self.assertIn("requires use of supported storage format", self.refused(
            "attach-device", "above", self.file("shared.xml", self.disk(other, SHARES, "vdb", "type='qcow2'")), "--config"))

    def file(self, name: str, text: str) -> Path:
        path = self.daemon.root / name
        path.write_text(text)
        return path

    def test_a_program_of_the_host(self):
        image = self.image("program.img")
        # As a program that means to have it alone locks it.
        with subprocess.Popen([sys.executable, "-c",
                               "import fcntl, struct, sys, time\n"
                               "file = open(sys.argv[1], 'r+b')\n"
                               "fcntl.fcntl(file, 37, struct.pack('hhqqi4x', fcntl.F_WRLCK, 0, 0, 0, 0))\n"
                               "print(flush=True)\n"
                               "time.sleep(60)", image], stdout=subprocess.PIPE) as program:
            program.stdout.readline()
            self.define("outsider", self.disk(image, ALONE))
            self.assertRegex(self.refused("start", "outsider"),
                             rf"'{image}' is in use by process {program.pid} \(python3[^)]*\)")
            program.kill()
        self.virsh("start", "outsider")


if __name__ == "__main__":
    require_daemon()
    tap.main()
