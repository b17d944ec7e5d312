#include "driver/network/name_service.h"

#include <fmt/format.h>

#include "driver/network/dnsmasq.h"

namespace warren::driver::network {

namespace {

using loop::Task;

class DnsmasqService final : public NameService {
 public:
  DnsmasqService(loop::asio::thread_pool& pool, DnsmasqSettings settings, DnsmasqFiles files,
                 std::shared_ptr<Dnsmasq> server)
      : pool_(pool), settings_(std::move(settings)), files_(std::move(files)), server_(std::move(server)) {}

  Task<> begin(NetworkDefinition definition, bool was_there) {
    const DnsmasqChange change = co_await write(std::move(definition));
    const bool is_found = was_there && co_await server_->adopt();
    if (!is_found || change == DnsmasqChange::restart) {
      co_await server_->start();
    } else if (change == DnsmasqChange::reload) {
      server_->reload();
    }
  }

  Task<> update(NetworkDefinition definition) override {
    const DnsmasqChange change = co_await write(std::move(definition));
    if (change == DnsmasqChange::restart) co_await server_->start();
    if (change == DnsmasqChange::reload) server_->reload();
  }

  Task<> stop() override {
    co_await server_->stop();
    std::move_only_function<loop::Done()> remove = [files = files_] {
      remove_dnsmasq_files(files);
      return loop::Done{};
    };
    co_await loop::run_blocking<loop::Done>(pool_, std::move(remove));
  }

 private:
  Task<DnsmasqChange> write(NetworkDefinition definition) {
    std::move_only_function<DnsmasqChange()> work = [settings = settings_,
                                                     definition = std::move(definition)] {
      return write_dnsmasq_files(settings, definition);
    };
    co_return co_await loop::run_blocking<DnsmasqChange>(pool_, std::move(work));
  }

  loop::asio::thread_pool& pool_;
  const DnsmasqSettings settings_;
  const DnsmasqFiles files_;
  std::shared_ptr<Dnsmasq> server_;
};

}  // namespace

Task<std::unique_ptr<NameService>> serve_names(loop::asio::io_context& loop, loop::asio::thread_pool& pool,
                                               NameServiceSettings settings, NetworkDefinition definition,
                                               bool was_there) {
  if (!needs_dnsmasq(definition)) co_return nullptr;
  const DnsmasqFiles files = dnsmasq_files(settings.files, definition);
  auto server =
      Dnsmasq::make(loop, pool, definition.name, files,
                    [report = settings.report](const DnsmasqNotice& notice) { report(notice.text); });
  auto service = std::make_unique<DnsmasqService>(pool, settings.files, files, std::move(server));
  co_await service->begin(std::move(definition), was_there);
  co_return service;
}

}  // namespace warren::driver::network
