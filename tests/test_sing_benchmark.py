"""benchmarks/sing.py: every stage on a tiny corpus, and what is not done twice."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest
from row_rolls import write_rows

from singcli.errors import InputError

pytest.importorskip("torch")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("sing")


def short_config(path: Path) -> Path:
    """The paper's configuration, of one epoch."""
    text = (ROOT / "checkpoints" / "sing-paper.toml").read_text(encoding="utf-8")
    assert "epochs = 30" in text
    path.write_text(text.replace("epochs = 30", "epochs = 1"), encoding="utf-8")
    return path


def tables_of(printed: str) -> str:
    """Return the tables of the protocol: what is printed between training and the times."""
    return printed[printed.index("structure ") : printed.index("| stage")]


def test_from_rows_to_tables_and_pictures_and_nothing_twice(script, tmp_path, capsys, monkeypatch):
    out = tmp_path / "bench"
    write_rows(out / "rows")
    config = short_config(tmp_path / "short.toml")
    monkeypatch.setattr(script, "PAPER", config)
    bench = script.Bench(
        zip=tmp_path / "none.zip",
        out=out,
        configs=(config,),
        samples=1,
        segments=None,
        scorer_epochs=1,
        candidates=(4,),
        jobs=1,
    )
    script.run_bench(bench)
    printed = capsys.readouterr().out
    for name in ("short", "no-attention", "short, rests blanked", "real piece", "train short"):
        assert name in printed
    table = [json.loads(line) for line in (out / "table.jsonl").read_text().splitlines()]
    assert {row["name"] for row in table if row["table"] == "control"} >= {"short", "no-attention"}
    assert all(row["continuity"]["nats"]["value"] > 0 for row in table if row["table"] == "entrant")
    pictures = sorted((out / "pictures").iterdir())
    assert [path.name for path in pictures] == [f"template-{k}.png" for k in (1, 2, 3)]
    seconds = script.times(bench)
    assert list(seconds) == [name for name, _ in script.stages(bench)]

    def fail(*words: object) -> None:
        assert words[0] == "evaluate"
        command(*words)

    command = script.command
    monkeypatch.setattr(script, "command", fail)
    models = {path: path.read_bytes() for path in out.glob("*.onnx")}
    results = (out / "results.jsonl").read_bytes()
    script.run_bench(bench)
    assert (out / "results.jsonl").read_bytes() == results
    assert {path: path.read_bytes() for path in out.glob("*.onnx")} == models
    assert tables_of(capsys.readouterr().out) == tables_of(printed)
    again = script.times(bench)
    assert all(again[name] >= value for name, value in seconds.items())


def test_without_a_corpus_nothing_is_begun(script, tmp_path):
    bench = script.Bench(tmp_path / "x.zip", tmp_path / "out", (), 1, None, 1, (4,), 1)
    with pytest.raises(InputError, match=r"x\.zip: no such file"):
        script.run_bench(bench)
    assert not (tmp_path / "out").exists()


def test_configurations_need_names_of_their_own(script, tmp_path):
    write_rows(tmp_path / "out" / "rows")
    configs = (tmp_path / "a" / "x.toml", tmp_path / "b" / "x.toml")
    bench = script.Bench(tmp_path, tmp_path / "out", configs, 1, None, 1, (4,), 1)
    with pytest.raises(InputError, match="one name: no-attention, x, x"):
        script.run_bench(bench)


def test_the_ablation_is_the_paper_without_attention_and_nothing_else(script, tmp_path):
    import tomllib

    bench = script.Bench(tmp_path, tmp_path, (), 1, None, 1, (4,), 1)
    found = tomllib.loads(script.ablation_config(bench).read_text())
    paper = tomllib.loads(script.PAPER.read_text())
    assert paper["network"].pop("attention") is True
    assert found["network"].pop("attention") is False
    assert found.pop("name") != paper.pop("name")
    assert found == paper


def test_the_curve_of_steering(script, tmp_path, monkeypatch):
    curve = importlib.import_module("_steering_curve")
    monkeypatch.setattr(curve, "STRENGTHS", (0.0, 0.9))
    monkeypatch.setattr(curve, "CANDIDATES", 4)
    write_rows(tmp_path / "rows")
    tiny = ROOT / "tests" / "data" / "tiny.onnx"
    table = curve.steering_curve(tmp_path / "rows", tiny, tmp_path / "curve.png", jobs=1)
    assert table.startswith("4 candidates, 3 test segments")
    cells = [line.split("|")[1:-1] for line in table.splitlines() if line.startswith("|")]
    assert [row[0].strip() for row in cells[2:]] == ["0", "0.9"]
    r = [float(row[1]) for row in cells[2:]]
    assert r[1] > r[0]
    for row in cells[2:]:
        assert float(row[2]) == pytest.approx(2 * (1 - float(row[1])), abs=2e-3)
        assert float(row[6]) == 1.0  # rests stand where the matrix has them
    assert (tmp_path / "curve.png").stat().st_size > 1000
