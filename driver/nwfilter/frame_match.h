// What a rule says of a frame, as expressions of nftables. Implementation header (Boost.JSON).
//
// Pure functions; throw driver::Error (domain NWFILTER) for what only the values show to be impossible.
#pragma once

#include <optional>

#include <boost/json/array.hpp>

#include "driver/nwfilter/filter_tree.h"

namespace warren::driver::nwfilter {

// Connection states a rule is for: bits of kState…; 0: any.
struct FlowSettings {
  bool mirrored = false;  // source and destination change places
  std::uint32_t states = 0;
};

// Nothing for a rule that no frame can match.
std::optional<boost::json::array> match_frame(const TapRule& rule, const FlowSettings& flow);

// {"match": …}: the frame's type.
boost::json::value match_ether_type(std::uint16_t type);
// A field by its place in the headers: base "ll", "nh" or "th"; offset and length in bits.
boost::json::value field_at(std::string_view base, unsigned offset, unsigned length);
boost::json::value field_of(std::string_view protocol, std::string_view field);
boost::json::value match_value(boost::json::value field, boost::json::value value, bool negated = false);

}  // namespace warren::driver::nwfilter
