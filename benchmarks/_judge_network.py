"""A small network that judges excerpts by their piano roll: convolutions over time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from singcli.music.roll import onset_roll, sounding_roll
from singcli.music.score import MIN_PITCH, N_PITCHES, N_VOICES, Score

if TYPE_CHECKING:
    import torch

LOUDEST = 127
CHANNELS = (48, 64, 64)
KERNEL = (4, 5, 5)  # steps
STRIDE = 2
EPOCHS = 10
BATCH = 32
RATE = 2e-3
DROPOUT = 0.3

Rolls = npt.NDArray[np.uint8]


def excerpt_rolls(scores: Iterable[Score], *, velocity: bool = False) -> Rolls:
    """Return piano rolls of excerpts of equal length.

    Parameters
    ----------
    velocity : bool
        Whether onsets are as high as the note is loud, or all `LOUDEST`.

    Returns
    -------
    np.ndarray, shape=(n, 2 * N_VOICES, n_pitches, n_steps), uint8
        Onsets of both voices, then what sounds.
    """
    return np.array([_planes(score, velocity=velocity) for score in scores])


def _planes(score: Score, *, velocity: bool) -> Rolls:
    onsets = onset_roll(score).astype(np.uint8) * LOUDEST
    if velocity:
        onsets[score.step, score.voice, score.pitch - MIN_PITCH] = score.velocity
    sounding = sounding_roll(score).astype(np.uint8) * LOUDEST
    planes: Rolls = np.concatenate([onsets, sounding], axis=1).transpose(1, 2, 0)
    return planes


class RollJudge:
    """Trains a new network at every `fit`; the same inputs give the same network."""

    def fit(self, inputs: Rolls, labels: npt.NDArray[np.int64]) -> RollJudge:
        """Learn from rolls, shape=(n, planes, n_pitches, n_steps), and labels 0 or 1."""
        import torch

        torch.manual_seed(0)
        self._network = _network()
        optimiser = torch.optim.AdamW(self._network.parameters(), lr=RATE, weight_decay=0.02)
        n_updates = EPOCHS * -(-len(inputs) // BATCH)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=n_updates)
        rng = np.random.default_rng(0)
        self._network.train()
        for _ in range(EPOCHS):
            order = rng.permutation(len(inputs))
            for first in range(0, len(order), BATCH):
                rows = order[first : first + BATCH]
                logits = self._network(_tensor(inputs[rows]))[:, 0]
                wanted = torch.from_numpy(labels[rows].astype(np.float32))
                loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, wanted)
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
        return self

    def predict_proba(self, inputs: Rolls) -> npt.NDArray[Any]:
        """Return the probability of both labels, shape=(n, 2)."""
        import torch

        self._network.eval()
        with torch.no_grad():
            parts = [
                torch.sigmoid(self._network(_tensor(inputs[first : first + BATCH]))[:, 0])
                for first in range(0, len(inputs), BATCH)
            ]
        one = torch.cat(parts).numpy().astype(np.float64)
        return np.stack([1 - one, one], axis=1)


def _tensor(rolls: Rolls) -> torch.Tensor:
    import torch

    return torch.from_numpy(rolls).float() / LOUDEST


def _network() -> torch.nn.Module:
    """Return convolutions over time whose mean and maximum give one logit."""
    import torch
    from torch import nn

    class Pooled(nn.Module):
        def forward(self, maps: torch.Tensor) -> torch.Tensor:
            return torch.cat([maps.mean(dim=2), maps.amax(dim=2)], dim=1)

    layers: list[nn.Module] = [nn.Flatten(1, 2)]  # planes and pitches are channels
    before = 2 * N_VOICES * N_PITCHES
    for after, kernel in zip(CHANNELS, KERNEL, strict=True):
        convolution = nn.Conv1d(before, after, kernel, STRIDE, bias=False)
        layers += [convolution, nn.BatchNorm1d(after), nn.ReLU()]
        before = after
    layers += [Pooled(), nn.Dropout(DROPOUT), nn.Linear(2 * before, 1)]
    return nn.Sequential(*layers)
