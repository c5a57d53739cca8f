// Tiles of queries and the tiles of keys they visit, under a mask that is a product of one window an axis, or a list.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "host_kernels.hpp"

namespace lightbound::host {

using Extents = std::array<int, MAX_AXES>;

// A query whose coordinate on an axis is c sees, there, the keys of its own residue modulo `step` whose quotient is in
// [first[c], last[c]). Tiles are of quotients. Keys behind the grid (`extra`) are seen by every query.
struct Windows {
    int axes = 1;
    Extents queries{1, 1, 1}, keys{1, 1, 1}, step{1, 1, 1}, q_tile{1, 1, 1}, kv_tile{1, 1, 1};
    std::array<std::vector<std::int32_t>, MAX_AXES> first, last;
    int extra = 0;

    std::int64_t query_count() const;
    std::int64_t key_count() const;
};

// Visited tiles of keys by tile of queries, as a list: row i of blocks visits columns[offsets[i] .. offsets[i + 1]).
struct Blocks {
    int queries = 0, keys = 0, q_block = 1, kv_block = 1;
    std::vector<std::int64_t> offsets, columns;
};

struct Visit {
    std::int32_t start[MAX_AXES];  // first quotient of the tile; of extra keys and of blocks, the first token
    std::int32_t end[MAX_AXES];
    bool masked;
    bool extra;
};

// One tile of queries, its tokens and what it visits.
struct QueryTile {
    int count = 0;
    std::int32_t tokens[QUERY_TILE];
    std::int32_t residue[MAX_AXES] = {0, 0, 0};
    std::int32_t first[MAX_AXES][QUERY_TILE] = {}, last[MAX_AXES][QUERY_TILE] = {};
    std::vector<Visit> visits;
};

// All tiles of queries of a head, those with most visits first.
std::vector<QueryTile> plan(const Windows& windows);
std::vector<QueryTile> plan(const Blocks& blocks);

// Where keys of visits of one size lie, in runs at one distance: `along` is the axis on which a run goes on, by `pitch` tokens.
// Of each run the first token and the first key's place, from those of the visit on.
struct Runs {
    Extents size{0, 0, 0};
    bool extra = false;
    int count = 0, along = 0;
    std::int32_t pitch = 1, length = 0;
    std::int32_t token[KEY_TILE];  // at most so many runs
    std::int32_t at[KEY_TILE][MAX_AXES];
};
void list_runs(const Windows& windows, const Visit& visit, Runs& runs);  // anew where the visit's size is another one
std::int32_t first_token(const Windows& windows, const QueryTile& tile, const Visit& visit);

}  // namespace lightbound::host
