"""`singcli evaluate --protocol sing`: what is run, kept, gone on with, and shown."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from row_rolls import song_roll, write_rows

from singcli.cli import main
from singcli.errors import InputError
from singcli.metrics.row_structure import VARIANTS
from singcli.metrics.rows import Guards, note_lengths, top_intervals
from singcli.model.rows import RowTask
from singcli.protocol import entrants, run
from singcli.protocol.baselines import RandomNotes
from singcli.protocol.bootstrap import PieceBootstrap
from singcli.protocol.entrants import BLANKED, REAL
from singcli.protocol.measure import Line
from singcli.protocol.report import CONTINUITY, ProtocolReport, Results
from singcli.protocol.results_file import append_results, read_results
from singcli.protocol.run import run_protocol
from singcli.protocol.tasks import WANTED, WAYS
from singcli.protocol.workshop import ModelFile, Settings

TINY = Path(__file__).parent / "data" / "tiny.onnx"
BASELINES = ["random notes", "copy the most similar row", "bag of real rows, 4"]
CALLS: list[int] = []


class Knower:
    """A model that knows the template: it plays random notes where the template does not rest."""

    name = "knower"

    def generate(self, tasks: Sequence[RowTask], seeds: Sequence[int]) -> list[np.ndarray]:
        CALLS.append(len(tasks))
        return RandomNotes().generate(tasks, seeds)


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A pointer network stands for a network that writes rows; nothing of an earlier test."""
    monkeypatch.setitem(
        entrants.ARCHITECTURES, "pointer", lambda _file, _source, _candidates: {"": Knower()}
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    run._workshop.cache_clear()
    CALLS.clear()


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_rows(tmp_path_factory.mktemp("protocol") / "rows")


def settings_of(rows: Path, **changes: object) -> Settings:
    plain = Settings(rows, models=(ModelFile("mine", TINY),), samples=2, candidates=(4,))
    return dataclasses.replace(plain, **changes)


class TestRun:
    def test_every_entrant_way_segment_and_sample_has_a_line(self, rows):
        lines = run_protocol(settings_of(rows))
        found = {(line.entrant, line.way): 0 for line in lines}
        for line in lines:
            found[line.entrant, line.way] += 1
        n = 4  # three pieces, the first of two segments
        expected = {(REAL, WANTED): n, ("mine" + BLANKED, WANTED): 2 * n}
        for name in ["mine", *BASELINES]:
            expected |= {(name, way): n * (2 if way == WANTED else 1) for way in WAYS}
        assert found == expected

    def test_real_pieces_have_no_error_and_real_guards(self, rows):
        lines = [line for line in run_protocol(settings_of(rows)) if line.entrant == REAL]
        for line in lines:
            assert line.r == pytest.approx(dict.fromkeys([v.name for v in VARIANTS], 1.0))
            assert line.seconds == 0.0
            assert set(line.guards) == set(Guards._fields)

    def test_what_is_measured_is_what_follows_the_seed(self, rows):
        line = next(line for line in run_protocol(settings_of(rows)) if line.segment == "test-1#1")
        assert line.entrant == REAL
        roll = run._workshop(settings_of(rows)).segments[2].roll
        lengths = note_lengths(roll[10:])
        assert dict(line.lengths) == {k: lengths[k] for k in np.flatnonzero(lengths)}
        assert sum(count for _, count in line.intervals) == top_intervals(roll[9:]).sum()

    def test_blanking_rests_changes_empty_rows_and_structure_only_where_the_template_rests(
        self, rows
    ):
        lines = {(li.entrant, li.segment, li.sample): li for li in run_protocol(settings_of(rows))
                 if li.way == WANTED}  # fmt: skip
        for (name, segment, sample), line in lines.items():
            if name == "mine":
                blanked = lines[name + BLANKED, segment, sample]
                real = lines[REAL, segment, 0]
                assert line.guards["empty_rows"] == 0.0
                assert blanked.guards["empty_rows"] == pytest.approx(real.guards["empty_rows"])
                assert blanked.r["paper"] > line.r["paper"]
                assert blanked.r["no_rests"] == pytest.approx(line.r["no_rests"], abs=1e-6)

    def test_processes_make_no_difference(self, rows):
        alone, together = (run_protocol(settings_of(rows, models=()), jobs=jobs) for jobs in (1, 2))
        for one, other in zip(*(sorted(ls, key=lambda li: li.key) for ls in (alone, together)),
                              strict=True):  # fmt: skip
            assert dataclasses.replace(one, seconds=0) == dataclasses.replace(other, seconds=0)

    def test_fewer_segments_are_spread_evenly_and_their_lines_the_same(self, rows):
        whole = {line.key: line for line in run_protocol(settings_of(rows, models=()))}
        some = run_protocol(settings_of(rows, models=(), max_segments=2))
        assert {line.segment for line in some} == {"test-0#1", "test-2#1"}
        for line in some:
            assert whole[line.key].r == line.r

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"samples": 0}, "samples = 0, allowed: 1 or more"),
            ({"candidates": (16, 0)}, "candidates = 0, allowed: 1 or more"),
            ({"max_segments": 0}, "segments = 0, allowed: 1 or more"),
            ({"control_samples": 3}, "control samples = 3, allowed: 0 to 2"),
            ({"models": (ModelFile("a", TINY), ModelFile("a", TINY))}, "two models are called 'a'"),
        ],
    )
    def test_impossible_settings_are_refused(self, rows, changes, message):
        with pytest.raises(InputError, match=message):
            run_protocol(settings_of(rows, **changes))

    def test_a_model_of_another_architecture_is_refused(self, rows, monkeypatch):
        monkeypatch.delitem(entrants.ARCHITECTURES, "pointer")
        with pytest.raises(InputError, match=r"tiny\.onnx: architecture = 'pointer', allowed"):
            run_protocol(settings_of(rows))

    @pytest.mark.parametrize(
        ("counts", "message"),
        [({"test": 0}, "no segments in its test split"), ({"train": 0}, "no train segments"),
         ({"n_rows": 9}, "has 9 rows, allowed: more than 10")],
    )  # fmt: skip
    def test_a_dataset_that_does_not_suffice_is_refused(self, tmp_path, counts, message):
        with pytest.raises(InputError, match=message):
            run_protocol(settings_of(write_rows(tmp_path / "rows", **counts)))

    def test_of_one_piece_there_is_no_other(self, tmp_path):
        data = write_rows(tmp_path / "rows", test=1)
        with pytest.raises(InputError, match="no other piece"):
            run_protocol(settings_of(data))
        assert run_protocol(settings_of(data, control_samples=0))


class TestResume:
    def test_a_killed_run_goes_on_where_it_was(self, rows, tmp_path):
        path = tmp_path / "results.jsonl"
        settings = settings_of(rows)
        whole = {line.key: line.r for line in run_protocol(settings, results=path)}
        made = sum(CALLS)
        CALLS.clear()
        text = path.read_text()
        lines = text.splitlines(keepends=True)
        path.write_text("".join(lines[:-20]) + lines[-20][:50])  # killed while it wrote
        heard: list[int] = []
        again = run_protocol(settings, results=path, on_progress=lambda d, _t, _n: heard.append(d))
        assert {line.key: line.r for line in again} == whole
        assert sum(CALLS) == 0  # models come first
        assert heard[0] > 0
        assert len(path.read_text().splitlines()) == len(lines)
        path.write_text("".join(lines[: len(lines) // 4]))
        run_protocol(settings, results=path)
        assert 0 < sum(CALLS) < made
        CALLS.clear()
        run_protocol(settings, results=path)
        assert not CALLS

    def test_more_samples_and_another_seed_share_the_file(self, rows, tmp_path):
        path = tmp_path / "results.jsonl"
        few = settings_of(rows, samples=1, models=())
        first = run_protocol(few, results=path)
        size = len(read_results(path))
        more = run_protocol(dataclasses.replace(few, samples=2), results=path)
        assert len(more) == len(read_results(path)) == size + 3 * 4
        other = run_protocol(dataclasses.replace(few, seed=1), results=path)
        assert len(other) == len(first)
        assert {line.run for line in other}.isdisjoint(line.run for line in first)

    @pytest.mark.parametrize("content", ["a tune\n", "a tune", '{"run": 3}\n', "\xff"])
    def test_a_foreign_file_is_left_alone(self, rows, tmp_path, content):
        path = tmp_path / "tune.jsonl"
        path.write_text(content, encoding="latin-1")
        with pytest.raises(InputError, match=r"tune\.jsonl: not results of the protocol"):
            run_protocol(settings_of(rows), results=path)
        assert path.read_text(encoding="latin-1") == content

    def test_lines_survive_the_file(self, tmp_path):
        line = Line("r", "e", "none", "s#1", 2, 30, 0.5, {"paper": 0.25}, nats=None)
        append_results(tmp_path / "x.jsonl", [line])
        append_results(tmp_path / "x.jsonl", [line])
        assert read_results(tmp_path / "x.jsonl") == [line, line]


class TestBootstrap:
    def test_means_leave_out_what_is_not_defined(self):
        values = np.array([1.0, np.nan, 4.0])
        found = PieceBootstrap(["a", "a", "b"]).mean(values)
        assert found.value == 2.5
        assert (found.low, found.high) == (1.0, 4.0)  # of two pieces often one alone is drawn
        assert np.isnan(PieceBootstrap(["a"]).mean(np.array([np.nan])).value)

    def test_the_width_is_that_of_the_normal_interval_over_pieces(self):
        rng = np.random.default_rng(1)
        of_piece = rng.normal(size=200)
        values = np.repeat(of_piece, 3)  # segments of a piece agree and bring nothing new
        found = PieceBootstrap([str(i) for i in range(200) for _ in range(3)]).mean(values)
        half = 1.96 * of_piece.std(ddof=1) / 200**0.5
        assert found.high - found.low == pytest.approx(2 * half, rel=0.1)
        assert found.value == pytest.approx(of_piece.mean())


def line_of(entrant: str, segment: str, r: float, *, sample: int = 0, way=WANTED, **more) -> Line:
    figures = dict.fromkeys([variant.name for variant in VARIANTS], r)
    guards = dict.fromkeys(Guards._fields, 1.0)
    return Line("x", entrant, way, segment, sample, 40, 0.5, figures, guards, **more)


class TestReport:
    lines = (
        line_of(REAL, "a#1", 1.0, held=0.6, lengths=[[1, 2], [3, 2]], intervals=[[0, 4]], nats=5.0),
        line_of(REAL, "b#1", 1.0, held=0.4, lengths=[[1, 4]], intervals=[[2, 4]], nats=7.0),
        line_of("m", "a#1", 0.5, held=0.5, lengths=[[2, 4]], intervals=[[0, 4]], nats=6.0),
        line_of("m", "a#1", 0.7, sample=1, held=0.5, lengths=[[2, 4]], intervals=[[0, 4]], nats=8),
        line_of("m", "b#1", 0.2, held=0.3, lengths=[[1, 4]], intervals=[[-2, 4]], nats=8.0),
        line_of("bag", "a#1", 0.4, held=0.1, lengths=[[1, 4]], intervals=[[7, 1]], nats=20.0),
        line_of("bag", "b#1", 0.1, held=0.1, lengths=[[1, 4]], intervals=[[7, 1]], nats=20.0),
        *(line_of("m", f"{s}#1", 0.0, way=way) for s in "ab" for way in WAYS[1:]),
    )  # fmt: skip

    def test_means_by_hand(self):
        row = Results(self.lines).entrant("m")
        assert (row.n_segments, row.n_outputs) == (2, 3)
        paper = row.mse["paper"]
        assert paper.mean.value == pytest.approx(2 * (1 - (0.6 + 0.2) / 2))
        assert paper.deviation == pytest.approx(np.std([1.0, 0.6, 1.6], ddof=1))
        assert row.continuity["nats"].value == pytest.approx((7 + 8) / 2)
        assert row.rows_per_second == pytest.approx(80)

    def test_distances_by_hand(self):
        distance = Results(self.lines).entrant("m").distance
        assert distance["nats"].value == pytest.approx(1.5)
        assert distance["held"].value == pytest.approx(0.1)
        # Real: 6 notes of one row, 2 of three. Mine: 4 of two, 4 of one.
        assert distance["lengths"].value == pytest.approx(0.25 + 0.25)
        # Real: 4 times 0, 4 times 2. Mine: 4 times 0, 4 times -2.
        assert distance["intervals"].value == pytest.approx(2.0)
        real = Results(self.lines).entrant(REAL).distance
        assert all(real[name] == (0.0, 0.0, 0.0) for name in CONTINUITY)

    def test_the_decisive_test_is_paired_by_sample(self):
        control = Results(self.lines).control("m")
        assert (control.n_segments, control.n_samples) == (2, 1)
        assert control.r[WANTED].value == pytest.approx(0.35)
        assert control.gain["shuffled"] == pytest.approx((0.35, 0.2, 0.5))
        assert control.gain["shuffled"].excludes_zero

    def test_pairs_by_hand(self):
        pair = Results(self.lines).pair("m", "bag")
        assert pair.mse.value == pytest.approx(-2 * (0.4 - 0.25))
        assert pair.distance["nats"].value == pytest.approx(1.5 / 14)
        assert pair.distance["held"].value == pytest.approx(0.1 / 0.4)

    def test_order_and_json(self):
        report = ProtocolReport.from_lines(self.lines, ["m"])
        assert [row.name for row in report.rows] == ["m", "bag", REAL]
        assert [control.name for control in report.controls] == ["m"]
        table = report.to_json()
        assert [row["table"] for row in table] == ["entrant"] * 3 + ["control", "pair"]
        assert json.loads(json.dumps(table, allow_nan=False)) == table
        assert table[1]["mse"]["paper"]["mean"]["value"] == pytest.approx(1.5)


def evaluate(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main(["evaluate", "--protocol", "sing", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


class TestCommand:
    few = ("--samples", 1, "--candidates", 4, "--jobs", 1)

    def test_tables(self, capsys, rows, tmp_path):
        code, out, err = evaluate(
            capsys, "--rows", rows, "--model", f"mine={TINY}", *self.few, "--results", "r.jsonl"
        )
        assert code == 0, err
        structure, guards, continuity, control, pairs = out.rstrip("\n").split("\n\n")
        names = ["mine", *[f"mine{BLANKED}"], *BASELINES, REAL]
        for table in (structure, guards, continuity):
            assert len(table.splitlines()) == 1 + len(names)
            assert all(name in table for name in names)
        assert "0.000 [0.000, 0.000]" in structure.splitlines()[-1]
        assert len(control.splitlines()) == 1 + 4
        assert len(pairs.splitlines()) == 1 + 4
        assert "4 test segments, 1 samples each" in err
        assert (tmp_path / "r.jsonl").is_file()
        again = evaluate(
            capsys, "--rows", rows, "--model", f"mine={TINY}", *self.few, "--results", "r.jsonl"
        )
        assert again[1] == out

    def test_json(self, capsys, rows):
        code, out, _ = evaluate(capsys, "--rows", rows, *self.few, "--json", "--quiet")
        assert code == 0
        table = [json.loads(line) for line in out.splitlines()]
        assert [row["name"] for row in table if row["table"] == "entrant"] == [*BASELINES, REAL]

    @pytest.mark.parametrize(
        "arguments",
        [
            (),
            ("--rows", "x", "--against", "y"),
            ("song.mid", "--rows", "x"),
            ("--rows", "x", "--png", "x.png"),
        ],
    )
    def test_what_does_not_belong_together_is_refused(self, capsys, arguments):
        code, _, err = evaluate(capsys, *arguments)
        assert code == 2
        assert "--protocol sing takes --rows and --model" in err

    def test_without_a_protocol_files_and_music_are_needed(self, capsys):
        assert main(["evaluate"]) == 2
        assert "INPUT and --against are needed" in capsys.readouterr().err

    @pytest.mark.parametrize("option", ["--rows", "--model", "--scorer", "--results"])
    def test_options_of_the_protocol_need_it(self, capsys, option):
        assert main(["evaluate", "song.mid", "--against", "data", option, "x"]) == 2
        assert "add --protocol sing" in capsys.readouterr().err

    def test_a_folder_without_rows_is_refused(self, capsys, tmp_path):
        code, _, err = evaluate(capsys, "--rows", tmp_path)
        assert code == 2
        assert "not a row dataset" in err


def test_a_scorer_adds_likelihoods_on_which_a_bag_fails(tmp_path):
    pytest.importorskip("torch")
    from singcli.training.scorer import train_scorer

    data = write_rows(tmp_path / "rows", train=6, n_rows=80)
    train_scorer(data, tmp_path / "scorer.onnx", hidden=24, epochs=60, learning_rate=0.02)
    settings = settings_of(data, models=(), scorer=tmp_path / "scorer.onnx", candidates=(1,))
    rows = {row.name: row for row in ProtocolReport.from_lines(run_protocol(settings), []).rows}
    nats = {name: row.continuity["nats"].value for name, row in rows.items()}
    assert nats[REAL] < nats["bag of real rows, 1"] < nats["random notes"]
    assert rows[REAL].distance["nats"].value == 0.0


def test_songs_of_the_tests_rest_and_repeat():
    roll = song_roll(40, 0)
    assert 0 < (~roll.any(axis=1)).sum() < 10
    assert len(np.unique(roll, axis=0)) < 30
