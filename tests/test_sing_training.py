"""SING in training: loss, batches, gradients, the loop, and the way to a song."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from sing_network import phrase_roll, random_network  # noqa: E402

from singcli.cli import main  # noqa: E402
from singcli.errors import InputError  # noqa: E402
from singcli.model.sing.runtime import SingRuntime  # noqa: E402
from singcli.model.sing.sampling import RowSampling  # noqa: E402
from singcli.music.midi_reading import read_midi  # noqa: E402
from singcli.row_dataset import (  # noqa: E402
    Piece,
    RowDataset,
    Segment,
    segments_path,
    write_index,
    write_segments,
)
from singcli.structure.row_ssm import row_ssm  # noqa: E402
from singcli.training.checkpoint import Checkpoint  # noqa: E402
from singcli.training.config import read_config  # noqa: E402
from singcli.training.sing.batches import (  # noqa: E402
    SegmentStore,
    batch_order,
    batches_of_segments,
    rolled_out,
)
from singcli.training.sing.config import SingConfig, SingTrainingConfig  # noqa: E402
from singcli.training.sing.loop import SingTrainer  # noqa: E402
from singcli.training.sing.loss import row_loss  # noqa: E402
from singcli.training.sing.validation import validate_sing  # noqa: E402
from singcli.training.train import train  # noqa: E402

CHECKPOINTS = Path(__file__).parents[1] / "checkpoints"
CPU = torch.device("cpu")
TINY = 'architecture = "sing"\nname = "tiny"\n[run]\nepochs = 3\nbatch_segments = 3\n'


def segments_of(split, lengths):
    return [Segment(f"{split}{k}#1", phrase_roll(k, n)) for k, n in enumerate(lengths)]


@pytest.fixture(scope="module")
def rows_path(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("rows")
    splits = {"train": (30, 30, 36, 36, 36, 36, 30), "validation": (30, 36), "test": ()}
    pieces = []
    for split, lengths in splits.items():
        segments = segments_of(split, lengths)
        write_segments(segments_path(folder, split), segments)
        pieces += [
            Piece(s.id[:-2], "x.mid", "0", "0", 200.0, len(s.roll), (len(s.roll),), split)
            for s in segments
        ]
    write_index(folder, pieces, licences={"Own": "Made by the tests."}, settings={})
    return folder


@pytest.fixture
def config_path(tmp_path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(TINY)
    return path


def trainer_of(rows_path, run_dir, resume=False, **tables):
    config = SingConfig.model_validate({"run": {"epochs": 3, "batch_segments": 3}} | tables)
    data = [RowDataset.open(rows_path)]
    return SingTrainer(data, config, run_dir, device=CPU, resume=resume)


class TestLoss:
    def batch(self):
        rolls = np.stack([phrase_roll(k, 20) for k in range(3)], axis=1)
        logits = torch.randn(20, 3, 128, generator=torch.Generator().manual_seed(0))
        return logits, torch.from_numpy(rolls.astype(np.float32))

    @pytest.mark.parametrize("ssm_of", ["logits", "probabilities"])
    def test_as_by_the_definition_with_whole_matrices(self, ssm_of):
        logits, wanted = self.batch()
        notes = ssm = 0.0
        for k in range(3):
            x, y = logits[:, k].double(), wanted[:, k].double()
            p = x.sigmoid()
            notes -= (y * p.log() + (1 - y) * (1 - p).log()).mean()
            heights = (x if ssm_of == "logits" else p).numpy()
            chroma = np.stack([heights[:, c::12].sum(axis=1) for c in range(12)], axis=1)
            chroma /= np.linalg.norm(chroma, axis=1, keepdims=True)
            ssm += ((chroma @ chroma.T - row_ssm(y.numpy() > 0)) ** 2).mean()
        loss = row_loss(logits, wanted, ssm_of=ssm_of)
        assert float(loss.notes) == pytest.approx(float(notes), rel=1e-5)
        assert float(loss.ssm) == pytest.approx(float(ssm), rel=1e-4)

    def test_the_right_rows_cost_nothing(self):
        _, wanted = self.batch()
        loss = row_loss(wanted * 80 - 40, wanted, ssm_of="probabilities")
        assert float(loss.notes) < 1e-6
        assert float(loss.ssm) < 1e-5

    def test_an_offset_hides_all_from_the_papers_matrix(self):
        rng = torch.Generator().manual_seed(1)
        logits, other = (torch.randn(20, 3, 128, generator=rng) - 30 for _ in range(2))
        _, wanted = self.batch()
        losses = [float(row_loss(x, wanted, ssm_of="logits").ssm) for x in (logits, other)]
        assert losses[0] == pytest.approx(losses[1], rel=0.01)


class TestBatches:
    def test_segments_of_one_length_go_together(self):
        lengths = (30, 36, 30, 30, 40, 30, 36)
        batches = batches_of_segments(segments_of("s", lengths), 3)
        assert batches == [[0, 2, 3], [5], [1, 6], [4]]

    def test_the_order_is_another_one_in_each_epoch(self):
        orders = [batch_order(20, seed=1, epoch=epoch) for epoch in (0, 1, 0)]
        assert orders[0] == orders[2] != orders[1]
        assert sorted(orders[1]) == list(range(20))

    @pytest.mark.parametrize(("teacher_row", "back"), [("previous", 1), ("early", 9)])
    def test_the_teachers_rows(self, teacher_row, back):
        store = SegmentStore(segments_of("s", (40, 40)), attention=True)
        training = SingTrainingConfig(teacher_row=teacher_row, teacher_forcing=0.5)
        teacher = store.teacher([0, 1], training, seed=0, epoch=0)
        assert not teacher.here[:, :11].any()
        assert 0.3 < teacher.here[:, 11:].mean() < 0.7
        roll = store.segments[1].roll
        for t in range(11, 40):  # early: row i + 1 is fed where row 10 + i is drawn
            assert (teacher.rows[1, t] == roll[t - back]).all()
            assert teacher_row == "previous" or back == t - ((t - 10) + 1)

    def test_a_share_of_the_batch_is_drawn_as_in_the_whole(self):
        store = SegmentStore(segments_of("s", (40,) * 4), attention=True)
        training = SingTrainingConfig()
        whole = store.teacher([0, 1, 2, 3], training, seed=0, epoch=2)
        part = store.teacher([1, 3], training, seed=0, epoch=2)
        assert (part.here == whole.here[1::2]).all()


@pytest.mark.parametrize("attention", [True, False])
def test_the_gradient_is_that_of_the_roll_out(attention):
    """Step by step, with the graph kept through every step, own rows as they were drawn."""
    network = random_network(attention=attention)
    segments = segments_of("s", (24, 24))
    store = SegmentStore(segments, attention=attention)
    sampling = RowSampling()
    pieces = [store.piece(k, 10, sampling, seed=3, epoch=1) for k in range(2)]
    teacher = store.teacher([0, 1], SingTrainingConfig(), seed=3, epoch=1)
    rolls, logits, wanted = rolled_out(network, segments, pieces, sampling, teacher, CPU)
    loss = row_loss(logits, wanted, ssm_of="probabilities")
    found = torch.autograd.grad(loss.notes + loss.ssm, list(network.parameters()))

    written = torch.from_numpy(np.stack(rolls, axis=1).astype(np.float32))
    weights = [torch.from_numpy(piece.attention.dense()) for piece in pieces]
    state = (torch.zeros(2, 128), torch.zeros(2, 128))
    said = []
    for t in range(1, 24):
        row = written[t - 1].clone()
        for k in range(2):
            if teacher.here[k, t]:
                row[k] = torch.from_numpy(teacher.rows[k, t].astype(np.float32))
        weighted = torch.stack([weights[k][t, :t] @ written[:t, k] for k in range(2)])
        answer, state = network.tick(row, weighted, state)
        said.append(answer)
    loss = row_loss(torch.stack(said[9:]), wanted, ssm_of="probabilities")
    expected = torch.autograd.grad(loss.notes + loss.ssm, list(network.parameters()))
    for a, b in zip(found, expected, strict=True):
        assert torch.allclose(a, b, atol=1e-5)


class TestLoop:
    def weights(self, run_dir, name="last.safetensors"):
        return Checkpoint.read(run_dir / name).tensors

    def test_a_resumed_run_ends_as_one_that_was_not_disturbed(self, rows_path, tmp_path):
        straight = trainer_of(rows_path, tmp_path / "a").train()
        assert straight.finished
        trainer = trainer_of(rows_path, tmp_path / "b")
        calls = []

        trainer.on_status = calls.append
        trainer.workers = _Stopping(lambda: len(calls) >= 4)  # three batches an epoch
        assert not trainer.train().finished
        assert trainer.progress.batch == 1
        assert trainer_of(rows_path, tmp_path / "b", resume=True).train().finished
        a, b = self.weights(tmp_path / "a"), self.weights(tmp_path / "b")
        assert a.keys() == b.keys()
        assert all(torch.equal(a[name], b[name]) for name in a)
        logs = [
            [json.loads(line) for line in (tmp_path / run / "log.jsonl").read_text().splitlines()]
            for run in "ab"
        ]
        ends = [[line["validation"] for line in log if line["event"] == "epoch"] for log in logs]
        assert ends[0] == ends[1]
        assert len(ends[0]) == 3

    def test_the_loss_falls(self, rows_path, tmp_path):
        run = {"run": {"epochs": 25, "batch_segments": 3}, "optimiser": {"learning_rate": 0.02}}
        trainer = trainer_of(rows_path, tmp_path / "run", **run)
        before = validate_sing(
            trainer.network, trainer.validation_store, trainer.config, device=CPU
        )
        after = trainer.train().progress.figures["own rows"]
        assert after["notes"] < 0.4 * before["notes"]
        assert after["loss"] == pytest.approx(after["notes"] + after["ssm"])
        assert after["segments"] == 2

    def test_shares_of_a_batch_add_up_to_its_gradient(self, rows_path, tmp_path):
        whole = trainer_of(rows_path, tmp_path / "whole")
        parts = [trainer_of(rows_path, tmp_path / f"part{k}") for k in range(2)]
        gradients = []
        for k, trainer in enumerate([whole, *parts]):
            trainer.workers = _Share(rank=max(k - 1, 0), size=1 if k == 0 else 2)
            trainer._train_batch([2, 3, 4], _NoMeter())
            gradients.append([p.grad for p in trainer.network.parameters()])
        for total, first, second in zip(*gradients, strict=True):
            assert torch.allclose(total, first + second, atol=1e-6)

    def test_which_epoch_is_kept(self, rows_path, tmp_path):
        trainer_of(rows_path, tmp_path / "a", run={"epochs": 2, "keep": "last"}).train()
        kept, last = (
            Checkpoint.read(tmp_path / "a" / f"{n}.safetensors") for n in ("best", "last")
        )
        assert kept.progress.epoch == 2
        name = "network.lstm.weight_hh_l0"
        assert torch.equal(kept.tensors[name], last.tensors[name])
        assert not any(n.startswith("optimiser") for n in kept.tensors)

    def test_what_cannot_be_trained_on_is_told(self, rows_path, tmp_path):
        with pytest.raises(InputError, match="segment train0#1 has 30 rows, at least 31"):
            trainer_of(rows_path, tmp_path / "a", training={"seed_rows": 30})
        trainer_of(rows_path, tmp_path / "b").train(max_minutes=0)
        with pytest.raises(InputError, match="started with other config"):
            trainer_of(rows_path, tmp_path / "b", resume=True, network={"attention": False})
        with pytest.raises(InputError, match="already holds a run"):
            trainer_of(rows_path, tmp_path / "b")


class _NoMeter:
    def add(self, *_):
        """Count nothing."""


class _Share:
    """One of several processes that never meet."""

    leads = True

    def __init__(self, rank, size):
        self.rank, self.size = rank, size

    def sum(self, *values):
        return values

    def sum_gradients(self, network):
        """Keep the share."""


class _Stopping(_Share):
    """A lonely process that is told to stop, as by a deadline."""

    def __init__(self, stops):
        super().__init__(0, 1)
        self.stops = stops

    def sum(self, *values):
        return (1.0,) if values == (False,) and self.stops() else values


class TestConfiguration:
    def test_the_paper_and_the_mended_one_differ_by_the_known_defects(self):
        paper, mended = (read_config(CHECKPOINTS / f"sing-{n}.toml") for n in ("paper", "mended"))
        assert isinstance(paper, SingConfig)
        a, b = paper.model_dump(), mended.model_dump()
        differing = {f"{t}.{k}" for t in a if t != "name" and a[t] != b[t] for k in a[t]
                     if a[t][k] != b[t][k]}  # fmt: skip
        assert differing == {
            *("training.teacher_row", "training.ssm_of", "training.ssm_over_batch"),
            *("validation.loss_of", "run.keep"),
        }
        assert (paper.run.epochs, paper.run.batch_segments, paper.training.seed_rows) == (
            30,
            128,
            10,
        )
        assert paper.training_sampling == paper.validation_sampling == RowSampling()

    def test_phases_may_draw_in_their_own_ways(self):
        config = SingConfig.model_validate(
            {"training": {"sampling": {"top_k": 5}}, "sampling": {"draws": 2}}
        )
        assert config.training_sampling == RowSampling(top_k=5)
        assert config.validation_sampling == RowSampling(draws=2)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ('architecture = "sang"', "architecture = 'sang', allowed: 'pointer' or 'sing'"),
            ('architecture = "sing"\n[network]\nlstm = 3', "unknown key network.lstm"),
            ('architecture = "sing"\n[sampling]\nlowest = 99', "lowest = 99 is above highest"),
            ('architecture = "sing"\n[training]\nteacher_row = "x"', "training.teacher_row = 'x'"),
        ],
    )
    def test_what_is_wrong_is_told(self, tmp_path, text, message):
        path = tmp_path / "c.toml"
        path.write_text(text)
        with pytest.raises(InputError, match=message):
            read_config(path)

    def test_the_pointer_network_may_be_named(self, tmp_path):
        path = tmp_path / "c.toml"
        path.write_text('architecture = "pointer"\n')
        assert "architecture" not in read_config(path).model_dump()  # as in runs of before


@pytest.fixture(scope="module")
def model(rows_path, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    (folder / "tiny.toml").write_text(TINY)
    train([rows_path], folder / "tiny.toml", folder / "run", device="cpu", processes=1)
    assert main(["export-onnx", str(folder / "run"), "--out", str(folder / "my.onnx")]) == 0
    return folder / "my.onnx"


class TestCommands:
    def test_train(self, rows_path, config_path, tmp_path, capsys):
        arguments = ["--data", rows_path, "--config", config_path, "--out", tmp_path / "run"]
        assert main(["train", *map(str, arguments), "--processes", "1", "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["finished"]
        assert found["best_loss"] > 0
        assert found["validation"]["own rows"]["segments"] == 2

    def test_data_of_the_wrong_kind_is_told(self, tmp_path, config_path, capsys):
        arguments = ["--data", tmp_path, "--config", config_path, "--out", tmp_path / "run"]
        assert main(["train", *map(str, arguments), "--processes", "1"]) == 2
        assert "not a row dataset" in capsys.readouterr().err

    def test_the_card(self, model):
        card = SingRuntime.open(model).card
        assert (card.name, card.architecture, card.attention) == ("tiny", "sing", True)
        assert card.licence == "Made by the tests."
        assert card.training["data"]["training_segments"] == 7
        assert card.sampling == RowSampling()

    def test_int8_is_refused(self, model, capsys):
        run, out = str(model.parent / "run"), str(model.parent / "small.onnx")
        assert main(["export-onnx", run, "--out", out, "--weights", "int8"]) == 2
        assert "stays in float32" in capsys.readouterr().err
        assert not Path(out).exists()

    def test_a_song_of_a_form(self, model, tmp_path, capsys):
        out = tmp_path / "song.mid"
        command = ["generate", "--form", "A4 B4 A4", "--model", str(model), "--out", str(out)]
        assert main([*command, "--seed", "5", "--tempo", "96", "--json"]) == 0
        printed = json.loads(capsys.readouterr().out)
        assert printed["structure"]["n_bars"] == 12
        music = read_midi(out)
        assert music.tempo.median_bpm(0, 1) == pytest.approx(96, abs=0.1)
        assert len(music.notes) > 30
        assert ((music.notes.onset_tick % music.ticks_per_quarter) == 0).all()
        recipe = json.loads(out.with_suffix(".json").read_text())
        assert recipe["model"]["name"] == "my.onnx"
        again = tmp_path / "again.mid"
        command = ["generate", "--recipe", str(out.with_suffix(".json")), "--model", str(model)]
        assert main([*command, "--out", str(again)]) == 0
        assert again.read_bytes() == out.read_bytes()

    @pytest.mark.parametrize(
        "option",
        [("--key", "D minor"), ("--strictness", "0.5"), ("--section-strictness", "A=0.5")],
    )
    def test_options_that_it_does_not_heed_are_refused(self, model, tmp_path, option, capsys):
        out = tmp_path / "song.mid"
        command = ["generate", "--form", "A4 B4", "--model", str(model), "--out", str(out)]
        assert main([*command, *option]) == 2
        assert f"{option[0]}: the model tiny does not heed it" in capsys.readouterr().err
        assert not out.exists()
