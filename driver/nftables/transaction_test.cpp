#include "driver/nftables/transaction.h"

#include <boost/json.hpp>
#include <gtest/gtest.h>
#include <sched.h>

#include "driver/contract/error.h"

namespace warren::driver::nftables {
namespace {

namespace json = boost::json;

json::value table(const char* command, const char* name) {
  return {{command, {{"table", {{"family", "inet"}, {"name", name}}}}}};
}

// A network name space of its own: nothing of the host's is touched.
class TransactionTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(::unshare(CLONE_NEWNET), 0) << "this needs root"; }
};

TEST_F(TransactionTest, IsAppliedWhole) {
  apply({table("add", "one"), table("add", "two")}, "test");
  EXPECT_FALSE(list("table inet one").empty());
  EXPECT_FALSE(list("table inet two").empty());
  EXPECT_TRUE(list("table inet three").empty());
}

TEST_F(TransactionTest, OrNotAtAll) {
  try {
    apply({table("add", "one"), table("delete", "missing")}, "network default: test");
    FAIL();
  } catch (const Error& error) {
    EXPECT_TRUE(error.detail().starts_with("network default: test: nft: ")) << error.detail();
  }
  EXPECT_TRUE(list("table inet one").empty());
}

}  // namespace
}  // namespace warren::driver::nftables
