"""What the sampler follows: a plan for each song, and how to draw."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from singcli.errors import InputError
from singcli.model.contract import SsmKind
from singcli.model.decisions import PerDecision
from singcli.model.features import SectionPlace
from singcli.model.limits import Limits
from singcli.music.key import Mode
from singcli.music.score import Score
from singcli.structure.alignment import RepeatMap, all_new, repeat_map_from_ssm
from singcli.structure.known_repeats import KnownRepeats
from singcli.structure.ssm import Matrix

ScaleLock = Literal["off", "soft", "hard"]
SCALE_LOCKS: tuple[ScaleLock, ...] = ("off", "soft", "hard")
MAX_CANDIDATES = 256
DEFAULT_STEERING = 0.5


@dataclass(frozen=True, slots=True)
class SamplingOptions:
    """How to draw.

    Parameters
    ----------
    temperature : float or PerDecision, 0.05 to 5
        Of notes and durations that are not copied.
    top_p : float or PerDecision in (0, 1]
        Share of the probability that is kept; 1 keeps all.
    strictness : float in [0, 1]
        From free to note-identical repeats: share of their notes that full repeats are to have in
        common. A plan that knows its repeats brings its own.
    candidates : int, 1 to `MAX_CANDIDATES`
        Drafts of every beat; with 1 there is no steering.
    steering : float in [0, 1]
        Strength with which a candidate near the wanted SSM is preferred: 0 not at all, 1 always.
    scale_lock : {"off", "soft", "hard"}
        What becomes of notes outside the scale (`Key.scale`): they are as likely as the network
        has them, less likely the more there are, or never sampled.

    Raises
    ------
    InputError
        If a value is outside its range.
    """

    temperature: float | PerDecision = 1.0
    top_p: float | PerDecision = 1.0
    strictness: float = 0.5
    candidates: int = 1
    steering: float = DEFAULT_STEERING
    scale_lock: ScaleLock = "off"

    def __post_init__(self) -> None:
        """Check the ranges."""
        temperatures, top_ps = self.temperatures.values, self.top_ps.values
        for name, value, allowed, fits in (
            (
                "temperature",
                self.temperature,
                "0.05 to 5",
                all(0.05 <= number <= 5 for number in temperatures),
            ),
            ("top_p", self.top_p, "above 0 to 1", all(0 < number <= 1 for number in top_ps)),
            ("strictness", self.strictness, "0 to 1", 0 <= self.strictness <= 1),
            (
                "candidates",
                self.candidates,
                f"1 to {MAX_CANDIDATES}",
                1 <= self.candidates <= MAX_CANDIDATES,
            ),
            ("steering", self.steering, "0 to 1", 0 <= self.steering <= 1),
            ("scale_lock", self.scale_lock, ", ".join(SCALE_LOCKS), self.scale_lock in SCALE_LOCKS),
        ):
            if not fits:
                raise InputError(f"{name} = {value}, allowed: {allowed}")

    @property
    def temperatures(self) -> PerDecision:
        """The temperature of every kind of decision."""
        return PerDecision.of(self.temperature)

    @property
    def top_ps(self) -> PerDecision:
        """The share that is kept of every kind of decision."""
        return PerDecision.of(self.top_p)


@dataclass(frozen=True, slots=True)
class Given:
    """Notes that are not sampled but forced, while the state runs on.

    Parameters
    ----------
    score : Score
        In the reference key, on the plan's bars.
    mask : np.ndarray, shape=(n_steps, N_VOICES), bool
        True where a voice's onsets are given, its silence included.
    """

    score: Score
    mask: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """One song to be sampled, or several: a plan is the same as itself alone.

    Parameters
    ----------
    ssm : np.ndarray, shape=(n_beats, n_beats)
        The wanted self-similarity.
    bar_beats : np.ndarray, shape=(n_bars + 1,)
        As in `Score`.
    kind : {"music", "form", "none"}
        Where the SSM comes from; with "none" it is not read.
    mode : {"major", "minor"}
    tempo_bpm : float
    given : Given, optional
    sections : tuple of SectionPlace
        Known with an SSM of kind "form"; bars as in `bar_beats`.
    lead_in_bars : int >= 0
        Bars at the beginning of the plan that are sampled and then left out of the song: a song
        that begins in the middle of things is unlike what the network was trained on.
    known : KnownRepeats, optional
        Sources in place of those found in the SSM, with the overlap that each is to have.
    style : int, optional
        Place of the style among those of the model.
    compound : np.ndarray, shape=(n_bars,), bool, optional
        Bars such as those of 6/8; none of them unless given.
    limits : Limits
        In the reference key.
    ending : bool
        Whether the last bar is a final chord on the tonic, unless it is to be another bar note for
        note.
    """

    ssm: Matrix
    bar_beats: npt.NDArray[np.int32]
    kind: SsmKind
    mode: Mode = "major"
    tempo_bpm: float = 100.0
    given: Given | None = None
    sections: tuple[SectionPlace, ...] = ()
    lead_in_bars: int = 0
    known: KnownRepeats | None = None
    style: int | None = None
    compound: npt.NDArray[np.bool_] | None = None
    limits: Limits = Limits()  # noqa: RUF009 - frozen
    ending: bool = False

    @property
    def song_bar_beats(self) -> npt.NDArray[np.int32]:
        """Bar lines of the song itself, shape=(n_bars + 1,)."""
        bars: npt.NDArray[np.int32] = self.bar_beats[self.lead_in_bars :]
        from_zero: npt.NDArray[np.int32] = bars - bars[0]
        return from_zero

    @property
    def song_ssm(self) -> Matrix:
        """Wanted self-similarity of the song itself."""
        first = int(self.bar_beats[self.lead_in_bars])
        return self.ssm[first:, first:]

    def repeat_map(self, continuation_bonus: float) -> RepeatMap:
        """Return the plan's sources; nothing but new beats without an SSM."""
        return _repeat_map(self, continuation_bonus)


@functools.lru_cache(maxsize=4)  # the songs of a plan follow one another
def _repeat_map(plan: Plan, continuation_bonus: float) -> RepeatMap:
    if plan.kind == "none":
        return all_new(len(plan.ssm))
    found = repeat_map_from_ssm(plan.ssm, continuation_bonus=continuation_bonus)
    return found if plan.known is None else plan.known.over(found)
