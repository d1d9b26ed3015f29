from __future__ import annotations

import struct
import sys
from pathlib import Path

import numpy as np
import pytest

from singcli.errors import InputError
from singcli.music.score import Score, regular_bars
from singcli.plotting import (
    write_repeat_map_png,
    write_score_png,
    write_song_png,
    write_ssm_png,
)
from singcli.structure.alignment import repeat_map_from_ssm
from singcli.structure.form import ssm_from_form
from singcli.structure.form_string import form_from_string
from singcli.structure.ssm import ssm_from_score

FORM = form_from_string("verse8 pre-chorus2 chorus8 verse8 chorus8")


def png_size(path: Path) -> tuple[int, int]:
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    return struct.unpack(">II", content[16:24])


def test_matrix_alone_and_with_repeat_map(tmp_path: Path) -> None:
    ssm = ssm_from_form(FORM)
    write_ssm_png(tmp_path / "a.png", ssm, FORM.bar_beats, FORM.section_bars, title="A")
    write_ssm_png(
        tmp_path / "b.png", ssm, FORM.bar_beats, FORM.section_bars, repeats=repeat_map_from_ssm(ssm)
    )
    assert png_size(tmp_path / "b.png")[1] > png_size(tmp_path / "a.png")[1] > 500


def test_repeat_map(tmp_path: Path) -> None:
    repeats = repeat_map_from_ssm(ssm_from_form(FORM))
    write_repeat_map_png(tmp_path / "r.png", repeats, FORM.bar_beats, FORM.section_bars, title="R")
    assert png_size(tmp_path / "r.png")[0] > 500


def test_piano_roll_with_and_without_sections(tmp_path: Path, aaba_score: Score) -> None:
    spans = form_from_string("A2 A2 B2 A2").section_bars
    write_score_png(tmp_path / "a.png", aaba_score)
    write_score_png(tmp_path / "b.png", aaba_score, spans, title="AABA")
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "b.png").read_bytes()


def test_a_song_beside_what_was_wanted(tmp_path: Path, aaba_score: Score) -> None:
    form = form_from_string("A2 A2 B2 A2")
    wanted, measured = ssm_from_form(form), ssm_from_score(aaba_score)

    def draw(name: str, **changes: object) -> bytes:
        matrices = {"wanted": wanted, "measured": measured, "title": "aaba"} | changes
        write_song_png(tmp_path / name, aaba_score, sections=form.section_bars, **matrices)
        assert png_size(tmp_path / name)[0] == 1600
        return (tmp_path / name).read_bytes()

    first = draw("a.png")
    assert draw("b.png") == first
    assert len({first, draw("c.png", wanted=measured), draw("d.png", measured=wanted)}) == 3


def test_pictures_of_little_and_of_much(tmp_path: Path) -> None:
    one = np.ones((1, 1), np.float32)
    write_ssm_png(tmp_path / "one.png", one, regular_bars(1, 1), repeats=repeat_map_from_ssm(one))
    write_ssm_png(tmp_path / "many.png", np.ones((800, 800), np.float32), regular_bars(200, 4))
    empty = Score.from_notes([], [], [], [], [], bar_beats=[0, 4], tempo_bpm=100)
    write_score_png(tmp_path / "empty.png", empty)
    write_song_png(tmp_path / "silent.png", empty, wanted=np.eye(4), measured=np.zeros((4, 4)))
    names = {"one.png", "many.png", "empty.png", "silent.png"}
    assert {path.name for path in tmp_path.iterdir()} == names


def test_the_same_picture_has_the_same_bytes(tmp_path: Path, aaba_score: Score) -> None:
    for name in ("a.png", "b.png"):
        write_score_png(tmp_path / name, aaba_score)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_without_matplotlib_a_picture_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, aaba_score: Score
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(InputError, match="needs matplotlib"):
        write_score_png(tmp_path / "a.png", aaba_score)
    assert not list(tmp_path.iterdir())
