#!/usr/bin/python3
"""A libvirt-python client (libvirt's own library and its C remote driver): arguments URI, socket, domain file."""

import sys
import threading
import time

import libvirt

EVENT_LIMIT = 20.0  # seconds


def check(name: str, holds: bool) -> None:
    print(("ok - " if holds else "not ok - ") + name, flush=True)
    if not holds:
        sys.exit(1)


def listen(connection: libvirt.virConnect, seen: list) -> None:
    connection.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE,
                                      lambda _c, domain, event, detail, _o: seen.append((domain.name(), event)), None)


def wait_for(seen: list, name: str, event: int) -> bool:
    deadline = time.monotonic() + EVENT_LIMIT
    while (name, event) not in seen and time.monotonic() < deadline:
        time.sleep(0.01)
    return (name, event) in seen


def main() -> None:
    uri, _, file = sys.argv[1:]
    libvirt.registerErrorHandler(lambda *_: None, None)
    libvirt.virEventRegisterDefaultImpl()
    threading.Thread(target=lambda: [libvirt.virEventRunDefaultImpl() for _ in iter(int, 1)], daemon=True).start()
    connection = libvirt.open(uri)
    check("library and hypervisor versions", connection.getLibVersion() > 0 and connection.getVersion() > 0)
    check("host name and capabilities", bool(connection.getHostname()) and "<host>" in connection.getCapabilities())
    check("keepalive is accepted", connection.setKeepAlive(5, 3) == 0)
    seen: list = []
    listen(connection, seen)

    domain = connection.defineXML(open(file).read())
    name = domain.name()
    check("defined event", wait_for(seen, name, libvirt.VIR_DOMAIN_EVENT_DEFINED))
    check("lookup by name and UUID", connection.lookupByName(name).UUIDString() == domain.UUIDString() and
          connection.lookupByUUIDString(domain.UUIDString()).name() == name)
    check("is listed as inactive", name in [d.name() for d in connection.listAllDomains(
        libvirt.VIR_CONNECT_LIST_DOMAINS_INACTIVE)] and not domain.isActive() and domain.isPersistent() == 1)
    check("its XML names it", f"<name>{name}</name>" in domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
    domain.create()
    check("started event", wait_for(seen, name, libvirt.VIR_DOMAIN_EVENT_STARTED))
    check("is running with an id", domain.state()[0] == libvirt.VIR_DOMAIN_RUNNING and domain.ID() > 0)
    check("is listed as active", domain.ID() in connection.listDomainsID())
    check("info agrees with the definition", domain.info()[1] == 64 * 1024 and domain.info()[3] == 1)
    domain.suspend()
    check("suspends", domain.state()[0] == libvirt.VIR_DOMAIN_PAUSED and
          wait_for(seen, name, libvirt.VIR_DOMAIN_EVENT_SUSPENDED))
    domain.resume()
    check("resumes", domain.state()[0] == libvirt.VIR_DOMAIN_RUNNING and
          wait_for(seen, name, libvirt.VIR_DOMAIN_EVENT_RESUMED))
    try:
        domain.create()
        check("starting it twice is refused", False)
    except libvirt.libvirtError as error:
        check("starting it twice is refused", error.get_error_code() == libvirt.VIR_ERR_OPERATION_INVALID)
    domain.destroy()
    check("stopped event", wait_for(seen, name, libvirt.VIR_DOMAIN_EVENT_STOPPED) and not domain.isActive())
    domain.undefine()
    check("undefined event", wait_for(seen, name, libvirt.VIR_DOMAIN_EVENT_UNDEFINED))
    try:
        connection.lookupByName(name)
        check("it is gone", False)
    except libvirt.libvirtError as error:
        check("it is gone", error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN)
    check("the connection closes", connection.close() >= 0)


if __name__ == "__main__":
    main()
