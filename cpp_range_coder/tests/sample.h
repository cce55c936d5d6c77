// A small deterministic generator and a valid entropy.bin made without floats, for tests and fuzz targets.
#pragma once

#include <cstdint>
#include <vector>

#include "ugicm/crc32c.h"
#include "ugicm/entropy_model.h"
#include "ugicm/scale_network.h"
#include "ugicm/tables.h"

namespace ugicm_test {

using Bytes = std::vector<std::uint8_t>;

// splitmix64 (Steele, Lea and Flood, 2014).
class Random {
public:
    explicit Random(std::uint64_t seed) : state_(seed) {}

    std::uint64_t next() {
        std::uint64_t z = (state_ += 0x9E3779B97F4A7C15u);
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
        return z ^ (z >> 31);
    }

    std::size_t below(std::size_t limit) { return static_cast<std::size_t>(next() % limit); }

private:
    std::uint64_t state_;
};

inline void put(Bytes& out, std::uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) out.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
}

inline void put_layer(Bytes& out, Random& random, std::size_t outputs, std::size_t inputs) {
    for (std::size_t i = 0; i < outputs * inputs; ++i) put(out, random.below(255) - 127, 1);
    for (std::size_t o = 0; o < outputs; ++o) put(out, random.below(20000), 4);
    for (std::size_t o = 0; o < outputs; ++o) put(out, 8, 1);
}

// Frequencies that fall off around zero; the radius grows with the index, and the last table has the largest one.
inline void put_table(Bytes& out, int index) {
    const int radius = index == ugicm::kScales - 1 ? ugicm::kMaxRadius : index / 2;
    std::vector<std::uint32_t> frequency;
    std::uint32_t total = 0;
    for (int value = -radius; value <= radius + 1; ++value) {
        const int distance = value < 0 ? -value : value;
        const int weight = distance <= radius ? 600 / (8 + index + distance * distance) : 0;
        frequency.push_back(1u + static_cast<std::uint32_t>(weight));
        total += frequency.back();
    }
    frequency[static_cast<std::size_t>(radius)] += ugicm::kTotal - total;
    put(out, static_cast<std::uint64_t>(radius), 1);
    for (const std::uint32_t f : frequency) put(out, f, 2);
}

struct SampleSize {
    std::size_t qualities = 3;
    std::size_t hyper = 2;
    std::size_t wide = 3;
    std::size_t narrow = 2;
    std::size_t latent = 4;
};

inline void seal(Bytes& file) { put(file, ugicm::crc32c(file.data(), file.size()), 4); }

inline Bytes sample_model(std::uint64_t seed, const SampleSize& size = {}) {
    Random random(seed);
    Bytes out = {0x8B, 'U', 'G', 'E', '\r', '\n', 0x1A, '\n'};
    for (const int value : {int{ugicm::kModelVersion}, int{ugicm::kPrecision}, int{ugicm::kBlock}, int{ugicm::kScales}, 5, 9}) {
        put(out, static_cast<std::uint64_t>(value), 1);
    }
    for (const std::size_t n : {size.qualities, size.hyper, size.wide, size.narrow, size.latent}) put(out, n, 2);
    for (int index = 0; index < ugicm::kScales; ++index) put_table(out, index);
    for (std::size_t context = 0; context < 5; ++context) put(out, 2040 - 200 * context, 2);
    for (std::size_t i = 0; i < size.qualities * size.hyper; ++i) put(out, random.below(64), 1);
    put_layer(out, random, size.wide, size.hyper);
    put_layer(out, random, size.wide, 9);
    put_layer(out, random, 16 * size.narrow, size.wide);
    put_layer(out, random, size.narrow, 9);
    put_layer(out, random, size.latent, size.narrow);
    for (std::size_t i = 0; i < size.qualities * size.latent; ++i) put(out, random.below(4000), 4);
    seal(out);
    return out;
}

}  // namespace ugicm_test
