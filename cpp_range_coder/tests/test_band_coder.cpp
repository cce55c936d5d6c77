#include <cstdlib>

#include "check.h"
#include "sample.h"
#include "ugicm/entropy_model.h"

namespace {

using ugicm::BandShape;
using ugicm::Status;
using ugicm_test::Bytes;
using ugicm_test::Random;

constexpr int kLimit = ugicm::kMaxValue;

struct Band {
    std::vector<std::int16_t> symbols;
    Bytes indexes;
    BandShape shape;
};

// Indexes in runs of similar values, symbols mostly small, now and then very large.
Band random_band(std::uint64_t seed, std::size_t channels, std::size_t plane) {
    Random random(seed);
    Band band{std::vector<std::int16_t>(channels * plane), Bytes(channels * plane), {channels, plane, plane, plane}};
    std::size_t level = 0;
    for (std::size_t i = 0; i < band.symbols.size(); ++i) {
        if (random.below(40) == 0) level = random.below(2) == 0 ? random.below(4) : random.below(61);
        band.indexes[i] = static_cast<std::uint8_t>(level + random.below(4));
        const int spread = random.below(200) == 0 ? 65535 : 2 * static_cast<int>(level / 8) + 1;
        const int value = static_cast<int>(random.below(static_cast<std::size_t>(spread))) - spread / 2;
        band.symbols[i] = static_cast<std::int16_t>(value);
    }
    return band;
}

Status decode(const ugicm::Tables& tables, const Bytes& stream, const Band& band, std::vector<std::int16_t>& out) {
    out.assign(band.symbols.size(), 99);
    return ugicm::decode_band(tables, stream.data(), stream.size(), band.indexes.data(), out.data(), band.shape, kLimit);
}

Bytes encode(const ugicm::Tables& tables, const Band& band) {
    Bytes stream;
    CHECK(ugicm::encode_band(tables, band.symbols.data(), band.indexes.data(), band.shape, kLimit, stream) == Status::kOk);
    return stream;
}

void test_round_trips(const ugicm::Tables& tables) {
    const std::size_t planes[] = {0, 1, 15, 16, 17, 100, 1536, 5000};
    for (const std::size_t plane : planes) {
        for (std::uint64_t seed = 0; seed < 4; ++seed) {
            const Band band = random_band(seed, 4, plane);
            const Bytes stream = encode(tables, band);
            std::vector<std::int16_t> out;
            CHECK(decode(tables, stream, band, out) == Status::kOk);
            CHECK(out == band.symbols);
            CHECK(plane != 0 || stream.empty());
        }
    }
}

// The same symbols spread over a larger array give the same stream, and nothing between the planes is touched.
void test_strides(const ugicm::Tables& tables) {
    const Band band = random_band(7, 4, 48);
    std::vector<std::int16_t> symbols(4 * 60, 77);
    Bytes indexes(4 * 50, 200);
    for (std::size_t i = 0; i < band.symbols.size(); ++i) {
        symbols[i / 48 * 60 + i % 48] = band.symbols[i];
        indexes[i / 48 * 50 + i % 48] = band.indexes[i];
    }
    const BandShape shape{4, 48, 60, 50};
    Bytes stream;
    CHECK(ugicm::encode_band(tables, symbols.data(), indexes.data(), shape, kLimit, stream) == Status::kOk);
    CHECK(stream == encode(tables, band));
    std::vector<std::int16_t> out(4 * 60, 77);
    CHECK(ugicm::decode_band(tables, stream.data(), stream.size(), indexes.data(), out.data(), shape, kLimit) == Status::kOk);
    CHECK(out == symbols);
}

void test_damage(const ugicm::Tables& tables) {
    for (const std::size_t plane : {std::size_t{40}, std::size_t{4200}}) {
        const Band band = random_band(3, 4, plane);
        const Bytes stream = encode(tables, band);
        std::vector<std::int16_t> out;
        for (std::size_t length = 0; length < stream.size(); length += 1 + stream.size() / 500) {
            const Bytes cut(stream.begin(), stream.begin() + static_cast<std::ptrdiff_t>(length));
            CHECK(decode(tables, cut, band, out) != Status::kOk);
        }
        Bytes longer = stream;
        longer.resize(stream.size() + 2);
        CHECK(decode(tables, longer, band, out) == Status::kTrailing);
        Random random(1);
        for (int round = 0; round < 500; ++round) {
            Bytes damaged = stream;
            damaged[random.below(damaged.size())] ^= static_cast<std::uint8_t>(1u << random.below(8));
            if (decode(tables, damaged, band, out) != Status::kOk) continue;
            for (const std::int16_t value : out) CHECK(std::abs(value) <= kLimit);
        }
    }
}

void test_arguments(const ugicm::Tables& tables) {
    Band band = random_band(5, 2, 32);
    Bytes stream;
    const auto status = [&](int limit) {
        return ugicm::encode_band(tables, band.symbols.data(), band.indexes.data(), band.shape, limit, stream);
    };
    band.symbols[9] = 128;
    CHECK(status(127) == Status::kArgument);
    band.symbols[9] = -32768;
    CHECK(status(kLimit) == Status::kArgument);
    band.symbols[9] = 0;
    CHECK(status(kLimit) == Status::kOk);
    CHECK(status(-1) == Status::kArgument);
    CHECK(status(32768) == Status::kArgument);
    band.indexes[40] = 64;
    CHECK(status(kLimit) == Status::kArgument);
    band.indexes[40] = 255;
    std::vector<std::int16_t> out;
    CHECK(decode(tables, stream, band, out) != Status::kOk);
    band.shape = {std::size_t{1} << 40, std::size_t{1} << 40, 1, 1};
    CHECK(status(kLimit) == Status::kArgument);
    band.shape = {2, 32, std::size_t{1} << 62, 32};
    CHECK(status(kLimit) == Status::kArgument);
}

}  // namespace

int main() {
    const Bytes file = ugicm_test::sample_model(0);
    ugicm::EntropyModel model;
    CHECK(model.parse(file.data(), file.size()) == Status::kOk);
    test_round_trips(model.tables());
    test_strides(model.tables());
    test_damage(model.tables());
    test_arguments(model.tables());
    FINISH();
}
