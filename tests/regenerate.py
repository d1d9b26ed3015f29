"""Rewrite the files in tests/data that come out of singcli itself: `python tests/regenerate.py`.

- `tiny.onnx`: a pointer network of production shape and tiny widths, weights drawn with a fixed
  seed; its odds of copying are so high that repeats are audible. Runtime tests need no torch.
"""

from __future__ import annotations

from pathlib import Path

import torch

from singcli.model.contract import ModelCard, NetworkSizes
from singcli.structure.alignment import CONTEXT_TEMPERATURE, CONTINUATION_BONUS
from singcli.structure.texture import DEFAULT_TEXTURE
from singcli.training.graph import model_from_network
from singcli.training.networks import PointerNetwork

DATA = Path(__file__).parent / "data"
TINY = NetworkSizes(lstm=16, roll=8, draft=8, bar=8, context=8, hidden=16, duration=8, velocity=8)
STOP_BIAS = 4.0  # about two notes a step


def tiny_network() -> PointerNetwork:
    """An untrained network that plays a little."""
    torch.manual_seed(0)
    network = PointerNetwork(TINY).eval()
    with torch.no_grad():
        network.note.pitch.bias[-1] = STOP_BIAS
        network.note.gate.bias.fill_(1.0)
    return network


def tiny_card() -> ModelCard:
    """The card of the tiny model."""
    return ModelCard(
        name="tiny",
        sizes=TINY,
        styles=("pop", "salon"),
        textures=(DEFAULT_TEXTURE, DEFAULT_TEXTURE),
        context_temperature=CONTEXT_TEMPERATURE,
        continuation_bonus=CONTINUATION_BONUS,
        licence="MIT",
        training={},
    )


def main() -> None:
    """Write all files."""
    DATA.mkdir(exist_ok=True)
    model = model_from_network(tiny_network(), tiny_card())
    (DATA / "tiny.onnx").write_bytes(model.SerializeToString(deterministic=True))


if __name__ == "__main__":
    main()
