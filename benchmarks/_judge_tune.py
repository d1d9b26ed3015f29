"""What a judge may look at in the tune, and in how the two voices meet.

Conventions as in `_judge_features`.
"""

from __future__ import annotations

import numpy as np
from _judge_voice import Ints, Named, Voice, classes, longest_run, mean, share, steps_per_bar

from singcli.music.score import STEPS_PER_BEAT, Score

INTERVAL_EDGES = (0, 1, 2, 3, 5, 8, 13)
LEAP = 5  # a fourth or more


def tune(lead: Voice) -> Named:
    """Return the intervals of the lead (its highest notes) and how it turns."""
    moves = np.diff(lead.tops)
    size: Ints = np.abs(moves)
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
