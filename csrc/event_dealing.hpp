// Which worker takes which slot: the instance with most free slots first, and on it the first worker that may run there.
#pragma once

#include <cstdint>
#include <vector>

#include "event.hpp"

namespace lightbound {

class Dealing {
public:
    explicit Dealing(const EventInput& input) : free_(input.instances, input.slots), pinned_(input.instances) {
        for (std::size_t worker = input.program.size(); worker-- > 0;)
            (input.instance[worker] < 0 ? anywhere_ : pinned_[input.instance[worker]]).push_back(int(worker));
    }

    // Whether a slot of this instance could be taken again.
    bool wants(std::int32_t instance) const { return !(anywhere_.empty() && pinned_[instance].empty()); }

    void free(std::int32_t instance) { freed_.push_back(instance); }

    // Calls `starts` with each worker and its instance.
    template <typename Starts>
    void deal(Starts starts) {
        for (std::int32_t instance : freed_) ++free_[instance];
        freed_.clear();
        for (;;) {
            std::int32_t best = -1;
            for (std::int32_t instance = 0; instance < std::int32_t(free_.size()); ++instance)
                if (free_[instance] > 0 && wants(instance) && (best < 0 || free_[instance] > free_[best])) best = instance;
            if (best < 0) return;
            auto& own = pinned_[best];
            auto& queue = own.empty() || (!anywhere_.empty() && anywhere_.back() < own.back()) ? anywhere_ : own;
            const std::int32_t worker = queue.back();
            queue.pop_back();
            --free_[best];
            starts(worker, best);
        }
    }

private:
    std::vector<std::int32_t> free_, freed_;
    std::vector<std::vector<std::int32_t>> pinned_;  // the next to launch at the back
    std::vector<std::int32_t> anywhere_;
};

}  // namespace lightbound
