"""What the sampler follows: a plan for each song, and how to draw."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from singcli.errors import InputError
from singcli.model.contract import SsmKind
from singcli.model.features import SectionPlace
from singcli.music.key import Mode
from singcli.music.score import Score
from singcli.structure.alignment import RepeatMap, all_new, repeat_map_from_ssm
from singcli.structure.known_repeats import KnownRepeats
from singcli.structure.ssm import Matrix

MAX_CANDIDATES = 256
DEFAULT_STEERING = 0.5


@dataclass(frozen=True, slots=True)
class SamplingOptions:
    """How to draw.

    Parameters
    ----------
    temperature : float > 0
        Of notes and durations that are not copied.
    top_p : float in (0, 1]
        Share of the probability that is kept; 1 keeps all.
    strictness : float in [0, 1]
        From free to note-identical repeats: share of their notes that full repeats are to have in
        common. A plan that knows its repeats brings its own.
    candidates : int, 1 to `MAX_CANDIDATES`
        Drafts of every beat; with 1 there is no steering.
    steering : float in [0, 1]
        Strength with which a candidate near the wanted SSM is preferred: 0 not at all, 1 always.

    Raises
    ------
    InputError
        If a value is outside its range.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    strictness: float = 0.5
    candidates: int = 1
    steering: float = DEFAULT_STEERING

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name, value, allowed, fits in (
            ("temperature", self.temperature, "0.05 to 5", 0.05 <= self.temperature <= 5),
            ("top_p", self.top_p, "above 0 to 1", 0 < self.top_p <= 1),
            ("strictness", self.strictness, "0 to 1", 0 <= self.strictness <= 1),
            (
                "candidates",
                self.candidates,
                f"1 to {MAX_CANDIDATES}",
                1 <= self.candidates <= MAX_CANDIDATES,
            ),
            ("steering", self.steering, "0 to 1", 0 <= self.steering <= 1),
        ):
            if not fits:
                raise InputError(f"{name} = {value}, allowed: {allowed}")


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


@dataclass(frozen=True, slots=True)
class Plan:
    """One song to be sampled.

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
    ends : bool
        Whether the song comes to its end with the plan.
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
    ends: bool = True

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
        if self.kind == "none":
            return all_new(len(self.ssm))
        found = repeat_map_from_ssm(self.ssm, continuation_bonus=continuation_bonus)
        return found if self.known is None else self.known.over(found)
