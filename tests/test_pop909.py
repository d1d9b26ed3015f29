from __future__ import annotations

import numpy as np
import pytest

from singcli.dataset import SectionSpan
from singcli.errors import InputError
from singcli.preparation.pop909 import (
    LabelledSection,
    align_melody,
    first_downbeat,
    parse_beats,
    parse_key,
    parse_labels,
    parse_melody,
    sections_on_bars,
)


def beats_text(n_beats: int, *, half: int = 2, full: int = 4, shift: int = 0) -> str:
    return "\n".join(
        f"{0.5 * i} {float((i - shift) % half == 0)} {float((i - shift) % full == 0)}"
        for i in range(n_beats)
    )


def test_beats_in_bars_of_four_and_three() -> None:
    four = parse_beats(beats_text(32, shift=3), source="x")
    assert four.beats_per_bar == 4
    assert four.downbeat_share.tolist() == [0, 0, 0, 1]
    assert four.beat_s[:3].tolist() == [0, 0.5, 1]
    three = parse_beats(beats_text(33, half=3, full=6), source="x")
    assert three.beats_per_bar == 3
    assert three.downbeat_share.tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    "text", ["", "1.0 0 0", "1 0 0\n1 0 0", "2 0 0\n1 0 0", "a b c", "1 0\n2 0\n", "nan 0 0\n1 0 0"]
)
def test_broken_beats_are_an_input_error(text: str) -> None:
    with pytest.raises(InputError, match=r"^x: beat_midi\.txt"):
        parse_beats(text, source="x")


def test_the_first_key_counts() -> None:
    assert str(parse_key("Gb:maj\nG:maj\n")) == "F# major"
    assert parse_key("") is None


def test_labels() -> None:
    assert parse_labels("i4A8x12\n", source="x") == (
        LabelledSection("i", 4, melodic=False),
        LabelledSection("a", 8, melodic=True),
        LabelledSection("x", 12, melodic=False),
    )


@pytest.mark.parametrize("text", ["", "A", "A0", "4A", "A4,B4", "A-4"])
def test_broken_labels_are_an_input_error(text: str) -> None:
    with pytest.raises(InputError, match=r"human_label1\.txt"):
        parse_labels(text, source="x")


def test_the_melody_leaves_out_rests() -> None:
    onset, pitch = parse_melody("0 16\n60 4\n62 2\n0 2\n64 8\n", source="x")
    assert onset.tolist() == [16, 20, 24]
    assert pitch.tolist() == [60, 62, 64]


@pytest.mark.parametrize("lag", [-7, 0, 4, 63])
def test_a_planted_lag_is_found_among_noise(lag: int) -> None:
    rng = np.random.default_rng(lag + 100)
    onset = np.cumsum(rng.integers(1, 6, 150))
    pitch = rng.integers(60, 72, 150)
    found_onset = onset + lag
    found_onset[::5] += 1  # every fifth note elsewhere
    noise = rng.integers(0, 600, 50)
    alignment = align_melody(
        onset, pitch, np.r_[found_onset, noise], np.r_[pitch, rng.integers(60, 72, 50)]
    )
    assert alignment.lag == lag
    assert 0.8 <= alignment.score <= 0.9
    assert alignment.is_clean == (lag % 4 == 0)


def test_alignment_is_the_maximum_of_the_cross_correlation() -> None:
    rng = np.random.default_rng(3)
    reference, music = np.zeros((64, 12)), np.zeros((64, 12))
    reference[rng.integers(0, 64, 30), rng.integers(0, 12, 30)] = 1
    music[rng.integers(0, 64, 30), rng.integers(0, 12, 30)] = 1
    correlation = {
        lag: sum(float(reference[t] @ music[t + lag]) for t in range(64) if 0 <= t + lag < 64)
        for lag in range(-63, 64)
    }
    alignment = align_melody(*np.nonzero(reference), *np.nonzero(music))
    best = max(correlation.values())
    assert alignment.score == pytest.approx(best / reference.sum())
    assert alignment.lag == min(lag for lag, value in correlation.items() if value == best)


def test_music_without_a_common_pitch_does_not_align() -> None:
    nothing = align_melody(np.array([0, 4]), np.array([60, 62]), np.array([0]), np.array([61]))
    assert (nothing.score, nothing.is_clean) == (0.0, False)


def test_the_bar_is_heard_where_the_annotation_is_wrong() -> None:
    bars = [(4 + 16 * bar, (48, 53, 55, 57)[bar % 4]) for bar in range(12)]
    onset, pitch = np.array([(s, p + t) for s, p in bars for t in (0, 4, 7)]).T
    beats = parse_beats(beats_text(60, shift=0), source="x")
    assert first_downbeat(beats, onset, onset + 16, pitch) == 1


def test_sections_are_laid_end_to_end_inside_the_score() -> None:
    labels = parse_labels("i4A8B8o4", source="x")
    assert sections_on_bars(labels, first_bar=-2, n_bars=20) == (
        SectionSpan("i", 0, 2, melodic=False),
        SectionSpan("a", 2, 8, melodic=True),
        SectionSpan("b", 10, 8, melodic=True),
        SectionSpan("o", 18, 2, melodic=False),
    )


@pytest.mark.parametrize("n_bars", [10, 40])
def test_labels_of_quite_another_length_are_not_used(n_bars: int) -> None:
    assert sections_on_bars(parse_labels("A8B8", source="x"), first_bar=0, n_bars=n_bars) == ()


def test_without_labels_there_are_no_sections() -> None:
    assert sections_on_bars((), first_bar=0, n_bars=8) == ()
