"""The training configuration of SING; every known defect of the paper's code is a switch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from singcli.model.sing.sampling import InitialState, RowSampling
from singcli.training.sing.loss import SsmOf
from singcli.training.tables import ConfigTable, Name, Share

Pitch = Annotated[int, Field(ge=0, le=127)]


class SamplingConfig(ConfigTable):
    """`[sampling]`: how rows are drawn."""

    top_k: Annotated[int, Field(ge=1, le=128)] = 50
    lowest: Pitch = 30
    highest: Pitch = 97
    draws: Annotated[int, Field(ge=1, le=16)] = 3
    initial_state: InitialState = "zeros"

    @model_validator(mode="after")
    def _check_range(self) -> SamplingConfig:
        if self.lowest > self.highest:
            raise ValueError(f"lowest = {self.lowest} is above highest = {self.highest}")
        return self

    @property
    def settings(self) -> RowSampling:
        """The table as the sampler takes it."""
        return RowSampling(**self.model_dump())


class SingNetworkConfig(ConfigTable):
    """`[network]`: the paper's network, or its ablation."""

    attention: bool = True


class SingTrainingConfig(ConfigTable):
    """`[training]`: what the network is shown and what it is asked for."""

    seed_rows: Annotated[int, Field(ge=1, le=1000)] = 10
    """Real rows that every segment begins with."""
    teacher_forcing: Share = 0.2
    """Of the rows before which the network is fed a real row in place of its own."""
    teacher_row: Literal["early", "previous"] = "previous"
    """Which real row: the one before, or (a defect) row i + 1 where row seed_rows + i is drawn."""
    ssm_of: SsmOf = "probabilities"
    """What the written matrix is computed from; with logits (a defect) an offset hides all."""
    ssm_over_batch: Literal["sum", "mean"] = "mean"
    """Over the segments of a batch; the sum (a defect) weighs more the larger the batch is."""
    ssm_weight: Annotated[float, Field(ge=0, le=1000)] = 1.0
    """Of the matrix beside the notes."""
    sampling: SamplingConfig | None = None
    """How own rows are drawn in training; as in [sampling] unless given."""


class SingValidationConfig(ConfigTable):
    """`[validation]`: the figure by which epochs are compared."""

    loss_of: Literal["samples", "logits"] = "logits"
    """What the loss is given for logits; sampled rows of 0 and 1 are a defect."""
    sampling: SamplingConfig | None = None
    """How rows are drawn in validation; as in [sampling] unless given."""


class SingOptimiserConfig(ConfigTable):
    """`[optimiser]`: Adam at a constant rate."""

    learning_rate: Annotated[float, Field(gt=0, le=1)] = 1e-3
    clip_norm: Annotated[float, Field(gt=0)] | None = None
    """Of the gradient; not clipped unless given."""


class SingRunConfig(ConfigTable):
    """`[run]`: length of the run and of its batches."""

    epochs: Annotated[int, Field(ge=1, le=100_000)] = 30
    batch_segments: Annotated[int, Field(ge=1, le=4096)] = 128
    """Most segments of a batch, all of one length."""
    keep: Literal["best", "last"] = "best"
    """Which epoch is exported."""
    seed: Annotated[int, Field(ge=0)] = 0


class SingConfig(ConfigTable):
    """A training configuration of SING in full."""

    architecture: Literal["sing"] = "sing"
    name: Name = "sing"
    network: SingNetworkConfig = SingNetworkConfig()
    sampling: SamplingConfig = SamplingConfig()
    training: SingTrainingConfig = SingTrainingConfig()
    validation: SingValidationConfig = SingValidationConfig()
    optimiser: SingOptimiserConfig = SingOptimiserConfig()
    run: SingRunConfig = SingRunConfig()

    @property
    def training_sampling(self) -> RowSampling:
        """How own rows are drawn in training."""
        return (self.training.sampling or self.sampling).settings

    @property
    def validation_sampling(self) -> RowSampling:
        """How rows are drawn in validation."""
        return (self.validation.sampling or self.sampling).settings
