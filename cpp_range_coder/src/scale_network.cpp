#include "ugicm/scale_network.h"

#include <algorithm>

#include "scale_network_kernels.h"

namespace ugicm {
namespace {

// A zeroed pixel-major map, with spare pixels so that a last group of kPixelGroup stays inside.
struct Map {
    std::size_t height;
    std::size_t width;
    std::size_t row;
    std::vector<std::int16_t> data;

    Map(std::size_t map_height, std::size_t map_width, std::size_t channels)
        : height(map_height), width(map_width), row(padded(channels)), data((height * width + kPixelGroup - 1) * row, 0) {}

    std::int16_t* pixel(std::size_t index) { return data.data() + index * row; }
    const std::int16_t* pixel(std::size_t index) const { return data.data() + index * row; }
    std::size_t pixels() const { return height * width; }
};

// Runs a pointwise layer; store(pixel, sums of that pixel with bias) is called once per pixel in order.
template <typename Store>
void pointwise(const Layer& layer, const std::int32_t* bias, const Map& in, Store store) {
    std::vector<std::int32_t> sums(layer.outputs * kPixelGroup);
    std::vector<std::int32_t> own(layer.outputs);
    for (std::size_t first = 0; first < in.pixels(); first += kPixelGroup) {
        dot_rows(in.pixel(first), layer.weight.data(), layer.row, layer.outputs, sums.data());
        const std::size_t count = std::min(kPixelGroup, in.pixels() - first);
        for (std::size_t p = 0; p < count; ++p) {
            for (std::size_t o = 0; o < layer.outputs; ++o) own[o] = sums[o * kPixelGroup + p] + bias[o];
            store(first + p, own.data());
        }
    }
}

void depthwise(const Layer& layer, const Map& in, Map& out) {
    std::vector<std::int32_t> sums(layer.outputs);
    for (std::size_t y = 0; y < in.height; ++y) {
        for (std::size_t x = 0; x < in.width; ++x) {
            std::copy_n(layer.bias.data(), layer.outputs, sums.data());
            for (std::size_t tap = 0; tap < 9; ++tap) {
                const std::size_t row = y + tap / 3;  // one more than the row read, so that nothing is negative
                const std::size_t column = x + tap % 3;
                if (row == 0 || row > in.height || column == 0 || column > in.width) continue;
                const std::size_t neighbour = (row - 1) * in.width + column - 1;
                add_tap(in.pixel(neighbour), layer.weight.data() + tap * layer.row, layer.outputs, sums.data());
            }
            requantise(sums.data(), layer.shift.data(), layer.outputs, out.pixel(y * in.width + x));
        }
    }
}

Map load_hyper(const std::int16_t* z, std::size_t channels, std::size_t height, std::size_t width) {
    Map map(height, width, channels);
    for (std::size_t c = 0; c < channels; ++c) {
        for (std::size_t p = 0; p < map.pixels(); ++p) {
            const int value = z[c * map.pixels() + p];
            map.pixel(p)[c] = static_cast<std::int16_t>(std::min(std::max(value, -kMaxHyperValue), kMaxHyperValue));
        }
    }
    return map;
}

// Collects the indexes of kTile consecutive pixels and copies them out as runs, one per channel: single bytes written a plane
// apart would fall into the same few cache sets.
class IndexWriter {
public:
    IndexWriter(std::uint8_t* out, std::size_t channels, std::size_t plane)
        : out_(out), channels_(channels), plane_(plane), tile_(channels * kTile) {}

    // Pixels must come in order, 0..plane - 1.
    void add(std::size_t pixel, const std::int32_t* sums, const std::uint8_t* shift) {
        const std::size_t column = pixel % kTile;
        for (std::size_t c = 0; c < channels_; ++c) {
            const std::int32_t value = sums[c] >> shift[c];
            tile_[c * kTile + column] = static_cast<std::uint8_t>(std::min(std::max(value, 0), kMaxIndex));
        }
        if (column + 1 < kTile && pixel + 1 < plane_) return;
        for (std::size_t c = 0; c < channels_; ++c) {
            std::copy_n(tile_.data() + c * kTile, column + 1, out_ + c * plane_ + pixel - column);
        }
    }

private:
    static constexpr std::size_t kTile = 64;
    std::uint8_t* out_;
    std::size_t channels_;
    std::size_t plane_;
    std::vector<std::uint8_t> tile_;
};

}  // namespace

void ScaleNetwork::run(const std::int16_t* z, std::size_t height, std::size_t width, std::size_t quality,
                       std::uint8_t* out) const {
    const Map hyper = load_hyper(z, size_.hyper, height, width);
    Map wide(height, width, size_.wide);
    pointwise(expand_, expand_.bias.data(), hyper, [&](std::size_t pixel, const std::int32_t* sums) {
        requantise(sums, expand_.shift.data(), size_.wide, wide.pixel(pixel));
    });
    Map mixed(height, width, size_.wide);
    depthwise(wide_mix_, wide, mixed);
    Map narrow(height * kUpsampling, width * kUpsampling, size_.narrow);
    pointwise(shuffle_, shuffle_.bias.data(), mixed, [&](std::size_t pixel, const std::int32_t* sums) {
        const std::size_t y = pixel / width * kUpsampling;
        const std::size_t x = pixel % width * kUpsampling;
        for (std::size_t s = 0; s < kUpsampling * kUpsampling; ++s) {
            const std::size_t target = (y + s / kUpsampling) * narrow.width + x + s % kUpsampling;
            requantise(sums + s * size_.narrow, shuffle_.shift.data() + s * size_.narrow, size_.narrow, narrow.pixel(target));
        }
    });
    Map final_map(narrow.height, narrow.width, size_.narrow);
    depthwise(narrow_mix_, narrow, final_map);
    std::vector<std::int32_t> bias = head_.bias;
    for (std::size_t c = 0; c < size_.latent; ++c) bias[c] += at_quality(quality_bias_, size_.latent, quality, c);
    IndexWriter writer(out, size_.latent, final_map.pixels());
    pointwise(head_, bias.data(), final_map, [&](std::size_t pixel, const std::int32_t* sums) {
        writer.add(pixel, sums, head_.shift.data());
    });
}

}  // namespace ugicm
