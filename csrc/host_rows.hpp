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

// Elements until a line begins.
HOST_INLINE std::int64_t until_line(const float* from) {
    return static_cast<std::int64_t>(-reinterpret_cast<std::uintptr_t>(from) / sizeof(float) % 16);
}

static void exp_array(const float* in, float* out, std::int64_t count, bool past) {
    if (!past || until_line(out) != 0) return exp_stretch<false>(in, out, count);
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
constexpr int PIECE = 2048;

// A piece of a row, for the walk that makes its numerators.
struct SoftmaxPiece {
    const float* in;
    float* kept;          // numerators: those of the same piece of the row before it, which its own replace
    float* out;           // where those become quotients
    std::int64_t count;
    float largest;        // of its elements
    std::int64_t behind;  // elements of the piece behind it, in the same row or the next one
    float factor;         // by which numerators become quotients
    std::int64_t soon;    // elements ahead at which lines are asked for
    std::int64_t first;   // elements of `out` until a line begins
    std::int64_t first_behind;  // the same of the piece behind
};

// Whether exp(x - largest) may be taken as 2 to the power of log2 e * x minus a rounded log2 e * largest: the rounding is
// then below a tenth, and one factor of all numerators.
HOST_INLINE bool near_zero(float largest) { return largest > -1e6f && largest < 1e6f; }

// Elements ahead at which lines are asked for, before anything waits for them: memory's sooner than a cache's.
constexpr int SOON = 512, SOONER = 2048;

// Asks for lines of what comes in, and of what goes out those that a store would wait for.
template <bool NEXT, bool PAST, bool STREAM>
HOST_INLINE void ask_ahead(const float* next, const float* out) {
    for (int line = 0; line < ROW_EXPS * LANES; line += 16) {
        if (NEXT) __builtin_prefetch(next + line);
        if (PAST && !STREAM) __builtin_prefetch(out + line, 1);
    }
}

// Steps of the walk below that are whole: with a piece behind this one, and with one of a row before it, or without.
// Quotients, and what is read of the piece behind, are some elements ahead, where their lines begin. Quotients are read
// before numerators take their place.
template <bool NEXT, bool PAST, bool STREAM>
HOST_INLINE void softmax_walk(const SoftmaxPiece& piece, std::int64_t from, std::int64_t to, Vec steep, Vec offset,
                              Vec (&sum)[ROW_EXPS], Vec& most) {
    const float* const in = piece.in;
    const float* const next = in + piece.count + piece.first_behind;
    float* const kept = piece.kept;
    const float* const before = kept + piece.first;
    float* const out = piece.out + piece.first;
    const Vec factor = all(piece.factor);
    for (std::int64_t i = from; i < to; i += ROW_EXPS * LANES) {
        Vec x[ROW_EXPS];
#pragma GCC unroll 8
        for (int u = 0; u < ROW_EXPS; ++u) {
            const Vec given = load(in + i + u * LANES);
            x[u] = FUSED ? fma(given, steep, offset) : (given - all(piece.largest)) * steep;
        }
        ask_ahead<NEXT, PAST, STREAM>(next + piece.soon + i, out + piece.soon + i);
#pragma GCC unroll 8
        for (int u = 0; u < ROW_EXPS; ++u) {
            if (NEXT) most = maximum(most, load(next + i + u * LANES));
            if (!PAST) continue;
            const Vec quotient = load(before + i + u * LANES) * factor;
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

// What is left behind the whole steps of a row that begins anywhere, in as many vectors each time where lanes have masks:
// how many are left changes from row to row, and a branch would be guessed wrong.
constexpr bool MASKED = LANES == 16;
constexpr int MOST_LEFT = ROW_EXPS + 1;

HOST_INLINE int lanes_left(std::int64_t left) { return left < 0 ? 0 : left < LANES ? static_cast<int>(left) : LANES; }

HOST_INLINE void last_quotients(const float* kept, float* out, std::int64_t count, float factor) {
    if (!MASKED || count > MOST_LEFT * LANES) return quotients(kept, out, 0, count, factor);
#pragma GCC unroll 8
    for (int u = 0; u < MOST_LEFT; ++u) {
        const int at = u * LANES, some = lanes_left(count - at);
        store_some(out + at, load_some(kept + at, some, 0.0f) * all(factor), some);
    }
}

HOST_INLINE Vec last_largest(const float* in, std::int64_t count, Vec most) {
    if (!MASKED || count > MOST_LEFT * LANES) return largest_of(in, 0, count, most);
#pragma GCC unroll 8
    for (int u = 0; u < MOST_LEFT; ++u)
        most = maximum(load_some(in + u * LANES, lanes_left(count - u * LANES), LOWEST), most);
    return most;
}

// A line past all caches that rows or pieces share: what belongs to the one before waits for the rest. A store of a part
// would fetch it, and all behind it would wait.
struct SharedLine {
    alignas(64) float value[16];
    std::int64_t waiting = 0;  // elements

    HOST_MEMBER void begin(const float* kept, float* out, std::int64_t count, float factor) {
        if (waiting == 0) return quotients(kept, out, 0, count, factor);  // the first of all, whose line is not ours
        quotients(kept, value + waiting, 0, count, factor);
        for (int i = 0; i < 16; i += LANES) store_past(out - waiting + i, load(value + i));
    }
    HOST_MEMBER void end(const float* kept, std::int64_t count, float factor) {
        quotients(kept, value, 0, count, factor);
        waiting = count;
    }
};

// Numerators behind the whole steps of a piece, or of one whose largest element is far from zero.
template <int NV>
HOST_INLINE void last_numerators(const SoftmaxPiece& piece, std::int64_t from, bool near, Vec steep, Vec offset,
                                 Vec (&sum)[ROW_EXPS]) {
    const int last = static_cast<int>(piece.count - from) - (NV - 1) * LANES;  // elements of the last vector
    Vec x[NV];
#pragma GCC unroll 8
    for (int u = 0; u < NV; ++u) {
        const float* const in = piece.in + from + u * LANES;
        const Vec given = u + 1 < NV || last >= LANES ? load(in) : load_some(in, last, -__builtin_inff());
        x[u] = near && FUSED ? fma(given, steep, offset) : (given - all(piece.largest)) * steep;
    }
    exp2_each<NV>(x);
#pragma GCC unroll 8
    for (int u = 0; u < NV; ++u) {
        float* const kept = piece.kept + from + u * LANES;
        sum[u] += x[u];
        u + 1 < NV || last >= LANES ? store(kept, x[u]) : store_some(kept, x[u], last);
    }
}

// One walk along three pieces: numerators of this one, the largest element of the one behind it, quotients of the same one
// of the row before. What the second waits for in caches, and all three at their ends, goes by beside exponentials. Returns
// the sum of the numerators, and in `largest` that element.
template <bool PAST, bool STREAM>
HOST_INLINE float softmax_piece(const SoftmaxPiece& piece, SharedLine& line, float& largest) {
    constexpr std::int64_t STEP = ROW_EXPS * LANES;
    const auto steps = [](std::int64_t some) HOST_LAMBDA { return some < STEP ? 0 : some / STEP * STEP; };
    const Vec steep = all(LOG2_E), offset = all(-piece.largest * LOG2_E);
    const bool near = near_zero(piece.largest);
    const std::int64_t whole = near ? steps(piece.count) : 0;
    const std::int64_t past = PAST ? steps(piece.count - piece.first) : whole, first = piece.first;
    const std::int64_t quotient = past < whole ? past : whole, behind = steps(piece.behind - piece.first_behind);
    const std::int64_t both = behind < quotient ? behind : quotient;
    Vec sum[ROW_EXPS] = {}, most = all(LOWEST);
    if (PAST && STREAM) line.begin(piece.kept, piece.out, first, piece.factor);
    if (PAST && !STREAM) quotients(piece.kept, piece.out, 0, first < piece.count ? first : piece.count, piece.factor);
    softmax_walk<true, PAST, STREAM>(piece, 0, both, steep, offset, sum, most);
    softmax_walk<false, PAST, STREAM>(piece, both, quotient, steep, offset, sum, most);
    if (PAST && STREAM) {
        const std::int64_t from = first + quotient, lines = (piece.count - from) / 16 * 16;
        for (std::int64_t i = from; i < from + lines; i += LANES)
            store_past(piece.out + i, load(piece.kept + i) * all(piece.factor));
        line.end(piece.kept + from + lines, piece.count - from - lines, piece.factor);
    } else if (PAST) {
        const std::int64_t from = first + quotient;
        last_quotients(piece.kept + from, piece.out + from, piece.count - from, piece.factor);
    }
    softmax_walk<false, false, STREAM>(piece, quotient, whole, steep, offset, sum, most);
    for (std::int64_t i = whole; i < piece.count; i += STEP) {
        const std::int64_t vectors = (piece.count - i + LANES - 1) / LANES;
        const auto rest = [&](auto some) HOST_LAMBDA { last_numerators<some.value>(piece, i, near, steep, offset, sum); };
        switch (vectors < ROW_EXPS ? vectors : ROW_EXPS) {
            case 1: rest(Count<1>{}); break;
            case 2: rest(Count<ROW_EXPS < 2 ? 1 : 2>{}); break;
            case 3: rest(Count<ROW_EXPS < 3 ? 1 : 3>{}); break;
            default: rest(Count<ROW_EXPS>{});
        }
    }
    const float* const next = piece.in + piece.count;
    most = largest_of(next, 0, piece.first_behind < piece.behind ? piece.first_behind : piece.behind, most);
    const std::int64_t last = piece.first_behind + both;
    largest = largest_lane(last_largest(next + last, piece.behind - last, most));
    return sum_of_lanes(total(sum));
}

// By what numerators of each piece become quotients: powers of two of how far its largest element lies below the row's,
// over the sum of the row.
HOST_INLINE void softmax_factors(const float* largest, const float* sums, std::int64_t pieces, float* factors) {
    if (pieces == 1) {
        factors[0] = 1.0f / sums[0];
        return;
    }
    float most = LOWEST, denominator = 0.0f;
    for (std::int64_t p = 0; p < pieces; ++p) most = largest[p] > most ? largest[p] : most;
    const float offset = -most * LOG2_E;  // as rounded as that of a piece, so that no rounding is left in quotients
    for (std::int64_t p = 0; p < pieces; ++p) {
        const float below = FUSED && near_zero(most) ? offset + largest[p] * LOG2_E : (largest[p] - most) * LOG2_E;
        factors[p] = exp2(all(below))[0];
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
    const std::int64_t columns = task.columns, pieces = (columns + PIECE - 1) / PIECE;
    constexpr std::int64_t STEP = ROW_EXPS * LANES;
    const std::int64_t length = columns / pieces / STEP * STEP, longer = (columns - pieces * length) / STEP;
    const auto start = [&](std::int64_t p) {
        return p < pieces ? p * length + (p < longer ? p : longer) * STEP : columns;
    };
    const auto count = [&](std::int64_t p) { return start(p + 1) - start(p); };
    float* const largest = scratch + round_up(columns, PIECE);
    float *const sums = largest + pieces, *const factors = sums + pieces;
    const float* in = task.in;
    float* out = task.out;  // of the row before
    const std::int64_t soon = STREAM || task.far ? SOONER : SOON;
    std::int64_t together = task.together;
    float next = first_largest(in, count(0));
    SharedLine line;
    for (std::int64_t row = 0; row < task.rows; ++row) {
        for (std::int64_t p = 0; p < pieces; in += count(p), ++p) {
            const std::int64_t behind = p + 1 < pieces ? count(p + 1) : row + 1 < task.rows ? count(0) : 0;
            float *const kept = scratch + start(p), *const before = out + start(p);
            const SoftmaxPiece piece{in,     kept,       before, count(p), next, behind, factors[p],
                                     soon, until_line(before), until_line(in + count(p))};
            largest[p] = next;
            sums[p] = row ? softmax_piece<true, STREAM>(piece, line, next) : softmax_piece<false, STREAM>(piece, line, next);
        }
        softmax_factors(largest, sums, pieces, factors);
        if (row) out += columns;
        if (--together == 0 && row + 1 < task.rows) {
            task.done();
            together = task.together;
        }
    }
    for (std::int64_t i = 0; i < line.waiting; ++i) out[i - line.waiting] = line.value[i];
    for (std::int64_t p = 0; p < pieces; ++p) quotients(scratch + start(p), out + start(p), 0, count(p), factors[p]);
}

static void softmax(const SoftmaxTask& task, float* scratch) {
    if (!task.past || task.columns < 64) return softmax_rows<false>(task, scratch);
    softmax_rows<true>(task, scratch);
    settle_past();
}
