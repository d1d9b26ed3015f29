"""One MIDI file -> one score."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from midi_bytes import midi_bytes, tune

from singcli.errors import InputError
from singcli.music.midi_writing import midi_from_score
from singcli.music.score import ACCOMPANIMENT, LEAD, Score, regular_bars
from singcli.music.voice_files import read_voice_rules
from singcli.preparation.limits import Limits
from singcli.preparation.scores import prepared_score, score_from_midi

AUTO = read_voice_rules("auto")
COLUMNS = ("step", "voice", "pitch", "duration", "velocity", "bar_beats")


def written(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "song.mid"
    path.write_bytes(content)
    return path


def random_score(seed: int) -> Score:
    rng = np.random.default_rng(seed)
    n_bars, beats, n = int(rng.integers(2, 9)), int(rng.integers(1, 7)), int(rng.integers(1, 60))
    n_steps = n_bars * beats * 4
    step = rng.integers(0, n_steps, n)
    return Score.from_notes(
        step,
        rng.integers(0, 2, n) if seed % 3 else np.full(n, seed % 2),
        rng.integers(21, 109, n),
        np.minimum(rng.integers(1, 20, n), n_steps - step),
        rng.integers(1, 128, n),
        bar_beats=regular_bars(n_bars, beats),
        tempo_bpm=float(rng.uniform(30, 250)),
    )


@pytest.mark.parametrize("seed", range(25))
def test_a_file_of_singcli_is_read_back_exactly(seed: int, tmp_path: Path) -> None:
    score = random_score(seed)
    again = score_from_midi(written(tmp_path, midi_from_score(score)), whole=True)
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(again, name), getattr(score, name), name)
    assert again.tempo_bpm == pytest.approx(score.tempo_bpm, rel=1e-4)


def test_compound_bars_are_read_back_exactly(tmp_path: Path, aaba_score: Score) -> None:
    score = Score.from_notes(
        *(getattr(aaba_score, name) for name in COLUMNS[:5]),
        bar_beats=regular_bars(11, 3),
        tempo_bpm=80,
    )
    path = written(tmp_path, midi_from_score(score, bar_meters=["6/8"] * 11))
    np.testing.assert_array_equal(score_from_midi(path, whole=True).bar_beats, score.bar_beats)


def test_empty_bars_around_the_music_are_left_out_unless_whole(tmp_path: Path) -> None:
    score = Score.from_notes(
        [32, 48], [0, 1], [60, 48], [4, 4], [80, 80], bar_beats=regular_bars(8, 4), tempo_bpm=100
    )
    path = written(tmp_path, midi_from_score(score))
    assert score_from_midi(path).n_bars == 2
    assert score_from_midi(path).step.tolist() == [0, 16]
    assert score_from_midi(path, whole=True).n_bars == 8


def test_a_file_of_accompaniment_alone_keeps_its_lead_empty(tmp_path: Path) -> None:
    score = Score.from_notes(
        [0, 16], [1, 1], [60, 72], [4, 4], [80, 80], bar_beats=regular_bars(2, 4), tempo_bpm=100
    )
    again = score_from_midi(written(tmp_path, midi_from_score(score)))
    assert again.voice.tolist() == [ACCOMPANIMENT, ACCOMPANIMENT]


def test_played_notes_go_to_the_nearest_step(tmp_path: Path) -> None:
    notes = [(0.02, 0.9, 60), (0.98, 1.02, 62), (3.95, 4.5, 64), (7.99, 8.0, 65)]
    score = score_from_midi(written(tmp_path, midi_bytes([("Melody", notes)])))
    assert score.step.tolist() == [0, 4, 16, 32]
    assert score.duration.tolist() == [4, 1, 2, 1]
    assert score.n_bars == 3


def test_a_piece_in_three_eight_has_three_beats_at_twice_the_tempo(tmp_path: Path) -> None:
    content = midi_bytes(
        [("Melody", [(i * 0.5, i * 0.5 + 0.5, 60 + i % 3) for i in range(12)])],
        meters=[(0, 3, 8)],
        tempos=[(0, 1_000_000)],
    )
    score = score_from_midi(written(tmp_path, content))
    assert np.diff(score.bar_beats).tolist() == [3, 3, 3, 3]
    assert score.tempo_bpm == pytest.approx(120)
    assert score.step.tolist() == list(range(0, 48, 4))


def test_tempo_changes_do_not_move_notes_on_the_files_own_grid(tmp_path: Path) -> None:
    even = score_from_midi(written(tmp_path, midi_bytes([("Melody", tune(4))])))
    tempos = [(0, 500_000), (3, 1_700_000), (7.3, 250_000)]
    changing = score_from_midi(written(tmp_path, midi_bytes([("Melody", tune(4))], tempos=tempos)))
    np.testing.assert_array_equal(changing.step, even.step)


def test_pickups_move_the_bar_lines_only_when_asked() -> None:
    chords = [(1 + 4 * b, 5 + 4 * b, (48, 53, 55, 57)[b % 4] + t) for b in range(8) for t in (0, 4)]
    content = midi_bytes([("Voice", [(0, 1, 72), *((n[0], n[1], 72) for n in chords[::2])]),
                          ("Piano", chords)])  # fmt: skip
    plain = prepared_score(content, {}, source="x", rules=AUTO).score
    moved = prepared_score(content, {}, source="x", rules=AUTO, pickups=True).score
    assert plain.step[0] == 0
    assert moved.step[0] == 12
    assert moved.step[1] == 16


def test_estimated_beats_follow_a_performance() -> None:
    rng = np.random.default_rng(0)
    notes = [(i + rng.normal(0, 0.01), i + 0.8, 60 + 4 * (i % 4)) for i in range(1, 65)]
    content = midi_bytes([("Piano", notes)], tempos=[(0, 300_000)], ticks=960)
    prepared = prepared_score(content, {}, source="x", rules=AUTO, beats="estimate")
    score = prepared.score
    assert prepared.meter == "4/4"
    assert (np.diff(score.step) % 4 == 0).mean() > 0.9
    assert score.tempo_bpm == pytest.approx(200, rel=0.05)


BEATS_TEXT = "\n".join(f"{0.6 * i} {float(i % 2 == 0)} {float(i % 4 == 0)}" for i in range(60))


def annotated() -> tuple[bytes, dict[str, str]]:
    """A song of twelve bars at 100 a minute that begins one bar before its labels."""
    melody = [(4 + i, 5 + i, 60 + (i * 5) % 12) for i in range(40)]
    piano = [(4 * b, 4 * b + 4, 40 + b % 3) for b in range(12)]
    content = midi_bytes([("MELODY", melody), ("PIANO", piano)], tempos=[(0, 600_000)])
    side_files = {
        "beat_midi.txt": BEATS_TEXT,
        "analyzed_key.txt": "Eb:maj\nF:maj\n",
        "human_label1.txt": "i2A4A4o1\n",
        "melody.txt": "".join(f"{60 + (i * 5) % 12} 4\n" for i in range(40)),
    }
    return content, side_files


def test_annotated_beats_and_labels() -> None:
    content, side_files = annotated()
    rules = read_voice_rules("pop909")
    prepared = prepared_score(content, side_files, source="x", rules=rules, beats="annotation")
    assert prepared.score.n_bars == 12
    assert prepared.score.tempo_bpm == pytest.approx(100)
    assert (str(prepared.score.key), prepared.key_source) == ("Eb major", "annotation")
    assert prepared.alignment == 1
    spans = [(s.label, s.start_bar, s.n_bars, s.melodic) for s in prepared.sections]
    assert spans == [("i", 1, 2, False), ("a", 3, 4, True), ("a", 7, 4, True), ("o", 11, 1, False)]


def test_labels_that_do_not_align_leave_the_music_without_sections() -> None:
    content, side_files = annotated()
    side_files["melody.txt"] = "".join(f"{70 + (i * 7) % 12} 3\n" for i in range(40))
    rules = read_voice_rules("pop909")
    prepared = prepared_score(content, side_files, source="x", rules=rules, beats="annotation")
    assert prepared.sections == ()
    assert prepared.alignment is not None
    assert prepared.alignment < 0.6
    assert prepared.score.n_notes == 52


def test_sections_can_be_left_alone() -> None:
    content, side_files = annotated()
    prepared = prepared_score(
        content, side_files, source="x", rules=AUTO, beats="annotation", sections=False
    )
    assert (prepared.sections, prepared.alignment) == ((), None)


def test_annotation_is_read_beside_the_file(tmp_path: Path) -> None:
    content, side_files = annotated()
    for name, text in side_files.items():
        (tmp_path / name).write_text(text)
    score = score_from_midi(written(tmp_path, content), beats="annotation", rules="pop909")
    assert str(score.key) == "Eb major"
    assert (score.voice == LEAD).sum() == 40


def test_a_missing_annotation_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no beat_midi\.txt beside it"):
        score_from_midi(written(tmp_path, midi_bytes([("x", tune(2))])), beats="annotation")


LONG = [(0.0, 1.0, 60), (75_000.0, 75_001.0, 60)]  # ten hours at 125 a minute


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (midi_bytes([]), "no notes"),
        (midi_bytes([("Kit", tune(4))], channels=[9]), "drums only"),
        (midi_bytes([("x", tune(1))]), "1 bar long"),
        (midi_bytes([("x", tune(4))], tempos=[(0, 0)]), "tempo of zero"),
        (midi_bytes([("x", LONG)], tempos=[(0, 480_000)]), "600 minutes, allowed are 120"),
        (midi_bytes([("x", LONG)], tempos=[(0, 1)]), "an absurd tempo"),
        (midi_bytes([("x", tune(4, pitches=(5, 120)))]), "no notes between pitch 21 and 108"),
        (b"MThd no", "not a readable MIDI file"),
        (b"x" * (9 * 2**20), "larger than the allowed 8388608 bytes"),
    ],
)
def test_what_is_no_template_ends_in_one_clear_line(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = written(tmp_path, content)
    with pytest.raises(InputError, match=message) as caught:
        score_from_midi(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        score_from_midi(tmp_path / "no.mid")


def test_rules_that_drop_everything_are_an_input_error(tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text('description = "nothing"\notherwise = "drop"\n')
    path = written(tmp_path, midi_bytes([("x", tune(4))]))
    with pytest.raises(InputError, match="the voice rules drop all notes"):
        score_from_midi(path, rules=rules)


def test_limits_are_kept() -> None:
    content = midi_bytes([("x", tune(4))])
    for limits in (Limits(max_notes=15), Limits(max_minutes=0.1)):
        with pytest.raises(InputError, match="allowed are"):
            prepared_score(content, {}, source="x", rules=AUTO, limits=limits)
    with pytest.raises(InputError, match="max_notes = 0, allowed: above 0"):
        Limits(max_notes=0)
