"""Train the row LSTM of the benchmark's likelihoods and write it as one ONNX file.

It is made to judge, so it shares nothing with what it judges: no matrix, no attention, no sampling.
Every transposition is as likely as every other to be shown, which a small corpus needs.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import ModelProto, TensorProto, helper, numpy_helper
from torch import Tensor, nn
from torch.nn import functional

from singcli import __version__
from singcli.errors import InputError, SingError
from singcli.files import validate_new_file, write_bytes
from singcli.model.contract import CARD_KEY
from singcli.model.row_scorer import CARD_VERSION, ROW_SCORER, RowScorer
from singcli.row_dataset import RowDataset
from singcli.structure.row_ssm import N_ROW_PITCHES, Roll
from singcli.training.graph import IR_VERSION, OPSET

WINDOW_ROWS = 256
BATCH_WINDOWS = 16
TRANSPOSITIONS = (-5, 7)  # semitones, the end excluded
CLIP_NORM = 1.0
RARE = -3.5  # logit of three or four pitches of 128
PARITY_TOLERANCE = 1e-3  # nats a row, float32 summed in another order

OnEpoch = Callable[[int, int, float], None]


@dataclass(frozen=True, slots=True)
class ScorerReport:
    """What was trained: nats a row of the validation split after each epoch, and the seconds."""

    path: Path
    nats_per_row: tuple[float, ...]
    seconds: float


class ScorerNetwork(nn.Module):
    """An LSTM over rows, and one layer that says of every pitch whether it comes next.

    That layer sees the row before as well, so that what is merely held is learnt at once.
    """

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(N_ROW_PITCHES, hidden)
        self.output = nn.Linear(hidden + N_ROW_PITCHES, N_ROW_PITCHES)
        nn.init.constant_(self.output.bias, RARE)

    def forward(self, previous: Tensor) -> Tensor:
        """Return the logits of every row from the row before each, both (n_rows, n, 128)."""
        logits: Tensor = self.output(torch.cat([self.lstm(previous)[0], previous], dim=-1))
        return logits


def train_scorer(
    data: Path,
    out: Path,
    *,
    hidden: int = 256,
    epochs: int = 8,
    seed: int = 0,
    learning_rate: float = 2e-3,
    overwrite: bool = False,
    on_epoch: OnEpoch = lambda _done, _epochs, _nats: None,
) -> ScorerReport:
    """Train on the train split of a row dataset and keep the epoch that validates best.

    Parameters
    ----------
    data : Path
        A row dataset.
    out : Path
        The `.onnx` to write.
    hidden, epochs : int > 0
    seed : int >= 0
    learning_rate : float > 0
        The highest; it rises to it and falls again.
    on_epoch : callable
        Called as (epochs done, epochs, nats a row of the validation split).

    Raises
    ------
    InputError
        If the dataset has no train or validation segments, or `out` may not be written.
    """
    validate_new_file(out, overwrite=overwrite)
    dataset = RowDataset.open(data)
    train, held_out = (
        [segment.roll for segment in dataset.segments(split)] for split in ("train", "validation")
    )
    if not train or not held_out:
        raise InputError(f"{data}: a scorer needs train and validation segments", "prepare more")
    started = time.perf_counter()
    network, history = _fitted(train, held_out, hidden, epochs, seed, learning_rate, on_epoch)
    card = {
        "architecture": ROW_SCORER,
        "version": CARD_VERSION,
        "licence": "\n\n".join(dataset.licences.values()),
        "training": {
            "hidden": hidden,
            "epochs": epochs,
            "seed": seed,
            "segments": len(train),
            "rows": sum(map(len, train)),
            "validation_nats_per_row": history,
        },
    }
    _write(out, network, card, held_out[0])
    return ScorerReport(out, tuple(history), time.perf_counter() - started)


def _fitted(
    train: Sequence[Roll],
    held_out: Sequence[Roll],
    hidden: int,
    epochs: int,
    seed: int,
    learning_rate: float,
    on_epoch: OnEpoch,
) -> tuple[ScorerNetwork, list[float]]:
    rng = np.random.default_rng(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = ScorerNetwork(hidden)
    optimiser = torch.optim.AdamW(network.parameters(), lr=learning_rate)
    n_batches = sum(1 for _ in _batches(train, np.random.default_rng(seed)))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, learning_rate, total_steps=epochs * (n_batches + 1)
    )
    best, history = copy.deepcopy(network.state_dict()), list[float]()
    for epoch in range(epochs):
        for rows, lengths in _batches(train, rng):
            loss = _nats(network, rows, lengths).sum() / lengths.sum()
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), CLIP_NORM)
            optimiser.step()
            if schedule.last_epoch < schedule.total_steps - 1:
                schedule.step()
        history.append(_validated(network, held_out))
        if history[-1] == min(history):
            best = copy.deepcopy(network.state_dict())
        on_epoch(epoch + 1, epochs, history[-1])
    network.load_state_dict(best)
    return network.eval(), history


def _batches(rolls: Sequence[Roll], rng: np.random.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield all rows once, in windows from a random place on, each transposed at random."""
    windows = []
    for roll in rolls:
        edges = [0, *range(int(rng.integers(1, WINDOW_ROWS + 1)), len(roll), WINDOW_ROWS)]
        ends = [*edges[1:], len(roll)]
        windows += [roll[first:end] for first, end in zip(edges, ends, strict=True)]
    order = rng.permutation(len(windows))
    for first in range(0, len(order), BATCH_WINDOWS):
        chosen = [windows[index] for index in order[first : first + BATCH_WINDOWS]]
        shifts = rng.integers(*TRANSPOSITIONS, len(chosen))
        yield _stacked(
            [transposed(roll, int(shift)) for roll, shift in zip(chosen, shifts, strict=True)]
        )


def transposed(roll: Roll, semitones: int) -> Roll:
    """Return a roll moved by some semitones; what would leave the 128 pitches is left out."""
    moved = np.zeros_like(roll)
    low, high = max(semitones, 0), N_ROW_PITCHES + min(semitones, 0)
    moved[:, low:high] = roll[:, low - semitones : high - semitones]
    return moved


def _stacked(rolls: Sequence[Roll]) -> tuple[Tensor, Tensor]:
    """Return rolls side by side, zeros after the shorter ones: (n_rows, n, 128), lengths (n,)."""
    lengths = [len(roll) for roll in rolls]
    rows = np.zeros((max(lengths), len(rolls), N_ROW_PITCHES), np.float32)
    for column, roll in enumerate(rolls):
        rows[: len(roll), column] = roll
    return torch.from_numpy(rows), torch.tensor(lengths)


def _nats(network: ScorerNetwork, rows: Tensor, lengths: Tensor) -> Tensor:
    """Return the nats of each roll, shape (n,)."""
    previous = torch.cat([torch.zeros_like(rows[:1]), rows[:-1]])
    nats = functional.binary_cross_entropy_with_logits(network(previous), rows, reduction="none")
    inside = torch.arange(len(rows))[:, None] < lengths  # (n_rows, n)
    return (nats.sum(dim=-1) * inside).sum(dim=0)


@torch.no_grad()
def _validated(network: ScorerNetwork, rolls: Sequence[Roll]) -> float:
    ordered = sorted(rolls, key=len)
    total = 0.0
    for first in range(0, len(ordered), BATCH_WINDOWS):
        total += float(_nats(network, *_stacked(ordered[first : first + BATCH_WINDOWS])).sum())
    return total / sum(map(len, rolls))


def _write(out: Path, network: ScorerNetwork, card: dict[str, Any], sample: Roll) -> None:
    """Write the file whole, after its likelihoods were compared with torch's."""
    content = model_from_scorer(network, json.dumps(card, sort_keys=True)).SerializeToString()
    scorer = RowScorer.from_bytes(content, source=str(out))
    difference = abs(scorer.nats_per_row([sample], n_given=0)[0] - _validated(network, [sample]))
    if difference > PARITY_TOLERANCE:
        raise SingError(f"{out}: not written, it differs from torch by {difference:.2g} nats a row")
    write_bytes(out, content, durable=True)


def model_from_scorer(network: ScorerNetwork, card: str) -> ModelProto:
    """Return the network as an ONNX graph."""
    state = {name: value.detach().numpy() for name, value in network.state_dict().items()}
    hidden = network.lstm.hidden_size
    bias = np.concatenate([_gates(state["lstm.bias_ih_l0"]), _gates(state["lstm.bias_hh_l0"])])
    weights = {
        "W": _gates(state["lstm.weight_ih_l0"])[None],  # (1, 4 hidden, 128)
        "R": _gates(state["lstm.weight_hh_l0"])[None],  # (1, 4 hidden, hidden)
        "B": bias[None],  # (1, 8 hidden)
        "output": state["output.weight"].T.copy(),
        "bias": state["output.bias"],
        "direction": np.array([1], np.int64),
    }
    nodes = [
        helper.make_node("LSTM", ["previous", "W", "R", "B"], ["states"], hidden_size=hidden),
        helper.make_node("Squeeze", ["states", "direction"], ["hidden"]),
        helper.make_node("Concat", ["hidden", "previous"], ["seen"], axis=-1),
        helper.make_node("MatMul", ["seen", "output"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["logits"]),
    ]
    shape: list[str | int | None] = ["rows", "n", N_ROW_PITCHES]
    model = helper.make_model(
        helper.make_graph(
            nodes,
            ROW_SCORER,
            [helper.make_tensor_value_info("previous", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, shape)],
            [numpy_helper.from_array(value, name) for name, value in weights.items()],
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="singcli",
        producer_version=__version__,
    )
    helper.set_model_props(model, {CARD_KEY: card})
    onnx.checker.check_model(model)
    return model


def _gates(values: np.ndarray[Any, np.dtype[np.float32]]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Bring torch's gates (input, forget, cell, output) into ONNX's order (i, o, f, c)."""
    input_, forget, cell, output = np.split(values, 4)
    return np.concatenate([input_, output, forget, cell])
