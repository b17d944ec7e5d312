// A client in pure Go, without libvirt's library: arguments URI, socket, domain file. Prints TAP.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/digitalocean/go-libvirt"
	"github.com/digitalocean/go-libvirt/socket/dialers"
)

const eventLimit = 20 * time.Second

func check(name string, holds bool, err error) {
	if holds && err == nil {
		fmt.Println("ok - " + name)
		return
	}
	fmt.Println("not ok - " + name)
	if err != nil {
		fmt.Println("# " + err.Error())
	}
	os.Exit(1)
}

func hasCode(err error, code libvirt.ErrorNumber) bool {
	var remote libvirt.Error
	return errors.As(err, &remote) && remote.Code == uint32(code)
}

type listener struct{ events <-chan libvirt.DomainEventLifecycleMsg }

// Reads events until the wanted one comes.
func (l listener) came(event libvirt.DomainEventType) bool {
	limit := time.After(eventLimit)
	for {
		select {
		case message, open := <-l.events:
			if !open {
				return false
			}
			if message.Event == int32(event) {
				return true
			}
		case <-limit:
			return false
		}
	}
}

func main() {
	uri, path := os.Args[1], os.Args[2]
	xml, err := os.ReadFile(os.Args[3])
	check("domain file", true, err)
	// The query part is for libvirt's own library; this client knows the socket.
	uri = strings.ReplaceAll(strings.SplitN(uri, "?", 2)[0], "+unix", "")
	connection := libvirt.NewWithDialer(dialers.NewLocal(dialers.WithSocket(path)))
	check("connect", true, connection.ConnectToURI(libvirt.ConnectURI(uri)))
	version, err := connection.ConnectGetLibVersion()
	check("library version", version > 0, err)
	host, err := connection.ConnectGetHostname()
	check("host name", host != "", err)
	capabilities, err := connection.Capabilities()
	check("capabilities", strings.Contains(string(capabilities), "<host>"), err)
	channel, err := connection.LifecycleEvents(context.Background())
	check("lifecycle events", true, err)
	events := listener{channel}

	domain, err := connection.DomainDefineXMLFlags(string(xml), 0)
	check("define", domain.Name != "", err)
	check("defined event", events.came(libvirt.DomainEventDefined), nil)
	found, err := connection.DomainLookupByName(domain.Name)
	check("lookup by name", found.UUID == domain.UUID, err)
	found, err = connection.DomainLookupByUUID(domain.UUID)
	check("lookup by UUID", found.Name == domain.Name && found.ID == -1, err)
	check("start", true, connection.DomainCreate(domain))
	check("started event", events.came(libvirt.DomainEventStarted), nil)
	listed, _, err := connection.ConnectListAllDomains(1, libvirt.ConnectListDomainsActive)
	isListed := false
	for _, one := range listed {
		isListed = isListed || one.UUID == domain.UUID && one.ID > 0
	}
	check("is listed as active", isListed, err)
	description, err := connection.DomainGetXMLDesc(domain, 0)
	check("its XML names it", strings.Contains(description, "<name>"+domain.Name+"</name>"), err)
	_, maximum, _, vcpus, _, err := connection.DomainGetInfo(domain)
	check("info agrees with the definition", maximum == 64*1024 && vcpus == 1, err)
	check("suspend", true, connection.DomainSuspend(domain))
	check("suspended event", events.came(libvirt.DomainEventSuspended), nil)
	state, _, err := connection.DomainGetState(domain, 0)
	check("is paused", state == int32(libvirt.DomainPaused), err)
	check("resume", true, connection.DomainResume(domain))
	check("resumed event", events.came(libvirt.DomainEventResumed), nil)
	check("starting it twice is refused", hasCode(connection.DomainCreate(domain), libvirt.ErrOperationInvalid), nil)
	check("destroy", true, connection.DomainDestroy(domain))
	check("stopped event", events.came(libvirt.DomainEventStopped), nil)
	check("undefine", true, connection.DomainUndefine(domain))
	check("undefined event", events.came(libvirt.DomainEventUndefined), nil)
	_, err = connection.DomainLookupByName(domain.Name)
	check("it is gone", libvirt.IsNotFound(err), nil)
	check("disconnect", true, connection.Disconnect())
}
