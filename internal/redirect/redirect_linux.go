package redirect

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net"
	"os"
	"syscall"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"

	"github.com/smi-project/smi/internal/sidecar"
)

// Options are what a pod's redirection depends on.
type Options struct {
	sidecar.Redirection
	// UserID is the user that the sidecar runs as; sidecar.UserID if 0.
	UserID uint32
}

// tableName is the name of the one table that holds all rules.
const tableName = "smi"

// Apply redirects the traffic of this network namespace from now on. It takes
// the place of what an earlier call has set up, at once and without a gap. It
// needs the capability NET_ADMIN.
func Apply(ctx context.Context, o Options) error {
	if o.UserID == 0 {
		o.UserID = sidecar.UserID
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := addDeliveryAddresses(); err != nil {
		return explained(err)
	}
	c, err := nftables.New()
	if err != nil {
		return explained(fmt.Errorf("nftables: %w", err))
	}
	t := replaceTable(c)
	addRules(c, t, o)
	if err := c.Flush(); err != nil {
		return explained(fmt.Errorf("nftables: %w", err))
	}
	return nil
}

// Remove ends the redirection. Nothing is wrong where there is none.
func Remove(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c, err := nftables.New()
	if err != nil {
		return explained(fmt.Errorf("nftables: %w", err))
	}
	// A table that is added first can be deleted whether it was there or not.
	c.DelTable(c.AddTable(table()))
	if err := c.Flush(); err != nil {
		return explained(fmt.Errorf("nftables: %w", err))
	}
	return explained(removeDeliveryAddresses())
}

func table() *nftables.Table {
	return &nftables.Table{Family: nftables.TableFamilyINet, Name: tableName}
}

func replaceTable(c *nftables.Conn) *nftables.Table {
	c.DelTable(c.AddTable(table()))
	return c.AddTable(table())
}

// explained says what to do about the two errors that users meet.
func explained(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%w; redirection needs the capability NET_ADMIN in the pod's network", err)
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.EOPNOTSUPP), errors.Is(err, syscall.EAFNOSUPPORT):
		return fmt.Errorf("%w; the node's kernel needs nf_tables with nat, redir, fib, ct and reject for the inet family (Linux 5.2 or later)", err)
	default:
		return err
	}
}

// addDeliveryAddresses puts the addresses that the sidecar delivers from on the
// loopback interface, which is up after that.
func addDeliveryAddresses() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("interface lo: %w", err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return fmt.Errorf("interface lo: %w", err)
	}
	addresses, err := deliveryAddresses()
	if err != nil {
		return err
	}
	for _, a := range addresses {
		if err := netlink.AddrReplace(lo, a); err != nil {
			return fmt.Errorf("interface lo: address %s: %w", a, err)
		}
	}
	return nil
}

func removeDeliveryAddresses() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("interface lo: %w", err)
	}
	addresses, err := deliveryAddresses()
	if err != nil {
		return err
	}
	for _, a := range addresses {
		if err := netlink.AddrDel(lo, a); err != nil && !errors.Is(err, syscall.EADDRNOTAVAIL) {
			return fmt.Errorf("interface lo: address %s: %w", a, err)
		}
	}
	return nil
}

// deliveryAddresses are chosen as the source of a connection only by who binds
// to them: the one is of host scope, and the other counts as deprecated.
func deliveryAddresses() ([]*netlink.Addr, error) {
	found := []*netlink.Addr{{IPNet: single(sidecar.DeliveryIPv4), Scope: int(netlink.SCOPE_HOST)}}
	hasIPv6, err := ipv6()
	if err != nil {
		return nil, err
	}
	if hasIPv6 {
		found = append(found, &netlink.Addr{
			IPNet: single(sidecar.DeliveryIPv6), Flags: syscall.IFA_F_NODAD, ValidLft: math.MaxUint32,
		})
	}
	return found, nil
}

func single(address string) *net.IPNet {
	ip := net.ParseIP(address)
	if v4 := ip.To4(); v4 != nil {
		return &net.IPNet{IP: v4, Mask: net.CIDRMask(32, 32)}
	}
	return &net.IPNet{IP: ip, Mask: net.CIDRMask(128, 128)}
}

// ipv6 tells whether the loopback interface may have IPv6 addresses.
func ipv6() (bool, error) {
	setting, err := os.ReadFile("/proc/sys/net/ipv6/conf/lo/disable_ipv6")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil // The kernel runs without IPv6.
	case err != nil:
		return false, fmt.Errorf("IPv6: %w", err)
	}
	return len(setting) > 0 && setting[0] == '0', nil
}
