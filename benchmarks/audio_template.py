"""What is left of a song's structure when it is heard instead of read.

Held-out songs are performed as audio, analysed by `singcli.audio`, and compared with their notes
and human section labels. "even" keeps time exactly; "live" lets the tempo drift by about 2 % and
the onsets stray by 8 ms, in a room with 0.6 s of reverberation and noise at -20 dB. The instruments
are a sum of five partials and, where midirenderer is installed (pip install midirenderer), a piano
of the sound font that comes with pretty_midi.

With --fit, training songs are performed instead (live, the last instrument), and the constants of
`singcli.structure.spectrum` and `singcli.structure.bar_tracking` are printed.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from _machine import Row, machine_line, markdown_table, run, write_json
from _recordings import Instrument, instruments, render

from singcli.audio import (
    SAMPLE_RATE,
    pulses_from_spectrum,
    spectrum_from_samples,
    structure_from_audio,
)
from singcli.dataset import Dataset, Song
from singcli.errors import InputError
from singcli.metrics.structure import structure_correlation
from singcli.structure.bar_tracking import BEAT, BETWEEN, DOWNBEAT, MIDDLE, pulse_evidence
from singcli.structure.segmentation import sections_from_ssm
from singcli.structure.spectrum import (
    QUANTILES,
    Spectrum,
    far_values,
    heard_features,
    ssm_from_spectrum,
)
from singcli.structure.ssm import WINDOW_BEATS, ssm_from_features, ssm_from_score
from singcli.structure.ssm_file import Structure

SAME_BEAT_S = 0.07  # mir_eval's window
SAME_TEMPO = 0.04
SAME_BAR = 1.05  # one bar, and a little for beats that are not heard exactly
BASELINE_BARS = 8

Array = npt.NDArray[np.float64]


def measure(song: Song, instrument: Instrument, *, live: bool) -> dict[str, float]:
    """Perform a song, analyse the recording and compare it with notes and labels."""
    import soundfile

    sound, beat_s = render(song, instrument, live=live)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{song.id}.wav"
        soundfile.write(path, sound, SAMPLE_RATE)
        start = time.process_time()
        structure = structure_from_audio(path)
        seconds = time.process_time() - start
    spectrum = spectrum_from_samples(sound, SAMPLE_RATE)
    notes, bars = ssm_from_score(song.score), song.score.bar_beats
    tempo = structure.tempo_bpm / song.score.tempo_bpm
    key = song.score.key
    return {
        "beats (F)": _f_measure(beat_s, structure.beat_s, SAME_BEAT_S),
        "downbeats (F)": _f_measure(
            beat_s[bars[:-1]], structure.beat_s[structure.bar_beats[:-1]], SAME_BEAT_S
        ),
        "right tempo": float(abs(tempo - 1) < SAME_TEMPO),
        "half or double tempo": float(
            abs(tempo / 2 - 1) < SAME_TEMPO or abs(tempo * 2 - 1) < SAME_TEMPO
        ),
        "right key": float(key is not None and structure.key == key),
        "r of matrices, true beats": structure_correlation(
            notes, ssm_from_spectrum(spectrum, beat_s)
        ),
        **_matched(notes, beat_s, structure),
        **_boundaries(song, structure, beat_s, notes),
        "CPU s a minute": seconds / (len(sound) / SAMPLE_RATE / 60),
    }


def _f_measure(reference: Array, estimated: Array, window: float) -> float:
    import mir_eval

    if len(reference) == 0 or len(estimated) == 0:
        return 0.0
    return float(mir_eval.beat.f_measure(reference, estimated, f_measure_threshold=window))


def _matched(
    notes: npt.NDArray[np.float32], beat_s: Array, structure: Structure
) -> dict[str, float]:
    """Compare matrices over the true beats near which one is heard."""
    nearest = np.abs(structure.beat_s - beat_s[:, None]).argmin(axis=1)
    near = np.abs(structure.beat_s[nearest] - beat_s) < np.median(np.diff(beat_s)) / 2
    true, heard = np.flatnonzero(near), nearest[near]
    of_notes, of_sound = notes[np.ix_(true, true)], structure.ssm[np.ix_(heard, heard)]
    far = np.subtract.outer(true, true) >= WINDOW_BEATS
    return {
        "r of matrices": structure_correlation(of_notes, of_sound),
        "RMS error of matrices": float(np.sqrt(np.mean((of_notes[far] - of_sound[far]) ** 2))),
        "median of matrix, notes": float(np.median(of_notes[far])),
        "median of matrix, heard": float(np.median(of_sound[far])),
        "98 % of matrix, notes": float(np.quantile(of_notes[far], 0.98)),
        "98 % of matrix, heard": float(np.quantile(of_sound[far], 0.98)),
    }


def _boundaries(
    song: Song, structure: Structure, beat_s: Array, notes: npt.NDArray[np.float32]
) -> dict[str, float]:
    """Return how well boundaries fit the human ones, within a bar, in true bars."""
    bar_lines = song.score.bar_beats
    bars = np.arange(BASELINE_BARS, song.score.n_bars, BASELINE_BARS, dtype=np.float64)
    heard_s = structure.beat_s[structure.bar_beats[:-1]]
    heard = np.interp(heard_s, beat_s[bar_lines[:-1]], np.arange(song.score.n_bars))
    of_notes = sections_from_ssm(notes, bar_lines)[1:]
    found = {
        "boundaries within a bar (F), heard": heard[
            [span.start_bar for span in structure.sections[1:]]
        ],
        "the same, from the notes": np.array([float(span.start_bar) for span in of_notes]),
        "the same, every 8 heard bars": heard[BASELINE_BARS::BASELINE_BARS],
        "the same, every 8 true bars": bars,
    }
    labelled = np.array([float(span.start_bar) for span in song.sections if span.start_bar])
    return {name: _f_measure(labelled, places, SAME_BAR) for name, places in found.items()}


def chosen_songs(data: Path, split: str, n_songs: int) -> list[Song]:
    """Return songs with human labels, drawn at random."""
    songs = [song for song in Dataset.open(data).songs(split) if song.sections]
    if not songs:
        raise InputError(f"{data}: no {split} songs with section labels")
    order = np.random.default_rng(0).permutation(len(songs))
    return [songs[index] for index in order[:n_songs]]


def fit(songs: list[Song], instrument: Instrument) -> Iterator[str]:
    """Return the constants that training songs give."""
    evidence, kinds, heard, of_notes = [], [], [], []
    for song in songs:
        sound, beat_s = render(song, instrument, live=True)
        spectrum = spectrum_from_samples(sound, SAMPLE_RATE)
        pulse = pulses_from_spectrum(spectrum)
        kind = _kinds(spectrum, pulse, beat_s, song)
        if kind is not None:
            evidence.append(pulse_evidence(spectrum, pulse))
            kinds.append(kind)
        ssm = ssm_from_features(heard_features(spectrum, beat_s), window_beats=WINDOW_BEATS)
        heard.append(np.quantile(far_values(ssm), QUANTILES))
        of_notes.append(np.quantile(far_values(ssm_from_score(song.score)), QUANTILES))
    yield f"{len(songs)} songs, {len(kinds)} of them with pulses that fit the beats"
    yield f"HEARD = {_literal(np.mean(heard, axis=0), 3)}"
    yield f"OF_NOTES = {_literal(np.mean(of_notes, axis=0), 3)}"
    weights, offsets = _discriminant(np.concatenate(evidence), np.concatenate(kinds))
    yield "\n".join(["WEIGHTS =", *(_literal(row, 2) for row in weights)])
    yield f"OFFSETS = {_literal(offsets, 2)}"


def _kinds(
    spectrum: Spectrum, pulse: npt.NDArray[np.intp], beat_s: Array, song: Song
) -> npt.NDArray[np.int64] | None:
    """Return the kind of place of each pulse; None if the pulses are not beats or half beats."""
    pulse_s = pulse.astype(np.float64) * spectrum.frame_s
    per_beat = round(float(np.median(np.diff(beat_s)) / np.median(np.diff(pulse_s))))
    if per_beat not in (1, 2):
        return None
    fits = max(_f_measure(beat_s, pulse_s[k::per_beat], SAME_BEAT_S) for k in range(per_beat))
    if fits < 0.9:
        return None
    nearest = np.abs(pulse_s[:, None] - beat_s).argmin(axis=1)
    place = (
        nearest
        - song.score.bar_beats[np.searchsorted(song.score.bar_beats, nearest, side="right") - 1]
    )
    kind = np.full(len(pulse), BEAT)
    kind[place == 0], kind[place == 2] = DOWNBEAT, MIDDLE  # all of these songs are in 4/4
    kind[np.abs(pulse_s - beat_s[nearest]) > SAME_BEAT_S] = BETWEEN
    return kind


def _discriminant(evidence: Array, kind: npt.NDArray[np.int64]) -> tuple[Array, Array]:
    """Return weights and offsets of a linear discriminant analysis, all kinds equally likely."""
    mean = np.array([evidence[kind == k].mean(axis=0) for k in range(4)])
    spread = np.cov((evidence - mean[kind]).T)
    weights = mean @ np.linalg.inv(spread)
    return weights, -0.5 * (weights * mean).sum(axis=1)


def _literal(values: Array, digits: int) -> str:
    return f"({', '.join(f'{value:.{digits}f}' for value in values)})"


def table_rows(results: dict[str, list[dict[str, float]]]) -> list[Row]:
    """Return one row for each figure, one column for each kind of recording."""
    names = next(iter(results.values()))[0]
    return [
        [name, *(f"{np.mean([song[name] for song in songs]):.3f}" for songs in results.values())]
        for name in names
    ]


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Example: python benchmarks/audio_template.py --data data/pop909 --songs 12",
    )
    parser.add_argument("--data", type=Path, required=True, help="a folder written by prepare")
    parser.add_argument("--songs", type=int, default=12, help="held-out songs (12)")
    parser.add_argument("--fit", type=int, metavar="N", help="fit to N training songs instead")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    if arguments.songs < 1:
        parser.error("--songs must be at least 1")

    print(machine_line("librosa", "numba", "numpy", "soundfile"))
    playable = instruments()
    if arguments.fit:
        name, instrument = list(playable.items())[-1]
        print(f"{name}, live")
        for line in fit(chosen_songs(arguments.data, "train", arguments.fit), instrument):
            print(line, flush=True)
        return
    songs = chosen_songs(arguments.data, "validation", arguments.songs)
    kinds: list[tuple[str, Instrument, bool]] = [
        (f"{name}, {'live' if live else 'even'}", instrument, live)
        for name, instrument in playable.items()
        for live in (False, True)
    ]
    measure(songs[0], kinds[0][1], live=False)  # librosa compiles what it needs the first time
    results: dict[str, list[Any]] = {
        name: [measure(song, instrument, live=live) for song in songs]
        for name, instrument, live in kinds
    }
    print(f"{len(songs)} validation songs of {arguments.data.name}, means\n")
    print(markdown_table(["figure", *results], table_rows(results)))
    ids = [song.id for song in songs]
    write_json(arguments.json, {"songs": ids, "figures": results})


if __name__ == "__main__":
    run(main)
