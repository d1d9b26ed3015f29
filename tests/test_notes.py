from __future__ import annotations

import numpy as np
import pretty_midi
import pytest
from midi_bytes import midi_bytes, tune

from singcli.music.midi_reading import midi_from_bytes
from singcli.music.notes import TempoMap


def tempo_map(changes: list[tuple[int, int]], ticks_per_quarter: int = 480) -> TempoMap:
    tick, microseconds = (np.array(column, np.int64) for column in zip(*changes, strict=True))
    return TempoMap(tick, microseconds, ticks_per_quarter)


def test_seconds_of_an_even_tempo() -> None:
    seconds = tempo_map([(0, 500_000)]).seconds_from_ticks([0, 480, 720])
    assert seconds.tolist() == [0.0, 0.5, 0.75]


def test_seconds_across_tempo_changes() -> None:
    tempo = tempo_map([(0, 500_000), (960, 1_000_000), (1440, 250_000)])
    assert tempo.seconds_from_ticks([960, 1200, 1440, 1920]).tolist() == [1.0, 1.5, 2.0, 2.25]


@pytest.mark.parametrize("seed", range(5))
def test_seconds_are_those_of_pretty_midi(seed: int, tmp_path: object) -> None:
    rng = np.random.default_rng(seed)
    tempos = [(0, 600_000)]
    tempos += [(4 * i, int(rng.integers(200_000, 2_000_000))) for i in range(1, 5)]
    content = midi_bytes([("x", tune(6))], tempos=tempos)
    path = tmp_path / "x.mid"  # type: ignore[operator]
    path.write_bytes(content)
    expected = [note.start for note in pretty_midi.PrettyMIDI(str(path)).instruments[0].notes]
    music = midi_from_bytes(content, source="x")
    actual = music.tempo.seconds_from_ticks(music.notes.onset_tick)
    np.testing.assert_allclose(actual, expected, atol=1e-9)


def test_the_median_tempo_is_that_of_most_of_the_music() -> None:
    tempo = tempo_map([(0, 250_000), (480, 500_000), (4800, 1_000_000)])
    assert tempo.median_bpm(0, 5280) == 120
    assert tempo.median_bpm(0, 400) == 240
    assert tempo.median_bpm(5000, 5000) == 60


def test_long_files_keep_their_precision() -> None:
    tempo = tempo_map([(0, 16_777_215)], ticks_per_quarter=32767)
    assert tempo.seconds_from_ticks(2**30) == pytest.approx(2**30 * 16.777215 / 32767, abs=1e-6)
