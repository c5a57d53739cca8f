// Register tiles: MR rows by NV vectors of a product stay in registers while its sum goes by. Included by host_isa_*.cpp.
//
// Both products of attention have this form with queries along lanes: scores take a key a row, outputs a feature a row,
// and the other operand is read one vector of queries at a time. Keys and values are read where they lie.

constexpr int TILE_ROWS = 6;
constexpr int TILE_VECTORS = HOST_TILE_VECTORS;

// C[i][j] (+)= sum over k of a[i][k] * b[k][j]: each row has a pointer. What is added to is asked for when the sum begins.
template <int MR, int NV>
HOST_INLINE void rows_tile(const float* const* a, const float* b, std::int64_t ldb, int depth, float* c,
                           std::int64_t ldc, bool add) {
    Vec sum[MR][NV];
    const float* row[MR];
    if (add)
        for (int i = 0; i < MR; ++i)
            for (int j = 0; j < NV * LANES; j += 16) __builtin_prefetch(c + i * ldc + j, 1);
#pragma GCC unroll 8
    for (int i = 0; i < MR; ++i) {
        row[i] = a[i];
#pragma GCC unroll 8
        for (int j = 0; j < NV; ++j) sum[i][j] = all(0.0f);
    }
    for (int k = 0; k < depth; ++k, b += ldb) {
        Vec right[NV];
#pragma GCC unroll 8
        for (int j = 0; j < NV; ++j) right[j] = load(b + j * LANES);
#pragma GCC unroll 8
        for (int i = 0; i < MR; ++i) {
            const Vec left = all(row[i][k]);
#pragma GCC unroll 8
            for (int j = 0; j < NV; ++j) sum[i][j] = fma(left, right[j], sum[i][j]);
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < MR; ++i)
#pragma GCC unroll 8
        for (int j = 0; j < NV; ++j) {
            float* to = c + i * ldc + j * LANES;
            store(to, add ? load(to) + sum[i][j] : sum[i][j]);
        }
}

// C[i][j] = factor[j] * C[i][j] + sum over k of a[k][i] * b[k][j]: each k has a pointer, rows are neighbours there.
template <int MR, int NV>
HOST_INLINE void columns_tile(const float* const* a, int offset, const float* b, std::int64_t ldb, int depth, float* c,
                              std::int64_t ldc, const float* factor) {
    Vec sum[MR][NV];
#pragma GCC unroll 8
    for (int j = 0; j < NV; ++j) {
        const Vec times = load(factor + j * LANES);
#pragma GCC unroll 8
        for (int i = 0; i < MR; ++i) sum[i][j] = times * load(c + i * ldc + j * LANES);
    }
    for (int k = 0; k < depth; ++k, b += ldb) {
        const float* left = a[k] + offset;
        Vec right[NV];
#pragma GCC unroll 8
        for (int j = 0; j < NV; ++j) right[j] = load(b + j * LANES);
#pragma GCC unroll 8
        for (int i = 0; i < MR; ++i) {
            const Vec one = all(left[i]);
#pragma GCC unroll 8
            for (int j = 0; j < NV; ++j) sum[i][j] = fma(one, right[j], sum[i][j]);
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < MR; ++i)
#pragma GCC unroll 8
        for (int j = 0; j < NV; ++j) store(c + i * ldc + j * LANES, sum[i][j]);
}

template <int NV>
static void rows_vectors(const float* const* a, int rows, const float* b, std::int64_t ldb, int depth, float* c,
                         std::int64_t ldc, bool add) {
    for (; rows >= TILE_ROWS; rows -= TILE_ROWS, a += TILE_ROWS, c += TILE_ROWS * ldc)
        rows_tile<TILE_ROWS, NV>(a, b, ldb, depth, c, ldc, add);
    switch (rows) {
        case 5: return rows_tile<5, NV>(a, b, ldb, depth, c, ldc, add);
        case 4: return rows_tile<4, NV>(a, b, ldb, depth, c, ldc, add);
        case 3: return rows_tile<3, NV>(a, b, ldb, depth, c, ldc, add);
        case 2: return rows_tile<2, NV>(a, b, ldb, depth, c, ldc, add);
        case 1: return rows_tile<1, NV>(a, b, ldb, depth, c, ldc, add);
        default: return;
    }
}

template <int NV>
static void columns_vectors(const float* const* a, int rows, const float* b, std::int64_t ldb, int depth, float* c,
                            std::int64_t ldc, const float* factor) {
    int at = 0;
    for (; rows - at >= TILE_ROWS; at += TILE_ROWS)
        columns_tile<TILE_ROWS, NV>(a, at, b, ldb, depth, c + at * ldc, ldc, factor);
    c += at * ldc;
    switch (rows - at) {
        case 5: return columns_tile<5, NV>(a, at, b, ldb, depth, c, ldc, factor);
        case 4: return columns_tile<4, NV>(a, at, b, ldb, depth, c, ldc, factor);
        case 3: return columns_tile<3, NV>(a, at, b, ldb, depth, c, ldc, factor);
        case 2: return columns_tile<2, NV>(a, at, b, ldb, depth, c, ldc, factor);
        case 1: return columns_tile<1, NV>(a, at, b, ldb, depth, c, ldc, factor);
        default: return;
    }
}

// The same over any number of columns, a multiple of LANES.
static void rows_product(const float* const* a, int rows, const float* b, std::int64_t ldb, int depth, float* c,
                         std::int64_t ldc, int columns, bool add) {
    int at = 0;
    for (; columns - at >= TILE_VECTORS * LANES; at += TILE_VECTORS * LANES)
        rows_vectors<TILE_VECTORS>(a, rows, b + at, ldb, depth, c + at, ldc, add);
    switch ((columns - at) / LANES) {
        case 3: return rows_vectors<3>(a, rows, b + at, ldb, depth, c + at, ldc, add);
        case 2: return rows_vectors<2>(a, rows, b + at, ldb, depth, c + at, ldc, add);
        case 1: return rows_vectors<1>(a, rows, b + at, ldb, depth, c + at, ldc, add);
        default: return;
    }
}

static void columns_product(const float* const* a, int rows, const float* b, std::int64_t ldb, int depth, float* c,
                            std::int64_t ldc, int columns, const float* factor) {
    int at = 0;
    for (; columns - at >= TILE_VECTORS * LANES; at += TILE_VECTORS * LANES)
        columns_vectors<TILE_VECTORS>(a, rows, b + at, ldb, depth, c + at, ldc, factor + at);
    switch ((columns - at) / LANES) {
        case 3: return columns_vectors<3>(a, rows, b + at, ldb, depth, c + at, ldc, factor + at);
        case 2: return columns_vectors<2>(a, rows, b + at, ldb, depth, c + at, ldc, factor + at);
        case 1: return columns_vectors<1>(a, rows, b + at, ldb, depth, c + at, ldc, factor + at);
        default: return;
    }
}

constexpr int round_up(int value, int unit) { return (value + unit - 1) / unit * unit; }

typedef float Four __attribute__((vector_size(16)));
typedef float FourAt __attribute__((vector_size(16), aligned(4), may_alias));

// to[j * ldt + i] = scale * from[i][j] for i < rows, j < columns: four by four.
static void transpose(const float* const* from, int rows, int columns, float scale, float* to, std::int64_t ldt) {
    int i = 0;
    for (; i + 4 <= rows; i += 4) {
        int j = 0;
        for (; j + 4 <= columns; j += 4) {
            Four r0 = *reinterpret_cast<const FourAt*>(from[i] + j) * scale;
            Four r1 = *reinterpret_cast<const FourAt*>(from[i + 1] + j) * scale;
            Four r2 = *reinterpret_cast<const FourAt*>(from[i + 2] + j) * scale;
            Four r3 = *reinterpret_cast<const FourAt*>(from[i + 3] + j) * scale;
            Four t0 = __builtin_shufflevector(r0, r1, 0, 4, 1, 5), t1 = __builtin_shufflevector(r2, r3, 0, 4, 1, 5);
            Four t2 = __builtin_shufflevector(r0, r1, 2, 6, 3, 7), t3 = __builtin_shufflevector(r2, r3, 2, 6, 3, 7);
            float* at = to + j * ldt + i;
            *reinterpret_cast<FourAt*>(at) = __builtin_shufflevector(t0, t1, 0, 1, 4, 5);
            *reinterpret_cast<FourAt*>(at + ldt) = __builtin_shufflevector(t0, t1, 2, 3, 6, 7);
            *reinterpret_cast<FourAt*>(at + 2 * ldt) = __builtin_shufflevector(t2, t3, 0, 1, 4, 5);
            *reinterpret_cast<FourAt*>(at + 3 * ldt) = __builtin_shufflevector(t2, t3, 2, 3, 6, 7);
        }
        for (; j < columns; ++j)
            for (int r = i; r < i + 4; ++r) to[j * ldt + r] = from[r][j] * scale;
    }
    for (; i < rows; ++i)
        for (int j = 0; j < columns; ++j) to[j * ldt + i] = from[i][j] * scale;
}
