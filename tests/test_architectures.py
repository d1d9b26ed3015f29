"""Variants of the network in benchmarks/: their cells, their noise, their runs and the table."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest

from singcli.dataset import SectionSpan, Song
from singcli.model.contract import N_NOTE_TOKENS, NO_DURATION, START, STOP
from singcli.structure.texture import DEFAULT_TEXTURE

torch = pytest.importorskip("torch")

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"
WIDTHS = {"lstm": 16, "roll": 8, "draft": 8, "bar": 8, "context": 8, "hidden": 8, "duration": 8}


@pytest.fixture
def load(monkeypatch):
    """Import a script by its name."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module


@pytest.fixture
def songs(load, aaba_score):
    """The same labelled song for training and validation."""
    from singcli.training.examples import ExampleSettings, TrainingSong

    spans = tuple(SectionSpan(label, 2 * n, 2, melodic=True) for n, label in enumerate("aaba"))
    song = TrainingSong.from_song(Song("x", "train", aaba_score, spans))
    settings = ExampleSettings((), (DEFAULT_TEXTURE,), 0.08, 0.15)
    return load("_short_runs").Songs([song] * 4, [song], settings)


def spoilt_and_clean(load, songs):
    from singcli.training.batches import batch_from_draws
    from singcli.training.examples import Draw

    draws = [Draw(0, "music")] * 8
    clean, spoilt = (batch_from_draws(songs.training, draws, songs.settings) for _ in range(2))
    load("_variants").spoil(spoilt, np.random.default_rng(0))
    return spoilt, clean


@pytest.mark.parametrize(
    "name", ["Lstm", "Gru", "LinearRecurrence", "WindowBlock", "LstmAndWindow"]
)
def test_a_cell_returns_the_same_step_by_step_and_chunk_by_chunk(load, name):
    torch.manual_seed(0)
    cell = getattr(load("_cells"), name)(6, 8)
    for parameter in cell.parameters():
        if parameter.shape == (load("_cells").HEADS, load("_cells").WINDOW_STEPS):
            torch.nn.init.normal_(parameter)  # the bias of each distance is zero at first
    seen = torch.randn(3, 80, 6)
    whole, _ = cell(seen, None)
    first, state = cell(seen[:, :50], None)
    second, _ = cell(seen[:, 50:], state)
    torch.testing.assert_close(torch.cat([first, second], 1), whole)
    state, steps = cell.blank(3), []
    for step in seen.unbind(1):
        out, state = cell.tick(step, state)
        steps.append(out)
    torch.testing.assert_close(torch.stack(steps, 1), whole)


def test_attention_sees_its_window_and_nothing_beyond(load):
    cells = load("_cells")
    torch.manual_seed(0)
    cell = cells.WindowBlock(6, 8)
    seen = torch.randn(1, 60, 6, requires_grad=True)
    out, _ = cell(seen, None)
    (out[0, 50] * torch.arange(8)).sum().backward()  # a norm's plain sum never changes
    reached = torch.nonzero(seen.grad[0].abs().sum(-1)).flatten().tolist()
    assert reached == list(range(50 - cells.WINDOW_STEPS + 1, 51))


def test_variants_begin_with_the_weights_that_they_have_in_common(load):
    variants = load("_variants")
    base, smoothed, gru = (
        variants.network_of(
            variants.Variant("x", settings=WIDTHS | {"dropout": 0.1}, **changes), seed=3
        ).state_dict()
        for changes in ({}, {"smoothing": 0.1}, {"cell": load("_cells").Gru})
    )
    assert base.keys() == smoothed.keys()
    shared = [name for name in base if "cell" not in name]
    assert "note.pitch.weight" in shared
    assert "step.mix.weight" in shared
    for name in shared:
        assert torch.equal(base[name], gru[name])
        assert torch.equal(base[name], smoothed[name])


def test_a_blind_input_changes_nothing(load):
    variants = load("_variants")
    from singcli.model.contract import step_inputs
    from singcli.training.networks import StepInputs

    def difference(**changes):
        variant = variants.Variant("x", settings=WIDTHS, **changes)
        network = variants.network_of(variant, seed=0).eval()
        blank = step_inputs(1, network.sizes)
        inputs = StepInputs(*(torch.from_numpy(blank[name]) for name in list(blank)[:-2]))
        noisy = inputs._replace(context=torch.rand_like(inputs.context))
        state = network.step.cell.blank(1)
        plain, other = (network.step.tick_any(seen, state) for seen in (inputs, noisy))
        return [
            float((a - b).abs().max().detach()) for a, b in zip(plain[:2], other[:2], strict=True)
        ]

    assert all(value > 0 for value in difference())
    assert difference(blind=("context",)) == [0.0, 0.0]
    features, bias = difference(context_bias=False)
    assert features > 0
    assert bias == 0


def test_noise_takes_and_adds_its_shares(load, songs):
    spoilt, clean = spoilt_and_clean(load, songs)
    for name in ("draft", "bars_ago"):
        was, now = (batch.arrays[name][..., :N_NOTE_TOKENS] for batch in (clean, spoilt))
        assert 0.05 < (was & ~now).sum() / was.sum() < 0.15
        assert 0 < (now & ~was).sum() / was.sum() < 0.06
    assert np.array_equal(spoilt.arrays["previous"], clean.arrays["previous"])


def test_decisions_follow_the_spoilt_draft(load, songs):
    spoilt, _ = spoilt_and_clean(load, songs)
    draft, d = spoilt.arrays["draft"][..., :N_NOTE_TOKENS], spoilt.decisions
    for k in range(len(d["token"])):
        onsets = np.flatnonzero(draft[d["row"][k], d["step"][k]])
        after = onsets[onsets > d["last"][k]] if d["last"][k] != START else onsets
        assert d["copied"][k] == (after[0] if len(after) else STOP)
        if d["token"][k] not in onsets:
            assert d["draft_duration"][k] == NO_DURATION


def test_smoothed_labels_cost_what_the_even_distribution_costs(load):
    variants = load("_variants")
    network = variants.network_of(
        variants.Variant("x", settings=WIDTHS | {"dropout": 0.0}, smoothing=0.1), seed=0
    )
    note = network.note.train()
    tokens = torch.tensor([START, 170])
    none = torch.full((2,), 88)
    logits, _ = note.pitch_logits(
        torch.zeros(2, network.sizes.hidden),
        torch.zeros(2, N_NOTE_TOKENS),
        torch.zeros(2, network.sizes.hidden),
        tokens,
        torch.zeros(2, N_NOTE_TOKENS),
        none,
        none,
    )
    probabilities = torch.softmax(logits.double(), -1)
    expected = -(probabilities[0].log().mean() + probabilities[1, 171:].log().mean())
    assert float(note.even_nats[0].detach()) == pytest.approx(float(expected.detach()), rel=1e-5)


class TestRuns:
    def test_a_run_learns_and_is_the_same_again(self, load, songs):
        runs, variants = load("_short_runs"), load("_variants")
        plan = runs.Plan(updates=60, batch_songs=4, chunk_steps=16, songs=1)
        variant = variants.Variant(variants.BASE, settings=WIDTHS)
        first, again = (runs.run_variant(variant, 0, plan, songs) for _ in range(2))
        assert first["mean"] == again["mean"]
        assert first["curve"][-1] < first["curve"][0]
        assert set(first["mean"]) == set(first["last"]) == {"music", "none"}
        assert first["last"] != first["mean"]

    @pytest.mark.parametrize("change", [{"noise": True}, {"smoothing": 0.1}])
    def test_a_change_of_the_training_changes_what_is_learned(self, load, songs, change):
        runs, variants = load("_short_runs"), load("_variants")
        plan = runs.Plan(updates=4, batch_songs=4, chunk_steps=16, songs=1)
        nats = [
            runs.run_variant(variants.Variant("x", settings=WIDTHS, **c), 0, plan, songs)
            for c in ({}, change)
        ]
        assert nats[0]["mean"]["music"] != nats[1]["mean"]["music"]

    def test_an_epoch_of_every_variant_is_timed(self, load, songs):
        runs, variants = load("_short_runs"), load("_variants")
        names = {"plain": {}, "noisy": {"noise": True}}
        tried = [variants.Variant(n, settings=WIDTHS, **c) for n, c in names.items()]
        plan = runs.Plan(updates=1, batch_songs=4, chunk_steps=16, songs=1)
        seconds = runs.epoch_seconds(tried, plan, songs, rounds=2)
        assert set(seconds) == set(names)
        assert all(value > 0 for value in seconds.values())

    def test_rate_warms_up_stays_and_falls(self, load):
        rate = load("_short_runs").learning_rate
        full = load("_short_runs").OPTIMISER.learning_rate
        assert rate(0, 900) == pytest.approx(full / 100)
        assert rate(300, 900) == rate(599, 900) == pytest.approx(full)
        assert rate(750, 900) == pytest.approx(full * (0.01 + 0.99 / 2))


class TestScript:
    def test_base_first_and_every_variant_once(self, load):
        script = load("architectures")
        jobs = script.jobs(2)
        assert [script.VARIANTS[index].name for index, _ in jobs[:2]] == ["base", "base"]
        assert len(set(jobs)) == len(jobs) == len(script.VARIANTS) + 1

    def test_runs_of_another_plan_are_not_taken_for_those_of_this_one(self, load, tmp_path):
        script = load("architectures")
        path = tmp_path / "runs.jsonl"
        plan, other = script.Plan(10, 8, 64, 60), script.Plan(20, 8, 64, 60)
        assert script.read_records(path, plan) == []
        path.write_text(
            '{"plan": {"updates": 10, "batch_songs": 8, "chunk_steps": 64, "songs": 60}}\n'
        )
        assert len(script.read_records(path, plan)) == 1
        assert script.read_records(path, other) == []

    def test_rows_stand_beside_the_base(self, load):
        script = load("architectures")

        def record(name, seed, nats, last=None):
            def figures(value):
                parts = {"nats_per_note": 2.0, "pitch": 2.5, "duration": 1.0}
                return {k: parts | {"nats_per_step": value + (k == "none")} for k in script.KINDS}

            return {
                "variant": name,
                "seed": seed,
                "parameters": 1234,
                "mean": figures(nats),
                "last": last and figures(last),
            }

        records = [
            record("GRU for the LSTM", 0, 3.4),
            record("no dropout", 0, 3.3),
            record("base", 1, 3.52),
            record("base", 0, 3.5, 3.6),
        ]
        rows = script.table_rows(records, {"no dropout": [99.6, 1000.0, 9000.0]})
        assert [row[0] for row in rows] == [
            "base",
            "no running mean of the weights",
            "base, seed 1",
            "GRU for the LSTM",
            "no dropout",
        ]
        assert [row[3] for row in rows] == ["+0.000", "+0.100", "+0.020", "-0.100", "-0.200"]
        assert rows[4][2:6] == ["3.300", "-0.200", "4.300", "-0.200"]
        assert rows[3][-3:] == ["-", "-", "-"]
        assert rows[4][-3:] == ["100", "1,000", "9,000"]
        assert script.table_rows(records[:3], {}) == []

    def test_a_variant_is_timed_at_both_batch_sizes(self, load):
        pytest.importorskip("onnx")
        variants, cells = load("_variants"), load("_cells")
        tiny = variants.Variant("x", settings=WIDTHS, cell=cells.LstmAndWindow)
        speeds = load("_part_speed").steps_per_second([tiny], (1, 2), rounds=1)
        assert list(speeds) == ["x"]
        assert all(value > 0 for value in speeds["x"])
