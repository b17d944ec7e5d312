#include "driver/domain/domain_table.h"

#include <fmt/format.h>

#include "driver/contract/error.h"
#include "driver/domain/domain.h"

namespace warren::driver::domain {

namespace {

template <typename Map, typename Key>
std::shared_ptr<Domain> find(const Map& map, const Key& key) {
  auto found = map.find(key);
  return found == map.end() ? nullptr : found->second;
}

}  // namespace

std::shared_ptr<Domain> DomainTable::by_uuid(const Uuid& uuid) const {
  return find(by_uuid_, uuid);
}
std::shared_ptr<Domain> DomainTable::by_name(const std::string& name) const {
  return find(by_name_, name);
}
std::shared_ptr<Domain> DomainTable::by_id(int id) const {
  return find(by_id_, id);
}

std::shared_ptr<Domain> DomainTable::find_or_conflict(const Uuid& uuid, const std::string& name) const {
  if (auto domain = by_uuid(uuid)) {
    if (domain->name() != name) {
      throw operation_failed(
          fmt::format("domain '{}' is already defined with uuid {}", domain->name(), uuid.to_string()));
    }
    return domain;
  }
  if (auto domain = by_name(name)) {
    throw operation_failed(
        fmt::format("domain '{}' already exists with uuid {}", name, domain->uuid().to_string()));
  }
  return nullptr;
}

void DomainTable::add(const std::shared_ptr<Domain>& domain) {
  auto existing = find_or_conflict(domain->uuid(), domain->name());
  if (existing == domain) return;
  if (existing) {
    throw operation_failed(fmt::format("domain '{}' was defined anew meanwhile; try again", domain->name()));
  }
  by_uuid_.emplace(domain->uuid(), domain);
  by_name_.emplace(domain->name(), domain);
}

void DomainTable::remove(const Domain& domain) {
  auto found = by_uuid_.find(domain.uuid());
  if (found == by_uuid_.end() || found->second.get() != &domain) return;
  by_name_.erase(domain.name());
  by_uuid_.erase(found);
}

void DomainTable::rename(const std::shared_ptr<Domain>& domain, const std::string& to) {
  if (by_name_.contains(to)) throw operation_invalid(fmt::format("domain with name '{}' already exists", to));
  by_name_.erase(domain->name());
  by_name_.emplace(to, domain);
}

void DomainTable::set_id(const std::shared_ptr<Domain>& domain, int id) {
  by_id_.insert_or_assign(id, domain);
}
void DomainTable::clear() noexcept {
  by_uuid_.clear();
  by_name_.clear();
  by_id_.clear();
}

void DomainTable::clear_id(int id) {
  by_id_.erase(id);
}

}  // namespace warren::driver::domain
