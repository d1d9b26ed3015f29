"""Recipes: written, read, refused."""

from __future__ import annotations

import dataclasses
import hashlib
import json

import numpy as np
import pytest

from singcli.errors import InputError
from singcli.recipe import (
    PlacedSection,
    Recipe,
    UsedFile,
    UsedTemplate,
    placed_sections,
    read_recipe,
    used_versions,
    write_recipe,
)


@pytest.fixture
def recipe() -> Recipe:
    return Recipe(
        model=UsedFile("small.onnx", "ab" * 32),
        seed=17,
        options={"temperature": 1.0, "strictness": 0.5, "key": None},
        form={"name": "réfrain", "sections": [{"label": "A", "bars": 8}]},
        templates=(UsedTemplate("a.mid", "cd" * 32, 0.6), UsedTemplate("b.mid", "ef" * 32, 0.4)),
        best_of=8,
        attempt=3,
        sections=(PlacedSection("A", 0, 8, 0, 15360),),
        structure={"r_bars": 0.93, "same_label": None},
    )


def test_a_recipe_comes_back_as_it_was_written(tmp_path, recipe):
    path = tmp_path / "song.json"
    write_recipe(path, recipe)
    assert read_recipe(path) == recipe


def test_a_recipe_names_what_the_notes_depend_on(recipe):
    assert list(recipe.versions) == ["singcli", "numpy", "onnxruntime"]
    assert recipe.versions["numpy"] == np.__version__
    assert used_versions() == recipe.versions


def test_the_embedded_recipe_is_one_ascii_line_without_measurements(recipe):
    text = recipe.embedded_text()
    assert text.isascii()
    assert "\n" not in text
    embedded = json.loads(text)["singcli_recipe"]
    assert "structure" not in embedded
    assert (embedded["seed"], embedded["attempt"]) == (17, 3)
    assert text == dataclasses.replace(recipe, structure={"r_bars": 0.1}).embedded_text()


def test_a_figure_that_json_cannot_hold_is_not_written(tmp_path, recipe):
    path = tmp_path / "song.json"
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_recipe(path, dataclasses.replace(recipe, structure={"r_bars": float("nan")}))
    assert list(tmp_path.iterdir()) == []


def test_sections_are_placed_in_bars_and_ticks_of_any_length():
    placed = placed_sections([("A", 0, 2), ("B", 2, 1)], np.array([0, 3, 6, 8], np.int32))
    assert placed == (PlacedSection("A", 0, 2, 0, 2880), PlacedSection("B", 2, 3, 2880, 3840))


def test_a_used_file_is_known_by_its_name_and_content(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"weights")
    assert UsedFile.from_path(path) == UsedFile(
        "model.onnx", hashlib.sha256(b"weights").hexdigest()
    )


def _set(key, value):
    def change(fields):
        fields[key] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_set("recipe_version", 9), r"recipe_version = 9, this singcli reads 3 and 4"),
        (_set("sede", 1), r"unknown key 'sede', allowed: model, seed"),
        (_set("seed", "many"), r"song\.json: seed: "),
        (_set("model", {"name": "x"}), r"song\.json: model\.sha256: "),
        (_set("templates", [{"name": "x"}]), r"song\.json: templates\.0\.sha256: "),
        (_set("attempt", None), r"song\.json: attempt: "),
        (lambda fields: fields.pop("recipe_version"), r"not a recipe"),
    ],
)
def test_a_changed_recipe_is_refused_with_the_key_at_fault(tmp_path, recipe, change, message):
    fields = json.loads(recipe.to_json())
    change(fields)
    path = tmp_path / "song.json"
    path.write_text(json.dumps(fields))
    with pytest.raises(InputError, match=message):
        read_recipe(path)


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b"[]", b"3"])
def test_a_file_that_is_no_recipe_is_refused(tmp_path, content):
    path = tmp_path / "song.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"song\.json: not "):
        read_recipe(path)


def test_a_missing_recipe_is_refused(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        read_recipe(tmp_path / "song.json")
