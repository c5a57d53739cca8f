// What a probe of this machine runs: loops of one kind of instruction, on one thread or on several at once.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#if defined(__linux__)
#include <sched.h>
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
        {"fma32", Loop::fma32}, {"fma64", Loop::fma64}, {"fma_chain", Loop::fma_chain}, {"max_chain", Loop::max_chain},
        {"recurrence", Loop::recurrence}, {"add", Loop::add}, {"max", Loop::max}, {"mul", Loop::mul}, {"exp", Loop::exp},
        {"add_beside", Loop::add_beside}, {"max_beside", Loop::max_beside}, {"short_sums", Loop::short_sums},
        {"long_sums", Loop::long_sums}, {"load", Loop::load}, {"rows", Loop::rows}, {"store", Loop::store},
        {"copy", Loop::copy}, {"copy_past", Loop::copy_past}, {"load_beside_4", Loop::load_beside_4}, {"load_beside_8", Loop::load_beside_8},
        {"load_beside_12", Loop::load_beside_12}, {"load_beside_24", Loop::load_beside_24},
        {"exp_whole", Loop::exp_whole},
        {"copy_beside_4", Loop::copy_beside_4}, {"copy_beside_8", Loop::copy_beside_8},
        {"copy_beside_12", Loop::copy_beside_12}, {"copy_beside_24", Loop::copy_beside_24}};
    for (const auto& [known, loop] : names)
        if (name == known) return loop;
    throw std::invalid_argument("there is no such loop");
}

struct Rates {
    double operations = 0.0;             // of one round, on one thread
    std::vector<double> thread_seconds;  // processor time of each thread
    double together = 1.0;               // part of the time from the first start to the last end in which all threads ran
    double handover = 0.0;               // seconds in which a line goes from one core to the next, before the round
};

// A line that threads hand over from one to the next, and what that takes: a few times a cache's latency where their
// cores share one, and more than memory's where they do not.
class Ring {
public:
    explicit Ring(int threads) : count(threads) {}
    // What each thread calls when all are there; the seconds of a step in the quickest of several spells, of thread 0.
    double pass(int thread) {
        double least = 1.0;
        for (int spell = 0, at = 0; spell < SPELLS; ++spell) {
            const auto start = std::chrono::steady_clock::now();
            for (int lap = 0; lap < LAPS; ++lap, at += count) {
                for (int asked = 1; turn.load(std::memory_order_acquire) != at + thread; ++asked)
                    if (asked % 4096 == 0) std::this_thread::yield();  // the other one may have no processor
                turn.store(at + thread + 1, std::memory_order_release);
            }
            const double taken = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
            least = std::min(least, taken / (LAPS * count));
        }
        return least;
    }

private:
    static constexpr int SPELLS = 4, LAPS = 64;
    int count;
    alignas(64) std::atomic<int> turn{0};
};

constexpr std::size_t HUGE_PAGE = std::size_t{2} << 20;

struct Free {
    void operator()(void* memory) const { std::free(memory); }
};

constexpr int FILLING = 0x3e;  // as bytes of a float: 0.19

// Memory full of a small number: in huge pages, one piece of the machine's memory each, where the system gives them when
// asked; else in pages as they come. Not of zeros: a Zen 5 copies these through memory a seventh quicker than others.
std::unique_ptr<void, Free> filled(std::size_t bytes, bool huge) {
    const std::size_t unit = huge ? HUGE_PAGE : 4096, room = (bytes + unit - 1) / unit * unit;
    std::unique_ptr<void, Free> found(std::aligned_alloc(unit, room));
    if (!found) throw std::bad_alloc();
#if defined(__linux__)
    if (huge) madvise(found.get(), room, MADV_HUGEPAGE);
#endif
    std::memset(found.get(), FILLING, room);
    return found;
}

// A buffer for each thread, kept from one sample to the next: making one takes longer than most samples.
struct Room {
    Room(std::size_t bytes, int threads, bool huge) : size(bytes) {
        for (int thread = 0; thread < threads; ++thread) buffers.push_back(filled(bytes, huge));
    }
    std::size_t size;
    std::vector<std::unique_ptr<void, Free>> buffers;
};

// The calling thread has one processor of those it may use for as long as this lives, so that two threads of a sample are
// never given the same one.
class Pinned {
public:
    explicit Pinned(int number) {
#if defined(__linux__)
        if (sched_getaffinity(0, sizeof(before), &before) != 0) return;
        number %= CPU_COUNT(&before);
        for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
            if (CPU_ISSET(cpu, &before) && number-- == 0) {
                cpu_set_t one;
                CPU_ZERO(&one);
                CPU_SET(cpu, &one);
                moved = sched_setaffinity(0, sizeof(one), &one) == 0;
            }
#else
        (void)number;
#endif
    }
    Pinned(const Pinned&) = delete;
    Pinned& operator=(const Pinned&) = delete;
    ~Pinned() {
#if defined(__linux__)
        if (moved) sched_setaffinity(0, sizeof(before), &before);
#endif
    }

#if defined(__linux__)
private:
    cpu_set_t before;
    bool moved = false;
#endif
};

// Every thread goes through `bytes` of its buffer from `offset` on and begins when all are there. `warm`: it has been
// there once before.
Rates measure(const Isa& on, Loop loop, const Room& room, std::size_t offset, std::size_t bytes, std::int64_t rounds,
              bool warm) {
    Rates found;
    const auto threads = static_cast<int>(room.buffers.size());
    found.thread_seconds.assign(room.buffers.size(), 0.0);
    std::vector<double> operations(room.buffers.size(), 0.0), starts(room.buffers.size(), 0.0), ends(room.buffers.size(), 0.0);
    const auto now = [] {
        return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
    };
    std::atomic<int> ready{0};
    Ring ring(threads);
    Watch* const seen = threads == 1 ? watch : nullptr;
    const auto work = [&](int thread) {
        const auto at = static_cast<std::size_t>(thread);
        const std::unique_ptr<Pinned> pinned(threads > 1 ? new Pinned(thread) : nullptr);
        void* const from = static_cast<char*>(room.buffers[at].get()) + offset;
        if (warm) on.probe(loop, from, bytes, 1);
        ++ready;
        while (ready < threads) std::this_thread::yield();
        if (threads > 1) {
            const double taken = ring.pass(thread);
            if (thread == 0) found.handover = taken;
        }
        starts[at] = now();
        const double start = thread_seconds();
        if (seen) seen->resume();
        operations[at] = on.probe(loop, from, bytes, rounds);
        if (seen) seen->mark();
        found.thread_seconds[at] = thread_seconds() - start;
        ends[at] = now();
    };
    std::vector<std::thread> others;
    for (int thread = 1; thread < threads; ++thread) others.emplace_back(work, thread);
    work(0);
    for (auto& thread : others) thread.join();
    const double first = *std::min_element(starts.begin(), starts.end()), last = *std::max_element(ends.begin(), ends.end());
    double all = *std::min_element(ends.begin(), ends.end()) - *std::max_element(starts.begin(), starts.end());
    for (std::size_t at = 0; at < starts.size(); ++at)  // no longer than each had its processor
        all = std::min(all, all - (ends[at] - starts[at] - found.thread_seconds[at]));
    found.together = std::max(all, 0.0) / (last - first);
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

// Cache lines each of which names the next, in an order nobody can guess; a walk goes on where the last one ended.
struct Chain {
    Chain(std::size_t bytes, bool huge) : room(filled(bytes, huge)) {
        auto* const memory = static_cast<std::uint64_t*>(room.get());
        std::size_t at = 0, power = 1;  // through all: a linear congruence modulo a power of two has the full period
        while (power * 2 <= bytes / 64) power *= 2;
        for (std::size_t i = 0; i < power; ++i) {
            const std::size_t next = (at * 1664525 + 1013904223) & (power - 1);
            memory[at * 8] = next * 8;
            at = next;
        }
    }
    // Processor seconds of a step from one line to another that is only known when the first is there.
    double seconds(std::int64_t steps) {
        const auto* const memory = static_cast<const std::uint64_t*>(room.get());
        const double start = thread_seconds();
        for (std::int64_t step = 0; step < steps; ++step) place = memory[place];
        const double taken = thread_seconds() - start;
        asm volatile("" : : "r"(place));
        return taken / static_cast<double>(steps);
    }
    std::unique_ptr<void, Free> room;
    std::uint64_t place = 0;
};

}  // namespace

void register_host_probe(py::module_& module) {
    using namespace pybind11::literals;
    py::class_<Room>(module, "Room", "A buffer of so many bytes for each thread.")
        .def(py::init<std::size_t, int, bool>(), "bytes"_a, "threads"_a, "huge"_a, py::call_guard<py::gil_scoped_release>())
        .def_readonly("bytes", &Room::size);
    py::class_<Chain>(module, "Chain", "Cache lines each of which names the next, in a buffer of so many bytes.")
        .def(py::init<std::size_t, bool>(), "bytes"_a, "huge"_a, py::call_guard<py::gil_scoped_release>())
        .def("seconds", &Chain::seconds, "steps"_a, py::call_guard<py::gil_scoped_release>(),
             "Seconds of a step, over so many.");
    module.def("probe_loop", [](const std::string& name, const std::string& loop, const Room& room, std::int64_t rounds, std::size_t offset, std::size_t bytes, bool warm) {
        const Isa* on = find_isa(name.c_str());
        if (on == nullptr) throw std::invalid_argument("this machine has no such instruction set");
        if (offset + bytes > room.size) throw std::invalid_argument("the buffers end before that");
        const Loop which = loop_named(loop);
        Rates found;
        {
            py::gil_scoped_release release;
            found = measure(*on, which, room, offset, bytes, rounds, warm);
        }
        return py::make_tuple(found.operations, found.thread_seconds, found.together, found.handover);
    }, "isa"_a, "loop"_a, "room"_a, "rounds"_a, "offset"_a, "bytes"_a, "warm"_a = true,
    "Operations of a round on one thread, processor seconds of each, the part of the time in which all ran, and seconds in "
    "which a line went from one core to the next.");
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
}
