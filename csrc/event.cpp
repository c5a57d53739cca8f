// The event engine: one instant after the other; within an instant first all completions, then the dealing of workers,
// then the resources that changed, in the order of their numbers. So no result depends on the order of equal times.
#include "event.hpp"

#include <numeric>
#include <stdexcept>

#include "event_queue.hpp"
#include "event_random.hpp"
#include "event_records.hpp"
#include "event_resource.hpp"
#include "event_steps.hpp"

namespace lightbound {
namespace {

constexpr double never = std::numeric_limits<double>::infinity();

class Engine {
public:
    explicit Engine(const EventInput& input)
        : in_(input), resources_(input), steps_(input, resources_), calendar_(resources_.places()), timers_(input.instances),
          is_dirty_(resources_.places(), 0), free_(input.instances, input.slots), pinned_(input.instances),
          runs_(input.program.size()) {
        watch();
        for (std::size_t block = 0; block + 1 < in_.block_start.size(); ++block)
            stride_ = std::max(stride_, in_.block_start[block + 1] - in_.block_start[block]);
        for (std::size_t worker = in_.program.size(); worker-- > 0;)
            (in_.instance[worker] < 0 ? anywhere_ : pinned_[in_.instance[worker]]).push_back(int(worker));
        out_ = EventOutput(resources_.size(), in_.kind.size(), in_.program.size());
    }

    EventOutput run() {
        deal_ = !runs_.empty();
        for (;;) {
            if (!completing_.empty()) {
                const std::int32_t place = completing_.back();
                completing_.pop_back();
                const std::int32_t number = resources_.number(place);
                if (number < 0)
                    elapse(-1 - number);
                else
                    finish(place);
            } else if (deal_) {
                deal();
            } else if (!dirty_.empty()) {
                settle();
            } else if (turned_) {
                turned_ = false;
                leap();
            } else {
                const double next = calendar_.next();
                if (next == never) break;
                now_ = next;
                calendar_.due(now_, completing_);
            }
        }
        if (finished_ != runs_.size()) throw std::logic_error("workers are left that nothing can finish");
        out_.makespan = now_;
        resources_.statistics(out_.busy, out_.served);
        return std::move(out_);
    }

private:
    void deal() {
        deal_ = false;
        for (std::int32_t instance : freed_) ++free_[instance];
        freed_.clear();
        for (;;) {
            std::int32_t best = -1;
            for (std::int32_t instance = 0; instance < in_.instances; ++instance)
                if (free_[instance] > 0 && !(anywhere_.empty() && pinned_[instance].empty()) &&
                    (best < 0 || free_[instance] > free_[best]))
                    best = instance;
            if (best < 0) return;
            auto& own = pinned_[best];
            auto& queue = own.empty() || (!anywhere_.empty() && anywhere_.back() < own.back()) ? anywhere_ : own;
            const std::int32_t worker = queue.back();
            queue.pop_back();
            --free_[best];
            runs_[worker] = {best, -1, 0};
            out_.worker_start[worker] = now_;
            out_.worker_instance[worker] = best;
            advance(worker);
        }
    }

    // The worker's next phase that has something to do: prologue, body, epilogue, then its slot is free.
    void advance(std::int32_t worker) {
        Run& run = runs_[worker];
        while (run.running == 0) {
            if (++run.phase == 3) {
                out_.worker_end[worker] = now_;
                ++finished_;
                freed_.push_back(run.instance);
                deal_ = true;
                return;
            }
            const std::int32_t block = 3 * in_.program[worker] + run.phase;
            if (in_.block_start[block] == in_.block_start[block + 1]) continue;
            const bool body = run.phase == 1;
            const std::int64_t begin = body ? in_.trips_start[worker] : 0;
            const std::int64_t end = body ? in_.trips_start[worker + 1] : 1;
            part_ = 1.0 / double(std::max<std::int64_t>(1, end - begin));
            run.running = std::int32_t(end - begin) + 1;  // itself, until all have started
            for (std::int64_t i = begin; i < end; ++i)
                start(worker, std::int32_t(i - begin), block, body ? in_.trips[i] : 1, body ? in_.marked[i] : 0);
            --run.running;
        }
    }

    void start(std::int32_t worker, std::int32_t number, std::int32_t block, std::int64_t trips, std::int64_t marked) {
        std::int32_t id;
        if (unused_.empty()) {
            id = std::int32_t(contexts_.size());
            contexts_.emplace_back();
            progress_.resize(progress_.size() + stride_);
            released_.resize(released_.size() + stride_);
        } else {
            id = unused_.back();
            unused_.pop_back();
        }
        const std::int32_t program = in_.program[worker], phase = runs_[worker].phase;
        contexts_[id] = {in_.block_start[block], trips, marked, in_.jitter[program], part_, now_, worker, number,
                         block, runs_[worker].instance, 0};
        const double wait = phase == 1 && in_.stagger[program] > 0
                                ? in_.stagger[program] * uniform(hashed(in_.seed, worker, number, 3))
                                : 0.0;
        if (wait > 0)
            set_timer(runs_[worker].instance, {now_ + wait, id, -1, now_, 0});
        else
            begin(id);
    }

    void begin(std::int32_t id) {
        Context& context = contexts_[id];
        const std::int64_t first = in_.block_start[context.block];
        const std::int64_t tasks = in_.block_start[context.block + 1] - first;
        const std::uint64_t stream = hashed(in_.seed, context.worker, context.number, context.block % 3);
        context.unfinished = 1;  // itself, until all have started
        spend(id, now_, in_.kind.size());  // it began late
        releasing_ = {};
        for (std::int64_t task = 0; task < tasks; ++task) {
            Progress& progress = progress_[id * stride_ + task];
            progress.next = progress.done = steps_.active(first + task, 0, context.trips);
            progress.stream = mixed(stream ^ std::uint64_t(task));
            if (progress.done < context.trips) ++context.unfinished;
        }
        for (std::int64_t task = 0; task < tasks; ++task) issue(id, std::int32_t(task));
        if (--contexts_[id].unfinished == 0) end(id);
    }

    void end(std::int32_t id) {
        const std::int32_t worker = contexts_[id].worker;
        unused_.push_back(id);
        if (--runs_[worker].running == 0) advance(worker);
    }

    std::int64_t following(const Step& step, std::int64_t task, std::int64_t iteration, std::int64_t trips) const {
        return step.always ? iteration + 1 : steps_.active(task, iteration + 1, trips);
    }

    // Sends the next iteration of a task to its resource, if all that it waits for is done.
    void issue(std::int32_t id, std::int32_t local) {
        const Context& context = contexts_[id];
        const std::int64_t task = context.first + local;
        const Step& step = steps_[task];
        Progress* block = &progress_[id * stride_];
        Progress& progress = block[local];
        const bool overlaps = step.kind == ResourceKind::delay;
        while (progress.next < context.trips && (overlaps || progress.next == progress.done)) {
            for (std::int32_t i = step.after_begin; i < step.after_end; ++i)
                if (block[steps_.after[i].task].done <= progress.next - steps_.after[i].distance) return;
            const std::int64_t iteration = progress.next;
            progress.next = following(step, task, iteration, context.trips);
            enter(context, id, local, step, progress, iteration);
        }
    }

    void enter(const Context& context, std::int32_t id, std::int32_t local, const Step& step, const Progress& progress,
               std::int64_t iteration) {
        const std::int32_t place = step.start + step.each * context.instance;
        if (step.ahead)
            released_[id * stride_ + local] = releasing_;
        else
            tell(id);
        double demand = step.demand;
        if (iteration < context.marked) demand += step.more;
        switch (step.kind) {
            case ResourceKind::delay: {
                const double time = demand / step.rate;
                resources_.count(place, demand, time);
                set_timer(context.instance, {now_ + time, id, local, now_, iteration});
                return;
            }
            case ResourceKind::fifo:
                resources_.wait(place, {now_, step.priority, context.worker, context.number, local, id, demand});
                break;
            default:
                if (context.jitter > 0 && step.kind == ResourceKind::sharing) {
                    const double u = uniform(mixed(progress.stream ^ std::uint64_t(iteration)));
                    demand = demand * (1.0 + context.jitter * (2.0 * u - 1.0));
                }
                resources_.join(place, demand, id, local, step.group, steps_.tile(context, step, iteration),
                                {now_, step.priority, context.worker, context.number, local, id, demand});
        }
        touch(place);
    }

    void set_timer(std::int32_t instance, const Due& due) {
        Heap<Due>& timer = timers_[instance];
        timer.push(due);
        const std::int32_t place = resources_.timer(instance);
        if (due.time <= now_)
            completing_.push_back(place);
        else if (timer.top().time == due.time)
            calendar_.set(place, due.time);
    }

    void touch(std::int32_t place) {
        if (is_dirty_[place]) return;
        is_dirty_[place] = 1;
        dirty_.push(std::uint64_t(resources_.number(place)) << 32 | std::uint32_t(place));
    }

    void settle() {
        const auto place = std::int32_t(dirty_.pop() & 0xFFFFFFFFu);
        is_dirty_[place] = 0;
        const double next = resources_.settle(place, now_);
        if (next <= now_)
            completing_.push_back(place);  // it will be settled again in this instant
        else
            calendar_.set(place, next);
    }

    void finish(std::int32_t place) {
        ended_.clear();
        resources_.finish(place, now_, ended_);
        touch(place);
        for (const Ended& one : ended_) complete(one.context, one.task, one.start, place);
    }

    void elapse(std::int32_t instance) {
        Heap<Due>& timer = timers_[instance];
        while (!timer.empty() && timer.top().time <= now_) {
            const Due due = timer.pop();
            if (due.task < 0) {
                begin(due.context);
                continue;
            }
            const Context& context = contexts_[due.context];
            const Step& step = steps_[context.first + due.task];
            complete(due.context, due.task, due.start, step.start + step.each * context.instance);
        }
        calendar_.set(resources_.timer(instance), timer.empty() ? never : timer.top().time);
    }

    void complete(std::int32_t id, std::int32_t local, double start, std::int32_t place) {
        Context& context = contexts_[id];
        const std::int64_t task = context.first + local;
        const Step& step = steps_[task];
        Progress& progress = progress_[id * stride_ + local];
        ++out_.tasks;
        if (++counted_ > in_.most_tasks) throw std::length_error("more tasks than allowed");
        if (std::int64_t(out_.slices.size()) < in_.max_slices)
            out_.slices.push_back(
                {start, now_, progress.done, context.worker, context.number, std::int32_t(task), resources_.number(place)});
        progress.done = following(step, task, progress.done, context.trips);
        releasing_ = {step.resource, local, start};
        if (task == marker_ && progress.done % period_ == 0) turned_ = true;
        if (progress.done >= context.trips && --context.unfinished == 0) {
            tell(id);
            end(id);
            return;
        }
        issue(id, local);
        for (std::int32_t i = step.dependents_begin; i < step.dependents_end; ++i) issue(id, steps_.dependents[i]);
    }

    // A context was at what let it go on since it went on last: the task that ended; before that, what let that start.
    void tell(std::int32_t id) {
        if (releasing_.resource < 0 || now_ <= contexts_[id].until) return;
        const Release before = released_[id * stride_ + releasing_.task];
        const bool ahead = steps_[contexts_[id].first + releasing_.task].ahead && before.resource >= 0;
        spend(id, ahead ? std::min(before.start, releasing_.start) : releasing_.start, in_.kind.size());
        if (ahead) spend(id, releasing_.start, before.resource);
        spend(id, now_, releasing_.resource);
    }

    void spend(std::int32_t id, double until, std::size_t resource) {
        Context& context = contexts_[id];
        if (until <= context.until) return;
        out_.spent[resource] += (until - context.until) * context.part;
        context.until = until;
    }

    // A single context without chance repeats itself: after every `period_` iterations its tasks are the same again. The
    // task that is always done marks the turn.
    void watch() {
        if (!in_.extrapolate || in_.program.size() != 1 || in_.trips.size() != 1 || in_.max_slices > 0 ||
            in_.jitter[in_.program[0]] > 0 || in_.marked[0] > 0 || !in_.keys.empty()) return;
        const std::int64_t block = 3 * in_.program[0] + 1;
        for (std::int64_t task = in_.block_start[block]; task < in_.block_start[block + 1]; ++task) {
            if (steps_[task].always) marker_ = task;
            for (std::int64_t i = in_.when_start[task]; i < in_.when_start[task + 1]; ++i) {
                if (in_.when_period[i] == 0) continue;  // a turn of its own, which the state shows
                period_ = std::lcm(period_, in_.when_period[i]);
                if (period_ > in_.trips[0]) {
                    marker_ = -1;
                    return;
                }
            }
        }
    }

    // If the state at this turn is that of the last one, what follows is what followed then: count it and go on later.
    void leap() {
        const std::int64_t trips = contexts_[0].trips, first = contexts_[0].first;
        const std::int64_t base = progress_[marker_ - first].done;
        const std::int64_t tasks = in_.block_start[contexts_[0].block + 1] - first;
        std::int64_t ahead = 0;
        State state{now_, out_.tasks, base, {double(base % period_)}, std::vector<double>(resources_.size()), std::vector<double>(resources_.size())};
        for (std::int64_t task = 0; task < tasks; ++task) {
            const Progress& progress = progress_[task];
            const bool over = progress.done >= trips;
            state.relative.push_back(over ? -1.0 : double(progress.next - base));
            state.relative.push_back(over ? -1.0 : double(progress.done - base));
            if (!over) ahead = std::max(ahead, progress.next);
        }
        resources_.describe(now_, state.relative);
        for (std::size_t i = 0; i < resources_.places(); ++i) {
            const double time = calendar_.time(i);
            state.relative.push_back(time == never ? -1.0 : time - now_);
        }
        for (const Heap<Due>& timer : timers_)
            for (const Due& due : timer.sorted())
                state.relative.insert(state.relative.end(), {due.time - now_, double(due.task), double(due.iteration - base)});
        resources_.statistics(state.busy, state.served);
        state.spent = out_.spent;
        const std::int64_t turn = base - last_.base;  // whole periods, since both are at one place of theirs
        const std::int64_t times = turn > 0 ? (trips - ahead) / turn - 1 : 0;
        if (times > 0 && same(state, last_)) {
            const double by = double(times) * (now_ - last_.now);
            resources_.later(by, double(times), last_.busy, last_.served);
            calendar_.later(by);
            for (Heap<Due>& timer : timers_)
                timer.each([&](Due& due) {
                    due.time += by;
                    due.start += by;
                    due.iteration += times * turn;
                });
            for (std::int64_t task = 0; task < tasks; ++task) {
                if (progress_[task].done >= trips) continue;
                progress_[task].next += times * turn;
                progress_[task].done += times * turn;
            }
            out_.tasks += times * (out_.tasks - last_.tasks);
            for (std::size_t i = 0; i < out_.spent.size(); ++i) out_.spent[i] += double(times) * (state.spent[i] - last_.spent[i]);
            contexts_[0].until += by;
            for (Release& release : released_) release.start += by;
            now_ += by;
            marker_ = -1;
        }
        last_ = std::move(state);
    }

    const EventInput& in_;
    Resources resources_;
    Steps steps_;
    Calendar calendar_;
    std::vector<Heap<Due>> timers_;         // of each instance: its delays, and starts of contexts
    std::vector<std::int32_t> completing_;  // places in the calendar at which something ends now
    Few dirty_;                             // number and place of every resource that changed
    std::vector<char> is_dirty_;
    std::vector<Ended> ended_;
    std::vector<std::int32_t> free_, freed_;
    std::vector<std::vector<std::int32_t>> pinned_;  // the next to launch at the back
    std::vector<std::int32_t> anywhere_;
    std::vector<Run> runs_;
    std::vector<Context> contexts_;
    std::vector<std::int32_t> unused_;
    std::vector<Progress> progress_;
    std::vector<Release> released_;  // of every task: what let it start, where it runs ahead
    Release releasing_;
    double part_ = 1;
    std::int64_t stride_ = 1;
    std::size_t finished_ = 0;
    double now_ = 0;
    bool deal_ = false, turned_ = false;
    std::int64_t counted_ = 0;  // tasks run one by one
    std::int64_t marker_ = -1, period_ = 1;
    State last_;
    EventOutput out_{0, 0, 0};
};

}  // namespace

EventOutput run_events(const EventInput& input) { return Engine(input).run(); }

}  // namespace lightbound
