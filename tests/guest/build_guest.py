#!/usr/bin/python3
"""Builds the test guest's images: compiles and links a freestanding ELF, or wraps one into a bzImage."""
import argparse
import concurrent.futures
import os
import pathlib
import struct
import subprocess
import sys


def run(command):
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if result.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{result.stdout}")


def compile_one(options, source):
    item = options.private / (pathlib.Path(source).name + ".o")
    run(["g++", *options.flags.split(), f"-I{options.root}", "-MMD", "-MF", f"{item}.d", "-c", source, "-o", str(item)])
    return item


def link(options):
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(lambda source: compile_one(options, source), options.sources))
    run(["ld", "-nostdlib", "-static", "-z", "max-page-size=4096", "--no-warn-rwx-segments", "--build-id=none",
         "-T", options.script, "-o", options.output, *map(str, objects)])
    if options.depfile:
        needed = []
        for item in objects:
            text = pathlib.Path(f"{item}.d").read_text().split(":", 1)[1]
            needed += text.replace("\\\n", " ").split()
        pathlib.Path(options.depfile).write_text(f"{options.output}: {' '.join(sorted(set(needed)))}\n")


def load_segment(elf):
    """The bytes of the only loadable segment and the memory it takes."""
    offset, size, count = struct.unpack_from("<Q", elf, 32)[0], *struct.unpack_from("<HH", elf, 54)
    for index in range(count):
        kind, _, start, _, _, file_size, memory_size = struct.unpack_from("<IIQQQQQ", elf, offset + index * size)
        if kind == 1:
            return elf[start:start + file_size], memory_size
    sys.exit("no loadable segment")


def wrap(options):
    setup_source, elf = options.sources
    image, memory = load_segment(pathlib.Path(elf).read_bytes())
    setup = options.private / "setup.bin"
    run(["g++", "-c", "-m64", f"-DIMAGE_BYTES={len(image)}", f"-DIMAGE_MEMORY={memory}", setup_source,
         "-o", f"{setup}.o"])
    run(["objcopy", "-O", "binary", "-j", ".text", f"{setup}.o", str(setup)])
    pathlib.Path(options.output).write_bytes(setup.read_bytes() + image)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", required=True)
    parser.add_argument("--script")
    parser.add_argument("--output", required=True)
    parser.add_argument("--depfile")
    parser.add_argument("--private", required=True, type=pathlib.Path)
    parser.add_argument("--flags", default="")
    parser.add_argument("--bzimage", action="store_true")
    parser.add_argument("sources", nargs="+")
    options = parser.parse_args()
    options.private.mkdir(parents=True, exist_ok=True)
    wrap(options) if options.bzimage else link(options)


main()
