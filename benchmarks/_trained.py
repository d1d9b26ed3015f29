"""A trained network as a benchmark needs it: its weights, its settings, and held-out songs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from singcli.errors import InputError
from singcli.resources import checkpoints_dir
from singcli.structure.texture import Texture
from singcli.training.batches import Batch, batch_from_draws
from singcli.training.checkpoint import Checkpoint
from singcli.training.config import TrainConfig
from singcli.training.examples import Draw, ExampleSettings, TrainingSong
from singcli.training.networks import PointerNetwork

BATCH_SONGS = 16


class Trained(NamedTuple):
    """An opened checkpoint."""

    config: TrainConfig
    network: PointerNetwork
    settings: ExampleSettings


def opened(checkpoint: Path) -> Trained:
    """Read a `.safetensors` written by `singcli train` or `singcli export-onnx`."""
    read = Checkpoint.read(checkpoint)
    config = TrainConfig.model_validate(read.run["config"])
    network = PointerNetwork(config.network.sizes)
    read.restore_network(network)
    settings = ExampleSettings(
        styles=tuple(read.run["styles"]),
        textures=tuple(Texture(**texture) for texture in read.run["textures"]),
        context_temperature=config.data.context_temperature,
        continuation_bonus=config.data.continuation_bonus,
    )
    return Trained(config, network.eval(), settings)


def default_checkpoint() -> Path:
    """Return the first bundled checkpoint.

    Raises
    ------
    InputError
        If there is none: a wheel has none, a checkout does.
    """
    found = sorted(checkpoints_dir().glob("*.safetensors"))
    if not found:
        raise InputError(f"{checkpoints_dir()}: no checkpoint", "give one with --checkpoint")
    return found[0]


def whole_songs(songs: Sequence[TrainingSong], settings: ExampleSettings) -> Iterator[Batch]:
    """Lay out whole songs under the matrix of the music, songs of near-equal length together."""
    order = sorted(range(len(songs)), key=lambda index: songs[index].score.n_beats)
    for start in range(0, len(order), BATCH_SONGS):
        draws = [Draw(song=index, kind="music") for index in order[start : start + BATCH_SONGS]]
        yield batch_from_draws(songs, draws, settings)
