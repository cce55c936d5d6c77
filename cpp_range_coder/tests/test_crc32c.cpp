#include "check.h"
#include "sample.h"

int main() {
    using ugicm::crc32c;
    const ugicm_test::Bytes digits = {'1', '2', '3', '4', '5', '6', '7', '8', '9'};
    CHECK(crc32c(nullptr, 0) == 0);
    CHECK(crc32c(digits.data(), digits.size()) == 0xE3069283u);
    const ugicm_test::Bytes zeros(32, 0);
    CHECK(crc32c(zeros.data(), zeros.size()) == 0x8A9136AAu);
    for (std::size_t cut = 0; cut <= digits.size(); ++cut) {
        CHECK(crc32c(digits.data() + cut, digits.size() - cut, crc32c(digits.data(), cut)) == 0xE3069283u);
    }
    FINISH();
}
