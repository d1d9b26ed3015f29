"""Songs made by the command line, as a user makes them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def generate(preset: str, seeds: range, folder: Path, options: Sequence[str]) -> list[Path]:
    """Let `singcli generate` write one song per seed; return the MIDI files in that order."""
    command = [sys.executable, "-m", "singcli", "generate", "--preset", preset]
    command += ["--seed", str(seeds.start), "--count", str(len(seeds)), "--out-dir", str(folder)]
    process = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    songs = [Path(line) for line in process.stdout.splitlines()]
    if process.returncode != 0 or len(songs) != len(seeds):
        sys.exit(f"{' '.join(command)} wrote {len(songs)} songs:\n{process.stderr}")
    return songs
