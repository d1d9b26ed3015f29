"""The floor of training: the products of matrices that a step takes, and nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch  # noqa: TID253
from torch import nn  # noqa: TID253

from singcli.training.config import TrainConfig
from singcli.training.networks import PointerNetwork

REPETITIONS = 12
SHORTER = (torch.bfloat16, torch.float16)
GIVEN = ("roll", "draft", "bar", "context", "counts")  # layers whose inputs are not learned


@dataclass(frozen=True, slots=True)
class Product:
    """Rows of `width` times a matrix to rows of `out`, `per_step` rows a step.

    `at_once` rows are multiplied in one call; the gradient of the weights takes all rows of a
    chunk at once in any case. `is_learned` says whether the inputs have a gradient, too.
    """

    width: int
    out: int
    per_step: float
    at_once: int
    is_learned: bool = True

    @property
    def multiply_adds(self) -> float:
        """Of one step: forward, gradient of the weights and gradient of the inputs."""
        return self.per_step * self.width * self.out * (3 if self.is_learned else 2)


def products(
    config: TrainConfig, *, decisions: float, notes: float, processes: int
) -> list[Product]:
    """List the products of one process.

    Parameters
    ----------
    decisions, notes : float > 0
        Of a step.
    """
    songs = max(1, config.run.batch_songs // processes)
    network = PointerNetwork(config.network.sizes)
    steps = songs * config.run.chunk_steps

    def linear(layer: nn.Linear, per_step: float, *, name: str = "") -> Product:
        rows = round(steps * per_step)
        return Product(layer.in_features, layer.out_features, per_step, rows, name not in GIVEN)

    note = network.note
    heads = (note.pitch, note.lead_interval, note.bass_interval, note.gate)
    one = sum(head.out_features for head in heads)
    lstm = network.step.lstm
    return [
        *(
            linear(layer, 1.0, name=name)
            for name, layer in network.step.named_children()
            if isinstance(layer, nn.Linear)
        ),
        Product(lstm.input_size, 4 * lstm.hidden_size, 1.0, steps),
        Product(lstm.hidden_size, 4 * lstm.hidden_size, 1.0, songs),
        linear(note.counts, decisions, name="counts"),
        linear(note.hidden, decisions),
        Product(note.hidden.out_features, one, decisions, round(steps * decisions)),
        *(linear(x, notes) for x in (note.duration_hidden, note.duration, note.velocity)),
    ]


def seconds_of(product: Product, steps: int, kind: torch.dtype = torch.float32) -> float:
    """Return the processor time that a product takes in a chunk, forward and backward."""
    rows = round(steps * product.per_step)
    calls = rows / product.at_once

    def numbers(*shape: int) -> torch.Tensor:
        return torch.randn(shape).to(kind)

    inputs, weights = numbers(product.at_once, product.width), numbers(product.out, product.width)
    gradient = numbers(product.at_once, product.out)
    all_inputs, all_gradients = numbers(rows, product.width), numbers(rows, product.out)
    seconds = calls * _least(lambda: torch.mm(inputs, weights.t()))
    seconds += _least(lambda: torch.mm(all_gradients.t(), all_inputs))
    if product.is_learned:
        seconds += calls * _least(lambda: torch.mm(gradient, weights))
    return seconds


def _least(multiply: Callable[[], torch.Tensor]) -> float:
    """Return the least processor time of a call, in seconds; short calls several at a time."""
    begun = time.process_time()
    multiply()
    calls = max(1, round(0.002 / max(time.process_time() - begun, 1e-6)))
    least = float("inf")
    for _ in range(REPETITIONS):
        begun = time.process_time()
        for _ in range(calls):
            multiply()
        least = min(least, (time.process_time() - begun) / calls)
    return least


@dataclass(frozen=True, slots=True)
class Floor:
    """Of a step: multiply-adds, and processor time of its products alone in seconds.

    `shorter` is the time with inputs, weights and gradients in 16 bits, by the type's name.
    """

    multiply_adds: float
    seconds: float
    shorter: dict[str, float]

    @property
    def gflops(self) -> float:
        """Billions of operations a second, two for each multiply-add."""
        return 2e-9 * self.multiply_adds / self.seconds


def measure_floor(config: TrainConfig, *, decisions: float, notes: float, processes: int) -> Floor:
    """Time the products of a step, each alone, in this process with one thread."""
    listed = products(config, decisions=decisions, notes=notes, processes=processes)
    steps = max(1, config.run.batch_songs // processes) * config.run.chunk_steps

    def seconds(kind: torch.dtype) -> float:
        return sum(seconds_of(product, steps, kind) for product in listed) / steps

    return Floor(
        sum(product.multiply_adds for product in listed),
        seconds(torch.float32),
        {str(kind).removeprefix("torch."): seconds(kind) for kind in SHORTER},
    )
