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
#include <tuple>
#include <vector>

#include "event.hpp"
#include "event_cache.hpp"
#include "event_queue.hpp"

namespace lightbound {

struct Waiting {  // a job in a queue, in the order of its fields
    double arrival;
    std::int32_t priority, worker, number, task;
    std::int32_t context;
    double demand;
    bool operator<(const Waiting& other) const {
        return std::tie(arrival, priority, worker, number, task) <
               std::tie(other.arrival, other.priority, other.worker, other.number, other.task);
    }
};

struct Ended {
    std::int32_t context, task;
    double start;
};

class Resources {
public:
    explicit Resources(const EventInput& input) : instances_(input.instances) {
        const std::size_t kinds = input.kind.size();
        for (std::size_t kind = 0; kind < kinds; ++kind) own_ += input.shared[kind] ? 0 : 1;
        std::int32_t numbered = 0, among_shared = 0, among_own = 0;
        base_ = (std::int32_t(kinds) - own_ + 3) / 4 * 4;
        ++own_;
        for (std::size_t kind = 0; kind < kinds; ++kind) {
            first_.push_back(numbered);
            const std::int32_t copies = input.shared[kind] ? 1 : instances_;
            start_.push_back(input.shared[kind] ? among_shared++ : base_ + among_own++);
            each_.push_back(input.shared[kind] ? 0 : own_);
            numbered += copies;
        }
        resources_.resize(base_ + own_ * instances_);
        queues_.resize(resources_.size());
        caches_.resize(resources_.size());
        numbered_ = numbered;
        for (std::int32_t instance = 0; instance < instances_; ++instance)
            resources_[timer(instance)].number = -1 - instance;
        find_classes(input);
        std::size_t room = 0, several = 0;
        for (std::size_t kind = 0; kind < kinds; ++kind)
            if (caps_[kind].size() > 1) several += caps_[kind].size() * (input.shared[kind] ? 1 : instances_);
        classes_.reserve(several);
        for (std::size_t kind = 0; kind < kinds; ++kind)
            for (std::int32_t copy = 0; copy < (input.shared[kind] ? 1 : instances_); ++copy) {
                Resource& resource = resources_[start_[kind] + each_[kind] * copy];
                resource.number = first_[kind] + copy;
                resource.kind = ResourceKind(input.kind[kind]);
                resource.rate = input.rate[kind];
                if (input.cache[kind] > 0) caches_[start_[kind] + each_[kind] * copy] = Cache(input.cache[kind]);
                resource.kinds = std::int32_t(caps_[kind].size());
                for (std::int32_t i = 0; i < resource.kinds; ++i) {
                    const Class one{caps_[kind][i], 0, 0, room, 0};
                    if (resource.kinds == 1)
                        resource.only = one;
                    else
                        classes_.push_back(one);
                    room += most_[kind][i] * (input.shared[kind] ? instances_ : 1);
                }
                resource.classes = resource.kinds == 1 ? &resource.only : classes_.data() + classes_.size() - resource.kinds;
            }
        jobs_.resize(room);
    }

    std::size_t size() const { return numbered_; }
    std::size_t places() const { return resources_.size(); }
    std::int32_t timer(std::int32_t instance) const { return base_ + own_ * (instance + 1) - 1; }
    // Of a resource; of the timer of an instance -1 less the instance.
    std::int32_t number(std::int32_t place) const { return resources_[place].number; }
    std::int32_t start(std::int32_t kind) const { return start_[kind]; }  // place on instance i: start + i * each
    std::int32_t each(std::int32_t kind) const { return each_[kind]; }
    std::int32_t class_of(std::int64_t task) const { return class_[task]; }

    void count(std::int32_t place, double demand, double time) {
        resources_[place].served += demand;
        resources_[place].busy += time;
    }

    void wait(std::int32_t place, const Waiting& job) { queues_[place].push(job); }

    // `order` of jobs that join in one instant, and the `tile` they ask for, matter where tiles are kept.
    void join(std::int32_t place, double demand, std::int32_t context, std::int32_t task, std::int32_t group,
              std::uint64_t tile, const Waiting& order) {
        arrivals_.push_back({demand, context, task, group, resources_[place].arrivals});
        if (caches_[place].keeps()) asked_.push_back({order, tile, std::int32_t(arrivals_.size()) - 1, place});
        resources_[place].arrivals = std::int32_t(arrivals_.size()) - 1;
        ++pending_;
    }

    // Takes in what has arrived by now. The time of the next completion, infinity where there is none.
    double settle(std::int32_t place, double now) {
        Resource& resource = resources_[place];
        return resource.kind == ResourceKind::fifo ? serve(resource, queues_[place], now) : share(resource, now);
    }

    // Appends the jobs that end now.
    void finish(std::int32_t place, double now, std::vector<Ended>& ended) {
        Resource& resource = resources_[place];
        if (resource.kind == ResourceKind::fifo) {
            ended.push_back(resource.current);
            resource.serving = false;
            return;
        }
        pass(resource, now);
        Class& due = resource.classes[resource.due];
        Job* jobs = &jobs_[due.jobs];
        due.virtual_time = jobs[0].end;  // not what rounding made of it: the job would never be done
        do {
            ended.push_back(jobs[0].job);
            std::pop_heap(jobs, jobs + due.count, Later{});
            --due.count;
            --resource.present;
        } while (due.count && jobs[0].end <= due.virtual_time);
    }

    void statistics(std::vector<double>& busy, std::vector<double>& served) const {
        for (const Resource& resource : resources_)
            if (resource.rate > 0 && resource.number >= 0) {
                busy[resource.number] = resource.busy;
                served[resource.number] = resource.served;
            }
    }

    // All that the future depends on, in times from now.
    void describe(double now, std::vector<double>& state) const {
        for (std::size_t i = 0; i < resources_.size(); ++i) {
            const Resource& resource = resources_[i];
            state.insert(state.end(), {double(resource.serving), double(resource.present), double(resource.due)});
            if (resource.serving) state.push_back(double(resource.current.task));
            for (const Waiting& job : queues_[i].sorted())
                state.insert(state.end(), {job.arrival - now, double(job.task)});
            for (std::int32_t c = 0; c < resource.kinds; ++c) {
                const Class& one = resource.classes[c];
                std::vector<Job> jobs(jobs_.begin() + one.jobs, jobs_.begin() + one.jobs + one.count);
                std::sort(jobs.begin(), jobs.end(), [](const Job& a, const Job& b) { return a.end < b.end; });
                for (const Job& job : jobs)
                    state.insert(state.end(), {job.end - one.virtual_time, one.rate, double(job.job.task)});
            }
        }
    }

    // Lets everything happen later, after work that is only counted.
    void later(double by, double times, const std::vector<double>& busy, const std::vector<double>& served) {
        for (std::size_t i = 0; i < resources_.size(); ++i) {
            Resource& resource = resources_[i];
            if (resource.rate == 0) continue;
            resource.since += by;
            resource.current.start += by;
            queues_[i].each([by](Waiting& job) { job.arrival += by; });
            for (std::int32_t c = 0; c < resource.kinds; ++c)
                for (std::int32_t j = 0; j < resource.classes[c].count; ++j)
                    jobs_[resource.classes[c].jobs + j].job.start += by;
            resource.busy += times * (resource.busy - busy[resource.number]);
            resource.served += times * (resource.served - served[resource.number]);
        }
    }

private:
    struct Job {
        double end;  // in the class's virtual time
        Ended job;
    };
    struct Later {
        bool operator()(const Job& a, const Job& b) const { return b.end < a.end; }
    };
    struct Class {  // flows of one cap get one rate: a job of demand d ends d later in the class's virtual time
        double cap = 0, virtual_time = 0, rate = 0;
        std::size_t jobs = 0;  // where its heap begins
        std::int32_t count = 0;
    };
    struct alignas(64) Resource {
        Class only{};  // where all its tasks have one cap
        Class* classes = nullptr;
        double since = 0;  // first come, first served: when the job in service ends; else: when it last changed
        double rate = 0, busy = 0, served = 0;  // of a place without a resource the rate is 0
        std::int32_t kinds = 0;  // of caps
        std::int32_t arrivals = -1;  // the last one of this instant
        std::int32_t present = 0;
        std::int32_t due = 0;  // the class whose job ends next
        std::int32_t number = 0;
        ResourceKind kind = ResourceKind::fifo;
        bool serving = false;
        Ended current{};
    };
    struct Arriving {  // a job that joins the others of its class
        double demand;
        std::int32_t context, task, group, before;
    };

    struct Asked {
        Waiting order;
        std::uint64_t tile;
        std::int32_t arrival, place;
    };

    static constexpr double never = std::numeric_limits<double>::infinity();

    // The caps of the tasks of each kind, and how many of one cap may be served at once on one instance.
    void find_classes(const EventInput& input) {
        const std::size_t kinds = input.kind.size(), blocks = input.block_start.size() - 1;
        caps_.resize(kinds);
        most_.resize(kinds);
        for (std::size_t task = 0; task < input.resource.size(); ++task) caps_[input.resource[task]].push_back(input.cap[task]);
        for (std::size_t kind = 0; kind < kinds; ++kind) {
            auto& list = caps_[kind];
            std::sort(list.begin(), list.end());
            list.erase(std::unique(list.begin(), list.end()), list.end());
            most_[kind].assign(list.size(), 0);
        }
        for (std::size_t task = 0; task < input.resource.size(); ++task) {
            const auto& list = caps_[input.resource[task]];
            class_.push_back(std::int32_t(std::lower_bound(list.begin(), list.end(), input.cap[task]) - list.begin()));
        }
        std::size_t contexts = 1;
        for (std::size_t i = 0; i + 1 < input.trips_start.size(); ++i)
            contexts = std::max(contexts, std::size_t(input.trips_start[i + 1] - input.trips_start[i]));
        for (std::size_t block = 0; block < blocks; ++block) {
            std::vector<std::vector<std::size_t>> here(kinds);
            for (std::size_t kind = 0; kind < kinds; ++kind) here[kind].assign(caps_[kind].size(), 0);
            for (std::int64_t task = input.block_start[block]; task < input.block_start[block + 1]; ++task)
                here[input.resource[task]][class_[task]] += contexts * std::size_t(input.slots);
            for (std::size_t kind = 0; kind < kinds; ++kind)
                for (std::size_t i = 0; i < here[kind].size(); ++i) most_[kind][i] = std::max(most_[kind][i], here[kind][i]);
        }
    }

    double serve(Resource& resource, Heap<Waiting>& queue, double now) {
        if (resource.serving) return resource.since;
        if (queue.empty()) return never;
        const Waiting job = queue.pop();
        const double time = job.demand / resource.rate;
        resource.serving = true;
        resource.current = {job.context, job.task, now};
        resource.busy += time;
        resource.served += job.demand;
        resource.since = now + time;
        return resource.since;
    }

    void pass(Resource& resource, double now) {
        const double elapsed = now - resource.since;
        resource.since = now;
        if (resource.present == 0) return;
        resource.busy += elapsed;
        for (std::int32_t c = 0; c < resource.kinds; ++c)
            resource.classes[c].virtual_time += elapsed * resource.classes[c].rate;
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
            double& demand = arrivals_[one.arrival].demand;
            if (one.tile && caches_[place].use(one.tile, demand)) demand = 0;
        }
        asked_.resize(left);
    }

    double share(Resource& resource, double now) {
        pass(resource, now);
        if (!asked_.empty()) look_up(std::int32_t(&resource - resources_.data()));
        for (std::int32_t c = 0; c < resource.kinds; ++c)
            if (!resource.classes[c].count) resource.classes[c].virtual_time = 0;
        for (std::int32_t i = resource.arrivals; i >= 0; i = arrivals_[i].before) {
            const Arriving& job = arrivals_[i];
            Class& own = resource.classes[job.group];
            Job* jobs = &jobs_[own.jobs];
            jobs[own.count++] = {own.virtual_time + job.demand, {job.context, job.task, now}};
            std::push_heap(jobs, jobs + own.count, Later{});
            resource.served += job.demand;
            ++resource.present;
            if (--pending_ == 0) {
                arrivals_.clear();
                break;
            }
        }
        resource.arrivals = -1;
        double capacity = resource.rate, next = never;
        std::int32_t left = resource.present;
        for (std::int32_t c = 0; left; ++c) {  // the smallest caps first: what they leave is shared
            Class& one = resource.classes[c];
            if (!one.count) continue;
            one.rate = std::min(one.cap, left == 1 ? capacity : capacity / double(left));
            capacity -= one.rate * double(one.count);
            left -= one.count;
            const double time = now + std::max(0.0, (jobs_[one.jobs].end - one.virtual_time) / one.rate);
            if (time < next) {
                next = time;
                resource.due = c;
            }
        }
        return next;
    }

    std::int32_t instances_, base_ = 0, own_ = 0;
    std::size_t numbered_ = 0;
    std::vector<Resource> resources_;
    std::vector<Class> classes_;
    std::vector<Job> jobs_;
    std::vector<Heap<Waiting>> queues_;
    std::vector<Arriving> arrivals_;
    std::vector<Cache> caches_;
    std::vector<Asked> asked_;
    std::size_t pending_ = 0;
    std::vector<std::int32_t> first_, start_, each_, class_;
    std::vector<std::vector<double>> caps_;
    std::vector<std::vector<std::size_t>> most_;
};

}  // namespace lightbound
