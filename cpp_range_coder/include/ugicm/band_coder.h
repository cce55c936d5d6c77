// Entropy coding of one band of symbols: interleaved static-table rANS, zero-block flags and escapes. docs/entropy.md is the
// specification.
//
// Stream of a band (little-endian), empty when the band has no symbols:
//   4 bytes per lane   coder states after encoding, each >= kLow
//   2 bytes each       words in the order in which the decoder takes them
// Decoding runs through three phases, each over the whole band: zero-block flags, symbols of the blocks that are not all zero,
// raw bits of the escapes. It must end with every word taken and every state back at kLow.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "ugicm/status.h"
#include "ugicm/tables.h"

namespace ugicm {

constexpr std::uint32_t kLow = 1u << 16;               // states live in [kLow, kLow << 16)
constexpr std::size_t kLanes = 4;                      // interleaved states of a long stream
constexpr std::size_t kSmallStream = 8192;             // a stream with fewer bytes has a single state
constexpr std::uint32_t kEscapeFieldBits = 5;          // four bits of offset size, one sign bit
constexpr int kMaxValue = 32767;                       // largest magnitude of a symbol
constexpr std::size_t kMaxSymbols = std::size_t{1} << 31;

// A band of `channels` planes of `plane` contiguous elements; consecutive planes start `..._stride` elements apart.
struct BandShape {
    std::size_t channels;
    std::size_t plane;
    std::size_t symbol_stride;
    std::size_t index_stride;

    std::size_t symbols() const { return channels * plane; }

    // Whether every position of both arrays is below kMaxSymbols.
    bool valid() const {
        const std::size_t stride = std::max({plane, symbol_stride, index_stride, std::size_t{1}});
        return stride < kMaxSymbols && channels <= kMaxSymbols / stride;
    }
};

// Decodes `size` bytes into `symbols`. kArgument: too many symbols or an index above 63. After an error `symbols` is unspecified.
// Every decoded value is in [-limit, limit], 0 <= limit <= 32767.
Status decode_band(const Tables& tables, const std::uint8_t* data, std::size_t size, const std::uint8_t* indexes,
                   std::int16_t* symbols, const BandShape& shape, int limit);

// Replaces `stream` by the code of `symbols`. kArgument: too many symbols, an index above 63, or a value outside [-limit, limit].
Status encode_band(const Tables& tables, const std::int16_t* symbols, const std::uint8_t* indexes, const BandShape& shape,
                   int limit, std::vector<std::uint8_t>& stream);

}  // namespace ugicm
