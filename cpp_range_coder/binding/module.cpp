// Python binding of the entropy core: checks types, shapes and strides, releases the GIL, turns status codes into exceptions.
// The Python face in ugicm_coder/ documents these functions.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cmath>
#include <cstdint>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "ugicm/crc32c.h"
#include "ugicm/entropy_model.h"

namespace py = pybind11;

namespace {

using ugicm::EntropyModel;
using ugicm::Status;
using Shape = std::vector<py::ssize_t>;

// Exception classes live in the module's dictionary; no global holds them.
[[noreturn]] void raise(const char* class_name, const std::string& message) {
    const py::object type = py::module_::import("ugicm_coder._core").attr(class_name);
    PyErr_SetString(type.ptr(), message.c_str());
    throw py::error_already_set();
}

void check_stream(Status status) {
    if (status == Status::kOk) return;
    const std::string message = ugicm::status_message(status);
    if (status == Status::kArgument) throw py::value_error(message);
    if (status == Status::kNoCode) raise("StreamError", message);
    raise("StreamError", message + "; the bytes are damaged or were made with another model");
}

std::string text(const Shape& shape) {
    std::string out = "(";
    for (std::size_t i = 0; i < shape.size(); ++i) {
        out += (i == 0 ? "" : ", ") + (shape[i] < 0 ? std::string("any") : std::to_string(shape[i]));
    }
    return out + ")";
}

// Checks dtype and shape; -1 in `expected` accepts any size. Never converts: a wrong dtype is a caller's mistake.
template <typename T>
py::array checked(const py::array& array, const char* name, const Shape& expected) {
    if (!py::isinstance<py::array_t<T>>(array)) {
        throw py::type_error(std::string(name) + " has dtype " + std::string(py::str(array.dtype())) + "; expected " +
                             std::string(py::str(py::dtype::of<T>())));
    }
    const Shape shape(array.shape(), array.shape() + array.ndim());
    bool same = shape.size() == expected.size();
    for (std::size_t i = 0; same && i < shape.size(); ++i) same = expected[i] < 0 || expected[i] == shape[i];
    if (!same) throw py::value_error(std::string(name) + " has shape " + text(shape) + "; expected " + text(expected));
    return array;
}

// Pointer and distance between channels of a (channels, rows, columns) array whose planes are contiguous; copies it otherwise.
template <typename T>
struct Planes {
    py::array array;
    const T* data;
    std::size_t stride;

    explicit Planes(const py::array& source) : array(source) {
        constexpr py::ssize_t item = sizeof(T);
        const py::ssize_t rows = array.shape(1);
        const py::ssize_t columns = array.shape(2);
        const bool packed = array.strides(2) == item && array.strides(1) == columns * item &&
                            array.strides(0) >= rows * columns * item && array.strides(0) % item == 0;
        if (!packed) array = py::array_t<T, py::array::c_style>(array);
        data = static_cast<const T*>(array.data());
        stride = static_cast<std::size_t>(packed ? array.strides(0) / item : rows * columns);
    }
};

struct View {
    const std::uint8_t* data;
    std::size_t size;
};

// Contiguous bytes of any buffer (bytes, bytearray, memoryview, uint8 array).
View view(const py::buffer_info& info) {
    if (info.ndim != 1 || info.itemsize != 1 || (info.shape[0] > 1 && info.strides[0] != 1)) {
        throw py::type_error("data must be a contiguous one-dimensional buffer of bytes");
    }
    return {static_cast<const std::uint8_t*>(info.ptr), static_cast<std::size_t>(info.size)};
}

py::bytes to_bytes(const std::vector<std::uint8_t>& data) {
    return py::bytes(reinterpret_cast<const char*>(data.data()), data.size());
}

// A quality in eighths; multiples of 1/8 are exact in floating point.
std::size_t checked_quality(const EntropyModel& model, double quality) {
    const double eighths = quality * static_cast<double>(ugicm::kQualitySteps);
    const bool within = eighths >= 0 && eighths < static_cast<double>(model.size().quality_count());  // false for NaN
    if (!within || eighths != std::floor(eighths)) {
        std::ostringstream text;
        text << "quality is " << quality << "; expected 0.." << model.size().qualities - 1 << " in steps of 1/8";
        throw py::value_error(text.str());
    }
    return static_cast<std::size_t>(eighths);
}

void check_map(py::ssize_t height, py::ssize_t width) {
    constexpr auto limit = static_cast<py::ssize_t>(ugicm::kMaxMapPixels);
    if (height < 0 || width < 0 || (width > 0 && height > limit / width)) {
        throw py::value_error("hyper latent of " + std::to_string(height) + " x " + std::to_string(width) +
                              " positions; expected 0.." + std::to_string(limit) + " positions");
    }
}

// Raises the precise ValueError behind a kArgument status of the encoder.
template <typename T>
void check_range(const Planes<T>& planes, const char* name, int low, int high) {
    const auto plane = static_cast<std::size_t>(planes.array.shape(1) * planes.array.shape(2));
    for (py::ssize_t c = 0; c < planes.array.shape(0); ++c) {
        const T* values = planes.data + static_cast<std::size_t>(c) * planes.stride;
        for (std::size_t i = 0; i < plane; ++i) {
            if (values[i] < low || values[i] > high) {
                throw py::value_error(std::string(name) + " holds " + std::to_string(values[i]) + " in channel " +
                                      std::to_string(c) + "; expected " + std::to_string(low) + ".." + std::to_string(high));
            }
        }
    }
}

py::ssize_t hyper_channels(const EntropyModel& model) { return static_cast<py::ssize_t>(model.size().hyper); }
py::ssize_t latent_channels(const EntropyModel& model) { return static_cast<py::ssize_t>(model.size().latent); }

EntropyModel open_model(const py::buffer& data) {
    const py::buffer_info info = data.request();
    const View bytes = view(info);
    EntropyModel model;
    Status status;
    {
        py::gil_scoped_release release;
        status = model.parse(bytes.data, bytes.size);
    }
    if (status != Status::kOk) {
        raise("ModelError", std::string(ugicm::status_message(status)) + "; take entropy.bin from an intact bundle");
    }
    return model;
}

py::array_t<std::uint8_t> scale_indexes(const EntropyModel& model, const py::array& z, double quality) {
    const Planes<std::int16_t> planes(
        py::array_t<std::int16_t, py::array::c_style>(checked<std::int16_t>(z, "z", {hyper_channels(model), -1, -1})));
    const std::size_t level = checked_quality(model, quality);
    const py::ssize_t height = planes.array.shape(1);
    const py::ssize_t width = planes.array.shape(2);
    check_map(height, width);
    py::array_t<std::uint8_t> out(Shape{latent_channels(model), 4 * height, 4 * width});
    std::uint8_t* target = out.mutable_data();
    Status status;
    {
        py::gil_scoped_release release;
        status = model.scale_indexes(planes.data, static_cast<std::size_t>(height), static_cast<std::size_t>(width), level,
                                     target);
    }
    check_stream(status);
    return out;
}

py::bytes encode_hyper(const EntropyModel& model, const py::array& z, double quality) {
    const Planes<std::int16_t> planes(
        py::array_t<std::int16_t, py::array::c_style>(checked<std::int16_t>(z, "z", {hyper_channels(model), -1, -1})));
    const std::size_t level = checked_quality(model, quality);
    check_map(planes.array.shape(1), planes.array.shape(2));
    const auto plane = static_cast<std::size_t>(planes.array.shape(1) * planes.array.shape(2));
    std::vector<std::uint8_t> stream;
    Status status;
    {
        py::gil_scoped_release release;
        status = model.encode_hyper(planes.data, plane, level, stream);
    }
    if (status == Status::kArgument) check_range(planes, "z", -ugicm::kMaxHyperValue, ugicm::kMaxHyperValue);
    check_stream(status);
    return to_bytes(stream);
}

py::array_t<std::int16_t> decode_hyper(const EntropyModel& model, const py::buffer& data, py::ssize_t height,
                                       py::ssize_t width, double quality) {
    const py::buffer_info info = data.request();
    const View bytes = view(info);
    const std::size_t level = checked_quality(model, quality);
    check_map(height, width);
    py::array_t<std::int16_t> z(Shape{hyper_channels(model), height, width});
    std::int16_t* target = z.mutable_data();
    Status status;
    {
        py::gil_scoped_release release;
        status = model.decode_hyper(bytes.data, bytes.size, static_cast<std::size_t>(height * width), level, target);
    }
    check_stream(status);
    return z;
}

py::bytes encode_residual(const EntropyModel& model, const py::array& r, const py::array& indexes) {
    const Planes<std::int16_t> values(checked<std::int16_t>(r, "r", {latent_channels(model), -1, -1}));
    const Planes<std::uint8_t> scales(
        checked<std::uint8_t>(indexes, "scale_indexes", {latent_channels(model), r.shape(1), r.shape(2)}));
    const auto plane = static_cast<std::size_t>(r.shape(1) * r.shape(2));
    const ugicm::BandShape shape{model.size().latent, plane, values.stride, scales.stride};
    std::vector<std::uint8_t> stream;
    Status status;
    {
        py::gil_scoped_release release;
        status = ugicm::encode_band(model.tables(), values.data, scales.data, shape, ugicm::kMaxValue, stream);
    }
    if (status == Status::kArgument) {
        check_range(values, "r", -ugicm::kMaxValue, ugicm::kMaxValue);
        check_range(scales, "scale_indexes", 0, ugicm::kMaxIndex);
    }
    check_stream(status);
    return to_bytes(stream);
}

py::array_t<std::int16_t> decode_residual(const EntropyModel& model, const py::buffer& data, const py::array& indexes) {
    const py::buffer_info info = data.request();
    const View bytes = view(info);
    const Planes<std::uint8_t> scales(checked<std::uint8_t>(indexes, "scale_indexes", {latent_channels(model), -1, -1}));
    const py::ssize_t rows = scales.array.shape(1);
    const py::ssize_t columns = scales.array.shape(2);
    const auto plane = static_cast<std::size_t>(rows * columns);
    py::array_t<std::int16_t> r(Shape{latent_channels(model), rows, columns});
    std::int16_t* target = r.mutable_data();
    const ugicm::BandShape shape{model.size().latent, plane, plane, scales.stride};
    Status status;
    {
        py::gil_scoped_release release;
        status = ugicm::decode_band(model.tables(), bytes.data, bytes.size, scales.data, target, shape, ugicm::kMaxValue);
    }
    if (status == Status::kArgument) check_range(scales, "scale_indexes", 0, ugicm::kMaxIndex);
    check_stream(status);
    return r;
}

std::uint32_t crc32c(const py::buffer& data, std::uint32_t crc) {
    const py::buffer_info info = data.request();
    const View bytes = view(info);
    py::gil_scoped_release release;
    return ugicm::crc32c(bytes.data, bytes.size, crc);
}

}  // namespace

PYBIND11_MODULE(_core, module) {
    module.doc() = "Native part of ugicm_coder.";
    py::exception<std::runtime_error>(module, "StreamError", PyExc_ValueError).attr("__doc__") =
        "A stream is damaged or was made with another model.";
    py::exception<std::runtime_error>(module, "ModelError", PyExc_ValueError).attr("__doc__") =
        "An entropy.bin is damaged, impossible or of an unknown version.";
    module.attr("PRECISION") = ugicm::kPrecision;
    module.attr("SCALE_COUNT") = ugicm::kScales;
    module.attr("BLOCK") = ugicm::kBlock;
    module.attr("MAX_RADIUS") = ugicm::kMaxRadius;
    module.attr("MAX_HYPER") = ugicm::kMaxHyperValue;
    module.attr("MAX_RESIDUAL") = ugicm::kMaxValue;
    module.attr("MAX_ACTIVATION") = ugicm::kMaxActivation;
    module.attr("MAX_SHIFT") = ugicm::kMaxShift;
    module.attr("MAX_CHANNELS") = ugicm::kMaxChannels;
    module.attr("MAX_QUALITIES") = ugicm::kMaxQualities;
    module.attr("QUALITY_STEPS") = ugicm::kQualitySteps;
    module.def("crc32c", &crc32c, py::arg("data"), py::arg("crc") = 0,
               "CRC-32C of a buffer of bytes; `crc` continues the checksum of the bytes before it.");
    py::class_<EntropyModel>(module, "EntropyModel",
                             "A parsed entropy.bin. Immutable: threads may share it, and every call releases the GIL.\n"
                             "No other thread may write to the arrays of a call before it returns.\n\n"
                             "Wrong dtypes raise TypeError, wrong shapes and ranges ValueError.")
        .def(py::init(&open_model), py::arg("data"), "Parse the bytes of entropy.bin. Raises ModelError.")
        .def_property_readonly("hyper_channels", &hyper_channels, "Z, channels of the hyper latent.")
        .def_property_readonly("latent_channels", &latent_channels, "M, channels of the latent.")
        .def_property_readonly(
            "qualities", [](const EntropyModel& model) { return model.size().qualities; },
            "Q, number of whole quality levels; a quality is 0..Q-1 in steps of 1/8.")
        .def("scale_indexes", &scale_indexes, py::arg("z"), py::arg("quality"),
             "z int16 (Z, hz, wz), clamped to [-127, 127] -> uint8 (M, 4 hz, 4 wz), 0..63.")
        .def("encode_hyper", &encode_hyper, py::arg("z"), py::arg("quality"), "z int16 (Z, hz, wz) in [-127, 127] -> bytes.")
        .def("decode_hyper", &decode_hyper, py::arg("data"), py::arg("hz"), py::arg("wz"), py::arg("quality"),
             "Bytes of encode_hyper -> z int16 (Z, hz, wz). Raises StreamError.")
        .def("encode_residual", &encode_residual, py::arg("r"), py::arg("scale_indexes"),
             "r int16 (M, rows, columns) in [-32767, 32767], scale_indexes uint8 of that shape -> bytes.\n\n"
             "A row band r[:, a:b] is read in place. Raises StreamError in the rare case that the symbols have no code.")
        .def("decode_residual", &decode_residual, py::arg("data"), py::arg("scale_indexes"),
             "Bytes of encode_residual and the same scale_indexes -> r int16 (M, rows, columns). Raises StreamError.");
}
