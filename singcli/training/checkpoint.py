"""Checkpoints as safetensors: weights, optimiser and random state, with the run's facts beside.

Never pickled: tensors in the file, everything else as JSON in its metadata.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from singcli.errors import InputError
from singcli.files import WriteError, replacing

FORMAT = "singcli-checkpoint-1"


@dataclass(slots=True)
class Progress:
    """How far a run has come; `batch` is the next batch of `epoch`."""

    epoch: int = 0
    batch: int = 0
    updates: int = 0
    seconds: float = 0.0
    best: float | None = None
    figures: dict[str, dict[str, float]] = field(default_factory=dict)


def write_checkpoint(
    path: Path,
    network: nn.Module,
    progress: Progress,
    run: dict[str, Any],
    *,
    trained: nn.Module | None = None,
    optimiser: torch.optim.Optimizer | None = None,
    random_states: Sequence[Tensor] = (),
) -> None:
    """Write a checkpoint whole or not at all.

    Parameters
    ----------
    network : nn.Module
        The mean of the weights.
    run : dict
        Configuration, textures and data facts of the run (JSON).
    trained : nn.Module, optional
        The weights that training goes on with.
    optimiser : Optimizer, optional
        With both the checkpoint can be resumed; without, it holds the weights alone.
    random_states : sequence of Tensor
        Torch's, one a process.
    """
    tensors = {f"network.{name}": value for name, value in network.state_dict().items()}
    if trained is not None:
        tensors |= {f"trained.{name}": value for name, value in trained.state_dict().items()}
    if optimiser is not None:
        for index, state in optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{index}.{name}": value for name, value in state.items()}
    tensors |= {f"random.{rank}": state for rank, state in enumerate(random_states)}
    metadata = {
        "format": FORMAT,
        "progress": json.dumps(asdict(progress)),
        "run": json.dumps(run, sort_keys=True),
    }
    contiguous = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    try:
        with replacing(path, durable=True) as temporary:
            save_file(contiguous, temporary, metadata)
    except SafetensorError as error:  # the disk is full, say
        raise WriteError(path, error) from error


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint as read from its file."""

    tensors: dict[str, Tensor]
    progress: Progress
    run: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> Checkpoint:
        """Read a checkpoint.

        Raises
        ------
        InputError
            If the file is missing, damaged or not a checkpoint of singcli.
        """
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                if metadata.get("format") != FORMAT:
                    raise InputError(
                        f"{path}: not a singcli checkpoint", "use the RUN folder that train wrote"
                    )
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except FileNotFoundError as error:
            raise InputError(f"{path}: no such file", "train first: singcli train") from error
        except (SafetensorError, OSError) as error:
            raise InputError(f"{path}: the checkpoint is damaged ({error})") from error
        try:
            progress = Progress(**json.loads(metadata["progress"]))
            run = json.loads(metadata["run"])
            if not isinstance(run, dict):
                raise TypeError("run is not a table")
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise InputError(f"{path}: the checkpoint's facts are damaged ({error})") from error
        return cls(tensors=tensors, progress=progress, run=run)

    def restore_network(self, network: nn.Module) -> None:
        """Load the mean of the weights, those to be used.

        Raises
        ------
        InputError
            If they are those of a network of other sizes or of another contract.
        """
        try:
            network.load_state_dict(self._part("network."))
        except RuntimeError as error:
            sizes = self.run.get("config", {}).get("network")
            raise InputError(
                f"the weights of the checkpoint do not fit, its network is {sizes}",
                "give the configuration the same [network], or train anew",
            ) from error

    def restore_trained(self, network: nn.Module) -> None:
        """Load the weights that training goes on with.

        Raises
        ------
        InputError
            If the checkpoint does not hold them.
        """
        try:
            network.load_state_dict(self._part("trained."))
        except RuntimeError as error:
            raise InputError(
                "the checkpoint holds no weights to go on with", "resume from last.safetensors"
            ) from error

    def restore_optimiser(self, optimiser: torch.optim.Optimizer) -> None:
        """Load the optimiser's moments."""
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in self._part("optimiser.").items():
            index, key = name.split(".", 1)
            state.setdefault(int(index), {})[key] = value
        optimiser.load_state_dict(optimiser.state_dict() | {"state": state})

    @property
    def random_states(self) -> list[Tensor]:
        """The random states of the run's processes, in the order of their ranks."""
        named = self._part("random.")
        return [named[rank] for rank in sorted(named, key=lambda rank: (len(rank), rank))]

    def _part(self, prefix: str) -> dict[str, Tensor]:
        return {n[len(prefix) :]: v for n, v in self.tensors.items() if n.startswith(prefix)}


@contextlib.contextmanager
def reading_facts(source: Path) -> Iterator[None]:
    """Say what is wrong with a checkpoint in whose facts the block does not find what it needs.

    Raises
    ------
    InputError
        If the configuration is of another version, or facts are missing.
    """
    try:
        yield
    except ValidationError as error:
        raise InputError(
            f"{source}: the checkpoint's configuration cannot be read",
            "use the version of singcli that trained it",
        ) from error
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{source}: the checkpoint lacks facts of its run ({error})") from error
