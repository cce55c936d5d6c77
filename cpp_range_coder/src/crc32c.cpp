// Slicing-by-8 (Kounavis and Berry, 2005): eight table look-ups advance the checksum by eight bytes.
#include "ugicm/crc32c.h"

#include <array>

namespace ugicm {
namespace {

using Tables = std::array<std::array<std::uint32_t, 256>, 8>;

constexpr Tables make_tables() {
    Tables tables{};
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
        std::uint32_t crc = byte;
        for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1u) != 0 ? 0x82F63B78u : 0u);
        tables[0][byte] = crc;
    }
    for (std::size_t slice = 1; slice < 8; ++slice) {
        for (std::uint32_t byte = 0; byte < 256; ++byte) {
            const std::uint32_t previous = tables[slice - 1][byte];
            tables[slice][byte] = (previous >> 8) ^ tables[0][previous & 255u];
        }
    }
    return tables;
}

constexpr Tables kTables = make_tables();

}  // namespace

std::uint32_t crc32c(const std::uint8_t* data, std::size_t size, std::uint32_t crc) {
    crc = ~crc;
    for (; size >= 8; data += 8, size -= 8) {
        std::uint32_t next = kTables[7][(crc ^ data[0]) & 255u];
        next ^= kTables[6][((crc >> 8) ^ data[1]) & 255u];
        next ^= kTables[5][((crc >> 16) ^ data[2]) & 255u];
        next ^= kTables[4][((crc >> 24) ^ data[3]) & 255u];
        next ^= kTables[3][data[4]] ^ kTables[2][data[5]] ^ kTables[1][data[6]] ^ kTables[0][data[7]];
        crc = next;
    }
    for (; size > 0; ++data, --size) crc = (crc >> 8) ^ kTables[0][(crc ^ *data) & 255u];
    return ~crc;
}

}  // namespace ugicm
