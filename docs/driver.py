"""Eight bars from a model file, with numpy and onnxruntime alone: docs/onnx.md as a program.

Usage: python docs/driver.py MODEL.onnx [SEED]. Prints a line for every note.
"""

import json
import sys

import numpy as np
import onnxruntime as ort  # noqa: TID253 - the rule is for the package, not for this script

STOP, START, NO_DURATION, NO_VELOCITY, NO_PITCH, MAX_NOTES = 176, 177, 24, 8, 88, 12
DURATIONS = [*range(1, 17), 18, 20, 24, 28, 32, 40, 48, 64]  # in steps
VELOCITIES = [46, 57, 72, 76, 83, 90, 104, 116]
VOICE = np.repeat([0, 1], 88)  # of each token: the lead, then the accompaniment
PITCH = np.r_[108:20:-1, 21:109]  # the lead from high to low, the accompaniment from low to high
PLACE_SIZES = (4, 8, 8, 4, 3, 2, 2, 8, 8, 2, 8, 4)
BAR, N_BARS = 16, 8  # steps in a bar of 4/4
LAG = [4] * 4 + [64] * 4  # of each bar's source, in steps: the beat before, then four bars before
GRADE = [0.6] * 4 + [0.85] * 4  # new music resembles the beat before it, a repeat its model
SHIFT = [0.0] * 4 + [3.0] * 4  # added to the log odds of copying


def softmax(logits):
    """Return the probabilities."""
    exponentials = np.exp(logits.astype(float) - logits.max())
    return exponentials / exponentials.sum()


def place(step):
    """Return the one-hots of a step in 4/4, C major, two sections of four bars with the tune."""
    bar = step // BAR % 4
    left = min(N_BARS - 1 - step // BAR, 3)
    columns = (step % 4, step % BAR // 4, 3, bar, 1, 0, 1, bar, 3 - bar, 0, 0, left)
    parts = [np.eye(n)[column] for n, column in zip(PLACE_SIZES, columns, strict=True)]
    return np.concatenate(parts).astype("f4")


def sampled_notes(path, rng):
    """Sample `N_BARS` bars; yield (step, token, duration in steps, velocity)."""
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = ort.InferenceSession(path, options)
    sizes = json.loads(session.get_modelmeta().custom_metadata_map["singcli"])["sizes"]

    def run(outputs, **inputs):  # a batch of one
        part = {"note_part": np.array("logits" in outputs)}
        feeds = {name: np.asarray(value)[None] for name, value in inputs.items()}
        return [value[0] for value in session.run(outputs.split(), feeds | part)]

    n_steps = BAR * N_BARS
    source = [max(step - LAG[step // BAR], -1) for step in range(n_steps)] + [-1]
    planes = np.zeros((n_steps + 1, 352), "f4")  # row -1 stays empty and means "no step"
    onsets, sounding = planes[:, :176], planes[:, 176:]
    durations = np.full((n_steps + 1, 176), NO_DURATION)
    velocities = np.full((n_steps + 1, 176), NO_VELOCITY)
    latest = np.full(2, NO_VELOCITY)  # of each voice
    hidden = cell = np.zeros(sizes["lstm"], "f4")
    remaining, lead, lead_step, bass = np.zeros(176, int), NO_PITCH, -64, NO_PITCH
    endings, heard_step = np.array([0.65, 0.25], "f4"), -64  # how the lead's notes end, see onnx.md
    for step in range(n_steps):
        bar, draft, here = step // BAR, source[step], (step, step + 1)
        held, silence = (remaining[:88] > 1).any(), step - 1 - heard_step  # of the lead
        ending = np.array([not held and silence == n for n in (0, 1)], "f4")
        features, token_bias, hidden, cell = run(
            "step_features step_token_bias next_hidden next_cell",
            previous=onsets[step - 1],
            carried=(remaining > 1).astype("f4"),
            draft=planes[draft],
            next_draft=planes[source[step + 1]],
            bars_ago=np.r_[tuple(onsets[max(at - BAR * n, -1)] for at in here for n in (1, 2, 4))],
            context=planes[draft],
            place=place(step),
            grade=np.array([GRADE[bar] * (draft >= 0), onsets[draft].any()], "f4"),
            loudness=np.where(latest < NO_VELOCITY, (latest + 1) / 8, 0).astype("f4"),
            articulation=np.r_[held, ending, endings].astype("f4"),
            lead=lead,
            lead_age=np.log1p([min(step - lead_step, 64)]).astype("f4") / 4,
            bass=bass,
            hidden=hidden,
            cell=cell,
        )
        seen = {"features": features, "token_bias": token_bias, "draft_onsets": onsets[draft]}
        remaining = np.maximum(remaining - 1, 0)
        last, before, chosen = START, START, np.zeros(sizes["hidden"], "f4")
        for index in range(MAX_NOTES + 1):
            note = last if last != START else 0
            logits, gate, chosen, duration_logits, velocity_logits = run(
                "logits gate next_chosen duration_logits velocity_logits",
                **seen,
                chosen=chosen,
                last_token=last,
                last_lead=lead,
                last_bass=bass,
                draft_duration=durations[draft, note],
                chord_duration=NO_DURATION if before == START else durations[step, before],
                draft_velocity=velocities[draft, note],
                voice_velocity=latest[VOICE[note]],
            )
            if last != START:  # what was drawn in the turn before gets its duration and velocity
                durations[step, last] = rng.choice(24, p=softmax(duration_logits))
                velocities[step, last] = rng.choice(8, p=softmax(velocity_logits))
                latest[VOICE[last]] = velocities[step, last]
                remaining[last] = DURATIONS[durations[step, last]]
                yield step, last, int(remaining[last]), VELOCITIES[velocities[step, last]]
            copies = [t for t in np.flatnonzero(onsets[draft]) if last == START or t > last]
            odds = 1 / (1 + np.exp(-float(gate) - SHIFT[bar]))
            probs = (1 - odds) * softmax(logits)
            probs[copies[0] if copies else STOP] += odds
            token = int(rng.choice(177, p=probs))
            if token == STOP or index == MAX_NOTES:
                break
            onsets[step, token] = 1
            before, last = last, token
        sounding[step] = remaining > 0
        if onsets[step, :88].any():
            lead, lead_step = 87 - int(onsets[step, :88].argmax()), step
            if heard_step >= 0:
                endings += np.float32(0.15) * (ending - endings)
        heard_step = step if sounding[step, :88].any() else heard_step
        if onsets[step, 88:].any():
            bass = int(onsets[step, 88:].argmax())


if __name__ == "__main__":
    generator = np.random.default_rng(int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    for at, token, length, velocity in sampled_notes(sys.argv[1], generator):
        name = f"{('lead', 'accompaniment')[VOICE[token]]} {PITCH[token]}"
        sys.stdout.write(f"bar {at // BAR} step {at % BAR} {name} {length} {velocity}\n")
