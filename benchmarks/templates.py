"""Songs that follow real ones: how well, beside what else, at which price, and still music or not.

The templates are the first bars of validation songs, the matrix of their music. Four ways with the
same seeds: the wanted matrix, none (plain sampling), the same with its beats shuffled, that of
another song. Measured is r between the wanted matrix and that of the song, below the diagonal,
with 95 % intervals over songs, and of the paired differences. Every setting is CANDIDATES:STRENGTH
of the steering, and the first one is what `generate` does by itself.

Beside them, without a model: the beats of other real songs, drawn at random and steered likewise
("no model"), and the next real song taken for the wanted one. The guards compare the songs with
the very excerpts whose structure they follow. Times are of one song after the other.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from _beat_bag import BeatBag
from _four_way import (
    SHUFFLED,
    WANTED,
    WAYS,
    Correlations,
    Sampler,
    correlations,
    difference_rows,
    following,
    four_way,
    four_way_rows,
    paired,
    plain,
)
from _intervals import mean_interval, ratio_interval
from _machine import (
    Row,
    cell_text,
    floor_verdict,
    machine_line,
    markdown_table,
    run,
    verdict,
    write_json,
)
from _sampling import sample_in_batches
from _template_songs import structure_from_score

from singcli.dataset import Dataset, Song
from singcli.errors import InputError
from singcli.generate import model_path
from singcli.metrics.guards import GUARDS, GuardReport, measure_guards
from singcli.model.plan import Plan, SamplingOptions
from singcli.model.runtime import Runtime
from singcli.model.sampling import sample_scores
from singcli.music.score import Score
from singcli.wish import Template, Wish

MEAN_R = 0.75
WANTED_OVER_SHUFFLED = 0.6
MOST_TIMES_PLAIN = 2.0
GUARD_TOLERANCE = 0.25
GUARDS_OF_THE_TARGET = (
    "notes_per_step",
    "distinct_pitches",
    "unique_bars",
    "empty_steps",
    "out_of_key",
)
SETTING = "candidates:strength"
PLAIN = "plain"

Setting = tuple[int, float]


class Templates(NamedTuple):
    """Excerpts of real songs, and the plans of songs that are to follow them."""

    names: list[str]
    excerpts: list[Score]
    plans: list[Plan]
    default: SamplingOptions


class Result(NamedTuple):
    """One setting: r of every song in each of the four ways, and the guards of the wanted one."""

    r: Correlations
    guards: list[GuardReport]


def wish_from_score(score: Score, name: str) -> Wish:
    """Return what `generate --template` makes of a piece."""
    return Wish(Template(structure_from_score(score, name), ()))


def templates_from_songs(songs: Sequence[Song], n_bars: int, runtime: Runtime) -> Templates:
    """Take the first bars of songs for templates.

    Raises
    ------
    InputError
        If there are fewer than two: "another song's" needs another song.
    """
    if len(songs) < 2:
        raise InputError(f"{len(songs)} songs have {n_bars} bars, needed: 2", "give fewer --bars")
    excerpts = [song.score.bars(0, n_bars) for song in songs]
    wishes = [wish_from_score(e, song.id) for e, song in zip(excerpts, songs, strict=True)]
    plans = [wish.plan(runtime.card) for wish in wishes]
    return Templates([song.id for song in songs], excerpts, plans, wishes[0].options())


def setting_options(
    default: SamplingOptions, settings: Sequence[Setting]
) -> dict[str, SamplingOptions]:
    """Return the options of generate and of each setting by name."""
    others = [dataclasses.replace(default, candidates=n, steering=x) for n, x in settings]
    return {f"{o.candidates}:{o.steering:g}": o for o in (default, *others)}


def measure_setting(sample: Sampler, templates: Templates, options: SamplingOptions) -> Result:
    """Make songs in four ways and measure them."""
    plans = templates.plans
    ways = four_way(sample, plans, range(len(plans)), options)
    wanted = [plan.song_ssm for plan in plans]
    keyed = map(in_reference_key, ways[WANTED], templates.excerpts)
    return Result(
        {way: correlations(wanted, scores) for way, scores in ways.items()},
        [measure_guards(score) for score in keyed],
    )


def in_reference_key(score: Score, excerpt: Score) -> Score:
    """Return a sampled score with the key it was sampled in; without, if the real one has none."""
    if excerpt.key is None:
        return score
    key = excerpt.key.transposed(excerpt.key.shift_to_reference)
    return dataclasses.replace(score, key=key)


def seconds_a_song(
    runtime: Runtime, plans: Sequence[Plan], options: Mapping[str, SamplingOptions]
) -> dict[str, list[float]]:
    """Sample one song after the other, all options in turns, after an unmeasured song."""
    seconds: dict[str, list[float]] = {name: [] for name in options}
    for turn, plan in enumerate([plans[0], *plans]):
        for name, of_name in options.items():
            started = time.perf_counter()
            sample_scores(runtime, [plan], [turn], of_name)
            if turn > 0:
                seconds[name].append(time.perf_counter() - started)
    return seconds


def times_plain(seconds: Mapping[str, Sequence[float]], name: str) -> float:
    """Return how many times as long as plain sampling a song takes, the median over songs."""
    pairs = zip(seconds[name], seconds[PLAIN], strict=True)
    return statistics.median(ours / plainly for ours, plainly in pairs)


def guard_values(
    name: str, ours: Sequence[GuardReport], theirs: Sequence[GuardReport]
) -> tuple[list[float], list[float]]:
    """Return a guard of songs and of the real ones, where both have it."""
    pairs = [(getattr(a, name), getattr(b, name)) for a, b in zip(ours, theirs, strict=True)]
    known = [(a, b) for a, b in pairs if a is not None and b is not None]
    return [a for a, _ in known], [b for _, b in known]


def guard_rows(results: Mapping[str, Result], real: Sequence[GuardReport]) -> list[Row]:
    """Return a row per guard: real songs, then each setting as a multiple of them."""
    rows: list[Row] = []
    for name in GUARDS:
        values, _ = guard_values(name, real, real)
        if not values:
            continue
        row: Row = [name, statistics.fmean(values)]
        for result in results.values():
            ratio = ratio_interval(*guard_values(name, result.guards, real))
            row.append(None if ratio is None else str(ratio))
        rows.append(row)
    return rows


def verdicts(
    name: str, result: Result, real: Sequence[GuardReport], seconds: Mapping[str, Sequence[float]]
) -> list[str]:
    """Return a line per target, for one setting."""
    r, over = mean_interval(result.r[WANTED]), paired(result.r, SHUFFLED)
    lines = [
        floor_verdict("r", r.mean, MEAN_R) + f" ({r})",
        floor_verdict("wanted - shuffled", over.mean, WANTED_OVER_SHUFFLED) + f" ({over})",
        verdict("times plain sampling", times_plain(seconds, name), MOST_TIMES_PLAIN),
    ]
    for guard in GUARDS_OF_THE_TARGET:
        values = guard_values(guard, result.guards, real)
        if values[0]:
            ours, theirs = map(statistics.fmean, values)
            near = abs(ours - theirs) <= GUARD_TOLERANCE * theirs
            lines.append(
                f"{'reached' if near else 'MISSED'}: {guard} {cell_text(ours)}, wanted within "
                f"{GUARD_TOLERANCE:.0%} of {cell_text(theirs)}"
            )
    return [f"{name}, {line}" for line in lines]


def parsed_setting(text: str) -> Setting:
    """Read CANDIDATES:STRENGTH."""
    candidates, strength = text.split(":")
    return int(candidates), float(strength)


def parsed() -> argparse.Namespace:
    """Read the arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Example: python benchmarks/templates.py --data data/pop909 --settings 1:0 64:0.8",
    )
    parser.add_argument("--data", type=Path, required=True, help="folder written by prepare")
    parser.add_argument("--model", default="pop", help="bundled model or .onnx (pop)")
    parser.add_argument("--songs", type=int, help="templates (all that are long enough)")
    parser.add_argument("--bars", type=int, default=64, help="their length (64)")
    parser.add_argument(
        "--settings",
        type=parsed_setting,
        nargs="*",
        default=[],
        metavar="N:X",
        help=f"{SETTING}, beside those of generate",
    )
    parser.add_argument("--timed", type=int, default=5, help="songs that are timed (5)")
    parser.add_argument("--json", type=Path, help="also write every song's figures to this file")
    arguments = parser.parse_args()
    if arguments.timed < 1:
        parser.error("--timed must be at least 1")
    return arguments


def print_tables(
    templates: Templates,
    results: Mapping[str, Result],
    real: Sequence[GuardReport],
    seconds: Mapping[str, Sequence[float]],
) -> None:
    """Print r in four ways, its differences, the guards and the times."""
    r = {name: result.r for name, result in results.items()}
    matrices = [plan.song_ssm for plan in templates.plans]
    chance = mean_interval(correlations(matrices, following(templates.excerpts)))
    next_song: Row = ["the next real song", str(chance), None, None, None]
    print("\nr between the wanted matrix and the song's\n")
    print(markdown_table([SETTING, *WAYS], [*four_way_rows(r), next_song]))
    print("\nWanted minus the others, song by song\n")
    print(markdown_table([SETTING, *WAYS[1:]], difference_rows(r)))
    print("\nGuards: the mean of the real songs, and the others as a multiple of it\n")
    print(markdown_table(["guard", "real", *results], guard_rows(results, real)))
    print("\nSeconds a song, one song after the other\n")
    rows: list[Row] = [
        [name, len(runs), statistics.median(runs), times_plain(seconds, name)]
        for name, runs in seconds.items()
    ]
    print(markdown_table([SETTING, "songs", "median", "times plain"], rows))


def main() -> None:
    """Read the arguments, sample, measure, print."""
    arguments = parsed()
    runtime = Runtime.open(model_path(arguments.model))
    held_out = Dataset.open(arguments.data).songs("validation")
    songs = [song for song in held_out if song.score.n_bars >= arguments.bars]
    templates = templates_from_songs(songs[: arguments.songs], arguments.bars, runtime)
    options = setting_options(templates.default, arguments.settings)
    model, bag = partial(sample_in_batches, runtime), BeatBag(templates.excerpts)
    steered = {name: measure_setting(model, templates, o) for name, o in options.items()}
    bags = {
        f"no model, {name}": measure_setting(bag.sample, templates, o)
        for name, o in options.items()
        if o.candidates > 1
    }
    timed = {PLAIN: plain(templates.default)} | options
    seconds = seconds_a_song(runtime, templates.plans[: arguments.timed], timed)
    real = [measure_guards(excerpt) for excerpt in templates.excerpts]
    lines = [line for name, x in steered.items() for line in verdicts(name, x, real, seconds)]

    print(machine_line("numpy", "onnxruntime"))
    print(f"{len(templates.plans)} validation songs, their first {arguments.bars} bars")
    print_tables(templates, steered | bags, real, seconds)
    print("", *lines, sep="\n")
    guards = {name: x.guards for name, x in (steered | bags).items()} | {"real": real}
    write_json(
        arguments.json,
        {
            "songs": templates.names,
            "r": {name: x.r for name, x in (steered | bags).items()},
            "guards": {n: [dataclasses.asdict(g) for g in of] for n, of in guards.items()},
            "seconds": seconds,
            "verdicts": lines,
        },
    )


if __name__ == "__main__":
    run(main)
