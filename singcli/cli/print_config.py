"""`generate --print-config`: the value of every option and where it comes from, as TOML or JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from singcli.cli.settings import Origin, origins, settings
from singcli.structure.form import Form

if TYPE_CHECKING:
    import typer

    from singcli.cli.console import Console
    from singcli.cli.wishes import Asked
    from singcli.wish import Wish

VARIES = "of each form"


def show_config(console: Console, context: typer.Context, asked: Asked, *, as_json: bool) -> None:
    """Print a line for every option: its value, then where that is from.

    The lines are a file for `--config` that has the same effect: what was not set is a comment.
    What a preset, a form, a template or a recipe says has its name, what depends on them is as it
    comes out.
    """
    found = origins(context)
    implied = _implied(asked, recipe=context.params["recipe"])
    for key, parameter in settings(context.command).items():
        value, origin = context.params[parameter.name], found[parameter.name]
        text = origin.name
        if origin.place == "default" and key in implied:
            value, text = implied[key]
        if as_json:
            console.result_json({"key": key, "value": _plain(value), "origin": text})
            continue
        shown = "" if value is None or value in ([], ()) else _toml(value)
        line = f"{key} = {shown}  # {text}"
        console.result(f"# {line}" if origin.place == "default" else line)


def _implied(asked: Asked, *, recipe: object) -> dict[str, tuple[Any, str]]:
    """Return the values of options that were not given, from what is followed."""
    wishes = [source.wish(asked.seed or 0) for source in asked.sources]
    implied: dict[str, tuple[Any, str]] = {"best_of": (asked.best_of, Origin("default", "").place)}
    if recipe is not None:
        implied["best_of"] = asked.best_of, f"recipe {recipe}"
    tables = [_values(wish, recipe) for wish in wishes]
    for key, first in tables[0].items():
        alike = all(table[key] == first for table in tables)
        implied[key] = first if alike else (None, VARIES)
    return implied


def _values(wish: Wish, recipe: object) -> dict[str, tuple[Any, str]]:
    source = f"{'preset' if isinstance(wish.source, Form) else 'template'} {wish.name}"
    options = wish.options()
    has_key = (wish.source if isinstance(wish.source, Form) else wish.source.structure).key
    ranges = {"lead_range": wish.lead_range, "accompaniment_range": wish.accompaniment_range}
    polyphony = wish.max_polyphony
    values: dict[str, tuple[Any, str]] = {
        "tempo": (wish.song_tempo_bpm, source),
        "key": (str(wish.song_key), source if has_key else "default"),
        "strictness": (options.strictness, "default"),
        "candidates": (options.candidates, "default"),
        "steering": (options.steering, "default"),
        "scale_lock": (options.scale_lock, "default"),
        "style": (wish.style, "default"),
        "ending": (wish.has_ending, "default"),
        "temperature": (str(options.temperatures), "default"),
        "top_p": (str(options.top_ps), "default"),
        "max_polyphony": (
            f"lead={polyphony.lead},accompaniment={polyphony.accompaniment}",
            "default",
        ),
        **{key: (None if r is None else str(r), "default") for key, r in ranges.items()},
    }
    if recipe is None:
        return values
    return {key: (value, f"recipe {recipe}") for key, (value, _) in values.items()}


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return str(value)


def _toml(value: Any) -> str:
    """Return a value as TOML; its texts in quotes are those of JSON."""
    return json.dumps(_plain(value), ensure_ascii=False)
