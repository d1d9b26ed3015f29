"""The pages under docs/ say what the code does: their tables, their commands, the driver."""

from __future__ import annotations

import ast
import dataclasses
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from singcli import row_dataset
from singcli.cli import novelty
from singcli.dataset import Entry
from singcli.metrics.report import SectionReport, StructureReport
from singcli.model import contract, features
from singcli.model.contract import NetworkSizes, note_inputs, step_inputs
from singcli.model.opening import open_model
from singcli.model.runtime import Runtime
from singcli.music import voice_tables
from singcli.music.score import N_VOICES, STEPS_PER_BEAT, regular_bars
from singcli.novelty.building import index_of_scores
from singcli.novelty.index import FIGURES, Corpus
from singcli.novelty.index_file import write_index
from singcli.novelty.report import measure_novelty
from singcli.novelty.yardstick import yardstick_of
from singcli.recipe import Recipe
from singcli.structure import preset
from singcli.structure.form_string import form_from_string
from singcli.structure.ssm_file import Provenance
from singcli.structure.texture import Texture

ROOT = Path(__file__).resolve().parents[1]
TINY = ROOT / "tests" / "data" / "tiny.onnx"
SIZES = NetworkSizes(lstm=384, roll=3, draft=5, bar=7, hidden=320, duration=128)
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "checkpoints" / "README.md"]


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def tables(text: str, *header: str) -> list[list[list[str]]]:
    """Return the rows, without head and rule, of all tables whose head begins with these cells."""
    found = []
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        lines = [re.sub(r"\\\|", "/", line).strip("| \n").split("|") for line in block.splitlines()]
        head, _rule, *rows = [[cell.strip() for cell in line] for line in lines]
        if tuple(head[: len(header)]) == header:
            found.append(rows)
    return found


def keys(rows: list[list[str]]) -> list[str]:
    return [row[0].strip("`") for row in rows]


def shape(text: str, n: int, sizes: NetworkSizes) -> tuple[int, ...]:
    """Return what "(n, features)" means."""
    names = {"n": n, "features": sizes.features} | dataclasses.asdict(sizes)
    return tuple(
        sum(names[part] if part in names else int(part) for part in axis.split(" + "))
        for axis in re.findall(r"[^(),]+", text.replace(", ", ","))
    )


class TestModelFile:
    text = page("docs/onnx.md")

    def test_inputs_have_the_names_order_types_shapes_and_defaults_of_the_contract(self):
        written = tables(self.text, "input", "type", "shape", "default")
        for rows, blank in zip(
            written, (step_inputs(3, SIZES), note_inputs(3, SIZES)), strict=True
        ):
            assert keys(rows) == list(blank)
            for row, value in zip(rows, blank.values(), strict=True):
                assert row[1] == value.dtype.name
                assert shape(row[2], 3, SIZES) == value.shape
                assert (value == int(row[3])).all()

    def test_outputs_are_those_of_the_file(self):
        written = [row for rows in tables(self.text, "output", "shape") for row in rows]
        assert keys(written) == [*contract.STEP_OUTPUTS, *contract.NOTE_OUTPUTS]
        runtime = Runtime.open(TINY)
        sizes = runtime.card.sizes
        found = runtime.step(step_inputs(3, sizes)) | runtime.note(note_inputs(3, sizes))
        for row in written:
            assert found[row[0].strip("`")].shape == shape(row[1], 3, sizes)

    def test_columns_of_place(self):
        (rows,) = tables(self.text, "columns", "size")
        assert [int(row[1]) for row in rows] == list(contract.PLACE_SIZES)
        ends = np.cumsum(contract.PLACE_SIZES)
        spans = [
            f"{end - size} to {end - 1}"
            for size, end in zip(contract.PLACE_SIZES, ends, strict=True)
        ]
        assert [row[0] for row in rows] == spans

    def test_tokens_and_durations(self):
        (rows,) = tables(self.text, "token")
        assert [row[0] for row in rows][2:] == [str(contract.STOP), str(contract.START)]
        durations, velocities = (rows[0][1:] for rows in tables(self.text, "class"))
        assert "Classes 0 to 15 are 1 to 16 steps" in self.text
        assert [*range(1, 17), *map(int, durations)] == contract.DURATIONS.tolist()
        assert [*map(int, velocities)] == contract.VELOCITIES.tolist()
        assert f'Class {contract.NO_DURATION} means "none"' in self.text
        assert f'class {contract.NO_VELOCITY} means "none"' in self.text
        for row, tokens in zip(rows, (range(88), range(88, 176)), strict=False):
            assert row[0] == f"{tokens.start} to {tokens.stop - 1}"
            sign, offset = (-1, 108) if "108 - token" in row[1] else (1, -67)
            pitches = [sign * token + offset for token in tokens]
            assert pitches == contract.TOKEN_PITCH[tokens.start : tokens.stop].tolist()
        assert f"at most {contract.MAX_NOTES_PER_STEP} notes" in self.text

    def test_the_card(self):
        rows = tables(self.text, "key", "meaning")[0]
        card = Runtime.open(TINY).card
        assert sorted(keys(rows)) == sorted(json.loads(card.to_json()))
        meaning = dict(zip(keys(rows), (row[1] for row in rows), strict=True))
        assert meaning["version"].endswith(f": {contract.CONTRACT_VERSION}")
        for name, fields in (("sizes", NetworkSizes), ("textures", Texture)):
            named = re.findall(r"`(\w+)`", meaning[name])
            assert named == [field.name for field in dataclasses.fields(fields)]

    def test_versions_of_the_graph(self):
        pytest.importorskip("torch")
        from singcli.training import export, graph

        assert f"Opset {graph.OPSET}, IR version {graph.IR_VERSION} " in self.text
        assert f"runs {export.PARITY_STEPS} random steps" in self.text
        assert float(re.search(r"more than (\S+e-\d)", self.text)[1]) == export.PARITY_TOLERANCE


def driver():
    specification = importlib.util.spec_from_file_location("driver", ROOT / "docs" / "driver.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


class TestDriver:
    def test_prints_eight_bars_whose_second_half_repeats_the_first(self, tmp_path):
        command = [sys.executable, "-P", str(ROOT / "docs" / "driver.py"), str(TINY), "1"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        pattern = r"bar (\d) step (\d+) (lead|accompaniment) (\d+) (\d+) (\d+)"
        found = [re.fullmatch(pattern, line).groups() for line in done.stdout.splitlines()]
        assert {int(bar) for bar, *_ in found} == set(range(8))
        assert all(
            21 <= int(note[3]) <= 108 and int(note[4]) in contract.DURATIONS for note in found
        )
        half = [
            {note[:4] for note in found if int(note[0]) in bars} for bars in (range(4), range(4, 8))
        ]
        moved = {(str(int(bar) - 4), *rest) for bar, *rest in half[1]}
        assert len(half[0] & moved) / len(half[0] | moved) > 0.5

    def test_needs_no_singcli(self):
        tree = ast.parse(page("docs/driver.py"))
        nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
        modules = {name.name for node in nodes for name in node.names}
        assert modules == {"json", "sys", "numpy", "onnxruntime"}

    def test_shows_the_network_what_training_shows_it(self, monkeypatch):
        module = driver()
        seen: dict[bool, list] = {False: [], True: []}

        class Recorder(module.ort.InferenceSession):
            def run(self, outputs, feeds):
                values = super().run(outputs, feeds)
                part = bool(feeds["note_part"])
                seen[part].append(feeds | dict(zip(outputs, values, strict=True)))
                return values

        monkeypatch.setattr(module.ort, "InferenceSession", Recorder)
        notes = list(module.sampled_notes(str(TINY), np.random.default_rng(3)))
        n_steps = len(seen[False])
        fed = {
            name: np.concatenate([f[name] for f in seen[False]]) for name in step_inputs(1, SIZES)
        }

        step, token, duration, velocity = np.array(notes).T
        pitches = contract.TOKEN_PITCH[token]
        score = SimpleNamespace(
            step=step,
            voice=contract.TOKEN_VOICE[token],
            pitch=pitches,
            duration=duration,
            velocity=velocity,
            n_steps=n_steps,
        )
        song = features.TokenScore.from_score(score)
        bar_beats = regular_bars(n_steps // 16, 4)
        lag = np.repeat([4, 64], n_steps // 2)
        source = np.maximum(np.arange(n_steps) - lag, -1)
        planes = np.concatenate([song.onsets, song.sounding], axis=1)
        draft = features.take_steps(planes, source)
        bars_ago = [
            features.take_steps(song.onsets, steps) for steps in features.steps_bars_ago(bar_beats)
        ]
        lead, age = features.last_lead(song.onsets)
        sections = [features.SectionPlace(bar, 4, tune=True) for bar in (0, 4)]
        held = np.concatenate([np.zeros_like(song.onsets[:1]), song.sounding[:-1]])
        expected = {
            "previous": np.concatenate([np.zeros_like(song.onsets[:1]), song.onsets[:-1]]),
            "draft": draft,
            "next_draft": np.concatenate([draft[1:], np.zeros_like(draft[:1])]),
            "context": draft,
            "place": features.place_features(
                bar_beats, kind="form", mode="major", sections=sections, style=0
            ),
            "loudness": features.last_loudness(song.onsets, song.velocity_map),
            "articulation": features.articulation(song.onsets, fed["carried"] > 0),
            "lead": lead,
            "lead_age": age[:, None],
            "bass": features.last_bass(song.onsets),
        }
        for name, wanted in expected.items():
            np.testing.assert_allclose(fed[name], wanted, rtol=1e-6, err_msg=name)
        again = song.onsets  # whether a note that is struck again was held does not show
        np.testing.assert_array_equal(fed["carried"] * ~again, song.sounding & held & ~again)
        now, after = fed["bars_ago"].reshape(n_steps, 2, -1).swapaxes(0, 1)
        np.testing.assert_array_equal(now, np.concatenate(bars_ago, axis=1))
        np.testing.assert_array_equal(after[:-1], now[1:])
        np.testing.assert_array_equal(fed["grade"][:, 1], draft[:, :176].any(axis=1))
        assert set(fed["grade"][source < 0, 0]) == {0}
        for name, before in (("hidden", "next_hidden"), ("cell", "next_cell")):
            state = np.concatenate([f[before] for f in seen[False]])
            np.testing.assert_array_equal(fed[name][1:], state[:-1])
            assert not fed[name][0].any()

        decisions = [f for f in seen[True] if int(f["last_token"][0]) != contract.START]
        assert [int(f["last_token"][0]) for f in decisions] == token.tolist()
        classes = features.take_steps(song.duration_map, source)[step, token]
        classes[source[step] < 0] = contract.NO_DURATION
        assert [int(f["draft_duration"][0]) for f in decisions] == classes.tolist()
        classes = features.take_steps(song.velocity_map, source)[step, token]
        classes[source[step] < 0] = contract.NO_VELOCITY
        assert [int(f["draft_velocity"][0]) for f in decisions] == classes.tolist()
        assert contract.VELOCITIES.tolist() == module.VELOCITIES
        assert module.PLACE_SIZES == contract.PLACE_SIZES
        assert (module.VOICE.tolist(), module.PITCH.tolist()) == (
            contract.TOKEN_VOICE.tolist(),
            contract.TOKEN_PITCH.tolist(),
        )


class TestModel:
    text = page("docs/model.md")

    def test_constants_are_those_of_the_code(self):
        (rows,) = tables(self.text, "name", "value")
        assert len(rows) > 10
        for name, value in ((row[0].strip("`"), row[1]) for row in rows):
            module, attribute = name.rsplit(".", 1)
            if ".training." in module:
                pytest.importorskip("torch")
            found = getattr(importlib.import_module(module), attribute)
            assert found == ast.literal_eval(value), name

    def test_numbers_in_the_prose_follow_the_constants(self):
        from singcli.model import copying, history, steering
        from singcli.structure import dial

        assert f"by {copying.HALF_SHIFT} + ln(s / (1 - s)) minus {copying.GAIN} for" in self.text
        assert f"at most {copying.MOST_SHIFT:g}; the count fades by" in self.text
        assert f"a factor of {copying.MEMORY} a beat" in self.text
        assert f"similarity of {dial.FREE_BELOW} or less, all of it from {dial.FULL_FROM} on" in (
            self.text
        )
        assert f"w = {steering.HALF_WEIGHT:g} s / (1 - s)" in self.text
        assert f"by {steering.CHROMA_PULL} times the strength" in self.text
        assert (
            f"{steering.RHYTHM_PULL} for a step of the beat, {steering.TUNE_PULL} for a"
            in self.text
        )
        assert f"silent for {history.PATIENCE_BEATS} beats has to play" in self.text
        assert f"aims {copying.AIM_BELOW} s (1 - s) below s" in self.text
        assert contract.N_NOTE_TOKENS == 88 * N_VOICES == 176
        assert STEPS_PER_BEAT == 4

    def test_number_of_parameters(self):
        torch = pytest.importorskip("torch")
        from singcli.training.networks import PointerNetwork

        with torch.device("meta"):
            network = PointerNetwork(NetworkSizes())
        count = [
            sum(p.numel() for p in part.parameters())
            for part in (network, network.step, network.note)
        ]
        assert f"{count[0] / 1e6:.1f} million parameters" in self.text
        assert f"{count[1] / 1e6:.2f} in the step part, {count[2] / 1e6:.2f}" in self.text
        assert f"{count[0]:,} parameters" in page("checkpoints/README.md")


def fields(cls) -> list[str]:
    return [field.name for field in dataclasses.fields(cls)]


class TestFormats:
    text = page("docs/formats.md")

    def section(self, title: str) -> str:
        return re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", self.text, re.M | re.S)[1]

    def test_keys_of_presets_and_their_defaults(self):
        written = tables(self.section("Preset"), "key", "value", "default")
        schemas = (preset._PresetTable, preset._SectionTable, preset._PhraseTable)
        for rows, schema in zip(written, schemas, strict=True):
            assert keys(rows) == list(schema.model_fields)
            for row, field in zip(rows, schema.model_fields.values(), strict=True):
                default = row[2].strip("`")
                assert (default == "required") == field.is_required(), row
                if re.fullmatch(r'[\d.]+|true|false|".*"', default):
                    assert json.loads(default) == field.default, row

    def test_examples_of_form_strings(self):
        text = self.section("Form string")
        examples = ["A8 A8 B8 A'8", "A8", "verse16", "A8:0.3", "A'8", "AABA", "AA'BA"]
        for example in [*examples, "i4A8B8A8o4"]:
            assert example in text
            assert form_from_string(example).sections
        assert form_from_string("A'8").sections[0].variation == 0.3

    def test_keys_of_ssm_files(self, tmp_path):
        from singcli.analysis import analyse

        out = tmp_path / "x.npz"
        analyse("A2 A2", out=out)
        text = self.section("SSM file")
        with np.load(out) as stored:
            (rows,) = tables(text, "array", "type", "shape")
            assert keys(rows) == list(stored)
            for row in rows[:3]:
                assert row[1] == stored[row[0].strip("`")].dtype.name
            meta = json.loads(str(stored["meta"]))
        (rows,) = tables(text, "key of `meta`")
        assert sorted(keys(rows)) == sorted(meta)
        (rows,) = tables(text, "key of `provenance`")
        assert keys(rows) == fields(Provenance)

    def test_keys_of_novelty_indexes(self, tmp_path, aaba_score):
        text = self.section("Novelty index")
        novelty_index = index_of_scores(["x/y"], [Corpus("x", 1, 0, 0)], [aaba_score])
        write_index(novelty_index, tmp_path / "x.novelty.npz")
        with np.load(tmp_path / "x.novelty.npz") as stored:
            (rows,) = tables(text, "array", "type", "shape")
            assert keys(rows) == list(stored)
            for row in rows[:-1]:
                assert row[1] == stored[row[0].strip("`")].dtype.name
            meta = json.loads(str(stored["meta"]))
        (rows,) = tables(text, "key of `meta`")
        assert keys(rows) == list(meta)
        for row in rows[1:6]:
            assert json.loads(row[1].partition(";")[0].strip("`")) == meta[row[0].strip("`")]
        (rows,) = tables(text, "figure", "meaning")
        assert keys(rows) == meta["figures"] == list(FIGURES)
        for row in meta["corpora"]:
            assert all(f"`{key}`" in text for key in row)
        (rows,) = tables(text, "key", "meaning")
        report = measure_novelty(aaba_score, novelty_index)
        assert keys(rows) == list(novelty._json("x", report, yardstick_of(novelty_index)))
        for part in (report.lead, report.lead.run, report.lead.bars, report.nearest):
            assert all(f"`{key}`" in text for key in fields(part))

    def test_keys_of_recipes_and_datasets(self):
        text = self.section("Recipe")
        assert sorted(keys(tables(text, "key", "meaning")[0])) == sorted(fields(Recipe))
        assert keys(tables(text, "key of `structure`")[0]) == fields(StructureReport)
        assert keys(tables(text, "key of a section")[0]) == fields(SectionReport)
        (rows,) = tables(self.section("Dataset"), "key of a row")
        assert keys(rows) == fields(Entry)

    def test_keys_of_info_replay_and_doctor(self):
        from singcli.cli import info, replay
        from singcli.doctor import Check
        from singcli.info.describing import describe
        from singcli.replay import Difference, Replay

        text = self.section("Info")
        (rows,) = tables(text, "key of `info`", "meaning")
        found = info._json(describe(str(TINY)))
        assert keys(rows) == list(found)
        assert all(f"`{key}`" in text for part in ("facts", "made") for key in found[part])
        (rows,) = tables(self.section("Recipe"), "key of `replay`", "meaning")
        result = Replay(None, b"", (), (Difference("x", "a", "b"),))
        found = replay._json(Path("x.mid"), result, None)
        assert keys(rows) == list(found)
        assert all(f"`{key}`" in rows[2][1] for key in found["differences"][0])
        (rows,) = tables(self.section("Doctor"), "key of a check", "meaning")
        assert keys(rows) == fields(Check)

    def test_keys_and_arrays_of_row_datasets(self, tmp_path):
        text = self.section("Row dataset")
        (rows,) = tables(text, "key of a piece")
        assert keys(rows) == fields(row_dataset.Piece)
        row_dataset.write_index(tmp_path, [], licences={}, settings={})
        index = json.loads((tmp_path / row_dataset.INDEX_NAME).read_text())
        assert f'"{index["format"]}"' in text
        assert f"`version` ({index['version']})" in text
        assert all(f"`{key}`" in text for key in index)
        row_dataset.write_segments(tmp_path / "train.npz", [])
        with np.load(tmp_path / "train.npz") as stored:
            (rows,) = tables(text, "array of a split", "type", "shape")
            assert keys(rows) == list(stored)
            for row in rows[:2]:
                assert row[1] == stored[row[0].strip("`")].dtype.name

    def test_keys_of_protocol_results(self):
        from singcli.metrics.row_structure import VARIANTS
        from singcli.metrics.rows import Guards
        from singcli.protocol.measure import Line
        from singcli.protocol.report import CONTINUITY, ControlRow, EntrantRow, PairRow
        from singcli.protocol.tasks import WAYS

        text = self.section("Protocol results")
        (rows,) = tables(text, "key of a line")
        assert keys(rows) == fields(Line)
        named = [*WAYS, *(variant.name for variant in VARIANTS), *Guards._fields, *CONTINUITY]
        for row in (EntrantRow, ControlRow, PairRow):
            named += fields(row)
        assert all(f"`{name}`" in text for name in named)

    def test_keys_of_manifests_and_configurations(self):
        import tomllib

        import typer

        from singcli.cli.app import build_app
        from singcli.cli.settings import OTHER_VARIABLES, settings
        from singcli.manifest import ManifestRow

        assert keys(tables(self.section("Manifest"), "key of a line")[0]) == fields(ManifestRow)
        text = self.section("Configuration")
        (example,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
        known = settings(typer.main.get_command(build_app(colour=False)).commands["generate"])
        assert set(tomllib.loads(example)) <= set(known)
        assert all(f"`{name}`" in text for name in OTHER_VARIABLES)

    def test_keys_of_evaluations(self):
        from singcli.evaluate import Evaluation, summary
        from singcli.metrics.figures import FIGURES
        from singcli.metrics.histograms import HISTOGRAMS

        text = self.section("Evaluation")
        (rows,) = tables(text, "key of the summary", "meaning")
        assert keys(rows) == list(summary(Evaluation(32, 0, (), (), (), (), ())))
        (rows,) = tables(text, "figure", "meaning", "range")
        assert keys(rows) == list(FIGURES)
        (rows,) = tables(text, "histogram", "counts")
        assert keys(rows) == list(HISTOGRAMS)
        (rows,) = tables(text, "key of a file", "meaning")
        assert keys(rows) == ["file", "excerpts", "figures", "inside"]

    def test_keys_of_voice_rules(self):
        text = self.section("Voice rules")
        (rules,) = tables(text, "key", "value")
        (rule,) = tables(text, "key of a rule")
        assert keys(rules) == list(voice_tables.RulesTable.model_fields)
        assert keys(rule) == list(voice_tables.RuleTable.model_fields)

    def test_keys_and_defaults_of_the_training_configuration(self):
        from singcli.training.config import TrainConfig

        (rows,) = tables(self.section("Training configuration"), "key", "default")
        defaults = {
            f"{table}.{key}": value
            for table, values in TrainConfig().model_dump().items()
            if isinstance(values, dict)
            for key, value in values.items()
        }
        assert {row[0].strip("`"): json.loads(row[1]) for row in rows} == defaults


def test_keys_and_defaults_of_the_configuration_of_sing():
    pytest.importorskip("torch")
    from singcli.training.sing.config import SingConfig

    (rows,) = tables(page("docs/sing.md"), "key", "default")
    defaults = {
        f"{table}.{key}": value
        for table, values in SingConfig().model_dump().items()
        if isinstance(values, dict)
        for key, value in values.items()
    }
    assert {row[0].strip("`"): json.loads(row[1]) for row in rows} == defaults


def test_links_between_pages_lead_somewhere():
    for path in PAGES:
        for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", path.read_text()):
            found = (path.parent / target).resolve() if target else path
            assert found.exists(), f"{path.name}: {target}"
            if anchor:
                titles = re.findall(r"^#+ (.*)$", found.read_text(), re.MULTILINE)
                anchors = [title.lower().replace(" ", "-") for title in titles]
                assert anchor in anchors, f"{path.name}: {target}#{anchor}"


def test_the_index_names_every_page():
    index = page("docs/README.md")
    for path in (ROOT / "docs").iterdir():
        if path.suffix in {".md", ".py"} and path.name != "README.md":
            assert f"]({path.name})" in index


def test_the_notices_are_carried_in_full_by_every_model():
    notices = page("checkpoints/NOTICES.txt")
    for holder in ("2020 Music X Lab", "2020 Shuqi Dai"):
        notice = re.search(
            rf"MIT License\n\nCopyright \(c\) {holder}\n(.*?)SOFTWARE\.", notices, re.S
        )[1]
        assert "The above copyright notice and this permission notice shall be included" in notice
    assert notices.count("The Fryderyk Chopin Institute") == 2
    assert "CC BY 4.0" in notices
    for path in (ROOT / "checkpoints").glob("*.onnx"):
        assert open_model(path).card.licence.strip() == notices.strip()
