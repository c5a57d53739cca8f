// A single context without chance repeats itself: after every `period` iterations its tasks are the same again. Where the
// state at two turns is the same too, what follows is what followed then: it is counted, and the run goes on later.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <vector>

#include "event_records.hpp"
#include "event_steps.hpp"

namespace lightbound {

class Leap {
public:
    Leap(const EventInput& in, const Steps& steps) {
        if (!in.extrapolate || in.program.size() != 1 || in.trips.size() != 1 || in.max_slices > 0 ||
            in.jitter[in.program[0]] > 0 || in.marked[0] > 0 || !in.keys.empty()) return;
        const std::int64_t block = 3 * in.program[0] + 1;
        for (std::int64_t task = in.block_start[block]; task < in.block_start[block + 1]; ++task) {
            if (steps[task].always) marker_ = task;  // the task that is always done marks the turn
            for (std::int64_t i = in.when_start[task]; i < in.when_start[task + 1]; ++i) {
                if (in.when_period[i] == 0) continue;  // a turn of its own, which the state shows
                period_ = std::lcm(period_, in.when_period[i]);
                if (period_ > in.trips[0]) {
                    marker_ = -1;
                    return;
                }
            }
        }
    }

    bool watches() const { return marker_ >= 0; }
    bool turns(std::int64_t task, std::int64_t done) const { return task == marker_ && done % period_ == 0; }

    // Moves a run that is at a turn to where what is known of it ends.
    template <typename Engine>
    void over(Engine& run) {
        Context& context = run.contexts_[0];
        const std::int64_t trips = context.trips, base = context.tasks[marker_ - run.in_.block_start[context.block]].done;
        const std::int64_t tasks = run.in_.block_start[context.block + 1] - run.in_.block_start[context.block];
        std::int64_t ahead = 0;
        State state = state_of(run, tasks, trips, base, ahead);
        const std::int64_t turn = base - last_.base;  // whole periods, since both are at one place of theirs
        const std::int64_t times = turn > 0 ? (trips - ahead) / turn - 1 : 0;
        if (times > 0 && same(state, last_)) {
            const double by = double(times) * (run.now_ - last_.now);
            run.resources_.later(by, double(times), last_.busy, last_.served);
            run.calendar_.later(by);
            for (double& next : run.next_) next += by;
            for (auto& timer : run.timers_)
                timer.each([&](Due& due) {
                    due.time += by;
                    due.start += by;
                    due.iteration += times * turn;
                });
            for (std::int64_t task = 0; task < tasks; ++task) {
                Progress& progress = context.tasks[task];
                progress.released.start += by;
                if (progress.done >= trips) continue;
                progress.next += times * turn;
                progress.done += times * turn;
            }
            run.leapt_ += times * (run.counted_ - last_.tasks);
            auto& spent = run.accounts_.spent;
            for (std::size_t i = 0; i < spent.size(); ++i) spent[i] += double(times) * (state.spent[i] - last_.spent[i]);
            context.until += by;
            run.now_ += by;
            marker_ = -1;
        }
        last_ = std::move(state);
    }

private:
    struct State {  // of a run at one turn, all times from then
        double now = 0;
        std::int64_t tasks = 0, base = 0;
        std::vector<double> relative, busy, served, spent;
    };

    template <typename Engine>
    State state_of(const Engine& run, std::int64_t tasks, std::int64_t trips, std::int64_t base, std::int64_t& ahead) const {
        State state{run.now_, run.counted_, base, {double(base % period_)}, run.out_.busy, run.out_.served, run.accounts_.spent};
        for (std::int64_t task = 0; task < tasks; ++task) {
            const Progress& progress = run.contexts_[0].tasks[task];
            const bool over = progress.done >= trips;
            state.relative.push_back(over ? -1.0 : double(progress.next - base));
            state.relative.push_back(over ? -1.0 : double(progress.done - base));
            if (!over) ahead = std::max(ahead, progress.next);
        }
        run.resources_.describe(run.now_, state.relative);
        for (const double time : run.next_) state.relative.push_back(std::isinf(time) ? -1.0 : time - run.now_);
        for (const auto& timer : run.timers_)
            for (const Due& due : timer.sorted())
                state.relative.insert(state.relative.end(), {due.time - run.now_, double(due.task), double(due.iteration - base)});
        run.resources_.statistics(state.busy, state.served);
        return state;
    }

    static bool same(const State& a, const State& b) {
        if (a.relative.size() != b.relative.size()) return false;
        const double rounding = 1e-13 * a.now;  // of times so late
        for (std::size_t i = 0; i < a.relative.size(); ++i)
            if (std::abs(a.relative[i] - b.relative[i]) > rounding) return false;
        return true;
    }

    std::int64_t marker_ = -1, period_ = 1;
    State last_;
};

}  // namespace lightbound
