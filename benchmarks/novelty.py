"""What songs share with the training songs, and whether the index finds it.

Generated songs stand beside held-out real songs, training songs (which must be found as a whole),
the same in another key, and random notes. The hashes are compared with the notes themselves:
longest runs and shared passages by plain search in the text of all moves. Then size and times.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from _generation import generate
from _machine import (
    Cell,
    Row,
    floor_verdict,
    machine_line,
    markdown_table,
    run,
    summary,
    verdict,
    write_json,
)

from singcli.dataset import Dataset
from singcli.errors import InputError
from singcli.music.midi_writing import midi_from_score
from singcli.music.score import MAX_PITCH, MIN_PITCH, Score
from singcli.novelty.checking import index_path
from singcli.novelty.hashing import PARTS, PASSAGE_NOTES, Line, Part
from singcli.novelty.index import FIGURES, NoveltyIndex
from singcli.novelty.index_file import read_index
from singcli.novelty.report import NoveltyReport, measure_novelty
from singcli.novelty.yardstick import Reference, yardstick_of
from singcli.preparation.scores import score_from_midi

PRESETS = ("aaba", "verse-chorus", "rondo")
HEADER = ["songs", "n", *(f"{name}, median / 95 %" for name in FIGURES)]
TRANSPOSITION = 5
TIMED_BARS = 64
MOST_SECONDS = 0.2
MOST_SECONDS_WITH_LOADING = 0.5
MOST_BYTES_A_SONG = 4_000_000 / 726
GAP = "\0"


class Agreement(NamedTuple):
    """Lines of pieces measured by the hashes and by the notes themselves."""

    lines: int
    runs_alike: int
    passages: int
    passages_alike: int


class MoveText:
    """The training songs as one text, a character for every move: no hashes of ours."""

    def __init__(self, scores: Iterable[Score], part: Part) -> None:
        self._characters: dict[tuple[int, int], str] = {}
        self._part = part
        self.text = GAP.join(map(self._text_of, scores))
        self._places: dict[str, list[int]] = {}
        for place, passage in enumerate(self._passages(self.text)):
            self._places.setdefault(passage, []).append(place)

    def _text_of(self, score: Score) -> str:
        """Return the moves of a piece."""
        line = Line.from_score(score, self._part)
        moves = zip(np.diff(line.step).tolist(), np.diff(line.pitch).tolist(), strict=True)
        known = self._characters
        return "".join(known.setdefault(move, chr(0x10000 + len(known))) for move in moves)

    @staticmethod
    def _passages(text: str) -> list[str]:
        n_moves = PASSAGE_NOTES - 1
        return [text[start : start + n_moves] for start in range(len(text) - n_moves + 1)]

    def longest_run(self, score: Score) -> int:
        """Return the notes of the longest run that is in a song; 0 below a passage."""
        text, longest = self._text_of(score), PASSAGE_NOTES - 2
        for start, passage in enumerate(self._passages(text)):
            for place in self._places.get(passage, ()):
                while (
                    start + longest < len(text)
                    and text[start : start + longest + 1] == self.text[place : place + longest + 1]
                ):
                    longest += 1
        return longest + 1 if longest + 1 >= PASSAGE_NOTES else 0

    def shared_passages(self, score: Score) -> list[bool]:
        """Return for every passage of a piece whether it is in a song."""
        return [passage in self._places for passage in self._passages(self._text_of(score))]


def agreement(scores: Sequence[Score], songs: Sequence[Score], index: NoveltyIndex) -> Agreement:
    """Compare what the hashes say with what the notes say."""
    lines = runs_alike = passages = different = 0
    reports = [measure_novelty(score, index) for score in scores]
    for part in PARTS:
        text = MoveText(songs, part)
        for score, report in zip(scores, reports, strict=True):
            found = report.lead if part == "lead" else report.all
            shared = text.shared_passages(score)
            lines += 1
            runs_alike += report.figures()[f"{part}_run"] == text.longest_run(score)
            passages += len(shared)
            different += abs(found.passages.shared - sum(shared))
    return Agreement(lines, runs_alike, passages, passages - different)


def random_score(like: Score, rng: np.random.Generator) -> Score:
    """Return as many notes as a piece has, in both voices, anywhere in its time and range."""
    pitch = rng.integers(int(like.pitch.min()), int(like.pitch.max()) + 1, like.n_notes)
    step = rng.integers(0, like.n_steps, like.n_notes)
    return Score.from_notes(
        step,
        like.voice,
        pitch,
        like.duration,
        like.velocity,
        bar_beats=like.bar_beats,
        tempo_bpm=like.tempo_bpm,
    )


def in_another_key(score: Score) -> Score:
    """Return a piece moved, up or down, so that no note leaves the piano, by way of a MIDI file."""
    fits = int(score.pitch.max()) + TRANSPOSITION <= MAX_PITCH
    if not fits and int(score.pitch.min()) - TRANSPOSITION < MIN_PITCH:
        raise InputError(f"a song from {score.pitch.min()} to {score.pitch.max()} fills the piano")
    moved = score.transposed(TRANSPOSITION if fits else -TRANSPOSITION)
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "song.mid"
        path.write_bytes(midi_from_score(moved))
        return score_from_midi(path, whole=True)


def found_whole(scores: Sequence[Score], reports: Sequence[NoveltyReport]) -> float:
    """Return the share of the pieces of which every note is in one shared run, in both lines."""
    whole = [
        all(
            report.figures()[f"{part}_run"] == len(Line.from_score(score, part).step)
            for part in PARTS
        )
        for score, report in zip(scores, reports, strict=True)
    ]
    return statistics.fmean(whole)


def table_row(name: str, reference: Reference) -> Row:
    """Return a row of the table: median and 95th percentile of every figure."""
    cells: list[Cell] = [name, reference.pieces]
    for figure in FIGURES:
        pair = (reference.median[figure], reference.high[figure])
        is_run = figure.endswith("_run")
        cells.append(" / ".join(f"{value:.1f}" if is_run else f"{value:.2%}" for value in pair))
    return cells


def reference_of(reports: Sequence[NoveltyReport]) -> Reference:
    """Sum up reports."""
    return Reference.from_figures(np.array([list(r.figures().values()) for r in reports]))


def generated_scores(preset: str, seeds: range) -> list[Score]:
    """Let the command line make songs of a preset, and read them back."""
    with tempfile.TemporaryDirectory() as name:
        paths = generate(preset, seeds, Path(name), [])
        return [score_from_midi(path, whole=True) for path in paths]


def seconds_of(work: Callable[[], object], runs: int) -> dict[str, float]:
    """Return how long some work takes in processor seconds, and its median by the clock."""
    processor, clock = [], []
    for _ in range(runs):
        before = os.times()
        work()
        after = os.times()
        processor.append(sum(after[:4]) - sum(before[:4]))  # of this process and its children
        clock.append(after.elapsed - before.elapsed)
    return summary(processor) | {"clock": statistics.median(clock)}


def times(score: Score, path: Path, runs: int) -> dict[str, dict[str, float]]:
    """Time a query, a query with loading, and the whole command for one piece."""
    index = read_index(path)
    with tempfile.TemporaryDirectory() as name:
        song = Path(name) / "song.mid"
        song.write_bytes(midi_from_score(score))
        command = [sys.executable, "-m", "singcli", "novelty", "check", str(song), "--index"]
        return {
            "a query": seconds_of(lambda: measure_novelty(score, index), runs),
            "loading and a query": seconds_of(
                lambda: measure_novelty(score, read_index(path)), runs
            ),
            "the command": seconds_of(
                lambda: subprocess.run([*command, str(path)], capture_output=True, check=True),
                runs,
            ),
        }


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Example: python benchmarks/novelty.py --data data/pop909 --seeds 20",
    )
    parser.add_argument("--data", type=Path, required=True, help="the dataset of the index")
    parser.add_argument("--index", type=Path, help=".novelty.npz (that of the model `pop`)")
    parser.add_argument("--presets", nargs="*", default=PRESETS, help="of the generated songs")
    parser.add_argument("--seeds", type=int, default=20, help="songs of each preset")
    parser.add_argument("--first-seed", type=int, default=2001)
    parser.add_argument("--songs", type=int, default=50, help="training songs, random pieces")
    parser.add_argument("--exact", type=int, default=20, help="held-out songs compared by notes")
    parser.add_argument("--runs", type=int, default=9, help="of each time")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()

    path = arguments.index or index_path("pop")
    index = read_index(path)
    dataset = Dataset.open(arguments.data)
    train = [song.score for song in dataset.songs("train")]
    held_out = [song.score for song in dataset.songs("validation")]
    if len(train) != len(index.songs):
        raise InputError(f"{path}: {len(index.songs)} songs, {arguments.data} has {len(train)}")
    print(machine_line("numpy"))
    print(f"{path.name}, {len(train)} songs of {arguments.data.name}\n")

    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    generated = {preset: generated_scores(preset, seeds) for preset in arguments.presets}
    rng = np.random.default_rng(0)
    chosen = [train[i] for i in rng.permutation(len(train))[: arguments.songs]]
    pieces = {
        **{f"generated, {preset}": scores for preset, scores in generated.items()},
        "training songs": chosen,
        "the same in another key, from MIDI": [in_another_key(score) for score in chosen],
        "random notes": [random_score(score, rng) for score in chosen],
    }
    reports = {
        name: [measure_novelty(score, index) for score in scores] for name, scores in pieces.items()
    }
    yardstick = yardstick_of(index)
    references = {name: reference_of(found) for name, found in reports.items()}
    references |= {"held-out songs": yardstick.songs, "held-out excerpts": yardstick.excerpts}
    print(markdown_table(HEADER, [table_row(*row) for row in references.items()]) + "\n")
    for name in ("training songs", "the same in another key, from MIDI"):
        print(
            "- "
            + floor_verdict(f"found whole, {name}", found_whole(pieces[name], reports[name]), 1.0)
        )

    alike = agreement(held_out[: arguments.exact], train, index)
    print(
        f"- longest runs as by the notes: {alike.runs_alike} of {alike.lines} lines of "
        f"{arguments.exact} held-out songs; passages: {alike.passages_alike} of {alike.passages}"
    )
    size = path.stat().st_size
    notes = sum(int(line.notes_of_bar.sum()) for line in index.lines.values())
    print(f"- {size:,} bytes for {len(train)} songs, {notes:,} notes in both lines")
    print("- " + verdict("bytes a song", size / len(train), MOST_BYTES_A_SONG))
    timed = next(score for score in held_out if score.n_bars >= TIMED_BARS).bars(0, TIMED_BARS)
    seconds = times(timed, path, arguments.runs)
    limits = {"a query": MOST_SECONDS, "loading and a query": MOST_SECONDS_WITH_LOADING}
    print()
    header = [
        f"processor seconds, {TIMED_BARS} bars",
        "median",
        "min",
        "max",
        "runs",
        "by the clock",
    ]
    rows: list[Row] = [[name, *values.values()] for name, values in seconds.items()]
    print(markdown_table(header, rows) + "\n")
    for name, limit in limits.items():
        print("- " + verdict(f"median of {name}, processor", seconds[name]["median"], limit, " s"))
    write_json(
        arguments.json,
        {
            "figures": {
                name: {"pieces": r.pieces, "median": r.median, "percentile_95": r.high}
                for name, r in references.items()
            },
            "agreement": alike._asdict(),
            "bytes": size,
            "seconds": seconds,
        },
    )


if __name__ == "__main__":
    run(main)
