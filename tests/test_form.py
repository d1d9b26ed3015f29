from __future__ import annotations

import dataclasses
import math
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from singcli.errors import InputError
from singcli.structure.form import (
    MAX_BARS,
    Form,
    Phrase,
    Section,
    Span,
    beats_from_meter,
    quarters_of_meter,
    repeats_of_form,
    ssm_from_form,
    wanted_bar_map,
)
from singcli.structure.ssm import Repeat
from singcli.structure.texture import DEFAULT_TEXTURE, Texture

FLAT = Texture(0.1, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0)
AABA = Form((Section("A", 2), Section("A", 2, 0.2), Section("B", 2), Section("A", 2, 0.3)))

labels = st.sampled_from(["A", "B", "chorus"])
units = st.floats(0, 1).map(lambda value: round(value, 3))
phrases = st.lists(
    st.builds(Phrase, st.sampled_from("ab"), st.integers(1, 3), units), min_size=1, max_size=3
).map(tuple)


meters = st.sampled_from(["4/4", "3/4", "2/4", "6/8", "12/8", "3/2", "5/4"])
tempos = st.floats(20, 300)


@st.composite
def sections_in(draw: st.DrawFn, main_meter: str) -> Section:
    parts = draw(phrases)
    meter = draw(st.sampled_from(["", main_meter, "3/4", "6/8"]))
    beats = beats_from_meter(meter or main_meter)
    return Section(
        draw(labels),
        sum(part.n_bars for part in parts),
        draw(units),
        parts,
        tune=draw(st.booleans()),
        transpose=draw(st.sampled_from([0, 0, -11, -5, 7, 11])),
        meter=meter,
        tempo_bpm=draw(st.none() | tempos),
        strictness=draw(st.none() | st.floats(0, 1)),
        last_bar=draw(st.integers(1, beats)) / beats,
    )


@st.composite
def forms(draw: st.DrawFn) -> Form:
    """Forms with everything that a form can have."""
    meter = draw(meters)
    sections = draw(st.lists(sections_in(meter), min_size=1, max_size=6))
    names = sorted({section.label for section in sections})
    pairs = [(one, other) for one in names for other in names if one < other]
    similarity = {pair: draw(units) for pair in pairs if draw(st.booleans())}
    beats = beats_from_meter(meter)
    return Form(tuple(sections), beats, draw(tempos), similarity=similarity, meter=meter)


def similarity_by_words(form: Form) -> np.ndarray:
    """What the header of the module says, bar by bar and word by word."""
    bars = []
    for number, section in enumerate(form.sections):
        is_theme = section.label not in [earlier.label for earlier in form.sections[:number]]
        place, seen = 0, []
        for phrase in section.phrases or (Phrase("whole", section.n_bars),):
            turn = seen.count(phrase.label)
            seen.append(phrase.label)
            for phrase_place in range(phrase.n_bars):
                bars.append(
                    {
                        "section": number,
                        "label": section.label,
                        "place": place,
                        "variation": 0 if is_theme else section.variation,
                        "phrase": (phrase.label, phrase_place),
                        "turn": turn,
                        "phrase_variation": phrase.variation if turn else 0,
                    }
                )
                place += 1
    wanted = np.zeros((len(bars), len(bars)))
    for (i, one), (j, other) in product(enumerate(bars), enumerate(bars)):
        if one["label"] != other["label"]:
            pair = (one["label"], other["label"])
            value = form.similarity.get(pair, form.similarity.get(pair[::-1], 0.0))
            wanted[i, j] = value if one["place"] == other["place"] else 0.0
        elif one["phrase"] == other["phrase"]:
            wanted[i, j] = 1.0
            if one["section"] != other["section"]:
                wanted[i, j] *= 1 - max(one["variation"], other["variation"])
            if one["turn"] != other["turn"]:
                wanted[i, j] *= 1 - max(one["phrase_variation"], other["phrase_variation"])
    return wanted


def test_bars_sections_and_places() -> None:
    assert (AABA.n_bars, AABA.n_beats) == (8, 32)
    assert AABA.bar_labels == list("AAAABBAA")
    assert AABA.bar_places.tolist() == [0, 1] * 4
    assert AABA.bar_beats.tolist() == list(range(0, 33, 4))
    assert AABA.section_bars == [("A", 0, 2), ("A", 2, 2), ("B", 4, 2), ("A", 6, 2)]
    assert AABA.section_bars[2] == Span("B", 4, 2)


def test_later_sections_resemble_the_theme_by_their_own_variation() -> None:
    wanted = wanted_bar_map(AABA)
    assert wanted[2, 0] == pytest.approx(0.8)
    assert wanted[6, 0] == pytest.approx(0.7)
    assert wanted[3, 0] == wanted[1, 0] == wanted[4, 0] == 0  # other place, own section, B


def test_two_later_sections_resemble_each_other_by_the_larger_variation() -> None:
    assert wanted_bar_map(AABA)[6, 2] == pytest.approx(0.7)
    returned = Form((Section("A", 1), Section("A", 1, 0.4), Section("A", 1, 0.1)))
    wanted = wanted_bar_map(returned)
    assert wanted[2, 0] == pytest.approx(0.9)  # the plain return is drawn to the theme
    assert wanted[2, 1] == pytest.approx(0.6)


def test_variation_of_a_theme_has_no_effect() -> None:
    varied = dataclasses.replace(AABA, sections=(Section("A", 2, 0.9), *AABA.sections[1:]))
    np.testing.assert_array_equal(wanted_bar_map(varied), wanted_bar_map(AABA))


def test_phrases_repeat_inside_and_across_sections() -> None:
    parts = (Phrase("a", 1), Phrase("b", 1), Phrase("a", 1, 0.5))
    wanted = wanted_bar_map(Form((Section("A", 3, phrases=parts), Section("A", 3, 0.2))))
    assert wanted[2, 0] == pytest.approx(0.5)  # inside
    assert wanted[5, 2] == pytest.approx(0.8)  # the second a is the second a again
    assert wanted[5, 0] == wanted[3, 2] == pytest.approx(0.8 * 0.5)
    assert wanted[1, 0] == wanted[4, 0] == 0  # b is not a


def test_sections_of_one_label_may_end_differently() -> None:
    first = Section("A", 3, phrases=(Phrase("a", 2), Phrase("end", 1)))
    second = Section("A", 3, 0.0, (Phrase("a", 2), Phrase("other-end", 1)))
    wanted = wanted_bar_map(Form((first, second)))
    assert wanted[3, 0] == wanted[4, 1] == 1
    assert wanted[5, 2] == 0


def test_phrases_of_different_sections_have_nothing_in_common() -> None:
    parts = (Phrase("a", 2),)
    wanted = wanted_bar_map(Form((Section("A", 2, phrases=parts), Section("B", 2, phrases=parts))))
    np.testing.assert_array_equal(wanted, np.eye(4))


def test_sections_inherit_phrases_of_their_label_cut_to_their_length() -> None:
    parts = (Phrase("a", 2), Phrase("b", 2))
    form = Form((Section("A", 3), Section("A", 4, phrases=parts)))
    assert form.sections[0].phrases == (Phrase("a", 2), Phrase("b", 1))
    with pytest.raises(InputError, match=r"sections\[1\].bars = 5 is more than the phrases"):
        Form((Section("A", 4, phrases=parts), Section("A", 5)))


def test_labels_can_be_similar_at_the_same_place_only() -> None:
    form = Form((Section("A", 2), Section("B", 3)), similarity={("B", "A"): 0.6})
    wanted = wanted_bar_map(form)
    assert form.similarity == {("A", "B"): 0.6}
    assert wanted[2, 0] == wanted[3, 1] == pytest.approx(0.6)
    assert wanted[4].tolist() == [0, 0, 0, 0, 1]
    assert wanted[3, 0] == 0


@given(forms())
def test_wanted_map_is_symmetric_and_repeats_draw_exactly_it(form: Form) -> None:
    wanted = wanted_bar_map(form)
    np.testing.assert_allclose(wanted, similarity_by_words(form), atol=1e-6)
    assert (wanted == wanted.T).all()
    beats = [range(*pair) for pair in pairwise(form.bar_beats)]
    expected = {
        (row, column): float(wanted[i, j])
        for i, j in product(range(form.n_bars), repeat=2)
        if i > j and wanted[i, j] > 0
        for row, column in zip(beats[i], beats[j], strict=False)  # as far as both reach
    }
    drawn = {}
    for repeat in repeats_of_form(form):
        assert repeat.source_beat < repeat.start_beat
        for beat in range(repeat.n_beats):
            pair = (repeat.start_beat + beat, repeat.source_beat + beat)
            assert pair not in drawn  # no two stripes overlap
            drawn[pair] = repeat.similarity
    assert drawn == pytest.approx(expected, abs=1e-6)


@given(forms())
def test_bars_beats_tempos_and_meters_say_the_same(form: Form) -> None:
    lengths = np.diff(form.bar_beats).tolist()
    assert [quarters_of_meter(meter) for meter in form.bar_meters] == lengths
    assert form.section_beats.tolist()[-1] == form.n_beats == sum(lengths)
    clock, seconds = 0.0, []
    for section, span, beat in zip(
        form.sections, form.section_bars, form.section_beats, strict=False
    ):
        bars = slice(span.start_bar, span.start_bar + span.n_bars)
        full = quarters_of_meter(section.meter or form.meter)
        assert form.bar_beats[span.start_bar] == beat
        assert lengths[bars] == [full] * (span.n_bars - 1) + [section.last_bar * full]
        assert set(form.bar_meters[bars][:-1]) <= {section.meter or form.meter}
        assert set(form.bar_transpositions[bars]) == {section.transpose}
        tempo = section.tempo_bpm or form.tempo_bpm
        assert [bpm for bar, bpm in form.tempo_changes if bar <= span.start_bar][-1] == tempo
        for _ in range(sum(lengths[bars])):
            seconds.append(clock)
            clock += 60 / tempo
    np.testing.assert_allclose(form.beat_s, seconds, rtol=1e-9, atol=1e-9)
    bars, tempos_in_order = zip(*form.tempo_changes, strict=True)
    assert bars[0] == 0
    assert list(bars) == sorted(set(bars))
    assert all(one != other for one, other in pairwise(tempos_in_order))


def test_a_section_has_its_own_meter_tempo_pitch_and_length() -> None:
    middle = Section("B", 2, meter="6/8", tempo_bpm=60, transpose=-5, last_bar=1 / 3)
    form = Form((Section("A", 2), middle, Section("A", 2, last_bar=0.5)))
    assert form.bar_meters == ["4/4", "4/4", "6/8", "2/8", "4/4", "2/4"]
    assert form.bar_beats.tolist() == [0, 4, 8, 11, 12, 16, 18]
    assert form.section_beats.tolist() == [0, 8, 12, 18]
    assert form.bar_transpositions.tolist() == [0, 0, -5, -5, 0, 0]
    assert form.tempo_changes == [(0, 100), (2, 60), (4, 100)]
    assert form.beat_s[[7, 8, 9, 12]].tolist() == pytest.approx([4.2, 4.8, 5.8, 8.8])
    assert repeats_of_form(form) == [Repeat(12, 0, 6, 0.85)]


def test_a_transposition_is_no_distance() -> None:
    moved = dataclasses.replace(AABA.sections[3], transpose=5)
    form = dataclasses.replace(AABA, sections=(*AABA.sections[:3], moved))
    np.testing.assert_array_equal(wanted_bar_map(form), wanted_bar_map(AABA))
    np.testing.assert_array_equal(ssm_from_form(form), ssm_from_form(AABA))


def test_stripes_end_where_bars_differ_in_length() -> None:
    form = Form((Section("A", 2), Section("A", 2, meter="3/4"), Section("A", 2)))
    assert [repeat for repeat in repeats_of_form(form) if repeat.start_beat < 14] == [
        Repeat(8, 0, 3, 0.85),
        Repeat(11, 4, 3, 0.85),
    ]
    assert Repeat(14, 0, 8, 0.85) in repeats_of_form(form)


@pytest.mark.parametrize("written", [0.33, 0.333, 0.3366, 1 / 3])
def test_last_bars_are_rounded_to_the_beats_that_they_mean(written: float) -> None:
    form = Form((Section("A", 2, last_bar=written),), 3)
    assert form.sections[0].last_bar == 1 / 3
    assert form.sections[0].length == pytest.approx(1 + 1 / 3)


def test_stripes_pair_beats_and_blocks_fill_rectangles() -> None:
    stripes = ssm_from_form(AABA, texture=FLAT)
    assert stripes.shape == (32, 32)
    np.testing.assert_allclose(np.diagonal(stripes[8:16, 0:8]), 0.8, atol=1e-6)
    assert stripes[9, 0] == pytest.approx(0.1)
    blocks = ssm_from_form(AABA, texture=FLAT, layout="blocks")
    np.testing.assert_allclose(blocks[8:16, 0:8], 0.8, atol=1e-6)
    np.testing.assert_allclose(blocks[16:24, 0:8], 0.1, atol=1e-6)
    assert blocks[:8, :8].min() == 1


@given(forms(), st.sampled_from(["stripes", "blocks"]))
def test_form_ssm_is_a_self_similarity_matrix(form: Form, layout: str) -> None:
    ssm = ssm_from_form(form, texture=DEFAULT_TEXTURE, layout=layout)  # type: ignore[arg-type]
    assert ssm.dtype == np.float32
    assert (ssm == ssm.T).all()
    assert (np.diagonal(ssm) == 1).all()
    assert ssm.min() >= 0
    assert ssm.max() <= 1


@pytest.mark.parametrize(
    ("meter", "beats"), [("4/4", 4), ("3/4", 3), ("6/8", 3), ("2/4", 2), ("2/2", 4), ("12/8", 6)]
)
def test_meters_of_whole_quarters(meter: str, beats: int) -> None:
    assert beats_from_meter(meter) == beats
    assert AABA.with_meter(meter).n_beats == 8 * beats
    assert AABA.with_meter(meter).meter == meter


@pytest.mark.parametrize("meter", ["7/8", "0/4", "4/0", "4/3", "99/1", "four", "4/4 ", ""])
def test_other_meters_are_refused(meter: str) -> None:
    with pytest.raises(InputError, match="allowed: bars of 1 to 12 whole quarter notes"):
        beats_from_meter(meter)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sections": ()}, "at least one section"),
        ({"sections": (Section("A", 0),)}, r"sections\[0\].bars = 0, allowed 1 to 128"),
        ({"sections": (Section("A", 1, math.nan),)}, r"sections\[0\].variation = nan"),
        ({"sections": (Section("", 1),)}, r"sections\[0\].label = ''"),
        ({"sections": (Section("A", 2, phrases=(Phrase("a", 1),)),)}, "add up to 1 bars"),
        ({"sections": (Section("A", 2, phrases=(Phrase("a", 3),)),)}, r"phrases\[0\].bars = 3"),
        ({"sections": (Section("A", 128),) * 5}, f"640 bars, allowed 1 to {MAX_BARS}"),
        ({"tempo_bpm": 0.0}, "tempo = 0, allowed 20 to 300"),
        ({"tempo_bpm": math.inf}, "tempo = inf"),
        ({"meter": "3/4"}, "does not have 4 quarter notes"),
        ({"sections": (Section("A", 2, transpose=12),)}, "transpose = 12, allowed -11 to 11"),
        ({"sections": (Section("A", 2, meter="7/8"),)}, r"sections\[0\].meter = '7/8', allowed"),
        ({"sections": (Section("A", 2, tempo_bpm=10),)}, r"sections\[0\].tempo = 10, allowed 20"),
        ({"sections": (Section("A", 2, tempo_bpm=math.nan),)}, r"sections\[0\].tempo = nan"),
        ({"sections": (Section("A", 2, strictness=1.5),)}, "strictness = 1.5, allowed 0 to 1"),
        ({"sections": (Section("A", 2, last_bar=0.0),)}, "last_bar = 0, allowed above 0 to 1"),
        (
            {"sections": (Section("A", 2, last_bar=0.4),)},
            r"sections\[0\].bars = 1.4: the last bar has 1.6 beats, allowed are whole beats: 1.25",
        ),
        ({"similarity": {("A", "C"): 0.5}}, "similarity.A.C: no section is called 'C'"),
        ({"similarity": {("A", "A"): 0.5}}, "the labels are the same"),
        ({"similarity": {("A", "B"): 1.5}}, "similarity.A.B = 1.5, allowed 0 to 1"),
        ({"similarity": {("A", "B"): 0.5, ("B", "A"): 0.4}}, "the other way round it is 0.5"),
    ],
)
def test_impossible_forms_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        dataclasses.replace(AABA, **change)  # type: ignore[arg-type]
