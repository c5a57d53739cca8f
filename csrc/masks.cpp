// The Python face of the native masks: rows (mask_rows.hpp) and tile counts (mask_tiles.hpp) over numpy arrays.
#include "masks.hpp"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <limits>

#include "mask_tiles.hpp"

namespace py = pybind11;
using namespace lightbound;

namespace {

template <typename T>
using Array = py::array_t<T, py::array::c_style | py::array::forcecast>;
using IndexArray = Array<Index>;
using OffsetArray = Array<std::int64_t>;

template <typename T>
std::vector<T> values(const Array<T>& array) {
    return {array.data(), array.data() + array.size()};
}

template <typename T>
py::array_t<T> array(const std::vector<T>& values) {
    return py::array_t<T>(static_cast<py::ssize_t>(values.size()), values.data());
}

Rows separable(const Indices& query_grid, const Indices& key_grid,
               const std::vector<std::tuple<IndexArray, IndexArray, Index>>& axes, Index extra_keys) {
    std::vector<Progression> progressions;
    for (const auto& [first, last, step] : axes) progressions.push_back({values(first), values(last), step});
    return std::make_shared<SeparableRows>(query_grid, key_grid, std::move(progressions), extra_keys);
}

Rows table(Index keys, const IndexArray& row_of_query, const OffsetArray& offsets, const IndexArray& first,
           const IndexArray& last) {
    return std::make_shared<TableRows>(keys, values(row_of_query), values(offsets), values(first), values(last));
}

Rows blocks(const Indices& query_grid, const Indices& key_grid, const Indices& query_block, const Indices& key_block,
            const OffsetArray& offsets, const IndexArray& columns) {
    return std::make_shared<BlockRows>(query_grid, key_grid, query_block, key_block, values(offsets), values(columns));
}

void same_tokens(const Rows& a, const Rows& b) {
    if (a->queries() != b->queries() || a->keys() != b->keys())
        throw std::invalid_argument("masks compose over the same queries and keys");
}

Rows both(const Rows& a, const Rows& b) {
    same_tokens(a, b);
    return std::make_shared<BothRows>(a, b);
}

Rows either(const Rows& a, const Rows& b) {
    same_tokens(a, b);
    return std::make_shared<EitherRows>(a, b);
}

Rows permuted(const Rows& base, const IndexArray& query_order, const IndexArray& key_position) {
    return std::make_shared<PermutedRows>(base, values(query_order), values(key_position));
}

IndexArray runs(const MaskRows& mask, Index query) {
    if (query < 0 || query >= mask.queries()) throw py::index_error("no such query");
    Runs row;
    mask.row(query, row);
    IndexArray result({static_cast<py::ssize_t>(row.size()), py::ssize_t{2}});
    auto view = result.mutable_unchecked<2>();
    for (std::size_t i = 0; i < row.size(); ++i) {
        view(static_cast<py::ssize_t>(i), 0) = row[i].first;
        view(static_cast<py::ssize_t>(i), 1) = row[i].last;
    }
    return result;
}

py::tuple counts(const TileCounts& result) {
    return py::make_tuple(result.pairs, array(result.visits), array(result.full), array(result.tiles),
                          array(result.tile_pairs));
}

py::tuple count(const Rows& mask, const std::vector<std::tuple<IndexArray, OffsetArray>>& query_axes,
                const std::vector<std::tuple<IndexArray, IndexArray, IndexArray, Index>>& key_axes, Index extra_keys,
                Index extra_tile, bool dynamic, bool list_tiles) {
    TileRequest request;
    for (const auto& [order, start] : query_axes) request.query_axes.push_back({values(order), values(start)});
    for (const auto& [group, local, length, tile] : key_axes)
        request.key_axes.push_back({values(group), values(local), values(length), tile});
    request.extra_keys = extra_keys;
    request.extra_tile = extra_tile;
    request.dynamic = dynamic;
    request.list_tiles = list_tiles;
    TileCounts result;
    {
        py::gil_scoped_release release;
        result = count_tiles(*mask, request);
    }
    return counts(result);
}

py::tuple count_flat(const Rows& mask, Index q_tile, Index kv_tile, bool dynamic) {
    const auto* separable = dynamic_cast<const SeparableRows*>(mask.get());
    if (separable == nullptr) throw std::invalid_argument("only a separable mask is counted this way");
    TileCounts result;
    {
        py::gil_scoped_release release;
        result = count_flat_tiles(*separable, q_tile, kv_tile, dynamic);
    }
    return counts(result);
}

}  // namespace

void register_masks(py::module_& module) {
    py::class_<MaskRows, std::shared_ptr<MaskRows>>(module, "MaskRows", "The keys that each query attends, as runs.")
        .def_property_readonly("queries", &MaskRows::queries)
        .def_property_readonly("keys", &MaskRows::keys)
        .def("runs", &runs, py::arg("query"), "Runs [first, last) of the keys of a query, shape (runs, 2).");
    module.def("separable_rows", &separable, py::arg("query_grid"), py::arg("key_grid"), py::arg("axes"),
               py::arg("extra_keys"), "Rows that are a product of one (first, last, step) progression an axis.");
    module.def("table_rows", &table, py::arg("keys"), py::arg("row_of_query"), py::arg("offsets"), py::arg("first"),
               py::arg("last"), "Rows given outright as runs; queries name theirs.");
    module.def("block_rows", &blocks, py::arg("query_grid"), py::arg("key_grid"), py::arg("query_block"),
               py::arg("key_block"), py::arg("offsets"), py::arg("columns"), "Boxes of queries attend boxes of keys.");
    module.def("both_rows", &both, py::arg("a"), py::arg("b"), "Keys that both masks attend.");
    module.def("either_rows", &either, py::arg("a"), py::arg("b"), "Keys that one of two masks attends, or both.");
    module.def("permuted_rows", &permuted, py::arg("base"), py::arg("query_order"), py::arg("key_position"),
               "A mask with its tokens in a new order.");
    module.def("count_mask_tiles", &count, py::arg("mask"), py::arg("query_axes"), py::arg("key_axes"),
               py::arg("extra_keys"), py::arg("extra_tile"), py::arg("dynamic"), py::arg("list_tiles"),
               "Pairs, visits and full tiles by query tile, and where asked for each visited tile and its pairs.");
    module.def("count_flat_mask_tiles", &count_flat, py::arg("mask"), py::arg("q_tile"), py::arg("kv_tile"),
               py::arg("dynamic"), "The same for a separable mask whose tokens are flattened and tiled in one dimension.");
}
