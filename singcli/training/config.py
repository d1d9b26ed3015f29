"""The training configuration: one TOML, validated before anything is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from singcli.errors import InputError
from singcli.model.contract import NetworkSizes
from singcli.structure.alignment import CONTEXT_TEMPERATURE, CONTINUATION_BONUS
from singcli.toml_tables import read_toml, table_from_toml, value_from_toml
from singcli.training.sing.config import SingConfig
from singcli.training.tables import ConfigTable, Name, Share

Width = Annotated[int, Field(ge=8, le=4096)]


class NetworkConfig(ConfigTable):
    """`[network]`: widths of the layers."""

    lstm: Width = 384
    roll: Width = 128
    draft: Width = 128
    bar: Width = 96
    context: Width = 64
    hidden: Width = 320
    duration: Width = 128
    velocity: Width = 64
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2

    @property
    def sizes(self) -> NetworkSizes:
        """The widths without the dropout."""
        return NetworkSizes(**self.model_dump(exclude={"dropout"}))


class DataConfig(ConfigTable):
    """`[data]`: what the network is shown of each song."""

    share_none: Share = 0.1
    """Songs shown without any SSM."""
    share_form: Share = 0.45
    """Labelled songs shown with an SSM made from their sections; the rest sees the music's own."""
    share_cropped: Share = 0.5
    """Songs that begin at a later section instead of at their beginning."""
    share_of_style: dict[str, Share] = Field(default_factory=dict)
    """Songs of a style that an epoch shows; all unless said otherwise."""
    longest_bars: Annotated[int, Field(ge=8, le=100_000)] = 128
    """Of longer songs so many bars are shown."""
    length_jitter_bars: Annotated[float, Field(ge=0, le=1000)] = 4.0
    """Standard deviation of the noise on the lengths by which songs are brought together."""
    context_temperature: Annotated[float, Field(gt=0, le=10)] = CONTEXT_TEMPERATURE
    continuation_bonus: Annotated[float, Field(ge=0, le=10)] = CONTINUATION_BONUS


class OptimiserConfig(ConfigTable):
    """`[optimiser]`: AdamW with warm-up, a level rate, and a fall to `final_share` of it."""

    learning_rate: Annotated[float, Field(gt=0, le=1)] = 2e-3
    final_share: Share = 0.01
    cooldown: Share = 0.4
    """Share of the run, at its end, in which the rate falls."""
    average: Annotated[float, Field(ge=0, lt=1)] = 0.999
    """Of the running mean of the weights, which is what is validated and exported."""
    velocity_weight: Annotated[float, Field(ge=0, le=10)] = 0.3
    """Of the velocities in the loss, beside notes and durations."""
    warmup_updates: Annotated[int, Field(ge=0)] = 200
    weight_decay: Annotated[float, Field(ge=0, le=10)] = 0.02
    clip_norm: Annotated[float, Field(gt=0)] = 5.0


class RunConfig(ConfigTable):
    """`[run]`: length of the run and of its pieces."""

    epochs: Annotated[int, Field(ge=1, le=100_000)] = 40
    batch_songs: Annotated[int, Field(ge=1, le=4096)] = 16
    chunk_steps: Annotated[int, Field(ge=4, le=100_000)] = 128
    full_validation_epochs: Annotated[int, Field(ge=1)] = 5
    """Epochs between validations under all kinds of SSM; the music's own is used every time."""
    seed: Annotated[int, Field(ge=0)] = 0


class TrainConfig(ConfigTable):
    """A training configuration of the pointer network in full."""

    architecture: Annotated[Literal["pointer"], Field(exclude=True)] = "pointer"  # not in old runs
    name: Name = "pointer"
    network: NetworkConfig = NetworkConfig()
    data: DataConfig = DataConfig()
    optimiser: OptimiserConfig = OptimiserConfig()
    run: RunConfig = RunConfig()


Config = TrainConfig | SingConfig


def read_config(path: Path) -> Config:
    """Read a training configuration; keys that are not given have their defaults.

    Its key `architecture` says of which network; without it, it is the pointer network's.

    Raises
    ------
    InputError
        If the file is missing, is not TOML or holds an unknown key or an impossible value; names
        file, key, value and what is allowed.
    """
    content, source = read_toml(path), str(path)
    architecture = value_from_toml(content, "architecture", source=source)
    if architecture not in (None, "pointer", "sing"):
        raise InputError(f"{path}: architecture = {architecture!r}, allowed: 'pointer' or 'sing'")
    if architecture == "sing":
        return table_from_toml(content, SingConfig, source=source)
    return table_from_toml(content, TrainConfig, source=source)
