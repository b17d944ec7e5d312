// The format that an image was declared to have, kept on the image itself.
//
// What a guest can write cannot be believed: a raw disk whose guest writes another format's header stays raw
// (T32). So whoever makes an image or hands it to a guest marks it with an extended attribute (trusted.* by
// root, which no guest and no user can change; user.* otherwise), and the mark wins over the content. File
// systems without such attributes have none: who marks is told. Any thread; blocks on the file system.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace warren::driver::store {

// Of an open file or device. False where it cannot be kept.
bool mark_declared_format(int file, std::string_view format) noexcept;
std::optional<std::string> declared_format(int file);

}  // namespace warren::driver::store
