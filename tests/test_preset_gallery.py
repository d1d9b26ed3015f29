"""docs/presets says and shows what the bundled presets are."""

from __future__ import annotations

import importlib.util
import struct
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "presets"
NAMES = sorted(path.stem for path in (ROOT / "presets").glob("*.toml"))
MAX_BYTES = 60_000


@pytest.fixture(scope="module")
def draw():
    specification = importlib.util.spec_from_file_location("draw", FOLDER / "draw.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def png_text(path: Path) -> dict[str, str]:
    """Return the texts that a PNG file carries."""
    content, position, found = path.read_bytes(), 8, {}
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    while position < len(content):
        length, kind = struct.unpack_from(">I4s", content, position)
        if kind == b"tEXt":
            key, _, text = content[position + 8 : position + 8 + length].partition(b"\0")
            found[key.decode()] = text.decode("latin-1")
        position += length + 12
    return found


def test_the_page_is_what_the_script_writes(draw):
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert page == draw.gallery(draw.bundled_forms()), "run python docs/presets/draw.py"


def test_the_table_has_every_preset_with_its_own_picture():
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| [`")]
    assert [row.split("`")[1] for row in rows] == NAMES
    for name, row in zip(NAMES, rows, strict=True):
        assert f'src="{name}.png"' in row
        assert row.count(" | ") == 3


def test_there_is_a_small_picture_of_every_preset_and_no_other():
    assert sorted(path.stem for path in FOLDER.glob("*.png")) == NAMES
    assert max(path.stat().st_size for path in FOLDER.glob("*.png")) < MAX_BYTES


def test_pictures_were_drawn_from_the_presets_as_they_are(draw):
    for name, form in draw.bundled_forms().items():
        text = png_text(FOLDER / f"{name}.png")
        assert text["Title"] == name
        assert text["Source"] == draw.source_of_form(form), "run python docs/presets/draw.py"


def test_drawing_is_repeatable_and_tells_nothing_of_the_machine(draw, tmp_path, monkeypatch):
    form = draw.bundled_forms()["sonata-allegro"]
    first, second = tmp_path / "1.png", tmp_path / "2.png"
    draw.draw_form(form, first)
    draw.draw_form(form, second)
    assert first.read_bytes() == second.read_bytes()
    assert set(png_text(first)) == {"Title", "Source"}


def test_the_script_writes_the_whole_folder_and_removes_what_is_gone(
    draw, tmp_path, monkeypatch, capsys
):
    forms = {name: draw.bundled_forms()[name] for name in ("aaba", "rag")}
    monkeypatch.setattr(draw, "bundled_forms", lambda: forms)
    monkeypatch.setattr(sys, "argv", ["draw.py", "--out", str(tmp_path)])
    (tmp_path / "old.png").write_bytes(b"")
    draw.main()
    assert {path.name for path in tmp_path.iterdir()} == {"aaba.png", "rag.png", "README.md"}
    assert capsys.readouterr().out == "aaba.png\nrag.png\n"
    monkeypatch.setattr(sys, "argv", ["draw.py", "nothing", "--out", str(tmp_path)])
    with pytest.raises(SystemExit):
        draw.main()
