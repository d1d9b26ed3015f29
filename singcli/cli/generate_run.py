"""What `generate` does once it knows what is asked for: name the songs, make them, tell of them."""

from __future__ import annotations

import dataclasses
import functools
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from singcli.attempts import Attempts
from singcli.batch import Failure, make_batch, usual_jobs
from singcli.cli.console import Console
from singcli.cli.tables import section_table, summary
from singcli.cli.wishes import Asked
from singcli.errors import InputError, PartialFailureError, SingError
from singcli.existing import Existing, complete_manifest, split_existing
from singcli.generate import Shortfall
from singcli.manifest import manifest_path
from singcli.recipe import Recipe
from singcli.seeds import Shard, counted_seeds, seeds_from_text
from singcli.studio import Failed, Settings, Song, Studio
from singcli.targets import Target, song_targets, validate_folders, validate_targets

if TYPE_CHECKING:
    from singcli.metrics.report import StructureReport
    from singcli.structure.quality import TemplateQuality
    from singcli.wish import Wish

STANDARD_OUTPUT = Path("-")


@dataclass(frozen=True)
class Wanted:
    """Which songs are wanted, and where.

    Parameters
    ----------
    asked : Asked
    model : Path
    attempts : Attempts
    seed, seeds, count : optional
        As the options say.
    counted : bool
        Whether the user gave a count.
    shard : Shard, optional
    out, out_dir, filename : see `song_targets`
    pictures : bool
    jobs : int, optional
    skip_existing, overwrite : bool

    Raises
    ------
    InputError
        If they do not go together.
    """

    asked: Asked
    model: Path
    attempts: Attempts
    seed: int | None
    seeds: str | None
    count: int
    counted: bool
    shard: Shard | None
    out: Path | None
    out_dir: Path
    filename: str
    pictures: bool
    jobs: int | None
    skip_existing: bool
    overwrite: bool

    def __post_init__(self) -> None:
        """Check that they go together."""
        if self.seeds is not None and (self.seed is not None or self.counted):
            raise InputError("--seeds stands alone, found --seed or --count beside it")
        if self.skip_existing and self.overwrite:
            raise InputError("--skip-existing and --overwrite: only one of them")
        drawn = self.seeds is None and self.seed is None and self.asked.seed is None
        for name, given in (("--shard", self.shard), ("--skip-existing", self.skip_existing)):
            if drawn and given:
                raise InputError(
                    f"{name} needs --seed or --seeds: drawn seeds are others in every call"
                )
        if self.out == STANDARD_OUTPUT and self.pictures:
            raise InputError("--png needs a file, --out - is none")

    @functools.cached_property
    def seeds_of_songs(self) -> list[int]:
        """Seeds of the songs of each wish."""
        if self.seeds is not None:
            return seeds_from_text(self.seeds)
        return counted_seeds(self.asked.seed if self.seed is None else self.seed, self.count)

    @property
    def n_songs(self) -> int:
        """Number of songs, of all shards."""
        return len(self.seeds_of_songs) * len(self.asked.sources)

    @property
    def first_wish(self) -> Wish:
        """The wish of the first song."""
        return self.asked.sources[0].wish(self.seeds_of_songs[0])

    @functools.cached_property
    def targets(self) -> Sequence[Target]:
        """The songs of this shard."""
        out = Path("-.mid") if self.out == STANDARD_OUTPUT else self.out
        targets = song_targets(
            [source.name for source in self.asked.sources],
            self.seeds_of_songs,
            out=out,
            out_dir=self.out_dir,
            filename=self.filename,
            model=self.model.stem,
        )
        return targets if self.shard is None else self.shard.of_items(targets)

    @property
    def manifest(self) -> Path | None:
        """Where the manifest lies; a song alone has none."""
        if self.out is not None or self.n_songs == 1:
            return None
        return manifest_path(self.out_dir, self.shard)

    def settings(self) -> Settings:
        """Return what all songs share."""
        return Settings(self.model, self.asked.sources, self.attempts, self.pictures)


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
        self._failures: list[Failure] = []
        self._n_made = 0
        self._shortfall = Shortfall(wanted.attempts)

    def rehearse(self) -> None:
        """Check what can be checked and name the files that would be written; write nothing."""
        _, missing, existing = self._prepared()
        for target in missing:
            if self._as_json:
                source = self._wanted.asked.sources[target.source]
                self._console.result_json(
                    {"path": str(target.path), "name": source.name, "seed": target.seed}
                )
            else:
                self._console.result(str(target.path))
        self._console.status(f"{len(missing)} songs to make, {len(existing)} are there")

    def make(self) -> None:
        """Make the songs.

        Raises
        ------
        SingError
            What the exit code tells: all songs failed, some did, or some fall short.
        """
        if self._wanted.out == STANDARD_OUTPUT:
            self._make_to_standard_output()
            return
        studio, missing, existing = self._prepared()
        validate_folders([target.path for target in missing])
        manifest = self._wanted.manifest
        if manifest is not None and existing:
            complete_manifest(manifest, existing)
        for song in existing:
            self._shortfall.count(song.path, song.recipe, reached=song.reached)
        if existing:
            self._console.status(f"{len(existing)} songs are there already")
        try:
            self._make(studio, missing, manifest)
        except KeyboardInterrupt:
            if manifest is not None:
                self._console.status(f"{self._n_made} of {len(missing)} songs are made")
            raise
        self._raise_if_failed(len(existing))
        self._shortfall.raise_if_any()

    def _prepared(self) -> tuple[Studio, list[Target], list[Existing]]:
        """Open the model, lay the plans, and see what is there."""
        wanted = self._wanted
        studio = Studio(wanted.settings())
        targets = wanted.targets
        for source in range(len(wanted.asked.sources)):
            first = next((target for target in targets if target.source == source), None)
            if first is not None:
                studio.work(first)
        if wanted.out == STANDARD_OUTPUT:
            return studio, list(targets), []
        if wanted.skip_existing:
            return studio, *split_existing(studio, targets)
        validate_targets(
            [target.path for target in targets],
            overwrite=wanted.overwrite,
            pictures=wanted.pictures,
            min_structure=wanted.attempts.min_structure,
        )
        return studio, list(targets), []

    def _make(self, studio: Studio, targets: Sequence[Target], manifest: Path | None) -> None:
        total = sum(map(studio.work, targets))
        with self._console.progress("sampling", unit="beats") as progress:

            def on_work(done: int) -> None:
                songs = "" if self._alone else f"{self._n_made} of {len(targets)} songs"
                progress(done, total, songs)

            if self._alone:
                for made in studio.outcomes(targets, on_work):
                    if isinstance(made, Failed):
                        raise made.error
                    self._tell(made)
                return
            jobs = self._wanted.jobs or usual_jobs(len(targets))
            outcomes = make_batch(studio, targets, jobs=jobs, manifest=manifest, on_work=on_work)
            for outcome in outcomes:
                self._tell(outcome)

    def _tell(self, outcome: Song | Failure) -> None:
        """Say on stdout what was written, on stderr how it went."""
        if isinstance(outcome, Failure):
            self._failures.append(outcome)
            self._console.error(f"{outcome.path}: {outcome.reason}")
            if self._as_json:
                self._console.result_json(
                    {
                        "path": str(outcome.path),
                        "seed": outcome.target.seed,
                        "error": outcome.reason,
                    }
                )
            return
        self._n_made += 1
        self._shortfall.count(outcome.path, outcome.recipe, reached=outcome.reached)
        if self._as_json:
            self._console.result_json(_json(outcome, self._quality))
            return
        self._console.result(str(outcome.path))
        if self._alone or self._verbose or not self._console.draws_progress:
            self._show(outcome.recipe, outcome.report)

    def _show(self, recipe: Recipe, report: StructureReport) -> None:
        """Print on stderr how well a song keeps to its form."""
        similarity = recipe.form is None
        table = self._verbose or self._alone
        for line in section_table(report, similarity=similarity) if table else ():
            self._console.status(f"  {line}")
        attempt = f", attempt {recipe.attempt} of {recipe.best_of}" if recipe.best_of > 1 else ""
        figures = summary(report, similarity=similarity)
        self._console.status(f"  seed {recipe.seed}: {figures}{attempt}")

    def _make_to_standard_output(self) -> None:
        """Write the bytes of the only song to stdout; the recipe is inside."""
        if self._as_json:
            raise InputError("--json and --out - both want standard output", "choose one of them")
        if sys.stdout.isatty():
            raise InputError(
                "--out - writes MIDI, which a terminal cannot show", "send it on: > song.mid"
            )
        studio, (target,), _ = self._prepared()
        total = studio.work(target)
        with self._console.progress("sampling", unit="beats") as progress:
            kept = studio.attempt(target, lambda done: progress(done, total))
        sys.stdout.buffer.write(kept.content)
        sys.stdout.buffer.flush()
        self._show(kept.recipe, kept.report)
        reached = self._wanted.attempts.is_reached(kept.report)
        self._shortfall.count(STANDARD_OUTPUT, kept.recipe, reached=reached)
        self._shortfall.raise_if_any()

    def _raise_if_failed(self, n_existing: int) -> None:
        if not self._failures:
            return
        first = self._failures[0]
        n_songs = self._n_made + n_existing + len(self._failures)
        message = (
            f"{len(self._failures)} of {n_songs} songs failed, the first {first.path}: "
            f"{first.reason}"
        )
        again = "the same call with --skip-existing makes what is missing"
        if self._n_made + n_existing == 0:
            raise SingError(message, again)
        raise PartialFailureError(message, again)


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
