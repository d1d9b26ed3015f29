"""What each input is worth to a trained network: how much less likely songs are without it.

The held-out songs are read under the matrix of the music, once as they are and once with each input
blanked. A network that had been trained without the input would do better than one that has come
to rely on it, so these are upper bounds of what an input brought.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import torch  # noqa: TID253
from _machine import Row, machine_line, markdown_table, run, write_json
from _trained import default_checkpoint, opened, whole_songs

from singcli.dataset import Dataset
from singcli.model.contract import (
    NO_BASS,
    NO_DURATION,
    NO_LEAD,
    NO_VELOCITY,
    PLACE_SIZES,
)
from singcli.training.batches import Chunk
from singcli.training.examples import ExampleSettings, TrainingSong
from singcli.training.loss import State, chunk_loss
from singcli.training.networks import PointerNetwork

Blank = Callable[[Chunk], Chunk]
HEADER = ["without", "nats a step", "more", "pitch and STOP", "duration", "velocity a note"]
CHUNK_STEPS = 512
STYLE = slice(sum(PLACE_SIZES[:-2]), sum(PLACE_SIZES[:-1]))
ENDING = slice(sum(PLACE_SIZES[:-1]), sum(PLACE_SIZES))


def inputs_blanked(**values: float) -> Blank:
    """Return what fills inputs of the step part with a number."""

    def blank(chunk: Chunk) -> Chunk:
        filled = {
            name: torch.full_like(getattr(chunk.inputs, name), value)
            for name, value in values.items()
        }
        return chunk._replace(inputs=chunk.inputs._replace(**filled))

    return blank


def decisions_blanked(**values: int) -> Blank:
    """Return what fills a column of the decisions with a class."""

    def blank(chunk: Chunk) -> Chunk:
        filled = {
            name: torch.full_like(getattr(chunk.decisions, name), value)
            for name, value in values.items()
        }
        return chunk._replace(decisions=chunk.decisions._replace(**filled))

    return blank


def place_blanked(columns: slice) -> Blank:
    """Return what zeroes columns of the place."""

    def blank(chunk: Chunk) -> Chunk:
        place = chunk.inputs.place.clone()
        place[..., columns] = 0.0
        return chunk._replace(inputs=chunk.inputs._replace(place=place))

    return blank


BLANKS: dict[str, Blank] = {
    "-": lambda chunk: chunk,
    "rolls of all earlier beats (context)": inputs_blanked(context=0.0),
    "what was played 1, 2 and 4 bars ago": inputs_blanked(bars_ago=0.0),
    "the last bass note": inputs_blanked(bass=NO_BASS),
    "the last lead note": inputs_blanked(lead=NO_LEAD),
    "duration of the note before in the chord": decisions_blanked(chord_duration=NO_DURATION),
    "duration in the draft": decisions_blanked(draft_duration=NO_DURATION),
    "last velocity of the voice": decisions_blanked(voice_velocity=NO_VELOCITY),
    "velocity in the draft": decisions_blanked(draft_velocity=NO_VELOCITY),
    "style": place_blanked(STYLE),
    "bars before the end of the song": place_blanked(ENDING),
}


@torch.no_grad()
def nats(
    network: PointerNetwork,
    songs: Sequence[TrainingSong],
    settings: ExampleSettings,
    blank: Blank,
) -> tuple[float, float, float]:
    """Return pitch and duration in nats a step, and velocity in nats a note."""
    pitch = duration = velocity = 0.0
    n_steps = n_notes = 0
    for batch in whole_songs(songs, settings):
        state: State | None = None
        for chunk in batch.chunks(CHUNK_STEPS, torch.device("cpu")):
            loss, state = chunk_loss(network, blank(chunk), state)
            pitch += float(loss.pitch)
            duration += float(loss.duration)
            velocity += float(loss.velocity)
            n_steps += chunk.n_steps
            n_notes += chunk.n_notes
    return pitch / n_steps, duration / n_steps, velocity / n_notes


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Example: python benchmarks/ablation.py --data data/pop909",
    )
    parser.add_argument("--data", type=Path, required=True, help="a folder written by prepare")
    parser.add_argument("--checkpoint", type=Path, help=".safetensors (the one that comes along)")
    parser.add_argument("--songs", type=int, default=45, help="held-out songs, the first (45)")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()

    _, network, settings = opened(arguments.checkpoint or default_checkpoint())
    held_out = Dataset.open(arguments.data).songs("validation")[: arguments.songs]
    songs = [TrainingSong.from_song(song) for song in held_out]
    found = {name: nats(network, songs, settings, blank) for name, blank in BLANKS.items()}
    whole = sum(found["-"][:2])
    rows: list[Row] = [
        [
            name,
            *(f"{value:.3f}" for value in (pitch + duration, pitch + duration - whole)),
            *(f"{value:.3f}" for value in (pitch, duration, velocity)),
        ]
        for name, (pitch, duration, velocity) in found.items()
    ]
    print(f"{machine_line('torch', 'numpy')}; {len(songs)} held-out songs\n")
    print(markdown_table(HEADER, rows))
    write_json(arguments.json, found)


if __name__ == "__main__":
    run(main)
