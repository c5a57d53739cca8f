// What a probe of this machine runs: loops of one kind of instruction, on one thread or on several at once.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include "host_face.hpp"
#include "host_kernels.hpp"
#include "host_threads.hpp"
#include "host_watch.hpp"

namespace py = pybind11;
using namespace lightbound::host;

namespace {

Loop loop_named(const std::string& name) {
    static const std::pair<const char*, Loop> names[] = {
        {"fma32", Loop::fma32}, {"fma64", Loop::fma64}, {"fma_chain", Loop::fma_chain}, {"max_chain", Loop::max_chain}, {"recurrence", Loop::recurrence}, {"add", Loop::add},     {"max", Loop::max},  {"mul", Loop::mul},
        {"exp", Loop::exp},     {"load", Loop::load}, {"rows", Loop::rows},   {"store", Loop::store}, {"copy", Loop::copy},
        {"load_beside_4", Loop::load_beside_4}, {"load_beside_12", Loop::load_beside_12},
        {"copy_beside_4", Loop::copy_beside_4}, {"copy_beside_12", Loop::copy_beside_12}};
    for (const auto& [known, loop] : names)
        if (name == known) return loop;
    throw std::invalid_argument("there is no such loop");
}

struct Rates {
    double operations = 0.0;             // of one round, on one thread
    std::vector<double> thread_seconds;  // processor time of each thread
    double wall_seconds = 0.0;
};

constexpr std::size_t HUGE_PAGE = std::size_t{2} << 20;

struct Free {
    void operator()(void* memory) const { std::free(memory); }
};

// Memory full of zeros as arrays of numpy have it: from 4 MiB on in huge pages, where the system gives them when asked.
std::unique_ptr<void, Free> zeros(std::size_t bytes) {
    const bool large = bytes >= 2 * HUGE_PAGE;
    const std::size_t unit = large ? HUGE_PAGE : 4096, room = (bytes + unit - 1) / unit * unit;
    std::unique_ptr<void, Free> found(std::aligned_alloc(unit, room));
    if (!found) throw std::bad_alloc();
#if defined(__linux__)
    if (large) madvise(found.get(), room, MADV_HUGEPAGE);
#endif
    std::memset(found.get(), 0, room);
    return found;
}

// Every thread has its own buffer of `bytes` and begins when all are there.
Rates measure(const Isa& on, Loop loop, std::size_t bytes, std::int64_t rounds, int threads) {
    Rates found;
    std::vector<std::unique_ptr<void, Free>> buffers;
    for (int thread = 0; thread < threads; ++thread) buffers.push_back(zeros(bytes));
    found.thread_seconds.assign(static_cast<std::size_t>(threads), 0.0);
    std::vector<double> operations(static_cast<std::size_t>(threads), 0.0);
    std::atomic<int> ready{0};
    const auto work = [&](int thread) {
        const auto at = static_cast<std::size_t>(thread);
        on.probe(loop, buffers[at].get(), bytes, 1);
        ++ready;
        while (ready < threads) std::this_thread::yield();
        const double start = thread_seconds();
        operations[at] = on.probe(loop, buffers[at].get(), bytes, rounds);
        found.thread_seconds[at] = thread_seconds() - start;
    };
    std::vector<std::thread> others;
    for (int thread = 1; thread < threads; ++thread) others.emplace_back(work, thread);
    const auto start = std::chrono::steady_clock::now();
    work(0);
    for (auto& thread : others) thread.join();
    found.wall_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    found.operations = operations[0];
    return found;
}

// Seconds of a chain of additions, each of which waits for the one before: a cycle each.
double addition_seconds(std::int64_t count) {
    std::uint64_t value = 1;
    const double start = thread_seconds();
    for (std::int64_t i = 0; i < count; i += 8) {
        for (int j = 0; j < 8; ++j) {
            value += static_cast<std::uint64_t>(i);
            asm volatile("" : "+r"(value));
        }
    }
    return thread_seconds() - start;
}

// Wall seconds in which one more thread is started and joined.
double thread_start_seconds() {
    const auto start = std::chrono::steady_clock::now();
    std::thread other([] {});
    other.join();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Wall seconds of a step from one cache line to another that is only known when the first is there.
double latency_seconds(std::size_t bytes, std::int64_t steps) {
    const std::size_t lines = bytes / 64;
    const auto room = zeros(lines * 64);
    auto* const memory = static_cast<std::uint64_t*>(room.get());
    std::size_t at = 0;  // a cycle through all lines: a linear congruence modulo a power of two has the full period
    std::size_t power = 1;
    while (power * 2 <= lines) power *= 2;
    for (std::size_t i = 0; i < power; ++i) {
        const std::size_t next = (at * 1664525 + 1013904223) & (power - 1);
        memory[at * 8] = next * 8;
        at = next;
    }
    std::uint64_t place = 0;
    const double start = thread_seconds();
    for (std::int64_t step = 0; step < steps; ++step) place = memory[place];
    const double seconds = thread_seconds() - start;
    asm volatile("" : : "r"(place));
    return seconds / static_cast<double>(steps);
}

// Seconds that a branch costs which is guessed wrongly: random branches against ones that repeat, half of them wrong.
double misprediction_seconds(std::int64_t count) {
    constexpr std::size_t SIZE = 1 << 16;
    std::vector<unsigned char> random(SIZE), regular(SIZE);
    std::uint32_t state = 2463534242u;
    for (std::size_t i = 0; i < SIZE; ++i) {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        random[i] = state & 1;
        regular[i] = i & 1;
    }
    const auto run = [&](const std::vector<unsigned char>& bits) {
        std::uint64_t value = 0;
        const double start = thread_seconds();
        for (std::int64_t i = 0; i < count; ++i) {
            if (bits[static_cast<std::size_t>(i) % SIZE])
                asm volatile("" : "+r"(value));
            else
                asm volatile("" : "+r"(value) : : "memory");
        }
        return thread_seconds() - start;
    };
    run(random);
    return 2.0 * (run(random) - run(regular)) / static_cast<double>(count);
}

}  // namespace

void register_host_probe(py::module_& module) {
    using namespace pybind11::literals;
    module.def("probe_loop", [](const std::string& name, const std::string& loop, std::size_t bytes, std::int64_t rounds, int threads) {
        const Isa* on = find_isa(name.c_str());
        if (on == nullptr) throw std::invalid_argument("this machine has no such instruction set");
        const Loop which = loop_named(loop);
        Rates found;
        {
            py::gil_scoped_release release;
            found = measure(*on, which, bytes, rounds, threads);
        }
        return py::make_tuple(found.operations, found.thread_seconds, found.wall_seconds);
    }, "isa"_a, "loop"_a, "bytes"_a, "rounds"_a, "threads"_a,
    "Operations of a round on one thread, processor seconds of each thread, and wall seconds.");
    module.def("probe_additions", &addition_seconds, "count"_a, py::call_guard<py::gil_scoped_release>(),
               "Seconds of a chain of dependent additions.");
    module.def("probe_issue", &issue_seconds, "count"_a, py::call_guard<py::gil_scoped_release>(),
               "Seconds of an instruction that needs nothing but to be issued.");
    module.def("watch_begin", [](std::int64_t marks, std::int64_t instructions) {
        delete watch;
        watch = new Watch(std::max<std::int64_t>(marks, 1), instructions);
    }, "marks"_a, "instructions"_a,
    "Time what this thread calls in parts of so many marks, and ask the front end behind each with so many instructions.");
    module.def("watch_end", [] {
        std::vector<std::tuple<double, double, std::int64_t, double>> found;
        if (watch)
            for (const Part& part : watch->parts)
                found.emplace_back(part.seconds, part.processor_seconds, part.marks, part.issue_seconds);
        delete watch;
        watch = nullptr;
        return found;
    }, "Parts since then: wall seconds, processor seconds around them, marks, and seconds of an instruction behind it.");
    module.def("probe_thread_start", &thread_start_seconds, py::call_guard<py::gil_scoped_release>(),
               "Seconds in which a thread is started and joined.");
    module.def("probe_latency", &latency_seconds, "bytes"_a, "steps"_a, py::call_guard<py::gil_scoped_release>(),
               "Seconds of a dependent load out of a buffer of this size.");
    module.def("probe_misprediction", &misprediction_seconds, "count"_a, py::call_guard<py::gil_scoped_release>(),
               "Seconds that a branch costs which is guessed wrongly.");
}
