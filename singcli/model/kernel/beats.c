/* A beat of all rows: what they are shown of the songs' history, and what becomes part of it. */
#include "kernel.h"

#include <string.h>

/* A step of a song's history; the last one is empty and stands for those before the first. */
static const uint8_t *played(const Batch *batch, int64_t song, int64_t step) {
    const int64_t n = batch->n_steps + 1;
    return ROW(batch->history, song * n + (step < 0 ? batch->n_steps : step), N_PLANES);
}

/* The steps some bars before a step of a song. */
static const int64_t *bars_ago_of(const Batch *batch, int64_t song, int64_t step) {
    return ROW((const int64_t *)batch->bars_ago_steps[song], step, N_BARS_AGO);
}

/* Writes notes as the network takes them. */
static void show(const uint8_t *restrict notes, float *restrict shown, int n) {
    for (int i = 0; i < n; i++)
        shown[i] = (float)notes[i];
}

/* Shows what the row's sources played. */
static void show_sources(const Batch *batch, int64_t row) {
    const int64_t song = row / batch->candidates, n = batch->n_steps + 1;
    const int64_t *source = ROW(batch->source, row, STEPS_PER_BEAT + 1);
    for (int place = 0; place <= STEPS_PER_BEAT; place++) {
        show(played(batch, song, source[place]), AT(batch->draft, place, row, N_PLANES), N_PLANES);
        if (place == STEPS_PER_BEAT)
            break;
        const int64_t step = song * n + (source[place] < 0 ? batch->n_steps : source[place]);
        memcpy(
            AT(batch->draft_durations, place, row, N_NOTES),
            ROW(batch->history_durations, step, N_NOTES), N_NOTES
        );
        memcpy(
            AT(batch->draft_velocities, place, row, N_NOTES),
            ROW(batch->history_velocities, step, N_NOTES), N_NOTES
        );
    }
}

/* Shows the onsets some bars before each step and before the one after it. */
static void show_bars_ago(const Batch *batch, int64_t row, int64_t first) {
    const int64_t song = row / batch->candidates, width = 2 * N_BARS_AGO * N_NOTES;
    for (int place = 0; place <= STEPS_PER_BEAT; place++) {
        const int64_t *steps = bars_ago_of(batch, song, first + place);
        for (int ago = 0; ago < N_BARS_AGO; ago++) {
            const uint8_t *onsets = played(batch, song, steps[ago]);
            float *own = batch->bars_ago + row * width + ago * N_NOTES; /* of the first step */
            const int64_t step_width = batch->n_rows * width;
            if (place < STEPS_PER_BEAT)
                show(onsets, own + place * step_width, N_NOTES);
            own += N_BARS_AGO * N_NOTES;
            if (place > 0)
                show(onsets, own + (place - 1) * step_width, N_NOTES);
        }
    }
}

/* Adds notes as a matrix weighs them. */
static void add(const uint8_t *restrict notes, float weight, float *restrict context) {
    for (int token = 0; token < N_PLANES; token++)
        context[token] += weight * (float)notes[token];
}

/* Writes notes as they are remembered, and returns whether any of them sounds. */
static int remember(const float *restrict planes, uint8_t *restrict notes) {
    int n_sounding = 0;
    for (int token = 0; token < N_PLANES; token++)
        notes[token] = planes[token] > 0.0f;
    for (int token = N_NOTES; token < N_PLANES; token++)
        n_sounding += planes[token] > 0.0f;
    return n_sounding > 0;
}

/* Shows the earlier beats as the matrix weighs them: the paper's attention. */
static void show_context(const Batch *batch, int64_t row, int64_t beat) {
    const int64_t song = row / batch->candidates, n = batch->n_weights[song];
    const float *weights = (const float *)batch->weights[song] + beat % WEIGHT_ROWS * n;
    for (int place = 0; place < STEPS_PER_BEAT; place++) {
        float *context = AT(batch->context, place, row, N_PLANES);
        if (row % batch->candidates) { /* the same as its song's first row */
            memcpy(context, context - N_PLANES, sizeof(float) * N_PLANES);
            continue;
        }
        memset(context, 0, sizeof(float) * N_PLANES);
        for (int64_t earlier = 0; beat < n && earlier < beat; earlier++) {
            const float weight = weights[earlier];
            if (weight != 0.0f)
                add(played(batch, song, earlier * STEPS_PER_BEAT + place), weight, context);
        }
    }
}

/* Shows all rows what they need to know of the songs so far, and clears what they play now. */
EXPORTED void begin_beat(const Batch *batch, int64_t beat) {
    const int64_t first = beat * STEPS_PER_BEAT, width = batch->place_width;
    for (int64_t row = 0; row < batch->n_rows; row++) {
        const int64_t song = row / batch->candidates;
        show_sources(batch, row);
        show_bars_ago(batch, row, first);
        show_context(batch, row, beat);
        for (int place = 0; place < STEPS_PER_BEAT; place++)
            memcpy(
                AT(batch->place, place, row, width),
                ROW((const float *)batch->place_steps[song], first + place, width),
                sizeof(float) * width
            );
    }
    const int64_t n = STEPS_PER_BEAT * batch->n_rows;
    memset(batch->planes, 0, sizeof(float) * N_PLANES * n);
    memset(batch->counts, 0, sizeof(double) * N_COUNTS * batch->n_rows);
    memset(batch->durations, N_DURATIONS, N_NOTES * n);
    memset(batch->velocities, N_VELOCITIES, N_NOTES * n);
}

/* Shows the beat's own first step, which is played by now, where the step after the beat looks back
 * at it. */
void show_first_step(const Batch *batch, int64_t row, int64_t first) {
    const int64_t *ago = bars_ago_of(batch, row / batch->candidates, first + STEPS_PER_BEAT);
    const float *planes = AT(batch->planes, 0, row, N_PLANES);
    float *bars = AT(batch->bars_ago, STEPS_PER_BEAT - 1, row, 2 * N_BARS_AGO * N_NOTES);
    if (batch->source[row * (STEPS_PER_BEAT + 1) + STEPS_PER_BEAT] == first)
        memcpy(AT(batch->draft, STEPS_PER_BEAT, row, N_PLANES), planes, sizeof(float) * N_PLANES);
    for (int i = 0; i < N_BARS_AGO; i++)
        if (ago[i] == first)
            memcpy(bars + (N_BARS_AGO + i) * N_NOTES, planes, sizeof(float) * N_NOTES);
}

/* Writes the beat of one row of each song into its history. */
EXPORTED void keep(const Batch *batch, int64_t beat) {
    const int64_t first = beat * STEPS_PER_BEAT, n = batch->n_steps + 1;
    for (int64_t song = 0; song < batch->n_songs; song++) {
        const int64_t row = batch->kept[song];
        int is_heard = 0;
        for (int place = 0; place < STEPS_PER_BEAT; place++) {
            const int64_t step = song * n + first + place;
            const float *planes = AT(batch->planes, place, row, N_PLANES);
            is_heard |= remember(planes, ROW(batch->history, step, N_PLANES));
            memcpy(
                ROW(batch->history_durations, step, N_NOTES),
                AT(batch->durations, place, row, N_NOTES), N_NOTES
            );
            memcpy(
                ROW(batch->history_velocities, step, N_NOTES),
                AT(batch->velocities, place, row, N_NOTES), N_NOTES
            );
        }
        batch->heard[song * (batch->n_steps / STEPS_PER_BEAT) + beat] = (uint8_t)is_heard;
    }
}
