#!/usr/bin/python3
"""Fails on files and folders that break the habits of CONTRIBUTING.md: length, names, a README in each folder."""

import os
import re
import statistics
import sys
import unittest
from pathlib import Path, PurePosixPath

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import tree
from fixtures import tap

MAXIMUM_LINES = 800
MEDIAN_LINES = 250
README_LINES = 40
CODE = {".h", ".cpp", ".c", ".S", ".py", ".sh", ".pl", ".go", ".toml"}
FORBIDDEN_FOLDERS = {"util", "utils", "common", "base", "misc", "helper", "helpers"}


def lines_of(name: str) -> int:
    return (tree.ROOT / name).read_text(errors="replace").count("\n")


def is_code(name: str) -> bool:
    path = PurePosixPath(name)
    return path.suffix in CODE or (tree.ROOT / name).open("rb").read(2) == b"#!"


class Files(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.files = tree.files()
        cls.code = [name for name in cls.files if is_code(name)]

    def nothing(self, found: list[str]) -> None:
        if found:
            self.fail("\n" + "\n".join(found))

    def test_no_file_is_too_long(self):
        self.nothing([f"{name}: {lines_of(name)} lines, more than {MAXIMUM_LINES}: find the idea that splits it"
                      for name in self.code if lines_of(name) > MAXIMUM_LINES])

    def test_median_length(self):
        lengths = [lines_of(name) for name in self.code if name.endswith((".h", ".cpp"))]
        self.assertLess(statistics.median(lengths), MEDIAN_LINES)

    def test_no_folder_without_a_noun(self):
        self.nothing(sorted({f"{name}: folder {part}" for name in self.files
                             for part in PurePosixPath(name).parts[:-1] if part.lower() in FORBIDDEN_FOLDERS}))

    def test_every_folder_of_code_has_a_readme(self):
        folders = {str(PurePosixPath(name).parent) for name in self.code} - {"."}
        # A hidden folder holds what tools want there; `packaging` and the like have one of their own.
        folders = {folder for folder in folders if not folder.startswith(".")}
        self.nothing([f"{folder}: no README.md (what lives here, what it may use, where to start reading)"
                      for folder in sorted(folders) if not (tree.ROOT / folder / "README.md").is_file()])

    def test_readmes_are_short(self):
        self.nothing([f"{name}: {lines_of(name)} lines, more than {README_LINES}" for name in self.files
                      if name.endswith("/README.md") and lines_of(name) > README_LINES])

    def test_headers_are_guarded_and_introduced(self):
        # g++ warns of a guard in a header that it compiles by itself.
        headers = [name for name in self.code if name.endswith(".h") and not name.startswith("precompiled/")]
        self.nothing([name for name in headers if
                      not re.match(r"(//[^\n]*\n)+\s*#pragma once", (tree.ROOT / name).read_text())])

    def test_every_test_can_be_run(self):
        # tests/run takes the scripts that are executable; one that is not would never run, and nobody would see it.
        self.nothing([name for name in self.files if re.match(r"tests/.*_(test|bench)\.\w+$", name) and
                      (tree.ROOT / name).read_text(errors="replace").startswith("#!") and
                      not os.access(tree.ROOT / name, os.X_OK)])

    def test_nothing_names_this_checkout_or_a_tracker(self):
        # The path of a checkout or the number of a ticket means nothing to the next reader.
        parent = str(tree.ROOT.parent)
        here = re.compile("|".join([r"\b[Ii]ssue #?\d+", r"(?<![\w./-])" + re.escape(str(tree.ROOT)) + r"\b"] +
                                   ([re.escape(parent) + "/"] if Path(parent).parts[1:] and
                                    parent not in ("/root", "/home", "/tmp", "/usr/src", "/src", "/opt") else [])))
        found = []
        for name in self.files:
            text = (tree.ROOT / name).read_text(errors="replace")
            found += [f"{name}:{number}: {line.strip()[:100]}" for number, line in enumerate(text.splitlines(), 1)
                      if here.search(line)]
        self.nothing(found)


if __name__ == "__main__":
    tap.main()
