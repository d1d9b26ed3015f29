"""From the options of `generate` to what its worker takes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from singcli.errors import InputError, hint_from_names, nearest_names

if TYPE_CHECKING:
    from singcli.structure.form import Form
    from singcli.wish import Template, Wish
    from singcli.wish_sources import WishSource

RANDOM = "random"  # in place of a preset's name
BEST_OF_WITH_MIN_STRUCTURE = 4  # while --best-of is not given


@dataclass(frozen=True, slots=True)
class Sources:
    """The options that say what to follow; one of them, or a recipe with its templates.

    Presets and templates may be several: songs of each preset, one blend of all templates.

    Raises
    ------
    InputError
        If they do not go together.
    """

    presets: Sequence[str] = ()
    bars: int | None = None
    form: str | None = None
    templates: Sequence[str] = ()
    recipe: Path | None = None

    def __post_init__(self) -> None:
        """Check that they go together."""
        given = [
            name
            for name, value in (
                ("--preset", self.presets or None),
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
        if self.bars is not None and RANDOM not in self.presets:
            raise InputError(f"--bars goes with --preset {RANDOM} alone")


@dataclass(frozen=True, slots=True)
class Asked:
    """What the options ask for.

    Parameters
    ----------
    sources : tuple of WishSource
        At least one; songs of every seed are made of each.
    seed : int, optional
        Of the first song, if a recipe says it.
    best_of : int
    attempt : int, optional
        The only attempt to make.
    template : Template, optional
        What all wishes follow, if not a form.
    """

    sources: tuple[WishSource, ...]
    seed: int | None = None
    best_of: int = 1
    attempt: int | None = None
    template: Template | None = None


def asked_from_options(
    sources: Sources,
    *,
    again: bool,
    best_of: int | None,
    section_strictness: Sequence[str],
    options: Mapping[str, Any],
    changed: Mapping[str, Any],
) -> Asked:
    """Put the options together.

    Parameters
    ----------
    again : bool
        Whether a recipe's own song is wanted, and no other seeds.
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
    from singcli.wish_sources import RANDOM_BARS, RandomForms, SameWish, with_strictness

    strictness = _strictness_of_labels(section_strictness)
    if sources.recipe is not None:
        return _asked_from_recipe(
            sources.recipe,
            _template(sources.templates),
            again=again,
            best_of=best_of,
            strictness=strictness,
            changed=changed,
        )

    def same(source: Form | Template) -> SameWish:
        return SameWish(with_strictness(Wish(source, **options), strictness))

    template = _template(sources.templates)
    wishes: tuple[WishSource, ...]
    if template is not None:
        wishes = (same(template),)
    elif sources.form is not None:
        from singcli.structure.form_string import form_from_string

        wishes = (same(form_from_string(sources.form)),)
    else:
        from singcli.preset_library import read_preset

        wishes = tuple(
            RandomForms(sources.bars or RANDOM_BARS, strictness, options)
            if name == RANDOM
            else same(read_preset(name))
            for name in sources.presets
        )
    return Asked(wishes, None, best_of or 1, template=template)


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
    again: bool,
    best_of: int | None,
    strictness: Mapping[str, float],
    changed: Mapping[str, Any],
) -> Asked:
    """Ask for the attempt of the recipe; for new ones where other seeds or best_of are given."""
    from singcli.recipe import read_recipe
    from singcli.wish import wish_from_recipe
    from singcli.wish_sources import SameWish, with_strictness

    recipe = read_recipe(path)
    wish = dataclasses.replace(wish_from_recipe(recipe, template), **changed)
    return Asked(
        (SameWish(with_strictness(wish, strictness)),),
        recipe.seed,
        best_of or recipe.best_of,
        recipe.attempt if again and best_of is None else None,
        template,
    )


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


def form_to_save(wish: Wish, name: str) -> Form:
    """Return what a wish follows as a form of this name; that of a template is found in it."""
    from singcli.structure.form import Form
    from singcli.structure.outline import form_from_structure

    if isinstance(wish.source, Form):
        return dataclasses.replace(wish.source, name=name)
    return form_from_structure(wish.source.structure, name=name)
