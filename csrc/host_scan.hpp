// Prefix averages (Aaren's scan). Included by host_isa_*.cpp.

// Lanes so many places further up, behind zeros.
#if HOST_LANES == 16
template <int BY>
HOST_INLINE Vec lanes_up(Vec x) {
    return (Vec)_mm512_maskz_alignr_epi32(0xffff, (__m512i)x, _mm512_setzero_si512(), 16 - BY);
}
#elif HOST_LANES > 1
template <int BY>
HOST_INLINE Vec lanes_up(Vec x) {
#define HOST_UP(lane) ((lane) < BY ? 0 : LANES + (lane) - BY)
#if HOST_LANES == 8
    return __builtin_shufflevector(Vec{}, x, HOST_UP(0), HOST_UP(1), HOST_UP(2), HOST_UP(3), HOST_UP(4), HOST_UP(5),
                                   HOST_UP(6), HOST_UP(7));
#else
    return __builtin_shufflevector(Vec{}, x, HOST_UP(0), HOST_UP(1), HOST_UP(2), HOST_UP(3));
#endif
#undef HOST_UP
}
#endif

// In every lane the sum of those up to it.
HOST_INLINE Vec sums_so_far(Vec x) {
#if HOST_LANES > 1
    x += lanes_up<1>(x);
    x += lanes_up<2>(x);
#endif
#if HOST_LANES > 4
    x += lanes_up<4>(x);
#endif
#if HOST_LANES > 8
    x += lanes_up<8>(x);
#endif
    return x;
}

constexpr int SCANNED = LANES == 16 ? 16 : 8;  // vectors of features side by side, at most
// Tokens between two branches: with two, an instruction would go on by 2 KB from one turn to the next in rows of 1 KB,
// which made reading them half as slow again on a Zen 5.
constexpr int TOKENS = LANES == 16 ? 1 : 2;
constexpr int AHEAD = 4;  // rows whose lines are asked for, where nothing is written

// Where vectors of features lie that are walked through side by side: one behind the other, but the last of all ends where
// the features do, and may lie across the one before it. What both hold is the same.
struct Features {
    const float* v;
    float* out;  // null: nothing is written
    float* numerator;
    std::int64_t dim, last;
};

// NV vectors of features through a stretch of tokens: each is a chain of multiply-adds, so several go side by side. What
// the loop needs is in variables of its own: a store might change whatever else lies in memory.
template <int NV, bool WRITE>
HOST_INLINE void scan_features(const Features& of, int tokens, const float* weight, const float* inverse) {
    const float* v = of.v;
    float *out = of.out, *numerator = of.numerator;
    const std::int64_t dim = of.dim, last = of.last;
    const auto at = [=](int j) HOST_LAMBDA { return j < NV - 1 ? j * LANES : last; };
    Vec sum[NV];
#pragma GCC unroll 16
    for (int j = 0; j < NV; ++j) sum[j] = load(numerator + at(j));
#pragma GCC unroll TOKENS
    for (int t = 0; t < tokens; ++t) {
        if (!WRITE)
            for (int line = 0; line < NV * LANES; line += 16) __builtin_prefetch(v + (t + AHEAD) * dim + line);
        const Vec taken = all(weight[t]);
#pragma GCC unroll 16
        for (int j = 0; j < NV; ++j) sum[j] = fma(load(v + t * dim + at(j)), taken, sum[j]);
        if (!WRITE) continue;
        const Vec divided = all(inverse[t]);
#pragma GCC unroll 16
        for (int j = 0; j < NV; ++j) store(out + t * dim + at(j), sum[j] * divided);
    }
#pragma GCC unroll 16
    for (int j = 0; j < NV; ++j) store(numerator + at(j), sum[j]);
}

// The same of so many vectors, of which at most NV were compiled for.
template <bool WRITE, int NV = SCANNED>
HOST_INLINE void scan_features_of(int vectors, const Features& of, int tokens, const float* weight, const float* inverse) {
    if (vectors == NV)
        scan_features<NV, WRITE>(of, tokens, weight, inverse);
    else if constexpr (NV > 1)
        scan_features_of<WRITE, NV - 1>(vectors, of, tokens, weight, inverse);
}

constexpr int STRETCH = 64;  // tokens whose coefficients are made together, at most
static_assert(STRETCH % (ROW_EXPS * LANES) == 0, "coefficients are stored in whole steps");
constexpr int BLOCK = 4;     // tokens after which the next features come: their rows then are few streams
constexpr float REACH = 8.0f / LOG2_E;  // by which a score may exceed the offset from which scores are counted

// Tokens whose scores are counted from one offset: what of a value is taken, and what a sum is divided by.
struct Stretch {
    alignas(64) float weight[STRETCH], inverse[STRETCH];
    int tokens = 0;
    float faded = 1.0f;  // what is left of all that came before, counted from this offset
};

// The offset, and the sum of all weights so far. The offset is a score that has been counted, and none that has been lies
// further than REACH above it: where one does, it becomes the offset.
struct Denominator {
    float offset, total;

    // The first of so many tokens whose score lies further above, or their number.
    HOST_MEMBER int reached(const float* scores, int most) const {
        const float limit = offset + REACH;
        int t = 0;
        while (t + LANES <= most && !any(load(scores + t) > all(limit))) t += LANES;
        while (t < most && !(scores[t] > limit)) ++t;
        return t;
    }
    HOST_MEMBER void move(float score, Stretch& made) {
        made.faded = 1.0f;
        if (total == 0.0f) {
            offset = score > LOWEST ? score : LOWEST;
        } else if (score > offset + REACH) {
            made.faded = exp2(all((offset - score) * LOG2_E))[0];
            total *= made.faded;
            offset = score;
        }
    }
    // Coefficients of the tokens that come next, of `most` at most.
    template <bool WRITE>
    HOST_MEMBER void make(const float* scores, int most, Stretch& made) {
        made.tokens = 0;
        if (most == 0) return;
        move(scores[0], made);
        const int some = made.tokens = reached(scores, most);
        Vec sum = {};
        for (int t = 0; t < some; t += ROW_EXPS * LANES) {
            Vec x[ROW_EXPS];
#pragma GCC unroll 8
            for (int u = 0; u < ROW_EXPS; ++u) {
                const int from = t + u * LANES, left = some - from, here = left < 0 ? 0 : left & (LANES - 1);
                const Vec score =
                    left >= LANES ? load(scores + from) : load_some(scores + (left < 0 ? 0 : from), here, LOWEST);
                x[u] = (score - all(offset)) * LOG2_E;
            }
            exp2_each<ROW_EXPS>(x);
#pragma GCC unroll 8
            for (int u = 0; u < ROW_EXPS; ++u) {
                store(made.weight + t + u * LANES, x[u]);
                if (WRITE)
                    x[u] = sums_so_far(x[u]);
                else
                    sum += x[u];
            }
            if (!WRITE) continue;
#pragma GCC unroll 8
            for (int u = 0; u < ROW_EXPS; ++u) {
                x[u] += all(total);
                total = x[u][LANES - 1];
                store(made.inverse + t + u * LANES, 1.0f / x[u]);
            }
        }
        if (!WRITE) total += sum_of_lanes(sum);
    }
};

// The recurrence itself along a stretch, with features along lanes: numerator = numerator + weight[t] * v[t].
template <bool WRITE>
HOST_INLINE void scan_values(const float* v, float* out, std::int64_t dim, float* numerator, const Stretch& by) {
    if (by.faded != 1.0f)
        for (std::int64_t f = 0; f < dim; ++f) numerator[f] *= by.faded;
    if (dim < LANES) {
        for (std::int64_t f = 0; f < dim; ++f)
            for (int t = 0; t < by.tokens; ++t) {
                numerator[f] += by.weight[t] * v[t * dim + f];
                if (WRITE) out[t * dim + f] = numerator[f] * by.inverse[t];
            }
        return;
    }
    // The last set has two vectors at least: its last one may lie across the one before it, which must be as old.
    const auto vectors = static_cast<int>((dim + LANES - 1) / LANES);
    const int most = vectors < 2 * SCANNED ? STRETCH : BLOCK;
    for (int t = 0; t < by.tokens; t += most) {
        const int some = by.tokens - t < most ? by.tokens - t : most;
        for (int from = 0, until; from < vectors; from = until) {
            until = vectors - from > SCANNED ? from + SCANNED - (vectors - from == SCANNED + 1) : vectors;
            const std::int64_t first = from * LANES, last = (until < vectors ? until * LANES : dim) - LANES - first;
            const Features of{v + t * dim + first, WRITE ? out + t * dim + first : nullptr, numerator + first, dim, last};
            scan_features_of<WRITE>(until - from, of, some, by.weight + t, by.inverse + t);
        }
    }
}

// Coefficients have tokens along lanes. Those of the next stretch are made before this one's values are read: no value
// waits for them.
template <bool WRITE>
HOST_INLINE void scan_tokens(const ScanTask& task) {
    Stretch ring[2];
    Denominator sum{task.carry[0], task.carry[1]};
    const auto make = [&](std::int64_t t, Stretch& made) HOST_LAMBDA {
        sum.make<WRITE>(task.scores + t, task.tokens - t < STRETCH ? static_cast<int>(task.tokens - t) : STRETCH, made);
    };
    if (task.tokens == 0) return;
    make(0, ring[0]);
    int now = 0;
    for (std::int64_t t = 0; t < task.tokens; now = 1 - now) {
        const std::int64_t next = t + ring[now].tokens;
        make(next, ring[1 - now]);
        scan_values<WRITE>(task.v + t * task.dim, WRITE ? task.out + t * task.dim : nullptr, task.dim, task.carry + 2,
                           ring[now]);
        t = next;
    }
    task.carry[0] = sum.offset;
    task.carry[1] = sum.total;
}

static void scan(const ScanTask& task) {
    if (task.out)
        scan_tokens<true>(task);
    else
        scan_tokens<false>(task);
}
