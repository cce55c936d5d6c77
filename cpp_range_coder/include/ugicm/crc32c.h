// CRC-32C (Castagnoli): reflected polynomial 0x82F63B78, initial value and final XOR 0xFFFFFFFF.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ugicm {

// Checksum of `size` bytes; `crc` is the checksum of the bytes before them (0 at the start). crc32c("123456789") = 0xE3069283.
std::uint32_t crc32c(const std::uint8_t* data, std::size_t size, std::uint32_t crc = 0);

}  // namespace ugicm
