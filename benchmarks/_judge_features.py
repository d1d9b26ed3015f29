"""What a judge may look at in an excerpt: named figures of its notes, by family.

Conventions
-----------
- An excerpt is a `Score` of equal bars in the reference key (C major or A minor); durations are in
  steps, pitches in MIDI numbers, intervals in semitones.
- A name is "family: figure"; shares are fractions in [0, 1]; a share of nothing is 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from typing import Any

import numpy as np
import numpy.typing as npt
from _judge_harmony import harmony_features
from _judge_tune import coincidence, phrases, restrikes, tune
from _judge_voice import Named, Voice, classes, longest_run, mean, share, spread, steps_per_bar

from singcli.music.score import ACCOMPANIMENT, LEAD, STEPS_PER_BEAT, VOICE_NAMES, Score

Vector = npt.NDArray[np.float64]

DURATION_EDGES = (1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 17)  # lower ends of the classes, in steps
LAGS = (1, 2, 4)  # bars


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


def as_matrix(rows: Iterable[Mapping[str, float]]) -> tuple[list[str], Vector]:
    """Return the names, and a row for each excerpt, shape=(n, n_features)."""
    listed = list(rows)
    names = list(listed[0])
    return names, np.array([[row[name] for name in names] for row in listed])
