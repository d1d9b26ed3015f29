"""From a wish to finished MIDI files: the plain function behind `generate`.

Every song is planned, made as often as `Attempts` says, and the best attempt kept; beside it lies
its recipe, from which the same file can be made again. For many songs in several processes see
`singcli.batch`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from singcli.attempts import Attempts
from singcli.errors import InputError, StructureError, hint_from_names, nearest_names
from singcli.recipe import Recipe
from singcli.resources import bundled_model_names, checkpoints_dir
from singcli.studio import Failed, Settings, Song, Studio
from singcli.targets import Target, validate_folders, validate_targets
from singcli.wish import Wish
from singcli.wish_sources import SameWish


def generate_songs(
    wish: Wish,
    model: Path,
    targets: Sequence[tuple[int, Path]],
    *,
    attempts: Attempts | None = None,
    pictures: bool = False,
    overwrite: bool = False,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Iterator[Song]:
    """Make one song for each seed and path.

    Parameters
    ----------
    wish : Wish
        What is asked for.
    model : Path
        An `.onnx` written by `export-onnx`.
    targets : sequence of (seed, path)
    attempts : Attempts, optional
        One for each song unless given.
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
    studio = Studio(Settings(model, (SameWish(wish),), attempts, pictures))
    wanted = [Target(0, seed, path) for seed, path in targets]
    total = sum(map(studio.work, wanted))
    validate_targets(
        [target.path for target in wanted],
        overwrite=overwrite,
        pictures=pictures,
        min_structure=attempts.min_structure,
    )
    validate_folders([target.path for target in wanted])
    shortfall = Shortfall(attempts)
    for outcome in studio.outcomes(wanted, lambda done: on_progress(done, total)):
        if isinstance(outcome, Failed):
            raise outcome.error
        shortfall.count(outcome.path, outcome.recipe, reached=outcome.reached)
        yield outcome
    shortfall.raise_if_any()


class Shortfall:
    """The songs of a call that do not reach the structure that was required.

    Parameters
    ----------
    attempts : Attempts
    """

    def __init__(self, attempts: Attempts) -> None:
        self._attempts = attempts
        self._n_songs = self._n_missed = 0
        self._worst: tuple[float, Path, bool] | None = None

    def count(self, path: Path, recipe: Recipe, *, reached: bool) -> None:
        """Take note of a song."""
        self._n_songs += 1
        if reached:
            return
        self._n_missed += 1
        score = (recipe.structure or {})["score"]
        if self._worst is None or score < self._worst[0]:
            self._worst = score, path, recipe.form is not None

    def raise_if_any(self) -> None:
        """Say what falls short, by how much, and what helps.

        Raises
        ------
        StructureError
            If a song falls short.
        """
        if self._worst is None:
            return
        score, path, is_form = self._worst
        found = f"{path}: structure {score:.2f}, wanted {self._attempts.min_structure:g}"
        if self._n_songs > 1:
            found = f"{self._n_missed} of {self._n_songs} songs fall short, the furthest {found}"
        dial = "--strictness" if is_form else "--steering"
        raise StructureError(
            f"{found} (best of {self._attempts.best_of})",
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
    names = bundled_model_names()
    if name_or_path in names:
        return checkpoints_dir() / f"{name_or_path}.onnx"
    near = nearest_names(name_or_path, names)
    hint = hint_from_names(near, f"there are: {', '.join(names)}")
    raise InputError(
        f"no model is called {name_or_path!r}", f"{hint} (a file of yours ends in .onnx)"
    )
