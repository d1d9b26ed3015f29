"""A folder of MIDI -> a dataset, with what can go wrong on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from midi_bytes import midi_bytes, tune

from singcli.cli import main
from singcli.dataset import Dataset, song_path
from singcli.errors import InputError
from singcli.preparation import scores
from singcli.preparation.limits import Limits
from singcli.preparation.validation import Validation
from singcli.prepare import PrepareReport, prepare


def song(seed: int, n_bars: int = 4) -> bytes:
    rng = np.random.default_rng(seed)
    melody = tune(n_bars, pitches=rng.integers(60, 80, 8).tolist())
    bass = [(4.0 * bar, 4.0 * bar + 4, int(rng.integers(36, 50))) for bar in range(n_bars)]
    return midi_bytes([("Melody", melody), ("Piano", bass)])


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Twelve songs."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    for i in range(12):
        (folder / f"{i:02}.mid").write_bytes(song(i))
    return folder


def skipped(out: Path) -> dict[str, str]:
    lines = (out / "report.jsonl").read_text().splitlines()
    return {row["source"]: row["reason"] for row in map(json.loads, lines)}


def stamps(out: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (out / "songs").iterdir()}


def test_a_folder_becomes_a_dataset(corpus: Path, tmp_path: Path) -> None:
    (corpus / "LICENSE").write_text("Do what you like.\n")
    report = prepare([corpus], tmp_path / "data", validation=Validation(ids="[37]$"))
    dataset = Dataset.open(tmp_path / "data")
    assert dataset.entries == report.entries
    assert [song.id for song in dataset.songs("validation")] == ["03", "07"]
    assert len(dataset.songs("train")) == 10
    entry = dataset.entries[0]
    assert (entry.id, entry.source, entry.meter) == ("00", "corpus/00.mid", "4/4")
    assert (entry.n_bars, entry.n_beats, entry.tempo_bpm) == (4, 16, 120)
    assert entry.voices == {"lead": 16, "accompaniment": 4}
    assert entry.key_source == "estimate"
    assert dataset.licences[entry.licence or ""] == "Do what you like."
    assert skipped(tmp_path / "data") == {}
    assert not list((tmp_path / "data").rglob(".*"))


def test_what_is_stored_is_what_a_template_is_read_as(corpus: Path, tmp_path: Path) -> None:
    prepare([corpus], tmp_path / "data")
    for song in Dataset.open(tmp_path / "data").songs("train"):
        score = scores.score_from_midi(corpus / f"{song.id}.mid")
        for name in ("step", "voice", "pitch", "duration", "velocity", "bar_beats"):
            np.testing.assert_array_equal(getattr(song.score, name), getattr(score, name))
        assert song.score.key == score.key


def test_bad_files_are_skipped_with_their_reason(corpus: Path, tmp_path: Path) -> None:
    bad = {
        "empty.mid": (b"", "not a readable MIDI file"),
        "text.mid": (b"no music", "not a readable MIDI file"),
        "silent.mid": (midi_bytes([("x", [])]), "no notes"),
        "drums.mid": (midi_bytes([("x", tune(4))], channels=[9]), "drums only"),
        "stopped.mid": (midi_bytes([("x", tune(4))], tempos=[(0, 0)]), "tempo of zero"),
        "short.mid": (midi_bytes([("x", tune(1))]), "1 bar long"),
        "long.mid": (midi_bytes([("x", [*tune(2), (8e4, 8e4 + 1, 60)])]), "667 minutes"),
        "huge.mid": (b"M" * 30_000, "larger than the allowed"),
    }
    for name, (content, _) in bad.items():
        (corpus / name).write_bytes(content)
    with zipfile.ZipFile(corpus / "more.zip", "w") as archive:
        archive.writestr("zipped.mid", song(99))
        archive.writestr("broken.mid", b"MThd")
    report = prepare([corpus], tmp_path / "data", limits=Limits(max_bytes=20_000))
    assert len(report.entries) == 13
    assert report.n_failed == len(bad) + 1
    reasons = skipped(tmp_path / "data")
    for name, (_, reason) in bad.items():
        assert reason in reasons.pop(f"corpus/{name}")
    assert list(reasons) == ["corpus/more.zip/broken.mid"]
    assert all("corpus/" not in reason and "\n" not in reason for reason in reasons.values())


def test_a_second_copy_is_left_out_but_is_no_failure(corpus: Path, tmp_path: Path) -> None:
    (corpus / "copy of 03.mid").write_bytes((corpus / "03.mid").read_bytes())
    report = prepare([corpus], tmp_path / "data")
    assert len(report.entries) == 12
    assert report.n_failed == 0
    assert skipped(tmp_path / "data") == {"corpus/copy of 03.mid": "the same file as corpus/03.mid"}


def test_a_bug_met_in_one_file_does_not_end_the_run(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail_sometimes(*arguments: Any, source: str, **options: Any) -> Any:
        if source.endswith("05.mid"):
            raise ZeroDivisionError("of all things")
        return scores.prepared_score(*arguments, source=source, **options)

    monkeypatch.setattr("singcli.preparation.worker.prepared_score", fail_sometimes)
    prepare([corpus], tmp_path / "data")
    expected = {"corpus/05.mid": "unexpected ZeroDivisionError: of all things"}
    assert skipped(tmp_path / "data") == expected


def test_nothing_usable_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "x.mid").write_bytes(b"no")
    with pytest.raises(InputError, match=r"none of 1 files .* \(x\.mid: not a read"):
        prepare([tmp_path / "x.mid"], tmp_path / "data")
    assert list(skipped(tmp_path / "data")) == ["x.mid"]


def test_a_second_run_makes_only_what_is_new_or_changed(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "data"
    prepare([corpus], out)
    before = stamps(out)
    (corpus / "04.mid").write_bytes(song(104))
    (corpus / "new.mid").write_bytes(song(105))
    report = prepare([corpus], out)
    changed = {name for name, stamp in stamps(out).items() if before.get(name) != stamp}
    assert changed == {"04.npz", "new.npz"}
    assert report.n_reused == 11
    assert len(Dataset.open(out).entries) == 13


def test_other_settings_make_all_songs_anew(corpus: Path, tmp_path: Path) -> None:
    prepare([corpus], tmp_path / "data")
    assert prepare([corpus], tmp_path / "data", seed=3).n_reused == 12
    assert prepare([corpus], tmp_path / "data", rules="solo-piano").n_reused == 0
    assert prepare([corpus], tmp_path / "data", rules="solo-piano").n_reused == 12
    assert prepare([corpus], tmp_path / "data", rules="solo-piano", overwrite=True).n_reused == 0


def test_a_damaged_song_is_made_anew(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "data"
    prepare([corpus], out)
    song_path(out, "02").write_bytes(b"PK")
    assert prepare([corpus], out).n_reused == 11
    assert len(Dataset.open(out).songs("train")) == 11


def test_an_interrupted_run_is_gone_on_with(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "data"

    def interrupt(done: int, total: int, name: str) -> None:
        assert (total, name[:7]) == (12, "corpus/")
        if done == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare([corpus], out, on_progress=interrupt)
    with pytest.raises(InputError, match="unfinished"):
        Dataset.open(out)
    report = prepare([corpus], out)
    assert report.n_reused == 7
    assert len(Dataset.open(out).entries) == 12


def test_songs_of_other_inputs_are_not_lost_by_accident(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "data"
    prepare([corpus], out)
    (corpus / "00.mid").unlink()
    with pytest.raises(InputError, match=r"not among the inputs \(00\)"):
        prepare([corpus], out)
    assert len(Dataset.open(out).entries) == 12
    prepare([corpus], out, overwrite=True)
    assert not song_path(out, "00").exists()


def test_a_folder_of_something_else_is_not_touched(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "mine/songs").mkdir(parents=True)
    precious = tmp_path / "mine/songs/precious.npz"
    precious.write_bytes(b"!")
    for overwrite in (False, True):
        with pytest.raises(InputError, match="not a dataset"):
            prepare([corpus], tmp_path / "mine", overwrite=overwrite)
    assert precious.exists()
    with pytest.raises(InputError, match="is a file"):
        prepare([corpus], precious)


def test_a_folder_that_cannot_be_written_is_found_first(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_reading(*_: object) -> bytes:
        raise AssertionError("the work has begun")

    monkeypatch.setattr("singcli.preparation.sources.SourceReader.read", no_reading)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        prepare([corpus], tmp_path / "file/data")


@pytest.mark.parametrize(
    "options", [{"beats": "none"}, {"jobs": 0}, {"rules": "leider"}], ids=lambda o: next(iter(o))
)
def test_settings_that_are_not_allowed(
    corpus: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    with pytest.raises(InputError, match=str(next(iter(options.values())))):
        prepare([corpus], tmp_path / "data", **options)
    assert not (tmp_path / "data").exists()


def test_processes_make_the_same_dataset(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("singcli.preparation.run.MIN_SONGS_FOR_PROCESSES", 1)
    (corpus / "bad.mid").write_bytes(b"")
    (corpus / "copy of 03.mid").write_bytes((corpus / "03.mid").read_bytes())
    reports: list[PrepareReport] = []
    progress: list[tuple[int, int]] = []

    def record(done: int, total: int, name: str) -> None:
        assert name
        progress.append((done, total))

    for jobs in (1, 2):
        progress.clear()
        reports.append(prepare([corpus], tmp_path / f"data{jobs}", jobs=jobs, on_progress=record))
        assert progress == [(i, 14) for i in range(1, 15)]
        assert len(list((tmp_path / f"data{jobs}/songs").iterdir())) == 12
    one, two = reports
    assert one.entries == two.entries
    assert one.skipped == two.skipped
    indexes = [(tmp_path / f"data{jobs}/index.json").read_bytes() for jobs in (1, 2)]
    assert indexes[0] == indexes[1]


def test_a_copy_of_what_a_process_died_over_is_a_copy(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def all_die(_work: object, sources: list[Any], **_options: object) -> Iterator[Any]:
        yield from ((source, None) for source in sources)

    monkeypatch.setattr("singcli.preparation.run.MIN_SONGS_FOR_PROCESSES", 1)
    monkeypatch.setattr("singcli.preparation.run.outcomes_in_processes", all_die)
    (corpus / "copy of 03.mid").write_bytes((corpus / "03.mid").read_bytes())
    with pytest.raises(InputError, match="none of 13 files"):
        prepare([corpus], tmp_path / "data", jobs=2)
    reasons = skipped(tmp_path / "data")
    assert reasons.pop("corpus/copy of 03.mid") == "the same file as corpus/03.mid"
    assert all(reason.startswith("its process ended over it") for reason in reasons.values())


def test_the_draw_depends_on_id_and_seed_alone() -> None:
    ids = [f"{i:03}" for i in range(200)]
    chosen = Validation(0.2).chosen(ids, seed=1)
    assert len(chosen) == 40
    assert chosen == Validation(0.2).chosen(ids[::-1], seed=1)
    assert chosen != Validation(0.2).chosen(ids, seed=2)
    fewer = Validation(0.2).chosen(ids[:150], seed=1)
    assert len(fewer & chosen) >= 25


def test_small_corpora_still_hold_something_out() -> None:
    assert len(Validation().chosen(["a", "b"], 0)) == 1
    assert Validation().chosen(["a"], 0) == set()
    assert Validation(0).chosen(["a", "b"], 0) == set()


@pytest.mark.parametrize("validation", [{"fraction": 1.0}, {"fraction": -0.1}, {"ids": "("}])
def test_impossible_splits_are_refused(validation: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="allowed"):
        Validation(**validation)


def test_the_command(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "data"
    (corpus / "bad.mid").write_bytes(b"")
    arguments = ["prepare", str(corpus), "--out", str(out), "--licence", "CC0"]
    assert main(arguments) == 0
    output = capsys.readouterr()
    assert output.out == f"{out}\n"
    assert "skipped corpus/bad.mid: not a readable MIDI file" in output.err
    assert "12 songs (11 to train on, 1 held out" in output.err
    assert list(Dataset.open(out).licences.values()) == ["CC0"]

    assert main([*arguments, "--strict", "--json", "--quiet"]) == 3
    output = capsys.readouterr()
    assert json.loads(output.out)["reused"] == 12
    assert "1 files were skipped" in output.err


def test_a_licence_file_is_read(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "terms.txt").write_text("All rites reversed.")
    out = tmp_path / "data"
    assert main(["prepare", str(corpus), "--out", str(out), "--quiet",
                 "--licence", str(tmp_path / "terms.txt")]) == 0  # fmt: skip
    assert list(Dataset.open(out).licences.values()) == ["All rites reversed."]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "no such file or folder"),
        (["CORPUS", "--rules", "leider"], "did you mean lieder"),
        (["CORPUS", "--validation-ids", "("], "regular expression"),
        (["CORPUS", "--validation-fraction", "1"], "allowed: 0 to below 1"),
        (["CORPUS", "--beats", "annotation"], "no beat_midi.txt beside it"),
    ],
)
def test_wrong_usage_ends_with_2(
    corpus: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    given = [str(corpus) if a == "CORPUS" else a for a in arguments]
    assert main(["prepare", *given, "--out", str(tmp_path / "data")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "data/index.json").exists()


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_ends_with_130_and_can_be_gone_on_with(tmp_path: Path) -> None:
    corpus, out = tmp_path / "corpus", tmp_path / "data"
    corpus.mkdir()
    for i in range(250):
        (corpus / f"{i}.mid").write_bytes(song(i, n_bars=40))
    process = subprocess.Popen(
        [sys.executable, "-m", "singcli", "prepare", str(corpus), "--out", str(out), "-j", "2"],
        cwd=Path(__file__).resolve().parents[1],
        stderr=subprocess.PIPE,
        start_new_session=True,  # so that the signal reaches the processes too, as on a terminal
    )
    while len(list((out / "songs").glob("*.npz"))) < 5:
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130, errors
    assert b"Traceback" not in errors
    assert not (out / "index.json").exists()
    report = prepare([corpus], out, jobs=1)
    assert report.n_reused >= 5
    assert len(report.entries) == 250
