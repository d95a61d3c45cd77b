package conformance

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/smi-project/smi/conformance/report"
)

// Feature is a part of SMI that a mesh may or may not have.
type Feature struct {
	// Name is what claims and reports call it; Title says it in words.
	Name, Title string
	// Extension tells that the SMI specification does not speak of it.
	Extension bool
}

// The features.
var (
	Identity        = Feature{Name: "identity", Title: "Mutual TLS and identities of ServiceAccounts"}
	IdentityBinding = Feature{Name: "identity-binding", Title: "IdentityBinding as source and destination"}
	AccessHTTP      = Feature{Name: "access-http", Title: "Access control of HTTP requests"}
	AccessTCP       = Feature{Name: "access-tcp", Title: "Access control of TCP connections"}
	AccessUDP       = Feature{Name: "access-udp", Title: "Access control of UDP"}
	AccessHeaders   = Feature{Name: "access-headers", Title: "Access control by headers"}
	SplitHTTP       = Feature{Name: "split-http", Title: "Splits of HTTP requests"}
	SplitTCP        = Feature{Name: "split-tcp", Title: "Splits of TCP connections"}
	SplitMatches    = Feature{Name: "split-matches", Title: "Splits for some requests"}
	GRPC            = Feature{Name: "grpc", Title: "gRPC"}
	WebSocket       = Feature{Name: "websocket", Title: "WebSocket"}
	Sniffing        = Feature{Name: "undeclared-ports", Title: "Ports that declare no protocol", Extension: true}
	Hardening       = Feature{Name: "hardening", Title: "Paths and headers that would get around rules", Extension: true}
	Modes           = Feature{Name: "modes", Title: "Permissive and audit mode", Extension: true}
	PlaintextPorts  = Feature{Name: "plaintext-ports", Title: "Ports for peers without identity", Extension: true}
	EmptyBackends   = Feature{Name: "empty-backends", Title: "Splits that skip backends without endpoints", Extension: true}
	DenialMetrics   = Feature{Name: "denial-metrics", Title: "Counts of denials", Extension: true}
)

// Features are all of them, in the order in which reports list them.
var Features = []Feature{
	Identity, AccessHTTP, AccessHeaders, AccessTCP, AccessUDP, IdentityBinding,
	SplitHTTP, SplitMatches, SplitTCP, GRPC, WebSocket,
	Sniffing, Hardening, Modes, PlaintextPorts, EmptyBackends, DenialMetrics,
}

// Claim is what a mesh says that it does.
type Claim struct {
	// APIs are the groups and versions that it reads, as "split.smi-spec.io/v1alpha4".
	APIs []string `json:"apis"`
	// Features maps a feature's name to what is claimed of it; none where it is
	// absent.
	Features map[string]report.Capability `json:"features"`
	// Except maps the ids of cases, of features that are claimed in part, to why
	// they are not claimed.
	Except map[string]string `json:"except,omitempty"`
}

// Validate finds what means nothing: names of no feature or case, and exceptions
// from what is not claimed in part.
func (c *Claim) Validate(suite *Suite) error {
	if c == nil {
		return errors.New("claim: there is none")
	}
	for name, capability := range c.Features {
		if !slices.ContainsFunc(Features, func(f Feature) bool { return f.Name == name }) {
			return fmt.Errorf("claim: there is no feature %q", name)
		}
		switch capability {
		case report.Full, report.Partial, report.None:
		default:
			return fmt.Errorf("claim: feature %s: %q is none of full, partial and none", name, capability)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(c.Except)) {
		i := slices.IndexFunc(suite.Cases, func(k *Case) bool { return k.ID == id })
		switch {
		case i < 0:
			return fmt.Errorf("claim: except: there is no case %q", id)
		case strings.TrimSpace(c.Except[id]) == "":
			return fmt.Errorf("claim: except: %s: say why it is excepted", id)
		case !slices.ContainsFunc(suite.Cases[i].Features, func(f Feature) bool { return c.of(f) == report.Partial }):
			return fmt.Errorf("claim: except: %s: none of its features is claimed in part: say partial of one", id)
		}
	}
	return nil
}

func (c *Claim) of(f Feature) report.Capability {
	if claimed := c.Features[f.Name]; claimed != "" {
		return claimed
	}
	return report.None
}

// covers tells whether the mesh claims what the case proves, and why not.
func (c *Claim) covers(k *Case) (string, bool) {
	for _, f := range k.Features {
		if c.of(f) == report.None {
			return "the mesh does not claim " + f.Name, false
		}
	}
	for _, api := range k.APIs {
		if !slices.Contains(c.APIs, api) {
			return "the mesh does not claim to read " + api, false
		}
	}
	if reason, ok := c.Except[k.ID]; ok {
		return "the mesh claims this feature in part: " + reason, false
	}
	return "", true
}
