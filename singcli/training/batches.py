"""Examples of near-equal length -> padded tensors, cut into chunks of steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from singcli.model.contract import N_NOTE_TOKENS, NO_BASS, NO_LEAD
from singcli.training.examples import (
    Decisions,
    Draw,
    Example,
    ExampleSettings,
    Trainable,
)
from singcli.training.networks import StepInputs


class DecisionTensors(NamedTuple):
    """The decisions of a chunk, each shape = (M,), int64; `row` and `step` address its steps."""

    row: Tensor
    step: Tensor
    position: Tensor
    token: Tensor
    last: Tensor
    copied: Tensor
    duration: Tensor
    draft_duration: Tensor
    chord_duration: Tensor
    velocity: Tensor
    draft_velocity: Tensor
    voice_velocity: Tensor


class Chunk(NamedTuple):
    """T successive steps of N songs, a share of a batch.

    `n_steps` counts the real ones (songs end within padding), `n_steps_of_all` those of the whole
    batch.
    """

    inputs: StepInputs
    decisions: DecisionTensors
    n_steps: int
    n_steps_of_all: int
    n_notes: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Padded arrays of N examples, (N, T, ...), and their decisions side by side.

    `lengths_of_all` are those of the whole batch, of which this may be a share.
    """

    arrays: dict[str, npt.NDArray[np.generic]]
    decisions: dict[str, npt.NDArray[np.int64]]
    lengths: npt.NDArray[np.int64]
    lengths_of_all: npt.NDArray[np.int64]

    @classmethod
    def from_examples(
        cls, examples: Sequence[Example], lengths_of_all: Sequence[int] | None = None
    ) -> Batch:
        """Pad the examples to the longest of the batch, by default of themselves."""
        lengths = np.array([e.n_steps for e in examples])
        of_all = lengths if lengths_of_all is None else np.array(lengths_of_all)
        n_steps = int(of_all.max())
        arrays = {
            name: _padded([getattr(e, name) for e in examples], n_steps)
            for name in (*_ROLLS, *_FLOATS, *_LAST_PITCHES)
        }
        for name, none in _LAST_PITCHES.items():
            arrays[name][np.arange(n_steps) >= lengths[:, None]] = none
        fields = Decisions.__dataclass_fields__
        decisions = {
            name: np.concatenate([getattr(e.decisions, name) for e in examples]) for name in fields
        }
        decisions["row"] = np.repeat(
            np.arange(len(examples)), [len(e.decisions.step) for e in examples]
        )
        return cls(arrays, decisions, lengths, of_all)

    @property
    def n_steps(self) -> int:
        """Length with the padding."""
        return int(self.lengths_of_all.max())

    def chunks(self, n_steps: int, device: torch.device) -> Iterator[Chunk]:
        """Cut into pieces of `n_steps` steps, in order."""
        for start in range(0, self.n_steps, n_steps):
            stop = min(start + n_steps, self.n_steps)
            inside = (self.decisions["step"] >= start) & (self.decisions["step"] < stop)
            chosen = {name: column[inside] for name, column in self.decisions.items()}
            chosen["step"] = chosen["step"] - start
            n_notes = int(np.count_nonzero(chosen["token"] < N_NOTE_TOKENS))
            yield Chunk(
                inputs=self._inputs(start, stop, device),
                decisions=DecisionTensors(
                    **{name: torch.from_numpy(c).to(device) for name, c in chosen.items()}
                ),
                n_steps=_steps_within(self.lengths, start, stop),
                n_steps_of_all=_steps_within(self.lengths_of_all, start, stop),
                n_notes=n_notes,
            )

    def _inputs(self, start: int, stop: int, device: torch.device) -> StepInputs:
        def piece(name: str, following: int = 0) -> Tensor:
            tensor = torch.from_numpy(self.arrays[name][:, start : stop + following]).to(device)
            if name in _LAST_PITCHES:
                return tensor
            missing = stop + following - start - tensor.shape[1]
            padded = torch.nn.functional.pad(tensor, (0, 0, 0, missing)) if missing else tensor
            return padded.to(torch.float32)

        draft, bars_ago = piece("draft", 1), piece("bars_ago", 1)
        return StepInputs(
            previous=piece("previous"),
            carried=piece("carried"),
            draft=draft[:, :-1],
            next_draft=draft[:, 1:],
            bars_ago=torch.cat([bars_ago[:, :-1], bars_ago[:, 1:]], -1),
            context=piece("context"),
            place=piece("place"),
            grade=piece("grade"),
            loudness=piece("loudness"),
            articulation=piece("articulation"),
            lead=piece("lead"),
            lead_age=piece("lead_age"),
            bass=piece("bass"),
        )


def batch_from_draws(
    songs: Sequence[Trainable],
    draws: Sequence[Draw],
    settings: ExampleSettings,
    *,
    share: slice = slice(None),
) -> Batch:
    """Build a share of a batch, as long as the whole batch.

    Parameters
    ----------
    songs : sequence of Trainable
    draws : sequence of Draw
        Of the whole batch.
    share : slice
        Which of the draws to lay out.
    """
    examples = [songs[draw.song].example(draw, settings) for draw in draws[share]]
    return Batch.from_examples(examples, [songs[draw.song].n_steps(draw) for draw in draws])


_ROLLS = ("previous", "carried", "draft", "bars_ago")
_LAST_PITCHES = {"lead": NO_LEAD, "bass": NO_BASS}
_FLOATS = ("context", "place", "grade", "loudness", "articulation", "lead_age")


def _steps_within(lengths: npt.NDArray[np.int64], start: int, stop: int) -> int:
    """Count the steps from `start` to before `stop`."""
    return int(np.clip(lengths - start, 0, stop - start).sum())


def _padded(arrays: list[npt.NDArray[np.generic]], n_steps: int) -> npt.NDArray[np.generic]:
    """Stack arrays of (T_i, ...) into (N, n_steps, ...) with zeros behind."""
    padded = np.zeros((len(arrays), n_steps, *arrays[0].shape[1:]), arrays[0].dtype)
    for row, array in enumerate(arrays):
        padded[row, : len(array)] = array
    return padded
