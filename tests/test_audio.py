"""Recordings as templates: beats, bars, matrix, sections, and what cannot be used."""

import importlib
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

from singcli.dataset import SectionSpan, Song
from singcli.errors import InputError, SingError
from singcli.music.key import Key
from singcli.structure.bar_features import bar_ssm
from singcli.structure.section import Span
from singcli.structure.ssm import ssm_from_score
from singcli.structure.ssm_file import (
    Provenance,
    Structure,
    read_ssm,
    validate_structure,
    write_ssm,
)

RATE = 22050
TEMPO = 100.0
BEAT_S = 60 / TEMPO
LEAD_IN_S = 0.5
CHORDS = {
    "A": [(48, 60, 64, 67), (45, 60, 64, 69), (41, 60, 65, 69), (43, 59, 62, 67)] * 2,
    "B": [(50, 62, 65, 69), (40, 59, 64, 67), (46, 58, 62, 65), (44, 60, 63, 68)] * 2,
}
TUNES = {
    "A": [72, 74, 76, 79, 76, 74, 72, 71, 69, 72, 77, 76, 74, 71, 67, 71],
    "B": [81, 77, 74, 72, 71, 76, 79, 83, 82, 77, 74, 70, 68, 72, 75, 80],
}
FORM = "AABA"
needs_librosa = pytest.mark.usefixtures("librosa")


@pytest.fixture
def librosa():
    return pytest.importorskip("librosa")


def tone(sound, start_s, length_s, pitch, loudness):
    """Add a decaying tone of four partials."""
    start, n = round(start_s * RATE), round(length_s * RATE)
    second = np.arange(n) / RATE
    hertz = 440 * 2 ** ((pitch - 69) / 12)
    partials = sum(np.sin(2 * np.pi * k * hertz * second) / k**1.5 for k in range(1, 5))
    fade = np.minimum(1, (n - np.arange(n)) / 500)
    sound[start : start + n] += loudness * partials * np.exp(-3 * second) * fade


def played(form=FORM, *, beats_per_bar=4, beat_s=BEAT_S):
    """A bass note and a chord a bar, chords on the other beats, a tune in quarters and eighths."""
    bar_s = beat_s * beats_per_bar
    sound = np.zeros(round((LEAD_IN_S + 8 * len(form) * bar_s + 1) * RATE))
    for bar in range(8 * len(form)):
        label, place = form[bar // 8], bar % 8
        bass, *chord = CHORDS[label][place]
        at = LEAD_IN_S + bar * bar_s
        tone(sound, at, bar_s, bass, 1.5)
        for beat in range(beats_per_bar):
            for pitch in chord:
                tone(sound, at + beat * beat_s, beat_s, pitch, 0.5 if beat == 0 else 0.25)
            note = TUNES[label][(beats_per_bar * place + beat) % 16]
            tone(sound, at + beat * beat_s, beat_s, note, 0.7)
            if (place + beat) % 3 == 0:
                tone(sound, at + (beat + 0.5) * beat_s, beat_s / 2, note - 2, 0.4)
    sound += np.random.default_rng(0).normal(0, 1e-3, len(sound))
    return sound / np.abs(sound).max() * 0.9


def write_wav(path, sound, rate=RATE):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes())
    return path


@pytest.fixture(scope="module")
def aaba(tmp_path_factory):
    """The file, and the structure heard in it."""
    pytest.importorskip("librosa")
    from singcli.audio import structure_from_audio

    path = write_wav(tmp_path_factory.mktemp("audio") / "song.wav", played())
    return path, structure_from_audio(path)


def f_measure(reference, estimated, window=0.07):
    mir_eval = pytest.importorskip("mir_eval")
    return mir_eval.beat.f_measure(reference, estimated, f_measure_threshold=window)


def true_beats(n_bars, beats_per_bar=4, beat_s=BEAT_S):
    return LEAD_IN_S + np.arange(n_bars * beats_per_bar) * beat_s


class TestStructure:
    def test_is_valid_and_survives_its_file(self, aaba, tmp_path):
        _, structure = aaba
        validate_structure(structure)
        write_ssm(structure, tmp_path / "song.npz")
        again = read_ssm(tmp_path / "song.npz")
        assert again.provenance == structure.provenance
        np.testing.assert_array_equal(again.ssm, structure.ssm)

    def test_tempo_within_two_percent(self, aaba):
        assert aaba[1].tempo_bpm == pytest.approx(TEMPO, rel=0.02)

    def test_beats_are_where_they_were_played(self, aaba):
        assert f_measure(true_beats(32), aaba[1].beat_s) > 0.9

    def test_bars_begin_on_the_downbeats(self, aaba):
        structure = aaba[1]
        downbeats = structure.beat_s[structure.bar_beats[:-1]]
        assert structure.meter == "4/4"
        assert f_measure(true_beats(32)[::4], downbeats) > 0.9

    def test_key(self, aaba):
        assert aaba[1].key in (Key(0, "major"), Key(9, "minor"))

    def test_repeats_are_seen_and_other_sections_are_not(self, aaba):
        bars = bar_ssm(aaba[1].ssm, aaba[1].bar_beats)
        bar = np.arange(1, 7)  # away from the borders, which the smoothing blurs
        assert bars[bar, bar + 8].mean() > 0.8
        assert bars[bar, bar + 24].mean() > 0.8
        assert bars[bar, bar + 16].mean() < 0.6

    def test_sections_of_the_form(self, aaba):
        _, structure = aaba
        starts = [span.start_bar for span in structure.sections]
        labels = [span.label for span in structure.sections for _ in range(span.n_bars)]
        assert 16 in starts
        assert 24 in starts
        assert labels[4] == labels[12] == labels[28] != labels[20]

    def test_says_where_it_comes_from(self, aaba):
        path, structure = aaba
        assert structure.provenance.kind == "audio"
        assert structure.provenance.name == path.name
        assert len(structure.provenance.sha256) == 64
        assert structure.provenance.licence == ""

    def test_licence_beside_the_recording_is_kept(self, tmp_path):
        from singcli.audio import structure_from_audio

        path = write_wav(tmp_path / "song.wav", played("A"))
        (tmp_path / "LICENSE").write_text("CC0")
        assert "CC0" in structure_from_audio(path).provenance.licence


@needs_librosa
class TestOtherRecordings:
    def test_three_four(self, tmp_path):
        from singcli.audio import structure_from_audio

        sound = played("AB", beats_per_bar=3)
        structure = structure_from_audio(write_wav(tmp_path / "waltz.wav", sound))
        assert structure.meter == "3/4"
        downbeats = structure.beat_s[structure.bar_beats[:-1]]
        assert f_measure(true_beats(16, 3)[::3], downbeats) > 0.9

    @pytest.mark.parametrize("suffix", ["flac", "ogg", "mp3"])
    def test_formats_give_the_same_bars(self, aaba, tmp_path, suffix):
        soundfile = pytest.importorskip("soundfile")
        from singcli.audio import structure_from_audio

        sound, rate = soundfile.read(aaba[0], stop=16 * RATE)
        if suffix.upper() not in soundfile.available_formats():
            pytest.skip(f"this libsndfile does not write {suffix}")
        path = tmp_path / f"song.{suffix}"
        stereo = np.column_stack([sound, 0.5 * sound])
        soundfile.write(path, stereo, rate)
        structure = structure_from_audio(path)
        assert f_measure(true_beats(6), structure.beat_s) > 0.9
        assert structure.meter == "4/4"

    def test_silence_in_the_middle_resembles_nothing(self, tmp_path):
        from singcli.audio import structure_from_audio

        sound = played("AB")
        first, last = (round((LEAD_IN_S + bar * 4 * BEAT_S) * RATE) for bar in (7, 9))
        sound[first:last] = 0
        structure = structure_from_audio(write_wav(tmp_path / "pause.wav", sound))
        diagonal = np.diagonal(structure.ssm)
        assert (diagonal == 0).sum() >= 4
        assert (diagonal[:20] > 0).all()


@needs_librosa
class TestUnusable:
    @pytest.fixture
    def refused(self, tmp_path):
        """What is said about a file of these bytes or samples."""
        from singcli.audio import structure_from_audio

        def message(content, name="song.wav"):
            path = tmp_path / name
            if isinstance(content, bytes):
                path.write_bytes(content)
            elif content is not None:
                write_wav(path, content)
            with pytest.raises(InputError) as error:
                structure_from_audio(path)
            assert str(error.value).startswith(str(path))
            assert "\n" not in str(error.value)
            return str(error.value), error.value.remedy

        return message

    def test_missing(self, refused):
        assert "No such file" in refused(None)[0]

    def test_folder(self, refused, tmp_path):
        (tmp_path / "song.wav").mkdir()
        assert "cannot be read" in refused(None)[0]

    @pytest.mark.parametrize("content", [b"", b"no sound at all", b"RIFF\x00\x00\x00\x00WAVEfmt "])
    def test_not_a_recording(self, refused, content):
        message, remedy = refused(content)
        assert "cannot be read as WAV, MP3, FLAC or OGG" in message
        assert remedy == "convert it to one of these"

    def test_a_file_cut_short_is_read_as_far_as_it_goes(self, tmp_path):
        soundfile = pytest.importorskip("soundfile")
        from singcli.audio import structure_from_audio

        path = tmp_path / "cut.wav"
        soundfile.write(path, played("A"), RATE)
        path.write_bytes(path.read_bytes()[: 14 * RATE * 2])
        assert f_measure(true_beats(5), structure_from_audio(path).beat_s) > 0.9

    def test_empty(self, refused):
        assert "0.0 seconds long, at least 4" in refused(np.zeros(0))[0]

    def test_too_short(self, refused):
        message, remedy = refused(played("A")[: 3 * RATE])
        assert "3.0 seconds long, at least 4" in message
        assert remedy == "choose a longer recording"

    def test_too_few_beats(self, refused):
        assert "at least 8" in refused(played("A", beat_s=0.9)[: 5 * RATE])[0]

    def test_silent(self, refused):
        assert "silent" in refused(np.zeros(10 * RATE))[0]

    def test_a_steady_tone_has_no_beat(self, refused):
        second = np.arange(10 * RATE) / RATE
        assert "beats heard" in refused(0.5 * np.sin(2 * np.pi * 440 * second))[0]

    def test_too_long(self, refused, monkeypatch):
        monkeypatch.setattr("singcli.audio.MAX_MINUTES", 0.1)
        message, remedy = refused(np.ones(10 * RATE))
        assert "longer than 0.1 minutes" in message
        assert "cut out" in remedy

    def test_samples_that_are_not_numbers(self, refused, tmp_path):
        import soundfile

        sound = np.ones(5 * RATE, np.float32)
        sound[100] = np.nan
        soundfile.write(tmp_path / "nan.wav", sound, RATE, subtype="FLOAT")
        assert "not numbers" in refused(None, "nan.wav")[0]


class TestWithoutLibrosa:
    def test_message_names_the_extra(self, monkeypatch, tmp_path):
        from singcli import audio

        monkeypatch.setattr("singcli.extras.find_spec", lambda _: None)
        with pytest.raises(SingError, match="needs librosa, soundfile") as error:
            audio.structure_from_audio(tmp_path / "song.wav")
        assert "pip install 'singcli[audio]'" in error.value.remedy

    def test_importing_the_module_imports_neither(self):
        code = (
            "import sys, singcli.audio; print('librosa' in sys.modules, 'soundfile' in sys.modules)"
        )
        result = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        assert result.stdout.split() == ["False", "False"]

    def test_folders_that_cannot_be_written_are_explained(self, monkeypatch):
        from singcli import audio

        def fail(_):
            raise RuntimeError("cannot cache function 'f': no locator available for file 'g'")

        monkeypatch.setattr("importlib.import_module", fail)
        with pytest.raises(SingError, match="cannot store what it compiles") as error:
            audio.spectrum_from_samples(np.ones(RATE, np.float32), RATE)
        assert "NUMBA_CACHE_DIR" in error.value.remedy


class TestBenchmark:
    @pytest.fixture(autouse=True)
    def _benchmarks_can_be_imported(self, monkeypatch):
        monkeypatch.syspath_prepend(str(Path(__file__).resolve().parent.parent / "benchmarks"))

    @pytest.fixture
    def script(self):
        return importlib.import_module("audio_template")

    @pytest.fixture
    def recordings(self):
        return importlib.import_module("_recordings")

    @pytest.fixture
    def song(self, aaba_score):
        spans = tuple(SectionSpan(label, 2 * n, 2, melodic=True) for n, label in enumerate("aaba"))
        return Song("1", "validation", aaba_score, spans)

    def test_even_performances_keep_time_and_live_ones_nearly(self, recordings, song):
        beat_s = 60 / song.score.tempo_bpm
        even = recordings.perform(song, live=False, seed=1)
        np.testing.assert_allclose(np.diff(even.beat_s), beat_s)
        live = recordings.perform(song, live=True, seed=1)
        assert 0 < np.abs(np.diff(live.beat_s) / beat_s - 1).max() < 0.1
        assert (live.end_s > live.onset_s).all()

    def test_sound_begins_with_the_first_note(self, recordings, song):
        sound, beat_s = recordings.render(song, recordings.play_partials, live=False)
        first = round(beat_s[0] * recordings.SAMPLE_RATE)
        assert not sound[:first].any()
        assert np.abs(sound[first : first + 2000]).max() > 0.05
        assert np.abs(sound).max() == pytest.approx(1)

    def test_discriminant_tells_kinds_apart(self, script):
        rng = np.random.default_rng(0)
        kind = np.arange(400) % 4
        evidence = rng.normal(0, 0.3, (400, 4)) + np.eye(4)[kind] * 2
        weights, offsets = script._discriminant(evidence, kind)
        assert ((evidence @ weights.T + offsets).argmax(axis=1) == kind).mean() > 0.95

    def test_boundaries_of_a_perfect_hearing(self, script, song):
        beat_s = 0.7 + np.arange(song.score.n_beats) * 0.5
        heard = Structure(
            ssm_from_score(song.score),
            song.score.bar_beats,
            beat_s,
            tuple(Span(span.label, span.start_bar, span.n_bars) for span in song.sections),
            120.0,
            "4/4",
            None,
            Provenance("audio", "x.wav", ""),
        )
        figures = script._boundaries(song, heard, beat_s, heard.ssm)
        assert figures["boundaries within a bar (F), heard"] == 1
        matched = script._matched(heard.ssm, beat_s, heard)
        assert matched["r of matrices"] == pytest.approx(1)
        assert matched["RMS error of matrices"] == 0
