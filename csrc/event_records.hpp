// What the event engine keeps of tasks, contexts, workers and its own state.
#pragma once

#include <cstdint>
#include <tuple>

#include "event.hpp"

namespace lightbound {

struct Release {  // the task whose end let another one start, and when it began
    std::int32_t resource = -1, task = 0;
    double start = 0;
};

struct Progress {
    std::int64_t next = 0;  // first iteration not issued
    std::int64_t done = 0;  // first iteration not finished
    std::uint64_t stream = 0;
    Release released;  // what let it start, where it runs ahead
};

struct After {
    std::int64_t distance;
    std::int32_t task;
};

struct alignas(64) Step {  // a task with all that issuing and finishing it looks at
    double demand, more, rate;
    const After *after, *after_end;
    const std::int32_t *dependents, *dependents_end;  // who may start when it ends
    std::int32_t start, each, priority, group;  // its resource lies at start + instance * each
    ResourceKind kind;
    bool always, ahead;
    bool cached;  // what it moves may be kept behind its resource
    std::int32_t resource, key;
    std::int64_t turn, round;
};

struct Context {
    const Step* steps = nullptr;  // of its block
    Progress* tasks = nullptr;
    std::int64_t trips = 0;
    std::int64_t marked = 0;  // iterations, from the first, in which tasks ask for more
    double jitter = 0;
    double part = 1;   // of its worker
    double until = 0;  // its time up to here is told
    std::int32_t worker = 0, number = 0, block = 0, instance = 0;
    std::int32_t unfinished = 0;  // tasks with iterations left
};

struct Waiting {  // a job in a queue, in the order of its fields
    double arrival;
    std::int32_t priority, worker, number, task;
    Context* context;
    double demand;
    bool operator<(const Waiting& other) const {
        return std::tie(arrival, priority, worker, number, task) <
               std::tie(other.arrival, other.priority, other.worker, other.number, other.task);
    }
};

struct Ended {
    Context* context;
    double start;
    std::int32_t task;
};

struct Run {
    std::int32_t instance = 0, phase = 0, running = 0;
};

struct Due {  // the end of a delay, or (task -1) the start of a context
    double time;
    Context* context;
    double start;
    std::int32_t task;
    std::int64_t iteration;
    bool operator<(const Due& other) const {
        return time != other.time ? time < other.time : iteration < other.iteration;
    }
};

}  // namespace lightbound
