// What the event engine keeps of tasks, contexts, workers and its own state.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "event.hpp"

namespace lightbound {

struct Progress {
    std::int64_t next = 0;  // first iteration not issued
    std::int64_t done = 0;  // first iteration not finished
    std::uint64_t stream = 0;
};

struct Step {  // a task with all that issuing and finishing it looks at
    double demand, more, rate;
    std::int32_t after_begin, after_end, dependents_begin, dependents_end;
    std::int32_t start, each, priority, group;  // its resource lies at start + instance * each
    ResourceKind kind;
    bool always, ahead;
    std::int32_t resource, key;
    std::int64_t turn, round;
};

struct Release {  // the task whose end let another one start, and when it began
    std::int32_t resource = -1, task = 0;
    double start = 0;
};

struct After {
    std::int64_t distance;
    std::int32_t task;
};

struct Context {
    std::int64_t first = 0;  // task of its block
    std::int64_t trips = 0;
    std::int64_t marked = 0;  // iterations, from the first, in which tasks ask for more
    double jitter = 0;
    double part = 1;   // of its worker
    double until = 0;  // its time up to here is told
    std::int32_t worker = 0, number = 0, block = 0, instance = 0;
    std::int32_t unfinished = 0;  // tasks with iterations left
};

struct Run {
    std::int32_t instance = 0, phase = 0, running = 0;
};

struct Due {  // the end of a delay, or (task -1) the start of a context
    double time;
    std::int32_t context, task;
    double start;
    std::int64_t iteration;
    bool operator<(const Due& other) const {
        return time != other.time ? time < other.time : iteration < other.iteration;
    }
};

struct State {  // of a run at one turn, all times from then
    double now = 0;
    std::int64_t tasks = 0, base = 0;
    std::vector<double> relative, busy, served, spent;
};

inline bool same(const State& a, const State& b) {
    if (a.relative.size() != b.relative.size()) return false;
    const double rounding = 1e-13 * a.now;  // of times so late
    for (std::size_t i = 0; i < a.relative.size(); ++i)
        if (std::abs(a.relative[i] - b.relative[i]) > rounding) return false;
    return true;
}

}  // namespace lightbound
