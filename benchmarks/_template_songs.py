"""Templates from scores in memory, and the songs that `generate` makes of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from _sampling import sample_in_batches

from singcli.generate import model_path
from singcli.model.runtime import Runtime
from singcli.music.score import Score
from singcli.structure.segmentation import sections_from_ssm
from singcli.structure.ssm import Matrix, ssm_from_score
from singcli.structure.ssm_file import Provenance, Structure
from singcli.wish import Template, Wish


def structure_from_score(score: Score, name: str) -> Structure:
    """Return what `ssm` makes of a piece."""
    return with_matrix(score, ssm_from_score(score), name)


def with_matrix(score: Score, ssm: Matrix, name: str) -> Structure:
    """Return the structure of a piece with another matrix."""
    return Structure(
        ssm=ssm,
        bar_beats=score.bar_beats,
        beat_s=np.arange(score.n_beats, dtype=np.float64) * (60.0 / score.tempo_bpm),
        sections=tuple(sections_from_ssm(ssm, score.bar_beats)),
        tempo_bpm=score.tempo_bpm,
        meter=f"{int(np.bincount(np.diff(score.bar_beats)).argmax())}/4",
        key=score.key,
        provenance=Provenance("midi", name, ""),
    )


def matrices_of_songs(structures: Sequence[Structure], model: str) -> list[Matrix]:
    """Make a song of each template, with the seeds 0, 1, ..., and return their matrices."""
    runtime = Runtime.open(model_path(model))
    wishes = [Wish(Template(structure, ())) for structure in structures]
    plans = [wish.plan(runtime.card) for wish in wishes]
    scores = sample_in_batches(runtime, plans, range(len(plans)), wishes[0].options())
    return [ssm_from_score(score) for score in scores]
