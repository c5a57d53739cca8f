// Which keys each query of a mask attends, row by row, as runs of consecutive keys.
// This is what every mask can say about itself; tiles are counted elsewhere (mask_tiles.hpp). No pair matrix is held:
// a row is produced when it is asked for.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

namespace lightbound {

using Index = std::int32_t;
using Indices = std::vector<Index>;
using Offsets = std::vector<std::int64_t>;

struct Run {
    Index first;
    Index last;  // one past the end
};
using Runs = std::vector<Run>;

// Adds keys first .. last - 1 behind what a row has so far; touching runs become one.
inline void append(Runs& runs, Index first, Index last) {
    if (first >= last) return;
    if (!runs.empty() && runs.back().last == first) runs.back().last = last;
    else runs.push_back({first, last});
}

class MaskRows {
public:
    MaskRows(Index queries, Index keys) : queries_(queries), keys_(keys) {}
    virtual ~MaskRows() = default;
    MaskRows(const MaskRows&) = delete;
    MaskRows& operator=(const MaskRows&) = delete;

    Index queries() const { return queries_; }
    Index keys() const { return keys_; }

    // Replaces `out` with the keys of a query: ascending, disjoint, not touching.
    virtual void row(Index query, Runs& out) const = 0;

    // Queries of the same identity have the same row, so that a tile asks for it once.
    virtual Index identity(Index query) const { return query; }

private:
    Index queries_;
    Index keys_;
};
using Rows = std::shared_ptr<const MaskRows>;

// The keys of one axis that a query coordinate attends: first[i], first[i] + step, ... below last[i].
struct Progression {
    Indices first;
    Indices last;
    Index step;
};

// A product of axes, with further keys behind the grid that every query attends.
class SeparableRows final : public MaskRows {
public:
    SeparableRows(Indices query_grid, Indices key_grid, std::vector<Progression> axes, Index extra_keys);
    void row(Index query, Runs& out) const override;

    const Indices& query_grid() const { return query_grid_; }
    const Indices& key_grid() const { return key_grid_; }
    const std::vector<Progression>& axes() const { return axes_; }

private:
    Indices query_grid_, key_grid_;
    std::vector<Progression> axes_;
    Index extra_keys_;
};

// Rows given outright; queries share them.
class TableRows final : public MaskRows {
public:
    TableRows(Index keys, Indices row_of_query, Offsets offsets, Indices first, Indices last);
    void row(Index query, Runs& out) const override;
    Index identity(Index query) const override { return row_of_query_[query]; }

private:
    Indices row_of_query_;
    Offsets offsets_;
    Indices first_, last_;
};

// Boxes of queries attend boxes of keys: `columns` lists the key blocks of each query block, ascending.
class BlockRows final : public MaskRows {
public:
    BlockRows(Indices query_grid, Indices key_grid, Indices query_block, Indices key_block, Offsets offsets,
              Indices columns);
    void row(Index query, Runs& out) const override;
    Index identity(Index query) const override;

private:
    Indices query_grid_, key_grid_, query_block_, key_block_;
    Offsets offsets_;
    Indices columns_;
};

class BothRows final : public MaskRows {
public:
    BothRows(Rows a, Rows b) : MaskRows(a->queries(), a->keys()), a_(std::move(a)), b_(std::move(b)) {}
    void row(Index query, Runs& out) const override;

private:
    Rows a_, b_;
};

class EitherRows final : public MaskRows {
public:
    EitherRows(Rows a, Rows b) : MaskRows(a->queries(), a->keys()), a_(std::move(a)), b_(std::move(b)) {}
    void row(Index query, Runs& out) const override;

private:
    Rows a_, b_;
};

// Another mask with its tokens in a new order: position i holds query `query_order[i]`, key k moves to `key_position[k]`.
class PermutedRows final : public MaskRows {
public:
    PermutedRows(Rows base, Indices query_order, Indices key_position);
    void row(Index query, Runs& out) const override;
    Index identity(Index query) const override { return base_->identity(query_order_[query]); }

private:
    Rows base_;
    Indices query_order_, key_position_;
};

}  // namespace lightbound
