// The parsed entropy.bin: frequency tables, hyper-latent indexes and the scale network. Immutable after parse, so that any
// number of threads may use one object. docs/entropy.md gives the byte table.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "ugicm/band_coder.h"
#include "ugicm/scale_network.h"
#include "ugicm/status.h"
#include "ugicm/tables.h"

namespace ugicm {

constexpr std::uint8_t kModelVersion = 2;                     // of entropy.bin
constexpr std::size_t kMaxMapPixels = std::size_t{1} << 24;  // hyper-latent positions of one picture

class EntropyModel {
public:
    // Checks every field of `size` bytes. After an error the object must not be used.
    Status parse(const std::uint8_t* data, std::size_t size);

    const NetworkSize& size() const { return size_; }
    const Tables& tables() const { return tables_; }

    // Qualities are given in eighths, 0 .. 8 (qualities - 1).
    // Scale indexes (latent, 4 height, 4 width) of z (hyper, height, width). kArgument: too many positions or an unknown quality.
    Status scale_indexes(const std::int16_t* z, std::size_t height, std::size_t width, std::size_t quality,
                         std::uint8_t* out) const;

    // Codes z (hyper, height * width) with the stored index of each channel. Errors as encode_band and decode_band.
    Status encode_hyper(const std::int16_t* z, std::size_t plane, std::size_t quality,
                        std::vector<std::uint8_t>& stream) const;
    Status decode_hyper(const std::uint8_t* data, std::size_t size, std::size_t plane, std::size_t quality,
                        std::int16_t* z) const;

private:
    std::vector<std::uint8_t> hyper_indexes(std::size_t plane, std::size_t quality) const;

    NetworkSize size_{};
    Tables tables_;
    std::vector<std::uint8_t> z_index_;  // (qualities, hyper)
    ScaleNetwork network_;
};

}  // namespace ugicm
