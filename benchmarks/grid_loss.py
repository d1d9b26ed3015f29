"""What the grid of four steps a beat loses: of onsets, of notes, of bars.

*Off the grid*: onsets more than 1/16 of a beat from the nearest step, a quarter of a step. *Thirds*
and *sixths*: onsets within 1/48 of a beat of those places, which the grid moves by 1/12 of a beat.
*Swung*: songs whose second eighths are mostly at two thirds of the beat, in beats without a note at
the first third. *Doubled*: notes that another track of the voice has too; they are dropped.
*Merged*: notes that share voice, pitch and step with another only after rounding; they are dropped.
*Past 12*: notes beyond the network's limit of a step. *Short*: notes that the least duration of a
step makes longer.

Upbeats are known where the number of bars and the length of a score (`index.csv` beside the files)
leave exactly one incomplete bar: then the first one. Played from the first note on, as these files
are, their bar lines are off by that much; `--pickups` of `prepare` listens for it.
"""

from __future__ import annotations

import argparse
import csv
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt
from _machine import Row, machine_line, markdown_table, run, write_json

from singcli.errors import InputError
from singcli.model.contract import MAX_NOTES_PER_STEP
from singcli.music import grid
from singcli.music.bars import BarLines, bars_from_meters
from singcli.music.downbeats import pickup_steps
from singcli.music.midi_reading import read_midi
from singcli.music.notes import MidiMusic
from singcli.music.score import N_VOICES, STEPS_PER_BEAT
from singcli.music.voice_files import read_voice_rules
from singcli.music.voices import DROPPED, VoiceRules, assign_voices
from singcli.preparation import pop909
from singcli.preparation.sources import find_sources

OFF_GRID, NEAR = 1 / 16, 1 / 48  # of a beat
SECOND_EIGHTHS = (0.4, 0.8)
MIN_SECOND_EIGHTHS = 16  # fewer tell nothing about swing
ODD = 1e-6

ONSETS = ["corpus", "songs", "notes", "off the grid", "thirds", "sixths", "swung songs"]
ONSETS += ["mean error, beats", "mean error, ms"]
NOTES = [
    "corpus",
    "doubled",
    "merged",
    "past 12",
    "short",
    "songs with thirds in over 10 % of onsets",
]
BARS = ["corpus", "songs", "whole quarters", "in eighths or sixteenths", "with bars filled up"]
BARS += ["silence added", "refused", "meters"]
METERS = ["corpus", "meter", "songs", "quarters a bar", "beats a quarter", "beats a bar"]
UPBEATS = ["corpus", "upbeat", "songs", "right as they are", "right with --pickups"]


@dataclass(frozen=True, slots=True)
class RawSong:
    """The notes of a song in beats before rounding, and its bars where the file tells them."""

    beat: npt.NDArray[np.float64]
    end: npt.NDArray[np.float64]
    voice: npt.NDArray[np.int64]
    pitch: npt.NDArray[np.int64]
    ms_per_beat: float
    bars: BarLines | None


def raw_song(path: Path, rules: VoiceRules) -> RawSong:
    """Read a file on its own beats, or on the annotated ones where they are beside it."""
    music = read_midi(path)
    assigned = assign_voices(music.tracks, music.notes, rules)
    voice = assigned.voice_of_track[music.notes.track]
    notes, voice = music.notes.where(voice != DROPPED), voice[voice != DROPPED]
    annotation = path.with_name(pop909.BEATS_FILE)
    if annotation.is_file():
        bars = None
        beat_s = pop909.parse_beats(annotation.read_text(), source=str(path)).beat_s
        seconds = (music.tempo.seconds_from_ticks(t) for t in (notes.onset_tick, notes.end_tick))
        onset, end = (grid.beats_from_seconds(beat_s, s) for s in seconds)
        ms_per_beat = 1000 * float(np.median(np.diff(beat_s)))
    else:
        bars = bars_of_file(music, str(path))
        onset, end = (bars.beats_from_ticks(t) for t in (notes.onset_tick, notes.end_tick))
        bpm = music.tempo.median_bpm(int(notes.onset_tick[0]), music.end_tick)
        ms_per_beat = 60_000 / (bpm * bars.beats_per_quarter)
    pitch = notes.pitch.astype(np.int64)
    return RawSong(onset, end, voice.astype(np.int64), pitch, ms_per_beat, bars)


def bars_of_file(music: MidiMusic, source: str) -> BarLines:
    """Return the bars as `prepare` lays them."""
    notes, per_quarter = music.notes, music.ticks_per_quarter
    end_tick = grid.rounded_end_tick(notes.onset_tick, notes.end_tick, per_quarter)
    return bars_from_meters(
        music.meters, ticks_per_quarter=per_quarter, end_tick=end_tick, source=source
    )


@dataclass(frozen=True, slots=True)
class Loss:
    """Counts of one song; see the head of this file."""

    notes: int
    off_grid: int
    thirds: int
    sixths: int
    is_swung: bool
    error_beats: float
    error_ms: float
    doubled: int
    merged: int
    past_limit: int
    short: int


def measure_loss(song: RawSong) -> Loss:
    """Measure what rounding does to a song."""
    step = grid.steps_from_beats(song.beat)
    error = np.abs(song.beat - step / STEPS_PER_BEAT)
    place = song.beat % 1
    exact = np.round(song.beat / NEAR).astype(np.int64)
    before = np.unique((exact * N_VOICES + song.voice) * 128 + song.pitch)
    kept = np.unique((step * N_VOICES + song.voice) * 128 + song.pitch)
    on_step = np.unique(kept // (N_VOICES * 128), return_counts=True)[1]
    return Loss(
        notes=len(step),
        off_grid=int((error > OFF_GRID).sum()),
        thirds=int(_near(place, (1 / 3, 2 / 3)).sum()),
        sixths=int(_near(place, (1 / 6, 5 / 6)).sum()),
        is_swung=is_swung(song.beat),
        error_beats=float(error.sum()),
        error_ms=float(error.sum() * song.ms_per_beat),
        doubled=len(step) - len(before),
        merged=len(before) - len(kept),
        past_limit=int(np.maximum(on_step - MAX_NOTES_PER_STEP, 0).sum()),
        short=int(((song.end - song.beat) * STEPS_PER_BEAT < 1 - ODD).sum()),
    )


def is_swung(beat: npt.NDArray[np.float64]) -> bool:
    """Return whether second eighths are at two thirds and not part of triplets."""
    place, number = beat % 1, np.floor(beat).astype(np.int64)
    inside = (place > SECOND_EIGHTHS[0]) & (place < SECOND_EIGHTHS[1])
    beats = np.unique(number[inside])
    late = np.unique(number[_near(place, (2 / 3,))])
    triplets = np.unique(number[_near(place, (1 / 3,))])
    alone = np.setdiff1d(late, triplets)
    return len(beats) >= MIN_SECOND_EIGHTHS and len(alone) > len(beats) / 2


def _near(place: npt.NDArray[np.float64], spots: Sequence[float]) -> npt.NDArray[np.bool_]:
    distance = np.abs(place[:, None] - np.array(spots)).min(axis=1)
    is_near: npt.NDArray[np.bool_] = distance <= NEAR
    return is_near


def onset_row(name: str, losses: Sequence[Loss]) -> Row:
    """Return what happens to the onsets of a corpus."""
    notes = sum(loss.notes for loss in losses)
    shares = [
        f"{sum(getattr(loss, field) for loss in losses) / notes:.2%}"
        for field in ("off_grid", "thirds", "sixths")
    ]
    swung = f"{np.mean([loss.is_swung for loss in losses]):.1%}"
    errors = [sum(getattr(loss, f"error_{u}") for loss in losses) / notes for u in ("beats", "ms")]
    return [name, len(losses), notes, *shares, swung, *errors]


def note_row(name: str, losses: Sequence[Loss]) -> Row:
    """Return what happens to the notes of a corpus."""
    notes = sum(loss.notes for loss in losses)
    shares = [
        f"{sum(getattr(loss, field) for loss in losses) / notes:.3%}"
        for field in ("doubled", "merged", "past_limit", "short")
    ]
    triplets = np.mean([loss.thirds > 0.1 * loss.notes for loss in losses])
    return [name, *shares, f"{triplets:.1%}"]


def bar_row(name: str, bars: Sequence[BarLines], refused: int) -> Row:
    """Return how the bars of a corpus come to whole beats."""
    quarters = [np.diff(b.tick) / b.ticks_per_quarter for b in bars]
    whole = [bool(np.allclose(q, np.round(q), atol=ODD)) for q in quarters]
    finer = [b.beats_per_quarter > 1 for b in bars]
    added = np.array([_added_quarters(b) for b in bars])
    total = sum(float(q.sum()) for q in quarters)
    counts = Counter(b.meter for b in bars).most_common(6)
    shares = [f"{np.mean(values):.1%}" for values in (whole, finer, added > ODD)]
    meters = ", ".join(f"{meter} {count}" for meter, count in counts)
    return [name, len(bars), *shares, f"{added.sum() / total:.2%}", refused, meters]


def _added_quarters(bars: BarLines) -> float:
    real = (bars.tick[-1] - bars.tick[0]) / bars.ticks_per_quarter
    return float(bars.beat[-1] / bars.beats_per_quarter - real)


def meter_rows(name: str, bars: Sequence[BarLines]) -> list[Row]:
    """Return a row for each meter whose bars are not whole quarters, and for 6/8 and 12/8."""
    rows: list[Row] = []
    counts = Counter((b.meter, b.beats_per_quarter) for b in bars)
    for (meter, per_quarter), count in sorted(counts.items()):
        numerator, denominator = map(int, meter.split("/"))
        quarters = Fraction(4 * numerator, denominator)
        if quarters.denominator > 1 or meter in ("6/8", "12/8"):
            beats = -(-quarters * per_quarter // 1)
            rows.append([name, meter, count, float(quarters), per_quarter, int(beats)])
    return rows


def known_upbeats(corpus: Path) -> dict[str, float]:
    """Return the upbeat, in quarters, of the scores whose number of bars tells it, by file name."""
    index = corpus / "index.csv"
    if not index.is_file():
        return {}
    with index.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    upbeats = {}
    for row in rows:
        measures, lines = row.get("measures_played", ""), row.get("barlines", "")
        if not (measures or lines).isdigit() or row["meter"].count("/") != 1:
            continue
        numerator, denominator = map(int, row["meter"].split("/"))
        bar = 4 * numerator / denominator
        missing = int(measures or lines) * bar - float(row["length_quarters"])
        if abs(missing - (0 if measures else bar)) < ODD:  # whole bars have a line more than bars
            upbeats[row["file"]] = 0.0
        elif ODD < missing < bar - ODD:
            upbeats[row["file"]] = bar - missing
    return upbeats


def upbeat_rows(name: str, upbeats: Mapping[str, float], folder: Path) -> list[Row]:
    """Return how often bar lines are right for scores without and with an upbeat."""
    found: dict[bool, list[tuple[bool, bool]]] = {False: [], True: []}
    for file, quarters in upbeats.items():
        music = read_midi(folder / file)
        if len(music.meters) != 1 or len(music.notes) == 0:
            continue
        meter, notes, per_quarter = music.meters[0], music.notes, music.ticks_per_quarter
        bar_steps = Fraction(4 * STEPS_PER_BEAT * meter.numerator, meter.denominator)
        heard = 0
        if bar_steps.denominator == 1:
            onset, end = (
                grid.steps_from_beats(t / per_quarter) for t in (notes.onset_tick, notes.end_tick)
            )
            heard = pickup_steps(onset, end, notes.pitch, bar_steps=int(bar_steps))
        right = abs(heard - quarters * STEPS_PER_BEAT) < ODD
        found[quarters > 0].append((quarters == 0, right))
    return [
        [name, word, len(cases), *(f"{share:.1%}" for share in np.mean(cases, axis=0))]
        for word, cases in (("none", found[False]), ("some", found[True]))
        if cases
    ]


def songs_of(corpus: Path, rules: str) -> Iterator[RawSong | None]:
    """Yield the songs of a corpus, None for one that cannot be read."""
    voice_rules = read_voice_rules(rules)
    for source in find_sources([corpus])[0]:
        try:
            yield raw_song(source.path, voice_rules)
        except InputError:
            yield None


def main() -> None:
    """Read the corpora, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Example: python benchmarks/grid_loss.py pop909=POP909 solo-piano=NIFC "
        "lieder=LIEDER",
    )
    parser.add_argument("corpora", nargs="+", metavar="RULES=FOLDER", help="rules and MIDI files")
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    arguments = parser.parse_args()
    if any("=" not in word for word in arguments.corpora):
        parser.error("write every corpus as RULES=FOLDER, such as lieder=corpora/lieder")
    tables: dict[str, tuple[list[str], list[Row]]] = {
        "onsets": (ONSETS, []),
        "notes": (NOTES, []),
        "bars": (BARS, []),
        "meters": (METERS, []),
        "upbeats": (UPBEATS, []),
    }
    for rules, _, folder in (word.partition("=") for word in arguments.corpora):
        measure_corpus(rules, Path(folder), {name: rows for name, (_, rows) in tables.items()})
    print(machine_line("numpy", "symusic"), end="\n\n")
    for header, rows in tables.values():
        print(markdown_table(header, rows), end="\n\n")
    write_json(arguments.json, {name: rows for name, (_, rows) in tables.items()})


def measure_corpus(rules: str, corpus: Path, tables: Mapping[str, list[Row]]) -> None:
    """Measure a corpus and add its rows to all tables."""
    every = list(songs_of(corpus, rules))
    songs = [song for song in every if song is not None]
    losses = [measure_loss(song) for song in songs]
    tables["onsets"].append(onset_row(rules, losses))
    tables["notes"].append(note_row(rules, losses))
    bars = [song.bars for song in songs if song.bars is not None]
    if bars:
        tables["bars"].append(bar_row(rules, bars, len(every) - len(songs)))
        tables["meters"].extend(meter_rows(rules, bars))
    folder = corpus / "midi"
    tables["upbeats"].extend(upbeat_rows(rules, known_upbeats(corpus), folder))


if __name__ == "__main__":
    run(main)
