from __future__ import annotations

import json
import struct
from pathlib import Path

import mido
import numpy as np
import pytest

from singcli.cli import main
from singcli.errors import InputError
from singcli.generate import generate_songs, model_path
from singcli.metrics.structure import bar_overlap_map
from singcli.model.limits import PitchRange, Polyphony
from singcli.music.key import Key
from singcli.music.midi_writing import midi_from_score
from singcli.music.score import LEAD
from singcli.preparation.scores import score_from_midi
from singcli.preset_library import read_preset
from singcli.recipe import read_recipe
from singcli.structure.form import Form
from singcli.structure.form_string import form_from_string
from singcli.structure.section import Section
from singcli.targets import validate_folders
from singcli.wish import Wish, template_from_file, wish_from_recipe

TINY = Path(__file__).parent / "data" / "tiny.onnx"


@pytest.fixture
def work(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def template(work, aaba_score) -> Path:
    path = work / "template.mid"
    path.write_bytes(midi_from_score(aaba_score))
    return path


def run(*arguments: str | Path) -> int:
    return main(["generate", *map(str, arguments), "--model", str(TINY)])


def one_song(wish: Wish, path: Path, seed: int = 1):
    return next(generate_songs(wish, TINY, [(seed, path)], overwrite=True))


def test_a_preset_becomes_a_file_with_its_recipe_beside_it(work, capsys):
    assert run("--preset", "aaba", "--seed", "5") == 0
    out, err = capsys.readouterr()
    assert out == "aaba-5.mid\n"
    head, *rows, last = err.splitlines()
    assert head == "  section  bars   source  overlap wanted  measured  boundary"
    assert [row.split()[:3] for row in rows] == [
        ["A", "1-8", "-"],
        ["A", "9-16", "1-8"],
        ["B", "17-24", "-"],
        ["A", "25-32", "1-8"],
    ]
    assert last.startswith("  seed 5: structure 0.")
    assert "(r of the bars), 32 of 32 bars, same-label overlap" in last
    assert sorted(path.name for path in work.iterdir()) == ["aaba-5.json", "aaba-5.mid"]
    recipe = read_recipe(work / "aaba-5.json")
    assert recipe.seed == 5
    assert [s.label for s in recipe.sections] == ["A", "A", "B", "A"]
    assert recipe.structure["n_bars"] == 32


def test_without_a_seed_a_second_run_is_a_second_song(work, capsys):
    assert run("--form", "A2 A2") == 0
    assert run("--form", "A2 A2") == 0
    seeds = [line for line in capsys.readouterr().err.splitlines() if line.startswith("seed ")]
    assert len(set(seeds)) == 2
    assert len(list(work.glob("*.mid"))) == 2


def test_the_same_seed_makes_the_same_bytes_and_the_recipe_makes_them_again(work):
    assert run("--form", "A2 B2 A2", "--seed", 3, "--strictness", 0.7, "--out", "one.mid") == 0
    assert run("--form", "A2 B2 A2", "--seed", 3, "--strictness", 0.7, "--out", "two.mid") == 0
    assert run("--recipe", "one.json", "--out", "three.mid") == 0
    one, two, three = ((work / f"{name}.mid").read_bytes() for name in ("one", "two", "three"))
    assert one == two == three


def test_a_song_of_a_batch_is_the_song_of_its_seed(work):
    assert run("--form", "A2 A2", "--seed", 10, "--count", 3, "--out-dir", "songs") == 0
    assert run("--form", "A2 A2", "--seed", 11, "--out", "alone.mid") == 0
    names = sorted(path.name for path in (work / "songs").glob("*.mid"))
    assert len(names) == 3
    assert (work / "songs" / names[1]).read_bytes() == (work / "alone.mid").read_bytes()


def test_key_and_tempo_reach_the_file(work):
    song = one_song(
        Wish(form_from_string("A4 A4"), key=Key.parse("D minor"), tempo_bpm=84), work / "x.mid"
    )
    assert score_from_midi(song.path).tempo_bpm == pytest.approx(84, abs=0.01)
    conductor = mido.MidiFile(song.path).tracks[0]
    assert [event.key for event in conductor if event.type == "key_signature"] == ["Dm"]
    in_c = one_song(Wish(form_from_string("A4 A4")), work / "c.mid")
    in_e = one_song(Wish(form_from_string("A4 A4"), key=Key.parse("E major")), work / "e.mid")
    low, high = (score_from_midi(s.path) for s in (in_c, in_e))
    middle = (low.pitch > 30) & (low.pitch < 100)
    moved = high.pitch.astype(int)[middle] - low.pitch.astype(int)[middle]
    assert set(moved.tolist()) == {4}


def test_the_report_is_about_the_file_on_disk(work):
    from singcli.metrics.report import measure_structure

    wish = Wish(form_from_string("A4 B4 A4"), strictness=1)
    song = one_song(wish, work / "x.mid")
    again = measure_structure(score_from_midi(song.path), wish.source, strictness=1)
    assert song.report.same_label == again.same_label
    assert song.report.sections == again.sections
    assert song.report.same_label > 0.97
    assert song.report.n_bars == 12


@pytest.mark.parametrize("meter", ["3/4", "6/8", "2/4"])
def test_other_meters_have_exact_lengths(work, meter):
    form = form_from_string("A4 A4").with_meter(meter)
    song = one_song(Wish(form), work / "x.mid")
    score = score_from_midi(song.path)
    assert (song.report.n_bars, song.report.n_bars_wanted) == (8, 8)
    assert np.diff(score.bar_beats).tolist() == [form.beats_per_bar] * 8


def test_a_template_gives_its_repeats_and_the_recipe_needs_it_again(template, work, capsys):
    assert run("--template", template, "--seed", 1, "--out", "new.mid") == 0
    report = read_recipe(work / "new.json")
    assert report.structure["n_bars_wanted"] == 8
    assert [file.name for file in report.templates] == ["template.mid"]
    assert run("--recipe", "new.json", "--template", template, "--out", "again.mid") == 0
    assert (work / "new.mid").read_bytes() == (work / "again.mid").read_bytes()
    capsys.readouterr()
    assert run("--recipe", "new.json", "--out", "third.mid") == 2
    assert "add --template template.mid" in capsys.readouterr().err
    other = work / "other.mid"
    other.write_bytes((work / "new.mid").read_bytes())
    assert run("--recipe", "new.json", "--template", other, "--out", "third.mid") == 2
    assert "--template other.mid: not what the recipe follows" in capsys.readouterr().err


def test_an_ssm_file_is_a_template_too(template, work):
    assert main(["ssm", str(template), "--out", "form.npz", "--quiet"]) == 0
    from_midi = one_song(Wish(template_from_file(template)), work / "a.mid")
    from_npz = one_song(Wish(template_from_file(work / "form.npz")), work / "b.mid")
    assert score_from_midi(from_midi.path).pitch.tolist() == (
        score_from_midi(from_npz.path).pitch.tolist()
    )


def test_json_is_one_object_a_line(work, capsys):
    assert run("--form", "A2 A2", "--seed", 1, "--count", 2, "--json", "--quiet") == 0
    out, err = capsys.readouterr()
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["seed"] for row in rows] == [1, 2]
    assert all(Path(row["path"]).exists() for row in rows)
    assert err == ""


def test_json_holds_all_that_the_table_says(work, capsys):
    assert run("--form", "A2 A2", "--seed", 1, "--json") == 0
    out, err = capsys.readouterr()
    row = json.loads(out)
    assert err == ""
    assert (row["attempt"], row["best_of"], row["reached"], row["picture"]) == (1, 1, True, None)
    assert row["structure"] == read_recipe(work / "form-1.json").structure
    assert row["structure"]["score"] == row["structure"]["r_bars"]
    assert [list(section) for section in row["structure"]["sections"]] == [
        ["label", "start_bar", "n_bars", "source_bar", "wanted", "measured", "boundary_found"]
    ] * 2


def test_several_songs_have_a_line_each_and_the_table_only_if_asked(work, capsys):
    assert run("--form", "A2 A2", "--seed", 1, "--count", 2, "--out-dir", "a") == 0
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["  seed 1", "  seed 2"]
    assert run("--form", "A2 A2", "--seed", 1, "--count", 2, "--out-dir", "b", "--verbose") == 0
    assert len(capsys.readouterr().err.splitlines()) == 2 * (1 + 2 + 1)


def test_quiet_leaves_the_paths_alone(work, capsys):
    assert run("--form", "A2 A2", "--seed", 1, "--quiet") == 0
    assert capsys.readouterr() == ("form-1.mid\n", "")


def test_a_song_of_one_bar_is_refused_before_anything_is_written(work, capsys):
    assert run("--form", "A1", "--seed", 1) == 2
    assert "1 bar long, at least 2 are needed" in capsys.readouterr().err
    assert list(work.iterdir()) == []


def test_a_transposed_return_is_measured_as_a_return(work):
    form = Form((Section("A", 4), Section("A", 4, 0.0, transpose=3)))
    song = one_song(Wish(form, strictness=1), work / "x.mid")
    assert song.report.sections[1].measured > 0.85  # notes at the ends of the piano are lost
    sounding = bar_overlap_map(score_from_midi(song.path, whole=True))
    assert sounding[4:, :4].max() < 0.5


def test_a_picture_lies_beside_the_song(work, capsys):
    assert run("--form", "A2 A2", "--seed", 1, "--count", 2, "--png", "--json") == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["picture"] for row in rows] == ["form-1.png", "form-2.png"]
    for row in rows:
        content = (work / row["picture"]).read_bytes()
        assert content.startswith(b"\x89PNG")
        assert struct.unpack(">I", content[16:20]) == (1600,)
    assert run("--form", "A2 A2", "--seed", 1, "--png") == 2
    (work / "form-1.mid").unlink()
    (work / "form-1.json").unlink()
    capsys.readouterr()
    assert run("--form", "A2 A2", "--seed", 1, "--png") == 2
    assert "form-1.png: already exists" in capsys.readouterr().err


def test_options_beside_a_recipe_change_its_song(work):
    assert run("--form", "A2 A2", "--seed", 1, "--key", "D minor", "--out", "one.mid") == 0
    assert run("--recipe", "one.json", "--tempo", 77, "--out", "two.mid") == 0
    one, two = (score_from_midi(work / name) for name in ("one.mid", "two.mid"))
    assert two.tempo_bpm == pytest.approx(77, abs=0.01)
    assert one.pitch.tolist() == two.pitch.tolist()
    assert read_recipe(work / "two.json").options["key"] == "D minor"


def test_strictness_of_one_section(work, capsys):
    form = "A2 B2 A2 B2"
    assert run("--form", form, "--seed", 1, "--section-strictness", "B=1", "--strictness", 0.2) == 0
    sections = read_recipe(work / "form-1.json").structure["sections"]
    assert [s["wanted"] for s in sections[2:]] == pytest.approx([0.2, 1.0])
    assert run("--recipe", "form-1.json", "--out", "again.mid") == 0
    assert (work / "again.mid").read_bytes() == (work / "form-1.mid").read_bytes()


def test_an_existing_song_is_kept_unless_told_otherwise(work, capsys):
    assert run("--form", "A2", "--seed", 1, "--out", "x.mid") == 0
    before = (work / "x.mid").read_bytes()
    assert run("--form", "A2", "--seed", 2, "--out", "x.mid") == 2
    assert "x.mid: already exists; add --overwrite" in capsys.readouterr().err
    assert (work / "x.mid").read_bytes() == before
    assert run("--form", "A2", "--seed", 2, "--out", "x.mid", "--overwrite") == 0
    assert (work / "x.mid").read_bytes() != before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--preset", "aabba"], "no preset is called 'aabba'; did you mean"),
        ([], "one of --preset, --form, --template and --recipe is needed, found none"),
        (["--preset", "aaba", "--form", "A2"], "found --preset and --form"),
        (["--form", "A2", "--key", "H minor"], "'H minor' is not a key"),
        (["--form", "A2", "--tempo", "0"], "tempo = 0, allowed: 20 to 300"),
        (["--form", "A2", "--temperature", "0"], "temperature = 0"),
        (["--form", "A2", "--strictness", "1.5"], "strictness = 1.5, allowed: 0 to 1"),
        (["--form", "A2", "--filename", "{year}.mid"], "fields are {preset}, {seed}, {index}"),
        (["--form", "A2", "--filename", "../{seed}.mid"], "must be a name without folders"),
        (["--form", "A2", "--filename", "x.mid", "--count", "2"], "equal names"),
        (["--form", "A2", "--out", "x.wav"], "must end in .mid"),
        (["--form", "A2", "--out", "x.mid", "--count", "2"], "use --out-dir"),
        (["--template", "missing.mid"], "missing.mid: "),
        (["--form", "A2", "--bars", "8"], "--bars goes with --preset random alone"),
        (["--form", "A2", "--best-of", "1000"], "best_of = 1000, allowed: 1 to 256"),
        (["--form", "A2", "--min-structure", "2"], "min_structure = 2, allowed: 0 to 1"),
        (["--form", "A2", "--section-strictness", "A"], "'A', allowed: LABEL=NUMBER"),
        (["--form", "A2", "--section-strictness", "A=2"], "'A=2', allowed: LABEL=NUMBER"),
        (["--form", "chorus2", "--section-strictness", "chrous=1"], "did you mean chorus?"),
        (["--form", "A2 B2", "--section-strictness", "x=1"], "sections are A, B"),
        (["--form", "A2", "--save-preset", "x.txt"], "x.txt: a preset ends in .toml"),
        (["--form", "A2", "--save-preset", "no/x.toml"], "no: no such folder"),
        (["--recipe", "missing.json"], "missing.json: "),
        (
            ["--form", "A2", "--temperature", "leed=1"],
            "no kind is called 'leed'; did you mean lead",
        ),
        (["--form", "A2", "--top-p", "lead=2"], "top_p = lead=2,accompaniment=1,count=1,duration="),
        (
            ["--form", "A2", "--scale-lock", "tight"],
            "--scale-lock 'tight', allowed: off, soft, hard",
        ),
        (["--form", "A2", "--lead-range", "C5"], "--lead-range 'C5', allowed: LOW-HIGH"),
        (["--form", "A2 A+11", "--lead-range", "C5-G5"], "leave no pitch in it"),
        (["--form", "A2", "--max-polyphony", "lead=0"], "lead=0, allowed: whole numbers"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(work, capsys, arguments, message):
    assert run(*arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.count("\n") == 1
    assert list(work.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_found_first(work):
    (work / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        validate_folders([work / "file" / "x.mid"])


def test_the_command_line_has_the_defaults_of_a_wish():
    import dataclasses
    import inspect

    from singcli.cli.generate import generate

    defaults = {f.name: f.default for f in dataclasses.fields(Wish)}
    options = inspect.signature(generate).parameters
    for name in ("strictness", "candidates", "steering", "scale_lock", "ending", "lead_range"):
        assert options[name].default == defaults[name]
    assert options["temperature"].default is None
    assert float(options["top_p"].default) == defaults["top_p"]
    polyphony = Polyphony.parse(options["max_polyphony"].default, option="-")
    assert polyphony == defaults["max_polyphony"]
    assert options["accompaniment_range"].default is None


def test_sampling_options_are_recorded_and_made_again(work):
    options = [
        *("--temperature", "lead=0.8,duration=0.5", "--top-p", "accompaniment=0.9"),
        *("--scale-lock", "hard", "--lead-range", "C4-C5", "--max-polyphony", "lead=1"),
        *("--accompaniment-range", "36-60", "--no-ending", "--key", "F# minor"),
    ]
    assert run("--form", "A2 B2 A2", "--seed", 1, *options, "--out", "one.mid") == 0
    recorded = read_recipe(work / "one.json").options
    assert recorded["temperature"] == {
        "lead": 0.8,
        "accompaniment": 0.97,
        "count": 1.1,
        "duration": 0.5,
        "velocity": 0.97,
    }
    assert recorded["top_p"]["accompaniment"] == 0.9
    assert (recorded["scale_lock"], recorded["ending"]) == ("hard", False)
    assert (recorded["lead_range"], recorded["accompaniment_range"]) == ("C4-C5", "C2-C4")
    assert recorded["max_polyphony"] == {"lead": 1, "accompaniment": 8}
    assert run("--recipe", "one.json", "--out", "two.mid") == 0
    assert (work / "one.mid").read_bytes() == (work / "two.mid").read_bytes()
    assert run("--recipe", "one.json", "--scale-lock", "off", "--out", "three.mid") == 0
    assert read_recipe(work / "three.json").options == recorded | {"scale_lock": "off"}


def test_a_range_holds_in_the_song_s_key_and_in_transposed_sections(work):
    form = "A4 A+5"
    options = ("--key", "Eb", "--lead-range", "C4-C6", "--scale-lock", "hard", "--count", 3)
    assert run("--form", form, "--seed", 1, *options) == 0
    for path in work.glob("*.mid"):
        score = score_from_midi(path, whole=True)
        lead = score.pitch[score.voice == LEAD]
        assert len(lead)
        assert lead.min() >= 60
        assert lead.max() <= 84
        home = score.transposed_bars(-form_from_string(form).bar_transpositions)
        assert Key.parse("Eb").scale[home.pitch % 12].all()


def test_no_note_of_a_file_is_struck_while_it_sounds_or_sounds_on_at_the_end(work):
    assert run("--form", "A4 B4 A4", "--seed", 1, "--count", 10, "--temperature", "1.5") == 0
    for path in work.glob("*.mid"):
        for track in mido.MidiFile(path).tracks:
            sounding = set()
            for message in track:
                if message.type == "note_on" and message.velocity > 0:
                    assert message.note not in sounding
                    sounding.add(message.note)
                elif message.type in ("note_on", "note_off"):
                    sounding.remove(message.note)
            assert not sounding


def test_a_model_by_an_unknown_name_is_refused():
    with pytest.raises(InputError, match=r"no model is called 'nope'"):
        model_path("nope")
    assert model_path("./my.onnx") == Path("my.onnx")


def test_a_wish_survives_its_recipe(work):
    wish = Wish(
        read_preset("rondo"),
        tempo_bpm=77,
        key=Key.parse("Eb"),
        strictness=0.25,
        lead_range=PitchRange(60, 80),
        ending=False,
    )
    song = one_song(wish, work / "x.mid")
    back = wish_from_recipe(read_recipe(song.recipe_path), None)
    assert back.source == wish.source
    assert back.options() == wish.options()
    assert (back.lead_range, back.ending, back.limits) == (wish.lead_range, False, wish.limits)
    assert (back.song_key, back.song_tempo_bpm) == (wish.song_key, 77)
