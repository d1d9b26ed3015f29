"""How time and memory of SSM, repeat map and sections grow with the length of a piece.

Every size has a fresh process of its own and runs several times in it, first SSM and repeat map,
then SSM and sections; memory is the peak of the whole process so far, the interpreter included.
Beside it in the same run: the product of the beat features alone (what no method can do without),
and the same matrix and map written down plainly in numpy, with a full table for every step.

The pieces are songs in a row: made up (AABA of 32 bars, random phrases in two voices), or, with
--data, the validation songs of a dataset.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from _machine import Row, machine_line, markdown_table, run, verdict, write_json

if TYPE_CHECKING:
    import numpy.typing as npt

    from singcli.music.score import Score

SIZES = (125, 250, 500, 1000)
TARGET_BARS, TARGET_S, TARGET_MB = 1000, 1.0, 500.0
BARS_PER_PHRASE, NOTES_PER_BAR = 8, 22
MAXRSS_BYTES = 1 if sys.platform == "darwin" else 1024  # the unit of ru_maxrss

METHODS = SINGCLI, PRODUCT, PLAIN = "singcli", "product alone", "plain numpy"


def made_up_songs() -> Iterator[Score]:
    """Yield songs without end: AABA of phrases of random notes."""
    import numpy as np

    from singcli.music.score import Score, regular_bars

    rng = np.random.default_rng(0)
    n_notes, n_steps = BARS_PER_PHRASE * NOTES_PER_BAR, BARS_PER_PHRASE * 16
    while True:
        a, b = (
            np.stack(
                [
                    rng.integers(0, n_steps, n_notes),
                    rng.integers(0, 2, n_notes),
                    rng.integers(45, 80, n_notes),
                    rng.integers(1, 9, n_notes),
                    rng.integers(40, 100, n_notes),
                ]
            )
            for _ in range(2)
        )
        phrases = []
        for turn, phrase in enumerate((a, a, b, a)):
            moved = phrase.copy()
            moved[0] += turn * n_steps
            phrases.append(moved)
        bars = regular_bars(4 * BARS_PER_PHRASE, 4)
        yield Score.from_notes(*np.concatenate(phrases, axis=1), bar_beats=bars, tempo_bpm=100)


def chained_songs(songs: Iterable[Score], n_bars: int) -> Score:
    """Return the songs one after the other, cut to `n_bars` bars."""
    import numpy as np

    from singcli.music.score import STEPS_PER_BEAT, Score

    names = ("step", "voice", "pitch", "duration", "velocity")
    columns, bar_beats = [], [np.zeros(1, np.int64)]
    for song in songs:
        begin = int(bar_beats[-1][-1])
        of_song = np.stack([getattr(song, name).astype(np.int64) for name in names])
        of_song[0] += begin * STEPS_PER_BEAT
        columns.append(of_song)
        bar_beats.append(begin + song.bar_beats[1:].astype(np.int64))
        if sum(map(len, bar_beats)) > n_bars:
            break
    whole = Score.from_notes(
        *np.concatenate(columns, axis=1), bar_beats=np.concatenate(bar_beats), tempo_bpm=100
    )
    return whole.bars(0, n_bars)


def long_piece(n_bars: int, data: Path | None) -> Score:
    """Return a piece of so many bars; songs of a small dataset come again."""
    from singcli.dataset import Dataset

    if data is None:
        return chained_songs(made_up_songs(), n_bars)
    songs = [song.score for song in Dataset.open(data).songs("validation")]
    return chained_songs(itertools.cycle(songs), n_bars)


def product_alone(score: Score) -> npt.NDArray[Any]:
    """Multiply the features of all beats with each other."""
    from singcli.music.roll import onset_roll, sounding_roll
    from singcli.structure.ssm import beat_features

    features = beat_features(onset_roll(score), sounding_roll(score))
    product: npt.NDArray[Any] = features @ features.T
    return product


def plain_ssm(score: Score) -> npt.NDArray[Any]:
    """Return `ssm_from_score` as one would write it down: whole matrices, float64."""
    import numpy as np

    from singcli.structure.ssm import WINDOW_BEATS

    similarity = product_alone(score).astype(np.float64)
    n_beats, back = len(similarity), WINDOW_BEATS // 2
    total, pairs = np.zeros_like(similarity), np.zeros_like(similarity)
    for shift in range(-back, WINDOW_BEATS - back):
        low, high = max(0, -shift), min(n_beats, n_beats - shift)
        moved = slice(low + shift, high + shift)
        total[low:high, low:high] += similarity[moved, moved]
        pairs[low:high, low:high] += 1
    sounding = np.diagonal(similarity) > 0
    both = sounding[:, None] & sounding
    ssm: npt.NDArray[Any] = np.where(both, total / pairs, 0.0).clip(0.0, 1.0).astype(np.float32)
    return ssm


def plain_repeat_map(ssm: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the sources of `repeat_map_from_ssm` from full tables of scores and predecessors."""
    import numpy as np

    from singcli.structure.alignment import CONTINUATION_BONUS, NEW, NEW_BELOW

    n_beats = len(ssm)
    score = np.full((n_beats, n_beats), -np.inf)
    before = np.zeros((n_beats, n_beats), np.int64)
    score[1, 0] = ssm[1, 0]
    for beat in range(2, n_beats):
        jump = score[beat - 1, : beat - 1].argmax()
        before[beat, :beat] = jump
        best = np.full(beat, score[beat - 1, jump])
        along = score[beat - 1, : beat - 1] + CONTINUATION_BONUS
        better = np.flatnonzero(along > best[1:])
        before[beat, better + 1] = better
        best[1:] = np.maximum(best[1:], along)
        score[beat, :beat] = ssm[beat, :beat] + best
    source = np.full(n_beats, NEW)
    source[-1] = score[-1, :-1].argmax()
    for beat in range(n_beats - 1, 1, -1):
        source[beat - 1] = before[beat, source[beat]]
    grade = np.where(source >= 0, ssm[np.arange(n_beats), source], 0.0)
    sources: npt.NDArray[Any] = np.where(grade < NEW_BELOW, NEW, source)
    return sources


def stages_of(method: str, score: Score) -> dict[str, Callable[[], object]]:
    """Return what is timed: the target's work first, then what comes after it."""
    from singcli.structure.alignment import repeat_map_from_ssm
    from singcli.structure.segmentation import sections_from_score
    from singcli.structure.ssm import ssm_from_score

    if method == PRODUCT:
        return {"map": lambda: product_alone(score)}
    if method == PLAIN:
        return {"map": lambda: plain_repeat_map(plain_ssm(score))}
    return {
        "map": lambda: repeat_map_from_ssm(ssm_from_score(score)),
        "sections": lambda: sections_from_score(score),
    }


def measure_here(method: str, n_bars: int, runs: int, data: Path | None) -> dict[str, Any]:
    """Time the stages in this process; peaks in megabytes (10^6 bytes), before and after each."""
    score = long_piece(n_bars, data)
    figures: dict[str, Any] = {"n_beats": score.n_beats, "before_mb": peak_mb()}
    for name, work in stages_of(method, score).items():
        seconds = []
        for _ in range(runs):
            started = time.perf_counter()
            work()
            seconds.append(time.perf_counter() - started)
        figures[name] = {"seconds": seconds, "peak_mb": peak_mb()}
    return figures


def peak_mb() -> float:
    """Return the peak memory of this process so far."""
    import resource

    kept: int = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kept * MAXRSS_BYTES / 1e6


def measure(method: str, n_bars: int, runs: int, data: Path | None) -> dict[str, Any]:
    """Measure in a fresh process; this one stays small, for a child's peak starts at its own."""
    words = [sys.executable, __file__, "--inside", method, "--bars", str(n_bars)]
    words += ["--runs", str(runs), *(["--data", str(data)] if data else [])]
    process = subprocess.run(words, capture_output=True, text=True, check=False)
    if process.returncode != 0:
        sys.exit(f"{' '.join(words)} failed:\n{process.stderr}")
    figures: dict[str, Any] = json.loads(process.stdout)
    return figures


def growth_rows(method: str, by_size: Mapping[int, Mapping[str, Any]]) -> list[Row]:
    """Return a row per size: medians, peaks, and how often the time of the size before."""
    rows: list[Row] = []
    before: float | None = None
    for n_bars, figures in by_size.items():
        seconds = median(figures, "map")
        sections = "sections" in figures
        rows.append(
            [
                method,
                n_bars,
                figures["n_beats"],
                seconds,
                None if before is None else seconds / before,
                figures["map"]["peak_mb"],
                median(figures, "sections") if sections else None,
                figures["sections"]["peak_mb"] if sections else None,
            ]
        )
        before = seconds
    return rows


def median(figures: Mapping[str, Any], stage: str) -> float:
    """Return the median of a stage's seconds."""
    seconds: list[float] = figures[stage]["seconds"]
    return statistics.median(seconds)


def parsed() -> argparse.Namespace:
    """Read the arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Example: python benchmarks/growth.py --runs 5",
    )
    parser.add_argument(
        "--bars", type=int, nargs="+", default=list(SIZES), help="sizes (125 250 500 1000)"
    )
    parser.add_argument("--runs", type=int, default=5, help="in each process (5)")
    parser.add_argument("--data", type=Path, help="a dataset made by prepare (made-up songs)")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--inside", choices=METHODS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.runs < 1 or min(arguments.bars) < 1:
        parser.error("--runs and --bars must be at least 1")
    return arguments


def main() -> None:
    """Read the arguments, measure every method and size in a process of its own, print."""
    arguments = parsed()
    if arguments.inside:
        here = measure_here(arguments.inside, arguments.bars[0], arguments.runs, arguments.data)
        print(json.dumps(here))
        return
    sizes = sorted(arguments.bars)
    results: dict[str, dict[int, dict[str, Any]]] = {method: {} for method in METHODS}
    for n_bars in sizes:
        for method in METHODS:
            results[method][n_bars] = measure(method, n_bars, arguments.runs, arguments.data)
    rows = [row for method, by_size in results.items() for row in growth_rows(method, by_size)]
    lines = []
    if TARGET_BARS in sizes:
        ours = results[SINGCLI][TARGET_BARS]
        what = f"SSM and repeat map of {TARGET_BARS} bars"
        lines = [
            verdict(what, median(ours, "map"), TARGET_S, " s"),
            verdict(f"{what}, peak of the process", ours["map"]["peak_mb"], TARGET_MB, " MB"),
        ]
    print(machine_line("numpy"))
    print(f"{arguments.runs} runs in each process, medians; songs: {arguments.data or 'made up'}\n")
    header = ["method", "bars", "beats", "SSM + map s", "times the size before", "peak MB"]
    print(markdown_table([*header, "SSM + sections s", "peak MB"], rows))
    print("", *lines, sep="\n")
    write_json(arguments.json, {"results": results, "verdicts": lines})


if __name__ == "__main__":
    run(main)
