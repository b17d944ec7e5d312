#!/usr/bin/python3
"""T16, T18: text that is no UTF-8, through libvirt's own C library: refused where XML would hold it, and never stored."""

import ctypes
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from domains import require_daemon
from fixtures import tap
from fixtures.warren_daemon import PrivateDaemon

XML_ERROR, XML_DETAIL, NO_DOMAIN, NO_SECRET = 27, 35, 42, 66
DESCRIPTION, TITLE, ELEMENT, CONFIG = 0, 1, 2, 2
BAD = b"\xff\xfe"
DOMAIN = (b"<domain type='kvm'><name>%s</name><memory>65536</memory><os><type>hvm</type><kernel>/k</kernel></os>"
          b"</domain>")


class LastError(ctypes.Structure):
    _fields_ = [("code", ctypes.c_int), ("domain", ctypes.c_int), ("message", ctypes.c_char_p)]


class Text(unittest.TestCase):
    """libvirt-python only passes what it can encode, so that the library is called directly."""

    @classmethod
    def setUpClass(cls):
        cls.daemon = PrivateDaemon()
        cls.daemon.__enter__()
        cls.library = ctypes.CDLL("libvirt.so.0")
        for name in ("virConnectOpen", "virDomainDefineXML", "virDomainLookupByName", "virSecretDefineXML",
                     "virSecretLookupByUsage"):
            getattr(cls.library, name).restype = ctypes.c_void_p
        cls.library.virGetLastError.restype = ctypes.POINTER(LastError)
        cls.silence = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(lambda *_: None)  # kept: it is called
        cls.library.virSetErrorFunc(None, cls.silence)
        cls.connection = ctypes.c_void_p(cls.library.virConnectOpen(cls.daemon.uri.encode()))
        cls.domain = ctypes.c_void_p(cls.library.virDomainDefineXML(cls.connection, DOMAIN % b"text"))

    @classmethod
    def tearDownClass(cls):
        cls.library.virConnectClose(cls.connection)
        cls.daemon.__exit__()

    def code_of(self, function: str, *arguments: object) -> int:
        """0 when it succeeded."""
        self.library.virResetLastError()
        getattr(self.library, function)(*arguments)
        error = self.library.virGetLastError()
        return error.contents.code if error else 0

    def test_documents_and_what_goes_into_them(self):
        for function, arguments in (
                ("virDomainDefineXML", (self.connection, DOMAIN % BAD)),
                ("virDomainRename", (self.domain, BAD, 0)),
                ("virDomainRename", (self.domain, b"control\x01", 0)),
                ("virDomainSetMetadata", (self.domain, TITLE, BAD, None, None, CONFIG)),
                ("virDomainSetMetadata", (self.domain, DESCRIPTION, BAD, None, None, CONFIG)),
                ("virDomainSetMetadata", (self.domain, ELEMENT, b"<a>" + BAD + b"</a>", b"k", b"urn:x", CONFIG)),
                ("virDomainSetMetadata", (self.domain, ELEMENT, b"<a/>", BAD, b"urn:x", CONFIG)),
                ("virDomainSetMetadata", (self.domain, ELEMENT, b"<a/>", b"k", b"urn:" + BAD, CONFIG)),
                ("virSecretDefineXML", (self.connection, b"<secret><description>" + BAD + b"</description></secret>",
                                        0))):
            self.assertIn(self.code_of(function, *arguments), (XML_ERROR, XML_DETAIL), (function, arguments))
        self.assertEqual(self.daemon.virsh("list", "--all", "--name").split(), ["text"])
        self.daemon.kill()
        self.daemon.start()
        self.assertEqual(self.daemon.virsh("list", "--all", "--name").split(), ["text"])
        self.assertNotIn("broken", self.daemon.log.read_text(errors="replace"))

    def test_names_that_are_looked_up_are_not_found(self):
        connection = ctypes.c_void_p(self.library.virConnectOpen(self.daemon.uri.encode()))
        self.assertEqual(self.code_of("virDomainLookupByName", connection, BAD), NO_DOMAIN)
        self.assertEqual(self.code_of("virSecretLookupByUsage", connection, 2, BAD), NO_SECRET)
        self.library.virConnectClose(connection)


if __name__ == "__main__":
    require_daemon()
    tap.main()
