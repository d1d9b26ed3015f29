"""Every bundled preset means what its name says, stated here once more and by other means."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from singcli.preset_library import PresetFile
from singcli.resources import presets_dir
from singcli.structure.form import Form, ssm_from_form, wanted_bar_map
from singcli.structure.texture import DEFAULT_TEXTURE

ASKED_FOR = {  # by issue 3
    "aaba", "aba", "aabb", "abac", "verse-chorus", "verse-chorus-bridge", "pop-full", "strophic",
    "blues-12", "rondo", "ternary", "minuet-trio", "sonata-allegro", "theme-and-variations",
    "through-composed", "lofi-loop", "build-drop", "march", "rag",
}  # fmt: skip


@dataclass(frozen=True)
class Stated:
    """What a preset is.

    Parameters
    ----------
    sections : str
        Label and bars.
    bars : dict of str to str
        What the bars of a label are, one letter a bar, the same letter for the same music; where
        not said, all bars of a section differ. "A.2" is the second section of label A.
    transposed : dict of int to int
        Semitones by section, from 0.
    exact : set of int
        Sections that are note for note the first of their label.
    alike : tuple of str
        Pairs of labels that resemble each other bar by bar.
    silent : set of str
        Labels without the tune.
    meter : str
    """

    sections: str
    bars: Mapping[str, str] = field(default_factory=dict)
    transposed: Mapping[int, int] = field(default_factory=dict)
    exact: frozenset[int] = frozenset()
    alike: tuple[tuple[str, str], ...] = ()
    silent: frozenset[str] = frozenset()
    meter: str = "4/4"


FRAME = frozenset({"intro", "outro"})
FRAME_ALIKE = (("intro", "outro"),)
TWICE = "abcdabef"  # two bars, an answer, the two bars again, a close


def twice(*labels: str) -> dict[str, str]:
    return dict.fromkeys(labels, TWICE)


STATED = {
    "aaba": Stated("A8 A8 B8 A8"),
    "aabb": Stated("A8 A8 B8 B8", {"A.1": "abcdefgh", "A.2": "abcdefgi"}, meter="2/4"),
    "aba": Stated("A8 B8 A8", twice("A", "B")),
    "abac": Stated("A8 B8 A8 C8", twice("A", "B", "C")),
    "arch": Stated("A8 B8 C8 B8 A8", twice("A", "B", "C")),
    "ballad-lift": Stated("A8 A8 B8 A8 B8 A8", twice("A", "B"), transposed={5: 2}),
    "bar-form": Stated(
        "Stollen8 Stollen8 Abgesang8 Stollen8 Stollen8 Abgesang8", twice("Stollen", "Abgesang")
    ),
    "blues-12": Stated(" ".join(["chorus12"] * 3), {"chorus": "abcdabcdefgh"}),
    "build-drop": Stated(
        "intro8 build8 drop8 drop8 breakdown8 build8 drop8 drop8 outro8",
        alike=FRAME_ALIKE,
        silent=FRAME | {"breakdown"},
    ),
    "czardas": Stated("lassu8 lassu8 friss8 friss8 whirl8 whirl8 friss8 friss8"),
    "jig": Stated("A8 A8 B8 B8 A8 A8 B8 B8", meter="6/8"),
    "lofi-loop": Stated(
        "intro4 loop8 loop8 break8 loop8 loop8 outro4", alike=FRAME_ALIKE, silent=FRAME
    ),
    "march": Stated(
        "introduction4 first-strain8 first-strain8 second-strain8 second-strain8 "
        "trio8 trio8 dogfight8 trio8",
        twice("first-strain", "second-strain", "trio"),
        transposed=dict.fromkeys(range(5, 9), 5),
    ),
    "minuet-trio": Stated(
        "minuet-a8 minuet-a8 minuet-b8 minuet-b8 trio-a8 trio-a8 trio-b8 trio-b8 "
        "minuet-a8 minuet-b8",
        transposed=dict.fromkeys(range(4, 8), 5),
        exact=frozenset({8, 9}),
        meter="3/4",
    ),
    "pop-full": Stated(
        "intro4 verse8 pre-chorus4 chorus8 verse8 pre-chorus4 chorus8 bridge8 chorus8 chorus8 "
        "outro4",
        silent=FRAME,
    ),
    "rag": Stated(
        "A8 A8 B8 B8 A8 C8 C8 D8 D8",
        twice("A", "B", "C", "D"),
        transposed=dict.fromkeys(range(5, 9), 5),
    ),
    "rondo": Stated("A8 B8 A8 C8 A8", twice("A", "B", "C")),
    "sonata-allegro": Stated(
        "first-theme8 transition8 second-theme8 development8 development8 "
        "first-theme8 way-home8 second-theme8 coda4",
        twice("first-theme", "second-theme", "development"),
        transposed={2: 7, 4: 2},
    ),
    "strophic": Stated("stanza8 stanza8 stanza8 stanza8", meter="6/8"),
    "ternary": Stated(
        "opening8 answer8 middle8 middle8 opening8 answer8",
        twice("opening", "answer", "middle"),
        exact=frozenset({4, 5}),
    ),
    "theme-and-variations": Stated(" ".join(["theme8"] * 6)),
    "through-composed": Stated("A8 B8 C8 D8 E8 F8", dict.fromkeys("ABCDEF", "aabcaade")),
    "verse-chorus": Stated(
        "intro4 verse8 chorus8 verse8 chorus8 chorus8 outro4", alike=FRAME_ALIKE, silent=FRAME
    ),
    "verse-chorus-bridge": Stated(
        "intro4 verse8 chorus8 verse8 chorus8 bridge8 chorus8 outro4", twice("verse"), silent=FRAME
    ),
    "waltz": Stated(
        "first-waltz8 first-waltz8 second-waltz8 second-waltz8 first-waltz8 coda4", meter="3/4"
    ),
}


def preset_file(name: str) -> Path:
    return presets_dir() / f"{name}.toml"


def read_form(name: str) -> Form:
    return PresetFile(name, preset_file(name), "bundled").read()


def stated_sections(stated: Stated) -> list[tuple[str, int]]:
    return [
        (label, int(bars)) for label, bars in re.findall(r"([A-Za-z-]+?)(\d+)", stated.sections)
    ]


def stated_bars(stated: Stated) -> list[tuple[str, str]]:
    """Label and letter of every bar: bars are the same music where both are equal."""
    bars: list[tuple[str, str]] = []
    seen: dict[str, int] = {}
    for label, n_bars in stated_sections(stated):
        seen[label] = seen.get(label, 0) + 1
        letters = stated.bars.get(f"{label}.{seen[label]}") or stated.bars.get(label)
        letters = letters or "abcdefghijklmnopqrstuvwxyz"[:n_bars]
        assert len(letters) == n_bars
        bars += [(label, letter) for letter in letters]
    return bars


def stated_repeats(stated: Stated) -> np.ndarray:
    """Which bars are to be alike, shape=(n_bars, n_bars), bool."""
    bars = stated_bars(stated)
    both_ways = {*stated.alike, *((b, a) for a, b in stated.alike)}
    return np.array(
        [
            [one == other or ((one[0], other[0]) in both_ways and one[1] == other[1])
             for other in bars]
            for one in bars
        ]
    )  # fmt: skip


def test_the_presets_that_are_asked_for_are_there_and_no_other_goes_unstated() -> None:
    found = {path.stem for path in presets_dir().glob("*.toml")}
    assert found >= ASKED_FOR
    assert found == set(STATED)


@pytest.mark.parametrize("name", STATED)
class TestPreset:
    def test_has_the_sections_transpositions_and_meter_that_are_stated(self, name: str) -> None:
        stated, form = STATED[name], read_form(name)
        assert [(s.label, s.n_bars) for s in form.sections] == stated_sections(stated)
        expected = [stated.transposed.get(index, 0) for index in range(len(form.sections))]
        assert [s.transpose for s in form.sections] == expected
        of_bar = np.repeat(expected, [s.n_bars for s in form.sections])
        np.testing.assert_array_equal(form.bar_transpositions, of_bar)
        assert {s.label for s in form.sections if not s.tune} == stated.silent
        assert form.meter == stated.meter

    def test_wants_those_bars_alike_and_no_others(self, name: str) -> None:
        wanted = wanted_bar_map(read_form(name))
        repeats = stated_repeats(STATED[name])
        np.testing.assert_array_equal(wanted > 0, repeats)
        assert wanted[repeats].min() >= 0.6  # less is no likeness

    def test_its_matrix_has_stripes_there_and_the_texture_elsewhere(self, name: str) -> None:
        form = read_form(name)
        repeats, wanted = stated_repeats(STATED[name]), wanted_bar_map(form)
        bar = np.repeat(np.arange(form.n_bars), np.diff(form.bar_beats))
        beat = np.arange(form.n_beats) - form.bar_beats[bar]
        stripes = repeats[np.ix_(bar, bar)] & np.equal.outer(beat, beat)
        lag = np.abs(np.subtract.outer(np.arange(form.n_beats), np.arange(form.n_beats)))
        texture = DEFAULT_TEXTURE.lag_profile(form.n_beats, form.beats_per_bar)[lag]
        ssm = ssm_from_form(form)
        np.testing.assert_allclose(ssm[stripes], wanted[np.ix_(bar, bar)][stripes], rtol=1e-6)
        np.fill_diagonal(stripes, val=True)
        np.testing.assert_array_equal(ssm[~stripes], texture[~stripes])
        far = stripes & (lag > 0)
        assert (ssm[far] > texture[far] + 0.05).all()

    def test_returns_note_for_note_where_that_is_stated(self, name: str) -> None:
        form, exact = read_form(name), STATED[name].exact
        strict = {i for i, section in enumerate(form.sections) if section.strictness is not None}
        assert strict == exact
        wanted = wanted_bar_map(form)
        for index in exact:
            section, span = form.sections[index], form.section_bars[index]
            first = next(s for s in form.section_bars if s.label == span.label)
            bars = np.arange(span.n_bars)
            assert section.strictness == 1
            assert (wanted[span.start_bar + bars, first.start_bar + bars] == 1).all()

    def test_has_a_length_and_parts_that_one_can_hear(self, name: str) -> None:
        form = read_form(name)
        assert 24 <= form.n_bars <= 96
        assert min(section.n_bars for section in form.sections) >= 4
        assert stated_repeats(STATED[name]).sum() > form.n_bars  # something comes back

    def test_teaches_in_its_header(self, name: str) -> None:
        lines = preset_file(name).read_text(encoding="utf-8").splitlines()
        header = lines[: next(i for i, line in enumerate(lines) if not line.startswith("#"))]
        assert len(header) >= 2
        assert max(map(len, lines)) <= 100
        form = read_form(name)
        assert form.name == name
        assert 10 < len(form.description) <= 80
        assert not form.description.endswith(".")


def test_tempo_and_meter_of_the_czardas_change_with_the_dance() -> None:
    form = read_form("czardas")
    assert form.bar_meters == ["4/4"] * 16 + ["2/4"] * 48
    assert form.tempo_changes == [(0, 69), (16, 132), (32, 152), (48, 168), (56, 184)]


def test_variations_grow_and_the_theme_comes_back_as_it_was() -> None:
    wanted = wanted_bar_map(read_form("theme-and-variations"))
    to_theme = [float(wanted[8 * number, 0]) for number in range(1, 6)]
    assert to_theme[:4] == sorted(to_theme[:4], reverse=True)
    assert len(set(to_theme[:4])) == 4
    assert to_theme[4] == 1
