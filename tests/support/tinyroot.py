"""A root file system for steps that need no more than a shell and Perl: the host's own."""

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path


def tiny_root(root: Path, programs: Sequence[str] = ("perl", "sleep", "sh", "cat")) -> None:
    """Copy the host's Perl and a few programs with their libraries."""
    root.mkdir(parents=True)
    for name in programs:
        program = shutil.which(name, path="/usr/bin:/bin")
        assert program is not None
        (root / "usr/bin").mkdir(parents=True, exist_ok=True)
        shutil.copy(program, root / "usr/bin" / name)
        listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True)
        for library in re.findall(r"(/\S+\.so\S*) \(", listed.stdout):
            target = root / library.removeprefix("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(library, target)
    for folder in Path("/usr/lib").glob("*/perl-base") if "perl" in programs else ():
        shutil.copytree(folder, root / folder.relative_to("/"))
    (root / "bin").symlink_to("usr/bin")
