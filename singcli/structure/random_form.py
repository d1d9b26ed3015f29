"""New forms that are built as songs are: parts from a chain, then their variations and phrases."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator, Sequence
from string import ascii_lowercase, ascii_uppercase

import numpy as np

from singcli.errors import InputError
from singcli.structure.form import DEFAULT_METER, Form, beats_from_meter
from singcli.structure.form_statistics import (
    BRIDGE,
    LINK,
    ONCE,
    THEMES,
    FormStatistics,
    bundled_statistics,
)
from singcli.structure.part_chain import Part, PartChain, drawn_key
from singcli.structure.section import MAX_BARS, Phrase, Section

MIN_FORM_BARS = 4
REPEATS_FROM_BARS = 16  # from here on a theme comes back
THEME_DRAWS = 2  # times that the lengths of the themes are drawn
CANDIDATES = 8  # songs with those lengths
THROUGH = "abcd"  # the quarters of a theme without inner repeats


def random_form(n_bars: int, seed: int, *, meter: str = DEFAULT_METER) -> Form:
    """Draw a new form that is built like the songs of POP909.

    Parameters
    ----------
    n_bars : int
        `MIN_FORM_BARS` to `MAX_BARS`; the form has exactly as many.
    seed : int >= 0
        The same seed gives the same form.
    meter : str

    Returns
    -------
    Form
        Sung parts are called A, B, ... in order of appearance, others intro, bridge, link and
        outro; those are without a tune. From `REPEATS_FROM_BARS` bars on a theme comes back.
        Tempo and key are those of a form that says nothing.

    Raises
    ------
    InputError
        If a value is outside its range.
    """
    if not MIN_FORM_BARS <= n_bars <= MAX_BARS:
        raise InputError(
            f"bars = {n_bars}, allowed for a random form: {MIN_FORM_BARS} to {MAX_BARS}"
        )
    if seed < 0:
        raise InputError(f"seed = {seed}, allowed: whole numbers from 0 on")
    rng = np.random.default_rng(seed)
    parts = _drawn_parts(n_bars, bundled_statistics(), rng)
    sections = sections_from_parts(parts, bundled_statistics(), rng)
    text = " ".join(f"{section.label}{section.n_bars}" for section in sections)
    return Form(
        sections=sections,
        beats_per_bar=beats_from_meter(meter),
        name=f"random-{n_bars}-{seed}",
        description=f"Drawn with seed {seed} from the forms of POP909: {text}",
        meter=meter,
    )


def sections_from_parts(
    parts: Sequence[Part], statistics: FormStatistics, rng: np.random.Generator
) -> tuple[Section, ...]:
    """Name the parts of a song, and draw how its returns vary and its themes repeat inside.

    A return has the variation of the return before it with the chance `kept_variation`. One that
    is longer than its theme goes on with a phrase of its own.
    """
    sections: list[Section] = []
    themes: dict[str, Section] = {}
    last_variation: dict[str, float] = {}
    for label, (kind, n_bars) in zip(_labels(parts), parts, strict=True):
        tune = kind in (*THEMES, ONCE)
        if label not in themes:
            phrases = _drawn_phrases(n_bars, statistics, rng) if kind in THEMES else ()
            themes[label] = Section(label, n_bars, phrases=phrases, tune=tune)
            sections.append(themes[label])
            continue
        quantiles = statistics.variations["bridge" if kind == BRIDGE else "theme"]
        if label not in last_variation or rng.random() >= statistics.kept_variation:
            last_variation[label] = _drawn_quantile(quantiles, rng)
        phrases = _longer(themes[label].phrases, n_bars)
        sections.append(Section(label, n_bars, last_variation[label], phrases, tune))
    return tuple(sections)


def _drawn_parts(n_bars: int, statistics: FormStatistics, rng: np.random.Generator) -> list[Part]:
    """Draw candidates, and keep the one whose returns and lengths are nearest to a song's.

    The chain looks back on a few parts only: left alone it gives songs that hardly come back to
    anything, or to nothing new, more often than people do.
    """
    candidates: list[list[Part]] = []
    n_draws = 0
    while n_draws < THEME_DRAWS or not candidates:  # some themes do not fit some lengths
        n_draws += 1
        drawn = _bundled_chain().samples(n_bars, CANDIDATES, rng)
        candidates += [parts for parts in drawn if _is_complete(parts, n_bars)]
    returns = _drawn_quantile(statistics.return_shares, rng)
    bars = _drawn_quantile(statistics.mean_bars, rng)

    def distance(parts: list[Part]) -> float:
        of_returns = abs(share_of_returns(labelled_parts(parts)) - returns) / _width(
            statistics.return_shares
        )
        return of_returns + abs(n_bars / len(parts) - bars) / _width(statistics.mean_bars)

    return min(candidates, key=distance)


def share_of_returns(sections: Sequence[tuple[str, int]]) -> float:
    """Return the share of the bars that belong to sections whose label has been there before.

    Parameters
    ----------
    sections : sequence of (label, bars)
        Not empty.
    """
    seen: set[str] = set()
    returned = 0
    for label, n_bars in sections:
        returned += n_bars if label in seen else 0
        seen.add(label)
    return returned / sum(n_bars for _, n_bars in sections)


def labelled_parts(parts: Sequence[Part]) -> list[tuple[str, int]]:
    """Return label and bars of every part; what comes once has a label of its own."""
    return list(zip(_labels(parts), (n_bars for _, n_bars in parts), strict=True))


def _width(quantiles: Sequence[float]) -> float:
    """Return the distance between the 10th and the 90th percentile."""
    tail = len(quantiles) // 10
    return quantiles[-1 - tail] - quantiles[tail]


@functools.cache
def _bundled_chain() -> PartChain:
    return PartChain.from_statistics(bundled_statistics())


def _is_complete(parts: Sequence[Part], n_bars: int) -> bool:
    """Tell whether somebody sings, and comes back to it where there is room."""
    sung = Counter(kind for kind, _ in parts if kind in (*THEMES, ONCE))
    returns = any(sung[theme] > 1 for theme in THEMES)
    return bool(sung) and (returns or n_bars < REPEATS_FROM_BARS)


def _labels(parts: Sequence[Part]) -> Iterator[str]:
    """Yield A, B, ... for what is sung, in order of appearance, and words for the rest."""
    n_sung, n_links = 0, 0
    of_theme: dict[str, str] = {}
    for kind, _ in parts:
        if kind == LINK:
            yield LINK if n_links == 0 else f"{LINK}-{_letters(n_links, ascii_lowercase)}"
            n_links += 1
        elif kind == ONCE or (kind in THEMES and kind not in of_theme):
            of_theme[kind] = _letters(n_sung, ascii_uppercase)
            n_sung += 1
            yield of_theme[kind]
        else:
            yield of_theme.get(kind, kind)


def _letters(number: int, alphabet: str) -> str:
    """Return a, b, ..., z, a-a, a-b, ... for 0, 1, ..., 25, 26, 27, ..."""
    turn, place = divmod(number, len(alphabet))
    return alphabet[place] if turn == 0 else f"{_letters(turn - 1, alphabet)}-{alphabet[place]}"


def _drawn_phrases(
    n_bars: int, statistics: FormStatistics, rng: np.random.Generator
) -> tuple[Phrase, ...]:
    """Draw how the quarters of a theme repeat one another; () where they do not."""
    if n_bars not in statistics.phrases:
        return ()
    pattern = drawn_key(statistics.phrases[n_bars], rng)
    if pattern == THROUGH:
        return ()
    phrases = []
    for place, letter in enumerate(pattern):
        returns = letter in pattern[:place]
        variation = _drawn_quantile(statistics.phrase_variations, rng) if returns else 0.0
        phrases.append(Phrase(letter, n_bars // len(pattern), variation))
    return tuple(phrases)


def _longer(phrases: tuple[Phrase, ...], n_bars: int) -> tuple[Phrase, ...]:
    """Return the phrases of a theme for a longer return, () where it takes them as they are."""
    more = n_bars - sum(phrase.n_bars for phrase in phrases)
    if not phrases or more <= 0:
        return ()
    tail = ascii_lowercase[len({phrase.label for phrase in phrases})]
    return (*phrases, Phrase(tail, more))


def _drawn_quantile(quantiles: Sequence[float], rng: np.random.Generator) -> float:
    places = np.linspace(0, 1, len(quantiles))
    return round(float(np.interp(rng.random(), places, quantiles)), 2)
