"""The tiers of tests/run."""

import concurrent.futures
import os
import re
import shutil
import subprocess
from pathlib import Path

import running
import tidy
from builds import ADDRESS, FUZZ, RELEASE, ROOT, THREAD, Build
from report import Outcome, Report

SCRIPT_LIMIT = 300.0  # seconds, unless the script says more in a line "# time limit: N s"
CPUS = os.cpu_count() or 1
FUZZ_TARGETS = ["fuzz-targets"]


def _environment(build: Build) -> dict[str, str]:
    return os.environ | {
        "WARREN_BUILD": str(build.directory),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": str(ROOT / "tests"),
        "LC_ALL": "C.UTF-8",
        "ASAN_OPTIONS": "detect_stack_use_after_return=1:allocator_may_return_null=1",
        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
        "TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1",
    }


def _logs(build: Build) -> Path:
    return build.directory / "test-logs"


def _parallel(report: Report, jobs: list, workers: int) -> None:
    """Each job is a function without arguments that returns an Outcome."""
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        for future in concurrent.futures.as_completed([pool.submit(running.timed, job) for job in jobs]):
            report.add(future.result())


def _unit_test(build: Build, tier: str, test: dict) -> Outcome:
    log = _logs(build) / f"{test['name']}.log"
    results = log.with_suffix(".xml")
    results.unlink(missing_ok=True)
    # Sanitizers slow everything down, TSan the qcow2 tests most; meson's limit is meant for the plain build.
    limit = float(test["timeout"] or 120) * (1 if build is RELEASE else 15)
    environment = _environment(build) | test["env"]
    command = test["cmd"] + ([f"--gtest_output=xml:{results}"] if test["protocol"] == "gtest" else [])
    status = running.run(command, log, limit, environment, Path(test["workdir"] or build.directory))
    name = f"{tier}/{test['name']}"
    if test["protocol"] == "gtest":
        return running.judge_googletest(name, status, log, results, limit)
    return running.judge_script(name, status, log, limit)


def _run_unit_tests(report: Report, build: Build, tier: str, only: str) -> None:
    # The largest first: one that begins last would have the machine to itself.
    tests = sorted((test for test in build.introspect("tests") if only in test["name"]),
                   key=lambda test: -os.path.getsize(test["cmd"][0]))
    _parallel(report, [lambda test=test: _unit_test(build, tier, test) for test in tests], CPUS)


def _scripts(folder: str, only: str, kind: str = "test") -> list[Path]:
    """Every executable tests/<folder>/*_test.* is a test."""
    return [path for path in sorted((ROOT / "tests" / folder).glob(f"*_{kind}.*"))
            if os.access(path, os.X_OK) and path.is_file() and only in path.name]


def _limit(script: Path) -> float:
    match = re.search(r"^# time limit: (\d+) s$", script.read_text(errors="replace")[:4000], re.MULTILINE)
    return float(match[1]) if match else SCRIPT_LIMIT


def _lab_options(script: Path) -> list[str]:
    """What the emulated host is to have for a script that says so in a line "# lab options: …"."""
    match = re.search(r"^# lab options: (.*)$", script.read_text(errors="replace")[:4000], re.MULTILINE)
    return match[1].split() if match else []


def _goes_beside(script: Path) -> bool:
    """Of a host test that mostly waits, in a network of its own, and says so in a line "# beside others"."""
    return "\n# beside others\n" in script.read_text(errors="replace")[:4000]


def _script(script: Path, build: Build, prefix: list[str], extra: float = 0.0) -> Outcome:
    log = _logs(build) / f"{script.stem}.log"
    limit = _limit(script) + extra
    name = str(script.relative_to(ROOT / "tests"))
    status = running.run([*prefix, str(script)], log, limit, _environment(build), ROOT)
    return running.judge_script(name, status, log, limit)


def unit(report: Report, only: str) -> None:
    _parallel(report, [lambda script=script: _script(script, RELEASE, [])
                       for script in _scripts("architecture", only)], CPUS)
    RELEASE.make()
    _run_unit_tests(report, RELEASE, "unit", only)


def host(report: Report, only: str) -> None:
    RELEASE.make()
    scripts = _scripts("host", only) + _scripts("conformance/clients", only)
    beside = [script for script in scripts if _goes_beside(script)]
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waiting = [pool.submit(running.timed, _script, script, RELEASE, []) for script in beside]
        # One at a time: they measure and count what the machine holds.
        for script in scripts:
            if script not in beside:
                report.add(running.timed(_script, script, RELEASE, []))
        for done in waiting:
            report.add(done.result())


def lab(report: Report, only: str) -> None:
    RELEASE.make()
    # Those that may take long first, for the same reason.
    scripts = sorted(_scripts("lab", only), key=_limit, reverse=True)
    if not scripts:
        return
    report.say("lab: asking tests/lab/probe whether /dev/kvm here runs unmodified kernels")
    probe = subprocess.run([ROOT / "tests/lab/probe"], text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    report.say(f"lab: {probe.stdout.strip()}")
    # Here one at a time, in a network of their own; there, in a whole host of their own, which keeps one CPU busy.
    workers, prefix = 1, ["unshare", "--net", "--"]
    options: list[str] = []
    jobs = []
    if probe.returncode != 0:
        subprocess.run([ROOT / "tests/lab/lab", "--prepare"], check=True, stdin=subprocess.DEVNULL)
        workers, prefix = CPUS, [str(ROOT / "tests/lab/lab")]
    for script in scripts:
        if probe.returncode != 0:
            options = ["--timeout", str(int(_limit(script))), *_lab_options(script), "--"]
        jobs.append(lambda script=script, prefix=prefix + options: _script(script, RELEASE, prefix, 30.0))
    _parallel(report, jobs, workers)


def _fuzz_target(target: Path, seconds: int) -> Outcome:
    name = target.name.removeprefix("fuzz-")
    work = FUZZ.directory / "fuzzing" / name
    found, corpus = work / "findings", work / "corpus"
    shutil.rmtree(found, ignore_errors=True)
    for folder in (found, corpus):
        folder.mkdir(parents=True, exist_ok=True)
    seeds = ROOT / "tests" / "corpora" / name
    dictionary = seeds.with_suffix(".dict")
    command = [str(target), f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1",
               f"-artifact_prefix={found}/", *([f"-dict={dictionary}"] if dictionary.is_file() else []),
               str(corpus), *([str(seeds)] if seeds.is_dir() else [])]
    log = _logs(FUZZ) / f"fuzz-{name}.log"
    limit = seconds + 120.0
    status = running.run(command, log, limit, _environment(FUZZ), ROOT)
    outcome = running.judge_script(f"fuzz/{name}", status, log, limit)
    if status:
        outcome.failures = [f"{failure}; input in {found}" for failure in outcome.failures]
    return outcome


def fuzz(report: Report, only: str) -> None:
    seconds = int(os.environ.get("FUZZ_SECONDS", "10"))
    FUZZ.make(FUZZ_TARGETS)
    targets = [path for path in sorted(FUZZ.directory.glob("fuzz-*"))
               if path.is_file() and os.access(path, os.X_OK) and only in path.name]
    report.say(f"fuzz: {len(targets)} targets for {seconds} s each")
    _parallel(report, [lambda target=target: _fuzz_target(target, seconds) for target in targets], CPUS)


def _sanitized_script(script: Path, build: Build, tier: str) -> Outcome:
    """A host test against a daemon and workers that were built with a sanitizer. What that finds is written to files."""
    name = f"{tier}/{script.relative_to(ROOT / 'tests')}"
    if unfit := re.search(r"^# not with sanitizers: (.*)$", script.read_text(errors="replace")[:4000], re.MULTILINE):
        return Outcome(name, skips=[unfit[1]])
    log, found = _logs(build) / f"{script.stem}.log", _logs(build) / f"{script.stem}.found"
    shutil.rmtree(found, ignore_errors=True)
    found.mkdir(parents=True)
    environment = _environment(build) | {"WARREN_SANITIZER": tier}
    for sanitizer in ("ASAN", "UBSAN", "TSAN"):
        environment[f"{sanitizer}_OPTIONS"] += f":log_path={found}/report"
    limit = _limit(script) * 5
    outcome = running.judge_script(name, running.run([str(script)], log, limit, environment, ROOT), log, limit)
    for file in sorted(found.iterdir()):
        text = file.read_text(errors="replace")
        outcome.failures.append(f"the sanitizer's report {file}")
        outcome.said += text.splitlines()[:running.SAID]
    return outcome


def sanitize(report: Report, only: str) -> None:
    for build, tier in ((ADDRESS, "asan"), (THREAD, "tsan")):
        build.make()
        _run_unit_tests(report, build, tier, only)
        for script in _scripts("host", only):
            report.add(running.timed(_sanitized_script, script, build, tier))


def tidied(report: Report, only: str) -> None:
    RELEASE.make()  # generated headers, and the compile commands
    logs = _logs(RELEASE) / "tidy"
    _parallel(report, [lambda source=source, compilation=compilation:
                       tidy.check(source, compilation, _environment(RELEASE), logs)
                       for source, compilation in tidy.sources(only).items()], CPUS)


def bench(report: Report, only: str) -> None:
    RELEASE.make()
    RELEASE.make(["tests/bench/warren-rpc-load"])
    for script in _scripts("bench", only, "bench"):
        log = _logs(RELEASE) / f"{script.stem}.log"
        outcome = running.timed(_script, script, RELEASE, [])
        print(log.read_text(errors="replace"))
        report.add(outcome)


TIERS = {"unit": unit, "host": host, "lab": lab, "fuzz": fuzz, "bench": bench, "sanitize": sanitize, "tidy": tidied}
