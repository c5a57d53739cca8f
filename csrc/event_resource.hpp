// The resources of the event engine: first come, first served, or shared by all at once under a cap each. Delays are no
// resources here: every task has its own.
//
// Resources are *numbered* kind by kind, as the system lists them; they *lie* instance by instance, the shared ones first,
// so that what works together is together in memory, with a place more on each instance for its timer. Everything here
// takes places, not numbers.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "event.hpp"
#include "event_cache.hpp"
#include "event_caps.hpp"
#include "event_queue.hpp"
#include "event_records.hpp"

namespace lightbound {

class Resources {
public:
    explicit Resources(const EventInput& input) : caps_(input), instances_(input.instances) {
        const std::size_t kinds = input.kind.size();
        std::int32_t own = 0, numbered = 0, among_shared = 0, among_own = 0;
        for (std::size_t kind = 0; kind < kinds; ++kind) own += input.shared[kind] ? 0 : 1;
        base_ = (std::int32_t(kinds) - own + 3) / 4 * 4;
        timer_ = own;
        stride_ = (own + 4) / 4 * 4;
        for (std::size_t kind = 0; kind < kinds; ++kind) {
            first_.push_back(numbered);
            start_.push_back(input.shared[kind] ? among_shared++ : base_ + among_own++);
            each_.push_back(input.shared[kind] ? 0 : stride_);
            numbered += input.shared[kind] ? 1 : instances_;
        }
        numbered_ = numbered;
        resources_.resize(base_ + stride_ * instances_);
        served_.resize(resources_.size());
        queues_.resize(resources_.size());
        caches_.resize(resources_.size());
        number_.assign(resources_.size(), -1);
        shares_.resize(resources_.size());
        for (std::size_t kind = 0; kind < kinds; ++kind)
            for (std::int32_t copy = 0; copy < (input.shared[kind] ? 1 : instances_); ++copy) {
                const std::int32_t place = start_[kind] + each_[kind] * copy;
                number_[place] = first_[kind] + copy;
                if (input.cache[kind] > 0) caches_[place] = Cache(input.cache[kind]);
                resources_[place].kind = ResourceKind(input.kind[kind]);
                resources_[place].rate = input.rate[kind];
                resources_[place].bit = std::int8_t(kind);
            }
        for (std::int32_t instance = 0; instance < instances_; ++instance) {
            number_[timer(instance)] = -1 - instance;
            resources_[timer(instance)].kind = ResourceKind::delay;
        }
        make_room(input);
    }

    std::size_t size() const { return numbered_; }
    std::size_t places() const { return resources_.size(); }
    std::int32_t shared() const { return base_; }  // places of shared ones come first
    std::int32_t stride() const { return stride_; }  // places of one instance, of which the last may be none
    std::int32_t first(std::int32_t instance) const { return base_ + stride_ * instance; }
    std::int32_t timer(std::int32_t instance) const { return first(instance) + timer_; }
    // Of a resource; of the timer of an instance -1 less the instance.
    std::int32_t number(std::int32_t place) const { return number_[place]; }
    std::int32_t start(std::int32_t kind) const { return start_[kind]; }  // place on instance i: start + i * each
    std::int32_t each(std::int32_t kind) const { return each_[kind]; }
    std::int32_t class_of(std::int64_t task) const { return caps_.of_task[task]; }

    void count(std::int32_t place, double demand, double time) {
        served_[place] += demand;
        resources_[place].busy += time;
    }

    void wait(std::int32_t place, const Waiting& job) { queues_[place].jobs.push(job); }

    bool keeps(std::int32_t place) const { return caches_[place].keeps(); }

    void join(std::int32_t place, double demand, Context* context, std::int32_t task, std::int32_t group) {
        Resource& resource = resources_[place];
        if (resource.plain)
            jobs_[resource.end - ++resource.arrived] = {demand, {context, 0, task}};
        else
            join(shares_[place].classes[group], resource, {demand, {context, 0, task}});
    }

    // The job that joined last asks for a tile; `order` is that of jobs that join in one instant.
    void ask(std::int32_t place, std::int32_t group, std::uint64_t tile, const Waiting& order) {
        const Resource& resource = resources_[place];
        const Class* own = resource.plain ? nullptr : &shares_[place].classes[group];
        asked_.push_back({order, tile, own ? own->end - own->arrived : resource.end - resource.arrived, place});
    }

    // Kind of the resource at a place, counted as the system lists them; of a timer it says nothing.
    std::int32_t kind_at(std::int32_t place) const { return resources_[place].bit; }
    bool is_timer(std::int32_t place) const { return resources_[place].kind == ResourceKind::delay; }

    // The context of the only job that ends next at a place; none where several end at once.
    Context* only(std::int32_t place) const {
        const Resource& resource = resources_[place];
        if (resource.kind == ResourceKind::fifo) return queues_[place].current.context;
        const Class* due = resource.plain ? nullptr : &shares_[place].classes[shares_[place].due];
        const std::int32_t count = due ? due->count : resource.count;
        const Job* jobs = &jobs_[due ? due->jobs : resource.jobs];
        if (resource.few)
            return count > 1 && jobs[count - 2].end <= jobs[count - 1].end ? nullptr : jobs[count - 1].job.context;
        for (std::int32_t i = 1; i < 3 && i < count; ++i)
            if (jobs[i].end <= jobs[0].end) return nullptr;
        return jobs[0].job.context;
    }

    // Takes in what has arrived by now. The time of the next completion, infinity where there is none.
    double settle(std::int32_t place, double now) {
        Resource& resource = resources_[place];
        if (resource.kind == ResourceKind::fifo) return serve(resource, place, now);
        pass(resource, place, now);
        if (!asked_.empty()) look_up(place);
        return resource.plain ? share(resource, place, now) : share_by_caps(resource, place, now);
    }

    // Calls `ends` with each job that ends now.
    template <typename Ends>
    void finish(std::int32_t place, double now, Ends ends) {
        Resource& resource = resources_[place];
        if (resource.kind == ResourceKind::fifo) {
            resource.serving = false;
            ends(queues_[place].current);
            return;
        }
        pass(resource, place, now);
        if (resource.plain) {
            resource.virtual_time = least(resource, resource.jobs, resource.count).end;
            finish_all(resource, resource.jobs, resource.count, resource.virtual_time, ends);
            return;
        }
        Class& due = shares_[place].classes[shares_[place].due];
        due.virtual_time = least(resource, due.jobs, due.count).end;
        const std::int32_t before = due.count;
        finish_all(resource, due.jobs, due.count, due.virtual_time, ends);
        resource.count -= before - due.count;
    }

    void statistics(std::vector<double>& busy, std::vector<double>& served) const {
        for (std::size_t place = 0; place < resources_.size(); ++place)
            if (resources_[place].rate > 0) {
                busy[number_[place]] = resources_[place].busy;
                served[number_[place]] = served_[place];
            }
    }

    // All that the future depends on, in times from now.
    void describe(double now, std::vector<double>& state) const {
        for (std::size_t i = 0; i < resources_.size(); ++i) {
            const Resource& resource = resources_[i];
            state.insert(state.end(), {double(resource.serving), double(resource.count), double(shares_[i].due)});
            if (resource.serving) state.push_back(double(queues_[i].current.task));
            for (const Waiting& job : queues_[i].jobs.sorted())
                state.insert(state.end(), {job.arrival - now, double(job.task)});
            const auto add = [&](std::size_t first, std::int32_t count, double virtual_time, double rate) {
                std::vector<Job> jobs(jobs_.begin() + first, jobs_.begin() + first + count);
                std::sort(jobs.begin(), jobs.end(), [](const Job& a, const Job& b) { return a.end < b.end; });
                for (const Job& job : jobs)
                    state.insert(state.end(), {job.end - virtual_time, rate, double(job.job.task)});
            };
            if (resource.plain) add(resource.jobs, resource.count, resource.virtual_time, resource.flow);
            for (const Class& one : shares_[i].classes) add(one.jobs, one.count, one.virtual_time, one.rate);
        }
    }

    // Lets everything happen later, after work that is only counted.
    void later(double by, double times, const std::vector<double>& busy, const std::vector<double>& served) {
        for (std::size_t i = 0; i < resources_.size(); ++i) {
            Resource& resource = resources_[i];
            if (resource.rate == 0) continue;
            resource.since += by;
            queues_[i].current.start += by;
            queues_[i].jobs.each([by](Waiting& job) { job.arrival += by; });
            const auto move = [&](std::size_t first, std::int32_t count) {
                for (std::int32_t j = 0; j < count; ++j) jobs_[first + j].job.start += by;
            };
            if (resource.plain) move(resource.jobs, resource.count);
            for (const Class& one : shares_[i].classes) move(one.jobs, one.count);
            resource.busy += times * (resource.busy - busy[number_[i]]);
            served_[i] += times * (served_[i] - served[number_[i]]);
        }
    }

private:
    struct Job {
        double end;  // in the class's virtual time; of one that has just arrived its demand
        Ended job;
    };
    struct Later {
        bool operator()(const Job& a, const Job& b) const { return b.end < a.end; }
    };
    struct Class {  // flows of one cap get one rate: a job of demand d ends d later in the class's virtual time
        double cap = 0, virtual_time = 0, rate = 0;
        std::uint32_t jobs = 0, end = 0;  // where they are: the newly arrived at the end
        std::int32_t count = 0, arrived = 0;
    };
    struct Share {  // of a resource whose tasks have caps
        std::vector<Class> classes;
        std::int32_t due = 0;  // the class whose job ends next
    };
    struct Queue {
        Heap<Waiting> jobs;
        Ended current{};
    };
    struct alignas(64) Resource {  // one line of a processor's cache: all that most events look at
        double since = 0;  // first come, first served: when the job in service ends; else: when it last changed
        double rate = 0, busy = 0;  // of a place without a resource the rate is 0
        double virtual_time = 0, flow = 0;  // where nothing has a cap: of the only class
        std::uint32_t jobs = 0, end = 0;    // of the only class
        std::int32_t count = 0, arrived = 0;  // jobs in all classes, and those to be taken in
        ResourceKind kind = ResourceKind::fifo;
        bool serving = false, plain = false;
        bool few = false;  // jobs are in order, the next to end last; otherwise they are a heap
        std::int8_t bit = 0;
    };
    struct Asked {
        Waiting order;
        std::uint64_t tile;
        std::uint32_t job;
        std::int32_t place;
    };

    static constexpr double never = std::numeric_limits<double>::infinity();
    static constexpr std::size_t few = 16;

    // Jobs of one instance lie together.
    void make_room(const EventInput& input) {
        std::size_t room = 0;
        std::vector<std::int32_t> kind_at(resources_.size(), -1);
        for (std::size_t kind = 0; kind < input.kind.size(); ++kind)
            for (std::int32_t copy = 0; copy < (input.shared[kind] ? 1 : instances_); ++copy)
                kind_at[start_[kind] + each_[kind] * copy] = std::int32_t(kind);
        for (std::size_t place = 0; place < resources_.size(); ++place) {
            if (kind_at[place] < 0 || resources_[place].kind == ResourceKind::fifo) continue;
            const std::int32_t kind = kind_at[place];
            Resource& resource = resources_[place];
            const auto& caps = caps_.of_kind[kind];
            const auto& most = caps_.most[kind];
            const std::size_t sharers = input.shared[kind] ? std::size_t(instances_) : 1;
            resource.plain = caps.empty() || (caps.size() == 1 && caps[0] == never);
            resource.few = true;
            resource.jobs = std::uint32_t(room);
            for (std::size_t i = 0; i < caps.size(); ++i) {
                const auto begin = std::uint32_t(room);
                room += most[i] * sharers;
                if (!resource.plain) shares_[place].classes.push_back({caps[i], 0, 0, begin, std::uint32_t(room), 0, 0});
                resource.few = resource.few && most[i] * sharers <= few;
            }
            resource.end = std::uint32_t(room);
        }
        jobs_.resize(room);
    }

    const Job& least(const Resource& resource, std::uint32_t first, std::int32_t count) const {
        return jobs_[resource.few ? first + count - 1 : first];
    }

    void add(const Resource& resource, std::uint32_t first, std::int32_t& count, const Job& job) {
        Job* jobs = &jobs_[first];
        if (resource.few) {
            std::int32_t at = count++;
            for (; at > 0 && jobs[at - 1].end < job.end; --at) jobs[at] = jobs[at - 1];
            jobs[at] = job;
            return;
        }
        jobs[count++] = job;
        std::push_heap(jobs, jobs + count, Later{});
    }

    // Ends come when virtual time is there: set to the first of them, not to what rounding made of it.
    template <typename Ends>
    void finish_all(const Resource& resource, std::uint32_t first, std::int32_t& count, double end, Ends ends) {
        Job* jobs = &jobs_[first];
        do {
            Ended job;
            if (resource.few) {
                job = jobs[--count].job;
            } else {
                job = jobs[0].job;
                std::pop_heap(jobs, jobs + count, Later{});
                --count;
            }
            ends(job);
        } while (count && least(resource, first, count).end <= end);
    }

    double serve(Resource& resource, std::int32_t place, double now) {
        if (resource.serving) return resource.since;
        Queue& queue = queues_[place];
        if (queue.jobs.empty()) return never;
        const Waiting job = queue.jobs.pop();
        const double time = job.demand / resource.rate;
        resource.serving = true;
        queue.current = {job.context, now, job.task};
        resource.busy += time;
        served_[place] += job.demand;
        resource.since = now + time;
        return resource.since;
    }

    void pass(Resource& resource, std::int32_t place, double now) {
        const double elapsed = now - resource.since;
        resource.since = now;
        if (resource.count == 0) return;
        resource.busy += elapsed;
        resource.virtual_time += elapsed * resource.flow;
        if (resource.plain) return;
        for (Class& one : shares_[place].classes) one.virtual_time += elapsed * one.rate;
    }

    // What is kept is not moved again.
    void look_up(std::int32_t place) {
        std::sort(asked_.begin(), asked_.end(), [](const Asked& a, const Asked& b) { return a.order < b.order; });
        std::size_t left = 0;
        for (const Asked& one : asked_) {
            if (one.place != place) {
                asked_[left++] = one;
                continue;
            }
            double& demand = jobs_[one.job].end;
            if (one.tile && caches_[place].use(one.tile, demand)) demand = 0;
        }
        asked_.resize(left);
    }

    void join(Class& own, Resource& resource, const Job& job) {
        jobs_[own.end - ++own.arrived] = job;
        ++resource.arrived;
    }

    // Jobs that have arrived join the others: from their demand to when they end.
    void take_in(const Resource& resource, std::int32_t place, std::uint32_t first, std::uint32_t end, std::int32_t& count,
                 std::int32_t& arrived, double virtual_time, double now) {
        for (; arrived > 0; --arrived) {
            Job job = jobs_[end - arrived];
            served_[place] += job.end;
            job.end += virtual_time;
            job.job.start = now;
            add(resource, first, count, job);
        }
    }

    double share(Resource& resource, std::int32_t place, double now) {
        if (!resource.count) resource.virtual_time = 0;
        take_in(resource, place, resource.jobs, resource.end, resource.count, resource.arrived, resource.virtual_time, now);
        if (!resource.count) return never;
        resource.flow = resource.rate / double(resource.count);
        const double end = least(resource, resource.jobs, resource.count).end;
        return now + std::max(0.0, (end - resource.virtual_time) / resource.flow);
    }

    double share_by_caps(Resource& resource, std::int32_t place, double now) {
        Share& share = shares_[place];
        for (Class& one : share.classes) {
            if (!one.count) one.virtual_time = 0;
            resource.count += one.arrived;
            take_in(resource, place, one.jobs, one.end, one.count, one.arrived, one.virtual_time, now);
        }
        resource.arrived = 0;
        double capacity = resource.rate, next = never;
        std::int32_t left = resource.count;
        for (std::int32_t c = 0; left; ++c) {  // the smallest caps first: what they leave is shared
            Class& one = share.classes[c];
            if (!one.count) continue;
            one.rate = std::min(one.cap, left == 1 ? capacity : capacity / double(left));
            capacity -= one.rate * double(one.count);
            left -= one.count;
            const double time = now + std::max(0.0, (least(resource, one.jobs, one.count).end - one.virtual_time) / one.rate);
            if (time < next) {
                next = time;
                share.due = c;
            }
        }
        return next;
    }

    Caps caps_;
    std::int32_t instances_, base_ = 0, stride_ = 0, timer_ = 0;
    std::size_t numbered_ = 0;
    std::vector<Resource> resources_;
    std::vector<Job> jobs_;
    std::vector<double> served_;
    std::vector<Queue> queues_;
    std::vector<Share> shares_;
    std::vector<Cache> caches_;
    std::vector<Asked> asked_;
    std::vector<std::int32_t> first_, start_, each_, number_;
};

}  // namespace lightbound
