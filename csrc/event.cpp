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
            while (is_foreseen_) {
                now_ = others_;
                go_on(instances_[foreseen_], -1);
            }
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
        go_on(instances_[due < 0 ? ends->instance : due], due < 0 ? -1 - due : -1);
        return true;
    }

    // An instance goes on, at a shared place where something ends for it or (-1) where it is itself.
    LIGHTBOUND_APART void go_on(Instance& instance, std::int32_t place) {
        one_ = &instance;
        is_now_ = true;
        is_foreseen_ = false;
        calendar_.set(instance.number, never);
        others_ = calendar_.next();
        foreseen_ = others_ < never ? calendar_.only(others_) : -1;
        if (place >= 0)
            happen(place);
        else if (instance.stopped)
            take_up(instance);
        finish_alone();
        if (stop_)
            not_alone();
        else
            run_ahead();
    }

    // The instants of one instance: those that are the next of all, then those that concern nobody else, before anything
    // that it waits for outside can end.
    void run_ahead() {
        Instance& instance = *one_;
        const double* times = &next_[instance.first];
        const std::int32_t places = resources_.stride();
        const double others = others_;
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
            // Found by branches: a processor guesses them, and goes on before it knows the times.
            std::int32_t due = 0;
            while (times[due] > next) ++due;
            std::int32_t more = due + 1;
            while (more < places && times[more] > next) ++more;
            happen_on(instance.first + due);
            for (; more < places; ++more)
                if (times[more] <= next) happen(instance.first + more);
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
        is_foreseen_ = foreseen_ >= 0 && others < next && others < next_shared();
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
    LIGHTBOUND_INLINE void finish_alone() {
        for (;;) {
            while (!completing_.empty()) happen(last_of(completing_));
            if (stop_) break;
            if (deal_) {
                deal();
                continue;
            }
            if (!settle_changed()) break;
        }
        latest_ = std::max(latest_, now_);
    }

    // The resources that changed take in what has arrived. True where something ends at once, before all have done so.
    LIGHTBOUND_INLINE bool settle_changed() {
        for (std::uint64_t changed = changed_; changed; changed &= changed - 1) {
            const std::int32_t place = resources_.place(lowest(changed), one_->number);
            const double next = next_[place] = resources_.settle(place, now_);
            if (next > now_) continue;
            stop_ = !is_now_ || place < resources_.shared();
            if (stop_) {  // it will be settled again when the others are here
                changed_ = changed;
                return false;
            }
            changed_ = changed & (changed - 1);
            completing_.push_back(place);
            return true;
        }
        changed_ = 0;
        return false;
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
            std::uint64_t due = come(&next_[instance.first], resources_.stride(), now_);
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

    double others_ = never;       // when the other instances go on
    std::int32_t foreseen_ = -1;  // the only one of them that does so then, if there is only one
    bool is_foreseen_ = false;    // and that comes next of all

    friend class lightbound::Leap;

};

}  // namespace

EventOutput run_events(const EventInput& input) { return Engine(input).run(); }

}  // namespace lightbound
