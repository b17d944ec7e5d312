// What the procedure tables promise as a whole.

#include <set>
#include <string>
#include <string_view>
#include <utility>

#include <gtest/gtest.h>

#include "daemon/rpc/packet.h"
#include "daemon/rpc/procedure.h"
#include "daemon/rpc/tables.h"

namespace warren::daemon::rpc {
namespace {

std::size_t count(const Program& program) {
  std::size_t found = 0;
  for (const Procedure* procedure : program.procedures()) found += procedure != nullptr ? 1 : 0;
  return found;
}

TEST(ProcedureTable, KnowsEveryProcedureOfLibvirt9) {
  EXPECT_EQ(count(*find_program(kRemoteProgram)), 443U);
  EXPECT_EQ(count(*find_program(kQemuProgram)), 7U);
  EXPECT_EQ(count(*find_program(kLxcProgram)), 1U);
  EXPECT_EQ(count(*find_program(kAdminProgram)), 19U);
  EXPECT_EQ(find_program(0x12345678), nullptr);
  // Numbers begin at 1 and leave no gap.
  for (std::uint32_t number = 1; number <= 443; ++number) {
    EXPECT_NE(find_program(kRemoteProgram)->find(number), nullptr) << number;
  }
  EXPECT_EQ(find_program(kRemoteProgram)->find(0), nullptr);
  EXPECT_EQ(find_program(kRemoteProgram)->find(444), nullptr);
}

TEST(ProcedureTable, LinesAreConsistent) {
  for (const Program& program : programs()) {
    std::set<std::string_view> names;
    for (const Procedure* procedure : program.procedures()) {
      if (procedure == nullptr) continue;
      SCOPED_TRACE(std::string(procedure->name));
      EXPECT_TRUE(names.insert(procedure->name).second);
      EXPECT_NE(procedure->arguments.recode, nullptr);
      EXPECT_NE(procedure->result.recode, nullptr);
      // A handler is there exactly for what is served, and never for a message to the client.
      EXPECT_EQ(procedure->serve != nullptr,
                procedure->support == Support::implemented && !procedure->has(kEvent));
      EXPECT_FALSE(procedure->acl.empty());
    }
  }
}

TEST(ProcedureTable, OnlyAuthenticationComesBeforeAuthentication) {
  for (const Program& program : programs()) {
    for (const Procedure* procedure : program.procedures()) {
      if (procedure == nullptr) continue;
      bool expected =
          program.number() == kRemoteProgram && procedure->number >= 66 && procedure->number <= 70;
      EXPECT_EQ(procedure->has(kPreAuth), expected) << procedure->name;
    }
  }
}

TEST(ProcedureTable, WhatChangesAnObjectIsRefusedToReaders) {
  const Program& remote = *find_program(kRemoteProgram);
  for (const Procedure* procedure : remote.procedures()) {
    if (procedure == nullptr || procedure->has(kEvent)) continue;
    // Whatever needs one of these permissions unconditionally is no reading.
    for (std::string_view permission : {"domain:write",
                                        "domain:start",
                                        "domain:stop",
                                        "domain:delete",
                                        "domain:save",
                                        "network:write",
                                        "network:start",
                                        "network:stop",
                                        "network:delete",
                                        "network:save",
                                        "network_port:create",
                                        "network_port:write",
                                        "network_port:delete",
                                        "nwfilter:write",
                                        "nwfilter:save",
                                        "nwfilter:delete",
                                        "nwfilter_binding:create",
                                        "nwfilter_binding:delete",
                                        "interface:write",
                                        "interface:save",
                                        "interface:start",
                                        "interface:stop",
                                        "interface:delete",
                                        "connect:interface_transaction"}) {
      bool needed = false;
      for (std::size_t at = procedure->acl.find(permission); at != std::string_view::npos;
           at = procedure->acl.find(permission, at + 1)) {
        std::size_t end = at + permission.size();
        needed |= end == procedure->acl.size() || procedure->acl[end] == ' ';
      }
      if (needed) {
        EXPECT_TRUE(procedure->has(kWrite)) << procedure->name;
      }
    }
  }
}

// A handler takes for granted that the driver is there which its line names.
TEST(ProcedureTable, EachCallNamesTheDriverItIsAbout) {
  using Table = std::span<const Procedure> (*)();
  for (const auto& [table, part] : {std::pair<Table, Part>{&secret_procedures, Part::secrets},
                                    {&storage_pool_procedures, Part::storage},
                                    {&storage_volume_procedures, Part::storage},
                                    {&network_procedures, Part::networks},
                                    {&interface_procedures, Part::interfaces},
                                    {&nwfilter_procedures, Part::network_filters}}) {
    for (const Procedure& procedure : table()) EXPECT_EQ(procedure.part, part) << procedure.name;
  }
  const Program& remote = *find_program(kRemoteProgram);
  for (std::uint32_t number : {313U, 314U, 315U})
    EXPECT_EQ(remote.find(number)->part, Part::networks) << number;
  for (std::uint32_t number : {208U, 209U, 368U, 369U, 370U, 373U})
    EXPECT_EQ(remote.find(number)->part, Part::storage) << number;
  for (std::uint32_t number : {380U, 381U, 382U, 383U})
    EXPECT_EQ(remote.find(number)->part, Part::secrets) << number;
  for (std::uint32_t number : {135U, 136U})
    EXPECT_EQ(remote.find(number)->part, Part::native_formats) << number;
}

}  // namespace
}  // namespace warren::daemon::rpc
