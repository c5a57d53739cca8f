// The tasks of all programs as the engine looks at them: where each runs, what it waits for and who waits for it.
#pragma once

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "event.hpp"
#include "event_random.hpp"
#include "event_records.hpp"
#include "event_resource.hpp"

namespace lightbound {

struct Steps {
    Steps(const EventInput& input, const Resources& resources) : in(input) {
        const std::size_t tasks = in.resource.size();
        std::vector<std::vector<After>> needs(tasks);
        std::vector<std::vector<std::int32_t>> found(tasks);
        std::vector<bool> again(tasks, true);
        std::vector<std::int32_t> local(tasks);
        for (std::size_t block = 0; block + 1 < in.block_start.size(); ++block) {
            find(block, needs, found, again);
            for (std::int64_t i = in.block_start[block]; i < in.block_start[block + 1]; ++i)
                local[i] = std::int32_t(i - in.block_start[block]);
        }
        std::size_t count = 0, links = 0;
        for (std::size_t task = 0; task < tasks; ++task) {
            count += needs[task].size();
            links += found[task].size() + 1;
        }
        after.reserve(count);
        dependents.reserve(links);
        for (std::size_t task = 0; task < tasks; ++task) {
            const std::int32_t kind = in.resource[task];
            const After* const first = after.data() + after.size();
            const std::int32_t* const next = dependents.data() + dependents.size();
            after.insert(after.end(), needs[task].begin(), needs[task].end());
            if (again[task]) dependents.push_back(local[task]);
            dependents.insert(dependents.end(), found[task].begin(), found[task].end());
            steps.push_back({in.demand[task], in.more[task], in.rate[kind], first, first + needs[task].size(), next,
                             dependents.data() + dependents.size(), resources.start(kind), resources.each(kind), in.priority[task],
                             resources.class_of(std::int64_t(task)), ResourceKind(in.kind[kind]),
                             in.when_start[task] == in.when_start[task + 1], in.ahead[task] != 0,
                             resources.keeps(resources.start(kind)), kind, in.key[task], in.turn[task],
                             in.round[task]});
        }
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

private:
    static constexpr std::int64_t far = std::numeric_limits<std::int64_t>::max() / 4;
    static constexpr std::int64_t most = 128;  // tasks of a block in which paths are looked for

    // What tasks of a block wait for, less what follows from the rest of it, and who waits for them. Where a task that
    // always runs waits, over others that always run, for another one so many iterations before, so does who waits for it.
    void find(std::size_t block, std::vector<std::vector<After>>& needs, std::vector<std::vector<std::int32_t>>& found,
              std::vector<bool>& again) const {
        const std::int64_t begin = in.block_start[block], count = in.block_start[block + 1] - begin;
        const std::int64_t size = count <= most ? count : 0;
        std::vector<std::int64_t> path(size * size, far);  // from a task to what it waits for
        const auto always = [&](std::int64_t i) { return in.when_start[begin + i] == in.when_start[begin + i + 1]; };
        for (std::int64_t i = 0; i < count; ++i)
            for (std::int64_t k = in.after_start[begin + i]; k < in.after_start[begin + i + 1]; ++k) {
                needs[begin + i].push_back({in.after_distance[k], in.after_task[k]});
                if (size && always(i)) {
                    auto& known = path[i * size + in.after_task[k]];
                    known = std::min(known, in.after_distance[k]);
                }
            }
        for (std::int64_t via = 0; via < size; ++via)
            for (std::int64_t i = 0; i < size && always(via); ++i)
                for (std::int64_t j = 0; j < size; ++j)
                    path[i * size + j] = std::min(path[i * size + j], path[i * size + via] + path[via * size + j]);
        for (std::int64_t i = 0; i < count; ++i) {
            auto& list = needs[begin + i];
            for (std::size_t k = 0; size && k < list.size();) {
                const After one = list[k];
                const bool follows = std::any_of(list.begin(), list.end(), [&](const After& other) {
                    return other.task != one.task && always(other.task) &&
                           other.distance + path[other.task * size + one.task] <= one.distance;
                });
                if (follows)
                    list.erase(list.begin() + std::ptrdiff_t(k));
                else
                    ++k;
            }
            for (const After& one : list) {
                auto& who = found[begin + one.task];
                if (std::find(who.begin(), who.end(), std::int32_t(i)) == who.end()) who.push_back(std::int32_t(i));
                // What it needs next needs this iteration, which has only just ended.
                if (size && always(i) && one.task != i && always(one.task) && one.distance + path[one.task * size + i] == 1)
                    again[begin + i] = false;
            }
        }
    }
};

}  // namespace lightbound
