"""From a form or a template to finished MIDI files: the plain function behind `generate`.

Every song is planned, sampled, written, read back from disk and measured; its recipe, from which
the same file can be made again, lies beside it.
"""

from __future__ import annotations

import dataclasses
import secrets
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from singcli.analysis import structure_from_midi
from singcli.errors import InputError, SingError, nearest_names
from singcli.files import write_bytes
from singcli.metrics.report import StructureReport, measure_structure, measure_template_structure
from singcli.model.runtime import Runtime
from singcli.model.sampling import Plan, SamplingOptions, sample_scores
from singcli.music.key import Key
from singcli.music.midi_writing import midi_from_score
from singcli.music.score import Score
from singcli.preparation.scores import score_from_midi
from singcli.recipe import Recipe, UsedFile, placed_sections, write_recipe
from singcli.resources import checkpoints_dir
from singcli.structure.form import Form, ssm_from_form
from singcli.structure.preset import form_from_values, values_from_form
from singcli.structure.section import Span
from singcli.structure.ssm_file import SUFFIX as SSM_SUFFIX
from singcli.structure.ssm_file import Structure, read_ssm

DEFAULT_MODEL = "pop"
DEFAULT_FILENAME = "{preset}-{seed}.mid"
FILENAME_FIELDS = ("preset", "seed", "index")
MAX_SEED = 2**63 - 1
MAX_COUNT = 100_000
DRAWN_SEEDS = 10**6  # a drawn seed is short enough to be typed again
ROWS_AT_ONCE = 64  # songs times candidates in one batch
MIN_TEMPO_BPM, MAX_TEMPO_BPM = 20.0, 300.0


@dataclass(frozen=True, slots=True)
class Template:
    """The structure of an existing piece to be followed, and the file it came from."""

    structure: Structure
    file: UsedFile


def template_from_file(path: Path) -> Template:
    """Read a template: an SSM file (`.npz`) or a MIDI file.

    Raises
    ------
    InputError
        If the file cannot be read or has no structure to follow.
    """
    if path.suffix.lower() == SSM_SUFFIX:
        return Template(read_ssm(path), UsedFile.from_path(path))
    return Template(structure_from_midi(path), UsedFile.from_path(path))


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user asks for.

    Parameters
    ----------
    source : Form or Template
    tempo_bpm : float, optional
        In place of the source's.
    key : Key, optional
        In place of the source's.
    temperature, top_p, strictness : float
        See `SamplingOptions`.
    candidates : int, optional
        See `SamplingOptions`; by default what pays for the kind of source (`default_steering`).
    steering : float, optional
        Likewise.

    Raises
    ------
    InputError
        If the tempo is outside `MIN_TEMPO_BPM` to `MAX_TEMPO_BPM`.
    """

    source: Form | Template
    tempo_bpm: float | None = None
    key: Key | None = None
    temperature: float = 1.0
    top_p: float = 1.0
    strictness: float = 0.5
    candidates: int | None = None
    steering: float | None = None

    def __post_init__(self) -> None:
        """Check the tempo; the rest is checked by `options`."""
        tempo = self.tempo_bpm
        if tempo is not None and not MIN_TEMPO_BPM <= tempo <= MAX_TEMPO_BPM:
            raise InputError(
                f"tempo = {tempo:g}, allowed: {MIN_TEMPO_BPM:g} to {MAX_TEMPO_BPM:g} beats a minute"
            )

    @property
    def name(self) -> str:
        """What the song is called after: preset, form or template."""
        if isinstance(self.source, Form):
            return self.source.name
        return Path(self.source.file.name).stem

    @property
    def song_key(self) -> Key:
        """The key of the song."""
        source = self.source if isinstance(self.source, Form) else self.source.structure
        return self.key or source.key or Key(0, "major")

    @property
    def song_tempo_bpm(self) -> float:
        """Quarter notes a minute."""
        source = self.source if isinstance(self.source, Form) else self.source.structure
        return self.tempo_bpm or min(max(source.tempo_bpm, MIN_TEMPO_BPM), MAX_TEMPO_BPM)

    @property
    def meter(self) -> str:
        """Of most bars."""
        source = self.source if isinstance(self.source, Form) else self.source.structure
        return source.meter

    @property
    def sections(self) -> Sequence[Span]:
        """Label, first bar and length of every section."""
        if isinstance(self.source, Form):
            return self.source.section_bars
        return self.source.structure.sections

    def options(self) -> SamplingOptions:
        """Return the sampling options in full."""
        candidates, steering = default_steering(self.source)
        return SamplingOptions(
            temperature=self.temperature,
            top_p=self.top_p,
            strictness=self.strictness,
            candidates=self.candidates if self.candidates is not None else candidates,
            steering=self.steering if self.steering is not None else steering,
        )

    def plan(self, runtime: Runtime) -> Plan:
        """Return what the sampler follows, over the texture that the model was trained on."""
        if isinstance(self.source, Form):
            ssm, bars = ssm_from_form(self.source, texture=runtime.card.texture), self.source.bar_beats
            kind: Any = "form"
        else:
            ssm, bars = self.source.structure.ssm, self.source.structure.bar_beats
            kind = "music"
        return Plan(
            ssm=ssm,
            bar_beats=bars,
            kind=kind,
            mode=self.song_key.mode,
            tempo_bpm=self.song_tempo_bpm,
        )


def default_steering(source: Form | Template) -> tuple[int, float]:
    """Return candidates and strength where the user gives none (measured in docs/results.md)."""
    return (4, 100.0) if isinstance(source, Form) else (16, 300.0)


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
    on_progress: Callable[[int, int], None] = lambda done, total: None,
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
    validate_targets([path for _, path in targets], overwrite=overwrite)
    options = wish.options()
    runtime = Runtime.open(model)
    plan = wish.plan(runtime)
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
            recipe = _recipe(wish, options, runtime, UsedFile(model.name, runtime.sha256), seed, plan)
            yield _finish(wish, plan, score, path, recipe)


def _finish(wish: Wish, plan: Plan, score: Score, path: Path, recipe: Recipe) -> Song:
    """Write a song in its key, read it back, measure it, write its recipe."""
    content = midi_from_score(
        dataclasses.replace(score, key=Key(0 if plan.mode == "major" else 9, plan.mode)).transposed(
            -wish.song_key.shift_to_reference
        ),
        sections=wish.sections,
        meter=wish.meter,
        title=f"{wish.name} {recipe.seed}",
        recipe_text=recipe.embedded_text(),
    )
    write_bytes(path, content)
    finished = score_from_midi(path)
    if isinstance(wish.source, Form):
        report = measure_structure(finished, wish.source, wanted_ssm=plan.ssm)
    else:
        report = measure_template_structure(finished, plan.ssm, bar_beats=plan.bar_beats)
    recipe = dataclasses.replace(recipe, structure=report.to_dict())
    write_recipe(recipe_path(path), recipe)
    return Song(path, recipe_path(path), recipe.seed, report, recipe)


def _recipe(
    wish: Wish,
    options: SamplingOptions,
    runtime: Runtime,
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
        sections=placed_sections(wish.sections, plan.bar_beats),
    )


def recipe_path(path: Path) -> Path:
    """Return where the recipe of the song at `path` lies."""
    return path.with_suffix(".json")


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


def song_targets(
    wish: Wish,
    *,
    seed: int | None,
    count: int,
    out: Path | None,
    out_dir: Path,
    filename: str = DEFAULT_FILENAME,
) -> list[tuple[int, Path]]:
    """Return seed and path of each song; without a seed one is drawn.

    The k-th of `count` songs has the seed `seed` + k, whatever else is made.

    Raises
    ------
    InputError
        If the numbers are out of range, `out` is given for several songs, or `filename` has an
        unknown field, makes equal names or leaves the folder.
    """
    if not 1 <= count <= MAX_COUNT:
        raise InputError(f"count = {count}, allowed: 1 to {MAX_COUNT}")
    first = secrets.randbelow(DRAWN_SEEDS) if seed is None else seed
    if not 0 <= first <= MAX_SEED - count:
        raise InputError(f"seed = {first}, allowed: 0 to {MAX_SEED - count}")
    seeds = range(first, first + count)
    if out is not None:
        if count > 1:
            raise InputError(f"--out names one file, --count asks for {count}", "use --out-dir")
        return [(first, _midi_path(out))]
    names = [_filled(filename, wish.name, s, index) for index, s in enumerate(seeds, 1)]
    if len(set(names)) < len(names):
        raise InputError(f"--filename {filename!r}: the songs get equal names", "use {seed}")
    return [(s, out_dir / name) for s, name in zip(seeds, names, strict=True)]


def _filled(filename: str, preset: str, seed: int, index: int) -> str:
    allowed = ", ".join(f"{{{name}}}" for name in FILENAME_FIELDS)
    try:
        name = filename.format(preset=_plain(preset), seed=seed, index=index)
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        raise InputError(
            f"--filename {filename!r}: cannot be filled in ({error})",
            f"fields are {allowed}, formats as in {{seed:06d}}",
        ) from error
    if Path(name).name != name or name in (".", ".."):
        raise InputError(f"--filename {filename!r}: must be a name without folders", "use --out-dir")
    return _midi_path(Path(name)).name


def _plain(name: str) -> str:
    """Return a name for use in a file name: the text of a form may hold anything."""
    kept = "".join(c if c.isalnum() or c in "-_.'" else "_" for c in name)[:80]
    return kept.strip("._") or "song"


def _midi_path(path: Path) -> Path:
    if path.suffix.lower() not in (".mid", ".midi"):
        raise InputError(f"{path}: a song's file must end in .mid")
    return path


def validate_targets(paths: Sequence[Path], *, overwrite: bool) -> None:
    """Check that the files can be written, before any work is done.

    Missing folders are made.

    Raises
    ------
    InputError
        If a file exists and may not be replaced, or a folder cannot be made or written.
    """
    for path in paths:
        for file in (path, recipe_path(path)):
            if file.exists() and not overwrite:
                raise InputError(f"{file}: already exists", "add --overwrite to replace it")
            if file.is_dir():
                raise InputError(f"{file}: is a folder")
    for folder in {path.parent for path in paths}:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise InputError(
                f"{folder}: cannot be written ({error.strerror})", "choose another --out-dir"
            ) from error


def wish_from_recipe(recipe: Recipe, template: Template | None) -> Wish:
    """Return the wish that a recipe records.

    Raises
    ------
    InputError
        If the recipe needs its template and another or none is given.
    """
    source: Form | Template
    if recipe.form is not None:
        source = form_from_values(recipe.form, source="recipe")
    elif template is None:
        wanted = recipe.template.name if recipe.template else "its template"
        raise InputError("the recipe follows a template", f"add --template {wanted}")
    elif recipe.template is not None and template.file.sha256 != recipe.template.sha256:
        raise InputError(
            f"{template.file.name}: not the template of the recipe "
            f"(sha256 {template.file.sha256[:12]}, recorded {recipe.template.sha256[:12]})"
        )
    else:
        source = template
    try:
        options = recipe.options
        return Wish(
            source=source,
            tempo_bpm=float(options["tempo"]),
            key=Key.parse(options["key"]),
            **{
                name: options[name]
                for name in ("temperature", "top_p", "strictness", "candidates", "steering")
            },
        )
    except (KeyError, TypeError, ValueError) as error:
        raise SingError(f"the recipe's options are not complete ({error})") from error
