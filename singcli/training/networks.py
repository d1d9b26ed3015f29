"""The pointer network: an LSTM over steps and a pointer-generator over the notes of a step.

Conventions
-----------
N songs, T steps, M decisions. Rolls have their 176 columns in token order; sizes as in
`singcli.model.contract`.

References
----------
See, Liu, Manning, "Get to the point: summarization with pointer-generator networks" (ACL 2017).
Hager, Hablutzel, Kinnaird, "SING" (2024): the user's self-similarity matrix as attention.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from singcli.model.contract import (
    BARS_AGO,
    N_ARTICULATION,
    N_CONTEXT,
    N_DURATIONS,
    N_NOTE_TOKENS,
    N_PLACE,
    N_TOKEN_HINTS,
    N_TOKENS,
    N_VELOCITIES,
    NO_BASS,
    NO_DURATION,
    NO_LEAD,
    REACH,
    START,
    NetworkSizes,
)
from singcli.music.score import N_PITCHES, N_VOICES

MASKED = -1e9
N_INTERVALS = 2 * REACH + 1
PITCH_EMBEDDING = 24
BASE_GATE_LOGIT = -1.0  # at first a quarter of the notes is copied


class StepInputs(NamedTuple):
    """What the network knows before the notes of each step, all (N, T, ...).

    `previous` onsets of the step before; `carried` notes held over into this step; `draft` and
    `next_draft` onsets then sounding notes of the source of this step and of the next; `bars_ago`
    onsets 1, 2 and 4 bars ago, of this step and of the next; `context` onsets and sounding notes
    weighted by the SSM; `place` one-hots; `grade` similarity to the source; `loudness` of both
    voices; `articulation` of the lead; `lead` last pitch (int64); `lead_age`; `bass` last pitch
    (int64).
    """

    previous: Tensor
    carried: Tensor
    draft: Tensor
    next_draft: Tensor
    bars_ago: Tensor
    context: Tensor
    place: Tensor
    grade: Tensor
    loudness: Tensor
    articulation: Tensor
    lead: Tensor
    lead_age: Tensor
    bass: Tensor


class Dropout(nn.Module):
    """Inverted dropout whose mask comes from random bytes.

    `torch.nn.Dropout` draws a random number for every value, a seventh of the training time on a
    CPU; a byte is enough, and eight of them come out of one draw. The rate is rounded to 1/256.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.dropped_bytes = round(rate * 256)

    def forward(self, values: Tensor) -> Tensor:
        """Drop values in training, pass them on in evaluation."""
        if not self.training or self.dropped_bytes == 0:
            return values
        size = values.numel()
        words = torch.empty((size + 7) // 8, dtype=torch.int64, device=values.device)
        drawn = words.random_(-(2**63), None).view(torch.uint8)[:size].view(values.shape)
        kept = torch.ge(drawn, self.dropped_bytes, out=torch.empty_like(values))
        return values * kept.mul_(256 / (256 - self.dropped_bytes))


class StepNetwork(nn.Module):
    """One tick per step: what has been, and the draft -> features for the notes of the step."""

    def __init__(self, sizes: NetworkSizes, dropout: float = 0.0) -> None:
        super().__init__()
        self.roll = nn.Linear(2 * N_NOTE_TOKENS, sizes.roll, bias=False)
        self.draft = nn.Linear(4 * N_NOTE_TOKENS, sizes.draft, bias=False)
        self.bar = nn.Linear(2 * len(BARS_AGO) * N_NOTE_TOKENS, sizes.bar, bias=False)
        self.context = nn.Linear(N_CONTEXT, sizes.context, bias=False)
        self.lead = nn.Embedding(NO_LEAD + 1, PITCH_EMBEDDING)
        self.bass = nn.Embedding(NO_BASS + 1, PITCH_EMBEDDING)
        sources = sizes.draft + sizes.bar + sizes.context
        plain = N_PLACE + 3 + N_VOICES + N_ARTICULATION
        width = sizes.roll + sources + 2 * PITCH_EMBEDDING + plain
        self.lstm = nn.LSTM(width, sizes.lstm, batch_first=True)
        self.mix = nn.Linear(sizes.lstm + sources, sizes.lstm)
        self.features = nn.Linear(sizes.lstm, sizes.features)
        self.hints = nn.Linear(sizes.lstm, N_VOICES * N_TOKEN_HINTS)
        self.drop = Dropout(dropout)

    def forward(
        self, inputs: StepInputs, state: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
        """Run over T steps.

        Returns
        -------
        features : Tensor, shape = (N, T, hidden + duration + velocity)
        token_bias : Tensor, shape = (N, T, 176)
        state : pair of Tensor, shape = (1, N, lstm)
        """
        seen, sources = self._seen(inputs)
        hidden, state = self.lstm(seen, state)
        return *self._heads(hidden, sources, inputs), state

    def tick(
        self, inputs: StepInputs, hidden: Tensor, cell: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Run one step without the axis T, the LSTM spelled out: what the exported graph does.

        Parameters
        ----------
        hidden, cell : Tensor, shape = (N, lstm)

        Returns
        -------
        features, token_bias, hidden, cell : Tensor
            As `forward`.
        """
        seen, sources = self._seen(inputs)
        ((from_seen, from_hidden, bias, more_bias),) = self.lstm.all_weights
        gates = functional.linear(
            torch.cat([seen, hidden], -1), torch.cat([from_seen, from_hidden], 1), bias + more_bias
        )
        admit, forget, candidate, reveal = gates.chunk(4, -1)
        cell = forget.sigmoid() * cell + admit.sigmoid() * candidate.tanh()
        hidden = reveal.sigmoid() * cell.tanh()
        return *self._heads(hidden, sources, inputs), hidden, cell

    def _seen(self, inputs: StepInputs) -> tuple[Tensor, Tensor]:
        """Return the LSTM's input, and the embeddings of draft, bars ago and context in it."""
        sources = torch.cat(
            [
                self.draft(torch.cat([inputs.draft, inputs.next_draft], -1)),
                self.bar(inputs.bars_ago),
                self.context(inputs.context),
            ],
            -1,
        )
        roll = self.roll(torch.cat([inputs.previous, inputs.carried], -1))
        seen = torch.cat([roll, sources, self.lead(inputs.lead), self.bass(inputs.bass)], -1)
        plain = torch.cat(
            [inputs.place, inputs.grade, inputs.loudness, inputs.lead_age, inputs.articulation], -1
        )
        return torch.cat([self.drop(seen), plain], -1), sources

    def _heads(self, hidden: Tensor, sources: Tensor, inputs: StepInputs) -> tuple[Tensor, Tensor]:
        """Return features and token bias."""
        mixed = functional.gelu(self.mix(torch.cat([self.drop(hidden), sources], -1)))
        mixed = self.drop(mixed)
        return self.features(mixed), self._token_bias(mixed, inputs)

    def _token_bias(self, mixed: Tensor, inputs: StepInputs) -> Tensor:
        """Weigh what each token did in draft, just now, context and bars ago, voice by voice."""
        before = inputs.bars_ago[..., : len(BARS_AGO) * N_NOTE_TOKENS]
        hints = torch.cat([inputs.draft, inputs.carried, inputs.context, before], -1)
        weights = self.hints(mixed).unflatten(-1, (N_TOKEN_HINTS, N_VOICES, 1))
        weighted = hints.unflatten(-1, (N_TOKEN_HINTS, N_VOICES, N_PITCHES)) * weights
        # One after the other: onnxruntime sums over an axis in an order that depends on the batch.
        bias: Tensor = functools.reduce(torch.add, weighted.split(1, -3))
        return bias.flatten(-3)


class NoteNetwork(nn.Module):
    """One tick per note: features of the step and its notes so far -> the next note or STOP.

    The first layers are sums of embeddings, so that a decision costs one matrix product.
    """

    token_order: Tensor
    lead_places: Tensor
    bass_places: Tensor
    nothing: Tensor

    def __init__(self, sizes: NetworkSizes, dropout: float = 0.0) -> None:
        super().__init__()
        self.parts = (sizes.hidden, sizes.duration, sizes.velocity)
        self.chosen = nn.Embedding(N_TOKENS + 1, sizes.hidden)
        self.last = nn.Embedding(N_TOKENS + 1, sizes.hidden)
        self.counts = nn.Linear(2, sizes.hidden)
        self.hidden = nn.Linear(sizes.hidden, sizes.hidden)
        self.pitch = nn.Linear(sizes.hidden, N_TOKENS)
        self.lead_interval = nn.Linear(sizes.hidden, N_INTERVALS)
        self.bass_interval = nn.Linear(sizes.hidden, N_INTERVALS)
        self.gate = nn.Linear(sizes.hidden, 1)
        self.duration_token = nn.Embedding(N_TOKENS + 1, sizes.duration)
        self.duration_draft = nn.Embedding(N_DURATIONS + 1, sizes.duration)
        self.duration_hidden = nn.Linear(sizes.duration, sizes.duration)
        self.duration = nn.Linear(sizes.duration, N_DURATIONS)
        self.duration_chord = nn.Embedding(N_DURATIONS + 1, sizes.duration)
        self.duration_copy = nn.Parameter(torch.tensor(2.0))
        self.velocity_token = nn.Embedding(N_TOKENS + 1, sizes.velocity)
        self.velocity_draft = nn.Embedding(N_VELOCITIES + 1, sizes.velocity)
        self.velocity_voice = nn.Embedding(N_VELOCITIES + 1, sizes.velocity)
        self.velocity = nn.Linear(sizes.velocity, N_VELOCITIES)
        self.drop = Dropout(dropout)
        self.register_buffer("token_order", torch.arange(N_NOTE_TOKENS), persistent=False)
        places = {"lead_places": interval_places().flip(1)}
        places["bass_places"] = interval_places() + N_INTERVALS
        for name, place in places.items():
            place[N_PITCHES] = 2 * N_INTERVALS  # from no pitch: the zero behind all of them
            self.register_buffer(name, place, persistent=False)
        self.register_buffer("nothing", torch.zeros(1, sizes.hidden), persistent=False)
        nn.init.constant_(self.gate.bias, BASE_GATE_LOGIT)
        for table in self.children():
            if isinstance(table, nn.Embedding):
                nn.init.normal_(table.weight, std=0.1)

    def pitch_logits(
        self,
        features: Tensor,
        token_bias: Tensor,
        chosen: Tensor,
        last_token: Tensor,
        draft_onsets: Tensor,
        lead: Tensor,
        bass: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Score the next token.

        Parameters
        ----------
        features : Tensor, shape = (M, hidden)
        token_bias, draft_onsets : Tensor, shape = (M, 176)
        chosen : Tensor, shape = (M, hidden)
            Sum of the `chosen` embeddings of the step's notes so far.
        last_token, lead, bass : Tensor, shape = (M,), int64
            `START` before the first note; last pitches before this step or `NO_LEAD`, `NO_BASS`.

        Returns
        -------
        logits : Tensor, shape = (M, N_TOKENS)
            Tokens that cannot follow are at `MASKED`.
        gate : Tensor, shape = (M,)
            Log odds of copying the next note of the draft.
        """
        last = torch.where(last_token == START, -1, last_token).unsqueeze(-1)
        allowed = self.token_order > last  # (M, 176)
        remaining = (draft_onsets * allowed).sum(-1)
        counts = torch.stack([remaining, draft_onsets.sum(-1)], -1) / 4
        first = features + chosen + self.last(last_token) + self.counts(counts)
        hidden = functional.gelu(self.hidden(self.drop(functional.gelu(first))))
        notes, stop, gate, intervals = self._heads(self.drop(hidden))
        place = torch.cat(
            [self.lead_places.index_select(0, lead), self.bass_places.index_select(0, bass)], -1
        )
        notes = notes + token_bias + intervals.gather(1, place)
        notes = torch.where(allowed, notes, MASKED)
        return torch.cat([notes, stop], -1), gate.squeeze(-1)

    def _heads(self, hidden: Tensor) -> Sequence[Tensor]:
        """Return the logits of notes, STOP and gate, and of intervals with a zero behind.

        One product for all of them.
        """
        heads = (self.pitch, self.gate, self.lead_interval, self.bass_interval)
        weights = torch.cat([*(head.weight for head in heads), self.nothing])
        bias = torch.cat([*(head.bias for head in heads), self.nothing[0, :1]])
        sizes = (N_NOTE_TOKENS, 1, 1, 2 * N_INTERVALS + 1)
        logits: Sequence[Tensor] = functional.linear(hidden, weights, bias).split(sizes, -1)
        return logits

    def duration_logits(
        self, features: Tensor, token: Tensor, draft_duration: Tensor, chord_duration: Tensor
    ) -> Tensor:
        """Score the duration classes of `token`, biased to its duration in the draft.

        Parameters
        ----------
        features : Tensor, shape = (M, duration)
        draft_duration, chord_duration : Tensor, shape = (M,), int64
            Of the token in the draft, and of the note before it in the step, or `NO_DURATION`.

        Returns
        -------
        Tensor, shape = (M, N_DURATIONS)
        """
        first = features + self.duration_token(token)
        first = first + self.duration_draft(draft_duration) + self.duration_chord(chord_duration)
        first = functional.gelu(first)
        hidden = functional.gelu(self.duration_hidden(self.drop(first)))
        copied = functional.one_hot(draft_duration, NO_DURATION + 1)[:, :N_DURATIONS]
        logits: Tensor = self.duration(hidden) + self.duration_copy * copied
        return logits

    def velocity_logits(
        self, features: Tensor, token: Tensor, draft_velocity: Tensor, voice_velocity: Tensor
    ) -> Tensor:
        """Score the velocity classes of `token`.

        Parameters
        ----------
        features : Tensor, shape = (M, velocity)
        draft_velocity, voice_velocity : Tensor, shape = (M,), int64
            Of the token in the draft, and of the latest note of its voice, or `NO_VELOCITY`.

        Returns
        -------
        Tensor, shape = (M, N_VELOCITIES)
        """
        first = features + self.velocity_token(token)
        first = first + self.velocity_draft(draft_velocity) + self.velocity_voice(voice_velocity)
        logits: Tensor = self.velocity(functional.gelu(first))
        return logits


def interval_places() -> Tensor:
    """Return which interval from a last pitch each pitch is, shape = (N_PITCHES + 1, 88)."""
    pitch = torch.arange(N_PITCHES)
    return (pitch - torch.arange(N_PITCHES + 1)[:, None] + REACH).clamp(0, N_INTERVALS - 1)


class PointerNetwork(nn.Module):
    """Step and note network together."""

    def __init__(self, sizes: NetworkSizes, dropout: float = 0.0) -> None:
        super().__init__()
        self.sizes = sizes
        self.step = StepNetwork(sizes, dropout)
        self.note = NoteNetwork(sizes, dropout)


def copy_log_probs(logits: Tensor, gate: Tensor, copied: Tensor, token: Tensor) -> Tensor:
    """Return the log probability of `token` under the mixture of generating and copying.

    Parameters
    ----------
    logits : Tensor, shape = (M, N_TOKENS)
    gate : Tensor, shape = (M,)
    copied, token : Tensor, shape = (M,), int64
        What the draft says comes next (a note or STOP), and what came.
    """
    generated = functional.log_softmax(logits, -1).gather(1, token.unsqueeze(-1)).squeeze(-1)
    generated = generated + functional.logsigmoid(-gate)
    pointed = functional.logsigmoid(gate)
    return torch.where(copied == token, torch.logaddexp(generated, pointed), generated)
