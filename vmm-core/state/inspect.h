// The live state of a component as a read-only tree, for `inspect`, tests and bug reports.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace warren::vmm {

// A node: named values and named children, both in the order they were added. Built on the control thread.
class InspectNode {
 public:
  using Value = std::variant<bool, std::uint64_t, std::int64_t, std::string>;

  void add(std::string_view name, bool value) { values_.emplace_back(name, Value(value)); }
  void add(std::string_view name, std::uint64_t value) { values_.emplace_back(name, Value(value)); }
  void add(std::string_view name, std::uint32_t value) { add(name, std::uint64_t{value}); }
  void add(std::string_view name, std::int64_t value) { values_.emplace_back(name, Value(value)); }
  void add(std::string_view name, std::string value) { values_.emplace_back(name, Value(std::move(value))); }
  void add(std::string_view name, const char* value) { add(name, std::string(value)); }
  // The reference is good until the next child is added.
  InspectNode& child(std::string_view name) { return children_.emplace_back(name, InspectNode{}).second; }

  const std::vector<std::pair<std::string, Value>>& values() const noexcept { return values_; }
  const std::vector<std::pair<std::string, InspectNode>>& children() const noexcept { return children_; }

 private:
  std::vector<std::pair<std::string, Value>> values_;
  std::vector<std::pair<std::string, InspectNode>> children_;
};

// Whoever has live state worth seeing. Called on the control thread while the component works; it takes the
// component's own lock or reads atomics, never waits for I/O, and changes nothing.
class Inspectable {
 public:
  virtual void inspect(InspectNode& node) const = 0;

 protected:
  ~Inspectable() = default;
};

}  // namespace warren::vmm
