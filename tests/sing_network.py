"""A random network of SING, three ways: torch, model file, plain numpy."""

from __future__ import annotations

import numpy as np
import torch

from singcli.model.runtime import opened_file
from singcli.model.sing.contract import SingCard
from singcli.model.sing.runtime import SingRuntime
from singcli.model.sing.sampling import RowSampling
from singcli.structure.texture import DEFAULT_TEXTURE
from singcli.training.sing.graph import model_from_sing
from singcli.training.sing.network import SingNetwork


def random_network(*, attention=True, seed=0):
    torch.manual_seed(seed)
    network = SingNetwork(attention=attention)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0, 0.3)
        if network.mix is not None:
            network.mix.weight.copy_(torch.tensor([[1.5, 0.8]]))
    return network.eval()


def sing_card(*, attention=True, sampling=None):
    return SingCard(
        name="random",
        attention=attention,
        seed_rows=10,
        sampling=sampling or RowSampling(),
        textures=(DEFAULT_TEXTURE,),
        licence="none",
        training={},
    )


def model_content(network, **options):
    card = sing_card(attention=network.mix is not None, **options)
    return model_from_sing(network, card).SerializeToString()


def random_runtime(*, attention=True, **options):
    content = model_content(random_network(attention=attention), **options)
    return SingRuntime.from_file(opened_file(content, source="x"), source="x")


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


class NumpyCell:
    """The network written out in float64 from its definition."""

    def __init__(self, network):
        values = {k: v.detach().numpy().astype(float) for k, v in network.named_parameters()}
        self.of_row, self.of_hidden = values["lstm.weight_ih_l0"], values["lstm.weight_hh_l0"]
        self.offset = values["lstm.bias_ih_l0"] + values["lstm.bias_hh_l0"]
        self.mix = (*values["mix.weight"][0], values["mix.bias"][0]) if network.mix else None

    def __call__(self, row, weighted, hidden, cell):
        gates = row @ self.of_row.T + hidden @ self.of_hidden.T + self.offset
        i, f, g, o = np.split(gates, 4, axis=-1)
        cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(g)
        hidden = sigmoid(o) * np.tanh(cell)
        if self.mix is None:
            return hidden, hidden, cell
        u, v, b = self.mix
        return u * weighted + v * hidden + b, hidden, cell


def phrase_roll(seed, n_rows=40, phrase=8):
    """Chords in phrases of which some come again, here and there a rest."""
    rng = np.random.default_rng(seed)
    phrases = np.zeros((3, phrase, 128), np.bool_)
    for chord in phrases.reshape(-1, 128):
        chord[rng.choice(np.arange(48, 84), rng.integers(0, 5), replace=False)] = True
    order = rng.integers(0, 3, -(-n_rows // phrase))
    return np.concatenate(phrases[order])[:n_rows]
