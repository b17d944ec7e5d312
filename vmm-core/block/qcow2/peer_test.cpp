// The same random work as QEMU's own tools do it, on the same images: made by either, worked on by both in
// turn, clean to both, and equal to a plain model (class T10).
//
// PEER_SEQUENCES says how many (100 without it), PEER_FIRST the first's number. Needs qemu-img and qemu-io.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "vmm-core/block/qcow2/peer_sequence.h"

namespace warren::vmm::block::qcow2 {
namespace {

namespace fs = std::filesystem;

// What the sequences have met, so that a generator that has lost an option is seen.
void tell(const std::map<std::string, std::uint64_t>& met) {
  for (const auto& [what, count] : met)
    std::printf("%8llu %s\n", static_cast<unsigned long long>(count), what.c_str());
}

TEST(Qcow2Peer, T10BothDoTheSameOnTheSameImages) {
  std::string said;
  ASSERT_EQ(run_peer({"qemu-img", "--version"}, said), 0) << "this needs Debian's qemu-utils";
  const char* wanted = std::getenv("PEER_SEQUENCES");
  const char* from = std::getenv("PEER_FIRST");
  const std::uint64_t sequences = wanted != nullptr ? std::strtoul(wanted, nullptr, 10) : 100;
  const std::uint64_t first = from != nullptr ? std::strtoul(from, nullptr, 10) : 1;
  std::string pattern_name =
      (fs::exists("/dev/shm") ? "/dev/shm" : fs::temp_directory_path().string()) + "/qcow2-peer-XXXXXX";
  const fs::path root = ::mkdtemp(pattern_name.data());
  PeerShell shell;
  std::map<std::string, std::uint64_t> met;
  for (std::uint64_t seed = first; seed < first + sequences && !HasFailure(); ++seed) {
    const fs::path directory = root / std::to_string(seed);
    fs::create_directory(directory);
    PeerSequence(seed, directory, shell, met).run_all();
    if (!HasFailure()) fs::remove_all(directory);
  }
  tell(met);
  if (!HasFailure()) {
    if (sequences >= 100) {
      EXPECT_GE(met.size(), 40u) << "nearly every option and kind of work in a hundred sequences";
    }
    fs::remove_all(root);
  }
}

}  // namespace
}  // namespace warren::vmm::block::qcow2
