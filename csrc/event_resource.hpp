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
#include "event_place.hpp"
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
            kinds_.push_back(input.shared[kind] ? Kind{among_shared++, 0} : Kind{base_ + among_own++, stride_});
            numbered += input.shared[kind] ? 1 : instances_;
        }
        numbered_ = numbered;
        resources_.resize(base_ + stride_ * instances_);
        tallies_.resize(resources_.size());
        queues_.resize(resources_.size());
        caches_.resize(resources_.size());
        number_.assign(resources_.size(), -1);
        shares_.resize(resources_.size());
        for (std::size_t kind = 0; kind < kinds; ++kind)
            for (std::int32_t copy = 0; copy < (input.shared[kind] ? 1 : instances_); ++copy) {
                const std::int32_t place = this->place(std::int32_t(kind), copy);
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
    std::int32_t start(std::int32_t kind) const { return kinds_[kind].start; }  // place on instance i: start + i * each
    std::int32_t each(std::int32_t kind) const { return kinds_[kind].each; }
    std::int32_t place(std::int32_t kind, std::int32_t instance) const {
        return kinds_[kind].start + kinds_[kind].each * instance;
    }
    std::int32_t class_of(std::int64_t task) const { return caps_.of_task[task]; }

    void count(std::int32_t place, double demand, double time) {
        tallies_[place].served += demand;
        tallies_[place].busy += time;
    }

    void wait(std::int32_t place, const Waiting& job) { queues_[place].jobs.push(job); }

    bool keeps(std::int32_t place) const { return caches_[place].keeps(); }

    void join(std::int32_t place, double demand, Context* context, std::int32_t task, std::int32_t group) {
        Resource& resource = resources_[place];
        if (resource.plain)
            *(resource.end - ++resource.arrived) = {demand, {context, 0, task}};
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
        const Job* jobs = due ? due->jobs : resource.jobs;
        if (resource.few)
            return count > 1 && jobs[count - 2].end <= jobs[count - 1].end ? nullptr : jobs[count - 1].job.context;
        for (std::int32_t i = 1; i < 3 && i < count; ++i)
            if (jobs[i].end <= jobs[0].end) return nullptr;
        return jobs[0].job.context;
    }

    // Takes in what has arrived by now. The time of the next completion, infinity where there is none.
    LIGHTBOUND_INLINE double settle(std::int32_t place, double now) {
        Resource& resource = resources_[place];
        if (!resource.plain || !asked_.empty()) return settle_any(resource, place, now);
        pass(resource, place, now);
        return share(resource, place, now);
    }

    // Calls `ends` with each job that ends now.
    template <typename Ends>
    LIGHTBOUND_INLINE void finish(std::int32_t place, double now, Ends ends) {
        Resource& resource = resources_[place];
        if (!resource.lean) return finish_any(resource, place, now, ends);
        pass(resource, place, now);
        const Job* jobs = resource.jobs;
        const double end = resource.virtual_time = jobs[resource.count - 1].end;
        do {
            const Ended& job = jobs[--resource.count].job;
            ends(job);
        } while (resource.count && jobs[resource.count - 1].end <= end);
    }

    void statistics(std::vector<double>& busy, std::vector<double>& served) const {
        for (std::size_t place = 0; place < resources_.size(); ++place)
            if (resources_[place].rate > 0) {
                busy[number_[place]] = tallies_[place].busy;
                served[number_[place]] = tallies_[place].served;
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
            const auto add = [&](const Job* first, std::int32_t count, double virtual_time, double rate) {
                std::vector<Job> jobs(first, first + count);
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
            const auto move = [&](Job* first, std::int32_t count) {
                for (std::int32_t j = 0; j < count; ++j) first[j].job.start += by;
            };
            if (resource.plain) move(resource.jobs, resource.count);
            for (const Class& one : shares_[i].classes) move(one.jobs, one.count);
            Tally& tally = tallies_[i];
            tally.busy += times * (tally.busy - busy[number_[i]]);
            tally.served += times * (tally.served - served[number_[i]]);
        }
    }

private:
    static constexpr double never = std::numeric_limits<double>::infinity();
    static constexpr std::size_t few = 16;

    // Jobs of one instance lie together.
    void make_room(const EventInput& input) {
        std::vector<std::int32_t> kind_at(resources_.size(), -1);
        std::size_t room = 0;
        for (std::size_t kind = 0; kind < input.kind.size(); ++kind) {
            const std::int32_t copies = input.shared[kind] ? 1 : instances_;
            for (std::int32_t copy = 0; copy < copies; ++copy) kind_at[place(std::int32_t(kind), copy)] = std::int32_t(kind);
            for (const std::size_t most : caps_.most[kind]) room += most * std::size_t(instances_);
        }
        jobs_.resize(room);
        Job* next = jobs_.data();
        for (std::size_t place = 0; place < resources_.size(); ++place) {
            if (kind_at[place] < 0 || resources_[place].kind == ResourceKind::fifo) continue;
            const std::int32_t kind = kind_at[place];
            Resource& resource = resources_[place];
            const auto& caps = caps_.of_kind[kind];
            const auto& most = caps_.most[kind];
            const std::size_t sharers = input.shared[kind] ? std::size_t(instances_) : 1;
            resource.plain = caps.empty() || (caps.size() == 1 && caps[0] == never);
            resource.few = true;
            resource.jobs = next;
            for (std::size_t i = 0; i < caps.size(); ++i) {
                Job* const begin = next;
                next += most[i] * sharers;
                if (!resource.plain) shares_[place].classes.push_back({caps[i], 0, 0, begin, next, 0, 0});
                resource.few = resource.few && most[i] * sharers <= few;
            }
            resource.end = next;
            resource.lean = resource.plain && resource.few;
        }
    }

    static const Job& least(const Resource& resource, const Job* jobs, std::int32_t count) {
        return jobs[resource.few ? count - 1 : 0];
    }

    LIGHTBOUND_INLINE static void add(const Resource& resource, Job* jobs, std::int32_t& count, const Job& job) {
        if (resource.few) {
            std::int32_t at = count++;
            for (; at > 0 && jobs[at - 1].end < job.end; --at) jobs[at] = jobs[at - 1];
            jobs[at] = job;
            return;
        }
        jobs[count++] = job;
        std::push_heap(jobs, jobs + count, EndsLater{});
    }

    template <typename Ends>
    LIGHTBOUND_APART void finish_any(Resource& resource, std::int32_t place, double now, Ends ends) {
        if (resource.kind == ResourceKind::fifo) {
            resource.serving = false;
            return ends(queues_[place].current);
        }
        if (resource.plain) {
            pass(resource, place, now);
            resource.virtual_time = least(resource, resource.jobs, resource.count).end;
            return finish_all(resource, resource.jobs, resource.count, resource.virtual_time, ends);
        }
        pass_classes(resource, place, now);
        Class& due = shares_[place].classes[shares_[place].due];
        due.virtual_time = least(resource, due.jobs, due.count).end;
        const std::int32_t before = due.count;
        finish_all(resource, due.jobs, due.count, due.virtual_time, ends);
        resource.count -= before - due.count;
    }

    // Ends come when virtual time is there: set to the first of them, not to what rounding made of it.
    template <typename Ends>
    void finish_all(const Resource& resource, Job* jobs, std::int32_t& count, double end, Ends ends) {
        do {
            Ended job;
            if (resource.few) {
                job = jobs[--count].job;
            } else {
                job = jobs[0].job;
                std::pop_heap(jobs, jobs + count, EndsLater{});
                --count;
            }
            ends(job);
        } while (count && least(resource, jobs, count).end <= end);
    }

    double serve(Resource& resource, std::int32_t place, double now) {
        if (resource.serving) return resource.since;
        Queue& queue = queues_[place];
        if (queue.jobs.empty()) return never;
        const Waiting job = queue.jobs.pop();
        const double time = job.demand / resource.rate;
        resource.serving = true;
        queue.current = {job.context, now, job.task};
        count(place, job.demand, time);
        resource.since = now + time;
        return resource.since;
    }

    // Lets the time pass that has passed, and says how much of it there was work for.
    LIGHTBOUND_INLINE double pass(Resource& resource, std::int32_t place, double now) {
        const double elapsed = resource.count ? now - resource.since : 0.0;
        resource.since = now;
        tallies_[place].busy += elapsed;
        resource.virtual_time += elapsed * resource.flow;
        return elapsed;
    }

    void pass_classes(Resource& resource, std::int32_t place, double now) {
        const double elapsed = pass(resource, place, now);
        for (Class& one : shares_[place].classes) one.virtual_time += elapsed * one.rate;
    }

    LIGHTBOUND_APART double settle_any(Resource& resource, std::int32_t place, double now) {
        if (resource.kind == ResourceKind::fifo) return serve(resource, place, now);
        if (resource.plain)
            pass(resource, place, now);
        else
            pass_classes(resource, place, now);
        if (!asked_.empty()) look_up(place);
        return resource.plain ? share(resource, place, now) : share_by_caps(resource, place, now);
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
            double& demand = one.job->end;
            if (one.tile && caches_[place].use(one.tile, demand)) demand = 0;
        }
        asked_.resize(left);
    }

    void join(Class& own, Resource& resource, const Job& job) {
        *(own.end - ++own.arrived) = job;
        ++resource.arrived;
    }

    // Jobs that have arrived join the others: from their demand to when they end.
    LIGHTBOUND_INLINE void take_in(const Resource& resource, std::int32_t place, Job* jobs, const Job* end,
                                   std::int32_t& count, std::int32_t& arrived, double virtual_time, double now) {
        for (; arrived > 0; --arrived) {
            const Job& job = *(end - arrived);
            tallies_[place].served += job.end;
            add(resource, jobs, count, {job.end + virtual_time, {job.job.context, now, job.job.task}});
        }
    }

    LIGHTBOUND_INLINE double share(Resource& resource, std::int32_t place, double now) {
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
    std::vector<Tally> tallies_;
    std::vector<Queue> queues_;
    std::vector<Share> shares_;
    std::vector<Cache> caches_;
    std::vector<Asked> asked_;
    std::vector<Kind> kinds_;
    std::vector<std::int32_t> first_, number_;
};

}  // namespace lightbound
