"""The benchmarks of structure: presets, dial, templates, growth, and what they share."""

import dataclasses
import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from singcli.dataset import SectionSpan, Song
from singcli.errors import InputError
from singcli.metrics.guards import measure_guards
from singcli.metrics.report import measure_structure
from singcli.metrics.structure import bar_overlap_map
from singcli.model.plan import Plan, SamplingOptions
from singcli.music.key import Key
from singcli.music.midi_writing import midi_from_score
from singcli.music.score import LEAD, Score, regular_bars
from singcli.recipe import Recipe, UsedFile, write_recipe
from singcli.structure.alignment import repeat_map_from_ssm
from singcli.structure.form import Form
from singcli.structure.section import Section
from singcli.structure.ssm import ssm_from_score

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"
AABA = Form((Section("A", 8), Section("A", 8), Section("B", 8), Section("A", 8)), name="aaba")


@pytest.fixture
def load(monkeypatch):
    """Import a script by its name."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module


def song_score(bars):
    """One quarter note on every beat; `bars` gives the four pitches of each bar, 0 for a rest."""
    pitch = np.array(bars).ravel()
    ones = np.ones(len(pitch), int)
    return Score.from_notes(
        np.arange(len(pitch)) * 4,
        ones * LEAD,
        pitch,
        ones * 4,
        ones * 80,
        bar_beats=regular_bars(len(bars), 4),
        tempo_bpm=100.0,
        key=Key(0, "major"),
    )


def aaba_bars():
    a = [[48 + bar, 56 + bar, 64 + bar, 72 + bar] for bar in range(8)]
    b = [[90 - bar, 50 + bar, 91 - bar, 60 + bar] for bar in range(8)]
    return [*a, *a, *b, *a]


def random_bars(seed, n_bars=16):
    return np.random.default_rng(seed).integers(50, 80, (n_bars, 4)).tolist()


class TestMachine:
    def test_verdict_at_and_below_the_floor(self, load):
        verdict = load("_machine").floor_verdict
        assert verdict("r", 0.75, 0.75) == "reached: r 0.75, wanted at least 0.75"
        assert verdict("r", 0.7, 0.75).startswith("MISSED")


class TestIntervals:
    def test_of_equal_values_is_a_point(self, load):
        assert load("_intervals").mean_interval([0.5] * 4) == (0.5, 0.5, 0.5)

    def test_is_as_wide_as_the_normal_one_on_many_values(self, load):
        values = np.random.default_rng(0).normal(3.0, 2.0, 400)
        mean, low, high = load("_intervals").mean_interval(values.tolist())
        assert mean == pytest.approx(values.mean())
        assert (high - low) / 2 == pytest.approx(1.96 * values.std() / 20, rel=0.05)

    def test_groups_are_not_drawn_anew(self, load):
        interval = load("_intervals").grouped_interval([[0.0, 0.0], [1.0, 1.0, 1.0]])
        assert interval == (0.5, 0.5, 0.5)

    def test_ratio_of_pairs(self, load):
        ratio = load("_intervals").ratio_interval
        assert ratio([2.0, 4.0, 6.0], [1.0, 2.0, 3.0]) == (2.0, 2.0, 2.0)
        assert ratio([1.0, 2.0], [0.0, 0.0]) is None


class TestSampling:
    def test_songs_come_back_in_the_order_of_their_plans(self, load, monkeypatch):
        sampling = load("_sampling")
        batches = []

        def sample_scores(_runtime, plans, seeds, _options):
            batches.append([len(plan.ssm) for plan in plans])
            return [(len(plan.ssm), seed) for plan, seed in zip(plans, seeds, strict=True)]

        monkeypatch.setattr(sampling, "sample_scores", sample_scores)
        lengths = [8, 4, 12, 4]
        plans = [Plan(np.zeros((n, n), "f4"), regular_bars(n // 4, 4), "none") for n in lengths]
        options = SamplingOptions(candidates=sampling.ROWS_AT_ONCE // 2)
        songs = sampling.sample_in_batches(None, plans, [5, 6, 7, 8], options)
        assert songs == [(8, 5), (4, 6), (12, 7), (4, 8)]
        assert batches == [[4, 4], [8, 12]]


class TestChosenPresets:
    def test_are_all_bundled_ones_unless_some_are_named(self, load):
        chosen = load("_presets").chosen_presets
        everything = chosen([])
        assert {"aaba", "rondo"} < set(everything)
        assert list(chosen(["rondo", "aaba"])) == ["rondo", "aaba"]
        path, form = everything["aaba"]
        assert Path(path).is_file()
        assert form.n_bars == 32
        assert list(chosen([path])) == ["aaba"]

    def test_a_users_preset_of_the_same_name_is_another_one(self, load, tmp_path, monkeypatch):
        monkeypatch.setenv("SINGCLI_PRESETS", str(tmp_path))
        (tmp_path / "aaba.toml").write_text('sections = [{ label = "A", bars = 3 }]\n')
        assert load("_presets").chosen_presets(["aaba"])["aaba"][1].n_bars == 32

    def test_an_unknown_name_ends_in_the_usual_message(self, load):
        with pytest.raises(InputError, match="no preset is called 'abaa'"):
            load("_presets").chosen_presets(["abaa"])

    def test_repeats_are_paired_with_the_first_of_their_label(self, load):
        form = Form((Section("A", 2), Section("B", 1), Section("A", 3), Section("A", 1)))
        pairs = load("_presets").repeated_bars(form).tolist()
        assert pairs == [[3, 0], [4, 1], [6, 0]]

    def test_r_is_not_defined_without_contrast(self, load):
        asks = load("_presets").asks_for_repeats
        assert asks(AABA)
        assert not asks(Form((Section("A", 8), Section("B", 8))))
        assert not asks(Form((Section("A", 1), Section("A", 1))))


class TestPresets:
    @pytest.fixture
    def made(self, load, monkeypatch):
        """A song of AABA as the command line would have written it."""
        script = load("presets")
        score = song_score(aaba_bars())

        def generate(preset, seeds, folder, options):
            paths = [folder / f"{seed}.mid" for seed in seeds]
            for path in paths:
                path.write_bytes(midi_from_score(score))
                report = measure_structure(score, AABA, strictness=0.25)
                recipe = Recipe(UsedFile("m.onnx", ""), 1, {}, structure=report.to_dict())
                write_recipe(path.with_suffix(".json"), recipe)
            assert (preset, options) == ("aaba.toml", ["--key", "D"])
            return paths

        monkeypatch.setattr(script, "generate", generate)
        return script.make_songs("aaba.toml", range(1, 3), ["--key", "D"])

    def test_figures_are_those_of_the_recipes(self, load, made):
        figures = load("presets").figures(AABA, made.reports)
        assert figures["same_label"] == [1.0, 1.0]
        assert figures["r_bars"][0] > 0.9
        assert figures["dial"] == pytest.approx([0.75, 0.75])
        assert made.first.n_bars == 32

    def test_r_is_left_out_where_nothing_is_to_repeat(self, load, made):
        form = Form((Section("A", 16), Section("B", 16)))
        assert load("presets").figures(form, made.reports)["r_bars"] == []

    def test_table_ends_with_the_mean_and_the_worst(self, load):
        script = load("presets")
        low = dict.fromkeys(script.FIGURES, (0.5, 0.7)) | {"dial": [-0.3]}
        high = dict.fromkeys(script.FIGURES, (0.9,)) | {"dial": [0.1], "r_bars": []}
        rows = script.table({"one": low, "two": high}, 2)
        assert [row[0] for row in rows] == ["one", "two", "mean", "worst preset"]
        assert rows[2][2:] == pytest.approx([0.6, 0.75, 0.75, 0.75, 0.75, -0.1])
        assert rows[3][2:] == pytest.approx([0.6, 0.6, 0.9, 0.6, 0.6, -0.3])

    def test_verdicts_weigh_presets_equally_and_name_the_worst(self, load):
        script = load("presets")
        good = dict.fromkeys(script.FIGURES, (0.95, 0.95))
        bad = dict.fromkeys(script.FIGURES, (0.7,))
        lines = script.verdicts({"good": good, "bad": bad, "free": good | {"r_bars": []}})
        assert lines[0].startswith("MISSED: mean r over 2 presets 0.825, wanted at least 0.85")
        assert lines[1].startswith("MISSED: r of the worst preset, bad, 0.7")
        assert lines[2].startswith("MISSED: mean F of labels 0.867")
        assert lines[-1].endswith("asks for no repeat: free")
        assert all(line.startswith("reached") for line in script.verdicts({"good": good}))

    def test_comparisons_of_the_analyser(self, load):
        script = load("presets")
        spans = AABA.section_bars
        assert script.analyser_scores(spans, spans, 32) == [1.0, 1.0]
        assert script.scores_of_plan(AABA) == [1.0, 1.0]
        boundaries, labels = script.scores_of_regular_cut(AABA)
        assert boundaries == 1.0
        assert labels < 0.8
        human = tuple(SectionSpan(s.label.lower(), s.start_bar, s.n_bars, True) for s in spans)
        song = Song("x", "validation", song_score(aaba_bars()), human)
        boundaries, labels = script.scores_of_song(song)
        assert boundaries > 0.6  # of so bare a piece
        assert labels == 1.0

    def test_the_songs_of_another_preset_are_chance(self, load, made):
        script = load("presets")
        other = dataclasses.replace(AABA, sections=(Section("A", 16), Section("A", 16)))
        row = script.chance_row({"aaba": AABA, "aa": other}, {"aaba": made, "aa": made})
        assert row[1] == 2
        assert script.chance_row({"aaba": AABA}, {"aaba": made})[1] == 0


class TestDial:
    def test_full_repeats_take_all_of_the_strictness(self, load):
        sections = (
            Section("A", 2),
            Section("A", 2, variation=0.3),
            Section("A", 2),
            Section("B", 2),
        )
        assert load("dial").full_repeats(Form(sections)).tolist() == [[4, 0], [5, 1]]

    def test_pairs_of_silent_bars_are_left_out(self, load):
        a, b, rest = [60, 62, 64, 65], [60, 62, 70, 71], [0] * 4
        score = song_score([a, rest, b, rest, a, a])
        pairs = np.array([[2, 0], [3, 1], [4, 0], [5, 1]])
        assert load("dial").pair_overlaps(score, pairs).tolist() == pytest.approx([1 / 3, 1, 0])

    def test_sections_lose_a_strictness_of_their_own(self, load):
        form = Form((Section("A", 2), Section("A", 2, strictness=1.0)))
        free = load("dial").without_own_strictness(form)
        assert [section.strictness for section in free.sections] == [None, None]

    def test_measures_every_form_at_every_strictness(self, load, monkeypatch):
        script = load("dial")
        asked = []

        def sample_forms(runtime, forms, seeds, strictness):
            asked.append((runtime, list(seeds), strictness))
            return [[song_score(aaba_bars())] * len(seeds) for _ in forms]

        monkeypatch.setattr(script, "sample_forms", sample_forms)
        overlaps, floor = script.measure("runtime", {"aaba": AABA}, range(2), [0.0, 1.0])
        assert asked == [("runtime", [0, 1], 0.0), ("runtime", [0, 1], 1.0)]
        assert overlaps == {"aaba": [[1.0, 1.0], [1.0, 1.0]]}
        assert floor[0] < 0.1

    def test_verdicts_and_table(self, load):
        script = load("dial")
        strictness = [0.0, 0.5, 1.0]
        overlaps = {"one": [[0.0, 0.1], [0.5], [1.0]], "two": [[0.2], [0.1], [0.95]]}
        rows = script.table(overlaps, [0.02, 0.03, 0.04], strictness)
        assert rows[0] == ["one", 0.05, 0.5, 1.0, 0.05, 0]
        assert rows[1][-2:] == pytest.approx([-0.4, 0.1])
        assert rows[2][1:] == pytest.approx([0.125, 0.3, 0.975, -0.2, 0.0])
        assert rows[3] == ["different labels", 0.02, 0.03, 0.04, None, None]
        lines = script.verdicts(overlaps, strictness)
        assert lines[0] == "MISSED: largest deviation (two at 0.5) 0.4, allowed 0.08"
        assert lines[1].startswith("4 of 6 cells within 0.08")
        assert lines[2] == "MISSED: falls in two"
        assert lines[3].endswith("note-identical: 50%")
        good = script.verdicts({"one": [[0.01], [0.45], [1.0]]}, strictness)
        assert [line.split(":")[0] for line in good[::2]] == ["reached", "reached"]


def plan_from_score(score, kind="music"):
    return Plan(ssm=ssm_from_score(score), bar_beats=score.bar_beats, kind=kind)


class TestFourWay:
    def test_ways_differ_in_the_matrix_alone(self, load):
        four_way = load("_four_way")
        scores = [song_score(random_bars(seed)) for seed in range(3)]
        plans = [plan_from_score(score) for score in scores]
        plans[0] = dataclasses.replace(plans[0], mode="minor")
        calls = []

        def sample(plans, seeds, options):
            calls.append((list(plans), list(seeds), options))
            return [f"{len(calls)} {seed}" for seed in seeds]

        options = SamplingOptions(candidates=4, steering=0.9, temperature=0.9)
        songs = four_way.four_way(sample, plans, [7, 8, 9], options)
        assert list(songs) == list(four_way.WAYS)
        assert songs["shuffled"] == ["3 7", "3 8", "3 9"]
        wanted, none, disorder, foreign = calls
        assert wanted == (plans, [7, 8, 9], options)
        assert {plan.kind for plan in none[0]} == {"none"}
        assert none[2] == SamplingOptions(temperature=0.9, steering=0.0)
        for plan, other in zip(plans, disorder[0], strict=True):
            assert not np.array_equal(plan.ssm, other.ssm)
            np.testing.assert_array_equal(
                np.sort(plan.ssm, axis=None), np.sort(other.ssm, axis=None)
            )
        assert [plan.mode for plan in foreign[0]] == ["minor", "major", "major"]
        assert foreign[0][2].ssm is plans[0].ssm
        assert [call[1] for call in calls] == [[7, 8, 9]] * 4
        assert disorder[2] == foreign[2] == options

    def test_correlations_reach_as_far_as_both(self, load):
        four_way = load("_four_way")
        long, short = song_score(aaba_bars()), song_score(aaba_bars()[:16])
        wanted = [ssm_from_score(long), ssm_from_score(long)]
        r = four_way.correlations(wanted, [long, short])
        assert r[0] == pytest.approx(1.0)
        assert 0.8 < r[1] < 1.0  # the window at its end sees less

    def test_differences_are_paired(self, load):
        four_way = load("_four_way")
        r = {way: [0.9, 0.5, 0.1] for way in four_way.WAYS} | {"none": [0.8, 0.4, 0.0]}
        assert four_way.paired(r, "none") == pytest.approx((0.1, 0.1, 0.1))
        (row,) = four_way.difference_rows({"16:0.5": r})
        assert row == ["16:0.5", *["0.100 [0.100, 0.100]", *["0.000 [0.000, 0.000]"] * 2]]
        assert len(four_way.four_way_rows({"16:0.5": r})[0]) == 5


class TestBeatBag:
    def test_uses_beats_of_the_other_songs_alone(self, load):
        low, high = song_score([[50, 52, 53, 55]] * 4), song_score([[80, 81, 83, 84]] * 4)
        bag = load("_beat_bag").BeatBag([low, high])
        plans = [plan_from_score(low), plan_from_score(high)]
        first, second = bag.sample(plans, [0, 1], SamplingOptions())
        assert set(first.pitch) <= {80, 81, 83, 84}
        assert set(second.pitch) <= {50, 52, 53, 55}
        assert first.n_beats == 16
        assert first.duration.max() <= 4

    def test_steering_brings_the_wanted_matrix_nearer(self, load):
        script = load("_beat_bag")
        real = song_score(aaba_bars())
        others = [song_score(random_bars(seed)) for seed in range(5)]
        bag = script.BeatBag([real, *others])
        wanted = ssm_from_score(real)
        r = {}
        for options in (SamplingOptions(), SamplingOptions(candidates=64, steering=0.9)):
            (song,) = bag.sample([plan_from_score(real)], [3], options)
            (r[options.candidates],) = load("_four_way").correlations([wanted], [song])
        assert r[64] > r[1] + 0.3

    def test_beats_are_moved_to_the_reference_key(self, load):
        in_d = dataclasses.replace(song_score([[62, 64, 66, 67]] * 2), key=Key(2, "major"))
        bag = load("_beat_bag").BeatBag([song_score([[60] * 4] * 2), in_d])
        (song,) = bag.sample([plan_from_score(in_d)], [0], SamplingOptions())
        assert set(song.pitch) <= {60, 62, 64, 65}


class TestTemplates:
    def test_plans_are_those_of_generate_template(self, load):
        from types import SimpleNamespace

        score = song_score(aaba_bars())
        script = load("templates")
        card = SimpleNamespace(card=SimpleNamespace(style_index=lambda _style: None))
        songs = [Song(name, "validation", score, ()) for name in ("x", "y")]
        templates = script.templates_from_songs(songs, 16, card)
        assert templates.names == ["x", "y"]
        assert [plan.kind for plan in templates.plans] == ["music", "music"]
        np.testing.assert_array_equal(templates.plans[0].ssm, ssm_from_score(score.bars(0, 16)))
        assert templates.default.candidates >= 1
        with pytest.raises(InputError, match="1 songs have 16 bars, needed: 2"):
            script.templates_from_songs(songs[:1], 16, card)

    def test_settings_are_named_and_those_of_generate_come_first(self, load):
        script = load("templates")
        default = SamplingOptions(candidates=8, steering=0.5, temperature=0.9)
        options = script.setting_options(default, [script.parsed_setting("64:0.75"), (8, 0.5)])
        assert list(options) == ["8:0.5", "64:0.75"]
        assert options["64:0.75"].temperature == 0.9

    def test_sampled_songs_are_measured_in_the_reference_key(self, load):
        script = load("templates")
        score = song_score([[60, 62, 64, 65]])
        excerpt = dataclasses.replace(score, key=Key(2, "minor"))
        assert script.in_reference_key(score, excerpt).key == Key(9, "minor")
        without = dataclasses.replace(score, key=None)
        assert script.in_reference_key(without, without).key is None

    def test_verdicts_and_guards(self, load):
        script = load("templates")
        real = [measure_guards(song_score(random_bars(seed))) for seed in (1, 2)]
        sparse = [measure_guards(song_score([[60, 0, 0, 0]] * 16))] * 2
        r = {"wanted": [0.8, 0.9], "shuffled": [0.1, 0.2], "none": [0.1, 0.1]}
        seconds = {"plain": [1.0, 2.0, 9.0], "16:0.5": [3.0, 4.0, 5.0]}
        good = script.verdicts("16:0.5", script.Result(r, real), real, seconds)
        assert all(line.startswith("16:0.5, reached: ") for line in good)
        assert len(good) == 3 + len(script.GUARDS_OF_THE_TARGET)
        bad = script.verdicts("16:0.5", script.Result(r, sparse), real, seconds)
        assert "16:0.5, MISSED: notes_per_step 0.0625, wanted within 25% of 0.25" in bad
        rows = {row[0]: row[1:] for row in script.guard_rows({"x": script.Result(r, real)}, real)}
        assert rows["notes_per_step"] == [0.25, "1.000 [1.000, 1.000]"]
        assert rows["empty_steps"] == [0.0, None]

    def test_times_are_taken_in_turns_after_a_warm_up(self, load, monkeypatch):
        script = load("templates")
        calls = []
        monkeypatch.setattr(
            script,
            "sample_scores",
            lambda _, plans, _seeds, options: calls.append((plans, options)),
        )
        seconds = script.seconds_a_song(None, ["p", "q"], {"plain": "a", "16:0.5": "b"})
        assert {name: len(runs) for name, runs in seconds.items()} == {"plain": 2, "16:0.5": 2}
        assert [(plans[0], options) for plans, options in calls] == [
            *(("p", "a"), ("p", "b")),
            *(("p", "a"), ("p", "b")),
            *(("q", "a"), ("q", "b")),
        ]


class TestGrowth:
    def test_the_plain_way_finds_the_same(self, load):
        growth = load("growth")
        score = growth.chained_songs(growth.made_up_songs(), 40)
        ssm = ssm_from_score(score)
        np.testing.assert_allclose(growth.plain_ssm(score), ssm, atol=1e-6)
        assert growth.plain_repeat_map(ssm).tolist() == repeat_map_from_ssm(ssm).source.tolist()

    def test_songs_in_a_row_keep_their_bars(self, load):
        songs = [song_score([[60] * 4] * 3), song_score([[72] * 4] * 3)]
        whole = load("growth").chained_songs(songs, 5)
        assert whole.n_bars == 5
        assert whole.pitch.tolist() == [60] * 12 + [72] * 8
        assert whole.step.tolist() == list(range(0, 80, 4))

    def test_made_up_songs_repeat_themselves(self, load):
        score = next(load("growth").made_up_songs())
        overlap = bar_overlap_map(score)
        assert np.diagonal(overlap, 8)[:8].min() == 1.0
        assert np.diagonal(overlap, 16)[:8].max() < 0.5

    def test_prints_a_row_for_every_method_and_size(self, load, monkeypatch, capsys, tmp_path):
        growth = load("growth")
        out = tmp_path / "growth.json"
        words = ["growth.py", "--bars", "8", "16", "--runs", "1", "--json", str(out)]
        monkeypatch.setattr(sys, "argv", words)
        growth.main()
        printed = capsys.readouterr().out
        for method in growth.METHODS:
            assert f"| {method} | 16 | 64 |" in printed
        figures = json.loads(out.read_text())["results"]["singcli"]["16"]
        assert len(figures["map"]["seconds"]) == 1
        assert 0 < figures["before_mb"] <= figures["map"]["peak_mb"]
