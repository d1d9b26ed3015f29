"""What `prepare` cannot do without: imports, processes, a parser, packing and writing files."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

STARTED = (
    "import typer, singcli.prepare\n"
    "from singcli.preparation.pool import outcomes_in_processes\n"
    "if __name__ == '__main__':\n"
    "    list(outcomes_in_processes(abs, range(64), jobs={processes}))\n"
)


def start_seconds(processes: int) -> float:
    """Return how long Python, the imports and processes take that do nothing."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "start.py"
        script.write_text(STARTED.format(processes=processes))
        start = time.perf_counter()
        subprocess.run([sys.executable, str(script)], check=True)
        return time.perf_counter() - start


def parts_seconds(midi: Sequence[Path], songs: Sequence[Path], processes: int) -> dict[str, float]:
    """Return the wall time of each part for all files, shared among processes that have begun.

    Parameters
    ----------
    midi : sequence of Path
        MIDI files.
    songs : sequence of Path
        Songs of the dataset that is made of them.
    processes : int > 0
    """
    parts: dict[str, tuple[Callable[[Sequence[Path]], float], Sequence[Path]]] = {
        "symusic alone": (read_notes, midi),
        "zlib alone, the same arrays": (pack, songs),
        "writing the same songs": (write, songs),
    }
    context = multiprocessing.get_context("spawn")
    found = {}
    with context.Pool(processes) as pool:
        for name, (part, paths) in parts.items():
            shares = [list(paths[k::processes]) for k in range(processes)]
            pool.map(part, [share[:1] for share in shares], chunksize=1)  # imports
            found[name] = max(pool.map(part, shares, chunksize=1))
    return found


def read_notes(paths: Sequence[Path]) -> float:
    """Read files and decode them with symusic; return the seconds."""
    from symusic.core import ScoreTick

    start = time.perf_counter()
    for path in paths:
        for track in ScoreTick.from_midi(path.read_bytes()).tracks:
            track.notes.numpy()
    return time.perf_counter() - start


def pack(paths: Sequence[Path]) -> float:
    """Compress what songs hold as `prepare` does; return the seconds."""
    import numpy as np

    from singcli.npz import npz_bytes

    plain = []
    for path in paths:
        with np.load(path, allow_pickle=False) as arrays:
            plain.append(dict(arrays))
    start = time.perf_counter()
    for arrays in plain:
        npz_bytes(arrays)
    return time.perf_counter() - start


def write(paths: Sequence[Path]) -> float:
    """Write songs again, to a temporary name and renamed, in a new folder; return the seconds."""
    from singcli.files import write_bytes

    contents = [path.read_bytes() for path in paths]
    with tempfile.TemporaryDirectory() as folder:
        targets = [Path(folder) / path.name for path in paths]
        start = time.perf_counter()
        for target, content in zip(targets, contents, strict=True):
            write_bytes(target, content)
        return time.perf_counter() - start
