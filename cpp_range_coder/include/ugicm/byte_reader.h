// A cursor over untrusted little-endian bytes. Once a read runs past the end, the reader stays failed and yields zeros.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ugicm {

class ByteReader {
public:
    ByteReader(const std::uint8_t* data, std::size_t size) : data_(data), left_(size) {}

    bool failed() const { return failed_; }
    std::size_t left() const { return left_; }

    // The next `count` bytes, or nullptr when fewer are left.
    const std::uint8_t* take(std::size_t count) {
        if (failed_ || count > left_) {
            failed_ = true;
            return nullptr;
        }
        const std::uint8_t* start = data_;
        data_ += count;
        left_ -= count;
        return start;
    }

    std::uint8_t u8() {
        const std::uint8_t* p = take(1);
        return p == nullptr ? std::uint8_t{0} : p[0];
    }

    std::uint16_t u16() {
        const std::uint8_t* p = take(2);
        return p == nullptr ? std::uint16_t{0} : static_cast<std::uint16_t>(p[0] | (p[1] << 8));
    }

    std::uint32_t u32() {
        const std::uint32_t low = u16();
        return low | (static_cast<std::uint32_t>(u16()) << 16);
    }

    std::int32_t i32() { return static_cast<std::int32_t>(u32()); }

private:
    const std::uint8_t* data_;
    std::size_t left_;
    bool failed_ = false;
};

}  // namespace ugicm
