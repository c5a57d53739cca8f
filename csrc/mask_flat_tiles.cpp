// One-dimensional tiles over a separable mask of several dimensions; see mask_tiles.hpp.
#include <algorithm>
#include <limits>
#include <stdexcept>

#include "mask_tiles.hpp"

namespace lightbound {
namespace {

// Consecutive queries with the same outer coordinates: outer keys are shared, inner keys are a profile.
struct Segment {
    std::int64_t row;  // flat number of the outer coordinates
    Index first, last;  // inner coordinates
};

class FlatTiles {
public:
    FlatTiles(const SeparableRows& mask, Index kv_tile)
        : mask_(mask), tile_(kv_tile), keys_(1), inner_(mask.key_grid().back()),
          profile_(static_cast<std::size_t>(inner_) + 1) {
        for (Index extent : mask.key_grid()) keys_ *= extent;
        pairs_.assign(static_cast<std::size_t>((keys_ + kv_tile - 1) / kv_tile), 0);
    }

    void count(const std::vector<Segment>& segments, bool dynamic, std::int64_t queries, TileCounts& result) {
        origin_ = dynamic ? std::numeric_limits<std::int64_t>::max() : 0;
        if (dynamic) {
            for (const Segment& segment : segments) {
                lay(segment);
                if (low_ < high_ && !key_rows_.empty()) origin_ = std::min(origin_, key_rows_.front() * inner_ + low_);
            }
        }
        for (const Segment& segment : segments) add(segment);
        std::int64_t full = 0;
        for (std::int64_t tile : touched_) {
            std::int64_t& pairs = pairs_[static_cast<std::size_t>(tile)];
            const std::int64_t cell = std::min<std::int64_t>(tile_, keys_ - origin_ - tile * tile_);
            result.pairs += pairs;
            full += pairs == queries * cell;
            pairs = 0;
        }
        result.visits.push_back(static_cast<std::int64_t>(touched_.size()));
        result.full.push_back(full);
        touched_.clear();
    }

private:
    // The key rows of a segment in ascending order, and how many of its queries attend each inner key, summed from the left.
    void lay(const Segment& segment) {
        const auto& axes = mask_.axes();
        const auto& grid = mask_.query_grid();
        Indices at(axes.size());
        std::int64_t rest = segment.row;
        for (std::size_t a = axes.size() - 1; a-- > 0;) {
            at[a] = static_cast<Index>(rest % grid[a]);
            rest /= grid[a];
        }
        key_rows_.assign(1, 0);
        for (std::size_t a = 0; a + 1 < axes.size(); ++a) {
            const auto x = static_cast<std::size_t>(at[a]);
            Offsets longer;
            for (std::int64_t base : key_rows_)
                for (Index k = axes[a].first[x]; k < axes[a].last[x]; k += axes[a].step)
                    longer.push_back(base * mask_.key_grid()[a] + k);
            key_rows_.swap(longer);
        }
        lay_profile(axes.back(), segment);
    }

    void lay_profile(const Progression& axis, const Segment& segment) {
        std::fill(profile_.begin(), profile_.end(), 0);
        low_ = inner_;
        high_ = 0;
        for (Index x = segment.first; x < segment.last; ++x) {
            const Index first = axis.first[static_cast<std::size_t>(x)], last = axis.last[static_cast<std::size_t>(x)];
            if (first >= last) continue;
            low_ = std::min(low_, first);
            high_ = std::max(high_, last);
            if (axis.step == 1) {
                ++profile_[static_cast<std::size_t>(first)];
                --profile_[static_cast<std::size_t>(last)];
            } else {
                for (Index k = first; k < last; k += axis.step) {
                    ++profile_[static_cast<std::size_t>(k)];
                    --profile_[static_cast<std::size_t>(k) + 1];
                }
            }
        }
        std::int64_t sum = 0, attending = 0;
        for (std::int64_t& entry : profile_) {
            attending += entry;
            entry = sum;
            sum += attending;
        }
    }

    void add(const Segment& segment) {
        lay(segment);
        if (low_ >= high_) return;
        for (std::int64_t row : key_rows_) {
            const std::int64_t base = row * inner_, last = base + high_;
            for (std::int64_t key = base + low_; key < last;) {
                const std::int64_t tile = (key - origin_) / tile_;
                const std::int64_t end = std::min(last, origin_ + (tile + 1) * tile_);
                const std::int64_t pairs =
                    profile_[static_cast<std::size_t>(end - base)] - profile_[static_cast<std::size_t>(key - base)];
                std::int64_t& sum = pairs_[static_cast<std::size_t>(tile)];
                if (sum == 0 && pairs > 0) touched_.push_back(tile);
                sum += pairs;
                key = end;
            }
        }
    }

    const SeparableRows& mask_;
    Index tile_;
    std::int64_t keys_;
    Index inner_;
    Offsets profile_, key_rows_, pairs_, touched_;
    std::int64_t origin_ = 0;
    Index low_ = 0, high_ = 0;
};

}  // namespace

TileCounts count_flat_tiles(const SeparableRows& mask, Index q_tile, Index kv_tile, bool dynamic) {
    if (q_tile < 1 || kv_tile < 1) throw std::invalid_argument("a tile holds at least one token");
    const Index inner = mask.query_grid().back();
    std::int64_t queries = 1;
    for (Index extent : mask.query_grid()) queries *= extent;
    FlatTiles tiles(mask, kv_tile);
    TileCounts result;
    std::vector<Segment> segments;
    for (std::int64_t first = 0; first < queries; first += q_tile) {
        const std::int64_t last = std::min(queries, first + q_tile);
        segments.clear();
        for (std::int64_t query = first; query < last;) {
            const std::int64_t row = query / inner;
            const std::int64_t end = std::min(last, (row + 1) * inner);
            segments.push_back({row, static_cast<Index>(query - row * inner), static_cast<Index>(end - row * inner)});
            query = end;
        }
        tiles.count(segments, dynamic, last - first, result);
    }
    return result;
}

}  // namespace lightbound
