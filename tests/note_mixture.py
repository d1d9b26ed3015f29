"""The mixture of own notes and copied ones in one call, for tests of its parts."""

from __future__ import annotations

import numpy as np

from singcli.model.choice import held_back, mixed_probs, own_probs
from singcli.model.decisions import PerDecision


def note_probs(logits, gate, copied, source, *, shift, temperature, attraction=0.0):
    """Mix as the sampler does: held back by the shift, then one's own, then the copied token."""
    added = held_back(source, shift) + np.float32(attraction)
    return mixed_probs(own_probs(logits, added, PerDecision.of(temperature)), gate, copied, shift)
