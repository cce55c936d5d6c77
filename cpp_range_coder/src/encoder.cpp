// rANS is last in, first out: the encoder walks the decoder's three phases backwards and fills its buffer from the end.
#include <algorithm>
#include <array>
#include <cstdlib>

#include "blocks.h"
#include "ugicm/band_coder.h"

namespace ugicm {
namespace {

struct Flag {
    std::uint16_t zero;  // frequency of "all zero"
    bool coded;          // the block is not all zero
};

// What the first, forward pass over the band finds.
struct Plan {
    BlockList blocks;
    std::vector<Flag> flags;
    std::size_t words = 0;  // upper bound: one per flag and symbol, two per escape
};

bool all_zero(const std::int16_t* symbols, std::size_t count) {
    int any = 0;
    for (std::size_t i = 0; i < count; ++i) any |= symbols[i];
    return any == 0;
}

bool in_range(const std::int16_t* symbols, std::size_t count, int limit) {
    int outside = 0;
    for (std::size_t i = 0; i < count; ++i) outside |= (symbols[i] > limit) | (symbols[i] < -limit);
    return outside == 0;
}

Status make_plan(const Tables& tables, const std::int16_t* symbols, const std::uint8_t* indexes, const BandShape& shape,
                 int limit, Plan& plan) {
    plan.blocks.reserve(shape);
    plan.flags.reserve((shape.plane + kBlock - 1) / kBlock * shape.channels);
    for (std::size_t channel = 0; channel < shape.channels; ++channel) {
        const std::uint8_t* plane = indexes + channel * shape.index_stride;
        if (!in_range(symbols + channel * shape.symbol_stride, shape.plane, limit)) return Status::kArgument;
        for (std::size_t first = 0; first < shape.plane; first += kBlock) {
            const std::size_t count = std::min<std::size_t>(kBlock, shape.plane - first);
            const std::size_t position = channel * shape.symbol_stride + first;
            const std::uint8_t context = largest_index(plane + first, count, tables.flag_zero.size());
            if (context >= kScales) return Status::kArgument;
            if (context >= tables.flag_zero.size()) {
                plan.blocks.add(plane + first, position, count);
                continue;
            }
            const bool coded = !all_zero(symbols + position, count);
            plan.flags.push_back({tables.flag_zero[context], coded});
            if (coded) plan.blocks.add_lifted(plane + first, position, count, tables.lift);
        }
    }
    plan.words = plan.flags.size();
    for (const Block& block : plan.blocks) {
        for (std::size_t i = 0; i < block.count; ++i) {
            const int value = symbols[block.symbols + i];
            plan.words += std::abs(value) > tables.radius[block.indexes[i]] ? 3 : 1;
        }
    }
    return Status::kOk;
}

// States and write position; `next` moves down through a buffer that the plan made large enough.
template <std::size_t Lanes>
struct Writer {
    std::array<std::uint32_t, Lanes> state;
    std::uint8_t* next;

    explicit Writer(std::uint8_t* end) : next(end) { state.fill(kLow); }

    void put16(std::uint32_t word) {
        next -= 2;
        next[0] = static_cast<std::uint8_t>(word);
        next[1] = static_cast<std::uint8_t>(word >> 8);
    }

    void put(std::uint32_t& x, std::uint32_t start, std::uint32_t frequency) {
        if ((x >> (32 - kPrecision)) >= frequency) {
            put16(x);
            x >>= 16;
        }
        x = ((x / frequency) << kPrecision) + x % frequency + start;
    }

    void raw_bits(std::uint32_t value, std::uint32_t bits) {
        std::uint32_t& x = state[0];
        if (bits != 0 && (x >> (32 - bits)) != 0) {
            put16(x);
            x >>= 16;
        }
        x = (x << bits) | value;
    }

    void finish() {
        for (std::size_t lane = Lanes; lane-- > 0;) {
            put16(state[lane] >> 16);
            put16(state[lane]);
        }
    }
};

template <std::size_t Lanes>
void write_escape(Writer<Lanes>& writer, int value, int radius) {
    const auto offset = static_cast<std::uint32_t>(std::abs(value) - radius);
    std::uint32_t bits = 0;
    while ((offset >> bits) > 1) ++bits;
    writer.raw_bits(offset & ((1u << bits) - 1), bits);
    writer.raw_bits((bits << 1) | (value < 0 ? 1u : 0u), kEscapeFieldBits);
}

template <std::size_t Lanes, typename Visit>
void backwards(const BlockList& blocks, Visit visit) {
    for (const Block* block = blocks.end(); block != blocks.begin();) {
        --block;
        for (std::size_t i = block->count; i-- > 0;) visit(block->symbols + i, block->indexes[i], i % Lanes);
    }
}

template <std::size_t Lanes>
void encode(const Tables& tables, const std::int16_t* symbols, const Plan& plan, std::vector<std::uint8_t>& stream) {
    stream.resize(2 * plan.words + 4 * Lanes);
    Writer<Lanes> writer(stream.data() + stream.size());
    backwards<Lanes>(plan.blocks, [&](std::size_t position, std::uint8_t index, std::size_t) {
        const int value = symbols[position];
        if (std::abs(value) > tables.radius[index]) write_escape(writer, value, tables.radius[index]);
    });
    backwards<Lanes>(plan.blocks, [&](std::size_t position, std::uint8_t index, std::size_t lane) {
        const int value = symbols[position];
        const int radius = tables.radius[index];
        const int slot = std::abs(value) > radius ? 2 * radius + 1 : value + radius;
        const Interval interval = tables.intervals[tables.offset[index] + static_cast<std::uint32_t>(slot)];
        writer.put(writer.state[lane], interval.start, interval.frequency);
    });
    for (std::size_t i = plan.flags.size(); i-- > 0;) {
        const Flag flag = plan.flags[i];
        std::uint32_t& x = writer.state[i % Lanes];
        if (flag.coded) {
            writer.put(x, flag.zero, kTotal - flag.zero);
        } else {
            writer.put(x, 0, flag.zero);
        }
    }
    writer.finish();
    stream.erase(stream.begin(), stream.begin() + (writer.next - stream.data()));
}

}  // namespace

Status encode_band(const Tables& tables, const std::int16_t* symbols, const std::uint8_t* indexes, const BandShape& shape,
                   int limit, std::vector<std::uint8_t>& stream) {
    stream.clear();
    if (!shape.valid() || limit < 0 || limit > kMaxValue) return Status::kArgument;
    const std::size_t total = shape.symbols();
    if (total == 0) return Status::kOk;
    Plan plan;
    const Status status = make_plan(tables, symbols, indexes, shape, limit, plan);
    if (status != Status::kOk) return status;
    encode<kLanes>(tables, symbols, plan, stream);
    if (stream.size() >= kSmallStream) return Status::kOk;
    // The decoder tells the number of states from the size, so the shorter code with one state must not cross the line.
    encode<1>(tables, symbols, plan, stream);
    return stream.size() < kSmallStream ? Status::kOk : Status::kNoCode;
}

}  // namespace ugicm
