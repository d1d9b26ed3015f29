"""The pointer network over rows: what it is shown, what it writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from singcli.model.contract import DURATIONS, N_NOTE_TOKENS, N_PITCHES
from singcli.model.row_features import roll_from_rows, row_tokens, tokens_from_roll
from singcli.model.row_pointer import RowPointer
from singcli.model.rows import RowTask
from singcli.model.runtime import Runtime
from singcli.structure.row_ssm import row_ssm

TINY = Path(__file__).parent / "data" / "tiny.onnx"


def drawn_roll(seed: int, n_rows: int = 40) -> np.ndarray:
    """Draw a roll with held notes, repeats and a silent row."""
    rng = np.random.default_rng(seed)
    roll = np.zeros((n_rows, 128), np.bool_)
    for _ in range(n_rows):
        start, pitch = rng.integers(n_rows), rng.integers(30, 98)
        roll[start : start + rng.integers(1, 6), pitch] = True
    roll[n_rows // 2 : n_rows // 2 + 8] = roll[:8]
    roll[n_rows // 2 + 9] = False
    return roll


@given(st.integers(0, 2**32 - 1))
def test_notes_are_the_runs_of_a_roll(seed):
    roll = drawn_roll(seed)
    notes = row_tokens(roll)
    np.testing.assert_array_equal(roll_from_rows(notes.sounding), roll)
    played = np.zeros_like(notes.sounding)
    for step, token, duration in zip(notes.step, notes.token, notes.duration, strict=True):
        played[step : step + DURATIONS[duration], token] = True
    np.testing.assert_array_equal(played, notes.sounding)  # runs under 17 rows are exact
    assert (notes.token >= N_PITCHES).all()
    assert (notes.onsets == (tokens_from_roll(roll) & ~np.roll(tokens_from_roll(roll), 1, 0)))[
        1:
    ].all()


class _Recording:
    """A runtime that keeps what its step part was shown."""

    def __init__(self, runtime: Runtime) -> None:
        self.card, self._runtime = runtime.card, runtime
        self.seen: list[dict[str, np.ndarray]] = []

    def step(self, inputs):
        self.seen.append({name: value[0].copy() for name, value in inputs.items()})
        return self._runtime.step(inputs)

    def note(self, inputs):
        return self._runtime.note(inputs)


@pytest.fixture(scope="module")
def runtime() -> Runtime:
    return Runtime.open(TINY)


def test_the_writer_shows_the_network_what_training_shows_it(runtime):
    pytest.importorskip("torch")
    from singcli.row_dataset import Segment
    from singcli.structure.texture import DEFAULT_TEXTURE
    from singcli.training.examples import Draw, ExampleSettings
    from singcli.training.row_examples import RowSong

    roll = drawn_roll(1)
    recording = _Recording(runtime)
    task = RowTask(row_ssm(roll), roll)
    [written] = RowPointer(recording, candidates=4).generate([task], [0])
    np.testing.assert_array_equal(written, roll)
    card = runtime.card
    settings = ExampleSettings(
        (), (DEFAULT_TEXTURE,), card.context_temperature, card.continuation_bonus
    )
    song = RowSong(Segment("a#1", roll))
    example = song.example(Draw(0, "music", 0, song.n_bars), settings)
    shown = {name: np.array([step[name] for step in recording.seen]) for name in recording.seen[0]}
    n = len(roll)
    for name in ("previous", "carried", "draft", "context", "place", "grade", "bass", "lead_age"):
        np.testing.assert_allclose(
            shown[name], getattr(example, name).reshape(shown[name].shape), atol=1e-6, err_msg=name
        )
    for name in ("loudness", "articulation"):
        np.testing.assert_array_equal(shown[name], getattr(example, name))
    now, after = np.split(shown["bars_ago"], 2, axis=1)
    np.testing.assert_array_equal(now, example.bars_ago)
    np.testing.assert_array_equal(after[:-1], example.bars_ago[1:])
    np.testing.assert_array_equal(shown["next_draft"][:-1], example.draft[1:])
    assert len(example.decisions.step) == n + example.previous.sum() + roll_onsets(roll)[-1]


def roll_onsets(roll: np.ndarray) -> np.ndarray:
    """Count the notes that begin in each row."""
    counts: np.ndarray = row_tokens(roll).onsets.sum(axis=1)
    return counts


def test_silence_and_sound_stand_where_the_matrix_has_them(runtime):
    roll = drawn_roll(2)
    [written] = RowPointer(runtime, candidates=8).generate([RowTask(row_ssm(roll), roll[:10])], [1])
    np.testing.assert_array_equal(written[:10], roll[:10])
    np.testing.assert_array_equal(written.any(axis=1), roll.any(axis=1))
    assert not written[:, :21].any()
    assert not written[:, 109:].any()


def test_a_piece_depends_on_its_own_task_and_seed_alone(runtime):
    tasks = [RowTask(row_ssm(drawn_roll(k)), drawn_roll(k)[:10]) for k in (3, 4)]
    pointer = RowPointer(runtime, candidates=6)
    both = pointer.generate(tasks, [5, 6])
    [alone] = pointer.generate(tasks[1:], [6])
    np.testing.assert_array_equal(both[1], alone)
    assert (pointer.generate(tasks[1:], [7])[0] != alone).any()


def test_more_candidates_come_nearer_to_the_matrix(runtime):
    roll = drawn_roll(5, 80)
    ssm = row_ssm(roll)

    def error(candidates: int) -> float:
        pointer = RowPointer(runtime, candidates=candidates, steering=1.0)
        rolls = pointer.generate([RowTask(ssm, roll[:10])] * 3, [1, 2, 3])
        return float(np.mean([((row_ssm(one) - ssm) ** 2).mean() for one in rolls]))

    assert error(32) < 0.95 * error(1)


def test_token_order_of_a_row():
    roll = np.zeros((1, 128), np.bool_)
    roll[0, [21, 60, 108]] = True
    tokens = tokens_from_roll(roll)
    assert np.flatnonzero(tokens).tolist() == [N_PITCHES, N_PITCHES + 39, N_NOTE_TOKENS - 1]
