// The resources of the event engine: first come, first served; shared by all at once under a cap each; or only a delay.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <tuple>
#include <vector>

#include "event.hpp"
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

struct Arriving {  // a job that joins the others of its class
    double arrival, demand;
    std::int32_t context, task, group;
};

struct Ended {
    std::int32_t context, task;
    double start;
};

class Resources {
public:
    explicit Resources(const EventInput& input) : instances_(input.instances) {
        std::int32_t numbered = 0;
        std::vector<std::vector<double>> caps(input.kind.size());
        for (std::size_t task = 0; task < input.resource.size(); ++task) caps[input.resource[task]].push_back(input.cap[task]);
        for (std::size_t kind = 0; kind < input.kind.size(); ++kind) {
            auto& list = caps[kind];
            std::sort(list.begin(), list.end());
            list.erase(std::unique(list.begin(), list.end()), list.end());
            first_.push_back(numbered);
            each_.push_back(input.shared[kind] ? 0 : 1);
            const std::int32_t copies = input.shared[kind] ? 1 : instances_;
            for (std::int32_t copy = 0; copy < copies; ++copy) {
                Resource resource;
                resource.kind = ResourceKind(input.kind[kind]);
                resource.rate = input.rate[kind];
                for (double cap : list) resource.classes.push_back({cap, 0, 0, {}});
                resources_.push_back(std::move(resource));
            }
            numbered += copies;
        }
        for (std::size_t task = 0; task < input.resource.size(); ++task) {
            const auto& list = caps[input.resource[task]];
            class_.push_back(std::int32_t(std::lower_bound(list.begin(), list.end(), input.cap[task]) - list.begin()));
        }
    }

    std::size_t size() const { return resources_.size(); }
    std::int32_t number(std::int32_t kind, std::int32_t instance) const { return first_[kind] + each_[kind] * instance; }
    std::int32_t class_of(std::int64_t task) const { return class_[task]; }

    void count(std::int32_t number, double demand, double time) {
        resources_[number].served += demand;
        resources_[number].busy += time;
    }

    void wait(std::int32_t number, const Waiting& job) { resources_[number].queue.push(job); }
    void join(std::int32_t number, const Arriving& job) { resources_[number].arriving.push_back(job); }

    // Takes in what has arrived by now. The time of the next completion, infinity where there is none.
    double settle(std::int32_t number, double now) {
        Resource& resource = resources_[number];
        return resource.kind == ResourceKind::fifo ? serve(resource, now) : share(resource, now);
    }

    // Appends the jobs that end now.
    void finish(std::int32_t number, double now, std::vector<Ended>& ended) {
        Resource& resource = resources_[number];
        if (resource.kind == ResourceKind::fifo) {
            ended.push_back(resource.current);
            resource.serving = false;
            return;
        }
        pass(resource, now);
        Class& due = resource.classes[resource.due];
        due.virtual_time = due.jobs.top().end;  // not what rounding made of it: the job would never be done
        while (!due.jobs.empty() && due.jobs.top().end <= due.virtual_time) {
            ended.push_back(due.jobs.pop().job);
            --resource.present;
        }
    }

    void statistics(std::vector<double>& busy, std::vector<double>& served) const {
        for (std::size_t i = 0; i < resources_.size(); ++i) {
            busy[i] = resources_[i].busy;
            served[i] = resources_[i].served;
        }
    }

    // All that the future depends on, in times from now.
    void describe(double now, std::vector<double>& state) const {
        for (const Resource& resource : resources_) {
            state.insert(state.end(), {double(resource.serving), double(resource.present), double(resource.due)});
            if (resource.serving) state.push_back(double(resource.current.task));
            for (const Waiting& job : resource.queue.sorted())
                state.insert(state.end(), {job.arrival - now, double(job.task)});
            for (const Class& one : resource.classes)
                for (const Share& job : one.jobs.sorted())
                    state.insert(state.end(), {job.end - one.virtual_time, one.rate, double(job.job.task)});
        }
    }

    // Lets everything happen later, after work that is only counted.
    void later(double by, double times, const std::vector<double>& busy, const std::vector<double>& served) {
        for (std::size_t i = 0; i < resources_.size(); ++i) {
            Resource& resource = resources_[i];
            resource.since += by;
            resource.current.start += by;
            resource.queue.each([by](Waiting& job) { job.arrival += by; });
            for (Class& one : resource.classes) one.jobs.each([by](Share& job) { job.job.start += by; });
            resource.busy += times * (resource.busy - busy[i]);
            resource.served += times * (resource.served - served[i]);
        }
    }

private:
    struct Share {
        double end;  // in the class's virtual time
        Ended job;
        bool operator<(const Share& other) const { return end < other.end; }
    };
    struct Class {  // flows of one cap get one rate: a job of demand d ends d later in the class's virtual time
        double cap, virtual_time, rate;
        Heap<Share> jobs;
    };
    struct Resource {
        ResourceKind kind = ResourceKind::fifo;
        bool serving = false;
        std::int32_t due = 0;  // the class whose job ends next
        std::int64_t present = 0;
        double rate = 1, busy = 0, served = 0;
        double since = 0;  // first come, first served: when the job in service ends; else: when it last changed
        Ended current{};
        Heap<Waiting> queue;
        std::vector<Arriving> arriving;
        std::vector<Class> classes;
    };

    static constexpr double never = std::numeric_limits<double>::infinity();

    double serve(Resource& resource, double now) {
        if (resource.serving) return resource.since;
        if (resource.queue.empty()) return never;
        const Waiting job = resource.queue.pop();
        const double time = job.demand / resource.rate;
        resource.serving = true;
        resource.current = {job.context, job.task, now};
        resource.busy += time;
        resource.served += job.demand;
        resource.since = now + time;
        return resource.since;
    }

    static void pass(Resource& resource, double now) {
        const double elapsed = now - resource.since;
        resource.since = now;
        if (resource.present == 0) return;
        resource.busy += elapsed;
        for (Class& one : resource.classes) one.virtual_time += elapsed * one.rate;
    }

    double share(Resource& resource, double now) {
        pass(resource, now);
        for (Class& one : resource.classes)
            if (one.jobs.empty()) one.virtual_time = 0;
        for (const Arriving& job : resource.arriving) {
            Class& own = resource.classes[job.group];
            own.jobs.push({own.virtual_time + job.demand, {job.context, job.task, job.arrival}});
            resource.served += job.demand;
            ++resource.present;
        }
        resource.arriving.clear();
        double capacity = resource.rate, next = never;
        std::int64_t left = resource.present;
        for (std::size_t i = 0; i < resource.classes.size(); ++i) {  // the smallest caps first: what they leave is shared
            Class& one = resource.classes[i];
            if (one.jobs.empty()) continue;
            const auto jobs = std::int64_t(one.jobs.size());
            one.rate = std::min(one.cap, capacity / double(left));
            capacity -= one.rate * double(jobs);
            left -= jobs;
            const double time = now + std::max(0.0, (one.jobs.top().end - one.virtual_time) / one.rate);
            if (time < next) {
                next = time;
                resource.due = std::int32_t(i);
            }
        }
        return next;
    }

    std::int32_t instances_;
    std::vector<Resource> resources_;
    std::vector<std::int32_t> first_, each_, class_;
};

}  // namespace lightbound
