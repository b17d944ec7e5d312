#!/usr/bin/python3
"""The same steps on pools and volumes of Warren and of Debian's libvirtd: the same documents, errors and codes.

Each step is a call of the client library; what it gives or throws is compared, but for paths, UUIDs and times.
DIFFERENCES says where Warren means to differ.
"""

import os
import re
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import libvirt

from fixtures import tap
from fixtures.peer import PrivateLibvirtd
from fixtures.warren_daemon import PrivateDaemon

DIFFERENCES = {
    "volume: a directory": "libvirt makes it 0600, which nobody can enter; Warren 0700",
    "volume: a feature that does not exist": "both refuse it as unsupported; Warren by the place in the document",
}


def volume(name: str, capacity: str = "<capacity>1048576</capacity>", target: str = "", more: str = "") -> str:
    return f"<volume><name>{name}</name>{capacity}<allocation>0</allocation><target>{target}</target>{more}</volume>"


QCOW2 = "<format type='qcow2'/>"
# Said, because libvirt's own choice is the older version of the format, and Warren's is qemu-img's.
QCOW2_NEW = QCOW2 + "<compat>1.1</compat>"


def steps(folder: str):
    """Pairs of a name and what is done, on a connection."""
    def pool(connection):
        return connection.storagePoolLookupByName("p")

    def definition(name: str = "p", path: str = folder, more: str = "") -> str:
        return f"<pool type='dir'><name>{name}</name><target><path>{path}</path></target>{more}</pool>"

    def made(connection, xml: str) -> str:
        """As it shows after a refresh: at once libvirt shows what was asked for, Warren what was made."""
        name = pool(connection).createXML(xml).name()
        pool(connection).refresh()
        return pool(connection).storageVolLookupByName(name).XMLDesc()

    uuid = "70a7eb15-6c34-ee9c-bf57-69e8e5ff3fb2"
    yield "pool: no such name", lambda c: c.storagePoolLookupByName("none")
    yield "pool: no such UUID", lambda c: c.storagePoolLookupByUUIDString(uuid)
    yield "pool: define without a name", lambda c: c.storagePoolDefineXML("<pool type='dir'/>")
    yield "pool: define without a path", lambda c: c.storagePoolDefineXML("<pool type='dir'><name>p</name></pool>")
    yield "pool: define with a slash", lambda c: c.storagePoolDefineXML(definition("a/b"))
    yield "pool: define no XML", lambda c: c.storagePoolDefineXML("<pool")
    yield "pool: define a volume", lambda c: c.storagePoolDefineXML("<volume/>")
    yield "pool: define", lambda c: c.storagePoolDefineXML(definition()).name()
    yield "pool: define the name again", lambda c: c.storagePoolDefineXML(
        definition(path="/elsewhere").replace("<name>", f"<uuid>{uuid}</uuid><name>"))
    yield "pool: define the source again", lambda c: c.storagePoolDefineXML(definition("q"))
    yield "pool: as defined", lambda c: pool(c).XMLDesc()
    yield "pool: refresh while inactive", lambda c: pool(c).refresh()
    yield "pool: destroy while inactive", lambda c: pool(c).destroy()
    yield "pool: volumes while inactive", lambda c: pool(c).listVolumes()
    yield "pool: start without its directory", lambda c: pool(c).create()
    yield "pool: build", lambda c: pool(c).build()
    yield "pool: build both ways", lambda c: pool(c).build(4 | 8)
    yield "pool: start", lambda c: pool(c).create()
    yield "pool: start again", lambda c: pool(c).create()
    yield "pool: build while active", lambda c: pool(c).build()
    yield "pool: undefine while active", lambda c: pool(c).undefine()
    yield "pool: delete while active", lambda c: pool(c).delete()
    yield "pool: autostart", lambda c: (pool(c).setAutostart(1), pool(c).autostart())
    yield "pool: state", lambda c: pool(c).info()[0]
    yield "pool: as it runs", lambda c: re.sub(r"'bytes'>\d+", "'bytes'>N", pool(c).XMLDesc())
    yield "pool: create one that is active", lambda c: c.storagePoolCreateXML(
        re.search(r"(?s)(.*)", pool(c).XMLDesc())[1])
    yield "pool: sources of a directory", lambda c: c.findStoragePoolSources("dir", None)
    yield "pool: sources of nonsense", lambda c: c.findStoragePoolSources("nonsense", None)
    yield "volume: no such name", lambda c: pool(c).storageVolLookupByName("none")
    yield "volume: no such key", lambda c: c.storageVolLookupByKey("none")
    yield "volume: no such path", lambda c: c.storageVolLookupByPath("/none")
    yield "volume: without a name", lambda c: pool(c).createXML("<volume/>")
    yield "volume: without a capacity", lambda c: pool(c).createXML(volume("a", ""))
    yield "volume: of a strange unit", lambda c: pool(c).createXML(volume("a", "<capacity unit='Q'>1</capacity>"))
    yield "volume: of a strange format", lambda c: pool(c).createXML(volume("a", target="<format type='x'/>"))
    yield "volume: a feature that does not exist", lambda c: pool(c).createXML(
        volume("a", target=QCOW2 + "<features><x/></features>"))
    yield "volume: with a slash", lambda c: pool(c).createXML(volume("../a"))
    yield "volume: raw", lambda c: made(c, volume("raw"))
    yield "volume: raw again", lambda c: pool(c).createXML(volume("raw"))
    yield "volume: raw with a backing store", lambda c: pool(c).createXML(
        volume("b", more="<backingStore><path>/dev/null</path></backingStore>"))
    yield "volume: raw with metadata", lambda c: pool(c).createXML(volume("b"), 1)
    yield "volume: permissions", lambda c: made(c, volume(
        "perm", target="<permissions><mode>0640</mode><owner>1</owner><group>2</group></permissions>"))
    yield "volume: qcow2", lambda c: made(c, volume("q", target=QCOW2_NEW))
    yield "volume: qcow2 of old", lambda c: made(c, volume("old", target=QCOW2 + "<compat>0.10</compat>"))
    yield "volume: qcow2 with features", lambda c: made(c, volume(
        "lazy", target=QCOW2 + "<compat>1.1</compat><clusterSize unit='KiB'>128</clusterSize>"
                               "<features><lazy_refcounts/></features>"))
    yield "volume: on another", lambda c: made(c, volume(
        "top", target=QCOW2_NEW, more=f"<backingStore><path>{folder}/q</path><format type='qcow2'/></backingStore>"))
    yield "volume: on nothing", lambda c: pool(c).createXML(volume(
        "x", target=QCOW2, more="<backingStore><path>/none</path><format type='raw'/></backingStore>"))
    yield "volume: a directory", lambda c: made(c, volume("dir", target="<format type='dir'/>"))
    yield "volume: its info", lambda c: pool(c).storageVolLookupByName("raw").info()
    yield "volume: a clone", lambda c: pool(c).createXMLFrom(
        volume("clone"), pool(c).storageVolLookupByName("raw")).XMLDesc()
    yield "volume: a clone of a taken name", lambda c: pool(c).createXMLFrom(
        volume("clone"), pool(c).storageVolLookupByName("raw"))
    yield "volume: converted", lambda c: pool(c).createXMLFrom(
        volume("conv", target="<format type='raw'/>"), pool(c).storageVolLookupByName("q")).XMLDesc()
    yield "volume: grown", lambda c: (pool(c).storageVolLookupByName("raw").resize(2097152),
                                      pool(c).storageVolLookupByName("raw").info())
    yield "volume: shrunk without leave", lambda c: pool(c).storageVolLookupByName("raw").resize(4096)
    yield "volume: grown beyond the pool", lambda c: pool(c).storageVolLookupByName("raw").resize(1 << 60, 1)
    yield "volume: wiped", lambda c: pool(c).storageVolLookupByName("raw").wipe()
    yield "volume: wiped in a strange way", lambda c: pool(c).storageVolLookupByName("raw").wipePattern(99)
    yield "volume: listed", lambda c: sorted(pool(c).listVolumes())
    yield "volume: a directory that is full", lambda c: (
        (Path(folder) / "dir/x").touch(), pool(c).storageVolLookupByName("dir").delete())
    yield "volume: deleted", lambda c: [each.delete() for each in pool(c).listAllVolumes() if each.name() != "dir"]
    yield "pool: destroyed", lambda c: pool(c).destroy()
    yield "pool: delete a directory that is full", lambda c: pool(c).delete()
    yield "pool: undefined", lambda c: pool(c).undefine()


def outcome(action, connection, folder: str) -> str:
    try:
        result = str(action(connection))
        result = re.sub(r"(?s)\s*<timestamps>.*?</timestamps>", "", result)
        result = re.sub(r"<uuid>.*?</uuid>", "<uuid/>", result)
        # How much of a block is used is the file system's.
        result = re.sub(r"(<allocation unit='bytes'>)\d+", r"\1N", result)
    except libvirt.libvirtError as error:
        # Of those that nobody claims (0) libvirt has many more.
        result = f"error {error.get_error_code()}"
        return result if error.get_error_domain() in (0, 18) else f"{result} of {error.get_error_domain()}"
    return result.replace(folder, "FOLDER")


class SideBySide(unittest.TestCase):
    def test_steps(self):
        libvirt.registerErrorHandler(lambda *_: None, None)
        with PrivateDaemon() as warren, PrivateLibvirtd() as peer:
            folders = [str(warren.root / "warren"), str(warren.root / "peer")]
            connections = [libvirt.open(warren.uri), libvirt.open(peer.uri)]
            different = []
            for (name, ours), (_, theirs) in zip(steps(folders[0]), steps(folders[1]), strict=True):
                found = outcome(ours, connections[0], folders[0])
                expected = outcome(theirs, connections[1], folders[1])
                if found != expected and name not in DIFFERENCES:
                    different.append(f"{name}\n  Warren:  {found}\n  libvirt: {expected}")
            for connection in connections:
                connection.close()
        self.assertEqual(different, [], "\n" + "\n".join(different))


if __name__ == "__main__":
    if os.geteuid() != 0:
        print("the system daemon needs root")
        sys.exit(77)
    tap.main()
