// Counts the key tiles that each query tile of a mask visits, and the exact pairs in each. It knows rows (mask_rows.hpp)
// and tilings, and no kind of mask.
#pragma once

#include "mask_rows.hpp"

namespace lightbound {

// One axis of the queries: coordinates in the order in which tiles take them, and where each tile begins.
struct QueryAxis {
    Indices order;
    Offsets tile_start;
};

// One axis of the keys: coordinate x is number local[x] of group group[x]; tiles of `tile` keys never leave a group.
struct KeyAxis {
    Indices group;
    Indices local;
    Indices length;  // of each group
    Index tile;
};

struct TileCounts {
    std::int64_t pairs = 0;
    Offsets visits;  // of each query tile: key tiles that hold an attended pair
    Offsets full;    // of each query tile: visited tiles in which every query attends every key
    // Where asked for, one entry a visit, ordered by query tile and then key tile.
    Offsets tiles;
    Offsets tile_pairs;
};

struct TileRequest {
    std::vector<QueryAxis> query_axes;
    std::vector<KeyAxis> key_axes;
    Index extra_keys = 0;  // behind the key grid, in tiles of their own
    Index extra_tile = 1;
    bool dynamic = false;  // the tile grid of each query tile begins at its first attended key, axis by axis
    bool list_tiles = false;
};

TileCounts count_tiles(const MaskRows& mask, const TileRequest& request);

// The same for a separable mask of any rank whose tokens are flattened row by row and tiled in one dimension. Segments of
// queries that differ in the last coordinate alone share their work, so it costs tiles and key rows, not pairs. Keys behind
// the grid are left out.
TileCounts count_flat_tiles(const SeparableRows& mask, Index q_tile, Index kv_tile, bool dynamic);

}  // namespace lightbound
