// Kernels that go row by row: softmax, exponential, prefix averages (Aaren's scan). Included by host_isa_*.cpp.

static void exp_array(const float* in, float* out, std::int64_t count) {
    std::int64_t i = 0;
    for (; i + 2 * LANES <= count; i += 2 * LANES) {
        const Vec a = exp(load(in + i)), b = exp(load(in + i + LANES));
        store(out + i, a);
        store(out + i + LANES, b);
    }
    for (; i < count; i += LANES) {
        const int some = count - i < LANES ? static_cast<int>(count - i) : LANES;
        store_some(out + i, exp(load_some(in + i, some, 0.0f)), some);
    }
}

static void softmax_row(const float* in, float* out, std::int64_t columns) {
    Vec most[4] = {all(LOWEST), all(LOWEST), all(LOWEST), all(LOWEST)};
    std::int64_t i = 0;
    for (; i + 4 * LANES <= columns; i += 4 * LANES)
#pragma GCC unroll 4
        for (int u = 0; u < 4; ++u) most[u] = maximum(load(in + i + u * LANES), most[u]);
    for (; i < columns; i += LANES) {
        const int some = columns - i < LANES ? static_cast<int>(columns - i) : LANES;
        most[0] = maximum(load_some(in + i, some, LOWEST), most[0]);
    }
    const float largest = largest_lane(maximum(maximum(most[0], most[1]), maximum(most[2], most[3])));
    const Vec steep = all(LOG2_E);
    Vec sum[4] = {all(0.0f), all(0.0f), all(0.0f), all(0.0f)};
    for (i = 0; i + 4 * LANES <= columns; i += 4 * LANES)
#pragma GCC unroll 4
        for (int u = 0; u < 4; ++u) {
            const Vec numerator = exp2((load(in + i + u * LANES) - all(largest)) * steep);
            sum[u] += numerator;
            store(out + i + u * LANES, numerator);
        }
    for (; i < columns; i += LANES) {
        const int some = columns - i < LANES ? static_cast<int>(columns - i) : LANES;
        const Vec numerator = exp2((load_some(in + i, some, -__builtin_inff()) - all(largest)) * steep);
        sum[0] += numerator;
        store_some(out + i, numerator, some);
    }
    const Vec inverse = all(1.0f / sum_of_lanes((sum[0] + sum[1]) + (sum[2] + sum[3])));
    for (i = 0; i + 4 * LANES <= columns; i += 4 * LANES)
#pragma GCC unroll 4
        for (int u = 0; u < 4; ++u) store(out + i + u * LANES, load(out + i + u * LANES) * inverse);
    for (; i < columns; i += LANES) {
        const int some = columns - i < LANES ? static_cast<int>(columns - i) : LANES;
        store_some(out + i, load_some(out + i, some, 0.0f) * inverse, some);
    }
}

// NV vectors of features through a stretch of tokens: each is a chain of multiply-adds, so several go side by side.
template <int NV>
HOST_INLINE void scan_features(const ScanTask& task, std::int64_t start, int tokens, int feature, const float* past,
                               const float* fresh, const float* inverse) {
    float* numerator = task.carry + 2 + feature;
    Vec sum[NV];
#pragma GCC unroll 4
    for (int j = 0; j < NV; ++j) sum[j] = load(numerator + j * LANES);
    for (int t = 0; t < tokens; ++t) {
        const std::int64_t at = (start + t) * task.dim + feature;
#pragma GCC unroll 4
        for (int j = 0; j < NV; ++j) {
            sum[j] = fma(sum[j], all(past[t]), load(task.v + at + j * LANES) * fresh[t]);
            if (task.out) store(task.out + at + j * LANES, sum[j] * inverse[t]);
        }
    }
#pragma GCC unroll 4
    for (int j = 0; j < NV; ++j) store(numerator + j * LANES, sum[j]);
}

// Coefficients of a stretch of tokens come first, with tokens along lanes; then the recurrence itself, with features
// along lanes: numerator = past[t] * numerator + fresh[t] * v[t].
static void scan(const ScanTask& task) {
    constexpr int STRETCH = 64;
    float before[STRETCH], after[STRETCH], past[STRETCH], fresh[STRETCH], inverse[STRETCH];
    float most = task.carry[0], total = task.carry[1];
    float* numerator = task.carry + 2;
    for (std::int64_t start = 0; start < task.tokens; start += STRETCH) {
        const int some = task.tokens - start < STRETCH ? static_cast<int>(task.tokens - start) : STRETCH;
        const float* scores = task.scores + start;
        for (int t = 0; t < some; ++t) {
            before[t] = most;
            most = scores[t] > most ? scores[t] : most;
            after[t] = most;
        }
        for (int t = some; t < STRETCH; ++t) before[t] = after[t] = most;
        for (int t = 0; t < round_up(some, LANES); t += LANES) {
            const int here = some - t < LANES ? some - t : LANES;
            store(past + t, exp2((load(before + t) - load(after + t)) * LOG2_E));
            store(fresh + t, exp2((load_some(scores + t, here, LOWEST) - load(after + t)) * LOG2_E));
        }
        for (int t = 0; t < some; ++t) {
            total = total * past[t] + fresh[t];
            inverse[t] = 1.0f / total;
        }
        int f = 0;
        for (; f + 4 * LANES <= task.dim; f += 4 * LANES)
            scan_features<4>(task, start, some, f, past, fresh, inverse);
        for (; f + LANES <= task.dim; f += LANES) scan_features<1>(task, start, some, f, past, fresh, inverse);
        for (; f < task.dim; ++f)
            for (int t = 0; t < some; ++t) {
                numerator[f] = numerator[f] * past[t] + fresh[t] * task.v[(start + t) * task.dim + f];
                if (task.out) task.out[(start + t) * task.dim + f] = numerator[f] * inverse[t];
            }
    }
    task.carry[0] = most;
    task.carry[1] = total;
}
