"""From the options of `generate` to what its worker takes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from singcli.errors import InputError, hint_from_names, nearest_names

if TYPE_CHECKING:
    from singcli.structure.form import Form
    from singcli.wish import Template, Wish

RANDOM = "random"  # in place of a preset's name
RANDOM_BARS = 64
BEST_OF_WITH_MIN_STRUCTURE = 4  # while --best-of is not given


@dataclass(frozen=True, slots=True)
class Sources:
    """The options that say what to follow; one of them, or a recipe with its templates.

    Raises
    ------
    InputError
        If they do not go together.
    """

    preset: str | None = None
    bars: int | None = None
    form: str | None = None
    templates: Sequence[str] = ()
    recipe: Path | None = None

    def __post_init__(self) -> None:
        """Check that they go together."""
        given = [
            name
            for name, value in (
                ("--preset", self.preset),
                ("--form", self.form),
                ("--template", self.templates or None),
            )
            if value is not None
        ]
        if self.recipe is not None:
            if given not in ([], ["--template"]):
                raise InputError(f"--recipe stands alone, found {given[0]} beside it")
        elif len(given) != 1:
            raise InputError(
                "one of --preset, --form, --template and --recipe is needed, found "
                f"{' and '.join(given) or 'none'}",
                "for a start: singcli generate --preset aaba",
            )
        if self.bars is not None and self.preset != RANDOM:
            raise InputError(f"--bars goes with --preset {RANDOM} alone")


@dataclass(frozen=True, slots=True)
class Asked:
    """What the options ask for.

    Parameters
    ----------
    wish : callable
        From the seed of a song to its wish: a random form is another one for every seed.
    name : str
        What the songs are called after.
    seed : int, optional
        Of the first song; to be drawn if None.
    best_of : int
    attempt : int, optional
        The only attempt to make.
    template : Template, optional
        What all wishes follow, if not a form.
    """

    wish: Callable[[int], Wish]
    name: str
    seed: int | None
    best_of: int = 1
    attempt: int | None = None
    template: Template | None = None


def asked_from_options(
    sources: Sources,
    *,
    seed: int | None,
    count: int,
    best_of: int | None,
    section_strictness: Sequence[str],
    options: Mapping[str, Any],
    changed: Mapping[str, Any],
) -> Asked:
    """Put the options together.

    Parameters
    ----------
    section_strictness : sequence of str
        LABEL=NUMBER.
    options : mapping
        The other fields of `Wish`, defaults too.
    changed : mapping
        Those of them that the user gave. They go before what a recipe says.

    Raises
    ------
    InputError
        If something cannot be read or does not fit.
    """
    from singcli.wish import Wish

    strictness = _strictness_of_labels(section_strictness)
    if sources.recipe is not None:
        return _asked_from_recipe(
            sources.recipe,
            _template(sources.templates),
            seed=seed,
            count=count,
            best_of=best_of,
            strictness=strictness,
            changed=changed,
        )
    if sources.preset == RANDOM:
        return _asked_for_random_form(
            sources.bars or RANDOM_BARS, strictness, options, seed=seed, best_of=best_of or 1
        )
    template = _template(sources.templates)
    source = template or _form(sources)
    wish = _with_strictness(Wish(source, **options), strictness)
    return Asked(lambda _seed: wish, wish.name, seed, best_of or 1, template=template)


def sampling_fields(
    *,
    temperature: str | None,
    top_p: str,
    scale_lock: str,
    lead_range: str | None,
    accompaniment_range: str | None,
    max_polyphony: str,
) -> dict[str, Any]:
    """Read the options that are texts of their own kind, as fields of a wish.

    Raises
    ------
    InputError
        If one cannot be read.
    """
    from singcli.model.decisions import PerDecision
    from singcli.model.limits import PitchRange, Polyphony
    from singcli.model.plan import SCALE_LOCKS
    from singcli.wish import DEFAULT_TEMPERATURE

    if scale_lock not in SCALE_LOCKS:
        near = hint_from_names(nearest_names(scale_lock, SCALE_LOCKS), "the default is soft")
        raise InputError(f"--scale-lock {scale_lock!r}, allowed: {', '.join(SCALE_LOCKS)}", near)
    fields: dict[str, Any] = {
        "scale_lock": scale_lock,
        "max_polyphony": Polyphony.parse(max_polyphony, option="--max-polyphony"),
    }
    for name, option, text, default in (
        ("temperature", "--temperature", temperature, DEFAULT_TEMPERATURE),
        ("top_p", "--top-p", top_p, 1.0),
    ):
        if text is None:
            fields[name] = default
            continue
        numbers = PerDecision.parse(text, option=option, default=PerDecision.of(default))
        fields[name] = numbers.lead if len(set(numbers.values)) == 1 else numbers
    for name, option, range_text in (
        ("lead_range", "--lead-range", lead_range),
        ("accompaniment_range", "--accompaniment-range", accompaniment_range),
    ):
        fields[name] = None if range_text is None else PitchRange.parse(range_text, option=option)
    return fields


def _asked_from_recipe(
    path: Path,
    template: Template | None,
    *,
    seed: int | None,
    count: int,
    best_of: int | None,
    strictness: Mapping[str, float],
    changed: Mapping[str, Any],
) -> Asked:
    """Ask for the attempt of the recipe; for new ones where seed, count or best_of are given."""
    from singcli.recipe import read_recipe
    from singcli.wish import wish_from_recipe

    recipe = read_recipe(path)
    wish = dataclasses.replace(wish_from_recipe(recipe, template), **changed)
    wish = _with_strictness(wish, strictness)
    again = seed is None and best_of is None and count == 1
    return Asked(
        lambda _seed: wish,
        wish.name,
        recipe.seed if seed is None else seed,
        best_of or recipe.best_of,
        recipe.attempt if again else None,
        template,
    )


def _asked_for_random_form(
    n_bars: int,
    strictness: Mapping[str, float],
    options: Mapping[str, Any],
    *,
    seed: int | None,
    best_of: int,
) -> Asked:
    from singcli.structure.random_form import random_form
    from singcli.wish import Wish

    name = f"{RANDOM}-{n_bars}"

    def wish(song_seed: int) -> Wish:
        form = dataclasses.replace(random_form(n_bars, song_seed), name=name)
        return _with_strictness(Wish(form, **options), strictness)

    return Asked(wish, name, seed, best_of)


def _form(sources: Sources) -> Form:
    if sources.preset is not None:
        from singcli.preset_library import read_preset

        return read_preset(sources.preset)
    from singcli.structure.form_string import form_from_string

    return form_from_string(sources.form or "")


def _template(texts: Sequence[str]) -> Template | None:
    if not texts:
        return None
    from singcli.structure.blend import template_argument
    from singcli.wish import template_from_files

    return template_from_files([template_argument(text) for text in texts])


def _strictness_of_labels(texts: Sequence[str]) -> dict[str, float]:
    table = {}
    for text in texts:
        label, _, number = text.rpartition("=")
        try:
            value = float(number)
        except ValueError:
            value = -1.0
        if not label or not 0 <= value <= 1:
            raise InputError(
                f"--section-strictness {text!r}, allowed: LABEL=NUMBER, a number from 0 to 1",
                "such as chorus=0.9",
            )
        table[label] = value
    return table


def _with_strictness(wish: Wish, strictness: Mapping[str, float]) -> Wish:
    """Return the wish with the strictness of all sections of these labels changed."""
    from singcli.structure.form import Form
    from singcli.structure.section import distinct_labels

    if not strictness:
        return wish
    form = wish.source
    if not isinstance(form, Form):
        raise InputError(
            "--section-strictness needs a form, found a template",
            "make a preset of it first: singcli ssm FILE --emit-preset NAME.toml",
        )
    labels = distinct_labels(form.sections)
    for label in strictness:
        if label not in labels:
            near = nearest_names(label, labels, limit=1)
            hint = hint_from_names(near, f"sections are {', '.join(labels)}")
            raise InputError(f"--section-strictness: no section is called {label!r}", hint)
    sections = tuple(
        dataclasses.replace(section, strictness=strictness.get(section.label, section.strictness))
        for section in form.sections
    )
    return dataclasses.replace(wish, source=dataclasses.replace(form, sections=sections))


def form_to_save(wish: Wish, name: str) -> Form:
    """Return what a wish follows as a form of this name; that of a template is found in it."""
    from singcli.structure.form import Form
    from singcli.structure.outline import form_from_structure

    if isinstance(wish.source, Form):
        return dataclasses.replace(wish.source, name=name)
    return form_from_structure(wish.source.structure, name=name)
