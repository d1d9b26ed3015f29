"""The scripts under benchmarks/: they start, explain themselves, and compute what they say."""

import dataclasses
import importlib
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from singcli.dataset import Entry, SectionSpan, Song, song_path, write_index, write_song
from singcli.manifest import ManifestRow, append_row, manifest_path
from singcli.metrics.guards import GUARDS, measure_guards
from singcli.metrics.report import measure_structure
from singcli.model.contract import NOTE_OUTPUTS, STEP_OUTPUTS, NetworkSizes
from singcli.music.key import Key
from singcli.music.midi_writing import midi_from_score
from singcli.music.score import LEAD, Score, regular_bars
from singcli.recipe import Recipe, UsedFile, write_recipe
from singcli.structure.form import Form
from singcli.structure.section import Section
from singcli.structure.texture import DEFAULT_TEXTURE

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"
SCRIPTS = sorted(path.stem for path in FOLDER.glob("[!_]*.py"))


@pytest.fixture
def load(monkeypatch):
    """Import a script by its name."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module


def song_score(n_bars, pitches_of_bar):
    """One quarter note on every beat; `pitches_of_bar(bar)` gives the four pitches."""
    pitch = [p for bar in range(n_bars) for p in pitches_of_bar(bar)]
    step = np.arange(len(pitch)) * 4
    ones = np.ones(len(pitch), int)
    return Score.from_notes(
        step,
        ones * LEAD,
        pitch,
        ones * 4,
        ones * 80,
        bar_beats=regular_bars(n_bars, 4),
        tempo_bpm=100.0,
        key=Key(0, "major"),
    )


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_explains_itself(load, name, monkeypatch, capsys):
    script = load(name)
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--help"])
    with pytest.raises(SystemExit) as ended:
        script.main()
    assert ended.value.code == 0
    assert f"python benchmarks/{name}.py" in " ".join(capsys.readouterr().out.split())
    source = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    assert source.endswith('\n\nif __name__ == "__main__":\n    run(main)\n')


def test_a_script_explains_itself_as_a_program():
    result = subprocess.run(
        [sys.executable, str(FOLDER / "prepare_speed.py"), "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "python benchmarks/prepare_speed.py" in " ".join(result.stdout.split())


def test_every_script_is_named_in_the_results():
    results = (FOLDER.parent / "docs" / "results.md").read_text(encoding="utf-8")
    for name in SCRIPTS:
        assert f"benchmarks/{name}.py" in results


class TestMachine:
    def test_line_names_cores_python_and_versions(self, load):
        line = load("_machine").machine_line("numpy")
        assert f"Python {sys.version_info.major}.{sys.version_info.minor}" in line
        assert f"numpy {np.__version__}" in line
        assert "cores" in line

    def test_table(self, load):
        text = load("_machine").markdown_table(["a", "b"], [["x", 0.12345], [None, 12345.6]])
        assert text.splitlines() == ["| a | b |", "| --- | --- |", "| x | 0.123 |", "| - | 12346 |"]

    def test_verdict_at_and_beyond_the_limit(self, load):
        verdict = load("_machine").verdict
        assert verdict("time", 2.0, 2.0, " s") == "reached: time 2 s, allowed 2 s"
        assert verdict("time", 2.1, 2.0, " s").startswith("MISSED")

    def test_what_follows_two_dashes_is_passed_on(self, load):
        split = load("_machine").split_arguments
        assert split(["--runs", "3", "--", "--seed", "1"]) == (["--runs", "3"], ["--seed", "1"])
        assert split(["--runs", "3"]) == (["--runs", "3"], [])


class TestGeneration:
    def test_a_failing_command_ends_the_benchmark_with_its_message(self, load, tmp_path):
        generate = load("_generation").generate
        with pytest.raises(SystemExit, match=r"wrote 0 songs:\n.*no preset is called 'abaa'"):
            generate("abaa", range(1, 3), tmp_path, [])


class TestColdStart:
    def test_measures_time_and_memory_of_another_process(self, load):
        run_process = load("cold_start").run_process
        small = run_process([sys.executable, "-c", "pass"])
        code = "import time; kept = b'x' * 80_000_000; time.sleep(0.2)"
        large = run_process([sys.executable, "-c", code])
        assert large.seconds > 0.2
        assert large.peak_mb > 80
        assert small.seconds > 0
        assert small.peak_mb > 1

    def test_a_failing_command_ends_the_benchmark_with_its_message(self, load):
        with pytest.raises(SystemExit, match="no luck"):
            load("cold_start").run_process([sys.executable, "-c", "raise SystemExit('no luck')"])


class TestPrepareSpeed:
    def test_finds_midi_files_given_and_below_folders(self, load, tmp_path):
        for name in ("b.mid", "inner/a.MIDI", "c.txt"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).touch()
        found = load("prepare_speed").midi_files([tmp_path / "inner", tmp_path / "b.mid"])
        assert [path.name for path in found] == ["b.mid", "a.MIDI"]


class TestProcessGroup:
    def test_memory_is_that_of_all_processes(self, load):
        inner = "import time; kept = b'x' * 60_000_000; time.sleep(0.5)"
        code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}])"
        call = load("_process_group").call([sys.executable, "-c", code], interval_s=0.05)
        assert (call.code, call.errors) == (0, "")
        assert max(sample.megabytes for sample in call.samples) > 70

    def test_a_call_that_is_killed_leaves_no_process(self, load):
        group = load("_process_group")
        code = "import time; time.sleep(60)"
        killed = group.call([sys.executable, "-c", code], kill_after_s=0.2)
        assert killed.code < 0
        assert killed.seconds < 60
        ended = group.call([sys.executable, "-c", "import sys; sys.exit('no')"])
        assert (ended.code, ended.errors) == (1, "no\n")


class TestTrainingSpeed:
    @pytest.fixture
    def data(self, tmp_path, aaba_score):
        entries = []
        for number in range(4):
            entry = Entry(
                *(f"{number}", "x.mid", "", "", "file", "4/4", aaba_score.n_beats, 8, 120.0),
                *("C major", "estimate", {}, (), None, "validation" if number == 0 else "train"),
            )
            song_path(tmp_path, entry.id).parent.mkdir(exist_ok=True)
            write_song(song_path(tmp_path, entry.id), aaba_score, entry)
            entries.append(entry)
        write_index(tmp_path, tuple(entries), licences={}, settings={})
        return tmp_path

    def test_parts_add_up_to_the_time_and_nothing_stays_patched(self, load, data):
        pytest.importorskip("torch")
        from singcli.training import loop
        from singcli.training.config import TrainConfig

        script = load("training_speed")
        before = vars(loop)["chunk_loss"]
        widths = {"lstm": 8, "roll": 8, "draft": 8, "bar": 8, "hidden": 8, "duration": 8}
        config = TrainConfig.model_validate(
            {"network": widths, "run": {"epochs": 2, "batch_songs": 2, "chunk_steps": 16}}
        )
        clock = script.measure(data, config, processes=1, minutes=1, warm_up=1)
        seconds = clock.seconds
        assert clock.all_steps / clock.whole > 0
        assert clock.processor > 0
        assert 1 < clock.decisions / clock.steps == 1 + clock.notes / clock.steps
        assert min(seconds.values()) > 0
        parts = {script.EXAMPLES, script.CHUNKS, *script.NETWORK, script.MEAN, script.SAVING}
        assert parts <= set(seconds)
        assert script.EXCHANGE in seconds  # of nobody: no time to speak of
        assert vars(loop)["chunk_loss"] is before

    def test_the_floor_counts_every_weight_but_those_of_tables(self, load):
        pytest.importorskip("torch")
        from torch.nn import Embedding

        from singcli.training.config import TrainConfig
        from singcli.training.networks import PointerNetwork

        floor, config = load("_training_floor"), TrainConfig()
        found = floor.products(config, decisions=1.0, notes=1.0, processes=2)
        network = PointerNetwork(config.network.sizes)
        tables = {name for name, m in network.named_modules() if isinstance(m, Embedding)}
        matrices = {
            name: p.numel()
            for name, p in network.named_parameters()
            if p.ndim == 2 and name.rsplit(".", 1)[0] not in tables
        }
        assert sum(p.width * p.out for p in found) == sum(matrices.values())
        given = sum(matrices[f"step.{name}.weight"] for name in ("roll", "draft", "bar", "context"))
        given += matrices["note.counts.weight"]
        assert sum(p.multiply_adds for p in found) == 3 * sum(matrices.values()) - given


class TestThousandSongs:
    def test_memory_is_told_for_the_start_and_the_quarters_after_it(self, load):
        script = load("thousand_songs")
        samples = [script.Sample(n, float(n)) for n in range(0, 1001, 10)]
        parts = dict(script.quarters(samples, 1000))
        assert list(parts) == [
            *("0 to 50 songs", "50 to 287 songs", "287 to 525 songs"),
            *("525 to 762 songs", "762 to 1000 songs"),
        ]
        assert [min(part) for part in parts.values()] == [0, 50, 290, 530, 770]
        assert sum(map(len, parts.values())) == len(samples)

    def test_a_killed_call_is_compared_song_by_song(self, load, tmp_path):
        script = load("thousand_songs")
        assert script.fingerprints(tmp_path / "none") == {}
        (tmp_path / "a.mid").write_bytes(b"x")
        (tmp_path / ".singcli-1.mid").write_bytes(b"half")
        row = ManifestRow("a.mid", "made", "a", 1, sha256="12")
        append_row(manifest_path(tmp_path), row)
        found = script.fingerprints(tmp_path)
        assert set(found) == {"a.mid", "manifest.jsonl: a.mid"}
        (tmp_path / "a.mid").write_bytes(b"y")
        assert script.fingerprints(tmp_path)["a.mid"] != found["a.mid"]


class TestAabaStructure:
    def test_human_overlaps_of_a_song_that_repeats(self, load):
        score = song_score(6, lambda bar: [72] * 4 if bar in (1, 3) else [60 + bar] * 4)
        sections = [("i", 0), ("a", 1), ("b", 2), ("a", 3), ("i", 4)]
        song = Song(
            "x", "validation", score, tuple(SectionSpan(s, b, 1, True) for s, b in sections)
        )
        # intro labels do not repeat: they would drag the mean of the same labels down
        assert load("aaba_structure").human_overlaps([song]) == [(1.0, 0.0)]

    def test_songs_without_labels_or_repeats_are_left_out(self, load):
        score = song_score(4, lambda bar: [60 + bar] * 4)
        no_labels = Song("x", "validation", score, ())
        once = Song("y", "validation", score, (SectionSpan("a", 0, 4, True),))
        assert load("aaba_structure").human_overlaps([no_labels, once]) == []

    def test_excerpts_have_the_asked_length_and_short_songs_none(self, load):
        songs = [
            Song(str(n), "validation", song_score(n, lambda _: [60] * 4), ()) for n in (3, 8, 20)
        ]
        excerpts = load("aaba_structure").real_excerpts(songs, 8, seed=0, n_each=3)
        assert [excerpt.n_bars for excerpt in excerpts] == [8] * 6

    def test_guard_rows_compare_with_real_music(self, load):
        dense = measure_guards(song_score(4, lambda _: [60, 62, 64, 65]))
        rows = {row[0]: row[1:] for row in load("aaba_structure").guard_rows([dense], [dense])}
        assert tuple(rows) == GUARDS
        assert rows["notes_per_step"] == [0.25, 0.25, 1.0, "reached"]
        assert rows["mean_polyphony"][-1] == ""
        assert rows["empty_steps"] == [0.0, 0.0, None, "reached"]  # no ratio to nothing

    def test_finished_files_are_measured_in_the_key_that_was_asked_for(self, load, monkeypatch):
        script = load("aaba_structure")
        a, b = [72, 74, 76, 77], [65, 62, 60, 59]
        score = song_score(32, lambda bar: [p + 2 + bar % 8 for p in (b if 16 <= bar < 24 else a)])

        def generate(preset, seeds, folder, options):
            path = folder / "song.mid"
            path.write_bytes(midi_from_score(score))
            used = UsedFile("m.onnx", "")
            write_recipe(path.with_suffix(".json"), Recipe(used, 1, {"key": "B minor"}))
            assert (preset, list(seeds), options) == ("aaba", [1], ["--strictness", "1"])
            return [path]

        monkeypatch.setattr(script, "generate", generate)
        (measured,) = script.measure_songs("aaba", range(1, 2), ["--strictness", "1"])
        assert measured.structure.same_label == 1
        assert measured.structure.r_bars > 0.9
        assert measured.structure.n_bars == 32
        outside = ~Key(11, "minor").scale[score.pitch % 12]
        assert measured.guards.out_of_key == pytest.approx(outside.mean())

    def test_verdicts_on_each_target(self, load):
        script = load("aaba_structure")

        def songs(same):
            score = song_score(8, lambda bar: [60 + bar] * 4)
            form = Form((Section("A", 4), Section("A", 4)))
            report = dataclasses.replace(
                measure_structure(score, form), same_label=same, different_label=0.02, r_bars=0.8
            )
            return [script.Measured(report, measure_guards(score))]

        good = script.verdicts(songs(0.82), {0.0: songs(0.3), 1.0: songs(0.98)})
        assert [line.split(":")[0] for line in good] == ["reached"] * 5
        bad = script.verdicts(songs(0.6), {0.0: songs(0.5), 0.5: songs(0.4), 1.0: songs(0.9)})
        assert [line.split(":")[0] for line in bad] == [
            "MISSED",
            "reached",
            "reached",
            "MISSED",
            "MISSED",
        ]


class TestGallery:
    def test_sections_are_cut_to_the_excerpt(self, load):
        spans = (SectionSpan("i", 0, 4, False), SectionSpan("a", 4, 8, True))
        song = Song("x", "validation", song_score(16, lambda _: [60] * 4), spans)
        cut = load("gallery").spans_within
        assert cut(song, 2, 6) == [("i", 0, 2), ("A", 2, 4)]
        assert cut(song, 13, 2) == []

    def test_draws_as_many_real_songs_as_asked_of_those_that_are_long_enough(self, load):
        songs = [
            Song(str(n), "validation", song_score(n, lambda _: [60] * 4), ()) for n in (3, 8, 9, 20)
        ]
        pictures = load("gallery").real_pictures(songs, 8, 2, seed=0)
        assert len(pictures) == 2
        assert {picture.score.n_bars for picture in pictures} == {8}
        assert len(load("gallery").real_pictures(songs, 8, 10, seed=0)) == 3

    def test_writes_both_pictures(self, load, tmp_path):
        gallery = load("gallery")
        form = Form((Section("A", 2), Section("A", 2)))
        score = song_score(4, lambda bar: [60 + bar % 2] * 4)
        generated = [gallery.Picture("song", score, form.section_bars)]
        real = [gallery.Picture("real", song_score(4, lambda bar: [60 + bar] * 4), ())] * 2
        gallery.draw_gallery(generated, real, tmp_path / "rolls.png")
        gallery.draw_matrices(form, generated, real, tmp_path / "matrices.png")
        for path in tmp_path.iterdir():
            assert path.read_bytes().startswith(b"\x89PNG")


class FakeModel:
    """Takes and returns tensors of the contract's names; counts its calls."""

    def __init__(self):
        self.card = SimpleNamespace(sizes=NetworkSizes(lstm=4, hidden=4, duration=4))
        self.calls = Counter()
        self.hidden_seen = []

    def step(self, inputs):
        outputs = {name: np.zeros(1, np.float32) for name in STEP_OUTPUTS}
        return outputs | {"next_hidden": np.zeros_like(inputs["hidden"])}

    def note(self, _inputs):
        return {name: np.zeros(1, np.float32) for name in NOTE_OUTPUTS}

    def bound_step(self, inputs, outputs):
        def run():
            self.calls["step"] += 1
            self.hidden_seen.append(float(inputs["hidden"].mean()))
            outputs["next_hidden"][:] = inputs["hidden"] + 1

        return run

    def bound_note(self, inputs, _outputs):
        def run():
            self.calls["note"] += len(inputs["chosen"]) > 0

        return run


class TestStepsPerSecond:
    def test_feeds_the_state_back_and_decides_as_often_as_asked(self, load):
        model = FakeModel()
        script = load("steps_per_second")
        seconds = script.seconds_per_step(model, batch=2, decisions=3, n_steps=5)
        n_steps = script.WARM_UP_STEPS + 5
        assert seconds > 0
        assert model.calls == {"step": n_steps, "note": 3 * n_steps}
        assert model.hidden_seen == list(range(n_steps))


class TestValidation:
    @pytest.fixture
    def trained(self, tmp_path, aaba_score):
        """Two held-out songs, one of them labelled, and an untrained network."""
        pytest.importorskip("torch")
        from singcli.training.checkpoint import Progress, write_checkpoint
        from singcli.training.config import TrainConfig
        from singcli.training.networks import PointerNetwork

        spans = [SectionSpan(label, 2 * n, 2, melodic=True) for n, label in enumerate("aaba")]
        entries = []
        for name, sections in (("one", tuple(spans)), ("two", ())):
            entry = Entry(
                *(name, f"{name}.mid", "", "", "file", "4/4", aaba_score.n_beats, 8, 120.0),
                *("C major", "estimate", {}, sections, 1.0 if sections else None, "validation"),
            )
            song_path(tmp_path, name).parent.mkdir(exist_ok=True)
            write_song(song_path(tmp_path, name), aaba_score, entry)
            entries.append(entry)
        write_index(tmp_path, tuple(entries), licences={}, settings={})
        widths = {"lstm": 8, "roll": 8, "draft": 8, "bar": 8, "hidden": 8, "duration": 8}
        config = TrainConfig.model_validate({"network": widths})
        run = {
            "config": config.model_dump(),
            "styles": [],
            "textures": [dataclasses.asdict(DEFAULT_TEXTURE)],
        }
        path = tmp_path / "x.safetensors"
        write_checkpoint(path, PointerNetwork(config.network.sizes), Progress(), run)
        return tmp_path, path

    def test_measures_every_kind_on_the_songs_that_have_it(self, load, trained):
        script = load("validation")
        figures = script.measure(*trained)
        songs = {kind: values["songs"] for kind, values in figures.items()}
        assert songs == {script.COARSE: 2, "music": 2, "form": 1, "none": 2, script.NONE_AGAIN: 1}
        for values in figures.values():
            assert values["nats_per_step"] == pytest.approx(values["pitch"] + values["duration"])
        # the two songs have the same notes, so nothing but the matrix can tell them apart
        assert figures["none"]["pitch"] == pytest.approx(figures[script.NONE_AGAIN]["pitch"])
        assert figures["music"]["pitch"] != figures["none"]["pitch"]

    def test_prints_what_the_card_needs(self, load, trained, capsys, monkeypatch):
        data, path = trained
        words = ["validation.py", "--data", str(data), "--checkpoint", str(path), "--markdown"]
        monkeypatch.setattr(sys, "argv", words)
        load("validation").main()
        out = capsys.readouterr().out
        assert out.startswith("| matrix | songs | nats a step |")
        assert "| music | 2 |" in out
        assert out.rstrip().endswith("; 2 songs.")

    def test_gains_compare_the_same_songs(self, load):
        script = load("validation")
        values = {"music": 2.5, "form": 3.0, "none": 4.0, script.NONE_AGAIN: 5.0}
        figures = {name: {"nats_per_step": v, "songs": 9} for name, v in values.items()}
        music, form = script.gains(figures)
        assert "worth 1.50 nats a step" in music
        assert "4.000 without any, 38% less" in music
        assert "worth 2.00 nats a step" in form
        del figures["form"]
        assert script.gains(figures) == [music]
