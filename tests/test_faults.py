"""Killed, full, read-only, vanished, shared: what is on disk is whole, and the rest goes on."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from midi_bytes import midi_bytes, tune
from performances import piece

from singcli import files
from singcli.cli import main
from singcli.errors import InputError, SingError
from singcli.generate import generate_songs
from singcli.preparation import allowance, row_worker, worker
from singcli.preparation.allowance import Allowance, AllowanceError, within
from singcli.preparation.limits import Limits
from singcli.prepare import prepare
from singcli.prepare_rows import prepare_rows
from singcli.structure.form_string import form_from_string
from singcli.wish import Wish

ROOT = Path(__file__).resolve().parents[1]
TINY = ROOT / "tests" / "data" / "tiny.onnx"
WRITES = ("open", "os.rename", "os.remove", "os.mkdir", "os.chmod", "os.truncate")
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")


def in_child(action: Callable[[], object]) -> int:
    """Run `action` in a copy of this process; return how that ended."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads: pytest's do not matter
        child = os.fork()
    if child == 0:
        code = 1
        try:
            action()
            code = 0
        finally:
            os._exit(code)
    return os.waitpid(child, 0)[1]


def killed_at(moment: int, folder: Path, action: Callable[[], object]) -> bool:
    """Run `action`, killed when it is about to touch a file in `folder` for the n-th time.

    Returns
    -------
    bool
        Whether it came so far.
    """
    seen = 0

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal seen
        if event in WRITES and str(folder) in str(arguments[0]):
            if seen == moment:
                os.kill(os.getpid(), signal.SIGKILL)
            seen += 1

    def watched() -> None:
        sys.addaudithook(watch)
        action()

    status = in_child(watched)
    assert os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 0
    return os.WIFSIGNALED(status)


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def without_temporaries(found: dict[str, str]) -> dict[str, str]:
    return {name: sha for name, sha in found.items() if files.TEMPORARY_PREFIX not in name}


@pytest.fixture
def pieces(tmp_path: Path) -> Path:
    """Three pieces long enough for a segment of rows."""
    folder = tmp_path / "pieces"
    folder.mkdir()
    for i in range(3):
        (folder / f"{i}.mid").write_bytes(piece(250, seed=i))
    return folder


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    folder.mkdir()
    for i in range(4):
        (folder / f"{i}.mid").write_bytes(midi_bytes([("x", tune(4, pitches=(60, 62 + i)))]))
    return folder


@needs_fork
class TestKill:
    def test_a_file_is_the_old_or_the_new_one(self, tmp_path: Path) -> None:
        path = tmp_path / "x.txt"
        moment = 0
        path.write_text("old")
        while killed_at(moment, tmp_path, lambda: files.write_text(path, "new", durable=True)):
            assert path.read_text() in ("old", "new")
            moment += 1
        assert moment >= 2  # opened, renamed
        assert path.read_text() == "new"

    def test_prepare_goes_on_to_the_same_bytes(self, corpus: Path, tmp_path: Path) -> None:
        prepare([corpus], tmp_path / "wanted", jobs=1)
        wanted = contents(tmp_path / "wanted")
        out = tmp_path / "data"
        for moment in (0, 1, 2, 3, 4, 6, 9, 13, 18, 22, 25, 28):
            killed_at(moment, out, lambda: prepare([corpus], out, jobs=1))
            songs = {n: s for n, s in contents(out).items() if n.startswith("songs")}
            assert without_temporaries(songs).items() <= wanted.items()
            prepare([corpus], out, jobs=1)
            assert contents(out) == wanted
            for path in list(out.rglob("*.npz"))[moment % 2 :]:
                path.unlink()

    def test_generate_goes_on_to_the_same_bytes(self, tmp_path: Path) -> None:
        wish = Wish(form_from_string("A2 A2"))

        def songs(folder: Path) -> None:
            folder.mkdir(exist_ok=True)
            targets = [(seed, folder / f"{seed}.mid") for seed in (1, 2)]
            list(generate_songs(wish, TINY, targets, overwrite=True))

        songs(tmp_path / "wanted")
        wanted = contents(tmp_path / "wanted")
        out = tmp_path / "songs"
        for moment in (1, 4, 6, 9, 11, 14):
            killed_at(moment, out, lambda: songs(out))
            found = contents(out) if out.exists() else {}
            assert without_temporaries(found).items() <= wanted.items()
        songs(out)
        assert without_temporaries(contents(out)) == wanted

    def test_a_checkpoint_is_the_old_or_the_new_one(self, tmp_path: Path) -> None:
        pytest.importorskip("torch")
        from singcli.model.contract import NetworkSizes
        from singcli.training.checkpoint import Checkpoint, Progress, write_checkpoint
        from singcli.training.networks import PointerNetwork

        network = PointerNetwork(NetworkSizes(16, 8, 8, 8, 8, 16, 8, 8))
        path = tmp_path / "last.safetensors"

        def write(updates: int = 1) -> None:
            write_checkpoint(path, network, Progress(updates=updates), {"config": {}})

        write(0)
        moment = 0
        while killed_at(moment, tmp_path, write):
            assert Checkpoint.read(path).progress.updates in (0, 1)
            moment += 1
        assert moment >= 3


class TestDisk:
    def test_without_room_the_rest_goes_on_and_there_is_no_index(
        self, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
    ) -> None:
        write, out = worker.dataset.write_song, tmp_path / "data"

        def full_for_two(path: Path, *arguments: object) -> None:
            if path.stem in ("1", "2"):
                raise files.WriteError(path, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
            write(path, *arguments)

        monkeypatch.setattr(worker.dataset, "write_song", full_for_two)
        assert main(["prepare", str(corpus), "--out", str(out), "--quiet"]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert "2 songs could not be stored" in line
        assert "No space left on device" in line
        assert {path.stem for path in (out / "songs").glob("*.npz")} == {"0", "3"}
        assert not (out / "index.json").exists()
        monkeypatch.undo()
        report = prepare([corpus], out, jobs=1)
        assert (len(report.entries), report.n_reused) == (4, 2)

    def test_of_rows_too(
        self, pieces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write, out = row_worker.row_dataset.write_piece, tmp_path / "rows"

        def full_for_one(path: Path, *arguments: object) -> None:
            if path.stem == "1":
                raise files.WriteError(path, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
            write(path, *arguments)

        monkeypatch.setattr(row_worker.row_dataset, "write_piece", full_for_one)
        with pytest.raises(SingError, match=r"1 pieces could not be stored, .*No space left"):
            prepare_rows([pieces], out, jobs=1)
        assert not (out / "rows.json").exists()
        monkeypatch.undo()
        report = prepare_rows([pieces], out, jobs=1)
        assert (len(report.pieces), report.n_reused) == (3, 2)

    @needs_fork
    def test_a_full_disk_leaves_nothing_half_written(self, tmp_path: Path) -> None:
        resource = pytest.importorskip("resource")
        path = tmp_path / "x.bin"
        path.write_bytes(b"old")

        def write_too_much() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
            with pytest.raises(files.WriteError, match="File too large"):
                files.write_bytes(path, bytes(5000))
            with pytest.raises(files.WriteError):
                files.append_line(path, "x" * 5000)

        assert in_child(write_too_much) == 0
        assert path.read_bytes().startswith(b"old")
        assert list(tmp_path.iterdir()) == [path]
        files.append_line(path, "next")
        assert path.read_bytes().endswith(b"x\nnext\n")

    @pytest.mark.parametrize("command", ["generate", "ssm", "prepare"])
    def test_a_folder_that_cannot_be_written_ends_in_one_line(
        self, command: str, corpus: Path, capsys
    ) -> None:
        if not Path("/proc/self").exists():
            pytest.skip("needs a folder that nobody can write to")
        words = {
            "generate": ["--form", "A2 A2", "--model", str(TINY), "--out", "/proc/x.mid"],
            "ssm": ["aaba", "--out", "/proc/x.npz"],
            "prepare": [str(corpus), "--out", "/proc/data"],
        }[command]
        assert main([command, *words, "--quiet"]) in (1, 2)
        (line,) = capsys.readouterr().err.splitlines()
        assert "cannot be written" in line

    def test_a_checkpoint_that_cannot_be_written_ends_in_one_line(self, tmp_path: Path) -> None:
        pytest.importorskip("torch")
        from singcli.model.contract import NetworkSizes
        from singcli.training.checkpoint import Progress, write_checkpoint
        from singcli.training.networks import PointerNetwork

        network = PointerNetwork(NetworkSizes(16, 8, 8, 8, 8, 16, 8, 8))
        with pytest.raises(files.WriteError, match=r"last\.safetensors: cannot be written"):
            write_checkpoint(tmp_path / "none" / "last.safetensors", network, Progress(), {})

    def test_an_input_that_vanishes_is_skipped(
        self, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from singcli.preparation.sources import SourceReader

        read = SourceReader.read

        def gone(self: SourceReader, source: object) -> bytes:
            (corpus / "2.mid").unlink(missing_ok=True)
            return read(self, source)

        monkeypatch.setattr(SourceReader, "read", gone)
        report = prepare([corpus], tmp_path / "data", jobs=1)
        assert len(report.entries) == 3
        assert [skip.source for skip in report.skipped] == ["corpus/2.mid"]


class TestTwoProcesses:
    def test_one_alone_writes_to_a_folder(self, corpus: Path, tmp_path: Path) -> None:
        pytest.importorskip("fcntl")
        out = tmp_path / "data"
        prepare([corpus], out, jobs=1)
        before = contents(out)
        with (
            files.held(out),
            pytest.raises(InputError, match="another singcli is writing to this folder"),
        ):
            prepare([corpus], out, jobs=1)
        assert contents(out) == before
        with files.held(out):
            pass

    def test_of_rows_too(self, pieces: Path, tmp_path: Path) -> None:
        pytest.importorskip("fcntl")
        out = tmp_path / "rows"
        out.mkdir()
        (out / f"{files.TEMPORARY_PREFIX}x.npz").touch()
        with (
            files.held(out),
            pytest.raises(InputError, match="another singcli is writing to this folder"),
        ):
            prepare_rows([pieces], out, jobs=1)
        prepare_rows([pieces], out, jobs=1)
        assert not list(out.glob(".*"))

    def test_a_batch_takes_away_what_nobody_writes_any_more(self, tmp_path: Path) -> None:
        fresh, old = (tmp_path / f"{files.TEMPORARY_PREFIX}{name}.mid" for name in "ab")
        fresh.touch()
        old.touch()
        os.utime(old, (time.time() - 2 * files.ABANDONED_S,) * 2)
        arguments = ["generate", "--form", "A2 B2", "--model", str(TINY), "--seeds", "1-2"]
        assert main([*arguments, "--out-dir", str(tmp_path), "--quiet"]) == 0
        assert fresh.exists()
        assert not old.exists()

    @needs_fork
    def test_the_lock_ends_with_its_process(self, tmp_path: Path) -> None:
        pytest.importorskip("fcntl")

        def hold_and_die() -> None:
            with files.held(tmp_path):
                os.kill(os.getpid(), signal.SIGKILL)

        assert os.WTERMSIG(in_child(hold_and_die)) == signal.SIGKILL
        with files.held(tmp_path):
            pass

    def test_processes_end_when_the_one_that_started_them_is_killed(self, tmp_path: Path) -> None:
        program = (
            "import sys, time\n"
            "sys.path.insert(0, sys.argv[1])\n"
            "from test_faults import own_number\n"
            "from singcli.preparation.pool import outcomes_in_processes\n"
            "if __name__ == '__main__':\n"
            "    for item, outcome in outcomes_in_processes(own_number, [0, 60], jobs=2):\n"
            "        print(outcome, flush=True)\n"
        )
        script = tmp_path / "start.py"
        script.write_text(program)
        process = subprocess.Popen(
            [sys.executable, str(script), str(ROOT / "tests")],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        assert process.stdout is not None
        worker_id = int(process.stdout.readline())
        process.kill()
        process.communicate()
        for _ in range(300):
            if not is_running(worker_id):
                break
            time.sleep(0.1)
        assert not is_running(worker_id)


def own_number(seconds: int) -> int:
    time.sleep(seconds)
    return os.getpid()


def is_running(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
        state = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def greedy(what: str) -> str:
    """Take what no file may take; importable by the processes."""
    with within(Allowance(0.3, 64), source="x.mid", own_process=True):
        if what == "time":
            while True:
                pass
        if what == "memory":
            return str(len(bytearray(2**30)))
        if what == "native":
            sum(range(10**11))  # one call: Python hears no signal until it returns
    return what


class TestAllowance:
    @pytest.mark.parametrize(
        ("what", "message"),
        [("time", "takes more than 0.3 seconds"), ("memory", "takes more than 64 MB of memory")],
    )
    def test_what_takes_too_much_is_interrupted(self, what: str, message: str) -> None:
        resource = pytest.importorskip("resource")
        before = [resource.getrlimit(k) for k in (resource.RLIMIT_AS, resource.RLIMIT_CPU)]
        with pytest.raises(AllowanceError, match=f"x.mid: {message}"):
            greedy(what)
        after = [resource.getrlimit(k) for k in (resource.RLIMIT_AS, resource.RLIMIT_CPU)]
        assert after == before
        assert len(bytearray(2**27)) == 2**27
        assert greedy("nothing") == "nothing"

    def test_limits_must_be_positive(self) -> None:
        with pytest.raises(InputError, match="max_seconds"):
            Allowance(max_seconds=0)
        with pytest.raises(InputError, match="max_tracks"):
            Limits(max_tracks=0)

    def test_prepare_names_the_file_and_goes_on(
        self, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        read = worker.prepared_score

        def slow(content: bytes, *arguments: object, source: str, **options: object) -> object:
            while source.endswith("1.mid"):
                pass
            return read(content, *arguments, source=source, **options)

        monkeypatch.setattr(worker, "prepared_score", slow)
        out = tmp_path / "data"
        report = prepare([corpus], out, jobs=1, allowance=Allowance(max_seconds=0.2))
        assert len(report.entries) == 3
        (row,) = map(json.loads, (out / "report.jsonl").read_text().splitlines())
        assert row == {
            "source": "corpus/1.mid",
            "reason": "takes more than 0.2 seconds",
            "failed": True,
        }

    def test_prepare_of_rows_too(
        self, pieces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        read = row_worker.rows_from_midi

        def slow(content: bytes, *, limits: Limits, source: str) -> object:
            while source.endswith("1.mid"):
                pass
            return read(content, limits=limits, source=source)

        monkeypatch.setattr(row_worker, "rows_from_midi", slow)
        report = prepare_rows([pieces], tmp_path / "rows", jobs=1, allowance=Allowance(0.5))
        assert len(report.pieces) == 2
        assert [skip.reason for skip in report.skipped] == ["takes more than 0.5 seconds"]
        monkeypatch.undo()
        with pytest.raises(InputError, match=r"1 tracks, allowed are 0\.5"):
            prepare_rows([pieces], tmp_path / "none", jobs=1, limits=Limits(max_tracks=0.5))

    @needs_fork
    def test_native_code_ends_with_its_process(self, monkeypatch: pytest.MonkeyPatch) -> None:
        pytest.importorskip("resource")
        monkeypatch.setattr(allowance, "GRACE_SECONDS", 0)
        assert os.WTERMSIG(in_child(lambda: greedy("native"))) == signal.SIGXCPU


def test_the_page_tells_the_limits() -> None:
    page = (ROOT / "docs" / "limits.md").read_text(encoding="utf-8")
    limits = dataclasses.asdict(Limits()) | dataclasses.asdict(Allowance())
    limits["max_memory"] = limits.pop("max_memory_mb")
    found = re.findall(r"^\| `--([a-z-]+)` \| (\d+) \|", page, re.MULTILINE)
    assert {name.replace("-", "_"): float(value) for name, value in found} == limits


def test_a_lost_training_process_ends_in_one_line() -> None:
    pytest.importorskip("torch")
    from singcli.training import workers

    class Follower:
        exitcode = -9

        def join(self, _seconds: float) -> None:
            pass

    told = workers._told(RuntimeError("connection closed"), [Follower()])
    assert isinstance(told, SingError)
    assert "ended with -9" in str(told)
    assert "--resume" in (told.remedy or "")
    Follower.exitcode = None
    error = RuntimeError("a bug")
    assert workers._told(error, [Follower()]) is error
