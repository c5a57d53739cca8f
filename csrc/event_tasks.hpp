// The tasks of an event run: workers take slots, their contexts send one task after the other to its resource, and what
// ends lets others start. In what order things happen is event.cpp's.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <vector>

#include "event.hpp"
#include "event_accounts.hpp"
#include "event_dealing.hpp"
#include "event_leap.hpp"
#include "event_queue.hpp"
#include "event_random.hpp"
#include "event_records.hpp"
#include "event_resource.hpp"
#include "event_steps.hpp"

namespace lightbound {

class Tasks {
protected:
    static constexpr double never = std::numeric_limits<double>::infinity();

    struct Arrival {  // at a shared resource, of a task that started ahead of the others
        Context* context;
        std::int64_t iteration;
        std::int32_t task;
    };
    struct Instance {
        std::vector<Arrival> arrivals;
        std::uint64_t changed = 0;  // its resources that changed, where it stopped
        std::int32_t outside = 0;   // jobs at shared resources
        std::int32_t freed = 0;     // slots, where it stopped
        std::int32_t number = 0, first = 0;  // of its places
        bool stopped = false, is_here = false;
    };

    explicit Tasks(const EventInput& input)
        : in_(input), resources_(input), steps_(input, resources_), dealing_(input), stride_(longest_block(input)),
          accounts_(input.kind.size()), calendar_(input.instances),
          next_(resources_.places(), never), timers_(input.instances), is_dirty_(resources_.places(), 0),
          instances_(input.instances), runs_(input.program.size()), leap_(input, steps_),
          out_(resources_.size(), input.kind.size(), input.program.size()) {
        may_run_ahead_ = in_.max_slices == 0 && !leap_.watches();
        make_contexts();
    }

    static std::int64_t longest_block(const EventInput& in) {
        std::int64_t most = 1;
        for (std::size_t block = 0; block + 1 < in.block_start.size(); ++block)
            most = std::max(most, in.block_start[block + 1] - in.block_start[block]);
        return most;
    }

    // As many as there are at most at one time: they never move.
    void make_contexts() {
        std::int64_t most = 1;
        for (std::size_t worker = 0; worker < runs_.size(); ++worker)
            most = std::max(most, in_.trips_start[worker + 1] - in_.trips_start[worker]);
        most *= std::min<std::int64_t>(std::int64_t(runs_.size()), std::int64_t(in_.instances) * in_.slots);
        contexts_.resize(most);
        progress_.resize(most * stride_);
        for (std::int64_t i = most; i-- > 0;) {
            contexts_[i].tasks = &progress_[i * stride_];
            unused_.push_back(&contexts_[i]);
        }
        for (std::int32_t i = 0; i < in_.instances; ++i) {
            instances_[i].number = i;
            instances_[i].first = resources_.first(i);
        }
    }

    void is_here(Instance& instance) {
        if (one_ || instance.is_here) return;
        instance.is_here = true;
        here_.push_back(instance.number);
    }

    LIGHTBOUND_APART void deal() {
        deal_ = false;
        dealing_.deal([this](std::int32_t worker, std::int32_t instance) {
            is_here(instances_[instance]);
            runs_[worker] = {instance, -1, 0};
            out_.worker_start[worker] = now_;
            out_.worker_instance[worker] = instance;
            advance(worker);
        });
    }

    // The worker's next phase that has something to do: prologue, body, epilogue, then its slot is free.
    void advance(std::int32_t worker) {
        Run& run = runs_[worker];
        while (run.running == 0) {
            if (++run.phase == 3) return give_back(worker, run.instance);
            const std::int32_t block = 3 * in_.program[worker] + run.phase;
            if (in_.block_start[block] == in_.block_start[block + 1]) continue;
            const bool body = run.phase == 1;
            const std::int64_t begin = body ? in_.trips_start[worker] : 0;
            const std::int64_t end = body ? in_.trips_start[worker + 1] : 1;
            const double part = 1.0 / double(std::max<std::int64_t>(1, end - begin));
            run.running = std::int32_t(end - begin) + 1;  // itself, until all have started
            for (std::int64_t i = begin; i < end; ++i)
                start(worker, std::int32_t(i - begin), block, body ? in_.trips[i] : 1, body ? in_.marked[i] : 0, part);
            --run.running;
        }
    }

    void give_back(std::int32_t worker, std::int32_t instance) {
        out_.worker_end[worker] = now_;
        ++finished_;
        if (!one_ || is_now_) {
            dealing_.free(instance);
            deal_ = true;
        } else if (dealing_.wants(instance)) {
            ++one_->freed;
            stop_ = true;
        }
    }

    void start(std::int32_t worker, std::int32_t number, std::int32_t block, std::int64_t trips, std::int64_t marked, double part) {
        Context& context = *unused_.back();
        unused_.pop_back();
        const std::int32_t program = in_.program[worker], phase = runs_[worker].phase;
        context = {&steps_[in_.block_start[block]], context.tasks, trips, marked, in_.jitter[program], part, now_, worker, number,
                   block, runs_[worker].instance, 0};
        const double wait = phase == 1 && in_.stagger[program] > 0
                                ? in_.stagger[program] * uniform(hashed(in_.seed, worker, number, 3))
                                : 0.0;
        if (wait > 0)
            set_timer(context.instance, {now_ + wait, &context, now_, -1, 0});
        else
            begin(context);
    }

    LIGHTBOUND_APART void begin(Context& context) {
        const std::int64_t first = in_.block_start[context.block];
        const std::int64_t tasks = in_.block_start[context.block + 1] - first;
        const std::uint64_t stream = hashed(in_.seed, context.worker, context.number, context.block % 3);
        context.unfinished = 1;  // itself, until all have started
        accounts_.wait(context, now_);  // it began late
        accounts_.began();
        for (std::int64_t task = 0; task < tasks; ++task) {
            Progress& progress = context.tasks[task];
            progress.next = progress.done = steps_.active(first + task, 0, context.trips);
            progress.stream = mixed(stream ^ std::uint64_t(task));
            if (progress.done < context.trips) ++context.unfinished;
        }
        for (std::int64_t task = 0; task < tasks; ++task) issue(context, std::int32_t(task));
        if (--context.unfinished == 0) end(context);
    }

    LIGHTBOUND_APART void end(Context& context) {
        const std::int32_t worker = context.worker;
        unused_.push_back(&context);
        if (--runs_[worker].running == 0) advance(worker);
    }

    std::int64_t following(const Context& context, const Step& step, std::int64_t iteration) const {
        return step.always ? iteration + 1 : steps_.active(&step - steps_.steps.data(), iteration + 1, context.trips);
    }

    // Sends the next iteration of a task to its resource, if all that it waits for is done.
    LIGHTBOUND_INLINE void issue(Context& context, std::int32_t local) {
        const Step& step = context.steps[local];
        Progress& progress = context.tasks[local];
        const std::int64_t iteration = progress.next;
        if (iteration >= context.trips) return;
        if (step.kind == ResourceKind::delay) return overlap(context, local);
        if (iteration != progress.done || !may_start(context, step, iteration)) return;
        starts(context, step, progress, iteration);
        if (step.each == 0 && one_ && !is_now_) {
            one_->arrivals.push_back({&context, iteration, local});
            stop_ = true;
        } else {
            arrive(context, local, iteration);
        }
    }

    LIGHTBOUND_INLINE bool may_start(const Context& context, const Step& step, std::int64_t iteration) const {
        for (const After* one = step.after; one != step.after_end; ++one)
            if (context.tasks[one->task].done + one->distance <= iteration) return false;
        return true;
    }

    LIGHTBOUND_INLINE void starts(Context& context, const Step& step, Progress& progress, std::int64_t iteration) {
        progress.next = following(context, step, iteration);
        if (step.ahead)
            accounts_.starts_ahead(progress);
        else
            accounts_.tell(context, now_);
    }

    // The iterations of a delay that may start by now: they do not wait for each other.
    LIGHTBOUND_APART void overlap(Context& context, std::int32_t local) {
        const Step& step = context.steps[local];
        Progress& progress = context.tasks[local];
        while (progress.next < context.trips && may_start(context, step, progress.next)) {
            const std::int64_t iteration = progress.next;
            starts(context, step, progress, iteration);
            wait(context, local, step, iteration);
        }
    }

    void wait(Context& context, std::int32_t local, const Step& step, std::int64_t iteration) {
        const double demand = iteration < context.marked ? step.demand + step.more : step.demand;
        const double time = demand / step.rate;
        resources_.count(step.start + step.each * context.instance, demand, time);
        set_timer(context.instance, {now_ + time, &context, now_, local, iteration});
    }

    LIGHTBOUND_INLINE void arrive(Context& context, std::int32_t local, std::int64_t iteration) {
        const Step& step = context.steps[local];
        const std::int32_t place = step.start + step.each * context.instance;
        double demand = iteration < context.marked ? step.demand + step.more : step.demand;
        if (step.each == 0) ++instances_[context.instance].outside;
        if (step.kind == ResourceKind::fifo) {
            resources_.wait(place, {now_, step.priority, context.worker, context.number, local, &context, demand});
        } else {
            if (step.kind == ResourceKind::sharing && context.jitter > 0) {
                const double u = uniform(mixed(context.tasks[local].stream ^ std::uint64_t(iteration)));
                demand = demand * (1.0 + context.jitter * (2.0 * u - 1.0));
            }
            resources_.join(place, demand, &context, local, step.group);
            if (step.cached)
                resources_.ask(place, step.group, steps_.tile(context, step, iteration),
                               {now_, step.priority, context.worker, context.number, local, &context, demand});
        }
        touch(step.resource, place);
    }

    LIGHTBOUND_APART void set_timer(std::int32_t instance, const Due& due) {
        Heap<Due>& timer = timers_[instance];
        timer.push(due);
        const std::int32_t place = resources_.timer(instance);
        if (due.time <= now_)
            completing_.push_back(place);
        else
            next_[place] = timer.top().time;
    }

    LIGHTBOUND_INLINE void touch(std::int32_t kind, std::int32_t place) {
        if (one_) {
            changed_ |= std::uint64_t(1) << kind;
        } else if (!is_dirty_[place]) {
            is_dirty_[place] = 1;
            dirty_.push(std::uint64_t(resources_.number(place)) << 32 | std::uint32_t(place));
        }
    }

    void touch_all(const Instance& instance, std::uint64_t kinds) {
        if (one_) {
            changed_ |= kinds;
            return;
        }
        for (; kinds; kinds &= kinds - 1) {
            const std::int32_t kind = lowest(kinds);
            touch(kind, resources_.place(kind, instance.number));
        }
    }

    // Something ends at a place.
    LIGHTBOUND_APART void happen(std::int32_t place) {
        if (place >= resources_.shared()) return happen_on(place);
        touch(resources_.kind_at(place), place);
        resources_.finish(place, now_, [&](const Ended& job) {
            Instance& instance = instances_[job.context->instance];
            --instance.outside;
            is_here(instance);
            complete(*job.context, job.task, job.start);
        });
    }

    // Something ends on an instance.
    LIGHTBOUND_INLINE void happen_on(std::int32_t place) {
        if (resources_.is_timer(place)) return elapse(-1 - resources_.number(place));
        touch(resources_.kind_at(place), place);
        resources_.finish(place, now_, [&](const Ended& job) __attribute__((always_inline)) {
            complete(*job.context, job.task, job.start);
        });
    }

    LIGHTBOUND_APART void elapse(std::int32_t instance) {
        Heap<Due>& timer = timers_[instance];
        while (!timer.empty() && timer.top().time <= now_) {
            const Due due = timer.pop();
            if (due.task < 0)
                begin(*due.context);
            else
                complete(*due.context, due.task, due.start);
        }
        next_[resources_.timer(instance)] = timer.empty() ? never : timer.top().time;
    }

    LIGHTBOUND_INLINE void complete(Context& context, std::int32_t local, double start) {
        const Step& step = context.steps[local];
        Progress& progress = context.tasks[local];
        if (++counted_ > in_.most_tasks) throw std::length_error("more tasks than allowed");
        const std::int64_t iteration = progress.done;
        progress.done = following(context, step, iteration);
        accounts_.ended(step.resource, local, start);
        if (!may_run_ahead_) note(context, step, start, iteration, progress.done);
        if (progress.done >= context.trips && --context.unfinished == 0) {
            accounts_.tell(context, now_);
            end(context);
            return;
        }
        for (const std::int32_t* one = step.dependents; one != step.dependents_end; ++one) issue(context, *one);
    }

    LIGHTBOUND_APART void note(const Context& context, const Step& step, double start, std::int64_t iteration, std::int64_t done) {
        const auto task = std::int32_t(&step - steps_.steps.data());
        if (std::int64_t(out_.slices.size()) < in_.max_slices)
            out_.slices.push_back({start, now_, iteration, context.worker, context.number, task,
                                   resources_.number(step.start + step.each * context.instance)});
        turned_ = turned_ || leap_.turns(task, done);
    }

    const EventInput& in_;
    Resources resources_;
    Steps steps_;
    Dealing dealing_;
    std::int64_t stride_;  // tasks of the longest block
    Accounts accounts_;
    Calendar calendar_;                     // of the instances
    std::vector<double> next_;              // of every place
    std::vector<Heap<Due>> timers_;         // of each instance: its delays, and starts of contexts
    std::vector<std::int32_t> completing_;  // places at which something ends now
    std::vector<std::int32_t> due_;         // instances, and below 0 the places of shared resources
    Few dirty_;                             // number and place of every resource that changed
    std::vector<char> is_dirty_;
    std::vector<Instance> instances_;
    std::vector<std::int32_t> here_;  // instances that take part in this instant
    Instance* one_ = nullptr;         // the only one in this instant
    bool is_now_ = true;              // it is not ahead of the others
    std::uint64_t changed_ = 0;       // kinds of resources that changed, its own and the shared ones
    bool stop_ = false;               // it needs the others
    bool may_run_ahead_ = true;
    std::vector<Run> runs_;
    std::vector<Context> contexts_;
    std::vector<Context*> unused_;
    std::vector<Progress> progress_;
    std::size_t finished_ = 0;
    double now_ = 0, latest_ = 0;
    bool deal_ = false, turned_ = false;
    std::int64_t counted_ = 0;  // tasks run one by one
    std::int64_t leapt_ = 0;    // and those that were only counted
    Leap leap_;
    EventOutput out_;
};

}  // namespace lightbound
