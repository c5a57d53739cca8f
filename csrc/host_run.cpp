// Tasks of the host's kernels: how whole tensors are cut, and dealt to threads.
#include "host_run.hpp"

#include <algorithm>

#include "host_system.hpp"
#include "host_threads.hpp"
#include "host_watch.hpp"

namespace lightbound::host {

namespace {

constexpr std::int64_t ELEMENTS = 16384;  // of a task of an elementwise kernel
constexpr std::int64_t SOFTMAX_ELEMENTS = 65536;
constexpr std::int64_t STRETCH_TOKENS = 1024;  // of prefix averages, between two marks

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

// How many times so many elements, read and written, exceed all caches.
double times_caches(const float* in, const float* out, std::int64_t count) {
    static const double known = last_cache_bytes();
    return (in == out ? 1 : 2) * sizeof(float) * static_cast<double>(count) / known;
}

// Whether nobody will find in a cache what is written.
bool too_large(const float* in, const float* out, std::int64_t count) {
    return in != out && times_caches(in, out, count) > 1;
}

// Whether lines may have to come from memory: a cache that is shared, or whose sets are not filled evenly, loses some.
bool fills_quarter(const float* in, const float* out, std::int64_t count) { return times_caches(in, out, count) > 0.25; }

// Where the rows of a visit lie, for the kernel.
struct Context {
    const Windows* windows;  // null: blocks
    const QueryTile* tile;
    const float* k;
    const float* v;
    int head_dim, value_dim;
    Runs* runs;  // of the last visit
};

// Rows of a run, four at a time: most runs are short.
inline void list_run(const float* first, std::int64_t pitch, int count, const float** rows) {
    int i = 0;
    for (; i + 4 <= count; i += 4, first += 4 * pitch) {
        rows[i] = first;
        rows[i + 1] = first + pitch;
        rows[i + 2] = first + 2 * pitch;
        rows[i + 3] = first + 3 * pitch;
    }
    for (; i < count; ++i, first += pitch) rows[i] = first;
}

void rows_of(const void* opaque, int number, VisitRows& rows) {
    mark();
    const auto& context = *static_cast<const Context*>(opaque);
    const Visit& visit = context.tile->visits[static_cast<std::size_t>(number)];
    Runs& runs = *context.runs;
    list_runs(*context.windows, visit, runs);
    const std::int64_t token = first_token(*context.windows, *context.tile, visit);
    const float* const key = context.k + token * context.head_dim;
    const float* const value = context.v + token * context.value_dim;
    const std::int64_t next_key = std::int64_t{runs.pitch} * context.head_dim;
    const std::int64_t next_value = std::int64_t{runs.pitch} * context.value_dim;
    rows.value_pitch = runs.count == 1 ? next_value : 0;
    rows.masked = visit.masked;
    rows.along = runs.along;
    rows.run = runs.length;
    rows.count = runs.count * runs.length;
    list_run(key, next_key, rows.run, rows.keys);
    list_run(value, next_value, runs.count == 1 ? 1 : rows.run, rows.values);
    for (int run = 1, at = rows.run; run < runs.count; ++run, at += rows.run) {
        list_run(key + std::int64_t{runs.token[run]} * context.head_dim, next_key, rows.run, rows.keys + at);
        list_run(value + std::int64_t{runs.token[run]} * context.value_dim, next_value, rows.run, rows.values + at);
    }
    if (!visit.masked) return;
    for (int run = 0; run < runs.count; ++run)
        for (int a = 0; a < MAX_AXES; ++a) rows.at[run][a] = visit.start[a] + runs.at[run][a];
}

template <typename Float>
void list_rows(const QueryTile& tile, Float* first, int dim, Float** rows) {
    for (int i = 0; i < tile.count; ++i) rows[i] = first + std::int64_t{tile.tokens[i]} * dim;
}

// Plans are read once a call, long after they were made: lines of the next visits, and of the tile after.
void ask_for(const QueryTile& next, const QueryTile& after) {
    const auto ask = [](const void* from, std::size_t bytes) {
        for (std::size_t at = 0; at < bytes; at += 64) __builtin_prefetch(static_cast<const char*>(from) + at);
    };
    ask(next.visits.data(), next.visits.size() * sizeof(Visit));
    ask(&after, sizeof(QueryTile));
}

Seconds attend_tiles(const Attention& p, const Windows& windows, const std::vector<QueryTile>& tiles, int threads) {
    const Isa& on = isa();
    const auto each = static_cast<std::int64_t>(tiles.size()), all = each * p.batch * p.heads;
    const auto tile_of = [&](std::int64_t number) -> const QueryTile& { return tiles[static_cast<std::size_t>(number % each)]; };
    const auto work = [&](std::int64_t number, float* scratch) {
        const std::int64_t head = number / each;  // all tiles of a head first: they share its keys in the caches
        const QueryTile& tile = tile_of(number);
        const std::int64_t kv_head = head / p.heads * p.kv_heads + head % p.heads / (p.heads / p.kv_heads);
        Runs runs;
        const Context context{&windows, &tile, p.k + kv_head * p.keys * p.head_dim, p.v + kv_head * p.keys * p.value_dim,
                              p.head_dim, p.value_dim, &runs};
        AttendTask task;
        task.count = tile.count;
        task.axes = windows.axes;
        list_rows(tile, p.q + head * p.queries * p.head_dim, p.head_dim, task.queries);
        list_rows(tile, p.out + head * p.queries * p.value_dim, p.value_dim, task.outputs);
        const std::int64_t next = number + threads;  // other threads take those between
        task.next_count = next < all ? tile_of(next).count : 0;
        if (next < all) list_rows(tile_of(next), p.q + next / each * p.queries * p.head_dim, p.head_dim, task.next);
        if (next + threads < all) ask_for(tile_of(next), tile_of(next + threads));
        task.first = tile.first;
        task.last = tile.last;
        task.head_dim = p.head_dim;
        task.value_dim = p.value_dim;
        task.scale = p.scale;
        task.visits = static_cast<int>(tile.visits.size());
        task.context = &context;
        task.rows = rows_of;
        on.attend(task, scratch);
    };
    return in_threads(threads, all, on.attend_floats(p.head_dim, p.value_dim), work);
}

}  // namespace

Seconds attention(const Attention& problem, const Windows& windows, int threads) {
    return attend_tiles(problem, windows, plan(windows), threads);
}

Seconds attention(const Attention& problem, const Blocks& blocks, int threads) {
    return attend_tiles(problem, Windows{}, plan(blocks), threads);
}

Seconds product(const float* a, const float* b, float* c, std::int64_t batch, std::int64_t m, std::int64_t n,
                std::int64_t k, bool transposed, float scale, int threads) {
    const Isa& on = isa();
    const std::int64_t height = on.product_rows(), blocks = ceil_div(m, height), vectors = ceil_div(n, on.lanes);
    const std::int64_t panels = ceil_div(vectors, on.vectors), strips = ceil_div(n, on.product_columns());
    // Strips have as many panels, or one less, and panels as many vectors, or one less.
    const auto begin = [&](std::int64_t strip) { return strip * panels / strips * vectors / panels * on.lanes; };
    const auto work = [&](std::int64_t number, float* scratch) {
        const std::int64_t strip = number % strips, block = number / strips % blocks, at = number / strips / blocks;
        const std::int64_t row = block * height, column = begin(strip);
        ProductTask task;
        task.a = a + (at * m + row) * k;
        task.b = b + at * k * n + (transposed ? column * k : column);
        task.c = c + (at * m + row) * n + column;
        task.lda = k;
        task.ldb = transposed ? k : n;
        task.ldc = n;
        task.rows = static_cast<int>(std::min(height, m - row));
        task.columns = static_cast<int>(std::min(begin(strip + 1), n) - column);
        task.depth = static_cast<int>(k);
        task.transposed = transposed;
        task.scale = scale;
        task.done = mark;
        on.product(task, scratch);
    };
    return in_threads(threads, batch * strips * blocks, on.product_floats(), work);
}

Seconds softmax(const float* in, float* out, std::int64_t rows, std::int64_t columns, int threads) {
    const Isa& on = isa();
    if (columns == 0) return Seconds(1, 0.0);
    const std::int64_t together = std::max<std::int64_t>(1, SOFTMAX_ELEMENTS / columns);
    // Between two tasks the last row of the one has nothing beside its quotients: they are few, but enough for threads.
    const std::int64_t height = std::max(together, threads == 1 ? rows : ceil_div(rows, 8 * threads));
    const bool past = too_large(in, out, rows * columns), far = past || fills_quarter(in, out, rows * columns);
    const auto work = [&](std::int64_t number, float* scratch) {
        const std::int64_t first = number * height, here = std::min(height, rows - first);
        on.softmax({in + first * columns, out + first * columns, here, columns, far, past, together, mark}, scratch);
    };
    return in_threads(threads, ceil_div(rows, height), on.softmax_floats(columns), work);
}

Seconds exponential(const float* in, float* out, std::int64_t count, int threads) {
    const Isa& on = isa();
    const bool past = too_large(in, out, count);
    const auto work = [&](std::int64_t number, float*) {
        const std::int64_t start = number * ELEMENTS;
        on.exp(in + start, out + start, std::min(ELEMENTS, count - start), past);
    };
    return in_threads(threads, ceil_div(count, ELEMENTS), 0, work);
}

Seconds attention_three_pass(const Attention& p, float* scores, int threads) {
    Seconds total;
    const auto add = [&](const Seconds& seconds) {
        total.resize(std::max(total.size(), seconds.size()), 0.0);
        for (std::size_t i = 0; i < seconds.size(); ++i) total[i] += seconds[i];
    };
    const std::int64_t group = p.heads / p.kv_heads, matrix = p.queries * p.keys;
    const auto each_head = [&](const auto& multiply) {
        if (group == 1) return multiply(p.batch * p.heads, std::int64_t{0}, std::int64_t{0});
        for (std::int64_t head = 0; head < p.batch * p.heads; ++head)
            multiply(std::int64_t{1}, head, head / p.heads * p.kv_heads + head % p.heads / group);
    };
    each_head([&](std::int64_t batch, std::int64_t head, std::int64_t kv_head) {
        add(product(p.q + head * p.queries * p.head_dim, p.k + kv_head * p.keys * p.head_dim, scores + head * matrix,
                    batch, p.queries, p.keys, p.head_dim, true, p.scale, threads));
    });
    add(softmax(scores, scores, p.batch * p.heads * p.queries, p.keys, threads));
    each_head([&](std::int64_t batch, std::int64_t head, std::int64_t kv_head) {
        add(product(scores + head * matrix, p.v + kv_head * p.keys * p.value_dim,
                    p.out + head * p.queries * p.value_dim, batch, p.queries, p.value_dim, p.keys, false, 1.0f, threads));
    });
    return total;
}

Seconds linear_attention(const float* q, const float* k, const float* v, const float* decay, float* state, float* out,
                         std::int64_t heads, std::int64_t tokens, int key_dim, int value_dim, int chunk, float scale,
                         int threads) {
    const Isa& on = isa();
    const auto work = [&](std::int64_t head, float* scratch) {
        LinearTask task;
        task.q = q + head * tokens * key_dim;
        task.k = k + head * tokens * key_dim;
        task.v = v + head * tokens * value_dim;
        task.out = out + head * tokens * value_dim;
        task.state = state + head * key_dim * value_dim;
        task.key_dim = key_dim;
        task.value_dim = value_dim;
        task.chunk = chunk;
        task.scale = scale;
        task.decay = decay[head];
        task.tokens = tokens;
        task.done = mark;
        on.linear(task, scratch);
    };
    return in_threads(threads, heads, on.linear_floats(key_dim, value_dim, chunk), work);
}

Seconds prefix_attention(const float* scores, const float* v, float* out, std::int64_t heads, std::int64_t tokens,
                         int dim, std::int64_t chunk, int threads) {
    const Isa& on = isa();
    const std::int64_t length = chunk ? chunk : std::max<std::int64_t>(tokens, 1), chunks = ceil_div(tokens, length);
    const std::size_t record = static_cast<std::size_t>(dim) + 2;
    std::vector<float> carries(static_cast<std::size_t>(heads * chunks) * record, 0.0f);
    const auto carry = [&](std::int64_t number) { return carries.data() + static_cast<std::size_t>(number) * record; };
    for (std::int64_t number = 0; number < heads * chunks; ++number) *carry(number) = -3.0e38f;
    const auto walk = [&](std::int64_t number, bool write) {
        const std::int64_t start = number / chunks * tokens + number % chunks * length;
        const std::int64_t some = std::min(length, tokens - number % chunks * length);
        for (std::int64_t at = start; at < start + some; at += STRETCH_TOKENS) {
            const std::int64_t few = std::min(STRETCH_TOKENS, start + some - at);
            on.scan({scores + at, v + at * dim, write ? out + at * dim : nullptr, few, dim, carry(number)});
            mark();
        }
    };
    Seconds total(1, 0.0);
    if (chunks > 1) {  // what each chunk adds up to but the last, which nothing follows; then what stands before each
        const std::int64_t followed = chunks - 1;
        total = in_threads(threads, heads * followed, 0, [&](std::int64_t number, float*) {
            walk(number / followed * chunks + number % followed, false);
        });
        std::vector<float> before(record), own(record);
        for (std::int64_t head = 0; head < heads; ++head) {
            std::fill(before.begin(), before.end(), 0.0f);
            before[0] = -3.0e38f;
            for (std::int64_t number = head * chunks; number < (head + 1) * chunks; ++number) {
                std::copy(carry(number), carry(number) + record, own.begin());
                std::copy(before.begin(), before.end(), carry(number));
                if (number + 1 == (head + 1) * chunks) break;
                float maxima[4] = {before[0] - std::max(before[0], own[0]), own[0] - std::max(before[0], own[0])};
                on.exp(maxima, maxima + 2, 2, false);
                before[0] = std::max(before[0], own[0]);
                for (std::size_t i = 1; i < record; ++i) before[i] = before[i] * maxima[2] + own[i] * maxima[3];
            }
        }
    }
    const Seconds last =
        in_threads(threads, heads * chunks, 0, [&](std::int64_t number, float*) { walk(number, true); });
    total.resize(std::max(total.size(), last.size()), 0.0);
    for (std::size_t i = 0; i < last.size(); ++i) total[i] += last[i];
    return total;
}

}  // namespace lightbound::host
