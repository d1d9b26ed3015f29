"""Run the benchmark: every entrant, every way, every segment and sample, in several processes.

Results are appended as they come. What a line depends on (dataset, model, scorer, seed) is hashed
into it, so one file can hold several runs, and a run goes on where it was killed.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from singcli.errors import InputError, SingError
from singcli.preparation.pool import outcomes_in_processes
from singcli.protocol.entrants import REAL
from singcli.protocol.measure import Key, Line
from singcli.protocol.results_file import append_results, read_results
from singcli.protocol.tasks import WANTED, WAYS, Way
from singcli.protocol.workshop import Output, Settings, Unit, Workshop

OUTPUTS_AT_ONCE = 32
OnProgress = Callable[[int, int, str], None]


def run_protocol(
    settings: Settings,
    *,
    results: Path | None = None,
    jobs: int = 1,
    on_progress: OnProgress = lambda _done, _total, _note: None,
) -> list[Line]:
    """Run what is not yet in the results, and return all lines of this run.

    Parameters
    ----------
    settings : Settings
    results : Path, optional
        A JSON-lines file, appended to.
    jobs : int > 0
        Processes.
    on_progress : callable
        Called as (outputs done, of so many, entrant and way).

    Raises
    ------
    InputError
        If dataset, model, scorer, results or settings cannot be used.
    SingError
        If a process died.
    """
    _validate(settings)
    workshop = _workshop(settings)
    units = list(_units(workshop))
    wanted = {
        key for unit in units for output in unit.outputs for key in workshop.keys(unit, output)
    }
    stored = read_results(results) if results is not None else []
    lines: dict[Key, Line] = {line.key: line for line in stored if line.key in wanted}
    todo = [unit for unit in (_rest(workshop, unit, lines) for unit in units) if unit.outputs]
    total = sum(len(unit.outputs) for unit in units)
    done = total - sum(len(unit.outputs) for unit in todo)
    on_progress(done, total, "")
    for unit, made in outcomes_in_processes(_unit_lines, todo, jobs=jobs):
        if made is None:
            raise SingError(
                f"a process died over {unit.entrant}", "run the same command again to go on"
            )
        if results is not None:
            append_results(results, made)
        lines |= {line.key: line for line in made}
        done += len(unit.outputs)
        on_progress(done, total, f"{unit.entrant}, {unit.way}")
    return list(lines.values())


def model_names(settings: Settings) -> list[str]:
    """Return the names of the entrants that the model files are."""
    return _workshop(settings).model_names


@functools.lru_cache(maxsize=1)
def _workshop(settings: Settings) -> Workshop:
    return Workshop(settings)


def _unit_lines(unit: Unit) -> list[Line]:
    """Make and measure a unit in whichever process this is."""
    return _workshop(unit.settings).lines(unit)


def _units(workshop: Workshop) -> Iterator[Unit]:
    """Yield everything there is to do, real music first, segments of a length together."""
    settings, segments = workshop.settings, workshop.segments
    n = len(segments)
    chosen = np.linspace(0, n - 1, min(settings.max_segments or n, n)).round().astype(int)
    by_length = sorted(chosen.tolist(), key=lambda index: len(segments[index].roll))
    yield from _cut(settings, REAL, WANTED, by_length, 1)
    for entrant in workshop.entrant_names:
        for way in WAYS:
            samples = settings.samples if way == WANTED else settings.control_samples
            yield from _cut(settings, entrant, way, by_length, samples)


def _cut(
    settings: Settings, entrant: str, way: Way, segments: Sequence[int], samples: int
) -> Iterator[Unit]:
    outputs = tuple(Output(index, sample) for index in segments for sample in range(samples))
    for first in range(0, len(outputs), OUTPUTS_AT_ONCE):
        yield Unit(settings, entrant, way, outputs[first : first + OUTPUTS_AT_ONCE])


def _rest(workshop: Workshop, unit: Unit, lines: dict[Key, Line]) -> Unit:
    """Return a unit without the outputs that have been measured."""
    left = [
        output
        for output in unit.outputs
        if any(key not in lines for key in workshop.keys(unit, output))
    ]
    return dataclasses.replace(unit, outputs=tuple(left))


def _validate(settings: Settings) -> None:
    counts = [
        ("samples", settings.samples),
        ("segments", settings.max_segments),
        *(("candidates", number) for number in settings.candidates),
    ]
    for name, number in counts:
        if number is not None and number < 1:
            raise InputError(f"{name} = {number}, allowed: 1 or more")
    if not 0 <= settings.control_samples <= settings.samples:
        raise InputError(
            f"control samples = {settings.control_samples}, allowed: 0 to {settings.samples}"
        )
    names = [file.name for file in settings.models]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"two models are called {name!r}", "name them: --model NAME=FILE")
