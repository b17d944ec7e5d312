// Which changes of the host's packet filter were ours: the kernel numbers the transactions of a network name
// space one after the other (NFT_MSG_GETGEN), and tells everybody of each under its number.
//
// Any thread; of the network name space of the calling one.
#pragma once

#include <cstdint>
#include <optional>

namespace warren::driver::nftables {

// The number of the last transaction. None: this kernel has no nftables, or does not say.
std::optional<std::uint32_t> ruleset_generation() noexcept;

enum class Author {
  ours,    // nftables::apply() of this process
  others,  // somebody else, or it cannot be told
  unknown  // a transaction of ours is under way, and it may be that one: ask again
};
Author author_of(std::uint32_t generation) noexcept;

// Around a transaction of this process: nothing else of it changes the ruleset meanwhile.
class OwnTransaction {
 public:
  OwnTransaction();
  ~OwnTransaction();
  OwnTransaction(const OwnTransaction&) = delete;
  OwnTransaction& operator=(const OwnTransaction&) = delete;
  // It was applied; without this it changed nothing.
  void applied() noexcept { is_applied_ = true; }

 private:
  bool is_applied_ = false;
};

}  // namespace warren::driver::nftables
