// Matrix products and chunked linear attention, of register tiles. Included by host_isa_*.cpp.

constexpr int PANEL_DEPTH = 256;     // of the packed panels
constexpr int PANEL_COLUMNS = 64;    // of one of B: a whole number of register tiles
constexpr int TASK_COLUMNS = 256;    // of a task: panels that share the packed rows of A
constexpr int TASK_ROWS = 192;
constexpr int PITCH = PANEL_DEPTH + 16;  // of rows of A: not a power of two, whose rows would meet in the same cache sets

constexpr int AHEAD_A = 4, AHEAD_B = 32;  // rows asked for ahead of what is packed: they are too short for a core to guess

static int product_columns() { return TASK_COLUMNS; }
static int product_rows() { return TASK_ROWS; }
static std::size_t product_floats() {
    return static_cast<std::size_t>(PANEL_COLUMNS) * PANEL_DEPTH + static_cast<std::size_t>(TASK_ROWS) * PITCH;
}

// Lines of a row, wherever in one it begins.
HOST_INLINE void ask_for(const float* row, int floats) {
    for (int j = 0; j < floats; j += 16) __builtin_prefetch(row + j);
    __builtin_prefetch(row + floats - 1);
}

// B's rows [k, k + depth) of at most PANEL_COLUMNS columns, packed in rows of PANEL_COLUMNS; zero beyond the matrix.
static void pack(const ProductTask& task, int column, int columns, int k, int depth, float* panel) {
    if (task.transposed) {
        const int width = round_up(columns, LANES);
        const float* from[PANEL_COLUMNS];
        for (int j = 0; j < columns; ++j) from[j] = task.b + (column + j) * task.ldb + k;
        transpose(from, columns, depth, task.scale, panel, PANEL_COLUMNS);
        for (int d = 0; d < depth; ++d)
            for (int j = columns; j < width; ++j) panel[d * PANEL_COLUMNS + j] = 0.0f;
        return;
    }
    const Vec times = all(task.scale);  // else it is read again after each store, which might have changed it
    const std::int64_t ldb = task.ldb;
    const float* from = task.b + k * ldb + column;
    for (int d = 0; d < depth; ++d, from += ldb, panel += PANEL_COLUMNS) {
        if (d + AHEAD_B < depth) ask_for(from + AHEAD_B * ldb, columns);
        int j = 0;
        for (; j + LANES <= columns; j += LANES) store(panel + j, load(from + j) * times);
        if (j < columns) store(panel + j, load_some(from + j, columns - j, 0.0f) * times);
    }
}

// to[i] = from[i] for i < count, and zeros up to a whole vector.
HOST_INLINE void copy_row(const float* from, int count, float* to) {
    int i = 0;
    for (; i + LANES <= count; i += LANES) store(to + i, load(from + i));
    if (i < count) store(to + i, load_some(from + i, count - i, 0.0f));
}

// Columns of the next packed panel where so many are left: register tiles are as wide as each other or a vector wider.
static int panel_columns(int left) {
    constexpr int TOGETHER = PANEL_COLUMNS / (TILE_VECTORS * LANES);
    const int vectors = (left + LANES - 1) / LANES, tiles = (vectors + TILE_VECTORS - 1) / TILE_VECTORS;
    if (tiles <= TOGETHER) return left;
    return (vectors * TOGETHER + tiles - 1) / tiles * LANES;
}

// At most TASK_ROWS rows and TASK_COLUMNS columns: both operands are packed, at most PANEL_DEPTH at a time, as evenly as
// whole lines allow.
static void product(const ProductTask& task, float* scratch) {
    float* panel = scratch;                             // [PANEL_DEPTH][PANEL_COLUMNS]
    float* left = panel + PANEL_COLUMNS * PANEL_DEPTH;  // [TASK_ROWS][PITCH]
    const float* rows[TASK_ROWS];
    for (int i = 0; i < task.rows && task.depth == 0; ++i)
        for (int j = 0; j < task.columns; ++j) task.c[i * task.ldc + j] = 0.0f;
    const int spans = (task.depth + PANEL_DEPTH - 1) / PANEL_DEPTH;
    const int span = spans > 1 ? round_up((task.depth + spans - 1) / spans, 16) : task.depth;
    for (int k = 0; k < task.depth; k += span) {
        const int depth = task.depth - k < span ? task.depth - k : span;
        for (int i = 0; i < task.rows; ++i) {
            if (i + AHEAD_A < task.rows) ask_for(task.a + (i + AHEAD_A) * task.lda + k, depth);
            copy_row(task.a + i * task.lda + k, depth, left + i * PITCH);
            rows[i] = left + i * PITCH;
        }
        for (int column = 0, columns; column < task.columns; column += columns) {
            columns = panel_columns(task.columns - column);
            pack(task, column, columns, k, depth, panel);
            rows_product(rows, task.rows, panel, PANEL_COLUMNS, depth, task.c + column, task.ldc, columns, k > 0);
            task.done();
        }
    }
}

// Rows of a state are a line further apart than they are long: at a power of two they would meet in the same few sets of
// the nearest cache.
constexpr int APART = 16;

static std::size_t linear_floats(int key_dim, int value_dim, int chunk) {
    const std::size_t e = static_cast<std::size_t>(key_dim), n = static_cast<std::size_t>(chunk);
    const std::size_t w = static_cast<std::size_t>(round_up(chunk, LANES));
    const std::size_t f = static_cast<std::size_t>(round_up(value_dim, LANES));
    return e * w + e * (f + APART) + n * w + n * (f + APART) + n * f + 3 * w;
}

// Lines that will be needed, brought to the second cache a few behind every eight steps of a sum: a core drops what it is
// asked for in a row once it waits for some twenty lines. The last ones asked for may lie beyond the end.
struct Lines {
    static constexpr int STRETCHES = 3, AT_ONCE = 3;
    const float* next[STRETCHES];
    const float* end[STRETCHES];
    int stretch;
    HOST_MEMBER void add(int number, const float* from, std::int64_t floats) {
        next[number] = from;
        end[number] = from + floats;
    }
    HOST_MEMBER void operator()() {
        if (stretch == STRETCHES) return;
        const float* from = next[stretch];
#pragma GCC unroll 8
        for (int n = 0; n < AT_ONCE; ++n, from += 16) __builtin_prefetch(from, 0, 2);
        next[stretch] = from;
        stretch += from >= end[stretch];
    }
};

// A matrix, with the distance of its rows.
struct Rows {
    const float* first;
    std::int64_t pitch;
};

// sum[i][j] += sum over k < depth of a[row + i][k] * b[k][at + j].
template <int MR, int NV>
HOST_INLINE void add_product(Vec (&sum)[MR][NV], const Rows& a, int row, const Rows& b, int at, int depth, Lines& lines) {
    const std::int64_t pitch = b.pitch;
    const float* right = b.first + at;
    const float* left[MR];
#pragma GCC unroll 8
    for (int i = 0; i < MR; ++i) left[i] = a.first + (row + i) * a.pitch;
    int k = 0;
    for (; k + UNROLLED <= depth; k += UNROLLED) {
#pragma GCC unroll 8
        for (int u = 0; u < UNROLLED; ++u, right += pitch) {
            asm volatile("" : "+r"(right));  // else a compiler keeps eight distances, on the stack
            multiply_add<MR, NV>(sum, [&](int i) HOST_LAMBDA { return left[i][k + u]; }, right);
        }
        lines();
    }
    for (; k < depth; ++k, right += pitch)
        multiply_add<MR, NV>(sum, [&](int i) HOST_LAMBDA { return left[i][k]; }, right);
}

// A product in register tiles: `add` adds what belongs to rows and columns from (row, at) on to sums that are zero, `end`
// gets each vector of them, where it belongs in c, and its row and column.
template <int MR, int NV, typename Add, typename End>
HOST_INLINE void linear_tile(const Add& add, const End& end, int row, int at, float* c, std::int64_t pitch) {
    Vec sum[MR][NV];
#pragma GCC unroll 8
    for (int i = 0; i < MR; ++i)
#pragma GCC unroll 8
        for (int j = 0; j < NV; ++j) sum[i][j] = all(0.0f);
    add(sum, row, at);
#pragma GCC unroll 8
    for (int i = 0; i < MR; ++i)
#pragma GCC unroll 8
        for (int j = 0; j < NV; ++j) {
            const int column = at + j * LANES;
            end(sum[i][j], c + (row + i) * pitch + column, row + i, column);
        }
}

template <int NV, typename Add, typename End>
HOST_INLINE void linear_vectors(const Add& add, const End& end, int rows, int at, float* c, std::int64_t pitch) {
    int row = 0;
    for (; rows - row >= 2 * TILE_ROWS || rows - row == TILE_ROWS; row += TILE_ROWS)
        linear_tile<TILE_ROWS, NV>(add, end, row, at, c, pitch);
    ProductTiles::rest(rows - row, [&](auto some) HOST_LAMBDA {
        linear_tile<some.value, NV>(add, end, row, at, c, pitch);
        row += some.value;
    });
}

template <typename Add, typename End>
HOST_INLINE void linear_product(const Add& add, const End& end, int rows, int columns, float* c, std::int64_t pitch) {
    ProductTiles::panels(columns, [&](auto vectors, int at) HOST_LAMBDA {
        linear_vectors<vectors.value>(add, end, rows, at, c, pitch);
    });
}

// What a chunk has of a token fades with every token behind it: its score, its key until the end of the chunk, and the
// state.
struct Fading {
    float* since;      // [width]: of the state until a token
    float* backwards;  // [2 * width]: of a token until another; from width - 1 - t on, those until token t
    int width;
    void begin(float decay) const {
        float fade = 1.0f;
        for (int i = 0; i < width; ++i) {
            backwards[width - 1 - i] = fade;
            backwards[width + i] = 0.0f;
            fade *= decay;
            since[i] = fade;
        }
    }
    HOST_MEMBER Vec between(int key, int token) const { return load(backwards + width - 1 - token + key); }
    void chunk(float* keys, int depth, int tokens, float* state, int wide, int pitch) const {
        const Vec times = all(since[tokens - 1]);
        for (int d = 0; d < depth; ++d) {
            for (int s = 0; s < width; s += LANES)
                store(keys + d * width + s, load(keys + d * width + s) * load(backwards + width - tokens + s));
            for (int j = 0; j < wide; j += LANES) store(state + d * pitch + j, load(state + d * pitch + j) * times);
        }
    }
};

// Scores of tokens, a row each; those of keys behind the token are zero.
template <bool FADES>
static void scores_of(const Rows& queries, const Rows& keys, int tokens, int depth, const Fading& fading, float* scores,
                      Lines& lines) {
    alignas(64) static constexpr std::int32_t NUMBERS[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    const VecInt numbers = load_int(NUMBERS);
    const auto add = [&](auto& sum, int row, int at) HOST_LAMBDA { add_product(sum, queries, row, keys, at, depth, lines); };
    const auto end = [&](Vec sum, float* to, int token, int key) HOST_LAMBDA {
        if (FADES) sum *= fading.between(key, token);
        store(to, select(numbers + key > VecInt{} + token, all(0.0f), sum));
    };
    linear_product(add, end, tokens, static_cast<int>(keys.pitch), scores, keys.pitch);
}

// What a token finds in the state, faded since then if `since` says how much, and what it has of the chunk: one sum.
static void outputs_of(const Rows& queries, const Rows& state, int depth, const float* since, const Rows& scores,
                       const Rows& values, int tokens, float scale, int columns, float* out, Lines& lines) {
    const Vec times = all(scale);
    const auto add = [&](auto& sum, int row, int at) HOST_LAMBDA {
        add_product(sum, queries, row, state, at, depth, lines);
        if (since) {
            int i = 0;
            for (auto& vectors : sum) {
                const Vec fade = all(since[row + i++]);
                for (Vec& one : vectors) one *= fade;
            }
        }
        add_product(sum, scores, row, values, at, tokens, lines);
    };
    const auto end = [&](Vec sum, float* to, int, int) HOST_LAMBDA { store(to, sum * times); };
    linear_product(add, end, tokens, columns, out, columns);
}

static void take_up(const Rows& keys, const Rows& values, int tokens, int depth, int columns, float* state,
                    std::int64_t pitch, Lines& lines) {
    const auto add = [&](auto& sum, int row, int at) HOST_LAMBDA { add_product(sum, keys, row, values, at, tokens, lines); };
    const auto end = [](Vec sum, float* to, int, int) HOST_LAMBDA { store(to, load(to) + sum); };
    linear_product(add, end, depth, columns, state, pitch);
}

// Only keys are turned, so that tokens lie along their lanes: the scores of a token take them as columns, the state takes
// them up as rows. Queries, outputs and, where they are whole vectors, values stay where they are.
static void linear(const LinearTask& task, float* scratch) {
    const int width = round_up(task.chunk, LANES), wide = round_up(task.value_dim, LANES), pitch = wide + APART;
    const int e = task.key_dim, f = task.value_dim, chunk = task.chunk;
    float* keys = scratch;                    // [key_dim][width]
    float* state = keys + e * width;          // [key_dim][pitch]
    float* scores = state + e * pitch;        // [chunk][width]
    float* copied = scores + chunk * width;   // [chunk][pitch]: values, where they need zeros behind them
    float* output = copied + chunk * pitch;   // [chunk][wide]: the same of outputs
    const Fading fading{output + chunk * wide, output + chunk * wide + width, width};
    const bool fades = task.decay != 1.0f, whole = f == wide;
    const float* pointers[QUERY_TILE];
    if (fades) fading.begin(task.decay);
    for (int d = 0; d < e; ++d) copy_row(task.state + d * f, f, state + d * pitch);
    for (std::int64_t start = 0; start < task.tokens; start += chunk) {
        const int some = task.tokens - start < chunk ? static_cast<int>(task.tokens - start) : chunk;
        const float* q = task.q + start * e;
        const float* k = task.k + start * e;
        const float* v = task.v + start * f;
        float* out = task.out + start * f;
        const std::int64_t later = task.tokens - start - some, after = later < chunk ? later : chunk;
        Lines lines{};
        lines.add(0, k + some * e, after * e);
        lines.add(1, q + some * e, after * e);
        lines.add(2, v + some * f, after * f);
        for (int t = 0; t < some; ++t) pointers[t] = k + t * e;
        transpose(pointers, some, e, 1.0f, keys, width);
        (fades ? scores_of<true> : scores_of<false>)({q, e}, {keys, width}, some, e, fading, scores, lines);
        for (int t = 0; t < some && !whole; ++t) copy_row(v + t * f, f, copied + t * pitch);
        const Rows values{whole ? v : copied, whole ? f : pitch};
        outputs_of({q, e}, {state, pitch}, e, fades ? fading.since : nullptr, {scores, width}, values, some, task.scale, wide,
                   whole ? out : output, lines);
        for (int t = 0; t < some && !whole; ++t)
            __builtin_memcpy(out + t * f, output + t * wide, sizeof(float) * static_cast<std::size_t>(f));
        if (fades) fading.chunk(keys, e, some, state, wide, pitch);
        take_up({keys, width}, values, some, e, wide, state, pitch, lines);
        task.done();
    }
    for (int d = 0; d < e; ++d)
        __builtin_memcpy(task.state + d * f, state + d * pitch, sizeof(float) * static_cast<std::size_t>(f));
}
