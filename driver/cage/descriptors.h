// The descriptors that warren-cage is started with, beside the program's own (cage.h). Implementation header.
#pragma once

namespace warren::driver::cage {

inline constexpr int kLifeline = 4;  // a byte on it: begin; its end: end
inline constexpr int kSecret = 5;
inline constexpr int kHeld = 6;

}  // namespace warren::driver::cage
