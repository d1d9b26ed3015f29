"""The pointer network trained on rows, exported and entered into the paper's benchmark."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from singcli.errors import InputError
from singcli.generate import generate_songs
from singcli.model.rows import RowTask
from singcli.protocol.entrants import open_model
from singcli.row_dataset import Piece, Segment, write_index, write_segments
from singcli.structure.row_ssm import row_ssm

pytest.importorskip("torch")

from singcli.training.corpora import open_corpora
from singcli.training.examples import Draw
from singcli.training.export import export_onnx
from singcli.training.row_examples import RowSong, transposed
from singcli.training.train import train

TINY_ROWS = """
name = "tiny-rows"
[network]
lstm = 16
roll = 8
draft = 8
bar = 8
context = 8
hidden = 16
duration = 8
velocity = 8
[data]
share_form = 0.0
share_cropped = 0.0
[run]
epochs = 2
batch_songs = 3
chunk_steps = 32
"""


def drawn_segment(seed: int, n_rows: int = 48) -> Segment:
    """Chords of two rows, eight rows of them again and again."""
    rng = np.random.default_rng(seed)
    chords = np.zeros((4, 128), np.bool_)
    for chord in chords:
        chord[rng.choice(np.arange(40, 90), 3, replace=False)] = True
    return Segment(f"p{seed}#1", np.tile(np.repeat(chords, 2, axis=0), (n_rows // 8, 1)))


@pytest.fixture(scope="module")
def rows(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("rows")
    splits = {"train": range(6), "validation": range(6, 8), "test": range(8, 9)}
    pieces = []
    for split, seeds in splits.items():
        segments = [drawn_segment(seed) for seed in seeds]
        write_segments(out / f"{split}.npz", segments)
        pieces += [
            Piece(f"p{seed}", f"p{seed}.mid", "0", str(seed), 180.0, 48, (48,), split)
            for seed in seeds
        ]
    write_index(out, pieces, licences={}, settings={})
    return out


@pytest.fixture(scope="module")
def model(rows, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    config = folder / "tiny.toml"
    config.write_text(TINY_ROWS)
    result = train([rows], config, folder / "run", device="cpu", processes=1)
    assert result.finished
    assert set(result.progress.figures) == {"music", "none"}
    assert result.progress.figures["music"]["songs"] == 2
    return export_onnx(folder / "run", folder / "rows.onnx").path


def test_it_takes_part_once_for_each_number_of_candidates(model):
    entrants = open_model(model, "ours", (2, 4))
    assert set(entrants) == {"ours, 2", "ours, 4"}
    roll = drawn_segment(8).roll
    [written] = entrants["ours, 4"].generate([RowTask(row_ssm(roll), roll[:10])], [1])
    assert written.shape == roll.shape
    np.testing.assert_array_equal(written[:10], roll[:10])


def test_it_writes_no_songs(model, tmp_path):
    with pytest.raises(InputError, match="model of rows"):
        list(generate_songs(None, model, [(1, tmp_path / "x.mid")]))


def test_rows_and_songs_are_not_mixed(rows, tmp_path):
    with pytest.raises(InputError, match="among datasets of songs"):
        open_corpora([rows, tmp_path])


def test_an_example_is_in_the_key_of_its_draw():
    song = RowSong(drawn_segment(1))
    settings = _settings()
    plain, moved = (
        song.example(Draw(0, "music", 0, song.n_bars, semitones=n), settings) for n in (0, 3)
    )
    np.testing.assert_array_equal(moved.previous[:, 91:], plain.previous[:, 88:-3])
    np.testing.assert_array_equal(moved.grade, plain.grade)
    assert song.n_steps(Draw(0, "music", 2, 4)) == 16


def test_transposing_loses_what_leaves_the_piano():
    roll = np.zeros((1, 128), np.bool_)
    roll[0, [21, 60, 108]] = True
    assert np.flatnonzero(transposed(roll, 2)).tolist() == [23, 62]
    assert np.flatnonzero(transposed(roll, -2)).tolist() == [58, 106]


def _settings():
    from singcli.structure.texture import DEFAULT_TEXTURE
    from singcli.training.examples import ExampleSettings

    return ExampleSettings((), (DEFAULT_TEXTURE,), 0.08, 0.15)
