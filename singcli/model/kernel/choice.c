/* One decision: what the network would play, mixed with what the draft says next. */
#include "kernel.h"

#include <math.h>

#define TINY 1e-12f

static const int KIND_START[] = {0, N_PITCHES, STOP, N_TOKENS};
enum { N_KINDS = 3 }; /* a note of the lead, of the accompaniment, none */

/* Divides logits by a temperature and adds what is added behind it. */
static void warmed(
    const float *restrict logits, float temperature, const float *restrict added,
    float *restrict result, int n
) {
    for (int i = 0; i < n; i++)
        result[i] = logits[i] / temperature + added[i];
}

/* What the network itself would play: p(token) = p(kind) p(token | kind), either from a softmax of
 * its own. Which kind it is has the temperature of the count, which pitch that of its voice.
 * `added` is added to the logits of the notes for the kind, `added_within` for the pitch. */
void own_probs(
    const Batch *batch, const float *logits, const float *added, const float *added_within, float *probs
) {
    float of_kind[N_KINDS], scaled[N_TOKENS];
    warmed(logits, batch->temperature[OF_COUNT], added, scaled, N_NOTES);
    scaled[STOP] = logits[STOP] / batch->temperature[OF_COUNT];
    const float greatest = greatest_of(scaled, N_TOKENS);
    float total = 0.0f;
    for (int kind = 0; kind < N_KINDS; kind++) {
        const int start = KIND_START[kind], n = KIND_START[kind + 1] - start;
        of_kind[kind] = exponentials(scaled + start, greatest, scaled + start, n);
        total += of_kind[kind];
    }
    for (int kind = 0; kind < N_KINDS; kind++) {
        const int start = KIND_START[kind], n = KIND_START[kind + 1] - start;
        float *own = probs + start;
        if (kind < N_VOICES)
            warmed(logits + start, batch->temperature[kind], added_within + start, own, n);
        else
            own[0] = 0.0f; /* there is one way to stop */
        const float within = exponentials(own, greatest_of(own, n), own, n);
        const float share = of_kind[kind] / ((within > TINY ? within : TINY) * total);
        for (int i = 0; i < n; i++)
            own[i] *= share;
    }
}

/* Mixes in what the draft says next (See, Liu, Manning 2017, equation 9). `gate` are log odds of
 * copying, `shift` what strictness adds; that the source stops is never held against it. */
void mix_with_copy(float *probs, float gate, float shift, int copied) {
    if (copied == STOP && shift < 0.0f)
        shift = 0.0f;
    const float odds = 1.0f / (1.0f + exponential(-(gate + shift)));
    for (int token = 0; token < N_TOKENS; token++)
        probs[token] *= 1.0f - odds;
    probs[copied] += odds;
}

/* Keeps the likeliest kinds of note, and the likeliest pitches of each. */
void keep_likeliest(const Batch *batch, float *probs) {
    const float *top_p = batch->top_p;
    float of_kind[N_KINDS], total = 0.0f;
    if (top_p[OF_LEAD] >= 1.0f && top_p[OF_ACCOMPANIMENT] >= 1.0f && top_p[OF_COUNT] >= 1.0f)
        return;
    for (int kind = 0; kind < N_KINDS; kind++) {
        of_kind[kind] = sum_of(probs + KIND_START[kind], KIND_START[kind + 1] - KIND_START[kind]);
        total += of_kind[kind];
    }
    for (int kind = 0; kind < N_KINDS; kind++)
        of_kind[kind] /= total;
    keep_nucleus(of_kind, N_KINDS, top_p[OF_COUNT]);
    for (int kind = 0; kind < N_KINDS; kind++) {
        const int start = KIND_START[kind], n = KIND_START[kind + 1] - start;
        const float own_top_p = kind < N_VOICES ? top_p[kind] : 1.0f;
        const float mass = sum_of(probs + start, n);
        if (of_kind[kind] <= 0.0f) {
            for (int i = 0; i < n; i++)
                probs[start + i] = 0.0f;
        } else if (own_top_p < 1.0f && mass > 0.0f) {
            for (int i = 0; i < n; i++)
                probs[start + i] /= mass;
            keep_nucleus(probs + start, n, own_top_p);
            for (int i = 0; i < n; i++)
                probs[start + i] *= mass;
        }
    }
}

/* Draws how long or how loud a note is; the draft's class is favoured if `shift` is positive, and
 * certain if it is infinite. `draft` is `n` where there is none. */
int64_t draw_class(
    const float *logits, int n, float temperature, float top_p, int draft, float shift, double uniform
) {
    float probs[N_DURATIONS];
    if (draft < n && isinf(shift) && shift > 0.0f)
        return draft;
    for (int i = 0; i < n; i++)
        probs[i] = logits[i] / temperature;
    if (draft < n && shift > 0.0f)
        probs[draft] += shift;
    const float total = exponentials(probs, greatest_of(probs, n), probs, n);
    if (top_p < 1.0f) {
        for (int i = 0; i < n; i++)
            probs[i] /= total;
        keep_nucleus(probs, n, top_p);
    }
    return draw(probs, n, uniform);
}
