package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
)

// callOver asks the server's /call to make a call.
func (r *running) callOver(t *testing.T, query url.Values) *callReport {
	t.Helper()
	res, err := clientOf(t, false).Get("http://" + r.address[kindHTTP] + "/call?" + query.Encode())
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	report := new(callReport)
	if err := json.NewDecoder(res.Body).Decode(report); err != nil {
		t.Fatal(err)
	}
	return report
}

func TestCall(t *testing.T) {
	other := start(t, nil, func(c *config) { c.who.Pod = "other" })
	r := start(t, nil, nil)
	for _, c := range []struct {
		name, url, status, pod string
		more                   url.Values
		inBody                 string
	}{
		{"HTTP", "http://" + other.address[kindHTTP] + "/books", "200", "other", url.Values{"method": {"POST"}, "header": {"X-Beta: yes", "Host: shop"}, "body": {"xyz"}}, `"host":"shop"`},
		{"an HTTP error", "http://" + other.address[kindHTTP] + "/status/503", "503", "other", nil, "other"},
		{"a body that is not JSON", "http://" + other.address[kindHTTP] + "/healthz", "200", "other", nil, `"ok\n"`},
		{"TCP", "tcp://" + other.address[kindTCP], "ok", "other", nil, "other"},
		{"TCP where the server speaks first", "tcp://" + other.address[kindGreet], "ok", "other", url.Values{"body": {""}}, "other"},
		{"gRPC", "grpc://" + other.address[kindGRPC], "OK", "other", url.Values{"header": {"x-beta: yes"}}, "/smi.sample.v1.Echo/Say"},
		{"a gRPC method that does not exist", "grpc://" + other.address[kindGRPC] + "/smi.sample.v1.Echo/No", "Unimplemented", "", nil, "unknown method"},
	} {
		t.Run(c.name, func(t *testing.T) {
			query := url.Values{"url": {c.url}, "n": {"7"}}
			for k, v := range c.more {
				query[k] = v
			}
			got := r.callOver(t, query)
			if got.Count != 7 || got.Statuses[c.status] != 7 || (c.pod != "" && got.Pods[c.pod] != 7) {
				t.Fatalf("%+v", got)
			}
			if len(got.Answers) != maxAnswers {
				t.Fatalf("%d answers are told, want %d", len(got.Answers), maxAnswers)
			}
			body := strings.ReplaceAll(string(got.Answers[0].Body), `": "`, `":"`)
			if !strings.Contains(body, c.inBody) {
				t.Errorf("answer %s does not contain %s", body, c.inBody)
			}
		})
	}
}

func TestCallTellsWhyThereIsNoAnswer(t *testing.T) {
	r := start(t, nil, nil)
	gone := httptest.NewServer(nil)
	gone.Close()
	got := r.callOver(t, url.Values{"url": {gone.URL}, "n": {"2"}})
	if got.Statuses["error"] != 2 || len(got.Errors) != 1 || got.succeeded() {
		t.Errorf("%+v", got)
	}
}

func TestCallTakesTheProxy(t *testing.T) {
	var proxied atomic.Int32
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		proxied.Add(1)
		if r.URL.Host != "bookstore.bookstore:9080" {
			t.Errorf("asked for %s", r.URL)
		}
		w.Header().Set("X-Pod", "bookstore-v2-0")
	}))
	defer proxy.Close()
	for name, env := range map[string]map[string]string{
		"upper case": {"HTTP_PROXY": proxy.URL, "NO_PROXY": "bookwarehouse.invalid"},
		"lower case": {"http_proxy": proxy.URL, "no_proxy": "bookwarehouse.invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			proxied.Store(0)
			r := start(t, env, nil)
			got := r.callOver(t, url.Values{"url": {"http://bookstore.bookstore:9080/books"}, "n": {"3"}})
			if got.Statuses["200"] != 3 || got.Pods["bookstore-v2-0"] != 3 || proxied.Load() != 3 {
				t.Errorf("%+v, %d by the proxy", got, proxied.Load())
			}
			got = r.callOver(t, url.Values{"url": {"http://bookwarehouse.invalid:9080/"}})
			if got.Statuses["error"] != 1 || proxied.Load() != 3 {
				t.Errorf("NO_PROXY: %+v, %d by the proxy", got, proxied.Load())
			}
		})
	}
}

func TestChain(t *testing.T) {
	warehouse := start(t, nil, func(c *config) { c.who.Pod = "bookwarehouse-0" })
	store := start(t, nil, func(c *config) {
		c.calls = chain{
			"/buy":  {"http://" + warehouse.address[kindHTTP] + "/restock", "tcp://" + warehouse.address[kindTCP]},
			"/fail": {"http://" + warehouse.address[kindHTTP] + "/status/403"},
		}
	})
	for path, want := range map[string]int{"/buy": 200, "/fail": 502} {
		res, err := clientOf(t, false).Post("http://"+store.address[kindHTTP]+path, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		var got reply
		err = json.NewDecoder(res.Body).Decode(&got)
		res.Body.Close()
		if err != nil || res.StatusCode != want || len(got.Upstream) == 0 {
			t.Fatalf("%s: %d %+v, %v", path, res.StatusCode, got, err)
		}
		for _, up := range got.Upstream {
			if up.Pods["bookwarehouse-0"] != 1 {
				t.Errorf("%s: %+v", path, up)
			}
		}
	}
}

func TestCircleEnds(t *testing.T) {
	warehouse := start(t, nil, nil)
	store := start(t, nil, func(c *config) {
		c.calls = chain{"/buy": {"http://" + warehouse.address[kindHTTP] + "/restock"}}
	})
	for hops, want := range map[string]int{"": 200, "7": 200, "8": 508, "9": 508, "-1": 508, "x": 508} {
		for _, path := range []string{"/buy", "/call?url=http://" + warehouse.address[kindHTTP]} {
			req, err := http.NewRequest("GET", "http://"+store.address[kindHTTP]+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("X-Hops", hops)
			res, err := clientOf(t, false).Do(req)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(res.Body)
			res.Body.Close()
			if err != nil || res.StatusCode != want {
				t.Errorf("%s with %q hops: %d, %v", path, hops, res.StatusCode, err)
			}
			if hops == "7" && !strings.Contains(string(body), `"x-hops"`) {
				t.Errorf("%s: the hops are not passed on: %s", path, body)
			}
		}
	}
}
