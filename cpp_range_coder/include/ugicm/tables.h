// Static frequency tables: one per scale index, plus the zero-block flags. docs/entropy.md defines them.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "ugicm/byte_reader.h"
#include "ugicm/status.h"

namespace ugicm {

constexpr int kPrecision = 11;                       // every table sums to 1 << kPrecision
constexpr std::uint32_t kTotal = 1u << kPrecision;
constexpr int kScales = 64;                          // number of scale indexes
constexpr int kBlock = 16;                           // symbols under one zero-block flag
constexpr int kMaxRadius = 255;                      // a table covers [-radius, radius] at most this far
constexpr int kEscape = -512;                        // symbol field of an escape slot; outside every radius

// Coder interval [start, start + frequency) of one symbol.
struct Interval {
    std::uint16_t start;
    std::uint16_t frequency;
};

struct Tables {
    // Decoder: entry [index << kPrecision | slot] = symbol << 22 | (slot - start) << 11 | frequency, all that one step needs.
    std::vector<std::uint32_t> slots;
    // Encoder: interval of value v is intervals[offset[index] + radius[index] + v]; the escape's follows that of +radius.
    std::vector<Interval> intervals;
    std::array<std::uint32_t, kScales> offset{};
    std::array<int, kScales> radius{};
    // Blocks whose largest index is below flag_zero.size() carry a flag; entry = frequency of "all zero".
    std::vector<std::uint16_t> flag_zero;
    // Inside a flagged block that is not all zero, smaller indexes are raised to this one.
    std::uint8_t lift = 0;

    // Reads 64 tables and then `flag_contexts` flag frequencies.
    Status parse(ByteReader& reader, int flag_contexts, std::uint8_t lift_index);
};

}  // namespace ugicm
