from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from kernel_rows import WITHIN, Choice

torch = pytest.importorskip("torch")

from singcli.cli import main  # noqa: E402
from singcli.dataset import Dataset  # noqa: E402
from singcli.errors import InputError  # noqa: E402
from singcli.model.contract import (  # noqa: E402
    ENDING_BARS,
    N_NOTE_TOKENS,
    NO_DURATION,
    NO_VELOCITY,
    PLACE_SIZES,
    START,
    STOP,
    NetworkSizes,
)
from singcli.model.runtime import Runtime  # noqa: E402
from singcli.music.midi_writing import midi_from_score  # noqa: E402
from singcli.music.score import N_PITCHES, Score, regular_bars  # noqa: E402
from singcli.prepare import Validation, prepare  # noqa: E402
from singcli.structure.texture import DEFAULT_TEXTURE  # noqa: E402
from singcli.training.batches import Batch  # noqa: E402
from singcli.training.checkpoint import Checkpoint, Progress, write_checkpoint  # noqa: E402
from singcli.training.config import DataConfig, TrainConfig, read_config  # noqa: E402
from singcli.training.device import device_from_name  # noqa: E402
from singcli.training.examples import (  # noqa: E402
    Draw,
    ExampleSettings,
    TrainingSong,
    epoch_draws,
    example_from_draw,
)
from singcli.training.export import export_onnx, parity_error  # noqa: E402
from singcli.training.loop import Trainer  # noqa: E402
from singcli.training.loss import chunk_loss, notes_so_far  # noqa: E402
from singcli.training.networks import (  # noqa: E402
    Dropout,
    NoteNetwork,
    PointerNetwork,
    copy_log_probs,
)
from singcli.training.train import train  # noqa: E402

DATA = Path(__file__).parent / "data"
TINY_TABLE = "[network]\nlstm = 16\nroll = 8\ndraft = 8\nbar = 8\nhidden = 16\nduration = 8\n"
CPU = torch.device("cpu")


def melody_score(seed: int, n_bars: int = 8) -> Score:
    """A scale fragment per bar over a held bass; the second half repeats the first."""
    rng = np.random.default_rng(seed)
    half = n_bars // 2
    phrase = rng.choice([60, 62, 64, 65, 67, 69, 71, 72], (half, 4))
    notes = []
    for bar in range(n_bars):
        notes += [(16 * bar + 4 * i, 0, p, 4, 90) for i, p in enumerate(phrase[bar % half])]
        notes += [(16 * bar, 1, 43 + bar % half, 16, 60)]
    return Score.from_notes(
        *zip(*notes, strict=True), bar_beats=regular_bars(n_bars, 4), tempo_bpm=100
    )


@pytest.fixture(scope="module")
def dataset_path(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    for seed in range(8):
        score = melody_score(seed, 8 + 2 * (seed % 3))
        (folder / f"song{seed}.mid").write_bytes(midi_from_score(score))
    out = folder / "data"
    prepare([folder], out, validation=Validation(ids="[67]$"), jobs=1)
    return out


@pytest.fixture(scope="module")
def songs(dataset_path):
    return [TrainingSong.from_song(song) for song in Dataset.open(dataset_path).songs("train")]


@pytest.fixture
def config_path(tmp_path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(
        TINY_TABLE + "dropout = 0.1\n[run]\nepochs = 3\nbatch_songs = 3\nchunk_steps = 32\n"
    )
    return path


SIZES = NetworkSizes(16, 8, 8, 8, 8, 16, 8, 8)


def example(song, draw, styles=()):
    settings = ExampleSettings(styles, (DEFAULT_TEXTURE,) * max(1, len(styles)), 0.08, 0.15)
    return example_from_draw(song, draw, settings)


def test_decisions_spell_the_song(songs):
    song = songs[0]
    made = example(song, Draw(0, "music"))
    where = made.decisions
    notes = where.token != STOP
    assert where.token[notes].tolist() == song.tokens.token.tolist()
    assert where.step[notes].tolist() == song.tokens.step.tolist()
    assert np.count_nonzero(~notes) == made.n_steps
    assert (where.last[where.position == 0] == START).all()


def test_the_draft_is_what_the_source_played_and_never_the_present(songs):
    song = songs[0]
    made = example(song, Draw(0, "music"))
    draft = made.draft[:, :N_NOTE_TOKENS]
    repeated = slice(made.n_steps // 2 + 8, made.n_steps - 8)
    before = song.tokens.onsets[8 : made.n_steps // 2 - 8]
    np.testing.assert_array_equal(draft[repeated], before)
    assert not draft[:4].any()


def test_without_an_ssm_nothing_of_the_song_is_shown(songs):
    made = example(songs[0], Draw(0, "none"))
    assert not made.draft.any()
    assert made.context.max() == made.grade.max() == 0
    assert (made.decisions.copied == STOP).all()


def test_a_cropped_song_is_the_song_from_that_bar_on(songs):
    song = songs[0]
    made = example(song, Draw(0, "music", first_bar=2))
    assert made.n_steps == song.score.n_steps - 32
    np.testing.assert_array_equal(made.previous[1:], song.tokens.onsets[32:-1])


def test_a_song_cut_short_does_not_end(songs):
    song = songs[0]
    whole, cut = (example(song, Draw(0, "music", end_bar=end)) for end in (None, 4))
    assert cut.n_steps == 64
    np.testing.assert_array_equal(cut.previous, whole.previous[:64])
    assert (cut.place[:, -1] == 1).all()
    assert whole.place[-1, -ENDING_BARS] == 1


def test_durations_know_their_chord_and_velocities_their_voice(songs):
    where = example(songs[0], Draw(0, "music")).decisions
    latest: dict[int, int] = {}
    for k in np.flatnonzero(where.token != STOP):
        first = where.position[k] == 0
        assert where.chord_duration[k] == (NO_DURATION if first else where.duration[k - 1])
        voice = int(where.token[k]) // N_PITCHES
        assert where.voice_velocity[k] == latest.get(voice, NO_VELOCITY)
        latest[voice] = int(where.velocity[k])


def test_a_style_is_told_by_its_place(songs):
    styled = dataclasses.replace(songs[0], style="salon")
    made = example(styled, Draw(0, "none"), styles=("pop", "salon"))
    start = sum(PLACE_SIZES[:-2])
    assert made.place[0, start : start + 3].tolist() == [0, 1, 0]


def test_a_share_of_the_songs_of_a_style_is_shown(songs):
    styled = [dataclasses.replace(song, style="salon") for song in songs] * 40
    config = DataConfig(share_of_style={"salon": 0.25})
    draws = epoch_draws(styled, config, batch_songs=8, seed=0, epoch=0)
    assert 0.15 < sum(len(batch) for batch in draws) / len(styled) < 0.35


def test_the_average_follows_the_weights(dataset_path, tmp_path):
    config = TrainConfig.model_validate({"network": {"lstm": 16}, "optimiser": {"average": 0.5}})
    trainer = Trainer([Dataset.open(dataset_path)], config, tmp_path / "run", device=CPU)
    with torch.no_grad():
        for weight in trainer.network.parameters():
            weight += 1.0
    trainer.progress.updates = 1000
    trainer._update_average()
    pairs = zip(trainer.average.parameters(), trainer.network.parameters(), strict=True)
    assert all(torch.allclose(mean, latest - 0.5, atol=1e-5) for mean, latest in pairs)


@pytest.mark.parametrize(("share", "wanted"), [(0.0, 1.0), (0.5, 1.0), (0.75, 0.505), (1.0, 0.01)])
def test_the_rate_is_level_and_falls_at_the_end(dataset_path, tmp_path, share, wanted):
    table = {"network": {"lstm": 16}, "optimiser": {"learning_rate": 1.0, "cooldown": 0.5}}
    config = TrainConfig.model_validate(table)
    trainer = Trainer([Dataset.open(dataset_path)], config, tmp_path / "run", device=CPU)
    trainer.progress.updates = 1000
    assert trainer._learning_rate(share) == pytest.approx(wanted)


def test_an_epoch_is_drawn_by_its_number_alone(songs):
    def draws(epoch):
        return epoch_draws(songs, DataConfig(), batch_songs=2, seed=1, epoch=epoch)

    assert draws(0) == draws(0)
    assert draws(0) != draws(1)
    assert sorted(d.song for batch in draws(0) for d in batch) == list(range(len(songs)))


def test_chunks_with_carried_state_give_the_likelihood_of_the_whole(songs):
    torch.manual_seed(0)
    network = PointerNetwork(SIZES).eval()
    made = [example(song, Draw(i, "music")) for i, song in enumerate(songs[:3])]
    batch = Batch.from_examples(made)

    def total(n_steps):
        state, nats = None, 0.0
        for chunk in batch.chunks(n_steps, CPU):
            loss, state = chunk_loss(network, chunk, state)
            nats += float((loss.pitch + loss.duration).detach())
        return nats

    assert total(24) == pytest.approx(total(10_000), rel=1e-5)


def test_padding_and_neighbours_do_not_change_a_songs_likelihood(songs):
    network = PointerNetwork(SIZES).eval()

    def nats(made):
        batch = Batch.from_examples(made)
        loss, _ = chunk_loss(network, next(iter(batch.chunks(10_000, CPU))), None)
        return float((loss.pitch + loss.duration).detach())

    made = [example(song, Draw(i, "music")) for i, song in enumerate(songs[:3])]
    assert nats(made) == pytest.approx(sum(nats([e]) for e in made), rel=1e-5)


def test_notes_so_far_sums_the_earlier_notes_of_the_step(songs):
    network = PointerNetwork(SIZES).eval()
    made = [example(songs[0], Draw(0, "music"))]
    chunk = next(iter(Batch.from_examples(made).chunks(40, CPU)))
    where = chunk.decisions
    found = notes_so_far(network, where)
    for k in range(len(where.token)):
        first = k - int(where.position[k])
        wanted = network.note.chosen(where.token[first:k]).sum(0)
        torch.testing.assert_close(found[k], wanted, atol=1e-4, rtol=0)


def test_training_and_sampling_mix_copies_alike():
    torch.manual_seed(0)
    logits, gate = torch.randn(5, 177), torch.randn(5)
    copied = torch.tensor([3, 176, 10, 50, 7])
    wanted = [copy_log_probs(logits, gate, copied, torch.full((5,), token)) for token in range(177)]
    for row, probs in enumerate(torch.stack(wanted, dim=1).exp().numpy()):
        draft = np.arange(N_NOTE_TOKENS) == int(copied[row])
        shares = Choice(logits[row].numpy(), gate=float(gate[row]), draft=draft).shares()
        np.testing.assert_allclose(shares, probs, atol=WITHIN)


def test_tokens_that_cannot_follow_are_never_scored():
    torch.manual_seed(0)
    note = NoteNetwork(SIZES).eval()
    last = torch.tensor([START, 0, 90, 175])
    with torch.no_grad():
        logits, _ = note.pitch_logits(
            torch.randn(4, SIZES.hidden),
            torch.randn(4, 176),
            torch.randn(4, SIZES.hidden),
            last,
            torch.zeros(4, 176),
            torch.tensor([88, 40, 40, 40]),
            torch.tensor([88, 20, 20, 20]),
        )
    probs = logits.softmax(-1)
    assert (probs[0] > 0).all()
    for row, token in ((1, 0), (2, 90), (3, 175)):
        assert float(probs[row, : token + 1].sum()) == 0
        assert float(probs[row, STOP]) > 0


def test_dropout_drops_its_share_and_keeps_the_mean():
    torch.manual_seed(0)
    drop = Dropout(0.25)
    out = drop(torch.ones(200_003))
    assert float((out == 0).float().mean()) == pytest.approx(0.25, abs=0.01)
    assert float(out.mean()) == pytest.approx(1, abs=0.01)
    values = torch.ones(5)
    assert drop.eval()(values) is values


@pytest.mark.parametrize("batch", [1, 4])
def test_torch_and_the_committed_graph_agree(batch, monkeypatch):
    import regenerate

    from singcli.training import export

    monkeypatch.setattr(export, "PARITY_SONGS", batch)
    assert parity_error(regenerate.tiny_network(), Runtime.open(DATA / "tiny.onnx")) < 1e-5


def tensors(path):
    return Checkpoint.read(path).tensors


@pytest.mark.parametrize("processes", [1, 2])
def test_an_interrupted_run_ends_like_an_undisturbed_one(
    dataset_path, config_path, tmp_path, processes
):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train([dataset_path], config_path, whole, device="cpu", processes=processes)
    first = train(
        [dataset_path], config_path, parts, device="cpu", processes=processes, max_minutes=1e-6
    )
    assert not first.finished
    result = train(
        [dataset_path], config_path, parts, device="cpu", processes=processes, resume=True
    )
    assert result.finished
    wanted, found = tensors(whole / "last.safetensors"), tensors(parts / "last.safetensors")
    assert wanted.keys() == found.keys()
    for name, value in wanted.items():
        assert torch.equal(value, found[name]), name


def test_training_learns_two_songs_by_heart(dataset_path, tmp_path):
    config = tmp_path / "c.toml"
    config.write_text(
        TINY_TABLE + "dropout = 0.0\n[optimiser]\nlearning_rate = 0.02\nwarmup_updates = 5\n"
        "[run]\nepochs = 12\nbatch_songs = 6\nchunk_steps = 32\n"
    )
    result = train([dataset_path], config, tmp_path / "run", device="cpu", processes=1)
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    first, *_, last = [line for line in lines if line["event"] == "epoch"]
    figures = [line["validation"]["music"]["nats_per_step"] for line in (first, last)]
    assert figures[1] < 0.7 * figures[0]
    assert result.progress.best <= figures[1] + 1e-9
    assert set(last["validation"]) == {"music", "none"}  # these songs have no labels


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_saves_and_the_run_goes_on(dataset_path, config_path, tmp_path):
    config_path.write_text(config_path.read_text().replace("epochs = 3", "epochs = 100000"))
    command = [
        sys.executable, "-m", "singcli", "train", "--data", str(dataset_path),
        "--config", str(config_path), "--out", str(tmp_path / "run"), "--processes", "1",
    ]  # fmt: skip
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    log = tmp_path / "run" / "log.jsonl"
    for _ in range(600):
        if log.exists() and log.read_text().count('"epoch"') > 3:
            break
        time.sleep(0.1)
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "interrupted" in err
    before = Checkpoint.read(tmp_path / "run" / "last.safetensors").progress
    result = train(
        [dataset_path],
        config_path,
        tmp_path / "run",
        device="cpu",
        processes=1,
        resume=True,
        max_minutes=0.01,
    )
    assert result.progress.updates >= before.updates > 0


def test_a_run_is_not_mixed_up_with_another(dataset_path, config_path, tmp_path):
    run = tmp_path / "run"
    train([dataset_path], config_path, run, device="cpu", processes=1, max_minutes=1e-6)
    with pytest.raises(InputError, match="already holds a run"):
        train([dataset_path], config_path, run, device="cpu", processes=1)
    with pytest.raises(InputError, match="started with other config"):
        train([dataset_path], config_path, run, device="cpu", processes=1, resume=True, seed=9)
    with pytest.raises(InputError, match="--processes 2: the run was started with 1"):
        train([dataset_path], config_path, run, device="cpu", processes=2, resume=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[run]\nepoch = 3\n", r"c\.toml: unknown key run\.epoch, allowed: epochs, "),
        ("[run]\nepochs = 0\n", r"c\.toml: run\.epochs = 0, allowed: "),
        ("[optimiser]\nlearning_rate = 'fast'\n", r"optimiser\.learning_rate = 'fast', allowed: "),
        ("[optimiser]\nlearning_rate = nan\n", r"optimiser\.learning_rate = nan, allowed: "),
        ("[network]\nlstm = 4\n", r"network\.lstm = 4, allowed: "),
        ("[run\n", r"c\.toml, line 1"),
    ],
)
def test_a_wrong_configuration_is_told_with_file_key_and_value(tmp_path, text, message):
    path = tmp_path / "c.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_config(path)


def test_shipped_configurations_are_valid():
    paths = list((Path(__file__).parents[1] / "checkpoints").glob("*.toml"))
    assert paths
    for path in paths:
        assert read_config(path).name == path.stem


def test_devices_are_named():
    assert device_from_name("cpu").type == "cpu"
    with pytest.raises(InputError, match="--device tpu: not on this machine"):
        device_from_name("tpu")


def assert_one_valid_file(path):
    """Check a graph in full: its weights are inside, and no traces of where it was made."""
    import onnx

    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert not any(t.data_location for t in model.graph.initializer)
    content = path.read_bytes()
    assert b".py" not in content
    assert str(Path(__file__).parents[1]).encode() not in content


def test_an_exported_run_generates(dataset_path, config_path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    train([dataset_path], config_path, tmp_path / "run", device="cpu", processes=1)
    assert (tmp_path / "run" / "best.safetensors").exists()
    assert main(["export-onnx", "run", "--out", "my.onnx", "--licence", "mine"]) == 0
    out, err = capsys.readouterr()
    assert out == "my.onnx\n"
    assert "largest difference from torch" in err
    card = Runtime.open(tmp_path / "my.onnx").card
    assert (card.name, card.licence) == ("pointer", "mine")
    assert card.training["validation"]["music"]["nats_per_step"] > 0
    assert_one_valid_file(tmp_path / "my.onnx")
    assert main(["generate", "--form", "A2 A2", "--model", "./my.onnx", "--out", "x.mid"]) == 0
    assert main(["export-onnx", "run", "--out", "my.onnx"]) == 2
    assert "already exists" in capsys.readouterr().err


def test_a_damaged_checkpoint_is_refused(tmp_path):
    path = tmp_path / "best.safetensors"
    path.write_bytes(b"\x10" + bytes(40))
    with pytest.raises(InputError, match="damaged"):
        export_onnx(tmp_path, tmp_path / "x.onnx")
    network = PointerNetwork(SIZES)
    write_checkpoint(path, network, Progress(), {"config": {}})
    assert Checkpoint.read(path).progress == Progress()


def test_a_graph_that_disagrees_with_torch_is_not_written(dataset_path, tmp_path, monkeypatch):
    import onnx

    from singcli.errors import SingError
    from singcli.training import export

    config = TrainConfig.model_validate({"network": dataclasses.asdict(SIZES)})
    trainer = Trainer([Dataset.open(dataset_path)], config, tmp_path / "run", device=CPU)
    trainer.train(max_minutes=0)
    graph_of_others = onnx.load(DATA / "tiny.onnx")
    monkeypatch.setattr(export, "model_from_network", lambda *_: graph_of_others)
    with pytest.raises(SingError, match=r"x\.onnx: graph and torch differ by \d"):
        export_onnx(tmp_path / "run" / "last.safetensors", tmp_path / "x.onnx")
    assert list(tmp_path.glob("x.*")) == []
