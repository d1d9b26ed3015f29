/* The compiled part of the sampler: what a batch of songs carries, and what is done with it a step.
 *
 * Rows are songs or candidates of songs, `candidates` rows a song, song by song. Arrays belong to
 * the caller (`singcli/model/kernel/__init__.py`, which says their shapes) and are C-contiguous.
 * Terms and tokens are those of `singcli/model/contract.py`, numbers must be the same.
 */
#ifndef SINGCLI_KERNEL_H
#define SINGCLI_KERNEL_H

#include <stdint.h>

enum {
    STEPS_PER_BEAT = 4,
    N_VOICES = 2,
    N_PITCHES = 88,
    N_NOTES = N_VOICES * N_PITCHES,
    STOP = N_NOTES,
    N_TOKENS = N_NOTES + 1,
    START = N_TOKENS,
    MAX_NOTES_PER_STEP = 12,
    N_DURATIONS = 24,
    N_VELOCITIES = 8,
    N_BARS_AGO = 3,
    N_ARTICULATION = 5,
    LEAD_AGE_STEPS = 64,
    WEIGHT_ROWS = 64, /* beats whose weights are known at a time */
    DRAWS = 3, /* random numbers of a note: a token, a duration, a velocity */
    NEVER = -1,
    SILENT = -1,
    WAKING = 1,
};

enum { LEAD, ACCOMPANIMENT };

/* In the order of `PerDecision`. */
enum { OF_LEAD, OF_ACCOMPANIMENT, OF_COUNT, OF_DURATION, OF_VELOCITY, N_DECISIONS };

/* What is counted of the notes of a beat, `counts`: onsets; steps that notes sound; notes of the
 * lead and the sum of their pitches; onsets outside the scale; onsets in common with the draft; in
 * one of the two. */
enum { N_STRUCK, N_SOUNDING, N_LEAD, LEAD_PITCHES, N_FOREIGN, N_COMMON, N_EITHER, N_COUNTS };

/* All that songs share, then arrays; the order is that of `_LAYOUT` in Python. */
typedef struct {
    int64_t n_rows, n_songs, candidates, n_steps; /* steps of the longest song */
    int64_t chosen_width, features_width, place_width;

    /* The same for all songs. */
    const float *temperature, *top_p; /* by decision */
    const float *lead_ages;           /* by steps since the last note of the lead */
    const float *leaps;               /* (last pitch of the lead, its next token) */
    const float *restrike;            /* by token that sounds already */
    const int32_t *durations_in_steps;
    const double *tune_patience; /* steps without a tune, gain a beat, most that is gained */
    const float *endings_pace;

    /* Rules, by song; see `rules.SongRules`. */
    const uint8_t *allowed, *foreign, *final, *final_bass, *final_lead;
    const int64_t *final_step, *final_stop, *polyphony, *tune_since, *longest;

    /* Given notes, by song: addresses of the arrays of `layout.GivenTokens`, or 0. */
    const uint64_t *given_free, *given_following, *given_durations, *given_velocities;

    /* The rest of `layout.Layout`, by song: addresses of its arrays; weights of earlier beats, from
     * the last multiple of WEIGHT_ROWS on, for songs of as many beats, 0 for those without. */
    const uint64_t *bars_ago_steps, *place_steps, *weights;
    const int64_t *n_weights;

    /* What songs have played: onsets and sounding notes, classes; their last step stays empty. */
    uint8_t *history;
    int8_t *history_durations, *history_velocities;
    uint8_t *heard; /* by beat */

    /* What rows are shown for a beat: of the steps that they look back at and the one after. */
    const int64_t *source;
    const float *source_grade;
    float *draft, *bars_ago, *context, *place;
    int8_t *draft_durations, *draft_velocities;

    /* What holds for a beat of a row. */
    const float *attraction, *shift, *density_pull, *length_pull, *pitch_pull;
    const int64_t *sound;
    const double *uniforms;

    /* What a row carries from step to step. */
    int32_t *remaining;
    uint8_t *sounded;
    int64_t *voice_velocity, *lead, *bass, *lead_step, *heard_step;
    float *endings;

    /* What its current beat holds. */
    float *planes;
    int8_t *durations, *velocities;
    double *counts;

    /* Inputs of the step part that are made here, and outputs that are read here. */
    float *previous, *carried, *grade, *loudness, *articulation, *lead_age;
    const float *step_features, *step_token_bias;

    /* Inputs and outputs of the note part: of the rows that go on, one after the other. */
    float *features, *token_bias, *chosen, *draft_onsets;
    int64_t *last_token, *last_lead, *last_bass;
    int64_t *draft_duration, *chord_duration, *draft_velocity, *latest_velocity;
    const float *logits, *gate, *next_chosen, *duration_logits, *velocity_logits;

    /* Of the current step. */
    int64_t *alive; /* rows that go on */
    int64_t *n_struck;
    int64_t *kept; /* the row of each song that becomes its history */
    float *added, *added_within;
    int16_t *following;
} Batch;

/* A decision about the next token of one row: what the rules make of the probabilities. */
typedef struct {
    int64_t song, step, last;
    const int64_t *n_struck;
} Moment;

#if defined(_WIN32)
#define EXPORTED __declspec(dllexport)
#else
#define EXPORTED __attribute__((visibility("default")))
#endif

enum { N_PLANES = 2 * N_NOTES };

/* A row of an array whose rows have this width; of one laid out by step of the beat first. */
#define ROW(array, row, width) ((array) + (row) * (width))
#define AT(array, place, row, width) ((array) + ((place) * batch->n_rows + (row)) * (width))

/* beats.c */
void show_first_step(const Batch *batch, int64_t row, int64_t first);

/* numbers.c */
float sum_of(const float *values, int n);
float exponential(float x);
float greatest_of(const float *values, int n);
float exponentials(const float *logits, float greatest, float *result, int n);
void keep_nucleus(float *weights, int n, float top_p);
int64_t draw(const float *weights, int n, double uniform);

/* choice.c */
void own_probs(
    const Batch *batch, const float *logits, const float *added, const float *added_within, float *probs
);
void mix_with_copy(float *probs, float gate, float shift, int copied);
void keep_likeliest(const Batch *batch, float *probs);
int64_t draw_class(
    const float *logits, int n, float temperature, float top_p, int draft, float shift, double uniform
);

/* rules.c */
void allow(const Batch *batch, const Moment *now, float *probs);
void allow_given(const Batch *batch, const Moment *now, float *probs);
int64_t limited_duration(const Batch *batch, int64_t song, int64_t step, int64_t duration);
void release(const Batch *batch, int64_t row, const float *onsets);

#endif
