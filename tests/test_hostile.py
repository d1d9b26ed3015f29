"""Hostile files of every kind: refused in one line, before anything of them runs."""

from __future__ import annotations

import contextlib
import importlib
import os
import pickle
import re
import struct
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from singcli import dataset
from singcli.cli import main
from singcli.errors import InputError, SingError
from singcli.files import read_up_to
from singcli.model import runtime as runtime_module
from singcli.model.contract import ModelCard
from singcli.model.graph_check import validate_graph
from singcli.model.runtime import Runtime
from singcli.music.midi_chunks import end_of_tracks_tick
from singcli.music.midi_reading import midi_from_bytes
from singcli.music.voice_files import read_voice_rules
from singcli.novelty.index_file import read_index
from singcli.preparation.scores import prepared_score
from singcli.preset_library import read_preset
from singcli.recipe import read_recipe
from singcli.structure.ssm_file import read_ssm

ROOT = Path(__file__).resolve().parents[1]
TINY = (ROOT / "tests" / "data" / "tiny.onnx").read_bytes()
DAMAGED = sorted((ROOT / "tests" / "data" / "damaged").glob("*"))
RULES = read_voice_rules("auto")


@pytest.fixture
def mutator(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("_mutator")


# MIDI ----------------------------------------------------------------------------------------


def chunk(events: bytes, *, lie: int = 0, kind: bytes = b"MTrk") -> bytes:
    return kind + struct.pack(">L", len(events) + lie) + events


def midi(*chunks: bytes, kind: int = 1, announced: int | None = None, division: int = 480) -> bytes:
    n = len(chunks) if announced is None else announced
    return b"MThd" + struct.pack(">LHHH", 6, kind, n, division) + b"".join(chunks)


def notes(n: int, *, pitch: int = 60, channel: int = 0) -> bytes:
    """Return quarters, one after the other."""
    on, off = bytes([0x90 | channel, pitch, 80]), bytes([0x80 | channel, pitch, 0])
    return (b"\x00" + on + b"\x83\x60" + off) * n


END = b"\x00\xff\x2f\x00"
TUNE = chunk(notes(16) + END)
BASS = chunk(notes(16, pitch=40) + END)

# What symusic, mido and pretty_midi do with a file differs; what singcli does is this.
READ = {
    "plain": (midi(TUNE, BASS), 32),
    "format 0 with its one track": (midi(TUNE, kind=0), 16),
    "bytes behind the last track": (midi(TUNE, BASS) + b"anything at all", 32),
    "a chunk that is no track": (midi(TUNE, chunk(b"abc", kind=b"XFIH"), BASS, announced=2), 32),
    "an empty track": (midi(TUNE, chunk(b"")), 16),
    "no end-of-track event": (midi(chunk(notes(16))), 16),
    "notes behind an end of track": (midi(chunk(notes(16) + END + notes(16))), 16),
    "running status after a meta event": (
        midi(chunk(b"\x00\x90\x3c\x50\x00\xff\x01\x00\x60\x3c\x00" + notes(16) + END)),
        17,
    ),
    "an impossible key signature": (midi(chunk(b"\x00\xff\x59\x02\x63\x00" + notes(16))), 16),
    "a tempo of two bytes": (midi(chunk(b"\x00\xff\x51\x02\x00\x01" + notes(16))), 16),
    "a name that is not Unicode": (midi(chunk(b"\x00\xff\x03\x03\xe9\xff\xfe" + notes(16))), 16),
    "a note never released": (midi(chunk(b"\x00\x90\x3e\x50" + notes(16) + END)), 16),
    "128 tracks": (midi(*[TUNE] * 128), 128 * 16),
}
REFUSED = {
    "nothing": (b"", "MIDI header"),
    "a RIFF file with MIDI in it": (b"RIFF____RMIDdata____" + midi(TUNE), "MIDI header"),
    "cut off between tracks": (midi(TUNE, BASS)[: 14 + len(TUNE)], "1 tracks of 2"),
    "cut off in a track": (midi(TUNE, BASS)[:-8], "with .* left"),
    "cut off in an event": (midi(chunk(notes(16)[:-2])), "EOF"),
    "more tracks announced": (midi(TUNE, announced=7), "1 tracks of 7"),
    "fewer tracks announced": (midi(TUNE, BASS, announced=1), "2 tracks, announced are 1"),
    "no tracks announced": (midi(TUNE, announced=0), "1 tracks, announced are 0"),
    "a track shorter than it is": (midi(chunk(notes(16) + END, lie=-4), BASS), "left"),
    "a track longer than the file": (midi(chunk(notes(16) + END, lie=4)), "left"),
    "a track of four gigabytes": (midi(b"MTrk\xff\xff\xff\xff" + notes(16)), "left"),
    "a text longer than its track": (midi(chunk(b"\x00\xff\x01\xff\x7f" + notes(16))), "EOF"),
    "a header of another length": (midi(TUNE).replace(b"\0\0\0\x06", b"\0\0\0\x08", 1), "8 bytes"),
    "format 2": (midi(TUNE, BASS, kind=2), "format 2"),
    "format 3": (midi(TUNE, kind=3), "format 3"),
    "no ticks in a quarter": (midi(TUNE, division=0), "0 ticks"),
    "SMPTE frames": (midi(TUNE, division=0xE728), "SMPTE"),
    "a tempo of zero": (midi(chunk(b"\x00\xff\x51\x03\0\0\0" + notes(16))), "tempo of zero"),
    "a meter of 0/4": (midi(chunk(b"\x00\xff\x58\x04\0\x02\x18\x08" + notes(16))), "0/4"),
    "a meter of 4/2^200": (midi(chunk(b"\x00\xff\x58\x04\x04\xc8\x18\x08" + notes(16))), "meter"),
    "a pitch of 200": (midi(chunk(b"\x00\x90\xc8\x50\x60\x80\xc8\x00")), "pitch"),
    "data without a status": (midi(chunk(b"\x00\x3c\x50" + notes(16))), "running status"),
    "a time of five bytes": (midi(chunk(b"\xff\xff\xff\xff\x7f" + notes(16)[1:])), "MIDI"),
    "notes never released": (midi(chunk(b"\x60\x90\x3c\x50\x60\x90\x3e\x50" * 20)), "no notes"),
    "drums only, on 128 tracks": (midi(*[chunk(notes(16, channel=9))] * 128), "drums only"),
    "100,001 notes on one tick": (
        midi(chunk(b"\x00\x90\x3c\x50" + b"\x00\x3c\x50" * 100_000 + b"\x60\x3c\x00" * 100_001)),
        "100001 notes",
    ),
    "hours of silence": (
        midi(chunk(notes(1) + b"\xc0\x80\x80\x00\x90\x3c\x50\x60\x3c\x00")),
        "minutes, allowed",
    ),
    "2,000 tracks": (midi(*[chunk(notes(1))] * 2000), "2000 tracks, allowed are 1000"),
    "30,000 changes of meter": (
        midi(chunk(b"\x01\xff\x58\x04\x04\x02\x18\x08" * 30_000), TUNE),
        "30000 changes of meter",
    ),
}


@pytest.mark.parametrize("kind", READ)
def test_a_file_is_read_whole(kind: str) -> None:
    content, n_notes = READ[kind]
    music = midi_from_bytes(content, source="x.mid")
    assert len(music.notes) == n_notes
    assert end_of_tracks_tick(content, source="x.mid") >= music.end_tick


@pytest.mark.parametrize("kind", REFUSED)
def test_or_not_at_all(kind: str) -> None:
    content, message = REFUSED[kind]
    with pytest.raises(InputError, match=message) as caught:
        prepared_score(content, {}, source="x.mid", rules=RULES)
    assert str(caught.value).startswith("x.mid: ")
    assert "\n" not in str(caught.value)


def read_or_refused(content: bytes) -> None:
    """Read a file as music; nothing but an InputError may come of it."""
    with contextlib.suppress(InputError):
        prepared_score(content, {}, source="x", rules=RULES, pickups=True)
        end_of_tracks_tick(content, source="x")


@pytest.mark.parametrize("path", DAMAGED, ids=lambda path: path.name)
def test_what_fuzzing_found_is_refused_now(path: Path) -> None:
    readers = {
        ".mid": lambda path: read_or_refused(path.read_bytes()),
        ".toml": lambda path: read_preset(str(path)),
        ".json": read_recipe,
        ".onnx": Runtime.open,
    }
    if path.suffix == ".mid":
        readers[path.suffix](path)
        return
    with pytest.raises(InputError) as caught:
        readers[path.suffix](path)
    assert "\n" not in str(caught.value)


def test_damaged_songs_are_read_or_refused(mutator: ModuleType) -> None:
    originals = [mutator.small_song(i) for i in range(4)]
    for seed in range(300):
        rng = np.random.default_rng(seed)
        read_or_refused(mutator.damaged(originals[seed % 4], rng))


number = st.integers(0, 2**28 - 1).map(
    lambda n: bytes([n >> 21 | 0x80, n >> 14 & 0x7F | 0x80, n >> 7 & 0x7F | 0x80, n & 0x7F])
)
delta = st.one_of(st.sampled_from([b"\x00", b"\x60", b"\x83\x60"]), number)
event = st.one_of(
    st.builds(lambda c, p, v: bytes([0x90 | c, p, v]), st.integers(0, 15), st.integers(0, 127),
              st.integers(0, 127)),
    st.builds(lambda p: bytes([0x80, p, 0]), st.integers(0, 127)),
    st.builds(lambda kind, data: bytes([0xFF, kind, len(data)]) + data,
              st.sampled_from([1, 3, 0x2F, 0x51, 0x58, 0x59, 0x7F]), st.binary(max_size=6)),
    st.binary(min_size=1, max_size=3),
)  # fmt: skip
track = st.lists(st.tuples(delta, event), max_size=30).map(
    lambda events: b"".join(d + e for d, e in events)
)


@settings(max_examples=4 * settings.default.max_examples, derandomize=True)
@given(
    tracks=st.lists(track, max_size=4),
    kind=st.integers(0, 3),
    extra=st.integers(-1, 1),
    division=st.sampled_from([1, 96, 480, 32767, 0, 0xE728]),
)
def test_any_events_are_read_or_refused(
    tracks: list[bytes], kind: int, extra: int, division: int
) -> None:
    announced = max(len(tracks) + extra, 0)
    read_or_refused(midi(*map(chunk, tracks), kind=kind, announced=announced, division=division))


# Models --------------------------------------------------------------------------------------


def field(number: int, content: bytes | int) -> bytes:
    """Return a field of a protocol buffer; appended to a message, it belongs to it."""

    def varint(value: int) -> bytes:
        digits = [value & 0x7F]
        while value := value >> 7:
            digits[-1] |= 0x80
            digits.append(value & 0x7F)
        return bytes(digits)

    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


def node(operator: bytes, domain: bytes = b"", attribute: bytes = b"") -> bytes:
    parts = field(1, b"lead") + field(2, b"made") + field(4, operator) + field(7, domain)
    return field(1, parts + (field(5, attribute) if attribute else b""))


ELSEWHERE = field(1, 1) + field(2, 1) + field(8, b"w") + field(
    13, field(1, b"location") + field(2, b"../../../../etc/passwd")
)  # fmt: skip
HOSTILE_GRAPHS = {
    "tensors that lie in other files": field(7, field(5, ELSEWHERE + field(14, 1))),
    "tensors that lie in other files, in a constant": field(
        7, node(b"Constant", attribute=field(1, b"value") + field(5, ELSEWHERE))
    ),
    "an operator of com.evil": field(7, node(b"Add", b"com.evil")),
    "operators of com.evil": field(8, field(1, b"com.evil") + field(2, 1)),
    "an operator of com.microsoft: 'Attention'": field(7, node(b"Attention", b"com.microsoft")),
    "the operator 'MatMulNBits'": field(7, node(b"MatMulNBits")),
    "the operator 'Loop'": field(7, node(b"Loop")),
    "the operator 'ConstantOfShape'": field(7, node(b"ConstantOfShape")),
    "the operator 'Loop', in a branch": field(
        7, node(b"If", attribute=field(1, b"then_branch") + field(6, node(b"Loop")))
    ),
    "functions of its own": field(25, field(1, b"f")),
    "training steps": field(20, b""),
    "sparse tensors": field(7, field(15, b"")),
}


@pytest.mark.parametrize("kind", HOSTILE_GRAPHS)
def test_a_hostile_model_never_reaches_the_runtime(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnxruntime

    def never(*_arguments: object, **_options: object) -> None:
        raise AssertionError("a session was opened")

    monkeypatch.setattr(onnxruntime, "InferenceSession", never)
    path = tmp_path / "model.onnx"
    path.write_bytes(TINY + HOSTILE_GRAPHS[kind])
    with pytest.raises(InputError, match=re.escape(kind.partition(",")[0])):
        Runtime.open(path)


def test_our_models_pass() -> None:
    for path in (ROOT / "checkpoints").glob("*.onnx"):
        validate_graph(path.read_bytes(), source=str(path))


@pytest.mark.parametrize("product", [b"MatMulIntegerToFloat", b"MatMulNBits"])
def test_products_of_onnxruntime_pass(product: bytes) -> None:
    validate_graph(TINY + field(7, node(product, b"com.microsoft")), source="x")


def test_graphs_inside_graphs_come_to_an_end() -> None:
    inner = node(b"Add")
    for _ in range(200):
        inner = node(b"If", attribute=field(6, inner))
    with pytest.raises(InputError, match="nested"):
        validate_graph(TINY + field(7, inner), source="x")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sizes": {"lstm": 10**12}}, "sizes"),
        ({"styles": ["a"] * 100}, "styles"),
        ({"textures": []}, "textures"),
        ({"context_temperature": float("nan")}, "context_temperature"),
        ({"context_temperature": "x"}, "context_temperature"),
        ({"name": 3}, "name"),
        ({"material": "pickles"}, "material"),
        ({"surprise": 1}, "surprise"),
        ({"version": 99}, "version 99"),
    ],
)
def test_a_wrong_card_is_refused(change: dict[str, object], message: str) -> None:
    import json

    fields = json.loads(Runtime.from_bytes(TINY, source="x").card.to_json())
    if "sizes" in change:
        change = {"sizes": fields["sizes"] | change["sizes"]}
    with pytest.raises(InputError, match=message):
        ModelCard.from_json(json.dumps(fields | change), source="x")
    with pytest.raises(InputError, match="cannot be read"):
        ModelCard.from_json("[" * 100_000, source="x")


def test_a_model_of_other_shapes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime_module, "N_DURATIONS", 7)
    with pytest.raises(InputError, match=r"output duration_logits .* the shape \[2, 24\]"):
        Runtime.from_bytes(TINY, source="x")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"attention": 1}, "attention"),
        ({"seed_rows": -1}, "seed_rows"),
        ({"seed_rows": 10**9}, "seed_rows"),
        ({"sampling": {"draws": 10**9}}, "sampling.draws"),
        ({"sampling": {"lowest": 90, "highest": 60}}, "sampling.lowest"),
        ({"sampling": {"top_k": "50"}}, "sampling.top_k"),
        ({"sampling": {"initial_state": "x"}}, "sampling.initial_state"),
        ({"textures": []}, "textures"),
        ({"licence": None}, "licence"),
    ],
)
def test_a_wrong_card_of_sing_is_refused(change: dict[str, object], message: str) -> None:
    import json

    pytest.importorskip("torch")
    from sing_network import sing_card

    from singcli.model.sing.contract import SingCard, architecture_of_card

    fields = json.loads(sing_card().to_json())
    if "sampling" in change:
        change = {"sampling": fields["sampling"] | change["sampling"]}
    with pytest.raises(InputError, match=message):
        SingCard.from_json(json.dumps(fields | change), source="x")
    with pytest.raises(InputError, match="cannot be read"):
        SingCard.from_json("[" * 100_000, source="x")
    assert architecture_of_card("[" * 100_000) == "pointer"


def test_broken_weights_of_sing_and_of_a_scorer_are_refused() -> None:
    torch = pytest.importorskip("torch")
    from sing_network import model_content, random_network

    from singcli.model.row_scorer import RowScorer
    from singcli.model.runtime import opened_file
    from singcli.model.sing.runtime import SingRuntime
    from singcli.training.scorer import ScorerNetwork, model_from_scorer

    network = random_network()
    with torch.no_grad():
        network.lstm.weight_hh_l0.fill_(float("nan"))
    file = opened_file(model_content(network), source="x")
    with pytest.raises(InputError, match="output logits is not a number"):
        SingRuntime.from_file(file, source="x")
    scorer = ScorerNetwork(4)
    with torch.no_grad():
        scorer.output.bias.fill_(float("nan"))
    card = '{"architecture": "row-scorer", "version": 1}'
    content = model_from_scorer(scorer, card).SerializeToString()
    with pytest.raises(InputError, match="output logits is not a number"):
        RowScorer.from_bytes(content, source="x")
    deep = model_from_scorer(scorer, "[" * 100_000).SerializeToString()
    with pytest.raises(InputError, match="architecture = None"):
        RowScorer.from_bytes(deep, source="x")


def test_a_graph_that_gives_no_floats_is_refused() -> None:
    from singcli.model.runtime import validate_trial

    for value in (np.array(["a"]), np.zeros(1, np.float64), np.zeros(2, np.float32), [np.inf]):
        with pytest.raises(InputError, match="x: output logits is"):
            validate_trial(lambda value=value: {"logits": value}, {"logits": (1,)}, source="x")
    validate_trial(lambda: {"logits": np.zeros(1, np.float32)}, {"logits": (1,)}, source="x")


def test_damaged_models_are_read_or_refused(mutator: ModuleType, capfd) -> None:
    for seed in range(60):
        with contextlib.suppress(InputError):
            Runtime.from_bytes(mutator.damaged(TINY, np.random.default_rng(seed)), source="x")
    assert capfd.readouterr().out == ""


# Pickles, arrays, texts ----------------------------------------------------------------------


class Trap:
    """Unpickled, it makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    sprung = tmp_path / "sprung"
    trap = np.array([Trap(sprung)], dtype=object)
    arrays = tmp_path / "x.npz"
    np.savez(
        arrays, allow_pickle=True, ssm=trap, bar_beats=trap, beat_s=trap, meta=trap, entry=trap
    )
    bare = tmp_path / "y.npz"
    bare.write_bytes(pickle.dumps(Trap(sprung)))
    readers = [read_ssm, read_index, dataset.read_song, dataset.read_entry, Runtime.open]
    try:
        from singcli.training.checkpoint import Checkpoint
    except ImportError:
        pass
    else:
        readers.append(Checkpoint.read)
    for path in (arrays, bare):
        for read in readers:
            with pytest.raises(SingError):
                read(path)
    assert not sprung.exists()


def test_no_module_can_unpickle() -> None:
    for path in (ROOT / "singcli").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"pickle\.load|import pickle|torch\.load|allow_pickle=True", text), (
            path
        )


def test_arrays_larger_than_the_machine_are_refused(tmp_path: Path) -> None:
    import zipfile

    path = tmp_path / "x.npz"
    head = b"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999, 9999999), }"
    member = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("ssm", "bar_beats", "beat_s", "meta", "entry"):
            archive.writestr(f"{name}.npy", member)
    for read in (read_ssm, read_index, dataset.read_entry):
        with pytest.raises(InputError):
            read(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = " + "[" * 50_000, "nested too deeply"),
        ("a" + ".a" * 200_000 + " = 1", "more than 32 parts"),
        ("[" + "a." * 200_000 + "a]", "more than 32 parts"),
        ("tempo = " + "9" * 5000, "too many digits"),
        ("tempo = 0x" + "f" * 300_000, "more than 64 bits"),
        ("[[sections]]\nlabel = 'A'\nbars = 99999999999999999999", "more than 64 bits"),
        ("tempo = nan\n[[sections]]\nlabel = 'A'\nbars = 8", "tempo = nan"),
        ("tempo = inf\n[[sections]]\nlabel = 'A'\nbars = 8", "tempo = inf"),
        ("name = '../../evil'\n[[sections]]\nlabel = 'A'\nbars = 8", "name = "),
        ("[[sections]]\nlabel = '../A'\nbars = 8", "label = "),
        ("#" * 1_000_001, "larger than the allowed"),
    ],
)
def test_a_hostile_preset_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "x.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_preset(str(path))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_a_hostile_recipe_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    for text in ("[" * 100_000, '{"recipe_version": 3, "seed": ' + "[" * 5000, "{", "1e999"):
        path.write_text(text)
        with pytest.raises(InputError, match=r"x\.json"):
            read_recipe(path)


def test_hostile_rows_are_refused(tmp_path: Path) -> None:
    from singcli import row_dataset
    from singcli.row_dataset import Piece, RowDataset

    piece = Piece("../../x", "x.mid", "0", "0", 120.0, 300, (291,))
    row_dataset.write_index(tmp_path, [piece], licences={}, settings={})
    with pytest.raises(InputError, match="is not a file name"):
        RowDataset.open(tmp_path)
    (tmp_path / row_dataset.INDEX_NAME).write_text("[" * 100_000)
    with pytest.raises(InputError, match=r"rows\.json: cannot be read"):
        RowDataset.open(tmp_path)
    path = row_dataset.segments_path(tmp_path, "train")
    with path.open("wb") as file:
        np.savez(file, ids=np.array([Trap(tmp_path / "made")]), lengths=[1], rows=[[0]])
    with pytest.raises(InputError, match="not readable rows"):
        row_dataset.read_segments(path)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '[{"midi_filename": ["x"], "split": "test"}]',
        'midi_filename,split\nx,"' + "y" * 200_000,
        "midi_filename,split\n\0,\0\n",
    ],
)
def test_a_hostile_table_of_splits_is_none(text: str) -> None:
    from singcli.preparation.splits import _split_table

    assert set(_split_table(text)) <= {"\0"}


def test_devices_and_folders_are_not_read(tmp_path: Path) -> None:
    for path in (Path("/dev/zero"), tmp_path, tmp_path / "none"):
        with pytest.raises(InputError, match="cannot be read"):
            read_up_to(path, 100)
    loop = tmp_path / "loop.mid"
    loop.symlink_to(loop)
    with pytest.raises(InputError, match="cannot be read"):
        read_up_to(loop, 100)


@settings(derandomize=True)
@given(pattern=st.text(st.sampled_from("{}./\\seedprt:0189!_~ \0\n*"), max_size=12))
def test_no_file_name_leaves_its_folder(pattern: str, tmp_path_factory) -> None:
    from singcli.targets import song_targets

    folder = tmp_path_factory.getbasetemp() / "songs"
    for name in (pattern, f"{pattern}.mid"):
        try:
            targets = song_targets(["../aaba"], [1], out=None, out_dir=folder, filename=name)
        except InputError:
            continue
        for target in targets:
            assert target.path.parent == folder
            assert target.path.name not in ("", ".", "..")


@pytest.mark.parametrize("filename", ["../{seed}.mid", "/tmp/{seed}.mid", "a/{seed}.mid", ".."])
def test_a_file_name_with_folders_is_refused(
    filename: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["generate", "--preset", "aaba", "--filename", filename]) == 2
    assert "--filename" in capsys.readouterr().err


def test_a_track_that_breaks_off_among_notes_is_told_from_one_that_does_not() -> None:
    notes = b"\x00\x90\x3c\x40" + b"\x81\x10\x3c\x00\x00\x3e\x40" * 1500  # statuses left out
    head = b"MThd\x00\x00\x00\x06\x00\x01\x00\x01\x01\xe0MTrk"

    def ticks(data: bytes) -> int:
        return end_of_tracks_tick(head + len(data).to_bytes(4, "big") + data, source="x")

    assert ticks(notes) == 1500 * 144
    assert ticks(notes + b"\x07\xc0\x05\x03\x80\x3e\x40\x05\xff\x2f\x00") == 1500 * 144 + 15
    for broken in (notes[:-1], notes[:-2], notes + b"\x00\xf1", notes + b"\x81" * 4 + b"\x00\x3e"):
        with pytest.raises(InputError, match="breaks off"):
            ticks(broken)
