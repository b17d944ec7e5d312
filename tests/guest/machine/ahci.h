// The driver side of an AHCI controller (AHCI 1.3.1 §10): one command at a time on each port, polled.
#pragma once

#include <cstdint>
#include <span>

namespace guest {

class AhciPort {
 public:
  unsigned number() const { return number_; }
  bool present() const { return present_; }
  bool takes_packets() const;

  // Each is false when the command failed or did not end. Buffers are ours, of one piece.
  bool identify(void* buffer);  // 512 bytes
  bool read(std::uint64_t sector, void* buffer, std::uint32_t size);
  bool write(std::uint64_t sector, const void* buffer, std::uint32_t size);
  bool flush();
  bool packet(std::span<const std::uint8_t, 12> command, void* buffer, std::uint32_t size);

 private:
  friend class AhciController;
  void start(std::uint64_t registers, unsigned number);
  bool run(std::uint8_t command, std::uint64_t sector, std::uint16_t count, const void* buffer,
           std::uint32_t size, bool writes, const std::uint8_t* packet);
  void restart();
  volatile std::uint32_t& at(std::uint32_t offset) const;

  std::uint64_t registers_ = 0;
  unsigned number_ = 0;
  bool present_ = false;
  std::uint32_t* list_ = nullptr;
  std::uint8_t* table_ = nullptr;
};

// The first there is; stops the machine when there is none.
class AhciController {
 public:
  AhciController();
  std::span<AhciPort> ports() { return {ports_, count_}; }

 private:
  AhciPort ports_[32];
  unsigned count_ = 0;
};

}  // namespace guest
