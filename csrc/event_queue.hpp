// The queues of the event engine: when each of many things happens next, what changed, and heaps of what waits.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <limits>
#include <vector>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

// Where an event spends its time: called in one or two places, each with what it needs at hand.
#define LIGHTBOUND_INLINE [[gnu::always_inline]] inline
// And what is rare, kept out of the way of that.
#define LIGHTBOUND_APART [[gnu::noinline]]

namespace lightbound {

// The least of `count` times, a multiple of four. One by one: what has just been written alone cannot be read with its
// neighbour before it has left the processor's queue of writes.
LIGHTBOUND_INLINE double earliest(const double* times, std::int32_t count) {
    double a = times[0], b = times[1], c = times[2], d = times[3];
    for (std::int32_t i = 4; i < count; i += 4) {
        a = std::min(a, times[i]);
        b = std::min(b, times[i + 1]);
        c = std::min(c, times[i + 2]);
        d = std::min(d, times[i + 3]);
    }
    return std::min(std::min(a, b), std::min(c, d));
}

// A bit for each of `count` times, a multiple of four, that has come by now.
LIGHTBOUND_INLINE std::uint64_t come(const double* times, std::int32_t count, double now) {
    std::uint64_t bits = 0;
#ifdef __SSE2__
    const __m128d most = _mm_set1_pd(now);
    for (std::int32_t i = 0; i < count; i += 2)
        bits |= std::uint64_t(_mm_movemask_pd(_mm_cmple_pd(_mm_loadu_pd(times + i), most))) << i;
#else
    for (std::int32_t i = 0; i < count; ++i) bits |= std::uint64_t(times[i] <= now) << i;
#endif
    return bits;
}

inline std::int32_t lowest(std::uint64_t bits) { return std::int32_t(__builtin_ctzll(bits)); }

inline std::int32_t last_of(std::vector<std::int32_t>& list) {
    const std::int32_t last = list.back();
    list.pop_back();
    return last;
}

// The time of the next event of each of `size` things: a tree in which every node has the earliest time of its eight
// children, which are one line of a processor's cache. A change is carried up as far as it matters.
class Calendar {
public:
    explicit Calendar(std::size_t size) {
        do {
            size = (size + 7) / 8;
            levels_.emplace_back(size, Node{});
        } while (size > 1);
    }

    double next() const { return levels_.back()[0].least(); }

    void set(std::size_t place, double time) {
        levels_[0][place / 8].time[place % 8] = time;
        for (std::size_t level = 1; level < levels_.size(); ++level) {
            place /= 8;
            const double least = levels_[level - 1][place].least();
            double& known = levels_[level][place / 8].time[place % 8];
            if (known == least) return;
            known = least;
        }
    }

    // Appends those whose time has come.
    void due(double now, std::vector<std::int32_t>& places) const { collect(levels_.size() - 1, 0, now, places); }

    // The only one whose time has come, or -1 where there are several.
    std::int32_t only(double now) const {
        std::size_t place = 0;
        for (std::size_t level = levels_.size(); level-- > 0;) {
            const std::uint64_t due = come(levels_[level][place].time, 8, now);
            if (due & (due - 1)) return -1;
            place = 8 * place + std::size_t(lowest(due));
        }
        return std::int32_t(place);
    }

    void later(double by) {
        for (auto& level : levels_)
            for (Node& node : level)
                for (double& time : node.time) time += by;
    }

private:
    struct alignas(64) Node {
        double time[8];
        Node() { std::fill(time, time + 8, std::numeric_limits<double>::infinity()); }
        double least() const { return earliest(time, 8); }
    };

    void collect(std::size_t level, std::size_t place, double now, std::vector<std::int32_t>& places) const {
        const double* times = levels_[level][place].time;
        for (std::uint64_t due = come(times, 8, now); due; due &= due - 1) {
            const std::size_t child = 8 * place + std::size_t(lowest(due));
            if (level == 0)
                places.push_back(std::int32_t(child));
            else
                collect(level - 1, child, now, places);
        }
    }

    std::vector<std::vector<Node>> levels_;
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
