"""The pointer network writing rows of pitches, steered towards a wanted matrix row by row.

The same network, mixture and steering as for songs in bars and beats (`sampling`), where a step is
a row. From one state several candidates for the next row are drawn; they differ in their dice, in
how strongly they copy, and some in the row that they copy; one is kept.

References
----------
Hager, Hablutzel, Kinnaird, "SING" (2024): the task.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from singcli.model import choice
from singcli.model.contract import (
    DURATIONS,
    MAX_NOTES_PER_STEP,
    N_NOTE_TOKENS,
    NO_BASS,
    NO_DURATION,
    START,
    STOP,
    TOKEN_PITCH,
    note_inputs,
    step_inputs,
)
from singcli.model.row_features import RowPlan, roll_from_rows, row_tokens, rows_ago
from singcli.model.rows import RowTask
from singcli.model.runtime import Arrays, Runtime
from singcli.model.steering import (
    CHROMA_PULL,
    LEAST_PAST_BEATS,
    OTHER_SOURCES,
    SHIFT_SPREAD,
    choose_candidate,
    ridge_weights,
    row_errors,
    scaled,
    steering_weight,
)
from singcli.music.score import N_PITCHES
from singcli.structure.row_ssm import Roll, row_chroma
from singcli.structure.ssm import unit_rows

Floats = npt.NDArray[np.float32]

MOST_OTHER_SOURCES = 3
_DRAWS = 2  # a token and a duration


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
    temperature: float = 1.0
    name: str = field(default="pointer")

    def generate(self, tasks: Sequence[RowTask], seeds: Sequence[int]) -> list[Roll]:
        """Write one piece for each task and seed, see `RowGenerator`."""
        return [
            _Writer(self, task, np.random.Generator(np.random.PCG64(seed))).write()
            for task, seed in zip(tasks, seeds, strict=True)
        ]


class _Writer:
    """One piece while it is being written."""

    def __init__(self, pointer: RowPointer, task: RowTask, rng: np.random.Generator) -> None:
        card = pointer.runtime.card
        self.pointer, self.rng = pointer, rng
        self.plan = RowPlan.from_ssm(
            task.ssm,
            kind="music",
            temperature=card.context_temperature,
            continuation_bonus=card.continuation_bonus,
        )
        self.given = row_tokens(task.seed_rows)
        n = task.n_rows
        # History; its last row stays empty and is what row -1 means.
        self.planes = np.zeros((n + 1, 2 * N_NOTE_TOKENS), np.float32)
        self.durations = np.full((n + 1, N_NOTE_TOKENS), NO_DURATION, np.int8)
        self.chroma = np.zeros((n, 12), np.float32)
        self.ago = rows_ago(n + 1)
        self.source = np.append(self.plan.repeat_map.source, -1).astype(np.int64)
        self.state = step_inputs(1, card.sizes)
        self.remaining = np.zeros(N_NOTE_TOKENS, np.int32)
        self.bass = NO_BASS

    def write(self) -> Roll:
        """Write all rows."""
        for row in range(len(self.plan.ssm)):
            self._write_row(row)
        return roll_from_rows(self.planes[:-1, N_NOTE_TOKENS:] > 0)

    def _write_row(self, row: int) -> None:
        sources = self._sources(row)
        out = self.pointer.runtime.step(self._inputs(row, sources))
        self.remaining = np.maximum(self.remaining - 1, 0)
        if row < len(self.given.onsets):
            self._keep(row, self.given.onsets[row], self.given.duration_map[row], out, 0)
        elif self.plan.silent[row]:
            self.remaining[:] = 0
            nothing = np.zeros(N_NOTE_TOKENS, np.bool_)
            self._keep(row, nothing, np.full(N_NOTE_TOKENS, NO_DURATION), out, 0)
        else:
            which = self._source_of_candidate(len(sources))
            onsets, durations = self._candidates(row, sources, which, out)
            kept = self._choose(row, onsets)
            self._keep(row, onsets[kept], durations[kept], out, int(which[kept]))

    def _sources(self, row: int) -> npt.NDArray[np.int64]:
        """Return the rows that candidates look back at: the repeat map's first, then the likest."""
        own = self.source[row : row + 1]
        n_other = min(int(self.pointer.candidates * OTHER_SOURCES), MOST_OTHER_SOURCES, row)
        others = np.argsort(-self.plan.ssm[row, :row], kind="stable")[:n_other]
        return np.concatenate([own, others[others != own]])

    def _source_of_candidate(self, n_sources: int) -> npt.NDArray[np.int64]:
        """Return the place of each candidate's source among the sources."""
        m = self.pointer.candidates
        n_other = int(m * OTHER_SOURCES) if n_sources > 1 else 0
        others = 1 + np.arange(n_other) % max(n_sources - 1, 1)
        return np.concatenate([np.zeros(m - n_other, np.int64), others])

    def _inputs(self, row: int, sources: npt.NDArray[np.int64]) -> Arrays:
        """Return the inputs of the step part, one row for each source."""
        n = len(sources)
        draft = self.planes[sources]
        following = np.where(sources >= 0, sources + 1, -1)
        following[0] = self.source[row + 1]
        following[1:][following[1:] >= row] = -1
        context = self.plan.weights[row, :row] @ self.planes[:row]
        ago = np.concatenate([self.ago[:, row], self.ago[:, row + 1]])
        alike = np.where(sources >= 0, self.plan.ssm[row, sources], 0.0).clip(0.0, 1.0)
        alike[0] = self.plan.repeat_map.grade[row]
        has_onset = draft[:, :N_NOTE_TOKENS].any(axis=1)
        shared: dict[str, npt.NDArray[Any]] = {
            "previous": self.planes[row - 1, :N_NOTE_TOKENS],
            "carried": (self.remaining > 1).astype(np.float32),
            "bars_ago": self.planes[ago, :N_NOTE_TOKENS].reshape(-1),
            "context": context,
            "place": self.plan.place[row],
            "bass": np.asarray(self.bass),
            "hidden": self.state["hidden"][0],
            "cell": self.state["cell"][0],
        }
        blank = step_inputs(n, self.pointer.runtime.card.sizes)
        return (
            blank
            | {name: np.repeat(value[None], n, 0) for name, value in shared.items()}
            | {
                "draft": draft,
                "next_draft": self.planes[following],
                "grade": np.stack([alike, has_onset], axis=1).astype(np.float32),
            }
        )

    def _candidates(
        self, row: int, sources: npt.NDArray[np.int64], which: npt.NDArray[np.int64], out: Arrays
    ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
        """Draw onsets and classes of durations, (M, 176), of all candidates."""
        m = self.pointer.candidates
        onsets = np.zeros((m, N_NOTE_TOKENS), np.bool_)
        durations = np.full((m, N_NOTE_TOKENS), NO_DURATION, np.int64)
        drafts = self.planes[sources, :N_NOTE_TOKENS]
        following = choice.next_token_table(drafts > 0)
        shift = np.linspace(*(SHIFT_SPREAD if m > 1 else (0.0, 0.0)), m, dtype=np.float32)
        pull = self._pull(row)
        asleep = not (self.remaining > 0).any()
        uniforms = self.rng.random((m, MAX_NOTES_PER_STEP + 1, _DRAWS))
        alive = np.arange(m)
        last = np.full(m, START, np.int64)
        chosen = np.zeros((m, self.pointer.runtime.card.sizes.hidden), np.float32)
        before = last
        for index in range(MAX_NOTES_PER_STEP + 1):
            note = np.where(last == START, 0, last)
            place = which[alive]
            scores = self.pointer.runtime.note(
                note_inputs(len(alive), self.pointer.runtime.card.sizes)
                | {
                    "features": out["step_features"][place],
                    "token_bias": out["step_token_bias"][place],
                    "chosen": chosen,
                    "last_token": last,
                    "draft_onsets": drafts[place],
                    "last_bass": np.full(len(alive), self.bass),
                    "draft_duration": self.durations[sources[place], note].astype(np.int64),
                    "chord_duration": np.where(
                        before == START,
                        NO_DURATION,
                        durations[alive, np.where(before == START, 0, before)],
                    ),
                }
            )
            if index > 0:
                probs = choice.softmax(scores["duration_logits"])
                durations[alive, last] = choice.draw(probs, uniforms[alive, index, 1])
            if index == MAX_NOTES_PER_STEP:
                break
            probs = choice.note_probs(
                scores["logits"],
                scores["gate"],
                following[place, np.where(last == START, 0, last + 1)],
                drafts[place] > 0,
                shift=shift[alive],
                temperature=self.pointer.temperature,
                attraction=pull,
            )
            probs[:, :N_NOTE_TOKENS][:, self.remaining > 0] = 0.0  # it is sounding already
            if index == 0 and asleep:
                probs = choice.woken(probs, np.ones(len(probs), np.bool_))
            token = choice.draw(probs, uniforms[alive, index, 0])
            going = token != STOP
            alive, before, last = alive[going], last[going], token[going]
            chosen = scores["next_chosen"][going]
            onsets[alive, last] = True
            if len(alive) == 0:
                break
        return onsets, durations

    def _pull(self, row: int) -> Floats:
        """Return what speaks for each note because its pitch class helps to make the row.

        As `steering.attraction`: ridge regression of the row on the chroma of the past.
        """
        pull = np.zeros((1, N_NOTE_TOKENS), np.float32)
        if row < LEAST_PAST_BEATS or self.pointer.steering == 0 or self.pointer.candidates == 1:
            return pull
        past = self.chroma[:row].astype(np.float64)
        weights = scaled(ridge_weights(self.plan.ssm[row, :row].astype(np.float64), past))
        pull[0] = CHROMA_PULL * self.pointer.steering * weights[TOKEN_PITCH % 12]
        return pull

    def _choose(self, row: int, onsets: npt.NDArray[np.bool_]) -> int:
        """Return the candidate that is kept."""
        chroma = self._chroma(onsets)
        errors = row_errors(
            chroma @ self.chroma[:row].T, self.plan.ssm[row, :row].astype(np.float64)
        )
        weight = steering_weight(self.pointer.steering)
        return choose_candidate(errors, weight, self.rng.random())

    def _chroma(self, onsets: npt.NDArray[np.bool_]) -> Floats:
        """Return the unit chroma of rows with these onsets, shape=(M, 12)."""
        chroma: Floats = unit_rows(row_chroma(roll_from_rows(onsets | (self.remaining > 0))))
        return chroma

    def _keep(
        self,
        row: int,
        onsets: npt.NDArray[np.bool_],
        durations: npt.NDArray[np.integer],
        out: Arrays,
        place: int,
    ) -> None:
        """Write a row into the history."""
        self.remaining[onsets] = DURATIONS[durations[onsets]]
        self.planes[row, :N_NOTE_TOKENS] = onsets
        self.planes[row, N_NOTE_TOKENS:] = self.remaining > 0
        self.durations[row] = durations
        self.chroma[row] = self._chroma(onsets[None])[0]
        self.state["hidden"] = out["next_hidden"][place : place + 1]
        self.state["cell"] = out["next_cell"][place : place + 1]
        struck = onsets[N_PITCHES:]
        self.bass = int(struck.argmax()) if struck.any() else self.bass
