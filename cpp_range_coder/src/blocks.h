// Division of a band into blocks, shared by the encoder and the decoder.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "ugicm/band_coder.h"

namespace ugicm {

// A block whose symbols are coded one by one.
struct Block {
    const std::uint8_t* indexes;  // scale index of each symbol, after lifting
    std::uint32_t symbols;        // position of the first symbol in the caller's array
    std::uint32_t count;          // 1..kBlock
};

// Largest scale index of a block, which is also the context of its flag. A block without a flag, whose maximum is in
// [contexts, kScales), may yield any value of that range.
inline std::uint8_t largest_index(const std::uint8_t* indexes, std::size_t count, std::size_t contexts) {
    if (count == kBlock && contexts <= kScales) {
        // Eight indexes per word. Adding 128 - contexts sets the top bit of each byte that is at least `contexts`; no byte
        // overflows, because both top bits are known to be clear.
        constexpr std::uint64_t ones = 0x0101010101010101u;
        std::uint64_t low = 0;
        std::uint64_t high = 0;
        std::memcpy(&low, indexes, sizeof low);
        std::memcpy(&high, indexes + sizeof low, sizeof high);
        const std::uint64_t add = ones * (128 - contexts);
        const bool small = ((low | high) & (ones * 0xC0)) == 0;
        if (small && (((low + add) | (high + add)) & (ones * 0x80)) != 0) return kScales - 1;
    }
    std::uint8_t largest = 0;
    for (std::size_t i = 0; i < count; ++i) largest = std::max(largest, indexes[i]);
    return largest;
}

// The blocks to code, with the storage of their lifted indexes. Appending never throws: reserve() allocates for the worst case.
class BlockList {
public:
    void reserve(const BandShape& shape) {
        const std::size_t per_plane = (shape.plane + kBlock - 1) / kBlock;
        blocks_.resize(per_plane * shape.channels);
        lifted_.resize(per_plane * shape.channels * kBlock);
    }

    void add(const std::uint8_t* indexes, std::size_t symbols, std::size_t count) {
        blocks_[used_++] = {indexes, static_cast<std::uint32_t>(symbols), static_cast<std::uint32_t>(count)};
    }

    void add_lifted(const std::uint8_t* indexes, std::size_t symbols, std::size_t count, std::uint8_t lift) {
        std::uint8_t* copy = lifted_.data() + used_ * kBlock;
        for (std::size_t i = 0; i < count; ++i) copy[i] = std::max(indexes[i], lift);
        add(copy, symbols, count);
    }

    const Block* begin() const { return blocks_.data(); }
    const Block* end() const { return blocks_.data() + used_; }

private:
    std::vector<Block> blocks_;
    std::vector<std::uint8_t> lifted_;
    std::size_t used_ = 0;
};

}  // namespace ugicm
