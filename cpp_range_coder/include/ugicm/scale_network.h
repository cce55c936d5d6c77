// The integer scale network: hyper latent z -> scale indexes. Exact by construction; docs/entropy.md gives the arithmetic.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "ugicm/byte_reader.h"
#include "ugicm/status.h"

namespace ugicm {

constexpr int kMaxHyperValue = 127;   // |z|
constexpr int kMaxActivation = 255;
constexpr int kMaxIndex = 63;
constexpr int kMaxShift = 24;
constexpr std::size_t kMaxChannels = 1024;
constexpr std::size_t kMaxQualities = 256;
constexpr std::size_t kQualitySteps = 8;  // qualities are counted in eighths: whole ones are stored, others lie between two
constexpr std::size_t kUpsampling = 4;// the pixel shuffle between z and the latent

// Channel counts of an entropy.bin: hyper, wide, narrow and latent channels, and quality levels.
struct NetworkSize {
    std::size_t hyper;
    std::size_t wide;
    std::size_t narrow;
    std::size_t latent;
    std::size_t qualities;

    bool valid() const;
    // Number of qualities in eighths: 0 .. 8 (qualities - 1), counted.
    std::size_t quality_count() const { return kQualitySteps * (qualities - 1) + 1; }
};

// Entry `column` of a table (qualities, width) at a quality in eighths: (low * (8 - share) + high * share + 4) >> 3 between the
// two whole qualities around it, the stored value itself at a whole one. Never beyond the larger of both in size.
template <typename Value>
std::int32_t at_quality(const std::vector<Value>& table, std::size_t width, std::size_t quality, std::size_t column) {
    const std::size_t place = quality / kQualitySteps * width + column;
    const auto share = static_cast<std::int64_t>(quality % kQualitySteps);
    if (share == 0) return table[place];
    constexpr auto steps = static_cast<std::int64_t>(kQualitySteps);
    const std::int64_t sum = table[place] * (steps - share) + table[place + width] * share;
    return static_cast<std::int32_t>((sum + steps / 2) >> 3);
}

// One layer: out = clip((sum weight * in + bias [+ quality bias] + rounding) >> shift, 0, maximum).
// Weights are held as 16-bit rows of `row` elements, zero-padded to a multiple of 16 (pointwise: one row per output channel;
// depthwise: one row per tap). `bias` already holds the rounding term.
struct Layer {
    std::size_t outputs = 0;
    std::size_t row = 0;
    std::vector<std::int16_t> weight;
    std::vector<std::int32_t> bias;
    std::vector<std::uint8_t> shift;
};

class ScaleNetwork {
public:
    // Reads the five layers and the quality bias, and proves that no sum can leave 32 bits.
    Status parse(ByteReader& reader, const NetworkSize& size);

    // z: (hyper, height, width), clamped here to [-127, 127]; out: (latent, 4 height, 4 width), 0..63.
    // quality in eighths, less than quality_count().
    void run(const std::int16_t* z, std::size_t height, std::size_t width, std::size_t quality, std::uint8_t* out) const;

private:
    NetworkSize size_{};
    Layer expand_;         // 1x1, hyper -> wide
    Layer wide_mix_;       // 3x3 depthwise
    Layer shuffle_;        // 1x1, wide -> 16 * narrow, rows reordered so that a sub-pixel's channels are adjacent
    Layer narrow_mix_;     // 3x3 depthwise
    Layer head_;           // 1x1, narrow -> latent
    std::vector<std::int32_t> quality_bias_;  // (qualities, latent)
};

}  // namespace ugicm
