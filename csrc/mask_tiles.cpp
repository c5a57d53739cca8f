// Tile counts from rows; see mask_tiles.hpp. A tile is a box of tokens, so in the flat order of keys it is many *pieces*,
// each a range of consecutive keys. A run is added piece by piece while it is short; a long one is two marks in a difference
// array over pieces, summed once a query tile. The cost is runs + pieces, whatever the length of the runs.
#include "mask_tiles.hpp"

#include <algorithm>
#include <limits>
#include <stdexcept>

namespace lightbound {
namespace {

constexpr std::int64_t kShortRun = 8;  // pieces; beyond it two marks are cheaper than a walk

struct WeightedRun {
    Run run;
    Index queries;  // that attend it
};

class Axis {
public:
    explicit Axis(const KeyAxis& axis) : axis_(axis), base_(axis.length.size() + 1, 0), tile_of_(axis.group.size()) {
        for (std::size_t g = 0; g < axis.length.size(); ++g) {
            const auto count = static_cast<Index>((std::int64_t{axis.length[g]} + axis.tile - 1) / axis.tile);
            base_[g + 1] = base_[g] + count;
            group_of_tile_.insert(group_of_tile_.end(), static_cast<std::size_t>(count), static_cast<Index>(g));
        }
        origin_.assign(axis.length.size(), 0);
        lay(0, extent());
    }

    Index extent() const { return static_cast<Index>(axis_.group.size()); }
    Index tiles() const { return base_.back(); }
    Index tile_of(Index x) const { return tile_of_[static_cast<std::size_t>(x)]; }

    // Keys of a tile, cut by the end of its group.
    Index cell(Index tile) const {
        const auto g = static_cast<std::size_t>(group_of_tile_[static_cast<std::size_t>(tile)]);
        return std::min(axis_.tile, axis_.length[g] - origin_[g] - (tile - base_[g]) * axis_.tile);
    }

    void forget() {
        std::fill(origin_.begin(), origin_.end(), std::numeric_limits<Index>::max());
        low_ = extent();
        high_ = -1;
    }

    void see(Index first, Index last) {
        if (first >= last) return;
        low_ = std::min(low_, first);
        high_ = std::max(high_, last - 1);
        if (origin_.size() == 1) last = first + 1;  // one group: locals ascend
        for (Index x = first; x < last; ++x) {
            Index& origin = origin_[static_cast<std::size_t>(axis_.group[x])];
            origin = std::min(origin, axis_.local[x]);
        }
    }

    void lay_seen() { lay(low_, high_ + 1); }

private:
    void lay(Index from, Index to) {
        for (Index x = from; x < to; ++x) {
            const auto g = static_cast<std::size_t>(axis_.group[x]);
            if (axis_.local[x] >= origin_[g])
                tile_of_[static_cast<std::size_t>(x)] = base_[g] + (axis_.local[x] - origin_[g]) / axis_.tile;
        }
    }

    const KeyAxis& axis_;
    Indices base_, tile_of_, group_of_tile_, origin_;
    Index low_ = 0, high_ = -1;
};

class TileGrid {
public:
    explicit TileGrid(const TileRequest& request)
        : request_(request), inner_(static_cast<Index>(request.key_axes.back().group.size())) {
        std::int64_t tiles = 1;
        for (const KeyAxis& axis : request.key_axes) {
            axes_.emplace_back(axis);
            tiles *= axes_.back().tiles();
            keys_ *= axes_.back().extent();
        }
        rows_ = keys_ / inner_;
        grid_tiles_ = tiles;
        const std::int64_t extra = (std::int64_t{request.extra_keys} + request.extra_tile - 1) / request.extra_tile;
        pairs_.assign(static_cast<std::size_t>(tiles + extra), 0);
        row_base_.assign(static_cast<std::size_t>(rows_), 0);
        piece_of_.assign(static_cast<std::size_t>(inner_), 0);
        lay_rows(0, rows_);
        lay_pieces();
        cover_.assign(static_cast<std::size_t>((request.dynamic ? keys_ : rows_ * pieces()) + 1), 0);
    }

    std::int64_t keys() const { return keys_ + request_.extra_keys; }

    // Adds the rows of one query tile of `queries` queries, appends its counts to `result`, and is clean again.
    void count(const std::vector<WeightedRun>& runs, std::int64_t queries, TileCounts& result) {
        if (request_.dynamic) start_at_first_keys(runs);
        marked_low_ = std::numeric_limits<std::int64_t>::max();
        marked_high_ = -1;
        for (const WeightedRun& each : runs) add(each);
        sweep();
        if (request_.list_tiles) std::sort(touched_.begin(), touched_.end());
        std::int64_t full = 0;
        for (std::int64_t tile : touched_) {
            std::int64_t& pairs = pairs_[static_cast<std::size_t>(tile)];
            result.pairs += pairs;
            full += pairs == queries * cell(tile);
            if (request_.list_tiles) {
                result.tiles.push_back(tile);
                result.tile_pairs.push_back(pairs);
            }
            pairs = 0;
        }
        result.visits.push_back(static_cast<std::int64_t>(touched_.size()));
        result.full.push_back(full);
        touched_.clear();
    }

private:
    std::int64_t pieces() const { return static_cast<std::int64_t>(piece_first_.size()) - 1; }

    // Tile of the row's first inner tile: the part of the tile's number that the outer axes decide.
    void lay_rows(std::int64_t from, std::int64_t to) {
        for (std::int64_t row = from; row < to; ++row) {
            std::int64_t rest = row, base = 0, stride = axes_.back().tiles();
            for (std::size_t a = axes_.size() - 1; a-- > 0;) {
                base += stride * axes_[a].tile_of(static_cast<Index>(rest % axes_[a].extent()));
                stride *= axes_[a].tiles();
                rest /= axes_[a].extent();
            }
            row_base_[static_cast<std::size_t>(row)] = base;
        }
    }

    void lay_pieces(Index from = 0, Index to = -1) {
        if (to < 0) to = inner_;
        piece_first_.clear();
        for (Index x = from; x < to; ++x) {
            if (x == from || axes_.back().tile_of(x) != axes_.back().tile_of(x - 1)) piece_first_.push_back(x);
            piece_of_[static_cast<std::size_t>(x)] = static_cast<Index>(piece_first_.size()) - 1;
        }
        piece_first_.push_back(to);
    }

    void start_at_first_keys(const std::vector<WeightedRun>& runs) {
        for (Axis& axis : axes_) axis.forget();
        Index low = inner_, high = -1;
        std::int64_t first_row = rows_, last_row = -1;
        for (const auto& [run, queries] : runs) {
            const std::int64_t last = std::min<std::int64_t>(run.last, keys_);
            if (run.first >= last) continue;
            const std::int64_t r0 = run.first / inner_, r1 = (last - 1) / inner_;
            const auto x0 = static_cast<Index>(run.first - r0 * inner_), x1 = static_cast<Index>(last - r1 * inner_);
            const bool one_row = r0 == r1;
            axes_.back().see(x0, one_row ? x1 : inner_);
            if (!one_row) axes_.back().see(0, r1 - r0 > 1 ? inner_ : x1);
            low = std::min(low, one_row ? x0 : 0);
            high = std::max(high, one_row ? x1 : inner_);
            first_row = std::min(first_row, r0);
            last_row = std::max(last_row, r1);
            see_rows(r0, r1);
        }
        if (last_row < 0) return;
        for (Axis& axis : axes_) axis.lay_seen();
        lay_rows(first_row, last_row + 1);
        lay_pieces(low, high);
    }

    void see_rows(std::int64_t from, std::int64_t to) {
        if (axes_.size() == 1) return;
        for (std::int64_t row = from; row <= to; ++row) {
            std::int64_t rest = row;
            for (std::size_t a = axes_.size() - 1; a-- > 0;) {
                const auto x = static_cast<Index>(rest % axes_[a].extent());
                axes_[a].see(x, x + 1);
                rest /= axes_[a].extent();
            }
        }
    }

    void add(const WeightedRun& each) {
        const auto& [run, queries] = each;
        if (run.last > keys_) add_extra(std::max<std::int64_t>(run.first, keys_) - keys_, run.last - keys_, queries);
        const std::int64_t end = std::min<std::int64_t>(run.last, keys_) - 1;
        if (run.first > end) return;
        const std::int64_t r0 = run.first / inner_, r1 = end / inner_;
        const std::int64_t x0 = run.first - r0 * inner_, x1 = end - r1 * inner_;
        const std::int64_t p0 = r0 * pieces() + piece_of_[static_cast<std::size_t>(x0)];
        const std::int64_t p1 = r1 * pieces() + piece_of_[static_cast<std::size_t>(x1)];
        if (p0 == p1) return add_to(p0, (end - run.first + 1) * queries);
        add_to(p0, (piece_last(p0) - x0) * queries);
        add_to(p1, (x1 + 1 - piece_first(p1)) * queries);
        if (p1 - p0 <= kShortRun) {
            for (std::int64_t p = p0 + 1; p < p1; ++p) add_to(p, (piece_last(p) - piece_first(p)) * queries);
        } else {
            cover_[static_cast<std::size_t>(p0 + 1)] += queries;
            cover_[static_cast<std::size_t>(p1)] -= queries;
            marked_low_ = std::min(marked_low_, p0 + 1);
            marked_high_ = std::max(marked_high_, p1);
        }
    }

    void add_extra(std::int64_t first, std::int64_t last, std::int64_t queries) {
        while (first < last) {
            const std::int64_t tile = first / request_.extra_tile;
            const std::int64_t end = std::min<std::int64_t>(last, (tile + 1) * request_.extra_tile);
            add_to_tile(grid_tiles_ + tile, (end - first) * queries);
            first = end;
        }
    }

    Index piece_first(std::int64_t piece) const { return piece_first_[static_cast<std::size_t>(piece % pieces())]; }
    Index piece_last(std::int64_t piece) const { return piece_first_[static_cast<std::size_t>(piece % pieces()) + 1]; }

    void add_to(std::int64_t piece, std::int64_t pairs) {
        add_to_tile(row_base_[static_cast<std::size_t>(piece / pieces())] + axes_.back().tile_of(piece_first(piece)),
                    pairs);
    }

    void add_to_tile(std::int64_t tile, std::int64_t pairs) {
        std::int64_t& sum = pairs_[static_cast<std::size_t>(tile)];
        if (sum == 0) touched_.push_back(tile);
        sum += pairs;
    }

    void sweep() {
        if (marked_high_ < 0) return;
        const std::int64_t count = pieces();
        std::int64_t cover = 0, row = marked_low_ / count, piece = marked_low_ % count;
        for (std::int64_t p = marked_low_; p <= marked_high_; ++p) {
            cover += cover_[static_cast<std::size_t>(p)];
            cover_[static_cast<std::size_t>(p)] = 0;
            if (cover > 0) {
                const Index first = piece_first_[static_cast<std::size_t>(piece)];
                const Index last = piece_first_[static_cast<std::size_t>(piece) + 1];
                add_to_tile(row_base_[static_cast<std::size_t>(row)] + axes_.back().tile_of(first),
                            cover * (last - first));
            }
            if (++piece == count) {
                piece = 0;
                ++row;
            }
        }
    }

    // Keys in a tile.
    std::int64_t cell(std::int64_t tile) const {
        if (tile >= grid_tiles_) {
            const std::int64_t first = (tile - grid_tiles_) * request_.extra_tile;
            return std::min<std::int64_t>(request_.extra_tile, request_.extra_keys - first);
        }
        std::int64_t keys = 1;
        for (std::size_t a = axes_.size(); a-- > 0;) {
            keys *= axes_[a].cell(static_cast<Index>(tile % axes_[a].tiles()));
            tile /= axes_[a].tiles();
        }
        return keys;
    }

    const TileRequest& request_;
    std::vector<Axis> axes_;
    Index inner_;
    std::int64_t keys_ = 1, rows_ = 1, grid_tiles_ = 1;
    Offsets row_base_, pairs_, touched_, cover_;
    Indices piece_of_, piece_first_;
    std::int64_t marked_low_ = 0, marked_high_ = -1;
};

// The queries of every tile, tile by tile: an odometer over the tiles of the axes, inside it one over their coordinates.
class QueryTiles {
public:
    explicit QueryTiles(const std::vector<QueryAxis>& axes) : axes_(axes), at_(axes.size(), 0) {}

    bool next(Indices& queries) {
        if (done_) return false;
        queries.assign(1, 0);
        for (std::size_t a = 0; a < axes_.size(); ++a) {
            const QueryAxis& axis = axes_[a];
            const auto extent = static_cast<Index>(axis.order.size());
            Indices longer;
            for (Index query : queries)
                for (auto i = axis.tile_start[at_[a]]; i < axis.tile_start[at_[a] + 1]; ++i)
                    longer.push_back(query * extent + axis.order[static_cast<std::size_t>(i)]);
            queries.swap(longer);
        }
        done_ = true;
        for (std::size_t a = axes_.size(); done_ && a-- > 0;) {
            if (++at_[a] + 1 < axes_[a].tile_start.size()) done_ = false;
            else at_[a] = 0;
        }
        return true;
    }

private:
    const std::vector<QueryAxis>& axes_;
    std::vector<std::size_t> at_;
    bool done_ = false;
};

void check(const MaskRows& mask, const TileRequest& request) {
    std::int64_t queries = 1;
    bool fits = !request.query_axes.empty() && !request.key_axes.empty() && request.extra_tile >= 1;
    for (const QueryAxis& axis : request.query_axes) {
        const auto extent = static_cast<std::int64_t>(axis.order.size());
        queries *= extent;
        fits = fits && extent > 0 && axis.tile_start.size() > 1 && axis.tile_start.front() == 0 &&
               axis.tile_start.back() == extent && std::is_sorted(axis.tile_start.begin(), axis.tile_start.end());
        for (Index x : axis.order) fits = fits && x >= 0 && x < extent;
    }
    std::int64_t keys = 1;
    for (const KeyAxis& axis : request.key_axes) {
        keys *= static_cast<std::int64_t>(axis.group.size());
        fits = fits && !axis.group.empty() && axis.tile >= 1 && axis.local.size() == axis.group.size();
        for (std::size_t x = 0; fits && x < axis.group.size(); ++x)
            fits = axis.group[x] >= 0 && static_cast<std::size_t>(axis.group[x]) < axis.length.size() &&
                   axis.local[x] >= 0 && axis.local[x] < axis.length[static_cast<std::size_t>(axis.group[x])];
    }
    if (!fits || queries != mask.queries() || keys + request.extra_keys != mask.keys())
        throw std::invalid_argument("the tiling's axes must lay out exactly the queries and keys of the mask");
}

}  // namespace

TileCounts count_tiles(const MaskRows& mask, const TileRequest& request) {
    check(mask, request);
    TileGrid grid(request);
    TileCounts result;
    QueryTiles tiles(request.query_axes);
    std::vector<std::pair<Index, Index>> named;  // identity, query
    std::vector<WeightedRun> runs;
    Indices queries;
    Runs row;
    while (tiles.next(queries)) {
        named.clear();
        for (Index query : queries) named.emplace_back(mask.identity(query), query);
        std::sort(named.begin(), named.end());
        runs.clear();
        for (std::size_t i = 0, j = 0; i < named.size(); i = j) {
            while (j < named.size() && named[j].first == named[i].first) ++j;
            mask.row(named[i].second, row);
            for (const Run& run : row) runs.push_back({run, static_cast<Index>(j - i)});
        }
        grid.count(runs, static_cast<std::int64_t>(queries.size()), result);
    }
    return result;
}

}  // namespace lightbound
