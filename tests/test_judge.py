"""The judge: its figures on excerpts made by hand, and that it finds what is there and no more."""

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from singcli.dataset import Entry, SectionSpan, Song, song_path, write_index, write_song
from singcli.music.key import Key
from singcli.music.midi_writing import midi_from_score
from singcli.music.score import ACCOMPANIMENT, LEAD, Score, regular_bars
from singcli.structure.section import Span

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"
C_MAJOR = Key(0, "major")


@pytest.fixture
def load(monkeypatch):
    """Import a script or a helper by its name."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module


def score_of(notes, n_bars=8, beats=4, key=C_MAJOR, tempo=100.0):
    """Notes are (step, voice, pitch, duration[, velocity])."""
    columns = zip(*[(*note, 80)[:5] for note in notes], strict=True)
    return Score.from_notes(
        *map(list, columns), bar_beats=regular_bars(n_bars, beats), tempo_bpm=tempo, key=key
    )


def plain(n_bars=8, chord=(48, 52, 55), lengths=(16, 16, 16), shift=0, **settings):
    """A lead of quarters C D E F in every bar over one chord a bar."""
    notes = []
    for bar in range(n_bars):
        notes += [(16 * bar + 4 * k, LEAD, 72 + p + shift, 4) for k, p in enumerate((0, 2, 4, 5))]
        notes += [
            (16 * bar, ACCOMPANIMENT, p + shift, n) for p, n in zip(chord, lengths, strict=True)
        ]
    return score_of(notes, n_bars, **settings)


class TestFigures:
    def figures(self, load, score, **settings):
        return load("_judge_features").excerpt_features(score, **settings)

    def test_of_a_plain_excerpt(self, load):
        found = self.figures(load, plain())
        expected = {
            "lead density: notes a bar": 4,
            "lead density: spread over bars": 0,
            "lead rests: silent steps": 0,
            "accompaniment polyphony: mean": 3,
            "lead duration: 4": 1,
            "lead duration: distinct": 1,
            "accompaniment duration: 13-16": 1,
            "lead ends: at the next onset": 1,
            "lead ends: on a bar line": 1 / 4,
            "lead place: step 0 of the beat": 1,
            "lead place: beat 3": 1 / 4,
            "lead overlap: notes, 1 bars ago": 1,
            "lead overlap: exact copies": 1,
            "lead register: range": 5,
            "lead register: distinct pitches": 4,
            # 8 x (2, 2, 1) up inside the bars, 7 falls of a fourth over the bar lines
            "lead interval: 2": 16 / 31,
            "lead interval: 1": 8 / 31,
            "lead interval: 5-7": 7 / 31,
            "lead interval: upward among moves": 24 / 31,
            "lead contour: longest run one way": 3,
            "together: lead onsets with accompaniment": 1 / 4,
            "together: accompaniment onsets with lead": 1,
            "chord size: 3": 1,
            "chord width: mean": 7,
            "chord interval: 3-4": 1,
            "chord durations: all equal": 1,
            "chord durations: shortest below longest": 0,
            "restrike: held until struck again": 21 / 24,
            "pattern: same gap as before": 1,
            "bass: tonic on one": 1,
            "bass: moves from beat to beat": 0,
            "harmony: bars alike": 1,
            "harmony: pitch classes a beat": 3,
            # C and E are in C E G; F has E below it
            "against: lead in the chord": 1 / 2,
            "against: semitone": 1 / 4,
            "against: lead alone": 0,
            "lead pitch class: C": 1 / 4,
            "lead pitch class: entropy": 2,
            "lead key: notes outside": 0,
        }
        assert {name: found[name] for name in expected} == pytest.approx(expected)

    def test_chords_whose_notes_end_apart(self, load):
        found = self.figures(load, plain(lengths=(16, 12, 8)))
        assert found["chord durations: all equal"] == 0
        assert found["chord durations: shortest below longest"] == pytest.approx(1 / 2)
        assert found["chord durations: lowest longest"] == 1
        assert found["chord durations: distinct"] == 3
        assert found["restrike: held until struck again"] == pytest.approx(7 / 24)

    def test_notes_outside_the_key_and_a_broken_line(self, load):
        notes = [(8 * k, LEAD, 60 + 13 * (k % 2), 6) for k in range(16)]
        found = self.figures(load, score_of(notes))
        assert found["lead key: notes outside"] == 1 / 2
        assert found["lead interval: 13+"] == 1
        assert found["lead contour: turns"] == 1
        assert found["lead contour: there and back"] == 1
        assert found["lead ends: more than a step early"] == 1
        assert found["lead rests: silent steps"] == pytest.approx(1 / 4)
        assert found["against: lead alone"] == 1
        assert found["accompaniment density: notes a bar"] == 0

    def test_how_loud_it_is_shows_only_if_asked(self, load):
        loud = score_of([(4 * k, LEAD, 72, 4, 60 + 20 * (k % 2)) for k in range(32)])
        soft = score_of([(4 * k, LEAD, 72, 4, 10) for k in range(32)])
        assert self.figures(load, loud) == self.figures(load, soft)
        found = self.figures(load, loud, velocity=True)
        assert found["lead velocity: mean"] == 70
        assert found["lead velocity: change from note to note"] == 20

    def test_excerpts_of_one_voice_or_none_have_every_figure(self, load):
        features = load("_judge_features")
        scores = [
            plain(),
            score_of([(0, LEAD, 60, 4)]),
            score_of([(0, ACCOMPANIMENT, 60, 4)]),
            plain().bars(0, 8).transposed(3),
            score_of([(16 * 9, LEAD, 60, 4)]),  # beyond the end: nothing is left
        ]
        names, rows = features.as_matrix([features.excerpt_features(s) for s in scores])
        assert rows.shape == (5, len(names))
        assert np.isfinite(rows).all()


class TestExcerpts:
    def test_begin_at_sections_and_every_fourth_bar_behind(self, load):
        starts = load("_judge_excerpts").phrase_starts
        assert starts(20, []) == [0, 4, 8, 12]
        spans = [Span("i", 0, 2), Span("A", 2, 8), Span("A", 10, 10)]
        assert starts(20, spans) == [0, 2, 6, 10]

    def test_lie_evenly_over_the_song_and_in_the_reference_key(self, load):
        take = load("_judge_excerpts")
        score = plain(n_bars=40, shift=2, key=Key(2, "major"))
        found = take.song_excerpts("x", score, [], take.Rules(per_song=3))
        assert [e.position for e in found] == [0, 0.5, 1]
        assert {e.score.n_bars for e in found} == {8}
        assert sorted(set(found[1].score.pitch.tolist())) == [48, 52, 55, 72, 74, 76, 77]

    def test_need_a_lead_and_the_meter(self, load):
        usable = load("_judge_excerpts").is_usable
        assert usable(plain(), 4)
        assert not usable(plain(), 3)
        assert usable(score_of([(16 * bar, LEAD, 60, 4) for bar in range(4)]), 4)
        assert not usable(score_of([(16 * bar, LEAD, 60, 4) for bar in range(3)]), 4)

    def test_of_real_songs_carry_nothing_but_notes(self, load):
        take = load("_judge_excerpts")
        score = plain(n_bars=16)
        other = plain(n_bars=16, key=None, tempo=63.0)
        (one,), (again,) = (
            list(take.real_excerpts([Song("a", "validation", s, ())], take.Rules()))
            for s in (score, other)
        )
        figures = load("_judge_features").excerpt_features
        assert len(one) == 3
        assert [figures(e.score) for e in one] == [figures(e.score) for e in again]

    def test_durations_of_the_model(self, load):
        take = load("_judge_excerpts")
        score = score_of([(0, LEAD, 60, 17), (32, LEAD, 62, 30), (64, LEAD, 64, 8)])
        changed = take.with_model_durations(take.Excerpt("x", score, 0.0)).score
        assert changed.duration.tolist() == [16, 28, 8]
        assert changed.pitch.tolist() == score.pitch.tolist()

    def test_scrambled_ones_keep_bars_or_rhythm(self, load):
        take = load("_judge_excerpts")
        score = score_of([(16 * bar, LEAD, 60 + bar, 4 + bar) for bar in range(8)])
        excerpt, rng = take.Excerpt("x", score, 0.0), np.random.default_rng(1)
        bars = take.with_bars_in_random_order(excerpt, rng).score
        assert bars.pitch.tolist() != score.pitch.tolist()
        assert sorted(bars.pitch.tolist()) == score.pitch.tolist()
        noise = take.with_random_pitches(excerpt, rng).score
        assert noise.step.tolist() == score.step.tolist()
        assert noise.pitch.tolist() != score.pitch.tolist()
        assert 60 <= noise.pitch.min() <= noise.pitch.max() <= 67

    def test_are_as_many_on_both_sides(self, load):
        take = load("_judge_excerpts")

        def songs(counts):
            return [[take.Excerpt(f"{k}", plain(), 0.0)] * n for k, n in enumerate(counts)]

        zeros, ones = take.balanced(songs([1, 2, 0, 3]), songs([5] * 9))
        assert len(zeros) == len(ones) == 6
        drawn = [e.song for e in ones]
        assert [drawn.count(song) for song in dict.fromkeys(drawn)] == [2, 2, 2]


def case_of(load, inputs, per_song=2):
    """Half the songs are of kind 0, half of kind 1."""
    n = len(inputs)
    songs = np.array([f"song {k // per_song}" for k in range(n)])
    return load("_judges").Case(inputs, np.repeat([0, 1], n // 2), songs)


class TestJudges:
    @pytest.fixture(autouse=True)
    def _few_trees(self, load, monkeypatch):
        pytest.importorskip("sklearn")
        monkeypatch.setattr(load("_judges"), "TREES", 25)

    @pytest.fixture
    def noise(self):
        return np.random.default_rng(5).normal(size=(120, 6))

    def test_find_a_planted_difference_and_name_it(self, load, noise):
        judges = load("_judges")
        noise[60:, 4] += 3
        case = case_of(load, noise)
        for make in (judges.forest, judges.boosting):
            found = judges.verdict(judges.held_out_probabilities(make, case), case)
            assert found.accuracy.low > 0.8
            assert found.auc > 0.9
        names = list("abcdef")
        rises = judges.importances(judges.forest, case, {n: [k] for k, n in enumerate(names)})
        first, *others = judges.ranked(names, case, rises)
        assert first.name == "e"
        assert first.importance > 5 * max(other.importance for other in others)
        assert first.means[1] - first.means[0] == pytest.approx(3, abs=0.5)
        assert first.auc_alone > 0.9

    def test_find_none_between_equals(self, load, noise):
        judges = load("_judges")
        case = case_of(load, noise)
        for make in (judges.forest, judges.boosting):
            found = judges.verdict(judges.held_out_probabilities(make, case), case)
            # what is held out lies on the other side of the mean of the rest: below 0.5 by chance
            assert found.accuracy.low < 0.5
            assert 0.3 < found.accuracy.mean < 0.6
            assert found.auc < 0.6

    def test_knowing_a_song_does_not_help(self, load):
        # every song has its own value in all columns: songs in training and held out would tell
        judges = load("_judges")
        own = np.repeat(np.random.default_rng(2).normal(size=(30, 6)), 4, axis=0)
        case = case_of(load, own, per_song=4)
        found = judges.verdict(judges.held_out_probabilities(judges.forest, case), case)
        assert found.accuracy.low < 0.5
        assert found.accuracy.mean < 0.65
        for train, held_out in judges.folds(case):
            assert not set(case.songs[train]) & set(case.songs[held_out])

    def test_figures_shuffled_together_matter_more_than_each_of_two_twins(self, load, noise):
        judges = load("_judges")
        noise[60:, 0] += 3
        noise[:, 1] = noise[:, 0]
        case = case_of(load, noise)
        rises = judges.importances(judges.forest, case, {"one": [0], "two": [1], "both": [0, 1]})
        assert rises["both"] > 2 * max(rises["one"], rises["two"])


class TestNetwork:
    def test_rolls_hold_onsets_and_what_sounds(self, load):
        rolls = load("_judge_network").excerpt_rolls
        score = score_of([(0, LEAD, 60, 3, 40), (4, ACCOMPANIMENT, 48, 2, 90)], n_bars=2)
        found = rolls([score])
        assert found.shape == (1, 4, 88, 32)
        assert found[0, 0, 39].nonzero()[0].tolist() == [0]
        assert found[0, 2, 39].nonzero()[0].tolist() == [0, 1, 2]
        assert found[0, 3, 27].nonzero()[0].tolist() == [4, 5]
        assert found.max() == 127
        loud = rolls([score], velocity=True)
        assert (loud[0, 0, 39, 0], loud[0, 1, 27, 4]) == (40, 90)

    def test_learns_a_difference_and_is_the_same_again(self, load, monkeypatch):
        pytest.importorskip("torch")
        network = load("_judge_network")
        monkeypatch.setattr(network, "EPOCHS", 30)  # few excerpts
        monkeypatch.setattr(network, "BATCH", 16)
        rng = np.random.default_rng(0)
        labels = np.arange(96) % 2
        scores = [
            score_of([(4 * k, LEAD, int(rng.integers(60, 72)), 1 + 2 * label) for k in range(8)], 2)
            for label in labels.tolist()
        ]
        rolls = network.excerpt_rolls(scores)
        answers = [
            network.RollJudge().fit(rolls[:64], labels[:64]).predict_proba(rolls[64:])
            for _ in range(2)
        ]
        np.testing.assert_array_equal(*answers)
        assert (answers[0].argmax(axis=1) == labels[64:]).mean() > 0.9
        np.testing.assert_allclose(answers[0].sum(axis=1), 1)


class TestScript:
    @pytest.fixture
    def data(self, tmp_path):
        """Twelve held-out songs of 16 bars, each a plain one at a place of its own."""
        entries = []
        for number in range(12):
            score = plain(n_bars=16, chord=(36 + number, 52, 55))
            entry = Entry(
                *(f"{number:02d}", "x.mid", "", "", "file", "4/4", score.n_beats, 16, 100.0),
                *("C major", "estimate", {}, (SectionSpan("a", 0, 16, True),), None, "validation"),
            )
            song_path(tmp_path, entry.id).parent.mkdir(exist_ok=True)
            write_song(song_path(tmp_path, entry.id), score, entry)
            entries.append(entry)
        write_index(tmp_path, tuple(entries), licences={}, settings={})
        return tmp_path

    @pytest.fixture
    def script(self, load, monkeypatch):
        pytest.importorskip("sklearn")
        monkeypatch.setattr(load("_judges"), "TREES", 10)
        script = load("judge")

        def generate(_preset, seeds, folder, _options):
            folder.mkdir(parents=True)
            paths = [folder / f"{seed}.mid" for seed in seeds]
            for seed, path in zip(seeds, paths, strict=True):
                score = plain(n_bars=32, chord=(36 + seed, 52, 55), lengths=(16, 12, 8))
                path.write_bytes(midi_from_score(score))
            return paths

        monkeypatch.setattr(script, "generate", generate)
        return script

    def run(self, script, monkeypatch, data, *words):
        arguments = ["judge.py", "--data", str(data), "--presets", "aaba", "--first-seed", "0"]
        arguments += ["--no-network", "--songs", str(data / "made"), *words]
        monkeypatch.setattr(sys, "argv", arguments)
        script.main()

    def test_names_what_gives_the_songs_away(self, script, monkeypatch, data, capsys):
        out = data / "figures.json"
        words = ["--songs-per-preset", "12", "--json", str(out)]
        self.run(script, monkeypatch, data, *words)
        printed = capsys.readouterr().out
        assert "12 generated songs, seeds from 0; 12 held-out songs" in printed
        assert "MISSED: accuracy of the best judge" in printed
        figures = json.loads(out.read_text())
        first, *_ = figures["results"]
        assert (first["name"], first["n_songs"]) == ("generated, real", 24)
        assert first["verdict"]["accuracy"][0] == 1
        alone = {f["name"]: f["auc_alone"] for f in figures["looked"]["generated, real"]["figures"]}
        assert alone["chord durations: all equal"] == 1
        assert alone["lead interval: 2"] == 0.5

    def test_songs_that_are_made_are_used_again(self, script, monkeypatch, data):
        rules, paths = object(), []
        monkeypatch.setattr(script, "song_excerpts", lambda name, *_: paths.append(name) or [])
        again = (data / "made", ["aaba"], range(3), [], rules)
        script.generated_excerpts(*again)
        monkeypatch.setattr(script, "generate", None)
        script.generated_excerpts(*again)
        assert paths == 2 * ["aaba 0", "aaba 1", "aaba 2"]

    def test_too_few_songs_are_refused(self, script, monkeypatch, data):
        from singcli.errors import InputError

        with pytest.raises(InputError, match="3 of 3 generated songs have an excerpt of 4 beats"):
            self.run(script, monkeypatch, data, "--songs-per-preset", "3")
