package proxyview

import (
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func read(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestParse(t *testing.T) {
	got, err := Parse(read(t, "config.json"), read(t, "certs.json"))
	if err != nil {
		t.Fatal(err)
	}
	at := func(clock string) time.Time {
		m, err := time.Parse(time.RFC3339, "2026-03-01T"+clock+"Z")
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	want := &View{
		Identity: "spiffe://cluster.local/ns/shop/sa/cart", Expires: at("22:00:00"), Updated: at("12:00:05"),
		Inbound: []Inbound{
			{8080, "shop/web", []string{"shop/reads", "shop/writes"}},
			{8080, "spiffe://partner.example/ns/a/sa/b/c", []string{"shop/partner"}},
			{9000, Anybody, []string{"plaintext"}},
			{0, "shop/web", []string{"shop/connects"}},
		},
		Reaches: []Reach{
			{To: "pods of shop/db", Destinations: []Destination{}},
			{To: "shop/db:3306", Protocol: "tcp", Destinations: []Destination{{Service: "shop/db:3306"}}},
			{To: "shop/price:80", Protocol: "http", Splits: []string{"shop/price"}, Destinations: []Destination{
				{Service: "shop/price-v1:80", Weight: 90, Endpoints: 2}, {Service: "shop/price-v2:80", Weight: 10},
			}},
		},
		Refused: []Refusal{{Resource: "outbound|10.96.0.7:80", Reason: "Proto constraint validation failed", At: at("12:00:09")}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the view differs (-want +got):\n%s", diff)
	}
}

func TestParseRefusesWhatIsNoAnswer(t *testing.T) {
	good := []byte("{}")
	for name, answers := range map[string][2][]byte{"configuration": {[]byte("not found"), good}, "certificates": {good, nil}} {
		if _, err := Parse(answers[0], answers[1]); err == nil {
			t.Errorf("%s: there is no error", name)
		}
	}
	if v, err := Parse(good, good); err != nil || v.Identity != "" || len(v.Inbound)+len(v.Reaches)+len(v.Refused) != 0 {
		t.Errorf("an empty Envoy: %+v, %v", v, err)
	}
}

func TestSelect(t *testing.T) {
	config := read(t, "config.json")
	for kind, want := range map[string]int{"": 5, "routes": 1, "access": 1, "listeners": 1, "secrets": 0} {
		part, err := Select(config, kind)
		if err != nil {
			t.Fatal(err)
		}
		if got := len(part.([]object)); got != want {
			t.Errorf("kind %q has %d sections, want %d", kind, got, want)
		}
	}
}
