#include "scale_network_kernels.h"

#include <algorithm>

// GCC on x86 with the GNU C library, which knows ifunc, compiles these loops twice and picks the AVX2 copy at load time; elsewhere
// they are built once. Sanitizers start too late for the ifunc resolvers this needs.
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && defined(__GLIBC__) && !defined(UGICM_NO_CLONES)
#define UGICM_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define UGICM_CLONES
#endif

namespace ugicm {

UGICM_CLONES
void dot_rows(const std::int16_t* in, const std::int16_t* weight, std::size_t row, std::size_t outputs, std::int32_t* sums) {
    for (std::size_t o = 0; o < outputs; ++o, weight += row, sums += kPixelGroup) {
        std::int32_t s0 = 0;
        std::int32_t s1 = 0;
        std::int32_t s2 = 0;
        std::int32_t s3 = 0;
        for (std::size_t i = 0; i < row; ++i) {
            s0 += in[i] * weight[i];
            s1 += in[row + i] * weight[i];
            s2 += in[2 * row + i] * weight[i];
            s3 += in[3 * row + i] * weight[i];
        }
        sums[0] = s0;
        sums[1] = s1;
        sums[2] = s2;
        sums[3] = s3;
    }
}

UGICM_CLONES
void add_tap(const std::int16_t* in, const std::int16_t* weight, std::size_t channels, std::int32_t* sums) {
    for (std::size_t c = 0; c < channels; ++c) sums[c] += in[c] * weight[c];
}

UGICM_CLONES
void requantise(const std::int32_t* sums, const std::uint8_t* shift, std::size_t channels, std::int16_t* out) {
    for (std::size_t c = 0; c < channels; ++c) {
        const std::int32_t value = sums[c] >> shift[c];
        out[c] = static_cast<std::int16_t>(std::min(std::max(value, 0), kMaxActivation));
    }
}

}  // namespace ugicm
