// What a fuzz target provides: LLVMFuzzerTestOneInput for libFuzzer, and seeds for fuzz_main.cpp where libFuzzer is missing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

std::vector<std::vector<std::uint8_t>> fuzz_seeds();
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
