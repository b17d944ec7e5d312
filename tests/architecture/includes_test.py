#!/usr/bin/python3
"""Fails on an include against the directions of layers.toml or in a circle, and tests the checker itself."""

import tempfile
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import tree
from fixtures import tap
from include_rules import Layers, violations

TABLE = Path(__file__).parent / "layers.toml"
SMALL = """
core = [["top"], ["left", "right"], ["bottom"]]
[only]
"core/top" = ["core/bottom"]
"front" = ["front/*"]
"front/a" = ["front/b"]
"front/b" = ["front/a"]
"tests" = ["*"]
"""


class Checker(unittest.TestCase):
    def check(self, sources: dict[str, str], table: str = SMALL) -> list[str]:
        with tempfile.TemporaryDirectory() as folder:
            for name, text in sources.items():
                path = Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            return violations(Path(folder), sorted(sources), Layers(table))

    def test_downward_includes_pass(self):
        self.assertEqual(self.check({"core/left/a.h": '#include "core/bottom/b.h"\n', "core/bottom/b.h": "",
                                     "tests/t.cpp": '#include "core/left/a.h"\n'}), [])

    def test_upward_include_fails_and_names_the_line(self):
        found = self.check({"core/bottom/b.h": '#pragma once\n  #  include "core/left/a.h"\n', "core/left/a.h": ""})
        self.assertEqual(len(found), 1)
        self.assertTrue(found[0].startswith("core/bottom/b.h:2: core/bottom may not include from core/left"), found[0])

    def test_siblings_fail(self):
        self.assertEqual(len(self.check({"core/left/a.h": '#include "core/right/b.h"\n', "core/right/b.h": ""})), 1)

    def test_only_goes_before_order(self):
        self.assertEqual(len(self.check({"core/top/a.h": '#include "core/left/b.h"\n', "core/left/b.h": ""})), 1)

    def test_other_component_fails(self):
        self.assertEqual(len(self.check({"core/top/a.h": '#include "front/a/b.h"\n', "front/a/b.h": ""})), 1)

    def test_subfolder_belongs_to_listed_folder(self):
        self.assertEqual(self.check({"core/left/deep/a.h": '#include "core/left/b.h"\n',
                                     "core/left/b.h": '#include "core/left/deep/a.h"\n'}), [])

    def test_include_not_from_root_fails(self):
        self.assertEqual(len(self.check({"core/left/a.h": '#include "b.h"\n', "core/left/b.h": ""})), 1)

    def test_generated_header_is_its_template(self):
        self.assertEqual(self.check({"core/left/a.cpp": '#include "core/left/b.h"\n', "core/left/b.h.in": ""}), [])

    def test_unlisted_folder_fails(self):
        self.assertEqual(len(self.check({"elsewhere/a.h": ""})), 1)

    def test_allowed_circle_fails(self):
        found = self.check({"front/a/a.h": '#include "front/b/b.h"\n', "front/b/b.h": '#include "front/a/a.h"\n'})
        self.assertEqual(found, ["folders include each other in a circle: front/a -> front/b -> front/a"])

    def test_real_table_keeps_the_design(self):
        layers = Layers(TABLE.read_text())
        for source, target in (("vmm-core/os", "vmm-core/state"), ("vmm-core/worker", "driver/domain"),
                               ("vmm-core/control", "vmm-core/machine"), ("driver/domain", "vmm-core/worker"),
                               ("driver/config", "vmm-core/control"), ("driver/contract", "driver/domain"),
                               ("daemon/rpc", "driver/domain"), ("vmm-core/block", "vmm-core/net")):
            self.assertFalse(layers.allows(source, target), f"{source} -> {target}")
        for source, target in (("vmm-core/machine", "vmm-core/virtio"), ("driver/domain", "vmm-core/control"),
                               ("daemon", "driver/domain"), ("daemon/rpc", "driver/contract")):
            self.assertTrue(layers.allows(source, target), f"{source} -> {target}")


class Tree(unittest.TestCase):
    def test_includes(self):
        found = violations(tree.ROOT, tree.files(), Layers(TABLE.read_text()))
        if found:
            self.fail("\n" + "\n".join(found))


if __name__ == "__main__":
    tap.main()
