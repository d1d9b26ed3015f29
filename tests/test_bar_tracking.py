"""Pulses to bars, spectra to matrices: the part of hearing that needs no library."""

import numpy as np
import pytest

from singcli.structure.bar_tracking import bars_from_pulses
from singcli.structure.spectrum import (
    HEARD,
    N_SEMITONES,
    OF_NOTES,
    QUANTILES,
    Spectrum,
    calibrated,
    far_values,
    heard_features,
    ssm_from_spectrum,
)

FRAME_S = 512 / 22050
PULSE_FRAMES = 26  # 99.4 pulses a minute


def heard_piece(n_pulses, *, bar_pulses=4, pulse_frames=PULSE_FRAMES, silent=(), weak=()):
    """A chord that changes at every bar; louder low and high onsets there."""
    n_frames = n_pulses * pulse_frames
    magnitude = np.zeros((N_SEMITONES, n_frames), np.float32)
    onset = np.zeros(n_frames, np.float32)
    rng = np.random.default_rng(0)
    for pulse in range(n_pulses):
        start = pulse * pulse_frames
        bar, place = divmod(pulse, bar_pulses)
        if bar in silent:
            continue
        root = (5 * bar) % 12
        level = 0.15 if place in weak else 1.0 if place == 0 else 0.5
        for semitone in (root + 12, root + 36, root + 40, root + 43, 48 + int(rng.integers(24))):
            decay = np.exp(-np.arange(pulse_frames) / 40)
            loud = level * (1.0 if semitone >= 36 or place == 0 else 0.2)
            part = magnitude[semitone, start : start + pulse_frames]
            np.maximum(part, loud * decay, out=part)
        onset[start] = level
    return Spectrum(magnitude, onset, FRAME_S), np.arange(n_pulses) * pulse_frames


class TestBars:
    @pytest.mark.parametrize("bar_pulses", [3, 4])
    def test_meter_and_phase(self, bar_pulses):
        spectrum, pulse = heard_piece(48, bar_pulses=bar_pulses)
        bars = bars_from_pulses(spectrum, pulse)
        assert bars.beats_per_bar == bar_pulses
        assert bars.bar_beats.tolist() == list(range(0, 49, bar_pulses))
        assert bars.tempo_bpm == pytest.approx(60 / (PULSE_FRAMES * FRAME_S))

    def test_half_beats_are_left_out(self):
        weak = (1, 3, 5, 7)
        spectrum, pulse = heard_piece(96, bar_pulses=8, pulse_frames=14, weak=weak)
        bars = bars_from_pulses(spectrum, pulse)
        assert bars.beats_per_bar == 4
        assert bars.bar_beats.tolist() == list(range(0, 49, 4))
        np.testing.assert_allclose(bars.beat_s, pulse[::2] * FRAME_S)

    def test_an_upbeat_is_left_out_and_the_last_bar_filled_up(self):
        spectrum, pulse = heard_piece(62)
        bars = bars_from_pulses(spectrum, pulse[1:])
        assert bars.beat_s[0] == pytest.approx(pulse[4] * FRAME_S)
        assert bars.bar_beats.tolist() == list(range(0, 61, 4))
        assert (np.diff(bars.beat_s) > 0).all()

    def test_a_lost_pulse_costs_one_bar(self):
        spectrum, pulse = heard_piece(96)
        bars = bars_from_pulses(spectrum, np.delete(pulse, 50))
        lengths = np.diff(bars.bar_beats)
        assert (lengths != 4).sum() <= 2
        downbeats = bars.beat_s[bars.bar_beats[:-1]]
        true = pulse[::4] * FRAME_S
        assert np.isin(np.round(true, 3), np.round(downbeats, 3)).mean() > 0.9


class TestMatrix:
    def test_repeats_resemble_themselves(self):
        spectrum, _ = heard_piece(16)
        twice = Spectrum(
            np.tile(spectrum.magnitude, 2), np.tile(spectrum.onset, 2), spectrum.frame_s
        )
        beat_s = np.arange(32) * PULSE_FRAMES * FRAME_S
        ssm = ssm_from_spectrum(twice, beat_s)
        assert ssm.shape == (32, 32)
        assert ssm.dtype == np.float32
        np.testing.assert_allclose(ssm, ssm.T, atol=1e-5)
        inside = np.arange(4, 12)
        assert ssm[inside, inside + 16].min() > 0.9
        assert ssm[inside, inside + 12].mean() < 0.7

    def test_silent_beats_and_beats_after_the_end_have_no_features(self):
        spectrum, _ = heard_piece(16, silent=(1,))
        beat_s = np.arange(18) * PULSE_FRAMES * FRAME_S
        length = np.linalg.norm(heard_features(spectrum, beat_s), axis=1)
        silent = [4, 5, 6, 7, 16, 17]
        assert (length[silent] == 0).all()
        np.testing.assert_allclose(np.delete(length, silent), 1, rtol=1e-5)


class TestCalibration:
    def test_tables_increase(self):
        assert len(QUANTILES) == len(HEARD) == len(OF_NOTES)
        for table in (QUANTILES, HEARD, OF_NOTES):
            assert (np.diff(table) > 0).all()

    def test_usual_recordings_get_the_values_of_notes(self):
        rng = np.random.default_rng(1)
        n = 200
        values = np.interp(rng.random((n, n)), QUANTILES, HEARD)
        ssm = (np.tril(values, -1) + np.tril(values, -1).T + np.eye(n)).astype(np.float32)
        of_notes = calibrated(ssm)
        for quantile, value in zip(QUANTILES[2:-1], OF_NOTES[2:-1], strict=True):
            assert np.quantile(far_values(of_notes), quantile) == pytest.approx(value, abs=0.02)

    def test_order_stays_and_so_do_nothing_and_identity(self):
        rng = np.random.default_rng(2)
        half = rng.random((40, 40)).astype(np.float32) * 0.3 + 0.6
        ssm = np.maximum(half, half.T)
        np.fill_diagonal(ssm, 1)
        ssm[5] = ssm[:, 5] = 0
        of_notes = calibrated(ssm)
        assert (of_notes[5] == 0).all()
        assert of_notes[0, 0] == 1
        np.testing.assert_array_equal(of_notes, of_notes.T)
        order = np.argsort(ssm, axis=None)
        assert (np.diff(of_notes.ravel()[order]) >= 0).all()

    def test_a_louder_background_is_brought_down(self):
        rng = np.random.default_rng(3)
        half = np.clip(rng.normal(0.55, 0.05, (100, 100)), 0, 1)
        ssm = np.maximum(half, half.T).astype(np.float32)
        np.fill_diagonal(ssm, 1)
        usual = OF_NOTES[QUANTILES.index(0.5)]
        assert np.median(far_values(calibrated(ssm))) == pytest.approx(usual, abs=0.02)

    def test_all_silent(self):
        assert not calibrated(np.zeros((20, 20), np.float32)).any()
