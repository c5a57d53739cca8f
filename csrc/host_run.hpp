// The host's kernels over whole tensors, by threads. Shapes are checked by the callers; every function returns the
// processor time of each thread in seconds.
#pragma once

#include <vector>

#include "host_windows.hpp"

namespace lightbound::host {

using Seconds = std::vector<double>;

// q and out [batch][heads][queries][*], k and v [batch][kv_heads][keys][*].
struct Attention {
    const float* q;
    const float* k;
    const float* v;
    float* out;
    std::int64_t batch, heads, kv_heads, queries, keys;
    int head_dim, value_dim;
    float scale;
};

Seconds attention(const Attention& problem, const Windows& windows, int threads);
Seconds attention(const Attention& problem, const Blocks& blocks, int threads);
// Scores, softmax and average one after the other; `scores` is [batch][heads][queries][keys].
Seconds attention_three_pass(const Attention& problem, float* scores, int threads);
// q, k [heads][tokens][key_dim], v and out [heads][tokens][value_dim], decay [heads], state [heads][key_dim][value_dim].
Seconds linear_attention(const float* q, const float* k, const float* v, const float* decay, float* state, float* out,
                         std::int64_t heads, std::int64_t tokens, int key_dim, int value_dim, int chunk, float scale,
                         int threads);
// scores [heads][tokens], v and out [heads][tokens][dim]. chunk 0: token after token; else chunks side by side.
Seconds prefix_attention(const float* scores, const float* v, float* out, std::int64_t heads, std::int64_t tokens,
                         int dim, std::int64_t chunk, int threads);
// c [batch][m][n] = a [batch][m][k] b, b [batch][k][n] or transposed [batch][n][k].
Seconds product(const float* a, const float* b, float* c, std::int64_t batch, std::int64_t m, std::int64_t n,
                std::int64_t k, bool transposed, float scale, int threads);
Seconds softmax(const float* in, float* out, std::int64_t rows, std::int64_t columns, int threads);
Seconds exponential(const float* in, float* out, std::int64_t count, int threads);

}  // namespace lightbound::host
