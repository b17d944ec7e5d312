// HostDriver for the host the daemon runs on. Implementation header (Asio).
#pragma once

#include <future>

#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>

#include "driver/host/cpu_comparison.h"
#include "driver/host/driver.h"
#include "driver/host/node_memory.h"

namespace warren::driver::host {

class LocalHost final : public HostDriver {
 public:
  LocalHost(boost::asio::io_context& loop, config::HostFacts facts, std::filesystem::path root);
  ~LocalHost() override;

  std::string type(const Caller& caller) const override;
  std::uint64_t hypervisor_version(const Caller& caller) const override;
  std::uint64_t library_version(const Caller& caller) const override;
  int maximum_vcpus(const Caller& caller, const std::optional<std::string>& type) const override;
  std::string capabilities_xml(const Caller& caller) const override;
  std::string domain_capabilities_xml(const Caller& caller, const DomainCapabilitiesQuery& query,
                                      unsigned int flags) const override;

  std::string hostname(const Caller& caller) const override;
  NodeInfo node_info(const Caller& caller) const override;
  NodeCpuMap node_cpu_map(const Caller& caller, unsigned int flags) const override;
  SecurityModel security_model(const Caller& caller) const override;
  std::vector<NodeStatistic> cpu_statistics(const Caller& caller, int cpu, unsigned int flags) const override;
  std::vector<NodeStatistic> memory_statistics(const Caller& caller, int cell,
                                               unsigned int flags) const override;
  std::uint64_t free_memory_bytes(const Caller& caller) const override;
  std::vector<std::uint64_t> cells_free_memory(const Caller& caller, int first, int most) const override;
  std::vector<std::uint64_t> free_pages(const Caller& caller, const std::vector<std::uint32_t>& sizes_kib,
                                        int first_cell, std::uint32_t cells,
                                        unsigned int flags) const override;
  void allocate_pages(const Caller& caller, PageAllocation pages, unsigned int flags,
                      Completion<int> completion) override;
  TypedParameters memory_parameters(const Caller& caller, unsigned int flags) const override;
  void set_memory_parameters(const Caller& caller, TypedParameters parameters, unsigned int flags,
                             Completion<void> completion) override;
  void suspend(const Caller& caller, unsigned int target, std::uint64_t seconds,
               unsigned int flags) const override;
  std::string sysinfo_xml(const Caller& caller, unsigned int flags) const override;

  std::vector<std::string> model_names(const Caller& caller, const std::string& architecture,
                                       unsigned int flags) const override;
  int compare(const Caller& caller, const std::string& xml, unsigned int flags) const override;
  int compare_with_hypervisor(const Caller& caller, const DomainCapabilitiesQuery& query,
                              const std::string& xml, unsigned int flags) const override;
  std::string baseline(const Caller& caller, const std::vector<std::string>& xmls,
                       unsigned int flags) const override;
  std::string baseline_with_hypervisor(const Caller& caller, const DomainCapabilitiesQuery& query,
                                       const std::vector<std::string>& xmls,
                                       unsigned int flags) const override;

 private:
  // Runs `work` on the thread for what blocks, and completes on the loop with what it gives or throws.
  template <typename T, typename Work>
  void run(Work work, Completion<T> completion);
  ReferenceCpu own_cpu() const;
  ReferenceCpu hypervisor_cpu(const DomainCapabilitiesQuery& query) const;

  boost::asio::io_context& loop_;
  const config::HostFacts facts_;
  const std::filesystem::path root_;
  const NodeMemory memory_;
  const std::string capabilities_;
  std::shared_future<std::string> domain_capabilities_;
  boost::asio::thread_pool thread_{1};  // last: it ends first
};

}  // namespace warren::driver::host
