// Uploads and downloads: a volume's data from or to the data socket (transfer.h).
#pragma once

#include <cstdint>

namespace warren::driver::storage::backend {

struct TransferOrder {
  int volume = -1;
  int socket = -1;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;  // 0: to the end
  bool sparse = false;
};

// Takes chunks up to the end chunk, and makes them durable. Throws driver::Error: also when the other side
// goes away before its end.
void receive_data(const TransferOrder& order);
void send_data(const TransferOrder& order);

}  // namespace warren::driver::storage::backend
