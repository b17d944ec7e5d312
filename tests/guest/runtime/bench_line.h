// The lines by which a bench tells its guest what to measure: words with one space between them.
#pragma once

#include <cstdint>
#include <string_view>

namespace guest {

// Waits for it; good until the next is read.
std::string_view read_line();
// The first word, which `text` begins behind afterwards.
std::string_view take_word(std::string_view& text);
std::uint32_t take_number(std::string_view& text);

}  // namespace guest
