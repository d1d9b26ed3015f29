"""The compiled part of the sampler: what happens in every step of every row, in C.

A song alone makes some thousand decisions, each over 177 tokens. Calls of numpy cost a microsecond
or two apiece there, and it took 400 of them a step, twice the time of the network. What happens
once a beat stays in Python. The C files beside this one know the batch as a structure of addresses;
`Batch` owns the arrays behind them.

Nothing of it depends on the machine: it is compiled without liberties of rounding, and brings its
own exponential function.
"""

from __future__ import annotations

import ctypes
import functools
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from singcli.errors import SingError
from singcli.model.contract import (
    BARS_AGO,
    LEAD_AGE_STEPS,
    MAX_NOTES_PER_STEP,
    N_ARTICULATION,
    N_DURATIONS,
    N_NOTE_TOKENS,
    N_PLACE,
    N_TOKENS,
    N_VELOCITIES,
)
from singcli.model.decisions import DECISIONS
from singcli.model.rules import NEVER
from singcli.music.score import N_PITCHES, N_VOICES, STEPS_PER_BEAT
from singcli.structure.alignment import BLOCK_ROWS

Array = npt.NDArray[Any]
Numbers = npt.NDArray[np.float64]

LIBRARY = Path(__file__).with_name("_kernel.dll" if sys.platform == "win32" else "_kernel.so")
REMEDY = "install singcli again; in a checkout, python hatch_build.py compiles it"
DRAWS = 3  # random numbers of a note: a token, a duration, a velocity
DRAWS_PER_STEP = DRAWS * (MAX_NOTES_PER_STEP + 1)
SILENT, WAKING = -1, 1


class Counts(NamedTuple):
    """What is counted of the notes of a beat; columns of `Batch.counts`.

    `struck` onsets; `sounding` steps that notes sound; `lead` onsets of the lead and `lead_pitches`
    the sum of their pitches, 0 to 87 each; `foreign` onsets outside the scale; `common` onsets that
    the draft has too, and `either` those that one of the two has.
    """

    struck: Numbers
    sounding: Numbers
    lead: Numbers
    lead_pitches: Numbers
    foreign: Numbers
    common: Numbers
    either: Numbers


_NUMBERS = (
    *("n_rows", "n_songs", "candidates", "n_steps"),
    *("chosen_width", "features_width", "place_width"),
)
_BEAT = (STEPS_PER_BEAT, "n_rows")
_PLANES = 2 * N_NOTE_TOKENS
# Name, type and shape of every array, in the order of `Batch` in kernel.h; sizes by name are known
# when a batch is made.
_LAYOUT: tuple[tuple[str, type[np.generic], tuple[int | str, ...]], ...] = (
    ("temperature", np.float32, (len(DECISIONS),)),
    ("top_p", np.float32, (len(DECISIONS),)),
    ("lead_ages", np.float32, (LEAD_AGE_STEPS + 1,)),
    ("leaps", np.float32, (N_PITCHES + 1, N_PITCHES)),
    ("restrike", np.float32, (N_NOTE_TOKENS,)),
    ("durations_in_steps", np.int32, (N_DURATIONS,)),
    ("tune_patience", np.float64, (3,)),
    ("endings_pace", np.float32, (1,)),
    ("allowed", np.bool_, ("n_songs", N_TOKENS)),
    ("foreign", np.bool_, ("n_songs", N_NOTE_TOKENS)),
    ("final", np.bool_, ("n_songs", N_TOKENS)),
    ("final_bass", np.bool_, ("n_songs", N_TOKENS)),
    ("final_lead", np.bool_, ("n_songs",)),
    ("final_step", np.int64, ("n_songs",)),
    ("final_stop", np.int64, ("n_songs",)),
    ("polyphony", np.int64, ("n_songs", N_VOICES)),
    ("tune_since", np.int64, ("n_songs", "n_steps")),
    ("longest", np.int64, ("n_songs", "n_steps")),
    ("given_free", np.uint64, ("n_songs",)),
    ("given_following", np.uint64, ("n_songs",)),
    ("given_durations", np.uint64, ("n_songs",)),
    ("given_velocities", np.uint64, ("n_songs",)),
    ("bars_ago_steps", np.uint64, ("n_songs",)),
    ("place_steps", np.uint64, ("n_songs",)),
    ("weights", np.uint64, ("n_songs",)),
    ("n_weights", np.int64, ("n_songs",)),
    ("history", np.bool_, ("n_songs", "n_steps_and_one", _PLANES)),
    ("history_durations", np.int8, ("n_songs", "n_steps_and_one", N_NOTE_TOKENS)),
    ("history_velocities", np.int8, ("n_songs", "n_steps_and_one", N_NOTE_TOKENS)),
    ("heard", np.bool_, ("n_songs", "n_beats")),
    ("source", np.int64, ("n_rows", STEPS_PER_BEAT + 1)),
    ("source_grade", np.float32, ("n_rows",)),
    ("draft", np.float32, (STEPS_PER_BEAT + 1, "n_rows", _PLANES)),
    ("bars_ago", np.float32, (*_BEAT, 2 * len(BARS_AGO) * N_NOTE_TOKENS)),
    ("context", np.float32, (*_BEAT, _PLANES)),
    ("place", np.float32, (*_BEAT, N_PLACE)),
    ("draft_durations", np.int8, (*_BEAT, N_NOTE_TOKENS)),
    ("draft_velocities", np.int8, (*_BEAT, N_NOTE_TOKENS)),
    ("attraction", np.float32, (*_BEAT, N_NOTE_TOKENS)),
    ("shift", np.float32, ("n_rows",)),
    ("density_pull", np.float32, ("n_rows",)),
    ("length_pull", np.float32, ("n_rows", N_DURATIONS)),
    ("pitch_pull", np.float32, ("n_rows", N_NOTE_TOKENS)),
    ("sound", np.int64, ("n_rows",)),
    ("uniforms", np.float64, ("n_rows", STEPS_PER_BEAT, DRAWS_PER_STEP)),
    ("remaining", np.int32, ("n_rows", N_NOTE_TOKENS)),
    ("sounded", np.bool_, ("n_rows", N_NOTE_TOKENS)),
    ("voice_velocity", np.int64, ("n_rows", N_VOICES)),
    ("lead", np.int64, ("n_rows",)),
    ("bass", np.int64, ("n_rows",)),
    ("lead_step", np.int64, ("n_rows",)),
    ("heard_step", np.int64, ("n_rows",)),
    ("endings", np.float32, ("n_rows", 2)),
    ("planes", np.float32, (*_BEAT, _PLANES)),
    ("durations", np.int8, (*_BEAT, N_NOTE_TOKENS)),
    ("velocities", np.int8, (*_BEAT, N_NOTE_TOKENS)),
    ("counts", np.float64, ("n_rows", len(Counts._fields))),
    ("previous", np.float32, ("n_rows", N_NOTE_TOKENS)),
    ("carried", np.float32, ("n_rows", N_NOTE_TOKENS)),
    ("grade", np.float32, ("n_rows", 2)),
    ("loudness", np.float32, ("n_rows", N_VOICES)),
    ("articulation", np.float32, ("n_rows", N_ARTICULATION)),
    ("lead_age", np.float32, ("n_rows", 1)),
    ("step_features", np.float32, ("n_rows", "features_width")),
    ("step_token_bias", np.float32, ("n_rows", N_NOTE_TOKENS)),
    ("features", np.float32, ("n_rows", "features_width")),
    ("token_bias", np.float32, ("n_rows", N_NOTE_TOKENS)),
    ("chosen", np.float32, ("n_rows", "chosen_width")),
    ("draft_onsets", np.float32, ("n_rows", N_NOTE_TOKENS)),
    ("last_token", np.int64, ("n_rows",)),
    ("last_lead", np.int64, ("n_rows",)),
    ("last_bass", np.int64, ("n_rows",)),
    ("draft_duration", np.int64, ("n_rows",)),
    ("chord_duration", np.int64, ("n_rows",)),
    ("draft_velocity", np.int64, ("n_rows",)),
    ("latest_velocity", np.int64, ("n_rows",)),
    ("logits", np.float32, ("n_rows", N_TOKENS)),
    ("gate", np.float32, ("n_rows",)),
    ("next_chosen", np.float32, ("n_rows", "chosen_width")),
    ("duration_logits", np.float32, ("n_rows", N_DURATIONS)),
    ("velocity_logits", np.float32, ("n_rows", N_VELOCITIES)),
    ("alive", np.int64, ("n_rows",)),
    ("n_struck", np.int64, ("n_rows", N_VOICES)),
    ("kept", np.int64, ("n_songs",)),
    ("added", np.float32, ("n_rows", N_NOTE_TOKENS)),
    ("added_within", np.float32, ("n_rows", N_NOTE_TOKENS)),
    ("following", np.int16, ("n_rows", N_TOKENS)),
)


class _Structure(ctypes.Structure):
    """`Batch` of kernel.h."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in _NUMBERS),
        *((name, ctypes.c_void_p) for name, _, _ in _LAYOUT),
    )


class Batch:
    """What a batch of songs carries from step to step, and the steps themselves.

    Its arrays are attributes; `_LAYOUT` has their names, types and shapes, kernel.h their meaning.
    They are zero at first, and are changed in place alone: the compiled part has their addresses.

    Parameters
    ----------
    n_songs, candidates : int >= 1
        Songs, and rows of each.
    n_steps : int
        Of the longest song.
    chosen_width, features_width : int
        Of the network's `chosen` and `features`.
    """

    def __init__(
        self,
        n_songs: int,
        candidates: int,
        n_steps: int,
        *,
        chosen_width: int,
        features_width: int,
    ) -> None:
        n_rows = n_songs * candidates
        sizes = {
            "n_songs": n_songs,
            "n_rows": n_rows,
            "candidates": candidates,
            "n_steps": n_steps,
            "n_steps_and_one": n_steps + 1,
            "n_beats": n_steps // STEPS_PER_BEAT,
            "chosen_width": chosen_width,
            "features_width": features_width,
            "place_width": N_PLACE,
        }
        self._arrays: dict[str, Array] = {
            name: np.zeros([sizes[n] if isinstance(n, str) else n for n in shape], dtype)
            for name, dtype, shape in _LAYOUT
        }
        numbers = {name: sizes[name] for name in _NUMBERS}
        addresses = {name: array.ctypes.data for name, array in self._arrays.items()}
        self._library = _library()
        self._structure = _Structure(**numbers, **addresses)
        self._self = ctypes.byref(self._structure)

    def __getattr__(self, name: str) -> Array:
        """Return an array."""
        try:
            return self._arrays[name]
        except KeyError:
            raise AttributeError(name) from None

    @property
    def counted(self) -> Counts:
        """What has been counted of the beat so far, each (R,)."""
        return Counts(*self.counts.T)

    def begin_beat(self, beat: int) -> None:
        """Show the rows what songs have played, from where they look back at."""
        self._library.begin_beat(self._self, beat)

    def keep(self, beat: int) -> None:
        """Write the beat of the rows `kept`, one of each song, into the history."""
        self._library.keep(self._self, beat)

    def begin_step(self, step: int, place: int) -> None:
        """Write the inputs of the step part that depend on what the rows have played.

        Parameters
        ----------
        step : int
            Of the song.
        place : int
            Of the step in its beat.
        """
        self._library.begin_step(self._self, step, place)

    def begin_notes(self, step: int, place: int) -> int:
        """Write the inputs of the note part from the outputs of the step part.

        Returns
        -------
        int
            How many rows may sound; they are the first of its inputs.
        """
        return int(self._library.begin_notes(self._self, step, place))

    def decide(self, step: int, place: int, index: int, n: int) -> int:
        """Draw a token for each row from the outputs of the note part, and write its next inputs.

        The notes drawn before become as long and as loud as drawn.

        Parameters
        ----------
        index : int
            How often the note part has run before in this step.
        n : int
            Rows for which it has run.

        Returns
        -------
        int
            How many rows go on.
        """
        return int(self._library.decide(self._self, step, place, index, n))

    def end_step(self, step: int, place: int) -> None:
        """Let notes sound or end, after the last decision of all rows."""
        self._library.end_step(self._self, step, place)


@functools.cache
def _library() -> ctypes.CDLL:
    """Load the compiled part.

    Raises
    ------
    SingError
        If it was not built, or from other sources than these.
    """
    if not LIBRARY.exists():
        raise SingError(f"{LIBRARY} is missing", REMEDY)
    number = ctypes.c_int64
    try:
        library = ctypes.CDLL(str(LIBRARY))
        library.kernel_facts.argtypes = ctypes.c_void_p, number
        library.kernel_facts.restype = number
    except (OSError, AttributeError) as error:
        raise SingError(f"{LIBRARY} is not for this machine", REMEDY) from error
    wanted = (
        ctypes.sizeof(_Structure),
        *(STEPS_PER_BEAT, N_VOICES, N_PITCHES, MAX_NOTES_PER_STEP, N_DURATIONS),
        *(N_VELOCITIES, len(BARS_AGO), N_ARTICULATION, LEAD_AGE_STEPS, DRAWS),
        *(NEVER, SILENT, WAKING, len(Counts._fields), BLOCK_ROWS),
    )
    found = (number * len(wanted))()
    if library.kernel_facts(found, len(found)) != len(found) or tuple(found) != wanted:
        raise SingError(f"{LIBRARY} is of another version", REMEDY)
    for name, n_numbers in (
        *(("begin_beat", 1), ("begin_step", 2), ("begin_notes", 2)),
        *(("decide", 4), ("end_step", 2), ("keep", 1)),
    ):
        function = getattr(library, name)
        function.argtypes = (ctypes.c_void_p, *[number] * n_numbers)
        function.restype = number if name in ("begin_notes", "decide") else None
    return library
