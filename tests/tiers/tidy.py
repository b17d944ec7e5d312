"""clang-tidy over one source file after the other. A file found clean is not looked at again until it, a header that it
includes, or a setting changes: minutes of the analyzer become a second of the preprocessor."""

import hashlib
import json
import os
import re
import shlex
import subprocess
from pathlib import Path

import running
from builds import RELEASE, ROOT
from report import Outcome

TIDY = "clang-tidy-19"
LIMIT = 900.0  # seconds for a file
_COMMANDS = RELEASE.directory / "test-logs/tidy/compile_commands.json"
_CLEAN = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "warren-tidy")  # empty files named by digests


def sources(only: str) -> dict[str, list[str]]:
    """Paths below the root, without those that the build makes itself, and how each is compiled."""
    commands = json.loads((RELEASE.directory / "compile_commands.json").read_text())
    found = {}
    for command in commands:
        # Another compiler's precompiled header is of no use here; and without it a source has to include what it uses.
        command["command"] = re.sub(r" -include \S+", "", command["command"])
        path = (Path(command["directory"]) / command["file"]).resolve()
        if only in str(path) and RELEASE.directory not in path.parents:
            found[str(path.relative_to(ROOT))] = shlex.split(command["command"])
    _COMMANDS.parent.mkdir(parents=True, exist_ok=True)
    _COMMANDS.write_text(json.dumps(commands))
    return dict(sorted(found.items()))


def _settings(source: str) -> bytes:
    folders = [ROOT, *reversed((ROOT / source).relative_to(ROOT).parents)]
    files = {ROOT / folder / ".clang-tidy" for folder in folders}
    return b"".join(file.read_bytes() for file in sorted(files) if file.exists())


def _digest(source: str, compilation: list[str]) -> str | None:
    """Of everything that the result depends on; None where the preprocessor fails."""
    begin = next(index for index, word in enumerate(compilation) if word.startswith("-"))
    words = compilation[begin:]
    for word, count in (("-o", 2), ("-MF", 2), ("-MQ", 2), ("-MD", 1), ("-c", 1)):
        while word in words:
            place = words.index(word)
            del words[place:place + count]
    # Comments count: NOLINT is one.
    seen = subprocess.run(["nice", "clang++-19", "-E", "-C", "-w", *words], cwd=RELEASE.directory,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    if seen.returncode != 0:
        return None
    version = subprocess.run([TIDY, "--version"], capture_output=True, check=True).stdout
    return hashlib.sha256(version + _settings(source) + seen.stdout).hexdigest()


def check(source: str, compilation: list[str], environment: dict[str, str], logs: Path) -> Outcome:
    digest = _digest(source, compilation)
    if digest and (_CLEAN / digest).exists():
        return Outcome(f"tidy/{source}", passed=1)
    log = logs / (source.replace("/", "-") + ".log")
    command = ["nice", TIDY, "--quiet", "--warnings-as-errors=*", "-p", str(_COMMANDS.parent), source]
    outcome = running.judge_script(f"tidy/{source}", running.run(command, log, LIMIT, environment, ROOT), log, LIMIT)
    if digest and not outcome.failures:
        _CLEAN.mkdir(parents=True, exist_ok=True)
        (_CLEAN / digest).touch()
    return outcome
