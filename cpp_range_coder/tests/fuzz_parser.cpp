// Any bytes given as an entropy.bin are refused or yield a model that runs within its ranges. The checksum of each input is made
// right first, so that the fields behind it are reached.
#include <cstdlib>

#include "fuzz.h"
#include "sample.h"
#include "ugicm/entropy_model.h"

std::vector<ugicm_test::Bytes> fuzz_seeds() {
    return {ugicm_test::sample_model(0), ugicm_test::sample_model(1, {1, 1, 1, 1, 1})};
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    ugicm_test::Bytes file(data, data + size);
    if (size >= 12) {
        file.resize(size - 4);
        ugicm_test::seal(file);
    }
    ugicm::EntropyModel model;
    if (model.parse(file.data(), file.size()) != ugicm::Status::kOk) return 0;
    const ugicm::NetworkSize& channels = model.size();
    std::vector<std::int16_t> z(channels.hyper * 2, 127);
    std::vector<std::uint8_t> indexes(channels.latent * 32);
    if (model.scale_indexes(z.data(), 1, 2, channels.quality_count() - 1, indexes.data()) != ugicm::Status::kOk) std::abort();
    for (const std::uint8_t index : indexes) {
        if (index > ugicm::kMaxIndex) std::abort();
    }
    std::vector<std::uint8_t> stream;
    if (model.encode_hyper(z.data(), 2, 0, stream) != ugicm::Status::kOk) std::abort();
    std::vector<std::int16_t> decoded(z.size());
    if (model.decode_hyper(stream.data(), stream.size(), 2, 0, decoded.data()) != ugicm::Status::kOk) std::abort();
    if (decoded != z) std::abort();
    return 0;
}
