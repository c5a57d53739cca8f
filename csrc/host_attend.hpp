// Fused attention of one tile of queries: one pass over the keys with a running maximum. Included by host_isa_*.cpp.
//
// Queries lie along lanes: they are transposed once, and every maximum and sum of the softmax runs down a lane.

constexpr int WIDTH = QUERY_TILE;  // floats of a row of scores

static std::size_t attend_floats(int head_dim, int value_dim) {
    return static_cast<std::size_t>(WIDTH) * (static_cast<std::size_t>(head_dim) + value_dim + KEY_TILE + 3);
}

// Scores that a query does not see become -infinity. One comparison an axis: below `first`, the distance wraps around.
template <int NV>
HOST_INLINE void mask_vectors(const AttendTask& task, const VisitRows& rows, int axis, int lane, float* scores) {
    typedef std::uint32_t VecWhole __attribute__((vector_size(HOST_LANES * 4)));
    VecWhole first[NV], width[NV];
#pragma GCC unroll 8
    for (int j = 0; j < NV; ++j) {
        const VecInt from = load_int(task.first[axis] + lane + j * LANES);
        first[j] = reinterpret_cast<VecWhole>(from);
        width[j] = reinterpret_cast<VecWhole>(load_int(task.last[axis] + lane + j * LANES) - from);
    }
    for (int key = 0; key < rows.count; ++key) {
        const VecWhole at = VecWhole{} + static_cast<std::uint32_t>(rows.at[axis][key]);
#pragma GCC unroll 8
        for (int j = 0; j < NV; ++j) {
            float* score = scores + key * WIDTH + j * LANES;
            store(score, (at - first[j]) < width[j] ? load(score) : all(-__builtin_inff()));
        }
    }
}

static void apply_mask(const AttendTask& task, const VisitRows& rows, float* scores, int width) {
    for (int axis = 0; axis < task.axes; ++axis) {
        int j = 0;
        for (; j + 2 * LANES <= width; j += 2 * LANES) mask_vectors<2>(task, rows, axis, j, scores + j);
        if (j < width) mask_vectors<1>(task, rows, axis, j, scores + j);
    }
}

// Scores become numerators in place; the running maximum and sum move on, and `factor` is what rescales the past.
template <int NV>
HOST_INLINE void softmax_vectors(float* scores, int keys, float* most, float* total, float* factor) {
    Vec now[NV], sum[NV];
#pragma GCC unroll 8
    for (int j = 0; j < NV; ++j) now[j] = load(most + j * LANES);
    for (int key = 0; key < keys; ++key)
#pragma GCC unroll 8
        for (int j = 0; j < NV; ++j) now[j] = maximum(load(scores + key * WIDTH + j * LANES), now[j]);
#pragma GCC unroll 8
    for (int j = 0; j < NV; ++j) {
        const Vec times = exp2(load(most + j * LANES) - now[j]);
        store(factor + j * LANES, times);
        store(most + j * LANES, now[j]);
        sum[j] = load(total + j * LANES) * times;
    }
    for (int key = 0; key < keys; ++key)
#pragma GCC unroll 8
        for (int j = 0; j < NV; ++j) {
            float* score = scores + key * WIDTH + j * LANES;
            const Vec numerator = exp2(load(score) - now[j]);
            sum[j] += numerator;
            store(score, numerator);
        }
#pragma GCC unroll 8
    for (int j = 0; j < NV; ++j) store(total + j * LANES, sum[j]);
}

static void softmax_step(float* scores, int keys, int width, float* most, float* total, float* factor) {
    int j = 0;
    for (; j + 2 * LANES <= width; j += 2 * LANES)
        softmax_vectors<2>(scores + j, keys, most + j, total + j, factor + j);
    if (j < width) softmax_vectors<1>(scores + j, keys, most + j, total + j, factor + j);
}

static void attend(const AttendTask& task, float* scratch) {
    const int width = round_up(task.count, LANES);
    float* queries = scratch;                                      // [head_dim][WIDTH]
    float* output = queries + task.head_dim * WIDTH;               // [value_dim][WIDTH]
    float* scores = output + task.value_dim * WIDTH;               // [KEY_TILE][WIDTH]
    float* most = scores + KEY_TILE * WIDTH;
    float* total = most + WIDTH;
    float* factor = total + WIDTH;
    if (task.count % LANES)
        for (int e = 0; e < task.head_dim; ++e)
            for (int i = task.count; i < width; ++i) queries[e * WIDTH + i] = 0.0f;
    transpose(task.queries, task.count, task.head_dim, task.scale * LOG2_E, queries, WIDTH);
    __builtin_memset(output, 0, sizeof(float) * WIDTH * static_cast<std::size_t>(task.value_dim));
    for (int i = 0; i < width; ++i) {
        most[i] = LOWEST;
        total[i] = 0.0f;
    }
    VisitRows rows;
    for (int visit = 0; visit < task.visits; ++visit) {
        task.rows(task.context, visit, rows);
        rows_product(rows.keys, rows.count, queries, WIDTH, task.head_dim, scores, WIDTH, width, false);
        if (rows.masked) apply_mask(task, rows, scores, width);
        softmax_step(scores, rows.count, width, most, total, factor);
        columns_product(rows.values, task.value_dim, scores, WIDTH, rows.count, output, WIDTH, width, factor);
    }
    for (int i = 0; i < width; ++i) factor[i] = total[i] > 0.0f ? 1.0f / total[i] : total[i];  // 0: it sees no key
    for (int f = 0; f < task.value_dim; ++f)
        for (int j = 0; j < width; j += LANES)
            store(output + f * WIDTH + j, load(output + f * WIDTH + j) * load(factor + j));
    const float* features[WIDTH];
    for (int f = 0; f < task.value_dim; f += WIDTH) {
        const int some = task.value_dim - f < WIDTH ? task.value_dim - f : WIDTH;
        for (int i = 0; i < some; ++i) features[i] = output + (f + i) * WIDTH;
        for (int q = 0; q < task.count; q += 4) {  // rows of the output lie anywhere: four at a time through a buffer
            const int few = task.count - q < 4 ? task.count - q : 4;
            float turned[4 * WIDTH];
            const float* from[WIDTH];
            for (int i = 0; i < some; ++i) from[i] = features[i] + q;
            transpose(from, some, few, 1.0f, turned, WIDTH);
            for (int i = 0; i < few; ++i)
                __builtin_memcpy(task.outputs[q + i] + f, turned + i * WIDTH, sizeof(float) * static_cast<std::size_t>(some));
        }
    }
}
