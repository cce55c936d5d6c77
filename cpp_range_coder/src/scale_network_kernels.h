// Inner loops of the scale network over pixel-major maps: element (pixel, channel) at pixel * padded(channels) + channel.
// Padding channels are zero. All sums are exact in 32 bits (see prove_layer), so any vectorisation gives the same result.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ugicm/scale_network.h"

namespace ugicm {

constexpr std::size_t kPixelGroup = 4;  // pixels per call of dot_rows; shares each weight load

constexpr std::size_t padded(std::size_t channels) { return (channels + 15) / 16 * 16; }

// sums[o * kPixelGroup + p] = sum over i < row of in[p * row + i] * weight[o * row + i], for kPixelGroup pixels.
void dot_rows(const std::int16_t* in, const std::int16_t* weight, std::size_t row, std::size_t outputs, std::int32_t* sums);

// sums[c] += in[c] * weight[c].
void add_tap(const std::int16_t* in, const std::int16_t* weight, std::size_t channels, std::int32_t* sums);

// out[c] = clip(sums[c] >> shift[c], 0, kMaxActivation).
void requantise(const std::int32_t* sums, const std::uint8_t* shift, std::size_t channels, std::int16_t* out);

}  // namespace ugicm
