"""A folder or a zip of MIDI -> a row dataset, with what can go wrong on the way."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from midi_bytes import midi_bytes
from performances import piece

from singcli.cli import main
from singcli.errors import InputError
from singcli.preparation.limits import Limits
from singcli.preparation.sing import rows_from_midi, segment_spans
from singcli.preparation.validation import Validation
from singcli.prepare import prepare
from singcli.prepare_rows import prepare_rows
from singcli.row_dataset import SPLITS, RowDataset, piece_path, segments_path

LENGTHS = (250, 255, 300, 723, 650, 246, 1500, 420)  # rows of the pieces 0 to 7


def put_corpus(folder: Path) -> Path:
    folder.mkdir()
    for number, n_rows in enumerate(LENGTHS):
        (folder / f"{number}.mid").write_bytes(piece(n_rows, seed=number))
    return folder


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Eight pieces without an official split."""
    return put_corpus(tmp_path / "corpus")


def table(**splits: str) -> str:
    """Return MAESTRO's table for pieces in the folder 2009."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["canonical_composer", "canonical_title", "split", "midi_filename"])
    for name, split in splits.items():
        writer.writerow(["A", 'A sonata, "the\nlong one"', split, f"2009/{name[1:]}.midi"])
    return text.getvalue()


@pytest.fixture
def maestro(tmp_path: Path) -> Path:
    """A corpus laid out as MAESTRO is: table and licence above the folders of the years."""
    folder = tmp_path / "maestro-v3.0.0"
    (folder / "2009").mkdir(parents=True)
    for number, n_rows in enumerate(LENGTHS):
        (folder / f"2009/{number}.midi").write_bytes(piece(n_rows, seed=number))
    splits = table(_0="test", _1="train", _2="validation", _3="test", _4="train", _5="train")
    (folder / "maestro-v3.0.0.csv").write_text(splits)
    (folder / "LICENSE").write_text("Not for money.\n")
    return folder


def zipped(folder: Path) -> Path:
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder.parent))
    return path


def skipped(out: Path) -> dict[str, str]:
    lines = (out / "report.jsonl").read_text().splitlines()
    return {row["source"]: row["reason"] for row in map(json.loads, lines)}


def ids(dataset: RowDataset, split: str) -> list[str]:
    return [segment.id for segment in dataset.segments(split)]


def stamps(out: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (out / "pieces").iterdir()}


def assert_same_dataset(one: Path, two: Path) -> None:
    for split in SPLITS:
        assert segments_path(one, split).read_bytes() == segments_path(two, split).read_bytes()


def test_a_folder_becomes_a_row_dataset(corpus: Path, tmp_path: Path) -> None:
    (corpus / "LICENSE").write_text("Do what you like.\n")
    report = prepare_rows([corpus], tmp_path / "rows", validation=Validation(ids="^[26]"))
    dataset = RowDataset.open(tmp_path / "rows")
    assert dataset.pieces == report.pieces
    assert ids(dataset, "validation") == ["2#1", "6#1", "6#2", "6#3"]
    assert ids(dataset, "train") == ["0#1", "1#1", "3#1", "3#2", "4#1", "5#1", "7#1"]
    assert ids(dataset, "test") == []
    first = dataset.pieces[0]
    assert (first.id, first.source, first.n_rows) == ("0", "corpus/0.mid", 250)
    assert first.lengths == (255,)
    assert first.tempo_bpm == pytest.approx(240)
    assert dataset.licences[first.licence or ""] == "Do what you like."
    assert dataset.settings["validation"] == {"fraction": 0.1, "ids": "^[26]"}
    assert skipped(tmp_path / "rows") == {}
    assert not list((tmp_path / "rows").rglob(".*"))


def test_segments_are_cut_from_the_rows_of_the_piece(corpus: Path, tmp_path: Path) -> None:
    prepare_rows([corpus], tmp_path / "rows", validation=Validation(0))
    segments = {s.id: s.roll for s in RowDataset.open(tmp_path / "rows").segments("train")}
    for number, n_rows in enumerate(LENGTHS):
        content = (corpus / f"{number}.mid").read_bytes()
        _, roll = rows_from_midi(content, limits=Limits(), source="x")
        assert len(roll) == n_rows
        for part, (start, stop) in enumerate(segment_spans(n_rows), start=1):
            expected = np.take(roll, np.arange(start, stop), axis=0, mode="wrap")
            np.testing.assert_array_equal(segments.pop(f"{number}#{part}"), expected)
    assert not segments


def test_the_corpus_says_itself_what_to_test_on(maestro: Path, tmp_path: Path) -> None:
    prepare_rows([maestro], tmp_path / "rows", validation=Validation(0))
    dataset = RowDataset.open(tmp_path / "rows")
    assert ids(dataset, "test") == ["0#1", "3#1", "3#2"]
    assert ids(dataset, "validation") == ["2#1"]
    assert dataset.settings["pieces_with_an_official_split"] == 6
    assert list(dataset.licences.values()) == ["Not for money."]


@pytest.mark.parametrize("beside", [False, True], ids=["in the zip", "beside the zip"])
def test_a_zip_is_its_folder(maestro: Path, tmp_path: Path, beside: bool) -> None:
    prepare_rows([maestro], tmp_path / "folder")
    if beside:
        path = tmp_path / "midi.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for file in sorted((maestro / "2009").iterdir()):
                archive.write(file, f"2009/{file.name}")
        for name in ("maestro-v3.0.0.csv", "LICENSE"):
            (maestro / name).rename(tmp_path / name)
    else:
        path = zipped(maestro)
    prepare_rows([path], tmp_path / "zip")
    assert_same_dataset(tmp_path / "folder", tmp_path / "zip")
    one, two = RowDataset.open(tmp_path / "folder"), RowDataset.open(tmp_path / "zip")
    assert one.licences == two.licences
    assert [p.split for p in one.pieces] == [p.split for p in two.pieces]
    assert [p.sha256 for p in one.pieces] == [p.sha256 for p in two.pieces]


@pytest.mark.parametrize("as_rows", [True, False], ids=["rows", "columns"])
def test_the_table_may_be_json(maestro: Path, tmp_path: Path, as_rows: bool) -> None:
    (maestro / "maestro-v3.0.0.csv").unlink()
    names, splits = [f"2009/{n}.midi" for n in range(8)], ["train"] * 5 + ["test"] * 3
    rows = [{"midi_filename": n, "split": s} for n, s in zip(names, splits, strict=True)]
    columns = {
        "midi_filename": dict(zip(map(str, range(8)), names, strict=True)),
        "split": dict(zip(map(str, range(8)), splits, strict=True)),
    }
    (maestro / "maestro-v3.0.0.json").write_text(json.dumps(rows if as_rows else columns))
    report = prepare_rows([maestro], tmp_path / "rows")
    assert [piece.split for piece in report.pieces] == splits


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "{", "[1]", '{"split": 3}'])
def test_any_other_table_says_nothing(maestro: Path, tmp_path: Path, text: str) -> None:
    (maestro / "maestro-v3.0.0.csv").write_text(text)
    report = prepare_rows([maestro], tmp_path / "rows", validation=Validation(0))
    assert {piece.split for piece in report.pieces} == {"train"}


def test_a_split_that_is_none_is_an_error(maestro: Path, tmp_path: Path) -> None:
    (maestro / "maestro-v3.0.0.csv").write_text(table(_0="train", _1="dev"))
    with pytest.raises(InputError, match=r"1\.midi: split = 'dev' .* train, validation, test"):
        prepare_rows([maestro], tmp_path / "rows")
    with pytest.raises(InputError, match="unfinished"):
        RowDataset.open(tmp_path / "rows")


def test_patterns_go_before_the_corpus_own_split(maestro: Path, tmp_path: Path) -> None:
    validation = Validation(ids="[13]$")
    report = prepare_rows([maestro], tmp_path / "rows", validation=validation, test_ids="7$")
    found = {split: [p.id for p in report.pieces if p.split == split] for split in SPLITS}
    assert found == {"validation": ["1", "3"], "test": ["7"], "train": ["0", "2", "4", "5", "6"]}


def test_validation_is_drawn_from_what_is_left(maestro: Path, tmp_path: Path) -> None:
    report = prepare_rows([maestro], tmp_path / "rows", validation=Validation(0.5))
    splits = {piece.id: piece.split for piece in report.pieces}
    assert [splits[name] for name in "012345"] == [
        "test", "train", "validation", "test", "train", "train"
    ]  # fmt: skip
    assert sorted([splits["6"], splits["7"]]) == ["train", "validation"]
    again = prepare_rows(
        [maestro], tmp_path / "rows", validation=Validation(0.5), test_ids="^[0-3]$"
    )
    drawn = [piece.id for piece in again.pieces if piece.split == "validation"]
    assert len(drawn) == 2
    assert set(drawn) < set("4567")


def test_patterns_that_overlap_are_an_error(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="3: both the validation ids") as caught:
        prepare_rows([corpus], tmp_path / "rows", validation=Validation(ids="3"), test_ids="[34]")
    assert caught.value.remedy == "choose patterns that exclude each other"


def test_files_are_left_out_with_their_reason(corpus: Path, tmp_path: Path) -> None:
    (corpus / "bad.mid").write_bytes(b"no music")
    (corpus / "copy.mid").write_bytes((corpus / "1.mid").read_bytes())
    (corpus / "short.mid").write_bytes(piece(245))
    (corpus / "silent.mid").write_bytes(midi_bytes([("x", [])]))
    report = prepare_rows([corpus], tmp_path / "rows")
    assert len(report.pieces) == 8
    reasons = skipped(tmp_path / "rows")
    assert "not a readable MIDI file" in reasons.pop("corpus/bad.mid")
    assert reasons == {
        "corpus/copy.mid": "the same file as corpus/1.mid",
        "corpus/short.mid": "245 rows, the shortest segment is made of 246",
        "corpus/silent.mid": "no notes",
    }
    assert [skip.source for skip in report.skipped if skip.failed] == [
        "corpus/bad.mid",
        "corpus/silent.mid",
    ]
    assert report.summary()["failed"] == 2


def test_a_bug_met_in_one_file_does_not_end_the_run(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail_sometimes(content: bytes, *, limits: Limits, source: str) -> object:
        if source.endswith("5.mid"):
            raise ZeroDivisionError("of all things")
        return rows_from_midi(content, limits=limits, source=source)

    monkeypatch.setattr("singcli.preparation.row_worker.rows_from_midi", fail_sometimes)
    prepare_rows([corpus], tmp_path / "rows")
    expected = {"corpus/5.mid": "unexpected ZeroDivisionError: of all things"}
    assert skipped(tmp_path / "rows") == expected


def test_nothing_usable_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "x.mid").write_bytes(piece(100))
    with pytest.raises(InputError, match=r"none of 1 files .* \(x\.mid: 100 rows, the shortest"):
        prepare_rows([tmp_path / "x.mid"], tmp_path / "rows")
    assert list(skipped(tmp_path / "rows")) == ["x.mid"]


def test_a_second_run_makes_only_what_is_new_or_changed(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "rows"
    prepare_rows([corpus], out)
    before = stamps(out)
    (corpus / "4.mid").write_bytes(piece(333, seed=50))
    (corpus / "new.mid").write_bytes(piece(333, seed=51))
    report = prepare_rows([corpus], out, seed=3)
    changed = {name for name, stamp in stamps(out).items() if before.get(name) != stamp}
    assert changed == {"4.npz", "new.npz"}
    assert report.n_reused == 7
    prepare_rows([corpus], tmp_path / "afresh", seed=3)
    assert_same_dataset(out, tmp_path / "afresh")
    assert prepare_rows([corpus], out, limits=Limits(max_notes=9999)).n_reused == 0
    assert prepare_rows([corpus], out, overwrite=True).n_reused == 0


def test_a_damaged_piece_is_made_anew(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "rows"
    prepare_rows([corpus], out)
    piece_path(out, "2").write_bytes(b"PK")
    assert prepare_rows([corpus], out).n_reused == 7


def test_an_interrupted_run_is_gone_on_with(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "rows"

    def interrupt(done: int, total: int, name: str) -> None:
        assert (total, name[:7]) == (8, "corpus/")
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare_rows([corpus], out, on_progress=interrupt)
    with pytest.raises(InputError, match="unfinished"):
        RowDataset.open(out)
    assert prepare_rows([corpus], out).n_reused == 5
    assert len(RowDataset.open(out).pieces) == 8


def test_pieces_of_other_inputs_are_not_lost_by_accident(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "rows"
    prepare_rows([corpus], out)
    (corpus / "0.mid").unlink()
    with pytest.raises(InputError, match=r"holds 1 pieces that are not among the inputs \(0\)"):
        prepare_rows([corpus], out)
    prepare_rows([corpus], out, overwrite=True)
    assert not piece_path(out, "0").exists()


def test_the_two_kinds_of_dataset_do_not_overwrite_each_other(corpus: Path, tmp_path: Path) -> None:
    prepare([corpus], tmp_path / "songs")
    with pytest.raises(InputError, match="not a row dataset"):
        prepare_rows([corpus], tmp_path / "songs", overwrite=True)
    prepare_rows([corpus], tmp_path / "rows")
    with pytest.raises(InputError, match="not a dataset"):
        prepare([corpus], tmp_path / "rows", overwrite=True)


def test_processes_make_the_same_dataset(
    maestro: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("singcli.preparation.run.MIN_SONGS_FOR_PROCESSES", 1)
    (maestro / "2009/bad.mid").write_bytes(b"")
    progress: list[tuple[int, int]] = []

    def record(done: int, total: int, name: str) -> None:
        assert name
        progress.append((done, total))

    for jobs in (1, 2):
        progress.clear()
        prepare_rows([maestro], tmp_path / f"rows{jobs}", jobs=jobs, on_progress=record)
        assert progress == [(i, 9) for i in range(1, 10)]
    assert_same_dataset(tmp_path / "rows1", tmp_path / "rows2")
    indexes = [(tmp_path / f"rows{jobs}/rows.json").read_bytes() for jobs in (1, 2)]
    assert indexes[0] == indexes[1]


def test_the_command(maestro: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "rows"
    (maestro / "2009/bad.mid").write_bytes(b"")
    arguments = ["prepare", str(zipped(maestro)), "--recipe", "sing", "--out", str(out)]
    arguments += ["--validation-fraction", "0"]
    assert main(arguments) == 0
    output = capsys.readouterr()
    assert output.out == f"{out}\n"
    assert "2009/bad.mid: not a readable MIDI file" in output.err
    said = "7 segments to train on, 1 for validation, 3 for tests, cut from 8 pieces, 0 of them"
    assert said in " ".join(output.err.split())

    assert main([*arguments, "--strict", "--json", "--quiet"]) == 3
    output = capsys.readouterr()
    summary = json.loads(output.out)
    assert (summary["recipe"], summary["pieces"], summary["reused"]) == ("sing", 8, 8)
    assert summary["test"] == {"pieces": 2, "segments": 3, "rows": 255 + 357 + 357}
    assert "1 files were skipped" in output.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--recipe", "sing", "--beats", "estimate"], "--beats is no option of --recipe sing"),
        (["--recipe", "sing", "--pickups"], "--pickups is no option of --recipe sing"),
        (["--recipe", "sing", "--no-sections"], "--no-sections is no option of --recipe sing"),
        (["--recipe", "sing", "--style", "pop"], "--style is no option of --recipe sing"),
        (["--recipe", "sing", "--test-ids", "("], "test ids = '(', allowed: a regular expression"),
        (["--test-ids", "7$"], "--test-ids is an option of --recipe sing"),
        (["--recipe", "song"], "'song'"),
    ],
)
def test_wrong_usage_ends_with_2(
    corpus: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    assert main(["prepare", str(corpus), "--out", str(tmp_path / "rows"), *arguments]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "rows").exists()


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_ends_with_130_and_can_be_gone_on_with(tmp_path: Path) -> None:
    corpus, out = tmp_path / "corpus", tmp_path / "rows"
    corpus.mkdir()
    for i in range(150):
        (corpus / f"{i}.mid").write_bytes(piece(260, seed=i))
    command = [sys.executable, "-m", "singcli", "prepare", str(corpus), "--recipe", "sing"]
    process = subprocess.Popen(
        [*command, "--out", str(out), "-j", "2"],
        cwd=Path(__file__).resolve().parents[1],
        stderr=subprocess.PIPE,
        start_new_session=True,  # so that the signal reaches the processes too, as on a terminal
    )
    while len(list((out / "pieces").glob("*.npz"))) < 5:
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130, errors
    assert b"Traceback" not in errors
    assert not (out / "rows.json").exists()
    assert not list(out.glob("*.npz"))
    assert not list(out.rglob(".*"))
    report = prepare_rows([corpus], out, jobs=1)
    assert report.n_reused >= 5
