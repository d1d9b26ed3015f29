from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from midi_bytes import Note, midi_bytes, tune

from singcli.errors import InputError
from singcli.music.midi_reading import midi_from_bytes
from singcli.music.score import ACCOMPANIMENT, LEAD, Score, regular_bars
from singcli.music.voice_files import read_voice_rules
from singcli.music.voice_tables import RulesTable
from singcli.music.voices import VoiceRules, assign_voices, with_skyline_lead
from singcli.resources import voice_rules_dir, voice_rules_names
from singcli.toml_tables import table_from_toml

CHORDS: list[Note] = [(i, i + 1, p) for i in range(8) for p in (60, 64, 67)]
BASS = tune(2, pitches=(36, 43))
TUNE = tune(2, pitches=(76, 74))


def voices(
    tracks: Sequence[tuple[str, Sequence[Note]]],
    rules: str | VoiceRules,
    *,
    channels: Sequence[int] = (),
    programs: Sequence[int] = (),
) -> tuple[str, bool]:
    """Return a letter for every track (l, a, or - for dropped) and whether a skyline is wanted."""
    content = midi_bytes(tracks, channels=channels, programs=programs)
    music = midi_from_bytes(content, source="x")
    rules = read_voice_rules(rules) if isinstance(rules, str) else rules
    assigned = assign_voices(music.tracks, music.notes, rules)
    letters = {LEAD: "l", ACCOMPANIMENT: "a", -1: "-"}
    return "".join(letters[int(v)] for v in assigned.voice_of_track), assigned.wants_skyline


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "rules.toml"
    path.write_text('description = "a test"\n' + text)
    return path


@pytest.mark.parametrize(
    ("rules", "names", "expected"),
    [
        ("pop909", ["MELODY", "BRIDGE", "PIANO"], ("laa", False)),
        ("pop909", ["Piano", "Melody 2"], ("aa", False)),
        ("lieder", ["Singstimme\nVoice", "Pianoforte RH", "Pianoforte LH"], ("laa", False)),
        ("lieder", ["Flute", "Voice", "Piano RH"], ("ala", False)),
        ("lieder", ["Soprano", "Alto", "Tenor", "Bass"], ("laaa", False)),
        ("lieder", ["Stimme", "Guitarre"], ("la", False)),
        ("solo-piano", ["RH", "LH"], ("aa", True)),
        ("auto", ["Lead", "Accompaniment"], ("la", False)),
        ("auto", ["Accompaniment"], ("a", False)),
        ("auto", ["Strings", "Lead Vocals"], ("al", False)),
        ("auto", ["Piano"], ("a", True)),
        ("auto", ["Misleading", "Invoice"], ("la", False)),  # no tune by name: the highest
    ],
)
def test_rules_that_come_with_the_tool(
    rules: str, names: list[str], expected: tuple[str, bool]
) -> None:
    parts = [TUNE, BASS, BASS, BASS]
    tracks = [(name, parts[i]) for i, name in enumerate(names)]
    assert voices(tracks, rules) == expected


def test_without_a_name_the_highest_track_of_single_notes_leads() -> None:
    tracks = [("", CHORDS), ("", BASS), ("", TUNE)]
    assert voices(tracks, "auto") == ("aal", False)


def test_chords_alone_want_the_skyline() -> None:
    assert voices([("", CHORDS), ("", CHORDS)], "auto") == ("aa", True)


def test_drums_never_enter() -> None:
    tracks = [("Melody", TUNE), ("Melody", BASS)]
    assert voices(tracks, "auto", channels=[9, 0]) == ("-l", False)


def test_an_ossia_of_few_notes_does_not_lead() -> None:
    tracks = [("Voice (ossia)", TUNE[:2]), ("Voice", TUNE), ("Piano", CHORDS)]
    assert voices(tracks, "lieder") == ("ala", False)


def test_rules_by_program_position_and_number_of_tracks(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """
        otherwise = "drop"
        [[rule]]
        programs = [73]
        voice = "lead"
        [[rule]]
        position = -1
        n_tracks = 3
        voice = "accompaniment"
        """,
    )
    rules = read_voice_rules(path)
    tracks = [("a", TUNE), ("b", TUNE), ("c", TUNE)]
    assert voices(tracks, rules, programs=[73, 0, 0]) == ("l-a", False)
    assert voices(tracks[:2], rules, programs=[0, 73]) == ("-l", False)


def test_every_bundled_file_is_read() -> None:
    assert set(voice_rules_names()) == {"auto", "lieder", "pop909", "solo-piano"}
    for name in voice_rules_names():
        assert read_voice_rules(name).name == name
        content = (voice_rules_dir() / f"{name}.toml").read_bytes()
        table_from_toml(content, RulesTable, source=name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rule = 3", "rules.toml: rule = 3"),
        ('[[rule]]\nvoice = "tenor"', r"rule\[0\].voice = 'tenor', allowed"),
        ('[[rule]]\nvoice = "lead"\nname = "("', "name = '\\(', allowed: a regular expression"),
        ('[[rule]]\nvoice = "lead"\nprograms = [128]', "programs.*allowed: a list of"),
        ('[[rule]]\nvoice = "lead"\nprogram = 3', "unknown key rule\\[0\\].program"),
        ("[[rule]]\nname = 'x'", r"rule\[0\].voice is missing"),
        ("otherwise = ", "broken TOML"),
    ],
)
def test_broken_rules_name_file_key_and_value(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_voice_rules(written(tmp_path, text))


def test_unknown_rules_name_the_nearest() -> None:
    with pytest.raises(InputError, match="no voice rules called 'leider'") as caught:
        read_voice_rules("leider")
    assert caught.value.remedy == "did you mean lieder?"


def score_of(notes: list[tuple[int, int, int]]) -> Score:
    step, pitch, duration = np.array(notes).T
    n = len(notes)
    return Score.from_notes(
        step,
        np.full(n, ACCOMPANIMENT),
        pitch,
        duration,
        np.full(n, 80),
        bar_beats=regular_bars(4, 4),
        tempo_bpm=120,
    )


def test_the_skyline_is_the_upper_line() -> None:
    notes = [(0, 48, 4), (0, 72, 4), (4, 50, 4), (4, 74, 4), (8, 52, 4), (8, 71, 4)]
    score = with_skyline_lead(score_of(notes))
    assert score.pitch[score.voice == LEAD].tolist() == [72, 74, 71]
    assert score.pitch[score.voice == ACCOMPANIMENT].tolist() == [48, 50, 52]


def test_notes_under_a_held_tune_note_accompany() -> None:
    score = with_skyline_lead(score_of([(0, 76, 8), (2, 64, 2), (4, 67, 2), (8, 74, 4)]))
    assert score.pitch[score.voice == LEAD].tolist() == [76, 74]


def test_while_only_low_notes_sound_the_tune_rests() -> None:
    notes = [(0, 40, 4), (4, 43, 4), (16, 72, 4), (20, 74, 4), (24, 76, 4)]
    score = with_skyline_lead(score_of(notes))
    assert score.pitch[score.voice == LEAD].tolist() == [72, 74, 76]


def test_nothing_gets_lost_under_the_skyline() -> None:
    rng = np.random.default_rng(0)
    notes = [(int(s), int(p), 4) for s, p in rng.integers((0, 30), (60, 90), (80, 2))]
    score = score_of(notes)
    lead = with_skyline_lead(score)
    assert sorted(zip(lead.step, lead.pitch, strict=True)) == sorted(
        zip(score.step, score.pitch, strict=True)
    )
