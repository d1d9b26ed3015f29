"""The benchmarks that look at corpora: keys, the grid, velocities."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

from singcli.dataset import Entry, Song, song_path, write_index, write_song
from singcli.music.bars import bars_from_meters
from singcli.music.key import Key, estimate_key
from singcli.music.notes import MeterChange
from singcli.music.score import ACCOMPANIMENT, LEAD, Score, regular_bars

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"


@pytest.fixture
def load(monkeypatch):
    """Import a script by its name."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module


def song_of_velocities(velocities, name="x") -> Song:
    n = len(velocities)
    voice = np.arange(n) % 2
    score = Score.from_notes(
        np.arange(n), voice, 60 + np.arange(n) % 12, np.ones(n), velocities,
        bar_beats=regular_bars(-(-n // 16), 4), tempo_bpm=100.0,
    )  # fmt: skip
    return Song(name, "train", score, ())


class TestVelocities:
    def test_best_classes_are_those_of_all_pairs_of_classes(self, load):
        script = load("velocities")
        rng = np.random.default_rng(0)
        share = np.zeros(128)
        share[rng.choice(128, 9, replace=False)] = rng.random(9)
        values = np.arange(128)

        def error(bound: int) -> float:
            parts = ((values < bound), (values >= bound))
            return sum(
                min(float((share[p] * np.abs(values[p] - v)).sum()) for v in values) for p in parts
            )

        classes = script.best_classes(share, 2)
        found = float((share * np.abs(classes.value[classes.of(values)] - values)).sum())
        assert found == pytest.approx(min(error(bound) for bound in range(1, 128)))

    def test_as_many_velocities_as_classes_lose_nothing(self, load):
        script = load("velocities")
        song = song_of_velocities([30, 50, 80, 120] * 8)
        classes = script.best_classes(script.histogram([song]), 4)
        assert classes.value.tolist() == [30, 50, 80, 120]
        assert script.mean_error(classes, [song]) == 0

    def test_uniform_and_equal_shares(self, load):
        script = load("velocities")
        assert script.uniform_classes(8).lowest.tolist() == list(range(0, 128, 16))
        assert script.uniform_classes(8).value[0] == 8
        classes = script.quantile_classes(np.ones(128), 4)
        assert classes.lowest.tolist() == [0, 32, 64, 96]
        assert classes.of(np.array([0, 31, 32, 127])).tolist() == [0, 0, 1, 3]

    def test_entropy_of_an_alternation_is_in_the_class_not_in_what_follows(self, load):
        script = load("velocities")
        song = song_of_velocities([20, 20, 100, 100] * 16)  # each voice alternates
        bits, given_last = script.entropies(script.uniform_classes(2), [song])
        assert bits == pytest.approx(1, abs=0.01)
        assert given_last == pytest.approx(0, abs=1e-9)

    def test_ties(self, load):
        script = load("velocities")
        rising = song_of_velocities(np.arange(30, 94))
        row = dict(zip(script.TIES, script.ties_row("c", [rising], LEAD), strict=True))
        assert row["lag 1"] == pytest.approx(1)
        assert row["same onset"] is None
        assert row["song mean"] == 0
        spread = dict(zip(script.SPREAD, script.spread_row("c", [rising], LEAD), strict=True))
        assert (spread["notes"], spread["distinct"], spread["constant songs"]) == (32, 32, "0.0%")

    def test_prints_its_tables(self, load, tmp_path, capsys, monkeypatch):
        rng = np.random.default_rng(1)
        entries = []
        for name, split in (("a", "train"), ("b", "validation")):
            score = song_of_velocities(rng.integers(1, 128, 64)).score
            entry = Entry(
                *(name, f"{name}.mid", "", "", "file", "4/4", 16, 4, 100.0, None, None, {}),
                *((), None, split),
            )
            song_path(tmp_path, name).parent.mkdir(exist_ok=True)
            write_song(song_path(tmp_path, name), score, entry)
            entries.append(entry)
        write_index(tmp_path, tuple(entries), licences={}, settings={})
        monkeypatch.setattr(sys, "argv", ["velocities.py", f"pop={tmp_path}"])
        load("velocities").main()
        out = capsys.readouterr().out
        assert "| uniform |" in out
        assert "pop 2 songs" in out


class TestKeys:
    @pytest.mark.parametrize(
        ("name", "key"),
        [
            ("chopin_028-1-BH-004", "E minor"),
            ("chopin_010-1b-Sm-005", "F# major"),
            ("chopin_028-1-BH-099", None),
            ("x--preludium-es-dur", "Eb major"),
            ("x--etude-h-moll-op-4-no-3", "B minor"),
            ("x--sonatine-f-dur-op-18-no-3-ii-noel", None),
            ("x--galopada", None),
        ],
    )
    def test_keys_in_names(self, load, name, key):
        found = load("_key_labels").key_from_name(name)
        assert found == (None if key is None else Key.parse(key))

    def test_a_relative_that_follows_is_no_change(self, load):
        keys = tuple(map(Key.parse, ("C", "Am", "D", "Bm", "C")))
        assert load("_key_labels").LabelledScore("x", None, keys).shifts == [0, 10, 0]

    def test_correlation_is_that_of_numpy(self, load):
        script = load("_key_estimators")
        profiles = script.PROFILES["Krumhansl-Kessler (1982)"]
        estimate = script.by_correlation(profiles)
        for seed in range(5):
            shares = np.random.default_rng(seed).random(12)
            best = max(
                (Key(t, m) for m in script.MODES for t in range(12)),
                key=lambda k: np.corrcoef(
                    np.roll(profiles[script.MODES.index(k.mode)], k.tonic), shares
                )[0, 1],
            )
            assert estimate(shares) == best

    def test_fitted_weights_tell_the_keys_that_they_were_fitted_to(self, load):
        script = load("_key_estimators")
        rng = np.random.default_rng(0)
        keys = [Key(int(rng.integers(12)), script.MODES[int(rng.integers(2))]) for _ in range(60)]
        shares = np.array([key.scale + rng.random(12) * 0.3 for key in keys])
        shares[np.arange(60), [key.tonic for key in keys]] += 1
        shares /= shares.sum(axis=1, keepdims=True)
        weights = script.fitted_weights(shares, keys)
        np.testing.assert_allclose(weights.mean(axis=1), 0, atol=1e-9)
        for key, row in zip(keys, shares, strict=True):
            score = [[np.roll(w, t) @ row for t in range(12)] for w in weights]
            mode, tonic = np.unravel_index(np.argmax(score), (2, 12))
            assert Key(int(tonic), script.MODES[mode]) == key

    def test_kinds_of_errors(self, load):
        keys = [Key.parse(name) for name in ("C", "C", "C", "C", "Am")]
        estimates = [Key.parse(name) for name in ("C", "G", "Am", "Cm", "F#")]
        script = load("keys")
        row = dict(zip(script.KEY_HEADER, script.key_row("e", "s", estimates, keys), strict=True))
        assert row["MIREX"] == pytest.approx((1 + 0.5 + 0.3 + 0.2 + 0) / 5)
        for kind in ("exact", "fifth", "relative", "parallel", "other"):
            assert row[kind] == pytest.approx(0.2)
        assert row["shift"] == pytest.approx(0.4)

    def test_planted_changes_know_where_they_are(self, load, aaba_score):
        song = load("_key_labels").LabelledScore("x", aaba_score, (Key.parse("C"),))
        score, truth = load("keys").planted(song, np.random.default_rng(3))
        back = score.transposed_bars(np.where(truth > 6, truth - 12, truth))
        np.testing.assert_array_equal(back.pitch % 12, aaba_score.pitch % 12)
        assert len(set(truth)) == 2
        assert truth[0] == 0

    def test_shares_count_durations(self, load, aaba_score):
        shares = load("_key_estimators").pitch_class_shares(aaba_score)
        assert shares.sum() == pytest.approx(1)
        assert estimate_key(shares).shift_to_reference == 0


class TestGridLoss:
    def raw(self, script, beat, **changes):
        beat = np.asarray(beat, float)
        n = len(beat)
        fields = {
            "beat": beat,
            "end": beat + 0.25,
            "voice": np.full(n, ACCOMPANIMENT),
            "pitch": np.full(n, 60),
            "ms_per_beat": 500.0,
            "bars": None,
        }
        return script.RawSong(**(fields | changes))

    def test_notes_on_the_grid_lose_nothing(self, load):
        script = load("grid_loss")
        loss = script.measure_loss(self.raw(script, np.arange(64) / 4))
        assert (loss.notes, loss.off_grid, loss.merged, loss.short, loss.error_ms) == (64,) + (
            0,
        ) * 4

    def test_triplets_are_a_twelfth_of_a_beat_off(self, load):
        script = load("grid_loss")
        loss = script.measure_loss(self.raw(script, np.arange(90) / 3))
        assert (loss.off_grid, loss.thirds, loss.sixths) == (60, 60, 0)
        assert loss.error_beats == pytest.approx(60 / 12)
        assert loss.error_ms == pytest.approx(60 / 12 * 500)
        assert not loss.is_swung

    def test_swing_is_two_thirds_without_the_first(self, load):
        script = load("grid_loss")
        beat = np.arange(40)
        assert script.is_swung(np.concatenate([beat, beat + 2 / 3]))
        assert not script.is_swung(np.concatenate([beat, beat + 1 / 2]))
        assert not script.is_swung(np.concatenate([beat[:10], beat[:10] + 2 / 3]))

    def test_merged_short_and_too_many(self, load):
        script = load("grid_loss")
        beat = np.r_[np.zeros(14), 1.0, 1.05, 2.0, 2.001]
        pitch = np.r_[40 + np.arange(14), 60, 60, 60, 60]
        end = np.r_[np.ones(14), 1.05, 2.0, 3.0, 3.0]
        loss = script.measure_loss(self.raw(script, beat, pitch=pitch, end=end))
        assert (loss.doubled, loss.merged, loss.past_limit, loss.short) == (1, 1, 2, 1)

    def test_upbeats_that_the_number_of_bars_tells(self, load, tmp_path):
        rows = ["file,meter,measures_played,length_quarters"]
        rows += ["a.mid,4/4,10,40.0", "b.mid,4/4,10,37.0", "c.mid,3/8,4,5.0", "d.mid,,4,5.0"]
        rows += ["e.mid,4/4,10,20.0"]
        (tmp_path / "index.csv").write_text("\n".join(rows) + "\n")
        upbeats = load("grid_loss").known_upbeats(tmp_path)
        assert upbeats == {"a.mid": 0.0, "b.mid": 1.0, "c.mid": 0.5}
        assert load("grid_loss").known_upbeats(tmp_path / "other") == {}

    def test_upbeats_that_the_number_of_bar_lines_tells(self, load, tmp_path):
        rows = ["file,meter,barlines,length_quarters", "a.mid,2/4,11,20.0", "b.mid,2/4,11,21.0"]
        (tmp_path / "index.csv").write_text("\n".join(rows) + "\n")
        assert load("grid_loss").known_upbeats(tmp_path) == {"a.mid": 0.0, "b.mid": 1.0}

    def test_meters_that_are_not_whole_quarters(self, load):
        script = load("grid_loss")
        bars = [
            bars_from_meters(
                [MeterChange(0, *meter)], ticks_per_quarter=480, end_tick=480 * 36, source="x"
            )
            for meter in ((4, 4), (3, 8), (9, 8), (6, 8))
        ]
        rows = {row[1]: row[2:] for row in script.meter_rows("c", bars)}
        assert rows == {"3/8": [1, 1.5, 2, 3], "9/8": [1, 4.5, 2, 9], "6/8": [1, 3.0, 1, 3]}
        row = dict(zip(script.BARS, script.bar_row("c", bars, 0), strict=True))
        assert row["whole quarters"] == "50.0%"
        assert row["in eighths or sixteenths"] == "50.0%"
        assert row["silence added"] == "0.00%"
