"""Songs of a dataset -> examples -> padded batches, with everything random drawn beforehand.

An epoch's draws (which songs together, from which bar on, with which kind of SSM) depend on the
seed and the number of the epoch alone, so that a resumed run sees the same batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

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
    NO_VELOCITY,
    START,
    STOP,
    SsmKind,
)
from singcli.model.features import (
    SectionPlace,
    TokenScore,
    articulation,
    last_bass,
    last_lead,
    last_loudness,
    place_features,
    soft_context,
    source_steps,
    steps_bars_ago,
    take_steps,
)
from singcli.music.meter import is_compound
from singcli.music.modulation import in_reference_key
from singcli.music.score import N_PITCHES, N_VOICES, STEPS_PER_BEAT, Score
from singcli.structure.alignment import all_new, context_weights, repeat_map_from_ssm
from singcli.structure.ssm import Matrix, Repeat, ssm_from_repeats, ssm_from_score
from singcli.structure.texture import Texture
from singcli.training.config import DataConfig

EXACT = 1.0  # similarity of an exact repeat, and what one without a common note is worth
FOREIGN = 0.6
GAIN_RANGE = (0.6, 1.4)  # how far the texture of a form is varied between examples
SIMILARITY_NOISE = 0.03
SEMITONES = (-5, 7)  # from, to before: every key is met equally often


class Trainable(Protocol):
    """A piece as the training loop sees it, whatever it is made of."""

    @property
    def id(self) -> str:
        """Unique in its dataset."""

    @property
    def style(self) -> str | None:
        """Kind of music, if it is known."""

    @property
    def sections(self) -> tuple[SectionSpan, ...]:
        """Labelled sections."""

    @property
    def repeats(self) -> tuple[Repeat, ...]:
        """Repeats of labelled sections; a piece has a matrix of kind "form" if it has some."""

    @property
    def n_bars(self) -> int:
        """Length in bars."""

    def n_steps(self, draw: Draw) -> int:
        """Return the length of an example."""

    def example(self, draw: Draw, settings: ExampleSettings) -> Example:
        """Lay out the bars of a draw."""


@dataclass(frozen=True, slots=True)
class TrainingSong:
    """A song in its reference key with all that its examples share."""

    id: str
    score: Score
    tokens: TokenScore
    ssm: Matrix
    repeats: tuple[Repeat, ...]
    sections: tuple[SectionSpan, ...]
    style: str | None = None
    compound: bool = False

    @classmethod
    def from_song(cls, song: Song) -> TrainingSong:
        """Bring all bars into the reference key, measure the repeats of labelled sections."""
        score = in_reference_key(song.score)
        return cls(
            id=song.id,
            score=score,
            tokens=TokenScore.from_score(score),
            ssm=ssm_from_score(score),
            repeats=tuple(_labelled_repeats(song, score)),
            sections=song.sections,
            style=song.style,
            compound=is_compound(song.meter),
        )

    @property
    def n_bars(self) -> int:
        """Length in bars."""
        return self.score.n_bars

    def n_steps(self, draw: Draw) -> int:
        """Return the length of an example."""
        bar_beats = self.score.bar_beats
        end = bar_beats[-1] if draw.end_bar is None else bar_beats[draw.end_bar]
        return int(end - bar_beats[draw.first_bar]) * STEPS_PER_BEAT

    def example(self, draw: Draw, settings: ExampleSettings) -> Example:
        """Lay out the bars of a draw, see `example_from_draw`."""
        return example_from_draw(self, draw, settings)


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
    """What is random about one example: bars from `first_bar` on, to `end_bar` or to the end.

    Songs in the reference key stay in it; `semitones` is for those of which no key is known.
    """

    song: int
    kind: SsmKind
    first_bar: int = 0
    end_bar: int | None = None
    gain: float = 1.0
    noise: float = 0.0
    semitones: int = 0


def epoch_draws(
    songs: Sequence[Trainable], config: DataConfig, *, batch_songs: int, seed: int, epoch: int
) -> list[list[Draw]]:
    """Draw the batches of an epoch: pieces of near-equal length together, in random order."""
    rng = np.random.default_rng([seed, epoch])
    chance = rng.random(len(songs))
    draws = [
        _draw(index, song, config, rng)
        for index, song in enumerate(songs)
        if chance[index] < config.share_of_style.get(song.style or "", 1.0)
    ]
    lengths = np.array([(d.end_bar or songs[d.song].n_bars) - d.first_bar for d in draws])
    order = np.argsort(lengths + rng.normal(0, config.length_jitter_bars, len(draws)))
    pieces = np.array_split(order, max(1, round(len(order) / batch_songs)))
    return [[draws[i] for i in pieces[k]] for k in rng.permutation(len(pieces))]


def _draw(index: int, song: Trainable, config: DataConfig, rng: np.random.Generator) -> Draw:
    kind: SsmKind = "music"
    chance = rng.random()
    if chance < config.share_none:
        kind = "none"
    elif chance < config.share_none + config.share_form and song.repeats:
        kind = "form"
    first_bar, n_bars = 0, song.n_bars
    latest = max(n_bars // 2, n_bars - config.longest_bars)
    starts = [s.start_bar for s in song.sections if 0 < s.start_bar <= latest]
    starts = starts or list(range(0, latest, 4))
    if rng.random() < config.share_cropped and starts:
        first_bar = int(rng.choice(starts))
    return Draw(
        song=index,
        kind=kind,
        first_bar=first_bar,
        end_bar=min(first_bar + config.longest_bars, n_bars),
        gain=float(rng.uniform(*GAIN_RANGE)),
        noise=float(rng.normal(0, SIMILARITY_NOISE)),
        semitones=int(rng.integers(*SEMITONES)),
    )


@dataclass(frozen=True, slots=True)
class Example:
    """A piece of T steps as the network sees it, and its decisions."""

    previous: npt.NDArray[np.bool_]
    carried: npt.NDArray[np.bool_]
    draft: npt.NDArray[np.bool_]
    bars_ago: npt.NDArray[np.bool_]
    context: npt.NDArray[np.float32]
    place: npt.NDArray[np.float32]
    grade: npt.NDArray[np.float32]
    loudness: npt.NDArray[np.float32]
    articulation: npt.NDArray[np.float32]
    lead: npt.NDArray[np.int64]
    lead_age: npt.NDArray[np.float32]
    bass: npt.NDArray[np.int64]
    decisions: Decisions

    @property
    def n_steps(self) -> int:
        """Length in steps."""
        return len(self.lead)


@dataclass(frozen=True, slots=True)
class Decisions:
    """Notes and STOPs in the order in which they are taken, all shape=(n_decisions,), int64.

    `position` counts inside the step; `last` is the token before (`START` at first); `copied` what
    the draft says comes next. Classes, that of nothing for STOP: `duration` and `velocity` of the
    note; `draft_duration`, `draft_velocity` in the draft; `chord_duration` of the note before it in
    the step; `voice_velocity` of the latest note of its voice.
    """

    step: npt.NDArray[np.int64]
    position: npt.NDArray[np.int64]
    token: npt.NDArray[np.int64]
    last: npt.NDArray[np.int64]
    copied: npt.NDArray[np.int64]
    duration: npt.NDArray[np.int64]
    draft_duration: npt.NDArray[np.int64]
    chord_duration: npt.NDArray[np.int64]
    velocity: npt.NDArray[np.int64]
    draft_velocity: npt.NDArray[np.int64]
    voice_velocity: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ExampleSettings:
    """What all examples of a run share.

    Parameters
    ----------
    styles : tuple of str
        In the order in which the network knows them.
    textures : tuple of Texture
        Laid under the SSMs of kind "form", one for each style or one in all.
    context_temperature : float > 0
    continuation_bonus : float >= 0
        See `singcli.structure.alignment`.
    """

    styles: tuple[str, ...]
    textures: tuple[Texture, ...]
    context_temperature: float
    continuation_bonus: float

    def style_index(self, song: Trainable) -> int | None:
        """Return the place of the song's style."""
        return None if song.style is None else self.styles.index(song.style)


def example_from_draw(song: TrainingSong, draw: Draw, settings: ExampleSettings) -> Example:
    """Lay out the bars of a draw under the kind of SSM that was drawn."""
    end_bar = song.score.n_bars if draw.end_bar is None else draw.end_bar
    bar_beats = song.score.bar_beats[draw.first_bar : end_bar + 1]
    first_beat, end_beat = int(bar_beats[0]), int(bar_beats[-1])
    bar_beats = bar_beats - first_beat
    steps = slice(first_beat * STEPS_PER_BEAT, end_beat * STEPS_PER_BEAT)
    onsets = song.tokens.onsets[steps]
    # What began before the crop is unknown to the sampler, so it is silent here too.
    carried = song.tokens.sounding[steps] & ~onsets
    if first_beat:
        carried &= np.logical_or.accumulate(onsets, axis=0)
    sounding = onsets | carried
    style = settings.style_index(song)
    ssm = _ssm(song, draw, settings.textures[style or 0], first_beat, end_beat)
    if draw.kind == "none":
        repeat_map = all_new(len(ssm))
        context = np.zeros((len(onsets), N_CONTEXT), np.float32)
    else:
        repeat_map = repeat_map_from_ssm(ssm, continuation_bonus=settings.continuation_bonus)
        weights = context_weights(ssm, temperature=settings.context_temperature)
        context = soft_context(weights, onsets, sounding)
    source = source_steps(repeat_map.source)
    draft = take_steps(np.concatenate([onsets, sounding], axis=1), source)
    draft_onsets = draft[:, :N_NOTE_TOKENS]
    grade = np.repeat(repeat_map.grade, STEPS_PER_BEAT)
    lead, age = last_lead(onsets)
    assert song.score.key is not None  # it is in the reference key
    return Example(
        previous=np.concatenate([np.zeros_like(onsets[:1]), onsets[:-1]]),
        carried=carried,
        draft=draft,
        bars_ago=np.concatenate(
            [take_steps(onsets, steps) for steps in steps_bars_ago(bar_beats)], axis=1
        ),
        context=context,
        place=place_features(
            bar_beats,
            kind=draw.kind,
            mode=song.score.key.mode,
            sections=_places(song, draw) if draw.kind == "form" else (),
            compound=np.full(len(bar_beats) - 1, song.compound),
            style=style,
            bars_after=song.score.n_bars - end_bar,
        ),
        grade=np.stack([grade, draft_onsets.any(axis=1)], axis=1).astype(np.float32),
        loudness=last_loudness(onsets, song.tokens.velocity_map[steps]),
        articulation=articulation(onsets, carried),
        lead=lead,
        lead_age=age[:, None],
        bass=last_bass(onsets),
        decisions=decisions_of_steps(song.tokens, steps, draft_onsets, source),
    )


def _places(song: TrainingSong, draw: Draw) -> list[SectionPlace]:
    """Return the labelled sections as seen from the crop."""
    return [
        SectionPlace(section.start_bar - draw.first_bar, section.n_bars, section.melodic)
        for section in song.sections
    ]


def _ssm(
    song: TrainingSong, draw: Draw, texture: Texture, first_beat: int, end_beat: int
) -> Matrix:
    if draw.kind != "form":
        return song.ssm[first_beat:end_beat, first_beat:end_beat]
    repeats = []
    for repeat in song.repeats:
        cut = max(0, first_beat - repeat.source_beat)
        n_beats = min(repeat.n_beats, end_beat - repeat.start_beat)
        if cut < n_beats:
            repeats.append(
                Repeat(
                    repeat.start_beat + cut - first_beat,
                    repeat.source_beat + cut - first_beat,
                    n_beats - cut,
                    float(np.clip(repeat.similarity + draw.noise, 0, 1)),
                )
            )
    return ssm_from_repeats(end_beat - first_beat, repeats, texture=texture.scaled(draw.gain))


def decisions_of_steps(
    tokens: TokenScore,
    steps: slice,
    draft_onsets: npt.NDArray[np.bool_],
    source: npt.NDArray[np.int64],
) -> Decisions:
    """Lay out the decisions of the steps, notes in order and a STOP behind those of each step."""
    inside = (tokens.step >= steps.start) & (tokens.step < steps.stop)
    step = tokens.step[inside] - steps.start
    every = np.arange(len(draft_onsets))
    index = np.arange(len(step)) - np.searchsorted(step, step)
    kept = index < MAX_NOTES_PER_STEP
    step, index = step[kept], index[kept]
    count = np.bincount(step, minlength=len(every))
    order = np.lexsort((np.r_[index, count], np.r_[step, every]))

    def with_stops(column: npt.NDArray[np.int64], stop: int) -> npt.NDArray[np.int64]:
        both: npt.NDArray[np.int64] = np.r_[column[inside][kept], np.full(len(every), stop)]
        return both[order]

    token = with_stops(tokens.token, STOP)
    duration = with_stops(tokens.duration, NO_DURATION)
    velocity = with_stops(tokens.velocity, NO_VELOCITY)
    step = np.r_[step, every][order]
    index = np.r_[index, count][order]
    last = np.where(index == 0, START, np.r_[START, token[:-1]])
    following = next_token_table(draft_onsets)
    draft_duration = np.full(len(step), NO_DURATION, np.int64)
    draft_velocity = np.full(len(step), NO_VELOCITY, np.int64)
    copies = (token != STOP) & (source[step] >= 0)
    at = steps.start + source[step[copies]], token[copies]
    draft_duration[copies] = tokens.duration_map[at]
    draft_velocity[copies] = tokens.velocity_map[at]
    return Decisions(
        step=step,
        position=index,
        token=token,
        last=last,
        copied=following[step, np.where(last == START, 0, last + 1)],
        duration=duration,
        draft_duration=draft_duration,
        chord_duration=np.where(index == 0, NO_DURATION, np.r_[NO_DURATION, duration[:-1]]),
        velocity=velocity,
        draft_velocity=draft_velocity,
        voice_velocity=_voice_velocity(token, velocity),
    )


def _voice_velocity(
    token: npt.NDArray[np.int64], velocity: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Return the velocity of the latest note of each note's voice, shape=(n_decisions,)."""
    latest: npt.NDArray[np.int64] = np.full(len(token), NO_VELOCITY, np.int64)
    voice = np.where(token == STOP, -1, token // N_PITCHES)
    for one in range(N_VOICES):
        notes = velocity[voice == one]
        latest[voice == one] = np.r_[NO_VELOCITY, notes[:-1]][: len(notes)]
    return latest
