"""What a judge may look at in an excerpt, up and down: chords, bass, key, voices against another.

Conventions as in `_judge_features`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from _judge_voice import Ints, Named, mean

from singcli.music.key import TONIC_NAMES
from singcli.music.roll import sounding_roll
from singcli.music.score import (
    ACCOMPANIMENT,
    LEAD,
    MIN_PITCH,
    STEPS_PER_BEAT,
    VOICE_NAMES,
    Score,
)

Flags = npt.NDArray[np.bool_]

SIZES = (1, 2, 3, 4)  # notes struck together, the last "or more"
CHORD_INTERVALS = {
    "1-2": (1, 2),
    "3-4": (3, 4),
    "5": (5,),
    "6": (6,),
    "7": (7,),
    "8-9": (8, 9),
    "10-11": (10, 11),
    "12": (12,),
}
BASS_INTERVALS = {"0": (0,), "1-2": (1, 2), "3-4": (3, 4), "5 or 7": (5, 7), "6": (6,)}


class Chord(NamedTuple):
    """Notes of the accompaniment that are struck together, from low to high."""

    step: int
    pitches: Ints
    lengths: Ints


def harmony_features(score: Score) -> Named:
    """Return chords, bass, harmonic rhythm, pitch classes and clashes of an excerpt."""
    sounding = sounding_roll(score)
    chords = struck_chords(score)
    return (
        chord_shapes(chords)
        | pattern(chords)
        | bass_line(sounding[:, ACCOMPANIMENT], score)
        | harmonic_rhythm(sounding[:, ACCOMPANIMENT], score)
        | against(score, sounding)
        | pitch_classes(score)
    )


def struck_chords(score: Score) -> list[Chord]:
    """Return what the accompaniment strikes, step by step."""
    mine = score.voice == ACCOMPANIMENT
    step = score.step[mine].astype(np.int64)
    onsets, first = np.unique(step, return_index=True)
    pitches = np.split(score.pitch[mine].astype(np.int64), first[1:])
    lengths = np.split(score.duration[mine].astype(np.int64), first[1:])
    # without notes `split` leaves one empty part, for which there is no onset
    return [Chord(*parts) for parts in zip(onsets.tolist(), pitches, lengths, strict=False)]


def chord_shapes(chords: list[Chord]) -> Named:
    """Return sizes, intervals between neighbours, width, and how alike the durations are."""
    sizes = np.array([len(c.pitches) for c in chords], np.int64)
    several = [c for c in chords if len(c.pitches) > 1]
    steps = np.concatenate([np.diff(c.pitches) for c in several] or [np.zeros(0, np.int64)])
    equal = [bool((c.lengths == c.lengths[0]).all()) for c in several]
    ragged = [1 - c.lengths.min() / c.lengths.max() for c in several]
    figures = {
        f"chord size: {size}{'+' if size == SIZES[-1] else ''}": mean(
            sizes >= size if size == SIZES[-1] else sizes == size
        )
        for size in SIZES
    }
    figures |= {
        f"chord interval: {name}": mean(np.isin(steps, which))
        for name, which in CHORD_INTERVALS.items()
    }
    return figures | {
        "chord interval: over 12": mean(steps > 12),
        "chord size: mean": mean(sizes),
        "chord width: mean": mean(np.array([np.ptp(c.pitches) for c in several])),
        "chord durations: all equal": mean(np.array(equal)),
        "chord durations: shortest below longest": mean(np.array(ragged)),
        "chord durations: lowest longest": mean(
            np.array([c.lengths[0] == c.lengths.max() for c in several])
        ),
        "chord durations: distinct": mean(np.array([len(np.unique(c.lengths)) for c in several])),
    }


def pattern(chords: list[Chord]) -> Named:
    """Return how regular the figure of the accompaniment is."""
    steps = np.array([c.step for c in chords], np.int64)
    gaps = np.diff(steps)
    low = np.array([c.pitches[0] for c in chords], np.int64)
    top = np.array([c.pitches[-1] for c in chords], np.int64)
    moves = np.diff(top)
    struck = np.zeros(int(steps.max(initial=0)) + 1, np.bool_)
    struck[steps] = True
    sizes = np.array([len(c.pitches) for c in chords], np.int64)
    return {
        "pattern: same gap as before": mean(gaps[1:] == gaps[:-1]),
        "pattern: distinct gaps": float(len(np.unique(gaps))),
        "pattern: gap of 1": mean(gaps == 1),
        "pattern: gap of 2": mean(gaps == 2),
        "pattern: gap of 4": mean(gaps == 4),
        "pattern: rhythm as a beat ago": _agreement(struck, STEPS_PER_BEAT),
        "pattern: rhythm as two beats ago": _agreement(struck, 2 * STEPS_PER_BEAT),
        "pattern: same size as before": mean(sizes[1:] == sizes[:-1]),
        "pattern: top note moves": mean(moves != 0),
        "pattern: top note moves by an octave or more": mean(abs(moves) >= 12),
        "pattern: top note turns": mean(np.sign(moves[1:]) * np.sign(moves[:-1]) < 0),
        "pattern: bottom note moves by an octave or more": mean(abs(np.diff(low)) >= 12),
    }


def _agreement(struck: Flags, lag: int) -> float:
    """Return the share of steps struck now or a lag ago that are struck in both."""
    now, before = struck[lag:], struck[:-lag]
    either = (now | before).sum()
    return float((now & before).sum() / either) if either else 0.0


def bass_line(sounding: Flags, score: Score) -> Named:
    """Return the lowest notes of the beats: how they move, where they are struck and in what key.

    Parameters
    ----------
    sounding : np.ndarray, shape=(n_steps, n_pitches), bool
        Of the accompaniment.
    """
    by_beat = any_in_beat(sounding)
    heard = np.asarray(by_beat.any(axis=1))
    lowest = by_beat.argmax(axis=1)
    bar_starts = score.bar_beats[:-1]
    at_bars = lowest[bar_starts][heard[bar_starts]]
    between = abs(np.diff(at_bars)) % 12
    pair = heard[1:] & heard[:-1]
    beats = abs(np.diff(lowest))[pair]
    tonic = 0 if score.key is None else score.key.tonic
    degree = (at_bars + MIN_PITCH - tonic) % 12
    figures = {
        f"bass: from bar to bar by {name}": mean(np.isin(between, which))
        for name, which in BASS_INTERVALS.items()
    }
    return figures | {
        "bass: moves from beat to beat": mean(beats != 0),
        "bass: moves by an octave or more from beat to beat": mean(beats >= 12),
        "bass: tonic on one": mean(degree == 0),
        "bass: fourth or fifth degree on one": mean(np.isin(degree, (5, 7))),
        "bass: distinct pitches on one": float(len(np.unique(at_bars))),
        "bass: mean pitch": mean(lowest[heard] + MIN_PITCH),
        "bass: spread": float(np.std(lowest[heard])) if heard.any() else 0.0,
    }


def any_in_beat(roll: Flags) -> Flags:
    """Return what is there in any step of a beat, shape=(n_beats, n_pitches)."""
    return np.asarray(roll.reshape(-1, STEPS_PER_BEAT, roll.shape[1]).any(axis=1))


def harmonic_rhythm(sounding: Flags, score: Score) -> Named:
    """Return how alike the pitch classes of neighbouring beats are, inside bars and over bar lines.

    Likeness is the share of the pitch classes of either beat that both have.
    """
    pitch, n_beats = sounding.shape[1], score.n_beats
    by_beat = any_in_beat(sounding)
    classes = np.zeros((n_beats, 12), np.bool_)
    for key in range(pitch):
        classes[:, (key + MIN_PITCH) % 12] |= by_beat[:, key]
    both = (classes[1:] & classes[:-1]).sum(axis=1)
    either = (classes[1:] | classes[:-1]).sum(axis=1)
    alike = both / np.maximum(either, 1)
    place = np.arange(1, n_beats) % int(score.bar_beats[1])
    by_bar = np.logical_or.reduceat(classes, score.bar_beats[:-1])
    bars_both = (by_bar[1:] & by_bar[:-1]).sum(axis=1)
    bars_either = np.maximum((by_bar[1:] | by_bar[:-1]).sum(axis=1), 1)
    middle = int(score.bar_beats[1]) // 2
    semitones = np.asarray((classes & np.roll(classes, 1, axis=1)).any(axis=1))
    return {
        "harmony: beats alike over bar lines": mean(alike[place == 0]),
        "harmony: beats alike in the middle of bars": mean(alike[place == middle]),
        "harmony: beats alike elsewhere": mean(alike[(place != 0) & (place != middle)]),
        "harmony: bars alike": mean(bars_both / bars_either),
        "harmony: pitch classes a beat": mean(classes.sum(axis=1)),
        "harmony: pitch classes a bar": mean(by_bar.sum(axis=1)),
        "harmony: semitones inside a beat": mean(semitones),
        "harmony: distinct sets of a beat": float(len(np.unique(classes, axis=0))),
    }


def against(score: Score, sounding: Flags) -> Named:
    """Return how the lead's notes stand to what sounds under them as they begin."""
    mine = score.voice == LEAD
    step, pitch = score.step[mine].astype(np.int64), score.pitch[mine].astype(np.int64)
    under = sounding[step, ACCOMPANIMENT]  # (n_lead, n_pitches)
    classes = np.zeros((len(step), 12), np.bool_)
    for key in range(under.shape[1]):
        classes[:, (key + MIN_PITCH) % 12] |= under[:, key]
    rows = np.arange(len(step))
    accompanied = under.any(axis=1)

    def has(interval: int) -> Flags:
        found: Flags = classes[rows, (pitch + interval) % 12]
        return found

    highest = under.shape[1] - 1 - under[:, ::-1].argmax(axis=1) + MIN_PITCH
    strong = step % (2 * STEPS_PER_BEAT) == 0
    gap = (pitch - highest)[accompanied]
    return {
        "against: lead in the chord": mean(has(0)),
        "against: lead in the chord, strong beats": mean(has(0)[strong]),
        "against: semitone": mean(has(1) | has(-1)),
        "against: semitone, strong beats": mean((has(1) | has(-1))[strong]),
        "against: semitone without the lead's own pitch class": mean((has(1) | has(-1)) & ~has(0)),
        "against: third or sixth": mean(has(3) | has(4) | has(-3) | has(-4)),
        "against: tritone": mean(has(6)),
        "against: lead alone": mean(~accompanied),
        "against: lead below the accompaniment": mean(gap < 0),
        "against: lead on the accompaniment's pitch": mean(
            under[rows, np.minimum(pitch - MIN_PITCH, under.shape[1] - 1)]
        ),
        "against: distance to the top of the accompaniment": mean(gap),
    }


def pitch_classes(score: Score) -> Named:
    """Return the pitch classes of each voice by duration, their entropy, and what is out of key."""
    figures: Named = {}
    for voice, name in enumerate(VOICE_NAMES):
        mine = score.voice == voice
        weight = np.bincount(
            score.pitch[mine] % 12, weights=score.duration[mine].astype(float), minlength=12
        )
        part = weight / max(weight.sum(), 1.0)
        for tone in range(12):
            figures[f"{name} pitch class: {TONIC_NAMES[tone]}"] = float(part[tone])
        used = part[part > 0]
        figures[f"{name} pitch class: entropy"] = float(-(used * np.log2(used)).sum())
        if score.key is not None:
            outside = ~score.key.scale[score.pitch[mine] % 12]
            figures[f"{name} key: notes outside"] = mean(outside)
    return figures
