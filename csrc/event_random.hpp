// Random numbers that depend on what they are for and not on when they are drawn: a hash of seed, worker, context, task
// and iteration (the finaliser of splitmix64). Two engines that work in another order draw the same.
#pragma once

#include <cstdint>

namespace lightbound {

inline std::uint64_t mixed(std::uint64_t z) {
    z += 0x9E3779B97F4A7C15ull;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
}

inline std::uint64_t hashed(std::uint64_t seed, std::uint64_t a, std::uint64_t b, std::uint64_t c) {
    return mixed(mixed(mixed(mixed(seed) ^ a) ^ b) ^ c);
}

// Uniform in [0, 1).
inline double uniform(std::uint64_t hash) { return double(hash >> 11) * 0x1.0p-53; }

}  // namespace lightbound
