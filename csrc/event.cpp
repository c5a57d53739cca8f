// The event engine: one instant after the other; within an instant first all completions, then the dealing of workers,
// then the resources that changed, in the order of their numbers. So no result depends on the order of equal times.
//
// Instances meet at nothing but shared resources and the dealing of workers. Between two such meetings an instance goes
// through its own instants alone, ahead of the others, while all that it looks at is near in memory (`run_ahead`); it
// stops in the middle of an instant that needs the others, and takes it up again when they are there too.
#include "event.hpp"

#include <algorithm>
#include <stdexcept>

#include "event_queue.hpp"
#include "event_tasks.hpp"

namespace lightbound {
namespace {

class Engine : private Tasks {
public:
    explicit Engine(const EventInput& input) : Tasks(input) {}

    EventOutput run() {
        deal_ = !runs_.empty();
        for (;;) {
            if (!alone()) together();
            now_ = std::min(calendar_.next(), next_shared());
            if (now_ == never) break;
            due_.clear();
            calendar_.due(now_, due_);
            for (std::int32_t place = 0; place < resources_.shared(); ++place)
                if (next_[place] <= now_) due_.push_back(-1 - place);
        }
        if (finished_ != runs_.size()) throw std::logic_error("workers are left that nothing can finish");
        out_.makespan = latest_;
        out_.tasks = counted_ + leapt_;
        out_.spent = accounts_.spent;
        resources_.statistics(out_.busy, out_.served);
        return std::move(out_);
    }

private:
    static constexpr double nearly = 1 - 1e-12;  // a time computed again may be as much earlier

    double next_shared() const { return resources_.shared() ? earliest(next_.data(), resources_.shared()) : never; }

    // An instant of one instance, and all that it does before it needs another one. False where there are others.
    bool alone() {
        if (!may_run_ahead_ || due_.size() != 1) return false;
        const std::int32_t due = due_[0];
        const Context* ends = due < 0 ? resources_.only(-1 - due) : nullptr;
        if (due < 0 && !ends) return false;
        one_ = &instances_[due < 0 ? ends->instance : due];
        calendar_.set(one_->number, never);
        is_now_ = true;
        if (due < 0)
            happen(-1 - due);
        else if (one_->stopped)
            take_up(*one_);
        finish_alone();
        if (stop_)
            not_alone();
        else
            run_ahead();
        return true;
    }

    // The instants of one instance: those that are the next of all, then those that concern nobody else, before anything
    // that it waits for outside can end.
    void run_ahead() {
        Instance& instance = *one_;
        const double* times = &next_[instance.first];
        const std::int32_t places = resources_.stride();
        const double others = calendar_.next();
        double next, bound = std::min(others, next_shared());
        is_now_ = true;
        for (;;) {
            next = earliest(times, places);
            if (!(next < bound)) {
                if (!is_now_) break;
                if (const std::int32_t place = next_of_mine(std::min(next, others)); place >= 0) {
                    now_ = next_[place];
                    happen(place);
                    finish_alone();
                    if (stop_) return not_alone();
                    bound = std::min(others, next_shared());
                    continue;
                }
                is_now_ = false;  // from now on it is ahead of the others
                bound = instance.outside ? next_shared() * nearly : never;
                if (!(next < bound)) break;
            }
            now_ = next;
            std::uint64_t due = 0;
            for (std::int32_t i = 0; i < places; ++i) due |= std::uint64_t(times[i] <= next) << i;
            for (; due; due &= due - 1) happen(instance.first + lowest(due));
            finish_alone();
            if (stop_ && is_now_) return not_alone();
            if (stop_) {
                stop_ = false;
                instance.stopped = true;
                instance.changed = changed_;
                changed_ = 0;
                break;
            }
            if (is_now_) bound = std::min(others, next_shared());
        }
        one_ = nullptr;
        calendar_.set(instance.number, next);
    }

    // The shared resource at which something ends before this time, nothing at any other at that time, and that for the
    // only instance there is; -1 where there is none.
    std::int32_t next_of_mine(double before) const {
        std::int32_t place = -1;
        bool tie = false;
        for (std::int32_t i = 0; i < resources_.shared(); ++i) {
            if (next_[i] > before) continue;
            tie = next_[i] == before;
            before = next_[i];
            place = i;
        }
        if (place < 0 || tie) return -1;
        const Context* ends = resources_.only(place);
        return ends && ends->instance == one_->number ? place : -1;
    }

    // What is left to do in this instant of one instance; it stops where it needs the others.
    void finish_alone() {
        for (;;) {
            while (!completing_.empty()) happen(last_of(completing_));
            if (stop_) break;
            if (deal_) {
                deal();
                continue;
            }
            if (!changed_) break;
            const std::int32_t kind = lowest(changed_);
            const std::int32_t place = resources_.start(kind) + resources_.each(kind) * one_->number;
            const double next = next_[place] = resources_.settle(place, now_);
            if (next <= now_) {
                stop_ = !is_now_ || place < resources_.shared();
                if (stop_) break;  // it will be settled again when the others are here
                completing_.push_back(place);
            }
            changed_ &= changed_ - 1;
        }
        latest_ = std::max(latest_, now_);
    }

    // Others take part in this instant too.
    void not_alone() {
        Instance& instance = *one_;
        one_ = nullptr;
        stop_ = false;
        is_here(instance);
        touch_all(instance, changed_);
        changed_ = 0;
        due_.clear();
        together();
    }

    // An instant of several.
    void together() {
        for (const std::int32_t due : due_) {
            if (due < 0)
                completing_.push_back(-1 - due);
            else
                take_up(instances_[due]);
        }
        for (;;) {
            if (!completing_.empty()) {
                happen(last_of(completing_));
            } else if (deal_) {
                deal();
            } else if (!dirty_.empty()) {
                const auto place = std::int32_t(dirty_.pop() & 0xFFFFFFFFu);
                is_dirty_[place] = 0;
                next_[place] = resources_.settle(place, now_);
                if (next_[place] <= now_) completing_.push_back(place);  // it will be settled again in this instant
            } else {
                break;
            }
        }
        latest_ = std::max(latest_, now_);
        if (turned_) {
            turned_ = false;
            leap_.over(*this);
            may_run_ahead_ = in_.max_slices == 0 && !leap_.watches();
            latest_ = now_;
        }
        for (const std::int32_t number : here_) {
            Instance& instance = instances_[number];
            instance.is_here = false;
            calendar_.set(number, earliest(&next_[instance.first], resources_.stride()));
        }
        here_.clear();
    }

    // What ends on an instance ends in the order in which it does where the instance is alone: accounts tell it.
    void take_up(Instance& instance) {
        is_here(instance);
        if (!instance.stopped) {
            std::uint64_t due = 0;
            for (std::int32_t i = 0; i < resources_.stride(); ++i) due |= std::uint64_t(next_[instance.first + i] <= now_) << i;
            for (; due; due &= due - 1) happen(instance.first + lowest(due));
            return;
        }
        instance.stopped = false;
        for (const Arrival& one : instance.arrivals) arrive(*one.context, one.task, one.iteration);
        instance.arrivals.clear();
        touch_all(instance, instance.changed);
        deal_ = deal_ || instance.freed > 0;
        for (; instance.freed > 0; --instance.freed) dealing_.free(instance.number);
    }

    friend class lightbound::Leap;

};

}  // namespace

EventOutput run_events(const EventInput& input) { return Engine(input).run(); }

}  // namespace lightbound
