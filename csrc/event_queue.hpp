// The queues of the event engine: when each of many things happens next, what changed, and heaps of what waits.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <limits>
#include <vector>

namespace lightbound {

// The time of the next event of each of `size` places: a tree in which every node has the earliest event below it. A
// change is played against its neighbours on the way up, so that nothing is searched.
class Calendar {
public:
    explicit Calendar(std::size_t size)
        : leaves_(std::max<std::size_t>(size, 2)), nodes_(2 * leaves_, {std::numeric_limits<double>::infinity(), 0}) {}

    double next() const { return nodes_[1].time; }
    double time(std::size_t place) const { return nodes_[leaves_ + place].time; }

    void set(std::size_t place, double time) {
        std::size_t node = leaves_ + place;
        Node best{time, std::int32_t(place)};
        nodes_[node] = best;
        while (node > 1) {
            const Node other = nodes_[node ^ 1];
            best = other.time < best.time ? other : best;
            node >>= 1;
            if (nodes_[node].time == best.time && nodes_[node].place == best.place) return;
            nodes_[node] = best;
        }
    }

    // Appends the places whose time has come.
    void due(double now, std::vector<std::int32_t>& places) const {
        const Node first = nodes_[1];
        if (first.time > now) return;
        places.push_back(first.place);
        for (std::size_t node = leaves_ + first.place; node > 1; node >>= 1) collect(node ^ 1, now, places);
    }

    void later(double by) {
        for (Node& node : nodes_) node.time += by;
    }

private:
    struct Node {
        double time;
        std::int32_t place;
    };

    void collect(std::size_t node, double now, std::vector<std::int32_t>& places) const {
        if (nodes_[node].time > now) return;
        if (node >= leaves_) {
            places.push_back(nodes_[node].place);
            return;
        }
        collect(2 * node, now, places);
        collect(2 * node + 1, now, places);
    }

    std::size_t leaves_;
    std::vector<Node> nodes_;
};

// Numbers in order, the least at the back; mostly there are one or two.
class Few {
public:
    bool empty() const { return numbers_.empty(); }
    void push(std::uint64_t number) {
        if (numbers_.size() > 8) {
            numbers_.insert(std::upper_bound(numbers_.begin(), numbers_.end(), number, std::greater<>{}), number);
            return;
        }
        numbers_.push_back(number);
        for (std::size_t i = numbers_.size() - 1; i > 0 && numbers_[i - 1] < number; --i) std::swap(numbers_[i - 1], numbers_[i]);
    }
    std::uint64_t pop() {
        const std::uint64_t least = numbers_.back();
        numbers_.pop_back();
        return least;
    }

private:
    std::vector<std::uint64_t> numbers_;
};

// A heap of entries that compare by their own `<`, the least on top.
template <typename T>
class Heap {
public:
    bool empty() const { return entries_.empty(); }
    const T& top() const { return entries_.front(); }
    std::vector<T> sorted() const {
        std::vector<T> all = entries_;
        std::sort(all.begin(), all.end());
        return all;
    }
    // Changes every entry in a way that keeps their order.
    template <typename Change>
    void each(Change change) {
        for (T& entry : entries_) change(entry);
    }
    void push(const T& entry) {
        entries_.push_back(entry);
        if (entries_.size() > 1) std::push_heap(entries_.begin(), entries_.end(), Later{});
    }
    T pop() {
        if (entries_.size() > 1) std::pop_heap(entries_.begin(), entries_.end(), Later{});
        T entry = entries_.back();
        entries_.pop_back();
        return entry;
    }

private:
    struct Later {
        bool operator()(const T& a, const T& b) const { return b < a; }
    };
    std::vector<T> entries_;
};

}  // namespace lightbound
