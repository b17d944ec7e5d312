// Calls a libvirt daemon as fast as one or many clients can, through libvirt's own library, and prints what
// it took.
//
//   warren-rpc-load URI OPERATION CLIENTS SECONDS [DOMAIN]
//
// Each client is a process of its own with one connection. Prints "calls_per_second median_microseconds".
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <new>
#include <string>
#include <vector>

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t kMaximumClients = 64;

// In memory that the clients share.
struct Shared {
  std::atomic<unsigned> ready{0};
  std::atomic<bool> go{false};
  std::atomic<std::uint64_t> calls{0};
  std::atomic<std::uint64_t> median_nanoseconds{0};  // of the first client
};

struct Load {
  std::string uri;
  std::string operation;
  std::string domain;
  Clock::duration length;
};

[[noreturn]] void give_up(const char* what) {
  std::fprintf(stderr, "warren-rpc-load: %s: %s\n", what, virGetLastErrorMessage());
  std::_Exit(1);
}

bool open_and_close(const Load& load) {
  virConnectPtr connection = virConnectOpen(load.uri.c_str());
  return connection != nullptr && virConnectClose(connection) == 0;
}

bool list_all(virConnectPtr connection) {
  virDomainPtr* domains = nullptr;
  int count = virConnectListAllDomains(connection, &domains, 0);
  for (int i = 0; i < count; ++i) virDomainFree(domains[i]);
  std::free(domains);
  return count >= 0;
}

bool describe(virDomainPtr domain) {
  char* text = virDomainGetXMLDesc(domain, 0);
  bool works = text != nullptr;
  std::free(text);
  return works;
}

bool define(virConnectPtr connection, const std::string& name) {
  std::string xml = "<domain type='kvm'><name>" + name +
                    "</name><memory unit='MiB'>64</memory><os><type arch='x86_64' machine='q35'>hvm</type>"
                    "<kernel>/boot/vmlinuz</kernel></os></domain>";
  virDomainPtr domain = virDomainDefineXML(connection, xml.c_str());
  if (domain == nullptr) return false;
  bool works = virDomainUndefine(domain) == 0;
  virDomainFree(domain);
  return works;
}

std::function<bool()> make_call(const Load& load, std::size_t client, virConnectPtr connection) {
  virDomainPtr domain = nullptr;
  if (!load.domain.empty()) {
    domain = virDomainLookupByName(connection, load.domain.c_str());
    if (domain == nullptr) give_up("look up the domain");
  }
  if (load.operation == "open") return [&load] { return open_and_close(load); };
  if (load.operation == "list") return [connection] { return list_all(connection); };
  if (load.operation == "dumpxml") return [domain] { return describe(domain); };
  if (load.operation == "define") {
    return [connection, name = "load-" + std::to_string(client)] { return define(connection, name); };
  }
  if (load.operation == "info") {
    return [domain] {
      virDomainInfo info;
      return virDomainGetInfo(domain, &info) == 0;
    };
  }
  std::fprintf(stderr, "warren-rpc-load: no operation '%s'\n", load.operation.c_str());
  std::_Exit(2);
}

void run_client(const Load& load, std::size_t client, Shared& shared) {
  virConnectPtr connection = virConnectOpen(load.uri.c_str());
  if (connection == nullptr) give_up("connect");
  std::function<bool()> call = make_call(load, client, connection);
  if (!call()) give_up(load.operation.c_str());
  std::vector<std::int64_t> took;
  took.reserve(1 << 20);
  shared.ready.fetch_add(1);
  while (!shared.go.load()) ::usleep(100);
  Clock::time_point begun = Clock::now();
  for (Clock::time_point now = begun; now - begun < load.length;) {
    if (!call()) give_up(load.operation.c_str());
    Clock::time_point after = Clock::now();
    took.push_back(std::chrono::duration_cast<std::chrono::nanoseconds>(after - now).count());
    now = after;
  }
  shared.calls.fetch_add(took.size());
  if (client == 0) {
    auto middle = took.begin() + static_cast<std::ptrdiff_t>(took.size() / 2);
    std::nth_element(took.begin(), middle, took.end());
    shared.median_nanoseconds.store(static_cast<std::uint64_t>(*middle));
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 5 || argc > 6) {
    std::fprintf(stderr, "usage: %s URI open|info|list|dumpxml|define CLIENTS SECONDS [DOMAIN]\n", argv[0]);
    return 2;
  }
  std::size_t clients = std::strtoul(argv[3], nullptr, 10);
  double seconds = std::strtod(argv[4], nullptr);
  if (clients < 1 || clients > kMaximumClients || !(seconds > 0)) return 2;
  Load load{.uri = argv[1],
            .operation = argv[2],
            .domain = argc == 6 ? argv[5] : "",
            .length = std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds))};
  // Shared with the children, which end on their own.
  void* memory = ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return 1;
  auto* shared = new (memory) Shared;
  for (std::size_t client = 0; client < clients; ++client) {
    if (::fork() == 0) {
      run_client(load, client, *shared);
      std::_Exit(0);
    }
  }
  int status = 0;
  bool failed = false;
  // A client that gives up before the start must not leave the others waiting.
  while (shared->ready.load() < clients && !failed) {
    failed = ::waitpid(-1, &status, WNOHANG) > 0;
    ::usleep(100);
  }
  shared->go.store(true);
  while (::waitpid(-1, &status, 0) > 0) failed = failed || status != 0;
  if (failed) return 1;
  std::printf("%.0f %.1f\n", static_cast<double>(shared->calls.load()) / seconds,
              static_cast<double>(shared->median_nanoseconds.load()) / 1000);
  return 0;
}
