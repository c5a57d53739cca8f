// The Python face of the native event engine: numpy arrays in, numpy arrays out. sim/event.py calls it.
#include "event_face.hpp"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include "event.hpp"

namespace py = pybind11;
using namespace lightbound;

namespace {

template <typename T>
void read(const py::dict& from, const char* name, std::vector<T>& to) {
    const auto array = py::array_t<T, py::array::c_style | py::array::forcecast>::ensure(from[name]);
    if (!array) throw std::invalid_argument(std::string(name) + " is not an array of numbers");
    to.assign(array.data(), array.data() + array.size());
}

EventInput input(const py::dict& from) {
    EventInput in;
    read(from, "kind", in.kind);
    read(from, "rate", in.rate);
    read(from, "shared", in.shared);
    read(from, "resource", in.resource);
    read(from, "demand", in.demand);
    read(from, "cap", in.cap);
    read(from, "more", in.more);
    read(from, "priority", in.priority);
    read(from, "ahead", in.ahead);
    read(from, "cache", in.cache);
    read(from, "key", in.key);
    read(from, "turn", in.turn);
    read(from, "round", in.round);
    read(from, "keys_start", in.keys_start);
    read(from, "keys", in.keys);
    read(from, "after_start", in.after_start);
    read(from, "after_task", in.after_task);
    read(from, "after_distance", in.after_distance);
    read(from, "when_start", in.when_start);
    read(from, "when_period", in.when_period);
    read(from, "when_first", in.when_first);
    read(from, "when_end", in.when_end);
    read(from, "block_start", in.block_start);
    read(from, "jitter", in.jitter);
    read(from, "stagger", in.stagger);
    read(from, "program", in.program);
    read(from, "trips_start", in.trips_start);
    read(from, "trips", in.trips);
    read(from, "marked", in.marked);
    read(from, "instance", in.instance);
    return in;
}

template <typename T>
py::array_t<T> array(const std::vector<T>& values) {
    return py::array_t<T>(static_cast<py::ssize_t>(values.size()), values.data());
}

template <typename T, typename Field>
py::array_t<T> column(const std::vector<Slice>& slices, Field field) {
    py::array_t<T> result(static_cast<py::ssize_t>(slices.size()));
    T* data = result.mutable_data();
    for (std::size_t i = 0; i < slices.size(); ++i) data[i] = slices[i].*field;
    return result;
}

py::dict run(const py::dict& flat, std::int32_t instances, std::int32_t slots, std::uint64_t seed,
             std::int64_t max_slices, std::int64_t most_tasks, bool extrapolate) {
    EventInput in = input(flat);
    in.instances = instances;
    in.slots = slots;
    in.seed = seed;
    in.max_slices = max_slices;
    in.most_tasks = most_tasks;
    in.extrapolate = extrapolate;
    EventOutput out(0, 0, 0);
    {
        py::gil_scoped_release release;
        out = run_events(in);
    }
    py::dict result;
    result["makespan"] = out.makespan;
    result["tasks"] = out.tasks;
    result["busy"] = array(out.busy);
    result["served"] = array(out.served);
    result["spent"] = array(out.spent);
    result["worker_start"] = array(out.worker_start);
    result["worker_end"] = array(out.worker_end);
    result["worker_instance"] = array(out.worker_instance);
    result["slice_start"] = column<double>(out.slices, &Slice::start);
    result["slice_end"] = column<double>(out.slices, &Slice::end);
    result["slice_iteration"] = column<std::int64_t>(out.slices, &Slice::iteration);
    result["slice_worker"] = column<std::int32_t>(out.slices, &Slice::worker);
    result["slice_context"] = column<std::int32_t>(out.slices, &Slice::context);
    result["slice_task"] = column<std::int32_t>(out.slices, &Slice::task);
    result["slice_resource"] = column<std::int32_t>(out.slices, &Slice::resource);
    return result;
}

}  // namespace

void register_events(py::module_& module) {
    module.def("run_events", &run, py::arg("flat"), py::arg("instances"), py::arg("slots"), py::arg("seed"),
               py::arg("max_slices"), py::arg("most_tasks"), py::arg("extrapolate"), "Runs looped programs of tasks on shared resources; see sim/program.py.");
}
