"""Reads the `#include "..."` lines of a tree and tells which go against layers.toml, or in a circle."""

import re
import tomllib
from pathlib import Path

SOURCE_SUFFIXES = {".h", ".cpp", ".c", ".S"}
_INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)


class Layers:
    """The table: which listed folder a file belongs to, and what that folder may include from."""

    def __init__(self, text: str) -> None:
        table = tomllib.loads(text)
        self._allowed: dict[str, set[str]] = {}
        for component, lines in table.items():
            if component == "only":
                continue
            for row, line in enumerate(lines):
                below = {f"{component}/{name}" for later in lines[row + 1:] for name in later}
                for name in line:
                    self._allowed[f"{component}/{name}"] = below
        for folder, names in table.get("only", {}).items():
            self._allowed[folder] = set(names)

    def folder_of(self, path: str) -> str | None:
        """The longest listed folder that holds the file."""
        parts = path.split("/")[:-1]
        while parts:
            if "/".join(parts) in self._allowed:
                return "/".join(parts)
            parts.pop()
        return None

    def allows(self, source: str, target: str) -> bool:
        allowed = self._allowed[source]
        if source == target or target in allowed or "*" in allowed:
            return True
        return any(name.endswith("/*") and target.startswith(name[:-1]) for name in allowed)


def _find_circle(edges: dict[str, set[str]]) -> list[str] | None:
    done: set[str] = set()

    def visit(folder: str, path: list[str]) -> list[str] | None:
        if folder in path:
            return [*path[path.index(folder):], folder]
        if folder in done:
            return None
        for following in sorted(edges.get(folder, ())):
            if circle := visit(following, [*path, folder]):
                return circle
        done.add(folder)
        return None

    for folder in sorted(edges):
        if circle := visit(folder, []):
            return circle
    return None


def violations(root: Path, files: list[str], layers: Layers) -> list[str]:
    """One text per include that breaks a rule, and one for a circle. `files` are paths from `root`."""
    found: list[str] = []
    edges: dict[str, set[str]] = {}
    for path in files:
        if Path(path).suffix not in SOURCE_SUFFIXES:
            continue
        source = layers.folder_of(path)
        if source is None:
            found.append(f"{path}: its folder is not in tests/architecture/layers.toml")
            continue
        text = (root / path).read_text(errors="replace")
        for match in _INCLUDE.finditer(text):
            included = match[1]
            where = f"{path}:{text.count(chr(10), 0, match.start()) + 1}"
            target = layers.folder_of(included)
            # A generated header stands in the tree as its template.
            if target is None or not ((root / included).is_file() or (root / f"{included}.in").is_file()):
                found.append(f'{where}: "{included}" names no file of the tree from its root')
            elif not layers.allows(source, target):
                found.append(f'{where}: {source} may not include from {target} ("{included}")')
            if target is not None and target != source:
                edges.setdefault(source, set()).add(target)
    if circle := _find_circle(edges):
        found.append("folders include each other in a circle: " + " -> ".join(circle))
    return found
