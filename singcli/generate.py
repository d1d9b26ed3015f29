"""From a wish to finished MIDI files: the plain function behind `generate`.

Every song is planned, sampled, written, read back from disk and measured; its recipe, from which
the same file can be made again, lies beside it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from singcli.errors import InputError, nearest_names
from singcli.files import write_bytes
from singcli.metrics.report import StructureReport, measure_structure, measure_template_structure
from singcli.model.plan import Plan, SamplingOptions
from singcli.model.runtime import Runtime
from singcli.model.sampling import sample_scores
from singcli.music.midi_writing import midi_from_score
from singcli.music.score import Score
from singcli.preparation.scores import score_from_midi
from singcli.recipe import Recipe, UsedFile, placed_sections, write_recipe
from singcli.resources import checkpoints_dir
from singcli.structure.form import Form
from singcli.structure.preset import values_from_form
from singcli.targets import recipe_path, validate_targets
from singcli.wish import Wish

ROWS_AT_ONCE = 64  # songs times candidates in one batch


@dataclass(frozen=True, slots=True)
class Song:
    """A finished file."""

    path: Path
    recipe_path: Path
    seed: int
    report: StructureReport
    recipe: Recipe


def generate_songs(
    wish: Wish,
    model: Path,
    targets: Sequence[tuple[int, Path]],
    *,
    overwrite: bool = False,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Iterator[Song]:
    """Make one song for each seed and path.

    Parameters
    ----------
    model : Path
        An `.onnx` written by `export-onnx`.
    targets : sequence of (seed, path)
        From `song_targets`.
    on_progress : callable
        Called with beats sampled and their number, over all songs.

    Yields
    ------
    Song
        As soon as it is on disk, in the order of `targets`.

    Raises
    ------
    InputError
        If a path exists, a folder cannot be written or the model cannot be used; nothing has been
        written then.
    """
    options = wish.options()
    runtime = Runtime.open(model)
    validate_targets([path for _, path in targets], overwrite=overwrite)
    plan = wish.plan(runtime.card)
    used = UsedFile(model.name, runtime.sha256)
    n_beats = len(plan.ssm)
    at_once = max(1, ROWS_AT_ONCE // options.candidates)
    for first in range(0, len(targets), at_once):
        part = targets[first : first + at_once]

        def report_beats(done: int, total: int, first: int = first, size: int = len(part)) -> None:
            on_progress(first * n_beats + done * size, len(targets) * total)

        scores = sample_scores(
            runtime, [plan] * len(part), [seed for seed, _ in part], options, on_beat=report_beats
        )
        for (seed, path), score in zip(part, scores, strict=True):
            recipe = _recipe(wish, options, used, seed, plan)
            yield _finish(wish, plan, score, path, recipe)


def _finish(wish: Wish, plan: Plan, score: Score, path: Path, recipe: Recipe) -> Song:
    """Write a song in its key, read it back, measure it, write its recipe."""
    content = midi_from_score(
        dataclasses.replace(score.transposed(-wish.song_key.shift_to_reference), key=wish.song_key),
        sections=wish.sections,
        meter=wish.meter,
        title=f"{wish.name} {recipe.seed}",
        recipe_text=recipe.embedded_text(),
    )
    write_bytes(path, content)
    finished = score_from_midi(path, whole=True)
    if isinstance(wish.source, Form):
        report = measure_structure(finished, wish.source, wanted_ssm=plan.song_ssm)
    else:
        report = measure_template_structure(finished, plan.song_ssm, bar_beats=plan.song_bar_beats)
    recipe = dataclasses.replace(recipe, structure=report.to_dict())
    write_recipe(recipe_path(path), recipe)
    return Song(path, recipe_path(path), recipe.seed, report, recipe)


def _recipe(
    wish: Wish,
    options: SamplingOptions,
    model: UsedFile,
    seed: int,
    plan: Plan,
) -> Recipe:
    return Recipe(
        model=model,
        seed=seed,
        options=dataclasses.asdict(options)
        | {"tempo": wish.song_tempo_bpm, "key": str(wish.song_key), "name": wish.name},
        form=values_from_form(wish.source) if isinstance(wish.source, Form) else None,
        template=None if isinstance(wish.source, Form) else wish.source.file,
        sections=placed_sections(wish.sections, plan.song_bar_beats),
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
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are: {', '.join(names)}"
    raise InputError(
        f"no model is called {name_or_path!r}", f"{hint} (a file of yours ends in .onnx)"
    )
