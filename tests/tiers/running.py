"""Runs one test program with a time limit and reads its result: exit status, TAP lines or GoogleTest's XML."""

import os
import re
import signal
import subprocess
import time
import xml.etree.ElementTree
from pathlib import Path

from report import Outcome

EXIT_SKIP = 77  # automake's and meson's convention
_TAP = re.compile(r"^(not )?ok\b\s*\d*\s*-?\s*(.*?)(?:\s+#\s*SKIP\b[:\s]*(.*))?$", re.IGNORECASE)


def run(command: list[str], log: Path, limit: float, environment: dict[str, str], directory: Path) -> int | None:
    """Runs it in a process group of its own with its output in `log`. Returns the exit status, None after `limit`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                                   start_new_session=True, env=environment, cwd=directory)
        try:
            return process.wait(limit)
        except subprocess.TimeoutExpired:
            return None
        finally:
            # What the test left running must not disturb the next one.
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()


SAID = 40  # lines of a failed test's own words in the report


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "no output"


def judge_script(name: str, status: int | None, log: Path, limit: float) -> Outcome:
    """A script counts as one test by its exit status (77: skipped, its last line says why), or speaks TAP."""
    outcome = Outcome(name, log=log)
    text = log.read_text(errors="replace")
    planned = None
    told: list[str] = []  # what follows "not ok"
    is_told = False
    for line in text.splitlines():
        is_told = line.startswith("not ok") or (is_told and line.startswith("#"))
        if is_told:
            told.append(line)
        if plan := re.match(r"^1\.\.(\d+)", line):
            planned = int(plan[1])
        if not (match := _TAP.match(line)):
            continue
        failed, case, reason = match.groups()
        if reason is not None:
            outcome.skips.append(f"{case}: {reason or 'no reason given'}")
        elif failed:
            outcome.failures.append(case or "unnamed case")
        else:
            outcome.passed += 1
    counted = outcome.passed + len(outcome.failures) + len(outcome.skips)
    if status is None:
        outcome.failures.append(f"did not end within {limit:.0f} s")
    elif status == EXIT_SKIP and not counted:
        outcome.skips.append(_last_line(text))
    elif status and not outcome.failures:
        outcome.failures.append(f"exit status {status}: {_last_line(text)}")
    elif planned is not None and counted != planned:
        outcome.failures.append(f"{counted} results where {planned} were planned")
    elif not counted:
        outcome.passed = 1
    outcome.said = (told or text.splitlines())[-SAID:]
    return outcome


def judge_googletest(name: str, status: int | None, log: Path, results: Path, limit: float) -> Outcome:
    outcome = Outcome(name, log=log)
    if results.exists():
        try:
            for case in xml.etree.ElementTree.parse(results).iter("testcase"):
                title = f"{case.get('classname')}.{case.get('name')}"
                skipped = case.find("skipped")
                if (failure := case.find("failure")) is not None:
                    outcome.failures.append(title)
                    outcome.said += (failure.get("message") or "").splitlines()[:SAID]
                elif skipped is not None:
                    reason = (skipped.get("message") or "no reason given").strip().splitlines()[-1]
                    outcome.skips.append(f"{title}: {reason}")
                elif case.get("status") == "run":
                    outcome.passed += 1
        except xml.etree.ElementTree.ParseError:
            pass  # cut short: the exit status says the rest
    if status is None:
        outcome.failures.append(f"did not end within {limit:.0f} s")
    elif status and not outcome.failures:
        outcome.failures.append(f"exit status {status}: {_last_line(log.read_text(errors='replace'))}")
        outcome.said = log.read_text(errors="replace").splitlines()[-SAID:]
    elif not (outcome.passed or outcome.failures or outcome.skips):
        outcome.failures.append("holds no test")
    return outcome


def timed(function, *arguments) -> Outcome:
    begun = time.monotonic()
    outcome = function(*arguments)
    outcome.seconds = time.monotonic() - begun
    return outcome
