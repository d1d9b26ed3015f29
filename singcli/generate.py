"""From a wish to finished MIDI files: the plain function behind `generate`.

Every song is planned, made as often as `Attempts` says, and the best attempt kept; beside it lies
its recipe, from which the same file can be made again.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from singcli.attempts import Attempt, Attempts, Order, Workshop
from singcli.errors import InputError, StructureError, hint_from_names, nearest_names
from singcli.files import write_bytes
from singcli.metrics.report import StructureReport, without_transpositions
from singcli.model.contract import StyledCard
from singcli.model.opening import open_model
from singcli.model.plan import Plan
from singcli.model.sing.runtime import SingRuntime
from singcli.preparation.limits import MIN_BARS
from singcli.recipe import Recipe, UsedFile, write_recipe
from singcli.resources import checkpoints_dir
from singcli.structure.form import Form
from singcli.structure.ssm import ssm_from_score
from singcli.targets import below_path, picture_path, recipe_path, validate_targets
from singcli.wish import Wish


@dataclass(frozen=True, slots=True)
class Song:
    """A finished file.

    Parameters
    ----------
    path, recipe_path : Path
    picture_path : Path, optional
        None if no picture was wanted.
    seed : int
    report : StructureReport
    recipe : Recipe
    reached : bool
        Whether the score is what `Attempts.min_structure` requires; if not, the path says so too.
    """

    path: Path
    recipe_path: Path
    picture_path: Path | None
    seed: int
    report: StructureReport
    recipe: Recipe
    reached: bool


def generate_songs(
    wish: Wish | Callable[[int], Wish],
    model: Path,
    targets: Sequence[tuple[int, Path]],
    *,
    attempts: Attempts | None = None,
    asked: Sequence[str] = (),
    pictures: bool = False,
    overwrite: bool = False,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Iterator[Song]:
    """Make one song for each seed and path.

    Parameters
    ----------
    wish : Wish, or callable
        What is asked for; or a function from a seed to it, for songs that differ in their form.
    model : Path
        An `.onnx` written by `export-onnx`.
    targets : sequence of (seed, path)
        From `song_targets`.
    attempts : Attempts, optional
        One for each song unless given.
    asked : sequence of str
        Options of the sampler that the user gave; a model that would not heed them is refused.
    pictures : bool
        Draw a picture beside every song, see `write_song_png`.
    on_progress : callable
        Called with beats sampled and their number, over all songs and attempts.

    Yields
    ------
    Song
        As soon as it is on disk, in the order of `targets`.

    Raises
    ------
    InputError
        If a path exists, a folder cannot be written, the model cannot be used or the plan is
        shorter than two bars; nothing has been written then.
    StructureError
        When all songs are done, if some have not reached `attempts.min_structure`.

    Notes
    -----
    What a song is depends on its own seed alone, not on what else is made (`seed_of_attempt`).
    """
    attempts = attempts or Attempts()
    wish_of = (lambda _seed: wish) if isinstance(wish, Wish) else wish
    options = wish_of(targets[0][0]).options()
    runtime = open_model(model)
    if isinstance(runtime, SingRuntime) and asked:
        raise InputError(
            f"{', '.join(asked)}: the model {runtime.card.name} does not heed it",
            "leave it out, or choose another --model",
        )
    validate_targets(
        [path for _, path in targets],
        overwrite=overwrite,
        pictures=pictures,
        min_structure=attempts.min_structure,
    )
    workshop = Workshop(runtime, UsedFile(model.name, runtime.sha256), options, attempts)
    orders = _orders(wish_of, targets, runtime.card)
    at_once = max(1, workshop.attempts_at_once // attempts.most)
    missed: list[Song] = []
    for first in range(0, len(targets), at_once):
        part = list(itertools.islice(orders, at_once))

        def report_share(share: float, first: int = first, part: list[Order] = part) -> None:
            beats_each = attempts.most * len(part[0].plan.ssm)
            songs = first + share * len(part)
            on_progress(round(songs * beats_each), len(targets) * beats_each)

        for order, attempt in zip(part, workshop.best_attempts(part, report_share), strict=True):
            song = _finish(order, attempt, attempts, picture=pictures)
            if not song.reached:
                missed.append(song)
            yield song
    if missed:
        raise _structure_error(missed, len(targets), attempts)


def _orders(
    wish_of: Callable[[int], Wish], targets: Sequence[tuple[int, Path]], card: StyledCard
) -> Iterator[Order]:
    """Plan the songs; songs in a row that share their wish share its plan."""
    planned: tuple[Wish, Plan] | None = None
    for seed, path in targets:
        wish = wish_of(seed)
        if planned is None or planned[0] is not wish:
            planned = wish, wish.plan(card)
            n_bars = len(planned[1].song_bar_beats) - 1
            if n_bars < MIN_BARS:
                raise InputError(f"{wish.name}: {n_bars} bar long, at least {MIN_BARS} are needed")
        yield Order(*planned, seed, path)


def _finish(order: Order, kept: Attempt, attempts: Attempts, *, picture: bool) -> Song:
    """Write the song, its recipe and its picture, under names that say if it falls short."""
    reached = attempts.is_reached(kept.report)
    path = order.path
    if attempts.min_structure is not None and not reached:
        path = below_path(path, attempts.min_structure)
    write_bytes(path, kept.content)
    write_recipe(recipe_path(path), kept.recipe)
    if picture:
        _write_picture(picture_path(path), order, kept)
    return Song(
        path,
        recipe_path(path),
        picture_path(path) if picture else None,
        order.seed,
        kept.report,
        kept.recipe,
        reached,
    )


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


def _structure_error(missed: Sequence[Song], n_songs: int, attempts: Attempts) -> StructureError:
    """Say what falls short, by how much, and what helps."""
    worst = min(missed, key=lambda song: song.report.score)
    found = f"{worst.path}: structure {worst.report.score:.2f}, wanted {attempts.min_structure:g}"
    if n_songs > 1:
        found = f"{len(missed)} of {n_songs} songs fall short, the furthest {found}"
    dial = "--strictness" if worst.recipe.form is not None else "--steering"
    return StructureError(
        f"{found} (best of {attempts.best_of})",
        f"try a higher {dial}, a higher --best-of or fewer bars",
    )


def model_path(name_or_path: str) -> Path:
    """Return the file of a bundled model's name, or the path itself where it is one.

    Raises
    ------
    InputError
        If no bundled model has this name.
    """
    if name_or_path.endswith(".onnx") or Path(name_or_path).name != name_or_path:
        return Path(name_or_path)
    names = sorted(path.stem for path in checkpoints_dir().glob("*.onnx"))
    if name_or_path in names:
        return checkpoints_dir() / f"{name_or_path}.onnx"
    near = nearest_names(name_or_path, names)
    hint = hint_from_names(near, f"there are: {', '.join(names)}")
    raise InputError(
        f"no model is called {name_or_path!r}", f"{hint} (a file of yours ends in .onnx)"
    )
