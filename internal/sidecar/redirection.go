package sidecar

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Redirection is what the injector tells the init container, which runs
// "smi redirect" with these flags.
type Redirection struct {
	// ExcludeInbound and ExcludeOutbound are ports whose TCP connections in that
	// direction pass the sidecar by, ExcludeCIDRs destinations that do.
	ExcludeInbound, ExcludeOutbound []uint16
	ExcludeCIDRs                    []netip.Prefix
	// DropUDP drops what comes in and is neither TCP nor ICMP nor a reply, as strict
	// mode demands (AC-11).
	DropUDP bool
}

// Flags of smi redirect, without their hyphens.
const (
	FlagExcludeInbound  = "exclude-inbound-ports"
	FlagExcludeOutbound = "exclude-outbound-ports"
	FlagExcludeCIDRs    = "exclude-cidrs"
	FlagDropUDP         = "drop-udp"
)

// Args are the arguments of smi, the command included. They are the same for
// equal redirections.
func (r Redirection) Args() []string {
	args := []string{"redirect"}
	for _, list := range []struct {
		flag  string
		ports []uint16
	}{{FlagExcludeInbound, r.ExcludeInbound}, {FlagExcludeOutbound, r.ExcludeOutbound}} {
		if len(list.ports) > 0 {
			texts := make([]string, len(list.ports))
			for i, port := range list.ports {
				texts[i] = strconv.Itoa(int(port))
			}
			args = append(args, "--"+list.flag+"="+strings.Join(texts, ","))
		}
	}
	if len(r.ExcludeCIDRs) > 0 {
		texts := make([]string, len(r.ExcludeCIDRs))
		for i, cidr := range r.ExcludeCIDRs {
			texts[i] = cidr.String()
		}
		args = append(args, "--"+FlagExcludeCIDRs+"="+strings.Join(texts, ","))
	}
	if r.DropUDP {
		args = append(args, "--"+FlagDropUDP)
	}
	return args
}

// MaxExclusions bounds each list of a redirection: every proxy of the mesh is told of
// the ports that a pod excludes.
const MaxExclusions = 256

// RedirectionOf is what was done to the connections of a pod: what the arguments of
// its init container say, which nobody can change once the pod is there, and not what
// annotations or the configuration say by now. It is false where nothing was done, or
// nothing that can be read.
func RedirectionOf(pod *corev1.Pod) (Redirection, bool) {
	for i := range pod.Spec.InitContainers {
		if c := &pod.Spec.InitContainers[i]; c.Name == RedirectContainer {
			r, err := parseRedirection(c.Args)
			return r, err == nil
		}
	}
	return Redirection{}, false
}

// Beyond is what a redirection excludes and another does not.
func (r Redirection) Beyond(other Redirection) Redirection {
	r.ExcludeInbound = without(r.ExcludeInbound, other.ExcludeInbound)
	r.ExcludeOutbound = without(r.ExcludeOutbound, other.ExcludeOutbound)
	r.ExcludeCIDRs = without(r.ExcludeCIDRs, other.ExcludeCIDRs)
	return r
}

func without[T uint16 | netip.Prefix](list, other []T) []T {
	return slices.DeleteFunc(slices.Clone(list), func(v T) bool { return slices.Contains(other, v) })
}

// parseRedirection reads what Args has written. Flags of a later release are left out.
func parseRedirection(args []string) (r Redirection, err error) {
	for _, arg := range args {
		flag, list, _ := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
		words := strings.Split(list, ",")
		if len(words) > MaxExclusions {
			return Redirection{}, fmt.Errorf("--%s has %d entries: at most %d are read", flag, len(words), MaxExclusions)
		}
		switch flag {
		case FlagExcludeInbound:
			r.ExcludeInbound, err = ParsePorts(words)
		case FlagExcludeOutbound:
			r.ExcludeOutbound, err = ParsePorts(words)
		case FlagExcludeCIDRs:
			r.ExcludeCIDRs, err = ParseCIDRs(words)
		case FlagDropUDP:
			r.DropUDP = true
		}
		if err != nil {
			return Redirection{}, fmt.Errorf("--%s: %w", flag, err)
		}
	}
	return r, nil
}

// PodOnly are the networks whose addresses mean something within a pod alone:
// loopback, where applications trust whoever calls, and what the sidecar delivers
// from. Nothing comes to them, or from them, from outside.
func PodOnly() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128"),
		netip.MustParsePrefix(DeliveryIPv4 + "/32"), netip.MustParsePrefix(DeliveryIPv6 + "/128"),
	}
}

// ParsePorts reads port numbers.
func ParsePorts(words []string) ([]uint16, error) {
	var ports []uint16
	for _, word := range words {
		n, err := strconv.ParseUint(strings.TrimSpace(word), 10, 16)
		if err != nil || n == 0 {
			return nil, fmt.Errorf("%q is no port: a number from 1 to 65535 is needed", word)
		}
		ports = append(ports, uint16(n))
	}
	return ports, nil
}

// ParseCIDRs reads networks.
func ParseCIDRs(words []string) ([]netip.Prefix, error) {
	var cidrs []netip.Prefix
	for _, word := range words {
		cidr, err := netip.ParsePrefix(strings.TrimSpace(word))
		if err != nil || cidr.Addr().Is4In6() {
			return nil, fmt.Errorf("%q is no network such as 10.0.0.0/8 or fd00::/8", word)
		}
		cidrs = append(cidrs, cidr.Masked())
	}
	return cidrs, nil
}
