"""Fixtures that several test modules share, and how much of the machine the tests take."""

from __future__ import annotations

import functools
import os
import signal
from collections.abc import Iterator

if "PYTEST_XDIST_WORKER" in os.environ:  # a process for each core, so a thread for each process
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

import hypothesis
import numpy as np
import pytest
import typer
from build_hook import ROOT, build_hook

from singcli.cli import app
from singcli.music.key import Key
from singcli.music.score import ACCOMPANIMENT, LEAD, Score, regular_bars

hypothesis.settings.register_profile("quick", max_examples=25, deadline=None)
hypothesis.settings.register_profile("deep", max_examples=300, deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

os.environ["SINGCLI_PRESETS"] = os.devnull + "-no-such-folder"  # not the developer's own presets


def pytest_configure(config: pytest.Config) -> None:
    """Refuse to test what is compiled from other sources than those in the checkout."""
    hook = build_hook()
    if not hook._is_up_to_date(ROOT):
        raise pytest.UsageError(f"{hook.LIBRARY} is older than its sources: python hatch_build.py")


@pytest.fixture(scope="session", autouse=True)
def _one_command_line() -> None:
    """Let Typer read the signatures of all commands once, not in every test that runs one."""
    built = functools.cache(app.build_app)
    app.build_app = lambda names=app.COMMANDS, *, colour: built(tuple(names), colour=colour)
    typer.main.get_command = functools.cache(typer.main.get_command)


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Processes that a test starts hear SIGINT, also if this one was started to ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def aaba_score() -> Score:
    """Eight bars of 4/4: a two-bar phrase A, again, a different one, and A once more."""
    phrase_a = [(0, 72, 4), (4, 74, 4), (8, 76, 8), (16, 76, 4), (20, 74, 4), (24, 72, 8)]
    phrase_b = [(0, 81, 6), (6, 79, 2), (8, 77, 8), (16, 74, 12), (28, 71, 4)]
    notes = []
    for place, phrase in enumerate([phrase_a, phrase_a, phrase_b, phrase_a]):
        bass = 48 if phrase is phrase_a else 53
        start = place * 32
        notes += [(start + step, LEAD, pitch, length, 90) for step, pitch, length in phrase]
        notes += [(start + 8 * i, ACCOMPANIMENT, bass, 8, 60) for i in range(4)]
        notes += [(start + 8 * i, ACCOMPANIMENT, bass + 7, 8, 55) for i in range(4)]
    step, voice, pitch, duration, velocity = np.array(notes).T
    return Score.from_notes(
        step,
        voice,
        pitch,
        duration,
        velocity,
        bar_beats=regular_bars(8, 4),
        tempo_bpm=120,
        key=Key.parse("C major"),
    )
