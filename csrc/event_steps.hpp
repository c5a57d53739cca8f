// The tasks of all programs as the engine looks at them: where each runs, what it waits for and who waits for it.
#pragma once

#include <algorithm>
#include <vector>

#include "event.hpp"
#include "event_random.hpp"
#include "event_records.hpp"
#include "event_resource.hpp"

namespace lightbound {

struct Steps {
    Steps(const EventInput& input, const Resources& resources) : in(input) {
        const std::size_t tasks = in.resource.size();
        std::vector<std::vector<std::int32_t>> found(tasks);
        for (std::size_t block = 0; block + 1 < in.block_start.size(); ++block)
            for (std::int64_t task = in.block_start[block]; task < in.block_start[block + 1]; ++task)
                for (std::int64_t i = in.after_start[task]; i < in.after_start[task + 1]; ++i) {
                    auto& list = found[in.block_start[block] + in.after_task[i]];
                    const auto local = std::int32_t(task - in.block_start[block]);
                    if (std::find(list.begin(), list.end(), local) == list.end()) list.push_back(local);
                }
        for (std::size_t task = 0; task < tasks; ++task) {
            const std::int32_t kind = in.resource[task];
            const auto begin = std::int32_t(dependents.size());
            dependents.insert(dependents.end(), found[task].begin(), found[task].end());
            steps.push_back({in.demand[task], in.more[task], in.rate[kind], std::int32_t(in.after_start[task]),
                              std::int32_t(in.after_start[task + 1]), begin, std::int32_t(dependents.size()),
                              resources.start(kind), resources.each(kind), in.priority[task],
                              resources.class_of(std::int64_t(task)), ResourceKind(in.kind[kind]),
                              in.when_start[task] == in.when_start[task + 1], in.ahead[task] != 0, kind,
                             in.key[task], in.turn[task], in.round[task]});
        }
        for (std::size_t i = 0; i < in.after_task.size(); ++i) after.push_back({in.after_distance[i], in.after_task[i]});
    }

    std::int64_t active(std::int64_t task, std::int64_t iteration, std::int64_t trips) const {
        const std::int64_t begin = in.when_start[task], end = in.when_start[task + 1];
        for (bool moved = begin < end; moved && iteration < trips;) {
            moved = false;
            for (std::int64_t i = begin; i < end; ++i) {
                std::int64_t period = in.when_period[i], first = in.when_first[i], end = in.when_end[i];
                if (period == 0) {  // of the whole loop; below 1 from its end
                    period = trips;
                    if (first < 0) first = std::max<std::int64_t>(0, first + trips);
                    if (end <= 0) end += trips;
                }
                const std::int64_t phase = iteration % period;
                if (phase >= first && phase < end) continue;
                iteration += first - phase + (phase < first ? 0 : period);
                moved = true;
            }
        }
        return std::min(iteration, trips);
    }

    // The hash of what a task moves: it is the same for all workers that move the same.
    std::uint64_t tile(const Context& context, const Step& step, std::int64_t iteration) const {
        if (step.key < 0) return 0;
        const std::int64_t key = in.keys[in.keys_start[context.worker] + step.key];
        const std::int64_t tile = step.round ? iteration / step.turn % step.round : iteration / step.turn;
        return hashed(step.key, std::uint64_t(key), context.number, std::uint64_t(tile)) | 1;
    }

    const Step& operator[](std::int64_t task) const { return steps[task]; }

    const EventInput& in;
    std::vector<Step> steps;
    std::vector<After> after;
    std::vector<std::int32_t> dependents;
};

}  // namespace lightbound
