#!/usr/bin/env python3
"""Records what libvirt's own daemon and client say to each other, as golden frames for the codec.

Usage: record.py LIBVIRTD OUTPUT
  LIBVIRTD  a libvirtd 9.0.0, e.g. of `apt-get download libvirt-daemon; dpkg -x libvirt-daemon_*.deb DIR`
  OUTPUT    the trace to write

Starts LIBVIRTD as user `nobody` on sockets of its own (when called by root), puts a proxy before it and drives its test
driver through libvirt-python (Debian's python3-libvirt). Each frame becomes a line: `>` from the client or `<` from the
daemon, and its bytes in hexadecimal. Of each kind of frame (procedure, type, status) the first few are kept.
"""

import collections
import os
import pathlib
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

import libvirt

KEPT_OF_A_KIND = 3
LARGEST_KEPT = 24 * 1024
STREAM = 3


class Trace:
    def __init__(self):
        self.lines = []
        self.kinds = collections.Counter()
        self.lock = threading.Lock()

    def add(self, direction, frame):
        program, _, procedure, kind, _, status = struct.unpack(">6I", frame[4:28])
        key = (direction, program, procedure, kind, status)
        with self.lock:
            self.kinds[key] += 1
            # Stream data says nothing about the codec.
            kept = 1 if kind == STREAM else KEPT_OF_A_KIND
            if self.kinds[key] <= kept and len(frame) <= LARGEST_KEPT:
                self.lines.append(f"{direction} {frame.hex()}")


def read_exactly(connection, size):
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            return None
        data += more
    return data


def forward(source, target, direction, trace):
    while True:
        head = read_exactly(source, 4)
        if head is None:
            break
        frame = head + read_exactly(source, struct.unpack(">I", head)[0] - 4)
        trace.add(direction, frame)
        target.sendall(frame)
    try:
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def serve(listener, daemon_path, trace):
    while True:
        client, _ = listener.accept()
        daemon = socket.socket(socket.AF_UNIX)
        daemon.connect(daemon_path)
        threading.Thread(target=forward, args=(client, daemon, ">", trace), daemon=True).start()
        threading.Thread(target=forward, args=(daemon, client, "<", trace), daemon=True).start()


def start_daemon(program, directory):
    command = [program, "--timeout", "120"]
    if os.geteuid() == 0:
        shutil.chown(directory, "nobody")
        command = ["setpriv", "--reuid=nobody", "--clear-groups"] + command
    environment = dict(os.environ, HOME=directory, XDG_RUNTIME_DIR=directory, XDG_CONFIG_HOME=directory,
                       XDG_CACHE_HOME=directory)
    daemon = subprocess.Popen(command, env=environment, cwd="/", stderr=subprocess.DEVNULL)
    path = pathlib.Path(directory, "libvirt", "libvirt-sock")
    for _ in range(100):
        if path.exists():
            return daemon, str(path)
        time.sleep(0.1)
    raise SystemExit(f"{program} did not make {path}")


def attempt(function, *arguments):
    """Errors are golden frames too."""
    try:
        return function(*arguments)
    except (libvirt.libvirtError, TypeError, ValueError):
        return None


def drive_connection(connection):
    for name in ("getType", "getVersion", "getLibVersion", "getHostname", "getURI", "getInfo", "getCapabilities",
                 "getMemoryStats", "isEncrypted", "isSecure", "isAlive", "getFreeMemory", "getCPUMap",
                 "getSecurityModel", "getSysinfo", "numOfDomains", "numOfDefinedDomains", "listDomainsID",
                 "listDefinedDomains", "numOfNetworks", "numOfDefinedNetworks", "listNetworks", "listDefinedNetworks",
                 "numOfStoragePools", "numOfDefinedStoragePools", "listStoragePools", "listDefinedStoragePools",
                 "numOfInterfaces", "numOfDefinedInterfaces", "listInterfaces", "listDefinedInterfaces",
                 "numOfSecrets", "listSecrets", "numOfNWFilters", "listNWFilters", "listAllDomains", "listAllNetworks",
                 "listAllStoragePools", "listAllInterfaces", "listAllDevices", "listAllSecrets", "listAllNWFilters",
                 "listAllNWFilterBindings", "getAllDomainStats", "getDomainCapabilities", "getMemoryParameters",
                 "getSEVInfo"):
        function = getattr(connection, name, None)
        if function is not None:
            attempt(function)
    attempt(connection.getMaxVcpus, "test")
    attempt(connection.getCellsFreeMemory, 0, 2)
    attempt(connection.getCPUStats, libvirt.VIR_NODE_CPU_STATS_ALL_CPUS)
    attempt(connection.getCPUModelNames, "x86_64")
    attempt(connection.compareCPU, "<cpu><model>qemu64</model></cpu>")
    attempt(connection.baselineCPU, ["<cpu><arch>x86_64</arch><model>qemu64</model></cpu>"])
    attempt(connection.getFreePages, [4, 2048], 0, 1)
    attempt(connection.domainXMLFromNative, "x", "y")
    attempt(connection.domainXMLToNative, "x", "<domain/>")
    attempt(connection.suspendForDuration, libvirt.VIR_NODE_SUSPEND_TARGET_MEM, 60)
    attempt(connection.changeBegin)
    attempt(connection.changeCommit)
    attempt(connection.changeBegin)
    attempt(connection.changeRollback)
    attempt(connection.findStoragePoolSources, "dir", None)
    attempt(connection.setIdentity, {"user_name": "somebody"})
    attempt(connection.setMemoryParameters, {"shm_pages_to_scan": 100})


def drive_lookups(connection):
    for name, arguments in (("lookupByName", "test"), ("lookupByName", "nobody"), ("lookupByID", 1), ("lookupByID", 99),
                            ("networkLookupByName", "default"), ("networkLookupByName", "nothing"),
                            ("storagePoolLookupByName", "default-pool"), ("storagePoolLookupByName", "nothing"),
                            ("storageVolLookupByKey", "/nothing"), ("storageVolLookupByPath", "/nothing"),
                            ("storagePoolLookupByTargetPath", "/default-pool"), ("interfaceLookupByName", "eth1"),
                            ("interfaceLookupByMACString", "aa:bb:cc:dd:ee:ff"), ("nodeDeviceLookupByName", "computer"),
                            ("nodeDeviceLookupByName", "nothing"), ("secretLookupByUUIDString",
                                                                   "00000000-0000-0000-0000-000000000001"),
                            ("nwfilterLookupByName", "nothing"), ("nwfilterBindingLookupByPortDev", "nothing")):
        attempt(getattr(connection, name), arguments)
    attempt(connection.lookupByUUIDString, "6695eb01-f6a4-8304-79aa-97f2502e193f")
    attempt(connection.networkLookupByUUIDString, "00000000-0000-0000-0000-000000000009")
    attempt(connection.storagePoolLookupByUUIDString, "00000000-0000-0000-0000-000000000009")
    attempt(connection.nodeDeviceLookupSCSIHostByWWN, "2000000012341234", "1000000012341234", 0)
    attempt(connection.secretLookupByUsage, libvirt.VIR_SECRET_USAGE_TYPE_VOLUME, "/x")
    attempt(connection.secretDefineXML, "<secret/>")
    attempt(connection.nwfilterDefineXML, "<filter name='x'/>")
    attempt(connection.nwfilterBindingCreateXML, "<filterbinding/>")


DOMAIN = """<domain type='test'><name>golden</name><uuid>11111111-2222-3333-4444-555555555555</uuid>
<memory>8192</memory><currentMemory>4096</currentMemory><vcpu>4</vcpu><iothreads>1</iothreads><os><type>hvm</type></os>
<devices><disk type='file' device='disk'><source file='/guest/a.img'/><target dev='vda' bus='virtio'/></disk>
<interface type='network'><mac address='52:54:00:00:00:01'/><source network='default'/><target dev='testnet0'/>
</interface><graphics type='vnc' port='-1'/></devices></domain>"""


def drive_domain(connection):
    domain = connection.defineXML(DOMAIN)
    attempt(connection.defineXML, "<domain/>")
    attempt(connection.defineXMLFlags, DOMAIN, libvirt.VIR_DOMAIN_DEFINE_VALIDATE)
    domain.create()
    getters = ("info", "state", "XMLDesc", "OSType", "isActive", "isPersistent", "isUpdated", "hasManagedSaveImage",
               "autostart", "controlInfo", "jobInfo", "jobStats", "maxMemory", "maxVcpus", "vcpus", "vcpuPinInfo",
               "emulatorPinInfo", "schedulerType", "schedulerParameters", "memoryStats", "memoryParameters",
               "blkioParameters", "numaParameters", "securityLabel", "securityLabelList", "diskErrors", "hostname",
               "fsInfo", "guestVcpus", "guestInfo", "messages", "perfEvents", "launchSecurityInfo", "getTime",
               "ioThreadInfo", "listAllSnapshots", "listAllCheckpoints", "snapshotNum", "snapshotListNames",
               "hasCurrentSnapshot", "snapshotCurrent", "interfaceAddresses", "backupGetXMLDesc", "migrateGetMaxSpeed",
               "migrateGetCompressionCache", "migrateGetMaxDowntime", "abortJob", "injectNMI", "fsFreeze", "fsThaw")
    for name in getters:
        if hasattr(domain, name):
            attempt(getattr(domain, name))
    for flags in (0, libvirt.VIR_DOMAIN_VCPU_MAXIMUM, libvirt.VIR_DOMAIN_AFFECT_CONFIG):
        attempt(domain.vcpusFlags, flags)
    attempt(domain.interfaceAddresses, libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE)
    attempt(domain.ioThreadInfo, libvirt.VIR_DOMAIN_AFFECT_LIVE)
    attempt(domain.addIOThread, 2, libvirt.VIR_DOMAIN_AFFECT_LIVE)
    attempt(domain.delIOThread, 2, libvirt.VIR_DOMAIN_AFFECT_LIVE)
    attempt(domain.pinIOThread, 1, (True,), libvirt.VIR_DOMAIN_AFFECT_LIVE)
    attempt(domain.setIOThreadParams, 1, {"poll_max_ns": 5}, libvirt.VIR_DOMAIN_AFFECT_LIVE)
    attempt(domain.pinVcpu, 0, (True, True))
    attempt(domain.pinVcpuFlags, 0, (True, True), libvirt.VIR_DOMAIN_AFFECT_CONFIG)
    attempt(domain.pinEmulator, (True, True), libvirt.VIR_DOMAIN_AFFECT_CONFIG)
    attempt(domain.blockInfo, "vda")
    attempt(domain.blockStats, "vda")
    attempt(domain.blockStatsFlags, "vda")
    attempt(domain.blockPeek, "vda", 0, 16)
    attempt(domain.memoryPeek, 0, 16, libvirt.VIR_MEMORY_PHYSICAL)
    attempt(domain.blockIoTune, "vda")
    attempt(domain.setBlockIoTune, "vda", {"total_bytes_sec": 1000})
    attempt(domain.blockResize, "vda", 4096)
    attempt(domain.blockJobInfo, "vda", 0)
    attempt(domain.blockJobAbort, "vda", 0)
    attempt(domain.blockJobSetSpeed, "vda", 1)
    attempt(domain.blockPull, "vda", 1)
    attempt(domain.blockRebase, "vda", "/base", 1)
    attempt(domain.blockCommit, "vda", None, None, 0, 0)
    attempt(domain.blockCopy, "vda", "<disk/>", {"bandwidth": 1})
    attempt(domain.setBlockThreshold, "vda", 1)
    attempt(domain.interfaceStats, "testnet0")
    attempt(domain.interfaceParameters, "testnet0")
    attempt(domain.setInterfaceParameters, "testnet0", {"inbound.average": 100})
    attempt(domain.getCPUStats, True)
    attempt(domain.setSchedulerParameters, {"weight": 60})
    attempt(domain.setSchedulerParametersFlags, {"weight": 70}, libvirt.VIR_DOMAIN_AFFECT_LIVE)
    attempt(domain.schedulerParametersFlags, 0)
    attempt(domain.setMemoryParameters, {"hard_limit": 1 << 20}, libvirt.VIR_DOMAIN_AFFECT_CONFIG)
    attempt(domain.setBlkioParameters, {"weight": 500}, libvirt.VIR_DOMAIN_AFFECT_CONFIG)
    attempt(domain.setNumaParameters, {"numa_nodeset": "0"}, libvirt.VIR_DOMAIN_AFFECT_CONFIG)
    attempt(domain.setMemory, 4096)
    attempt(domain.setMemoryFlags, 4096, libvirt.VIR_DOMAIN_AFFECT_CONFIG)
    attempt(domain.setMemoryStatsPeriod, 5)
    attempt(domain.setMaxMemory, 8192)
    attempt(domain.setVcpus, 2)
    attempt(domain.setVcpusFlags, 2, libvirt.VIR_DOMAIN_AFFECT_CONFIG)
    attempt(domain.setVcpu, "1", 0)
    attempt(domain.setGuestVcpus, "1", 0)
    attempt(domain.setAutostart, 1)
    attempt(domain.setMetadata, libvirt.VIR_DOMAIN_METADATA_TITLE, "a title", None, None)
    attempt(domain.setMetadata, libvirt.VIR_DOMAIN_METADATA_ELEMENT, "<a xmlns='urn:a'/>", "a", "urn:a")
    attempt(domain.metadata, libvirt.VIR_DOMAIN_METADATA_TITLE, None)
    attempt(domain.metadata, libvirt.VIR_DOMAIN_METADATA_ELEMENT, "urn:none")
    attempt(domain.attachDevice, "<disk/>")
    attempt(domain.attachDeviceFlags, "<disk/>", 0)
    attempt(domain.detachDevice, "<disk/>")
    attempt(domain.detachDeviceFlags, "<disk/>", 0)
    attempt(domain.detachDeviceAlias, "ua-x", 0)
    attempt(domain.updateDeviceFlags, "<disk/>", 0)
    attempt(domain.sendKey, 0, 0, [28], 1)
    attempt(domain.sendProcessSignal, 1, 9)
    attempt(domain.setUserPassword, "root", "x")
    attempt(domain.setTime, {"seconds": 1})
    attempt(domain.fSTrim, None, 0)
    attempt(domain.authorizedSSHKeysGet, "root")
    attempt(domain.authorizedSSHKeysSet, "root", ["k"])
    attempt(domain.setPerfEvents, {"cmt": True})
    attempt(domain.setLifecycleAction, 0, 0)
    attempt(domain.setLaunchSecurityState, {"sev-secret": "x"})
    attempt(domain.startDirtyRateCalc, 1)
    attempt(domain.pMSuspendForDuration, 0, 0)
    attempt(domain.pMWakeup)
    attempt(domain.openGraphicsFD, 0)
    attempt(domain.backupBegin, "<domainbackup/>", None)
    attempt(domain.checkpointCreateXML, "<domaincheckpoint><name>c1</name></domaincheckpoint>")
    attempt(domain.checkpointLookupByName, "c1")
    attempt(domain.migrateSetMaxSpeed, 1)
    attempt(domain.migrateSetMaxDowntime, 1)
    attempt(domain.migrateStartPostCopy)
    attempt(domain.rename, "other", 0)
    attempt(domain.suspend)
    attempt(domain.resume)
    attempt(domain.reboot)
    attempt(domain.reset)
    drive_snapshots(domain)
    attempt(domain.coreDump, "/dev/shm/golden.core")
    attempt(domain.coreDumpWithFormat, "/dev/shm/golden.core", 0)
    attempt(domain.managedSave)
    attempt(domain.managedSaveGetXMLDesc)
    attempt(domain.managedSaveDefineXML, DOMAIN)
    attempt(domain.managedSaveRemove)
    attempt(domain.createWithFlags, 0)
    path = os.path.join(os.environ["GOLDEN_DIRECTORY"], "golden.save")
    attempt(domain.save, path)
    attempt(connection.saveImageGetXMLDesc, path)
    attempt(connection.saveImageDefineXML, path, DOMAIN)
    attempt(connection.restore, path)
    attempt(domain.saveFlags, path, None, 0)
    attempt(connection.restoreFlags, path, None, 0)
    attempt(domain.shutdownFlags, 0)
    attempt(domain.create)
    attempt(domain.shutdown)
    attempt(domain.create)
    attempt(domain.destroy)
    attempt(domain.create)
    attempt(domain.destroyFlags, 0)
    attempt(domain.undefineFlags, 0)
    attempt(connection.defineXML, DOMAIN)
    attempt(domain.undefine)
    transient = attempt(connection.createXML, DOMAIN)
    attempt(connection.domainListGetStats, [transient]) if transient else None
    attempt(transient.destroy) if transient else None
    attempt(connection.createXMLWithFiles, DOMAIN, [])
    attempt(domain.createWithFiles, [])
    attempt(domain.destroy)


def drive_snapshots(domain):
    snapshot = attempt(domain.snapshotCreateXML, "<domainsnapshot><name>s1</name></domainsnapshot>")
    child = attempt(domain.snapshotCreateXML, "<domainsnapshot><name>s2</name></domainsnapshot>")
    if snapshot is None or child is None:
        return
    for name in ("listAllSnapshots", "snapshotNum", "snapshotListNames", "hasCurrentSnapshot", "snapshotCurrent"):
        attempt(getattr(domain, name))
    attempt(domain.snapshotLookupByName, "s1")
    attempt(domain.snapshotLookupByName, "s9")
    for name in ("getXMLDesc", "numChildren", "listChildrenNames", "listAllChildren", "isCurrent", "hasMetadata"):
        attempt(getattr(snapshot, name))
    attempt(child.getParent)
    attempt(domain.revertToSnapshot, snapshot)
    attempt(child.delete)
    attempt(snapshot.delete)


def drive_network(connection):
    xml = "<network><name>golden</name><bridge name='virbr7'/><ip address='192.0.2.1' netmask='255.255.255.0'/></network>"
    network = connection.networkDefineXML(xml)
    attempt(connection.networkDefineXMLFlags, xml, 0)
    attempt(connection.networkCreateXMLFlags, "<network/>", 0)
    network.create()
    for name in ("XMLDesc", "bridgeName", "autostart", "isActive", "isPersistent", "DHCPLeases", "listAllPorts"):
        attempt(getattr(network, name))
    attempt(network.setAutostart, 1)
    attempt(network.update, 3, 4, -1, "<host mac='52:54:00:00:00:01' ip='192.0.2.9'/>")
    attempt(network.portCreateXML, "<networkport/>", 0)
    attempt(network.portLookupByUUIDString, "00000000-0000-0000-0000-000000000001")
    attempt(network.destroy)
    attempt(network.undefine)
    attempt(connection.networkCreateXML, xml)
    attempt(network.destroy)


def drive_storage(connection):
    xml = "<pool type='dir'><name>golden</name><target><path>/golden</path></target></pool>"
    pool = connection.storagePoolDefineXML(xml)
    attempt(pool.build)
    pool.create()
    for name in ("XMLDesc", "info", "autostart", "isActive", "isPersistent", "numOfVolumes", "listVolumes",
                 "listAllVolumes", "refresh"):
        attempt(getattr(pool, name))
    attempt(pool.setAutostart, 1)
    volume = attempt(pool.createXML, "<volume><name>v1</name><capacity>1048576</capacity></volume>")
    attempt(pool.createXML, "<volume/>")
    if volume:
        attempt(pool.createXMLFrom, "<volume><name>v2</name><capacity>1048576</capacity></volume>", volume)
        for name in ("XMLDesc", "info", "infoFlags", "path", "storagePoolLookupByVolume"):
            attempt(getattr(volume, name))
        attempt(connection.storageVolLookupByKey, volume.key())
        attempt(connection.storageVolLookupByPath, volume.path())
        for name in ("numOfVolumes", "listVolumes", "listAllVolumes"):
            attempt(getattr(pool, name))
        attempt(pool.storageVolLookupByName, "v1")
        attempt(pool.storageVolLookupByName, "v9")
        attempt(volume.resize, 2097152)
        attempt(volume.wipe)
        attempt(volume.wipePattern, 0)
        stream = connection.newStream()
        if attempt(volume.upload, stream, 0, 4096) is not None:
            attempt(stream.send, b"x" * 4096)
            attempt(stream.finish)
        stream = connection.newStream()
        if attempt(volume.download, stream, 0, 4096) is not None:
            attempt(stream.recv, 4096)
            attempt(stream.finish)
        attempt(volume.delete)
    attempt(pool.destroy)
    attempt(pool.delete)
    attempt(pool.undefine)
    attempt(connection.storagePoolCreateXML, xml)
    attempt(pool.destroy)


def drive_devices(connection):
    device = attempt(connection.nodeDeviceLookupByName, "computer")
    if device:
        for name in ("XMLDesc", "parent", "numOfCaps", "listCaps", "isActive", "isPersistent", "autostart", "dettach",
                     "reAttach", "reset", "create", "undefine"):
            if hasattr(device, name):
                attempt(getattr(device, name))
        attempt(device.setAutostart, 1)
    attempt(connection.numOfDevices, None)
    attempt(connection.listDevices, None)
    made = attempt(connection.nodeDeviceCreateXML, "<device><name>golden</name><parent>scsi_host1</parent>"
                   "<capability type='scsi_host'><capability type='fc_host'><wwnn>2000000012341234</wwnn>"
                   "<wwpn>1000000012341234</wwpn></capability></capability></device>")
    attempt(made.destroy) if made else None
    attempt(connection.nodeDeviceDefineXML, "<device/>")
    interface = attempt(connection.interfaceLookupByName, "eth1")
    if interface:
        for name in ("XMLDesc", "isActive", "MACString", "destroy", "create"):
            attempt(getattr(interface, name))
        attempt(connection.interfaceDefineXML, "<interface type='ethernet' name='eth7'><start mode='none'/>"
                "<mac address='aa:bb:cc:dd:ee:01'/></interface>")
        made = attempt(connection.interfaceLookupByName, "eth7")
        attempt(made.undefine) if made else None


def drive_streams(connection):
    domain = connection.lookupByName("test")
    stream = connection.newStream()
    if attempt(domain.screenshot, stream, 0) is not None:
        attempt(stream.recv, 4096)
        attempt(stream.abort)
    attempt(domain.openConsole, None, connection.newStream(), 0)
    attempt(domain.openChannel, None, connection.newStream(), 0)


def register_events(connection):
    def ignore(*_):
        return None

    kept = []
    for number in range(27):
        kept.append(attempt(connection.domainEventRegisterAny, None, number, ignore, None))
    for name in ("networkEventRegisterAny", "storagePoolEventRegisterAny", "nodeDeviceEventRegisterAny",
                 "secretEventRegisterAny"):
        for number in (0, 1):
            attempt(getattr(connection, name), None, number, ignore, None)
    attempt(connection.registerCloseCallback, ignore, None)
    return kept


def drive(uri):
    libvirt.registerErrorHandler(lambda *_: None, None)
    libvirt.virEventRegisterDefaultImpl()
    stopping = threading.Event()

    def loop():
        while not stopping.is_set():
            libvirt.virEventRunDefaultImpl()

    timer = libvirt.virEventAddTimeout(50, lambda *_: None, None)
    thread = threading.Thread(target=loop, daemon=True)
    thread.start()
    with libvirt.open(uri) as connection:
        connection.setKeepAlive(1, 3)
        kept = register_events(connection)
        for part in (drive_connection, drive_lookups, drive_domain, drive_network, drive_storage, drive_devices,
                     drive_streams):
            part(connection)
        time.sleep(2.5)  # for a keepalive message
        for callback in kept:
            if callback is not None:
                attempt(connection.domainEventDeregisterAny, callback)
        attempt(connection.unregisterCloseCallback)
    stopping.set()
    thread.join(2)
    libvirt.virEventRemoveTimeout(timer)


def main():
    program, output = sys.argv[1:]
    trace = Trace()
    with tempfile.TemporaryDirectory() as directory:
        os.environ["GOLDEN_DIRECTORY"] = directory
        daemon, path = start_daemon(program, directory)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(os.path.join(directory, "proxy"))
        listener.listen()
        threading.Thread(target=serve, args=(listener, path, trace), daemon=True).start()
        try:
            drive(f"test+unix:///default?socket={directory}/proxy")
        finally:
            daemon.terminate()
            daemon.wait()
    pathlib.Path(output).write_text("".join(line + "\n" for line in trace.lines), encoding="ascii")
    procedures = {key[1:3] for key in trace.kinds}
    print(f"{len(trace.lines)} frames of {len(procedures)} procedures")


if __name__ == "__main__":
    main()
