from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from singcli.errors import InputError
from singcli.model import contract
from singcli.model.contract import CONTRACT_VERSION, ModelCard, note_inputs, step_inputs
from singcli.model.runtime import Arrays, Runtime
from singcli.resources import checkpoints_dir

TINY = Path(__file__).parent / "data" / "tiny.onnx"


@pytest.fixture(scope="module")
def runtime():
    return Runtime.open(TINY)


@pytest.mark.parametrize("n", [1, 2, 7])
def test_both_parts_run_with_any_number_of_songs(runtime, n):
    sizes = runtime.card.sizes
    step = runtime.step(step_inputs(n, sizes))
    assert step["step_features"].shape == (n, sizes.features)
    note = runtime.note(note_inputs(n, sizes))
    assert note["logits"].shape == (n, 177)
    assert note["gate"].shape == (n,)
    assert note["next_chosen"].shape == (n, sizes.hidden)
    assert note["duration_logits"].shape == (n, contract.N_DURATIONS)
    assert note["velocity_logits"].shape == (n, contract.N_VELOCITIES)


def random_inputs(blank: Arrays) -> Arrays:
    """Fill in what a song might hold: sparse notes, dense states."""
    rng = np.random.default_rng(0)
    dense = ("hidden", "cell", "features", "token_bias", "chosen")
    return {
        name: value
        if value.dtype != np.float32
        else rng.standard_normal(value.shape, np.float32)
        if name in dense
        else (rng.random(value.shape) < 0.2).astype(np.float32)
        for name, value in blank.items()
    }


@pytest.mark.parametrize("model", [TINY, checkpoints_dir() / "pop.onnx"], ids=["tiny", "pop"])
@pytest.mark.parametrize("part", ["step", "note"])
def test_a_row_is_the_same_to_the_last_bit_beside_any_number_of_others(model, part):
    runtime = Runtime.open(model)
    run = getattr(runtime, part)
    blank = step_inputs if part == "step" else note_inputs
    inputs = random_inputs(blank(65, runtime.card.sizes))

    def rows(first: int, n: int) -> Arrays:
        return run({name: value[first : first + n] for name, value in inputs.items()})

    alone = [rows(first, 1) for first in range(65)]
    for n in (*range(2, 20), 24, 31, 32, 33, 48, 63, 64, 65):
        first = 65 - n
        for name, values in rows(first, n).items():
            expected = np.concatenate([alone[first + row][name] for row in range(n)])
            assert np.array_equal(values, expected), (n, name)


@pytest.mark.parametrize("cut", [0, 1, 100, 5000])
def test_a_damaged_model_is_refused_in_one_line(tmp_path, cut):
    path = tmp_path / "cut.onnx"
    path.write_bytes(TINY.read_bytes()[:cut])
    with pytest.raises(InputError, match=r"cut\.onnx: (damaged|not a model)"):
        Runtime.open(path)


def test_a_foreign_file_is_refused(tmp_path):
    path = tmp_path / "foreign.onnx"
    path.write_bytes(b"\x89PNG\r\n" + bytes(1000))
    with pytest.raises(InputError, match="not a model"):
        Runtime.open(path)


def test_an_onnx_file_without_our_card_is_refused(tmp_path):
    content = TINY.read_bytes()
    assert content.count(b"singcli\x12") == 1  # the key of the card in the metadata
    path = tmp_path / "other.onnx"
    path.write_bytes(content.replace(b"singcli\x12", b"another\x12"))
    with pytest.raises(InputError, match="not a model of singcli"):
        Runtime.open(path)


def test_a_missing_model_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match=r"none\.onnx: cannot be read"):
        Runtime.open(tmp_path / "none.onnx")


def test_a_card_reads_back_equal_and_another_version_is_refused(runtime):
    text = runtime.card.to_json()
    assert ModelCard.from_json(text, source="x") == runtime.card
    later = json.dumps(json.loads(text) | {"version": CONTRACT_VERSION + 1})
    with pytest.raises(InputError, match="contract version"):
        ModelCard.from_json(later, source="x")
    with pytest.raises(InputError, match="card cannot be read"):
        ModelCard.from_json("{}", source="x")


def test_a_graph_of_other_widths_is_refused_before_it_runs(tmp_path):
    content = TINY.read_bytes()
    card = ModelCard.from_json(Runtime.open(TINY).card.to_json(), source="x").to_json()
    assert content.count(b'"lstm": 16') == 1
    path = tmp_path / "wide.onnx"
    path.write_bytes(content.replace(b'"lstm": 16', b'"lstm": 17'))
    assert '"lstm": 16' in card
    with pytest.raises(InputError, match=r"input hidden has the shape \[16\].* needs \[17\]"):
        Runtime.open(path)
