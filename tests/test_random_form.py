"""Random forms: exact lengths, seeds, what they are made of, and whether they are like songs."""

import importlib
import tomllib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from singcli.dataset import SectionSpan, Song
from singcli.errors import InputError
from singcli.structure.form import repeats_of_form, wanted_bar_map
from singcli.structure.form_statistics import (
    END,
    LONGEST,
    ORDER,
    SHORTEST,
    START,
    THEMES,
    FormStatistics,
    bundled_statistics,
)
from singcli.structure.part_chain import PartChain, drawn_index, drawn_key
from singcli.structure.preset import form_from_toml, write_preset
from singcli.structure.random_form import (
    labelled_parts,
    random_form,
    sections_from_parts,
    share_of_returns,
)
from singcli.structure.section import MAX_BARS

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
KINDS = ["intro", "A", "once", "link", "A", "B", "link", "bridge", "once"]
GOLDEN = "A8 B9 bridge6 bridge5 A8 A8 B8 B9 outro3"  # random_form(64, 7)


def text(form):
    return " ".join(f"{section.label}{section.n_bars}" for section in form.sections)


class TestRandomForm:
    @pytest.mark.parametrize("n_bars", [*range(4, 49), 64, 97, 128, 200, 333, 512])
    def test_has_exactly_the_bars_asked_for(self, n_bars):
        form = random_form(n_bars, n_bars)
        assert form.n_bars == n_bars
        assert all(SHORTEST <= s.n_bars <= LONGEST for s in form.sections)
        assert any(section.tune for section in form.sections)

    @given(st.integers(16, 100), st.integers(0, 2**63))
    def test_something_sung_comes_back(self, n_bars, seed):
        form = random_form(n_bars, seed)
        labels = Counter(section.label for section in form.sections if section.tune)
        assert max(labels.values()) > 1
        assert repeats_of_form(form)

    @given(st.integers(4, 80), st.integers(0, 2**63))
    def test_the_same_seed_gives_the_same_form(self, n_bars, seed):
        assert random_form(n_bars, seed) == random_form(n_bars, seed)

    def test_other_seeds_give_other_forms(self):
        assert len({text(random_form(64, seed)) for seed in range(20)}) > 17

    def test_a_form_that_never_changes(self):
        form = random_form(64, 7)
        assert text(form) == GOLDEN
        assert form.name == "random-64-7"
        assert form.description.endswith(text(form))

    @pytest.mark.parametrize("seed", range(40))
    def test_tunes_are_in_the_sung_parts_only(self, seed):
        form = random_form(80, seed)
        for section in form.sections:
            assert section.tune == section.label[0].isupper(), section.label
        letters = [s.label for s in form.sections if s.tune]
        first = list(dict.fromkeys(letters))
        assert first == [chr(ord("A") + n) for n in range(len(first))]
        frame = {"intro": 0, "outro": len(form.sections) - 1}
        assert all(frame.get(s.label, n) == n for n, s in enumerate(form.sections))
        assert Counter(s.label for s in form.sections)["link"] <= 1

    @pytest.mark.parametrize("seed", range(30))
    def test_a_preset_written_from_it_reads_back_equal(self, seed, tmp_path):
        form = random_form(90, seed)
        write_preset(form, tmp_path / "x.toml")
        content = (tmp_path / "x.toml").read_bytes()
        assert form_from_toml(content, source="x.toml", name="x") == form

    def test_meters(self):
        form = random_form(32, 1, meter="3/4")
        assert (form.meter, form.beats_per_bar, form.n_beats) == ("3/4", 3, 96)
        assert text(form) == text(random_form(32, 1))
        with pytest.raises(InputError, match="meter"):
            random_form(32, 1, meter="five")

    @pytest.mark.parametrize("n_bars", [-1, 0, 3, MAX_BARS + 1])
    def test_impossible_lengths(self, n_bars):
        with pytest.raises(InputError, match=rf"bars = {n_bars}, allowed.*4 to 512"):
            random_form(n_bars, 0)

    def test_impossible_seeds(self):
        with pytest.raises(InputError, match="seed = -1"):
            random_form(64, -1)


class TestSections:
    def sections(self, parts, seed=0):
        return sections_from_parts(parts, bundled_statistics(), np.random.default_rng(seed))

    def test_labels(self):
        parts = [(kind, 4) for kind in KINDS]
        labels = [label for label, _ in labelled_parts(parts)]
        assert labels == ["intro", "A", "B", "link", "A", "C", "link-b", "bridge", "D"]

    def test_more_than_an_alphabet(self):
        labels = [label for label, _ in labelled_parts([("once", 4)] * 60)]
        assert labels[25:28] == ["Z", "A-A", "A-B"]
        assert len(set(labels)) == 60

    @pytest.mark.parametrize("seed", range(20))
    def test_a_longer_return_goes_on_with_a_phrase_of_its_own(self, seed):
        theme, longer, shorter = self.sections([("A", 8), ("A", 11), ("A", 6)], seed)
        if theme.phrases:
            assert sum(p.n_bars for p in longer.phrases) == 11
            assert longer.phrases[:-1] == theme.phrases
            assert longer.phrases[-1].label not in {p.label for p in theme.phrases}
        assert shorter.phrases == ()

    def test_returns_vary_as_people_vary_them(self):
        found = []
        for seed in range(300):
            found += [s.variation for s in self.sections([("A", 8)] * 4, seed)[1:]]
        median = bundled_statistics().variations["theme"][5]
        assert np.median(found) == pytest.approx(median, abs=0.02)
        pairs = np.array(found).reshape(-1, 3)
        assert np.corrcoef(pairs[:, 0], pairs[:, 1])[0, 1] == pytest.approx(0.4, abs=0.12)

    def test_phrases_repeat_inside_a_theme_as_often_as_in_songs(self):
        counts = bundled_statistics().phrases[8]
        through = counts["abcd"] / sum(counts.values())
        found = [self.sections([("A", 8)], seed)[0].phrases == () for seed in range(500)]
        assert np.mean(found) == pytest.approx(through, abs=0.07)

    def test_share_of_returns(self):
        assert share_of_returns([("A", 8), ("B", 4), ("A", 4)]) == 0.25
        assert share_of_returns([("A", 8)]) == 0


class TestChain:
    def chain(self, following, **changes):
        table = {
            "lengths": {"A": {4: 1}, "bridge": {4: 1}, "outro": {2: 1, 3: 1}},
            "theme_lengths": {4: {8: 1}},
            "repeat_lengths": {4: {5: 9}},
            "following": following,
        }
        empty = FormStatistics("", {}, {}, {}, {}, {}, 0.0, (), (), {}, ())
        fields = {name: getattr(empty, name) for name in empty.__slots__} | table | changes
        return PartChain.from_statistics(FormStatistics(**fields))

    def songs(self, chain, n_bars):
        rngs = (np.random.default_rng(seed) for seed in range(200))
        found = [song for rng in rngs for song in chain.samples(n_bars, 1, rng)]
        return Counter(map(tuple, found))

    def test_samples_are_those_of_the_chain_given_the_length(self):
        start = (START,) * ORDER
        chain = self.chain(
            {
                start: {"A": 1},
                (START, START, "A"): {"A": 1, "outro": 3},
                (START, "A", "A"): {"outro": 1},
                (START, "A", "outro"): {END: 1},
                ("A", "A", "outro"): {END: 1},
            }
        )
        assert set(self.songs(chain, 6)) == {(("A", 4), ("outro", 2))}
        assert set(self.songs(chain, 5)) == set()
        # the return has 4 bars once for every 9 times that it has 5
        assert set(self.songs(chain, 10)) == {(("A", 4), ("A", 4), ("outro", 2))}
        songs = self.songs(chain, 11)
        four, five = (songs[("A", 4), ("A", n), ("outro", 7 - n)] for n in (4, 5))
        assert five / (four + five) == pytest.approx(0.9, abs=0.07)

    def test_a_theme_waits_for_those_before_it(self):
        chain = PartChain.from_statistics(bundled_statistics())
        for seed in range(30):
            for parts in chain.samples(80, 3, np.random.default_rng(seed)):
                themes = list(dict.fromkeys(kind for kind, _ in parts if kind in THEMES))
                assert themes == list(THEMES[: len(themes)])
                assert sum(bars for _, bars in parts) == 80

    def test_chances_add_up(self):
        chain = PartChain.from_statistics(bundled_statistics())
        total = chain.end + np.bincount(chain.source, chain.chance, len(chain.end))
        np.testing.assert_allclose(total, 1.0)
        assert (np.diff(chain.source) >= 0).all()

    def test_drawing(self):
        rng = np.random.default_rng(0)
        found = Counter(drawn_index(np.array([0.0, 1.0, 3.0, 0.0]), rng) for _ in range(2000))
        assert set(found) == {1, 2}
        assert found[2] / 2000 == pytest.approx(0.75, abs=0.03)
        assert drawn_key({"a": 0, "b": 5}, rng) == "b"


class TestStatistics:
    def test_text_reads_back_equal(self):
        statistics = bundled_statistics()
        content = statistics.to_toml()
        assert FormStatistics.from_toml(content.encode()) == statistics
        source = tomllib.loads(content)["source"]
        assert source.startswith("POP909, 625 labelled training songs (MIT")

    def test_quantiles_rise(self):
        statistics = bundled_statistics()
        rows = [*statistics.variations.values(), statistics.phrase_variations]
        for row in [*rows, statistics.return_shares, statistics.mean_bars]:
            assert (np.diff(row) >= 0).all()


class TestMeasuring:
    @pytest.fixture
    def script(self, monkeypatch):
        monkeypatch.syspath_prepend(str(BENCHMARKS))
        return importlib.import_module("form_statistics")

    @pytest.fixture
    def song(self, aaba_score):
        spans = [("i", 0, 1, False), ("a", 1, 2, True), ("a", 3, 2, True), ("x", 5, 1, True)]
        spans.append(("b", 6, 2, True))
        return Song("x", "train", aaba_score, tuple(SectionSpan(*span) for span in spans))

    def test_single_bars_join_the_part_before(self, script, song):
        parts = script.lengths_of_parts(song.sections)
        assert parts == [("intro", 2), ("A", 2), ("A", 3), ("B", 2)]

    def test_counts(self, script, song):
        parts = [script.lengths_of_parts(song.sections)] * 2
        following = script.counts_of_followers(parts)
        assert following[START, START, START] == {"intro": 2}
        assert following["A", "A", "B"] == {END: 2}
        lengths, theme_lengths, repeat_lengths = script.counts_of_lengths(parts)
        assert lengths == {"A": {2: 2}, "intro": {2: 2}}
        assert theme_lengths == {2: {2: 2}}
        assert repeat_lengths == {2: {3: 2}}

    def test_variations_and_phrases_come_from_the_notes(self, script, song):
        spans = (SectionSpan("a", 0, 4, True), SectionSpan("a", 4, 4, True))
        halves = Song("x", "train", song.score, spans)  # bars 5 and 6 are the contrast
        assert script.variations_of_returns([halves])["theme"] == [[pytest.approx(0.2, abs=0.05)]]
        phrases, variations = script.phrases_of_themes([halves])
        assert phrases == {4: {"aaaa": 1, "aabb": 1}}  # neighbours share their accompaniment
        assert len(variations) == 5
        assert all(0 <= variation < 0.28 for variation in variations)

    def test_quarters_that_repeat(self, script):
        overlap = np.zeros((9, 9), np.float32)
        overlap[5, 1] = overlap[6, 2] = 0.5  # third quarter, the first
        pattern, variations = script.repeats_of_quarters(SectionSpan("a", 1, 8, True), overlap)
        assert pattern == "abac"
        assert variations == [pytest.approx(0.2)]

    def test_intraclass_correlation(self, script):
        rng = np.random.default_rng(0)
        alike = [list(rng.normal() + 0.01 * rng.normal(size=3)) for _ in range(200)]
        assert script.intraclass_correlation(alike) == pytest.approx(1, abs=0.01)
        assert abs(script.intraclass_correlation(rng.normal(size=(200, 3)).tolist())) < 0.1

    def test_distance_of_distributions(self, script):
        one = np.arange(100.0)
        assert script.ks_distance(one, one) == 0
        assert script.ks_distance(one, one + 50) == 0.5
        assert script.ks_of_chance(100, 100) == pytest.approx(0.192, abs=0.001)


def test_random_forms_are_built_like_songs():
    """The middle of the figures of POP909's training songs (docs/results.md)."""
    forms = [random_form(80, seed) for seed in range(40)]
    sections = [len(form.sections) for form in forms]
    labels = [len({s.label for s in form.sections}) for form in forms]
    fours = [np.mean([s.n_bars % 4 == 0 for s in form.sections]) for form in forms]
    returns = [share_of_returns([(s.label, s.n_bars) for s in form.sections]) for form in forms]
    assert np.mean(sections) == pytest.approx(12.5, abs=2)
    assert np.mean(labels) == pytest.approx(6, abs=1)
    assert np.mean(fours) == pytest.approx(0.72, abs=0.08)
    assert np.mean(returns) == pytest.approx(0.53, abs=0.06)
    assert all(np.tril(wanted_bar_map(form), -1).any() for form in forms)
