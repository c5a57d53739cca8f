// A kernel timed in parts while it runs: kernels mark places that a call always passes in the same order, and a thread
// that is watched ends a part at every so many marks. What the front end of its core gives it is asked between parts, so
// that parts during which the core was its own can be told from the others. Nobody pays for it but who watches.
#pragma once

#include <time.h>

#include <chrono>
#include <cstdint>
#include <vector>

namespace lightbound::host {

// Seconds of processor time of the calling thread.
inline double thread_seconds() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// Wall seconds of an instruction that needs nothing but to be issued: what the front end of a core gives this thread. A
// few microseconds are enough, so that it can be asked between two samples of something else.
double issue_seconds(std::int64_t count);

// Wall seconds of asking for the time, which is part of whatever is timed: a fiftieth of a microsecond and more.
double asking_seconds();

// A part: its wall seconds; processor seconds around them, which are more unless the processor was taken away (asking for
// them takes as long as a small part); the marks in it; the answer of the front end behind it.
struct Part {
    double seconds, processor_seconds;
    std::int64_t marks;
    double issue_seconds;
};

class Watch {
public:
    Watch(std::int64_t marks, std::int64_t instructions)
        : most(marks), asked(instructions), asking(asking_seconds()) {}
    void resume() {
        passed = 0;
        processor = thread_seconds();
        start = std::chrono::steady_clock::now();
    }
    void mark() {
        if (++passed < most) return;
        pause();
        resume();
    }
    void pause() {
        if (passed == 0) return;  // the last part has just ended
        const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        parts.push_back({seconds > asking ? seconds - asking : 0.0, thread_seconds() - processor, passed, issue_seconds(asked)});
        passed = 0;
    }
    std::vector<Part> parts;

private:
    std::int64_t most, asked, passed = 0;
    std::chrono::steady_clock::time_point start;
    double processor = 0.0, asking;
};

inline thread_local Watch* watch = nullptr;  // of the calling thread, null where nobody watches

inline void mark() {
    if (watch) watch->mark();
}

}  // namespace lightbound::host
