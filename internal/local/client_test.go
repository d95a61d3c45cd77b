package local

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFindPod(t *testing.T) {
	pod := func(name, workload string, ready bool) PodStatus {
		return PodStatus{Namespace: "shop", Name: name, Workload: workload, Ready: ready, State: Running, RequestProxy: "127.64.1.1:15002"}
	}
	starting, outside := pod("late-0", "late", false), pod("outside-0", "outside", true)
	starting.State, starting.Reason = Starting, "waits for its sidecar"
	outside.RequestProxy = ""
	status := &Status{Pods: []PodStatus{pod("web-0", "web", false), pod("web-1", "web", true), pod("ledger-0", "ledger", false), starting, outside}}
	for workload, want := range map[string]string{
		"shop/web":      "web-1", // the one that is ready
		"shop/web-0":    "web-0", // unless it is named
		"shop/ledger":   "ledger-0",
		"web":           `"web" is not of the form NAMESPACE/WORKLOAD`,
		"bank/web":      "no workload bank/web runs (there are shop/web, shop/ledger, shop/late, shop/outside)",
		"shop/late":     "pod shop/late-0 is not ready: waits for its sidecar",
		"shop/outside":  "pod shop/outside-0 has no sidecar to send through",
		"shop/nobody/x": "no workload shop/nobody/x runs",
	} {
		got, err := status.FindPod(workload)
		switch {
		case err != nil && !strings.Contains(err.Error(), want):
			t.Errorf("%s: %v, want ...%s...", workload, err, want)
		case err == nil && got.Name != want:
			t.Errorf("%s: got %s, want %s", workload, got.Name, want)
		}
	}
	if _, err := new(Status).FindPod("shop/web"); err == nil || !strings.Contains(err.Error(), "there are none") {
		t.Errorf("an empty mesh: %v", err)
	}
}

// TestSend sends through a proxy that answers as a sidecar would.
func TestSend(t *testing.T) {
	n := 0
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n++
		if got := fmt.Sprint(r.Method, " ", r.URL, " ", r.Host, " ", r.Header["X-Beta"]); got != "PUT http://host.example.org/x host.example.org [true false]" {
			t.Errorf("the proxy got %s", got)
		}
		switch n {
		case 1:
			w.Header().Set("x-smi-upstream", "127.64.1.3:8080")
			w.WriteHeader(http.StatusFound) // never followed
		case 2:
			w.Header().Set("x-smi-upstream", "127.64.1.3:8080")
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, "smi: no TrafficTarget allows this\n")
		case 3:
			w.Header().Set("x-smi-upstream", "127.64.1.4:8080")
			fmt.Fprint(w, "hello")
		case 4:
			panic(http.ErrAbortHandler)
		default:
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer proxy.Close()
	status := &Status{Pods: []PodStatus{{Name: "web-0", Address: "127.64.1.2", SidecarAddress: "127.64.1.3"}, {Name: "plain", Address: "127.64.1.4"}}}
	from := &PodStatus{RequestProxy: strings.TrimPrefix(proxy.URL, "http://")}
	request := Request{Method: "PUT", URL: "http://web.shop:8080/x", Count: 5, Header: http.Header{"Host": {"host.example.org"}, "X-Beta": {"true", "false"}}}
	got, err := status.Send(t.Context(), from, request)
	if err != nil {
		t.Fatal(err)
	}
	want := &Report{
		Total: 5, Statuses: map[string]int{"302": 1, "403": 1, "200": 1, "error": 1, "503": 1},
		Backends: map[string]int{"web-0": 1, "plain": 1}, Error: got.Error,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got.Error == "" {
		t.Error("nothing tells why a request had no answer")
	}
}

func TestSendRefusesURLs(t *testing.T) {
	for _, url := range []string{"web.shop:8080", "https://web.shop", "http://", "/path", "http://%zz"} {
		if _, err := new(Status).Send(t.Context(), &PodStatus{}, Request{Method: "GET", URL: url, Count: 1}); err == nil || !strings.Contains(err.Error(), "write http://SERVICE.NAMESPACE:PORT/PATH") {
			t.Errorf("%s: %v", url, err)
		}
	}
}

// A request that nobody waits for any more is not counted as one without answer.
func TestSendIsInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	proxy := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	}))
	defer proxy.Close()
	from := &PodStatus{RequestProxy: strings.TrimPrefix(proxy.URL, "http://")}
	got, err := new(Status).Send(ctx, from, Request{Method: "GET", URL: "http://web.shop/", Count: 3})
	if err != nil || got.Total != 0 || got.Error != "" {
		t.Errorf("%+v, %v", got, err)
	}
}
