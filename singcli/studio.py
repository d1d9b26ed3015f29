"""Where songs are made: a model opened once in a process, and batches of songs that fit in memory.

A song that cannot be made is an outcome like any other; the rest of its batch goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from singcli.attempts import Attempt, Attempts, Order, Workshop
from singcli.errors import InputError
from singcli.files import write_bytes
from singcli.metrics.report import StructureReport, without_transpositions
from singcli.model.opening import open_model
from singcli.model.plan import Plan
from singcli.model.runtime import Runtime
from singcli.preparation.limits import MIN_BARS
from singcli.recipe import Recipe, UsedFile, write_recipe
from singcli.structure.form import Form
from singcli.structure.ssm import ssm_from_score
from singcli.targets import Target, below_path, picture_path, recipe_path
from singcli.wish import Wish
from singcli.wish_sources import WishSource

if TYPE_CHECKING:
    from singcli.model.sing.runtime import SingRuntime

BEATS_AT_ONCE = 32768  # of all songs of a batch: about 5 kB each


@dataclass(frozen=True, slots=True)
class Settings:
    """What all songs of a call share.

    Parameters
    ----------
    model : Path
        An `.onnx` written by `export-onnx`.
    sources : tuple of WishSource
    attempts : Attempts
    pictures : bool
        Draw a picture beside every song, see `write_song_png`.
    asked : tuple of str
        Options of the sampler that the user gave; a model that would not heed them is refused.
    """

    model: Path
    sources: tuple[WishSource, ...]
    attempts: Attempts = Attempts()  # noqa: RUF009 - frozen
    pictures: bool = False
    asked: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Song:
    """A finished file.

    Parameters
    ----------
    target : Target
        What was to be made.
    path, recipe_path : Path
    picture_path : Path, optional
        None if no picture was wanted.
    seed : int
    report : StructureReport
    recipe : Recipe
    content : bytes
        Of the file.
    reached : bool
        Whether the score is what `Attempts.min_structure` requires; if not, the path says so too.
    """

    target: Target
    path: Path
    recipe_path: Path
    picture_path: Path | None
    seed: int
    report: StructureReport
    recipe: Recipe
    content: bytes
    reached: bool


@dataclass(frozen=True, slots=True)
class Failed:
    """A song that could not be made, and why."""

    target: Target
    name: str
    error: Exception


class Studio:
    """A model with the plans of the wishes that were made last.

    Parameters
    ----------
    settings : Settings

    Raises
    ------
    InputError
        If the model cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.runtime = _model_of_songs(settings.model, settings.asked)
        self._model = UsedFile(settings.model.name, self.runtime.sha256)
        self._planned: tuple[Wish, Plan] | None = None
        self._beats: dict[int, int] = {}

    def order(self, target: Target) -> Order:
        """Plan a song; songs in a row that share their wish share its plan.

        Raises
        ------
        InputError
            If the plan is shorter than two bars, or the model does not know what is wanted.
        """
        wish = self.settings.sources[target.source].wish(target.seed)
        if self._planned is None or self._planned[0] is not wish:
            self._planned = wish, wish.plan(self.runtime.card)
            n_bars = len(self._planned[1].song_bar_beats) - 1
            if n_bars < MIN_BARS:
                raise InputError(f"{wish.name}: {n_bars} bar long, at least {MIN_BARS} are needed")
        return Order(*self._planned, target.seed, target.path)

    def work(self, target: Target) -> int:
        """Return the beats that are sampled for a song, all attempts together.

        Songs of one source count alike.
        """
        if target.source not in self._beats:
            self._beats[target.source] = len(self.order(target).plan.ssm)
        return self._beats[target.source] * self.settings.attempts.most

    def expected_recipe(self, target: Target) -> Recipe:
        """Return the recipe that a song would have, without what only its making can tell."""
        order = self.order(target)
        return self._workshop(order).recipe(order, self.settings.attempts.only or 1)

    def attempt(self, target: Target, on_work: Callable[[int], None]) -> Attempt:
        """Make one song and write nothing."""
        order = self.order(target)
        total = self.work(target)
        (kept,) = self._workshop(order).best_attempts(
            [order], lambda share: on_work(round(share * total))
        )
        return kept

    def outcomes(
        self, targets: Iterable[Target], on_work: Callable[[int], None] = lambda _done: None
    ) -> Iterator[Song | Failed]:
        """Make songs, as many at once as fit, and yield each when it is on disk.

        Parameters
        ----------
        on_work : callable
            Called with the sum of `work` that is done.
        """
        done, part, in_part = 0, list[Target](), list[Order]()
        for target in targets:
            try:
                order = self.order(target)
            except Exception as error:  # noqa: BLE001 - of this song; the others go on
                yield self._failed(target, error)
                continue
            if in_part and not self._fits(in_part, order):
                yield from self._made(part, in_part, done, on_work)
                done += sum(map(self.work, part))
                part, in_part = [], []
            part.append(target)
            in_part.append(order)
        if part:
            yield from self._made(part, in_part, done, on_work)

    def songs_at_once(self, target: Target) -> int:
        """Return how many songs like this one a batch may hold, if their length lets it."""
        workshop = self._workshop(self.order(target))
        return max(1, workshop.attempts_at_once // self.settings.attempts.most)

    def _workshop(self, order: Order) -> Workshop:
        return Workshop(self.runtime, self._model, order.wish.options(), self.settings.attempts)

    def _fits(self, part: Sequence[Order], order: Order) -> bool:
        """Return whether one more song can be sampled beside those of a batch."""
        workshop, most = self._workshop(order), self.settings.attempts.most
        longest = max(len(other.plan.ssm) for other in (*part, order))
        n_songs = len(part) + 1
        return (
            n_songs * most <= workshop.attempts_at_once
            and n_songs * most * longest <= BEATS_AT_ONCE
            and order.wish.options() == part[0].wish.options()
        )

    def _made(
        self,
        targets: Sequence[Target],
        orders: Sequence[Order],
        done: int,
        on_work: Callable[[int], None],
    ) -> Iterator[Song | Failed]:
        """Make the songs of a batch; if it cannot be made, each of them alone."""
        total = sum(map(self.work, targets))
        try:
            kept = self._workshop(orders[0]).best_attempts(
                orders, lambda share: on_work(done + round(share * total))
            )
        except Exception as error:  # noqa: BLE001 - of one song of them; the others go on
            if len(targets) == 1:
                yield self._failed(targets[0], error)
                return
            for target, order in zip(targets, orders, strict=True):
                yield from self._made([target], [order], done, on_work)
                done += self.work(target)
            return
        for target, order, attempt in zip(targets, orders, kept, strict=True):
            outcome: Song | Failed
            try:
                outcome = self._finish(target, order, attempt)
            except Exception as error:  # noqa: BLE001 - a full disk, say
                outcome = self._failed(target, error)
            yield outcome

    def _failed(self, target: Target, error: Exception) -> Failed:
        return Failed(target, self.settings.sources[target.source].name, error)

    def _finish(self, target: Target, order: Order, kept: Attempt) -> Song:
        """Write picture, recipe and song, under names that say if it falls short.

        The song comes last: where it is, the others are.
        """
        attempts, path = self.settings.attempts, order.path
        reached = attempts.is_reached(kept.report)
        if attempts.min_structure is not None and not reached:
            path = below_path(path, attempts.min_structure)
        if self.settings.pictures:
            _write_picture(picture_path(path), order, kept)
        write_recipe(recipe_path(path), kept.recipe)
        write_bytes(path, kept.content)
        return Song(
            target,
            path,
            recipe_path(path),
            picture_path(path) if self.settings.pictures else None,
            order.seed,
            kept.report,
            kept.recipe,
            kept.content,
            reached,
        )


def _model_of_songs(model: Path, asked: Sequence[str]) -> Runtime | SingRuntime:
    """Open the model, if it can write songs and heeds what is asked of it."""
    runtime = open_model(model)
    if not isinstance(runtime, Runtime):
        if asked:
            raise InputError(
                f"{', '.join(asked)}: the model {runtime.card.name} does not heed it",
                "leave it out, or choose another --model",
            )
    elif runtime.card.material != "songs":
        raise InputError(
            f"{model}: a model of {runtime.card.material}, which have no bars and voices",
            "choose a model of songs; this one is for evaluate --protocol sing",
        )
    return runtime


def _write_picture(path: Path, order: Order, kept: Attempt) -> None:
    from singcli.plotting import write_song_png

    source = order.wish.source
    compared = kept.finished
    if isinstance(source, Form):
        compared = without_transpositions(compared, source)
    write_song_png(
        path,
        kept.finished,
        wanted=order.plan.song_ssm,
        measured=ssm_from_score(compared),
        sections=order.wish.sections,
        title=f"{path.stem}: structure {kept.report.score:.2f}",
    )
