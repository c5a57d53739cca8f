// Which instruction set the host's kernels use: the best the machine has, or the lower one that LIGHTBOUND_ISA names.
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>

#include "host_kernels.hpp"

namespace lightbound::host {

namespace scalar { extern const Isa table; }
#if defined(__x86_64__)
namespace sse2 { extern const Isa table; }
namespace avx2 { extern const Isa table; }
namespace avx512 { extern const Isa table; }
#elif defined(__aarch64__)
namespace neon { extern const Isa table; }
#endif

const Isa* const* available_isas() {
    static const Isa* found[6] = {};
    static const bool filled = [] {
        int count = 0;
#if defined(__x86_64__)
        __builtin_cpu_init();
        if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
            __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
            found[count++] = &avx512::table;
        if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) found[count++] = &avx2::table;
        found[count++] = &sse2::table;
#elif defined(__aarch64__)
        found[count++] = &neon::table;
#endif
        found[count++] = &scalar::table;
        return true;
    }();
    (void)filled;
    return found;
}

const char* const* known_isas() {
    static const char* const names[] = {"avx512", "avx2", "sse2", "neon", "scalar", nullptr};
    return names;
}

const Isa* find_isa(const char* name) {
    for (const Isa* const* one = available_isas(); *one; ++one)
        if (!std::strcmp((*one)->name, name)) return *one;
    return nullptr;
}

const Isa& isa() {
    const char* forced = std::getenv("LIGHTBOUND_ISA");
    if (!forced || !*forced) return **available_isas();
    const Isa* found = find_isa(forced);
    if (!found) {
        std::string names;
        for (const Isa* const* one = available_isas(); *one; ++one) names += std::string(names.empty() ? "" : ", ") + (*one)->name;
        throw std::invalid_argument(std::string("LIGHTBOUND_ISA = ") + forced + ": is not an instruction set of this machine. Choose from: " + names + ".");
    }
    return *found;
}

}  // namespace lightbound::host
