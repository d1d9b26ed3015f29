"""Excerpts of 8 bars for the judge, real and generated ones taken in the same way.

A real song is written to MIDI and read back as a generated file is, so that nothing but the notes
can tell the two apart. Both are brought into C major or A minor by their *estimated* key. Excerpts
begin at a section or a multiple of four bars behind its start, lie evenly over the song, and have a
lead in at least half of their bars (whether a section has a tune is the form's choice).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from singcli.dataset import Dataset, Song
from singcli.model.contract import DURATIONS, duration_classes
from singcli.model.features import reference_shift
from singcli.music.midi_writing import midi_from_score
from singcli.music.score import LEAD, STEPS_PER_BEAT, Score
from singcli.preparation.scores import score_from_midi
from singcli.structure.section import Span

BARS = 8
PHASE = 4  # bars
LEAST_LEAD_BARS = BARS // 2


class Excerpt(NamedTuple):
    """Eight bars in the reference key, the song they are from, and how far into it (0 to 1)."""

    song: str
    score: Score
    position: float


class Rules(NamedTuple):
    """Which excerpts are taken: of bars of this length, and at most so many from a song."""

    beats_per_bar: int = 4
    per_song: int = 6


def real_excerpts(songs: Iterable[Song], rules: Rules) -> Iterator[list[Excerpt]]:
    """Write each song as MIDI, read it back, and yield its excerpts."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "song.mid"
        for song in songs:
            path.write_bytes(midi_from_score(song.score))
            spans = [Span(s.label, s.start_bar, s.n_bars) for s in song.sections]
            yield song_excerpts(f"real {song.id}", score_from_midi(path, whole=True), spans, rules)


def song_excerpts(name: str, score: Score, spans: Sequence[Span], rules: Rules) -> list[Excerpt]:
    """Return the excerpts of a song that was read from a file.

    Parameters
    ----------
    name : str
        Of the song; excerpts of one song never stand on both sides of a fold.
    spans : sequence of Span
        Its sections; () if they are not known, then phrases begin with the first bar.
    """
    score = score.transposed(reference_shift(score))
    fitting = [
        start
        for start in phrase_starts(score.n_bars, spans)
        if is_usable(score.bars(start, start + BARS), rules.beats_per_bar)
    ]
    last = max(score.n_bars - BARS, 1)
    return [
        Excerpt(name, score.bars(start, start + BARS), start / last)
        for start in evenly(fitting, rules.per_song)
    ]


def phrase_starts(n_bars: int, spans: Sequence[Span]) -> list[int]:
    """Return the bars at which an excerpt may begin: every fourth of each section."""
    sections = spans or [Span("", 0, n_bars)]
    starts = {
        bar
        for span in sections
        for bar in range(span.start_bar, span.start_bar + span.n_bars, PHASE)
        if 0 <= bar <= n_bars - BARS
    }
    return sorted(starts)


def is_usable(score: Score, beats_per_bar: int) -> bool:
    """Return whether all bars have this length and half of them an onset of the lead."""
    lead = score.step[score.voice == LEAD] // STEPS_PER_BEAT
    with_lead = np.unique(lead // beats_per_bar)
    return bool(
        (np.diff(score.bar_beats) == beats_per_bar).all() and len(with_lead) >= LEAST_LEAD_BARS
    )


def evenly(starts: Sequence[int], most: int) -> list[int]:
    """Return at most so many, evenly chosen from first to last."""
    if len(starts) <= most:
        return list(starts)
    return [starts[round(k)] for k in np.linspace(0, len(starts) - 1, most)]


def with_model_durations(excerpt: Excerpt) -> Excerpt:
    """Return the excerpt with each duration moved to the nearest that the model can play."""
    score = excerpt.score
    duration = DURATIONS[duration_classes(score.duration)]
    changed = Score.from_notes(
        score.step,
        score.voice,
        score.pitch,
        np.minimum(duration, score.n_steps - score.step),
        score.velocity,
        bar_beats=score.bar_beats,
        tempo_bpm=score.tempo_bpm,
        key=score.key,
    )
    return excerpt._replace(score=changed)


def with_bars_in_random_order(excerpt: Excerpt, rng: np.random.Generator) -> Excerpt:
    """Return the same bars in another order, for a judge that is known to have a case."""
    score = excerpt.score
    bar = score.bar_beats[1] * STEPS_PER_BEAT
    place = rng.permutation(score.n_bars)
    step = place[score.step // bar] * bar + score.step % bar
    return excerpt._replace(score=_moved(score, step, score.pitch))


def with_random_pitches(excerpt: Excerpt, rng: np.random.Generator) -> Excerpt:
    """Return the same rhythm with pitches drawn from each voice's range: noise."""
    score = excerpt.score
    pitch = score.pitch.copy()
    for voice in np.unique(score.voice):
        mine = score.voice == voice
        pitch[mine] = rng.integers(pitch[mine].min(), pitch[mine].max() + 1, mine.sum())
    return excerpt._replace(score=_moved(score, score.step, pitch))


def _moved(score: Score, step: npt.NDArray[np.int32], pitch: npt.NDArray[np.uint8]) -> Score:
    columns = (step, score.voice, pitch, score.duration, score.velocity)
    return Score.from_notes(
        *columns, bar_beats=score.bar_beats, tempo_bpm=score.tempo_bpm, key=score.key
    )


def balanced(
    one: Sequence[Sequence[Excerpt]], other: Sequence[Sequence[Excerpt]], seed: int = 0
) -> tuple[list[Excerpt], list[Excerpt]]:
    """Draw as many songs, then as many excerpts, from either side; every song keeps some."""
    rng = np.random.default_rng(seed)
    sides = [[song for song in side if song] for side in (one, other)]
    n_songs = min(map(len, sides))
    drawn = [[side[k] for k in np.sort(rng.permutation(len(side))[:n_songs])] for side in sides]
    n = min(sum(map(len, side)) for side in drawn)
    kept = [thinned(side, n, rng) for side in drawn]
    return kept[0], kept[1]


def thinned(songs: Sequence[Sequence[Excerpt]], n: int, rng: np.random.Generator) -> list[Excerpt]:
    """Return `n` excerpts, the others taken away where a song has most."""
    left = [list(song) for song in songs]
    for _ in range(sum(map(len, left)) - n):
        most = max(map(len, left))
        song = left[rng.choice([k for k, song in enumerate(left) if len(song) == most])]
        song.pop(rng.integers(len(song)))
    return [excerpt for song in left for excerpt in song]


def validation_songs(data: Path) -> list[Song]:
    """Return the held-out songs of a dataset."""
    return Dataset.open(data).songs("validation")
