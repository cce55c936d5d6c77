#include "ugicm/status.h"

namespace ugicm {

const char* status_message(Status status) {
    switch (status) {
        case Status::kOk: return "no error";
        case Status::kTruncated: return "the stream ends before its last symbol";
        case Status::kTrailing: return "the stream has bytes after its last symbol";
        case Status::kBadLength: return "the stream is too short for its coder states, or its length is odd";
        case Status::kBadState: return "the stream starts with an impossible coder state";
        case Status::kFinalState: return "the coder did not return to its starting state, so the stream is damaged";
        case Status::kValueRange: return "the stream holds a value outside the permitted range";
        case Status::kModelTruncated: return "entropy.bin ends inside a field";
        case Status::kModelTrailing: return "entropy.bin has bytes after its last field";
        case Status::kModelMagic: return "not an entropy.bin: the first eight bytes differ";
        case Status::kModelVersion: return "entropy.bin has an unknown version, precision, block size or scale count";
        case Status::kModelChecksum: return "entropy.bin is damaged: its CRC-32C differs";
        case Status::kModelSize: return "entropy.bin gives a channel or quality count of zero or above the limit";
        case Status::kModelTable: return "entropy.bin holds an impossible frequency table";
        case Status::kModelIndex: return "entropy.bin holds a scale index above 63";
        case Status::kModelWeight: return "entropy.bin holds the weight -128; weights must be in [-127, 127]";
        case Status::kModelShift: return "entropy.bin holds a shift above 24";
        case Status::kModelOverflow: return "a scale network layer of entropy.bin could overflow 32 bits";
        case Status::kArgument: return "an argument is out of range";
        case Status::kNoCode: return "the symbols have no code: with four states it is too short, with one too long";
    }
    return "unknown status";
}

}  // namespace ugicm
