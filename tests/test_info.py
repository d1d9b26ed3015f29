"""`singcli info`: what files are, under which licences, how they were made."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from midi_bytes import midi_bytes, tune

from singcli import dataset
from singcli.cli import main
from singcli.dataset import Entry
from singcli.info import report
from singcli.model.contract import CARD_KEY
from singcli.model.model_file import model_metadata
from singcli.model.opening import open_model
from singcli.music.midi_writing import midi_from_score
from singcli.resources import bundled_model_names, checkpoints_dir

ROOT = Path(__file__).resolve().parents[1]
TINY = Path(__file__).parent / "data" / "tiny.onnx"
NOTICES = (ROOT / "checkpoints" / "NOTICES.txt").read_text(encoding="utf-8").strip()


@pytest.fixture(autouse=True)
def work(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(capsys):
    def run(*arguments: str | Path) -> tuple[int, str, str]:
        code = main(["info", *map(str, arguments)])
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def shown(run):
    def shown(file: str | Path) -> dict:
        code, out, err = run(file, "--json")
        assert (code, err) == (0, "")
        return json.loads(out)

    return shown


class TestModels:
    def test_a_bundled_one_by_its_name(self, run, shown):
        found = shown("pop")
        card = json.loads(model_metadata(checkpoints_dir() / "pop.onnx")[CARD_KEY])
        assert found["kind"] == "a model of singcli"
        assert found["facts"]["styles"] == card["styles"]
        assert found["made"]["training_songs"] == card["training"]["data"]["training_songs"]
        figures = {
            name: row["nats_per_step"] for name, row in card["training"]["validation"].items()
        }
        assert found["made"]["validation_nats_a_step"] == figures
        assert found["licences"] == {
            "code": "MIT",
            "weights": "The weights are MIT, as singcli is",
            "data": "MIT, CC BY 4.0, CC0 1.0, see --licence",
            "outputs": report.OUTPUT_LICENCE,
        }
        code, out, _ = run("pop")
        lines = out.splitlines()
        assert code == 0
        assert lines[0].endswith("pop.onnx: a model of singcli")
        assert "  outputs  yours; singcli claims no rights in what it makes" in lines
        assert lines[-1] == "next: singcli generate --preset aaba --model pop"

    def test_the_network_of_the_paper(self, shown):
        found = shown("sing")
        assert found["facts"]["architecture"] == "sing"
        assert "styles" not in found["facts"]
        assert found["made"]["training_segments"] == 2941
        assert set(found["made"]["validation_r"]) == {"own rows"}
        assert "validation_nats_a_step" not in found["made"]

    def test_the_licence_text_in_full(self, run):
        assert run("pop", "--licence") == (0, NOTICES + "\n", "")
        Path("x.mid").write_bytes(midi_bytes([("Tune", tune(2))]))
        code, out, err = run("x.mid", "--licence")
        assert (code, out) == (1, "")
        assert "holds no licence text" in err

    def test_the_code_is_under_the_licence_that_is_told(self):
        assert (ROOT / "LICENSE").read_text().startswith(f"{report.CODE_LICENCE} License")

    def test_metadata_are_those_that_onnxruntime_reads(self):
        for path in (TINY, *(checkpoints_dir() / f"{n}.onnx" for n in bundled_model_names())):
            session = open_model(path).session
            assert model_metadata(path) == session.get_modelmeta().custom_metadata_map

    @pytest.mark.parametrize("size", [0, 1, 10, 1000, 100_000])
    def test_a_model_that_breaks_off_is_refused(self, run, size):
        Path("x.onnx").write_bytes((checkpoints_dir() / "pop.onnx").read_bytes()[:size])
        code, out, err = run("x.onnx")
        assert (code, out) == (2, "")
        assert "x.onnx: nothing that singcli knows" in err

    def test_a_model_of_another_program_is_refused(self, run):
        other = TINY.read_bytes().replace(b"\x0a\x07singcli", b"\x0a\x07another")
        assert other != TINY.read_bytes()
        Path("x.onnx").write_bytes(other)
        code, _, err = run("x.onnx")
        assert (code, "x.onnx: an ONNX file of another program" in err) == (2, True)


class TestSongs:
    @pytest.fixture
    def song(self, capsys) -> Path:
        options = ["--seed", "3", "--model", str(TINY), "--out", "song.mid"]
        assert main(["generate", "--form", "A2 B2 A2", "--key", "D minor", *options]) == 0
        capsys.readouterr()
        return Path("song.mid")

    def test_a_song_says_how_it_was_made(self, run, shown, song):
        found = shown(song)
        assert found["kind"] == "a song of singcli"
        assert found["facts"]["form"] == "A2 B2 A2"
        assert (found["facts"]["bars"], found["facts"]["key"]) == (6, "D minor")
        assert (found["made"]["seed"], found["made"]["model"]) == (3, "tiny.onnx")
        assert found["licences"]["weights"].startswith("that of tiny.onnx, which is not bundled")
        assert found["licences"]["outputs"] == report.OUTPUT_LICENCE
        assert "next: singcli replay song.mid" in run(song)[1].splitlines()

    def test_its_recipe_says_the_same_and_how_well_it_keeps_to_its_form(self, shown, song):
        recipe, found = shown("song.json"), shown(song)
        measured = json.loads(Path("song.json").read_text())["structure"]["score"]
        assert recipe["kind"] == "the recipe of a song"
        assert recipe["facts"] == found["facts"] | {"structure": measured}
        assert recipe["made"] == found["made"]

    def test_a_bundled_model_is_known_by_its_content(self, shown, song):
        recipe = song.with_suffix(".json")
        fields = json.loads(recipe.read_text())
        fields["model"]["sha256"] = report.sha256_of(checkpoints_dir() / "pop.onnx")
        recipe.write_text(json.dumps(fields))
        licences = shown("song.json")["licences"]
        assert licences["weights"] == "The weights are MIT, as singcli is"
        assert licences["data"] == "MIT, CC BY 4.0, CC0 1.0, see info pop --licence"

    def test_a_song_of_a_template_names_it(self, run, aaba_score, capsys):
        Path("t.mid").write_bytes(midi_from_score(aaba_score))
        options = ["--seed", "1", "--model", str(TINY), "--out", "song.mid"]
        assert main(["generate", "--template", "t.mid", *options]) == 0
        capsys.readouterr()
        lines = run("song.mid")[1].splitlines()
        assert lines[-1] == "next: singcli replay song.mid --template t.mid"

    def test_a_foreign_midi_file(self, run, shown):
        content = midi_bytes([("Tune\x1b[1m", tune(2)), ("", tune(1))], meters=[(0, 6, 8)])
        Path("x.mid").write_bytes(content)
        found = shown("x.mid")
        assert found["kind"] == "a MIDI file without a recipe of singcli"
        assert found["facts"] == {
            "format": 1,
            "tracks": 3,
            "names": ["Tune[1m"],
            "notes": len(tune(2)) + len(tune(1)),
            "tempo": 120.0,
            "meter": "6/8",
        }
        assert found["licences"] == {"file": "that of whoever made it"}
        assert run("x.mid")[1].splitlines()[-1].startswith("next: singcli ssm x.mid")


class TestData:
    def test_an_ssm_file(self, run, shown, capsys):
        assert main(["ssm", "aaba", "--out", "form.npz"]) == 0
        capsys.readouterr()
        found = shown("form.npz")
        assert found["kind"].startswith("an SSM file")
        assert found["facts"]["sections"] == "A8 A8 B8 A8"
        assert found["facts"]["beats"] == 128
        assert found["made"]["from"] == "aaba.toml (preset)"
        assert "next: singcli generate --template form.npz" in run("form.npz")[1]

    def test_a_novelty_index(self, shown):
        found = shown(checkpoints_dir() / "pop.novelty.npz")
        assert found["kind"].startswith("a novelty index")
        assert found["facts"]["songs"] == sum(found["facts"]["corpora"].values()) > 1000

    def test_a_dataset_and_a_song_of_it(self, shown, run, aaba_score):
        entry = Entry(
            *("one", "one.mid", "ab" * 32, "", "file", "4/4", 32, 8, 120.0, "C major", None),
            *({}, (), None, "train", "0123"),
        )
        path = dataset.song_path(Path("data"), "one")
        path.parent.mkdir(parents=True)
        dataset.write_song(path, aaba_score, entry)
        text = "MIT License\n\nCopyright somebody"
        dataset.write_index(Path("data"), (entry,), licences={"0123": text}, settings={"seed": 0})
        for name in ("data", "data/index.json"):
            found = shown(name)
            assert (found["kind"], found["facts"]) == (
                "a dataset of singcli",
                {"songs": 1, "train": 1},
            )
            assert found["licences"] == {"data": "MIT, see --licence"}
        assert run("data", "--licence")[1] == text + "\n"
        song = shown(path)
        assert (song["kind"], song["facts"]["n_bars"]) == ("a song of a dataset", 8)


def _zip(**members: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return content.getvalue()


def _npz(**arrays) -> bytes:
    content = io.BytesIO()
    np.savez(content, **arrays)
    return content.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.toml", b"bars = 8", "if it is a preset: singcli presets show x.toml"),
        ("x.wav", b"RIFF....WAVE", "a recording can be a template: singcli ssm x.wav"),
        ("x.safetensors", b"\x80\x00", "if it is a checkpoint: singcli export-onnx x.safetensors"),
        ("x.bin", b"", "nothing that singcli knows; it knows models (.onnx)"),
        ("x.png", b"\x89PNG", "nothing that singcli knows"),
        ("x.json", b"{", "x.json: not JSON"),
        ("x.json", b"[" * 100_000, "x.json: not JSON"),
        ("x.json", b'{"a": 1}', "neither a recipe nor the index of a dataset"),
        ("x.json", b'{"recipe_version": 1}', "recipe_version = 1, this singcli reads 3 and 4"),
        ("x.json", b'{"format": "singcli-dataset"}', "damaged index of a dataset"),
        ("x.mid", b"MThd\x00", "x.mid: not a MIDI file"),
        ("x.zip", _zip(meta=b"nothing"), "x.zip: an archive, but no SSM file"),
        ("x.npz", _npz(a=np.ones(3)), "x.npz: an archive, but no SSM file"),
        ("x.npz", _npz(meta=np.array('{"format": "singcli-ssm"}')), "an archive, but no SSM file"),
        ("x.npz", _npz(meta=np.array("[]")), "an archive, but no SSM file"),
        ("x.npz", _npz(meta=np.array([{}], object)), "an archive, but no SSM file"),
        ("x.npz", b"PK\x03\x04", "an archive, but no SSM file"),
    ],
)
def test_what_is_not_of_singcli_is_refused_with_what_may_help(run, name, content, message):
    Path(name).write_bytes(content)
    code, out, err = run(name)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_a_name_that_nobody_has(run):
    assert "did you mean pop or pop-float32?" in run("popp")[2]
    assert "is a folder, and no dataset" in run(".")[2]
    assert run("nothing.mid")[0] == 2


@pytest.mark.parametrize(("file", "loaded"), [("pop", []), ("song.mid", ["numpy"])])
def test_nothing_is_loaded_that_is_not_needed(file, loaded):
    Path("song.mid").write_bytes(midi_bytes([("Tune", tune(2))]))
    script = (
        "import sys; from singcli.cli import main; code = main(sys.argv[1:]);"
        "heavy = {'numpy', 'onnxruntime', 'symusic', 'pretty_midi', 'matplotlib', 'torch'};"
        "print(sorted(heavy & set(sys.modules)), code, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "info", file],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == f"{loaded} 0\n"
