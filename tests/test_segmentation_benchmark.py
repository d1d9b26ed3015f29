"""The scripts that fit and score the segmentation: likelihoods, baselines, what is compared."""

from __future__ import annotations

import importlib
import itertools
import math
from pathlib import Path

import numpy as np
import pytest

from singcli.dataset import SectionSpan, Song
from singcli.music.score import Score, regular_bars
from singcli.structure.bar_features import BarFeatures
from singcli.structure.form import ssm_from_form
from singcli.structure.form_string import form_from_string
from singcli.structure.preset import form_from_toml
from singcli.structure.section import Span
from singcli.structure.segment_candidates import stretch_scores

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"


@pytest.fixture
def load(monkeypatch):
    """Import a script by its name."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module


def song(sections, n_bars=16):
    score = Score.from_notes([], [], [], [], [], bar_beats=regular_bars(n_bars, 4), tempo_bpm=100)
    return Song("x", "validation", score, tuple(sections))


@pytest.fixture
def field(load):
    """Two songs of random bars, cut at random, and the module."""
    module = load("_semi_crf")
    songs = []
    for seed, spans in enumerate([[(0, 3), (3, 4)], [(0, 2), (2, 2), (4, 1)]]):
        n_bars = sum(n for _, n in spans)
        values = np.random.default_rng(seed).uniform(-0.5, 1, (n_bars, n_bars))
        bars = BarFeatures(np.maximum(values, values.T).astype(np.float32))
        songs.append(module.LabelledSong(bars, [Span("A", *span) for span in spans]))
    return module.SemiCrf(songs), songs


def test_likelihood_is_that_of_all_cuts(field):
    crf, songs = field
    weights = np.random.default_rng(5).normal(0, 0.5, len(crf.names))
    table = dict(zip(crf.names, weights, strict=True))
    losses = []
    for bars, sections in songs:
        scores = stretch_scores(bars, table)
        n_bars = bars.n_bars
        totals = []
        for lines in itertools.product([False, True], repeat=n_bars - 1):
            edges = [0, *(bar + 1 for bar, line in enumerate(lines) if line), n_bars]
            totals.append(sum(scores[a, b - a] for a, b in itertools.pairwise(edges)))
        known = sum(scores[span.start_bar, span.n_bars] for span in sections)
        losses.append(math.log(sum(map(math.exp, totals))) - known)
    assert crf.loss(weights)[0] == pytest.approx(np.mean(losses), rel=1e-5)


def test_gradient_is_that_of_the_loss(field):
    crf, _ = field
    weights = np.random.default_rng(6).normal(0, 0.3, len(crf.names))
    gradient = crf.loss(weights)[1]
    for index in range(0, len(weights), 7):
        step = np.zeros(len(weights))
        step[index] = 1e-3
        slope = (crf.loss(weights + step)[0] - crf.loss(weights - step)[0]) / 2e-3
        assert gradient[index] == pytest.approx(slope, abs=2e-3)


def test_short_neighbours_of_one_label_are_joined_in_pairs(load):
    spans = [Span("A", 0, 4), Span("A", 4, 4), Span("A", 8, 4), Span("B", 12, 8), Span("B", 20, 8)]
    assert load("fit_segmentation").joined_pairs(spans) == [
        Span("A", 0, 8), Span("A", 8, 4), Span("B", 12, 8), Span("B", 20, 8)
    ]  # fmt: skip


def test_sections_with_and_without_the_tune_differ(load):
    sections = [SectionSpan("b", 1, 4, True), SectionSpan("b", 5, 4, False)]
    spans = load("fit_segmentation").human_sections(song(sections, 10))
    assert [(s.start_bar, s.n_bars) for s in spans] == [(0, 1), (1, 4), (5, 4), (9, 1)]
    assert len({s.label for s in spans}) == 4


@pytest.mark.parametrize("seed", range(40))
def test_practice_forms_are_presets(load, seed):
    text, n_bars, strictness = load("_practice_forms").practice_form(seed)
    form = form_from_toml(text.encode(), source="practice", name="practice")
    assert form.n_bars == n_bars
    assert 0 <= strictness <= 1
    assert text == load("_practice_forms").practice_form(seed)[0]


def test_perfect_and_trivial_estimates(load):
    module = load("segmentation")
    sections = [SectionSpan("a", 1, 4, True), SectionSpan("b", 5, 8, True)]
    sections.append(SectionSpan("a", 13, 3, True))
    reference = module.reference_of(song(sections, 18))
    assert module.scores(reference, reference.sections) == dict.fromkeys(module.MEASURES, 1.0)
    one = module.scores(reference, [Span("A", 0, 18)])
    assert one["boundary F, 1 bar"] == 0.0
    assert one["pairwise F"] > 0
    late = [Span("A", 0, 6), Span("B", 6, 8), Span("A", 14, 4)]
    found = module.scores(reference, late)
    assert found["boundary F, 1 bar"] == 1.0
    assert found["boundary F, exact"] == 0.0


@pytest.mark.parametrize("name", ["foote_sections", "spectral_sections"])
def test_published_baselines_find_plain_blocks(load, name):
    form = form_from_string("A8 B8 A8 C8")
    ssm = ssm_from_form(form, layout="blocks")
    found = getattr(load("_baselines"), name)(ssm, form.bar_beats)
    starts = [span.start_bar for span in found]
    assert all(any(abs(start - bar) <= 1 for start in starts) for bar in (8, 16, 24))
    assert sum(span.n_bars for span in found) == 32


def test_plain_baselines_cover_the_piece(load):
    module = load("_baselines")
    for spans in (module.every(8, 19), module.random_sections(5, 19), module.all_one(19)):
        assert [s.start_bar for s in spans] == [0, *np.cumsum([s.n_bars for s in spans])[:-1]]
        assert sum(s.n_bars for s in spans) == 19
    assert len(module.random_sections(5, 19)) == 5
