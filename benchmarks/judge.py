"""A judge that tells generated excerpts of 8 bars from real held-out ones, and what it looks at.

0.5 is perfect music, 1 is music that gives itself away at once. The songs are made by the command
line; real songs are written to MIDI first and read back in the same way; both are brought into C
major or A minor by their estimated key. Songs and excerpts are as many on either side, of one
meter, begin where a section or a phrase does and lie evenly over the song. No song is on both sides
of a fold (5 folds), and intervals are drawn over songs. Velocities are hidden unless --velocity.

Three judges: a random forest and boosted trees on named figures, and a network on the piano roll.
The headline is the best of them, with durations as they are. Then: with all durations moved to
those that the model can play; real songs against real ones (should be chance); the same bars in
random order, and the same rhythm with random pitches (a judge that finds nothing there is blind).
Last, what the forest looks at: by how much its held-out loss rises when a figure is shuffled.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from _generation import generate
from _judge_excerpts import (
    Excerpt,
    Rules,
    balanced,
    real_excerpts,
    song_excerpts,
    validation_songs,
    with_bars_in_random_order,
    with_model_durations,
    with_random_pitches,
)
from _judge_features import as_matrix, excerpt_features
from _judge_network import RollJudge, excerpt_rolls
from _judge_report import HEADLINE, Looked, Result, report
from _judges import (
    Case,
    boosting,
    forest,
    held_out_probabilities,
    importances,
    ranked,
    verdict,
)
from _machine import (
    machine_line,
    run,
    split_arguments,
    write_json,
)
from _presets import chosen_presets

from singcli.errors import InputError
from singcli.preparation.scores import score_from_midi

PRESETS = (  # in 4/4, without transposed sections: those would be the form's doing
    *("aaba", "abac", "arch", "build-drop", "lofi-loop", "pop-full", "rondo", "ternary"),
    *("verse-chorus", "verse-chorus-bridge"),
)
FIRST_SEED = 3001  # the presets were tuned with 1 to 8, the results use 2001 to 2020
LEAST_SONGS = 10  # on either side

Songs = list[list[Excerpt]]


class Comparison(NamedTuple):
    """Two kinds of excerpts, label 0 and label 1, and the judges that are asked."""

    name: str
    zeros: Sequence[Excerpt]
    ones: Sequence[Excerpt]
    judges: tuple[str, ...] = ("forest",)


def generated_excerpts(
    folder: Path, presets: Sequence[str], seeds: range, options: Sequence[str], rules: Rules
) -> Songs:
    """Let the command line write the songs that are not in the folder yet; cut excerpts."""
    songs = []
    for name, (preset, form) in chosen_presets(presets).items():
        paths = [folder / name / f"{seed}.mid" for seed in seeds]
        if not all(path.is_file() for path in paths):
            pattern = ["--filename", "{seed}.mid", "--overwrite"]
            paths = generate(preset, seeds, folder / name, [*pattern, *options])
        songs += [
            song_excerpts(
                f"{name} {path.stem}", score_from_midi(path, whole=True), form.section_bars, rules
            )
            for path in paths
        ]
    return songs


def comparisons(real: Songs, generated: Songs, judges: tuple[str, ...]) -> list[Comparison]:
    """Return what the judges are asked, the headline first."""
    zeros, ones = balanced(real, generated)
    rng = np.random.default_rng(0)
    modelled = [[with_model_durations(excerpt) for excerpt in side] for side in (zeros, ones)]
    return [
        Comparison(HEADLINE, zeros, ones, judges),
        Comparison("generated, real, durations of the model", modelled[0], modelled[1], judges),
        Comparison("real, real (every other song)", *balanced(real[::2], real[1::2])),
        Comparison(
            "real with its bars in random order, real",
            zeros,
            [with_bars_in_random_order(excerpt, rng) for excerpt in zeros],
        ),
        Comparison(
            "real with random pitches, real",
            zeros,
            [with_random_pitches(excerpt, rng) for excerpt in zeros],
        ),
    ]


def feature_case(compared: Comparison, *, velocity: bool) -> tuple[list[str], Case]:
    """Return the names of the figures and the excerpts by them."""
    excerpts = [*compared.zeros, *compared.ones]
    names, inputs = as_matrix([excerpt_features(e.score, velocity=velocity) for e in excerpts])
    return names, labelled(compared, inputs)


def roll_case(compared: Comparison, *, velocity: bool) -> Case:
    """Return the excerpts by their piano rolls."""
    excerpts = [*compared.zeros, *compared.ones]
    return labelled(compared, excerpt_rolls((e.score for e in excerpts), velocity=velocity))


def labelled(compared: Comparison, inputs: Any) -> Case:
    """Join the inputs with their labels and songs."""
    labels = np.repeat([0, 1], [len(compared.zeros), len(compared.ones)])
    songs = np.array([e.song for e in [*compared.zeros, *compared.ones]])
    return Case(inputs, labels, songs)


def judged(compared: Comparison, *, velocity: bool) -> list[Result]:
    """Ask the judges of a comparison."""
    by_figures = feature_case(compared, velocity=velocity)[1]
    results = []
    for judge in compared.judges:
        if judge == "network":
            case = roll_case(compared, velocity=velocity)
            probability = held_out_probabilities(RollJudge, case)
        else:
            case = by_figures
            make = forest if judge == "forest" else boosting
            probability = held_out_probabilities(make, case)
        n_songs = len(np.unique(case.songs))
        found = verdict(probability, case)
        results.append(Result(compared.name, judge, len(case.labels), n_songs, found))
    return results


def families(names: Sequence[str]) -> dict[str, list[int]]:
    """Return the columns of each family of figures."""
    found: dict[str, list[int]] = {}
    for column, name in enumerate(names):
        found.setdefault(name.split(":")[0], []).append(column)
    return found


def what_it_looks_at(compared: Comparison, *, velocity: bool) -> Looked:
    """Shuffle every figure, and every family of figures, on held-out songs."""
    names, case = feature_case(compared, velocity=velocity)
    columns = families(names)
    singles = {name: [column] for column, name in enumerate(names)}
    whole = {f"all of {family}": of_family for family, of_family in columns.items()}
    rises = importances(forest, case, singles | whole)
    by_family = [(f, len(c), rises[f"all of {f}"]) for f, c in columns.items()]
    return Looked(ranked(names, case, rises), sorted(by_family, key=lambda row: -row[2]))


def parsed() -> tuple[argparse.Namespace, list[str]]:
    """Read the arguments; return them and what is passed on to generate."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="What follows -- is passed to generate.\n"
        "Example: python benchmarks/judge.py --data data/pop909 -- --temperature 0.9",
    )
    parser.add_argument("--data", type=Path, required=True, help="a folder written by prepare")
    parser.add_argument("--model", help="a name or an .onnx file (generate's default)")
    parser.add_argument(
        "--presets", nargs="*", default=PRESETS, help=f"names or files ({' '.join(PRESETS)})"
    )
    parser.add_argument("--songs-per-preset", type=int, default=10, help="(10)")
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED, help=f"({FIRST_SEED})")
    parser.add_argument(
        "--songs",
        type=Path,
        help="folder in which the songs stay, and are used again: another one for another model",
    )
    parser.add_argument("--excerpts-per-song", type=int, default=6, help="at most (6)")
    parser.add_argument("--beats-per-bar", type=int, default=4, help="of the excerpts (4)")
    parser.add_argument("--velocity", action="store_true", help="let the judges see velocities")
    parser.add_argument("--no-network", action="store_true", help="only the trees: no torch")
    parser.add_argument("--markdown", action="store_true", help="only what goes into the docs")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    own, options = split_arguments(sys.argv[1:])
    arguments = parser.parse_args(own)
    for name in ("songs_per_preset", "excerpts_per_song", "beats_per_bar"):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1")
    if arguments.model is not None:
        options = ["--model", arguments.model, *options]
    return arguments, options


def read_excerpts(arguments: argparse.Namespace, options: Sequence[str]) -> tuple[Songs, Songs]:
    """Return the real and the generated songs that have excerpts.

    Raises
    ------
    InputError
        If there are fewer than `LEAST_SONGS` of either.
    """
    rules = Rules(arguments.beats_per_bar, arguments.excerpts_per_song)
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.songs_per_preset)
    with contextlib.ExitStack() as stack:
        folder = arguments.songs or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        generated = generated_excerpts(folder, arguments.presets, seeds, options, rules)
    real = list(real_excerpts(validation_songs(arguments.data), rules))
    for name, songs in (("real", real), ("generated", generated)):
        n_songs = sum(bool(song) for song in songs)
        if n_songs < LEAST_SONGS:
            raise InputError(
                f"{n_songs} of {len(songs)} {name} songs have an excerpt of "
                f"{rules.beats_per_bar} beats a bar, at least {LEAST_SONGS} are needed",
                "give more songs or another --beats-per-bar",
            )
    return [song for song in real if song], [song for song in generated if song]


def main() -> None:
    """Read the arguments, generate, judge, print."""
    arguments, options = parsed()
    real, generated = read_excerpts(arguments, options)
    judges = ("forest", "boosting") if arguments.no_network else ("forest", "boosting", "network")
    asked = comparisons(real, generated, judges)
    velocity = arguments.velocity
    results = [result for compared in asked for result in judged(compared, velocity=velocity)]
    looked = {c.name: what_it_looks_at(c, velocity=velocity) for c in asked[:2]}
    packages = ["numpy", "scikit-learn", *([] if arguments.no_network else ["torch"])]
    print(machine_line(*packages))
    if not arguments.markdown:
        print(
            f"{len(generated)} generated songs, seeds from {arguments.first_seed}; "
            f"{len(real)} held-out songs of {arguments.data.name}; velocities "
            f"{'seen' if velocity else 'hidden'}"
        )
        print(f"Options of generate: {' '.join(options) or '-'}")
    print("\n" + report(results, looked))
    content: dict[str, Any] = {
        "results": [r._asdict() | {"verdict": r.verdict._asdict()} for r in results],
        "looked": {
            name: {"figures": [f._asdict() for f in found.figures], "families": found.families}
            for name, found in looked.items()
        },
    }
    write_json(arguments.json, {"options": options, **content})


if __name__ == "__main__":
    run(main)
