// LocalStorage for the pools of this host. Implementation header (Asio).
//
// A change is a Task: it takes its pool's turn, looks whether it may, has a helper do what touches the host,
// and changes the table. Work that takes long (creations, clones, wipes, transfers) gives the turn back
// meanwhile and is counted in the pool's jobs.
#pragma once

#include <map>
#include <set>

#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>

#include "driver/loop/subscriptions.h"
#include "driver/loop/task.h"
#include "driver/storage/driver.h"
#include "driver/storage/format_records.h"
#include "driver/storage/storage_table.h"
#include "driver/store/document_store.h"

namespace warren::driver::storage {

template <typename T = void>
using Task = loop::Task<T>;

class LocalStorageDriver final : public LocalStorage {
 public:
  LocalStorageDriver(boost::asio::io_context& loop, StorageSettings settings, HelperLauncher launcher);
  ~LocalStorageDriver() override;

  void load(Completion<void> completion) override;
  VolumeSource volume_source(const std::string& pool, const std::string& volume) const override;
  void declare_format(const std::string& path, const std::string& format) override;
  void connection_closed(std::uint64_t connection_id) override;

  std::vector<PoolHandle> list_pools(const Caller& caller, unsigned int flags) const override;
  PoolHandle pool_by_name(const Caller& caller, const std::string& name) const override;
  PoolHandle pool_by_uuid(const Caller& caller, const Uuid& uuid) const override;
  PoolHandle pool_by_target_path(const Caller& caller, const std::string& path) const override;
  PoolInfo pool_info(const Caller& caller, const Uuid& pool) const override;
  std::string pool_xml(const Caller& caller, const Uuid& pool, unsigned int flags) const override;
  bool pool_is_active(const Caller& caller, const Uuid& pool) const override;
  bool pool_is_persistent(const Caller& caller, const Uuid& pool) const override;
  bool pool_autostart(const Caller& caller, const Uuid& pool) const override;
  std::string pool_capabilities(const Caller& caller, unsigned int flags) const override;
  void create_pool(const Caller& caller, std::string xml, unsigned int flags,
                   Completion<PoolHandle> completion) override;
  void define_pool(const Caller& caller, std::string xml, unsigned int flags,
                   Completion<PoolHandle> completion) override;
  void undefine_pool(const Caller& caller, const Uuid& pool, Completion<void> completion) override;
  void start_pool(const Caller& caller, const Uuid& pool, unsigned int flags,
                  Completion<void> completion) override;
  void stop_pool(const Caller& caller, const Uuid& pool, Completion<void> completion) override;
  void build_pool(const Caller& caller, const Uuid& pool, unsigned int flags,
                  Completion<void> completion) override;
  void delete_pool(const Caller& caller, const Uuid& pool, unsigned int flags,
                   Completion<void> completion) override;
  void refresh_pool(const Caller& caller, const Uuid& pool, unsigned int flags,
                    Completion<void> completion) override;
  void set_pool_autostart(const Caller& caller, const Uuid& pool, bool autostart,
                          Completion<void> completion) override;
  void find_pool_sources(const Caller& caller, std::string type, std::optional<std::string> specification,
                         unsigned int flags, Completion<std::string> completion) override;
  SubscriptionId subscribe(int event_id, std::optional<Uuid> pool, Handler handler) override;
  void unsubscribe(SubscriptionId id) noexcept override;

  std::vector<VolumeHandle> list_volumes(const Caller& caller, const Uuid& pool,
                                         unsigned int flags) const override;
  VolumeHandle volume_by_name(const Caller& caller, const Uuid& pool, const std::string& name) const override;
  VolumeHandle volume_by_key(const Caller& caller, const std::string& key) const override;
  VolumeHandle volume_by_path(const Caller& caller, const std::string& path) const override;
  VolumeInfo volume_info(const Caller& caller, const VolumeHandle& volume, unsigned int flags) const override;
  std::string volume_xml(const Caller& caller, const VolumeHandle& volume, unsigned int flags) const override;
  std::string volume_path(const Caller& caller, const VolumeHandle& volume) const override;
  void create_volume(const Caller& caller, const Uuid& pool, std::string xml, unsigned int flags,
                     Completion<VolumeHandle> completion) override;
  void clone_volume(const Caller& caller, const Uuid& pool, std::string xml, const VolumeHandle& original,
                    unsigned int flags, Completion<VolumeHandle> completion) override;
  void delete_volume(const Caller& caller, const VolumeHandle& volume, unsigned int flags,
                     Completion<void> completion) override;
  void resize_volume(const Caller& caller, const VolumeHandle& volume, std::uint64_t capacity,
                     unsigned int flags, Completion<void> completion) override;
  void wipe_volume(const Caller& caller, const VolumeHandle& volume, unsigned int algorithm,
                   unsigned int flags, Completion<void> completion) override;
  std::unique_ptr<Stream> upload_volume(const Caller& caller, const VolumeHandle& volume,
                                        std::uint64_t offset, std::uint64_t length,
                                        unsigned int flags) override;
  std::unique_ptr<Stream> download_volume(const Caller& caller, const VolumeHandle& volume,
                                          std::uint64_t offset, std::uint64_t length,
                                          unsigned int flags) override;

 private:
  using Record = std::function<void(Reply&)>;
  struct Place {
    PoolPointer pool;
    VolumePointer volume;
  };

  // ---- local_storage.cpp
  template <typename T>
  void run(Task<T> task, Completion<T> completion);
  Request request_for(const PoolDefinition& pool, Work work);
  void add_secret(Request& request) const;
  std::chrono::milliseconds deadline_of(Work work) const;
  std::shared_ptr<HelperCall> make_call();
  // Has a helper do it. `connection` other than 0: its end aborts the work.
  Task<std::uint64_t> have_done(Request request, Record record, std::uint64_t connection = 0,
                                std::shared_ptr<HelperCall> call = nullptr);
  void emit(const Pool& pool, int lifecycle_event);
  void emit_refresh(const Pool& pool);
  void read_documents();

  // ---- local_storage_pools.cpp
  Task<> load_all();
  Task<> adopt(PoolPointer pool);
  Task<> start_by_itself(PoolPointer pool);
  Task<PoolHandle> define(std::string xml, unsigned int flags);
  Task<PoolHandle> create(std::string xml, unsigned int flags);
  Task<> undefine(Uuid uuid);
  Task<> start(Uuid uuid, unsigned int flags);
  Task<> stop(Uuid uuid);
  Task<> build(Uuid uuid, unsigned int flags);
  Task<> remove(Uuid uuid, unsigned int flags);
  Task<> refresh(Uuid uuid);
  Task<> set_autostart(Uuid uuid, bool autostart);
  Task<std::string> find_sources(std::string type, std::string specification);
  Task<> bring_up(PoolPointer pool, unsigned int flags);
  Task<> take_down(PoolPointer pool);
  void ended(const PoolPointer& pool);
  Task<> refresh_table(PoolPointer pool);
  Task<> write_definition(PoolDefinition definition);
  Task<> write_status(PoolPointer pool);
  Task<> on_disk(std::move_only_function<void()> write);

  // ---- local_storage_volumes.cpp
  Place find_volume(const VolumeHandle& volume) const;
  Place find_idle_volume(const VolumeHandle& volume) const;
  Task<VolumeHandle> create(std::uint64_t connection, Uuid pool, std::string xml, unsigned int flags);
  Task<VolumeHandle> clone(std::uint64_t connection, Uuid pool, std::string xml, VolumeHandle original,
                           unsigned int flags);
  Task<VolumeHandle> make(std::uint64_t connection, PoolPointer pool, Request request);
  Task<> remove(VolumeHandle volume, unsigned int flags);
  Task<> resize(VolumeHandle volume, std::uint64_t capacity, unsigned int flags);
  Task<> wipe(std::uint64_t connection, VolumeHandle volume, unsigned int algorithm);
  Task<> look_again(PoolPointer pool, VolumePointer volume);
  Task<> look_after_upload(PoolPointer pool, VolumePointer volume);
  std::unique_ptr<Stream> transfer(const VolumeHandle& volume, Request request, bool sparse);
  VolumeDefinition planned(const Pool& pool, const VolumeDefinition& wanted) const;

  boost::asio::io_context& loop_;
  const StorageSettings settings_;
  HelperLauncher launcher_;
  PoolTable table_;
  std::set<Uuid> active_before_;  // of an earlier daemon; until they have been looked at
  FormatRecords formats_;
  loop::Subscriptions<PoolEvent> subscriptions_;
  std::multimap<std::uint64_t, std::weak_ptr<HelperCall>> calls_;  // by connection
  std::vector<std::weak_ptr<HelperCall>> all_calls_;
  store::DocumentStore definitions_;  // the store's thread only, after construction, as the next two
  store::DocumentStore statuses_;
  store::DocumentStore records_;
  std::shared_ptr<bool> is_alive_ = std::make_shared<bool>(true);
  // Last: they end first.
  boost::asio::thread_pool store_thread_{1};
  boost::asio::thread_pool launching_{1};
};

Error storage_error(virErrorNumber code, std::string detail);
// Throws OPERATION_INVALID.
void require_active(const Pool& pool);
// Throws INTERNAL_ERROR while jobs of the pool are under way.
void require_no_jobs(const Pool& pool);

}  // namespace warren::driver::storage
