"""The structure of a recording, so that any piece one can listen to can be a template.

librosa (the extra `audio`) reads the spectrum and follows the pulse; the rest is done here, see
`singcli.structure.bar_tracking` and `singcli.structure.spectrum`. Importing this module imports
none of it.

References
----------
Ellis, "Beat tracking by dynamic programming" (JNMR 2007): `librosa.beat.beat_track`.
Schörkhuber, Klapuri, "Constant-Q transform toolbox for music processing" (SMC 2010): `librosa.cqt`.
McFee et al., "librosa" (SciPy 2015).
"""

from __future__ import annotations

import hashlib
import importlib
import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt

from singcli.errors import InputError, SingError
from singcli.extras import require_audio_extra
from singcli.music.key import Key, estimate_key
from singcli.preparation.sources import Source, SourceReader
from singcli.structure.bar_tracking import HeardBars, bars_from_pulses
from singcli.structure.segmentation import sections_from_ssm
from singcli.structure.spectrum import N_SEMITONES, Spectrum, ssm_from_spectrum
from singcli.structure.ssm import WINDOW_BEATS
from singcli.structure.ssm_file import MAX_BEATS, Provenance, Structure

AUDIO_SUFFIXES = frozenset({".wav", ".mp3", ".flac", ".ogg", ".oga"})
ALLOWED = "WAV, MP3, FLAC or OGG"
MIN_BEATS = 8
MIN_SECONDS, MAX_MINUTES = 4.0, 30.0

LIBROSA_PARTS = ("core", "onset", "beat", "feature")
SAMPLE_RATE, HOP = 22050, 512
BLOCK_FRAMES = 2**20
LOWEST_MIDI = 24  # C1
QUIETEST = 1e-4  # of full scale (-80 dB): a recording below it is silent
USUAL_PULSE_BPM, PULSE_OCTAVES, MAX_PULSE_BPM = 160.0, 0.5, 220.0  # half beats, mostly
LOUD_PERCENTILE = 99
TUNING_SECONDS = 60  # of the middle, to find how a recording is tuned

Samples = npt.NDArray[np.float32]


def structure_from_audio(path: Path) -> Structure:
    """Return the structure of a recording: WAV, MP3, FLAC or OGG.

    Parameters
    ----------
    path : Path
        `MIN_SECONDS` to `MAX_MINUTES` long, in a steady or slowly changing tempo.

    Returns
    -------
    Structure
        Beats at the times where they are heard, bars of three or four of them (a bar in which the
        count begins anew is shorter or longer), the matrix calibrated to those of notes, sections
        found in it. What comes before the first downbeat is left out.

    Raises
    ------
    InputError
        If the file cannot be read, is silent, too short or too long, or has no beat.
    SingError
        If the extra `audio` is not installed, or cannot store what it compiles.
    """
    require_audio_extra()
    spectrum = spectrum_from_samples(*read_samples(path))
    bars = _bars(spectrum, source=str(path))
    ssm = ssm_from_spectrum(spectrum, bars.beat_s)
    return Structure(
        ssm=ssm,
        bar_beats=bars.bar_beats,
        beat_s=bars.beat_s,
        sections=tuple(sections_from_ssm(ssm, bars.bar_beats)),
        tempo_bpm=bars.tempo_bpm,
        meter=f"{bars.beats_per_bar}/4",
        key=_key(spectrum),
        provenance=_provenance(path),
    )


def read_samples(path: Path) -> tuple[Samples, int]:
    """Read a recording.

    Returns
    -------
    np.ndarray, shape=(n_samples,), float32 in [-1, 1]
        Channels averaged; the loudest sample has 1.
    int
        Samples a second.

    Raises
    ------
    InputError
        If the file cannot be read, is silent, too short or too long.
    """
    import soundfile

    blocks: list[Samples] = []
    try:
        with path.open("rb") as file, soundfile.SoundFile(file) as sound:
            rate = int(sound.samplerate)
            n_left = int(60 * MAX_MINUTES * rate) + 1  # headers may be wrong about the length
            while n_left > 0 and len(
                block := sound.read(min(BLOCK_FRAMES, n_left), dtype="float32", always_2d=True)
            ):
                blocks.append(block.mean(axis=1))
                n_left -= len(block)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    except soundfile.SoundFileError as error:
        raise InputError(
            f"{path}: cannot be read as {ALLOWED}", "convert it to one of these"
        ) from error
    samples = np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
    _validate_length(len(samples) / rate, str(path))
    if not np.isfinite(samples).all():
        raise InputError(f"{path}: holds samples that are not numbers", f"convert it to {ALLOWED}")
    loudest = float(np.abs(samples).max())
    if loudest < QUIETEST:
        raise InputError(
            f"{path}: silent (peak {loudest:.1g} of full scale, at least {QUIETEST:g} needed)",
            "choose a recording that can be heard",
        )
    return samples / np.float32(loudest), rate


def spectrum_from_samples(samples: Samples, rate: int) -> Spectrum:
    """Return the spectrum of semitones, tuned to the recording.

    Parameters
    ----------
    samples : np.ndarray, shape=(n_samples,), float32
        At least `MIN_SECONDS`.
    rate : int > 0
        Samples a second.

    Raises
    ------
    SingError
        If librosa cannot store what it compiles.
    """
    _load_librosa()
    import librosa

    if rate != SAMPLE_RATE:
        samples = librosa.resample(samples, orig_sr=rate, target_sr=SAMPLE_RATE)
    transformed = librosa.cqt(
        y=samples,
        sr=SAMPLE_RATE,
        hop_length=HOP,
        fmin=librosa.midi_to_hz(LOWEST_MIDI),
        n_bins=N_SEMITONES,
        tuning=_tuning(samples),
    )
    onset = librosa.onset.onset_strength(y=samples, sr=SAMPLE_RATE, hop_length=HOP)
    magnitude = np.abs(transformed).astype(np.float32)
    loud = np.percentile(magnitude, LOUD_PERCENTILE)
    n_frames = min(magnitude.shape[1], len(onset))
    return Spectrum(
        magnitude[:, :n_frames] / np.float32(max(float(loud), 1e-9)),
        onset[:n_frames].astype(np.float32),
        HOP / SAMPLE_RATE,
    )


def pulses_from_spectrum(spectrum: Spectrum) -> npt.NDArray[np.intp]:
    """Return the frames of an even pulse, beats or half beats.

    Returns
    -------
    np.ndarray, shape=(n_pulses,), intp
        Strictly increasing; empty where nothing begins.
    """
    import librosa

    if not spectrum.onset.any():
        return np.zeros(0, np.intp)
    tempo = librosa.feature.tempo(
        onset_envelope=spectrum.onset,
        sr=SAMPLE_RATE,
        hop_length=HOP,
        start_bpm=USUAL_PULSE_BPM,
        std_bpm=PULSE_OCTAVES,
        max_tempo=MAX_PULSE_BPM,
    )
    _, frames = librosa.beat.beat_track(
        onset_envelope=spectrum.onset,
        sr=SAMPLE_RATE,
        hop_length=HOP,
        bpm=float(tempo[0]),
        trim=True,
    )
    return np.asarray(frames, np.intp)


def _load_librosa() -> None:
    """Import what is used of librosa, which makes numba look for a place to store it compiled."""
    try:
        for part in LIBROSA_PARTS:
            importlib.import_module(f"librosa.{part}")
    except RuntimeError as error:
        if "no locator" not in str(error):
            raise
        raise SingError(
            "librosa cannot store what it compiles: neither its folder nor the user's can be "
            "written",
            "set NUMBA_CACHE_DIR to a folder that can",
        ) from error


def _tuning(samples: Samples) -> float:
    """Return how far the recording is from A = 440 Hz, in semitones; 0 where that is not heard."""
    import librosa

    length = TUNING_SECONDS * SAMPLE_RATE
    start = max((len(samples) - length) // 2, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # no pitch at all
        middle = samples[start : start + length]
        return float(librosa.estimate_tuning(y=middle, sr=SAMPLE_RATE))


def _bars(spectrum: Spectrum, *, source: str) -> HeardBars:
    pulses = pulses_from_spectrum(spectrum)
    bars = bars_from_pulses(spectrum, pulses) if len(pulses) >= MIN_BEATS else None
    n_beats = 0 if bars is None else len(bars.beat_s)
    if bars is None or n_beats < MIN_BEATS:
        raise InputError(
            f"{source}: beats heard: {n_beats or len(pulses)}, at least {MIN_BEATS} are needed",
            "choose a longer recording, or one with a beat",
        )
    if n_beats > MAX_BEATS:
        raise InputError(f"{source}: beats heard: {n_beats}, allowed {MAX_BEATS}")
    return bars


def _key(spectrum: Spectrum) -> Key | None:
    weights = spectrum.chroma
    return None if np.ptp(weights) == 0 else estimate_key(weights)


def _provenance(path: Path) -> Provenance:
    source = Source(path.stem, str(path), path.absolute(), None, path.absolute())
    with SourceReader(0) as reader:
        licence = reader.licence(source)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    settings = {
        "features": "chroma, upper onsets, rhythm, of the peaks of a constant-Q spectrum",
        "window_beats": WINDOW_BEATS,
        "beats": "heard",
        "sections": "found",
        "calibrated": True,
    }
    return Provenance("audio", path.name, digest, licence or "", settings)


def _validate_length(seconds: float, source: str) -> None:
    if seconds < MIN_SECONDS:
        raise InputError(
            f"{source}: {seconds:.1f} seconds long, at least {MIN_SECONDS:g} are needed",
            "choose a longer recording",
        )
    if seconds > 60 * MAX_MINUTES:
        raise InputError(
            f"{source}: longer than {MAX_MINUTES:g} minutes, which is the limit",
            "cut out the part that is to be followed",
        )
