/* Numbers: exponentials that are the same on every machine, nucleus, drawing by weights. */
#include "kernel.h"

#include <string.h>

enum { LANES = 8 };

/* e^x to within two units in the last place, 0 below e^-87; written out since the libraries of
 * different systems differ in the last bit, and songs with them. After Cephes' expf (Moshier).
 * What is not a number is taken for -87. */
static inline float e_to_the(float x) {
    const float low = x > -87.0f ? x : -87.0f;
    const float clamped = low < 88.0f ? low : 88.0f;
    const float rounder = 12582912.0f; /* 1.5 * 2^23: what is added and taken away rounds */
    const float whole = (clamped * 1.44269504f + rounder) - rounder;
    const float rest = (clamped - whole * 0.693359375f) + whole * 2.12194440e-4f;
    float series = 1.9875691500e-4f;
    series = series * rest + 1.3981999507e-3f;
    series = series * rest + 8.3334519073e-3f;
    series = series * rest + 4.1665795894e-2f;
    series = series * rest + 1.6666665459e-1f;
    series = series * rest + 5.0000001201e-1f;
    series = series * rest * rest + rest + 1.0f;
    const int32_t exponent = ((int32_t)whole + 127) * (1 << 23);
    float power;
    memcpy(&power, &exponent, sizeof power);
    return x < -87.0f ? 0.0f : series * power;
}

float exponential(float x) {
    return e_to_the(x);
}

/* In `LANES` partial sums, which a machine adds up at once and another one after the other. */
float sum_of(const float *values, int n) {
    float partial[LANES] = {0};
    int i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int lane = 0; lane < LANES; lane++)
            partial[lane] += values[i + lane];
    for (; i < n; i++)
        partial[i % LANES] += values[i];
    float sum = 0.0f;
    for (int lane = 0; lane < LANES; lane++)
        sum += partial[lane];
    return sum;
}

float greatest_of(const float *values, int n) {
    float greatest[LANES];
    int i = 0;
    for (int lane = 0; lane < LANES; lane++)
        greatest[lane] = values[0];
    for (; i + LANES <= n; i += LANES)
        for (int lane = 0; lane < LANES; lane++)
            greatest[lane] = values[i + lane] > greatest[lane] ? values[i + lane] : greatest[lane];
    for (; i < n; i++)
        greatest[0] = values[i] > greatest[0] ? values[i] : greatest[0];
    for (int lane = 1; lane < LANES; lane++)
        greatest[0] = greatest[lane] > greatest[0] ? greatest[lane] : greatest[0];
    return greatest[0];
}

/* Writes e^(logit - greatest) and returns the sum; zeros where `greatest` is minus infinity. */
float exponentials(const float *logits, float greatest, float *result, int n) {
    if (greatest < -3.0e38f) {
        memset(result, 0, sizeof(float) * n);
        return 0.0f;
    }
    for (int i = 0; i < n; i++)
        result[i] = e_to_the(logits[i] - greatest);
    return sum_of(result, n);
}

/* Keeps the likeliest choices that together reach `top_p` (Holtzman et al. 2020). The weights sum
 * to 1 before. */
void keep_nucleus(float *weights, int n, float top_p) {
    float descending[N_TOKENS];
    if (top_p >= 1.0f)
        return;
    int n_kept = 0;
    float smallest = 0.0f, before = 0.0f;
    memcpy(descending, weights, sizeof(float) * n);
    while (n_kept < n && before < top_p) { /* the next largest comes to its place */
        int largest = n_kept;
        for (int i = n_kept + 1; i < n; i++)
            largest = descending[i] > descending[largest] ? i : largest;
        smallest = descending[largest];
        descending[largest] = descending[n_kept];
        before += smallest;
        n_kept++;
    }
    for (int i = 0; i < n; i++)
        weights[i] = weights[i] >= smallest ? weights[i] : 0.0f;
}

/* Draws a place in proportion to the weights, which are not all zero and need not sum to 1; the
 * last that has any where their sum is beyond reckoning. */
int64_t draw(const float *weights, int n, double uniform) {
    const double wanted = uniform * sum_of(weights, n);
    double cumulative = 0.0;
    int64_t last = 0;
    for (int i = 0; i < n; i++) {
        cumulative += weights[i];
        if (weights[i] > 0.0f)
            last = i; /* sums in another order may end a little lower */
        if (cumulative > wanted)
            break;
    }
    return last;
}
