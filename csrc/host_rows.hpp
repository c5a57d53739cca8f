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

// Softmax takes rows in pieces that fit the nearest cache several times.
constexpr std::int64_t PIECE = 1024;

// A piece of a row, for the walk that makes its numerators.
struct SoftmaxPiece {
    const float* in;
    float* out;
    std::int64_t count;
    float largest;        // of its elements
    std::int64_t behind;  // elements of the piece behind it, in the same row or the next one
    float* past;          // the same piece of the row before it: numerators that become quotients
    float factor;         // by which they do
};

// Whether exp(x - largest) may be taken as 2 to the power of log2 e * x minus a rounded log2 e * largest: the rounding is
// then below a tenth, and one factor of all numerators.
HOST_INLINE bool near_zero(float largest) { return largest > -1e6f && largest < 1e6f; }

// Steps of the walk below that are whole: with a piece behind this one, and with one of a row before it, or without.
template <bool NEXT, bool PAST>
HOST_INLINE void softmax_walk(const SoftmaxPiece& piece, std::int64_t from, std::int64_t to, Vec steep, Vec offset,
                              Vec (&sum)[ROW_EXPS], Vec& most) {
    const float* const in = piece.in;
    const float* const next = in + piece.count;
    float *const out = piece.out, *const past = piece.past;
    const Vec factor = all(piece.factor);
    for (std::int64_t i = from; i < to; i += ROW_EXPS * LANES) {
        Vec x[ROW_EXPS];
#pragma GCC unroll 8
        for (int u = 0; u < ROW_EXPS; ++u) {
            const Vec given = load(in + i + u * LANES);
            x[u] = FUSED ? fma(given, steep, offset) : (given - all(piece.largest)) * steep;
        }
        if (NEXT)
            for (int line = 0; line < ROW_EXPS * LANES; line += 16) {
                __builtin_prefetch(next + PIECE + i + line);
                __builtin_prefetch(out + PIECE + i + line, 1);
            }
#pragma GCC unroll 8
        for (int u = 0; u < ROW_EXPS; ++u) {
            if (NEXT) most = maximum(most, load(next + i + u * LANES));
            if (PAST) store(past + i + u * LANES, load(past + i + u * LANES) * factor);
        }
        exp2_each<ROW_EXPS>(x);
#pragma GCC unroll 8
        for (int u = 0; u < ROW_EXPS; ++u) {
            sum[u] += x[u];
            store(out + i + u * LANES, x[u]);
        }
    }
}

HOST_INLINE Vec largest_of(const float* in, std::int64_t from, std::int64_t to, Vec most) {
    for (std::int64_t i = from; i < to; i += LANES)
        most = maximum(load_some(in + i, to - i < LANES ? static_cast<int>(to - i) : LANES, LOWEST), most);
    return most;
}

HOST_INLINE void multiply(float* out, std::int64_t from, std::int64_t to, float factor) {
    for (std::int64_t i = from; i < to; i += LANES) {
        const int some = to - i < LANES ? static_cast<int>(to - i) : LANES;
        store_some(out + i, load_some(out + i, some, 0.0f) * all(factor), some);
    }
}

// One walk along three pieces: numerators of this one, the largest element of the one behind it, quotients of the past one.
// What the second waits for in caches, and all three at their ends, goes by beside exponentials. Returns the sum of the
// numerators, and in `largest` that element.
template <bool PAST>
HOST_INLINE float softmax_piece(const SoftmaxPiece& piece, float& largest) {
    constexpr std::int64_t STEP = ROW_EXPS * LANES;
    const Vec steep = all(LOG2_E), offset = all(-piece.largest * LOG2_E);
    const bool near = near_zero(piece.largest);
    const std::int64_t whole = near ? piece.count / STEP * STEP : 0;
    const std::int64_t both = piece.behind < whole ? piece.behind / STEP * STEP : whole;
    Vec sum[ROW_EXPS] = {}, most = all(LOWEST);
    softmax_walk<true, PAST>(piece, 0, both, steep, offset, sum, most);
    softmax_walk<false, PAST>(piece, both, whole, steep, offset, sum, most);
    for (std::int64_t i = whole; i < piece.count; i += LANES) {
        const int some = piece.count - i < LANES ? static_cast<int>(piece.count - i) : LANES;
        const Vec given = load_some(piece.in + i, some, -__builtin_inff());
        const Vec numerator = exp2(near && FUSED ? fma(given, steep, offset) : (given - all(piece.largest)) * steep);
        sum[0] += numerator;
        store_some(piece.out + i, numerator, some);
    }
    if (PAST) multiply(piece.past, whole, piece.count, piece.factor);
    largest = largest_lane(largest_of(piece.in + piece.count, both, piece.behind, most));
    return sum_of_lanes(total(sum));
}

// By what numerators of each piece become quotients: powers of two of how far its largest element lies below the row's,
// over the sum of the row.
static void softmax_factors(const float* largest, const float* sums, std::int64_t pieces, float* factors) {
    float most = LOWEST, denominator = 0.0f;
    for (std::int64_t p = 0; p < pieces; ++p) most = largest[p] > most ? largest[p] : most;
    const float offset = -most * LOG2_E;  // as rounded as that of a piece, so that no rounding is left in quotients
    for (std::int64_t p = 0; p < pieces; ++p) {
        const float below = FUSED && near_zero(most) ? offset + largest[p] * LOG2_E : (largest[p] - most) * LOG2_E;
        factors[p] = pieces == 1 ? 1.0f : exp2(all(below))[0];
        denominator += sums[p] * factors[p];
    }
    for (std::int64_t p = 0; p < pieces; ++p) factors[p] /= denominator;
}

static std::size_t softmax_floats(std::int64_t columns) { return 3 * static_cast<std::size_t>(columns / PIECE + 1); }

// Rows one behind the other, in place or not.
static void softmax(const float* in, float* out, std::int64_t rows, std::int64_t columns, float* scratch) {
    const std::int64_t fewest = (columns + PIECE - 1) / PIECE;
    const std::int64_t length = ((columns + fewest - 1) / fewest + 4 * LANES - 1) / (4 * LANES) * (4 * LANES);
    const std::int64_t pieces = (columns + length - 1) / length;
    const auto count = [&](std::int64_t p) { return p + 1 < pieces ? length : columns - p * length; };
    float *const largest = scratch, *const sums = scratch + pieces, *const factors = scratch + 2 * pieces;
    float next = largest_lane(largest_of(in, 0, count(0), all(LOWEST)));
    for (std::int64_t row = 0; row < rows; ++row) {
        for (std::int64_t p = 0; p < pieces; ++p, in += count(p - 1), out += count(p - 1)) {
            const std::int64_t behind = p + 1 < pieces ? count(p + 1) : row + 1 < rows ? count(0) : 0;
            const SoftmaxPiece piece{in, out, count(p), next, behind, out - columns, factors[p]};
            largest[p] = next;
            sums[p] = row ? softmax_piece<true>(piece, next) : softmax_piece<false>(piece, next);
        }
        softmax_factors(largest, sums, pieces, factors);
    }
    for (std::int64_t p = 0; p < pieces; ++p) multiply(out - columns + p * length, 0, count(p), factors[p]);
}

constexpr int AHEAD = 4;  // rows whose lines are asked for, where they are long or walked in pieces

// NV vectors of features through a stretch of tokens: each is a chain of multiply-adds, so several go side by side. What
// the loop needs is in variables of its own: a store might change whatever else lies in memory. `beside(t)` goes by with
// token t.
template <int NV, bool WRITE, typename Beside>
HOST_INLINE void scan_features(const float* v, float* out, std::int64_t dim, int tokens, float* numerator,
                               const float* past, const float* fresh, const float* inverse, Beside beside) {
    Vec sum[NV];
#pragma GCC unroll 8
    for (int j = 0; j < NV; ++j) sum[j] = load(numerator + j * LANES);
    for (int t = 0; t < tokens; ++t) {
        if (NV == 8)
            for (int line = 0; line < NV * LANES; line += 16) {
                __builtin_prefetch(v + (t + AHEAD) * dim + line);
                if (WRITE) __builtin_prefetch(out + (t + AHEAD) * dim + line, 1);
            }
        const Vec kept = all(past[t]), taken = all(fresh[t]);
#pragma GCC unroll 8
        for (int j = 0; j < NV; ++j) sum[j] = fma(sum[j], kept, load(v + t * dim + j * LANES) * taken);
        beside(t);
        if (!WRITE) continue;
        const Vec divided = all(inverse[t]);
#pragma GCC unroll 8
        for (int j = 0; j < NV; ++j) store(out + t * dim + j * LANES, sum[j] * divided);
    }
#pragma GCC unroll 8
    for (int j = 0; j < NV; ++j) store(numerator + j * LANES, sum[j]);
}

constexpr int STRETCH = 64;  // tokens whose coefficients are made together
constexpr int BLOCK = 16;    // tokens after which the next features come: what is fetched ahead of a row is wanted soon

// Of a stretch of tokens: the largest score before and behind each, by what the past fades at it and what of its value is
// taken, and what the sum is divided by.
struct Coefficients {
    alignas(64) float before[STRETCH], after[STRETCH], past[STRETCH], fresh[STRETCH], inverse[STRETCH];

    HOST_MEMBER void maximum_step(int t, float score, float& most) {
        before[t] = most;
        most = score > most ? score : most;
        after[t] = most;
    }
    HOST_MEMBER void exponents(const float* scores, int some, float most) {
        for (int t = some; t < STRETCH; ++t) before[t] = after[t] = most;
        for (int t = 0; t < round_up(some, LANES); t += LANES) {
            const int here = some - t < LANES ? (some - t) & (LANES - 1) : LANES;  // a bound that compilers see
            const Vec score = here == LANES ? load(scores + t) : load_some(scores + t, here, LOWEST);
            Vec x[2] = {(load(before + t) - load(after + t)) * LOG2_E, (score - load(after + t)) * LOG2_E};
            exp2_each<2>(x);
            store(past + t, x[0]);
            store(fresh + t, x[1]);
        }
    }
    template <bool WRITE>
    HOST_MEMBER void sum_step(int t, float& total) {
        total = total * past[t] + fresh[t];
        if (WRITE) inverse[t] = 1.0f / total;
    }
};

// The recurrence itself along a stretch, with features along lanes: numerator = past[t] * numerator + fresh[t] * v[t].
template <bool WRITE, typename Beside>
HOST_INLINE void scan_values(const float* v, float* out, std::int64_t dim, int tokens, float* numerator,
                             const Coefficients& by, Beside beside) {
    const auto along = [&](auto vectors, std::int64_t f, int t, int some) HOST_LAMBDA {
        constexpr int NV = decltype(vectors)::value;
        const float* const from = v + t * dim + f;
        float* const to = WRITE ? out + t * dim + f : nullptr;
        const float* const inverse = by.inverse + t;
        if (f == 0)
            scan_features<NV, WRITE>(from, to, dim, some, numerator, by.past + t, by.fresh + t, inverse,
                                     [&](int n) HOST_LAMBDA { beside(t + n); });
        else
            scan_features<NV, WRITE>(from, to, dim, some, numerator + f, by.past + t, by.fresh + t, inverse,
                                     [](int) HOST_LAMBDA {});
    };
    const std::int64_t wide = dim / (8 * LANES) * (8 * LANES);
    const int few = wide > 8 * LANES ? BLOCK : STRETCH;
    for (int t = 0; t < tokens; t += few)
        for (std::int64_t f = 0; f < wide; f += 8 * LANES) along(Count<8>{}, f, t, tokens - t < few ? tokens - t : few);
    std::int64_t f = wide;
    const auto rest = [&](auto vectors) HOST_LAMBDA {
        for (; f + decltype(vectors)::value * LANES <= dim; f += decltype(vectors)::value * LANES) along(vectors, f, 0, tokens);
    };
    rest(Count<4>{});
    rest(Count<2>{});
    rest(Count<1>{});
    for (int t = 0; f == 0 && t < tokens; ++t) beside(t);  // fewer features than lanes
    for (; f < dim; ++f)
        for (int t = 0; t < tokens; ++t) {
            numerator[f] = numerator[f] * by.past[t] + by.fresh[t] * v[t * dim + f];
            if (WRITE) out[t * dim + f] = numerator[f] * by.inverse[t];
        }
}

// Coefficients have tokens along lanes but for two chains of numbers, which a core would wait for: that of the denominators
// goes by beside the values of the stretch before it, that of the maxima beside those of the one before that.
template <bool WRITE>
HOST_INLINE void scan_tokens(const ScanTask& task) {
    Coefficients ring[3];
    float most = task.carry[0], total = task.carry[1];
    const auto count = [&](std::int64_t s) {
        const std::int64_t left = task.tokens - s * STRETCH;
        return left < 0 ? 0 : left < STRETCH ? static_cast<int>(left) : STRETCH;
    };
    const auto scores = [&](std::int64_t s) { return task.scores + s * STRETCH; };
    for (std::int64_t s = 0; s < 2; ++s) {
        for (int t = 0; t < count(s); ++t) ring[s].maximum_step(t, scores(s)[t], most);
        ring[s].exponents(scores(s), count(s), most);
    }
    for (int t = 0; t < count(0); ++t) ring[0].sum_step<WRITE>(t, total);
    for (std::int64_t s = 0; s * STRETCH < task.tokens; ++s) {
        Coefficients &next = ring[(s + 1) % 3], &later = ring[(s + 2) % 3];
        const int sums = count(s + 1), maxima = count(s + 2);
        const float* const ahead = scores(s + 2);
        const std::int64_t at = s * STRETCH * task.dim;
        scan_values<WRITE>(task.v + at, WRITE ? task.out + at : nullptr, task.dim, count(s), task.carry + 2, ring[s % 3],
                           [&](int t) HOST_LAMBDA {
                               if (t < sums) next.sum_step<WRITE>(t, total);
                               if (t < maxima) later.maximum_step(t, ahead[t], most);
                           });
        later.exponents(ahead, maxima, most);
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
