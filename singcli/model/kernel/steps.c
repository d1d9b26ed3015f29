/* A step of all rows: what the network is told, what it decides note by note, what sounds on. */
#include "kernel.h"

#include <string.h>

enum { N_UNIFORMS = DRAWS * (MAX_NOTES_PER_STEP + 1) };

/* What the caller checks before anything else: both sides mean the same. Writes `n` facts at most
 * and returns how many there are. */
EXPORTED int64_t kernel_facts(int64_t *facts, int64_t n) {
    const int64_t own[] = {
        sizeof(Batch), STEPS_PER_BEAT, N_VOICES, N_PITCHES, MAX_NOTES_PER_STEP, N_DURATIONS,
        N_VELOCITIES, N_BARS_AGO, N_ARTICULATION, LEAD_AGE_STEPS, DRAWS, NEVER, SILENT, WAKING,
        N_COUNTS, WEIGHT_ROWS,
    };
    const int64_t n_own = sizeof own / sizeof *own;
    memcpy(facts, own, sizeof *own * (n < n_own ? n : n_own));
    return n_own;
}

/* Copies a row of an array to a row of another, both of this width. */
static void copy(const float *from, int64_t row, float *to, int64_t new_row, int64_t width) {
    memcpy(ROW(to, new_row, width), ROW(from, row, width), sizeof(float) * width);
}

/* Writes the inputs of the step part that depend on what the row has played. */
static void tell(const Batch *batch, int64_t row, int64_t step, int64_t place) {
    const float *draft = AT(batch->draft, place, row, N_PLANES);
    int32_t *remaining = ROW(batch->remaining, row, N_NOTES);
    float *carried = ROW(batch->carried, row, N_NOTES);
    float *articulation = ROW(batch->articulation, row, N_ARTICULATION);
    int is_held = 0, strikes = 0;
    for (int token = 0; token < N_NOTES; token++) {
        carried[token] = remaining[token] > 1 ? 1.0f : 0.0f;
        remaining[token] -= remaining[token] > 0;
        is_held |= token < N_PITCHES && carried[token] > 0.0f;
        strikes |= draft[token] > 0.0f;
    }
    const int64_t silence = step - 1 - batch->heard_step[row];
    articulation[0] = (float)is_held;
    articulation[1] = !is_held && silence == 0 ? 1.0f : 0.0f;
    articulation[2] = !is_held && silence == 1 ? 1.0f : 0.0f;
    memcpy(articulation + 3, ROW(batch->endings, row, 2), 2 * sizeof(float));
    const int64_t age = step - batch->lead_step[row];
    batch->lead_age[row] = batch->lead_ages[age < LEAD_AGE_STEPS ? age : LEAD_AGE_STEPS];
    for (int voice = 0; voice < N_VOICES; voice++) {
        const int64_t velocity = batch->voice_velocity[row * N_VOICES + voice];
        batch->loudness[row * N_VOICES + voice] =
            velocity < N_VELOCITIES ? (float)(velocity + 1) / N_VELOCITIES : 0.0f;
    }
    batch->grade[2 * row] = batch->source_grade[row];
    batch->grade[2 * row + 1] = (float)strikes;
}

/* Prepares the inputs of the step part for all rows. */
EXPORTED void begin_step(const Batch *batch, int64_t step, int64_t place) {
    for (int64_t row = 0; row < batch->n_rows; row++) {
        const int is_final = step == batch->final_step[row / batch->candidates];
        if (place == 0 && (is_final || batch->sound[row] == SILENT))
            memset(ROW(batch->remaining, row, N_NOTES), 0, sizeof(int32_t) * N_NOTES);
        if (place == STEPS_PER_BEAT - 1)
            show_first_step(batch, row, step - place);
        tell(batch, row, step, place);
    }
}

/* The first onset of the draft that rules allow, at or after each token; `STOP` where there is
 * none. */
static void follow_draft(const Batch *batch, int64_t row, const float *draft) {
    const uint8_t *allowed = ROW(batch->allowed, row / batch->candidates, N_TOKENS);
    int16_t *following = ROW(batch->following, row, N_TOKENS);
    following[STOP] = STOP;
    for (int token = N_NOTES - 1; token >= 0; token--)
        following[token] =
            draft[token] > 0.0f && allowed[token] ? (int16_t)token : following[token + 1];
}

/* How much likelier a note of the lead is because it has kept silent too long. */
static float tune_pull(const Batch *batch, int64_t row, int64_t step) {
    const int64_t since = batch->tune_since[(row / batch->candidates) * batch->n_steps + step];
    const int64_t lead_step = batch->lead_step[row];
    const double patience = batch->tune_patience[0], gain = batch->tune_patience[1];
    const double most = batch->tune_patience[2];
    const double silence = (double)(step - (since > lead_step ? since : lead_step)) - patience;
    if (since == NEVER || silence <= 0.0)
        return 0.0f;
    const double pull = gain * silence / STEPS_PER_BEAT;
    return (float)(pull < most ? pull : most);
}

/* Works out what is added to the logits of a row's own notes: for whether a voice strikes, and for
 * which pitch it is. */
static void lean(const Batch *batch, int64_t row, int64_t step, int64_t place) {
    const float *draft = AT(batch->draft, place, row, N_PLANES);
    const float *attraction = AT(batch->attraction, place, row, N_NOTES);
    const float *pitch_pull = ROW(batch->pitch_pull, row, N_NOTES);
    const float *leaps = ROW(batch->leaps, batch->lead[row], N_PITCHES);
    const uint8_t *sounded = ROW(batch->sounded, row, N_NOTES);
    float *added = ROW(batch->added, row, N_NOTES);
    float *added_within = ROW(batch->added_within, row, N_NOTES);
    const float held_back = batch->shift[row] < 0.0f ? batch->shift[row] : 0.0f;
    const float density = batch->density_pull[row], tune = tune_pull(batch, row, step);
    for (int token = 0; token < N_NOTES; token++) {
        const int is_lead = token < N_PITCHES;
        added[token] = density + (is_lead ? tune : 0.0f) + attraction[token];
        added[token] += draft[token] > 0.0f ? held_back : 0.0f;
        added_within[token] = added[token] + pitch_pull[token];
        added_within[token] += sounded[token] ? batch->restrike[token] : 0.0f;
        added_within[token] += is_lead ? leaps[token] : 0.0f;
    }
}

/* Prepares the note part for the rows that may sound; returns how many those are. */
EXPORTED int64_t begin_notes(const Batch *batch, int64_t step, int64_t place) {
    int64_t n = 0;
    for (int64_t row = 0; row < batch->n_rows; row++) {
        const int64_t final = batch->final_step[row / batch->candidates];
        memset(ROW(batch->n_struck, row, N_VOICES), 0, sizeof(int64_t) * N_VOICES);
        if (batch->sound[row] == SILENT || (final != NEVER && step > final))
            continue;
        const float *draft = AT(batch->draft, place, row, N_PLANES);
        const int64_t features = batch->features_width, chosen = batch->chosen_width;
        follow_draft(batch, row, draft);
        lean(batch, row, step, place);
        copy(batch->step_features, row, batch->features, n, features);
        copy(batch->step_token_bias, row, batch->token_bias, n, N_NOTES);
        copy(draft, 0, batch->draft_onsets, n, N_NOTES);
        memset(ROW(batch->chosen, n, chosen), 0, sizeof(float) * chosen);
        batch->last_token[n] = START;
        batch->last_lead[n] = batch->lead[row];
        batch->last_bass[n] = batch->bass[row];
        batch->draft_duration[n] = batch->chord_duration[n] = N_DURATIONS;
        batch->draft_velocity[n] = batch->latest_velocity[n] = N_VELOCITIES;
        batch->alive[n++] = row;
    }
    return n;
}

/* Draws how long and how loud the latest note of a row is, and lets it sound. `n` is its place
 * among the rows that go on. */
static void finish_note(const Batch *batch, int64_t n, int64_t step, int64_t place, const double *dice) {
    const int64_t row = batch->alive[n], song = row / batch->candidates;
    const int64_t token = batch->last_token[n], at = step * N_NOTES + token;
    const uint8_t *free = (const uint8_t *)batch->given_free[song];
    const float *pull = ROW(batch->length_pull, row, N_DURATIONS);
    float logits[N_DURATIONS];
    for (int i = 0; i < N_DURATIONS; i++)
        logits[i] = batch->duration_logits[n * N_DURATIONS + i] + pull[i];
    int64_t duration = draw_class(
        logits, N_DURATIONS, batch->temperature[OF_DURATION], batch->top_p[OF_DURATION],
        (int)batch->draft_duration[n], batch->shift[row], dice[0]
    );
    int64_t velocity = draw_class(
        ROW(batch->velocity_logits, n, N_VELOCITIES), N_VELOCITIES, batch->temperature[OF_VELOCITY],
        batch->top_p[OF_VELOCITY], (int)batch->draft_velocity[n], batch->shift[row], dice[1]
    );
    duration = limited_duration(batch, song, step, duration);
    if (free && !free[step * N_TOKENS + token]) {
        duration = ((const int8_t *)batch->given_durations[song])[at];
        velocity = ((const int8_t *)batch->given_velocities[song])[at];
    }
    AT(batch->durations, place, row, N_NOTES)[token] = (int8_t)duration;
    AT(batch->velocities, place, row, N_NOTES)[token] = (int8_t)velocity;
    batch->voice_velocity[row * N_VOICES + token / N_PITCHES] = velocity;
    batch->remaining[row * N_NOTES + token] = batch->durations_in_steps[duration];
}

/* Whether a row is to wake and has nothing that sounds. */
static int is_asleep(const Batch *batch, int64_t row) {
    if (batch->sound[row] != WAKING)
        return 0;
    for (int token = 0; token < N_NOTES; token++)
        if (batch->remaining[row * N_NOTES + token] > 0)
            return 0;
    return 1;
}

/* Draws the next token of a row. */
static int64_t next_token(const Batch *batch, int64_t n, int64_t step, int64_t place, double die) {
    const int64_t row = batch->alive[n], last = batch->last_token[n];
    const Moment now = {
        row / batch->candidates, step, last, ROW(batch->n_struck, row, N_VOICES)
    };
    float probs[N_TOKENS];
    own_probs(
        batch, ROW(batch->logits, n, N_TOKENS), ROW(batch->added, row, N_NOTES),
        ROW(batch->added_within, row, N_NOTES), probs
    );
    const int copied = batch->following[row * N_TOKENS + (last == START ? 0 : last + 1)];
    mix_with_copy(probs, batch->gate[n], batch->shift[row], copied);
    if (place == 0 && last == START && is_asleep(batch, row) && sum_of(probs, STOP) > 0.0f)
        probs[STOP] = 0.0f;
    allow(batch, &now, probs);
    keep_likeliest(batch, probs);
    allow_given(batch, &now, probs);
    return draw(probs, N_TOKENS, die);
}

/* Lets the row that is `n`-th among those that go on strike a note, and makes it the `kept`-th of
 * those that still go on. */
static void strike(const Batch *batch, int64_t n, int64_t kept, int64_t token, int64_t place) {
    const int64_t row = batch->alive[n], before = batch->last_token[n], voice = token / N_PITCHES;
    if (n != kept) {
        copy(batch->features, n, batch->features, kept, batch->features_width);
        copy(batch->token_bias, n, batch->token_bias, kept, N_NOTES);
        copy(batch->draft_onsets, n, batch->draft_onsets, kept, N_NOTES);
        batch->last_lead[kept] = batch->last_lead[n];
        batch->last_bass[kept] = batch->last_bass[n];
        batch->alive[kept] = row;
    }
    copy(batch->next_chosen, n, batch->chosen, kept, batch->chosen_width);
    batch->last_token[kept] = token;
    batch->draft_duration[kept] = AT(batch->draft_durations, place, row, N_NOTES)[token];
    batch->draft_velocity[kept] = AT(batch->draft_velocities, place, row, N_NOTES)[token];
    batch->chord_duration[kept] =
        before == START ? N_DURATIONS : AT(batch->durations, place, row, N_NOTES)[before];
    batch->latest_velocity[kept] = batch->voice_velocity[row * N_VOICES + voice];
    batch->n_struck[row * N_VOICES + voice]++;
    AT(batch->planes, place, row, N_PLANES)[token] = 1.0f;
}

/* Takes the outputs of the note part, which has run for the `index`-th time in this step, for `n`
 * rows; returns how many go on. */
EXPORTED int64_t
decide(const Batch *batch, int64_t step, int64_t place, int64_t index, int64_t n) {
    int64_t n_kept = 0;
    for (int64_t i = 0; i < n; i++) {
        const double *dice = ROW(batch->uniforms, batch->alive[i], STEPS_PER_BEAT * N_UNIFORMS);
        dice += place * N_UNIFORMS + index * DRAWS;
        if (index > 0)
            finish_note(batch, i, step, place, dice + 1);
        if (index == MAX_NOTES_PER_STEP)
            continue;
        const int64_t token = next_token(batch, i, step, place, dice[0]);
        if (token != STOP)
            strike(batch, i, n_kept++, token, place);
    }
    return n_kept;
}

/* Takes in what the outer lines of a row have played; the outer note of an onset counts. */
static void follow_lines(const Batch *batch, int64_t row, int64_t step, const float *onsets) {
    const float *articulation = ROW(batch->articulation, row, N_ARTICULATION);
    const uint8_t *sounded = ROW(batch->sounded, row, N_NOTES);
    float *endings = ROW(batch->endings, row, 2);
    int lead = 0, bass = N_PITCHES, sounds = 0;
    while (lead < N_PITCHES && onsets[lead] == 0.0f)
        lead++;
    while (bass < N_NOTES && onsets[bass] == 0.0f)
        bass++;
    for (int token = 0; token < N_PITCHES; token++)
        sounds |= sounded[token];
    if (lead < N_PITCHES) {
        if (batch->heard_step[row] >= 0) /* how the note before ended: at the onset, a step before */
            for (int i = 0; i < 2; i++)
                endings[i] += *batch->endings_pace * (articulation[1 + i] - endings[i]);
        batch->lead[row] = N_PITCHES - 1 - lead;
        batch->lead_step[row] = step;
    }
    if (sounds)
        batch->heard_step[row] = step;
    if (bass < N_NOTES)
        batch->bass[row] = bass - N_PITCHES;
}

/* Counts what a row has played in the step. */
static void count(const Batch *batch, int64_t row, const float *onsets, const float *draft) {
    const uint8_t *foreign = ROW(batch->foreign, row / batch->candidates, N_NOTES);
    double *counts = ROW(batch->counts, row, N_COUNTS);
    int pitches = 0, n_foreign = 0, n_common = 0;
    for (int token = 0; token < N_PITCHES; token++)
        pitches += onsets[token] > 0.0f ? N_PITCHES - 1 - token : 0;
    for (int token = 0; token < N_NOTES; token++)
        n_foreign += onsets[token] > 0.0f ? foreign[token] : 0;
    for (int token = 0; token < N_NOTES; token++)
        n_common += onsets[token] > 0.0f && draft[token] > 0.0f;
    const float n_struck = sum_of(onsets, N_NOTES); /* they are 0 or 1 */
    counts[N_STRUCK] += n_struck;
    counts[N_SOUNDING] += sum_of(onsets + N_NOTES, N_NOTES);
    counts[N_LEAD] += sum_of(onsets, N_PITCHES);
    counts[LEAD_PITCHES] += pitches;
    counts[N_FOREIGN] += n_foreign;
    counts[N_COMMON] += n_common;
    counts[N_EITHER] += n_struck + sum_of(draft, N_NOTES) - (float)n_common;
}

/* Ends the step of all rows. */
EXPORTED void end_step(const Batch *batch, int64_t step, int64_t place) {
    for (int64_t row = 0; row < batch->n_rows; row++) {
        float *onsets = AT(batch->planes, place, row, N_PLANES);
        const int32_t *remaining = ROW(batch->remaining, row, N_NOTES);
        uint8_t *sounded = ROW(batch->sounded, row, N_NOTES);
        release(batch, row, onsets);
        for (int token = 0; token < N_NOTES; token++) {
            sounded[token] = remaining[token] > 0;
            onsets[N_NOTES + token] = (float)sounded[token];
        }
        follow_lines(batch, row, step, onsets);
        count(batch, row, onsets, AT(batch->draft, place, row, N_PLANES));
        copy(onsets, 0, batch->previous, row, N_NOTES);
    }
}
