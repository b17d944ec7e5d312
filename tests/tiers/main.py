"""Runs the tiers named on the command line; see tests/run, which starts this."""

import subprocess
import sys

from report import Outcome, Report
from tiers import TIERS


def main() -> int:
    report = Report()
    for argument in sys.argv[1:]:
        tier, _, only = argument.partition(":")
        try:
            TIERS[tier](report, only)
        except subprocess.CalledProcessError as error:
            # A tree that does not build fails its tier; the others may still tell something.
            command = " ".join(str(word) for word in error.cmd)
            report.add(Outcome(tier, failures=[f"exit status {error.returncode} of: {command}"]))
    return report.close()


if __name__ == "__main__":
    sys.exit(main())
