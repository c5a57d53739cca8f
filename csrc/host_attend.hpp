// Fused attention of one tile of queries: one pass over the keys with a running maximum. Included by host_isa_*.cpp.
//
// Queries lie along lanes: they are transposed once, and every maximum and sum of the softmax runs down a lane.

constexpr int PANEL = ATTEND_VECTORS * LANES;  // queries that go through a visit together
// Whether values that do not lie at one distance are read through a list: where a tile multiplies long enough, that is for
// free. Else they are copied together first.
constexpr bool LISTED = ATTEND_ROWS * ATTEND_VECTORS >= 24;
constexpr float HEADROOM = 8.0f;             // how far a score may exceed the offset, in powers of two

static std::size_t attend_floats(int head_dim, int value_dim) {
    const std::size_t panels = QUERY_TILE / PANEL, of_panel = static_cast<std::size_t>(head_dim) + value_dim + 3;
    return PANEL * (panels * of_panel + KEY_TILE + 1) + static_cast<std::size_t>(KEY_TILE) * value_dim;
}

// Scores that a query does not see become -infinity. One comparison: below `first`, the distance wraps around. On the other
// axes all keys of a run stand at one place, so that these make the width zero once a run.
template <int NV>
HOST_INLINE void mask_vectors(const AttendTask& task, const VisitRows& rows, int query, float* scores) {
    typedef std::uint32_t VecWhole __attribute__((vector_size(HOST_LANES * 4)));
    VecWhole first[MAX_AXES][NV], width[MAX_AXES][NV];
    int others[MAX_AXES], count = 0;  // axes on which a run stands still
    for (int axis = 0; axis < task.axes; ++axis) {
        if (axis != rows.along) others[count++] = axis;
#pragma GCC unroll 8
        for (int j = 0; j < NV; ++j) {
            const VecInt from = load_int(task.first[axis] + query + j * LANES);
            first[axis][j] = reinterpret_cast<VecWhole>(from);
            width[axis][j] = reinterpret_cast<VecWhole>(load_int(task.last[axis] + query + j * LANES) - from);
        }
    }
    VecWhole along[NV];
#pragma GCC unroll 8
    for (int j = 0; j < NV; ++j) along[j] = first[rows.along][j];
    for (int key = 0, run = 0; key < rows.count; ++run) {
        VecWhole left[NV];
#pragma GCC unroll 8
        for (int j = 0; j < NV; ++j) left[j] = width[rows.along][j];
        for (int i = 0; i < count; ++i) {
            const VecWhole at = VecWhole{} + static_cast<std::uint32_t>(rows.at[run][others[i]]);
#pragma GCC unroll 8
            for (int j = 0; j < NV; ++j) left[j] = (at - first[others[i]][j]) < width[others[i]][j] ? left[j] : VecWhole{};
        }
        VecWhole at = VecWhole{} + static_cast<std::uint32_t>(rows.at[run][rows.along]);
        for (const int last = key + rows.run; key < last; ++key, at += 1) {
#pragma GCC unroll 8
            for (int j = 0; j < NV; ++j) {
                float* score = scores + key * PANEL + j * LANES;
                store(score, (at - along[j]) < left[j] ? load(score) : all(-__builtin_inff()));
            }
        }
    }
}

static void mask_step(const AttendTask& task, const VisitRows& rows, int query, int width, float* scores) {
    constexpr int MOST = LANES == 16 ? 4 : 2;  // vectors of which all bounds stay in registers
    int j = 0;
    for (; j + MOST * LANES <= width; j += MOST * LANES) mask_vectors<MOST>(task, rows, query + j, scores + j);
    for (; j < width; j += LANES) mask_vectors<1>(task, rows, query + j, scores + j);
}

// Softmax of a panel under way. Scores are counted from an offset: the largest one when it was last set. Only where a
// score exceeds it by more than HEADROOM is it set anew, and the past rescaled.
struct Panel {
    float* queries;  // [head_dim][PANEL], scaled
    float* output;   // [value_dim][PANEL]
    float* start;    // the offset, negative: a sum of a score begins here
    float* total;
    float* limit;    // above it the offset is set anew; for a query that has not seen a key, any score
};

// The offsets move up to the largest scores of queries that exceed their limits: rare after the first visit. Returns by how
// much; `factor` is what rescales the past.
HOST_INLINE Vec move_offset(const Panel& panel, int lane, Vec most, float* factor) {
    const VecInt over = most > load(panel.limit + lane);
    const Vec up = select(over, most, all(0.0f));
    const Vec times = exp2(-maximum(up, all(0.0f)));
    store(factor + lane, times);
    store(panel.start + lane, load(panel.start + lane) - up);
    store(panel.total + lane, load(panel.total + lane) * times);
    store(panel.limit + lane, select(over, all(HEADROOM), load(panel.limit + lane)));
    return up;
}

// Scores become numerators in place, counted from offsets that have moved up meanwhile, or have not.
template <int NV, bool MOVED>
HOST_INLINE void exponentials(int keys, float* scores, const Vec (&up)[NV], Vec (&sum)[NV]) {
    for (int key = 0; key < keys; ++key) {
        float* score = scores + key * PANEL;
        Vec numerator[NV];
#pragma GCC unroll 8
        for (int j = 0; j < NV; ++j) numerator[j] = MOVED ? load(score + j * LANES) - up[j] : load(score + j * LANES);
        exp2_each(numerator);
#pragma GCC unroll 8
        for (int j = 0; j < NV; ++j) {
            sum[j] += numerator[j];
            store(score + j * LANES, numerator[j]);
        }
    }
}

template <int NV>
HOST_INLINE void softmax_vectors(const Panel& panel, int lane, int keys, float* scores, float* factor) {
    Vec most[NV], sum[NV], up[NV];
#pragma GCC unroll 8
    for (int j = 0; j < NV; ++j) most[j] = load(scores + lane + j * LANES);
    for (int key = 1; key < keys; ++key)
#pragma GCC unroll 8
        for (int j = 0; j < NV; ++j) most[j] = maximum(load(scores + key * PANEL + lane + j * LANES), most[j]);
    VecInt over = most[0] > load(panel.limit + lane);
#pragma GCC unroll 8
    for (int j = 1; j < NV; ++j) over |= most[j] > load(panel.limit + lane + j * LANES);
    const bool moved = any(over);
#pragma GCC unroll 8
    for (int j = 0; j < NV; ++j) {
        up[j] = all(0.0f);
        if (moved)
            up[j] = move_offset(panel, lane + j * LANES, most[j], factor);
        else
            store(factor + lane + j * LANES, all(1.0f));
        sum[j] = load(panel.total + lane + j * LANES);
    }
    if (moved)
        exponentials<NV, true>(keys, scores + lane, up, sum);
    else
        exponentials<NV, false>(keys, scores + lane, up, sum);
#pragma GCC unroll 8
    for (int j = 0; j < NV; ++j) store(panel.total + lane + j * LANES, sum[j]);
}

static void softmax_step(const Panel& panel, int width, int keys, float* scores, float* factor) {
    int j = 0;
    for (; j + 4 * LANES <= width; j += 4 * LANES) softmax_vectors<4>(panel, j, keys, scores, factor);
    for (; j + 2 * LANES <= width; j += 2 * LANES) softmax_vectors<2>(panel, j, keys, scores, factor);
    if (j < width) softmax_vectors<1>(panel, j, keys, scores, factor);
}

// Lines that will be needed, asked for a few at a time between the steps of register tiles: a core has room for some
// twenty lines that it waits for, and what it needs now shall find some.
class Ahead {
public:
    void add(const float* const* rows, int count, int dim) {
        if (count > 0) lists[most++] = {rows, rows + count, dim};
        lines += count * ((dim + LINE - 1) / LINE);
    }
    bool any_left() const { return each > 0; }
    // Asked so many times.
    void over(int times) {
        each = (lines + times - 1) / times;
        if (most > 0) next_row();
    }
    HOST_MEMBER void operator()() {
        for (int asked = each; asked > 0; --asked) {
            __builtin_prefetch(at, 0, 2);
            at += LINE;
            if (at >= end && !next_row()) return;
        }
    }

private:
    static constexpr int LINE = 16;
    struct List {
        const float* const* row;
        const float* const* last;
        int dim;
    };
    bool next_row() {
        if (lists[now].row == lists[now].last && ++now >= most) {
            each = 0;
            return false;
        }
        at = *lists[now].row++;
        end = at + lists[now].dim;
        return true;
    }
    List lists[3];
    int most = 0, now = 0, lines = 0, each = 0;
    const float* at = nullptr;
    const float* end = nullptr;
};

// Asked inside register tiles, not behind them.
struct Inside {
    Ahead& ahead;
    HOST_MEMBER void operator()() const {}
};
HOST_INLINE void within(const Inside& inside) { inside.ahead(); }

// Tiles with nothing to ask for are spared the question.
template <typename Product>
HOST_INLINE void asking(Ahead& ahead, const Product& product) {
    if (ahead.any_left())
        product(Inside{ahead});
    else
        product(Nothing{});
}

static void score_step(const VisitRows& rows, const Panel& panel, int head_dim, int width, float* scores, Ahead& ahead) {
    asking(ahead, [&](auto behind) HOST_LAMBDA {
        rows_product<AttendTiles>(rows.keys, rows.count, panel.queries, Count<PANEL>{}, head_dim, scores, Count<PANEL>{}, width,
                                  false, panel.start, behind);
    });
}

template <typename Rows>
static void average_step(const Rows values, int value_dim, const Panel& panel, int keys, int width, const float* scores,
                         const float* factor, Ahead& ahead) {
    asking(ahead, [&](auto behind) HOST_LAMBDA {
        columns_product<AttendTiles>(values, value_dim, scores, Count<PANEL>{}, keys, panel.output, Count<PANEL>{}, width,
                                     factor, behind);
    });
}

// The quotients of a panel, into the rows of its queries. These lie anywhere, and stores would wait for one line after the
// other: the lines of the next four rows are asked for.
static void write_panel(const AttendTask& task, const Panel& panel, int query, int count) {
    float inverse[PANEL];
    for (int i = 0; i < PANEL; ++i)  // 0: it sees no key
        inverse[i] = panel.total[i] > 0.0f ? 1.0f / panel.total[i] : 0.0f;
    float* const* const rows = task.outputs + query;
    int q = 0;
#if HOST_LANES == 16
    for (; q + LANES <= count && task.value_dim % LANES == 0; q += LANES) {
        const Vec times = load(inverse + q);
        for (int f = 0; f < task.value_dim; f += LANES) {
            for (int i = q + LANES; i < q + 2 * LANES && i < count; ++i) __builtin_prefetch(rows[i] + f, 1);
            Vec block[LANES];
#pragma GCC unroll 16
            for (int i = 0; i < LANES; ++i) block[i] = load(panel.output + (f + i) * PANEL + q) * times;
            turn(block);
#pragma GCC unroll 16
            for (int i = 0; i < LANES; ++i) store(rows[q + i] + f, block[i]);
        }
    }
#endif
    for (; q + 4 <= count; q += 4) {
        const Four times = *reinterpret_cast<const FourAt*>(inverse + q);
        const float* from = panel.output + q;
        int f = 0;
        for (; f + 4 <= task.value_dim; f += 4, from += 4 * PANEL) {
            if (f % 16 == 0)
                for (int i = q + 4; i < q + 8 && i < count; ++i) __builtin_prefetch(rows[i] + f, 1);
            Four block[4];
#pragma GCC unroll 4
            for (int i = 0; i < 4; ++i) block[i] = *reinterpret_cast<const FourAt*>(from + i * PANEL) * times;
            turn(block);
#pragma GCC unroll 4
            for (int i = 0; i < 4; ++i) *reinterpret_cast<FourAt*>(rows[q + i] + f) = block[i];
        }
        for (; f < task.value_dim; ++f, from += PANEL)
            for (int i = 0; i < 4; ++i) rows[q + i][f] = from[i] * inverse[q + i];
    }
    for (; q < count; ++q)
        for (int f = 0; f < task.value_dim; ++f) rows[q][f] = panel.output[f * PANEL + q] * inverse[q];
}

// Queries of a panel transposed, and nothing seen yet.
static void begin_panel(const AttendTask& task, const Panel& panel, int query, int count) {
    __builtin_memset(panel.start, 0, sizeof(float) * PANEL);
    __builtin_memset(panel.total, 0, sizeof(float) * PANEL);
    for (int i = 0; i < PANEL; ++i) panel.limit[i] = LOWEST;
    if (task.visits == 0)
        __builtin_memset(panel.output, 0, sizeof(float) * PANEL * static_cast<std::size_t>(task.value_dim));
    if (count < PANEL)
        __builtin_memset(panel.queries, 0, sizeof(float) * PANEL * static_cast<std::size_t>(task.head_dim));
    transpose(task.queries + query, count, task.head_dim, task.scale * LOG2_E, panel.queries, PANEL);
}

// What is asked for during a visit: keys and values of the next one; in the last one the queries of the next tile, and
// what will be written.
static Ahead ahead_of(const AttendTask& task, const VisitRows& rows, const VisitRows* next, int panels) {
    Ahead behind;
    if (next && !next->value_pitch) {
        behind.add(next->keys, next->count, task.head_dim);
        behind.add(next->values, next->count, task.value_dim);
    }
    if (!next) {
        behind.add(task.next, task.next_count, task.head_dim);
        behind.add(task.outputs, task.count, task.value_dim);
    }
    const int score_tiles = (rows.count + ATTEND_ROWS - 1) / ATTEND_ROWS;
    const int tiles = (task.value_dim + ATTEND_ROWS - 1) / ATTEND_ROWS;
    behind.over(panels * (score_tiles * (task.head_dim / UNROLLED) + tiles * (rows.count / UNROLLED)) + 1);
    return behind;
}

static void attend(const AttendTask& task, float* scratch) {
    const int count = (task.count + PANEL - 1) / PANEL;
    float* scores = scratch;                     // [KEY_TILE][PANEL]
    float* factor = scores + KEY_TILE * PANEL;
    float* packed = factor + PANEL;              // [KEY_TILE][value_dim]
    float* room = packed + KEY_TILE * static_cast<std::size_t>(task.value_dim);
    Panel panels[QUERY_TILE / PANEL];
    const auto queries_of = [&](int p) { return task.count - p * PANEL < PANEL ? task.count - p * PANEL : PANEL; };
    for (int p = 0; p < count; ++p) {
        float* output = room + task.head_dim * PANEL;
        float* start = output + task.value_dim * PANEL;
        panels[p] = {room, output, start, start + PANEL, start + 2 * PANEL};
        room = start + 3 * PANEL;
        begin_panel(task, panels[p], p * PANEL, queries_of(p));
    }
    VisitRows visits[2];
    if (task.visits > 0) task.rows(task.context, 0, visits[0]);
    for (int visit = 0; visit < task.visits; ++visit) {
        const VisitRows& rows = visits[visit % 2];
        VisitRows* const next = visit + 1 < task.visits ? &visits[(visit + 1) % 2] : nullptr;
        if (next) task.rows(task.context, visit + 1, *next);
        Ahead behind = ahead_of(task, rows, next, count);
        const float* values = rows.values[0];
        std::int64_t pitch = rows.value_pitch;
        const bool listed = !pitch && LISTED;
        if (!pitch && !listed) {
            values = packed;
            pitch = task.value_dim;
            for (int key = 0; key < rows.count; ++key)
                __builtin_memcpy(packed + key * pitch, rows.values[key], sizeof(float) * static_cast<std::size_t>(pitch));
        }
        for (int p = 0; p < count; ++p) {
            const int width = round_up(queries_of(p), LANES);
            score_step(rows, panels[p], task.head_dim, width, scores, behind);
            if (rows.masked) mask_step(task, rows, p * PANEL, width, scores);
            softmax_step(panels[p], width, rows.count, scores, factor);
            const float* const past = visit ? factor : nullptr;
            if (listed)
                average_step(Listed{rows.values}, task.value_dim, panels[p], rows.count, width, scores, past, behind);
            else
                average_step(Spaced{values, pitch}, task.value_dim, panels[p], rows.count, width, scores, past, behind);
        }
    }
    for (int p = 0; p < count; ++p) write_panel(task, panels[p], p * PANEL, queries_of(p));
}
