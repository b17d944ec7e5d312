#!/usr/bin/python3
"""Fails on C++ that clang-format would write differently."""

import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import tree
from fixtures import tap


class Format(unittest.TestCase):
    def test_clang_format(self):
        sources = [name for name in tree.files() if name.endswith((".h", ".cpp"))]
        check = subprocess.run(["clang-format-19", "--dry-run", "--Werror", *sources], cwd=tree.ROOT, text=True,
                               stderr=subprocess.PIPE)
        wrong = sorted({line.split(":")[0] for line in check.stderr.splitlines() if "error:" in line})
        if wrong:
            self.fail("clang-format-19 -i " + " ".join(wrong))
        self.assertEqual(check.returncode, 0, check.stderr)


if __name__ == "__main__":
    tap.main()
