"""What a process of the benchmark needs: segments, entrants, scorer; and the outputs it makes."""

from __future__ import annotations

import functools
import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from singcli.errors import InputError
from singcli.model.row_scorer import RowScorer
from singcli.model.rows import RowGenerator
from singcli.model.runtime import model_bytes
from singcli.protocol.baselines import blanked_at_rests
from singcli.protocol.entrants import BLANKED, CANDIDATES, REAL, baselines, open_model
from singcli.protocol.measure import Key, Line, all_figures, control_figures
from singcli.protocol.row_bag import RowPool
from singcli.protocol.tasks import N_SEED_ROWS, WANTED, Way, task
from singcli.row_dataset import INDEX_NAME, RowDataset, Segment
from singcli.structure.row_ssm import Roll, row_ssm

MEASURES_VERSION = 1  # of what a line means; another one makes old lines worthless


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A model file and what it is called in the table."""

    name: str
    path: Path


@dataclass(frozen=True, slots=True)
class Settings:
    """What is run.

    Parameters
    ----------
    rows : Path
        A row dataset: its test segments are the templates, its train rows fill the bag.
    models : tuple of ModelFile
    scorer : Path, optional
        Without, no likelihoods.
    samples : int > 0
        Of each segment.
    control_samples : int >= 0
        Of each segment in each of the ways "none", "shuffled" and "another"; at most `samples`.
    candidates : tuple of int
        Of the bags, and of models that are steered.
    seed : int >= 0
    max_segments : int > 0, optional
        So many test segments, evenly spread, instead of all.
    """

    rows: Path
    models: tuple[ModelFile, ...] = ()
    scorer: Path | None = None
    samples: int = 3
    control_samples: int = 1
    candidates: tuple[int, ...] = CANDIDATES
    seed: int = 0
    max_segments: int | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """One output to make: the number of its segment, and of its sample."""

    segment: int
    sample: int


@dataclass(frozen=True, slots=True)
class Unit:
    """Outputs that one process makes at once."""

    settings: Settings
    entrant: str
    way: Way
    outputs: tuple[Output, ...]


class Workshop:
    """What a process needs to make and measure outputs, opened once."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.dataset = RowDataset.open(settings.rows)
        self.segments = _test_segments(self.dataset)
        self.scorer = None if settings.scorer is None else RowScorer.open(settings.scorer)
        self._models = {
            name: (entrant, hashlib.sha256(model_bytes(file.path)).hexdigest())
            for file in settings.models
            for name, entrant in open_model(file.path, file.name, settings.candidates).items()
        }

    @functools.cached_property
    def _baselines(self) -> dict[str, RowGenerator]:
        rolls = [segment.roll for segment in self.dataset.segments("train")]
        if not rolls:
            raise InputError(f"{self.settings.rows}: no train segments to fill the bag from")
        entrants = baselines(RowPool.from_rolls(rolls), self.settings.candidates)
        return {entrant.name: entrant for entrant in entrants}

    @functools.cached_property
    def _foundation(self) -> str:
        index = (self.settings.rows / INDEX_NAME).read_bytes()
        scorer = None if self.scorer is None else self.scorer.sha256
        seed = self.settings.seed
        return json.dumps([MEASURES_VERSION, hashlib.sha256(index).hexdigest(), scorer, seed])

    @property
    def model_names(self) -> list[str]:
        """Names of the entrants that models are, in the order they were given."""
        return list(self._models)

    @property
    def entrant_names(self) -> list[str]:
        """Names of all that generate, models first."""
        return [*self._models, *self._baselines]

    def run_id(self, entrant: str) -> str:
        """Return the hash of what the lines of an entrant depend on."""
        model = self._models[entrant][1] if entrant in self._models else None
        return hashlib.sha256(f"{self._foundation} {model}".encode()).hexdigest()[:16]

    def keys(self, unit: Unit, output: Output) -> list[Key]:
        """Return the keys of the lines that an output of a unit makes."""
        run, segment = self.run_id(unit.entrant), self.segments[output.segment].id
        return [
            (run, name, unit.way, segment, output.sample) for name in self._names_in_results(unit)
        ]

    def _names_in_results(self, unit: Unit) -> list[str]:
        """Return the entrant, and what becomes of a model whose rests are blanked."""
        blanked = unit.entrant in self._models and unit.way == WANTED
        return [unit.entrant, unit.entrant + BLANKED] if blanked else [unit.entrant]

    def generate(self, unit: Unit) -> tuple[list[Roll], float]:
        """Generate all outputs of a unit, and tell how many seconds it took; 0 for real music."""
        if unit.entrant == REAL:
            return [self.segments[output.segment].roll for output in unit.outputs], 0.0
        known = self._models.get(unit.entrant)
        generator = known[0] if known is not None else self._baselines[unit.entrant]
        seeds = [_seed(unit.settings.seed, output) for output in unit.outputs]
        tasks = [
            task(self.segments, output.segment, unit.way, seed=seed)
            for output, seed in zip(unit.outputs, seeds, strict=True)
        ]
        started = time.perf_counter()
        rolls = generator.generate(tasks, seeds)
        return rolls, time.perf_counter() - started

    def lines(self, unit: Unit) -> list[Line]:
        """Generate and measure all outputs of a unit."""
        rolls, seconds = self.generate(unit)
        seconds_per_row = seconds / sum(map(len, rolls))
        lines = self._measured(unit, unit.entrant, rolls, seconds_per_row)
        for blanked_name in self._names_in_results(unit)[1:]:
            blanked = [
                blanked_at_rests(task(self.segments, output.segment, WANTED, seed=0), roll)
                for output, roll in zip(unit.outputs, rolls, strict=True)
            ]
            lines += self._measured(unit, blanked_name, blanked, seconds_per_row)
        return lines

    def _measured(
        self, unit: Unit, entrant: str, rolls: Sequence[Roll], seconds_per_row: float
    ) -> list[Line]:
        figures = control_figures if unit.way != WANTED else all_figures
        nats: list[float] | list[None] = [None] * len(rolls)
        if self.scorer is not None and unit.way == WANTED:
            nats = self.scorer.nats_per_row(rolls, n_given=N_SEED_ROWS)
        return [
            Line(
                run=self.run_id(unit.entrant),
                entrant=entrant,
                way=unit.way,
                segment=self.segments[output.segment].id,
                sample=output.sample,
                n_rows=len(roll),
                seconds=seconds_per_row * len(roll),
                nats=likelihood,
                **figures(row_ssm(self.segments[output.segment].roll), roll),
            )
            for output, roll, likelihood in zip(unit.outputs, rolls, nats, strict=True)
        ]


def _test_segments(dataset: RowDataset) -> tuple[Segment, ...]:
    segments = dataset.segments("test")
    if not segments:
        raise InputError(f"{dataset.path}: no segments in its test split", "prepare more files")
    shortest = min(segments, key=lambda segment: len(segment.roll))
    if len(shortest.roll) <= N_SEED_ROWS:
        raise InputError(
            f"{dataset.path}: {shortest.id} has {len(shortest.roll)} rows, allowed: more than "
            f"{N_SEED_ROWS}, which are given",
            "leave short pieces out",
        )
    return segments


def _seed(seed: int, output: Output) -> int:
    """Return the seed of an output: the same for all entrants and ways."""
    sequence = np.random.SeedSequence([seed, output.segment, output.sample])
    return int(sequence.generate_state(1, np.uint64)[0])
