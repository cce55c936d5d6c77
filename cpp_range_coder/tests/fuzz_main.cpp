// Stand-in for libFuzzer: runs a target on its seeds and on a given number of random mutations of them. Deterministic.
//   fuzz_NAME RUNS [FOLDER]     FOLDER receives the seeds, as a first corpus for libFuzzer
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

#include "fuzz.h"
#include "sample.h"

namespace {

using ugicm_test::Bytes;
using ugicm_test::Random;

void mutate(Bytes& data, Random& random) {
    for (std::size_t edits = 1 + random.below(4); edits > 0 && !data.empty(); --edits) {
        const std::size_t place = random.below(data.size());
        switch (random.below(5)) {
            case 0: data[place] ^= static_cast<std::uint8_t>(1u << random.below(8)); break;
            case 1: data[place] = static_cast<std::uint8_t>(random.next()); break;
            case 2: data.resize(place); break;
            case 3: data.insert(data.begin() + static_cast<std::ptrdiff_t>(place), random.below(9), data[place]); break;
            default: data[place] = random.below(2) == 0 ? 0 : 255; break;
        }
    }
}

bool write(const std::string& path, const Bytes& data) {
    std::ofstream file(path, std::ios::binary);
    file.write(reinterpret_cast<const char*>(data.data()), static_cast<std::streamsize>(data.size()));
    if (!file.flush()) std::fprintf(stderr, "cannot write %s\n", path.c_str());
    return file.good();
}

}  // namespace

int main(int count, char** arguments) {
    const long runs = count > 1 ? std::strtol(arguments[1], nullptr, 10) : 10000;
    const std::vector<Bytes> seeds = fuzz_seeds();
    for (std::size_t i = 0; i < seeds.size(); ++i) {
        LLVMFuzzerTestOneInput(seeds[i].data(), seeds[i].size());
        if (count > 2 && !write(std::string(arguments[2]) + "/seed" + std::to_string(i), seeds[i])) return 1;
    }
    Random random(1);
    for (long run = 0; run < runs; ++run) {
        Bytes data = seeds[random.below(seeds.size())];
        mutate(data, random);
        LLVMFuzzerTestOneInput(data.data(), data.size());
    }
    std::printf("%ld inputs, no fault\n", runs);
    return 0;
}
