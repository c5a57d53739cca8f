// What the host's kernels offer, whatever instructions they are made of: one table of functions for each instruction
// set, compiled apart (host_isa_*.cpp) and chosen at run time (host_dispatch.cpp). All tensors are fp32.
#pragma once

#include <cstddef>
#include <cstdint>

namespace lightbound::host {

constexpr int QUERY_TILE = 64;  // most queries of one task: they lie along lanes
constexpr int KEY_TILE = 128;   // most keys of one visit
constexpr int MAX_AXES = 3;

// The keys of one visit, row by row, wherever they lie in memory, in runs along an axis; where `masked`, where each begins.
struct VisitRows {
    const float* keys[KEY_TILE];
    const float* values[KEY_TILE];  // the first one alone where they lie at one distance
    std::int64_t value_pitch;       // from one row of values to the next, in floats; 0 where that differs
    std::int32_t at[KEY_TILE][MAX_AXES];
    int along;  // the axis along which keys of a run follow each other
    int run;    // how many keys a run has
    int count;
    bool masked;
};

// One tile of queries against all the tiles of keys it visits. A query sees a key where the key's coordinate lies in
// [first, last) on every axis.
struct AttendTask {
    const float* queries[QUERY_TILE];
    float* outputs[QUERY_TILE];
    const float* next[QUERY_TILE];  // queries of the tile that will come next, or may: they are asked for
    int next_count;
    const std::int32_t (*first)[QUERY_TILE];  // of each axis
    const std::int32_t (*last)[QUERY_TILE];
    int count;
    int axes;
    int head_dim;
    int value_dim;
    float scale;
    int visits;
    const void* context;
    void (*rows)(const void* context, int visit, VisitRows& rows);
};

// C[rows x columns] = scale * A B, or A B^T; A by rows of `depth`, leading dimensions in floats.
struct ProductTask {
    const float* a;
    const float* b;
    float* c;
    std::int64_t lda, ldb, ldc;
    int rows, columns, depth;
    bool transposed;
    float scale;
    void (*done)();  // called behind every packed panel of B
};

// One head of chunked linear attention: O[t] = sum over s <= t of decay^(t - s) (q[t] . k[s]) v[s], times scale.
struct LinearTask {
    const float* q;
    const float* k;
    const float* v;
    float* out;
    float* state;  // [key_dim][value_dim], read as the initial state and left as the final one
    std::int64_t tokens;
    int key_dim, value_dim, chunk;
    float scale, decay;
    void (*done)();  // called behind every chunk
};

// Prefix softmax averages of the rows of v under scores: a stretch of tokens with what came before it.
struct ScanTask {
    const float* scores;
    const float* v;
    float* out;  // null: only the carry is made
    std::int64_t tokens;
    int dim;
    float* carry;  // [dim + 2]: offset of scores, denominator, numerator; read and left
};

// Softmax of rows that follow each other, in place or not.
struct SoftmaxTask {
    const float* in;
    float* out;
    std::int64_t rows, columns;
    bool far;               // whether lines may have to come from memory
    bool past;              // whether what is written goes past all caches
    std::int64_t together;  // rows
    void (*done)();         // called between so many of them and the next ones
};

enum class Loop {
    fma32, fma64, fma_chain, max_chain, recurrence, add, max, mul, exp, add_beside, max_beside, short_sums, long_sums,
    load, rows, store, copy, copy_past, load_beside_4, load_beside_8, load_beside_12, load_beside_24, copy_beside_4, copy_beside_8, copy_beside_12, copy_beside_24, exp_whole
};

struct Isa {
    const char* name;
    int lanes;     // floats of a vector
    int rows;      // of the register tile
    int vectors;   // along lanes, of the register tile
    int attend_rows, attend_vectors;  // of that of attention
    bool fma;      // multiplies and adds in one instruction
    std::size_t (*attend_floats)(int head_dim, int value_dim);
    void (*attend)(const AttendTask& task, float* scratch);
    std::size_t (*product_floats)();
    int (*product_rows)();  // of a task, at most
    int (*product_columns)();
    void (*product)(const ProductTask& task, float* scratch);
    std::size_t (*linear_floats)(int key_dim, int value_dim, int chunk);
    void (*linear)(const LinearTask& task, float* scratch);
    std::size_t (*softmax_floats)(std::int64_t columns);
    void (*softmax)(const SoftmaxTask& task, float* scratch);
    void (*exp)(const float* in, float* out, std::int64_t count, bool past);
    void (*scan)(const ScanTask& task);
    // Repeats a loop of one instruction; returns how many of its operations a round does. Buffers are in bytes.
    double (*probe)(Loop loop, void* buffer, std::size_t bytes, std::int64_t rounds);
};

// The instruction set in use: the best this machine has, or the lower one that LIGHTBOUND_ISA names.
const Isa& isa();
// A name of one that this machine has, else null; and the names, best first, null-terminated.
const Isa* find_isa(const char* name);
const Isa* const* available_isas();
const char* const* known_isas();

}  // namespace lightbound::host
