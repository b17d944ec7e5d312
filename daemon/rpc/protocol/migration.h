// Arguments and results of the migration protocol (versions 1, 2, 3 and 3 with parameters).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "daemon/rpc/protocol/limits.h"
#include "daemon/rpc/protocol/objects.h"
#include "daemon/rpc/xdr.h"

namespace warren::daemon::rpc::protocol {

struct DomainMigratePrepareArgs {
  std::optional<std::string> uri_in;
  std::uint64_t flags = 0;
  std::optional<std::string> dname;
  std::uint64_t resource = 0;
};

struct DomainMigratePrepareResult {
  Opaque<kMigrateCookieMax> cookie;
  std::optional<std::string> uri_out;
};

struct DomainMigratePerformArgs {
  Domain dom;
  Opaque<kMigrateCookieMax> cookie;
  std::string uri;
  std::uint64_t flags = 0;
  std::optional<std::string> dname;
  std::uint64_t resource = 0;
};

struct DomainMigrateFinishArgs {
  std::string dname;
  Opaque<kMigrateCookieMax> cookie;
  std::string uri;
  std::uint64_t flags = 0;
};

struct DomainMigrateFinishResult {
  Domain ddom;
};

struct DomainMigratePrepare2Args {
  std::optional<std::string> uri_in;
  std::uint64_t flags = 0;
  std::optional<std::string> dname;
  std::uint64_t resource = 0;
  std::string dom_xml;
};

struct DomainMigratePrepare2Result {
  Opaque<kMigrateCookieMax> cookie;
  std::optional<std::string> uri_out;
};

struct DomainMigrateFinish2Args {
  std::string dname;
  Opaque<kMigrateCookieMax> cookie;
  std::string uri;
  std::uint64_t flags = 0;
  std::int32_t retcode = 0;
};

struct DomainMigrateFinish2Result {
  Domain ddom;
};

struct DomainMigratePrepareTunnelArgs {
  std::uint64_t flags = 0;
  std::optional<std::string> dname;
  std::uint64_t resource = 0;
  std::string dom_xml;
};

struct DomainMigrateSetMaxDowntimeArgs {
  Domain dom;
  std::uint64_t downtime = 0;
  std::uint32_t flags = 0;
};

struct DomainMigrateSetMaxSpeedArgs {
  Domain dom;
  std::uint64_t bandwidth = 0;
  std::uint32_t flags = 0;
};

struct DomainMigrateBegin3Args {
  Domain dom;
  std::optional<std::string> xmlin;
  std::uint64_t flags = 0;
  std::optional<std::string> dname;
  std::uint64_t resource = 0;
};

struct DomainMigrateBegin3Result {
  Opaque<kMigrateCookieMax> cookie_out;
  std::string xml;
};

struct DomainMigratePrepare3Args {
  Opaque<kMigrateCookieMax> cookie_in;
  std::optional<std::string> uri_in;
  std::uint64_t flags = 0;
  std::optional<std::string> dname;
  std::uint64_t resource = 0;
  std::string dom_xml;
};

struct DomainMigratePrepare3Result {
  Opaque<kMigrateCookieMax> cookie_out;
  std::optional<std::string> uri_out;
};

struct DomainMigratePrepareTunnel3Args {
  Opaque<kMigrateCookieMax> cookie_in;
  std::uint64_t flags = 0;
  std::optional<std::string> dname;
  std::uint64_t resource = 0;
  std::string dom_xml;
};

struct DomainMigratePrepareTunnel3Result {
  Opaque<kMigrateCookieMax> cookie_out;
};

struct DomainMigratePerform3Args {
  Domain dom;
  std::optional<std::string> xmlin;
  Opaque<kMigrateCookieMax> cookie_in;
  std::optional<std::string> dconnuri;
  std::optional<std::string> uri;
  std::uint64_t flags = 0;
  std::optional<std::string> dname;
  std::uint64_t resource = 0;
};

struct DomainMigratePerform3Result {
  Opaque<kMigrateCookieMax> cookie_out;
};

struct DomainMigrateFinish3Args {
  std::string dname;
  Opaque<kMigrateCookieMax> cookie_in;
  std::optional<std::string> dconnuri;
  std::optional<std::string> uri;
  std::uint64_t flags = 0;
  std::int32_t cancelled = 0;
};

struct DomainMigrateFinish3Result {
  Domain dom;
  Opaque<kMigrateCookieMax> cookie_out;
};

struct DomainMigrateConfirm3Args {
  Domain dom;
  Opaque<kMigrateCookieMax> cookie_in;
  std::uint64_t flags = 0;
  std::int32_t cancelled = 0;
};

struct DomainMigrateGetMaxSpeedArgs {
  Domain dom;
  std::uint32_t flags = 0;
};

struct DomainMigrateGetMaxSpeedResult {
  std::uint64_t bandwidth = 0;
};

struct DomainMigrateGetCompressionCacheArgs {
  Domain dom;
  std::uint32_t flags = 0;
};

struct DomainMigrateGetCompressionCacheResult {
  std::uint64_t cache_size = 0;
};

struct DomainMigrateSetCompressionCacheArgs {
  Domain dom;
  std::uint64_t cache_size = 0;
  std::uint32_t flags = 0;
};

struct DomainMigrateBegin3ParamsArgs {
  Domain dom;
  Array<TypedParam, kDomainMigrateParamListMax> params;
  std::uint32_t flags = 0;
};

struct DomainMigrateBegin3ParamsResult {
  Opaque<kMigrateCookieMax> cookie_out;
  std::string xml;
};

struct DomainMigratePrepare3ParamsArgs {
  Array<TypedParam, kDomainMigrateParamListMax> params;
  Opaque<kMigrateCookieMax> cookie_in;
  std::uint32_t flags = 0;
};

struct DomainMigratePrepare3ParamsResult {
  Opaque<kMigrateCookieMax> cookie_out;
  std::optional<std::string> uri_out;
};

struct DomainMigratePrepareTunnel3ParamsArgs {
  Array<TypedParam, kDomainMigrateParamListMax> params;
  Opaque<kMigrateCookieMax> cookie_in;
  std::uint32_t flags = 0;
};

struct DomainMigratePrepareTunnel3ParamsResult {
  Opaque<kMigrateCookieMax> cookie_out;
};

struct DomainMigratePerform3ParamsArgs {
  Domain dom;
  std::optional<std::string> dconnuri;
  Array<TypedParam, kDomainMigrateParamListMax> params;
  Opaque<kMigrateCookieMax> cookie_in;
  std::uint32_t flags = 0;
};

struct DomainMigratePerform3ParamsResult {
  Opaque<kMigrateCookieMax> cookie_out;
};

struct DomainMigrateFinish3ParamsArgs {
  Array<TypedParam, kDomainMigrateParamListMax> params;
  Opaque<kMigrateCookieMax> cookie_in;
  std::uint32_t flags = 0;
  std::int32_t cancelled = 0;
};

struct DomainMigrateFinish3ParamsResult {
  Domain dom;
  Opaque<kMigrateCookieMax> cookie_out;
};

struct DomainMigrateConfirm3ParamsArgs {
  Domain dom;
  Array<TypedParam, kDomainMigrateParamListMax> params;
  Opaque<kMigrateCookieMax> cookie_in;
  std::uint32_t flags = 0;
  std::int32_t cancelled = 0;
};

struct DomainMigrateStartPostCopyArgs {
  Domain dom;
  std::uint32_t flags = 0;
};

struct DomainMigrateGetMaxDowntimeArgs {
  Domain dom;
  std::uint32_t flags = 0;
};

struct DomainMigrateGetMaxDowntimeResult {
  std::uint64_t downtime = 0;
};

}  // namespace warren::daemon::rpc::protocol
