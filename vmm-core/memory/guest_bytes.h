// Copies from and to memory that a guest changes whenever it likes.
//
// What was read may be torn: it is looked at only after it has been copied, and is not read twice (class T3).
// A race with the guest is the guest's own business, so ThreadSanitizer, which sees the guests that tests
// play, is not shown these accesses. Any thread.
#pragma once

#include <cstddef>
#include <cstring>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WARREN_THREAD_SANITIZER
#endif
#elif defined(__SANITIZE_THREAD__)
#define WARREN_THREAD_SANITIZER
#endif

namespace warren::vmm {

#ifdef WARREN_THREAD_SANITIZER
// memcpy() itself is watched wherever it is called from.
__attribute__((no_sanitize("thread"), noinline)) inline void copy_guest_bytes(void* to, const void* from,
                                                                              std::size_t size) noexcept {
  auto* out = static_cast<volatile char*>(to);
  const auto* in = static_cast<const volatile char*>(from);
  for (std::size_t i = 0; i < size; ++i) out[i] = in[i];
}
__attribute__((no_sanitize("thread"), noinline)) inline void zero_guest_bytes(void* to,
                                                                              std::size_t size) noexcept {
  auto* out = static_cast<volatile char*>(to);
  for (std::size_t i = 0; i < size; ++i) out[i] = 0;
}
#else
inline void copy_guest_bytes(void* to, const void* from, std::size_t size) noexcept {
  std::memcpy(to, from, size);
}
inline void zero_guest_bytes(void* to, std::size_t size) noexcept {
  std::memset(to, 0, size);
}
#endif

}  // namespace warren::vmm
