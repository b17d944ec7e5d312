"""Domains whose kernel is the test guest, the events they cause, and what a process holds."""

import contextlib
import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from fixtures.terminal import Terminal
from fixtures.warren_daemon import PrivateDaemon, build_directory

SANITIZED = "WARREN_SANITIZER" in os.environ  # the daemon and its workers: they hold memory back, and shadow it
GUEST = build_directory() / "tests/guest/warren-test-guest.elf"


def require_daemon() -> None:
    """Ends the script as skipped where no machine can run, and as failed where the daemon was not built."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        print("no access to /dev/kvm")
        sys.exit(77)
    if os.geteuid() != 0:
        print("the system daemon needs root")
        sys.exit(77)
    if not (build_directory() / "daemon/virtwarrend").exists():
        print("virtwarrend is not built")
        sys.exit(1)


def domain_xml(name: str, mode: str, memory_mib: int = 32, vcpus: int = 1, actions: str = "", devices: str = "") -> str:
    return f"""<domain type='kvm'>
  <name>{name}</name>
  <memory unit='MiB'>{memory_mib}</memory>
  <vcpu>{vcpus}</vcpu>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
    <kernel>{GUEST}</kernel>
    <cmdline>mode={mode}</cmdline>
  </os>
  <features><acpi/><apic/></features>
  {actions}
  <devices>
    <serial type='pty'><target port='0'/></serial>
    <console type='pty'><target type='serial' port='0'/></console>
    {devices}
  </devices>
</domain>
"""


def write_xml(daemon: PrivateDaemon, name: str, mode: str, **settings: object) -> Path:
    file = daemon.root / f"{name}.xml"
    file.write_text(domain_xml(name, mode, **settings))
    return file


def define(daemon: PrivateDaemon, name: str, mode: str, **settings: object) -> None:
    daemon.virsh("define", write_xml(daemon, name, mode, **settings))


@contextlib.contextmanager
def console(daemon: PrivateDaemon, domain: str, *options: str) -> Iterator[Terminal]:
    with Terminal(["virsh", "-c", daemon.uri, "console", domain, *options], limit=20) as terminal:
        terminal.expect("Escape character")
        terminal.wait_until_raw()
        yield terminal


class Events:
    """`virsh event --all --loop` in the background. Use as a context manager."""

    def __init__(self, daemon: PrivateDaemon, *options: str) -> None:
        self._terminal = Terminal(["virsh", "-c", daemon.uri, "event", "--all", "--loop", *options], limit=20)
        time.sleep(0.5)  # it says nothing when it has registered

    def expect(self, domain: str, text: str, limit: float = 20) -> None:
        """Waits for the lifecycle event of the domain whose text begins so."""
        self._terminal.expect(rf"event 'lifecycle' for domain '{re.escape(domain)}': {text}", limit)

    def __enter__(self) -> "Events":
        return self

    def __exit__(self, *_: object) -> None:
        self._terminal.close()


def wait_for_reason(daemon: PrivateDaemon, domain: str, expected: str, limit: float = 20) -> None:
    deadline = time.monotonic() + limit
    while (now := daemon.virsh("domstate", "--reason", domain)) != expected:
        if time.monotonic() > deadline:
            raise AssertionError(f"{domain} is '{now}', not '{expected}'")
        time.sleep(0.05)


def wait_until_ready(daemon: PrivateDaemon, domain: str) -> None:
    """Until the guest listens to its power button: it answers on its console."""
    # The READY line may have gone by; the guest of mode echo sends back what it gets.
    with console(daemon, domain) as terminal:
        terminal.send("ping")
        terminal.expect("ping")


def wait_until_gone(daemon: PrivateDaemon, domain: str, limit: float = 20) -> None:
    deadline = time.monotonic() + limit
    while domain in daemon.virsh("list", "--all", "--name").split():
        if time.monotonic() > deadline:
            raise AssertionError(f"{domain} is still there")
        time.sleep(0.05)


class Holdings:
    """What a process and the daemon's folder hold, to be compared before and after."""

    def __init__(self, daemon: PrivateDaemon) -> None:
        process = Path(f"/proc/{daemon.process.pid}")
        self.descriptors = sorted(_target(link) for link in (process / "fd").iterdir())
        self.threads = len(list((process / "task").iterdir()))
        self.children = children_of(daemon.process.pid)
        self.sockets = sorted(str(path.relative_to(daemon.root)) for path in (daemon.root / "run").rglob("*")
                              if path.is_socket())
        self.files = sorted(str(path.relative_to(daemon.root)) for path in (daemon.root / "run").rglob("*")
                            if path.is_file())
        status = (process / "status").read_text()
        self.private_kib = int(re.search(r"RssAnon:\s+(\d+)", status)[1])

    def differences(self, before: "Holdings") -> list[str]:
        """One line for each kind of thing that changed, memory aside."""
        return [f"{kind}: {getattr(before, kind)} became {getattr(self, kind)}"
                for kind in ("descriptors", "threads", "children", "sockets", "files")
                if getattr(before, kind) != getattr(self, kind)]


def _target(link: Path) -> str:
    try:
        # Without the numbers that differ from one object to the next of its kind.
        return re.sub(r"\d+", "N", os.readlink(link))
    except FileNotFoundError:  # the descriptor that lists the folder
        return "gone"


def children_of(parent: int) -> list[str]:
    """The names of a process's children."""
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            text = status.read_text()
            if re.search(rf"^PPid:\t{parent}$", text, re.MULTILINE):
                found.append(text.split()[1])
    return sorted(found)


def workers_of(daemon: PrivateDaemon) -> list[int]:
    """Process ids of the daemon's workers, zombies not counted: their command line or descriptors name its root."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            if (process / "comm").read_text().strip() != "warren-vmm":
                continue
            if any(str(daemon.root) in _link(fd) for fd in (process / "fd").iterdir()):
                found.append(int(process.name))
    return sorted(found)


def _link(path: Path) -> str:
    with contextlib.suppress(FileNotFoundError):
        return os.readlink(path)
    return ""
