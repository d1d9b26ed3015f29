from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import mido
import numpy as np
import pytest

from singcli import analysis
from singcli.cli import main
from singcli.preset_library import read_preset
from singcli.structure.alignment import NEW, RepeatMap
from singcli.structure.bar_copies import BarCopy, bar_copies
from singcli.structure.ssm_file import read_ssm

TICKS = 480
TUNES = {"A": [60, 64, 67, 72, 71, 67, 65, 62], "B": [69, 65, 70, 62, 74, 77, 66, 73]}


def midi_bytes(notes: list[tuple[float, float, int]], *, channel: int = 0, tempo: int = 500_000):
    """A format 1 file of (beat, beats, pitch) notes, written by mido."""
    file = mido.MidiFile(type=1, ticks_per_beat=TICKS)
    conductor = mido.MidiTrack([mido.MetaMessage("time_signature", numerator=4, denominator=4)])
    tempo_message = mido.MetaMessage("set_tempo", tempo=tempo)
    conductor.append(tempo_message)
    events = [
        (int((beat + length * is_end) * TICKS), not is_end, pitch)
        for beat, length, pitch in notes
        for is_end in (True, False)
    ]
    track = mido.MidiTrack([mido.MetaMessage("track_name", name="MELODY")])
    now = 0
    for tick, is_start, pitch in sorted(events):
        kind = "note_on" if is_start else "note_off"
        track.append(mido.Message(kind, note=pitch, velocity=80, channel=channel, time=tick - now))
        now = tick
    file.tracks += [conductor, track]
    return file


def write_song(path: Path, form: str = "AABA") -> Path:
    """Eight bars of 4/4 for every letter: a tune in quarters that climbs with the bar."""
    notes = [
        (32 * place + 4 * bar + beat, 1, TUNES[letter][(3 * bar + beat) % 8] + bar % 3)
        for place, letter in enumerate(form)
        for bar in range(8)
        for beat in range(4)
    ]
    midi_bytes(notes).save(path)
    return path


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["ssm", *arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_preset_prints_sections_then_files(capsys: pytest.CaptureFixture[str]) -> None:
    text = 'tempo = 84\nform = "A = a4 a4:0.2; A8 B4 A8+2:0.1"\n'
    Path("mine.toml").write_text(text.replace("B4", "[solo]4"))
    code, out, err = run(capsys, "mine.toml")
    assert code == 0, err
    assert out.splitlines() == [
        "bars 1-8      A",
        "  bars 1-4      a",
        "  bars 5-8      a (variation 0.20)",
        "bars 9-12     solo",
        "bars 13-20    A (variation 0.10, +2 semitones)",
        "  bars 13-16    a",
        "  bars 17-20    a (variation 0.20)",
        "mine.npz",
    ]
    assert "20 bars of 4/4" in err
    assert read_ssm(Path("mine.npz")).n_beats == 80


def test_repeat_map_tells_which_bar_copies_which(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "A8 A8 B8 A'8", "--repeat-map", "--quiet")
    assert code == 0
    assert "bars 9-16     copy bars 1-8 (grade 0.85)" in out
    assert "(grade 0.70)" in out


def test_json_is_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "rondo", "--json", "--repeat-map", "--png")
    assert code == 0
    assert err == ""
    value = json.loads(out)
    assert value["source"]["kind"] == "preset"
    labels = [section["label"] for section in value["sections"]]
    assert labels[0] == labels[2] == labels[4] != labels[1] != labels[3]
    section = value["sections"][2]
    assert (section["start_bar"], section["end_bar"], section["variation"]) == (16, 24, 0.1)
    assert (section["transpose"], section["tune"]) == (0, True)
    assert value["sections"][0]["variation"] is None
    assert section["phrases"][0] == {
        "label": section["phrases"][0]["label"],
        "start_bar": 16,
        "end_bar": section["phrases"][0]["end_bar"],
        "variation": None,
    }
    assert value["written"] == ["rondo.npz", "rondo.png"]
    last = value["repeats"][-1]
    assert (last["start_bar"], last["end_bar"]) == (32, 40)
    assert last["grade"] == pytest.approx(0.8)


def test_midi_file_finds_sections_and_writes_no_notes(
    capsys: pytest.CaptureFixture[str], here: Path
) -> None:
    folder = here / "music"
    folder.mkdir()
    song = write_song(folder / "song.mid")
    (folder / "LICENSE").write_text("CC0 for the test")
    code, out, err = run(capsys, str(song), "--png", "--repeat-map", "--emit-preset", "mine.toml")
    assert code == 0, err
    sections = [line.split()[2] for line in out.splitlines() if line.startswith("bar")][:4]
    assert sections == list("AABA")
    assert out.splitlines()[-3:] == ["song.npz", "song.png", "mine.toml"]
    structure = read_ssm(Path("song.npz"))
    assert (structure.n_bars, structure.meter, structure.tempo_bpm) == (32, "4/4", 120)
    provenance = structure.provenance
    assert (provenance.kind, provenance.name) == ("midi", "song.mid")
    assert provenance.licence == "CC0 for the test"
    assert str(here) not in json.dumps(provenance.settings)
    with np.load("song.npz") as stored:
        assert set(stored.files) == {"ssm", "bar_beats", "beat_s", "meta"}
    form = read_preset("mine.toml")
    assert [section.label for section in form.sections] == list("AABA")
    assert form.sections[1].variation < 0.1


def test_phrases_and_transpositions_go_into_the_preset(
    capsys: pytest.CaptureFixture[str], here: Path
) -> None:
    pitches = {c: np.random.default_rng(i).integers(60, 78, 16) for i, c in enumerate("abcde")}
    plan = "aa bc aa de aa".replace(" ", "")
    notes = [
        (16 * place + beat, 1, int(pitch) + (3 if place >= 8 else 0))
        for place, phrase in enumerate(plan)
        for beat, pitch in enumerate(pitches[phrase])
    ]
    midi_bytes(notes).save(here / "song.mid")
    code, out, err = run(capsys, "song.mid", "--emit-preset", "mine.toml")
    assert code == 0, err
    assert "bars 33-40    A (variation 0.00, +3 semitones)" in out
    assert "  bars 5-8      a (variation 0.00)" in out
    form = read_preset("mine.toml")
    assert [section.label for section in form.sections] == list("ABACA")
    assert [section.transpose for section in form.sections] == [0, 0, 0, 0, 3]
    assert [(p.label, p.n_bars) for p in form.sections[4].phrases] == [("a", 4), ("a", 4)]
    assert Path("mine.toml").read_text().startswith("# mine: a form for singcli")


def test_a_recording_without_the_extra_ends_in_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, here: Path
) -> None:
    monkeypatch.setattr("singcli.extras.AUDIO_MODULES", ("no_such_module",))
    (here / "song.wav").write_bytes(b"RIFF")
    code, out, err = run(capsys, "song.wav")
    assert (code, out) == (1, "")
    assert "pip install" in err
    assert "singcli[audio]" in err
    assert [path.name for path in here.iterdir()] == ["song.wav"]


def test_a_recording_is_read_as_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = analysis.structure_from_source("A4 B4 A4").structure
    monkeypatch.setattr(analysis, "structure_from_audio", lambda _path: heard)
    code, out, _ = run(capsys, "song.mp3")
    assert code == 0
    assert out.splitlines()[-1] == "song.npz"
    assert [line.split()[2] for line in out.splitlines() if line.startswith("bars")] == list("ABA")


def test_an_ssm_file_can_be_looked_at_again(capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "aba")
    before = Path("aba.npz").read_bytes()
    code, out, _ = run(capsys, "aba.npz", "--png", "--emit-preset", "again.toml")
    assert code == 0
    assert out.splitlines()[-2:] == ["aba.png", "again.toml"]
    assert Path("aba.npz").read_bytes() == before
    assert [s.label for s in read_preset("again.toml").sections] == list("ABA")


def test_a_form_string_becomes_a_preset(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "A8 B4:0.3", "--emit-preset", "x.toml", "-o", "x.npz")[0] == 0
    assert [(s.label, s.n_bars, s.variation) for s in read_preset("x.toml").sections] == [
        ("A", 8, 0.15),
        ("B", 4, 0.3),
    ]


def test_a_preset_goes_before_a_file_of_its_name(
    capsys: pytest.CaptureFixture[str], here: Path
) -> None:
    write_song(here / "aaba", "AB")
    assert run(capsys, "aaba", "--out", "preset.npz")[0] == 0
    assert run(capsys, "./aaba", "--out", "file.npz")[0] == 0
    assert read_ssm(Path("preset.npz")).provenance.kind == "preset"
    assert read_ssm(Path("file.npz")).provenance.kind == "midi"


def test_annotated_sections_are_taken_as_given() -> None:
    from singcli.dataset import SectionSpan
    from singcli.structure.section import Span

    given = (SectionSpan("a", 1, 4, True), SectionSpan("b", 5, 2, False))
    assert analysis._without_gaps(given, 8) == [
        Span("unlabelled-1", 0, 1), Span("A", 1, 4), Span("b", 5, 2), Span("unlabelled-2", 7, 1)
    ]  # fmt: skip
    assert analysis._without_gaps((), 8) == []


def vlq(value: int) -> bytes:
    parts = [value & 0x7F]
    while value := value >> 7:
        parts.append(value & 0x7F | 0x80)
    return bytes(reversed(parts))


def raw_midi(events: bytes, division: int = TICKS) -> bytes:
    track = events + b"\x00\xff\x2f\x00"
    return (
        b"MThd" + struct.pack(">IHHH", 6, 0, 1, division) + b"MTrk" + struct.pack(">I", len(track))
        + track
    )  # fmt: skip


NOTE = b"\x00\x90\x3c\x50" + vlq(TICKS) + b"\x80\x3c\x00"
BAD_MIDI = {
    "no notes": raw_midi(b"\x00\xff\x51\x03\x07\xa1\x20"),
    "drums only": raw_midi((b"\x00\x99\x24\x50" + vlq(TICKS) + b"\x89\x24\x00") * 40),
    "one bar": raw_midi(NOTE * 4),
    "a tempo of zero": raw_midi(b"\x00\xff\x51\x03\x00\x00\x00" + NOTE * 40),
    "ten hours": raw_midi(NOTE * 40 + vlq(TICKS * 2 * 36_000) + NOTE[1:]),
    "truncated": raw_midi(NOTE * 40)[:-60],
    "not MIDI": b"RIFF, a wave file",
    "empty": b"",
}


@pytest.mark.parametrize("kind", BAD_MIDI)
def test_a_useless_template_ends_in_one_line_and_writes_nothing(
    kind: str, capsys: pytest.CaptureFixture[str], here: Path
) -> None:
    (here / "bad.mid").write_bytes(BAD_MIDI[kind])
    code, out, err = run(capsys, "bad.mid", "--png", "--emit-preset", "x.toml")
    assert code == 2
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("error: bad.mid: ")
    assert [path.name for path in here.iterdir()] == ["bad.mid"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nope.mid"], "nope.mid: "),
        (["nope.toml"], "nope.toml: cannot be read"),
        (["nope.npz"], "nope.npz: cannot be read"),
        (["no/such/thing"], "no/such/thing: no such file"),
        (["vers-chorus"], "'vers-chorus' is not a file, a preset or a form; did you mean verse-"),
        (["A8 ?"], "form, character 4"),
        ([""], "'' is not a file, a preset or a form"),
        (["."], "not a MIDI file, a recording (.flac, .mp3, .oga, .ogg, .wav), a preset"),
        (["text.txt"], "text.txt: not a MIDI file, a recording"),
        (["text.npz"], "text.npz: damaged, or not an SSM file"),
        (["aaba", "-o", "none/x.npz"], "there is no folder none"),
        (["aaba", "-o", "x.png"], "an SSM file ends in .npz"),
        (["aaba", "--emit-preset", "x.txt"], "a preset ends in .toml"),
        (["aaba", "--emit-preset", "none/x.toml"], "there is no folder none"),
        (["./mine.toml", "--emit-preset", "mine.toml", "--overwrite"], "is the source itself"),
        (["song.mid", "--rules", "nobody"], "nobody"),
        (["song.mid", "--beats", "annotation"], "beat_midi.txt"),
    ],
)
def test_bad_requests_end_in_one_line_and_write_nothing(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], here: Path
) -> None:
    (here / "text.txt").write_text("hello")
    (here / "text.npz").write_text("hello")
    (here / "mine.toml").write_text('[[sections]]\nlabel = "A"\nbars = 2\n')
    write_song(here / "song.mid")
    before = {path.name: path.read_bytes() for path in here.iterdir()}
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert {path.name: path.read_bytes() for path in here.iterdir()} == before


def test_nothing_is_overwritten_unasked_and_nothing_half(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("aaba.png").write_text("mine")
    code, out, err = run(capsys, "aaba", "--png")
    assert (code, out) == (2, "")
    assert "aaba.png: already exists; add --overwrite" in err
    assert not Path("aaba.npz").exists()
    assert run(capsys, "aaba", "--png", "--overwrite")[0] == 0
    assert Path("aaba.png").read_bytes().startswith(b"\x89PNG")


def test_output_folder_is_checked_before_the_work(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_work(*_: object, **__: object) -> None:
        raise AssertionError("the work has begun")

    monkeypatch.setattr(analysis, "structure_from_source", no_work)
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write anywhere
    code, _, err = run(capsys, "aaba")
    assert code == 2
    assert "cannot be written" in err


def test_a_piece_with_too_many_beats_is_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, here: Path
) -> None:
    monkeypatch.setattr(analysis, "MAX_BEATS", 100)
    write_song(here / "song.mid")
    code, _, err = run(capsys, "song.mid")
    assert code == 2
    assert "song.mid: 128 beats, allowed 100" in err


def test_help_shows_examples_and_loads_no_numpy() -> None:
    program = (
        "import sys\nfrom singcli.cli import main\ncode = main(['ssm', '--help'])\n"
        "heavy = {'numpy', 'onnxruntime', 'torch', 'matplotlib'} & set(sys.modules)\n"
        "sys.exit(code or str(heavy) if heavy else code)\n"
    )
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("singcli ssm ") >= 2


def test_bars_sum_up_beats() -> None:
    source = [NEW, NEW, NEW, 2, 0, 1, 2, 3, 4, 5, 6, 7, 2, 3, 4, NEW]
    grade = [0.0, 0, 0, 0.5, 0.8, 0.8, 0.8, 0.8, 0.9, 0.9, 0.9, 0.9, 0.5, 0.5, 0.5, 0]
    repeats = RepeatMap(np.array(source, np.int32), np.array(grade, np.float32))
    copies = bar_copies(repeats, np.arange(0, 17, 4, dtype=np.int32))
    assert copies[0] == BarCopy(0, 1, None, 0, 0.0)
    assert copies[1] == BarCopy(1, 2, 0, 0, pytest.approx(0.85))
    assert copies[2] == BarCopy(3, 1, 0, 2, pytest.approx(0.5))  # from beat 2 of bar 0 on
