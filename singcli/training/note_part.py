"""The note part as it is exported: the note network with as few operators as it can be said in.

One decision of one song is so small that the number of operators tells, not what they compute. So
what a token alone decides lies in tables, all heads are one product, and what is added is added at
once. `parity_error` compares it with the network that was trained.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from singcli.model.contract import N_DURATIONS, N_NOTE_TOKENS, N_TOKENS, STOP
from singcli.music.score import N_PITCHES
from singcli.training.networks import MASKED, N_INTERVALS, NoteNetwork, interval_places

_LEAD_HEAD, _BASS_HEAD = N_TOKENS, N_TOKENS + N_INTERVALS  # where their logits begin
_GATE, _NOTHING = N_TOKENS + 2 * N_INTERVALS, N_TOKENS + 2 * N_INTERVALS + 1


class FusedNotePart(nn.Module):
    """One decision of the note network; adds the last token to the step's sum on the way."""

    may_follow: Tensor
    strikes: Tensor
    lead_place: Tensor
    bass_place: Tensor
    same_duration: Tensor
    nothing: Tensor

    def __init__(self, network: NoteNetwork) -> None:
        super().__init__()
        self.network = network
        token = torch.arange(N_TOKENS + 1)[:, None]
        after_start = torch.where(token > STOP, -1, token)
        self.register_buffer("may_follow", torch.arange(N_NOTE_TOKENS) > after_start)
        self.register_buffer("strikes", (token < STOP).float())
        self.register_buffer("lead_place", _LEAD_HEAD + interval_places().flip(1))
        self.register_buffer("bass_place", _BASS_HEAD + interval_places())
        self.register_buffer("same_duration", torch.eye(N_DURATIONS + 1, N_DURATIONS))
        self.register_buffer("nothing", torch.zeros(1, network.parts[0]))
        for table in (self.lead_place, self.bass_place):
            table[N_PITCHES] = _NOTHING

    def forward(
        self,
        features: Tensor,
        token_bias: Tensor,
        chosen: Tensor,
        last_token: Tensor,
        draft_onsets: Tensor,
        lead: Tensor,
        bass: Tensor,
        draft_duration: Tensor,
        chord_duration: Tensor,
        draft_velocity: Tensor,
        voice_velocity: Tensor,
    ) -> tuple[Tensor, ...]:
        """Take the tensors of `note_inputs`, return those of `NOTE_OUTPUTS`."""
        net = self.network
        chosen = chosen + (net.chosen.weight * self.strikes).index_select(0, last_token)
        may_follow = self.may_follow.index_select(0, last_token)
        remaining = (draft_onsets * may_follow).sum(-1, keepdim=True)
        counts = torch.cat([remaining, draft_onsets.sum(-1, keepdim=True)], -1) / 4
        tables = (net.last.weight, net.duration_token.weight, net.velocity_token.weight)
        seen = [
            chosen + net.counts(counts),
            net.duration_draft(draft_duration) + net.duration_chord(chord_duration),
            net.velocity_draft(draft_velocity) + net.velocity_voice(voice_velocity),
        ]
        first = features + torch.cat(tables, 1).index_select(0, last_token)
        first = first + torch.cat(seen, -1)
        pitch, duration, velocity = functional.gelu(first).split(net.parts, -1)
        heads = self._heads(functional.gelu(net.hidden(pitch)))
        place = torch.cat(
            [self.lead_place.index_select(0, lead), self.bass_place.index_select(0, bass)], -1
        )
        notes = heads[:, :N_NOTE_TOKENS] + token_bias + heads.gather(1, place)
        notes = torch.where(may_follow, notes, MASKED)
        duration = net.duration(functional.gelu(net.duration_hidden(duration)))
        copies = net.duration_copy * self.same_duration
        return (
            torch.cat([notes, heads[:, STOP:N_TOKENS]], -1),
            heads[:, _GATE],
            chosen,
            duration + copies.index_select(0, draft_duration),
            net.velocity(velocity),
        )

    def _heads(self, hidden: Tensor) -> Tensor:
        """Return the logits of tokens, of intervals from lead and bass, the gate, and a zero."""
        net = self.network
        heads = (net.pitch, net.lead_interval, net.bass_interval, net.gate)
        weights = torch.cat([*(head.weight for head in heads), self.nothing])
        bias = torch.cat([*(head.bias for head in heads), self.nothing[0, :1]])
        return functional.linear(hidden, weights, bias)
