// The caps of the tasks of each kind of resource, and how many tasks of one cap may be served at once on one instance.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "event.hpp"

namespace lightbound {

struct Caps {
    explicit Caps(const EventInput& input) {
        const std::size_t kinds = input.kind.size(), blocks = input.block_start.size() - 1;
        of_kind.resize(kinds);
        most.resize(kinds);
        for (std::size_t task = 0; task < input.resource.size(); ++task) of_kind[input.resource[task]].push_back(input.cap[task]);
        for (std::size_t kind = 0; kind < kinds; ++kind) {
            auto& list = of_kind[kind];
            std::sort(list.begin(), list.end());
            list.erase(std::unique(list.begin(), list.end()), list.end());
            most[kind].assign(list.size(), 0);
        }
        for (std::size_t task = 0; task < input.resource.size(); ++task) {
            const auto& list = of_kind[input.resource[task]];
            of_task.push_back(std::int32_t(std::lower_bound(list.begin(), list.end(), input.cap[task]) - list.begin()));
        }
        std::size_t contexts = 1;
        for (std::size_t i = 0; i + 1 < input.trips_start.size(); ++i)
            contexts = std::max(contexts, std::size_t(input.trips_start[i + 1] - input.trips_start[i]));
        for (std::size_t block = 0; block < blocks; ++block) {
            std::vector<std::vector<std::size_t>> here(kinds);
            for (std::size_t kind = 0; kind < kinds; ++kind) here[kind].assign(of_kind[kind].size(), 0);
            for (std::int64_t task = input.block_start[block]; task < input.block_start[block + 1]; ++task)
                here[input.resource[task]][of_task[task]] += contexts * std::size_t(input.slots);
            for (std::size_t kind = 0; kind < kinds; ++kind)
                for (std::size_t i = 0; i < here[kind].size(); ++i) most[kind][i] = std::max(most[kind][i], here[kind][i]);
        }
    }

    std::vector<std::vector<double>> of_kind;
    std::vector<std::vector<std::size_t>> most;
    std::vector<std::int32_t> of_task;
};

}  // namespace lightbound
