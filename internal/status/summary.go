package status

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/util/resourceversion"

	"github.com/smi-project/smi/internal/xds"
	"github.com/smi-project/smi/mesh"
)

// Summary is how far the proxies of one replica are. It names only those that are
// not where they should be, by their accounts, so it stays small.
type Summary struct {
	Replica string `json:"replica"`
	// Observed is, per kind, the newest resource version that the replica has
	// published to its proxies.
	Observed map[string]string `json:"observed,omitempty"`
	// Connected is how many proxies are connected, and InSync how many of them have
	// acknowledged everything.
	Connected int `json:"connected"`
	InSync    int `json:"inSync"`
	// Behind are the accounts of proxies that are connected and not in sync, sorted.
	Behind []Account `json:"behind,omitempty"`
	// Omitted is how many accounts are behind that are not listed.
	Omitted int `json:"omitted,omitempty"`
}

// Account tells of the proxies of an account that are not in sync.
type Account struct {
	// Name is "namespace/serviceaccount".
	Name string `json:"name"`
	// Pending is how many proxies have to acknowledge something, and Rejecting how
	// many refuse something.
	Pending   int `json:"pending,omitempty"`
	Rejecting int `json:"rejecting,omitempty"`
	// Error is what one of those refuses, and why.
	Error string `json:"error,omitempty"`
}

const (
	// maxBehind is how many accounts a summary lists: those whose proxies refuse
	// something before others.
	maxBehind = 200
	// maxError bounds what is told of a reason, in bytes.
	maxError = 512
)

// Summarise sums up what proxies say. The account of a node is empty where it is
// not known, and its proxy not counted among those that are behind.
func Summarise(replica string, observed map[string]string, proxies []xds.ProxyStatus, account func(node string) mesh.Account) *Summary {
	s := &Summary{Replica: replica, Observed: observed}
	behind := map[mesh.Account]*Account{}
	for _, p := range proxies {
		if !p.Connected {
			continue
		}
		s.Connected++
		if p.Synced {
			s.InSync++
			continue
		}
		name := account(p.Node)
		if name == (mesh.Account{}) {
			continue
		}
		a := behind[name]
		if a == nil {
			a = &Account{Name: name.String()}
			behind[name] = a
		}
		if p.LastError == "" {
			a.Pending++
			continue
		}
		if a.Rejecting++; a.Error == "" {
			a.Error = cut(p.Node+": "+p.LastError, maxError)
		}
	}
	for _, a := range slices.SortedFunc(maps.Values(behind), moreUrgent) {
		if len(s.Behind) == maxBehind {
			s.Omitted = len(behind) - maxBehind
			break
		}
		s.Behind = append(s.Behind, *a)
	}
	slices.SortFunc(s.Behind, func(a, b Account) int { return cmp.Compare(a.Name, b.Name) })
	return s
}

func moreUrgent(a, b *Account) int {
	return cmp.Or(cmp.Compare(min(b.Rejecting, 1), min(a.Rejecting, 1)), cmp.Compare(a.Name, b.Name))
}

// equal tells whether two summaries say the same of proxies.
func (s *Summary) equal(o *Summary) bool {
	return s != nil && o != nil && s.Connected == o.Connected && s.InSync == o.InSync && s.Omitted == o.Omitted && slices.Equal(s.Behind, o.Behind)
}

// hasSeen tells whether the replica has published an object of a kind in this
// version or a later one.
func (s *Summary) hasSeen(kind, version string) bool {
	order, err := resourceversion.CompareResourceVersion(s.Observed[kind], version)
	return err == nil && order >= 0
}

// lag says which replicas have not seen an object, "" where all have.
func lag(replicas []*Summary, kind, version string) string {
	var missing []string
	for _, s := range replicas {
		if !s.hasSeen(kind, version) {
			missing = append(missing, s.Replica)
		}
	}
	if len(missing) == 0 {
		return ""
	}
	return fmt.Sprintf("controllers have not published it yet: %s", joinSome(missing))
}
