#include "driver/host/local_host.h"

#include <algorithm>
#include <cerrno>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <fmt/format.h>
#include <libvirt/libvirt.h>
#include <unistd.h>

#include "driver/config/capabilities.h"
#include "driver/config/domain_xml_parts.h"
#include "driver/contract/error.h"
#include "driver/host/node_cpu.h"
#include "driver/host/sysinfo.h"

namespace warren::driver::host {

namespace {

namespace asio = boost::asio;

void check_query(const config::HostFacts& facts, const DomainCapabilitiesQuery& query) {
  config::check_capabilities_query(facts, query.emulator.value_or(""), query.architecture.value_or(""),
                                   query.machine.value_or(""), query.virtualization_type.value_or(""));
}

int outcome_of(const CpuComparison& comparison, unsigned int flags) {
  if (comparison.result == VIR_CPU_COMPARE_INCOMPATIBLE &&
      (flags & VIR_CONNECT_COMPARE_CPU_FAIL_INCOMPATIBLE) != 0)
    throw Error(VIR_ERR_CPU_INCOMPATIBLE, comparison.reason, VIR_FROM_CPU);
  return comparison.result;
}

constexpr unsigned int kCompareFlags =
    VIR_CONNECT_COMPARE_CPU_FAIL_INCOMPATIBLE | VIR_CONNECT_COMPARE_CPU_VALIDATE_XML;
constexpr unsigned int kBaselineFlags =
    VIR_CONNECT_BASELINE_CPU_EXPAND_FEATURES | VIR_CONNECT_BASELINE_CPU_MIGRATABLE;

CpuDocument parse_for_comparison(const std::string& xml, unsigned int flags) {
  return parse_cpu_document(xml, (flags & VIR_CONNECT_COMPARE_CPU_VALIDATE_XML) != 0);
}

std::string baseline_of(const std::vector<std::string>& xmls, unsigned int flags,
                        const ReferenceCpu* hypervisor) {
  std::vector<CpuDocument> cpus;
  for (const std::string& xml : xmls) cpus.push_back(parse_cpu_document(xml, false));
  return format_baseline(cpus, {.hypervisor = hypervisor,
                                .expand_features = (flags & VIR_CONNECT_BASELINE_CPU_EXPAND_FEATURES) != 0,
                                .migratable = (flags & VIR_CONNECT_BASELINE_CPU_MIGRATABLE) != 0});
}

}  // namespace

std::unique_ptr<HostDriver> make_host_driver(asio::io_context& loop, config::HostFacts facts,
                                             std::filesystem::path root) {
  return std::make_unique<LocalHost>(loop, std::move(facts), std::move(root));
}

LocalHost::LocalHost(asio::io_context& loop, config::HostFacts facts, std::filesystem::path root)
    : loop_(loop),
      facts_(std::move(facts)),
      root_(std::move(root)),
      memory_(facts_, root_),
      capabilities_(config::format_capabilities(facts_)) {
  // It asks the parser so often that this takes a while; nobody has asked for it yet.
  std::packaged_task<std::string()> format(
      [this] { return config::format_domain_capabilities(facts_, "", "", "", ""); });
  domain_capabilities_ = format.get_future().share();
  asio::post(thread_, std::move(format));
}

LocalHost::~LocalHost() {
  thread_.join();
}

template <typename T, typename Work>
void LocalHost::run(Work work, Completion<T> completion) {
  asio::post(thread_, [&loop = loop_, guard = asio::make_work_guard(loop_), work = std::move(work),
                       completion = std::move(completion)]() mutable {
    std::expected<T, Error> outcome;
    try {
      if constexpr (std::is_void_v<T>) {
        work();
      } else {
        outcome = work();
      }
    } catch (const Error& error) {
      outcome = std::unexpected(error);
    } catch (const std::exception& error) {
      outcome = std::unexpected(internal_error(error.what()));
    }
    asio::post(loop, [outcome = std::move(outcome), completion = std::move(completion)]() mutable {
      completion(std::move(outcome));
    });
  });
}

std::string LocalHost::type(const Caller& caller) const {
  return caller.flavour == UriFlavour::qemu ? "QEMU" : "Warren";
}

std::uint64_t LocalHost::hypervisor_version(const Caller& caller) const {
  // Clients that came by a qemu:// URI switch their features by QEMU's version: 7.2.0 is where they offer all
  // that is here (CONTRACT §6).
  return caller.flavour == UriFlavour::qemu ? 7'002'000 : WARREN_VERSION_NUMBER;
}

std::uint64_t LocalHost::library_version(const Caller&) const {
  return LIBVIR_VERSION_NUMBER;
}

int LocalHost::maximum_vcpus(const Caller&, const std::optional<std::string>& type) const {
  if (type && *type != "kvm")
    throw invalid_argument(fmt::format("unknown virtualization type '{}': there is only 'kvm'", *type));
  std::uint32_t most = config::kMaximumVcpus;
  if (facts_.kvm_maximum_vcpus != 0) most = std::min(most, facts_.kvm_maximum_vcpus);
  return static_cast<int>(most);
}

std::string LocalHost::capabilities_xml(const Caller&) const {
  return capabilities_;
}

std::string LocalHost::domain_capabilities_xml(const Caller&, const DomainCapabilitiesQuery& query,
                                               unsigned int flags) const {
  check_flags(flags, 0, "virConnectGetDomainCapabilities");
  check_query(facts_, query);
  return domain_capabilities_.get();
}

std::string LocalHost::hostname(const Caller&) const {
  char name[256];
  if (::gethostname(name, sizeof(name)) != 0) throw system_error(errno, "get the host's name");
  name[sizeof(name) - 1] = '\0';
  return name;
}

NodeInfo LocalHost::node_info(const Caller&) const {
  NodeInfo info;
  info.model = facts_.architecture;
  info.memory_kib = facts_.memory_kib;
  info.cpus = host::node_cpu_map(root_).online;
  info.mhz = cpu_mhz(root_);
  info.nodes = std::max<std::uint32_t>(1, static_cast<std::uint32_t>(facts_.cells.size()));
  info.sockets = facts_.sockets;
  info.cores = facts_.cores * facts_.dies;
  info.threads = facts_.threads;
  return info;
}

NodeCpuMap LocalHost::node_cpu_map(const Caller&, unsigned int flags) const {
  check_flags(flags, 0, "virNodeGetCPUMap");
  return host::node_cpu_map(root_);
}

SecurityModel LocalHost::security_model(const Caller&) const {
  return {.model = "none", .doi = "0"};  // as in the capabilities
}

std::vector<NodeStatistic> LocalHost::cpu_statistics(const Caller&, int cpu, unsigned int flags) const {
  check_flags(flags, 0, "virNodeGetCPUStats");
  return host::cpu_statistics(root_, cpu);
}

std::vector<NodeStatistic> LocalHost::memory_statistics(const Caller&, int cell, unsigned int flags) const {
  check_flags(flags, 0, "virNodeGetMemoryStats");
  return memory_.statistics(cell);
}

std::uint64_t LocalHost::free_memory_bytes(const Caller&) const {
  return memory_.free_bytes();
}

std::vector<std::uint64_t> LocalHost::cells_free_memory(const Caller&, int first, int most) const {
  return memory_.cells_free(first, most);
}

std::vector<std::uint64_t> LocalHost::free_pages(const Caller&, const std::vector<std::uint32_t>& sizes_kib,
                                                 int first_cell, std::uint32_t cells,
                                                 unsigned int flags) const {
  check_flags(flags, 0, "virNodeGetFreePages");
  return memory_.free_pages(sizes_kib, first_cell, cells);
}

void LocalHost::allocate_pages(const Caller&, PageAllocation pages, unsigned int flags,
                               Completion<int> completion) {
  run<int>(
      [this, pages = std::move(pages), flags] {
        check_flags(flags, VIR_NODE_ALLOC_PAGES_SET, "virNodeAllocPages");
        return memory_.allocate_pages(pages, (flags & VIR_NODE_ALLOC_PAGES_SET) != 0);
      },
      std::move(completion));
}

TypedParameters LocalHost::memory_parameters(const Caller&, unsigned int flags) const {
  check_flags(flags, VIR_TYPED_PARAM_STRING_OKAY, "virNodeGetMemoryParameters");
  return memory_.merging();
}

void LocalHost::set_memory_parameters(const Caller&, TypedParameters parameters, unsigned int flags,
                                      Completion<void> completion) {
  run<void>(
      [this, parameters = std::move(parameters), flags] {
        check_flags(flags, 0, "virNodeSetMemoryParameters");
        memory_.set_merging(parameters);
      },
      std::move(completion));
}

void LocalHost::suspend(const Caller&, unsigned int target, std::uint64_t seconds, unsigned int flags) const {
  check_flags(flags, 0, "virNodeSuspendForDuration");
  if (target > VIR_NODE_SUSPEND_TARGET_HYBRID)
    throw invalid_argument(fmt::format("there is no suspend target {}", target));
  constexpr std::uint64_t kShortest = 60;
  if (seconds < kShortest)
    throw invalid_argument(fmt::format("a host is not suspended for less than {} seconds", kShortest));
  throw operation_unsupported(
      "Warren does not suspend its host, whose guests would stop untold; use 'systemctl suspend' with an "
      "alarm "
      "of rtcwake(8)");
}

std::string LocalHost::sysinfo_xml(const Caller&, unsigned int flags) const {
  check_flags(flags, 0, "virConnectGetSysinfo");
  return format_sysinfo(root_);
}

std::vector<std::string> LocalHost::model_names(const Caller&, const std::string& architecture,
                                                unsigned int flags) const {
  check_flags(flags, 0, "virConnectGetCPUModelNames");
  if (architecture != "x86_64" && architecture != "i686")
    throw Error(VIR_ERR_NO_SUPPORT,
                fmt::format("Warren knows the CPU models of x86_64, not of '{}'", architecture.substr(0, 64)),
                VIR_FROM_CPU);
  std::vector<std::string> names;
  for (const config::CpuModel& model : config::cpu_models()) names.emplace_back(model.name);
  return names;
}

ReferenceCpu LocalHost::own_cpu() const {
  return {.features = config::cpu_features_of(facts_.host_cpuid),
          .vendor = std::string(config::cpu_vendor_of(facts_.host_cpuid))};
}

ReferenceCpu LocalHost::hypervisor_cpu(const DomainCapabilitiesQuery& query) const {
  check_query(facts_, query);
  if (facts_.kvm_cpuid.empty())
    throw operation_unsupported(
        "KVM cannot be asked for the CPU it gives to guests: /dev/kvm does not answer");
  return {.features = config::cpu_features_of(facts_.kvm_cpuid),
          .vendor = std::string(config::cpu_vendor_of(facts_.kvm_cpuid))};
}

int LocalHost::compare(const Caller&, const std::string& xml, unsigned int flags) const {
  check_flags(flags, kCompareFlags, "virConnectCompareCPU");
  return outcome_of(compare_cpu(parse_for_comparison(xml, flags), own_cpu()), flags);
}

int LocalHost::compare_with_hypervisor(const Caller&, const DomainCapabilitiesQuery& query,
                                       const std::string& xml, unsigned int flags) const {
  check_flags(flags, kCompareFlags, "virConnectCompareHypervisorCPU");
  const ReferenceCpu cpu = hypervisor_cpu(query);
  return outcome_of(compare_cpu(parse_for_comparison(xml, flags), cpu), flags);
}

std::string LocalHost::baseline(const Caller&, const std::vector<std::string>& xmls,
                                unsigned int flags) const {
  check_flags(flags, kBaselineFlags, "virConnectBaselineCPU");
  return baseline_of(xmls, flags, nullptr);
}

std::string LocalHost::baseline_with_hypervisor(const Caller&, const DomainCapabilitiesQuery& query,
                                                const std::vector<std::string>& xmls,
                                                unsigned int flags) const {
  check_flags(flags, kBaselineFlags, "virConnectBaselineHypervisorCPU");
  const ReferenceCpu cpu = hypervisor_cpu(query);
  return baseline_of(xmls, flags, &cpu);
}

}  // namespace warren::driver::host
