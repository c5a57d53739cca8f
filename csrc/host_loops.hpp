// Loops of one kind of instruction, for the probe. Included by host_isa_*.cpp.

#define HOST_KEEP(value) asm volatile("" : "+" HOST_REGISTER(value))

constexpr int ROW = 64;  // floats: of keys, values, packed matrices
constexpr int ENOUGH = 12;  // independent chains, to hide the latency of any of these

template <int CHAINS, typename V, typename Step>
HOST_INLINE void chains(std::int64_t rounds, V start, Step step) {
    V value[CHAINS];
#pragma GCC unroll 16
    for (int i = 0; i < CHAINS; ++i) value[i] = start;
    for (std::int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 16
        for (int i = 0; i < CHAINS; ++i) {
            value[i] = step(value[i]);
            HOST_KEEP(value[i]);
        }
    }
}

// Multiply-adds beside loads, or loads and stores: WORK of them for each vector, in chains enough to hide their latency.
// What this takes longer than in the nearest cache is what a core waits for, with work at hand.
template <int WORK, bool STORES>
HOST_INLINE double beside(float* data, std::int64_t count, std::int64_t rounds) {
    constexpr int CHAINS = 8;
    const std::int64_t part = STORES ? count / 2 / (8 * LANES) * (8 * LANES) : count;
    const Vec near = all(0.999f);
    Vec sum[CHAINS];
#pragma GCC unroll 8
    for (int i = 0; i < CHAINS; ++i) sum[i] = near;
    for (std::int64_t round = 0; round < rounds; ++round) {
        for (std::int64_t i = 0; i < part; i += 8 * LANES)
#pragma GCC unroll 8
            for (int u = 0; u < 8; ++u) {
                const Vec x = load(data + i + u * LANES);
#pragma GCC unroll 32
                for (int w = 0; w < WORK; ++w) sum[(u * WORK + w) % CHAINS] = fma(sum[(u * WORK + w) % CHAINS], near, x);
                if (STORES) store(data + part + i + u * LANES, x);
            }
        asm volatile("" ::: "memory");
    }
#pragma GCC unroll 8
    for (int i = 0; i < CHAINS; ++i) HOST_KEEP(sum[i]);
    return static_cast<double>(part) * sizeof(float);
}

// Half a buffer into the other half, through caches or, where it begins at a line, past them.
template <bool STREAM>
HOST_INLINE double copies(float* data, std::int64_t count, std::int64_t rounds) {
    const std::int64_t part = count / 2;
    for (std::int64_t round = 0; round < rounds; ++round) {
        for (std::int64_t i = 0; i + 4 * LANES <= part; i += 4 * LANES)
#pragma GCC unroll 4
            for (int u = 0; u < 4; ++u) {
                Vec x = load(data + i + u * LANES);
                HOST_KEEP(x);
                STREAM ? store_past(data + part + i + u * LANES, x) : store(data + part + i + u * LANES, x);
            }
        if (STREAM) settle_past();
        asm volatile("" ::: "memory");
    }
    return static_cast<double>(part) * sizeof(float);
}

// 2^x of so many floats, four vectors side by side, as in fused attention.
HOST_INLINE void powers_of_two(const float* in, float* out, std::int64_t count) {
    for (std::int64_t i = 0; i < count; i += 4 * LANES) {
        Vec x[4];
#pragma GCC unroll 4
        for (int j = 0; j < 4; ++j) x[j] = load(in + i + j * LANES);
        exp2_each(x);
#pragma GCC unroll 4
        for (int j = 0; j < 4; ++j) store(out + i + j * LANES, x[j]);
    }
}

// Multiply-adds, and for five of them two of something else, in chains enough to hide the latency of both: what these
// take longer than the multiply-adds alone is what both kinds of instructions take of each other.
template <typename Step>
HOST_INLINE double mixed(std::int64_t rounds, Step step) {
    constexpr int FUSED_ONES = 10, OTHERS = 4;  // with two operands in 16 registers
    const Vec half = all(0.5f), near = all(0.999f);
    Vec sum[FUSED_ONES], other[OTHERS];
#pragma GCC unroll 16
    for (int i = 0; i < FUSED_ONES; ++i) sum[i] = half;
#pragma GCC unroll 16
    for (int i = 0; i < OTHERS; ++i) other[i] = half;
    for (std::int64_t round = 0; round < rounds; ++round)
#pragma GCC unroll 16
        for (int i = 0; i < FUSED_ONES; ++i) {
            sum[i] = fma(sum[i], near, half);
            HOST_KEEP(sum[i]);
            if (i >= OTHERS) continue;
            other[i] = step(other[i]);
            HOST_KEEP(other[i]);
        }
    return FUSED_ONES * LANES;
}

// Sums of so many runs of eight steps, twelve side by side, one set after the other: a short loop ends often, and where its
// end is not foreseen a core begins the next sums late. The length is not known when this is compiled.
HOST_INLINE double sums(float* data, std::int64_t rounds, int runs) {
    const Vec near = all(0.999f);
    for (std::int64_t round = 0; round < rounds; ++round) {
        Vec sum[ENOUGH];
#pragma GCC unroll 16
        for (int i = 0; i < ENOUGH; ++i) sum[i] = near;
        asm volatile("" : "+r"(runs));
        for (int run = 0; run < runs; ++run)
#pragma GCC unroll 8
            for (int u = 0; u < 8; ++u) {
                Vec x = load(data + u * LANES);
                HOST_KEEP(x);
#pragma GCC unroll 16
                for (int i = 0; i < ENOUGH; ++i) {
                    sum[i] = fma(sum[i], near, x);
                    HOST_KEEP(sum[i]);
                }
            }
#pragma GCC unroll 16
        for (int i = 0; i < ENOUGH; ++i) store(data + (8 + i) * LANES, sum[i]);
        asm volatile("" ::: "memory");
    }
    return static_cast<double>(runs) * 8 * ENOUGH * LANES;
}

// Operations of a round: multiply-adds count once, elements of exp, bytes of load, store and copy (read).
static double probe(Loop loop, void* buffer, std::size_t bytes, std::int64_t rounds) {
    float* data = static_cast<float*>(buffer);
    const std::int64_t count = static_cast<std::int64_t>(bytes / sizeof(float)) / (8 * LANES) * (8 * LANES);
    const Vec half = all(0.5f), near = all(0.999f);
    switch (loop) {
        case Loop::fma32:
            chains<ENOUGH>(rounds, half, [=](Vec x) { return fma(x, near, half); });
            return ENOUGH * LANES;
        case Loop::fma_chain:
            chains<1>(rounds, half, [=](Vec x) { return fma(x, near, half); });
            return 1;
        case Loop::max_chain: chains<1>(rounds, half, [=](Vec x) { return maximum(x, near); }); return 1;
        case Loop::recurrence:  // a product and a sum, each an instruction
            chains<1>(rounds, half, [=](Vec x) {
                Vec product = x * near;
                HOST_KEEP(product);
                return product + half;
            });
            return 1;
        case Loop::fma64: {
            const VecDouble one = VecDouble{} + 0.5, other = VecDouble{} + 0.999;
            chains<ENOUGH>(rounds, one, [=](VecDouble x) { return fma(x, other, one); });
            return ENOUGH * static_cast<double>(sizeof(VecDouble) / sizeof(double));
        }
        case Loop::add: chains<ENOUGH>(rounds, half, [=](Vec x) { return x + half; }); return ENOUGH * LANES;
        case Loop::max: chains<ENOUGH>(rounds, half, [=](Vec x) { return maximum(x, near); }); return ENOUGH * LANES;
        case Loop::mul: chains<ENOUGH>(rounds, half, [=](Vec x) { return x * near; }); return ENOUGH * LANES;
        case Loop::add_beside: return mixed(rounds, [=](Vec x) { return x + half; });
        case Loop::max_beside: return mixed(rounds, [=](Vec x) { return maximum(x, near); });
        case Loop::short_sums: return sums(data, rounds, 8);
        case Loop::long_sums: return sums(data, rounds, 512);
        case Loop::exp:
        case Loop::exp_whole: {  // of half a buffer into the other half
            const std::int64_t part = count / 2 / (4 * LANES) * (4 * LANES);
            for (std::int64_t round = 0; round < rounds; ++round) {
                loop == Loop::exp ? powers_of_two(data, data + part, part) : exp_array(data, data + part, part, false);
                asm volatile("" ::: "memory");
            }
            return static_cast<double>(part);
        }
        case Loop::load:
            for (std::int64_t round = 0; round < rounds; ++round)
                for (std::int64_t i = 0; i < count; i += 8 * LANES)
#pragma GCC unroll 8
                    for (int u = 0; u < 8; ++u) {
                        Vec x = load(data + i + u * LANES);
                        HOST_KEEP(x);
                    }
            return static_cast<double>(count) * sizeof(float);
        case Loop::rows: {  // of 64 floats, here and there: a linear congruence modulo a power of two has the full period
            std::int64_t whole = 1;
            while (whole * 2 * ROW <= count) whole *= 2;
            for (std::int64_t round = 0; round < rounds; ++round)
                for (std::int64_t i = 0, at = 0; i < whole; ++i, at = (at * 1664525 + 1013904223) & (whole - 1))
#pragma GCC unroll 8
                    for (int u = 0; u < ROW; u += LANES) {
                        Vec x = load(data + at * ROW + u);
                        HOST_KEEP(x);
                    }
            return static_cast<double>(whole * ROW) * sizeof(float);
        }
        case Loop::store:
            for (std::int64_t round = 0; round < rounds; ++round) {
                Vec x = half;
                HOST_KEEP(x);
                for (std::int64_t i = 0; i < count; i += 8 * LANES)
#pragma GCC unroll 8
                    for (int u = 0; u < 8; ++u) store(data + i + u * LANES, x);
                asm volatile("" ::: "memory");
            }
            return static_cast<double>(count) * sizeof(float);
        case Loop::copy: return copies<false>(data, count, rounds);
        case Loop::copy_past: return copies<true>(data, count, rounds);
        case Loop::load_beside_4: return beside<4, false>(data, count, rounds);
        case Loop::load_beside_8: return beside<8, false>(data, count, rounds);
        case Loop::load_beside_12: return beside<12, false>(data, count, rounds);
        case Loop::load_beside_24: return beside<24, false>(data, count, rounds);
        case Loop::copy_beside_4: return beside<4, true>(data, count, rounds);
        case Loop::copy_beside_8: return beside<8, true>(data, count, rounds);
        case Loop::copy_beside_12: return beside<12, true>(data, count, rounds);
        case Loop::copy_beside_24: return beside<24, true>(data, count, rounds);
    }
    return 0.0;
}
