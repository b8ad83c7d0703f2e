// CoreDNS for the test cluster: the real server, built with only the plugins that answer for a cluster's services. The
// stock build adds three cloud vendors' libraries, which take most of its build time.
package main

import (
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"
	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/hosts"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/ready"
	_ "github.com/coredns/coredns/plugin/template"
)

func main() {
	// The order in which plugins see a request: what is no name of the cluster goes on to the list of hosts, then to a
	// template that says that it does not exist.
	dnsserver.Directives = []string{"bind", "ready", "errors", "kubernetes", "hosts", "template"}
	coremain.Run()
}
