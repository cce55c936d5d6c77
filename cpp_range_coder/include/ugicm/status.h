// Result codes of the entropy core. Every function that reads outside data returns one; nothing here throws.
#pragma once

namespace ugicm {

enum class Status {
    kOk,
    // Streams.
    kTruncated,      // the stream ends before the last symbol
    kTrailing,       // bytes are left after the last symbol
    kBadLength,      // the length cannot be that of any stream
    kBadState,       // an initial coder state is out of range
    kFinalState,     // a coder state did not return to its starting value
    kValueRange,     // a decoded value is larger than the caller's limit
    // entropy.bin.
    kModelTruncated, // the file ends inside a field
    kModelTrailing,  // bytes are left between the last field and the checksum
    kModelMagic,     // not an entropy.bin
    kModelVersion,   // a version or a fixed parameter this build does not know
    kModelChecksum,  // CRC-32C differs
    kModelSize,      // a channel or quality count is zero or too large
    kModelTable,     // a frequency table is impossible
    kModelIndex,     // a stored scale index is 64 or more
    kModelWeight,    // a weight is -128
    kModelShift,     // a shift is larger than 24
    kModelOverflow,  // a layer could overflow 32 bits
    // Arguments, checked before any symbol is touched.
    kArgument,
    // Encoding.
    kNoCode,         // too short with four states, too long with one
};

// One English sentence without a final stop: what is wrong. Never null.
const char* status_message(Status status);

}  // namespace ugicm
