from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from singcli.errors import InputError
from singcli.model import contract
from singcli.model.contract import CONTRACT_VERSION, ModelCard, note_inputs, step_inputs
from singcli.model.runtime import Runtime

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


def test_a_row_does_not_hear_its_neighbours(runtime):
    rng = np.random.default_rng(0)
    blank = step_inputs(3, runtime.card.sizes)
    for name in ("previous", "draft", "hidden"):
        blank[name] = rng.random(blank[name].shape).astype(np.float32)
    together = runtime.step(blank)["next_hidden"]
    for row in range(3):
        alone = runtime.step({name: value[row : row + 1] for name, value in blank.items()})
        np.testing.assert_allclose(alone["next_hidden"][0], together[row], atol=1e-5)


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
