// The groups of virConnectGetAllDomainStats beyond those that every domain has: each appends its fields with
// libvirt's names and types. They read descriptors and procfs and never ask the worker. Any thread.
#pragma once

#include "driver/contract/typed_parameter.h"
#include "driver/domain/snapshot.h"

namespace warren::driver::domain {

void append_cpu_extras(const Snapshot& domain, TypedParameters& list);  // haltpoll, cache monitors
// Of one vCPU: "vcpu.3.exits.sum" and the rest of what KVM counts.
void append_vcpu_extras(const Snapshot& domain, std::uint32_t vcpu, TypedParameters& list);
void append_perf(const Snapshot& domain, TypedParameters& list);
void append_iothreads(const Snapshot& domain, TypedParameters& list);
void append_memory(const Snapshot& domain, TypedParameters& list);
void append_dirty_rate(const Snapshot& domain, TypedParameters& list);
void append_vm(const Snapshot& domain, TypedParameters& list);

}  // namespace warren::driver::domain
