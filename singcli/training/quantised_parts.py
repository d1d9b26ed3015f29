"""Both parts of the network in integers, operator by operator: what `--weights int8` writes.

Scales and codes are those of `singcli.training.quantisation`. What is said of operators in
`singcli.training.note_part` holds here too: one song is so small that their number tells. So all
rolls become codes at once, and lie so that what is multiplied with one matrix is side by side;
embeddings stay codes until the LSTM; and the token bias is a product of weights and rolls for each
song, of which most are 0.
"""

from __future__ import annotations

import numpy as np
from onnx import GraphProto, TensorProto
from torch import Tensor

from singcli.model.contract import (
    BARS_AGO,
    N_DURATIONS,
    N_NOTE_TOKENS,
    N_TOKEN_HINTS,
    N_TOKENS,
    N_VELOCITIES,
    STOP,
    NetworkSizes,
    note_inputs,
    step_inputs,
)
from singcli.music.score import N_PITCHES, N_VOICES
from singcli.training.networks import (
    MASKED,
    N_INTERVALS,
    NoteNetwork,
    StepNetwork,
    interval_places,
)
from singcli.training.quantisation import (
    EMBEDDED,
    GELU,
    ROLLS,
    STATE,
    Floats,
    QuantisedBuilder,
    bounds,
    coded,
)

ROLL_INPUTS = ("next_draft", "draft", "carried", "previous", "context", "bars_ago")
PLAIN_INPUTS = ("place", "grade", "loudness", "lead_age", "articulation")
N_ROLLS = 8 + 2 * len(BARS_AGO)  # in `ROLL_INPUTS`
HINT_ROLLS = (2, 3, 4, 6, 7, *range(8, 8 + len(BARS_AGO)))  # draft, carried, context, bars ago


def quantised_step(network: StepNetwork, sizes: NetworkSizes) -> GraphProto:
    """Return the step part."""
    build = QuantisedBuilder()
    rolls = build.concat(*ROLL_INPUTS)
    codes = _embeddings(build, network, rolls)
    lead, bass = (
        build.gather(build.constant(_coded_table(table.weight), np.uint8), name)
        for table, name in ((network.lead, "lead"), (network.bass, "bass"))
    )
    state = build.codes(build.concat(*PLAIN_INPUTS, "hidden"), STATE)
    hidden, cell = _lstm(build, network, build.concat(*codes, lead, bass, state))

    sources = np.concatenate([_bounds(layer) for layer in _embedding_layers(network)[1:]])
    weights = _floats(network.mix.weight).copy()
    weights[:, : sizes.lstm] *= STATE.scale / EMBEDDED.scale
    weights[:, sizes.lstm :] *= sources
    seen = build.concat(build.codes(hidden, STATE), *codes[1:])
    mixed = build.linear(seen, EMBEDDED, weights, _floats(network.mix.bias))
    features, token_bias = _step_heads(build, network, build.apply("Gelu", mixed), rolls)
    outputs = [
        ("step_features", features, [sizes.features]),
        ("step_token_bias", token_bias, [N_NOTE_TOKENS]),
        ("next_hidden", hidden, [sizes.lstm]),
        ("next_cell", cell, [sizes.lstm]),
    ]
    return build.graph("step", step_inputs(1, sizes), outputs)


def _embeddings(build: QuantisedBuilder, network: StepNetwork, rolls: str) -> list[str]:
    """Return codes of the embeddings of rolls, drafts, bars ago and context."""
    widths = [4 * N_NOTE_TOKENS, 2 * N_NOTE_TOKENS, 2 * N_NOTE_TOKENS, 6 * N_NOTE_TOKENS]
    drafts, now, context, bars = build.split(build.codes(rolls, ROLLS), *widths)
    # The network has the onsets of the step before first, and this draft before the next.
    turned = (
        (now, np.roll(_floats(network.roll.weight), N_NOTE_TOKENS, axis=1)),
        (drafts, np.roll(_floats(network.draft.weight), 2 * N_NOTE_TOKENS, axis=1)),
        (bars, _floats(network.bar.weight)),
        (context, _floats(network.context.weight)),
    )
    return [build.embedding(codes, weights) for codes, weights in turned]


def _lstm(build: QuantisedBuilder, network: StepNetwork, seen: str) -> tuple[str, str]:
    """Return the next state."""
    size = network.lstm.hidden_size
    ((from_seen, from_hidden, bias, more_bias),) = network.lstm.all_weights
    weights = np.concatenate([_floats(from_seen), _floats(from_hidden)], axis=1)
    embedded = [_bounds(layer) for layer in _embedding_layers(network)]
    tables = [_table_bounds(table.weight) for table in (network.lead, network.bass)]
    scales = np.concatenate([*embedded, *tables])
    weights[:, : len(scales)] *= scales
    weights[:, len(scales) :] *= STATE.scale / EMBEDDED.scale
    # Torch has the candidate third; the three that go through a sigmoid are put side by side.
    order = np.r_[0 : 2 * size, 3 * size : 4 * size, 2 * size : 3 * size]
    total = _floats(bias) + _floats(more_bias)
    gates, candidate = (
        build.linear(seen, EMBEDDED, weights[rows], total[rows])
        for rows in (order[: 3 * size], order[3 * size :])
    )
    admit, forget, reveal = build.split(build.apply("Sigmoid", gates), size, size, size)
    kept = build.apply("Mul", forget, "cell")
    added = build.apply("Mul", admit, build.apply("Tanh", candidate))
    cell = build.apply("Add", kept, added)
    return build.apply("Mul", reveal, build.apply("Tanh", cell)), cell


def _step_heads(
    build: QuantisedBuilder, network: StepNetwork, mixed: str, rolls: str
) -> tuple[str, str]:
    """Return features and token bias: for each voice the sum of all rolls, times their weights."""
    width, size = network.features.weight.shape
    weights = np.zeros((N_VOICES, N_ROLLS, N_VOICES, size), np.float32)
    bias = np.zeros((N_VOICES, N_ROLLS, N_VOICES), np.float32)
    its_weights = _floats(network.hints.weight).reshape(N_TOKEN_HINTS, N_VOICES, size)
    its_bias = _floats(network.hints.bias).reshape(N_TOKEN_HINTS, N_VOICES)
    for voice in range(N_VOICES):
        weights[voice, HINT_ROLLS, voice] = its_weights[:, voice]
        bias[voice, HINT_ROLLS, voice] = its_bias[:, voice]
    heads = build.linear(
        build.codes(mixed, GELU),
        GELU,
        np.concatenate([_floats(network.features.weight), weights.reshape(-1, size)]),
        np.concatenate([_floats(network.features.bias), bias.reshape(-1)]),
    )
    features, hints = build.split(heads, width, bias.size)
    token_bias = build.apply(
        "MatMul",
        build.reshape(hints, -1, N_VOICES, N_ROLLS * N_VOICES),
        build.reshape(rolls, -1, N_ROLLS * N_VOICES, N_PITCHES),
    )
    return features, build.reshape(token_bias, -1, N_NOTE_TOKENS)


def quantised_note(network: NoteNetwork, sizes: NetworkSizes) -> GraphProto:
    """Return the note part."""
    build = QuantisedBuilder()
    hidden, duration, velocity = network.parts
    token = np.arange(N_TOKENS + 1)
    may_follow = np.arange(N_NOTE_TOKENS) > np.where(token > STOP, -1, token)[:, None]
    allowed = build.gather(build.constant(may_follow, np.bool_), "last_token")
    struck = _floats(network.chosen.weight) * (token < STOP)[:, None]
    chosen = build.apply("Add", "chosen", build.gather(build.stored(struck), "last_token"))
    tables = (network.last, network.duration_token, network.velocity_token)
    last = build.concat(*(build.stored(_floats(table.weight)) for table in tables))
    bias = np.concatenate([_floats(network.counts.bias), np.zeros(duration + velocity)])
    last = build.apply("Add", last, build.constant(bias))
    first = build.apply("Add", "features", build.gather(last, "last_token"))
    pitch, of_note = build.split(first, hidden, duration + velocity)
    left = build.apply("Where", allowed, "draft_onsets", build.constant(0))
    first = _with_counts(build, network, left, build.apply("Add", pitch, chosen))
    logits, gate = _pitch_heads(build, network, build.apply("Gelu", first), allowed)
    durations, velocities = _duration_and_velocity(build, network, of_note)
    outputs = [
        ("logits", logits, [N_TOKENS]),
        ("gate", gate, []),
        ("next_chosen", chosen, [hidden]),
        ("duration_logits", durations, [N_DURATIONS]),
        ("velocity_logits", velocities, [N_VELOCITIES]),
    ]
    return build.graph("note", note_inputs(1, sizes), outputs)


def _with_counts(build: QuantisedBuilder, network: NoteNetwork, left: str, first: str) -> str:
    """Add what the numbers of onsets in the draft say: those that are left, and all."""
    onsets = build.concat(left, "draft_onsets")
    summed = np.repeat(np.eye(2), N_NOTE_TOKENS, axis=0)
    counts = build.apply("MatMul", onsets, build.constant(summed))
    weights = build.constant(_floats(network.counts.weight).T / 4)
    return build.apply("Gemm", counts, weights, first)


def _pitch_heads(
    build: QuantisedBuilder, network: NoteNetwork, first: str, allowed: str
) -> tuple[str, str]:
    """Return logits of tokens, of notes where `allowed`, and the gate."""
    layer = network.hidden
    hidden = build.linear(
        build.codes(first, GELU), GELU, _floats(layer.weight), _floats(layer.bias)
    )
    layers = (network.pitch, network.lead_interval, network.bass_interval, network.gate)
    nothing = np.zeros((1, layer.out_features), np.float32)
    heads = build.linear(
        build.codes(build.apply("Gelu", hidden), GELU),
        GELU,
        np.concatenate([*(_floats(head.weight) for head in layers), nothing]),
        np.concatenate([*(_floats(head.bias) for head in layers), nothing[0, :1]]),
    )
    notes, stop, intervals = build.split(heads, N_NOTE_TOKENS, 1, 2 * N_INTERVALS + 2)
    gate = build.apply("Gather", intervals, build.constant(2 * N_INTERVALS, np.int64), axis=1)
    lead, bass = (
        build.gather(build.unpacked(table, TensorProto.INT32), name)
        for table, name in zip(_interval_places(), ("last_lead", "last_bass"), strict=True)
    )
    melodic = build.apply("GatherElements", intervals, build.concat(lead, bass), axis=1)
    notes = build.apply("Add", build.apply("Add", notes, "token_bias"), melodic)
    notes = build.apply("Where", allowed, notes, build.constant(MASKED))
    return build.concat(notes, stop), gate


def _interval_places() -> tuple[np.ndarray, np.ndarray]:
    """Return where the interval logits of each pitch lie, by last lead and last bass pitch."""
    places = interval_places().numpy()
    lead, bass = places[:, ::-1], places + N_INTERVALS
    nothing = np.arange(N_PITCHES + 1)[:, None] == N_PITCHES
    return (
        np.where(nothing, 2 * N_INTERVALS + 1, lead),
        np.where(nothing, 2 * N_INTERVALS + 1, bass),
    )


def _duration_and_velocity(
    build: QuantisedBuilder, network: NoteNetwork, of_note: str
) -> tuple[str, str]:
    """Return logits of duration and velocity, whose first layers are one product."""
    _, width, velocity_width = network.parts
    embedded = [
        build.gather(build.stored(_floats(table.weight)), rows)
        for table, rows in (
            (network.duration_draft, "draft_duration"),
            (network.duration_chord, "chord_duration"),
            (network.velocity_draft, "draft_velocity"),
            (network.velocity_voice, "voice_velocity"),
        )
    ]
    durations, velocities = build.apply("Add", *embedded[:2]), build.apply("Add", *embedded[2:])
    first = build.apply("Add", of_note, build.concat(durations, velocities))
    layers = (network.duration_hidden, network.velocity)
    weights = np.zeros((width + N_VELOCITIES, width + velocity_width), np.float32)
    weights[:width, :width] = _floats(layers[0].weight)
    weights[width:, width:] = _floats(layers[1].weight)
    bias = np.concatenate([_floats(layer.bias) for layer in layers])
    heads = build.linear(build.codes(build.apply("Gelu", first), GELU), GELU, weights, bias)
    hidden, velocity = build.split(heads, width, N_VELOCITIES)
    copies = _floats(network.duration_copy) * np.eye(N_DURATIONS + 1, N_DURATIONS)
    copies += _floats(network.duration.bias)
    duration = build.apply(
        "Gemm",
        build.apply("Gelu", hidden),
        build.stored(_floats(network.duration.weight)),
        build.gather(build.constant(copies), "draft_duration"),
        transB=1,
    )
    return duration, velocity


def _embedding_layers(network: StepNetwork) -> tuple[Tensor, ...]:
    layers = (network.roll, network.draft, network.bar, network.context)
    return tuple(layer.weight for layer in layers)


def _bounds(weights: Tensor) -> Floats:
    return bounds(_floats(weights))


def _table_bounds(table: Tensor) -> Floats:
    """Return the largest number in each column of a table, 1 if there is none but 0."""
    largest: Floats = np.abs(_floats(table)).max(axis=0)
    return np.where(largest > 0, largest, np.float32(1))


def _coded_table(table: Tensor) -> np.ndarray:
    return coded(_floats(table) / _table_bounds(table), EMBEDDED)


def _floats(tensor: Tensor) -> Floats:
    array: Floats = tensor.detach().cpu().numpy()
    return array
