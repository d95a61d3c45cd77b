package envoy

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// An expression must be true of exactly the addresses of its prefix. Addresses
// beside the prefix, and such with many zeros, are the ones to get wrong.
func TestPrefixExpression(t *testing.T) {
	dice := rand.New(rand.NewPCG(1, 2))
	// sparse is a number many of whose bytes are zero.
	sparse := func(bytes []byte) {
		for i := range bytes {
			if bytes[i] = byte(dice.Uint32()); dice.IntN(3) > 0 {
				bytes[i] = 0
			}
		}
	}
	address := func(size int) netip.Addr {
		b := make([]byte, size)
		sparse(b)
		a, _ := netip.AddrFromSlice(b)
		return a
	}
	check := func(p netip.Prefix) {
		t.Helper()
		expression := prefixExpression(p)
		whole := regexp.MustCompile("^(?:" + expression + ")$")
		for range 60 {
			other := address(p.Addr().BitLen() / 8)
			if dice.IntN(4) > 0 {
				// Most of the prefix, with one bit of it changed or none.
				b, fixed := other.AsSlice(), p.Masked().Addr().AsSlice()
				for i := range p.Bits() {
					b[i/8] = b[i/8]&^(0x80>>(i%8)) | fixed[i/8]&(0x80>>(i%8))
				}
				if p.Bits() > 0 && dice.IntN(2) == 0 {
					i := p.Bits() - 1 - dice.IntN(min(p.Bits(), 20))
					b[i/8] ^= 0x80 >> (i % 8)
				}
				other, _ = netip.AddrFromSlice(b)
			}
			if other.Is4In6() {
				continue // Written as IPv4, and matched as that.
			}
			if got, want := whole.MatchString(other.String()), p.Contains(other); got != want {
				t.Fatalf("%s: %s matches %s: %v, want %v", p, expression, other, got, want)
			}
		}
	}
	for size, bits := range map[int]int{4: 32, 16: 128} {
		for length := range bits + 1 {
			for range 100 {
				check(netip.PrefixFrom(address(size), length).Masked())
			}
		}
	}
}

func TestPrefixExpressionIsShort(t *testing.T) {
	for prefix, want := range map[string]string{
		"10.244.0.0/16":    `10\.244\.[0-9]+\.[0-9]+`,
		"10.96.0.0/14":     `10\.(?:96|97|98|99)\.[0-9]+\.[0-9]+`,
		"fd00:10:244::/56": `(?:fd00:10:244:[0-9a-f]{1,2}(?::.*)?|fd00:10:244::(?:[0-9a-f]+(?::[0-9a-f]+){0,3})?)`,
	} {
		if got := prefixExpression(netip.MustParsePrefix(prefix)); got != want {
			t.Errorf("%s is %s, want %s", prefix, got, fmt.Sprint(want))
		}
	}
}

// An expression for many addresses must be true of these and of no other.
func TestAddressExpression(t *testing.T) {
	dice := rand.New(rand.NewPCG(3, 4))
	near := func() netip.Addr {
		if dice.IntN(2) == 0 {
			return netip.AddrFrom4([4]byte{10, 96, byte(dice.IntN(3)), byte(dice.IntN(256))})
		}
		b := netip.MustParseAddr("fd00:10:96::").As16()
		b[13], b[15] = byte(dice.IntN(2)), byte(dice.IntN(256))
		return netip.AddrFrom16(b)
	}
	for range 50 {
		known := map[string]bool{}
		var addresses []netip.Addr
		for range 200 {
			if a := near(); !known[a.String()] {
				known[a.String()] = true
				addresses = append(addresses, a)
			}
		}
		slices.SortFunc(addresses, netip.Addr.Compare)
		var texts []string
		for _, a := range addresses {
			texts = append(texts, a.String())
		}
		whole := regexp.MustCompile("^(?:" + addressExpression(texts) + ")$")
		for _, text := range texts {
			if !whole.MatchString(text) {
				t.Fatalf("%s does not match %s", whole, text)
			}
		}
		for range 1000 {
			if other := near().String(); whole.MatchString(other) != known[other] || whole.MatchString("1"+other) || whole.MatchString(strings.ReplaceAll(other, ".", "x")) != known[strings.ReplaceAll(other, ".", "x")] {
				t.Fatalf("%s and %s, which is known: %v", whole, other, known[other])
			}
		}
	}
	want := `10\.96\.0\.(?:7|10)|10\.96\.1\.(?:7)|fd00::(?:|a)`
	if got := addressExpression([]string{"10.96.0.7", "10.96.0.10", "10.96.1.7", "fd00::", "fd00::a"}); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
