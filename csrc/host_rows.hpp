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

// Lines that will be walked, asked for a few at a time while a chain of numbers keeps a core waiting.
struct LinesAhead {
    const float* next;
    const float* end;
    HOST_MEMBER void operator()() {
        for (int line = 0; line < 4 && next < end; ++line, next += 16) __builtin_prefetch(next);
    }
};

// Maxima before and behind every token, and the last.
HOST_INLINE float running_maxima(const float* scores, int tokens, float most, float* before, float* after, LinesAhead values) {
    for (int t = 0; t < tokens; ++t) {
        values();
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
        const float* v = task.v + start * dim;
        float* out = WRITE ? task.out + start * dim : nullptr;
        most = running_maxima(scores, some, most, before, after, {v, v + some * dim});
        for (int t = some; t < STRETCH; ++t) before[t] = after[t] = most;
        for (int t = 0; t < round_up(some, LANES); t += LANES) {
            const int here = some - t < LANES ? (some - t) & (LANES - 1) : LANES;  // a bound that compilers see
            const Vec score = here == LANES ? load(scores + t) : load_some(scores + t, here, LOWEST);
            Vec x[2] = {(load(before + t) - load(after + t)) * LOG2_E, (score - load(after + t)) * LOG2_E};
            exp2_each<2>(x);
            store(past + t, x[0]);
            store(fresh + t, x[1]);
        }
        LinesAhead written{out, WRITE ? out + some * dim : nullptr};
        for (int t = 0; t < some; ++t) {
            written();
            total = total * past[t] + fresh[t];
            inverse[t] = 1.0f / total;
        }
        std::int64_t f = 0;
        const std::int64_t wide = dim / (8 * LANES) * (8 * LANES);
        const int few = wide > 8 * LANES ? BLOCK : STRETCH;
        for (int t = 0; t < some; t += few) {
            const int here = some - t < few ? some - t : few;
            for (f = 0; f < wide; f += 8 * LANES)
                scan_features<8, WRITE>(v + t * dim + f, WRITE ? out + t * dim + f : nullptr, dim, here, numerator + f, past + t,
                                        fresh + t, inverse + t);
        }
        const auto rest = [&](auto vectors) {
            constexpr int NV = decltype(vectors)::value;
            for (; f + NV * LANES <= dim; f += NV * LANES)
                scan_features<NV, WRITE>(v + f, WRITE ? out + f : nullptr, dim, some, numerator + f, past, fresh, inverse);
        };
        rest(Count<4>{});
        rest(Count<2>{});
        rest(Count<1>{});
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
