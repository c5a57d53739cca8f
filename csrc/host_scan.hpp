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

// NV vectors of features through a stretch of tokens: each is a chain of multiply-adds, so several go side by side. What
// the loop needs is in variables of its own: a store might change whatever else lies in memory.
template <int NV, bool WRITE>
HOST_INLINE void scan_features(const float* v, float* out, std::int64_t dim, int tokens, float* numerator,
                               const float* weight, const float* inverse) {
    Vec sum[NV];
#pragma GCC unroll 16
    for (int j = 0; j < NV; ++j) sum[j] = load(numerator + j * LANES);
#pragma GCC unroll TOKENS
    for (int t = 0; t < tokens; ++t) {
        if (!WRITE)
            for (int line = 0; line < NV * LANES; line += 16) __builtin_prefetch(v + (t + AHEAD) * dim + line);
        const Vec taken = all(weight[t]);
#pragma GCC unroll 16
        for (int j = 0; j < NV; ++j) sum[j] = fma(load(v + t * dim + j * LANES), taken, sum[j]);
        if (!WRITE) continue;
        const Vec divided = all(inverse[t]);
#pragma GCC unroll 16
        for (int j = 0; j < NV; ++j) store(out + t * dim + j * LANES, sum[j] * divided);
    }
#pragma GCC unroll 16
    for (int j = 0; j < NV; ++j) store(numerator + j * LANES, sum[j]);
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
    const auto along = [&](auto vectors, std::int64_t f, int t, int some) HOST_LAMBDA {
        constexpr int NV = decltype(vectors)::value;
        scan_features<NV, WRITE>(v + t * dim + f, WRITE ? out + t * dim + f : nullptr, dim, some, numerator + f,
                                 by.weight + t, by.inverse + t);
    };
    const std::int64_t wide = dim / (SCANNED * LANES) * (SCANNED * LANES);
    const int few = wide > SCANNED * LANES ? BLOCK : STRETCH;
    for (int t = 0; t < by.tokens; t += few)
        for (std::int64_t f = 0; f < wide; f += SCANNED * LANES)
            along(Count<SCANNED>{}, f, t, by.tokens - t < few ? by.tokens - t : few);
    std::int64_t f = wide;
    const auto rest = [&](auto vectors) HOST_LAMBDA {
        constexpr int NV = decltype(vectors)::value;
        for (; f + NV * LANES <= dim; f += NV * LANES) along(vectors, f, 0, by.tokens);
    };
    rest(Count<8>{});
    rest(Count<6>{});
    rest(Count<4>{});
    rest(Count<2>{});
    rest(Count<1>{});
    for (; f < dim; ++f)
        for (int t = 0; t < by.tokens; ++t) {
            numerator[f] += by.weight[t] * v[t * dim + f];
            if (WRITE) out[t * dim + f] = numerator[f] * by.inverse[t];
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
