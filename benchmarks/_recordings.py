"""Songs performed as audio: even or live, on the instruments that are there."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from singcli.audio import SAMPLE_RATE
from singcli.dataset import Song
from singcli.music.score import STEPS_PER_BEAT

LEAD_IN_S = 0.7
TEMPO_DRIFT, ONSET_SPREAD_S = 0.02, 0.008
DRIFT_BEATS = 8
REVERB_S, REVERB_LEVEL, NOISE_LEVEL = 0.6, 0.35, 0.1
PARTIALS, DECAY_S, RELEASE_S = 5, 0.9, 0.05

Array = npt.NDArray[np.float64]
Samples = npt.NDArray[np.float32]


class Performance(NamedTuple):
    """Notes in seconds, and when the beats fall."""

    onset_s: Array
    end_s: Array
    pitch: npt.NDArray[np.int64]
    velocity: npt.NDArray[np.int64]
    beat_s: Array


Instrument = Callable[[Performance], Samples]


def perform(song: Song, *, live: bool, seed: int) -> Performance:
    """Return the song as played: even, or with drifting tempo and straying onsets."""
    score, rng = song.score, np.random.default_rng(seed)
    drift = np.convolve(
        rng.normal(0, 1, score.n_beats + DRIFT_BEATS - 1), np.ones(DRIFT_BEATS), "valid"
    )
    length = 60 / score.tempo_bpm * (1 + live * TEMPO_DRIFT * drift / np.sqrt(DRIFT_BEATS))
    beat_s = LEAD_IN_S + np.r_[0.0, np.cumsum(length)]
    beat = np.arange(score.n_beats + 1)
    onset, end = (
        np.interp(step / STEPS_PER_BEAT, beat, beat_s)
        for step in (score.step, score.step + score.duration)
    )
    onset = np.maximum(onset + live * rng.normal(0, ONSET_SPREAD_S, score.n_notes), 0.0)
    return Performance(
        onset,
        np.maximum(end, onset + RELEASE_S),
        score.pitch.astype(np.int64),
        score.velocity.astype(np.int64),
        beat_s[:-1],
    )


def play_partials(performance: Performance) -> Samples:
    """Play each note as a sum of decaying partials."""
    sound = np.zeros(int((performance.end_s.max() + 1) * SAMPLE_RATE) + 1, np.float32)
    for onset, end, pitch, velocity in zip(*performance[:4], strict=True):
        start, n = int(onset * SAMPLE_RATE), int((end - onset + RELEASE_S) * SAMPLE_RATE)
        second = np.arange(n, dtype=np.float32) / np.float32(SAMPLE_RATE)
        hertz = 440.0 * 2 ** ((pitch - 69) / 12)
        wave = np.zeros(n, np.float32)
        for partial in range(1, PARTIALS + 1):
            if partial * hertz < SAMPLE_RATE / 2:
                angle = np.float32(2 * np.pi * partial * hertz) * second
                wave += np.sin(angle) * np.exp(-second * partial / DECAY_S) / partial
        fade = np.clip((n - np.arange(n)) / (RELEASE_S * SAMPLE_RATE), 0, 1)
        sound[start : start + n] += (wave * fade * (velocity / 127))[: len(sound) - start]
    return sound


def play_piano(performance: Performance) -> Samples:
    """Play the notes with the sampled piano of pretty_midi's sound font."""
    import librosa
    import pretty_midi
    import soundfile
    from midirenderer import render_wave_from

    font = Path(pretty_midi.__file__).with_name("TimGM6mb.sf2").read_bytes()
    music = pretty_midi.PrettyMIDI(resolution=960, initial_tempo=60)
    part = pretty_midi.Instrument(0)
    part.notes = [
        pretty_midi.Note(int(velocity), int(pitch), float(onset), float(end))
        for onset, end, pitch, velocity in zip(*performance[:4], strict=True)
    ]
    music.instruments.append(part)
    midi = io.BytesIO()
    music.write(midi)
    stereo, rate = soundfile.read(io.BytesIO(bytes(render_wave_from(font, midi.getvalue()))))
    samples: Samples = librosa.resample(
        stereo.mean(axis=1).astype(np.float32), orig_sr=rate, target_sr=SAMPLE_RATE
    )
    return samples


def in_a_room(sound: Samples, seed: int) -> Samples:
    """Add reverberation and noise."""
    rng = np.random.default_rng(seed)
    n = int(REVERB_S * SAMPLE_RATE)
    echo = rng.normal(0, 1, n) * np.exp(-4 * np.arange(n) / n)
    size = len(sound) + n
    wet = np.fft.irfft(
        np.fft.rfft(sound, size) * np.fft.rfft(echo / np.linalg.norm(echo), size), size
    )[: len(sound)]
    heard = sound + REVERB_LEVEL * wet
    noisy: Samples = (heard + rng.normal(0, NOISE_LEVEL * heard.std(), len(heard))).astype(
        np.float32
    )
    return noisy


def instruments() -> dict[str, Instrument]:
    """Return the instruments that can be played here; the last one is the most lifelike."""
    found: dict[str, Instrument] = {"partials": play_partials}
    if importlib.util.find_spec("midirenderer"):
        found["sampled piano"] = play_piano
    return found


def render(song: Song, instrument: Instrument, *, live: bool) -> tuple[Samples, Array]:
    """Return the sound of a song and when its beats fall."""
    seed = int.from_bytes(song.id.encode()[-4:], "big")
    performance = perform(song, live=live, seed=seed)
    sound = instrument(performance)
    sound = in_a_room(sound, seed) if live else sound
    return sound / np.float32(np.abs(sound).max()), performance.beat_s
