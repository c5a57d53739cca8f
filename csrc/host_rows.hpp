// Kernels that go row by row: softmax, exponential, prefix averages (Aaren's scan). Included by host_isa_*.cpp.

static void exp_array(const float* in, float* out, std::int64_t count) {
    std::int64_t i = 0;
    for (; i + 4 * LANES <= count; i += 4 * LANES) {
        Vec x[4];
#pragma GCC unroll 4
        for (int u = 0; u < 4; ++u) x[u] = load(in + i + u * LANES);
        exp_each<4>(x);
#pragma GCC unroll 4
        for (int u = 0; u < 4; ++u) store(out + i + u * LANES, x[u]);
    }
    for (; i < count; i += LANES) {
        const int some = count - i < LANES ? static_cast<int>(count - i) : LANES;
        Vec x[1] = {load_some(in + i, some, 0.0f)};
        exp_each<1>(x);
        store_some(out + i, x[0], some);
    }
}

template <int NV>
HOST_INLINE Vec total(const Vec (&part)[NV]) {
    Vec sum = part[0];
#pragma GCC unroll 8
    for (int i = 1; i < NV; ++i) sum += part[i];
    return sum;
}

// Of rows no longer than this, lines of the next one are asked for beside the exponentials of this one: both fit the nearest
// cache together.
constexpr std::int64_t SHORT = 1024;

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
    // exp(x - largest) is 2 to the power of steep * x + past: rounding `past` changes all numerators by one factor, and no
    // quotient. Where it might overflow, the loop for what is left does all.
    const bool near = largest > -1e38f && largest < 1e38f;
    const Vec steep = all(LOG2_E), past = all(near ? -largest * LOG2_E : 0.0f);
    Vec sum[ROW_EXPS] = {};
    for (i = 0; near && i + ROW_EXPS * LANES <= columns; i += ROW_EXPS * LANES) {
        Vec x[ROW_EXPS];
#pragma GCC unroll 8
        for (int u = 0; u < ROW_EXPS; ++u) {
            const Vec given = load(in + i + u * LANES);
            x[u] = FUSED ? fma(given, steep, past) : (given - all(largest)) * steep;
        }
        if (columns <= SHORT)
            for (int line = 0; line < ROW_EXPS * LANES; line += 16) {
                __builtin_prefetch(in + columns + i + line);
                __builtin_prefetch(out + columns + i + line, 1);
            }
        exp2_each<ROW_EXPS>(x);
#pragma GCC unroll 8
        for (int u = 0; u < ROW_EXPS; ++u) {
            sum[u] += x[u];
            store(out + i + u * LANES, x[u]);
        }
    }
    for (; i < columns; i += LANES) {
        const int some = columns - i < LANES ? static_cast<int>(columns - i) : LANES;
        const Vec numerator = exp2((load_some(in + i, some, -__builtin_inff()) - all(largest)) * steep);
        sum[0] += numerator;
        store_some(out + i, numerator, some);
    }
    const Vec inverse = all(1.0f / sum_of_lanes(total(sum)));
    for (i = 0; i + 4 * LANES <= columns; i += 4 * LANES)
#pragma GCC unroll 4
        for (int u = 0; u < 4; ++u) store(out + i + u * LANES, load(out + i + u * LANES) * inverse);
    for (; i < columns; i += LANES) {
        const int some = columns - i < LANES ? static_cast<int>(columns - i) : LANES;
        store_some(out + i, load_some(out + i, some, 0.0f) * inverse, some);
    }
}

// NV vectors of features through a stretch of tokens: each is a chain of multiply-adds, so several go side by side. What
// the loop needs is in variables of its own: a store might change whatever else lies in memory.
template <int NV, bool WRITE>
HOST_INLINE void scan_features(const float* v, float* out, std::int64_t dim, int tokens, float* numerator,
                               const float* past, const float* fresh, const float* inverse) {
    Vec sum[NV];
#pragma GCC unroll 8
    for (int j = 0; j < NV; ++j) sum[j] = load(numerator + j * LANES);
    for (int t = 0; t < tokens; ++t) {
        const Vec kept = all(past[t]), taken = all(fresh[t]);
#pragma GCC unroll 8
        for (int j = 0; j < NV; ++j) sum[j] = fma(sum[j], kept, load(v + t * dim + j * LANES) * taken);
        if (!WRITE) continue;
        const Vec divided = all(inverse[t]);
#pragma GCC unroll 8
        for (int j = 0; j < NV; ++j) store(out + t * dim + j * LANES, sum[j] * divided);
    }
#pragma GCC unroll 8
    for (int j = 0; j < NV; ++j) store(numerator + j * LANES, sum[j]);
}

// Maxima before and behind every token, and the last.
HOST_INLINE float running_maxima(const float* scores, int tokens, float most, float* before, float* after) {
    for (int t = 0; t < tokens; ++t) {
        before[t] = most;
        most = scores[t] > most ? scores[t] : most;
        after[t] = most;
    }
    return most;
}

// Coefficients of a stretch of tokens come first, with tokens along lanes; then the recurrence itself, with features
// along lanes: numerator = past[t] * numerator + fresh[t] * v[t].
template <bool WRITE>
HOST_INLINE void scan_tokens(const ScanTask& task) {
    constexpr int STRETCH = 64;
    constexpr int BLOCK = 16;  // tokens after which the next features come: what is fetched ahead of a row is wanted soon
    float before[STRETCH], after[STRETCH], past[STRETCH], fresh[STRETCH], inverse[STRETCH];
    float most = task.carry[0], total = task.carry[1];
    float* numerator = task.carry + 2;
    const std::int64_t dim = task.dim;
    for (std::int64_t start = 0; start < task.tokens; start += STRETCH) {
        const int some = task.tokens - start < STRETCH ? static_cast<int>(task.tokens - start) : STRETCH;
        const float* scores = task.scores + start;
        most = running_maxima(scores, some, most, before, after);
        for (int t = some; t < STRETCH; ++t) before[t] = after[t] = most;
        for (int t = 0; t < round_up(some, LANES); t += LANES) {
            const int here = some - t < LANES ? (some - t) & (LANES - 1) : LANES;  // a bound that compilers see
            const Vec score = here == LANES ? load(scores + t) : load_some(scores + t, here, LOWEST);
            Vec x[2] = {(load(before + t) - load(after + t)) * LOG2_E, (score - load(after + t)) * LOG2_E};
            exp2_each<2>(x);
            store(past + t, x[0]);
            store(fresh + t, x[1]);
        }
        for (int t = 0; t < some; ++t) {
            total = total * past[t] + fresh[t];
            inverse[t] = 1.0f / total;
        }
        const float* v = task.v + start * dim;
        float* out = WRITE ? task.out + start * dim : nullptr;
        std::int64_t f = 0;
        const std::int64_t wide = dim / (8 * LANES) * (8 * LANES);
        const int few = wide > 8 * LANES ? BLOCK : STRETCH;
        for (int t = 0; t < some; t += few) {
            const int here = some - t < few ? some - t : few;
            for (f = 0; f < wide; f += 8 * LANES)
                scan_features<8, WRITE>(v + t * dim + f, WRITE ? out + t * dim + f : nullptr, dim, here, numerator + f, past + t,
                                        fresh + t, inverse + t);
        }
        for (; f + LANES <= dim; f += LANES)
            scan_features<1, WRITE>(v + f, WRITE ? out + f : nullptr, dim, some, numerator + f, past, fresh, inverse);
        for (; f < dim; ++f)
            for (int t = 0; t < some; ++t) {
                numerator[f] = numerator[f] * past[t] + fresh[t] * v[t * dim + f];
                if (WRITE) out[t * dim + f] = numerator[f] * inverse[t];
            }
    }
    task.carry[0] = most;
    task.carry[1] = total;
}

static void scan(const ScanTask& task) {
    if (task.out)
        scan_tokens<true>(task);
    else
        scan_tokens<false>(task);
}
