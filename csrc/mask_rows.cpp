// Rows of masks; see mask_rows.hpp.
#include "mask_rows.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <stdexcept>

namespace lightbound {
namespace {

constexpr std::size_t kMaxRank = 8;
using Coordinates = std::array<Index, kMaxRank>;

Index size_of(const Indices& grid) {
    std::int64_t size = 1;
    for (Index extent : grid) size *= extent;
    if (grid.empty() || grid.size() > kMaxRank || size < 0 || size > std::numeric_limits<Index>::max())
        throw std::invalid_argument("a token grid has 1 to 8 axes and fewer than 2^31 tokens");
    return static_cast<Index>(size);
}

Index with_extra(Index keys, Index extra) {
    if (extra < 0 || extra > std::numeric_limits<Index>::max() - keys)
        throw std::invalid_argument("a mask has fewer than 2^31 keys");
    return keys + extra;
}

Coordinates coordinates(Index token, const Indices& grid) {
    Coordinates result{};
    for (std::size_t axis = grid.size(); axis-- > 0;) {
        result[axis] = token % grid[axis];
        token /= grid[axis];
    }
    return result;
}

// Walks a box of keys (per axis: first, last, step) in ascending order and appends its runs.
struct BoxWalk {
    const Indices& grid;
    Coordinates first, last, step;
    Runs& out;

    void walk(std::size_t axis, Index base) {
        base *= grid[axis];
        if (axis + 1 < grid.size()) {
            for (Index k = first[axis]; k < last[axis]; k += step[axis]) walk(axis + 1, base + k);
        } else if (step[axis] == 1) {
            append(out, base + first[axis], base + last[axis]);
        } else {
            for (Index k = first[axis]; k < last[axis]; k += step[axis]) append(out, base + k, base + k + 1);
        }
    }
};

}  // namespace

SeparableRows::SeparableRows(Indices query_grid, Indices key_grid, std::vector<Progression> axes, Index extra_keys)
    : MaskRows(size_of(query_grid), with_extra(size_of(key_grid), extra_keys)),
      query_grid_(std::move(query_grid)), key_grid_(std::move(key_grid)), axes_(std::move(axes)),
      extra_keys_(extra_keys) {
    bool fits = axes_.size() == query_grid_.size() && axes_.size() == key_grid_.size();
    for (std::size_t a = 0; fits && a < axes_.size(); ++a) {
        const auto extent = static_cast<std::size_t>(query_grid_[a]);
        fits = axes_[a].first.size() == extent && axes_[a].last.size() == extent && axes_[a].step >= 1;
        axes_[a].step = std::min(axes_[a].step, std::max<Index>(key_grid_[a], 1));  // a longer step could overflow
        for (std::size_t i = 0; fits && i < extent; ++i)
            fits = axes_[a].first[i] >= 0 && axes_[a].last[i] <= key_grid_[a];
    }
    if (!fits) throw std::invalid_argument("every axis needs one progression inside the key grid for each coordinate");
}

void SeparableRows::row(Index query, Runs& out) const {
    out.clear();
    const Coordinates at = coordinates(query, query_grid_);
    BoxWalk box{key_grid_, {}, {}, {}, out};
    for (std::size_t a = 0; a < axes_.size(); ++a) {
        box.first[a] = axes_[a].first[at[a]];
        box.last[a] = axes_[a].last[at[a]];
        box.step[a] = axes_[a].step;
    }
    box.walk(0, 0);
    append(out, keys() - extra_keys_, keys());
}

TableRows::TableRows(Index keys, Indices row_of_query, Offsets offsets, Indices first, Indices last)
    : MaskRows(static_cast<Index>(row_of_query.size()), keys), row_of_query_(std::move(row_of_query)),
      offsets_(std::move(offsets)), first_(std::move(first)), last_(std::move(last)) {
    bool fits = !offsets_.empty() && offsets_.front() == 0 && first_.size() == last_.size() &&
                offsets_.back() == static_cast<std::int64_t>(first_.size()) &&
                std::is_sorted(offsets_.begin(), offsets_.end());
    const auto rows = static_cast<Index>(offsets_.size()) - 1;
    for (Index r : row_of_query_) fits = fits && r >= 0 && r < rows;
    for (Index r = 0; fits && r < rows; ++r) {
        Index end = 0;
        for (auto i = offsets_[r]; i < offsets_[r + 1]; ++i) {
            fits = fits && first_[i] >= end && last_[i] > first_[i] && last_[i] <= keys;
            end = last_[i];
        }
    }
    if (!fits) throw std::invalid_argument("rows must be ascending, disjoint, non-empty runs of the mask's keys");
}

void TableRows::row(Index query, Runs& out) const {
    out.clear();
    const Index r = row_of_query_[query];
    for (auto i = offsets_[r]; i < offsets_[r + 1]; ++i) append(out, first_[i], last_[i]);
}

BlockRows::BlockRows(Indices query_grid, Indices key_grid, Indices query_block, Indices key_block, Offsets offsets,
                     Indices columns)
    : MaskRows(size_of(query_grid), size_of(key_grid)), query_grid_(std::move(query_grid)),
      key_grid_(std::move(key_grid)), query_block_(std::move(query_block)), key_block_(std::move(key_block)),
      offsets_(std::move(offsets)), columns_(std::move(columns)) {
    const std::size_t rank = query_grid_.size();
    bool fits = key_grid_.size() == rank && query_block_.size() == rank && key_block_.size() == rank;
    std::int64_t rows = 1, blocks = 1;
    for (std::size_t a = 0; fits && a < rank; ++a) {
        fits = query_block_[a] >= 1 && key_block_[a] >= 1;
        if (!fits) break;
        rows *= (std::int64_t{query_grid_[a]} + query_block_[a] - 1) / query_block_[a];
        blocks *= (std::int64_t{key_grid_[a]} + key_block_[a] - 1) / key_block_[a];
    }
    fits = fits && static_cast<std::int64_t>(offsets_.size()) == rows + 1 && offsets_.front() == 0 &&
           offsets_.back() == static_cast<std::int64_t>(columns_.size()) &&
           std::is_sorted(offsets_.begin(), offsets_.end());
    for (Index c : columns_) fits = fits && c >= 0 && c < blocks;
    if (!fits) throw std::invalid_argument("blocks must be a sorted list of existing key blocks for each query block");
}

Index BlockRows::identity(Index query) const {
    const Coordinates at = coordinates(query, query_grid_);
    Index block = 0;
    for (std::size_t a = 0; a < query_grid_.size(); ++a) {
        const auto blocks = (std::int64_t{query_grid_[a]} + query_block_[a] - 1) / query_block_[a];
        block = static_cast<Index>(block * blocks + at[a] / query_block_[a]);
    }
    return block;
}

void BlockRows::row(Index query, Runs& out) const {
    out.clear();
    const Index r = identity(query);
    Indices blocks(key_grid_.size());
    for (std::size_t a = 0; a < blocks.size(); ++a)
        blocks[a] = static_cast<Index>((std::int64_t{key_grid_[a]} + key_block_[a] - 1) / key_block_[a]);
    BoxWalk box{key_grid_, {}, {}, {}, out};
    box.step.fill(1);
    for (auto i = offsets_[r]; i < offsets_[r + 1]; ++i) {
        const Coordinates at = coordinates(columns_[i], blocks);
        for (std::size_t a = 0; a < blocks.size(); ++a) {
            box.first[a] = at[a] * key_block_[a];
            box.last[a] = key_grid_[a] - box.first[a] > key_block_[a] ? box.first[a] + key_block_[a] : key_grid_[a];
        }
        box.walk(0, 0);
    }
    if (blocks.size() == 1) return;
    // Blocks are boxes, so the runs of neighbouring blocks interleave.
    std::sort(out.begin(), out.end(), [](const Run& a, const Run& b) { return a.first < b.first; });
    std::size_t kept = 0;
    for (std::size_t i = 1; i < out.size(); ++i) {
        if (out[kept].last == out[i].first) out[kept].last = out[i].last;
        else out[++kept] = out[i];
    }
    if (!out.empty()) out.resize(kept + 1);
}

void BothRows::row(Index query, Runs& out) const {
    Runs left, right;
    a_->row(query, left);
    if (left.empty()) return out.clear();
    b_->row(query, right);
    out.clear();
    for (std::size_t i = 0, j = 0; i < left.size() && j < right.size();) {
        append(out, std::max(left[i].first, right[j].first), std::min(left[i].last, right[j].last));
        if (left[i].last < right[j].last) ++i;
        else ++j;
    }
}

void EitherRows::row(Index query, Runs& out) const {
    Runs left, right;
    a_->row(query, left);
    b_->row(query, right);
    out.clear();
    for (std::size_t i = 0, j = 0; i < left.size() || j < right.size();) {
        const bool from_left = j == right.size() || (i < left.size() && left[i].first <= right[j].first);
        const Run next = from_left ? left[i++] : right[j++];
        if (!out.empty() && next.first <= out.back().last) out.back().last = std::max(out.back().last, next.last);
        else out.push_back(next);
    }
}

PermutedRows::PermutedRows(Rows base, Indices query_order, Indices key_position)
    : MaskRows(static_cast<Index>(query_order.size()), static_cast<Index>(key_position.size())),
      base_(std::move(base)), query_order_(std::move(query_order)), key_position_(std::move(key_position)) {
    bool fits = key_position_.size() == static_cast<std::size_t>(base_->keys());
    for (Index q : query_order_) fits = fits && q >= 0 && q < base_->queries();
    for (Index k : key_position_) fits = fits && k >= 0 && k < keys();
    if (!fits) throw std::invalid_argument("an order must name tokens of the mask that it permutes");
}

void PermutedRows::row(Index query, Runs& out) const {
    Runs before;
    base_->row(query_order_[query], before);
    Index lowest = keys(), highest = -1;
    std::vector<std::uint64_t> present((static_cast<std::size_t>(keys()) + 63) / 64, 0);
    for (const Run& run : before) {
        for (Index k = run.first; k < run.last; ++k) {
            const Index at = key_position_[k];
            present[at >> 6] |= std::uint64_t{1} << (at & 63);
            lowest = std::min(lowest, at);
            highest = std::max(highest, at);
        }
    }
    out.clear();
    for (Index word = lowest >> 6; highest >= 0 && word <= highest >> 6; ++word) {
        if (present[word] == 0) continue;
        const Index base = word << 6;
        if (present[word] == ~std::uint64_t{0}) {
            append(out, base, base + 64);
            continue;
        }
        for (Index bit = 0; bit < 64; ++bit)
            if (present[word] >> bit & 1) append(out, base + bit, base + bit + 1);
    }
}

}  // namespace lightbound
