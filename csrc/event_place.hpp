// What is at a place of the event engine's resources: jobs in one queue, or in flows that share a rate.
#pragma once

#include <cstdint>
#include <vector>

#include "event.hpp"
#include "event_queue.hpp"
#include "event_records.hpp"

namespace lightbound {

struct Job {
    double end;  // in the class's virtual time; of one that has just arrived its demand
    Ended job;
};
struct EndsLater {
    bool operator()(const Job& a, const Job& b) const { return b.end < a.end; }
};
struct Class {  // flows of one cap get one rate: a job of demand d ends d later in the class's virtual time
    double cap = 0, virtual_time = 0, rate = 0;
    Job *jobs = nullptr, *end = nullptr;  // where they are, the newly arrived at the end
    std::int32_t count = 0, arrived = 0;
};
struct Share {  // of a resource whose tasks have caps
    std::vector<Class> classes;
    std::int32_t due = 0;  // the class whose job ends next
};
struct Queue {
    Heap<Waiting> jobs;
    Ended current{};
};
struct alignas(64) Resource {  // one line of a processor's cache: all that most events look at
    double since = 0;  // first come, first served: when the job in service ends; else: when it last changed
    double rate = 0;   // 0 of a place without a resource
    double virtual_time = 0, flow = 0;      // where nothing has a cap: of the only class
    Job *jobs = nullptr, *end = nullptr;    // of the only class: where they are, the newly arrived at the end
    std::int32_t count = 0, arrived = 0;    // jobs in all classes, and those to be taken in
    ResourceKind kind = ResourceKind::fifo;
    bool serving = false, plain = false;
    bool few = false;   // jobs are in order, the next to end last; otherwise they are a heap
    bool lean = false;  // few, and plain: what most are
    std::int8_t bit = 0;
};
struct Asked {
    Waiting order;
    std::uint64_t tile;
    Job* job;
    std::int32_t place;
};
struct Kind {
    std::int32_t start, each;
};
struct Tally {  // time with work, and demand done
    double busy = 0, served = 0;
};

}  // namespace lightbound
