"""`singcli evaluate`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from singcli.cli.console import Console
from singcli.cli.options import JsonOption, OverwriteOption, QuietOption
from singcli.cli.tables import NOTHING, aligned

if TYPE_CHECKING:
    from singcli.evaluate import EvaluatedFile, Evaluation
    from singcli.metrics.comparison import FigureRow, OverlapRow, SetFigure

EXAMPLES = (
    (
        "how like real music are my songs? with a picture",
        "singcli evaluate songs/ --against data/pop909 --png songs.png",
    ),
    (
        "which figures of which song are unusual, in excerpts of 16 bars",
        "singcli evaluate songs/*.mid --against data/pop909 --bars 16 --verbose",
    ),
    (
        "the benchmark of the SING paper: a model of rows beside baselines and real music",
        "singcli evaluate --protocol sing --rows data/maestro --model sing.onnx "
        "--scorer scorer.onnx --results sing.jsonl",
    ),
)


def evaluate(
    inputs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="INPUT...",
            help="MIDI files, folders and zip archives of them.",
            show_default=False,
        ),
    ] = None,
    against: Annotated[
        list[Path] | None,
        typer.Option(
            help="A dataset that prepare made; the songs it holds out for validation are the real "
            "music. May be given several times.",
        ),
    ] = None,
    *,
    bars: Annotated[
        int,
        typer.Option(
            help="Compare excerpts of so many bars. A shorter piece is taken whole, if it has at "
            "least half of them."
        ),
    ] = 32,
    beats: Annotated[
        Literal["file", "annotation", "estimate"],
        typer.Option(help="Where the beats of the files come from, as in prepare."),
    ] = "file",
    rules: Annotated[
        str,
        typer.Option(
            help="Who plays the lead: auto, pop909, lieder, solo-piano, or a TOML file of rules."
        ),
    ] = "auto",
    seed: Annotated[
        int, typer.Option(help="Draws the noise, and real songs to compare with the others.")
    ] = 0,
    protocol: Annotated[
        Literal["sing"] | None,
        typer.Option(
            help="Not files but models: the SING paper's benchmark over the test segments of "
            "--rows, with its baselines. The options below are for it.",
        ),
    ] = None,
    rows: Annotated[
        Path | None, typer.Option(help="A folder written by prepare --recipe sing.")
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]FILE", help="An .onnx whose network writes rows; may be repeated."
        ),
    ] = None,
    scorer: Annotated[
        Path | None,
        typer.Option(help="The .onnx of an independent network, for likelihoods."),
    ] = None,
    results: Annotated[
        Path | None,
        typer.Option(help="Append every result to this .jsonl; run again to go on with it."),
    ] = None,
    samples: Annotated[int, typer.Option(help="Outputs of each segment.")] = 3,
    segments: Annotated[
        int | None, typer.Option(help="So many test segments, evenly spread [default: all].")
    ] = None,
    candidates: Annotated[
        list[int] | None,
        typer.Option(
            help="Candidates a row of the bag of real rows and of steered models; may be repeated "
            "[default: 16, 64, 256]."
        ),
    ] = None,
    jobs: Annotated[
        int | None, typer.Option("--jobs", "-j", min=1, help="Processes [default: the cores].")
    ] = None,
    png: Annotated[
        Path | None, typer.Option(help="Draw all figures and histograms into this file.")
    ] = None,
    overwrite: OverwriteOption = False,
    json_output: JsonOption = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show a line for every file as well.")
    ] = False,
    quiet: QuietOption = False,
) -> None:
    """Measure songs beside real held-out music and noise.

    The first table has the figures: between which values the middle 80 % of real excerpts lie, and
    for the evaluated files, real songs and noise the median and the share inside. Each real song
    is held against all others. The second has the area that histograms share with those of
    real music, 1 for the same distribution.

    A file that cannot be used is skipped, and the exit code is 3.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # small matrices, many of them
    from singcli.errors import InputError, PartialFailureError

    console = Console(quiet)
    if protocol is not None:
        from singcli.cli.protocol import evaluate_sing, model_file
        from singcli.preparation.pool import default_jobs
        from singcli.protocol.entrants import CANDIDATES
        from singcli.protocol.workshop import Settings

        if rows is None or inputs or against or png is not None:
            raise InputError(
                "--protocol sing takes --rows and --model, no INPUT, --against or --png",
                "give --rows a folder written by prepare --recipe sing",
            )
        settings = Settings(
            rows=rows,
            models=tuple(model_file(text) for text in model or ()),
            scorer=scorer,
            samples=samples,
            candidates=tuple(candidates or CANDIDATES),
            seed=seed,
            max_segments=segments,
        )
        evaluate_sing(
            console,
            settings,
            results=results,
            jobs=jobs or default_jobs(),
            json_output=json_output,
        )
        return
    if rows is not None or model or scorer is not None or results is not None:
        raise InputError(
            "--rows, --model, --scorer and --results are for a protocol", "add --protocol sing"
        )
    if not inputs or not against:
        raise InputError(
            "nothing to compare: INPUT and --against are needed, or --protocol",
            "singcli evaluate songs/ --against data/pop909",
        )
    from singcli.evaluate import evaluate as run_evaluate

    with console.progress("measuring") as progress:
        evaluation = run_evaluate(
            inputs,
            against,
            n_bars=bars,
            beats=beats,
            rules=rules,
            seed=seed,
            picture=png,
            overwrite=overwrite,
            on_progress=progress,
        )
    for skip in evaluation.skipped:
        console.warning(f"skipped {skip.source}: {skip.reason}")
    for line in _json_lines(evaluation) if json_output else ():
        console.result_json(line)
    for text in () if json_output else _table_lines(evaluation, verbose=verbose):
        console.result(text)
    console.status(_closing(evaluation))
    if evaluation.skipped:
        raise PartialFailureError(
            f"{len(evaluation.skipped)} of {len(evaluation.skipped) + len(evaluation.files)} "
            "files were skipped"
        )


def _json_lines(evaluation: Evaluation) -> Iterator[dict[str, Any]]:
    from singcli.evaluate import summary

    for file in evaluation.files:
        yield {
            "file": file.name,
            "excerpts": file.n_excerpts,
            "figures": file.figures,
            "inside": file.inside,
        }
    for skip in evaluation.skipped:
        yield {"file": skip.source, "skipped": skip.reason}
    yield summary(evaluation)


def _table_lines(evaluation: Evaluation, *, verbose: bool) -> Iterator[str]:
    if verbose:
        head = ["file", "excerpts", "inside", "outside the middle 80 % of real music"]
        rows = [_file_cells(file) for file in evaluation.files]
        yield from aligned([head, *rows], right=(1, 2))
        yield ""
    head = ["figure", "real 10-90 %", "evaluated", "inside", "real", "inside", "noise", "inside"]
    rows = [_figure_cells(row) for row in evaluation.figures]
    yield from aligned([head, *rows], right=range(1, len(head)))
    yield ""
    head = ["area shared with real", "evaluated", "real", "noise"]
    rows = [_overlap_cells(row) for row in evaluation.overlaps]
    yield from aligned([head, *rows], right=range(1, len(head)))


def _file_cells(file: EvaluatedFile) -> list[str]:
    from singcli.metrics.figures import FIGURE_LABELS

    outside = file.outside
    inside = len(file.inside) - len(outside)
    names = "; ".join(FIGURE_LABELS[name] for name in outside)
    return [file.name, str(file.n_excerpts), f"{inside} of {len(file.inside)}", names]


def _figure_cells(row: FigureRow) -> list[str]:
    from singcli.metrics.figures import FIGURE_LABELS

    band = NOTHING if row.band is None else f"{row.band[0]:.2f} - {row.band[1]:.2f}"
    sets = (row.evaluated, row.real, row.noise)
    return [
        FIGURE_LABELS[row.name],
        band,
        *(cell for figure in sets for cell in _set_cells(figure)),
    ]


def _set_cells(figure: SetFigure) -> list[str]:
    return [
        _number(figure.median),
        NOTHING if figure.inside is None else f"{figure.inside:.0%}",
    ]


def _overlap_cells(row: OverlapRow) -> list[str]:
    from singcli.metrics.histograms import HISTOGRAM_LABELS

    return [HISTOGRAM_LABELS[row.name], *map(_number, (row.evaluated, row.real, row.noise))]


def _number(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.2f}"


def _closing(evaluation: Evaluation) -> str:
    """Return the headline and what was compared."""
    n_excerpts = sum(file.n_excerpts for file in evaluation.files)
    n_real = sum(len(piece.excerpts) for piece in evaluation.real)
    return (
        f"{len(evaluation.figures_like_real)} of {len(evaluation.figures)} figures are within the "
        f"middle 80 % of real music for at least 80 % of the files; {len(evaluation.files)} files "
        f"({n_excerpts} excerpts of {evaluation.n_bars} bars) against {len(evaluation.real)} real "
        f"songs ({n_real} excerpts), seed {evaluation.seed}"
    )
