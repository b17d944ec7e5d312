"""Runs the tiers named on the command line; see tests/run, which starts this."""

import subprocess
import sys

from builds import FUZZ
from report import Outcome, Report
from tiers import FUZZ_TARGETS, TIERS


def main() -> int:
    report = Report()
    arguments = sys.argv[1:]
    for place, argument in enumerate(arguments):
        tier, _, only = argument.partition(":")
        try:
            # Host tests wait more than they work.
            if tier == "host" and "fuzz" in arguments[place + 1:]:
                FUZZ.make_ahead(FUZZ_TARGETS)
            TIERS[tier](report, only)
        except subprocess.CalledProcessError as error:
            # A tree that does not build fails its tier; the others may still tell something.
            command = " ".join(str(word) for word in error.cmd)
            report.add(Outcome(tier, failures=[f"exit status {error.returncode} of: {command}"]))
    return report.close()


if __name__ == "__main__":
    sys.exit(main())
