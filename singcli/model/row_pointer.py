"""The pointer network writing rows of pitches, steered towards a wanted matrix row by row.

The same network, mixture and steering as for songs in bars and beats (`sampling`), where a step is
a row. From one state several candidates for the next row are drawn; they differ in their dice, in
how strongly they copy, and some in the row that they copy; one is kept. Many pieces are written at
once, and none depends on the others.

References
----------
Hager, Hablutzel, Kinnaird, "SING" (2024): the task.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from singcli.model.contract import (
    DURATIONS,
    MAX_NOTES_PER_STEP,
    N_NOTE_TOKENS,
    NO_BASS,
    NO_DURATION,
    step_inputs,
)
from singcli.model.row_candidates import (
    DRAWS,
    FIRST,
    Casts,
    Indices,
    Looks,
    Notes,
    draw_candidates,
)
from singcli.model.row_features import RowPlan, roll_from_rows, row_tokens, rows_ago
from singcli.model.row_steering import (
    CALM,
    RowsLeft,
    candidate_errors,
    eligible,
    pitch_taste,
    released,
    unit_chroma,
)
from singcli.model.rows import RowTask
from singcli.model.runtime import Arrays, Runtime
from singcli.model.steering import (
    OTHER_SOURCES,
    SHIFT_SPREAD,
    choose_candidate,
    steering_weight,
)
from singcli.music.score import N_PITCHES
from singcli.structure.row_ssm import N_CLASSES, Roll

MOST_OTHER_SOURCES = 3
_ROWS = np.append(DURATIONS, 0)  # of a class


@dataclass(frozen=True, slots=True)
class RowPointer:
    """A `RowGenerator` over an exported pointer network that has learned rows.

    Parameters
    ----------
    runtime : Runtime
    candidates : int >= 1
        Drafts of every row.
    steering : float in [0, 1]
        How strongly candidates and notes heed the matrix.
    temperature : float > 0
    name : str
    """

    runtime: Runtime
    candidates: int = 64
    steering: float = 0.9
    temperature: float = 0.85
    name: str = field(default="pointer")

    def generate(self, tasks: Sequence[RowTask], seeds: Sequence[int]) -> list[Roll]:
        """Write one piece for each task and seed, see `RowGenerator`."""
        return _Writer(self, tasks, seeds).write() if tasks else []


class _Sources(NamedTuple):
    """The rows that pieces look back at, those of a piece side by side, its repeat map's first.

    `row` (K,) and `piece` (K,) of each; `first` and `counts` of each piece that is written.
    """

    row: Indices
    piece: Indices
    first: Indices
    counts: Indices


class _Writer:
    """Pieces while they are being written, all of them a row at a time."""

    def __init__(self, pointer: RowPointer, tasks: Sequence[RowTask], seeds: Sequence[int]) -> None:
        card = pointer.runtime.card
        self.pointer = pointer
        self.strength = pointer.steering if pointer.candidates > 1 else 0.0
        self.rngs = [np.random.Generator(np.random.PCG64(seed)) for seed in seeds]
        self.plans = [
            RowPlan.from_ssm(
                task.ssm,
                kind="music",
                temperature=card.context_temperature,
                continuation_bonus=card.continuation_bonus,
            )
            for task in tasks
        ]
        self.given = [row_tokens(task.seed_rows) for task in tasks]
        self.lengths = np.array([task.n_rows for task in tasks])
        n, longest = len(tasks), int(self.lengths.max())
        # History; its last row stays empty and is what row -1 means.
        self.planes = np.zeros((n, longest + 1, 2 * N_NOTE_TOKENS), np.float32)
        self.durations = np.full((n, longest + 1, N_NOTE_TOKENS), NO_DURATION, np.int8)
        self.chroma = np.zeros((n, longest, N_CLASSES), np.float32)
        self.ago = rows_ago(longest + 1)
        self.source = np.full((n, longest + 1), -1, np.int64)
        for piece, plan in enumerate(self.plans):
            self.source[piece, : len(plan.ssm)] = plan.repeat_map.source
        state = step_inputs(n, card.sizes)
        self.hidden, self.cell = state["hidden"], state["cell"]
        self.remaining = np.zeros((n, N_NOTE_TOKENS), np.int32)
        self.bass = np.full(n, NO_BASS, np.int64)

    def write(self) -> list[Roll]:
        """Write all rows."""
        for row in range(int(self.lengths.max())):
            self._write_row(row)
        return [
            roll_from_rows(planes[:n_rows, N_NOTE_TOKENS:] > 0)
            for planes, n_rows in zip(self.planes, self.lengths, strict=True)
        ]

    def _write_row(self, row: int) -> None:
        pieces = np.flatnonzero(self.lengths > row)
        free = np.array([self._is_free(row, int(piece)) for piece in pieces])
        sources = self._sources(row, pieces, free)
        out = self.pointer.runtime.step(self._inputs(row, sources))
        self.remaining[pieces] = np.maximum(self.remaining[pieces] - 1, 0)
        for piece, first in zip(pieces[~free], sources.first[~free], strict=True):
            self._keep(row, piece, *self._fixed(row, piece), out, first)
        if free.any():
            self._write_free(row, pieces[free], sources, free, out)

    def _is_free(self, row: int, piece: int) -> bool:
        """Tell whether a row is neither given nor silent."""
        return row >= len(self.given[piece].onsets) and not self.plans[piece].silent[row]

    def _fixed(self, row: int, piece: int) -> tuple[Notes, npt.NDArray[np.int8]]:
        """Return onsets and durations, (176,), of a row that is given or silent."""
        given = self.given[piece]
        if row < len(given.onsets):
            return given.onsets[row], given.duration_map[row]
        self.remaining[piece] = 0
        nothing = np.zeros(N_PITCHES, np.bool_)
        return _in_token_order(nothing, np.full(N_PITCHES, NO_DURATION, np.int8))

    def _write_free(
        self, row: int, pieces: Indices, sources: _Sources, free: Notes, out: Arrays
    ) -> None:
        """Draw candidates of these pieces, and keep one of each."""
        m = self.pointer.candidates
        held = self.remaining[:, FIRST:] > 0
        taste = np.zeros((len(self.plans), N_PITCHES), np.float32)
        for piece in pieces:
            wanted = self.plans[piece].ssm[row, :row].astype(np.float64)
            taste[piece] = pitch_taste(wanted, self.chroma[piece, :row], self.strength)
        looks = Looks(
            out=out,
            drafts=self.planes[sources.piece, sources.row, :N_NOTE_TOKENS],
            durations=self.durations[sources.piece, sources.row],
            piece=sources.piece,
            taste=taste,
            held=held,
            bass=self.bass,
        )
        casts = self._casts(pieces, sources.first[free], sources.counts[free])
        onsets, durations = draw_candidates(
            self.pointer.runtime,
            looks,
            casts,
            temperature=self.pointer.temperature,
            calm=CALM * self.strength,
        )
        for place, piece in enumerate(pieces):
            own = slice(place * m, (place + 1) * m)
            dice = self.rngs[piece].random((m, 1 + N_PITCHES))
            held_on = released(self.remaining[piece, FIRST:], taste[piece], self.strength, dice)
            left = np.where(onsets[own], _ROWS[durations[own]], held_on)
            chosen = self._choose(row, piece, onsets[own], left)
            self.remaining[piece, FIRST:] = held_on[chosen]
            kept = own.start + chosen
            notes = _in_token_order(onsets[kept], durations[kept])
            self._keep(row, piece, *notes, out, int(casts.source[kept]))

    def _sources(self, row: int, pieces: Indices, free: Notes) -> _Sources:
        """Return the rows to look back at: the repeat map's, and the likest ones if it is free."""
        found = list(self.source[pieces, row, None])
        n_other = min(int(self.pointer.candidates * OTHER_SOURCES), MOST_OTHER_SOURCES, row)
        for at in np.flatnonzero(free):
            past = self.plans[pieces[at]].ssm[row, :row]
            others = np.argsort(-past, kind="stable")[:n_other]
            found[at] = np.append(found[at], others[others != found[at]])
        count = np.array([len(rows) for rows in found])
        return _Sources(
            np.concatenate(found), np.repeat(pieces, count), np.cumsum(count) - count, count
        )

    def _casts(self, pieces: Indices, first: Indices, count: Indices) -> Casts:
        """Give every candidate a source, a shift and its dice."""
        m = self.pointer.candidates
        shift = np.linspace(*(SHIFT_SPREAD if m > 1 else (0.0, 0.0)), m, dtype=np.float32)
        n_other = np.where(count > 1, int(m * OTHER_SOURCES), 0)
        turn = np.arange(m) - (m - n_other)[:, None]  # below 0: looks back at the repeat map's
        place = np.where(turn < 0, 0, 1 + turn % np.maximum(count - 1, 1)[:, None])
        shape = (m, MAX_NOTES_PER_STEP + 1, DRAWS)
        uniforms = np.concatenate([self.rngs[piece].random(shape) for piece in pieces])
        return Casts((first[:, None] + place).reshape(-1), np.tile(shift, len(pieces)), uniforms)

    def _inputs(self, row: int, sources: _Sources) -> Arrays:
        """Return the inputs of the step part, one row for each source."""
        source, piece = sources.row, sources.piece
        draft = self.planes[piece, source]
        following = np.where((source >= 0) & (source + 1 < row), source + 1, -1)
        following[sources.first] = self.source[piece[sources.first], row + 1]
        alike = np.array(
            [
                self.plans[p].ssm[row, s] if s >= 0 else 0.0
                for p, s in zip(piece, source, strict=True)
            ]
        ).clip(0.0, 1.0)
        alike[sources.first] = [self.plans[p].repeat_map.grade[row] for p in piece[sources.first]]
        has_onset = draft[:, :N_NOTE_TOKENS].any(axis=1)
        ago = np.concatenate([self.ago[:, row], self.ago[:, row + 1]])
        context = np.stack(
            [self.plans[p].weights[row, :row] @ self.planes[p, :row] for p in piece[sources.first]]
        )
        inputs: dict[str, npt.NDArray[Any]] = {
            "previous": self.planes[piece, row - 1, :N_NOTE_TOKENS],
            "carried": (self.remaining[piece] > 1).astype(np.float32),
            "draft": draft,
            "next_draft": self.planes[piece, following],
            "bars_ago": self.planes[piece[:, None], ago, :N_NOTE_TOKENS].reshape(len(piece), -1),
            "context": np.repeat(context, sources.counts, axis=0),
            "place": np.stack([self.plans[p].place[row] for p in piece]),
            "grade": np.stack([alike, has_onset], axis=1).astype(np.float32),
            "bass": self.bass[piece],
            "hidden": self.hidden[piece],
            "cell": self.cell[piece],
        }
        return step_inputs(len(piece), self.pointer.runtime.card.sizes) | inputs

    def _choose(self, row: int, piece: int, onsets: Notes, left: RowsLeft) -> int:
        """Return the candidate that is kept of those with these onsets and rows left, (M, 88)."""
        uniforms = self.rngs[piece].random(2)
        choice = eligible(onsets.sum(axis=1), uniforms[0])
        ssm, past = self.plans[piece].ssm, self.chroma[piece, :row]
        errors = candidate_errors(ssm, row, past, left[choice])
        weight = steering_weight(self.pointer.steering)
        return int(choice[choose_candidate(errors, weight, uniforms[1])])

    def _keep(
        self,
        row: int,
        piece: int,
        onsets: Notes,
        durations: npt.NDArray[np.integer],
        out: Arrays,
        source: int,
    ) -> None:
        """Write a row, onsets and classes (176,), into the history."""
        remaining = self.remaining[piece]
        remaining[onsets] = DURATIONS[durations[onsets]]
        self.planes[piece, row, :N_NOTE_TOKENS] = onsets
        self.planes[piece, row, N_NOTE_TOKENS:] = remaining > 0
        self.durations[piece, row] = durations
        self.chroma[piece, row] = unit_chroma(remaining[None, FIRST:] > 0)[0]
        self.hidden[piece], self.cell[piece] = out["next_hidden"][source], out["next_cell"][source]
        struck = onsets[FIRST:]
        if struck.any():
            self.bass[piece] = struck.argmax()


def _in_token_order(
    onsets: Notes, durations: npt.NDArray[np.int8]
) -> tuple[Notes, npt.NDArray[np.int8]]:
    """Return onsets and classes of a row's notes, (88,), as those of all tokens, (176,)."""
    return (
        np.pad(onsets, (FIRST, 0)),
        np.pad(durations, (FIRST, 0), constant_values=NO_DURATION),
    )
