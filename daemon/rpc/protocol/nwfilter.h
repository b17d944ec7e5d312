// Arguments and results of the calls for network filters and their bindings.
#pragma once

#include <cstdint>
#include <string>

#include "daemon/rpc/protocol/limits.h"
#include "daemon/rpc/protocol/objects.h"
#include "daemon/rpc/xdr.h"

namespace warren::daemon::rpc::protocol {

struct NwfilterLookupByNameArgs {
  std::string name;
};

struct NwfilterLookupByNameResult {
  Nwfilter nwfilter;
};

struct NwfilterLookupByUuidArgs {
  Uuid uuid{};
};

struct NwfilterLookupByUuidResult {
  Nwfilter nwfilter;
};

struct NwfilterGetXmlDescArgs {
  Nwfilter nwfilter;
  std::uint32_t flags = 0;
};

struct NwfilterGetXmlDescResult {
  std::string xml;
};

struct ConnectNumOfNwfiltersResult {
  std::int32_t num = 0;
};

struct ConnectListNwfiltersArgs {
  std::int32_t maxnames = 0;
};

struct ConnectListNwfiltersResult {
  Array<std::string, kNwfilterListMax> names;
};

struct NwfilterDefineXmlArgs {
  std::string xml;
};

struct NwfilterDefineXmlResult {
  Nwfilter nwfilter;
};

struct NwfilterUndefineArgs {
  Nwfilter nwfilter;
};

struct ConnectListAllNwfiltersArgs {
  std::int32_t need_results = 0;
  std::uint32_t flags = 0;
};

struct ConnectListAllNwfiltersResult {
  Array<Nwfilter, kNwfilterListMax> filters;
  std::uint32_t ret = 0;
};

struct NwfilterBindingLookupByPortDevArgs {
  std::string name;
};

struct NwfilterBindingLookupByPortDevResult {
  NwfilterBinding nwfilter;
};

struct NwfilterBindingGetXmlDescArgs {
  NwfilterBinding nwfilter;
  std::uint32_t flags = 0;
};

struct NwfilterBindingGetXmlDescResult {
  std::string xml;
};

struct NwfilterBindingCreateXmlArgs {
  std::string xml;
  std::uint32_t flags = 0;
};

struct NwfilterBindingCreateXmlResult {
  NwfilterBinding nwfilter;
};

struct NwfilterBindingDeleteArgs {
  NwfilterBinding nwfilter;
};

struct ConnectListAllNwfilterBindingsArgs {
  std::int32_t need_results = 0;
  std::uint32_t flags = 0;
};

struct ConnectListAllNwfilterBindingsResult {
  Array<NwfilterBinding, kNwfilterBindingListMax> bindings;
  std::uint32_t ret = 0;
};

struct NwfilterDefineXmlFlagsArgs {
  std::string xml;
  std::uint32_t flags = 0;
};

struct NwfilterDefineXmlFlagsResult {
  Nwfilter nwfilter;
};

}  // namespace warren::daemon::rpc::protocol
