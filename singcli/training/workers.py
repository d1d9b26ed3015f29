"""Several processes that train one network on the shares of one batch, gradients averaged.

On a CPU two single-threaded processes beat one process with two threads: they meet once an
update instead of once an operation, so that a third process on the machine costs its share of the
cores and not a factor of ten.
"""

from __future__ import annotations

import os
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn

from singcli.errors import SingError
from singcli.preparation.pool import deaf_start, end_with_parent

PATIENCE = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Workers:
    """The place of this process among `size` processes; rank 0 leads, writes and talks."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes files and reports."""
        return self.rank == 0

    def sum(self, *values: float) -> tuple[float, ...]:
        """Return the sums of the processes' values."""
        if self.size == 1:
            return values
        total = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(total)
        return tuple(total.tolist())

    def sum_gradients(self, network: nn.Module) -> None:
        """Replace the gradients by their sums over the processes."""
        if self.size == 1:
            return
        parameters = list(network.parameters())
        flat = torch.cat(
            [(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in parameters]
        )
        dist.all_reduce(flat)
        for parameter, piece in zip(
            parameters, flat.split([p.numel() for p in parameters]), strict=True
        ):
            parameter.grad = piece.view_as(parameter)

    def gather(self, tensor: Tensor) -> list[Tensor]:
        """Return the processes' tensors of one shape, in the order of their ranks."""
        if self.size == 1:
            return [tensor]
        gathered = [torch.empty_like(tensor) for _ in range(self.size)]
        dist.all_gather(gathered, tensor)
        return gathered


@contextmanager
def crew(size: int, body: Callable[..., Any], arguments: tuple[Any, ...]) -> Iterator[Workers]:
    """Start `size` - 1 followers that run `body(workers, *arguments)` and lead them.

    Parameters
    ----------
    size : int > 0
    body : callable
        Importable by name; must make the same calls to its `Workers` as the leader does.
    """
    if size == 1:
        yield Workers()
        return
    with tempfile.TemporaryDirectory(prefix="singcli-") as folder:
        rendezvous = (Path(folder) / "rendezvous").as_uri()
        context = mp.get_context("spawn")
        followers = [
            context.Process(
                target=_follow, args=(rank, size, rendezvous, body, arguments), daemon=True
            )
            for rank in range(1, size)
        ]
        with deaf_start():
            for follower in followers:
                follower.start()
        try:
            _join(0, size, rendezvous)
            try:
                yield Workers(0, size)
            except RuntimeError as error:
                raise _told(error, followers) from error
            for follower in followers:
                follower.join(PATIENCE.total_seconds())
        finally:
            dist.destroy_process_group()
            for follower in followers:
                follower.terminate()


def _told(error: RuntimeError, followers: Sequence[BaseProcess]) -> Exception:
    """Return what to raise for an error of the network: whether a follower is gone."""
    for follower in followers:
        follower.join(1)
        if follower.exitcode:
            return SingError(
                f"a training process ended with {follower.exitcode} (out of memory?)",
                "go on from the last checkpoint with --resume, or with fewer --processes",
            )
    return error


def _follow(
    rank: int, size: int, rendezvous: str, body: Callable[..., Any], arguments: tuple[Any, ...]
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the leader decides when to stop
    end_with_parent()
    _join(rank, size, rendezvous)
    body(Workers(rank, size), *arguments)


def _join(rank: int, size: int, rendezvous: str) -> None:
    torch.set_num_threads(1)
    for _, name in socket.if_nameindex():
        if name in ("lo", "lo0"):  # one machine: never leave it
            os.environ.setdefault("GLOO_SOCKET_IFNAME", name)
    dist.init_process_group(
        "gloo", init_method=rendezvous, rank=rank, world_size=size, timeout=PATIENCE
    )
