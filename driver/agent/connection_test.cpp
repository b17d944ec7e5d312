// Exchanges with an agent that answers, and with guests that try what they can (T3: hostile input).
#include "driver/agent/connection.h"

#include <filesystem>

#include <gtest/gtest.h>

#include "driver/agent/fake_agent.h"

namespace warren::driver::agent {
namespace {

using std::chrono::milliseconds;

struct AgentConnection : ::testing::Test {
  AgentConnection() {
    agent.replies["guest-ping"] = "{\"return\": {}}";
    connection = Connection::open(loop, path, [this] { closed = true; });
  }

  std::expected<Reply, Failure> ask(std::string line,
                                    std::optional<milliseconds> deadline = milliseconds(200)) {
    std::optional<std::expected<Reply, Failure>> outcome;
    connection->exchange({.line = std::move(line),
                          .command = "guest-ping",
                          .synchronization_deadline = milliseconds(200),
                          .deadline = deadline},
                         [&](std::expected<Reply, Failure> found) { outcome.emplace(std::move(found)); });
    auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!outcome && std::chrono::steady_clock::now() < end) {
      loop.restart();
      loop.run_for(milliseconds(5));
    }
    if (!outcome) {
      ADD_FAILURE() << "no answer";
      return std::unexpected(Failure::timed_out);
    }
    return std::move(*outcome);
  }
  std::expected<Reply, Failure> ping() { return ask("{\"execute\":\"guest-ping\"}"); }

  boost::asio::io_context loop;
  std::string path = "/tmp/warren-agent-" + std::to_string(::getpid()) + ".sock";
  FakeAgent agent{loop, path};
  std::shared_ptr<Connection> connection;
  bool closed = false;
};

TEST_F(AgentConnection, Answers) {
  auto reply = ping();
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->text, "{\"return\": {}}");
  EXPECT_TRUE(ask(""));
  EXPECT_TRUE(ping());
  EXPECT_EQ(agent.requests.size(), 2u);
}

TEST_F(AgentConnection, NobodyThere) {
  EXPECT_EQ(Connection::open(loop, path + ".none", {}), nullptr);
  EXPECT_EQ(Connection::open(loop, std::string(200, 'x'), {}), nullptr);
}

TEST_F(AgentConnection, SilenceAndWrongIdsTimeOut) {
  agent.answers_synchronization = false;
  EXPECT_EQ(ping().error(), Failure::not_synchronized);
  agent.answers_synchronization = true;
  agent.wrong_id = 1;
  EXPECT_EQ(ping().error(), Failure::not_synchronized);
  agent.wrong_id = 0;
  EXPECT_TRUE(ping());
  agent.replies["guest-ping"] = "";
  EXPECT_EQ(ping().error(), Failure::timed_out);
  EXPECT_EQ(ask("{\"execute\":\"guest-ping\"}", milliseconds(0)).error(), Failure::timed_out);
}

TEST_F(AgentConnection, LateRepliesAreDropped) {
  agent.replies["guest-ping"] = "";
  EXPECT_EQ(ping().error(), Failure::timed_out);
  agent.replies["guest-ping"] = "{\"return\": 2}";
  // Whole, unfinished, deep and long ones.
  agent.before_synchronization = "{\"return\": 1}\n{\"return\": [\n" + std::string(5000, '[') + "\n{\"ret";
  auto reply = ping();
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->value.number("return"), 2);
  agent.send("{\"return\": 3}\n{\"retu");
  reply = ping();
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->value.number("return"), 2);
}

TEST_F(AgentConnection, MalformedReplies) {
  for (std::string bad : {std::string("nonsense"), std::string("[]"), std::string("\"\xc3\x28\""),
                          std::string(100'000, '['), std::string("{\"return\": 1")}) {
    agent.replies["guest-ping"] = bad;
    EXPECT_EQ(ping().error(), Failure::malformed) << bad.substr(0, 20);
  }
  agent.replies["guest-ping"] = "{\"return\": 1}";
  EXPECT_TRUE(ping());
}

TEST_F(AgentConnection, NeverEndingReply) {
  agent.replies["guest-ping"] = "";
  std::optional<Failure> failure;
  connection->exchange({.line = "{\"execute\":\"guest-ping\"}", .command = "guest-ping"},
                       [&](std::expected<Reply, Failure> found) { failure = found.error(); });
  while (agent.requests.empty()) loop.run_one();
  for (std::size_t sent = 0; sent <= kMaximumReply + 4096 && !failure; sent += 4096) {
    agent.send(std::string(4096, 'x'));
    loop.poll();
  }
  for (int i = 0; i < 100 && !failure; ++i) loop.run_for(milliseconds(5));
  EXPECT_EQ(failure, Failure::malformed);
}

TEST_F(AgentConnection, HangsUpInTheMiddle) {
  agent.seen = [this](const std::string&) {
    agent.send("{\"return\": ");
    agent.hang_up();
  };
  EXPECT_EQ(ping().error(), Failure::disconnected);
  EXPECT_TRUE(closed);
  EXPECT_EQ(ping().error(), Failure::disconnected);
}

TEST_F(AgentConnection, CloseEndsAnExchangeAndTellsNobody) {
  std::optional<Failure> failure;
  connection->exchange({.line = "{}", .command = "x"},
                       [&](std::expected<Reply, Failure> found) { failure = found.error(); });
  connection->close();
  EXPECT_EQ(failure, Failure::disconnected);
  EXPECT_FALSE(closed);
}

}  // namespace
}  // namespace warren::driver::agent
