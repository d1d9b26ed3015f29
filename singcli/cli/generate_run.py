"""What `generate` does once it knows which songs are wanted: make them and tell of them."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from singcli.cli.console import Console
from singcli.cli.tables import section_table, summary
from singcli.cli.wanted import STANDARD_OUTPUT, Wanted
from singcli.errors import InputError, PartialFailureError, SingError
from singcli.existing import Existing, complete_manifest, split_existing
from singcli.files import ABANDONED_S, remove_temporaries
from singcli.generate import Shortfall
from singcli.recipe import Recipe
from singcli.studio import Failed, Song, Studio
from singcli.targets import Target, validate_folders, validate_targets

if TYPE_CHECKING:
    from singcli.batch import Failure
    from singcli.metrics.report import StructureReport
    from singcli.structure.quality import TemplateQuality


class Run:
    """One call of `generate`.

    Parameters
    ----------
    console : Console
    wanted : Wanted
    quality : TemplateQuality, optional
    as_json : bool
        Tell of every song as an object.
    verbose : bool
        Show the table of sections of every song, and not only of a song alone.
    """

    def __init__(
        self,
        console: Console,
        wanted: Wanted,
        quality: TemplateQuality | None,
        *,
        as_json: bool,
        verbose: bool,
    ) -> None:
        self._console, self._wanted, self._quality = console, wanted, quality
        self._as_json, self._verbose = as_json, verbose
        self._alone = wanted.n_songs == 1
        self._missing: list[Target] = []
        self._existing: list[Existing] = []
        self._failures: list[Failure] = []
        self._n_made = 0
        self._shortfall = Shortfall(wanted.attempts)

    def prepare(self, *, rehearsal: bool) -> None:
        """Open the model, lay the plans, and see which songs are there and what is in the way.

        Raises
        ------
        InputError
            If something is wrong that shows before the work.
        """
        wanted, targets = self._wanted, self._wanted.targets
        self._missing = list(targets)
        self._studio = Studio(wanted.settings())
        for target in {target.source: target for target in reversed(targets)}.values():
            self._studio.work(target)
        if wanted.out == STANDARD_OUTPUT:
            self._validate_standard_output()
            return
        if wanted.skip_existing:
            self._missing, self._existing = split_existing(self._studio, targets)
        else:
            validate_targets(
                [target.path for target in targets],
                overwrite=wanted.overwrite,
                pictures=wanted.pictures,
                min_structure=wanted.attempts.min_structure,
            )
        if not rehearsal:
            validate_folders([target.path for target in self._missing])

    def rehearse(self) -> None:
        """Name the files that would be written."""
        for target in self._missing:
            if self._as_json:
                name = self._wanted.asked.sources[target.source].name
                row = {"path": str(target.path), "name": name, "seed": target.seed}
                self._console.result_json(row)
            else:
                self._console.result(str(target.path))
        self._console.status(f"{len(self._missing)} songs to make, {len(self._existing)} are there")

    def make(self) -> None:
        """Make the songs.

        Raises
        ------
        SingError
            What the exit code tells: all songs failed, some did, or some fall short.
        """
        if self._wanted.out == STANDARD_OUTPUT:
            self._make_to_standard_output()
        else:
            self._make_files()
        self._raise_if_failed()
        self._shortfall.raise_if_any()

    def _make_files(self) -> None:
        manifest = self._wanted.manifest
        if manifest is not None:  # other shards may be writing there
            remove_temporaries(manifest.parent, min_age_s=ABANDONED_S)
        if self._existing:
            self._console.status(f"{len(self._existing)} songs are there already")
            if manifest is not None:
                complete_manifest(manifest, self._existing)
        for song in self._existing:
            self._shortfall.count(song.path, song.recipe, reached=song.reached)
        try:
            self._make(self._studio, self._missing, manifest)
        except KeyboardInterrupt:
            if manifest is not None:
                self._console.status(
                    f"{self._n_made} of {len(self._missing)} songs are made; {self._again} goes on"
                )
            raise

    def _make(self, studio: Studio, targets: Sequence[Target], manifest: Path | None) -> None:
        total = sum(map(studio.work, targets))
        with self._console.progress("sampling", unit="beats") as progress:

            def on_work(done: int) -> None:
                songs = "" if self._alone else f"{self._n_made} of {len(targets)} songs"
                progress(done, total, songs)

            if self._alone:
                for made in studio.outcomes(targets, on_work):
                    if isinstance(made, Failed):
                        raise _error_of(made)
                    self._tell(made)
                return
            from singcli.batch import make_batch, usual_jobs

            jobs = self._wanted.jobs or usual_jobs(len(targets))
            outcomes = make_batch(studio, targets, jobs=jobs, manifest=manifest, on_work=on_work)
            for outcome in outcomes:
                self._tell(outcome)

    def _tell(self, outcome: Song | Failure) -> None:
        """Say on stdout what was written, on stderr how it went."""
        if not isinstance(outcome, Song):
            self._tell_failure(outcome)
            return
        self._n_made += 1
        self._shortfall.count(outcome.path, outcome.recipe, reached=outcome.reached)
        if self._as_json:
            self._console.result_json(_json(outcome, self._quality))
            return
        self._console.result(str(outcome.path))
        if self._alone or self._verbose or not self._console.draws_progress:
            self._show(outcome.recipe, outcome.report)

    def _tell_failure(self, failure: Failure) -> None:
        self._failures.append(failure)
        self._console.error(f"{failure.path}: {failure.reason}")
        if self._as_json:
            self._console.result_json(
                {
                    "path": str(failure.path),
                    "seed": failure.target.seed,
                    "error": failure.reason,
                }
            )

    def _show(self, recipe: Recipe, report: StructureReport) -> None:
        """Print on stderr how well a song keeps to its form."""
        similarity = recipe.form is None
        table = self._verbose or self._alone
        for line in section_table(report, similarity=similarity) if table else ():
            self._console.status(f"  {line}")
        attempt = f", attempt {recipe.attempt} of {recipe.best_of}" if recipe.best_of > 1 else ""
        figures = summary(report, similarity=similarity)
        self._console.status(f"  seed {recipe.seed}: {figures}{attempt}")

    def _validate_standard_output(self) -> None:
        if self._as_json:
            raise InputError("--json and --out - both want standard output", "choose one of them")
        if sys.stdout.isatty():
            raise InputError(
                "--out - writes MIDI, which a terminal cannot show", "send it on: > song.mid"
            )

    def _make_to_standard_output(self) -> None:
        """Write the bytes of the only song to stdout; the recipe is inside."""
        (target,) = self._missing
        total = self._studio.work(target)
        with self._console.progress("sampling", unit="beats") as progress:
            kept = self._studio.attempt(target, lambda done: progress(done, total))
        sys.stdout.buffer.write(kept.content)
        sys.stdout.buffer.flush()
        self._show(kept.recipe, kept.report)
        reached = self._wanted.attempts.is_reached(kept.report)
        self._shortfall.count(STANDARD_OUTPUT, kept.recipe, reached=reached)

    @property
    def _again(self) -> str:
        """Which options make the same call go on."""
        drawn = f"--seed {self._wanted.seeds_of_songs[0]} and " if self._wanted.is_drawn else ""
        return f"the same call with {drawn}--skip-existing"

    def _raise_if_failed(self) -> None:
        if not self._failures:
            return
        first = self._failures[0]
        n_done = self._n_made + len(self._existing)
        n_failed = len(self._failures)
        message = (
            f"{n_failed} of {n_done + n_failed} songs failed, the first {first.path}: "
            f"{first.reason}"
        )
        again = f"{self._again} makes what is missing"
        if n_done == 0:
            raise SingError(message, again)
        raise PartialFailureError(message, again)


def _error_of(failed: Failed) -> Exception:
    """Return why the only song could not be made, with its name where the system gives none."""
    error = failed.error
    if isinstance(error, OSError) and error.filename is None and error.strerror is not None:
        return SingError(f"{failed.target.path}: {error.strerror}")
    return error


def _json(song: Song, quality: TemplateQuality | None) -> dict[str, Any]:
    """Return the result as one object; bars count from 0."""
    return {
        "path": str(song.path),
        "recipe": str(song.recipe_path),
        "picture": None if song.picture_path is None else str(song.picture_path),
        "seed": song.seed,
        "best_of": song.recipe.best_of,
        "attempt": song.recipe.attempt,
        "reached": song.reached,
        "structure": song.report.to_dict(),
        "template": None if quality is None else dataclasses.asdict(quality),
    }
