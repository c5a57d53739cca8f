// Kernels that go row by row: softmax, exponential. Included by host_isa_*.cpp.

// Where what is written goes past all caches, memory is asked ahead for what is read; else it comes soon enough.
template <bool STREAM>
HOST_INLINE void exp_stretch(const float* in, float* out, std::int64_t count) {
    constexpr int SOON = 2048;
    std::int64_t i = 0;
    for (; i + 4 * LANES <= count; i += 4 * LANES) {
        Vec x[4];
#pragma GCC unroll 4
        for (int u = 0; u < 4; ++u) x[u] = load(in + i + u * LANES);
        for (int line = 0; STREAM && line < 4 * LANES; line += 16) __builtin_prefetch(in + SOON + i + line);
        exp_each<4>(x);
#pragma GCC unroll 4
        for (int u = 0; u < 4; ++u) STREAM ? store_past(out + i + u * LANES, x[u]) : store(out + i + u * LANES, x[u]);
    }
    for (; i < count; i += LANES) {
        const int some = count - i < LANES ? static_cast<int>(count - i) : LANES;
        Vec x[1] = {load_some(in + i, some, 0.0f)};
        exp_each<1>(x);
        store_some(out + i, x[0], some);
    }
}

static bool whole_lines(const float* out) { return reinterpret_cast<std::uintptr_t>(out) % 64 == 0; }

static void exp_array(const float* in, float* out, std::int64_t count, bool past) {
    if (!past || !whole_lines(out)) return exp_stretch<false>(in, out, count);
    exp_stretch<true>(in, out, count);
    settle_past();
}

template <int NV>
HOST_INLINE Vec total(const Vec (&part)[NV]) {
    Vec sum = part[0];
#pragma GCC unroll 8
    for (int i = 1; i < NV; ++i) sum += part[i];
    return sum;
}

// Softmax takes rows in pieces that fit the nearest cache several times.
constexpr int PIECE = 1024;

// A piece of a row, for the walk that makes its numerators.
struct SoftmaxPiece {
    const float* in;
    float* kept;          // numerators: those of the same piece of the row before it, which its own replace
    float* out;           // where those become quotients
    std::int64_t count;
    float largest;        // of its elements
    std::int64_t behind;  // elements of the piece behind it, in the same row or the next one
    float factor;         // by which numerators become quotients
};

// Whether exp(x - largest) may be taken as 2 to the power of log2 e * x minus a rounded log2 e * largest: the rounding is
// then below a tenth, and one factor of all numerators.
HOST_INLINE bool near_zero(float largest) { return largest > -1e6f && largest < 1e6f; }

// Asks for lines of what comes in before anything waits for them, memory's sooner than a cache's; of what goes out, those
// that a store would wait for.
template <bool NEXT, bool PAST, bool STREAM>
HOST_INLINE void ask_ahead(const float* next, const float* out) {
    constexpr int SOON = STREAM ? 2 * PIECE : PIECE / 2;
    for (int line = 0; line < ROW_EXPS * LANES; line += 16) {
        if (NEXT) __builtin_prefetch(next + SOON + line);
        if (PAST && !STREAM) __builtin_prefetch(out + PIECE / 4 + line, 1);
    }
}

// Steps of the walk below that are whole: with a piece behind this one, and with one of a row before it, or without.
template <bool NEXT, bool PAST, bool STREAM>
HOST_INLINE void softmax_walk(const SoftmaxPiece& piece, std::int64_t from, std::int64_t to, Vec steep, Vec offset,
                              Vec (&sum)[ROW_EXPS], Vec& most) {
    const float* const in = piece.in;
    const float* const next = in + piece.count;
    float *const kept = piece.kept, *const out = piece.out;
    const Vec factor = all(piece.factor);
    for (std::int64_t i = from; i < to; i += ROW_EXPS * LANES) {
        Vec x[ROW_EXPS];
#pragma GCC unroll 8
        for (int u = 0; u < ROW_EXPS; ++u) {
            const Vec given = load(in + i + u * LANES);
            x[u] = FUSED ? fma(given, steep, offset) : (given - all(piece.largest)) * steep;
        }
        ask_ahead<NEXT, PAST, STREAM>(next + i, out + i);
#pragma GCC unroll 8
        for (int u = 0; u < ROW_EXPS; ++u) {
            if (NEXT) most = maximum(most, load(next + i + u * LANES));
            if (!PAST) continue;
            const Vec quotient = load(kept + i + u * LANES) * factor;
            STREAM ? store_past(out + i + u * LANES, quotient) : store(out + i + u * LANES, quotient);
        }
        exp2_each<ROW_EXPS>(x);
#pragma GCC unroll 8
        for (int u = 0; u < ROW_EXPS; ++u) {
            sum[u] += x[u];
            store(kept + i + u * LANES, x[u]);
        }
    }
}

HOST_INLINE Vec largest_of(const float* in, std::int64_t from, std::int64_t to, Vec most) {
    for (; from + LANES <= to; from += LANES) most = maximum(load(in + from), most);
    return from < to ? maximum(load_some(in + from, static_cast<int>(to - from), LOWEST), most) : most;
}

// The same of what nothing goes by beside: a maximum waits for the one before, so four chains go side by side.
HOST_INLINE float first_largest(const float* in, std::int64_t count) {
    Vec most[4] = {all(LOWEST), all(LOWEST), all(LOWEST), all(LOWEST)};
    std::int64_t i = 0;
    for (; i + 4 * LANES <= count; i += 4 * LANES)
#pragma GCC unroll 4
        for (int u = 0; u < 4; ++u) most[u] = maximum(load(in + i + u * LANES), most[u]);
    most[0] = maximum(maximum(most[0], most[1]), maximum(most[2], most[3]));
    return largest_lane(largest_of(in, i, count, most[0]));
}

HOST_INLINE void quotients(const float* kept, float* out, std::int64_t from, std::int64_t to, float factor) {
    for (; from + LANES <= to; from += LANES) store(out + from, load(kept + from) * all(factor));
    const int some = static_cast<int>(to - from);
    if (some > 0) store_some(out + from, load_some(kept + from, some, 0.0f) * all(factor), some);
}

// One walk along three pieces: numerators of this one, the largest element of the one behind it, quotients of the same one
// of the row before. What the second waits for in caches, and all three at their ends, goes by beside exponentials. Returns
// the sum of the numerators, and in `largest` that element.
template <bool PAST, bool STREAM>
HOST_INLINE float softmax_piece(const SoftmaxPiece& piece, float& largest) {
    constexpr std::int64_t STEP = ROW_EXPS * LANES;
    const Vec steep = all(LOG2_E), offset = all(-piece.largest * LOG2_E);
    const bool near = near_zero(piece.largest);
    const std::int64_t whole = near ? piece.count / STEP * STEP : 0;
    const std::int64_t both = piece.behind < whole ? piece.behind / STEP * STEP : whole;
    Vec sum[ROW_EXPS] = {}, most = all(LOWEST);
    softmax_walk<true, PAST, STREAM>(piece, 0, both, steep, offset, sum, most);
    softmax_walk<false, PAST, STREAM>(piece, both, whole, steep, offset, sum, most);
    if (PAST) quotients(piece.kept, piece.out, whole, piece.count, piece.factor);
    for (std::int64_t i = whole; i < piece.count; i += LANES) {
        const int some = piece.count - i < LANES ? static_cast<int>(piece.count - i) : LANES;
        const Vec given = load_some(piece.in + i, some, -__builtin_inff());
        const Vec numerator = exp2(near && FUSED ? fma(given, steep, offset) : (given - all(piece.largest)) * steep);
        sum[0] += numerator;
        store_some(piece.kept + i, numerator, some);
    }
    largest = largest_lane(largest_of(piece.in + piece.count, both, piece.behind, most));
    return sum_of_lanes(total(sum));
}

// By what numerators of each piece become quotients: powers of two of how far its largest element lies below the row's,
// over the sum of the row.
HOST_INLINE void softmax_factors(const float* largest, const float* sums, std::int64_t pieces, float* factors) {
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

// Of the numerators of a row, and what is told of its pieces.
static std::size_t softmax_floats(std::int64_t columns) {
    return static_cast<std::size_t>(round_up(columns, PIECE) + 3 * (columns / PIECE + 1));
}

// Rows one behind the other, in place or not. Numerators of a row lie in `scratch` until those of the next one take their
// place, so that of what goes out each line is written once.
template <bool STREAM>
static void softmax_rows(const SoftmaxTask& task, float* scratch) {
    const std::int64_t columns = task.columns, fewest = (columns + PIECE - 1) / PIECE;
    const std::int64_t length = ((columns + fewest - 1) / fewest + 4 * LANES - 1) / (4 * LANES) * (4 * LANES);
    const std::int64_t pieces = (columns + length - 1) / length;
    const auto count = [&](std::int64_t p) { return p + 1 < pieces ? length : columns - p * length; };
    float* const largest = scratch + round_up(columns, PIECE);
    float *const sums = largest + pieces, *const factors = sums + pieces;
    const float* in = task.in;
    float* out = task.out;  // of the row before
    std::int64_t together = task.together;
    float next = first_largest(in, count(0));
    for (std::int64_t row = 0; row < task.rows; ++row) {
        for (std::int64_t p = 0; p < pieces; in += count(p), ++p) {
            const std::int64_t behind = p + 1 < pieces ? count(p + 1) : row + 1 < task.rows ? count(0) : 0;
            const SoftmaxPiece piece{in, scratch + p * length, out + p * length, count(p), next, behind, factors[p]};
            largest[p] = next;
            sums[p] = row ? softmax_piece<true, STREAM>(piece, next) : softmax_piece<false, STREAM>(piece, next);
        }
        softmax_factors(largest, sums, pieces, factors);
        if (row) out += columns;
        if (--together == 0 && row + 1 < task.rows) {
            task.done();
            together = task.together;
        }
    }
    for (std::int64_t p = 0; p < pieces; ++p) quotients(scratch + p * length, out + p * length, 0, count(p), factors[p]);
}

static void softmax(const SoftmaxTask& task, float* scratch) {
    if (!task.past || !whole_lines(task.out) || task.columns % 16 != 0) return softmax_rows<false>(task, scratch);
    softmax_rows<true>(task, scratch);
    settle_past();
}
