"""The bundled presets, and which of their bars are to come back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from singcli.preset_library import SUFFIX, preset_path, read_preset
from singcli.resources import presets_dir
from singcli.structure.form import Form, wanted_bar_map


def chosen_presets(names: Sequence[str]) -> dict[str, tuple[str, Form]]:
    """Return path and form by name: of the bundled presets, or of those that are named.

    Paths, because a preset of the user may go by the name of a bundled one.
    """
    bundled = {path.stem: str(path) for path in sorted(presets_dir().glob(f"*{SUFFIX}"))}
    paths = [bundled.get(name) or str(preset_path(name)) for name in names] or bundled.values()
    forms = {path: read_preset(path) for path in paths}
    return {form.name: (path, form) for path, form in forms.items()}


def asks_for_repeats(form: Form) -> bool:
    """Return whether the wanted bar map has any contrast; without it r is not defined."""
    wanted = wanted_bar_map(form)
    below = wanted[np.tril_indices(len(wanted), -1)]
    return len(below) > 0 and float(np.ptp(below)) > 0


def repeated_bars(form: Form) -> npt.NDArray[np.intp]:
    """Return the bars of later sections, each with its counterpart in the first of the label.

    Returns
    -------
    np.ndarray, shape=(n, 2)
        Bar, source bar.
    """
    first: dict[str, tuple[int, int]] = {}
    pairs = []
    for label, start, n_bars in form.section_bars:
        source, length = first.setdefault(label, (start, n_bars))
        if source != start:
            pairs += [(start + bar, source + bar) for bar in range(min(n_bars, length))]
    return np.array(pairs, np.intp).reshape(-1, 2)
