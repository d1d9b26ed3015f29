"""Measure MIDI files beside real held-out music and noise: the worker behind `evaluate`.

Pieces are compared by excerpts of one length (`singcli.metrics.yardstick`). The real music is the
validation split of prepared datasets; the noise has as many notes as the first excerpt of each real
song, anywhere.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from singcli.dataset import Dataset, Song
from singcli.errors import InputError, SingError
from singcli.files import validate_new_file
from singcli.metrics.comparison import (
    FigureRow,
    MeasuredPiece,
    OverlapRow,
    excerpt_table,
    figure_rows,
    means_of_pieces,
    overlap_rows,
    shares_inside,
)
from singcli.metrics.figures import FIGURES
from singcli.metrics.yardstick import bands, excerpts, noise_like
from singcli.music.score import Score
from singcli.music.voice_files import read_voice_rules
from singcli.preparation.limits import Limits
from singcli.preparation.scores import BEATS, DEFAULT_RULES, Beats, prepared_score
from singcli.preparation.sources import Skipped, Source, SourceReader, find_sources
from singcli.preparation.task import reason

DEFAULT_BARS = 32
MIN_BARS = 4
ENOUGH = 0.8  # share of the files that is to lie in the band of a figure

OnProgress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class EvaluatedFile:
    """A file's own figures.

    Parameters
    ----------
    name : str
        Relative to the input by which it was found, which it begins with.
    n_excerpts : int > 0
    figures : dict of str to float
        Means over the excerpts, a key per name in `FIGURES`; None where not defined.
    inside : dict of str to float in [0, 1]
        Share of the excerpts in the band of real music.
    """

    name: str
    n_excerpts: int
    figures: dict[str, float | None]
    inside: dict[str, float]

    @property
    def outside(self) -> list[str]:
        """Names of the figures of which less than half of the excerpts are in the band."""
        return [name for name, share in self.inside.items() if share < 0.5]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What `evaluate` found.

    Parameters
    ----------
    n_bars : int
        Length of the excerpts.
    seed : int
    files : tuple of EvaluatedFile
    skipped : tuple of Skipped
    real : tuple of MeasuredPiece
        Reference songs; those too short for an excerpt are not among them.
    figures : tuple of FigureRow
    overlaps : tuple of OverlapRow
    picture : Path, optional
    """

    n_bars: int
    seed: int
    files: tuple[EvaluatedFile, ...]
    skipped: tuple[Skipped, ...]
    real: tuple[MeasuredPiece, ...]
    figures: tuple[FigureRow, ...]
    overlaps: tuple[OverlapRow, ...]
    picture: Path | None = None

    @property
    def figures_like_real(self) -> list[str]:
        """Names of the figures that are in the band for `ENOUGH` of the files."""
        return [
            row.name
            for row in self.figures
            if row.evaluated.inside is not None and row.evaluated.inside >= ENOUGH - 1e-9
        ]


def evaluate(
    inputs: Sequence[Path],
    against: Sequence[Path],
    *,
    n_bars: int = DEFAULT_BARS,
    beats: Beats = "file",
    rules: str | Path = DEFAULT_RULES,
    seed: int = 0,
    picture: Path | None = None,
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
) -> Evaluation:
    """Measure all MIDI files in `inputs` beside the held-out songs of datasets.

    Parameters
    ----------
    inputs : sequence of Path
        Files, folders (searched to any depth) and zip archives.
    against : sequence of Path
        Datasets that `prepare` made; the songs of their validation splits together are the real
        music.
    n_bars : int >= MIN_BARS
        Length of the excerpts that are compared; see `excerpts`.
    beats, rules
        How a file is read, see `score_from_midi`.
    seed : int >= 0
        For the noise, and for the real songs that are compared with the others.
    picture : Path, optional
        A .png to draw.
    overwrite : bool
        Whether to replace an existing picture.
    on_progress : callable, optional
        Called as (pieces measured, of so many, name of the piece).

    Raises
    ------
    InputError
        If an input or a dataset does not exist, there is no MIDI file, a dataset has no validation
        songs that are long enough, or a setting is not allowed.
    SingError
        If none of the files can be evaluated.
    """
    _validate_settings(n_bars, beats, seed)
    if picture is not None:
        _validate_picture(picture, overwrite=overwrite)
    songs = list(_real_songs(against))
    sources, skipped = find_sources(inputs)
    progress = _Progress(on_progress, len(sources) + 2 * len(songs))
    mine = _measured_files(sources, skipped, progress, n_bars=n_bars, beats=beats, rules=rules)
    if not mine:
        first = skipped[0]
        raise SingError(
            f"none of {len(skipped)} files can be evaluated ({first.source}: {first.reason})"
        )
    rng = np.random.default_rng(seed)
    real, noise = _measured_songs(songs, progress, rng, n_bars=n_bars)
    if not real:
        raise InputError(
            f"{', '.join(map(str, against))}: no validation song of {-(-n_bars // 2)} bars or more",
            "give --bars a smaller number",
        )
    rows, overlaps = figure_rows(mine, real, noise), overlap_rows(mine, real, noise, rng)
    if picture is not None:
        from singcli.evaluation_picture import write_evaluation_png

        write_evaluation_png(picture, mine, real, noise, rows, overlaps)
    return Evaluation(
        n_bars=n_bars,
        seed=seed,
        files=tuple(_evaluated_files(mine, real)),
        skipped=tuple(sorted(skipped, key=lambda skip: skip.source)),
        real=tuple(real),
        figures=tuple(rows),
        overlaps=tuple(overlaps),
        picture=picture,
    )


class _Progress:
    """Counts what is done."""

    def __init__(self, on_progress: OnProgress | None, total: int) -> None:
        self._on_progress, self._total, self._done = on_progress, total, 0

    def step(self, name: str) -> None:
        self._done += 1
        if self._on_progress is not None:
            self._on_progress(self._done, self._total, name)


def _validate_settings(n_bars: int, beats: str, seed: int) -> None:
    if n_bars < MIN_BARS:
        raise InputError(f"bars = {n_bars}, allowed: {MIN_BARS} or more")
    if beats not in BEATS:
        raise InputError(f"beats = {beats!r}, allowed: {', '.join(BEATS)}")
    if seed < 0:
        raise InputError(f"seed = {seed}, allowed: 0 or more")


def _validate_picture(path: Path, *, overwrite: bool) -> None:
    if path.suffix.lower() != ".png":
        raise InputError(f"{path}: a picture ends in .png")
    if not path.parent.is_dir():
        raise InputError(f"{path}: there is no folder {path.parent}")
    if not os.access(path.parent, os.W_OK):
        raise InputError(f"{path}: the folder {path.parent} cannot be written")
    validate_new_file(path, overwrite=overwrite)


def _real_songs(against: Sequence[Path]) -> Iterator[Song]:
    for path in against:
        songs = Dataset.open(path).songs("validation")
        if not songs:
            raise InputError(
                f"{path}: no songs in its validation split",
                "prepare it with --validation-fraction above 0",
            )
        yield from songs


def _measured_files(
    sources: Sequence[Source],
    skipped: list[Skipped],
    progress: _Progress,
    *,
    n_bars: int,
    beats: Beats,
    rules: str | Path,
) -> list[MeasuredPiece]:
    """Measure the files; add those that cannot be to `skipped`."""
    limits, voice_rules = Limits(), read_voice_rules(rules)
    measured = []
    with SourceReader(limits.max_bytes) as reader:
        for source in sources:
            try:
                content = reader.read(source)
                side_files = reader.side_files(source) if beats == "annotation" else {}
                prepared = prepared_score(
                    content, side_files, source=source.name, rules=voice_rules, beats=beats,
                    sections=False, limits=limits,
                )  # fmt: skip
                parts = _long_enough(prepared.score, n_bars, source.name)
                measured.append(MeasuredPiece.from_excerpts(source.name, parts))
            except InputError as error:
                skipped.append(Skipped(source.name, reason(error, source.name)))
            progress.step(source.name)
    return measured


def _long_enough(score: Score, n_bars: int, name: str) -> list[Score]:
    parts = excerpts(score, n_bars)
    if not parts:
        raise InputError(
            f"{name}: {score.n_bars} bars, allowed: {-(-n_bars // 2)} or more for excerpts of "
            f"{n_bars} (--bars)"
        )
    return parts


def _measured_songs(
    songs: Sequence[Song], progress: _Progress, rng: np.random.Generator, *, n_bars: int
) -> tuple[list[MeasuredPiece], list[MeasuredPiece]]:
    """Measure real songs, and noise like the first excerpt of each."""
    real, noise = [], []
    for song in songs:
        parts = excerpts(song.score, n_bars)
        if parts:
            real.append(MeasuredPiece.from_excerpts(song.id, parts))
        progress.step(song.id)
        if parts:
            noise.append(MeasuredPiece.from_excerpts(song.id, [noise_like(parts[0], rng)]))
        progress.step(f"noise like {song.id}")
    return real, noise


def _evaluated_files(
    mine: Sequence[MeasuredPiece], real: Sequence[MeasuredPiece]
) -> Iterator[EvaluatedFile]:
    means = means_of_pieces(mine)
    shares = shares_inside(mine, bands(excerpt_table(real)))
    for piece, values, inside in zip(mine, means, shares, strict=True):
        figures = [None if np.isnan(value) else float(value) for value in values]
        yield EvaluatedFile(
            piece.name,
            len(piece.excerpts),
            dict(zip(FIGURES, figures, strict=True)),
            dict(zip(FIGURES, inside.tolist(), strict=True)),
        )


def summary(evaluation: Evaluation) -> dict[str, Any]:
    """Return everything but the single files as a JSON object; see docs/formats.md."""
    return {
        "files": len(evaluation.files),
        "skipped": len(evaluation.skipped),
        "bars": evaluation.n_bars,
        "seed": evaluation.seed,
        "real_songs": len(evaluation.real),
        "real_excerpts": sum(len(piece.excerpts) for piece in evaluation.real),
        "figures": {row.name: _figure_json(row) for row in evaluation.figures},
        "overlap": {
            row.name: {"evaluated": row.evaluated, "real": row.real, "noise": row.noise}
            for row in evaluation.overlaps
        },
        "figures_like_real": evaluation.figures_like_real,
        "picture": None if evaluation.picture is None else str(evaluation.picture),
    }


def _figure_json(row: FigureRow) -> dict[str, Any]:
    sets = {"evaluated": row.evaluated, "real": row.real, "noise": row.noise}
    return {"band": None if row.band is None else list(row.band)} | {
        name: {"median": figure.median, "inside": figure.inside} for name, figure in sets.items()
    }
