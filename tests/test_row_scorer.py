"""The scorer: likelihoods under the file are those of the network, and training teaches it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from row_rolls import song_roll, write_rows

from singcli.errors import InputError
from singcli.model.row_scorer import CARD_VERSION, ROW_SCORER, RowScorer
from singcli.protocol.tasks import N_SEED_ROWS

torch = pytest.importorskip("torch")

from singcli.training.scorer import (  # noqa: E402
    ScorerNetwork,
    model_from_scorer,
    train_scorer,
    transposed,
)

HIDDEN = 6
CARD = {"architecture": ROW_SCORER, "version": CARD_VERSION}


def scorer_file(card: object = CARD) -> tuple[ScorerNetwork, bytes]:
    torch.manual_seed(0)
    network = ScorerNetwork(HIDDEN)
    torch.nn.init.normal_(network.output.weight, std=0.5)
    return network, model_from_scorer(network, json.dumps(card)).SerializeToString()


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def nats_by_hand(network: ScorerNetwork, roll: np.ndarray) -> np.ndarray:
    """Hochreiter and Schmidhuber's cell, step by step, in numpy."""
    w = {name: value.detach().double().numpy() for name, value in network.state_dict().items()}
    h, c = np.zeros(HIDDEN), np.zeros(HIDDEN)
    previous, nats = np.zeros(128), []
    for row in roll.astype(float):
        gates = (
            w["lstm.weight_ih_l0"] @ previous + w["lstm.weight_hh_l0"] @ h
            + w["lstm.bias_ih_l0"] + w["lstm.bias_hh_l0"]
        )  # fmt: skip
        i, f, g, o = np.split(gates, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        p = sigmoid(w["output.weight"] @ np.concatenate([h, previous]) + w["output.bias"])
        nats.append(-(row * np.log(p) + (1 - row) * np.log(1 - p)).sum())
        previous = row
    return np.array(nats)


def test_nats_are_those_of_the_formula_whatever_is_scored_beside():
    network, content = scorer_file()
    scorer = RowScorer.from_bytes(content, source="x")
    rolls = [song_roll(n_rows, seed) for seed, n_rows in enumerate((31, 12, 50, 23))] * 5
    found = scorer.nats_per_row(rolls, n_given=N_SEED_ROWS)
    wanted = [nats_by_hand(network, roll)[N_SEED_ROWS:].mean() for roll in rolls]
    assert found == pytest.approx(wanted, rel=1e-4)


def test_a_silent_network_knows_nothing():
    network = ScorerNetwork(HIDDEN)
    for parameter in network.parameters():
        torch.nn.init.zeros_(parameter)
    content = model_from_scorer(network, json.dumps(CARD)).SerializeToString()
    (nats,) = RowScorer.from_bytes(content, source="x").nats_per_row([song_roll(20, 0)], n_given=0)
    assert nats == pytest.approx(128 * np.log(2), rel=1e-5)


@pytest.mark.parametrize(
    ("card", "message"),
    [
        ({"architecture": "sing"}, r"x: architecture = 'sing', allowed: 'row-scorer'"),
        (["a list"], r"x: architecture = None"),
        ({"architecture": ROW_SCORER, "version": 99}, "x: scorer version 99 .* version 1"),
    ],
)
def test_another_file_is_refused(card, message):
    with pytest.raises(InputError, match=message):
        RowScorer.from_bytes(scorer_file(card)[1], source="x")


def test_training_teaches_it_what_rows_follow_each_other(tmp_path):
    data = write_rows(tmp_path / "rows", train=6, validation=2, n_rows=80)
    heard: list[float] = []
    report = train_scorer(
        data,
        tmp_path / "scorer.onnx",
        hidden=24,
        epochs=60,
        learning_rate=0.02,
        on_epoch=lambda _done, _epochs, nats: heard.append(nats),
    )
    assert report.nats_per_row == tuple(heard)
    assert heard[-1] < 0.8 * heard[0]
    scorer = RowScorer.open(tmp_path / "scorer.onnx")
    assert scorer.card["licence"] == "Made for tests."
    assert scorer.card["training"]["segments"] == 7
    real = song_roll(60, 99)
    bag = real[np.random.default_rng(0).permutation(60)]
    nats = scorer.nats_per_row([real, bag], n_given=10)
    assert nats[0] < nats[1]
    with pytest.raises(InputError, match="already exists"):
        train_scorer(data, tmp_path / "scorer.onnx")


def test_the_same_seed_trains_the_same_scorer(tmp_path):
    data = write_rows(tmp_path / "rows")
    files = [tmp_path / f"{name}.onnx" for name in "ab"]
    for path in files:
        train_scorer(data, path, hidden=8, epochs=1, seed=3)
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize("semitones", [-5, 0, 6])
def test_transposing(semitones):
    roll = song_roll(20, 1)
    np.testing.assert_array_equal(transposed(roll, semitones), np.roll(roll, semitones, axis=1))
    lowest = np.zeros((1, 128), np.bool_)
    lowest[0, [0, 127]] = True
    assert transposed(lowest, semitones).sum() == (2 if semitones == 0 else 1)


def test_a_dataset_without_validation_segments_is_refused(tmp_path):
    data = write_rows(tmp_path / "rows", validation=0)
    with pytest.raises(InputError, match="needs train and validation segments"):
        train_scorer(data, tmp_path / "scorer.onnx")
