"""Where the network is trained, and in which precision."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from singcli.errors import InputError


def device_from_name(name: str) -> torch.device:
    """Return the device called auto, cpu, cuda or mps.

    Raises
    ------
    InputError
        If this machine does not have it.
    """
    present = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        return torch.device(next(device for device, here in present.items() if here))
    if not present.get(name, False):
        here = ", ".join(device for device, is_here in present.items() if is_here)
        raise InputError(f"--device {name}: not on this machine", f"choose auto or one of: {here}")
    return torch.device(name)


def mixed_precision(device: torch.device) -> AbstractContextManager[Any]:
    """Compute in bfloat16 on CUDA; elsewhere in float32."""
    if device.type == "cuda":
        return torch.autocast("cuda", dtype=torch.bfloat16)
    return nullcontext()
