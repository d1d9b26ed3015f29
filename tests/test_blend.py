"""Blending structures, and the way templates are given with their weights."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from singcli.errors import InputError
from singcli.music.key import Key
from singcli.music.score import regular_bars
from singcli.structure.blend import blend_structures, template_argument
from singcli.structure.form import ssm_from_form
from singcli.structure.form_string import form_from_string
from singcli.structure.section import Span
from singcli.structure.ssm_file import (
    Provenance,
    Structure,
    read_ssm,
    validate_structure,
    write_ssm,
)

ROUNDING = 2e-5  # twice to the nearest of the levels, and float32


def structure(ssm, bar_beats, *, name="x", tempo=100.0, meter="4/4", key=None, licence=""):
    return Structure(
        ssm=np.asarray(ssm, np.float32),
        bar_beats=np.asarray(bar_beats, np.int32),
        beat_s=np.arange(len(ssm)) * 60.0 / tempo,
        sections=(Span("A", 0, len(bar_beats) - 1),),
        tempo_bpm=tempo,
        meter=meter,
        key=key,
        provenance=Provenance("midi", f"{name}.mid", name, licence),
    )


def form_structure(text, **facts):
    form = form_from_string(text)
    return structure(ssm_from_form(form), form.bar_beats, name=text, **facts)


def random_matrix(n, rng):
    below = np.tril(rng.random((n, n)), -1)
    return below + below.T + np.eye(n)


@st.composite
def structures(draw, beats_per_bar=None):
    """Random matrices of 1 to 8 bars, with silent beats and ties."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    bars = draw(st.integers(1, 8))
    length = beats_per_bar or draw(st.integers(1, 5))
    n = bars * length
    values = rng.random((n, n)) ** draw(st.sampled_from([0.5, 1.0, 3.0]))
    values = np.round(values, draw(st.sampled_from([1, 8])))
    ssm = np.tril(values, -1)
    ssm = ssm + ssm.T + np.eye(n)
    silent = rng.random(n) < draw(st.sampled_from([0.0, 0.2, 1.0]))
    ssm[silent] = ssm[:, silent] = 0.0
    tempo = float(rng.uniform(60, 180))
    return structure(ssm, regular_bars(bars, length), name=f"{rng.random()}", tempo=tempo)


weights = st.floats(0.01, 100)


class TestBlend:
    @given(structures(), weights)
    def test_a_blend_of_one_is_itself(self, one, weight):
        blend = blend_structures([(one, weight)], name="one")
        np.testing.assert_allclose(blend.ssm, one.ssm, atol=ROUNDING)
        np.testing.assert_array_equal(blend.bar_beats, one.bar_beats)
        np.testing.assert_allclose(blend.beat_s, one.beat_s)

    @given(st.lists(st.tuples(structures(), weights), min_size=1, max_size=4))
    def test_a_blend_is_a_valid_structure_whatever_its_parts(self, parts):
        blend = blend_structures(parts, name="some")
        validate_structure(blend)
        np.testing.assert_array_equal(blend.ssm, blend.ssm.T)
        assert blend.n_bars == max(part.n_bars for part, _ in parts)
        diagonal = np.diagonal(blend.ssm)
        assert set(diagonal) <= {0.0, 1.0}
        silent = diagonal == 0
        assert not blend.ssm[silent].any()

    @given(st.lists(st.tuples(structures(), weights), min_size=2, max_size=4), st.randoms())
    def test_the_order_of_the_parts_does_not_matter(self, parts, random):
        other = list(parts)
        random.shuffle(other)
        one, two = (blend_structures(order, name="x") for order in (parts, other))
        np.testing.assert_array_equal(one.ssm, two.ssm)
        np.testing.assert_array_equal(one.bar_beats, two.bar_beats)
        assert one.tempo_bpm == two.tempo_bpm
        assert one.provenance.sha256 == two.provenance.sha256

    @given(structures(beats_per_bar=4), structures(beats_per_bar=4), weights, weights)
    def test_only_the_relation_of_the_weights_counts(self, one, two, weight, other):
        blends = [
            blend_structures([(one, weight * k), (two, other * k)], name="x") for k in (1, 7.5)
        ]
        np.testing.assert_allclose(blends[0].ssm, blends[1].ssm, atol=ROUNDING)

    def test_repeats_of_both_come_out_in_the_order_of_their_weights(self):
        # the first one repeats bar 1 in bar 3, the second one in bar 4, both bar 2 in bar 5
        one, two = form_structure("A1 B1 A1:0 C1 B1:0"), form_structure("A1 B1 C1 A1:0 B1:0")
        for weight, other in ((3, 1), (1, 3)):
            ssm = blend_structures([(one, weight), (two, other)], name="x").ssm
            of_one, of_two, of_both, of_neither = ssm[8, 0], ssm[12, 0], ssm[16, 4], ssm[8, 4]
            assert (of_one > of_two) == (weight > other)
            assert of_both >= max(of_one, of_two)
            assert min(of_one, of_two) > of_neither

    def test_a_blend_is_as_sharp_as_its_parts(self):
        rng = np.random.default_rng(0)
        below, bars = np.tril_indices(64, -1), regular_bars(16, 4)
        parts = [(structure(random_matrix(64, rng) ** n, bars, name=f"{n}"), n) for n in (1, 3)]
        blend = blend_structures(parts, name="x").ssm
        ours, first, second = (np.sort(m[below]) for m in (blend, *(p.ssm for p, _ in parts)))
        np.testing.assert_allclose(ours, (first + 3 * second) / 4, atol=0.01)

    def test_a_dull_part_counts_as_much_as_a_sharp_one(self):
        rng = np.random.default_rng(0)
        sharp, other = random_matrix(64, rng), random_matrix(64, rng)
        dull = 0.5 + 0.02 * (other - 0.5)
        np.fill_diagonal(dull, 1.0)
        bars = regular_bars(16, 4)
        blend = blend_structures(
            [(structure(sharp, bars, name="s"), 1), (structure(dull, bars, name="d"), 1)], name="x"
        )
        below = np.tril_indices(64, -1)
        r = [np.corrcoef(blend.ssm[below], m[below])[0, 1] for m in (sharp, dull)]
        assert r[0] == pytest.approx(r[1], abs=0.05)
        assert min(r) > 0.6

    def test_behind_the_end_of_a_shorter_part_the_others_decide(self):
        long, short = form_structure("A2 B2 A2:0 C2"), form_structure("A2 A2:0")
        with_short = blend_structures([(long, 1), (short, 1)], name="x").ssm
        alone = blend_structures([(long, 1)], name="x").ssm
        assert with_short.shape == (32, 32)
        later = [m[16:, :16].ravel() for m in (with_short, alone)]
        assert np.corrcoef(later)[0, 1] > 0.9  # not 1: the texture at a distance is another
        assert with_short[8, 0] > alone[8, 0]  # inside, the short one repeats bar 1 in bar 3

    def test_bars_are_aligned_and_beats_inside_them_as_far_as_both_reach(self):
        four = np.eye(12)
        four[3, 11] = four[11, 3] = 0.5  # the fourth beats of bars 1 and 3
        four[4, 8] = four[8, 4] = 1.0  # the first beats of bars 2 and 3
        fours = structure(four, regular_bars(3, 4), name="four")
        for n_bars in (3, 4):
            ssm, bars = np.eye(3 * n_bars), regular_bars(n_bars, 3)
            threes = structure(ssm, bars, name="three", meter="3/4")
            blend = blend_structures([(threes, 1), (fours, 1)], name="x")
            below = np.tril(blend.ssm, -1)
            alike = {(int(i), int(j)) for i, j in np.argwhere(below > 0.2)}
            if n_bars == 4:  # most bars decide
                assert (blend.meter, blend.n_beats, alike) == ("3/4", 12, {(6, 3)})
            else:  # of as many, most beats; about fourth beats only one part says anything
                assert (blend.meter, blend.n_beats) == ("4/4", 12)
                assert alike == {(8, 4), (11, 3)}

    def test_a_part_has_no_say_about_its_silence(self):
        loud = form_structure("A2 A2:0")
        quiet = np.array(loud.ssm)
        quiet[:8] = quiet[:, :8] = 0.0
        blend = blend_structures(
            [(loud, 1), (structure(quiet, loud.bar_beats, name="quiet"), 5)], name="x"
        )
        assert (np.diagonal(blend.ssm) == 1).all()
        assert blend.ssm[8, 0] > 0.5
        both = structure(quiet, loud.bar_beats, name="quiet")
        still = blend_structures([(both, 1), (both, 2)], name="x").ssm
        assert not still[:8].any()

    def test_tempo_and_key_are_of_the_heaviest_bars_of_the_longest(self):
        long = form_structure("A4 B4", tempo=80.0, key=Key.parse("D minor"))
        short = form_structure("A2 A2", tempo=120.0, key=Key.parse("F major"))
        blend = blend_structures([(long, 0.4), (short, 0.6)], name="x")
        assert (blend.n_bars, blend.tempo_bpm, str(blend.key)) == (8, 120.0, "F major")
        assert blend.beat_s[1] == 0.5

    def test_sections_are_found_anew(self):
        texts = ("A8 B8 C8 A8:0 C8:0", "A8 B8 C8 A8:0.1 C8:0.1")
        parts = [(form_structure(text), 1) for text in texts]
        blend = blend_structures(parts, name="x")
        assert [span.label for span in blend.sections] == list("ABCAC")
        assert [span.n_bars for span in blend.sections] == [8] * 5

    def test_provenance_names_all_parts_and_is_kept_in_the_file(self, tmp_path):
        one = form_structure("A4 B4", licence="MIT")
        two = form_structure("A2 A2", licence="CC0")
        blend = blend_structures([(one, 3), (two, 1)], name="one-two")
        write_ssm(blend, tmp_path / "x.npz")
        provenance = read_ssm(tmp_path / "x.npz").provenance
        assert (provenance.kind, provenance.name) == ("blend", "one-two")
        assert provenance.licence == "MIT\n\nCC0"
        rows = provenance.settings["parts"]
        assert [(row["name"], row["weight"]) for row in rows] == [
            ("A4 B4.mid", 0.75),
            ("A2 A2.mid", 0.25),
        ]

    @pytest.mark.parametrize("weight", [0.0, -1.0, float("nan"), float("inf")])
    def test_impossible_weights(self, weight):
        with pytest.raises(InputError, match=r"A4\.mid.*weight.*above 0"):
            blend_structures([(form_structure("A4"), weight)], name="x")

    def test_nothing_to_blend(self):
        with pytest.raises(InputError, match="no template"):
            blend_structures([], name="x")


class TestTemplateArgument:
    @pytest.mark.parametrize(
        ("text", "path", "weight"),
        [
            ("a.mid", "a.mid", 1.0),
            ("a.mid:0.6", "a.mid", 0.6),
            ("a.mid:2", "a.mid", 2.0),
            ("a.mid:.5", "a.mid", 0.5),
            (r"C:\songs\a.mid", r"C:\songs\a.mid", 1.0),
            (r"C:\songs\a.mid:0.6", r"C:\songs\a.mid", 0.6),
            ("C:/songs/a.mid:3", "C:/songs/a.mid", 3.0),
            ("C:a.mid", "C:a.mid", 1.0),
            ("take:2.mid", "take:2.mid", 1.0),
            ("take:2.mid:0.6", "take:2.mid", 0.6),
            ("dir:1/a", "dir:1/a", 1.0),
            ("C:song", "C:song", 1.0),
        ],
    )
    def test_path_and_weight(self, text, path, weight):
        found, of = template_argument(text)
        assert (str(found), of) == (path, weight)

    def test_a_file_of_exactly_that_name_is_meant(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "take:2").touch()
        assert str(template_argument("take:2")[0]) == "take:2"
        assert template_argument("other:2")[1] == 2.0

    @pytest.mark.parametrize("weight", ["", "0", "0.0", "-1", "nan", "inf", "half", "0,6", "60%"])
    def test_what_is_no_weight(self, weight):
        with pytest.raises(InputError, match=r"above 0, such as 0\.6"):
            template_argument(f"a.mid:{weight}")

    @pytest.mark.parametrize("text", ["", ":0.6", ":"])
    def test_no_file(self, text):
        with pytest.raises(InputError, match=r"no file") as caught:
            template_argument(text)
        assert caught.value.remedy == "write FILE or FILE:WEIGHT"
