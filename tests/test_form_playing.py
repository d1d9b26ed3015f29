"""Forms with meters, tempos, transpositions and short bars, from the wish to the finished file."""

from __future__ import annotations

from pathlib import Path

import mido
import numpy as np
import pytest

from singcli.generate import generate_songs
from singcli.model.runtime import Runtime
from singcli.music.midi_reading import read_midi
from singcli.preparation.scores import score_from_midi
from singcli.structure.form import repeats_of_form, ssm_from_form
from singcli.structure.form_string import form_from_string
from singcli.structure.ssm_file import Provenance, Structure
from singcli.wish import LEAD_IN_BARS, Template, Wish

TINY = Path(__file__).parent / "data" / "tiny.onnx"
FORM = form_from_string("A4 B2.33@3/4@60 A3.5:0+5 B2@3/4@60 A4:0-2", tempo_bpm=100)


def plan_of(wish: Wish):
    return wish.plan(Runtime.open(TINY).card)


def test_the_plan_has_bars_of_the_main_meter_before_those_of_the_form():
    plan = plan_of(Wish(FORM))
    lead_in = LEAD_IN_BARS * 4
    assert plan.bar_beats[: LEAD_IN_BARS + 1].tolist() == list(range(0, lead_in + 1, 4))
    np.testing.assert_array_equal(plan.bar_beats[LEAD_IN_BARS:] - lead_in, FORM.bar_beats)
    np.testing.assert_array_equal(plan.song_bar_beats, FORM.bar_beats)
    assert plan.bar_beats.dtype == np.int32
    assert plan.ssm.shape == (lead_in + FORM.n_beats,) * 2
    for repeat in repeats_of_form(FORM):
        beat = lead_in + np.arange(repeat.n_beats)
        stripe = plan.ssm[repeat.start_beat + beat, repeat.source_beat + beat]
        assert stripe.min() >= np.float32(repeat.similarity)
    np.testing.assert_array_equal(
        plan.song_ssm, ssm_from_form(FORM, texture=Runtime.open(TINY).card.texture(0))
    )


def test_another_tempo_changes_all_tempos_in_proportion():
    assert Wish(FORM).tempo_changes == [(0, 100), (4, 60), (7, 100), (11, 60), (13, 100)]
    faster = Wish(FORM, tempo_bpm=150)
    assert faster.tempo_changes == [(0, 150), (4, 90), (7, 150), (11, 90), (13, 150)]
    assert {bpm for _, bpm in Wish(FORM, tempo_bpm=20).tempo_changes} == {20}  # no slower


def test_a_template_keeps_its_meters_and_has_one_tempo():
    structure = Structure(
        ssm=ssm_from_form(FORM),
        bar_beats=FORM.bar_beats,
        beat_s=FORM.beat_s,
        sections=tuple(FORM.section_bars),
        tempo_bpm=90,
        meter="4/4",
        key=None,
        provenance=Provenance("midi", "x.mid", ""),
    )
    wish = Wish(Template(structure, ()))
    assert wish.bar_meters == FORM.bar_meters
    assert wish.tempo_changes == [(0, 90)]
    assert not wish.bar_transpositions.any()


@pytest.fixture(scope="module")
def song(tmp_path_factory):
    path = tmp_path_factory.mktemp("songs") / "x.mid"
    (made,) = generate_songs(Wish(FORM, strictness=1), TINY, [(5, path)])
    return made


def test_a_song_has_the_bars_meters_and_tempos_of_its_form(song):
    assert score_from_midi(song.path, whole=True).bar_beats.tolist() == FORM.bar_beats.tolist()
    music = read_midi(song.path)
    starts = {change.tick // 480: change for change in music.meters}
    meters, meter = [], ""
    for beat in FORM.bar_beats[:-1].tolist():
        change = starts.get(beat)
        meter = f"{change.numerator}/{change.denominator}" if change else meter
        meters.append(meter)
    assert meters == FORM.bar_meters
    seconds = music.tempo.seconds_from_ticks(np.arange(FORM.n_beats) * 480)
    np.testing.assert_allclose(seconds, FORM.beat_s, atol=1e-4)
    markers = [m.text for m in mido.MidiFile(song.path).tracks[0] if m.type == "marker"]
    assert markers == list("ABABA")


def test_repeats_sound_transposed_and_are_counted_as_repeats(song):
    score = score_from_midi(song.path, whole=True)
    theme, last = score.bars(0, 4), score.bars(13, 17)  # an exact return, two semitones down
    one = set(zip(theme.step, theme.voice, theme.pitch % 12, strict=True))
    moved = set(zip(last.step, last.voice, (last.pitch + 2) % 12, strict=True))
    still = set(zip(last.step, last.voice, last.pitch % 12, strict=True))
    assert len(one & moved) / len(one | moved) > 0.9
    assert len(one & still) / len(one | still) < 0.4
    assert song.report.sections[-1].measured > 0.8  # notes at the piano's ends change octave
