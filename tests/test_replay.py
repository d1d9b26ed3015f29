"""`singcli replay`: songs made again from the recipes that they carry."""

from __future__ import annotations

import dataclasses
import io
import json
import shutil
from pathlib import Path

import mido
import pytest

from singcli import recipe as recipe_module
from singcli import replay as replay_module
from singcli.cli import main
from singcli.music.midi_events import midi_texts, with_other_text
from singcli.music.midi_writing import midi_from_score

TINY = str(Path(__file__).parent / "data" / "tiny.onnx")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A folder with a song and its recipe, made once and left as it is."""
    folder = tmp_path_factory.mktemp("made")
    out = ["--out-dir", str(folder), "--filename", "song.mid"]
    options = ["--seed", "3", "--best-of", "3", "--model", TINY, *out]
    assert main(["generate", "--form", "A2 B2 A2", "--key", "D minor", *options]) == 0
    return folder


@pytest.fixture
def song(made, tmp_path, monkeypatch) -> Path:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return Path("song.mid")


@pytest.fixture
def run(capsys):
    def run(*arguments: str | Path) -> tuple[int, list[str], str]:
        code = main(["replay", *map(str, arguments), "--model", TINY])
        out, err = capsys.readouterr()
        return code, out.splitlines(), err

    return run


def text_of(path: Path) -> str:
    (text,) = midi_texts(path.read_bytes(), source=str(path))
    return text


def with_recipe(path: Path, **changes) -> None:
    """Change the recipe that a file carries."""
    text = text_of(path)
    fields = json.loads(text)["singcli_recipe"] | changes
    changed = json.dumps({"singcli_recipe": fields}, separators=(",", ":"))
    path.write_bytes(with_other_text(path.read_bytes(), text, changed))


def test_a_song_is_made_again_byte_for_byte(song, run):
    size = song.stat().st_size
    assert run(song) == (0, [f"song.mid: the same, {size} bytes, seed 3"], "")
    code, (line,), _ = run(song, "--json")
    assert code == 0
    assert json.loads(line) == {
        "file": "song.mid",
        "same": True,
        "differences": [],
        "surroundings": [],
        "out": None,
    }
    assert sorted(path.name for path in Path().iterdir()) == ["song.json", "song.mid"]


def test_the_new_file_is_written_where_it_is_asked_for(song, run):
    assert run(song, "--out", "again.mid")[:2] == (
        0,
        [f"song.mid: the same, {song.stat().st_size} bytes, seed 3", "again.mid"],
    )
    assert Path("again.mid").read_bytes() == song.read_bytes()
    code, _, err = run(song, "--out", "again.mid")
    assert (code, "already exists" in err) == (2, True)
    assert run(song, "--out", "again.mid", "--overwrite")[0] == 0
    assert run(song, "--out", "nowhere/again.mid")[0] == 2


def test_another_version_is_told_but_the_same_bytes_are_the_same_file(song, run, monkeypatch):
    with_recipe(song, versions={"singcli": "0.0.1", "numpy": "1.0"}, machine="VAX")
    before = song.read_bytes()
    code, lines, err = run(song, "--out", "again.mid")
    assert (code, err) == (0, "")
    assert lines[0].startswith("song.mid: the same, ")
    assert [line.split(":")[0].strip() for line in lines[1:-1]] == [
        "singcli",
        "numpy",
        "onnxruntime",
        "machine",
    ]
    assert lines[-2] == f"  machine: VAX; here {recipe_module.machine_class()}"
    assert Path("again.mid").read_bytes() == before


def test_a_recipe_that_does_not_know_its_machine_says_nothing_of_it(song, run):
    fields = json.loads(text_of(song))["singcli_recipe"]
    del fields["machine"]
    text = json.dumps({"singcli_recipe": fields | {"recipe_version": 3}})
    song.write_bytes(with_other_text(song.read_bytes(), text_of(song), text))
    code, lines, _ = run(song)
    assert (code, len(lines)) == (0, 1)


def test_a_song_that_comes_out_otherwise_is_written_with_a_recipe_of_its_own(song, run):
    with_recipe(song, seed=4, model={"name": "tiny.onnx", "sha256": "ab" * 32})
    code, lines, err = run(song, "--out", "again.mid")
    assert code == 1
    assert lines[0] == "song.mid: not the same"
    assert lines[1].startswith("  notes, from bar ")
    assert "are not in the new song; here" in lines[1]
    assert lines[2].startswith("  names: 3, the first 'form 3' at tick 0; here 3, the first")
    assert lines[3].startswith("  model: tiny.onnx abababababab; here ")
    assert lines[4:] == ["again.mid"]
    assert err == "error: song.mid: the song made again is another one\n"
    assert json.loads(text_of(Path("again.mid")))["singcli_recipe"]["model"]["sha256"][:2] != "ab"
    code, (line,), _ = run(song, "--json")
    found = json.loads(line)
    assert (code, found["same"]) == (1, False)
    assert [d["what"] for d in found["surroundings"]] == ["model"]
    assert run("again.mid")[0] == 0


def _without_a_note(file: mido.MidiFile) -> None:
    notes = [i for i, message in enumerate(file.tracks[2]) if message.type == "note_on"]
    removed = file.tracks[2].pop(notes[-1])
    file.tracks[2][notes[-1]].time += removed.time


def _faster(file: mido.MidiFile) -> None:
    next(m for m in file.tracks[0] if m.type == "set_tempo").tempo = 400_000


def _renamed(file: mido.MidiFile) -> None:
    next(m for m in file.tracks[0] if m.type == "marker").text = "verse"


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (_without_a_note, "  notes, from bar "),
        (_faster, "  tempos: 1, the first '06 1a 80' at tick 0; here 1, the first '09 27 c0'"),
        (_renamed, "  section markers: 3, the first 'verse' at tick 0; here 3, the first 'A' at"),
    ],
)
def test_what_has_been_changed_in_a_file_is_told(song, run, change, line):
    file = mido.MidiFile(song)
    change(file)
    file.save(song)
    code, lines, err = run(song)
    assert code == 1
    assert len(lines) == 2
    assert lines[1].startswith(line)
    assert "the file has been changed since it was made" in err


def test_a_file_with_the_same_events_in_other_bytes_is_another_file(song, run):
    song.write_bytes(song.read_bytes() + b"XFIH\x00\x00\x00\x00")
    code, lines, _ = run(song)
    assert code == 1
    assert "the same events, written in another way" in lines[1]


def test_a_song_of_a_template_needs_it(tmp_path, monkeypatch, run, capsys, aaba_score):
    monkeypatch.chdir(tmp_path)
    Path("t.mid").write_bytes(midi_from_score(aaba_score))
    options = ["--seed", "1", "--model", TINY, "--out", "song.mid"]
    assert main(["generate", "--template", "t.mid", *options]) == 0
    capsys.readouterr()
    code, _, err = run("song.mid")
    assert (code, err) == (
        2,
        "error: the recipe follows a template; add --template t.mid\n",
    )
    assert run("song.mid", "--template", "t.mid")[0] == 0
    assert run("song.mid", "--template", "song.mid")[0] == 2


def test_a_model_that_is_not_there_has_to_be_given(song, capsys):
    assert main(["replay", "song.mid"]) == 2
    assert "made with tiny.onnx (sha256 " in capsys.readouterr().err


def test_a_bundled_model_is_found_by_its_content_before_its_name(song, monkeypatch):
    recipe, _ = recipe_module.recipe_from_midi(song.read_bytes(), source="song.mid")
    other = recipe_module.UsedFile.from_path(replay_module.model_path("pop-float32"))
    by_hash = recipe_module.UsedFile("pop.onnx", other.sha256)
    by_name = recipe_module.UsedFile("pop.onnx", "00")
    found = [
        replay_module._model_of(dataclasses.replace(recipe, model=model), None, song).name
        for model in (by_hash, by_name)
    ]
    assert found == ["pop-float32.onnx", "pop.onnx"]


def test_what_carries_no_recipe_is_refused(song, run, aaba_score):
    Path("other.mid").write_bytes(midi_from_score(aaba_score, recipe_text="by hand"))
    Path("text.mid").write_bytes(b"not music")
    file = mido.MidiFile(song)
    content = io.BytesIO()
    file.save(file=content)
    Path("cut.mid").write_bytes(content.getvalue()[:60])
    for name, message in (
        ("other.mid", "other.mid: carries no recipe of singcli; another program wrote it"),
        ("text.mid", "text.mid: not a MIDI file"),
        ("cut.mid", "cut.mid: damaged MIDI file (track 0 breaks off)"),
        ("song.json", "its song: singcli generate --recipe song.json"),
        ("none.mid", "none.mid: no such file"),
        (".", ".: is not a file"),
    ):
        code, lines, err = run(name)
        assert (code, lines) == (2, [])
        assert message in err
    with_recipe(song, seed="many")
    assert "song.mid: seed: " in run(song)[2]


def test_a_song_of_the_network_of_the_paper(tmp_path, capsys):
    out = tmp_path / "sing.mid"
    words = ["--form", "A2 B2", "--model", "sing", "--seed", "3", "--out", str(out)]
    assert main(["generate", *words]) == 0
    assert main(["replay", str(out)]) == 0
    assert "sing.mid: the same" in capsys.readouterr().out
