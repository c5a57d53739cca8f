// What contexts spend their time on. Until a context goes on, it is at the task whose end lets it go on.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "event_records.hpp"

namespace lightbound {

class Accounts {
public:
    explicit Accounts(std::size_t kinds) : spent(kinds + 1) {}

    void began() { releasing_ = {}; }

    void ended(std::int32_t resource, std::int32_t task, double start) { releasing_ = {resource, task, start}; }

    // A task that runs ahead of its context starts: only who waits for it will know.
    void starts_ahead(Progress& task) const { task.released = releasing_; }

    // A context was at what let it go on since it went on last: the task that ended; before that, what let that start.
    void tell(Context& context, double now) {
        if (releasing_.resource < 0 || now <= context.until) return;
        if (context.steps[releasing_.task].ahead) {
            const Release& before = context.tasks[releasing_.task].released;
            if (before.resource >= 0) {
                spend(context, std::min(before.start, releasing_.start), spent.size() - 1);
                spend(context, releasing_.start, before.resource);
            }
        }
        spend(context, releasing_.start, spent.size() - 1);
        spend(context, now, releasing_.resource);
    }

    void wait(Context& context, double until) { spend(context, until, spent.size() - 1); }

    std::vector<double> spent;  // by resource, and last by none

private:
    void spend(Context& context, double until, std::size_t resource) {
        if (until <= context.until) return;
        spent[resource] += (until - context.until) * context.part;
        context.until = until;
    }

    Release releasing_;
};

}  // namespace lightbound
