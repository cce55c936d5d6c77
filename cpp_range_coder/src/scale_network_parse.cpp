// Reading the layers of entropy.bin and proving that their sums fit 32 bits.
#include <algorithm>
#include <cstdlib>

#include "scale_network_kernels.h"
#include "ugicm/scale_network.h"

namespace ugicm {
namespace {

constexpr std::size_t kTaps = 9;
constexpr std::int64_t kSumLimit = std::int64_t{1} << 31;

enum class Kind { kPointwise, kDepthwise };

struct LayerPlan {
    Kind kind;
    std::size_t inputs;   // per output channel: input channels, or nine taps
    std::size_t outputs;
    std::int64_t maximum_input;
};

// Position in Layer::weight of input `i` of output `o`.
std::size_t weight_place(const Layer& layer, Kind kind, std::size_t o, std::size_t i) {
    return kind == Kind::kPointwise ? o * layer.row + i : i * layer.row + o;
}

std::int32_t rounding(std::uint8_t shift) { return shift == 0 ? 0 : std::int32_t{1} << (shift - 1); }

// Reads weights, biases and shifts; the rounding term stays apart until prove_layer has seen the exact bias.
Status parse_layer(ByteReader& reader, const LayerPlan& plan, Layer& layer) {
    const std::size_t rows = plan.kind == Kind::kPointwise ? plan.outputs : kTaps;
    layer.outputs = plan.outputs;
    layer.row = padded(plan.kind == Kind::kPointwise ? plan.inputs : plan.outputs);
    const std::uint8_t* weights = reader.take(plan.outputs * plan.inputs);
    if (weights == nullptr) return Status::kModelTruncated;
    layer.weight.assign(rows * layer.row, 0);
    for (std::size_t o = 0; o < plan.outputs; ++o) {
        for (std::size_t i = 0; i < plan.inputs; ++i) {
            const auto weight = static_cast<std::int8_t>(weights[o * plan.inputs + i]);
            if (weight == -128) return Status::kModelWeight;
            layer.weight[weight_place(layer, plan.kind, o, i)] = weight;
        }
    }
    layer.bias.resize(plan.outputs);
    for (std::int32_t& bias : layer.bias) bias = reader.i32();
    layer.shift.resize(plan.outputs);
    for (std::uint8_t& shift : layer.shift) {
        shift = reader.u8();
        if (shift > kMaxShift) return Status::kModelShift;
    }
    return reader.failed() ? Status::kModelTruncated : Status::kOk;
}

// Proves sum|w| * maximum_input + |bias| + extra + rounding < 2^31 for every output, then folds the rounding into the bias.
// Every partial sum in any order is bounded by the same number, so vectorised kernels are safe too.
Status prove_layer(const LayerPlan& plan, const std::vector<std::int64_t>& extra, Layer& layer) {
    for (std::size_t o = 0; o < plan.outputs; ++o) {
        std::int64_t total = 0;
        for (std::size_t i = 0; i < plan.inputs; ++i) {
            total += std::abs(static_cast<int>(layer.weight[weight_place(layer, plan.kind, o, i)]));
        }
        total = total * plan.maximum_input + std::abs(static_cast<std::int64_t>(layer.bias[o])) + rounding(layer.shift[o]);
        if (!extra.empty()) total += extra[o];
        if (total >= kSumLimit) return Status::kModelOverflow;
        layer.bias[o] += rounding(layer.shift[o]);
    }
    return Status::kOk;
}

// Moves output channel c * 16 + s of the file to row s * narrow + c.
void reorder_shuffle(Layer& layer, std::size_t narrow) {
    constexpr std::size_t positions = kUpsampling * kUpsampling;
    const Layer source = layer;
    for (std::size_t c = 0; c < narrow; ++c) {
        for (std::size_t s = 0; s < positions; ++s) {
            const std::size_t from = c * positions + s;
            const std::size_t to = s * narrow + c;
            std::copy_n(source.weight.data() + from * layer.row, layer.row, layer.weight.data() + to * layer.row);
            layer.bias[to] = source.bias[from];
            layer.shift[to] = source.shift[from];
        }
    }
}

}  // namespace

bool NetworkSize::valid() const {
    const auto within = [](std::size_t value, std::size_t limit) { return value >= 1 && value <= limit; };
    return within(hyper, kMaxChannels) && within(wide, kMaxChannels) && within(narrow, kMaxChannels) &&
           within(latent, kMaxChannels) && within(qualities, kMaxQualities);
}

Status ScaleNetwork::parse(ByteReader& reader, const NetworkSize& size) {
    if (!size.valid()) return Status::kModelSize;
    size_ = size;
    constexpr std::size_t positions = kUpsampling * kUpsampling;
    const LayerPlan plans[5] = {
        {Kind::kPointwise, size.hyper, size.wide, kMaxHyperValue},
        {Kind::kDepthwise, kTaps, size.wide, kMaxActivation},
        {Kind::kPointwise, size.wide, positions * size.narrow, kMaxActivation},
        {Kind::kDepthwise, kTaps, size.narrow, kMaxActivation},
        {Kind::kPointwise, size.narrow, size.latent, kMaxActivation},
    };
    Layer* const layers[5] = {&expand_, &wide_mix_, &shuffle_, &narrow_mix_, &head_};
    for (std::size_t i = 0; i < 5; ++i) {
        const Status status = parse_layer(reader, plans[i], *layers[i]);
        if (status != Status::kOk) return status;
    }
    quality_bias_.resize(size.qualities * size.latent);
    std::vector<std::int64_t> extra(size.latent, 0);
    for (std::size_t i = 0; i < quality_bias_.size(); ++i) {
        quality_bias_[i] = reader.i32();
        std::int64_t& largest = extra[i % size.latent];
        largest = std::max(largest, std::abs(static_cast<std::int64_t>(quality_bias_[i])));
    }
    if (reader.failed()) return Status::kModelTruncated;
    for (std::size_t i = 0; i < 5; ++i) {
        const Status status = prove_layer(plans[i], i == 4 ? extra : std::vector<std::int64_t>{}, *layers[i]);
        if (status != Status::kOk) return status;
    }
    reorder_shuffle(shuffle_, size.narrow);
    return Status::kOk;
}

}  // namespace ugicm
