"""Compile the part of the sampler that is in C, whenever singcli is built or installed.

By the machine's own compiler (`CC`, or cc). Where there is none the package index has one: zig
compiles C too, and comes as a wheel. `python hatch_build.py` compiles in the checkout alone.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

KERNEL = Path("singcli", "model", "kernel")
LIBRARY = KERNEL / ("_kernel.dll" if sys.platform == "win32" else "_kernel.so")
FLAGS = (  # the same numbers on every machine: no liberties of rounding
    *("-O3", "-std=c11", "-shared", "-fvisibility=hidden", "-g0"),
    *("-ffp-contract=off", "-fno-trapping-math"),
    *(() if sys.platform == "win32" else ("-fPIC",)),
)


class KernelHook(BuildHookInterface):  # type: ignore[type-arg]
    """Puts the compiled kernel beside its sources and into the wheel."""

    def dependencies(self) -> list[str]:
        """Return what has to be installed before building."""
        return [] if _own_compiler() else ["ziglang>=0.13"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile before the files of a wheel are collected."""
        if self.target_name != "wheel":
            return
        root = Path(self.root)
        if not _is_up_to_date(root):
            compile_kernel(root)
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["artifacts"].append(LIBRARY.as_posix())
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform}"


def compile_kernel(root: Path) -> None:
    """Compile the kernel of a checkout; the old one stays until the new one is whole."""
    library = root / LIBRARY
    made = library.with_name(f".singcli-{os.getpid()}-{library.name}")
    sources = sorted(str(path) for path in (root / KERNEL).glob("*.c"))
    compiler = _own_compiler() or [sys.executable, "-m", "ziglang", "cc", "-mcpu=baseline"]
    subprocess.run([*compiler, *FLAGS, "-o", str(made), *sources], check=True)
    made.replace(library)


def _own_compiler() -> list[str]:
    """Return the words that call the machine's compiler, none if it has none."""
    words = shlex.split(os.environ.get("CC") or "cc")
    return words if shutil.which(words[0]) else []


def _is_up_to_date(root: Path) -> bool:
    """Return whether the kernel is as new as what it is made of."""
    sources = [Path(__file__), *(root / KERNEL).glob("*.[ch]")]
    newest = max(path.stat().st_mtime_ns for path in sources)
    library = root / LIBRARY
    return library.exists() and library.stat().st_mtime_ns >= newest


if __name__ == "__main__":
    compile_kernel(Path(__file__).parent)
