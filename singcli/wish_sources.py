"""From the seed of a song to its wish: the same for all seeds, or a form of its own for each."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from singcli.errors import InputError, hint_from_names, nearest_names
from singcli.preset_library import RESERVED_NAME
from singcli.structure.form import Form
from singcli.structure.section import distinct_labels
from singcli.wish import Wish

RANDOM_BARS = 64


class WishSource(Protocol):
    """What makes the wishes of a call; goes to other processes, so it can be pickled."""

    @property
    def name(self) -> str:
        """What the songs are called after."""

    def wish(self, seed: int) -> Wish:
        """Return the wish of a song's seed; the same object where it is the same wish."""


@dataclass(frozen=True, slots=True)
class SameWish:
    """One wish for every seed."""

    only: Wish

    @property
    def name(self) -> str:
        """What the songs are called after."""
        return self.only.name

    def wish(self, seed: int) -> Wish:
        """Return the wish."""
        del seed
        return self.only


@dataclass(frozen=True, slots=True)
class RandomForms:
    """A new form for every seed.

    Parameters
    ----------
    n_bars : int
        Length of all forms.
    strictness : mapping of str to float
        Of the sections of a label.
    options : mapping
        Fields of `Wish`.
    """

    n_bars: int
    strictness: Mapping[str, float]
    options: Mapping[str, Any]

    @property
    def name(self) -> str:
        """What the songs are called after."""
        return f"{RESERVED_NAME}-{self.n_bars}"

    def wish(self, seed: int) -> Wish:
        """Draw the form of this seed."""
        from singcli.structure.random_form import random_form

        form = dataclasses.replace(random_form(self.n_bars, seed), name=self.name)
        return with_strictness(Wish(form, **self.options), self.strictness)


def with_strictness(wish: Wish, strictness: Mapping[str, float]) -> Wish:
    """Return the wish with the strictness of all sections of these labels changed.

    Raises
    ------
    InputError
        If it follows a template, or a form without a section of one of the labels.
    """
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
