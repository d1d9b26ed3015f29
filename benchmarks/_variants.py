"""Networks that differ from the product's in one thing each, and how each is trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from _cells import Cell, Gru, LinearRecurrence, Lstm, LstmAndWindow, State, WindowBlock
from torch import Tensor, nn
from torch.nn import functional

from singcli.model.choice import next_token_table
from singcli.model.contract import (
    BARS_AGO,
    N_NOTE_TOKENS,
    NO_DURATION,
    NO_VELOCITY,
    START,
    STOP,
    NetworkSizes,
)
from singcli.music.score import N_PITCHES
from singcli.training.batches import Batch
from singcli.training.config import NetworkConfig
from singcli.training.networks import NoteNetwork, PointerNetwork, StepInputs, StepNetwork

MakeCell = Callable[[int, int], Cell]

DROPPED_SHARE, FOREIGN_SHARE = 0.1, 0.03  # of the onsets of draft and bar ago
FOREIGN_REACH = 7  # semitones between a foreign note and one that is there
SMOOTHING = 0.05


@dataclass(frozen=True, slots=True)
class Variant:
    """One change of the network or of its training.

    `settings` of `NetworkConfig`; `cell` in place of the LSTM; `blind` inputs of the step part
    that are zero in training and afterwards; `context_bias` whether tokens gain by being in the
    soft context; `norm_seen` and `norm_hidden` layer norms before and after the LSTM; `noise` on
    drafts and `smoothing` of labels in training; `speed_of` another variant of the same speed.
    """

    name: str
    settings: Mapping[str, float] = field(default_factory=dict)
    cell: MakeCell = Lstm
    blind: tuple[str, ...] = ()
    context_bias: bool = True
    norm_seen: bool = False
    norm_hidden: bool = False
    noise: bool = False
    smoothing: float = 0.0
    speed_of: str | None = None


class VariantStep(StepNetwork):
    """The step part with the change of a variant."""

    def __init__(self, sizes: NetworkSizes, dropout: float, variant: Variant) -> None:
        super().__init__(sizes, dropout)
        width = self.lstm.input_size
        del self.lstm
        self.cell = variant.cell(width, sizes.lstm)
        self.norm_seen = nn.LayerNorm(width) if variant.norm_seen else nn.Identity()
        self.norm_hidden = nn.LayerNorm(sizes.lstm) if variant.norm_hidden else nn.Identity()
        self.blind, self.context_bias = variant.blind, variant.context_bias

    def forward(  # type: ignore[override]  # states of any number of tensors
        self, inputs: StepInputs, state: State | None = None
    ) -> tuple[Tensor, Tensor, State]:
        """Run over T steps."""
        inputs = self._shown(inputs)
        seen, sources = self._seen(inputs)
        hidden, state = self.cell(self.norm_seen(seen), state)
        return *self._heads(self.norm_hidden(hidden), sources, inputs), state

    def tick_any(self, inputs: StepInputs, state: State) -> tuple[Tensor, Tensor, State]:
        """Run one step without the axis T."""
        inputs = self._shown(inputs)
        seen, sources = self._seen(inputs)
        hidden, state = self.cell.tick(self.norm_seen(seen), state)
        return *self._heads(self.norm_hidden(hidden), sources, inputs), state

    def _shown(self, inputs: StepInputs) -> StepInputs:
        return inputs._replace(**{k: torch.zeros_like(getattr(inputs, k)) for k in self.blind})

    def _token_bias(self, mixed: Tensor, inputs: StepInputs) -> Tensor:
        if not self.context_bias:
            inputs = inputs._replace(context=torch.zeros_like(inputs.context))
        return super()._token_bias(mixed, inputs)


class SmoothedNote(NoteNetwork):
    """The note part; adds up what the even distribution would cost (`even_nats`)."""

    def __init__(self, sizes: NetworkSizes, dropout: float = 0.0) -> None:
        super().__init__(sizes, dropout)
        self.even_nats: list[Tensor] = []

    def pitch_logits(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Score the next token; the even distribution is over tokens that may follow."""
        logits, gate = super().pitch_logits(*inputs)
        self._add(logits)
        return logits, gate

    def duration_logits(self, *inputs: Tensor) -> Tensor:
        """Score the duration classes."""
        logits = super().duration_logits(*inputs)
        self._add(logits)
        return logits

    def _add(self, logits: Tensor) -> None:
        if self.training:
            allowed = logits > -1e8
            nats = -functional.log_softmax(logits, -1) * allowed
            self.even_nats.append((nats.sum(-1) / allowed.sum(-1)).sum())


def network_of(variant: Variant, seed: int) -> PointerNetwork:
    """Return an untrained network; what variants have in common begins with the same weights."""
    config = NetworkConfig.model_validate(variant.settings)
    torch.manual_seed(seed)
    network = PointerNetwork(config.sizes, config.dropout)
    torch.manual_seed(seed)
    network.step = VariantStep(config.sizes, config.dropout, variant)
    if variant.smoothing:
        note = SmoothedNote(config.sizes, config.dropout)
        note.load_state_dict(network.note.state_dict())
        network.note = note
    return network


def spoil(batch: Batch, rng: np.random.Generator) -> None:
    """Take onsets out of draft and bar ago and put foreign ones in, in place.

    A stand-in for scheduled sampling: a song that is sampled is copied from notes that the network
    chose, not from those of a real song.
    """
    _spoil_rolls(batch, "draft", (0, 1), rng)  # onsets, and with them sounding notes
    for part in range(len(BARS_AGO)):
        _spoil_rolls(batch, "bars_ago", (part,), rng)
    _follow(batch.decisions, batch.arrays["draft"][..., :N_NOTE_TOKENS].astype(bool))


def _spoil_rolls(batch: Batch, name: str, parts: tuple[int, ...], rng: np.random.Generator) -> None:
    """Do it to rolls that lie side by side, as the onsets of the first have it."""
    rolls = batch.arrays[name].astype(bool)
    spoilt = [rolls[..., n * N_NOTE_TOKENS : (n + 1) * N_NOTE_TOKENS] for n in parts]
    onsets = spoilt[0]
    gone = onsets & (rng.random(onsets.shape, np.float32) < DROPPED_SHARE)
    row, step, token = np.nonzero(onsets & (rng.random(onsets.shape, np.float32) < FOREIGN_SHARE))
    voice, place = np.divmod(token, N_PITCHES)
    place += rng.integers(1, FOREIGN_REACH + 1, len(place)) * rng.choice((-1, 1), len(place))
    token = voice * N_PITCHES + place.clip(0, N_PITCHES - 1)
    for roll in spoilt:
        roll[gone] = False
        roll[row, step, token] = True
    batch.arrays[name] = rolls


def _follow(decisions: dict[str, npt.NDArray[np.int64]], onsets: npt.NDArray[np.bool_]) -> None:
    """Let the decisions see the spoilt draft: what comes next in it, and what is in it."""
    row, step, token, last = (decisions[name] for name in ("row", "step", "token", "last"))
    for index, draft in enumerate(onsets):
        mine = row == index
        begin = np.where(last[mine] == START, 0, last[mine] + 1)
        decisions["copied"][mine] = next_token_table(draft)[step[mine], begin]
    there = np.zeros(len(token), bool)
    notes = token != STOP
    there[notes] = onsets[row[notes], step[notes], token[notes]]
    decisions["draft_duration"][~there] = NO_DURATION
    decisions["draft_velocity"][~there] = NO_VELOCITY


def _two_layers(width_in: int, width: int) -> Cell:
    return Lstm(width_in, width, layers=2)


BASE = "base"
VARIANTS: tuple[Variant, ...] = (
    Variant(BASE),
    Variant("gated linear recurrence for the LSTM", cell=LinearRecurrence),
    Variant("wider: LSTM 512, hidden 448", settings={"lstm": 512, "hidden": 448}),
    Variant("no dropout", settings={"dropout": 0.0}, speed_of=BASE),
    Variant("layer norm before the LSTM", norm_seen=True),
    Variant("attention to 32 steps beside the LSTM", cell=LstmAndWindow),
    Variant("GRU for the LSTM", cell=Gru),
    Variant("narrower: LSTM 256, hidden 256", settings={"lstm": 256, "hidden": 256}),
    Variant("layer norm after the LSTM", norm_hidden=True),
    Variant("deeper: two layers of LSTM", cell=_two_layers),
    Variant("one source a beat: no soft context", blind=("context",)),
    Variant("no look-ahead in the draft", blind=("next_draft",)),
    Variant("noise on drafts", noise=True, speed_of=BASE),
    Variant("labels smoothed by 0.05", smoothing=SMOOTHING, speed_of=BASE),
    Variant("attention to 32 steps for the LSTM", cell=WindowBlock),
    Variant("soft context without a token bias", context_bias=False),
)
