// A host of plain values, for the tests of the layer above the contract.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include <libvirt/libvirt.h>

#include "driver/contract/host.h"

namespace warren::daemon::rpc {

class FakeHost : public driver::HostDriver {
 public:
  using Caller = driver::Caller;
  using Query = driver::DomainCapabilitiesQuery;

  driver::TypedParameters parameters{{"shm_sleep_millisecs", std::uint32_t{20}},
                                     {"shm_pages_shared", std::uint64_t{5}}};
  driver::PageAllocation allocated;

  std::string type(const Caller& caller) const override {
    return caller.flavour == driver::UriFlavour::qemu ? "QEMU" : "Warren";
  }
  std::uint64_t hypervisor_version(const Caller&) const override { return 7002000; }
  std::uint64_t library_version(const Caller&) const override { return LIBVIR_VERSION_NUMBER; }
  int maximum_vcpus(const Caller&, const std::optional<std::string>&) const override { return 255; }
  std::string capabilities_xml(const Caller&) const override { return "<capabilities/>"; }
  std::string domain_capabilities_xml(const Caller&, const Query&, unsigned int) const override {
    return "<domainCapabilities/>";
  }

  std::string hostname(const Caller&) const override { return "host.example"; }
  driver::NodeInfo node_info(const Caller&) const override {
    return {.model = "x86_64", .memory_kib = 1024, .cpus = 2};
  }
  driver::NodeCpuMap node_cpu_map(const Caller&, unsigned int) const override {
    return {.present = 2, .online = 2, .map = {3}};
  }
  driver::SecurityModel security_model(const Caller&) const override { return {.model = "none", .doi = "0"}; }
  std::vector<driver::NodeStatistic> cpu_statistics(const Caller&, int, unsigned int) const override {
    return {{"kernel", 1}, {"user", 2}};
  }
  std::vector<driver::NodeStatistic> memory_statistics(const Caller&, int, unsigned int) const override {
    return {{"total", 1}, {"free", 2}};
  }
  std::uint64_t free_memory_bytes(const Caller&) const override { return 1 << 20; }
  std::vector<std::uint64_t> cells_free_memory(const Caller&, int, int) const override { return {7, 8}; }
  std::vector<std::uint64_t> free_pages(const Caller&, const std::vector<std::uint32_t>& sizes, int,
                                        std::uint32_t, unsigned int) const override {
    return {sizes.begin(), sizes.end()};
  }
  void allocate_pages(const Caller&, driver::PageAllocation pages, unsigned int,
                      driver::Completion<int> done) override {
    allocated = std::move(pages);
    done(static_cast<int>(allocated.sizes_kib.size()));
  }
  driver::TypedParameters memory_parameters(const Caller&, unsigned int) const override { return parameters; }
  void set_memory_parameters(const Caller&, driver::TypedParameters changed, unsigned int,
                             driver::Completion<void> done) override {
    parameters = std::move(changed);
    done({});
  }
  void suspend(const Caller&, unsigned int, std::uint64_t, unsigned int) const override {
    throw driver::operation_unsupported("no");
  }
  std::string sysinfo_xml(const Caller&, unsigned int) const override { return "<sysinfo/>"; }

  std::vector<std::string> model_names(const Caller&, const std::string&, unsigned int) const override {
    return {"EPYC", "Haswell"};
  }
  int compare(const Caller&, const std::string&, unsigned int) const override {
    return VIR_CPU_COMPARE_SUPERSET;
  }
  int compare_with_hypervisor(const Caller&, const Query&, const std::string&, unsigned int) const override {
    return VIR_CPU_COMPARE_IDENTICAL;
  }
  std::string baseline(const Caller&, const std::vector<std::string>& xmls, unsigned int) const override {
    return xmls.at(0);
  }
  std::string baseline_with_hypervisor(const Caller&, const Query&, const std::vector<std::string>& xmls,
                                       unsigned int) const override {
    return xmls.at(0);
  }
};

}  // namespace warren::daemon::rpc
