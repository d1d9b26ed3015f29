"""SING's pipeline from MIDI to segments, beside pretty_midi and NumPy, which it must equal."""

from __future__ import annotations

import io
import math
import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from midi_bytes import midi_bytes, tune
from performances import note, pedal, performance, performance_bytes, piece, tempo

from singcli.errors import InputError
from singcli.music.midi_reading import performance_from_bytes
from singcli.music.notes import TempoMap
from singcli.preparation.limits import Limits
from singcli.preparation.row_roll import trimmed
from singcli.preparation.row_tempo import estimate_tempo, portable_argsort, seconds_from_ticks
from singcli.preparation.sing import (
    BIN_BOUNDS,
    MIN_ROWS,
    MIN_ROWS_TO_SPLIT,
    SEGMENT_ROWS,
    rows_from_midi,
    segment_length,
    segment_spans,
    segments_of,
)
from singcli.row_dataset import Piece

PIECE = Piece("p", "p.mid", "", "", 240.0, 1, ())


def rows(content: bytes) -> tuple[float, np.ndarray]:
    return rows_from_midi(content, limits=Limits(), source="x.mid")


def pretty(content: bytes):
    pretty_midi = pytest.importorskip("pretty_midi")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pretty_midi.PrettyMIDI(io.BytesIO(content))


class TestLikePrettyMidi:
    @pytest.mark.parametrize("seed", range(8))
    def test_times_to_the_last_bit(self, seed):
        content = performance(seed)
        music, _ = performance_from_bytes(content, source="x")
        reference = pretty(content)
        ticks = np.unique(np.r_[music.notes.onset_tick, music.notes.end_tick])
        got = seconds_from_ticks(music.tempo, ticks)
        assert got.tolist() == [reference.tick_to_time(tick) for tick in ticks.tolist()]

    @pytest.mark.parametrize("seed", range(8))
    def test_tempo_and_roll(self, seed):
        content = performance(seed)
        reference = pretty(content)
        bpm, got = rows(content)
        tempos, shares = reference.estimate_tempi()
        assert bpm in tempos[shares == shares.max()].tolist()
        expected = reference.get_piano_roll(fs=bpm / 60).T > 0
        np.testing.assert_array_equal(got, trimmed(expected))

    def test_drums_count_for_the_tempo_but_not_for_the_rows(self):
        drums = [event for n in range(60) for event in note(n * 192, n * 192 + 90, 36, channel=9)]
        content = performance_bytes([[tempo(0, 500_000)], drums, note(0, 9600, 60)])
        bpm, roll = rows(content)
        assert bpm == pytest.approx(240)
        assert np.flatnonzero(roll.any(axis=0)).tolist() == [60]
        assert bpm == pretty(content).estimate_tempo()


class TestTempo:
    def test_is_the_most_frequent_interval_doubled_to_a_fifth_of_a_second(self):
        assert estimate_tempo(np.arange(0, 5, 0.125), source="x") == pytest.approx(240)
        assert estimate_tempo(np.arange(0, 5, 0.4), source="x") == pytest.approx(150)

    def test_every_interval_near_some_cluster_moves_the_shortest(self):
        # .30 opens a cluster, .40 another, the second .40 then counts for the first and moves it
        onsets = np.cumsum([0.0, 0.30, 0.40, 0.40])
        assert estimate_tempo(onsets, source="x") == pytest.approx(60 / 0.35)

    @pytest.mark.parametrize("onsets", [[], [1.0], [1.0, 1.04], [1.0, 3.5]])
    def test_needs_two_onsets_at_a_playable_distance(self, onsets):
        with pytest.raises(InputError, match=r"x\.mid: no tempo can be estimated"):
            estimate_tempo(np.array(onsets), source="x.mid")

    @given(st.lists(st.integers(1, 300), min_size=2, max_size=200))
    def test_is_a_tempo_that_can_be_played(self, ticks):
        onsets = np.cumsum(ticks) / 100
        if (np.diff(onsets) > 0.051).any() and (np.diff(onsets) < 1.99).all():
            assert 30 < estimate_tempo(onsets, source="x") <= 300 + 1e-9

    def test_a_repeated_tempo_rounds_nothing(self):
        ticks = np.array([0, 10, 5000])
        changes = TempoMap(np.array([0, 700]), np.array([600_000, 600_000]), 480)
        once = TempoMap(np.array([0]), np.array([600_000]), 480)
        assert (
            seconds_from_ticks(changes, ticks).tolist() == seconds_from_ticks(once, ticks).tolist()
        )


class TestPortableOrder:
    @given(st.lists(st.integers(1, 9), max_size=300))
    def test_sorts(self, counts):
        order = portable_argsort(counts)
        assert sorted(order) == list(range(len(counts)))
        assert [counts[n] for n in order] == sorted(counts)

    def test_is_numpys_where_vector_instructions_are_switched_off(self):
        script = (
            "import numpy as np; rng = np.random.default_rng(0)\n"
            "for n in (5, 16, 17, 40, 300, 797):\n"
            "    print(*np.argsort(rng.integers(1, 20, n).astype(float)))"
        )
        everything = "X86_V3 X86_V4 AVX512_ICL AVX512_SPR AVX2 AVX512F AVX512_SKX"
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", script],
            env=os.environ | {"NPY_DISABLE_CPU_FEATURES": everything},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            pytest.skip(f"this NumPy cannot do without: {done.stderr.splitlines()[-1]}")
        rng = np.random.default_rng(0)
        for line, n in zip(done.stdout.splitlines(), (5, 16, 17, 40, 300, 797), strict=True):
            counts = rng.integers(1, 20, n).astype(float).tolist()
            assert portable_argsort(counts) == [int(word) for word in line.split()]


class TestRows:
    def test_a_steady_piece_has_a_row_a_note(self):
        bpm, roll = rows(piece(300, seed=2))
        assert bpm == pytest.approx(240)
        assert roll.sum(axis=1).tolist() == [1] * 300
        pitches = np.random.default_rng(2).integers(40, 80, 300)
        np.testing.assert_array_equal(roll.argmax(axis=1), pitches)

    def test_silence_at_both_ends_is_cut_and_within_is_kept(self):
        notes = [*note(1920, 3840, 60), *note(5760, 5952, 64)]
        beat = [event for n in range(20) for event in note(192 * n, 192 * n + 1, 30)]
        bpm, roll = rows(performance_bytes([[tempo(0, 500_000), *beat, *notes, pedal(9600, 0)]]))
        assert bpm == pytest.approx(240)
        assert roll.any(axis=1).tolist() == [True] * 10 + [False] * 10 + [True]

    def test_what_begins_and_ends_within_a_row_is_not_there(self):
        events = [event for n in range(8) for event in note(192 * n, 192 * n + 191, 60)]
        with pytest.raises(InputError, match="no note lasts from one row to the next"):
            rows(performance_bytes([[tempo(0, 500_000), *events]]))

    def test_the_pedal_holds_what_sounds_until_it_is_released(self):
        beat = [event for n in range(20) for event in note(192 * n, 192 * n + 192, 30)]
        high = [*note(0, 192, 70), *note(768, 960, 80)]
        moves = [pedal(384, 100), pedal(500, 63), pedal(700, 64), pedal(1536, 0)]
        _, roll = rows(performance_bytes([[tempo(0, 500_000), *beat, *high, *moves]]))
        assert np.flatnonzero(roll[:, 70]).tolist() == [0]
        assert np.flatnonzero(roll[:, 80]).tolist() == [4, 5, 6, 7]

    def test_a_pedal_that_is_never_released_holds_nothing(self):
        beat = [event for n in range(20) for event in note(192 * n, 192 * n + 192, 30 + n)]
        _, roll = rows(performance_bytes([[tempo(0, 500_000), pedal(0, 127), *beat]]))
        assert roll.sum() == 20

    def test_a_release_ends_all_notes_of_its_pitch(self):
        beat = [event for n in range(20) for event in note(192 * n, 192 * n + 192, 30)]
        twice = [*note(0, 768, 60), *note(384, 1920, 60), *note(1152, 1152, 72)]
        content = performance_bytes([[tempo(0, 500_000), *beat, *twice]])
        bpm, roll = rows(content)
        assert np.flatnonzero(roll[:, 60]).tolist() == [0, 1, 2, 3]
        assert not roll[:, 72].any()
        np.testing.assert_array_equal(roll, trimmed(pretty(content).get_piano_roll(bpm / 60).T > 0))

    def test_each_track_has_its_own_pedal(self):
        left = [event for n in range(12) for event in note(192 * n, 192 * n + 192, 30 + n, 0)]
        right = [event for n in range(12) for event in note(192 * n, 192 * n + 192, 70 + n, 1)]
        right += [pedal(0, 127, 1), pedal(192 * 6, 0, 1)]
        _, roll = rows(performance_bytes([[tempo(0, 500_000)], left, right]))
        assert roll[:, :64].sum(axis=1).tolist() == [1] * 12
        assert roll[:, 64:].sum(axis=1).tolist() == [1, 2, 3, 4, 5, 6, *[1] * 6]

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (b"", "not a readable MIDI file"),
            (midi_bytes([("x", [])]), "no notes"),
            (midi_bytes([("x", tune(4))], channels=[9]), "drums only"),
            (midi_bytes([("x", [*tune(2), (8e4, 8e4 + 1, 60)])]), "667 minutes"),
            (performance_bytes([[*note(0, 400, 60), pedal(10**8, 0)]]), "minutes, allowed are 120"),
        ],
    )
    def test_music_that_cannot_be_used(self, content, reason):
        with pytest.raises(InputError, match=reason):
            rows(content)

    def test_nothing_is_left_of_an_empty_roll(self):
        assert trimmed(np.zeros((5, 128), np.bool_)).shape == (0, 128)


class TestBins:
    def test_are_sixteen_equal_ratios_and_their_middles(self):
        ratio = (SEGMENT_ROWS[-1] / SEGMENT_ROWS[0]) ** (1 / 15)
        exact = [SEGMENT_ROWS[0] * ratio**n for n in np.arange(-0.5, 15.6, 0.5).round(1)]
        rounded_down = [math.floor(value + 1e-9) for value in exact]
        assert tuple(rounded_down[1::2]) == SEGMENT_ROWS
        assert tuple(rounded_down[:-1:2]) == BIN_BOUNDS
        assert rounded_down[-1] == MIN_ROWS_TO_SPLIT
        assert BIN_BOUNDS[0] == MIN_ROWS

    @pytest.mark.parametrize(
        ("n_rows", "length"), [(246, 255), (262, 255), (263, 272), (675, 654), (676, 700)]
    )
    def test_lower_bounds_are_inclusive(self, n_rows, length):
        assert segment_length(n_rows) == length


class TestSegments:
    @pytest.mark.parametrize(
        ("n_rows", "spans"),
        [
            (245, []),
            (246, [(0, 255)]),  # repeats its beginning
            (262, [(0, 255)]),  # loses its tail
            (722, [(0, 700)]),
            (723, [(0, 357), (362, 719)]),  # parts of 362 and 361
            (1356, [(0, 700), (656, 1356)]),  # parts of 678 borrow from each other
            (1400, [(0, 700), (700, 1400)]),
            (2036, [(0, 700), (669, 1369), (1336, 2036)]),  # the middle borrows on both sides
            (2363, [(0, 611), (581, 1192), (1172, 1783), (1773, 2344)]),  # the last part is shorter
        ],
    )
    def test_spans(self, n_rows, spans):
        """All but the limits are pieces of the paper's validation split."""
        assert segment_spans(n_rows) == tuple(spans)

    @given(st.integers(0, 40_000))
    def test_any_piece(self, n_rows):
        spans = segment_spans(n_rows)
        assert bool(spans) == (n_rows >= MIN_ROWS)
        for start, stop in spans:
            assert stop - start in SEGMENT_ROWS
            assert 0 <= start < n_rows
            assert stop <= n_rows or len(spans) == 1
        if n_rows >= MIN_ROWS_TO_SPLIT:
            assert len(spans) == math.ceil(n_rows / 700)
            starts = [start for start, _ in spans]
            assert starts == sorted(set(starts))
            size = n_rows / len(spans)
            for n, (start, stop) in enumerate(spans):  # a window keeps to its part
                assert abs((start + stop) / 2 - (n + 0.5) * size) <= 0.05 * size

    @given(st.integers(MIN_ROWS, 3000), st.integers(0, 2**32 - 1))
    def test_rows_are_those_of_the_spans(self, n_rows, seed):
        roll = np.random.default_rng(seed).random((n_rows, 128)) < 0.02
        cut = segments_of(roll, PIECE)
        assert [segment.id for segment in cut] == [f"p#{n}" for n in range(1, len(cut) + 1)]
        for segment, (start, stop) in zip(cut, segment_spans(n_rows), strict=True):
            expected = np.concatenate([roll, roll])[start:stop]
            np.testing.assert_array_equal(segment.roll, expected)
