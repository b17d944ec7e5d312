"""A saved start state: RAM in a file that runs map copy-on-write, device state beside it. Saves the boot."""

import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import cache
from emulated_host import machine, monitor
from emulated_host.monitor import Monitor

BOOT_LIMIT = 300  # seconds; takes 3 on a quiet machine


def _memory(shape: machine.Shape, file: Path, share: bool) -> list[str]:
    size = f"{shape.memory_mib}M"
    return ["-m", size, "-machine", "memory-backend=ram",
            "-object", f"memory-backend-file,id=ram,size={size},mem-path={file},share={'on' if share else 'off'}"]


def arguments(shape: machine.Shape, folder: Path) -> list[str]:
    """Of a run that begins in the saved state; call resume() once it is started."""
    return [*_memory(shape, folder / "ram", False), "-incoming", "defer"]


def resume(folder: Path, control: Monitor) -> None:
    _ignore_memory(control)
    control.call("migrate-incoming", uri=f"exec:cat {folder / 'state'}")


def _ignore_memory(control: Monitor) -> None:
    # The RAM file is the state's other half: neither write nor expect its pages in the stream.
    control.call("migrate-set-capabilities", capabilities=[{"capability": "x-ignore-shared", "state": True}])


def _save(shape: machine.Shape, programs: machine.Software, folder: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        console, control = Path(scratch, "console"), Path(scratch, "qmp")
        command = machine.command_line(shape, programs, Path(scratch), console, False)
        process = subprocess.Popen([*command, *_memory(shape, folder / "ram", True), *monitor.arguments(control)],
                                   stdin=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + BOOT_LIMIT
            while not (console.exists() and b"LAB-READY" in console.read_bytes()):
                if time.monotonic() > deadline or process.poll() is not None:
                    shown = console.read_text(errors="replace") if console.exists() else ""
                    raise RuntimeError("the emulated host did not boot:\n" + shown)
                time.sleep(0.02)
            connection = Monitor(control)
            _ignore_memory(connection)
            connection.call("migrate", uri=f"exec:cat > {folder / 'state'}")
            while (status := connection.call("query-migrate")["return"].get("status")) != "completed":
                if status == "failed" or time.monotonic() > deadline:
                    raise RuntimeError("the start state could not be saved")
                time.sleep(0.02)
            connection.call("quit")
            process.wait(30)
        finally:
            process.kill()
            process.wait()


def folder(shape: machine.Shape, programs: machine.Software) -> Path:
    """The start state for the shape, made by the first caller."""
    emulator = subprocess.check_output([shutil.which("qemu-system-x86_64"), "--version"], text=True)
    command = machine.command_line(shape, programs, Path("/"), Path("/"), False)
    name = cache.digest(emulator, str(shape), *command, Path(__file__))
    return cache.entry(f"start-{name}", lambda staging: _save(shape, programs, staging))
