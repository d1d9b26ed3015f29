from __future__ import annotations

import pytest

from singcli.errors import InputError
from singcli.model.limits import PitchRange, Polyphony


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("C4-A5", (60, 81)),
        ("60-81", (60, 81)),
        ("A0-C8", (21, 108)),
        ("bb3 - f#5", (58, 78)),
        ("c4-72", (60, 72)),
    ],
)
def test_ranges_are_read_as_names_or_numbers(text, ends):
    pitches = PitchRange.parse(text, option="--lead-range")
    assert (pitches.low, pitches.high) == ends
    assert PitchRange.parse(str(pitches), option="--lead-range") == pitches


@pytest.mark.parametrize("text", ["", "C4", "C4-", "A5-C4", "H4-C5", "10-60", "C4-C9", "-5-60"])
def test_what_is_no_range_is_named_with_its_option(text):
    with pytest.raises(InputError, match=f"--lead-range '{text}', allowed: LOW-HIGH"):
        PitchRange.parse(text, option="--lead-range")


def test_a_narrowed_range_stays_inside_at_every_shift():
    assert PitchRange(60, 81).narrowed(-3, 7) == PitchRange(63, 74)
    with pytest.raises(InputError, match=r"range C4-E4: .* leave no pitch"):
        PitchRange(60, 64).narrowed(-3, 7)


def test_polyphony_is_read_voice_by_voice():
    assert Polyphony.parse("lead=1", option="--max-polyphony") == Polyphony(lead=1)
    assert Polyphony.parse("accompaniment=4,lead=3", option="-").accompaniment == 4


@pytest.mark.parametrize("text", ["lead=0", "lead=1.5", "accompaniment=13"])
def test_polyphony_outside_its_range_is_refused(text):
    with pytest.raises(InputError, match=r"--max-polyphony .*allowed: whole numbers, 1 to 12"):
        Polyphony.parse(text, option="--max-polyphony")
    name, number = text.split("=")
    with pytest.raises(InputError, match="allowed: whole numbers, 1 to 12"):
        Polyphony(**{name: float(number)})
