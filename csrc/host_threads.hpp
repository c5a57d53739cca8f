// Tasks dealt to threads: each takes the next one that is left. Threads live for one call, so that nothing is shared
// between calls that run at once.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "host_watch.hpp"

namespace lightbound::host {

// Calls work(task, scratch) for every task, with a buffer of so many floats a thread. Returns the processor time of
// every thread. An exception of a task is thrown again once all threads have ended.
template <typename Work>
std::vector<double> in_threads(int threads, std::int64_t tasks, std::size_t floats, const Work& work) {
    if (threads > tasks) threads = static_cast<int>(tasks > 1 ? tasks : 1);
    std::vector<double> seconds(static_cast<std::size_t>(threads), 0.0);
    std::atomic<std::int64_t> next{0};
    std::exception_ptr failed;
    std::mutex failing;
    Watch* const seen = threads == 1 ? watch : nullptr;
    const auto loop = [&](int thread) {
        const double start = thread_seconds();
        try {
            const std::unique_ptr<float[]> memory(new float[floats + 1024]);  // not set to zero: kernels write first
            const auto address = reinterpret_cast<std::uintptr_t>(memory.get());
            float* scratch = memory.get() + (4096 - address % 4096) % 4096 / sizeof(float);
            if (seen) seen->resume();
            for (std::int64_t task = next++; task < tasks; task = next++) {
                work(task, scratch);
                mark();
            }
            if (seen) seen->pause();
        } catch (...) {
            const std::lock_guard<std::mutex> lock(failing);
            failed = std::current_exception();
            next = tasks;
        }
        seconds[static_cast<std::size_t>(thread)] = thread_seconds() - start;
    };
    std::vector<std::thread> others;
    for (int thread = 1; thread < threads; ++thread) {
        try {
            others.emplace_back(loop, thread);
        } catch (const std::system_error&) {
            break;  // as many as the system gives: tasks are left for those that run
        }
    }
    loop(0);
    for (auto& thread : others) thread.join();
    if (failed) std::rethrow_exception(failed);
    return seconds;
}

}  // namespace lightbound::host
