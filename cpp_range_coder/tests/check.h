// The whole test framework: CHECK works in every build type, FINISH gives main its result.
#pragma once

#include <cstdio>

namespace ugicm_test {
inline int failures = 0;
}

#define CHECK(condition)                                                              \
    do {                                                                              \
        if (!(condition)) {                                                           \
            std::fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #condition); \
            ++ugicm_test::failures;                                                   \
        }                                                                             \
    } while (false)

#define FINISH() return ugicm_test::failures == 0 ? 0 : 1
