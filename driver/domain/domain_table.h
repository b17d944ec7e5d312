// Which domains there are: by UUID, name and id, and the rule that each is unique. One thread.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <unordered_map>

#include "driver/contract/handle.h"

namespace warren::driver::domain {

class Domain;

class DomainTable {
 public:
  std::shared_ptr<Domain> by_uuid(const Uuid& uuid) const;
  std::shared_ptr<Domain> by_name(const std::string& name) const;
  std::shared_ptr<Domain> by_id(int id) const;

  // Adds, or finds that it is there already. Throws OPERATION_FAILED when another domain has its UUID or
  // name.
  void add(const std::shared_ptr<Domain>& domain);
  // Throws OPERATION_FAILED as add() would for a domain of this UUID and name; null when both are free.
  std::shared_ptr<Domain> find_or_conflict(const Uuid& uuid, const std::string& name) const;
  void remove(const Domain& domain);
  // The domain's name is `to` from now on. Throws OPERATION_INVALID when it is taken.
  void rename(const std::shared_ptr<Domain>& domain, const std::string& to);
  void set_id(const std::shared_ptr<Domain>& domain, int id);
  void clear_id(int id);
  // When the driver ends: domains and what they share would keep each other.
  void clear() noexcept;

  // By name; includes those that are not published yet.
  const std::map<std::string, std::shared_ptr<Domain>>& all() const noexcept { return by_name_; }

 private:
  std::unordered_map<Uuid, std::shared_ptr<Domain>> by_uuid_;
  std::map<std::string, std::shared_ptr<Domain>> by_name_;
  std::map<int, std::shared_ptr<Domain>> by_id_;
};

}  // namespace warren::driver::domain
