#include "ugicm/entropy_model.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "ugicm/byte_reader.h"
#include "ugicm/crc32c.h"

namespace ugicm {
namespace {

constexpr std::array<std::uint8_t, 8> kMagic = {0x8B, 'U', 'G', 'E', '\r', '\n', 0x1A, '\n'};
constexpr std::size_t kChecksumBytes = 4;

}  // namespace

Status EntropyModel::parse(const std::uint8_t* data, std::size_t size) {
    if (size < kMagic.size() + kChecksumBytes) return Status::kModelTruncated;
    if (std::memcmp(data, kMagic.data(), kMagic.size()) != 0) return Status::kModelMagic;
    ByteReader trailer(data + size - kChecksumBytes, kChecksumBytes);
    if (crc32c(data, size - kChecksumBytes) != trailer.u32()) return Status::kModelChecksum;

    ByteReader reader(data + kMagic.size(), size - kMagic.size() - kChecksumBytes);
    const bool known = reader.u8() == kModelVersion && reader.u8() == kPrecision && reader.u8() == kBlock && reader.u8() == kScales;
    if (reader.failed()) return Status::kModelTruncated;
    if (!known) return Status::kModelVersion;
    const int flag_contexts = reader.u8();
    const std::uint8_t lift = reader.u8();
    size_.qualities = reader.u16();
    size_.hyper = reader.u16();
    size_.wide = reader.u16();
    size_.narrow = reader.u16();
    size_.latent = reader.u16();
    if (reader.failed()) return Status::kModelTruncated;
    if (!size_.valid()) return Status::kModelSize;

    Status status = tables_.parse(reader, flag_contexts, lift);
    if (status != Status::kOk) return status;
    const std::uint8_t* indexes = reader.take(size_.qualities * size_.hyper);
    if (indexes == nullptr) return Status::kModelTruncated;
    z_index_.assign(indexes, indexes + size_.qualities * size_.hyper);
    if (*std::max_element(z_index_.begin(), z_index_.end()) >= kScales) return Status::kModelIndex;
    status = network_.parse(reader, size_);
    if (status != Status::kOk) return status;
    return reader.left() == 0 ? Status::kOk : Status::kModelTrailing;
}

Status EntropyModel::scale_indexes(const std::int16_t* z, std::size_t height, std::size_t width, std::size_t quality,
                                   std::uint8_t* out) const {
    if (quality >= size_.quality_count()) return Status::kArgument;
    if (height == 0 || width == 0) return Status::kOk;
    if (height > kMaxMapPixels / width) return Status::kArgument;
    network_.run(z, height, width, quality, out);
    return Status::kOk;
}

std::vector<std::uint8_t> EntropyModel::hyper_indexes(std::size_t plane, std::size_t quality) const {
    std::vector<std::uint8_t> indexes(size_.hyper * plane);
    for (std::size_t channel = 0; channel < size_.hyper; ++channel) {
        const auto index = static_cast<std::uint8_t>(at_quality(z_index_, size_.hyper, quality, channel));
        std::fill_n(indexes.data() + channel * plane, plane, index);
    }
    return indexes;
}

Status EntropyModel::encode_hyper(const std::int16_t* z, std::size_t plane, std::size_t quality,
                                  std::vector<std::uint8_t>& stream) const {
    if (quality >= size_.quality_count() || plane > kMaxMapPixels) return Status::kArgument;
    const std::vector<std::uint8_t> indexes = hyper_indexes(plane, quality);
    return encode_band(tables_, z, indexes.data(), {size_.hyper, plane, plane, plane}, kMaxHyperValue, stream);
}

Status EntropyModel::decode_hyper(const std::uint8_t* data, std::size_t size, std::size_t plane, std::size_t quality,
                                  std::int16_t* z) const {
    if (quality >= size_.quality_count() || plane > kMaxMapPixels) return Status::kArgument;
    const std::vector<std::uint8_t> indexes = hyper_indexes(plane, quality);
    return decode_band(tables_, data, size, indexes.data(), z, {size_.hyper, plane, plane, plane}, kMaxHyperValue);
}

}  // namespace ugicm
