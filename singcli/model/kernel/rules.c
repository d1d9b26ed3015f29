/* Rules that hold whatever the network says: limits, the final chord, notes that are given. */
#include "kernel.h"

#include <string.h>

/* Whether any of the tokens from `first` to `stop` is in a set. */
static int has_any(const uint8_t *set, int first, int stop) {
    for (int token = first; token < stop; token++)
        if (set[token])
            return 1;
    return 0;
}

/* The tokens of a final chord that may come next: a note of the lead first, the tonic in the bass. */
static void allow_final_chord(const Batch *batch, const Moment *now, uint8_t *allowed) {
    const uint8_t *chord = batch->final + now->song * N_TOKENS;
    const uint8_t *bass = batch->final_bass + now->song * N_TOKENS;
    const int begins = now->last == START;
    const int after = begins ? 0 : (int)now->last + 1;
    const int wants_lead = batch->final_lead[now->song] && begins && has_any(chord, 0, N_PITCHES);
    const int wants_bass = now->n_struck[ACCOMPANIMENT] == 0;
    memset(allowed, 0, N_TOKENS);
    for (int token = after; token < N_TOKENS; token++) {
        const int is_lead = token < N_PITCHES;
        const int in_chord = token == STOP || chord[token];
        allowed[token] = in_chord && (!wants_lead || is_lead) && (!wants_bass || is_lead || bass[token]);
    }
}

/* Leaves the tokens that are allowed; a row with nothing left stops, or plays what it must. */
void allow(const Batch *batch, const Moment *now, float *probs) {
    uint8_t allowed[N_TOKENS];
    const int64_t *polyphony = batch->polyphony + now->song * N_VOICES;
    if (now->step == batch->final_step[now->song])
        allow_final_chord(batch, now, allowed);
    else
        memcpy(allowed, batch->allowed + now->song * N_TOKENS, N_TOKENS);
    for (int voice = 0; voice < N_VOICES; voice++)
        if (now->n_struck[voice] >= polyphony[voice])
            memset(allowed + voice * N_PITCHES, 0, N_PITCHES);
    for (int token = 0; token < N_TOKENS; token++)
        probs[token] = allowed[token] ? probs[token] : 0.0f;
    if (sum_of(probs, N_TOKENS) > 0.0f)
        return;
    const int stops = allowed[STOP] || !has_any(allowed, 0, STOP);
    for (int token = 0; token < STOP; token++)
        probs[token] = !stops && allowed[token] ? 1.0f : 0.0f;
    probs[STOP] = stops ? 1.0f : 0.0f;
}

/* Allows only what leads through the notes that are given; without a choice the next of them is
 * certain. */
void allow_given(const Batch *batch, const Moment *now, float *probs) {
    const uint8_t *free = (const uint8_t *)batch->given_free[now->song];
    const int64_t *following = (const int64_t *)batch->given_following[now->song];
    if (!free)
        return;
    const int after = now->last == START ? 0 : (int)now->last + 1;
    const int given = (int)following[now->step * N_TOKENS + after];
    free += now->step * N_TOKENS;
    for (int token = 0; token < N_TOKENS; token++) {
        const int leads_on = token >= after && token < given && free[token];
        probs[token] = leads_on || token == given ? probs[token] : 0.0f;
    }
    if (sum_of(probs, N_TOKENS) <= 0.0f)
        probs[given] = 1.0f;
}

/* Shortens a duration class to what is allowed; a final chord lasts to the end of its bar. */
int64_t limited_duration(const Batch *batch, int64_t song, int64_t step, int64_t duration) {
    const int64_t longest = batch->longest[song * batch->n_steps + step];
    if (step != batch->final_step[song])
        return duration < longest ? duration : longest;
    const int64_t length = batch->final_stop[song] - step;
    int64_t whole = 0;
    while (whole < N_DURATIONS - 1 && batch->durations_in_steps[whole] < length)
        whole++;
    return whole;
}

/* Ends held notes, those that would end soonest first, where a voice has too many. */
void release(const Batch *batch, int64_t row, const float *onsets) {
    const int64_t song = row / batch->candidates;
    for (int voice = 0; voice < N_VOICES; voice++) {
        int32_t *remaining = batch->remaining + row * N_NOTES + voice * N_PITCHES;
        const float *struck = onsets + voice * N_PITCHES;
        int64_t surplus = -batch->polyphony[song * N_VOICES + voice];
        for (int i = 0; i < N_PITCHES; i++)
            surplus += remaining[i] > 0;
        for (; surplus > 0; surplus--) {
            int soonest = NEVER;
            for (int i = 0; i < N_PITCHES; i++)
                if (remaining[i] > 0 && struck[i] == 0.0f)
                    if (soonest == NEVER || remaining[i] < remaining[soonest])
                        soonest = i;
            if (soonest == NEVER)
                break;
            remaining[soonest] = 0;
        }
    }
}
