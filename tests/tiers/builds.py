"""The build trees: one per set of compiler and options, configured once and shared by the tiers that can use it."""

import dataclasses
import json
import os
import shutil
import subprocess
from pathlib import Path

_ahead: dict[Path, subprocess.Popen] = {}
ROOT = Path(__file__).resolve().parent.parent.parent


@dataclasses.dataclass(frozen=True)
class Build:
    directory: Path
    options: tuple[str, ...] = ()
    compiler: str | None = None  # None: the compiler meson chooses (g++, through ccache where it is installed)

    def make(self, targets: list[str] | None = None) -> None:
        """Configures and builds; raises CalledProcessError after the compiler's own words."""
        if ahead := _ahead.pop(self.directory, None):
            ahead.terminate()  # and gone on with, no longer with what others leave
            ahead.wait()
        environment = self._configure()
        subprocess.run(["nice", "ninja", "-C", str(self.directory), *(targets or [])],
                       check=True, env=environment, stdin=subprocess.DEVNULL)

    def make_ahead(self, targets: list[str]) -> None:
        """Begins what make() goes on with, on what others leave of the CPUs. What fails is make()'s to say."""
        environment = self._configure()
        _ahead[self.directory] = subprocess.Popen(
            ["chrt", "--idle", "0", "ninja", "-C", str(self.directory), *targets], env=environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def _configure(self) -> dict[str, str]:
        environment = dict(os.environ)
        if self.compiler:
            ccache = ["ccache"] if shutil.which("ccache") else []
            environment["CXX"] = " ".join([*ccache, self.compiler])
        # Else ccache lets nothing pass that has a precompiled header.
        environment.setdefault("CCACHE_SLOPPINESS", "pch_defines,time_macros")
        if not (self.directory / "build.ninja").exists():
            subprocess.run(["meson", "setup", str(self.directory), str(ROOT), *self.options],
                           check=True, env=environment, stdin=subprocess.DEVNULL)
        return environment

    def introspect(self, what: str) -> list[dict]:
        return json.loads(subprocess.check_output(["meson", "introspect", f"--{what}", str(self.directory)]))


RELEASE = Build(ROOT / "build")
# A precompiled header of clang names the checkout it was made in, and ccache brings it back into another.
FUZZ = Build(ROOT / "build-fuzz",
             ("-Dfuzzing=true", "-Db_pch=false", "-Db_sanitize=address,undefined", "-Db_lundef=false"), "clang++-19")
# Instrumented code draws warnings about values that are set: the release build is where warnings are errors.
SANITIZERS = ("-Db_lundef=false", "-Doptimization=0", "-Dwerror=false")
ADDRESS = Build(ROOT / "build-asan", ("-Db_sanitize=address,undefined", *SANITIZERS))
THREAD = Build(ROOT / "build-tsan", ("-Db_sanitize=thread", *SANITIZERS))
