// The question that a front end is asked, and what it takes to ask for the time.
#include "host_watch.hpp"

#include <algorithm>
#include <array>

namespace lightbound::host {

// One loop for all who ask, at the beginning of a line: on a Zen 5 copies of it that began elsewhere were told 6.2 to 7.0
// instructions a cycle. It is long, so that its branch hardly counts.
__attribute__((noinline, aligned(64))) double issue_seconds(std::int64_t count) {
#define FOUR(x) x x x x
    const auto start = std::chrono::steady_clock::now();
    std::int64_t done = 0;
    for (; done < count; done += 256) {
#if defined(__x86_64__)
        asm volatile(".p2align 6\n" FOUR(FOUR(FOUR(FOUR("nop\n")))));
#else
        asm volatile(FOUR(FOUR(FOUR(FOUR("nop\n")))));
#endif
    }
#undef FOUR
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / static_cast<double>(done);
}

double asking_seconds() {
    static const double seconds = [] {
        std::array<double, 255> found;
        for (double& one : found) {
            const auto start = std::chrono::steady_clock::now();
            one = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        }
        std::nth_element(found.begin(), found.begin() + found.size() / 2, found.end());
        return found[found.size() / 2];
    }();
    return seconds;
}

}  // namespace lightbound::host
