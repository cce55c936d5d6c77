#include "ugicm/tables.h"

namespace ugicm {
namespace {

std::uint32_t slot_entry(int symbol, std::uint32_t bias, std::uint32_t frequency) {
    return (static_cast<std::uint32_t>(symbol) << 22) | (bias << kPrecision) | frequency;
}

// Reads one table: radius, then the frequencies of -radius..radius and of the escape.
Status parse_table(ByteReader& reader, int index, Tables& tables) {
    const int radius = reader.u8();
    std::uint32_t* slots = tables.slots.data() + (static_cast<std::size_t>(index) << kPrecision);
    std::uint32_t start = 0;
    const auto place = static_cast<std::size_t>(index);
    tables.offset[place] = static_cast<std::uint32_t>(tables.intervals.size());
    tables.radius[place] = radius;
    for (int symbol = -radius; symbol <= radius + 1; ++symbol) {
        const std::uint32_t frequency = reader.u16();
        if (reader.failed()) return Status::kModelTruncated;
        if (frequency == 0 || frequency > kTotal - start) return Status::kModelTable;
        const int value = symbol > radius ? kEscape : symbol;
        for (std::uint32_t bias = 0; bias < frequency; ++bias) slots[start + bias] = slot_entry(value, bias, frequency);
        tables.intervals.push_back({static_cast<std::uint16_t>(start), static_cast<std::uint16_t>(frequency)});
        start += frequency;
    }
    return start == kTotal ? Status::kOk : Status::kModelTable;
}

}  // namespace

Status Tables::parse(ByteReader& reader, int flag_contexts, std::uint8_t lift_index) {
    if (flag_contexts > kScales) return Status::kModelTable;
    if (lift_index >= kScales) return Status::kModelIndex;
    lift = lift_index;
    slots.assign(std::size_t{kScales} << kPrecision, 0);
    intervals.clear();
    for (int index = 0; index < kScales; ++index) {
        const Status status = parse_table(reader, index, *this);
        if (status != Status::kOk) return status;
    }
    flag_zero.clear();
    for (int context = 0; context < flag_contexts; ++context) {
        const std::uint16_t frequency = reader.u16();
        if (reader.failed()) return Status::kModelTruncated;
        if (frequency == 0 || frequency >= kTotal) return Status::kModelTable;
        flag_zero.push_back(frequency);
    }
    return Status::kOk;
}

}  // namespace ugicm
