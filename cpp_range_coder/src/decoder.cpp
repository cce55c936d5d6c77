#include <algorithm>
#include <array>
#include <cstdlib>

#include "blocks.h"
#include "ugicm/band_coder.h"

namespace ugicm {
namespace {

constexpr std::uint32_t kMask = kTotal - 1;

std::uint32_t load16(const std::uint8_t* p) { return static_cast<std::uint32_t>(p[0] | (p[1] << 8)); }

// The states and the read position of one stream. Reading past the end sets `truncated` and goes on with harmless values.
template <std::size_t Lanes>
struct Reader {
    std::array<std::uint32_t, Lanes> state{};
    const std::uint8_t* next = nullptr;
    const std::uint8_t* end = nullptr;
    bool truncated = false;

    Status open(const std::uint8_t* data, std::size_t size) {
        if (size < 4 * Lanes || size % 2 != 0) return Status::kBadLength;
        for (std::uint32_t& x : state) {
            x = load16(data) | (load16(data + 2) << 16);
            if (x < kLow) return Status::kBadState;
            data += 4;
        }
        next = data;
        end = data + (size - 4 * Lanes);
        return Status::kOk;
    }

    std::size_t words_left() const { return static_cast<std::size_t>(end - next) / 2; }

    void refill(std::uint32_t& x) {
        if (x >= kLow) return;
        if (next == end) {
            truncated = true;
            return;
        }
        x = (x << 16) | load16(next);
        next += 2;
    }

    std::uint32_t raw_bits(std::uint32_t bits) {
        std::uint32_t& x = state[0];
        const std::uint32_t value = x & ((1u << bits) - 1);
        x >>= bits;
        refill(x);
        return value;
    }

    Status close() const {
        if (truncated) return Status::kTruncated;
        if (next != end) return Status::kTrailing;
        for (std::uint32_t x : state) {
            if (x != kLow) return Status::kFinalState;
        }
        return Status::kOk;
    }
};

// Phase 1: reads the flags and lists the blocks that are not all zero. The n-th flag of the band uses lane n modulo Lanes.
template <std::size_t Lanes>
Status read_flags(const Tables& tables, Reader<Lanes>& reader, const std::uint8_t* indexes, const BandShape& shape,
                  BlockList& blocks) {
    const std::size_t contexts = tables.flag_zero.size();
    std::size_t flags = 0;
    for (std::size_t channel = 0; channel < shape.channels; ++channel) {
        const std::uint8_t* plane = indexes + channel * shape.index_stride;
        for (std::size_t first = 0; first < shape.plane; first += kBlock) {
            const std::size_t count = std::min<std::size_t>(kBlock, shape.plane - first);
            const std::size_t symbols = channel * shape.symbol_stride + first;
            const std::uint8_t context = largest_index(plane + first, count, contexts);
            if (context >= contexts) {
                if (context >= kScales) return Status::kArgument;
                blocks.add(plane + first, symbols, count);
                continue;
            }
            std::uint32_t& x = reader.state[flags++ % Lanes];
            const std::uint32_t zero = tables.flag_zero[context];
            const std::uint32_t slot = x & kMask;
            if (slot < zero) {
                x = zero * (x >> kPrecision) + slot;
            } else {
                x = (kTotal - zero) * (x >> kPrecision) + slot - zero;
                blocks.add_lifted(plane + first, symbols, count, tables.lift);
            }
            reader.refill(x);
        }
    }
    return Status::kOk;
}

// One rANS step without renormalisation (Duda 2013): x <- frequency * floor(x / total) + slot - start; returns the symbol.
inline std::int16_t take_symbol(const std::uint32_t* slots, std::uint8_t index, std::uint32_t& x) {
    const std::uint32_t entry = slots[(static_cast<std::uint32_t>(index) << kPrecision) | (x & kMask)];
    x = (entry & kMask) * (x >> kPrecision) + ((entry >> kPrecision) & kMask);
    return static_cast<std::int16_t>(static_cast<std::int32_t>(entry) >> 22);
}

// Full blocks from `block` on, while at least kBlock words are left, so that no read needs a check; returns the first block it
// leaves. The states live in registers and refills are free of branches, since no processor can predict them.
template <std::size_t Lanes>
const Block* read_full_blocks(const std::uint32_t* slots, Reader<Lanes>& reader, const Block* block, const Block* end,
                              std::int16_t* symbols) {
    std::array<std::uint32_t, Lanes> state = reader.state;
    const std::uint8_t* next = reader.next;
    const std::uint8_t* const stop = reader.words_left() < kBlock ? next : reader.end - (2 * kBlock - 1);
    for (; block != end && block->count == kBlock && next < stop; ++block) {
        const std::uint8_t* indexes = block->indexes;
        std::int16_t* out = symbols + block->symbols;
        for (std::size_t i = 0; i < kBlock; i += Lanes) {
            for (std::size_t lane = 0; lane < Lanes; ++lane) {
                std::uint32_t x = state[lane];
                out[i + lane] = take_symbol(slots, indexes[i + lane], x);
                const std::uint32_t low = 0u - static_cast<std::uint32_t>(x < kLow);  // all ones when a refill is due
                const std::uint32_t refilled = (x << 16) | load16(next);
                state[lane] = x ^ ((x ^ refilled) & low);
                next += low & 2u;
            }
        }
    }
    reader.state = state;
    reader.next = next;
    return block;
}

// Phase 2: symbol i of a block uses lane i modulo Lanes.
template <std::size_t Lanes>
void read_symbols(const Tables& tables, Reader<Lanes>& reader, const BlockList& blocks, std::int16_t* symbols) {
    const std::uint32_t* slots = tables.slots.data();
    for (const Block* block = blocks.begin(); block != blocks.end(); ++block) {
        block = read_full_blocks(slots, reader, block, blocks.end(), symbols);
        if (block == blocks.end()) return;
        for (std::size_t i = 0; i < block->count; ++i) {
            std::uint32_t& x = reader.state[i % Lanes];
            symbols[block->symbols + i] = take_symbol(slots, block->indexes[i], x);
            reader.refill(x);
        }
        if (reader.truncated) return;
    }
}

// Replaces one escape marker. The offset |value| - radius is sent as its bit count less one, the sign, and the bits below its
// leading one (Elias gamma with a binary prefix).
template <std::size_t Lanes>
Status read_escape(Reader<Lanes>& reader, int radius, int limit, std::int16_t& value) {
    const std::uint32_t field = reader.raw_bits(kEscapeFieldBits);
    const std::uint32_t bits = field >> 1;
    const int magnitude = radius + static_cast<int>((1u << bits) | reader.raw_bits(bits));
    if (reader.truncated) return Status::kTruncated;
    if (magnitude > limit) return Status::kValueRange;
    value = static_cast<std::int16_t>((field & 1u) != 0 ? -magnitude : magnitude);
    return Status::kOk;
}

// Whether a block holds an escape marker or, where a table reaches beyond `limit`, a value that is too large.
bool needs_attention(const std::int16_t* values, std::size_t count, int limit) {
    int found = 0;
    if (count == kBlock && limit >= kMaxRadius) {
        for (std::size_t i = 0; i < kBlock; ++i) found |= values[i] == kEscape;
    } else {
        for (std::size_t i = 0; i < count; ++i) found |= values[i] > limit || values[i] < -limit || values[i] == kEscape;
    }
    return found != 0;
}

// Phase 3: the escapes, in the order of their symbols.
template <std::size_t Lanes>
Status read_escapes(const Tables& tables, Reader<Lanes>& reader, const BlockList& blocks, std::int16_t* symbols, int limit) {
    for (const Block& block : blocks) {
        std::int16_t* values = symbols + block.symbols;
        if (!needs_attention(values, block.count, limit)) continue;
        for (std::size_t i = 0; i < block.count; ++i) {
            if (values[i] == kEscape) {
                const Status status = read_escape(reader, tables.radius[block.indexes[i]], limit, values[i]);
                if (status != Status::kOk) return status;
            } else if (std::abs(values[i]) > limit) {
                return Status::kValueRange;
            }
        }
    }
    return Status::kOk;
}

template <std::size_t Lanes>
Status decode(const Tables& tables, const std::uint8_t* data, std::size_t size, const std::uint8_t* indexes,
              std::int16_t* symbols, const BandShape& shape, int limit) {
    Reader<Lanes> reader;
    Status status = reader.open(data, size);
    if (status != Status::kOk) return status;
    for (std::size_t channel = 0; channel < shape.channels; ++channel) {
        std::fill_n(symbols + channel * shape.symbol_stride, shape.plane, std::int16_t{0});
    }
    BlockList blocks;
    blocks.reserve(shape);
    status = read_flags(tables, reader, indexes, shape, blocks);
    if (status != Status::kOk) return status;
    read_symbols(tables, reader, blocks, symbols);
    if (reader.truncated) return Status::kTruncated;
    status = read_escapes(tables, reader, blocks, symbols, limit);
    if (status != Status::kOk) return status;
    return reader.close();
}

}  // namespace

Status decode_band(const Tables& tables, const std::uint8_t* data, std::size_t size, const std::uint8_t* indexes,
                   std::int16_t* symbols, const BandShape& shape, int limit) {
    if (!shape.valid() || limit < 0 || limit > kMaxValue) return Status::kArgument;
    const std::size_t total = shape.symbols();
    if (total == 0) return size == 0 ? Status::kOk : Status::kTrailing;
    if (size < kSmallStream) return decode<1>(tables, data, size, indexes, symbols, shape, limit);
    return decode<kLanes>(tables, data, size, indexes, symbols, shape, limit);
}

}  // namespace ugicm
