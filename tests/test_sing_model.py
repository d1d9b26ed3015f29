"""SING without training: attention, drawing, roll-out, the model file."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from sing_network import (  # noqa: E402
    NumpyCell,
    model_content,
    phrase_roll,
    random_network,
    random_runtime,
    sing_card,
)

from singcli.errors import InputError  # noqa: E402
from singcli.model.opening import open_model  # noqa: E402
from singcli.model.rows import RowTask  # noqa: E402
from singcli.model.runtime import Runtime  # noqa: E402
from singcli.model.sing.attention import Attention, attention_from_ssm, sparsemax  # noqa: E402
from singcli.model.sing.contract import SingCard, architecture_of_card  # noqa: E402
from singcli.model.sing.generator import SingGenerator  # noqa: E402
from singcli.model.sing.roll_out import (  # noqa: E402
    Teacher,
    Trace,
    piece_from_seed,
    roll_out,
)
from singcli.model.sing.runtime import SingRuntime  # noqa: E402
from singcli.model.sing.sampling import (  # noqa: E402
    NO_PITCH,
    RowSampling,
    draw_pitches,
    row_probabilities,
)
from singcli.structure.row_ssm import row_ssm  # noqa: E402
from singcli.training.sing.network import FrozenCell, SingNetwork  # noqa: E402

DATA = Path(__file__).parent / "data"
PAPER = RowSampling()


def nearest_in_simplex(scores):
    """By definition: of the nearest points of all faces that lie in the simplex, the nearest."""
    best = None
    for size in range(1, len(scores) + 1):
        for face in itertools.combinations(range(len(scores)), size):
            point = np.zeros(len(scores))
            on = list(face)
            point[on] = scores[on] - (scores[on].sum() - 1) / size
            distance = ((point - scores) ** 2).sum()
            if (point >= 0).all() and (best is None or distance < best[0]):
                best = (distance, point)
    return best[1]


class TestAttention:
    def test_sparsemax_is_the_nearest_point_of_the_simplex(self):
        rng = np.random.default_rng(0)
        scores = rng.normal(0, 0.7, (40, 6)).astype(np.float32)
        scores[:5, 3] = scores[:5, 1]  # ties
        for row, found in zip(scores, sparsemax(scores), strict=True):
            assert found == pytest.approx(nearest_in_simplex(row.astype(float)), abs=1e-6)

    def test_masked_scores_get_nothing_and_all_masked_is_zero(self):
        found = sparsemax(np.array([[-np.inf, 1.0, 0.5], [-np.inf] * 3], np.float32))
        assert found.tolist() == [[0, 0.75, 0.25], [0, 0, 0]]

    def test_a_constant_block_is_averaged_and_a_clear_winner_takes_all(self):
        assert sparsemax(np.full(5, 0.7, np.float32)) == pytest.approx([0.2] * 5)
        assert sparsemax(np.array([1.0, 0, 0], np.float32)).tolist() == [1, 0, 0]

    @pytest.mark.parametrize("n_rows", [0, 1, 2, 70, 150])  # more than one block of rows
    def test_every_row_is_sparsemax_of_the_matrix_before_it(self, n_rows):
        ssm = row_ssm(phrase_roll(1, n_rows)) if n_rows else np.zeros((0, 0), np.float32)
        attention = attention_from_ssm(ssm)
        dense = attention.dense()
        assert attention.n_rows == n_rows
        assert (attention.weight > 0).all()
        assert np.triu(dense).sum() == 0
        for t in range(1, n_rows):
            assert dense[t, :t] == pytest.approx(sparsemax(ssm[t, :t]), abs=1e-6)
            assert dense[t].sum() == pytest.approx(1, abs=1e-5)


class TestDrawing:
    def draw(self, logits, sampling=PAPER, seed=0):
        chances = np.random.default_rng(seed).random((len(logits), sampling.draws))
        return draw_pitches(logits.astype(np.float32), chances, sampling)

    def test_one_to_three_notes_of_the_range_and_never_a_rest(self):
        logits = np.random.default_rng(1).normal(0, 0.3, (4000, 128))
        drawn = self.draw(logits)
        sounding = drawn != NO_PITCH
        assert set(sounding.sum(axis=1).tolist()) == {1, 2, 3}
        assert drawn[sounding].min() == 30
        assert drawn[sounding].max() == 97
        rows = [row[row != NO_PITCH].tolist() for row in drawn]
        assert all(len(set(row)) == len(row) for row in rows)

    def test_only_the_fifty_likeliest_of_the_range_sound(self):
        flat = np.random.default_rng(2).normal(0, 1e-3, (1, 128))  # so that all 68 were in
        flat[0, :30] = flat[0, 98:] = 5.0  # outside the range
        logits = np.repeat(flat, 3000, axis=0)
        likeliest = set((30 + np.argsort(flat[0, 30:98])[-50:]).tolist())
        drawn = self.draw(logits)
        assert set(drawn[drawn != NO_PITCH].tolist()) == likeliest
        probabilities = row_probabilities(flat.astype(np.float32), PAPER)[0]
        assert np.count_nonzero(probabilities) == 50
        best = np.sort(flat[0, 30:98])[-50:].astype(np.float32)
        assert np.sort(probabilities)[-50:] == pytest.approx(sparsemax(best), abs=1e-6)

    def test_pitches_come_as_often_as_sparsemax_says(self):
        logits = np.full((1, 128), -9.0)
        logits[0, [60, 64, 67]] = 0.4, 0.1, 0.1
        drawn = self.draw(np.repeat(logits, 20_000, axis=0), RowSampling(draws=1))[:, 0]
        found = [np.mean(drawn == pitch) for pitch in (60, 64, 67)]
        assert found == pytest.approx([8 / 15, 7 / 30, 7 / 30], abs=0.02)

    @pytest.mark.parametrize("chance", [0.0, np.nextafter(1, 0)])
    def test_extreme_chances_stay_among_what_is_possible(self, chance):
        logits = np.full((1, 128), -9.0, np.float32)
        logits[0, [60, 64]] = 0.3, 0.2
        drawn = draw_pitches(logits, np.full((1, 3), chance), PAPER)[0]
        assert sorted(drawn.tolist()) == [60 if chance == 0 else 64, NO_PITCH, NO_PITCH]


class TestNetwork:
    def test_number_of_parameters(self):
        assert sum(p.numel() for p in SingNetwork().parameters()) == 132_099
        assert sum(p.numel() for p in SingNetwork(attention=False).parameters()) == 132_096

    @pytest.mark.parametrize("attention", [True, False])
    def test_torch_graph_and_numpy_agree(self, attention):
        network = random_network(attention=attention)
        cells = [
            random_runtime(attention=attention),
            FrozenCell(network, torch.device("cpu")),
            NumpyCell(network),
        ]
        rng = np.random.default_rng(3)
        rows = (rng.random((30, 5, 128)) < 0.04).astype(np.float32)
        weighted = rng.random((30, 5, 128), np.float32)
        blank = np.zeros((5, 128), np.float32)
        states = [(blank, blank)] * 3
        said = [[], [], []]
        for t in range(30):
            for k, cell in enumerate(cells):
                logits, *state = cell(rows[t], weighted[t], *states[k])
                states[k] = tuple(state)
                said[k].append(logits)
        with torch.no_grad():
            start = torch.zeros(5, 128)
            whole = network(torch.from_numpy(rows), torch.from_numpy(weighted), (start, start))
        reference = np.array(said[2])
        assert np.abs(reference).max() > 0.5
        for found in (said[0], said[1], whole.numpy()):
            assert np.array(found) == pytest.approx(reference, abs=2e-5)


def naive_roll(cell, roll, n_seed, seed, sampling=PAPER):
    """Write one piece by the definitions, with dense attention."""
    n_rows = len(roll)
    ssm = row_ssm(roll)
    piece = piece_from_seed(roll[:n_seed], attention_from_ssm(ssm), seed, sampling)
    written = np.zeros((n_rows, 128), np.bool_)
    hidden, state = (part[None] for part in piece.state)
    for t in range(n_rows):
        weighted = np.zeros((1, 128))
        if t:
            weighted = sparsemax(ssm[t, :t]) @ written[:t].astype(float)
        before = written[t - 1] if t else np.zeros(128)
        if t or not n_seed:
            fed = before[None].astype(np.float32), weighted.reshape(1, 128).astype(np.float32)
            logits, hidden, state = cell(*fed, hidden, state)
        if t < n_seed:
            written[t] = roll[t]
            continue
        drawn = draw_pitches(np.float32(logits), piece.chances[t, None], sampling)[0]
        written[t, drawn[drawn != NO_PITCH]] = True
    return written


class TestRollOut:
    def tasks(self):
        rolls = [phrase_roll(k, n) for k, n in enumerate((40, 25, 40, 12, 1, 33))]
        seeds = (10, 10, 0, 3, 1, 33)
        return [RowTask(row_ssm(r), r[:k]) for r, k in zip(rolls, seeds, strict=True)], rolls

    def test_as_by_the_definitions(self):
        tasks, rolls = self.tasks()
        runtime = random_runtime()
        found = SingGenerator(runtime).generate(tasks, [7, 8, 9, 10, 11, 12])
        for k, (task, roll) in enumerate(zip(tasks, rolls, strict=True)):
            wanted = naive_roll(runtime, roll, len(task.seed_rows), 7 + k)
            assert found[k].tolist() == wanted.tolist()

    def test_a_piece_depends_on_its_task_and_seed_alone(self):
        tasks, _ = self.tasks()
        generator = SingGenerator(random_runtime())
        together = generator.generate(tasks, range(6))
        for k in range(6):
            assert (generator.generate([tasks[k]], [k])[0] == together[k]).all()
        turned = generator.generate(tasks[::-1], range(6)[::-1])
        assert all((a == b).all() for a, b in zip(turned[::-1], together, strict=True))
        other = generator.generate(tasks[:1], [99])[0]
        assert (other != together[0]).any()

    def test_it_begins_with_the_seed_rows_and_rests_nowhere_else(self):
        tasks, rolls = self.tasks()
        generator = SingGenerator(random_runtime())
        assert generator.name == "random"
        for task, roll, found in zip(
            tasks, rolls, generator.generate(tasks, range(6)), strict=True
        ):
            k = len(task.seed_rows)
            assert found.shape == roll.shape
            assert (found[:k] == roll[:k]).all()
            counts = found[k:].sum(axis=1)
            assert ((counts >= 1) & (counts <= 3)).all()

    def test_nothing_to_do(self):
        assert SingGenerator(random_runtime()).generate([], []) == []

    def test_the_matrix_counts_with_attention_only(self):
        roll = phrase_roll(5)
        wanted, other = row_ssm(roll), row_ssm(phrase_roll(6))
        for attention in (True, False):
            generator = SingGenerator(random_runtime(attention=attention))
            tasks = [RowTask(ssm, roll[:10]) for ssm in (wanted, other)]
            first, second = generator.generate(tasks, [4, 4])
            assert (first == second).all() != attention

    def test_a_random_state_comes_from_the_seed(self):
        sampling = RowSampling(initial_state="random")
        attention = Attention.nothing(5)
        states = [piece_from_seed(np.zeros((0, 128), bool), attention, k, sampling).state
                  for k in (1, 1, 2)]  # fmt: skip
        assert (states[0] == states[1]).all()
        assert (states[0] != states[2]).any()

    def test_a_teacher_is_fed_but_not_remembered(self):
        roll = phrase_roll(3, 20)
        piece = piece_from_seed(roll[:10], attention_from_ssm(row_ssm(roll)), 1, PAPER)
        rows = np.zeros((1, 20, 128), np.bool_)
        rows[..., 100] = True  # no own row has it
        here = np.zeros((1, 20), np.bool_)
        here[0, 15] = True
        trace = Trace.blank(20, 1)
        (written,) = roll_out(
            random_runtime(), [piece], PAPER, teacher=Teacher(here, rows), trace=trace
        )
        assert np.flatnonzero(trace.row[15, 0]).tolist() == [100]
        assert (trace.row[16, 0] == written[15]).all()
        assert not written[:, 100].any()
        assert not trace.weighted[..., 100].any()

    def test_tasks_must_fit(self):
        with pytest.raises(ValueError, match="seed rows"):
            RowTask(np.zeros((3, 3), np.float32), np.zeros((4, 128), np.bool_))


class TestModelFile:
    def test_cards_travel(self):
        card = sing_card(sampling=RowSampling(top_k=20, draws=2))
        assert SingCard.from_json(card.to_json(), source="x") == card
        assert architecture_of_card(card.to_json()) == "sing"
        assert architecture_of_card("no JSON") == architecture_of_card("{}") == "pointer"
        assert card.style_index(None) is None
        with pytest.raises(InputError, match="style = 'pop'"):
            card.style_index("pop")

    @pytest.mark.parametrize(
        ("change", "message"),
        [({"version": 9}, "contract version 9 of sing"), ({"sampling": 1}, "cannot be read")],
    )
    def test_a_card_that_cannot_be_used_is_told(self, change, message):
        text = json.dumps(json.loads(sing_card().to_json()) | change)
        with pytest.raises(InputError, match=message):
            SingCard.from_json(text, source="x")

    def test_a_file_is_opened_as_what_it_is(self, tmp_path):
        path = tmp_path / "sing.onnx"
        path.write_bytes(model_content(random_network()))
        assert isinstance(open_model(path), SingRuntime)
        assert isinstance(open_model(DATA / "tiny.onnx"), Runtime)
        assert SingRuntime.open(path).card.name == "random"
        with pytest.raises(InputError, match="architecture 'pointer', 'sing' is needed"):
            SingRuntime.open(DATA / "tiny.onnx")
        with pytest.raises(InputError, match="not a model of singcli"):
            Runtime.open(path)

    def test_a_graph_that_does_not_fit_its_card_is_told(self, tmp_path):
        import onnx

        model = onnx.load_from_string(model_content(random_network(attention=False)))
        onnx.helper.set_model_props(model, {"singcli": sing_card(attention=True).to_json()})
        path = tmp_path / "sing.onnx"
        path.write_bytes(model.SerializeToString())
        with pytest.raises(InputError, match="singcli feeds row, weighted, hidden, cell"):
            SingRuntime.open(path)
