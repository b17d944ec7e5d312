"""Runs a client program against a private virtwarrend, or with --peer against libvirtd and QEMU, which shows that the
program itself is right. The program gets: URI, socket, file of a domain's XML."""

import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from fixtures import peer, warren_daemon

CLIENT_LIMIT = 120  # seconds


def _domain() -> str:
    guest = warren_daemon.build_directory() / "tests/guest/warren-test-guest.elf"
    return f"""
<domain type='kvm'>
  <name>client-guest</name>
  <uuid>0c1d5e3a-2f60-4d6b-9b3e-5a1c7e8d9f20</uuid>
  <memory unit='MiB'>64</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
    <kernel>{guest}</kernel>
    <cmdline>mode=idle</cmdline>
  </os>
  <features><acpi/></features>
  <on_crash>destroy</on_crash>
  <devices><console type='pty'/></devices>
</domain>
"""


def _run(command: list[str], uri: str, socket: Path, domain: str) -> int:
    with tempfile.NamedTemporaryFile("w", suffix=".xml") as file:
        file.write(domain)
        file.flush()
        return subprocess.run([*command, uri, str(socket), file.name], stdin=subprocess.DEVNULL,
                              timeout=CLIENT_LIMIT).returncode


def main(command: list[str]) -> int:
    if sys.argv[1:] == ["--peer"]:
        with peer.PrivateLibvirtd() as daemon:
            return _run(command, daemon.uri, daemon.socket, _domain())
    with warren_daemon.PrivateDaemon() as daemon:
        return _run(command, daemon.uri, daemon.socket, _domain())
