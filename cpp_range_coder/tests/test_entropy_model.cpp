#include <algorithm>

#include "check.h"
#include "sample.h"
#include "ugicm/entropy_model.h"

namespace {

using ugicm::EntropyModel;
using ugicm::Status;
using ugicm_test::Bytes;
using ugicm_test::Random;

Bytes resealed(Bytes file) {
    file.resize(file.size() - 4);
    ugicm_test::seal(file);
    return file;
}

Status parse(const Bytes& file) {
    EntropyModel model;
    return model.parse(file.data(), file.size());
}

void test_truncation() {
    const Bytes file = ugicm_test::sample_model(1);
    CHECK(parse(file) == Status::kOk);
    for (std::size_t length = 0; length < file.size(); ++length) {
        const Bytes cut(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(length));
        CHECK(parse(cut) != Status::kOk);
        if (length >= 4) CHECK(parse(resealed(cut)) != Status::kOk);
    }
    Bytes longer = file;
    longer.push_back(0);
    CHECK(parse(longer) == Status::kModelChecksum);
    CHECK(parse(resealed(longer)) == Status::kModelTrailing);
}

void test_head() {
    const Bytes file = ugicm_test::sample_model(1);
    const auto changed = [&](std::size_t place, std::uint8_t value) {
        Bytes copy = file;
        copy[place] = value;
        return parse(resealed(copy));
    };
    CHECK(changed(0, 0) == Status::kModelMagic);
    for (std::size_t place = 8; place < 12; ++place) CHECK(changed(place, 0) == Status::kModelVersion);
    CHECK(changed(12, 65) == Status::kModelTable);
    CHECK(changed(13, 64) == Status::kModelIndex);
    CHECK(changed(14, 0) == Status::kModelSize);
    CHECK(changed(17, 255) == Status::kModelSize);
    CHECK(changed(25, 0) == Status::kModelTable);
}

void test_between_qualities() {
    const std::vector<std::int32_t> table = {-3, INT32_MIN, 4, INT32_MAX, 9, INT32_MIN};  // three qualities of two
    const std::vector<std::int32_t> expected = {-3, -2, -1, 0, 1, 1, 2, 3, 4, 5, 5, 6, 7, 7, 8, 8, 9};
    for (std::size_t quality = 0; quality < expected.size(); ++quality) {
        CHECK(ugicm::at_quality(table, 2, quality, 0) == expected[quality]);
    }
    CHECK(ugicm::at_quality(table, 2, 4, 1) == 0);  // (-2^31 + 2^31 - 1) / 2, rounded half up
    CHECK(ugicm::at_quality(table, 2, 8, 1) == INT32_MAX);
}

void test_scale_network() {
    const Bytes file = ugicm_test::sample_model(2);
    EntropyModel model;
    CHECK(model.parse(file.data(), file.size()) == Status::kOk);
    const std::vector<std::int16_t> z = {127, -127, 5, 0, -3, 32767, -32768, 1, 90, -90, 17, 2};  // (2, 2, 3)
    std::vector<std::uint8_t> out(4 * 8 * 12, 255);
    CHECK(model.scale_indexes(z.data(), 2, 3, 16, out.data()) == Status::kOk);
    CHECK(*std::max_element(out.begin(), out.end()) <= 63);
    CHECK(model.scale_indexes(z.data(), 2, 3, 17, out.data()) == Status::kArgument);
    CHECK(model.scale_indexes(z.data(), 1u << 20, 1u << 20, 0, out.data()) == Status::kArgument);
    CHECK(model.scale_indexes(z.data(), 0, 3, 0, out.data()) == Status::kOk);
}

void test_hyper() {
    const Bytes file = ugicm_test::sample_model(3);
    EntropyModel model;
    CHECK(model.parse(file.data(), file.size()) == Status::kOk);
    Random random(4);
    std::vector<std::int16_t> z(2 * 35);
    for (std::int16_t& value : z) value = static_cast<std::int16_t>(static_cast<int>(random.below(255)) - 127);
    Bytes stream;
    CHECK(model.encode_hyper(z.data(), 35, 11, stream) == Status::kOk);
    std::vector<std::int16_t> out(z.size());
    CHECK(model.decode_hyper(stream.data(), stream.size(), 35, 11, out.data()) == Status::kOk);
    CHECK(out == z);
    CHECK(model.decode_hyper(stream.data(), stream.size(), 35, 17, out.data()) == Status::kArgument);
    z[3] = 128;
    CHECK(model.encode_hyper(z.data(), 35, 11, stream) == Status::kArgument);
}

}  // namespace

int main() {
    test_truncation();
    test_head();
    test_between_qualities();
    test_scale_network();
    test_hyper();
    FINISH();
}
