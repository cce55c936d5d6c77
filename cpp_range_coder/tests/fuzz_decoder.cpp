// Any bytes given as a stream are refused or decode to legal values, which then encode and decode to themselves.
// Input: a plane size (2 bytes), a seed of the scale indexes (2 bytes), the stream.
#include <cstdlib>

#include "fuzz.h"
#include "sample.h"
#include "ugicm/entropy_model.h"

namespace {

constexpr std::size_t kChannels = 4;

const ugicm::EntropyModel& model() {
    static const ugicm::EntropyModel parsed = [] {
        const ugicm_test::Bytes file = ugicm_test::sample_model(0);
        ugicm::EntropyModel fresh;
        if (fresh.parse(file.data(), file.size()) != ugicm::Status::kOk) std::abort();
        return fresh;
    }();
    return parsed;
}

ugicm_test::Bytes indexes_of(std::uint16_t seed, std::size_t plane) {
    ugicm_test::Random random(seed);
    ugicm_test::Bytes indexes(kChannels * plane);
    std::size_t level = 0;
    for (std::uint8_t& index : indexes) {
        if (random.below(40) == 0) level = random.below(2) == 0 ? random.below(4) : random.below(61);
        index = static_cast<std::uint8_t>(level + random.below(4));
    }
    return indexes;
}

}  // namespace

std::vector<ugicm_test::Bytes> fuzz_seeds() {
    std::vector<ugicm_test::Bytes> seeds;
    for (const std::size_t plane : {std::size_t{1}, std::size_t{33}, std::size_t{600}, std::size_t{4500}}) {
        const ugicm_test::Bytes indexes = indexes_of(static_cast<std::uint16_t>(plane), plane);
        std::vector<std::int16_t> symbols(indexes.size());
        ugicm_test::Random random(plane);
        for (std::int16_t& value : symbols) {
            value = static_cast<std::int16_t>(random.below(300) == 0 ? random.below(30000) : random.below(2));
        }
        ugicm_test::Bytes stream;
        if (ugicm::encode_band(model().tables(), symbols.data(), indexes.data(), {kChannels, plane, plane, plane},
                               ugicm::kMaxValue, stream) != ugicm::Status::kOk) {
            std::abort();
        }
        ugicm_test::Bytes seed;
        ugicm_test::put(seed, plane, 2);
        ugicm_test::put(seed, plane, 2);
        seed.insert(seed.end(), stream.begin(), stream.end());
        seeds.push_back(seed);
    }
    return seeds;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 4) return 0;
    const std::size_t plane = (data[0] | (static_cast<std::size_t>(data[1]) << 8)) % 8192;
    const ugicm_test::Bytes indexes = indexes_of(static_cast<std::uint16_t>(data[2] | (data[3] << 8)), plane);
    // Exact-size copies let AddressSanitizer see any read past the end.
    const ugicm_test::Bytes stream(data + 4, data + size);
    std::vector<std::int16_t> symbols(indexes.size());
    const ugicm::BandShape shape{kChannels, plane, plane, plane};
    const ugicm::Tables& tables = model().tables();
    if (ugicm::decode_band(tables, stream.data(), stream.size(), indexes.data(), symbols.data(), shape, ugicm::kMaxValue) !=
        ugicm::Status::kOk) {
        return 0;
    }
    ugicm_test::Bytes again;
    if (ugicm::encode_band(tables, symbols.data(), indexes.data(), shape, ugicm::kMaxValue, again) != ugicm::Status::kOk) {
        std::abort();
    }
    std::vector<std::int16_t> decoded(symbols.size());
    if (ugicm::decode_band(tables, again.data(), again.size(), indexes.data(), decoded.data(), shape, ugicm::kMaxValue) !=
            ugicm::Status::kOk ||
        decoded != symbols) {
        std::abort();
    }
    return 0;
}
