// Who has an image open, for the message that refuses it to another.
//
// Blocks for as long as it takes to look through /proc: pool threads only, and only when something failed.
#pragma once

#include <string>

namespace warren::driver::domain {

// Another process than this one that has the same file or block device open, workers of ours first: "domain
// 'web' (process 4711)", "process 4711 (qemu-img)". Empty when there is none, or it is not ours to know.
std::string holder_of_image(int file);

}  // namespace warren::driver::domain
