// Register tiles: MR rows by NV vectors of a product stay in registers while its sum goes by. Included by host_isa_*.cpp.
//
// Both products of attention have this form with queries along lanes: scores take a key a row, outputs a feature a row,
// and the other operand is read one vector of queries at a time. Keys and values are read where they lie.

constexpr int TILE_ROWS = HOST_TILE_ROWS;
constexpr int TILE_VECTORS = HOST_TILE_VECTORS;
constexpr int ATTEND_ROWS = HOST_ATTEND_ROWS;  // of attention, whose operands are short enough for wide tiles
constexpr int ATTEND_VECTORS = HOST_ATTEND_VECTORS;
// A number that is known when the kernel is compiled.
template <int N>
struct Count {
    static constexpr int value = N;
    constexpr operator std::int64_t() const { return N; }
};

constexpr int UNROLLED = 8;  // steps of a sum between two branches

// One step of the sum of a tile: sum[i][j] += left(i) * right[j]. The side with fewer vectors is held in registers.
template <int MR, int NV, typename Left>
HOST_INLINE void multiply_add(Vec (&sum)[MR][NV], const Left& left, const float* right) {
    if constexpr (MR < NV) {
        Vec held[MR];
#pragma GCC unroll 8
        for (int i = 0; i < MR; ++i) held[i] = all(left(i));
#pragma GCC unroll 8
        for (int j = 0; j < NV; ++j) {
            const Vec one = load(right + j * LANES);
#pragma GCC unroll 8
            for (int i = 0; i < MR; ++i) accumulate(sum[i][j], held[i], one);
        }
    } else {
        Vec held[NV];
#pragma GCC unroll 8
        for (int j = 0; j < NV; ++j) held[j] = load(right + j * LANES);
#pragma GCC unroll 8
        for (int i = 0; i < MR; ++i) {
            const Vec one = all(left(i));
#pragma GCC unroll 8
            for (int j = 0; j < NV; ++j) accumulate(sum[i][j], one, held[j]);
        }
    }
}

// How much of the last vector of a tile is written: all, or so many lanes.
struct Whole {
    static constexpr bool always = true;
    static constexpr int lanes = LANES;
};
struct Partly {
    static constexpr bool always = false;
    int lanes;
};

template <int MR, int NV, typename PitchC, typename Last>
HOST_INLINE void store_tile(const Vec (&sum)[MR][NV], float* c, PitchC ldc, bool add, Last last) {
#pragma GCC unroll 8
    for (int i = 0; i < MR; ++i)
#pragma GCC unroll 8
        for (int j = 0; j < NV; ++j) {
            float* to = c + i * ldc + j * LANES;
            if (!Last::always && j == NV - 1 && last.lanes < LANES)
                store_some(to, add ? load_some(to, last.lanes, 0.0f) + sum[i][j] : sum[i][j], last.lanes);
            else
                store(to, add ? load(to) + sum[i][j] : sum[i][j]);
        }
}

// What is done inside a register tile, behind every UNROLLED steps of its sum: nothing, unless there is an overload.
template <typename Behind>
HOST_INLINE void within(const Behind&) {}

// C[i][j] (+)= start[j] + sum over k of a[i][k] * b[k][j]: each row has a pointer. What is added to is asked for when the
// sum begins. Without `start`, the sum begins at zero.
template <int MR, int NV, typename Pitch, typename PitchC, typename Behind, typename Last>
HOST_INLINE void rows_tile(const float* const* a, const float* b, Pitch ldb, int depth, float* c, PitchC ldc,
                           bool add, const float* start, Behind& behind, Last last) {
    Vec sum[MR][NV];
    const float* row[MR];
    if (add)
        for (int i = 0; i < MR; ++i) {
            for (int j = 0; j < NV * LANES; j += 16) __builtin_prefetch(c + i * ldc + j, 1);
            __builtin_prefetch(c + i * ldc + (NV - 1) * LANES + last.lanes - 1, 1);
        }
#pragma GCC unroll 8
    for (int i = 0; i < MR; ++i) {
        row[i] = a[i];
#pragma GCC unroll 8
        for (int j = 0; j < NV; ++j) sum[i][j] = start ? load(start + j * LANES) : all(0.0f);
    }
    int k = 0;
    for (; k + UNROLLED <= depth; k += UNROLLED, b += UNROLLED * ldb) {
#pragma GCC unroll 8
        for (int u = 0; u < UNROLLED; ++u)
            multiply_add<MR, NV>(sum, [&](int i) HOST_LAMBDA { return row[i][k + u]; }, b + u * ldb);
        within(behind);
    }
    for (; k < depth; ++k, b += ldb)
        multiply_add<MR, NV>(sum, [&](int i) HOST_LAMBDA { return row[i][k]; }, b);
    store_tile(sum, c, ldc, add, last);
}

// C[i][j] = factor[j] * C[i][j] + sum over k of a(k)[i] * b[k][j]: rows of C are neighbours in a row of a. Without `factor`,
// the sum begins at zero.
template <int MR, int NV, typename Rows, typename Pitch, typename PitchC, typename Behind>
HOST_INLINE void columns_tile(const Rows& a, int offset, const float* b, Pitch ldb, int depth, float* c, PitchC ldc,
                               const float* factor, Behind& behind) {
    Vec sum[MR][NV];
#pragma GCC unroll 8
    for (int j = 0; j < NV; ++j) {
        const Vec times = factor ? load(factor + j * LANES) : all(0.0f);
#pragma GCC unroll 8
        for (int i = 0; i < MR; ++i) sum[i][j] = factor ? times * load(c + i * ldc + j * LANES) : all(0.0f);
    }
    int k = 0;
    for (; k + UNROLLED <= depth; k += UNROLLED, b += UNROLLED * ldb) {
#pragma GCC unroll 8
        for (int u = 0; u < UNROLLED; ++u) {
            const float* left = a(k + u) + offset;
            multiply_add<MR, NV>(sum, [&](int i) HOST_LAMBDA { return left[i]; }, b + u * ldb);
        }
        within(behind);
    }
    for (; k < depth; ++k, b += ldb) {
        const float* left = a(k) + offset;
        multiply_add<MR, NV>(sum, [&](int i) HOST_LAMBDA { return left[i]; }, b);
    }
    store_tile(sum, c, ldc, false, Whole{});
}

// What is done behind every register tile of a product: nothing, as a rule.
struct Nothing {
    HOST_MEMBER void operator()() const {}
};

// The largest register tile of a product: ROWS by VECTORS. Where rows are left over, the last two tiles share them evenly,
// because a tile of one row has too few sums under way.
template <int ROWS, int VECTORS>
struct Tiles {
    template <typename Each>
    HOST_MEMBER static void rest(int rows, const Each& each) {
        for (int some; rows > 0; rows -= some) {
            some = rows <= ROWS ? rows : (rows + 1) / 2;
            switch (some) {
                case 1: each(Count<1>{}); break;
                case 2: each(Count<2>{}); break;
                case 3: each(Count<3>{}); break;
                case 4: each(Count<ROWS < 4 ? ROWS : 4>{}); break;
                case 5: each(Count<ROWS < 5 ? ROWS : 5>{}); break;
                default: each(Count<ROWS>{});
            }
        }
    }

    template <int NV, typename Pitch, typename PitchC, typename Behind, typename Last>
    static void rows_vectors(const float* const* a, int rows, const float* b, Pitch ldb, int depth, float* c, PitchC ldc,
                             bool add, const float* start, Behind& behind, Last last) {
        for (; rows >= 2 * ROWS || rows == ROWS; rows -= ROWS, a += ROWS, c += ROWS * ldc) {
            rows_tile<ROWS, NV>(a, b, ldb, depth, c, ldc, add, start, behind, last);
            behind();
        }
        rest(rows, [&](auto some) HOST_LAMBDA {
            rows_tile<some.value, NV>(a, b, ldb, depth, c, ldc, add, start, behind, last);
            behind();
            a += some.value;
            c += some.value * ldc;
        });
    }

    template <int NV, typename Rows, typename Pitch, typename PitchC, typename Behind>
    static void columns_vectors(const Rows a, int rows, const float* b, Pitch ldb, int depth, float* c, PitchC ldc,
                                const float* factor, Behind& behind) {
        int at = 0;
        for (; rows - at >= 2 * ROWS || rows - at == ROWS; at += ROWS, c += ROWS * ldc) {
            columns_tile<ROWS, NV>(a, at, b, ldb, depth, c, ldc, factor, behind);
            behind();
        }
        rest(rows - at, [&](auto some) HOST_LAMBDA {
            columns_tile<some.value, NV>(a, at, b, ldb, depth, c, ldc, factor, behind);
            behind();
            at += some.value;
            c += some.value * ldc;
        });
    }

    // Calls each(vectors, first column) until all columns, a multiple of LANES, have had one.
    template <typename Each>
    HOST_MEMBER static void panels(int columns, const Each& each) {
        for (int at = 0; at < columns; at += VECTORS * LANES) switch ((columns - at) / LANES) {
                case 1: each(Count<1>{}, at); break;
                case 2: each(Count<2>{}, at); break;
                case 3: each(Count<VECTORS < 3 ? VECTORS : 3>{}, at); break;
                default: each(Count<VECTORS>{}, at);
            }
    }

    // The same of any number of columns, as wide as each other or a vector wider: one of a vector has too few sums.
    template <typename Each>
    HOST_MEMBER static void even_panels(int columns, const Each& each) {
        int left = (columns + LANES - 1) / LANES;
        for (int at = 0, some; left > 0; at += some * LANES, left -= some) {
            const int panels = (left + VECTORS - 1) / VECTORS;
            some = (left + panels - 1) / panels;
            switch (some) {
                case 1: each(Count<1>{}, at); break;
                case 2: each(Count<2>{}, at); break;
                case 3: each(Count<VECTORS < 3 ? VECTORS : 3>{}, at); break;
                default: each(Count<VECTORS>{}, at);
            }
        }
    }
};

using ProductTiles = Tiles<TILE_ROWS, TILE_VECTORS>;
using AttendTiles = Tiles<ATTEND_ROWS, ATTEND_VECTORS>;

// The products over any number of rows, and of columns that are a multiple of LANES.
template <typename Using, typename Pitch, typename PitchC, typename Behind = Nothing>
HOST_INLINE void rows_product(const float* const* a, int rows, const float* b, Pitch ldb, int depth, float* c,
                              PitchC ldc, int columns, bool add, const float* start, Behind behind = {}) {
    Using::panels(columns, [&](auto vectors, int at) HOST_LAMBDA {
        Using::template rows_vectors<vectors.value>(a, rows, b + at, ldb, depth, c + at, ldc, add,
                                                    start ? start + at : nullptr, behind, Whole{});
    });
}

template <typename Using, typename Rows, typename Pitch, typename PitchC, typename Behind = Nothing>
HOST_INLINE void columns_product(const Rows a, int rows, const float* b, Pitch ldb, int depth, float* c, PitchC ldc,
                                 int columns, const float* factor, Behind behind = {}) {
    Using::panels(columns, [&](auto vectors, int at) HOST_LAMBDA {
        Using::template columns_vectors<vectors.value>(a, rows, b + at, ldb, depth, c + at, ldc,
                                                       factor ? factor + at : nullptr, behind);
    });
}

// Rows of a that lie anywhere, and rows at one distance.
struct Listed {
    const float* const* rows;
    HOST_MEMBER const float* operator()(int k) const { return rows[k]; }
};
struct Spaced {
    const float* first;
    std::int64_t pitch;
    HOST_MEMBER const float* operator()(int k) const { return first + k * pitch; }
};

// Of any number of columns; b has whole vectors.
static void rows_product(const float* const* a, int rows, const float* b, std::int64_t ldb, int depth, float* c,
                         std::int64_t ldc, int columns, bool add) {
    Nothing nothing;
    ProductTiles::even_panels(columns, [&](auto vectors, int at) HOST_LAMBDA {
        const int some = columns - at - (vectors.value - 1) * LANES;
        ProductTiles::rows_vectors<vectors.value>(a, rows, b + at, ldb, depth, c + at, ldc, add, nullptr, nothing,
                                                  Partly{some < LANES ? some : LANES});
    });
}

template <typename Number>
constexpr Number round_up(Number value, int unit) {
    return (value + unit - 1) / unit * unit;
}

typedef float Four __attribute__((vector_size(16)));
typedef float FourAt __attribute__((vector_size(16), aligned(4), may_alias));

// Four rows of four become four columns.
HOST_INLINE void turn(Four (&r)[4]) {
    const Four low0 = __builtin_shufflevector(r[0], r[1], 0, 4, 1, 5), low1 = __builtin_shufflevector(r[2], r[3], 0, 4, 1, 5);
    const Four high0 = __builtin_shufflevector(r[0], r[1], 2, 6, 3, 7), high1 = __builtin_shufflevector(r[2], r[3], 2, 6, 3, 7);
    r[0] = __builtin_shufflevector(low0, low1, 0, 1, 4, 5);
    r[1] = __builtin_shufflevector(low0, low1, 2, 3, 6, 7);
    r[2] = __builtin_shufflevector(high0, high1, 0, 1, 4, 5);
    r[3] = __builtin_shufflevector(high0, high1, 2, 3, 6, 7);
}

#if HOST_LANES == 16
// The same of sixteen: pairs of numbers, pairs of pairs, then quarters of a vector twice.
HOST_INLINE void turn(Vec (&r)[16]) {
    Vec t[16];
#pragma GCC unroll 8
    for (int i = 0; i < 16; i += 2) {
        t[i] = __builtin_shufflevector(r[i], r[i + 1], 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29);
        t[i + 1] = __builtin_shufflevector(r[i], r[i + 1], 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31);
    }
#pragma GCC unroll 8
    for (int i = 0; i < 16; i += 4)
#pragma GCC unroll 2
        for (int j = 0; j < 2; ++j) {
            const Vec a = t[i + j], b = t[i + j + 2];
            r[i + 2 * j] = __builtin_shufflevector(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29);
            r[i + 2 * j + 1] = __builtin_shufflevector(a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
        }
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i)  // r[i + 4 g] has columns i, i + 4, i + 8 and i + 12 of rows 4 g to 4 g + 3
#pragma GCC unroll 2
        for (int j = 0; j < 2; ++j) {
            const Vec a = r[i + 8 * j], b = r[i + 8 * j + 4];
            t[i + 8 * j] = __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23);
            t[i + 8 * j + 4] = __builtin_shufflevector(a, b, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
        }
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i)
#pragma GCC unroll 2
        for (int j = 0; j < 2; ++j) {
            const Vec a = t[i + 4 * j], b = t[i + 4 * j + 8];
            r[i + 8 * j] = __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27);
            r[i + 8 * j + 4] = __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
        }
}
#endif

// to[j * ldt + i] = scale * from[i][j] for i < rows, j < columns: four by four, and a whole line of `to` at a time where
// there are rows enough. Asked for ahead are lines of `to`, which are far apart, so that stores would wait for one after
// the other, and those of the next rows, which lie anywhere.
static void transpose(const float* const* from, int rows, int columns, float scale, float* to, std::int64_t ldt) {
    constexpr int LINE = 16, AHEAD = 8;
    const int even = rows / 4 * 4;
    for (int first = 0; first < even; first += LINE) {
        const int last = even - first < LINE ? even : first + LINE;
        int j = 0;
#if HOST_LANES == 16
        for (; last - first == LINE && j + LINE <= columns; j += LINE) {
            for (int r = last; r < last + LINE && r < rows; ++r) __builtin_prefetch(from[r] + j);
            Vec block[LINE];
#pragma GCC unroll 16
            for (int r = 0; r < LINE; ++r) block[r] = load(from[first + r] + j) * scale;
            turn(block);
#pragma GCC unroll 16
            for (int r = 0; r < LINE; ++r) store(to + (j + r) * ldt + first, block[r]);
        }
#endif
        for (; j + 4 <= columns; j += 4) {
            if (j % LINE == 0)
                for (int r = last; r < last + LINE && r < rows; ++r) __builtin_prefetch(from[r] + j);
            if (j + AHEAD + 4 <= columns)
                for (int r = AHEAD; r < AHEAD + 4; ++r) __builtin_prefetch(to + (j + r) * ldt + first, 1);
            for (int i = first; i < last; i += 4) {
                Four block[4];
#pragma GCC unroll 4
                for (int r = 0; r < 4; ++r) block[r] = *reinterpret_cast<const FourAt*>(from[i + r] + j) * scale;
                turn(block);
#pragma GCC unroll 4
                for (int r = 0; r < 4; ++r) *reinterpret_cast<FourAt*>(to + (j + r) * ldt + i) = block[r];
            }
        }
        for (; j < columns; ++j)
            for (int r = first; r < last; ++r) to[j * ldt + r] = from[r][j] * scale;
    }
    for (int i = even; i < rows; ++i)
        for (int j = 0; j < columns; ++j) to[j * ldt + i] = from[i][j] * scale;
}
