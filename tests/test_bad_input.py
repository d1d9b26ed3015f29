"""Whatever is wrong with the input: one clear line on stderr, exit code 2, nothing written."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from singcli.cli import main
from singcli.music.midi_writing import midi_from_score


@pytest.fixture
def work(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def refused(work, capsys):
    """Run a command that must be refused and return its message."""

    def run(*arguments: str) -> str:
        before = sorted(work.rglob("*"))
        assert main([*arguments, "--quiet"]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("error: ")
        assert err.count("\n") == 1
        assert sorted(work.rglob("*")) == before
        return err.removeprefix("error: ")

    return run


def variable_length(value: int) -> bytes:
    digits = [value & 0x7F]
    while value := value >> 7:
        digits.append(value & 0x7F | 0x80)
    return bytes(reversed(digits))


def midi(*events: tuple[int, bytes], ticks_per_quarter: int = 480) -> bytes:
    """A format 0 file of (delta, event) pairs."""
    body = b"".join(variable_length(delta) + event for delta, event in events)
    body += b"\x00\xff\x2f\x00"
    header = struct.pack(">LHHH", 6, 0, 1, ticks_per_quarter)
    return b"MThd" + header + b"MTrk" + struct.pack(">L", len(body)) + body


def note(delta: int, length: int, *, channel: int = 0) -> list[tuple[int, bytes]]:
    return [(delta, bytes([0x90 | channel, 60, 80])), (length, bytes([0x80 | channel, 60, 0]))]


TEN_HOURS = 10 * 3600 * 2 * 480  # ticks at 120 quarters a minute
BAD_MIDI = {
    "nothing at all": (b"", r"not a readable MIDI file"),
    "not MIDI": (b"RIFF" + bytes(100), r"not a readable MIDI file"),
    "cut off": (midi(*note(0, 480) * 40)[:60], r"not a readable MIDI file"),
    "without notes": (midi((1920, b"\xff\x01\x01x")), r"no notes"),
    "drums only": (midi(*note(0, 480, channel=9) * 20), r"drums only"),
    "one bar": (midi(*note(0, 480) * 4), r"1 bar"),
    "a tempo of zero": (midi((0, b"\xff\x51\x03\0\0\0"), *note(0, 480) * 20), r"tempo of zero"),
    "ten hours": (midi(*note(0, 480), *note(TEN_HOURS, 480)), r"600 minutes|10 hours"),
}


@pytest.mark.parametrize("command", ["generate", "ssm"])
@pytest.mark.parametrize("kind", BAD_MIDI)
def test_a_template_that_is_no_piece_is_refused(work, refused, command, kind):
    content, message = BAD_MIDI[kind]
    (work / "template.mid").write_bytes(content)
    template = ["--template", "template.mid"] if command == "generate" else ["template.mid"]
    assert refused(command, *template).startswith("template.mid: ")
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(refused(command, *template))


def test_a_missing_template_is_named(refused):
    assert "nowhere.mid" in refused("generate", "--template", "nowhere.mid")


@pytest.mark.parametrize("command", [["generate", "--preset"], ["ssm"]])
def test_a_missing_preset_names_the_nearest(refused, command):
    assert "verse-chorus" in refused(*command, "vers-chorus")


def test_a_broken_toml_names_file_and_line(work, refused):
    (work / "mine.toml").write_text('tempo = 100\n[[sections]]\nlabel = "A\n')
    message = refused("generate", "--preset", "mine.toml")
    assert message.startswith("mine.toml")
    assert "line 3" in message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[[sections]]\nlabel = "A"\nbarz = 8\n', ["barz", "bars"]),
        ('[[sections]]\nlabel = "A"\nbars = 0\n', ["bars", "0"]),
        ('temp = 90\n[[sections]]\nlabel = "A"\nbars = 8\n', ["temp", "tempo"]),
        ("tempo = 90\n", ["sections"]),
    ],
)
def test_a_wrong_key_or_value_in_a_preset_is_named(work, refused, text, words):
    (work / "mine.toml").write_text(text)
    message = refused("generate", "--preset", "mine.toml")
    assert message.startswith("mine.toml")
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    "content", [b"", b"not a model", b"\x08\x07" + bytes(50)], ids=["empty", "text", "protobuf"]
)
def test_a_damaged_or_foreign_model_is_refused(work, refused, content):
    (work / "model.onnx").write_bytes(content)
    assert "model.onnx" in refused("generate", "--preset", "aaba", "--model", "./model.onnx")


def test_a_missing_model_is_named(refused):
    assert "nowhere.onnx" in refused("generate", "--preset", "aaba", "--model", "nowhere.onnx")
    assert "'poo'" in refused("generate", "--preset", "aaba", "--model", "poo")


@pytest.mark.parametrize(
    "options",
    [
        ["--form", "A8 B0"],
        ["--form", ""],
        ["--preset", "aaba", "--key", "H dur"],
        ["--preset", "aaba", "--tempo", "0"],
        ["--preset", "aaba", "--temperature", "0"],
        ["--preset", "aaba", "--temperature", "nan"],
        ["--preset", "aaba", "--top-p", "1.5"],
        ["--preset", "aaba", "--strictness", "2"],
        ["--preset", "aaba", "--filename", "{sed}.mid"],
        ["--preset", "aaba", "--count", "2", "--out", "one.mid"],
        ["--preset", "aaba", "--form", "A8 B8"],
        ["--recipe", "nowhere.json"],
        [],
    ],
    ids=" ".join,
)
def test_an_impossible_option_is_refused(refused, options):
    refused("generate", *options)


@pytest.mark.parametrize("suffix", [".mid", ".json"])
def test_what_is_there_is_not_overwritten(work, refused, suffix):
    (work / f"aaba-3{suffix}").write_text("precious")
    assert "--overwrite" in refused("generate", "--preset", "aaba", "--seed", "3")
    assert (work / f"aaba-3{suffix}").read_text() == "precious"


def test_what_is_there_is_overwritten_on_request(work):
    (work / "aba-3.mid").write_text("old")
    assert main(["generate", "--preset", "aba", "--seed", "3", "--overwrite", "--quiet"]) == 0
    assert (work / "aba-3.mid").read_bytes().startswith(b"MThd")


def test_a_folder_that_cannot_be_made_is_found_before_the_work(work, refused):
    (work / "file").write_text("")
    assert "file" in refused("generate", "--preset", "aaba", "--out-dir", "file/songs")


def test_an_ssm_is_not_overwritten_either(work, refused, aaba_score):
    (work / "song.mid").write_bytes(midi_from_score(aaba_score))
    (work / "song.npz").write_text("precious")
    assert "--overwrite" in refused("ssm", "song.mid")
