// The native event engine: looped programs of tasks on shared resources (sim/program.py states the rules, and
// sim/event_simpy.py is the readable definition that this engine equals to the last bit). No Python in here.
#pragma once

#include <cstdint>
#include <vector>

namespace lightbound {

enum class ResourceKind : std::int8_t { fifo = 0, sharing = 1, bandwidth = 2, delay = 3 };

// Plain data; every list of lists is flat, with offsets (`*_start` has one entry more than there are lists).
struct EventInput {
    // Resources; a shared one is one for all instances, the others are one an instance.
    std::vector<std::int8_t> kind;
    std::vector<double> rate;
    std::vector<std::int8_t> shared;
    std::vector<double> cache;  // of a bandwidth: how much of what it moved last need not be moved again
    // Tasks of all blocks one after the other.
    std::vector<std::int32_t> resource;
    std::vector<double> demand, cap;
    std::vector<double> more;  // demand beside that in marked iterations
    std::vector<std::int32_t> priority;
    std::vector<std::int32_t> key;  // which of a worker's keys names what it moves, or -1
    // Iterations in which it moves one tile, and after how many tiles the first comes again, or 0.
    std::vector<std::int64_t> turn, round;
    std::vector<std::int8_t> ahead;  // runs beside the work of a context, which is then not at it
    std::vector<std::int64_t> after_start;  // dependencies of a task: (task of the block, iterations before)
    std::vector<std::int32_t> after_task;
    std::vector<std::int64_t> after_distance;
    // Iterations i in which it runs: first <= i % period < end, for all. A period of 0 is the whole loop.
    std::vector<std::int64_t> when_start;
    std::vector<std::int64_t> when_period, when_first, when_end;
    std::vector<std::int64_t> block_start;  // blocks: prologue, body, epilogue of each program in turn
    // Programs.
    std::vector<double> jitter, stagger;
    // Workers in launch order: program, trips and marked ones of each of its contexts, and the instance it must run on,
    // or -1.
    std::vector<std::int32_t> program;
    std::vector<std::int64_t> trips_start, trips, marked;
    std::vector<std::int32_t> instance;
    std::vector<std::int64_t> keys_start, keys;
    std::int32_t instances = 1;
    std::int32_t slots = 1;
    std::uint64_t seed = 0;
    std::int64_t max_slices = 0;  // how many finished tasks to list
    std::int64_t most_tasks = 0;  // to run one by one before giving up
    bool extrapolate = false;  // leap over periods of a single context once its state repeats
};

struct Slice {
    double start, end;
    std::int64_t iteration;
    std::int32_t worker, context, task, resource;  // task: over all blocks; resource: numbered over all instances
};

struct EventOutput {
    EventOutput(std::size_t resources, std::size_t kinds, std::size_t workers)
        : busy(resources), served(resources), spent(kinds + 1), worker_start(workers), worker_end(workers),
          worker_instance(workers, -1) {}

    double makespan = 0;
    std::int64_t tasks = 0;
    std::vector<double> busy, served;  // by numbered resource: time with work, and demand done
    // By resource, and last by none: the time that contexts spent at it, those of one worker on average.
    std::vector<double> spent;
    std::vector<double> worker_start, worker_end;
    std::vector<std::int32_t> worker_instance;
    std::vector<Slice> slices;
};

EventOutput run_events(const EventInput& input);

}  // namespace lightbound
