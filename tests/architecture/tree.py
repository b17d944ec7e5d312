"""The files of this tree, as version control knows them."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def files() -> list[str]:
    """Paths from ROOT: tracked files and new ones that are not ignored; without git, everything but build trees."""
    listed = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    if listed.returncode == 0:
        names = [name for name in listed.stdout.decode().split("\0") if name]
    else:
        names = [str(path.relative_to(ROOT)) for path in ROOT.rglob("*")
                 if not path.relative_to(ROOT).parts[0].startswith((".", "build"))]
    return sorted(name for name in names if (ROOT / name).is_file() and not (ROOT / name).is_symlink())
