#!/usr/bin/env python3
"""Makes docs/support-table.md from the daemon's own procedure tables, or checks that it is current.

Usage: support_table.py [--check] TABLE VIRTWARREND
"""

import argparse
import collections
import pathlib
import subprocess
import sys

HEAD = """\
# Which of libvirt's remote procedures Warren serves

Made by `docs/support_table.py` from `virtwarrend --print-procedures`; do not edit. *implemented*: served, or for an
event sent; *refused*: known and deliberately not served (an older form of another procedure, or against the design);
*missing*: not yet. A client that calls a refused or missing procedure gets VIR_ERR_NO_SUPPORT.

"""


def render(printed):
    programs = collections.OrderedDict()
    for line in printed.splitlines():
        program, number, name, support = line.split()
        programs.setdefault(program, []).append((int(number), name, support))
    parts = [HEAD, "| program | procedures | implemented | refused | missing |\n|---|---|---|---|---|\n"]
    for program, rows in programs.items():
        counts = collections.Counter(support for _, _, support in rows)
        parts.append(f"| {program} | {len(rows)} | {counts['implemented']} | {counts['refused']} | "
                     f"{counts['missing']} |\n")
    for program, rows in programs.items():
        parts.append(f"\n## {program}\n\n| number | procedure | support |\n|---|---|---|\n")
        parts.extend(f"| {number} | {name} | {support} |\n" for number, name, support in rows)
    return "".join(parts)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("table", type=pathlib.Path)
    parser.add_argument("virtwarrend")
    arguments = parser.parse_args()
    printed = subprocess.run([arguments.virtwarrend, "--print-procedures"], check=True, capture_output=True, text=True)
    text = render(printed.stdout)
    if not arguments.check:
        arguments.table.write_text(text, encoding="utf-8")
    elif arguments.table.read_text(encoding="utf-8") != text:
        sys.exit(f"{arguments.table} is out of date: run docs/support_table.py {arguments.table} VIRTWARREND")


if __name__ == "__main__":
    main()
