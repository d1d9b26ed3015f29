"""What a judge may look at in an excerpt: named figures of its notes, by family.

Conventions
-----------
- An excerpt is a `Score` of equal bars in the reference key (C major or A minor); durations are in
  steps, pitches in MIDI numbers, intervals in semitones.
- A name is "family: figure"; shares are fractions in [0, 1]; a share of nothing is 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from _judge_harmony import harmony_features

from singcli.music.score import ACCOMPANIMENT, LEAD, STEPS_PER_BEAT, VOICE_NAMES, Score

Vector = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Named = dict[str, float]

DURATION_EDGES = (1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 17)  # lower ends of the classes, in steps
INTERVAL_EDGES = (0, 1, 2, 3, 5, 8, 13)
LEAP = 5  # a fourth or more
LAGS = (1, 2, 4)  # bars


class Voice(NamedTuple):
    """The notes of one voice, by step, and the steps in which they begin.

    Shapes: the first three (n_notes,), `steps` the distinct onsets in order, `tops` the highest
    pitch of each.
    """

    step: Ints
    pitch: Ints
    end: Ints
    steps: Ints
    tops: Ints

    @classmethod
    def of(cls, score: Score, voice: int) -> Voice:
        """Take a voice out of a score."""
        mine = score.voice == voice
        step = score.step[mine].astype(np.int64)
        pitch = score.pitch[mine].astype(np.int64)
        steps, first = np.unique(step, return_index=True)
        tops = np.maximum.reduceat(pitch, first) if len(step) else pitch
        return cls(step, pitch, step + score.duration[mine], steps, tops)


def excerpt_features(score: Score, *, velocity: bool = False) -> Named:
    """Return every figure of an excerpt by its name.

    Parameters
    ----------
    score : Score
        Whole bars of equal length, at least two.
    velocity : bool
        Whether the judge may look at how loud the notes are.
    """
    figures: Named = {}
    for number, name in enumerate(VOICE_NAMES):
        voice = Voice.of(score, number)
        for family in (density, durations, ends, places, repetition, register):
            figures |= {f"{name} {key}": value for key, value in family(voice, score).items()}
        if velocity:
            figures |= {f"{name} {k}": v for k, v in loudness(score, number).items()}
    lead, accompaniment = Voice.of(score, LEAD), Voice.of(score, ACCOMPANIMENT)
    return (
        figures
        | tune(lead)
        | phrases(lead, score)
        | restrikes(accompaniment)
        | coincidence(lead, accompaniment)
        | harmony_features(score)
    )


def share(part: float, whole: float) -> float:
    """Return `part / whole`, 0 where there is nothing."""
    return float(part) / float(whole) if whole else 0.0


def mean(values: Iterable[float] | npt.NDArray[np.generic]) -> float:
    """Return the mean, 0 of nothing."""
    array = np.asarray(list(values), np.float64)
    return float(array.mean()) if len(array) else 0.0


def spread(values: npt.NDArray[np.generic]) -> float:
    """Return the standard deviation, 0 of nothing."""
    return float(np.std(values)) if len(values) else 0.0


def classes(family: str, values: Ints, edges: tuple[int, ...]) -> Named:
    """Return the share of the values in each class that begins at one of the edges."""
    counts = np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1)[1:]
    ends = [*(edge - 1 for edge in edges[1:]), None]
    names = [
        f"{low}+" if high is None else str(low) if low == high else f"{low}-{high}"
        for low, high in zip(edges, ends, strict=True)
    ]
    total = len(values)
    return {f"{family}: {n}": share(c, total) for n, c in zip(names, counts, strict=True)}


def steps_per_bar(score: Score) -> int:
    """Return the length of the bars, which are equal."""
    return int(score.bar_beats[1]) * STEPS_PER_BEAT


def density(voice: Voice, score: Score) -> Named:
    """Return how many notes there are, how evenly, and how much is silence."""
    bar = steps_per_bar(score)
    by_bar = np.bincount(voice.step // bar, minlength=score.n_bars)
    sounding = np.zeros(score.n_steps + 1, np.int64)
    np.add.at(sounding, voice.step, 1)
    np.add.at(sounding, voice.end, -1)
    sounds = np.cumsum(sounding)[:-1]
    half = score.n_bars // 2
    return {
        "density: notes a bar": mean(by_bar),
        "density: onsets a bar": len(voice.steps) / score.n_bars,
        "density: spread over bars": share(spread(by_bar), mean(by_bar)),
        "density: second half less first": mean(by_bar[half:]) - mean(by_bar[:half]),
        "density: change from bar to bar": share(mean(abs(np.diff(by_bar))), mean(by_bar)),
        "rests: silent steps": mean(sounds == 0),
        "rests: longest": float(longest_run(sounds == 0)),
        "polyphony: mean": mean(sounds),
        "polyphony: spread": spread(sounds),
        "polyphony: most": float(sounds.max()),
    }


def longest_run(flags: npt.NDArray[np.bool_]) -> int:
    """Return the length of the longest run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def durations(voice: Voice, _score: Score) -> Named:
    """Return the histogram of durations and how many there are."""
    length = voice.end - voice.step
    return classes("duration", length, DURATION_EDGES) | {
        "duration: mean": mean(length),
        "duration: distinct": float(len(np.unique(length))),
        "duration: same as the note before": mean(length[1:] == length[:-1]),
    }


def ends(voice: Voice, score: Score) -> Named:
    """Return where notes end: at the next onset (legato), before, after, at beats and bar lines."""
    bar = steps_per_bar(score)
    following = np.searchsorted(voice.steps, voice.step, side="right")
    known = following < len(voice.steps)
    next_onset = np.append(voice.steps, 0)[following]
    gap = (next_onset - voice.end)[known]
    crosses = (voice.step // bar) < ((voice.end - 1) // bar)
    return {
        "ends: at the next onset": mean(gap == 0),
        "ends: one step early": mean(gap == 1),
        "ends: more than a step early": mean(gap > 1),
        "ends: after the next onset": mean(gap < 0),
        "ends: on a beat": mean(voice.end % STEPS_PER_BEAT == 0),
        "ends: on a bar line": mean(voice.end % bar == 0),
        "ends: held over a bar line": mean(crosses),
    }


def places(voice: Voice, score: Score) -> Named:
    """Return where in beat and bar the onsets are."""
    bar = steps_per_bar(score)
    place = voice.steps % bar
    beat, inside = place // STEPS_PER_BEAT, place % STEPS_PER_BEAT
    n = len(place)
    struck = np.zeros(score.n_steps + STEPS_PER_BEAT, np.bool_)
    struck[voice.steps] = True
    next_beat = (voice.steps // STEPS_PER_BEAT + 1) * STEPS_PER_BEAT
    figures = {f"place: step {k} of the beat": share((inside == k).sum(), n) for k in range(4)}
    figures |= {
        f"place: beat {k + 1}": share((beat == k).sum(), n) for k in range(bar // STEPS_PER_BEAT)
    }
    return figures | {
        "place: bars with an onset on one": share((place == 0).sum(), score.n_bars),
        "place: off the beat, next beat unstruck": mean((inside > 0) & ~struck[next_beat]),
        "place: distinct rhythms of a beat": float(
            len(np.unique(struck[: score.n_steps].reshape(-1, STEPS_PER_BEAT), axis=0))
        ),
    }


def repetition(voice: Voice, score: Score) -> Named:
    """Return how much bars have in common with those before: notes, rhythm, and exact copies."""
    bar = steps_per_bar(score)
    notes: list[set[tuple[int, int]]] = [set() for _ in range(score.n_bars)]
    for step, pitch in zip(voice.step.tolist(), voice.pitch.tolist(), strict=True):
        notes[step // bar].add((step % bar, pitch))
    rhythms = [{step for step, _ in of_bar} for of_bar in notes]
    figures: Named = {}
    for lag in LAGS:
        pairs = range(lag, score.n_bars)
        figures[f"overlap: notes, {lag} bars ago"] = mean(
            jaccard(notes[k], notes[k - lag]) for k in pairs
        )
        figures[f"overlap: rhythm, {lag} bars ago"] = mean(
            jaccard(rhythms[k], rhythms[k - lag]) for k in pairs
        )
    figures["overlap: best earlier bar"] = mean(
        max(jaccard(notes[k], notes[j]) for j in range(k)) for k in range(1, score.n_bars)
    )
    figures["overlap: rhythm of the best earlier bar"] = mean(
        max(jaccard(rhythms[k], rhythms[j]) for j in range(k)) for k in range(1, score.n_bars)
    )
    figures["overlap: exact copies"] = mean(
        bool(notes[k]) and notes[k] in notes[:k] for k in range(1, score.n_bars)
    )
    halves = [
        {(s % (bar // 2), p) for s, p in of_bar if s // (bar // 2) == half}
        for of_bar in notes
        for half in (0, 1)
    ]
    figures["overlap: notes, half a bar ago"] = mean(
        jaccard(halves[k], halves[k - 1]) for k in range(1, len(halves))
    )
    return figures


def jaccard(one: Set[Any], other: Set[Any]) -> float:
    """Return the share of what either has that both have; 1 if both are empty."""
    either = len(one | other)
    return len(one & other) / either if either else 1.0


def register(voice: Voice, _score: Score) -> Named:
    """Return where the voice lies and how far it ranges."""
    pitch = voice.pitch
    return {
        "register: mean": mean(pitch),
        "register: spread": spread(pitch),
        "register: range": float(np.ptp(pitch)) if len(pitch) else 0.0,
        "register: distinct pitches": float(len(np.unique(pitch))),
        "register: lowest": float(pitch.min()) if len(pitch) else 0.0,
        "register: highest": float(pitch.max()) if len(pitch) else 0.0,
    }


def loudness(score: Score, voice: int) -> Named:
    """Return how loud a voice is and how that changes."""
    velocity = score.velocity[score.voice == voice].astype(np.int64)
    return {
        "velocity: mean": mean(velocity),
        "velocity: spread": spread(velocity),
        "velocity: change from note to note": mean(abs(np.diff(velocity))),
        "velocity: distinct": float(len(np.unique(velocity))),
    }


def tune(lead: Voice) -> Named:
    """Return the intervals of the lead (its highest notes) and how it turns."""
    moves = np.diff(lead.tops)
    size = abs(moves)
    moving = moves[moves != 0]
    after_leap = moves[1:][size[:-1] >= LEAP]
    leaps = moves[:-1][size[:-1] >= LEAP]
    gaps = np.diff(lead.steps)
    return classes("lead interval", size, INTERVAL_EDGES) | {
        "lead interval: upward among moves": mean(moving > 0),
        "lead contour: turns": mean(np.sign(moving[1:]) != np.sign(moving[:-1])),
        "lead contour: leaps answered by a step back": mean(
            (np.sign(after_leap) == -np.sign(leaps)) & (abs(after_leap) <= 2)
        ),
        "lead contour: same pitch two notes ago": mean(lead.tops[2:] == lead.tops[:-2]),
        "lead contour: there and back": mean((lead.tops[2:] == lead.tops[:-2]) & (moves[1:] != 0)),
        "lead contour: longest run one way": float(
            max(longest_run(moves > 0), longest_run(moves < 0))
        ),
        "lead contour: most repeats of a note": float(longest_run(moves == 0)),
        "lead contour: leap after a short note": mean((size >= LEAP) & (gaps <= 2)),
        "lead polyphony: onsets of several notes": share(
            len(lead.step) - len(lead.steps), len(lead.steps)
        ),
        "lead rhythm: same gap as before": mean(gaps[1:] == gaps[:-1]),
    }


def phrases(lead: Voice, score: Score) -> Named:
    """Return how the lead closes its phrases of four bars: long notes, rests, upbeats."""
    bar = steps_per_bar(score)
    sounds = np.zeros(score.n_steps, np.bool_)
    for step, end in zip(lead.step.tolist(), lead.end.tolist(), strict=True):
        sounds[step:end] = True
    quiet = ~sounds.reshape(score.n_bars, bar)
    by_bar = np.bincount(lead.step // bar, minlength=score.n_bars)
    closing = np.arange(3, score.n_bars, 4)
    others = np.setdiff1d(np.arange(score.n_bars), closing)
    length = lead.end - lead.step
    last = [length[lead.step // bar == b][-1] for b in closing if (lead.step // bar == b).any()]
    return {
        "lead phrase: notes in closing bars less others": mean(by_bar[closing])
        - mean(by_bar[others]),
        "lead phrase: silence in closing bars less others": mean(quiet[closing].ravel())
        - mean(quiet[others].ravel()),
        "lead phrase: duration of the last note": mean(last),
        "lead phrase: silence at the start of bars": mean(quiet[:, : bar // 2].ravel()),
        "lead phrase: silence at the end of bars": mean(quiet[:, bar // 2 :].ravel()),
    }


def restrikes(voice: Voice) -> Named:
    """Return how soon the accompaniment strikes a pitch again, and whether it lets go first."""
    order = np.lexsort((voice.step, voice.pitch))
    step, pitch, end = voice.step[order], voice.pitch[order], voice.end[order]
    same = pitch[1:] == pitch[:-1]
    wait = (step[1:] - step[:-1])[same]
    cut = (end[:-1] == step[1:])[same]
    total = len(step)
    return {
        "restrike: within a beat": share((wait <= STEPS_PER_BEAT).sum(), total),
        "restrike: at the next step": share((wait == 1).sum(), total),
        "restrike: held until struck again": share(cut.sum(), total),
    }


def coincidence(lead: Voice, accompaniment: Voice) -> Named:
    """Return how often the voices begin together, and on the same pitch."""
    together = np.intersect1d(lead.steps, accompaniment.steps)
    notes = set(zip(accompaniment.step.tolist(), accompaniment.pitch.tolist(), strict=True))
    mine = list(zip(lead.step.tolist(), lead.pitch.tolist(), strict=True))
    doubled = [any((s, p + d) in notes for d in (-12, 12, -24)) for s, p in mine]
    return {
        "together: lead onsets with accompaniment": share(len(together), len(lead.steps)),
        "together: accompaniment onsets with lead": share(len(together), len(accompaniment.steps)),
        "together: lead doubled in unison": mean(note in notes for note in mine),
        "together: lead doubled in octaves": mean(doubled),
    }


def as_matrix(rows: Iterable[Mapping[str, float]]) -> tuple[list[str], Vector]:
    """Return the names, and a row for each excerpt, shape=(n, n_features)."""
    listed = list(rows)
    names = list(listed[0])
    return names, np.array([[row[name] for name in names] for row in listed])
