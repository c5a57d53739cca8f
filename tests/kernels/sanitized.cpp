// The host's kernels under sanitizers, and on processors that are emulated: every kernel at awkward sizes, against sums in
// double precision, with every instruction set of the machine, 1 to n threads, and two callers at once. Built and run by
// .ci/sanitizers.sh; exits with 1 where a result is wrong.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <random>
#include <string>
#include <thread>

#include "../../csrc/host_run.hpp"

using namespace lightbound::host;
using Floats = std::vector<float>;

namespace {

std::atomic<int> wrong{0};

Floats random(std::size_t count, unsigned seed) {
    std::mt19937 engine(seed);
    std::normal_distribution<float> normal;
    Floats values(count);
    for (float& value : values) value = normal(engine);
    return values;
}

void compare(const char* what, const Floats& found, const std::vector<double>& expected) {
    double most = 1e-30, apart = 0.0;
    for (std::size_t i = 0; i < expected.size(); ++i) {
        most = std::max(most, std::abs(expected[i]));
        apart = std::max(apart, std::abs(found[i] - expected[i]));
    }
    if (!(apart <= 1e-5 * most)) {
        ++wrong;
        std::printf("%s with %s: apart by %g of %g\n", what, isa().name, apart, most);
    }
}

// Attention of one head group, where seen(query, key) says which pairs exist.
std::vector<double> reference(const Attention& p, const std::function<bool(int, int)>& seen) {
    std::vector<double> out(static_cast<std::size_t>(p.batch * p.heads * p.queries * p.value_dim));
    for (std::int64_t head = 0; head < p.batch * p.heads; ++head)
        for (int i = 0; i < p.queries; ++i) {
            const std::int64_t kv = head / p.heads * p.kv_heads + head % p.heads / (p.heads / p.kv_heads);
            double total = 0.0;
            double* row = out.data() + (head * p.queries + i) * p.value_dim;
            for (int j = 0; j < p.keys; ++j) {
                if (!seen(i, j)) continue;
                double score = 0.0;
                for (int e = 0; e < p.head_dim; ++e)
                    score += static_cast<double>(p.q[(head * p.queries + i) * p.head_dim + e]) *
                             p.k[(kv * p.keys + j) * p.head_dim + e];
                const double weight = std::exp(score * p.scale);
                total += weight;
                for (int f = 0; f < p.value_dim; ++f) row[f] += weight * p.v[(kv * p.keys + j) * p.value_dim + f];
            }
            for (int f = 0; f < p.value_dim; ++f) row[f] = total > 0 ? row[f] / total : 0.0;
        }
    return out;
}

void check_attention(int queries, int keys, int dim, int value_dim, int threads) {
    const std::size_t heads = 2;
    const Floats q = random(heads * queries * dim, 1), k = random(static_cast<std::size_t>(keys) * dim, 2);
    const Floats v = random(static_cast<std::size_t>(keys) * value_dim, 3);
    Floats out(heads * queries * value_dim), scores(heads * queries * keys);
    const Attention p{q.data(), k.data(), v.data(), out.data(), 1, 2, 1, queries, keys, dim, value_dim, 0.2f};
    Windows windows;
    windows.queries[0] = queries;
    windows.keys[0] = keys;
    windows.q_tile[0] = 64;
    windows.kv_tile[0] = 48;
    windows.first[0].assign(static_cast<std::size_t>(queries), 0);
    windows.last[0].assign(static_cast<std::size_t>(queries), keys);
    attention(p, windows, threads);
    compare("attention", out, reference(p, [](int, int) { return true; }));
    for (int i = 0; i < queries; ++i)
        windows.last[0][static_cast<std::size_t>(i)] = std::min(std::max(i + 1 + keys - queries, 0), keys);
    attention(p, windows, threads);
    compare("causal attention", out, reference(p, [&](int i, int j) { return j <= i + keys - queries; }));
    if (keys) {
        attention_three_pass(p, scores.data(), threads);
        compare("three passes", out, reference(p, [](int, int) { return true; }));
    }
    Blocks blocks;
    blocks.queries = queries;
    blocks.keys = keys;
    blocks.q_block = 30;
    blocks.kv_block = 70;
    blocks.offsets.push_back(0);
    for (int b = 0; b * 30 < queries; ++b) {
        for (int c = b % 2; c * 70 < keys; c += 2) blocks.columns.push_back(c);
        blocks.offsets.push_back(static_cast<std::int64_t>(blocks.columns.size()));
    }
    attention(p, blocks, threads);
    compare("blocks", out, reference(p, [](int i, int j) { return j / 70 % 2 == i / 30 % 2; }));
}

// A window of 3 x 4 x 3 around each query of a grid with a dilation of 2 on the second axis; pushed inside at the ends.
void check_grid(int threads) {
    const int extent[3] = {5, 9, 4}, window[3] = {3, 4, 3}, step[3] = {1, 2, 1};
    const int tokens = extent[0] * extent[1] * extent[2], extra = 3, dim = 12;
    Windows windows;
    windows.axes = 3;
    windows.extra = extra;
    for (std::size_t a = 0; a < 3; ++a) {
        windows.queries[a] = windows.keys[a] = extent[a];
        windows.step[a] = step[a];
        windows.q_tile[a] = 3;
        windows.kv_tile[a] = 2;
        for (int c = 0; c < extent[a]; ++c) {
            const int members = (extent[a] - c % step[a] + step[a] - 1) / step[a];
            const int first = std::min(std::max(c / step[a] - window[a] / 2, 0), members - window[a]);
            windows.first[a].push_back(first);
            windows.last[a].push_back(first + window[a]);
        }
    }
    const std::size_t count = static_cast<std::size_t>(tokens) * dim;
    const Floats q = random(count, 4), k = random(count + extra * dim, 5), v = random(count + extra * dim, 6);
    Floats out(count);
    const Attention p{q.data(), k.data(), v.data(), out.data(), 1, 1, 1, tokens, tokens + extra, dim, dim, 0.3f};
    attention(p, windows, threads);
    compare("a grid", out, reference(p, [&](int i, int j) {
        if (j >= tokens) return true;
        for (int a = 2, x = i, y = j; a >= 0; x /= extent[a], y /= extent[a], --a) {
            const auto axis = static_cast<std::size_t>(a);
            const int query = x % extent[a], key = y % extent[a];
            if (query % step[a] != key % step[a] || key / step[a] < windows.first[axis][static_cast<std::size_t>(query)] ||
                key / step[a] >= windows.last[axis][static_cast<std::size_t>(query)])
                return false;
        }
        return true;
    }));
}

void check_rows(int tokens, int dim, int value_dim, int chunk, int threads) {
    const auto n = static_cast<std::size_t>(tokens), f = static_cast<std::size_t>(value_dim);
    const Floats q = random(n * dim, 1), k = random(n * dim, 2), v = random(n * f, 3), decay{0.9f};
    Floats out(n * f), state(static_cast<std::size_t>(dim) * f, 0.5f);
    std::vector<double> expected(n * f), carried(static_cast<std::size_t>(dim) * f, 0.5), averages(n * f);
    for (std::size_t t = 0; t < n; ++t)
        for (std::size_t j = 0; j < f; ++j)
            for (std::size_t d = 0; d < static_cast<std::size_t>(dim); ++d) {
                double& at = carried[d * f + j];
                at = 0.9f * at + static_cast<double>(k[t * dim + d]) * v[t * f + j];
                expected[t * f + j] += q[t * dim + d] * at;
            }
    linear_attention(q.data(), k.data(), v.data(), decay.data(), state.data(), out.data(), 1, tokens, dim, value_dim, chunk,
                     1.0f, threads);
    compare("linear attention", out, expected);
    compare("its state", state, carried);
    for (std::size_t j = 0; j < f; ++j) {
        double total = 0.0, sum = 0.0;
        for (std::size_t t = 0; t < n; ++t) {
            total += std::exp(static_cast<double>(q[t]));
            sum += std::exp(static_cast<double>(q[t])) * v[t * f + j];
            averages[t * f + j] = sum / total;
        }
    }
    for (const int length : {0, chunk}) {
        prefix_attention(q.data(), v.data(), out.data(), 1, tokens, value_dim, length, threads);
        compare("prefix attention", out, averages);
    }
    Floats made(n * n), small(n * f);
    std::vector<double> products(n * n), rows(n * f), powers(n * f);
    product(q.data(), k.data(), made.data(), 1, tokens, tokens, dim, true, 1.0f, threads);
    for (std::size_t i = 0; i < n; ++i)
        for (std::size_t j = 0; j < n; ++j)
            for (std::size_t d = 0; d < static_cast<std::size_t>(dim); ++d)
                products[i * n + j] += static_cast<double>(q[i * dim + d]) * k[j * dim + d];
    compare("a product", made, products);
    softmax(v.data(), small.data(), tokens, value_dim, threads);
    for (std::size_t i = 0; i < n; ++i) {
        double total = 0.0;
        for (std::size_t j = 0; j < f; ++j) total += std::exp(static_cast<double>(v[i * f + j]));
        for (std::size_t j = 0; j < f; ++j) rows[i * f + j] = std::exp(static_cast<double>(v[i * f + j])) / total;
    }
    compare("softmax", small, rows);
    exponential(v.data(), small.data(), static_cast<std::int64_t>(n * f), threads);
    for (std::size_t i = 0; i < n * f; ++i) powers[i] = std::exp(static_cast<double>(v[i]));
    compare("exp", small, powers);
}

void check_all(int threads) {
    for (const int queries : {0, 1, 65})
        for (const int keys : {0, 1, 130}) check_attention(queries, keys, 17, 33, threads);
    check_attention(70, 70, 64, 64, threads);
    check_grid(threads);
    check_rows(1, 1, 1, 1, threads);
    check_rows(131, 70, 67, 64, threads);
    check_rows(70, 16, 16, 13, threads);
}

}  // namespace

int main() {
    const int cores = static_cast<int>(std::max(2u, std::thread::hardware_concurrency()));
    for (const Isa* const* one = available_isas(); *one; ++one) {
        setenv("LIGHTBOUND_ISA", (*one)->name, 1);
        for (int threads = 1; threads <= std::min(cores, 4); ++threads) {
            std::thread other(check_all, threads);
            check_all(threads);
            other.join();
        }
        std::printf("%s: %s\n", (*one)->name, wrong ? "wrong" : "right");
    }
    return wrong ? 1 : 0;
}
