// The two queues of the event engine: the next completion of every resource, and whatever else is due.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

namespace lightbound {

// A heap of the resources by the time of their next completion; each resource stands in it at most once.
class Calendar {
public:
    explicit Calendar(std::size_t resources) : at_(resources, absent) { heap_.reserve(resources); }

    double next() const { return heap_.empty() ? std::numeric_limits<double>::infinity() : heap_[0].time; }
    std::int32_t first() const { return heap_[0].resource; }
    double second() const {
        double time = std::numeric_limits<double>::infinity();
        for (std::size_t child = 1; child < std::min<std::size_t>(3, heap_.size()); ++child)
            time = std::min(time, heap_[child].time);
        return time;
    }

    // When the resource completes something next; infinity where it will not.
    double time(std::int32_t resource) const {
        return at_[resource] == absent ? std::numeric_limits<double>::infinity() : heap_[at_[resource]].time;
    }
    void later(double by) {
        for (Entry& entry : heap_) entry.time += by;
    }

    void set(std::int32_t resource, double time) {
        std::int32_t place = at_[resource];
        if (place == absent) {
            place = static_cast<std::int32_t>(heap_.size());
            heap_.push_back({time, resource});
            up(place, {time, resource});
        } else if (time < heap_[place].time) {
            up(place, {time, resource});
        } else {
            down(place, {time, resource});
        }
    }

    void remove(std::int32_t resource) {
        const std::int32_t place = at_[resource];
        if (place == absent) return;
        at_[resource] = absent;
        const Entry last = heap_.back();
        heap_.pop_back();
        if (last.resource == resource) return;
        if (place > 0 && last.time < heap_[(place - 1) / 2].time)
            up(place, last);
        else
            down(place, last);
    }

private:
    struct Entry {
        double time;
        std::int32_t resource;
    };
    static constexpr std::int32_t absent = -1;

    void put(std::int32_t place, Entry entry) {
        heap_[place] = entry;
        at_[entry.resource] = place;
    }
    void up(std::int32_t place, Entry entry) {
        while (place > 0 && entry.time < heap_[(place - 1) / 2].time) {
            put(place, heap_[(place - 1) / 2]);
            place = (place - 1) / 2;
        }
        put(place, entry);
    }
    void down(std::int32_t place, Entry entry) {
        const auto size = static_cast<std::int32_t>(heap_.size());
        for (std::int32_t child = 2 * place + 1; child < size; child = 2 * place + 1) {
            if (child + 1 < size && heap_[child + 1].time < heap_[child].time) ++child;
            if (!(heap_[child].time < entry.time)) break;
            put(place, heap_[child]);
            place = child;
        }
        put(place, entry);
    }

    std::vector<Entry> heap_;
    std::vector<std::int32_t> at_;
};

// A heap of entries that compare by their own `<`, the least on top.
template <typename T>
class Heap {
public:
    bool empty() const { return entries_.empty(); }
    std::size_t size() const { return entries_.size(); }
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
