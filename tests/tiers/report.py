"""Collects results of tests and prints them: one line as each group ends, skips, failures and counts at the end."""

import dataclasses
import sys
import threading
import time
from pathlib import Path


@dataclasses.dataclass
class Outcome:
    """What one executable, script or check came to. A test is named 'tier/group/case'."""

    name: str
    passed: int = 0
    failures: list[str] = dataclasses.field(default_factory=list)  # one text per failed test
    skips: list[str] = dataclasses.field(default_factory=list)  # 'case: reason' per skipped test
    said: list[str] = dataclasses.field(default_factory=list)  # lines that tell why it failed; the log may be out of reach
    log: Path | None = None
    seconds: float = 0.0


class Report:
    """Thread-safe: tiers run several tests at once."""

    def __init__(self) -> None:
        self._outcomes: list[Outcome] = []
        self._lock = threading.Lock()
        self._begun = time.monotonic()

    def say(self, text: str) -> None:
        with self._lock:
            print(f"[{time.monotonic() - self._begun:6.0f} s] {text}", flush=True)

    def add(self, outcome: Outcome) -> None:
        with self._lock:
            self._outcomes.append(outcome)
        parts = [f"{outcome.passed} passed"]
        if outcome.failures:
            parts.append(f"{len(outcome.failures)} FAILED")
        if outcome.skips:
            parts.append(f"{len(outcome.skips)} skipped")
        self.say(f"{outcome.name}: {', '.join(parts)} ({outcome.seconds:.1f} s)")

    def close(self) -> int:
        """Prints skips, failures and the closing line; returns the exit status."""
        passed = sum(outcome.passed for outcome in self._outcomes)
        failed = sum(len(outcome.failures) for outcome in self._outcomes)
        skipped = sum(len(outcome.skips) for outcome in self._outcomes)
        print()
        for outcome in self._outcomes:
            for skip in outcome.skips:
                print(f"skipped: {outcome.name}: {skip}")
        for outcome in self._outcomes:
            for failure in outcome.failures:
                print(f"failed: {outcome.name}: {failure}" + (f" (log: {outcome.log})" if outcome.log else ""))
            for line in outcome.said if outcome.failures else []:
                print(f"    {line[:300]}")
        if passed + failed + skipped == 0:
            print("failed: no test was found for what was asked")
            failed = 1
        print(f"{passed} passed, {failed} failed, {skipped} skipped")
        sys.stdout.flush()
        return 1 if failed else 0
