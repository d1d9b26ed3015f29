"""A song made again from the recipe that its MIDI file carries: the worker behind `replay`."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from singcli.attempts import Attempts, Order, Workshop
from singcli.errors import InputError
from singcli.generate import model_path
from singcli.model.opening import open_model
from singcli.model.runtime import Runtime
from singcli.model.sing.runtime import SingRuntime
from singcli.music.midi_events import (
    KEY,
    MARKER,
    META,
    METER,
    TEMPO,
    TEXT,
    TRACK_NAME,
    MidiEvent,
    midi_events,
    with_other_text,
)
from singcli.music.midi_writing import TICKS_PER_BEAT
from singcli.recipe import (
    Recipe,
    UsedFile,
    machine_class,
    recipe_from_midi,
    used_versions,
)
from singcli.resources import MODEL_SUFFIX, bundled_model_names
from singcli.wish import Template, wish_from_recipe

MAX_BYTES = 64 * 2**20  # of a MIDI file; a song of singcli has thousands
SHORT_HASH = 12  # digits that people see

_META_NAMES = {
    TEXT: "texts",
    TRACK_NAME: "names",
    MARKER: "section markers",
    TEMPO: "tempos",
    METER: "meters",
    KEY: "key",
}


class Difference(NamedTuple):
    """Something that is not as it was when the song was made.

    Parameters
    ----------
    what : str
    recorded : str
        In the file or its recipe.
    here : str
        Now.
    """

    what: str
    recorded: str
    here: str


@dataclass(frozen=True, slots=True)
class Replay:
    """A song made again.

    Parameters
    ----------
    recipe : Recipe
        Of the file.
    content : bytes
        Of the new file: those of the old one, if the music is the same.
    surroundings : tuple of Difference
        Versions, model and machine that are others than then.
    differences : tuple of Difference
        Between the two files; empty if they are equal byte for byte.
    """

    recipe: Recipe
    content: bytes
    surroundings: tuple[Difference, ...]
    differences: tuple[Difference, ...]

    @property
    def same(self) -> bool:
        """Whether the new file is the old one, byte for byte."""
        return not self.differences


def replay(
    path: Path,
    *,
    model: Path | None = None,
    template: Template | None = None,
    on_progress: Callable[[float], None] = lambda _share: None,
) -> Replay:
    """Make the song of a MIDI file again and compare.

    Parameters
    ----------
    path : Path
    model : Path, optional
        In place of the bundled model that the recipe names.
    template : Template, optional
        That the song followed; its recipe knows it by its hash alone.
    on_progress : callable
        Called with the share of the song that is sampled, 0 to 1.

    Raises
    ------
    InputError
        If the file carries no recipe, or if model or template is needed, or is another one.

    Notes
    -----
    The new file records the versions of now. Where nothing else differs, it gets the recipe of
    then, and with it the same bytes.
    """
    if path.suffix == ".json":
        raise InputError(
            f"{path}: is not a MIDI file", f"its song: singcli generate --recipe {path}"
        )
    before = read_midi_bytes(path)
    recipe, text = recipe_from_midi(before, source=str(path))
    runtime = open_model(_model_of(recipe, model, path))
    content, new_text, bar_ticks = _made_again(recipe, runtime, template, path, on_progress)
    stamped = with_other_text(content, new_text, text)
    same = stamped == before
    return Replay(
        recipe,
        before if same else content,
        tuple(_surroundings(recipe, runtime.sha256)),
        () if same else tuple(_differences(before, stamped, bar_ticks, source=str(path))),
    )


def read_midi_bytes(path: Path) -> bytes:
    """Return the bytes of a MIDI file of no absurd size.

    Raises
    ------
    InputError
        If it is no file, cannot be read, or is too large.
    """
    try:
        if not path.is_file():
            problem = "is not a file" if path.exists() else "no such file"
            raise InputError(f"{path}: {problem}")
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path}: larger than {MAX_BYTES // 2**20} MB, not a song")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error


def _made_again(
    recipe: Recipe,
    runtime: Runtime | SingRuntime,
    template: Template | None,
    path: Path,
    on_progress: Callable[[float], None],
) -> tuple[bytes, str, list[int]]:
    """Return the new file, the text of its recipe, and the ticks of its bar lines."""
    if recipe.primer is not None:
        raise InputError(
            f"{path}: begins with the notes of {recipe.primer.name}, this singcli knows no primers",
            f"use singcli {recipe.versions.get('singcli', 'of then')}",
        )
    wish = wish_from_recipe(recipe, template)
    plan = wish.plan(runtime.card)
    attempts = Attempts(recipe.best_of, only=recipe.attempt)
    used = UsedFile(recipe.model.name, runtime.sha256)
    workshop = Workshop(runtime, used, wish.options(), attempts)
    (made,) = workshop.best_attempts([Order(wish, plan, recipe.seed, path)], on_progress)
    bar_ticks = [int(beat) * TICKS_PER_BEAT for beat in plan.song_bar_beats]
    return made.content, made.recipe.embedded_text(), bar_ticks


def _model_of(recipe: Recipe, given: Path | None, path: Path) -> Path:
    """Return the model given, else a bundled one of the hash, else of the name."""
    if given is not None:
        return given
    names = bundled_model_names()
    name = recipe.model.name.removesuffix(MODEL_SUFFIX)
    for candidate in sorted(names, key=lambda known: known != name):
        file = model_path(candidate)
        if UsedFile.from_path(file).sha256 == recipe.model.sha256:
            return file
    if name in names:
        return model_path(name)
    raise InputError(
        f"{path}: made with {recipe.model.name} (sha256 {recipe.model.sha256[:SHORT_HASH]}), "
        "which is not bundled",
        f"add --model with the path of {recipe.model.name}",
    )


def _surroundings(recipe: Recipe, sha256: str) -> Iterator[Difference]:
    """Yield what the notes depend on and is no longer as it was."""
    if sha256 != recipe.model.sha256:
        recorded = f"{recipe.model.name} {recipe.model.sha256[:SHORT_HASH]}"
        yield Difference("model", recorded, sha256[:SHORT_HASH])
    here = used_versions()
    for name in dict.fromkeys([*recipe.versions, *here]):
        recorded, now = recipe.versions.get(name, "none"), here.get(name, "none")
        if recorded != now:
            yield Difference(name, recorded, now)
    if recipe.machine is not None and recipe.machine != machine_class():
        yield Difference("machine", recipe.machine, machine_class())


def _differences(
    before: bytes, after: bytes, bar_ticks: Sequence[int], *, source: str
) -> Iterator[Difference]:
    """Yield in what two files differ that are not the same bytes."""
    old = list(midi_events(before, source=source))
    new = list(midi_events(after, source=source))
    found = False
    for difference in (_notes(old, new, bar_ticks), *_metas(old, new)):
        if difference is not None:
            found = True
            yield difference
    if not found:
        words = "the same events, written in another way"
        yield Difference("bytes", f"{len(before)} bytes", f"{len(after)} bytes, {words}")


def _notes(
    old: Sequence[MidiEvent], new: Sequence[MidiEvent], bar_ticks: Sequence[int]
) -> Difference | None:
    """Compare all that is played, whatever the order of what happens at one tick."""
    played = [
        Counter((e.tick, e.status, e.data) for e in events if e.status != META)
        for events in (old, new)
    ]
    lost, gained = played[0] - played[1], played[1] - played[0]
    if not lost and not gained:
        return None
    first = min(tick for tick, _, _ in (lost | gained))
    bar = min(bisect_right(bar_ticks, first), len(bar_ticks) - 1)
    return Difference(
        f"notes, from bar {max(bar, 1)}",
        f"{lost.total()} of {played[0].total()} events are not in the new song",
        f"{gained.total()} of {played[1].total()} events are not in the file",
    )


def _metas(old: Sequence[MidiEvent], new: Sequence[MidiEvent]) -> Iterator[Difference | None]:
    for kind, name in _META_NAMES.items():
        there, here = (
            [(e.track, e.tick, e.data) for e in events if (e.status, e.kind) == (META, kind)]
            for events in (old, new)
        )
        yield None if there == here else Difference(name, _shown(there), _shown(here))


def _shown(events: Sequence[tuple[int, int, bytes]]) -> str:
    """Say how many events of a kind there are, and the first of them."""
    if not events:
        return "none"
    _, tick, data = events[0]
    text = data.decode("utf-8", errors="replace")
    value = text if text.isprintable() else data.hex(" ")
    value = f"{value[:40]}..." if len(value) > 40 else value
    return f"{len(events)}, the first {value!r} at tick {tick}"
