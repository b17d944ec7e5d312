// The four functions a freestanding compiler may call on its own. String instructions: the only form of bulk
// work that is not slow where ring 0 is interpreted.
#include <cstddef>

extern "C" {

void* memcpy(void* to, const void* from, std::size_t size) {
  void* result = to;
  asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
  return result;
}

void* memset(void* to, int value, std::size_t size) {
  void* result = to;
  asm volatile("rep stosb" : "+D"(to), "+c"(size) : "a"(value) : "memory");
  return result;
}

void* memmove(void* to, const void* from, std::size_t size) {
  auto* destination = static_cast<char*>(to);
  auto* source = static_cast<const char*>(from);
  if (destination <= source) return memcpy(to, from, size);
  while (size-- > 0) destination[size] = source[size];
  return to;
}

int memcmp(const void* left, const void* right, std::size_t size) {
  auto* a = static_cast<const unsigned char*>(left);
  auto* b = static_cast<const unsigned char*>(right);
  for (; size > 0; ++a, ++b, --size)
    if (*a != *b) return *a - *b;
  return 0;
}

std::size_t strlen(const char* text) {
  std::size_t length = 0;
  while (text[length] != 0) ++length;
  return length;
}

const void* memchr(const void* data, int value, std::size_t size) {
  auto* at = static_cast<const unsigned char*>(data);
  for (; size > 0; ++at, --size)
    if (*at == static_cast<unsigned char>(value)) return at;
  return nullptr;
}
}
