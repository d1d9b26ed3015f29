"""benchmarks/novelty.py: the search in the notes themselves, and what is made of it."""

from __future__ import annotations

import dataclasses
import importlib
from pathlib import Path

import numpy as np
import pytest

from singcli.music.score import ACCOMPANIMENT, LEAD, STEPS_PER_BEAT, Score, regular_bars
from singcli.novelty.building import index_of_scores
from singcli.novelty.index import Corpus
from singcli.novelty.report import measure_novelty

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("novelty")


def quarters(pitches: list[int], *, voice: int = LEAD) -> Score:
    step = np.arange(len(pitches)) * STEPS_PER_BEAT
    ones = np.ones(len(pitches), int)
    bars = regular_bars(-(-len(pitches) // 4), 4)
    return Score.from_notes(
        step, ones * voice, pitches, ones * 4, ones * 80, bar_beats=bars, tempo_bpm=100
    )


SONGS = [quarters([60, 62, 64, 65, 67, 69, 71, 72]), quarters([60, 67, 60, 68, 60, 69, 60, 70])]
BORROWED = quarters([50, 65, 67, 69, 70, 72, 74, 76, 60, 67, 60, 68, 60, 69, 60, 70])


def test_runs_and_passages_are_searched_for_in_the_notes(script):
    text = script.MoveText(SONGS, "lead")
    assert text.longest_run(BORROWED) == 8  # the second song; of the first one seven
    assert text.longest_run(quarters([72, 74, 76, 77, 79])) == 0  # five notes are no passage
    assert text.longest_run(quarters([72, 74, 76, 77, 79, 81])) == 6
    shared = text.shared_passages(BORROWED)
    assert len(shared) == 11
    assert [place for place, found in enumerate(shared) if found] == [1, 2, 8, 9, 10]


def test_hashes_agree_with_the_notes_and_differences_are_counted(script):
    index = index_of_scores(["x/0", "x/1"], [Corpus("x", 2, 0, 0)], SONGS)
    alike = script.agreement([BORROWED, SONGS[0]], SONGS, index)
    assert alike == (4, 4, 28, 28)
    other = index_of_scores(["x/0"], [Corpus("x", 1, 0, 0)], SONGS[:1])
    assert script.agreement([BORROWED], SONGS, other) == (2, 0, 22, 16)


def test_found_whole_means_every_note_of_both_lines(script):
    index = index_of_scores(["x/0", "x/1"], [Corpus("x", 2, 0, 0)], SONGS)
    longer = quarters([*range(60, 70), 72])
    reports = [measure_novelty(score, index) for score in (SONGS[0], longer)]
    assert script.found_whole([SONGS[0], longer], reports) == 0.5


def test_another_key_is_within_the_piano_and_comes_back_from_a_file(script):
    high = dataclasses.replace(SONGS[0], pitch=SONGS[0].pitch + np.uint8(36))
    for score, shift in ((SONGS[0], 5), (high, -5)):
        moved = script.in_another_key(score)
        assert (moved.pitch.astype(int) - score.pitch).tolist() == [shift] * score.n_notes
        np.testing.assert_array_equal(moved.step, score.step)


def test_random_notes_have_the_range_and_time_of_a_piece(script):
    like = quarters([60, 72] * 20, voice=ACCOMPANIMENT)
    score = script.random_score(like, np.random.default_rng(0))
    assert score.pitch.min() >= 60
    assert score.pitch.max() <= 72
    assert score.n_bars == like.n_bars
    assert 0.6 * like.n_notes < score.n_notes <= like.n_notes  # twice the same note is one
    assert set(score.voice.tolist()) == {ACCOMPANIMENT}
