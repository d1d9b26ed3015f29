"""Many songs in one call: each as if it were alone, whatever happens to the others."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from singcli import batch
from singcli.batch import Failure, make_batch
from singcli.cli import main
from singcli.files import WriteError
from singcli.manifest import ManifestRow, append_row, manifest_path, read_rows
from singcli.music.midi_writing import midi_from_score
from singcli.recipe import read_recipe
from singcli.seeds import Shard
from singcli.structure.form_string import form_from_string
from singcli.studio import Settings, Song, Studio
from singcli.targets import Target
from singcli.wish import Wish
from singcli.wish_sources import SameWish

ROOT = Path(__file__).resolve().parents[1]
TINY = ROOT / "tests" / "data" / "tiny.onnx"
SHORT, LONG = "A1 A1", "A2 B1 A2"


@pytest.fixture(autouse=True)
def work(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "short.toml").write_text(f'form = "{SHORT}"\n')
    (tmp_path / "long.toml").write_text(f'form = "{LONG}"\ntempo = 84\n')
    return tmp_path


def run(*arguments: str | Path) -> int:
    followed = [] if {"-p", "--form", "--template"} & set(arguments) else ["--form", SHORT]
    return main(["generate", *followed, *map(str, arguments), "--model", str(TINY)])


def songs(folder: str | Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(folder).glob("*.mid")}


def rows(folder: str | Path, name: str = "manifest.jsonl") -> list[dict]:
    return [json.loads(line) for line in (Path(folder) / name).read_text().splitlines()]


def visible(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.endswith(".toml")}


class TestASongAsIfItWereAlone:
    BOTH = ("-p", "short.toml", "-p", "long.toml")

    def test_it_depends_on_its_seed_and_not_on_processes_order_or_batches(self, monkeypatch):
        assert run(*self.BOTH, "--seeds", "1-4", "--out-dir", "one", "--jobs", 1) == 0
        expected = songs("one")
        assert len(expected) == 8
        assert run(*self.BOTH, "--seeds", "1-4", "--out-dir", "two", "--jobs", 2) == 0
        assert songs("two") == expected
        reverse = ("-p", "long.toml", "-p", "short.toml", "--seeds", "4,3,2,1")
        assert run(*reverse, "--out-dir", "three", "--jobs", 1) == 0
        assert songs("three") == expected
        for form, seed in (("short", 2), ("long", 1), ("long", 3)):
            assert run("-p", f"{form}.toml", "--seed", seed, "--out-dir", "alone", "-q") == 0
        assert len(songs("alone")) == 3
        assert songs("alone").items() <= expected.items()
        for limit, low in (("attempts.ROWS_AT_ONCE", 3), ("studio.BEATS_AT_ONCE", 70)):
            monkeypatch.setattr(f"singcli.{limit}", low)
            assert run(*self.BOTH, "--seeds", "1-4", "--out-dir", limit, "--jobs", 1) == 0
            assert songs(limit) == expected

    @pytest.mark.parametrize(
        "options",
        [
            ("--candidates", 3, "--top-p", 0.9, "--temperature", "lead=1.3"),
            ("--best-of", 3, "--scale-lock", "hard", "--max-polyphony", "lead=1"),
        ],
    )
    def test_with_all_that_bears_on_the_notes(self, options):
        assert run(*self.BOTH, "--seeds", "1-2", *options, "--out-dir", "many") == 0
        for seed in (1, 2):
            again = ("-p", "long.toml", "--seed", seed, *options, "--out-dir", "alone")
            assert run(*again) == 0
        assert len(songs("alone")) == 2
        assert songs("alone").items() <= songs("many").items()

    def test_with_a_template(self, work, aaba_score):
        (work / "t.mid").write_bytes(midi_from_score(aaba_score))
        assert run("--template", "t.mid", "--seeds", "1-3", "--out-dir", "many") == 0
        assert run("--template", "t.mid", "--seed", 2, "--out-dir", "alone") == 0
        assert songs("alone")["t-2.mid"] == songs("many")["t-2.mid"]

    def test_random_forms_are_those_of_their_seeds_in_other_processes_too(self):
        random = ("-p", "random", "--bars", 4)
        assert run(*random, "--seeds", "2-3", "--out-dir", "many", "--jobs", 2) == 0
        assert run(*random, "--seed", 3, "--out-dir", "alone") == 0
        assert songs("alone")["random-4-3.mid"] == songs("many")["random-4-3.mid"]

    def test_shards_are_the_batch_in_parts(self):
        wanted = (*self.BOTH, "--seeds", "1-2", "--filename", "{index}.mid")
        assert run(*wanted, "--out-dir", "whole") == 0
        for number in (1, 2, 3):
            assert run(*wanted, "--out-dir", "parts", "--shard", f"{number}/3") == 0
        assert songs("parts") == songs("whole")
        of_parts = [rows("parts", f"manifest-{n}-of-3.jsonl") for n in (1, 2, 3)]
        assert [len(part) for part in of_parts] == [2, 1, 1]


class TestSeveral:
    def test_presets_and_seeds_and_the_paths_in_order(self, capsys):
        arguments = ("-p", "short.toml", "-p", "long.toml", "--seeds", "9,1-2")
        assert run(*arguments, "--jobs", 1) == 0
        out = capsys.readouterr().out.split()
        assert out == [f"{form}-{seed}.mid" for form in ("short", "long") for seed in (9, 1, 2)]

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("--seeds", "1-2", "--seed", 3), "--seeds stands alone"),
            (("--seeds", "1-2", "--count", 1), "--seeds stands alone"),
            (("--seeds", "2-1"), "runs backwards"),
            (("--count", 4, "--shard", "1/2"), "--shard needs --seed or --seeds"),
            (("--count", 4, "--skip-existing"), "--skip-existing needs --seed or --seeds"),
            (("--seed", 1, "--skip-existing", "--overwrite"), "only one of them"),
            (("--seed", 1, "--shard", "3/2"), "--shard 3/2, allowed: from 1/2 to 2/2"),
            (("-p", "short.toml", "-p", "short.toml", "--seed", 1), "equal names"),
            (("-p", "short.toml", "-p", "no.toml", "--seed", 1), "no.toml: "),
            (("-p", "short.toml", "-p", "one.toml", "--seed", 1), "one: 1 bar long"),
            (("-p", "short.toml", "-p", "long.toml", "--out", "x.mid"), "2 are asked for"),
            (
                ("-p", "short.toml", "-p", "long.toml", "--save-preset", "x.toml"),
                "the songs have several forms",
            ),
            (("--seed", 1, "--png", "--out", "-"), "--png needs a file"),
            (("--seed", 1, "--json", "--out", "-"), "both want standard output"),
        ],
    )
    def test_what_does_not_go_together_is_said_first(self, work, capsys, arguments, message):
        (work / "one.toml").write_text('form = "A1"\n')
        assert run(*arguments) == 2
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert message in err
        assert visible(work) == set()


class TestManifest:
    def test_a_row_for_every_song(self, work):
        assert run("--seeds", "1-2", "--out-dir", "many") == 0
        made = rows("many")
        assert [(row["path"], row["status"], row["seed"]) for row in made] == [
            ("form-1.mid", "made", 1),
            ("form-2.mid", "made", 2),
        ]
        recipe = read_recipe(work / "many" / "form-1.json")
        assert made[0]["structure"] == recipe.structure["score"]
        assert made[0]["error"] is None

    def test_a_song_alone_has_none(self, work):
        assert run("--seed", 1) == 0
        assert visible(work) == {"form-1.mid", "form-1.json"}

    def test_a_torn_line_is_not_continued(self, tmp_path):
        path = manifest_path(tmp_path)
        append_row(path, ManifestRow("a.mid", "made", "a", 1))
        path.write_text(path.read_text() + '{"path": "b.m')
        append_row(path, ManifestRow("c.mid", "failed", "c", 3, error="é"))
        append_row(path, ManifestRow("c.mid", "made", "c", 3))
        assert {name: row["status"] for name, row in read_rows(path).items()} == {
            "a.mid": "made",
            "c.mid": "made",
        }
        assert read_rows(tmp_path / "none.jsonl") == {}

    def test_rows_written_at_once_do_not_mix(self, tmp_path):
        path = manifest_path(tmp_path, Shard(1, 2))

        def write(writer: int) -> None:
            for n in range(200):
                append_row(path, ManifestRow(f"{writer}-{n}.mid", "made", "x" * 300, n))

        threads = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        lines = path.read_text().splitlines()
        assert len(lines) == 800
        assert len(read_rows(path)) == 800
        assert path.name == "manifest-1-of-2.jsonl"


class TestSkipExisting:
    def test_what_is_there_stays_and_the_rest_is_made(self, work, capsys):
        assert run("--seeds", "1-3", "--out-dir", "many") == 0
        expected = songs("many")
        (work / "many" / "form-2.mid").unlink()  # as if interrupted behind the recipe
        (work / "many" / "manifest.jsonl").unlink()
        before = (work / "many" / "form-1.mid").stat().st_mtime_ns
        capsys.readouterr()
        assert run("--seeds", "1-3", "--out-dir", "many") == 2
        assert "already exists" in capsys.readouterr().err
        assert run("--seeds", "1-3", "--out-dir", "many", "--skip-existing") == 0
        out, err = capsys.readouterr()
        assert out == "many/form-2.mid\n"
        assert err.startswith("2 songs are there already\n")
        assert songs("many") == expected
        assert (work / "many" / "form-1.mid").stat().st_mtime_ns == before
        assert sorted(row["path"] for row in rows("many")) == sorted(expected)
        assert run("--seeds", "1-3", "--out-dir", "many", "--skip-existing") == 0
        assert capsys.readouterr().out == ""
        assert len(rows("many")) == 3

    @pytest.mark.parametrize(
        ("changed", "message"),
        [
            (("--tempo", 77), "options.tempo was 100"),
            (("--strictness", 0.5), "options.strictness was 0.85, is now 0.5"),
            (("--best-of", 2), "best_of was 1, is now 2"),
            (("--form", "A2 B2", "--filename", "form-{seed}.mid"), "options.name was"),
        ],
    )
    def test_another_song_of_that_name_is_told(self, work, capsys, changed, message):
        assert run("--seeds", "1-2") == 0
        before = songs(work)
        assert run("--seeds", "1-2", *changed, "--skip-existing") in (0, 2)
        err = capsys.readouterr().err
        if "options.name" not in message:
            assert "form-1.mid: already exists and is another song: " in err
            assert message in err
            assert songs(work) == before

    def test_a_file_that_is_no_song_is_not_touched(self, work, capsys):
        (work / "form-1.mid").write_bytes(b"mine")
        assert run("--seeds", "1-2", "--skip-existing") == 2
        assert "form-1.mid: already exists, and no recipe says" in capsys.readouterr().err
        (work / "form-1.mid").unlink()
        (work / "form-1.json").write_text('{"mine": 1}')
        assert run("--seeds", "1-2", "--skip-existing") == 2
        assert (work / "form-1.json").read_text() == '{"mine": 1}'
        assert songs(work) == {}

    def test_pictures_that_are_missing_are_drawn(self, work):
        assert run("--seeds", "1-2") == 0
        before = songs(work)
        assert run("--seeds", "1-2", "--png", "--skip-existing") == 0
        assert songs(work) == before
        assert len(list(work.glob("*.png"))) == 2

    def test_songs_that_fall_short_are_there_too_and_still_fall_short(self, work, capsys):
        wanted = ("--seeds", "1-2", "--min-structure", 1, "--best-of", 2)
        assert run(*wanted) == 4
        assert [row["status"] for row in rows(work)] == ["below", "below"]
        capsys.readouterr()
        assert run(*wanted, "--skip-existing") == 4
        out, err = capsys.readouterr()
        assert out == ""
        assert "2 of 2 songs fall short" in err


class TestDryRun:
    def test_names_the_files_and_writes_nothing(self, work, capsys):
        assert run("--seeds", "1-2", "--out-dir", "many", "--dry-run") == 0
        out, err = capsys.readouterr()
        assert out.split() == ["many/form-1.mid", "many/form-2.mid"]
        assert err == "2 songs to make, 0 are there\n"
        assert visible(work) == set()
        assert run("--seed", 1, "--out-dir", "many") == 0
        capsys.readouterr()
        arguments = ("--seeds", "1-2", "--out-dir", "many", "--dry-run", "--skip-existing")
        assert run(*arguments, "--json") == 0
        out, err = capsys.readouterr()
        assert json.loads(out) == {"path": "many/form-2.mid", "name": "form", "seed": 2}
        assert err == "1 songs to make, 1 are there\n"

    def test_finds_what_would_be_in_the_way(self):
        assert run("--seed", 1) == 0
        assert run("--seed", 1, "--dry-run") == 2
        assert run("--seed", 1, "--style", "nope", "--dry-run") == 2
        assert run("--form", "A1", "--seed", 1, "--dry-run") == 2


class TestOneFailure:
    def test_while_it_is_written_leaves_the_others(self, work, capsys, monkeypatch):
        from singcli import studio

        write = studio.write_bytes

        def full(path: Path, content: bytes) -> None:
            if path.name == "form-2.mid":
                raise WriteError(path, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
            write(path, content)

        monkeypatch.setattr(studio, "write_bytes", full)
        assert run("--seeds", "1-3", "--jobs", 1, "--json") == 3
        out, err = capsys.readouterr()
        told = [json.loads(line) for line in out.splitlines()]
        why = "cannot be written (No space left on device)"
        assert [(row.get("error") or "").partition(";")[0] for row in told] == ["", why, ""]
        first, second = err.splitlines()
        assert first.startswith(f"error: form-2.mid: {why}; ")
        assert second.startswith(f"error: 1 of 3 songs failed, the first form-2.mid: {why}")
        assert [row["status"] for row in rows(work)] == ["made", "failed", "made"]
        monkeypatch.undo()
        monkeypatch.chdir(work)
        assert run("--seeds", "1-3", "--skip-existing") == 0
        assert rows(work)[-1]["status"] == "made"
        assert set(songs(work)) == {f"form-{seed}.mid" for seed in (1, 2, 3)}

    def test_a_manifest_that_cannot_be_written_fails_its_song(self, work, capsys, monkeypatch):
        from singcli import batch

        append = batch.append_row

        def full(path: Path, row: ManifestRow) -> None:
            if row.seed == 2:
                raise WriteError(path, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
            append(path, row)

        monkeypatch.setattr(batch, "append_row", full)
        assert run("--seeds", "1-3", "--jobs", 1) == 3
        assert "form-2.mid: manifest.jsonl: cannot be written (No space" in capsys.readouterr().err
        assert [row["seed"] for row in rows(work)] == [1, 3]
        monkeypatch.undo()
        monkeypatch.chdir(work)
        assert run("--seeds", "1-3", "--skip-existing") == 0
        assert [row["seed"] for row in rows(work)] == [1, 3, 2]

    def test_while_it_is_sampled_leaves_the_others_as_they_are(self, monkeypatch, capsys):
        from singcli.attempts import Workshop

        assert run("--seeds", "1-4", "--out-dir", "good") == 0
        best_attempts = Workshop.best_attempts

        def broken(self, orders, on_progress):
            if any(order.seed == 3 for order in orders):
                raise ValueError("odd")
            return best_attempts(self, orders, on_progress)

        monkeypatch.setattr(Workshop, "best_attempts", broken)
        assert run("--seeds", "1-4", "--out-dir", "bad", "--jobs", 1) == 3
        assert "bad/form-3.mid: unexpected ValueError: odd" in capsys.readouterr().err
        good = songs("good")
        del good["form-3.mid"]
        assert songs("bad") == good

    def test_all_failures_are_a_failure(self, work, monkeypatch):
        from singcli.attempts import Workshop

        def broken(self, orders, on_progress):
            raise MemoryError

        monkeypatch.setattr(Workshop, "best_attempts", broken)
        assert run("--seeds", "1-2", "--jobs", 1) == 1
        assert [row["error"] for row in rows(work)] == ["out of memory"] * 2

    def test_a_bug_in_a_song_alone_is_not_dressed_up(self, monkeypatch):
        from singcli.attempts import Workshop

        def broken(self, orders, on_progress):
            raise ValueError("odd")

        monkeypatch.setattr(Workshop, "best_attempts", broken)
        with pytest.raises(ValueError, match="odd"):
            run("--seed", 1)


@dataclass(frozen=True)
class Deadly:
    """A wish that ends every process but one, at one seed."""

    parent: int
    name: str = "deadly"

    def wish(self, seed: int) -> Wish:
        if seed == 5 and os.getpid() != self.parent:
            os._exit(9)
        return Wish(form_from_string(SHORT))


def test_a_song_over_which_its_process_dies_is_the_only_one_lost(tmp_path):
    studio = Studio(Settings(TINY, (Deadly(os.getpid()),)))
    targets = [Target(0, seed, tmp_path / f"{seed}.mid") for seed in range(1, 9)]
    manifest = manifest_path(tmp_path)
    outcomes = list(make_batch(studio, targets, jobs=2, manifest=manifest))
    failures = [outcome for outcome in outcomes if isinstance(outcome, Failure)]
    assert [(f.target.seed, f.reason) for f in failures] == [
        (5, "its process died (out of memory?)")
    ]
    made = {outcome.seed for outcome in outcomes if isinstance(outcome, Song)}
    assert made == {1, 2, 3, 4, 6, 7, 8}
    assert {row["path"] for row in read_rows(manifest).values() if row["status"] == "made"} == {
        f"{seed}.mid" for seed in made
    }


def test_batches_are_of_equal_size_and_keep_all_processes_busy():
    targets = [Target(0, seed, Path(f"{seed}.mid")) for seed in range(100)]
    for jobs, at_once, sizes in ((2, 64, [50, 50]), (1, 64, [50, 50]), (3, 64, [34, 34, 32])):
        chunks = list(batch._chunks(targets, jobs, at_once))
        assert [len(chunk) for chunk in chunks] == sizes
        assert [target for chunk in chunks for target in chunk] == targets


def test_processes_are_started_where_they_are_worth_it(monkeypatch):
    monkeypatch.setattr(batch, "default_jobs", lambda: 4)
    assert [batch.usual_jobs(n) for n in (1, 63, 64, 1000)] == [1, 1, 2, 4]


def test_progress_counts_all_work(tmp_path):
    sources = (SameWish(Wish(form_from_string(SHORT))), SameWish(Wish(form_from_string(LONG))))
    studio = Studio(Settings(TINY, sources))
    targets = [Target(s, seed, tmp_path / f"{s}-{seed}.mid") for s in (0, 1) for seed in (1, 2)]
    told: list[int] = []
    list(make_batch(studio, targets, jobs=1, on_work=told.append))
    assert told == sorted(told)
    assert told[-1] == sum(map(studio.work, targets))


class TestInAShell:
    """As people call it: bash, streams, signals, exit codes."""

    @pytest.fixture
    def shell(self, work):
        script = work / "singcli"
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -B -m singcli "$@"\n')
        script.chmod(0o755)
        environment = os.environ | {
            "PATH": os.pathsep.join([str(work), os.environ["PATH"]]),
            "PYTHONPATH": str(ROOT),
        }

        def call(command: str) -> subprocess.CompletedProcess[bytes]:
            return subprocess.run(
                ["bash", "-c", f"{command} --model {TINY}"],
                cwd=work,
                env=environment,
                capture_output=True,
                check=False,
            )

        call.environment = environment
        return call

    def test_exit_codes(self, shell, work):
        (work / "huge.toml").write_text('form = "A8 B8 C8"\n')
        both = "singcli generate -p short.toml -p huge.toml"
        assert shell(f"{both} --seed 1 --out-dir 0").returncode == 0
        # No file above 4 kB, as with a full disk: huge ones fail.
        failed = shell("ulimit -f 4; singcli generate -p huge.toml --seed 1 --out-dir 1")
        assert failed.returncode == 1
        assert failed.stderr.startswith(b"error: 1/huge-1.mid: cannot be written (File too large);")
        assert shell("singcli generate -p nope --seed 1").returncode == 2
        partly = shell(f"ulimit -f 4; {both} --seed 1 --out-dir 3")
        assert (partly.returncode, partly.stdout) == (3, b"3/short-1.mid\n")
        assert b"1 of 2 songs failed, the first 3/huge-1.mid" in partly.stderr
        short = shell(f"{both} --seed 1 --min-structure 1 --best-of 1 --out-dir 4")
        assert short.returncode == 4

    def test_standard_output(self, shell, work):
        assert shell("singcli generate -p long.toml --seed 3").returncode == 0
        sent = shell("singcli generate -p long.toml --seed 3 --out -")
        assert sent.returncode == 0
        assert sent.stdout == (work / "long-3.mid").read_bytes()
        assert b"seed 3: structure" in sent.stderr
        short = shell("singcli generate -p long.toml --seed 3 -o - --min-structure 1")
        assert short.returncode == 4
        assert short.stdout.startswith(b"MThd")
        assert visible(work) == {"singcli", "long-3.mid", "long-3.json"}

    @pytest.mark.usefixtures("ctrl_c")
    @pytest.mark.parametrize(("how", "jobs"), [(signal.SIGINT, 2), (signal.SIGKILL, 1)])
    def test_an_interrupted_batch_goes_on_to_the_same_songs(self, shell, work, jobs, how):
        command = f"singcli generate -p short.toml --seeds 1-12 --jobs {jobs} --out-dir cut"
        manifest = work / "cut" / "manifest.jsonl"
        process = subprocess.Popen(
            ["bash", "-c", f"{command} --model {TINY} --best-of 16; exit $?"],
            cwd=work,
            env=shell.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        while not manifest.exists():
            assert process.poll() is None
            time.sleep(0.01)
        os.killpg(process.pid, how)
        _, err = process.communicate(timeout=300)
        if how == signal.SIGINT:
            assert process.returncode == 130
            first, last = err.splitlines()[-2:]
            assert first.endswith(
                b"of 12 songs are made; the same call with --skip-existing goes on"
            )
            assert last == b"interrupted"
            assert [path.name for path in (work / "cut").glob(".*")] == []
        assert len(songs("cut")) < 12
        done = shell(f"{command} --best-of 16 --skip-existing -q")
        assert (done.returncode, done.stderr) == (0, b"")
        whole = ("-p", "short.toml", "--seeds", "1-12", "--best-of", 16, "--out-dir", "whole")
        assert run(*whole) == 0
        assert songs("cut") == songs("whole")
        made = {row["path"]: row["sha256"] for row in rows("whole")}
        assert {name: row["sha256"] for name, row in read_rows(manifest).items()} == made

    @pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a pseudo-terminal")
    def test_a_terminal_shows_rate_and_time_left_and_stdout_has_the_results(self, shell, work):
        import pty

        primary, secondary = pty.openpty()
        process = subprocess.Popen(
            ["singcli", "generate", "-p", "long.toml", "--seeds", "1-3", "--model", str(TINY)],
            cwd=work,
            env=shell.environment | {"TERM": "xterm", "COLUMNS": "120"},
            stdout=subprocess.PIPE,
            stderr=secondary,
        )
        os.close(secondary)
        shown = b""
        while True:
            try:
                part = os.read(primary, 65536)
            except OSError:  # how Linux says that the other end is closed
                break
            if not part:
                break
            shown += part
        out, _ = process.communicate(timeout=300)
        os.close(primary)
        assert process.returncode == 0
        assert out.split() == [b"long-1.mid", b"long-2.mid", b"long-3.mid"]
        assert b" beats/s" in shown
        assert b"0:00:0" in shown
        assert b"structure" not in shown
