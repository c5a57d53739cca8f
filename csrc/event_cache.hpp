// What a level keeps of what was moved through it: the tiles used last.
#pragma once

#include <cstdint>
#include <list>
#include <unordered_map>
#include <utility>

namespace lightbound {

class Cache {
public:
    explicit Cache(double capacity = 0) : left_(capacity), capacity_(capacity) {}

    bool keeps() const { return capacity_ > 0; }

    // Whether a tile is there. It is from now on, if it fits, and others that were not used for longest are not.
    bool use(std::uint64_t tile, double size) {
        const auto found = place_.find(tile);
        if (found != place_.end()) {
            order_.splice(order_.begin(), order_, found->second);
            return true;
        }
        if (size > capacity_) return false;
        order_.push_front({tile, size});
        place_[tile] = order_.begin();
        for (left_ -= size; left_ < 0; order_.pop_back()) {
            left_ += order_.back().second;
            place_.erase(order_.back().first);
        }
        return false;
    }

private:
    double left_, capacity_;
    std::list<std::pair<std::uint64_t, double>> order_;  // the one used last in front
    std::unordered_map<std::uint64_t, std::list<std::pair<std::uint64_t, double>>::iterator> place_;
};

}  // namespace lightbound
