"""How likely the held-out songs are to a trained network, in nats, under each kind of matrix.

A likelihood with the matrix of the *music* depends on how much that matrix gives away, so the same
network without any matrix stands beside it, on the same songs. The matrix of the *form* is drawn
from human section labels, as presets are; songs without labelled repeats have none. As many
training songs, drawn, tell how much of what was learned holds for them alone.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from _machine import Row, machine_line, markdown_table, run, verdict, write_json

from singcli.dataset import Dataset
from singcli.errors import InputError
from singcli.model.contract import SsmKind

MOST_NATS_PER_STEP = 2.3  # asked for by issue 4, under the matrix of the music
COARSE = "music, 16 durations"  # what the first model, whose durations were coarser, would give
FIGURES = ("nats_per_step", "pitch", "duration", "nats_per_note", "velocity")
HEADER = [
    "matrix", "songs", "nats a step", "pitch and STOP", "duration", "nats a note", "velocity a note"
]  # fmt: skip
NONE_AGAIN = "none, the songs of `form`"
LEARNED = "music, training songs"  # as many, drawn: what the network knows by heart

Figures = dict[str, float]


def measure(data: Path, checkpoint: Path) -> dict[str, Figures]:
    """Return the figures of the validation songs under music, form, none, and none once more.

    Parameters
    ----------
    data : Path
        Written by `singcli prepare`.
    checkpoint : Path
        A `.safetensors` written by `singcli train` or `singcli export-onnx`.

    Returns
    -------
    dict of str to dict
        Of `singcli.training.validation.validate`; `COARSE` are those of "music" with durations in
        16 classes; `NONE_AGAIN` holds the songs of "form" without a matrix, missing like "form"
        where no song has labelled repeats; `LEARNED` as many training songs under "music".
    """
    import torch
    from _coarse_durations import coarse_duration_nats
    from _trained import opened

    from singcli.training.examples import TrainingSong
    from singcli.training.validation import validate

    config, network, settings = opened(checkpoint)
    songs = [TrainingSong.from_song(song) for song in Dataset.open(data).songs("validation")]
    if not songs:
        raise InputError(f"{data}: no validation songs", "prepare with --validation-ids")
    labelled = [song for song in songs if song.repeats]
    learned = list(Dataset.open(data).songs("train"))
    drawn = np.random.default_rng(0).permutation(len(learned))[: len(songs)]
    plans: list[tuple[str, SsmKind, list[TrainingSong]]] = [
        ("music", "music", songs),
        ("form", "form", labelled),
        ("none", "none", songs),
        (NONE_AGAIN, "none", labelled),
        (LEARNED, "music", [TrainingSong.from_song(learned[n]) for n in drawn]),
    ]
    figures = {}
    for name, kind, chosen in plans:
        if chosen:
            figures[name] = validate(
                network,
                chosen,
                kind,
                settings,
                batch_songs=config.run.batch_songs,
                device=torch.device("cpu"),
            )
    fine = figures["music"]
    duration = coarse_duration_nats(network, songs, settings)
    cost = fine["pitch"] + duration
    per_note = cost * fine["nats_per_note"] / fine["nats_per_step"]
    figures[COARSE] = fine | {
        "nats_per_step": cost, "duration": duration, "nats_per_note": per_note
    }  # fmt: skip
    return figures


def table_rows(figures: dict[str, Figures]) -> list[Row]:
    """Return a row for each kind of matrix."""
    return [
        [name, int(values["songs"]), *(f"{values[key]:.3f}" for key in FIGURES)]
        for name, values in figures.items()
    ]


def gains(figures: dict[str, Figures]) -> list[str]:
    """Return what each matrix is worth to the network, on the songs that have one."""
    lines = []
    for name, without in (("music", "none"), ("form", NONE_AGAIN)):
        if name in figures:
            cost, bare = figures[name]["nats_per_step"], figures[without]["nats_per_step"]
            lines.append(
                f"The matrix of the {name} is worth {bare - cost:.2f} nats a step to the same "
                f"network ({bare:.3f} without any, {(bare - cost) / bare:.0%} less with it; "
                f"{figures[name]['songs']:.0f} songs)."
            )
    return lines


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Example: python benchmarks/validation.py --data data/pop909 --markdown",
    )
    parser.add_argument("--data", type=Path, required=True, help="a folder written by prepare")
    parser.add_argument("--checkpoint", type=Path, help=".safetensors (the one that comes along)")
    parser.add_argument(
        "--markdown", action="store_true", help="only what goes into checkpoints/README.md"
    )
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()

    from _trained import default_checkpoint

    checkpoint = arguments.checkpoint or default_checkpoint()
    figures = measure(arguments.data, checkpoint)
    table = markdown_table(HEADER, table_rows(figures))
    machine = machine_line("torch", "numpy")
    songs = int(figures["music"]["songs"])
    if arguments.markdown:
        print("\n\n".join([table, "\n".join(gains(figures)), f"{machine}; {songs} songs."]))
    else:
        print(machine)
        print(f"{checkpoint.name}, {songs} validation songs of {arguments.data.name}, whole\n")
        print(table + "\n")
        print("\n".join(gains(figures)))
        cost = figures["music"]["nats_per_step"]
        print(verdict("nats a step, matrix of the music", cost, MOST_NATS_PER_STEP))
    write_json(arguments.json, {"checkpoint": checkpoint.name, "figures": figures})


if __name__ == "__main__":
    run(main)
