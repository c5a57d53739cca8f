// The Python face of the host's kernels. Shapes are checked by kernels/host, in words; here only what would read or
// write outside of an array is refused. All calls release the interpreter's lock.
#include "host_face.hpp"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <stdexcept>
#include <thread>

#include "host_run.hpp"
#include "host_threads.hpp"

namespace py = pybind11;
using namespace lightbound::host;

namespace {

using Floats = py::array_t<float, py::array::c_style>;
using Whole = py::array_t<std::int64_t, py::array::c_style | py::array::forcecast>;
using Bounds = py::array_t<std::int32_t, py::array::c_style | py::array::forcecast>;

void expect(bool holds, const char* what) {
    if (!holds) throw std::invalid_argument(what);
}

void expect_rank(const Floats& array, int rank) { expect(array.ndim() == rank, "an array has another rank"); }

template <typename Run>
Seconds released(const Run& run) {
    py::gil_scoped_release release;
    return run();
}

Attention attention_of(const Floats& q, const Floats& k, const Floats& v, Floats& out, float scale) {
    for (const Floats* array : {&q, &k, &v, static_cast<const Floats*>(&out)}) expect_rank(*array, 4);
    Attention problem{q.data(),   k.data(),   v.data(),   out.mutable_data(), q.shape(0), q.shape(1), k.shape(1),
                      q.shape(2), k.shape(2), static_cast<int>(q.shape(3)), static_cast<int>(v.shape(3)), scale};
    expect(k.shape(0) == problem.batch && v.shape(0) == problem.batch && v.shape(1) == problem.kv_heads &&
               v.shape(2) == problem.keys && k.shape(3) == problem.head_dim && out.shape(0) == problem.batch &&
               out.shape(1) == problem.heads && out.shape(2) == problem.queries && out.shape(3) == problem.value_dim,
           "shapes of q, k, v and out do not fit each other");
    expect(problem.kv_heads > 0 && problem.heads % problem.kv_heads == 0, "heads are no multiple of heads of keys");
    expect(problem.queries < (1LL << 31) && problem.keys < (1LL << 31), "there are too many tokens");
    return problem;
}

Windows windows_of(const std::vector<int>& queries, const std::vector<int>& keys, const std::vector<int>& step,
                   const std::vector<Bounds>& first, const std::vector<Bounds>& last, const std::vector<int>& q_tile,
                   const std::vector<int>& kv_tile, int extra) {
    Windows windows;
    const std::size_t axes = queries.size();
    expect(axes >= 1 && axes <= MAX_AXES && keys.size() == axes && step.size() == axes && first.size() == axes &&
               last.size() == axes && q_tile.size() == axes && kv_tile.size() == axes && extra >= 0,
           "windows need 1 to 3 axes, and everything once an axis");
    windows.axes = static_cast<int>(axes);
    windows.extra = extra;
    std::int64_t q_size = 1, kv_size = 1;
    for (std::size_t a = 0; a < axes; ++a) {
        expect(queries[a] >= 0 && keys[a] >= 0 && step[a] >= 1 && q_tile[a] >= 1 && kv_tile[a] >= 1,
               "an extent, a step or a tile is too small");
        expect(first[a].size() == queries[a] && last[a].size() == queries[a], "bounds need one value a coordinate");
        windows.queries[a] = queries[a];
        windows.keys[a] = keys[a];
        windows.step[a] = step[a];
        windows.q_tile[a] = q_tile[a];
        windows.kv_tile[a] = kv_tile[a];
        windows.first[a].assign(first[a].data(), first[a].data() + first[a].size());
        windows.last[a].assign(last[a].data(), last[a].data() + last[a].size());
        for (int c = 0; c < queries[a]; ++c) {
            const int members = (keys[a] - c % step[a] + step[a] - 1) / step[a];
            const auto at = static_cast<std::size_t>(c);
            expect(0 <= windows.first[a][at] && windows.first[a][at] <= windows.last[a][at] &&
                       windows.last[a][at] <= std::max(members, 0),
                   "a window leaves the grid");
        }
        q_size *= q_tile[a];
        kv_size *= kv_tile[a];
    }
    expect(q_size <= QUERY_TILE && kv_size <= KEY_TILE, "a tile has too many tokens");
    return windows;
}

Seconds windowed(const Floats& q, const Floats& k, const Floats& v, Floats out, float scale,
                 const std::vector<int>& queries, const std::vector<int>& keys, const std::vector<int>& step,
                 const std::vector<Bounds>& first, const std::vector<Bounds>& last, const std::vector<int>& q_tile,
                 const std::vector<int>& kv_tile, int extra, int threads) {
    const Attention problem = attention_of(q, k, v, out, scale);
    const Windows windows = windows_of(queries, keys, step, first, last, q_tile, kv_tile, extra);
    expect(windows.query_count() == problem.queries && windows.key_count() == problem.keys,
           "the grid has another number of tokens");
    return released([&] { return attention(problem, windows, threads); });
}

// Tiles and visits of a mask as the kernel plans them: visits, and how many of them are tested, by tile of queries.
py::tuple planned(const std::vector<int>& queries, const std::vector<int>& keys, const std::vector<int>& step,
                  const std::vector<Bounds>& first, const std::vector<Bounds>& last, const std::vector<int>& q_tile,
                  const std::vector<int>& kv_tile, int extra) {
    const auto tiles = plan(windows_of(queries, keys, step, first, last, q_tile, kv_tile, extra));
    py::array_t<std::int64_t> visits(static_cast<py::ssize_t>(tiles.size())), tested(visits.size());
    for (std::size_t i = 0; i < tiles.size(); ++i) {
        std::int64_t masked = 0;
        for (const Visit& visit : tiles[i].visits) masked += visit.masked;
        visits.mutable_data()[i] = static_cast<std::int64_t>(tiles[i].visits.size());
        tested.mutable_data()[i] = masked;
    }
    return py::make_tuple(visits, tested);
}

Seconds blocked(const Floats& q, const Floats& k, const Floats& v, Floats out, float scale, int q_block, int kv_block,
                const Whole& offsets, const Whole& columns, int threads) {
    const Attention problem = attention_of(q, k, v, out, scale);
    Blocks blocks;
    blocks.queries = static_cast<int>(problem.queries);
    blocks.keys = static_cast<int>(problem.keys);
    blocks.q_block = q_block;
    blocks.kv_block = kv_block;
    expect(q_block >= 1 && kv_block >= 1, "a block is empty");
    blocks.offsets.assign(offsets.data(), offsets.data() + offsets.size());
    blocks.columns.assign(columns.data(), columns.data() + columns.size());
    const std::int64_t rows = (problem.queries + q_block - 1) / q_block, across = (problem.keys + kv_block - 1) / kv_block;
    expect(offsets.size() == rows + 1 && blocks.offsets.front() == 0 && blocks.offsets.back() == columns.size(),
           "offsets do not fit the blocks");
    for (std::size_t i = 0; i + 1 < blocks.offsets.size(); ++i)
        expect(blocks.offsets[i] <= blocks.offsets[i + 1], "offsets fall");
    for (const std::int64_t column : blocks.columns) expect(column >= 0 && column < across, "there is no such block");
    return released([&] { return attention(problem, blocks, threads); });
}

Seconds three_pass(const Floats& q, const Floats& k, const Floats& v, Floats out, Floats scores, float scale,
                   int threads) {
    const Attention problem = attention_of(q, k, v, out, scale);
    expect(scores.size() == problem.batch * problem.heads * problem.queries * problem.keys, "scores have another size");
    float* room = scores.mutable_data();
    return released([&] { return attention_three_pass(problem, room, threads); });
}

Seconds linear_run(const Floats& q, const Floats& k, const Floats& v, const Floats& decay, Floats state, Floats out,
                   int chunk, float scale, int threads) {
    for (const Floats* array : {&q, &k, &v, static_cast<const Floats*>(&state), static_cast<const Floats*>(&out)})
        expect_rank(*array, 3);
    const auto heads = q.shape(0), tokens = q.shape(1), e = q.shape(2), f = v.shape(2);
    expect(k.shape(0) == heads && k.shape(1) == tokens && k.shape(2) == e && v.shape(0) == heads &&
               v.shape(1) == tokens && out.shape(0) == heads && out.shape(1) == tokens && out.shape(2) == f &&
               state.shape(0) == heads && state.shape(1) == e && state.shape(2) == f && decay.size() == heads,
           "shapes do not fit each other");
    expect(chunk >= 1 && chunk <= QUERY_TILE, "a chunk has too many tokens");
    float* to = out.mutable_data();
    float* carried = state.mutable_data();
    return released([&] {
        return linear_attention(q.data(), k.data(), v.data(), decay.data(), carried, to, heads, tokens,
                                static_cast<int>(e), static_cast<int>(f), chunk, scale, threads);
    });
}

Seconds prefix_run(const Floats& scores, const Floats& v, Floats out, std::int64_t chunk, int threads) {
    expect_rank(scores, 2);
    expect_rank(v, 3);
    expect(v.shape(0) == scores.shape(0) && v.shape(1) == scores.shape(1) && out.size() == v.size() && chunk >= 0,
           "shapes do not fit each other");
    float* to = out.mutable_data();
    return released([&] {
        return prefix_attention(scores.data(), v.data(), to, v.shape(0), v.shape(1), static_cast<int>(v.shape(2)), chunk,
                                threads);
    });
}

Seconds product_run(const Floats& a, const Floats& b, Floats c, bool transposed, float scale, int threads) {
    expect_rank(a, 3);
    expect_rank(b, 3);
    expect_rank(c, 3);
    const auto batch = a.shape(0), m = a.shape(1), k = a.shape(2), n = c.shape(2);
    expect(b.shape(0) == batch && c.shape(0) == batch && c.shape(1) == m && b.shape(transposed ? 2 : 1) == k &&
               b.shape(transposed ? 1 : 2) == n && k < (1LL << 31),
           "shapes do not fit each other");
    float* to = c.mutable_data();
    return released([&] { return product(a.data(), b.data(), to, batch, m, n, k, transposed, scale, threads); });
}

Seconds softmax_run(const Floats& in, Floats out, int threads) {
    expect_rank(in, 2);
    expect(out.size() == in.size(), "out has another size");
    float* to = out.mutable_data();
    return released([&] { return softmax(in.data(), to, in.shape(0), in.shape(1), threads); });
}

Seconds exp_run(const Floats& in, Floats out, int threads) {
    expect(out.size() == in.size(), "out has another size");
    float* to = out.mutable_data();
    return released([&] { return exponential(in.data(), to, in.size(), threads); });
}

py::dict describe(const Isa& one) {
    py::dict made;
    made["name"] = one.name;
    made["lanes"] = one.lanes;
    made["rows"] = one.rows;
    made["vectors"] = one.vectors;
    made["attend_rows"] = one.attend_rows;
    made["attend_vectors"] = one.attend_vectors;
    made["fma"] = one.fma;
    return made;
}

}  // namespace

void register_host_probe(py::module_& module);

void register_host(py::module_& module) {
    py::module_ host = module.def_submodule("host", "Kernels of the host, in fp32; each returns the seconds of its threads.");
    using namespace pybind11::literals;
    host.def("isa", [] { return describe(isa()); }, "The instruction set in use: name, lanes, register tile.");
    host.def("isas", [] {
        std::vector<std::string> names;
        for (const Isa* const* one = available_isas(); *one; ++one) names.emplace_back((*one)->name);
        return names;
    }, "The instruction sets that this machine has, best first.");
    host.def("attention_windows", &windowed, "q"_a, "k"_a, "v"_a, "out"_a, "scale"_a, "queries"_a, "keys"_a, "step"_a,
             "first"_a, "last"_a, "q_tile"_a, "kv_tile"_a, "extra"_a, "threads"_a,
             "Fused attention under a mask that is a product of windows.");
    host.def("plan_windows", &planned, "queries"_a, "keys"_a, "step"_a, "first"_a, "last"_a, "q_tile"_a, "kv_tile"_a,
             "extra"_a, "Visits and tested visits of each tile of queries, most visits first.");
    host.def("attention_blocks", &blocked, "q"_a, "k"_a, "v"_a, "out"_a, "scale"_a, "q_block"_a, "kv_block"_a,
             "offsets"_a, "columns"_a, "threads"_a, "Fused attention over listed blocks of keys.");
    host.def("attention_three_pass", &three_pass, "q"_a, "k"_a, "v"_a, "out"_a, "scores"_a, "scale"_a, "threads"_a,
             "Attention that keeps all scores.");
    host.def("linear_attention", &linear_run, "q"_a, "k"_a, "v"_a, "decay"_a, "state"_a, "out"_a, "chunk"_a, "scale"_a,
             "threads"_a, "Causal linear attention, chunk by chunk.");
    host.def("prefix_attention", &prefix_run, "scores"_a, "v"_a, "out"_a, "chunk"_a, "threads"_a,
             "Softmax averages of all prefixes.");
    host.def("product", &product_run, "a"_a, "b"_a, "c"_a, "transposed"_a, "scale"_a, "threads"_a, "Matrix products.");
    host.def("softmax", &softmax_run, "in_"_a, "out"_a, "threads"_a, "Softmax of rows.");
    host.def("exp", &exp_run, "in_"_a, "out"_a, "threads"_a, "Exponentials.");
    register_host_probe(host);
}
