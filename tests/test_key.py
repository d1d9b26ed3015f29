from __future__ import annotations

import numpy as np
import pytest

from singcli.errors import InputError
from singcli.music.key import _WEIGHTS, TONIC_NAMES, Key, estimate_key

ALL_KEYS = [Key(tonic, mode) for mode in ("major", "minor") for tonic in range(12)]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("C", "C major"),
        ("d", "D minor"),
        ("D minor", "D minor"),
        ("F#m", "F# minor"),
        ("Bb", "Bb major"),
        ("Gb:maj", "F# major"),
        ("Ab:min", "Ab minor"),
        ("cb-dur", "B major"),
        ("H♯", None),
        ("D dorian", None),
        ("", None),
    ],
)
def test_parsing(text: str, name: str | None) -> None:
    if name is None:
        with pytest.raises(InputError, match="not a key"):
            Key.parse(text)
    else:
        assert str(Key.parse(text)) == name


@pytest.mark.parametrize("key", ALL_KEYS, ids=str)
def test_a_printed_key_is_read_back(key: Key) -> None:
    assert Key.parse(str(key)) == key


@pytest.mark.parametrize("key", ALL_KEYS, ids=str)
def test_the_reference_keys_have_the_scale_of_c(key: Key) -> None:
    shift = key.shift_to_reference
    reference = key.transposed(shift)
    assert -5 <= shift <= 6
    assert str(reference) in ("C major", "A minor")
    np.testing.assert_array_equal(np.roll(key.scale, shift), reference.scale)


@pytest.mark.parametrize("key", ALL_KEYS, ids=str)
def test_a_key_is_recognised_by_its_scale_with_a_strong_tonic_and_fifth(key: Key) -> None:
    weights = key.scale.astype(float)
    weights[[key.tonic, (key.tonic + 7) % 12]] += 1
    assert estimate_key(weights) == key


@pytest.mark.parametrize("seed", range(25))
def test_the_estimate_is_that_of_a_naive_search(seed: int) -> None:
    weights = np.random.default_rng(seed).random(12)
    best = max(
        ALL_KEYS,
        key=lambda k: np.cov(np.roll(_WEIGHTS[k.mode], k.tonic), weights)[0, 1],
    )
    assert estimate_key(weights) == best


def test_the_estimate_follows_a_transposition() -> None:
    weights = np.random.default_rng(1).random(12)
    first = estimate_key(weights)
    for semitones in range(12):
        assert estimate_key(np.roll(weights, semitones)) == first.transposed(semitones)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("shift", [-5, 0, 4, 6])
def test_the_estimate_can_be_confined_to_a_pair_of_relatives(seed: int, shift: int) -> None:
    weights = np.random.default_rng(seed).random(12)
    best = max(
        (key for key in ALL_KEYS if key.shift_to_reference == shift),
        key=lambda k: np.cov(np.roll(_WEIGHTS[k.mode], k.tonic), weights)[0, 1],
    )
    assert estimate_key(weights, shift=shift) == best
    assert estimate_key(weights, shift=shift + 12) == best


@pytest.mark.parametrize("floor", [0.1, 10.0])
def test_what_sounds_equally_everywhere_does_not_count(floor: float) -> None:
    weights = np.random.default_rng(2).random(12)
    assert estimate_key(weights + floor) == estimate_key(weights)


def test_every_tonic_has_a_name() -> None:
    assert len(TONIC_NAMES) == 12
