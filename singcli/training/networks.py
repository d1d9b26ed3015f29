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

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from singcli.model.contract import (
    LEAD_REACH,
    N_CONTEXT,
    N_DURATIONS,
    N_NOTE_TOKENS,
    N_PLACE,
    N_TOKEN_HINTS,
    N_TOKENS,
    NO_DURATION,
    NO_LEAD,
    START,
    STOP,
    NetworkSizes,
)
from singcli.music.score import N_PITCHES, N_VOICES

MASKED = -1e9
LEAD_EMBEDDING = 24
CONTEXT_EMBEDDING = 32
BASE_GATE_LOGIT = -1.0  # at first a quarter of the notes is copied


class StepInputs(NamedTuple):
    """What the network knows before the notes of each step, all (N, T, ...).

    `previous` onsets of the step before; `carried` notes held over into this step; `draft` and
    `next_draft` onsets then sounding notes of the source of this step and of the next; `bar_ago`
    onsets a bar ago, of this step and of the next; `context` soft chroma; `place` one-hots;
    `grade` similarity to the source; `lead` last pitch (int64); `lead_age`.
    """

    previous: Tensor
    carried: Tensor
    draft: Tensor
    next_draft: Tensor
    bar_ago: Tensor
    context: Tensor
    place: Tensor
    grade: Tensor
    lead: Tensor
    lead_age: Tensor


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
        kept = (drawn >= self.dropped_bytes).to(values.dtype)
        return values * kept.mul_(256 / (256 - self.dropped_bytes))


class StepNetwork(nn.Module):
    """One tick per step: what has been, and the draft -> features for the notes of the step."""

    def __init__(self, sizes: NetworkSizes, dropout: float = 0.0) -> None:
        super().__init__()
        self.roll = nn.Linear(2 * N_NOTE_TOKENS, sizes.roll, bias=False)
        self.draft = nn.Linear(4 * N_NOTE_TOKENS, sizes.draft, bias=False)
        self.bar = nn.Linear(2 * N_NOTE_TOKENS, sizes.bar, bias=False)
        self.context = nn.Linear(N_CONTEXT, CONTEXT_EMBEDDING)
        self.lead = nn.Embedding(NO_LEAD + 1, LEAD_EMBEDDING)
        width = sizes.roll + sizes.draft + sizes.bar + CONTEXT_EMBEDDING + LEAD_EMBEDDING
        self.lstm = nn.LSTM(width + N_PLACE + 3, sizes.lstm, batch_first=True)
        self.mix = nn.Linear(sizes.lstm + sizes.draft + sizes.bar, sizes.lstm)
        self.features = nn.Linear(sizes.lstm, sizes.hidden + sizes.duration)
        self.hints = nn.Linear(sizes.lstm, N_VOICES * N_TOKEN_HINTS)
        self.drop = Dropout(dropout)

    def forward(
        self, inputs: StepInputs, state: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
        """Run over T steps.

        Returns
        -------
        features : Tensor, shape = (N, T, hidden + duration)
        token_bias : Tensor, shape = (N, T, 176)
        state : pair of Tensor, shape = (1, N, lstm)
        """
        seen, draft, bar = self._seen(inputs)
        hidden, state = self.lstm(seen, state)
        return *self._heads(hidden, draft, bar, inputs), state

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
        seen, draft, bar = self._seen(inputs)
        ((from_seen, from_hidden, bias, more_bias),) = self.lstm.all_weights
        gates = functional.linear(
            torch.cat([seen, hidden], -1), torch.cat([from_seen, from_hidden], 1), bias + more_bias
        )
        admit, forget, candidate, reveal = gates.chunk(4, -1)
        cell = forget.sigmoid() * cell + admit.sigmoid() * candidate.tanh()
        hidden = reveal.sigmoid() * cell.tanh()
        return *self._heads(hidden, draft, bar, inputs), hidden, cell

    def _seen(self, inputs: StepInputs) -> tuple[Tensor, Tensor, Tensor]:
        """Return the LSTM's input, and the embeddings of the draft and of a bar ago."""
        draft = self.draft(torch.cat([inputs.draft, inputs.next_draft], -1))
        bar = self.bar(inputs.bar_ago)
        seen = torch.cat(
            [
                self.roll(torch.cat([inputs.previous, inputs.carried], -1)),
                draft,
                bar,
                self.context(inputs.context),
                self.lead(inputs.lead),
            ],
            -1,
        )
        plain = torch.cat([inputs.place, inputs.grade, inputs.lead_age], -1)
        return torch.cat([self.drop(seen), plain], -1), draft, bar

    def _heads(
        self, hidden: Tensor, draft: Tensor, bar: Tensor, inputs: StepInputs
    ) -> tuple[Tensor, Tensor]:
        """Return features and token bias."""
        mixed = functional.gelu(self.mix(torch.cat([self.drop(hidden), draft, bar], -1)))
        mixed = self.drop(mixed)
        return self.features(mixed), self._token_bias(mixed, inputs)

    def _token_bias(self, mixed: Tensor, inputs: StepInputs) -> Tensor:
        """Weigh what each token did in the draft, a bar ago and just now, voice by voice."""
        onset, sounding = inputs.draft.split(N_NOTE_TOKENS, -1)
        hints = torch.stack(
            [onset, sounding, inputs.bar_ago[..., :N_NOTE_TOKENS], inputs.carried], -2
        )  # (N, T, hint, 176)
        hints = hints.unflatten(-1, (N_VOICES, N_PITCHES))  # (N, T, hint, voice, pitch)
        weight = self.hints(mixed).unflatten(-1, (N_TOKEN_HINTS, N_VOICES)).unsqueeze(-1)
        bias: Tensor = (hints * weight).sum(-3)
        return bias.flatten(-2)


class NoteNetwork(nn.Module):
    """One tick per note: features of the step and its notes so far -> the next note or STOP.

    The first layers are sums of embeddings, so that a decision costs one matrix product.
    """

    token_order: Tensor
    lead_offset: Tensor

    def __init__(self, sizes: NetworkSizes, dropout: float = 0.0) -> None:
        super().__init__()
        self.split = (sizes.hidden, sizes.duration)
        self.chosen = nn.Embedding(N_TOKENS + 1, sizes.hidden)
        self.last = nn.Embedding(N_TOKENS + 1, sizes.hidden)
        self.counts = nn.Linear(2, sizes.hidden)
        self.hidden = nn.Linear(sizes.hidden, sizes.hidden)
        self.pitch = nn.Linear(sizes.hidden, N_TOKENS)
        self.interval = nn.Linear(sizes.hidden, 2 * LEAD_REACH + 1)
        self.gate = nn.Linear(sizes.hidden, 1)
        self.duration_token = nn.Embedding(N_TOKENS + 1, sizes.duration)
        self.duration_draft = nn.Embedding(N_DURATIONS + 1, sizes.duration)
        self.duration_hidden = nn.Linear(sizes.duration, sizes.duration)
        self.duration = nn.Linear(sizes.duration, N_DURATIONS)
        self.duration_copy = nn.Parameter(torch.tensor(2.0))
        self.drop = Dropout(dropout)
        self.register_buffer("token_order", torch.arange(N_NOTE_TOKENS), persistent=False)
        self.register_buffer(
            "lead_offset", torch.arange(N_PITCHES - 1, -1, -1) + LEAD_REACH, persistent=False
        )
        nn.init.constant_(self.gate.bias, BASE_GATE_LOGIT)
        for table in (self.chosen, self.last, self.duration_token, self.duration_draft):
            nn.init.normal_(table.weight, std=0.1)

    def pitch_logits(
        self,
        features: Tensor,
        token_bias: Tensor,
        chosen: Tensor,
        last_token: Tensor,
        draft_onsets: Tensor,
        lead: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Score the next token.

        Parameters
        ----------
        features : Tensor, shape = (M, hidden + duration)
        token_bias, draft_onsets : Tensor, shape = (M, 176)
        chosen : Tensor, shape = (M, hidden)
            Sum of the `chosen` embeddings of the step's notes so far.
        last_token, lead : Tensor, shape = (M,), int64
            `START` before the first note; last lead pitch before this step or `NO_LEAD`.

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
        first = features[:, : self.split[0]] + chosen + self.last(last_token) + self.counts(counts)
        hidden = functional.gelu(self.hidden(self.drop(functional.gelu(first))))
        hidden = self.drop(hidden)
        logits = self.pitch(hidden)
        offset = (self.lead_offset - lead.unsqueeze(-1)).clamp(0, 2 * LEAD_REACH)  # (M, 88)
        melodic = self.interval(hidden).gather(1, offset) * (lead != NO_LEAD).unsqueeze(-1)
        notes = logits[:, :N_NOTE_TOKENS] + token_bias
        notes = torch.cat([notes[:, :N_PITCHES] + melodic, notes[:, N_PITCHES:]], -1)
        notes = torch.where(allowed, notes, MASKED)
        return torch.cat([notes, logits[:, STOP:]], -1), self.gate(hidden).squeeze(-1)

    def duration_logits(self, features: Tensor, token: Tensor, draft_duration: Tensor) -> Tensor:
        """Score the duration classes of `token`, biased to its duration in the draft.

        Returns
        -------
        Tensor, shape = (M, N_DURATIONS)
        """
        first = features[:, self.split[0] :] + self.duration_token(token)
        first = functional.gelu(first + self.duration_draft(draft_duration))
        hidden = functional.gelu(self.duration_hidden(self.drop(first)))
        copied = functional.one_hot(draft_duration, NO_DURATION + 1)[:, :N_DURATIONS]
        logits: Tensor = self.duration(hidden) + self.duration_copy * copied
        return logits


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
