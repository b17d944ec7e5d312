#!/usr/bin/python3
"""A disk of a descriptor that stock virsh lends a domain (virDomainFDAssociate)."""

import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from domains import require_daemon, write_xml
from domain_test import DomainCase
from fixtures import tap


class DescriptorGroups(DomainCase):
    def define(self, name: str) -> Path:
        """Its disk's path leads nowhere."""
        image = self.daemon.root / f"{name}.raw"
        image.write_bytes(bytes(1 << 20))
        file = write_xml(self.daemon, name, "echo")
        disk = ("<disk type='file' device='disk'><source file='/nowhere/disk.raw' fdgroup='lent'/>"
                "<target dev='vda' bus='virtio'/></disk>")
        file.write_text(file.read_text().replace("</devices>", disk + "</devices>"))
        self.virsh("define", file)
        return image

    def lend(self, image: Path, flags: int, commands: str) -> subprocess.CompletedProcess:
        descriptor = os.open(image, flags)
        try:
            return subprocess.run(["virsh", "-q", "-c", self.daemon.uri, commands.format(descriptor)], text=True, timeout=60,
                                  pass_fds=[descriptor], stdin=subprocess.DEVNULL, capture_output=True)
        finally:
            os.close(descriptor)

    def test_a_disk_that_is_lent(self):
        image = self.define("lent")
        self.assertIn("'lent' was not associated", self.refused("start", "lent"))
        associate = "dom-fd-associate lent --name lent --pass-fds {}"
        refused = self.lend(image, os.O_RDONLY, associate + "; start lent")
        self.assertIn("none that is open for reading and writing", refused.stderr)
        started = self.lend(image, os.O_RDWR, associate + "; start lent")
        self.assertEqual(started.returncode, 0, started.stderr)
        self.assertIn("fdgroup='lent'", self.virsh("dumpxml", "lent"))
        # It went with the connection; who runs keeps it.
        self.assertEqual(self.virsh("domstate", "lent"), "running")
        self.virsh("destroy", "lent")
        self.assertIn("'lent' was not associated", self.refused("start", "lent"))

    def test_only_whoever_may_write_lends(self):
        image = self.define("closed")
        denied = self.lend(image, os.O_RDWR, "connect --readonly " + self.daemon.uri
                           + "; dom-fd-associate closed --name lent --pass-fds {}")
        self.assertIn("read only access", denied.stderr)


if __name__ == "__main__":
    require_daemon()
    tap.main()
