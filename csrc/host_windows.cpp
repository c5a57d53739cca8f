// Planning of masked attention: tile by tile, from the windows of each axis. No pair of tokens is looked at.
#include "host_windows.hpp"

#include <algorithm>
#include <limits>

namespace lightbound::host {

namespace {

std::int64_t product(const Extents& extents) {
    return std::int64_t{extents[0]} * extents[1] * extents[2];
}

int ceil_div(int a, int b) { return (a + b - 1) / b; }

// How many coordinates of an axis have this residue.
int members(int extent, int residue, int step) { return residue < extent ? ceil_div(extent - residue, step) : 0; }

template <typename Each>
void for_each(const Extents& extents, const Each& each) {
    Extents at{0, 0, 0};
    for (at[0] = 0; at[0] < extents[0]; ++at[0])
        for (at[1] = 0; at[1] < extents[1]; ++at[1])
            for (at[2] = 0; at[2] < extents[2]; ++at[2]) each(at);
}

// The keys that a range of queries of one axis sees: of any of them, and of all of them.
struct Span {
    std::int32_t any_first = std::numeric_limits<std::int32_t>::max(), any_last = 0;
    std::int32_t all_first = 0, all_last = std::numeric_limits<std::int32_t>::max();
};

Span span(const Windows& windows, int axis, int residue, int start, int end) {
    Span found;
    const auto a = static_cast<std::size_t>(axis);
    for (int quotient = start; quotient < end; ++quotient) {
        const auto c = static_cast<std::size_t>(quotient * windows.step[a] + residue);
        const std::int32_t first = windows.first[a][c], last = windows.last[a][c];
        if (first < last) {
            found.any_first = std::min(found.any_first, first);
            found.any_last = std::max(found.any_last, last);
        }
        found.all_first = std::max(found.all_first, first);
        found.all_last = std::min(found.all_last, last);
    }
    return found;
}

void list_visits(const Windows& windows, const Extents& start, const Extents& end, QueryTile& tile) {
    std::array<Span, MAX_AXES> spans;
    Extents tiles{1, 1, 1}, from{0, 0, 0}, members_of{1, 1, 1};
    for (std::size_t a = 0; a < MAX_AXES; ++a) {
        if (static_cast<int>(a) >= windows.axes) continue;
        spans[a] = span(windows, static_cast<int>(a), tile.residue[a], start[a], end[a]);
        members_of[a] = members(windows.keys[a], tile.residue[a], windows.step[a]);
        const int last = std::min<int>(spans[a].any_last, members_of[a]);
        from[a] = spans[a].any_first < last ? spans[a].any_first / windows.kv_tile[a] : 0;
        tiles[a] = spans[a].any_first < last ? ceil_div(last, windows.kv_tile[a]) - from[a] : 0;
    }
    for_each(tiles, [&](const Extents& at) {
        Visit visit{};
        for (std::size_t a = 0; a < MAX_AXES; ++a) {
            visit.start[a] = 0;
            visit.end[a] = 1;
            if (static_cast<int>(a) >= windows.axes) continue;
            visit.start[a] = (from[a] + at[a]) * windows.kv_tile[a];
            visit.end[a] = std::min(visit.start[a] + windows.kv_tile[a], members_of[a]);
            visit.masked |= spans[a].all_first > visit.start[a] || spans[a].all_last < visit.end[a];
        }
        tile.visits.push_back(visit);
    });
}

void list_extra(const Windows& windows, QueryTile& tile) {
    const auto grid = static_cast<std::int32_t>(product(windows.keys));
    for (std::int32_t at = 0; at < windows.extra; at += KEY_TILE / 2) {
        Visit visit{};
        visit.extra = true;
        visit.start[0] = grid + at;
        visit.end[0] = grid + std::min(at + KEY_TILE / 2, windows.extra);
        tile.visits.push_back(visit);
    }
}

void most_visits_first(std::vector<QueryTile>& tiles) {
    std::stable_sort(tiles.begin(), tiles.end(),
                     [](const QueryTile& a, const QueryTile& b) { return a.visits.size() > b.visits.size(); });
}

// Tokens from one key to the next one of the same residue, on each axis.
Extents pitches(const Windows& windows) {
    const int last = windows.keys[2], middle = windows.keys[1];
    return {windows.step[0] * middle * last, windows.step[1] * last, windows.step[2]};
}

}  // namespace

std::int64_t Windows::query_count() const { return product(queries); }
std::int64_t Windows::key_count() const { return product(keys) + extra; }

std::vector<QueryTile> plan(const Windows& windows) {
    std::vector<QueryTile> tiles;
    for_each(windows.step, [&](const Extents& residue) {
        Extents extent{}, count{};
        for (std::size_t a = 0; a < MAX_AXES; ++a) {
            extent[a] = members(windows.queries[a], residue[a], windows.step[a]);
            count[a] = ceil_div(extent[a], windows.q_tile[a]);
        }
        for_each(count, [&](const Extents& number) {
            QueryTile tile;
            Extents start{}, end{}, size{};
            for (std::size_t a = 0; a < MAX_AXES; ++a) {
                tile.residue[a] = residue[a];
                start[a] = number[a] * windows.q_tile[a];
                end[a] = std::min(start[a] + windows.q_tile[a], extent[a]);
                size[a] = end[a] - start[a];
            }
            for_each(size, [&](const Extents& at) {
                std::int64_t token = 0;
                for (std::size_t a = 0; a < MAX_AXES; ++a) {
                    const int coordinate = (start[a] + at[a]) * windows.step[a] + residue[a];
                    token = token * windows.queries[a] + coordinate;
                    const bool axis = static_cast<int>(a) < windows.axes;
                    tile.first[a][tile.count] = axis ? windows.first[a][static_cast<std::size_t>(coordinate)] : 0;
                    tile.last[a][tile.count] = axis ? windows.last[a][static_cast<std::size_t>(coordinate)] : 1;
                }
                tile.tokens[tile.count++] = static_cast<std::int32_t>(token);
            });
            list_visits(windows, start, end, tile);
            list_extra(windows, tile);
            tiles.push_back(std::move(tile));
        });
    });
    most_visits_first(tiles);
    return tiles;
}

std::vector<QueryTile> plan(const Blocks& blocks) {
    std::vector<QueryTile> tiles;
    for (int block = 0; block * blocks.q_block < blocks.queries; ++block) {
        const int end = std::min((block + 1) * blocks.q_block, blocks.queries);
        std::vector<Visit> visits;
        for (std::int64_t i = blocks.offsets[static_cast<std::size_t>(block)];
             i < blocks.offsets[static_cast<std::size_t>(block) + 1]; ++i) {
            const int key = static_cast<int>(blocks.columns[static_cast<std::size_t>(i)]) * blocks.kv_block;
            const int last = std::min(key + blocks.kv_block, blocks.keys);
            for (int at = key; at < last; at += KEY_TILE / 2) {
                Visit visit{};
                visit.extra = true;
                visit.start[0] = at;
                visit.end[0] = std::min(at + KEY_TILE / 2, last);
                visits.push_back(visit);
            }
        }
        for (int start = block * blocks.q_block; start < end; start += QUERY_TILE) {
            QueryTile tile;
            tile.count = std::min(QUERY_TILE, end - start);
            for (int i = 0; i < tile.count; ++i) tile.tokens[i] = start + i;
            tile.visits = visits;
            tiles.push_back(std::move(tile));
        }
    }
    most_visits_first(tiles);
    return tiles;
}

void list_runs(const Windows& windows, const Visit& visit, Runs& runs) {
    Extents size{};
    for (std::size_t a = 0; a < MAX_AXES; ++a) size[a] = visit.extra ? 1 : visit.end[a] - visit.start[a];
    if (visit.extra) size[MAX_AXES - 1] = visit.end[0] - visit.start[0];
    if (size == runs.size && visit.extra == runs.extra) return;
    runs.size = size;
    runs.extra = visit.extra;
    runs.along = MAX_AXES - 1;  // the last axis on which the tile is longer than one
    while (runs.along > 0 && size[static_cast<std::size_t>(runs.along)] == 1) --runs.along;
    const Extents pitch = pitches(windows);
    runs.pitch = visit.extra ? 1 : pitch[static_cast<std::size_t>(runs.along)];
    runs.length = size[static_cast<std::size_t>(runs.along)];
    size[static_cast<std::size_t>(runs.along)] = 1;
    runs.count = 0;
    for_each(size, [&](const Extents& at) {
        runs.token[runs.count] = 0;
        for (std::size_t a = 0; a < MAX_AXES; ++a) {
            runs.at[runs.count][a] = at[a];
            runs.token[runs.count] += at[a] * pitch[a];
        }
        ++runs.count;
    });
}

std::int32_t first_token(const Windows& windows, const QueryTile& tile, const Visit& visit) {
    if (visit.extra) return visit.start[0];
    const Extents pitch = pitches(windows);
    std::int32_t token = 0;
    for (std::size_t a = 0; a < MAX_AXES; ++a) token += visit.start[a] * pitch[a] + tile.residue[a] * (pitch[a] / windows.step[a]);
    return token;
}

}  // namespace lightbound::host
