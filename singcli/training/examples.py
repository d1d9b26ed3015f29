"""Songs of a dataset -> examples -> padded batches, with everything random drawn beforehand.

An epoch's draws (which songs together, from which bar on, with which kind of SSM) depend on the
seed and the number of the epoch alone, so that a resumed run sees the same batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from singcli.dataset import SectionSpan, Song
from singcli.metrics.structure import bar_overlap_map
from singcli.model.choice import next_token_table
from singcli.model.contract import (
    MAX_NOTES_PER_STEP,
    N_CONTEXT,
    N_NOTE_TOKENS,
    NO_DURATION,
    START,
    STOP,
    SsmKind,
)
from singcli.model.features import (
    SectionPlace,
    TokenScore,
    last_lead,
    place_features,
    reference_shift,
    soft_context,
    source_steps,
    steps_a_bar_ago,
    take_steps,
)
from singcli.music.score import STEPS_PER_BEAT, Score
from singcli.structure.alignment import all_new, context_weights, repeat_map_from_ssm
from singcli.structure.ssm import Matrix, Repeat, ssm_from_repeats, ssm_from_score
from singcli.structure.texture import Texture
from singcli.training.config import DataConfig

EXACT = 1.0  # similarity of an exact repeat, and what one without a common note is worth
FOREIGN = 0.6
GAIN_RANGE = (0.6, 1.4)  # how far the texture of a form is varied between examples
SIMILARITY_NOISE = 0.03


@dataclass(frozen=True, slots=True)
class TrainingSong:
    """A song in its reference key with all that its examples share."""

    id: str
    score: Score
    tokens: TokenScore
    ssm: Matrix
    repeats: tuple[Repeat, ...]
    sections: tuple[SectionSpan, ...]

    @classmethod
    def from_song(cls, song: Song) -> TrainingSong:
        """Transpose to the reference key and measure the repeats between labelled sections."""
        score = song.score.transposed(reference_shift(song.score))
        return cls(
            id=song.id,
            score=score,
            tokens=TokenScore.from_score(score),
            ssm=ssm_from_score(score),
            repeats=tuple(_labelled_repeats(song, score)),
            sections=song.sections,
        )


def _labelled_repeats(song: Song, score: Score) -> list[Repeat]:
    """Return a repeat for each pair of sections with one label, as similar as their bars are.

    Half of the notes in common (human repeats) is worth 0.8, an exact copy 1: the scale on which
    a preset's `1 - variation` stands.
    """
    overlap = bar_overlap_map(score) if song.sections else np.zeros((0, 0), np.float32)
    repeats = []
    for index, later in enumerate(song.sections):
        for earlier in song.sections[:index]:
            if (later.label, later.melodic) != (earlier.label, earlier.melodic):
                continue
            n_bars = min(later.n_bars, earlier.n_bars)
            bars = np.arange(n_bars)
            shared = overlap[later.start_bar + bars, earlier.start_bar + bars].mean()
            start, source = (int(score.bar_beats[s.start_bar]) for s in (later, earlier))
            n_beats = min(
                int(score.bar_beats[s.start_bar + n_bars]) - b
                for s, b in ((later, start), (earlier, source))
            )
            similarity = FOREIGN + (EXACT - FOREIGN) * float(shared)
            repeats.append(Repeat(start, source, n_beats, similarity))
    return repeats


@dataclass(frozen=True, slots=True)
class Draw:
    """What is random about one example."""

    song: int
    kind: SsmKind
    first_bar: int = 0
    gain: float = 1.0
    noise: float = 0.0


def epoch_draws(
    songs: Sequence[TrainingSong], config: DataConfig, *, batch_songs: int, seed: int, epoch: int
) -> list[list[Draw]]:
    """Draw the batches of an epoch: pieces of near-equal length together, in random order."""
    rng = np.random.default_rng([seed, epoch])
    draws = [_draw(index, song, config, rng) for index, song in enumerate(songs)]
    lengths = np.array([songs[d.song].score.n_bars - d.first_bar for d in draws])
    order = np.argsort(lengths + rng.normal(0, config.length_jitter_bars, len(draws)))
    pieces = np.array_split(order, max(1, round(len(order) / batch_songs)))
    return [[draws[i] for i in pieces[k]] for k in rng.permutation(len(pieces))]


def _draw(index: int, song: TrainingSong, config: DataConfig, rng: np.random.Generator) -> Draw:
    kind: SsmKind = "music"
    chance = rng.random()
    if chance < config.share_none:
        kind = "none"
    elif chance < config.share_none + config.share_form and song.repeats:
        kind = "form"
    first_bar = 0
    latest = song.score.n_bars // 2
    starts = [s.start_bar for s in song.sections if 0 < s.start_bar <= latest]
    starts = starts or list(range(0, latest, 4))
    if rng.random() < config.share_cropped and starts:
        first_bar = int(rng.choice(starts))
    return Draw(
        song=index,
        kind=kind,
        first_bar=first_bar,
        gain=float(rng.uniform(*GAIN_RANGE)),
        noise=float(rng.normal(0, SIMILARITY_NOISE)),
    )


@dataclass(frozen=True, slots=True)
class Example:
    """A piece of T steps as the network sees it, and its decisions."""

    previous: npt.NDArray[np.bool_]
    carried: npt.NDArray[np.bool_]
    draft: npt.NDArray[np.bool_]
    bar_ago: npt.NDArray[np.bool_]
    context: npt.NDArray[np.float32]
    place: npt.NDArray[np.float32]
    grade: npt.NDArray[np.float32]
    lead: npt.NDArray[np.int64]
    lead_age: npt.NDArray[np.float32]
    decisions: Decisions

    @property
    def n_steps(self) -> int:
        """Length in steps."""
        return len(self.lead)


@dataclass(frozen=True, slots=True)
class Decisions:
    """Notes and STOPs in the order in which they are taken, all shape=(n_decisions,), int64.

    `position` counts inside the step; `last` is the token before (`START` at first); `copied` what
    the draft says comes next; `duration` and `draft_duration` are classes (`NO_DURATION` for STOP).
    """

    step: npt.NDArray[np.int64]
    position: npt.NDArray[np.int64]
    token: npt.NDArray[np.int64]
    last: npt.NDArray[np.int64]
    copied: npt.NDArray[np.int64]
    duration: npt.NDArray[np.int64]
    draft_duration: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ExampleSettings:
    """What all examples of a run share.

    Parameters
    ----------
    texture : Texture
        Laid under the SSMs of kind "form".
    context_temperature : float > 0
    continuation_bonus : float >= 0
        See `singcli.structure.alignment`.
    """

    texture: Texture
    context_temperature: float
    continuation_bonus: float


def example_from_draw(song: TrainingSong, draw: Draw, settings: ExampleSettings) -> Example:
    """Lay out a song from `draw.first_bar` on under the kind of SSM that was drawn."""
    bar_beats = song.score.bar_beats[draw.first_bar :]
    first_beat = int(bar_beats[0])
    bar_beats = bar_beats - first_beat
    first_step = first_beat * STEPS_PER_BEAT
    onsets = song.tokens.onsets[first_step:]
    # What began before the crop is unknown to the sampler, so it is silent here too.
    carried = song.tokens.sounding[first_step:] & ~onsets
    if first_step:
        carried &= _begun_inside(song.tokens, first_step)
    sounding = onsets | carried
    duration_map = song.tokens.duration_map[first_step:]
    ssm = _ssm(song, draw, settings.texture, first_beat)
    if draw.kind == "none":
        repeat_map = all_new(len(ssm))
        context = np.zeros((len(onsets), N_CONTEXT), np.float32)
    else:
        repeat_map = repeat_map_from_ssm(ssm, continuation_bonus=settings.continuation_bonus)
        context = soft_context(
            context_weights(ssm, temperature=settings.context_temperature), sounding
        )
    source = source_steps(repeat_map.source)
    draft = take_steps(np.concatenate([onsets, sounding], axis=1), source)
    draft_onsets = draft[:, :N_NOTE_TOKENS]
    grade = np.repeat(repeat_map.grade, STEPS_PER_BEAT)
    lead, age = last_lead(onsets)
    mode = "major" if song.score.key is None else song.score.key.mode
    return Example(
        previous=np.concatenate([np.zeros_like(onsets[:1]), onsets[:-1]]),
        carried=carried,
        draft=draft,
        bar_ago=take_steps(onsets, steps_a_bar_ago(bar_beats)),
        context=context,
        place=place_features(
            bar_beats,
            kind=draw.kind,
            mode=mode,
            sections=_places(song, draw) if draw.kind == "form" else (),
        ),
        grade=np.stack([grade, draft_onsets.any(axis=1)], axis=1).astype(np.float32),
        lead=lead,
        lead_age=age[:, None],
        decisions=_decisions(song.tokens, first_step, draft_onsets, duration_map, source),
    )


def _places(song: TrainingSong, draw: Draw) -> list[SectionPlace]:
    """Return the labelled sections as seen from the crop."""
    return [
        SectionPlace(section.start_bar - draw.first_bar, section.n_bars, section.melodic)
        for section in song.sections
    ]


def _begun_inside(tokens: TokenScore, first_step: int) -> npt.NDArray[np.bool_]:
    """Return where a token's latest onset is not before `first_step`, shape=(T, 176)."""
    return np.logical_or.accumulate(tokens.onsets[first_step:], axis=0)


def _ssm(song: TrainingSong, draw: Draw, texture: Texture, first_beat: int) -> Matrix:
    if draw.kind != "form":
        return song.ssm[first_beat:, first_beat:]
    repeats = []
    for repeat in song.repeats:
        cut = max(0, first_beat - repeat.source_beat)
        if cut < repeat.n_beats:
            repeats.append(
                Repeat(
                    repeat.start_beat + cut - first_beat,
                    repeat.source_beat + cut - first_beat,
                    repeat.n_beats - cut,
                    float(np.clip(repeat.similarity + draw.noise, 0, 1)),
                )
            )
    return ssm_from_repeats(
        song.score.n_beats - first_beat, repeats, texture=texture.scaled(draw.gain)
    )


def _decisions(
    tokens: TokenScore,
    first_step: int,
    draft_onsets: npt.NDArray[np.bool_],
    duration_map: npt.NDArray[np.int8],
    source: npt.NDArray[np.int64],
) -> Decisions:
    inside = tokens.step >= first_step
    step = tokens.step[inside] - first_step
    n_steps = len(draft_onsets)
    position = np.arange(len(step))
    first_of_step = np.searchsorted(step, step)
    index = position - first_of_step
    kept = index < MAX_NOTES_PER_STEP
    step, index = step[kept], index[kept]
    token, duration = tokens.token[inside][kept], tokens.duration[inside][kept]

    every = np.arange(n_steps)
    count = np.bincount(step, minlength=n_steps)
    order = np.lexsort((np.r_[index, count], np.r_[step, every]))
    step = np.r_[step, every][order]
    index = np.r_[index, count][order]
    token = np.r_[token, np.full(n_steps, STOP)][order]
    duration = np.r_[duration, np.full(n_steps, NO_DURATION)][order]
    last = np.where(index == 0, START, np.r_[START, token[:-1]])

    following = next_token_table(draft_onsets)
    copied = following[step, np.where(last == START, 0, last + 1)]
    draft_duration = np.full(len(step), NO_DURATION, np.int64)
    from_draft = (token != STOP) & (source[step] >= 0)
    draft_duration[from_draft] = duration_map[source[step[from_draft]], token[from_draft]]
    return Decisions(step, index, token, last, copied, duration, draft_duration)
