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
    return static_cast<std::size_t>(PANEL_COLUMNS) * (PANEL_DEPTH + TASK_ROWS) + static_cast<std::size_t>(TASK_ROWS) * PITCH;
}

// B's rows [k, k + depth) of at most PANEL_COLUMNS columns, packed in rows of PANEL_COLUMNS; zero beyond the matrix.
static void pack(const ProductTask& task, int column, int columns, int k, int depth, float* panel) {
    const int width = round_up(columns, LANES);
    if (task.transposed) {
        const float* from[PANEL_COLUMNS];
        for (int j = 0; j < columns; ++j) from[j] = task.b + (column + j) * task.ldb + k;
        transpose(from, columns, depth, task.scale, panel, PANEL_COLUMNS);
        for (int d = 0; d < depth; ++d)
            for (int j = columns; j < width; ++j) panel[d * PANEL_COLUMNS + j] = 0.0f;
        return;
    }
    for (int d = 0; d < depth; ++d) {
        const float* from = task.b + (k + d) * task.ldb + column;
        if (d + AHEAD_B < depth)
            for (int j = 0; j < columns; j += 16) __builtin_prefetch(from + AHEAD_B * task.ldb + j);
        float* to = panel + d * PANEL_COLUMNS;
        int j = 0;
        for (; j + LANES <= columns; j += LANES) store(to + j, load(from + j) * task.scale);
        if (j < columns) store(to + j, load_some(from + j, columns - j, 0.0f) * task.scale);
    }
}

// At most TASK_ROWS rows and TASK_COLUMNS columns: both operands are packed, a depth of PANEL_DEPTH at a time.
static void product(const ProductTask& task, float* scratch) {
    float* panel = scratch;                              // [PANEL_DEPTH][PANEL_COLUMNS]
    float* edge = panel + PANEL_COLUMNS * PANEL_DEPTH;   // [TASK_ROWS][PANEL_COLUMNS]
    float* left = edge + PANEL_COLUMNS * TASK_ROWS;      // [TASK_ROWS][PITCH]
    const float* rows[TASK_ROWS];
    for (int i = 0; i < task.rows && task.depth == 0; ++i)
        for (int j = 0; j < task.columns; ++j) task.c[i * task.ldc + j] = 0.0f;
    for (int k = 0; k < task.depth; k += PANEL_DEPTH) {
        const int depth = task.depth - k < PANEL_DEPTH ? task.depth - k : PANEL_DEPTH;
        for (int i = 0; i < task.rows; ++i) {
            if (i + AHEAD_A < task.rows)
                for (int j = 0; j < depth; j += 16) __builtin_prefetch(task.a + (i + AHEAD_A) * task.lda + k + j);
            __builtin_memcpy(left + i * PITCH, task.a + i * task.lda + k, sizeof(float) * static_cast<std::size_t>(depth));
            rows[i] = left + i * PITCH;
        }
        for (int column = 0; column < task.columns; column += PANEL_COLUMNS) {
            const int columns = task.columns - column < PANEL_COLUMNS ? task.columns - column : PANEL_COLUMNS;
            const int width = round_up(columns, LANES);
            float* c = task.c + column;
            pack(task, column, columns, k, depth, panel);
            if (width == columns) {
                rows_product(rows, task.rows, panel, PANEL_COLUMNS, depth, c, task.ldc, width, k > 0);
                task.done();
                continue;
            }
            rows_product(rows, task.rows, panel, PANEL_COLUMNS, depth, edge, PANEL_COLUMNS, width, false);
            for (int i = 0; i < task.rows; ++i)
                for (int j = 0; j < columns; ++j) {
                    const float value = edge[i * PANEL_COLUMNS + j];
                    c[i * task.ldc + j] = k > 0 ? c[i * task.ldc + j] + value : value;
                }
            task.done();
        }
    }
}

// Rows that are walked down, a few floats of each, are a line further apart than they are long: at a power of two they
// would meet in the same few sets of the nearest cache.
constexpr int APART = 16;

static std::size_t linear_floats(int key_dim, int value_dim, int chunk) {
    const std::size_t w = static_cast<std::size_t>(round_up(chunk, LANES)), f = round_up(value_dim, LANES) + APART;
    return w * (static_cast<std::size_t>(key_dim) + value_dim + chunk + 2) + static_cast<std::size_t>(chunk) * f +
           static_cast<std::size_t>(key_dim) * f + static_cast<std::size_t>(chunk) * (key_dim + APART) + f;
}

// to[i] = from[i] * times for i < count, and zeros up to a whole vector.
HOST_INLINE void copy_row(const float* from, int count, float times, float* to) {
    int i = 0;
    for (; i + LANES <= count; i += LANES) store(to + i, load(from + i) * times);
    if (i < count) store(to + i, load_some(from + i, count - i, 0.0f) * times);
}

// Of a row of scores, those of tokens in front of the key become zero: whole vectors, then lanes of one, since a loop
// that ends elsewhere for every key would end in a branch guessed wrongly.
HOST_INLINE void clear_before(float* row, int key) {
    alignas(64) static constexpr std::int32_t NUMBERS[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    int t = 0;
    for (; t + LANES <= key; t += LANES) store(row + t, all(0.0f));
    store(row + t, select(load_int(NUMBERS) < VecInt{} + (key - t), all(0.0f), load(row + t)));
}

// Lines that will be needed, brought to the second cache a few behind every register tile: a core drops what it is asked
// for in a row once it waits for some twenty lines.
struct Lines {
    static constexpr int STRETCHES = 4, AT_ONCE = 6;
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
        const float* const last = end[stretch];
        for (int n = 0; n < AT_ONCE && from < last; ++n, from += 16) __builtin_prefetch(from, 0, 2);
        next[stretch] = from;
        stretch += from >= last;
    }
};

static void rows_ahead(const float* const* a, int rows, const float* b, std::int64_t ldb, int depth, float* c,
                       std::int64_t ldc, int columns, Lines& lines) {
    rows_product<ProductTiles, std::int64_t, std::int64_t, Lines&>(a, rows, b, ldb, depth, c, ldc, columns, false, nullptr, lines);
}

static void columns_ahead(const float* const* a, int rows, const float* b, std::int64_t ldb, int depth, float* c,
                          std::int64_t ldc, int columns, const float* factor, Lines& lines) {
    columns_product<ProductTiles, Listed, std::int64_t, std::int64_t, Lines&>(Listed{a}, rows, b, ldb, depth, c, ldc, columns,
                                                                              factor, lines);
}

// Tokens of a chunk lie along lanes, as queries of attention do: output = state^T q, plus the chunk's own causal scores
// times its values; then the state takes up the chunk.
static void linear(const LinearTask& task, float* scratch) {
    const int width = round_up(task.chunk, LANES), wide = round_up(task.value_dim, LANES), pitch = wide + APART;
    const int e = task.key_dim, f = task.value_dim, chunk = task.chunk, key_pitch = e + APART;
    float* queries = scratch;                 // [key_dim][width]
    float* output = queries + e * width;      // [value_dim][width]
    float* scores = output + f * width;       // [chunk][width]
    float* ones = scores + chunk * width;
    float* since = ones + width;              // decay of the state until a token
    float* values = since + width;            // [chunk][pitch]
    float* state = values + chunk * pitch;    // [key_dim][pitch]
    float* keys = state + e * pitch;          // [chunk][key_pitch], decayed until the end of the chunk
    float* kept = keys + chunk * key_pitch;   // [wide]
    const float* pointers[QUERY_TILE];
    const float* others[QUERY_TILE];
    for (int d = 0; d < e; ++d) {
        __builtin_memcpy(state + d * pitch, task.state + d * f, sizeof(float) * static_cast<std::size_t>(f));
        for (int j = f; j < wide; ++j) state[d * pitch + j] = 0.0f;
    }
    for (int i = 0; i < width; ++i) {
        ones[i] = 1.0f;
        since[i] = i ? since[i - 1] * task.decay : task.decay;
    }
    for (int i = 0; i < e * width; ++i) queries[i] = 0.0f;
    for (std::int64_t start = 0; start < task.tokens; start += chunk) {
        const int some = task.tokens - start < chunk ? static_cast<int>(task.tokens - start) : chunk;
        const float* q = task.q + start * e;
        const float* k = task.k + start * e;
        const float* v = task.v + start * f;
        const std::int64_t later = task.tokens - start - some, after = later < chunk ? later : chunk;
        Lines lines{};
        lines.add(0, task.out + start * f, std::int64_t{some} * f);
        lines.add(1, q + some * e, after * e);
        lines.add(2, k + some * e, after * e);
        lines.add(3, v + some * f, after * f);
        for (int t = 0; t < some; ++t) pointers[t] = q + t * e;
        transpose(pointers, some, e, task.scale, queries, width);
        if (e == 0) __builtin_memset(output, 0, sizeof(float) * static_cast<std::size_t>(f) * width);
        for (int d = 0; d < e; d += QUERY_TILE) {  // what came before the chunk
            const int few = e - d < QUERY_TILE ? e - d : QUERY_TILE;
            for (int i = 0; i < few; ++i) others[i] = state + (d + i) * pitch;
            columns_ahead(others, f, queries + d * width, width, few, output, width, width, d ? ones : nullptr, lines);
        }
        for (int t = 0; t < some; ++t) pointers[t] = k + t * e;
        rows_ahead(pointers, some, queries, width, e, scores, width, width, lines);
        for (int key = 0; key < some; ++key) {  // token t has the chunk's keys up to itself
            float* row = scores + key * width;
            float fade = 1.0f;
            clear_before(row, key);
            if (task.decay != 1.0f)
                for (int t = key; t < some; ++t, fade *= task.decay) row[t] *= fade;
        }
        for (int t = 0; t < some; ++t) {
            copy_row(v + t * f, f, 1.0f, values + t * pitch);
            others[t] = values + t * pitch;
        }
        columns_ahead(others, f, scores, width, some, output, width, width, since, lines);
        for (int j = 0; j < f; j += QUERY_TILE) {
            const int few = f - j < QUERY_TILE ? f - j : QUERY_TILE;
            for (int i = 0; i < few; ++i) pointers[i] = output + (j + i) * width;
            transpose(pointers, few, some, 1.0f, task.out + start * f + j, f);
        }
        for (int t = 0; t < some; ++t) {
            const float fade = t + 1 == some ? 1.0f : since[some - 2 - t];
            copy_row(k + t * e, e, fade, keys + t * key_pitch);
            pointers[t] = keys + t * key_pitch;
        }
        for (int j = 0; j < wide; ++j) kept[j] = since[some - 1];
        columns_ahead(pointers, e, values, pitch, some, state, pitch, wide, kept, lines);
        task.done();
    }
    for (int d = 0; d < e; ++d)
        __builtin_memcpy(task.state + d * f, state + d * pitch, sizeof(float) * static_cast<std::size_t>(f));
}
